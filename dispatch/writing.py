"""Writing checkpoints: config.json and model.safetensors, whole or in shards, in HF's layout."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from ..files.atomic import write_atomically
from ..reference.config import RobertaConfig
from ..reference.layers import Array
from .checkpoint import INDEX, WEIGHTS

CONFIG = "config.json"
#: The names of shards, as HF has them.
SHARD = re.compile(r"model-\d+-of-\d+\.safetensors")
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
    max_shard_size: int = byte_count("5GB"),
) -> None:
    """Write config.json and the weights.

    All files are written beside their targets first, so that a failure leaves the checkpoint that was there. Then they
    take their places. Where shards replace shards of the same names, there is no index for that moment: a reader finds
    no checkpoint, rather than one of two generations. Shards of an earlier checkpoint are removed at the end.

    Args:
        folder: made if it is missing.
        config: written as it is.
        state: name -> array, tied tensors once.
        dtype: of the stored tensors.
        max_shard_size: the most bytes of one file.

    Raises:
        NotADirectoryError: the folder is a file.
    """
    import ml_dtypes  # noqa: F401  # pyright: ignore[reportUnusedImport]  # makes bfloat16 known to NumPy
    from safetensors.numpy import save

    kept = {name: np.ascontiguousarray(array, dtype) for name, array in state.items()}
    shards = _named(list(_shards(kept, max_shard_size)))
    _require_folder(folder)
    with TemporaryDirectory(dir=folder, prefix=".saving-") as beside:
        for name, tensors in shards.items():
            write_atomically(Path(beside) / name, save(tensors, metadata={"format": "pt"}))
        if len(shards) > 1:
            write_atomically(Path(beside) / INDEX, _index(shards))
        config.save_pretrained(beside)
        _take_places(Path(beside), folder, list(shards))


# -- pieces ----------------------------------------------------------------------------------------------------------


def _shards(tensors: Mapping[str, Array], most: int) -> Iterator[dict[str, Array]]:
    """The tensors, in their order, in parts of at most so many bytes; what is larger by itself has its own part."""
    part: dict[str, Array] = {}
    for name, array in tensors.items():
        if part and sum(one.nbytes for one in part.values()) + array.nbytes > most:
            yield part
            part = {}
        part[name] = array
    yield part


def _named(shards: list[dict[str, Array]]) -> dict[str, dict[str, Array]]:
    """File name -> its tensors."""
    if len(shards) == 1:
        return {WEIGHTS: shards[0]}
    return {f"model-{i:05}-of-{len(shards):05}.safetensors": shard for i, shard in enumerate(shards, start=1)}


def _index(shards: Mapping[str, Mapping[str, Array]]) -> bytes:
    arrays = [array for shard in shards.values() for array in shard.values()]
    totals = {"total_parameters": sum(a.size for a in arrays), "total_size": sum(a.nbytes for a in arrays)}
    places = {name: file for file, shard in shards.items() for name in shard}
    content: dict[str, Any] = {"metadata": totals, "weight_map": places}
    return (json.dumps(content, indent=2, sort_keys=True) + "\n").encode()


def _require_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        message = f"{folder} is a file; a folder is needed to write {WEIGHTS} into"
        raise NotADirectoryError(message)
    folder.mkdir(parents=True, exist_ok=True)


def _take_places(beside: Path, folder: Path, names: list[str]) -> None:
    """Move the files of one generation to their places, and remove those of an earlier one."""
    index = beside / INDEX
    if index.exists() and any((folder / name).exists() for name in names):
        (folder / INDEX).unlink(missing_ok=True)
    for name in names:
        (beside / name).replace(folder / name)
    if index.exists():
        index.replace(folder / INDEX)
        (folder / WEIGHTS).unlink(missing_ok=True)  # readers prefer it to an index
    else:
        (folder / INDEX).unlink(missing_ok=True)
    (beside / CONFIG).replace(folder / CONFIG)
    for path in folder.iterdir():
        if SHARD.fullmatch(path.name) and path.name not in names:
            path.unlink()
