"""What is in a checkpoint, and the same in another format."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import roberta
from roberta.__main__ import main
from roberta.dispatch.conversion import convert
from roberta.dispatch.inspection import inspect
from roberta.reference.parameters import HEADS
from safetensors.numpy import load_file, save_file

SIZES: Any = {
    "vocab_size": 23, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 12,
    "max_position_embeddings": 16, "type_vocab_size": 2,
}  # fmt: skip
WEIGHTS = "model.safetensors"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    roberta.RobertaForSequenceClassification(roberta.RobertaConfig(**SIZES)).save_pretrained(tmp_path / "in")
    return tmp_path / "in"


def change(folder: Path, **tensors: Any) -> None:
    state = load_file(folder / WEIGHTS) | {name.replace("__", "."): array for name, array in tensors.items()}
    save_file(state, folder / WEIGHTS)


def run(monkeypatch: pytest.MonkeyPatch, capsys: Any, *words: Any) -> tuple[int, str]:
    monkeypatch.setattr("sys.argv", ["roberta", *map(str, words)])
    with pytest.raises(SystemExit) as status:
        main()
    shown = capsys.readouterr()
    return int(status.value.code or 0), shown.out + shown.err


# -- inspect -----------------------------------------------------------------------------------------------------------


def test_numbers_are_numpys_and_heads_are_those_that_it_fits(folder: Path) -> None:
    found, state = inspect(folder), load_file(folder / WEIGHTS)
    assert [one.name for one in found.tensors] == list(state)
    for one in found.tensors:
        array = state[one.name].astype(np.float64)
        assert (one.shape, one.dtype, one.nans, one.infinities) == (array.shape, "float32", 0, 0)
        assert (one.least, one.most) == (array.min(), array.max())
        np.testing.assert_allclose((one.mean, one.deviation), (array.mean(), array.std()), atol=1e-9)
    assert [fit.head for fit in found.fits] == list(HEADS)
    assert [fit.head for fit in found.fits if fit.is_whole] == ["sequence_classification"]
    assert found.is_sound


def test_what_is_odd_is_said(folder: Path) -> None:
    state = load_file(folder / WEIGHTS)
    word = "roberta.embeddings.word_embeddings.weight"
    bad = state["classifier.dense.weight"].copy()
    bad[0, :3] = np.nan, np.inf, -np.inf
    change(folder, classifier__dense__weight=bad, mine=np.arange(3.0), twin=state[word], step=np.arange(3))
    by_name = {one.name: one for one in inspect(folder).tensors}
    assert (by_name["classifier.dense.weight"].nans, by_name["classifier.dense.weight"].infinities) == (1, 2)
    assert (by_name["mine"].parameter, by_name["twin"].tied_to or by_name[word].tied_to) == (
        "",
        word if by_name["twin"].tied_to else "twin",
    )
    assert not inspect(folder).is_sound


def test_without_a_configuration_the_tensors_are_shown(folder: Path) -> None:
    (folder / "config.json").unlink()
    found = inspect(folder)
    assert "config.json" in found.problem
    assert (found.config, found.fits, found.is_sound) == (None, (), False)
    assert len(found.tensors) > 30


def test_the_command_inspects(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    status, shown = run(monkeypatch, capsys, "inspect", folder)
    assert status == 0
    assert "sha256" in shown
    assert "whole" in shown
    status, shown = run(monkeypatch, capsys, "inspect", folder, "--json")
    data = json.loads(shown)
    assert (status, data["sound"], data["heads"]["sequence_classification"]["whole"]) == (0, True, True)
    assert data["files"].keys() == {WEIGHTS}
    change(folder, classifier__dense__weight=np.full((8, 8), np.nan, np.float32))
    status, shown = run(monkeypatch, capsys, "inspect", folder, "--json")
    assert (status, json.loads(shown)["sound"]) == (1, False)
    (folder / WEIGHTS).write_bytes(b"PK")
    status, shown = run(monkeypatch, capsys, "inspect", folder)
    assert status == 2
    assert "is damaged or no safetensors file" in shown


# -- convert -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["safetensors", "pytorch", "h5", "msgpack"])
@pytest.mark.parametrize("size", ["5GB", "2KB"])
def test_a_checkpoint_goes_there_and_back(form: str, size: str, folder: Path, tmp_path: Path) -> None:
    if form in ("h5", "msgpack"):
        pytest.importorskip({"h5": "h5py"}.get(form, form))
    (folder / "vocab.json").write_text("{}")
    done = convert(folder, tmp_path / "there", format=form, max_shard_size=size)
    assert (done.head, done.format, done.dtypes, done.copied) == ("sequence_classification", form, {}, ("vocab.json",))
    convert(tmp_path / "there", tmp_path / "back")
    before, after = load_file(folder / WEIGHTS), load_file(tmp_path / "back" / WEIGHTS)
    assert before.keys() == after.keys()
    assert all(np.array_equal(after[name], array) for name, array in before.items())


def test_another_dtype_is_written_and_said(folder: Path, tmp_path: Path) -> None:
    done = convert(folder, tmp_path / "out", dtype="bfloat16")
    assert done.dtypes == {"float32": "bfloat16"}
    model = roberta.RobertaForSequenceClassification.from_pretrained(tmp_path / "out")
    assert model.load_report.dtypes == {"bfloat16": "float32"}


def test_what_cannot_be_converted_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for given, kind, said in (
        ({"format": "onnx"}, ValueError, "format: required one of"),
        ({"head": "masked_lm"}, ValueError, r"required all parameters of RobertaForMaskedLM, got .*lacks 5"),
        ({"head": "nothing"}, ValueError, "head: required one of model, "),
        ({"dtype": "int8"}, ValueError, "dtype: required one of"),
        ({"max_shard_size": "x"}, ValueError, "max_shard_size"),
    ):
        with pytest.raises(kind, match=said):
            convert(folder, out, **given)
        assert not out.exists()
    change(folder, classifier__dense__weight=np.full((8, 8), 1e30, np.float32))
    with pytest.raises(ValueError, match="finite in float16"):
        convert(folder, out, dtype="float16")
    out.mkdir()
    (out / "mine").write_text("x")
    with pytest.raises(FileExistsError, match="an empty folder"):
        convert(folder, out)
    assert [path.name for path in out.iterdir()] == ["mine"]


def test_a_difference_in_what_was_written_is_found(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from roberta.dispatch import writing

    real = writing.Converted.__getitem__

    def wrong(self: Any, name: str) -> Any:
        array = real(self, name)
        return array + 1 if name == "classifier.dense.bias" else array

    monkeypatch.setattr(writing.Converted, "__getitem__", wrong)
    with pytest.raises(ValueError, match=r"classifier.dense.bias: what was written is not what was read"):
        convert(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command_converts(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    change(folder, mine=np.arange(3.0, dtype=np.float32))
    words = ("convert", folder, tmp_path / "out", "--format", "pytorch", "--dtype", "float16")
    status, shown = run(monkeypatch, capsys, *words)
    assert status == 0
    for part in ("each compared after it was written", "float32 became float16", "left out, as .* mine"):
        assert re.search(part, shown)
    status, shown = run(monkeypatch, capsys, *words)
    assert status == 2
    assert "required a new or an empty folder" in shown
