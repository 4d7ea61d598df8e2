"""The command: what it prints, its exit status, and that misuse ends in one message and no traceback."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import warnings

import pytest
import roberta
from roberta import __main__ as command
from roberta import tasks
from roberta.parity import report, selftest
from roberta.parity.calibrating import calibration, situations
from roberta.parity.mistakes import mutants

SENTENCE = "She was glad to see him, and he was glad to see her."


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A checkpoint of random weights with a vocabulary of a few words."""
    path = tmp_path_factory.mktemp("checkpoint")
    tokenizer = roberta.RobertaTokenizer.train([SENTENCE] * 3, vocab_size=277)
    config = roberta.RobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=21,
        num_attention_heads=3,
        num_hidden_layers=2,
        intermediate_size=31,
        max_position_embeddings=37,
        type_vocab_size=1,
        layer_norm_eps=1e-5,
        initializer_range=0.3,
    )
    roberta.RobertaForMaskedLM(config, backend="numpy").save_pretrained(path)
    tokenizer.save_pretrained(path)
    return str(path)


@pytest.fixture
def call(monkeypatch, capsys):
    """Run the command as a shell would: (exit status, stdout, stderr but for what the first call on Numba says)."""
    compiles = "roberta: compiling the kernels of the numba backend; later runs find them cached.\n"

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["roberta", *arguments])
        with pytest.raises(SystemExit) as ended:
            command.main()
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err.removeprefix(compiles)

    return run


def test_version(call):
    assert call("--version") == (0, f"roberta {roberta.__version__}\n", "")


def test_it_runs_as_a_module():
    result = subprocess.run([sys.executable, "-m", "roberta", "--version"], capture_output=True, text=True, check=True)
    assert result.stdout == f"roberta {roberta.__version__}\n"


def test_fill_mask_prints_a_table_for_each_mask(call, folder, backend):
    status, out, err = call("fill-mask", "She was <mask> to <mask> him.", "--model", folder, "--backend", backend)
    assert (status, err) == (0, "")
    assert "mask 1 of 2" in out
    assert "mask 2 of 2" in out


def test_fill_mask_prints_as_many_as_asked_for(call, folder):
    _, out, _ = call("fill-mask", "She was <mask> to see him.", "--model", folder, "--top", "3")
    assert out.count("%") == 3


def test_texts_are_printed_as_they_are(call, folder):
    _, out, _ = call("fill-mask", "[b]She[/b] :smile: <mask>", "--model", folder)
    assert "[b]She[/b] :smile:" in out


def test_parity_passes_and_writes_json(call, folder, tmp_path, backend):
    file = tmp_path / "new" / "report.json"
    status, out, _ = call("parity", folder, "--backends", backend, "--heads", "masked_lm", "--json", str(file))
    assert (status, "masked_lm" in out) == (0, True)
    assert json.loads(file.read_text())["passed"] is True


def test_parity_ends_with_1_where_a_budget_is_exceeded(call, folder, monkeypatch):
    monkeypatch.setattr(report.Row, "passed", False)
    assert call("parity", folder, "--backends", "numpy", "--heads", "masked_lm")[0] == 1


def test_parity_prints_the_decoder_variants_unless_told_otherwise(call, folder, backend):
    chosen = ("parity", folder, "--backends", backend, "--heads", "model")
    assert "cross-attention, relative_key_query, cached" in call(*chosen)[1]
    status, out, _ = call(*chosen, "--no-variants")
    assert status == 0
    assert "cached" not in out
    without_decoders = call("parity", folder, "--backends", backend, "--heads", "question_answering")
    assert "variant" not in without_decoders[1]


def test_help_of_parity_shows_its_own_use_and_the_commands_below_it(call):
    status, out, err = call("parity", "--help")
    assert (status, err) == (0, "")
    assert "roberta parity [OPTIONS] [checkpoint]" in out.splitlines()[0]
    assert [part for part in ("--backends", "--gradients", "--json", "export", "judge") if part not in out] == []


def test_parity_takes_options_before_the_checkpoint_too(call, folder):
    status, out, _ = call("parity", "--backends", "numpy", "--heads", "model", "--no-variants", folder)
    assert (status, "model" in out) == (0, True)


@pytest.fixture
def exported(call, folder, tmp_path):
    """What `roberta parity export` writes, of a few tokens, and a port's outputs: the truth itself."""
    chosen = ("--model", folder, "--tokens", "300", "--dtype", "bfloat16")
    assert call("parity", "export", str(tmp_path / "folder"), *chosen)[0] == 0
    (tmp_path / "outputs").mkdir()
    for truth in (tmp_path / "folder").glob("*/truth.safetensors"):
        shutil.copy(truth, tmp_path / "outputs" / f"{truth.parent.name}.safetensors")
    return tmp_path


def test_an_exported_folder_names_the_head_and_the_dtype(exported):
    manifest = json.loads((exported / "folder/manifest.json").read_text())
    assert (manifest["head"], manifest["dtype"]) == ("masked_lm", "bfloat16")
    assert (exported / "folder/README.md").is_file()


def test_judge_ends_with_0_for_the_truth_and_with_1_for_anything_else(call, exported):
    where = ("parity", "judge", str(exported / "folder"), str(exported / "outputs"))
    status, out, err = call(*where)
    assert (status, err) == (0, "")
    assert "padding on the left" in out
    assert "failed" not in out
    (exported / "outputs/02-one-token.safetensors").unlink()
    shutil.copy(exported / "outputs/01-text.safetensors", exported / "outputs/03-two-tokens.safetensors")
    status, out, _ = call(*where)
    assert status == 1
    assert "there is no 02-one-token.safetensors" in out
    assert " 1 failed" in out


