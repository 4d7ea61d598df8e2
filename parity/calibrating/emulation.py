"""Honest engines by emulation: the spec's own code, where every result is rounded and every sum added in a given order.

`arithmetic` says how far an engine may err; here one does. A result is computed in float64 and rounded to what the
precision stores, which for + - * / and square roots in float32 or less is what hardware gives (Figueroa, 1995: a second
rounding is innocent if the first has twice the digits and two more). Sums are loops over the contracted axis in the
order that the engine has, rounded after every step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...reference.layers import Array
from ..arithmetic import Arithmetic, Precision, is_floating, nearest

#: The k-th terms of all sums at once, exact or rounded.
Terms = Callable[[int], Array]
#: Adds `count` terms, rounding to a dtype as it goes.
Order = Callable[[Terms, int, Any], Array]


# -- orders of adding ------------------------------------------------------------------------------------------------


def natural(terms: Terms, count: int, dtype: Any) -> Array:
    """One term after the other.

    Example:
        >>> thirds = np.full(3, 1 / 3)
        >>> float(natural(lambda k: thirds[k], 3, np.float32)), float(natural(lambda k: thirds[k], 3, np.float16))
        (1.0, 1.0)
    """
    return _along(range(count), terms, dtype)


def backward(terms: Terms, count: int, dtype: Any) -> Array:
    """The last term first."""
    return _along(range(count - 1, -1, -1), terms, dtype)


def shuffled(terms: Terms, count: int, dtype: Any) -> Array:
    """In an order that was drawn."""
    return _along(np.random.default_rng(count).permutation(count).tolist(), terms, dtype)


def pairwise(terms: Terms, count: int, dtype: Any) -> Array:
    """The sum of the sums of both halves."""
    return _halved(range(count), terms, dtype)


def blocked(size: int) -> Order:
    """Blocks of so many terms, each in a loop; then the blocks."""

    def order(terms: Terms, count: int, dtype: Any) -> Array:
        sums = [_along(range(start, min(start + size, count)), terms, dtype) for start in range(0, count, size)]
        return _along(range(len(sums)), sums.__getitem__, dtype)

    return order


def striped(lanes: int) -> Order:
    """Every lane of a vector unit takes each so-manieth term; the lanes are added pairwise."""

    def order(terms: Terms, count: int, dtype: Any) -> Array:
        sums = [_along(range(lane, count, lanes), terms, dtype) for lane in range(min(lanes, count))]
        return _halved(range(len(sums)), sums.__getitem__, dtype)

    return order


def compensated(terms: Terms, count: int, dtype: Any) -> Array:
    """Kahan's: what a step lost is added to the next term."""
    total, lost = terms(0).astype(dtype), np.zeros_like(terms(0), dtype)
    for k in range(1, count):
        term = (terms(k) - lost).astype(dtype)
        reached = total + term
        lost = (reached - total) - term
        total = reached
    return total


def sorted_by_sign(terms: Terms, count: int, dtype: Any) -> Array:
    """All negative terms first: nearly the worst order that there is, and nobody's."""
    ordered = np.sort(np.stack([terms(k) for k in range(count)]), axis=0)
    return _along(range(count), ordered.__getitem__, dtype)


def _along(places: Sequence[int], terms: Terms, dtype: Any) -> Array:
    total: Any = None
    for k in places:
        total = terms(k).astype(dtype) if total is None else (total + terms(k)).astype(dtype)
    return total


def _halved(places: range, terms: Terms, dtype: Any) -> Array:
    if len(places) == 1:
        return terms(places[0]).astype(dtype)
    middle = len(places) // 2
    return (_halved(places[:middle], terms, dtype) + _halved(places[middle:], terms, dtype)).astype(dtype)


ORDERS: Mapping[str, Order] = {
    "natural": natural,
    "backward": backward,
    "shuffled": shuffled,
    "pairwise": pairwise,
    **{f"blocks of {size}": blocked(size) for size in (4, 16, 64, 256)},
    "16 lanes": striped(16),
    "Kahan": compensated,
}


# -- engines ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Emulated:
    """An engine.

    Attributes:
        order: in which it adds.
        is_fused: whether a product goes into its sum unrounded (FMA).
        keeps: whether results stay in the accumulator's precision between taps, as in a fused kernel, and layer norms
            and softmax do inside, as under autocast.
    """

    order: Order
    is_fused: bool = False
    keeps: bool = False

    def arithmetic(self, precision: Precision) -> Computing:
        """Its arithmetic in a precision."""
        return Computing(precision, engine=self)

    def tap(self, precision: Precision) -> Callable[[str, Any], Any]:
        """Stores what a fused kernel hands on."""

        def store(name: str, value: Any) -> Any:
            inside = name.endswith((".mean", ".variance", ".normalized", ".scores", ".erf"))
            return value if inside or not self.keeps else value.arithmetic.array(nearest(value, precision.name))

        return store


@dataclass
class Computing(Arithmetic):
    """An arithmetic that rounds, where `Arithmetic` draws how it might."""

    engine: Emulated = Emulated(natural)

    @property
    def errs(self) -> bool:
        """It does."""
        return True

    @property
    def _accumulator(self) -> Any:
        return np.float64 if self.precision.name == "float64" else np.float32

    def parameter(self, name: str, value: Array) -> Any:
        """A parameter as the precision stores it."""
        return self.array(self.given(value))

    def given(self, value: Any) -> Any:
        """An argument as the precision stores it."""
        return nearest(np.asarray(value, np.float64), self.precision.name) if is_floating(value) else value

    def stored(self, value: Array, deviation: float | None = None) -> Array:
        """The nearest number."""
        return nearest(value, self._accumulator.__name__ if self.engine.keeps else self.precision.name)

    def multiplied(self, left: Array, right: Array, result: Array) -> Array:
        """left @ right, term by term."""
        left, right = self._read(left), self._read(right)
        return self._sum(lambda k: left[..., k, None] * right[..., k, None, :], left.shape[-1])

    def contracted(self, subscripts: str, left: Array, right: Array) -> Array:
        """A contraction over the last axes of both, term by term."""
        outer = subscripts.replace("k", "")
        left, right = self._read(left), self._read(right)
        return self._sum(lambda k: np.einsum(outer, left[..., k], right[..., k]), left.shape[-1])

    def added(self, terms: Array, axis: Any, result: Array) -> Array:
        """sum of the terms over an axis, or over all."""
        rows = terms.reshape(1, -1) if axis is None else np.moveaxis(terms, axis, -1)
        rows = rows.astype(self._accumulator)
        return self._sum(lambda k: rows[..., k], rows.shape[-1]).reshape(np.shape(result))

    def _sum(self, terms: Terms, count: int) -> Array:
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows is said to
            return self.stored(self.engine.order(terms, count, self._accumulator).astype(np.float64))

    def _read(self, factor: Array) -> Array:
        """A factor as the unit that multiplies reads it; in float64, where products are exact, if it fuses."""
        if self.precision.factors:
            mantissa, exponent = np.frexp(factor)
            factor = np.ldexp(np.rint(mantissa / self.precision.factors) * self.precision.factors, exponent)
        return factor if self.engine.is_fused else factor.astype(self._accumulator)


ENGINES: Mapping[str, Emulated] = {
    **{name: Emulated(order) for name, order in ORDERS.items()},
    "natural, FMA": Emulated(natural, is_fused=True),
    "blocks of 4, FMA": Emulated(blocked(4), is_fused=True),
    "pairwise, fused kernels": Emulated(pairwise, keeps=True),
}
