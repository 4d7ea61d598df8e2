"""Reading checkpoints: where they are, their tensors, and what is said of those that lack any."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

from ..files import generations
from ..files.formats import fairseq, table
from ..files.formats.safetensors import read as read_safetensors
from ..files.formats.table import FORMATS, Source, source_of
from ..files.places import locate as locate
from ..reference.config import RobertaConfig
from ..reference.parameters import CLASS_NAMES, Parameter, parameter_table
from .matching import LoadReport, respelling, shortened

__all__ = ["read_safetensors"]
WEIGHTS = FORMATS["safetensors"].weights
INDEX = FORMATS["safetensors"].index
CONFIG = "config.json"
DEFAULT_CHECKPOINT = "austen"
#: How often a folder is read again that somebody saves into at the same time.
ATTEMPTS = 8
#: A configuration may have so many times the numbers of its weights, and so many more, which are drawn.
TIMES, BESIDE = 16, 10_000_000


# -- reading -------------------------------------------------------------------------------------------------------


def read_checkpoint(
    place: Path, config_class: type[RobertaConfig], **overrides: Any
) -> tuple[RobertaConfig, dict[str, Any], Source]:
    """The configuration and all tensors of one generation: not the one of an earlier and the other of a later one.

    Args:
        place: a folder, or a file of weights with its config.json beside it.
        config_class: of the configuration.
        **overrides: fields of the configuration.

    Returns:
        The configuration; HF's names -> arrays in the dtype of the file; and which files they are from.

    Raises:
        FileNotFoundError: no weights; lists the names looked for and what is there.
        ValueError: a damaged file, or an index that points out of the folder.
        BlockingIOError: somebody saves into the folder again and again.
    """
    folder = place if place.is_dir() else place.parent
    for _ in range(ATTEMPTS):
        generations.finish(folder)
        names = [CONFIG, *(name for one in FORMATS.values() for name in (one.weights, one.index))]
        before = generations.stamp(folder, names)
        if before[0] is not None:  # somebody has just begun to replace them
            continue
        try:
            config = read_config(place, config_class, **overrides)
            source = source_of(place)
            tensors = table.read(source)
        except (OSError, ValueError):
            if generations.stamp(folder, names) == before:
                raise
            continue
        if generations.stamp(folder, names) == before:
            _require_possible(folder, config, tensors)
            return config, tensors, source
    message = f"{folder}: its files were replaced {ATTEMPTS} times while they were read; save into it less often"
    raise BlockingIOError(message)


def read_config(place: Path, config_class: type[RobertaConfig], **overrides: Any) -> RobertaConfig:
    """The configuration of a folder, or of a file of weights; one of fairseq's has it inside.

    Raises:
        FileNotFoundError: there is none.
        ValueError: one that is damaged.
    """
    folder = place if place.is_dir() else place.parent
    if not (folder / CONFIG).is_file():
        weights = place if place.is_file() else folder / FORMATS["fairseq"].weights
        fields = fairseq.config_of(weights) if weights.is_file() and weights.suffix == ".pt" else None
        if fields is not None:
            return config_class.from_dict({**fields, **overrides})
        raise FileNotFoundError(f"no config.json at {folder / CONFIG}: {_remedy(folder)}")
    return config_class.from_pretrained(folder, **overrides)


def read_tensors(place: Path) -> dict[str, Any]:
    """All tensors of a checkpoint folder, HF's names -> arrays in the dtype of the file.

    Raises:
        FileNotFoundError: no weights in the folder; lists the names looked for and what is there.
        ValueError: a damaged file, or an index that points out of the folder.
    """
    generations.finish(place if place.is_dir() else place.parent)
    return table.read(source_of(place))


def _remedy(folder: Path) -> str:
    """What to give in place of a folder without a configuration."""
    if (folder / "adapter_config.json").is_file():
        loaded = "load the model that it was trained on, then peft.PeftModel.from_pretrained(model, folder)"
        return f"it holds an adapter of PEFT; {loaded}"
    below = [one.parent.relative_to(folder) for depth in ("*", "*/*") for one in folder.glob(f"{depth}/{CONFIG}")]
    if below:  # such as a trainer's folder of checkpoints, or one of the hub's cache
        shown = ", ".join(sorted(map(str, below))[:8])
        return f"give a folder that holds one; those in it that do: {shown}"
    return "give a folder that holds one, or the file itself"


def _require_possible(folder: Path, config: RobertaConfig, tensors: Mapping[str, Any]) -> None:
    """What a file lacks is drawn: a small file must not make a model of any size."""
    numbers = sum(parameter.size for parameter in tensors.values())
    wanted = sum(prod(p.shape) for p in parameter_table("model", config).values() if p.tied_to is None)
    most = TIMES * numbers + BESIDE
    if wanted > most:
        required = (
            f"a config of {most:,} parameters at most, {TIMES} times the numbers in its weights and {BESIDE:,} more"
        )
        message = f"{folder / CONFIG}: required {required}, got {wanted:,}; it does not belong to these weights"
        raise ValueError(message)


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