@pytest.mark.torch
def test_parity_prints_the_gradients_of_the_engines_that_train_if_asked(call, folder, tmp_path):
    file = tmp_path / "report.json"
    chosen = ("--heads", "question_answering", "--dtype", "float64", "--gradients", "--json", str(file))
    status, out, _ = call("parity", folder, "--backends", "numpy,torch", *chosen)
    assert status == 0
    assert "gradients in float64" in out
    rows = json.loads(file.read_text())["rows"]
    are_gradients = [any(output["name"].endswith(".weight") for output in row["outputs"]) for row in rows]
    assert list(zip([row["backend"] for row in rows], are_gradients, strict=True)) == [
        ("numpy", False), ("torch", False), ("torch", False), ("torch", True),
    ]  # fmt: skip  # torch: the model, its inference form, the gradients


def test_selftest_ends_with_1_where_a_mutant_survives(call, monkeypatch):
    monkeypatch.setattr(mutants, "MUTANTS", selftest.MUTANTS[:1])
    monkeypatch.setattr(selftest, "MUTANTS", selftest.MUTANTS[:1])
    assert call("selftest", "--false-alarms", "0", "--backends", "numpy")[0] == 0
    monkeypatch.setattr(selftest.Hunt, "passed", False)
    assert call("selftest", "--false-alarms", "0", "--backends", "numpy")[0] == 1


def test_a_thorough_selftest_prints_what_honest_engines_err_and_ends_with_1_where_one_is_refused(call, monkeypatch):
    one = next(situations.situations())
    monkeypatch.setattr(situations, "situations", lambda: iter([one]))
    status, out, err = call("selftest", "--thorough", "--backends", "numpy")
    assert (status, err) == (0, "")
    assert "0 false alarms in" in out
    assert one.name in out
    assert "tfloat32" in out
    assert "blocks of 4, FMA" in out
    monkeypatch.setattr(calibration.Outcome, "is_alarm", True)
    assert call("selftest", "--thorough", "--backends", "numpy")[0] == 1


def test_selftest_counts_false_alarms_of_the_engines_named(call, monkeypatch, backend):
    monkeypatch.setattr(mutants, "MUTANTS", selftest.MUTANTS[:1])
    monkeypatch.setattr(selftest, "MUTANTS", selftest.MUTANTS[:1])
    status, out, err = call("selftest", "--false-alarms", "2", "--backends", backend)
    assert (status, err) == (0, "")
    forms = 1 if backend == "numpy" else 2  # plain, and for inference
    assert f"{forms} of {forms} mutants caught" in out
    assert "0 false alarms in 2 drawn configurations" in out
    assert backend in out.splitlines()[-2]


def test_backends_lists_every_engine(call):
    status, out, _ = call("backends")
    assert status == 0
    assert all(name in out for name in roberta.available_backends())


#: What is wrong -> what was typed, and what the message must hold: what was required, what came, what to do.
MISUSE = {
    "no mask": (["fill-mask", "no mask"], ["text", "at least one mask", "'no mask'", "Write <mask>"]),
    "too long": (["fill-mask", "<mask> " * 99], ["fill-mask", "at most", "tokens", "cut it into parts"]),
    "no candidates": (["fill-mask", "a <mask>", "--top", "0"], ["top_k", "required", "got 0"]),
    "misspelt engine": (["fill-mask", "<mask>", "--backend", "trch"], ["numpy", "got 'trch'", "Did you mean 'torch'?"]),
    "unknown head": (["parity", "--heads", "masked"], ["heads", "masked_lm", "got 'masked'"]),
    "no head": (["parity", "--heads", ""], ["heads", "got ''"]),
    "unknown dtype": (["parity", "--dtype", "float8"], ["dtype", "float32", "got 'float8'"]),
    "engine of a draw": (["selftest", "--backends", "trch"], ["numpy", "got 'trch'", "Did you mean 'torch'?"]),
    "a folder that is full": (["parity", "export", "."], ["new or an empty folder", "a folder with files", "another"]),
    "no exported folder": (["parity", "judge", ".", "."], ["required a folder", "parity export", "no manifest.json"]),
    "too few tokens": (["parity", "export", "x", "--tokens", "1"], ["tokens: required at least", "got 1", "None"]),
    "dtype of others": (["parity", "--backends", "numpy", "--dtype", "bfloat16"], ["numpy", "float64", "'bfloat16'"]),
}


@pytest.mark.parametrize(("arguments", "parts"), MISUSE.values(), ids=MISUSE)
def test_misuse_ends_with_2_and_a_message(call, folder, arguments, parts):
    where = {"parity": [folder], "fill-mask": ["--model", folder]}.get(arguments[0], [])
    where = {"export": ["--model", folder], "judge": []}.get(arguments[1], where) if len(arguments) > 1 else where
    status, out, err = call(*arguments, *where)
    assert (status, out) == (2, "")
    assert [part for part in parts if part not in err] == []
    assert "Traceback" not in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("arguments", ["fill-mask", "fil-mask x", "parity --nonsense", "parity /nowhere"])
def test_wrong_usage_ends_with_2(call, arguments):
    status, _, err = call(*arguments.split())
    assert status == 2
    assert "Traceback" not in err


def test_warnings_are_one_line_without_source(call, folder, monkeypatch, capsys):
    def warn(*_: object, **__: object) -> list[object]:
        warnings.warn("something to know", stacklevel=1)
        return []

    monkeypatch.setattr(tasks, "fill_mask", warn)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert call("fill-mask", "<mask>", "--model", folder) == (0, "", "roberta: something to know\n")
