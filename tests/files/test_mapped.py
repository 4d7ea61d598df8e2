"""Arrays that lie in a file: the same numbers, private, and given back when they are not wanted any more."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import ml_dtypes  # noqa: F401  # makes bfloat16 known to NumPy
import numpy as np
import pytest
from roberta.files.mapped import mapped_tensors, release
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

DTYPES = ("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    tensors = {name: (100 * rng.standard_normal((3, 5))).astype(name) for name in DTYPES}
    tensors |= {"nothing": np.zeros((0, 3), "float32"), "one": np.array(7.5, "float32")}
    tensors["large"] = rng.standard_normal((300, 100)).astype("float32")
    save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    return tmp_path / "model.safetensors"


def test_they_are_what_the_library_reads(path: Path) -> None:
    expected, found = load_file(path), mapped_tensors(path)
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(found[name], array)


def test_writing_into_one_leaves_the_file_and_other_readers_alone(path: Path) -> None:
    before, other = path.read_bytes(), mapped_tensors(path)
    mapped_tensors(path)["float32"][:] = 0
    assert path.read_bytes() == before
    assert other["float32"].any()


def test_the_file_may_be_replaced_and_deleted(path: Path) -> None:
    expected, found = load_file(path)["large"], mapped_tensors(path)["large"]
    beside = path.with_suffix(".new")
    save_file({"large": np.zeros((300, 100), "float32")}, beside)
    beside.replace(path)
    path.unlink()
    np.testing.assert_array_equal(found, expected)


def test_what_was_given_back_is_read_again(path: Path) -> None:
    expected, found = load_file(path), mapped_tensors(path)
    for name, array in found.items():
        release(array)
        release(array[1:] if array.ndim else array)
        np.testing.assert_array_equal(array, expected[name])
    release(np.ones(3))  # of another's memory nothing is given back
    large = found["large"]
    large[:] = 1  # what giving back loses is what was written: so it was given back
    release(large)
    assert (large == expected["large"]).mean() > 0.8


def test_numbers_that_lie_askew_are_copied(tmp_path: Path) -> None:
    header = {"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}}
    header["b"] = {"dtype": "F32", "shape": [2], "data_offsets": [1, 9]}
    text = json.dumps(header).encode()
    content = struct.pack("<Q", len(text)) + text + b"\x07" + np.array([1.5, -2], "<f4").tobytes()
    (tmp_path / "askew.safetensors").write_bytes(content)
    np.testing.assert_array_equal(mapped_tensors(tmp_path / "askew.safetensors")["b"], np.array([1.5, -2], "f4"))


@pytest.mark.parametrize("cut", [0, 5, 40, -1], ids=["empty", "in the length", "in the header", "in the numbers"])
def test_a_damaged_file_is_refused(path: Path, cut: int) -> None:
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(SafetensorError):
        mapped_tensors(path)
