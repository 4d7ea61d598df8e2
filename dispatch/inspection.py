"""What is in a checkpoint, without loading a framework: names, numbers, ties, and which heads it fits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..files import generations
from ..files.formats import table
from ..files.formats.table import Source, source_of
from ..reference.config import RobertaConfig
from ..reference.parameters import CLASS_NAMES, HEADS, Parameter, parameter_table
from . import checkpoint, matching

#: So many numbers are looked at in one piece.
BLOCK = 2**20


@dataclass(frozen=True)
class TensorFacts:
    """One tensor of a file.

    Attributes:
        name: in the file, as HF spells it.
        parameter: the parameter that it is, of some head; "" if of none.
        shape: its sizes.
        dtype: in the file.
        least: the smallest finite number; NaN where there is none. So are `most`, `mean` and `deviation`.
        most: the largest.
        mean: of the finite numbers.
        deviation: their standard deviation.
        nans: how many are no number.
        infinities: how many are infinite.
        tied_to: an earlier tensor with the same numbers; "" if none has.
    """

    name: str
    parameter: str
    shape: tuple[int, ...]
    dtype: str
    least: float
    most: float
    mean: float
    deviation: float
    nans: int
    infinities: int
    tied_to: str = ""


@dataclass(frozen=True)
class Fit:
    """What a checkpoint would be for a head.

    Attributes:
        head: such as "masked_lm".
        report: as after loading; see `LoadReport`.
        problem: why it could not be loaded; "" if it could.
    """

    head: str
    report: matching.LoadReport | None
    problem: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether no parameter would be random."""
        return self.report is not None and not self.report.missing and not self.report.mismatched


@dataclass(frozen=True)
class Inspection:
    """A checkpoint.

    Attributes:
        source: its files and format.
        hashes: file -> SHA-256.
        config: what the model is; None where there is none, or it is damaged.
        problem: why there is no configuration; "" if there is.
        tensors: in the order of the file.
        fits: for each of the seven heads.
    """

    source: Source
    hashes: Mapping[str, str]
    config: RobertaConfig | None
    problem: str
    tensors: tuple[TensorFacts, ...]
    fits: tuple[Fit, ...]

    @property
    def is_sound(self) -> bool:
        """Whether there is a configuration, every number is finite, and some head is whole."""
        are_finite = not any(one.nans or one.infinities for one in self.tensors)
        return self.config is not None and are_finite and any(fit.is_whole for fit in self.fits)


def inspect(folder_or_hub_id: str | Path) -> Inspection:
    """Look at a checkpoint.

    Args:
        folder_or_hub_id: as for `from_pretrained`; a file of weights may be named, too.

    Raises:
        FileNotFoundError: no such checkpoint, or no weights.
        ValueError: damaged weights.

    Example:
        >>> found = inspect("austen")
        >>> found.source.format, [fit.head for fit in found.fits if fit.is_whole], found.is_sound
        ('safetensors', ['causal_lm', 'masked_lm'], True)
    """
    place = checkpoint.locate(folder_or_hub_id)
    generations.finish(place if place.is_dir() else place.parent)
    source = source_of(place)
    tensors = table.read(source)
    try:
        config, problem = checkpoint.read_config(place, RobertaConfig), ""
    except (OSError, ValueError, TypeError) as error:
        config, problem = None, str(error)
    fits = tuple(fit(head, config, tensors, place.name) for head in HEADS) if config else ()
    known: dict[str, str] = {}
    for one in fits:
        spelled = matching.spellings(tensors, _table(one.head, config), place.name) if config and one.report else {}
        known |= {name: own for name, own in spelled.items() if name not in known and own in _table(one.head, config)}
    facts: list[TensorFacts] = []
    seen: dict[tuple[Any, ...], str] = {}
    for name, array in tensors.items():
        facts.append(_facts(name, known.get(name, ""), array, seen))
    return Inspection(source, source.sha256(), config, problem, tuple(facts), fits)


def best_head(inspection: Inspection) -> str:
    """The head that a checkpoint was saved as; without one of ours, the whole one with the most parameters.

    Raises:
        ValueError: no head is whole.
    """
    whole = [one for one in inspection.fits if one.is_whole]
    names = (inspection.config.architectures or []) if inspection.config else []
    for one in whole:
        if any(str(name).endswith(CLASS_NAMES[one.head].removeprefix("Roberta")) for name in names):
            return one.head
    if not whole:
        lacking = {one.head: len(one.report.missing) if one.report else one.problem for one in inspection.fits}
        required = "a checkpoint that has all parameters of a head"
        raise ValueError(f"{inspection.source}: required {required}, got one that lacks {lacking or 'a config.json'}")
    return max(whole, key=lambda one: len(one.report.loaded) if one.report else 0).head


def fit(head: str, config: RobertaConfig, tensors: Mapping[str, Any], where: str) -> Fit:
    """What tensors would be for a head."""
    try:
        parameters = parameter_table(head, config)
        floats = {name: array for name, array in tensors.items() if array.dtype.kind not in "iub"}
        report = matching.match(floats, parameters, head, where=where, origin="file")[1]
    except (ValueError, TypeError) as error:
        return Fit(head, None, str(error))
    return Fit(head, report)


# -- pieces ------------------------------------------------------------------------------------------------------------


def _table(head: str, config: RobertaConfig | None) -> dict[str, Parameter]:
    return parameter_table(head, config) if config else {}


def _facts(name: str, parameter: str, array: Any, seen: dict[tuple[Any, ...], str]) -> TensorFacts:
    flat = array.reshape(-1)
    count, total, squares, nans, infinities = 0, 0.0, 0.0, 0, 0
    least, most, print_ = float("inf"), float("-inf"), 0
    for start in range(0, flat.size, BLOCK):
        block = np.asarray(flat[start : start + BLOCK])
        print_ = hash((print_, block.tobytes()))
        numbers = block.astype(np.float64)
        finite = numbers[np.isfinite(numbers)]
        nans += int(np.isnan(numbers).sum())
        infinities += int(np.isinf(numbers).sum())
        if finite.size:
            least, most = min(least, float(finite.min())), max(most, float(finite.max()))
            count, total, squares = count + finite.size, total + float(finite.sum()), squares + float((finite**2).sum())
    mean = total / count if count else float("nan")
    deviation = max(squares / count - mean**2, 0.0) ** 0.5 if count else float("nan")
    ends = (least, most) if count else (float("nan"), float("nan"))
    key = (array.shape, array.dtype.name, print_)
    # vectors of one value, such as new norms, are alike and no ties
    tied = seen.get(key, "") if flat.size > 1 and ends[0] < ends[1] else ""
    seen.setdefault(key, name)
    return TensorFacts(
        name, parameter, tuple(array.shape), array.dtype.name, *ends, mean, deviation, nans, infinities, tied
    )
