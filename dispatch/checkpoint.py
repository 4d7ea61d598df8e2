"""Reading and writing checkpoints: config.json and model.safetensors, in HF's layout."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..files.atomic import write_atomically
from ..files.places import locate as locate
from ..reference.config import RobertaConfig
from ..reference.parameters import CLASS_NAMES, Parameter

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
DEFAULT_CHECKPOINT = "austen"
#: Names that old files have for what is not a parameter: buffers that count 0, 1, 2, …
BUFFERS = ("embeddings.position_ids", "embeddings.token_type_ids")
#: How the names of weights in other formats begin -> what transformers must be told to read them.
FOREIGN = {"pytorch_model": "", "tf_model": ", from_tf=True", "flax_model": ", from_flax=True"}


@dataclass(frozen=True)
class LoadReport:
    """What became of each name when a checkpoint was loaded.

    Attributes:
        loaded: parameters taken from the file.
        tied: parameters that are another one, tied name -> its name.
        converted: names that were spelled otherwise in the file, name in the file -> parameter.
        missing: parameters that the file lacks, and that are therefore random (or zero, or one, by the table).
        mismatched: parameters whose shape in the file differs; random too, where that was allowed.
        unexpected: names in the file that this head has no use for.
        random_outputs: the outputs that depend on a random parameter.
    """

    loaded: tuple[str, ...] = ()
    tied: Mapping[str, str] | None = None
    converted: Mapping[str, str] | None = None
    missing: tuple[str, ...] = ()
    mismatched: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    random_outputs: tuple[str, ...] = ()

    def __hash__(self) -> int:
        """By the names alone: the mappings have no hash, and compilers want what is static to have one."""
        return hash((self.loaded, self.missing, self.mismatched, self.unexpected))

    def __str__(self) -> str:
        lines = [f"loaded {len(self.loaded)} parameters"]
        for label in ("tied", "converted"):
            lines += [f"{label}: {name} = {other}" for name, other in (getattr(self, label) or {}).items()]
        for label in ("missing", "mismatched", "unexpected"):
            lines += [f"{label}: {name}" for name in getattr(self, label)]
        if self.random_outputs:
            lines.append(f"random, so far: {', '.join(self.random_outputs)}")
        return "\n".join(lines)


# -- reading -------------------------------------------------------------------------------------------------------


def read_tensors(folder: Path) -> dict[str, Any]:
    """All tensors of a checkpoint folder, HF's names -> arrays in the dtype of the file.

    Raises:
        FileNotFoundError: no weights in the folder; lists the names looked for and what is there.
        ValueError: a damaged file, or an index that points out of the folder.
    """
    tensors: dict[str, Any] = {}
    for path in _weight_files(folder):
        tensors |= _read_file(path)
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


def _read_file(path: Path) -> dict[str, Any]:
    import ml_dtypes  # noqa: F401  # pyright: ignore[reportUnusedImport]  # makes bfloat16 known to NumPy, and so to safetensors
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping
    except SafetensorError as error:
        message = f"{path} is damaged or no safetensors file ({error}); save or download it again"
        raise ValueError(message) from error


# -- matching names ------------------------------------------------------------------------------------------------


def match(
    tensors: Mapping[str, Any], table: Mapping[str, Parameter], head: str, ignore_mismatched_sizes: bool = False
) -> tuple[dict[str, Any], LoadReport]:
    """Bring the tensors of a file under the names of a head.

    A bare model's file fits a head and the other way round; old names of layer norms are read; where a file holds both
    ends of a tie, the word table wins over `lm_head.decoder.weight`, and `lm_head.decoder.bias` over `lm_head.bias`.

    Args:
        tensors: name -> array, as read.
        table: the head's parameters.
        head: for the names of the outputs in the report.
        ignore_mismatched_sizes: leave out tensors of another shape, which are random then.

    Returns:
        What was found, name -> array, and the report.

    Raises:
        ValueError: a tensor of another shape than the config says.
    """
    spelled = {name: _spelling(name, table) for name in tensors if not name.endswith(BUFFERS)}
    found = {own: tensors[name] for name, own in spelled.items() if own in table}
    bias = found.get("lm_head.decoder.bias", found.get("lm_head.bias"))
    if bias is not None and "lm_head.bias" in table:
        found["lm_head.bias"] = bias
    ties = {name: parameter.tied_to for name, parameter in table.items() if parameter.tied_to}
    for name, source in ties.items():
        value = found.pop(name, None)
        if value is not None:
            found.setdefault(source, value)
    mismatched = [name for name in table if name in found and tuple(found[name].shape) != table[name].shape]
    if mismatched and not ignore_mismatched_sizes:
        raise ValueError(_mismatch_message(mismatched, found, table))
    state = {name: array for name, array in found.items() if name not in mismatched}
    missing = [name for name in table if name not in state and name not in ties and name not in mismatched]
    return state, LoadReport(
        loaded=tuple(state),
        tied=ties,
        converted={name: own for name, own in spelled.items() if name != own and own in table},
        missing=tuple(missing),
        mismatched=tuple(mismatched),
        unexpected=tuple(name for name, own in spelled.items() if own not in table),
        random_outputs=_dependent_outputs([*missing, *mismatched], head),
    )


def _spelling(name: str, table: Mapping[str, Parameter]) -> str:
    """The table's spelling of a name in a file."""
    name = name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")
    for spelling in (name, f"roberta.{name}", name.removeprefix("roberta.")):
        if spelling in table:
            return spelling
    return name


