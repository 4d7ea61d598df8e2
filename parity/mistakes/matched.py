"""The matched filter: an error is projected on the directions in which known mistakes would move the outputs.

A mistake that is far below the limit of any one element may move thousands of them a little, all in a direction that
rounding does not take. With errors e and the effect m of a mistake, both in standard deviations of the rounding noise,
element by element over all outputs of all calls and judged positions only,

    p = sum e m / |m|

is the error's length in the direction of m, the best statistic for it if the noise is white. It is not quite, so how
far honest errors go in that direction is not assumed, but known from the K noisy runs, projected in the same way;
`statistics` pools their variances over the mistakes and makes a limit of them for all mistakes together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from ...reference.layers import Array
from ..compare import Comparison
from ..statistics import COARSEST, largest_of, pool
from ..tolerances import FALSE_ALARM_RATE, TESTS, Budget
from .effects import Effect

#: The most elements, of all outputs of all calls, on which errors are projected: a seeded choice of more.
ELEMENTS = 400_000


@dataclass(frozen=True)
class Direction:
    """What one mistake does to the outputs.

    Attributes:
        mistake: its name.
        unit: its direction: (N,) in standard deviations, of length 1; None where it moves nothing, or breaks an output.
        length: how far it moves them, in standard deviations.
        ratio: its largest element over the limit; infinite where it breaks an output.
        rms: its root mean square over the limit.
    """

    mistake: str
    unit: Array | None
    length: float
    ratio: float
    rms: float


@dataclass(frozen=True)
class Projection:
    """An error in the direction of one mistake.

    Attributes:
        mistake: its name.
        ratio: the length of the error in that direction over its limit.
        likeness: the cosine of error and direction, 0 to 1: 1 where the mistake explains all of the error.
    """

    mistake: str
    ratio: float
    likeness: float


class MatchedFilter:
    """Directions of known mistakes, and how far honest errors go in each.

    Args:
        budgets: of each call's outputs, of a run or of several.
        effects: of the mistakes, see `effects.effects`; taken one by one, and not kept.
        rate: of false alarms, of all tests together.

    Attributes:
        directions: one for each mistake.

    Example:
        >>> from roberta.parity.mistakes.mutants import MUTANTS
        >>> from roberta.parity.probes.probe import Call
        >>> from roberta.parity.mistakes.effects import effects
        >>> from roberta.parity.cases import draw_case
        >>> from roberta.parity.tolerances import noisy_runs
        >>> import roberta
        >>> case = draw_case("question_answering", 0)
        >>> spec = roberta.RobertaForQuestionAnswering(case.config, "numpy", state=case.state, dtype="float64")
        >>> budgets = [noisy_runs(spec, [case.inputs], "float16").budgets()]
        >>> known = MatchedFilter(budgets, effects(spec, [Call(case.inputs)], MUTANTS[:4]))
        >>> wrong = MUTANTS[0].candidate(spec, dtype="float16")(**case.inputs)
        >>> known.project([wrong])[0].mistake
        'tanh GELU'
    """

    def __init__(
        self,
        budgets: Sequence[Mapping[str, Budget]],
        effects: Iterable[tuple[str, Effect]],
        rate: float = FALSE_ALARM_RATE,
    ) -> None:
        self._parts = [
            _Part(call, name, budget, rate) for call, one in enumerate(budgets) for name, budget in one.items()
            if np.issubdtype(budget.truth.dtype, np.floating) and budget.spread is not None
        ]  # fmt: skip
        self._rate = rate
        self._chosen = _choice(sum(part.count for part in self._parts))
        self.directions = tuple(self._direction(name, effect) for name, effect in effects)

    @cached_property
    def limits(self) -> Mapping[str, float]:
        """Mistake -> the largest length that an honest error may have in its direction, in standard deviations."""
        units = {known.mistake: known.unit for known in self.directions if known.unit is not None}
        if not units:
            return {}
        draws = self._joined([part.draws for part in self._parts])  # K N
        pooled = pool(draws @ np.stack(list(units.values())).T)  # K M
        t = largest_of(len(units), pooled.freedom, self._rate / TESTS) * COARSEST
        return dict(zip(units, (t * pooled.sigma).tolist(), strict=True))

    def project(self, outputs: Sequence[Mapping[str, Any]]) -> tuple[Projection, ...]:
        """The error of a candidate in the direction of each mistake, the likeliest first.

        Args:
            outputs: of each call, flat names -> arrays.

        Returns:
            One for each mistake that has a direction; none where an output is missing, of another shape, or not finite:
            then nothing but that is to be said.
        """
        error = self._whitened([part.error(outputs) for part in self._parts])
        if error is None or not self.limits:
            return ()
        size = float(np.linalg.norm(error)) or 1.0
        found: list[Projection] = []
        for direction in self.directions:
            if direction.unit is not None:
                length = abs(float(error @ direction.unit))
                found.append(Projection(direction.mistake, length / self.limits[direction.mistake], length / size))
        return tuple(sorted(found, key=lambda projection: -projection.likeness))

    def _direction(self, mistake: str, effect: Effect) -> Direction:
        values = [part.of(effect) for part in self._parts]
        whitened = self._whitened(values)
        if whitened is None:
            return Direction(mistake, None, np.inf, np.inf, np.inf)
        length = float(np.linalg.norm(whitened))
        ratio, rms = self.extents(effect)
        return Direction(mistake, whitened / np.float32(length) if length > 0 else None, length, ratio, rms)

    def extents(self, effect: Effect) -> tuple[float, float]:
        """The largest element of an effect, and its largest root mean square of an output, over their limits."""
        found = [part.extents(part.of(effect)) for part in self._parts]
        return max((ratio for ratio, _ in found), default=0.0), max((rms for _, rms in found), default=0.0)

    def _whitened(self, values: Sequence[Array | None]) -> Array | None:
        """Values of all parts in standard deviations, one after another; None where one is missing or not finite."""
        whole = [part.whitened(value) for part, value in zip(self._parts, values, strict=True) if value is not None]
        if len(whole) < len(values) or not all(np.isfinite(value).all() for value in whole):
            return None
        return self._joined(whole)

    def _joined(self, parts: Sequence[Array]) -> Array:
        return np.concatenate(parts, axis=-1)[..., self._chosen] if parts else np.zeros(0, np.float32)


class _Part:
    """The judged elements of one output of one call."""

    def __init__(self, call: int, name: str, budget: Budget, rate: float) -> None:
        self.call, self.name, self.budget = call, name, budget
        self.judged = np.broadcast_to(True if budget.judged is None else budget.judged, budget.truth.shape)
        sigma, self.limit = budget.sigma[self.judged], budget.limit[self.judged]
        self.is_noisy = sigma > 0
        self.count = int(self.is_noisy.sum())
        spread: Any = budget.spread
        # The limit over its t is sigma, and what underflow may take, which is no error however small sigma is.
        t = largest_of(budget.truth.size, spread.pooled.freedom, rate / TESTS)
        self._scale = np.maximum(sigma, self.limit / t)[self.is_noisy]

    @cached_property
    def draws(self) -> Array:
        """(K, n), whitened."""
        spread: Any = self.budget.spread
        return (spread.errors[:, self.judged][:, self.is_noisy] / self._scale).astype(np.float32)

    def of(self, effect: Effect) -> Array | None:
        """What an effect does here."""
        value = effect[self.call].get(self.name)
        return None if value is None or value.shape != self.judged.shape else value[self.judged]

    def error(self, outputs: Sequence[Mapping[str, Any]]) -> Array | None:
        """What is wrong with a candidate's output here; None where it is missing, or of another shape."""
        value = outputs[self.call].get(self.name)
        if value is None or np.shape(value) != self.judged.shape:
            return None
        return np.asarray(value)[self.judged].astype(np.float64) - self.budget.truth[self.judged]

    def whitened(self, value: Array) -> Array:
        """In standard deviations, of what has any."""
        return (value[self.is_noisy] / self._scale).astype(np.float32)

    def extents(self, value: Array | None) -> tuple[float, float]:
        """The largest element, and the root mean square, over their limits."""
        if value is None or not value.size:
            return 0.0, 0.0
        if not np.isfinite(value).all():
            return np.inf, np.inf
        square = np.mean(np.square(self.whitened(value), dtype=np.float64)) if self.count else 0.0
        return float((np.abs(value) / self.limit).max()), float(np.sqrt(square)) / self.budget.rms_limit


def _choice(count: int) -> Any:
    """Which of all elements are looked at: all, or a seeded choice in their order."""
    if count <= ELEMENTS:
        return slice(None)
    return np.sort(np.random.default_rng(0).choice(count, ELEMENTS, replace=False))


def judge_projections(comparisons: Sequence[Comparison], projections: Sequence[Projection]) -> list[Comparison]:
    """Comparisons of a run's outputs with what the matched filter says of them together, on the first of them.

    Args:
        comparisons: of the outputs.
        projections: see `MatchedFilter.project`.

    Returns:
        The comparisons; the first with the largest projection, and with the likeliest mistake as its `suspect` where
        that, or anything else, exceeds its limit.
    """
    if not comparisons or not projections:
        return list(comparisons)
    largest = max(projections, key=lambda projection: projection.ratio)
    is_refused = largest.ratio > 1.0 or not all(comparison.passed for comparison in comparisons)
    suspect = projections[0].mistake if is_refused else None
    return [replace(comparisons[0], projection=largest.ratio, suspect=suspect), *comparisons[1:]]
