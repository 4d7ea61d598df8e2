"""Reading checkpoints: where they are, their tensors, and what is said of those that lack any. HF's layout."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..files.mapped import mapped_tensors
from ..files.places import locate as locate
from ..reference.parameters import CLASS_NAMES, Parameter
from .matching import LoadReport, respelling, shortened

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
DEFAULT_CHECKPOINT = "austen"
#: How the names of weights in other formats begin -> what transformers must be told to read them.
FOREIGN = {"pytorch_model": "", "tf_model": ", from_tf=True", "flax_model": ", from_flax=True"}


# -- reading -------------------------------------------------------------------------------------------------------


def read_tensors(folder: Path) -> dict[str, Any]:
    """All tensors of a checkpoint folder, HF's names -> arrays in the dtype of the file.

    Raises:
        FileNotFoundError: no weights in the folder; lists the names looked for and what is there.
        ValueError: a damaged file, or an index that points out of the folder.
    """
    tensors: dict[str, Any] = {}
    for path in _weight_files(folder):
        tensors |= read_safetensors(path)
    return tensors


def _weight_files(folder: Path) -> list[Path]:
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if not (folder / INDEX).is_file():
        there = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
        message = f"no weights in {folder}: looked for {WEIGHTS} and {INDEX}, found {there or 'nothing'}"
        raise FileNotFoundError(message + _way_out(there))
    try:
        shards = sorted(set(json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"].values()))
        paths = [folder / shard for shard in shards]
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        message = f'{folder / INDEX}: required a JSON object with "weight_map": name -> file, got {error!r}'
        raise ValueError(message) from error
    for shard in shards:
        _require_inside(folder, shard)
    return paths


def _way_out(there: Iterable[str]) -> str:
    """What to type where the weights are in another format, which is not read here: a pickle runs what is in it."""
    found = [start for start in FOREIGN if any(name.startswith(start) for name in there)]
    if not found:
        return ""
    option = FOREIGN[found[0]]
    release = "transformers 4.57, the last that can read it" if option else "transformers"
    convert = f"RobertaForMaskedLM.from_pretrained(folder{option}).save_pretrained(folder)"
    return (
        f". {found[0]} is another format, and not read here (a pickle runs whatever is in it). "
        f"Convert it once, with {release}: {convert}, or with the class of its head"
    )


def _require_inside(folder: Path, shard: str) -> None:
    # By its name: the hub's cache links the files of a folder to where they are kept, and such a link is no escape.
    if Path(shard).is_absolute() or ".." in Path(shard).parts:
        message = f"{folder / INDEX} names {shard!r}, which lies outside the folder; do not trust this checkpoint"
        raise ValueError(message)
    if not (folder / shard).is_file():
        message = f"{folder / INDEX} names {shard!r}, which is missing; download or copy it into {folder}"
        raise FileNotFoundError(message)


def read_safetensors(path: Path) -> dict[str, Any]:
    """The tensors of one file: name -> array in the dtype of the file, bfloat16 too; see `files.mapped`.

    Args:
        path: the file.

    Raises:
        ValueError: a damaged file, or one of another format.
    """
    from safetensors import SafetensorError

    try:
        return mapped_tensors(path)
    except SafetensorError as error:
        message = f"{path} is damaged or no safetensors file ({error}); save or download it again"
        raise ValueError(message) from error


# -- what a file lacks ---------------------------------------------------------------------------------------------


def tell_missing(head: str, folder: Path, report: LoadReport, table: Mapping[str, Parameter], strict: bool) -> None:
    """Warn of parameters that a checkpoint lacks; raise, where it must be whole, or where nothing in it is of use.

    Args:
        head: the head that is loaded.
        folder: where the checkpoint is.
        report: what was found.
        table: the head's parameters.
        strict: raise where any is lacking. What the head has no use for, such as another head, is no error.

    Raises:
        ValueError: some are missing, and `strict`; or not one name is the model's.
    """
    absent = [*report.missing, *report.mismatched]
    if not absent:
        return
    name, unused = CLASS_NAMES[head], report.unexpected
    if unused and not report.loaded and not report.mismatched:
        remedy = f"Give a checkpoint that {name} or another head of RoBERTa has saved"
        if respelled := respelling(unused, table):
            read = "state = roberta.dispatch.checkpoint.read_tensors(folder)"
            remedy = f"{respelled}, of {read}; then {name}(config, state=…)"
        message = (
            f"{name}: required its parameters, got none of them: {folder.name} has {len(unused)} names of its own "
        )
        raise ValueError(f"{message}({shortened(unused)}). {remedy}")
    message = (
        f"{name}: {folder.name} lacks {len(absent)} parameters ({shortened(absent)}). "
        f"They are random, so train before you use: {', '.join(report.random_outputs)}"
    )
    if unused:
        message += f". {len(unused)} names there are of no use here ({shortened(unused)})"
    if strict:
        raise ValueError(message)
    warnings.warn(message, stacklevel=3)
