"""Writing checkpoints: config.json and the weights, whole or in shards, in HF's layout."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from ..files.atomic import write_atomically
from ..files.formats.table import FORMATS, Format
from ..files.generations import new_generation
from ..reference.config import RobertaConfig
from ..reference.layers import Array

#: The formats that are written.
WRITTEN = tuple(name for name, one in FORMATS.items() if one.writes)
#: How many bytes a letter stands for: of "5GB", 10^9 each.
UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def byte_count(size: int | str) -> int:
    """A number of bytes, as HF writes it.

    Raises:
        ValueError: something else.

    Example:
        >>> byte_count("5GB"), byte_count("1.5 MiB"), byte_count(300)
        (5000000000, 1572864, 300)
    """
    found = re.fullmatch(r"([\d.]+)\s*([KMGT]?)(i?)B", size.strip(), re.IGNORECASE) if isinstance(size, str) else None
    try:
        if found:
            number, letter, binary = found.groups()
            unit = UNITS[letter.upper()] if not binary else 1024 ** list(UNITS).index(letter.upper())
            count = int(float(number) * unit)
        else:
            count = size if isinstance(size, int) and not isinstance(size, bool) else 0
    except ValueError:
        count = 0
    if count < 1:
        message = f'max_shard_size: required a number of bytes or a text such as "5GB" or "200MB", got {size!r}'
        raise ValueError(message)
    return count


def write_checkpoint(
    folder: Path,
    config: RobertaConfig,
    state: Mapping[str, Array],
    dtype: str,
    head: str,
    form: str = "safetensors",
    max_shard_size: int = byte_count("5GB"),
) -> None:
    """Write config.json and the weights, which replace those that were there all at once (`files.generations`).

    What was there in a format that is preferred when it is read goes, too: it would hide what is written. Who wants two
    formats in one folder writes safetensors last.

    Args:
        folder: made if it is missing.
        config: written as it is.
        state: name -> array, tied tensors once.
        dtype: of the stored tensors; each is converted when it is written, so that no two copies of all are held.
        head: whose weights these are.
        form: one of `WRITTEN`.
        max_shard_size: the most bytes of one file.

    Raises:
        NotADirectoryError: the folder is a file.
        OSError: a full disk, or a folder that may not be written into; the checkpoint that was there is whole.
        ModuleNotFoundError: a library that the format needs is not installed.
    """
    import ml_dtypes  # noqa: F401  # pyright: ignore[reportUnusedImport]  # makes bfloat16 known to NumPy

    one = FORMATS[form]
    write = one.module().write
    kept = Converted(state, np.dtype(dtype))
    parts = list(_parts(kept, max_shard_size))
    with new_generation(folder, _belongs(form)) as beside:
        if len(parts) == 1:
            write(beside / one.weights, kept, head)
        else:
            places = {one.shard(number, len(parts)): part for number, part in enumerate(parts, start=1)}
            for file, part in places.items():
                write(beside / file, kept.only(part), head)
            write_atomically(beside / one.index, _index(one, kept, places, head))
        config.save_pretrained(beside)


# -- pieces ----------------------------------------------------------------------------------------------------------


class Converted(Mapping[str, Any]):
    """Arrays in another dtype, each made when it is asked for."""

    def __init__(self, state: Mapping[str, Array], dtype: np.dtype[Any]) -> None:
        self._state, self.dtype = state, dtype

    def __getitem__(self, name: str) -> Any:
        return np.ascontiguousarray(self._state[name], self.dtype).reshape(np.shape(self._state[name]))

    def __iter__(self) -> Iterator[str]:
        return iter(self._state)

    def __len__(self) -> int:
        return len(self._state)

    def size(self, name: str) -> int:
        """How many numbers an array has."""
        return prod(np.shape(self._state[name]))

    def only(self, names: Iterable[str]) -> Converted:
        """Some of them."""
        return Converted({name: self._state[name] for name in names}, self.dtype)


def _parts(tensors: Converted, most: int) -> Iterator[list[str]]:
    """The names, in their order, in parts of at most so many bytes; what is larger by itself has its own part."""
    part, total = list[str](), 0
    for name in tensors:
        size = tensors.size(name) * tensors.dtype.itemsize
        if part and total + size > most:
            yield part
            part, total = [], 0
        part.append(name)
        total += size
    yield part


def _index(one: Format, tensors: Converted, places: Mapping[str, Iterable[str]], head: str) -> bytes:
    """The index of shards, which has the names that the format's own library has."""
    module: Any = one.module()
    numbers = sum(map(tensors.size, tensors))
    totals = {"total_parameters": numbers, "total_size": numbers * tensors.dtype.itemsize}
    told: Callable[[str, str], str] = getattr(module, "spelled_for", _as_it_is)
    names = {told(name, head): file for file, part in places.items() for name in part}
    content: dict[str, Any] = {"metadata": totals, "weight_map": names}
    return (json.dumps(content, indent=2, sort_keys=True) + "\n").encode()


def _as_it_is(name: str, _head: str) -> str:
    return name


def _belongs(form: str) -> Callable[[str], bool]:
    """Which files an earlier checkpoint in this format has, and those that are read in place of it."""
    replaced = [FORMATS[name] for name in WRITTEN[: WRITTEN.index(form) + 1]]
    return lambda file: any(file in (one.weights, one.index) or one.is_shard(file) for one in replaced)
