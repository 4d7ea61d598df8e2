"""safetensors: a header that names each tensor, its dtype, shape and place, and the numbers behind it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from ..mapped import DTYPES, mapped_tensors

#: NumPy's name of a dtype -> the format's.
NAMES = {own: name for name, own in DTYPES.items()}
#: The header is filled up to a multiple of this, so that the numbers behind it are where their dtype wants them.
ALIGNMENT = 8


def read(path: Path) -> dict[str, Any]:
    """The tensors of a file: name -> array in the dtype of the file, bfloat16 too, mapped; see `files.mapped`.

    Args:
        path: the file.

    Raises:
        ValueError: a damaged file, one of another format, or a tensor of 8 bits or fewer, which is named.
    """
    from safetensors import SafetensorError

    try:
        return mapped_tensors(path)
    except (SafetensorError, OSError) as error:
        if isinstance(error, FileNotFoundError | IsADirectoryError | PermissionError):
            raise
        message = f"{path} is damaged or no safetensors file ({error}); save or download it again"
        raise ValueError(message) from error


def write(path: Path, tensors: Mapping[str, Any], head: str) -> None:
    """Write tensors, one at a time.

    Args:
        path: the file.
        tensors: name -> array; each is asked for twice, and may be made when it is.
        head: of no use here.

    Numerics: no number is converted, and no second copy of all is held, as the library's own writer does.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "model.safetensors"
        >>> write(path, {"classifier.bias": np.array([1.5, -2.0], np.float32)}, "sequence_classification")
        >>> read(path)
        {'classifier.bias': array([ 1.5, -2. ], dtype=float32)}
    """
    del head
    about: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    # as the library's writer: the widest first, so that each lies where its dtype wants it
    order = sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name))
    for name in order:
        dtype, shape = tensors[name].dtype, tensors[name].shape
        begin, end = end, end + prod(shape) * dtype.itemsize
        about[name] = {"dtype": NAMES[dtype.name], "shape": [*shape], "data_offsets": [begin, end]}
    header = json.dumps(about, separators=(",", ":"), ensure_ascii=False).encode()
    header += b" " * (-len(header) % ALIGNMENT)
    with path.open("wb") as stream:
        stream.write(len(header).to_bytes(8, "little") + header)
        for name in order:
            numbers: Any = np.ascontiguousarray(tensors[name]).reshape(-1).view(np.uint8)
            stream.write(numbers.data)
