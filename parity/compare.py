"""Comparing one array with its budget: shape, dtype, finiteness, then every element."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .tolerances import Budget


@dataclass(frozen=True)
class Comparison:
    """The verdict on one array.

    Attributes:
        name: of the output or tap.
        ratio: the largest error / permitted error; infinite where the arrays cannot be compared.
        error: the largest absolute error.
        index: where the ratio is largest.
        sigmas: the root mean square of error / sigma: about 1 for an engine that rounds as modelled.
        problem: why the arrays cannot be compared, or None.
        rms: the root mean square error over its limit.
        projection: the error along the direction of a known mistake, over its limit; the largest of all mistakes.
        suspect: the mistake of that direction, where it exceeds its limit.
    """

    name: str
    ratio: float
    error: float = float("nan")
    index: tuple[int, ...] = ()
    sigmas: float = float("nan")
    problem: str | None = None
    rms: float = 0.0
    projection: float = 0.0
    suspect: str | None = None

    @property
    def extent(self) -> float:
        """The largest of the three statistics, each in units of its limit."""
        return max(self.ratio, self.rms, self.projection)

    @property
    def passed(self) -> bool:
        """Whether the largest element, the mean square and every projection keep within their limits."""
        return self.extent <= 1.0

    def __str__(self) -> str:
        if self.problem:
            return f"{self.name}: {self.problem}"
        if self.ratio >= self.extent:
            return f"{self.name}{list(self.index)}: error {self.error:.3g}, which is {self.ratio:.3g} of its budget"
        if self.rms >= self.extent:
            return f"{self.name}: rms error {self.sigmas:.3g} sigma, which is {self.rms:.3g} of its limit"
        return f"{self.name}: {self.projection:.3g} of the limit in the direction of {self.suspect!r}"


def compare_array(name: str, candidate: Any, budget: Budget) -> Comparison:
    """Hold one array against its budget.

    Args:
        name: for the report.
        candidate: what an engine gave; None where it gave nothing.
        budget: truth and limits.

    Returns:
        `Comparison`. NaN, infinity, a wrong shape and a missing array never pass.

    Example:
        >>> budget = Budget(truth=np.array([1.0]), sigma=np.array([0.1]), limit=np.array([0.5]))
        >>> round(compare_array("x", np.array([1.25]), budget).ratio, 2)
        0.5
        >>> compare_array("x", np.array([np.nan]), budget).passed
        False
    """
    if candidate is None:
        return Comparison(name, float("inf"), problem="the candidate did not return it")
    candidate, truth, sigma, limit = np.asarray(candidate), budget.truth, budget.sigma, budget.limit
    if candidate.shape != truth.shape:
        problem = f"expected shape {truth.shape}, got {candidate.shape}"
        return Comparison(name, float("inf"), problem=problem)
    if not np.issubdtype(candidate.dtype, np.floating):
        return _compare_exactly(name, candidate, budget)
    judged = np.broadcast_to(True if budget.judged is None else budget.judged, truth.shape)
    if not judged.any():
        return Comparison(name, 0.0, 0.0, (), 0.0)
    error = np.where(judged, candidate.astype(np.float64) - truth, 0.0)
    if not np.isfinite(error).all():
        return _not_finite(name, candidate, error, budget)
    ratio = np.abs(error) / limit
    index = tuple(int(i) for i in np.unravel_index(ratio.argmax(), ratio.shape))
    noisy = judged & (sigma > 0)
    sigmas = float(np.sqrt(np.mean(np.square(error[noisy] / sigma[noisy])))) if noisy.any() else 0.0
    largest = float(np.abs(error).max())
    found = Comparison(name, float(ratio[index]), largest, index, sigmas, rms=sigmas / budget.rms_limit)
    return _out_of_range(found, budget)


def _not_finite(name: str, candidate: Any, error: Any, budget: Budget) -> Comparison:
    """NaN or infinity: wrong, or more than this precision has numbers for."""
    index = tuple(int(i) for i in np.argwhere(~np.isfinite(error))[0])
    problem = f"{candidate[index]} at {list(index)}"
    return _out_of_range(Comparison(name, float("inf"), index=index, problem=problem), budget)


def _out_of_range(comparison: Comparison, budget: Budget) -> Comparison:
    """The same, with the reason, where it failed because this precision has no numbers for a value on the way."""
    if comparison.passed or not budget.overflows:
        return comparison
    found = str(comparison).removeprefix(f"{comparison.name}: ")
    reason = "overflows in this precision: a value on the way is larger or smaller than it has numbers for"
    return replace(comparison, problem=f"{found}; {reason}")


def _compare_exactly(name: str, candidate: Any, budget: Budget) -> Comparison:
    """Integers are counts and ids: equal or wrong."""
    if np.array_equal(candidate, budget.truth):
        return Comparison(name, 0.0, 0.0)
    return Comparison(name, float("inf"), problem="integers that differ from the truth")


def compare_outputs(candidate: Mapping[str, Any], budgets: Mapping[str, Budget]) -> list[Comparison]:
    """Hold every output against its budget; what the candidate gives besides is not judged."""
    return [compare_array(name, candidate.get(name), budget) for name, budget in budgets.items()]
