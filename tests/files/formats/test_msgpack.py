"""Flax's files without Flax: trees, parts, damage, and what a file claims."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest
from roberta.files.formats import msgpack as format_
from roberta.reference.parameters import HEADS

Make = Callable[..., dict[str, Any]]
Same = Callable[[dict[str, Any], dict[str, Any]], bool]


def array(shape: Any, name: str, content: bytes, code: int = 1) -> Any:
    return msgpack.ExtType(code, msgpack.packb((shape, name, content)))


ONE = array((2,), "float32", bytes(8))


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
@pytest.mark.parametrize("head", HEADS)
def test_what_is_written_is_read_to_the_bit(head: str, dtype: str, tmp_path: Path, state_of: Make, same: Same) -> None:
    import ml_dtypes  # noqa: F401  # makes bfloat16 known to NumPy

    state = state_of(head, dtype, tie_word_embeddings=False)
    format_.write(tmp_path / "x.msgpack", state, head)
    assert same(format_.read(tmp_path / "x.msgpack"), state)


def test_large_arrays_are_written_in_parts_as_flax_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state_of: Make, same: Same
) -> None:
    state = {**state_of("masked_lm"), "lm_head.bias": np.zeros(0, np.float32)}
    monkeypatch.setattr(format_, "WHOLE", 100)
    format_.write(tmp_path / "x.msgpack", state, "masked_lm")
    assert b"__msgpack_chunked_array__" in (tmp_path / "x.msgpack").read_bytes()
    assert same(format_.read(tmp_path / "x.msgpack"), state)


@pytest.mark.flax
def test_flax_reads_what_is_written_and_the_other_way_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state_of: Make, same: Same
) -> None:
    from flax import serialization, traverse_util

    state, path = state_of("masked_lm"), tmp_path / "x.msgpack"
    for whole in (format_.WHOLE, 100):
        monkeypatch.setattr(format_, "WHOLE", whole)
        monkeypatch.setattr(serialization, "MAX_CHUNK_SIZE", whole)
        format_.write(path, state, "masked_lm")
        tree = serialization.msgpack_restore(path.read_bytes())
        flat = traverse_util.flatten_dict(tree, sep=".")
        assert np.array_equal(flat["lm_head.dense.kernel"], state["lm_head.dense.weight"].T)
        assert len(flat) == len(state)
        for wrapped in (tree, {"params": tree}):
            path.write_bytes(serialization.to_bytes(wrapped))
            assert same(format_.read(path), state)


def test_numbers_and_counters_beside_weights_are_passed_over(tmp_path: Path) -> None:
    content = {"step": 3, "name": "x", "n": array((), "int64", bytes(8), 3), "ids": array((1,), "int32", bytes(4)),
               "lm_head": {"bias": ONE}}  # fmt: skip
    (tmp_path / "x.msgpack").write_bytes(msgpack.packb(content))
    assert list(format_.read(tmp_path / "x.msgpack")) == ["lm_head.bias"]


def nested(depth: int) -> bytes:
    return b"\x81\xa1a" * depth + msgpack.packb(ONE)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"\x81", "incomplete"),
        (msgpack.packb({"a": ONE}) + b"x", "extra data"),
        (msgpack.packb([ONE]), "max_array_len|tree of dicts"),
        (msgpack.packb(ONE), "tree of dicts"),
        (msgpack.packb({}), "no arrays"),
        (msgpack.packb({"a": 3}), "no arrays"),
        (msgpack.packb({3: ONE}), "int is not allowed for map key"),
        (b"\x82" + (msgpack.packb("a") + msgpack.packb(ONE)) * 2, "one that is there twice"),
        (msgpack.packb({"a": {"kernel": ONE}, "params/a": {"weight": ONE}}), "two arrays for"),
        (msgpack.packb({"a": array((3,), "float32", bytes(8))}), r"shape \(3,\) and float32 in 8 bytes"),
        (msgpack.packb({"a": array((-1, -2), "float32", bytes(8))}), "in 8 bytes"),
        (msgpack.packb({"a": array((2**62, 4), "float32", bytes(8))}), "in 8 bytes"),
        (msgpack.packb({"a": array((True, 2), "float32", bytes(8))}), "in 8 bytes"),
        (msgpack.packb({"a": array((1,), "object", bytes(8))}), "an array of 'object'; required one of bfloat16"),
        (msgpack.packb({"a": array((1,), "float8_e4m3fn", bytes(1))}), "an array of 'float8_e4m3fn'"),
        (msgpack.packb({"a": array((2,), "complex64", bytes(16), 2)}), "an extension of type 2"),
        (msgpack.packb({"a": msgpack.ExtType(1, b"\xc0")}), "damaged"),
        (msgpack.packb({"a": msgpack.Timestamp(1)}), "no arrays"),
        (nested(40), "no deeper than 32"),
        (nested(5000), "damaged"),
        (b"\xdf\xff\xff\xff\xff", "max_map_len|incomplete"),
        (b"\x81\xa1a\xdd\xff\xff\xff\xff", "max_array_len"),
        (b"\x81\xa1a\xc9\xff\xff\xff\xff\x01", "max_ext_len|incomplete"),
        (b"\x81\xa1a\x82\xb9__msgpack_chunked_array__\xc3\xa5shape\xc0", "damaged"),
    ],
    ids=range(25),
)
def test_what_is_no_tree_of_arrays_is_refused(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "x.msgpack").write_bytes(content)
    with pytest.raises(ValueError, match=rf"(?is)x.msgpack is damaged or no file of Flax's \(.*({said})|{said}.*again"):
        format_.read(tmp_path / "x.msgpack")


def test_without_the_library_it_says_what_to_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "msgpack", None)
    with pytest.raises(ModuleNotFoundError, match=r'msgpack, .* is not installed: pip install "roberta\[formats\]"'):
        format_.read(tmp_path / "x.msgpack")
