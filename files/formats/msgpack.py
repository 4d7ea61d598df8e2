"""`flax_model.msgpack`: a tree of dicts whose leaves are arrays, as `flax.serialization` writes it.

Source: Flax's extension types are 1, an array (shape, name of its dtype, bytes), and 3, a number of NumPy's; an array
of more than 2^30 bytes is a dict of parts.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Any, cast

import numpy as np

from . import spelling
from .table import library

#: The dtypes of weights, and of what lies beside them.
DTYPES = frozenset({
    "float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint64", "uint32", "uint16",
    "uint8", "bool",
})  # fmt: skip
#: How many bytes an array has at most, where it is not written in parts.
WHOLE = 2**30
#: The word for a dict of parts.
PARTS = "__msgpack_chunked_array__"
#: How many names a dict has at most: memory for as many as a file claims is taken before they are read.
LONGEST = 4096
#: How deep dicts lie in each other, at most; a model's need nine.
DEPTH = 32


def read(path: Path) -> dict[str, Any]:
    """The tensors of a file: HF's name -> array, as PyTorch has it.

    Args:
        path: the file, or one shard.

    Raises:
        ModuleNotFoundError: msgpack is not installed; says what to type.
        ValueError: a damaged file, or two arrays of one name.

    Numerics: no number is converted; turned matrices are views. Each byte of the file is copied once.
    """
    import ml_dtypes  # noqa: F401  # pyright: ignore[reportUnusedImport]  # makes bfloat16 known to NumPy

    msgpack = library("msgpack")
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as pages:
            hooks = {"ext_hook": _extension, "object_pairs_hook": _dict, "strict_map_key": True}
            tree = msgpack.unpackb(pages, **hooks, max_map_len=LONGEST, max_array_len=0)
        found: dict[str, Any] = {}
        for parts, array in _leaves(tree):
            own, is_turned = spelled("/".join(parts))
            if own in found:
                message = f"two arrays for {_ascii(own)}"
                raise ValueError(message)
            if array.dtype.kind == "f" or array.dtype.name == "bfloat16":
                found[own] = array.T if is_turned else array
        if not found:
            message = "it has no arrays of floating-point numbers"
            raise ValueError(message)
    except (
        ValueError,
        TypeError,
        KeyError,
        RecursionError,
        OverflowError,
        MemoryError,
        msgpack.UnpackException,
    ) as error:
        shown = str(error)[:200].encode("ascii", "backslashreplace").decode()
        raise ValueError(f"{path} is damaged or no file of Flax's ({shown}); save or download it again") from error
    return found


def write(path: Path, tensors: Mapping[str, Any], head: str) -> None:
    """Write tensors as transformers' Flax classes do, one at a time.

    Args:
        path: the file.
        tensors: HF's name -> array; its values may be made when they are asked for.
        head: whose these are.

    Raises:
        ModuleNotFoundError: msgpack is not installed; says what to type.
    """
    msgpack = library("msgpack")
    tree: dict[str, Any] = {}
    for name in tensors:
        *groups, last = spelled_for(name, head).split("/")
        inner = tree
        for group in groups:
            inner = inner.setdefault(group, {})
        inner[last] = name
    packer = msgpack.Packer()
    with path.open("wb") as stream:

        def put(value: Any) -> None:
            if isinstance(value, dict):
                stream.write(packer.pack_map_header(len(cast("dict[str, Any]", value))))
                for key, inner in cast("dict[str, Any]", value).items():
                    stream.write(packer.pack(key))
                    put(inner)
                return
            array = tensors[value].T if spelling.flax_name(value)[1] else tensors[value]
            if array.nbytes <= WHOLE:
                stream.write(packer.pack(_packed(array)))
                return
            size = max(WHOLE // array.dtype.itemsize, 1)
            flat = array.reshape(-1)
            starts = range(0, flat.size, size)
            stream.write(packer.pack_map_header(3))
            shape = {str(axis): length for axis, length in enumerate(array.shape)}
            stream.write(packer.pack(PARTS) + packer.pack(True) + packer.pack("shape") + packer.pack(shape))
            stream.write(packer.pack("chunks") + packer.pack_map_header(len(starts)))
            for number, start in enumerate(starts):
                stream.write(packer.pack(str(number)) + packer.pack(_packed(flat[start : start + size])))

        put(tree)


def spelled_for(name: str, head: str) -> str:  # as in `hdf5`
    """What a file, and an index of shards, calls a tensor.

    Example:
        >>> spelled_for("encoder.layer.0.output.dense.weight", "model")
        'encoder/layer/0/output/dense/kernel'
    """
    return spelling.flax_name(name)[0]


def spelled(name: str) -> tuple[str, bool]:
    """HF's name of what a file calls by this, and whether its matrix is turned.

    Example:
        >>> spelled("params/roberta/encoder/layer/0/output/dense/kernel")
        ('roberta.encoder.layer.0.output.dense.weight', True)
    """
    return spelling.hf_name(name.removeprefix("params/").split("/"))


# -- pieces ------------------------------------------------------------------------------------------------------------


def _extension(code: int, content: bytes) -> Any:
    if code == 1:
        return _array(content)
    if code == 3:
        return _array(content).reshape(())
    message = f"an extension of type {code}, which is none of Flax's arrays"
    raise ValueError(message)


def _array(content: bytes) -> Any:
    """An array that lies in these bytes, which NumPy holds."""
    unpacked = library("msgpack").unpackb(content, raw=True, max_array_len=DEPTH, max_map_len=0, max_ext_len=0)
    shape, name, numbers = unpacked
    name = name.decode("ascii")
    if name not in DTYPES:
        message = f"an array of {name[:40]!r}; required one of {', '.join(sorted(DTYPES))}"
        raise ValueError(message)
    dtype, sizes = np.dtype(name), tuple(shape)
    if any(type(size) is not int or size < 0 for size in sizes) or prod(sizes) * dtype.itemsize != len(numbers):
        message = f"an array of shape {sizes!r:.60} and {name} in {len(numbers)} bytes"
        raise ValueError(message)
    return np.frombuffer(numbers, dtype).reshape(sizes)


def _dict(pairs: list[tuple[Any, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs) or not all(isinstance(key, str) for key in found):
        message = "a name that is no text, or one that is there twice"
        raise ValueError(message)
    return found


def _leaves(tree: Any, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """All arrays, with the names that lead to them."""
    if not isinstance(tree, dict) or len(above) > DEPTH:
        message = f"a tree of dicts is needed, no deeper than {DEPTH}, with arrays at its ends"
        raise ValueError(message)
    for key, value in cast("dict[str, Any]", tree).items():
        if isinstance(value, np.ndarray):
            yield (*above, key), value
        elif isinstance(value, dict) and PARTS in value:
            yield (*above, key), _joined(cast("dict[str, Any]", value))
        elif isinstance(value, dict):
            yield from _leaves(value, (*above, key))
        # numbers and texts beside weights are of no use


def _joined(value: dict[str, Any]) -> Any:
    """An array that was written in parts."""
    shape, parts = value["shape"], value["chunks"]
    sizes = tuple(shape[str(axis)] for axis in range(len(shape)))
    whole = np.concatenate([parts[str(number)].reshape(-1) for number in range(len(parts))])
    return whole.reshape(sizes)


def _packed(array: Any) -> Any:
    msgpack = library("msgpack")
    numbers = np.ascontiguousarray(array)
    return msgpack.ExtType(1, msgpack.packb((array.shape, array.dtype.name, numbers.tobytes())))


def _ascii(text: str) -> str:
    return ascii(text)[:120]
