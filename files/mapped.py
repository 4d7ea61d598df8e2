"""A safetensors file as arrays that lie in the file: nothing is read before it is used, and nothing is held twice."""

from __future__ import annotations

import json
import mmap
import os
from pathlib import Path
from typing import Any

import numpy as np

#: safetensors' names of dtypes -> NumPy's; others are for the library to read, or to refuse.
DTYPES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16",
    "I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8", "U8": "uint8", "BOOL": "bool",
    "U16": "uint16", "U32": "uint32",
}  # fmt: skip


def mapped_tensors(path: Path, *, writable: bool = True) -> dict[str, Any]:
    """The tensors of a file: name -> array in the dtype of the file.

    The arrays are private: who writes into one writes into a copy of that page, never into the file. The file may be
    renamed, replaced by another (as `save_pretrained` does) or deleted; it must not be shortened or written in place.

    Args:
        path: the file.
        writable: whether the arrays may be written into; if not, the system need not set memory aside for copies.

    Raises:
        safetensors.SafetensorError: a damaged file, or one of another format.

    Numerics: no number is converted. Where a system locks files that are mapped (Windows), and for a tensor that does
    not lie as its dtype wants it, the library reads a copy.

    Source: the format is 8 bytes with the header's length, a JSON header, and the numbers; the library's own reader for
    NumPy copies each tensor, so that a model of n bytes would take 2 n while it is loaded.
    """
    import ml_dtypes  # noqa: F401  # pyright: ignore[reportUnusedImport]  # makes bfloat16 known to NumPy
    from safetensors import safe_open

    opened: Any = safe_open(str(path), framework="numpy")
    with opened as library, path.open("rb") as file:  # the library checks the header
        start = 8 + int.from_bytes(file.read(8), "little")
        header: dict[str, Any] = json.loads(file.read(start - 8))
        if os.name == "nt":
            return {name: library.get_tensor(name) for name in library.keys()}  # noqa: SIM118  # no mapping
        pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY if writable else mmap.ACCESS_READ)
        return {
            name: found if (found := _tensor(pages, start, header[name])) is not None else library.get_tensor(name)
            for name in library.keys()  # noqa: SIM118  # no mapping
        }


def release(array: Any) -> None:
    """Give the memory of a mapped array back: what has been copied from it elsewhere need not be held twice.

    It is read from the file again if it is used again. Nothing may have been written into it: that would be lost. Other
    arrays are left alone.

    Args:
        array: one of `mapped_tensors`, or a part of one; its whole pages are given back.
    """
    owner: Any = array
    while isinstance(owner, np.ndarray):
        owner = owner.base
    pages: Any = owner.obj if isinstance(owner, memoryview) else owner
    if not isinstance(pages, mmap.mmap) or not hasattr(mmap, "MADV_DONTNEED") or not array.flags.c_contiguous:
        return
    start = array.ctypes.data - np.frombuffer(pages, np.uint8, 1).ctypes.data
    first, end = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE, (start + array.nbytes) // mmap.PAGESIZE * mmap.PAGESIZE
    if end > first:
        pages.madvise(mmap.MADV_DONTNEED, first, end - first)


def _tensor(pages: mmap.mmap, start: int, about: dict[str, Any]) -> Any:
    """One tensor in the file; None where it has to be copied."""
    if about["dtype"] not in DTYPES or 0 in about["shape"]:
        return None
    dtype, place = np.dtype(DTYPES[about["dtype"]]), start + about["data_offsets"][0]
    if place % dtype.alignment:
        return None
    count = (about["data_offsets"][1] - about["data_offsets"][0]) // dtype.itemsize
    return np.frombuffer(pages, dtype, count, place).reshape(about["shape"])