def _mismatch_message(names: Iterable[str], found: Mapping[str, Any], table: Mapping[str, Parameter]) -> str:
    lines = [f"{name}: the config says {table[name].shape}, the file has {tuple(found[name].shape)}" for name in names]
    remedy = "Correct the config (or the overrides), or pass ignore_mismatched_sizes=True to draw these anew."
    return "\n".join(["the checkpoint contradicts its config:", *lines, remedy])


def _dependent_outputs(names: list[str], head: str) -> tuple[str, ...]:
    logits = {"model": (), "question_answering": ("start_logits", "end_logits")}.get(head, ("logits",))
    if not names:
        return ()
    is_pooler = [name.removeprefix("roberta.").startswith("pooler.") for name in names]
    if head == "model":
        return ("pooler_output",) if all(is_pooler) else ("last_hidden_state", "pooler_output")
    is_body = [name.startswith("roberta.") and not pooled for name, pooled in zip(names, is_pooler, strict=True)]
    return (*logits, "hidden_states") if any(is_body) else logits


def tell_missing(head: str, folder: Path, report: LoadReport, strict: bool) -> None:
    """Warn of parameters that a checkpoint lacks; raise, where it must be whole.

    Raises:
        ValueError: some are missing, and `strict`.
    """
    absent = [*report.missing, *report.mismatched]
    if not absent:
        return
    message = (
        f"{CLASS_NAMES[head]}: {folder.name} lacks {len(absent)} parameters ({', '.join(absent[:4])}"
        f"{', …' if len(absent) > 4 else ''}). "
        f"They are random, so train before you use: {', '.join(report.random_outputs)}"
    )
    if strict:
        raise ValueError(message)
    warnings.warn(message, stacklevel=3)


# -- writing -------------------------------------------------------------------------------------------------------


def write_checkpoint(
    folder: Path, config: RobertaConfig, state: Mapping[str, Any], table: Mapping[str, Parameter], dtype: str
) -> None:
    """Write config.json and model.safetensors, each beside its target first; tied tensors are stored once.

    Args:
        folder: made if it is missing.
        config: written as it is.
        state: name -> array.
        table: says what is tied.
        dtype: of the stored tensors.
    """
    import ml_dtypes  # noqa: F401  # pyright: ignore[reportUnusedImport]  # makes bfloat16 known to NumPy
    from safetensors.numpy import save

    kept = {name: np.ascontiguousarray(state[name], dtype) for name, p in table.items() if p.tied_to is None}
    write_atomically(folder / WEIGHTS, save(kept, metadata={"format": "pt"}))
    config.save_pretrained(folder)
