"""Which files of a folder are taken, what an index must say, and where each format's shards belong."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from roberta.files.formats import hdf5, pytorch, safetensors, table
from roberta.files.formats.table import FORMATS, read, source_of

ONE = {"classifier.bias": np.ones(2, np.float32)}
TWO = {"classifier.weight": np.ones((2, 2), np.float32)}


def shards(folder: Path, form: str = "pytorch", told: dict[str, str] | None = None) -> Path:
    one = FORMATS[form]
    for number, part in enumerate((ONE, TWO), start=1):
        one.module().write(folder / one.shard(number, 2), part, "sequence_classification")
    right = {"classifier.bias": one.shard(1, 2), "classifier.weight": one.shard(2, 2)}
    (folder / one.index).write_text(json.dumps({"weight_map": right if told is None else told}))
    return folder


def test_the_first_of_several_formats_is_taken_and_said(tmp_path: Path) -> None:
    for name in ("fairseq", "msgpack", "h5", "pytorch", "safetensors"):
        (tmp_path / FORMATS[name].weights).touch()
        assert source_of(tmp_path).format == name
    (tmp_path / FORMATS["safetensors"].weights).unlink()
    shards(tmp_path, "safetensors")
    found = source_of(tmp_path)
    assert (found.format, [path.name for path in found.files]) == (
        "safetensors", ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    )  # fmt: skip
    assert read(found).keys() == {*ONE, *TWO}
    assert found.sha256().keys() == {"model.safetensors.index.json", *(path.name for path in found.files)}


def test_a_file_may_be_named(tmp_path: Path) -> None:
    pytorch.write(tmp_path / "last.ckpt", ONE, "model")
    assert read(source_of(tmp_path / "last.ckpt")).keys() == ONE.keys()
    safetensors.write(tmp_path / "x{0}.safetensors", ONE, "model")
    assert read(source_of(tmp_path / "x{0}.safetensors")).keys() == ONE.keys()
    (tmp_path / "x.onnx").touch()
    with pytest.raises(ValueError, match=r"x.onnx: required a file that ends in one of .safetensors, .bin"):
        source_of(tmp_path / "x.onnx")


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"classifier.bias": "A", "classifier.weight": "B", "more": "A"}, "has more, and it lacks them"),
        ({"classifier.bias": "A", "more": "B"}, "has more, and it lacks them"),
        ({"classifier.bias": "A", "other": "B", "classifier.weight": "B"}, "has other, and it lacks them"),
        ({"classifier.bias": "B", "classifier.weight": "A"}, "and it lacks them"),
        ({"classifier.bias": "A", "x": "../outside"}, "lies outside the folder"),
        ({"classifier.bias": "A", "x": "a\\b"}, "lies outside the folder"),
        ({"classifier.bias": "A", "x": "a/b"}, "lies outside the folder"),
        ({"classifier.bias": "A", "x": "a" * 300}, "lies outside the folder"),
        ({"classifier.bias": "A", "x": "a\0"}, "lies outside the folder"),
        ({}, "required a JSON object with"),
        ({"x": 3}, "required a JSON object with"),
    ],
    ids=range(11),
)
def test_an_index_says_just_what_its_shards_have(told: Any, said: str, tmp_path: Path) -> None:
    (tmp_path / "{x}").mkdir()
    names = {"A": FORMATS["pytorch"].shard(1, 2), "B": FORMATS["pytorch"].shard(2, 2)}
    folder = shards(tmp_path / "{x}", told={name: names.get(file, file) for name, file in told.items()})
    with pytest.raises(ValueError, match=said):
        read(source_of(folder))


def test_what_a_shard_has_besides_is_not_passed_over(tmp_path: Path) -> None:
    shards(tmp_path)
    pytorch.write(tmp_path / FORMATS["pytorch"].shard(2, 2), {**TWO, "more": np.ones(1)}, "model")
    with pytest.raises(ValueError, match=r"has more, which pytorch_model.bin.index.json does not say; download them"):
        read(source_of(tmp_path))
    pytorch.write(tmp_path / FORMATS["pytorch"].shard(2, 2), {**TWO, **ONE}, "model")
    with pytest.raises(ValueError, match=r"classifier.bias, which .* does not say"):
        read(source_of(tmp_path))


@pytest.mark.parametrize("text", ["[" * 100_000, '{"weight_map": {"a": "b", "a": "c"}}', "{}", "[]", "\ufeff{}", ""])
def test_an_index_that_is_no_json_is_refused(text: str, tmp_path: Path) -> None:
    shards(tmp_path)
    (tmp_path / FORMATS["pytorch"].index).write_text(text)
    with pytest.raises(ValueError, match=r'index.json: required a JSON object with "weight_map": name -> file'):
        source_of(tmp_path)


def test_odd_names_in_other_formats_are_names() -> None:
    for name in ("vars", "", "/", "a/vars", "tf_roberta_model/x", "layers", "tf", "kernel:0"):
        assert isinstance(hdf5.spelled(name)[0], str)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (
            "model.safetensors",
            b"version https://git-lfs.github.com/spec/v1\n",
            r"Git LFS.*type git lfs pull",
        ),
        (
            "pytorch_model.bin",
            b"version https://git-lfs.github.com/spec/v1\n",
            r"Git LFS.*type git lfs pull",
        ),
        ("tf_model.h5", b"\n<!DOCTYPE html><html>", "a web page; download it again"),
        ("model.safetensors", b"PK\x03\x04", "holds a file of PyTorch's .*; call it model.bin"),
        ("pytorch_model.bin", b'\x02\0\0\0\0\0\0\0{"', "holds safetensors .*; call it pytorch_model.safetensors"),
    ],
)
def test_what_is_there_in_place_of_weights_is_said(name: str, content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"{name} .*{said}"):
        read(source_of(tmp_path))


def test_a_header_of_any_length_is_no_web_page(tmp_path: Path) -> None:
    """A header of 60 bytes begins as a tag does: with the byte of <."""
    header = b'{"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}'.ljust(60)
    (tmp_path / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    assert read(source_of(tmp_path)).keys() == {"a"}


def test_weights_under_another_name_are_pointed_at(tmp_path: Path) -> None:
    (tmp_path / "model.fp16.safetensors").touch()
    (tmp_path / "optimizer.pt").touch()
    with pytest.raises(FileNotFoundError, match=r"no weights in .*\. Name the file itself: .*model.fp16.safetensors$"):
        source_of(tmp_path)
    (tmp_path / "model.fp16.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"found optimizer.pt$"):
        source_of(tmp_path)


def test_every_format_has_its_module() -> None:
    for one in FORMATS.values():
        module = one.module()
        assert callable(module.read)
        assert hasattr(module, "write") == one.writes or one.name == "keras"
    assert {*table.ENDINGS.values()} <= {*FORMATS}
