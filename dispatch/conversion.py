"""A checkpoint in another format: read, written into a new folder, read again, and compared tensor by tensor."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile
from typing import Any

import numpy as np

from ..files.atomic import new_folder
from ..files.formats import fairseq, table
from ..files.formats.table import source_of
from ..reference.config import RobertaConfig
from ..reference.family import MEMBERS
from ..reference.parameters import CLASS_NAMES, HEADS, parameter_table
from . import checkpoint, inspection, matching, writing
from .options import require_format, require_stored

#: The files of tokenizers, which go along.
TOKENIZERS = (
    "vocab.json", "merges.txt", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
    "added_tokens.json", "sentencepiece.bpe.model", "sentencepiece.bpe.vocab",
)  # fmt: skip


@dataclass(frozen=True)
class Conversion:
    """What has been done.

    Attributes:
        head: of the weights.
        format: that was written.
        tensors: how many were compared, each equal to the bit after its dtype was changed.
        left_out: names in the files that were read that the head has no use for.
        dtypes: of the file -> of the new one, where they differ.
        copied: files that went along.
    """

    head: str
    format: str
    tensors: int
    left_out: tuple[str, ...]
    dtypes: dict[str, str]
    copied: tuple[str, ...]


def convert(
    source: str | Path,
    target: str | Path,
    *,
    format: str = "safetensors",
    dtype: Any = None,
    max_shard_size: int | str = "5GB",
    head: str | None = None,
) -> Conversion:
    """Write a checkpoint in another format, into a new folder.

    Args:
        source: as for `from_pretrained`.
        target: a folder that there is not, or an empty one; nothing is overwritten.
        format: see `save_pretrained`.
        dtype: of the stored numbers; None: as they are in the files, the widest where they differ.
        max_shard_size: the most bytes of one file.
        head: such as "masked_lm"; None: the one that it was saved as, or that it fits.

    Returns:
        What was done. It is there whole, or not at all.

    Raises:
        FileExistsError: the target has something in it.
        FileNotFoundError: no such checkpoint.
        ValueError: damaged weights, parameters that are lacking, or a number that would become infinite.

    Example:
        >>> import tempfile
        >>> done = convert("austen", Path(tempfile.mkdtemp()) / "new", format="pytorch")
        >>> done.head, done.format, done.left_out, done.copied
        ('masked_lm', 'pytorch', (), ('vocab.json', 'merges.txt', ...))
    """
    form, most = require_format(format), writing.byte_count(max_shard_size)
    if head is not None and head not in HEADS:
        message = f"head: required one of {', '.join(HEADS)}, got {head!r}"
        raise ValueError(message)
    place = checkpoint.locate(source)
    config, tensors, _ = checkpoint.read_checkpoint(place, RobertaConfig)
    head = head or _head_of(place, config, tensors)
    state, report = matching.match(
        tensors, parameter_table(head, config), head, where=f"{CLASS_NAMES[head]}: {place.name}", origin="file"
    )
    if report.missing:
        lacking = f"lacks {len(report.missing)} ({matching.shortened(report.missing)})"
        raise ValueError(f"{place}: required all parameters of {CLASS_NAMES[head]}, got a file that {lacking}")
    widest = max((array.dtype for array in state.values()), key=lambda one: one.itemsize).name
    stored = widest if dtype is None else require_stored(dtype)
    matching.require_representable(state, stored)
    prefix = MEMBERS.get(config.model_type, MEMBERS["roberta"]).prefix
    name = prefix + CLASS_NAMES[head].removeprefix(MEMBERS["roberta"].prefix)
    config = config.replace(architectures=[name], dtype=stored)
    with new_folder(Path(target)) as beside:
        writing.write_checkpoint(beside, config, state, stored, head, form, most)
        copied = _copied(place if place.is_dir() else place.parent, beside)
        _compare(beside, state, stored, head, config)
    dtypes = matching.changed_dtypes(state, stored)
    return Conversion(head, form, len(state), report.unexpected, dtypes, tuple(copied))


# -- pieces ------------------------------------------------------------------------------------------------------------


def _head_of(place: Path, config: RobertaConfig, tensors: dict[str, Any]) -> str:
    fits = tuple(inspection.fit(head, config, tensors, place.name) for head in HEADS)
    return inspection.best_head(inspection.Inspection(source_of(place), {}, config, "", (), fits))


def _copied(folder: Path, target: Path) -> list[str]:
    """The tokenizer's files; of fairseq's folder they are made."""
    copied = [name for name in TOKENIZERS if (folder / name).is_file()]
    for name in copied:
        copyfile(folder / name, target / name)
    if "vocab.json" not in copied and (made := fairseq.vocabulary_of(folder)):
        ids, merges = made
        (target / "vocab.json").write_text(json.dumps(ids, ensure_ascii=False), encoding="utf-8")
        (target / "merges.txt").write_text(merges, encoding="utf-8")
        copied += ["vocab.json", "merges.txt"]
    return copied


def _compare(folder: Path, state: dict[str, Any], dtype: str, head: str, config: RobertaConfig) -> None:
    """Read what was written, and hold each tensor against what it was made of."""
    found, _ = matching.match(
        table.read(source_of(folder)), parameter_table(head, config), head, where=folder.name, origin="file"
    )
    for name, array in state.items():
        wanted = np.ascontiguousarray(array, np.dtype(dtype))
        again = found.get(name)
        if again is None or again.dtype != wanted.dtype or again.tobytes() != wanted.tobytes():
            message = f"{name}: what was written is not what was read; nothing is left of it. Please report this"
            raise ValueError(message)
