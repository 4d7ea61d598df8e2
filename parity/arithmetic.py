"""The spec in an arithmetic that errs: rounding noise where rounding happens, and the spec's own code around it.

`Rounded` is a NumPy array that knows an `Arithmetic`. The spec's functions run on it unchanged, and each operation adds
the error that an honest engine of that precision may make there:

* A value that is stored, or the result of + - * /, a square root: one rounding, d |result|, with d = 0.42 u.
* An elementary function (exp, erf, tanh, …): `ELEMENTARY` u |result|, as libraries err by more than a rounding.
* A sum of n terms p: every order of adding them up is a walk over partial sums S_k, and each step rounds, so the
  variance is d^2 sum_k S_k^2. Averaged over all orders that is

      d^2 (n + 1) / 6 · (2 s^2 + q),    s = sum p,  q = sum p^2,

  which needs the result and one product of squares. The natural order, the one that a plain loop takes, is followed
  besides (in blocks), and the larger of the two counts. Blocked, pairwise, fused and compensated sums walk less far.
  No order can be worse than n (sum |p|)^2, but only one that has sorted the terms by sign comes near it.
* A product's terms are rounded, too, where they are not fused: q d^2.

Sums are formed in the accumulator's precision, then stored. Errors of one operation are drawn independently, with mean
zero (Higham and Mary, 2019; Connolly, Higham and Mary, 2021); what makes them grow or cancel further on is the spec.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import ml_dtypes
import numpy as np

from ..reference.layers import Array

#: Standard deviation of one rounding to nearest, in u. The error is uniform within half a unit in the last place, that
#: is within u / m relative to a number of mantissa m in [1, 2), and mantissas are log-uniform (Benford), so its
#: variance is u^2 / 3 times the mean of m^-2, which is 3 / (8 ln 2).
ONE_ROUNDING = math.sqrt(1.0 / (8.0 * math.log(2.0)))
#: Standard deviation of an elementary function, in u: vector libraries state errors of up to 4 units in the last place,
#: and have about one.
ELEMENTARY = 1.0
#: In so many blocks is a sum's natural order followed.
BLOCKS = 8


@dataclass(frozen=True)
class Precision:
    """An arithmetic.

    Attributes:
        name: as in `dtype=`.
        storage: u of stored values: half the distance from 1 to the next number.
        accumulation: u in which sums are formed; matrix units sum half-precision products in float32.
        smallest: the smallest normal number: below it values may be flushed to zero.
        largest: the largest finite number.
        factors: u to which the factors of a matrix product are rounded before it; 0 where they are used as stored.
        levels: the number of steps to which the factors of a dense layer are quantised, over the range of the whole
            tensor; 0 where they are not.
    """

    name: str
    storage: float
    accumulation: float
    smallest: float
    largest: float = 3.4028234663852886e38
    factors: float = 0.0
    levels: int = 0


PRECISIONS: Mapping[str, Precision] = {
    "float64": Precision("float64", 2.0**-53, 2.0**-53, 2.0**-1022, 1.7976931348623157e308),
    "float32": Precision("float32", 2.0**-24, 2.0**-24, 2.0**-126),
    "tfloat32": Precision("tfloat32", 2.0**-24, 2.0**-24, 2.0**-126, factors=2.0**-11),
    "bfloat16": Precision("bfloat16", 2.0**-8, 2.0**-24, 2.0**-126, 3.3895313892515355e38),
    "float16": Precision("float16", 2.0**-11, 2.0**-24, 2.0**-14, 65504.0),
    # Dynamic quantisation: 7 bits, as processors without saturating products are given.
    "int8": Precision("int8", 2.0**-24, 2.0**-24, 2.0**-126, levels=127),
}

#: Operations whose results are operands, or differ from them exactly.
EXACT = frozenset(
    {"absolute", "conjugate", "negative", "positive", "maximum", "minimum", "fmax", "fmin", "clip", "sign", "floor"}
)
ROUNDED_ONCE = frozenset(["add", "subtract", "multiply", "divide", "true_divide", "sqrt", "square", "reciprocal"])


@dataclass
class Arithmetic:
    """Draws the errors of one run; without a generator it makes none, and notes how far the sums of products may err.

    Attributes:
        precision: whose errors.
        rng: draws them; None in the run that is the truth.
        walks: of every sum, in the order of computation: noted by the true run, used by the others.
    """

    precision: Precision
    rng: np.random.Generator | None = None
    walks: list[Array] = field(default_factory=list[Array])
    _next: int = 0

    def array(self, value: Any) -> Rounded:
        """A value in this arithmetic."""
        held = np.asarray(value).view(Rounded)
        held.arithmetic = self
        return held

    def drawing(self, rng: np.random.Generator) -> Arithmetic:
        """The same arithmetic, erring: it uses the walks that this one has noted."""
        return Arithmetic(self.precision, rng, self.walks)

    def parameter(self, name: str, value: Array) -> Rounded:
        """A parameter as an engine holds it: off by a rounding where the precision lacks its value."""
        if self.rng is None:
            return self.array(value)
        if self.precision.levels and name.endswith("embeddings.weight"):
            return self.array(self.quantised(value))
        return self.array(self.given(value))

    def given(self, value: Any) -> Any:
        """An argument as an engine receives it: numbers that the precision lacks are off by a rounding."""
        if self.rng is None or not _is_floating(value):
            return value
        if _is_held(value, self.precision.name):
            return value
        lacking = value != nearest(value, self.precision.name)
        return self.noisy(value, np.abs(value) * lacking, ONE_ROUNDING * self.precision.storage)

    def noisy(self, value: Array, scale: Array | float, deviation: float) -> Array:
        """value + deviation · scale · noise, the noise uniform, as rounding errors are, of mean 0 and variance 1."""
        if self.rng is None or deviation == 0.0:
            return value
        noise: Array = self.rng.random(np.shape(value), np.float32)
        noise -= np.float32(0.5)
        noise *= np.float32(math.sqrt(12.0))
        with np.errstate(over="ignore"):  # a hidden score is the lowest number that there is
            return value + deviation * scale * noise

    def stored(self, value: Array, deviation: float | None = None) -> Array:
        """A result, rounded as it is stored; flushed or not where it is smaller than the smallest normal number."""
        if self.rng is None:
            return value
        deviation = ONE_ROUNDING * self.precision.storage if deviation is None else deviation
        scale = np.abs(value)
        if self.precision.smallest > 2.0**-100:  # float16: small probabilities and variances live there
            scale = np.where(scale < self.precision.smallest, np.minimum(scale, 1.0) / deviation, scale)
        return self.noisy(value, scale, deviation)

    def elementary(self, value: Array) -> Array:
        """The result of an elementary function."""
        return self.stored(value, ELEMENTARY * self.precision.storage)

    def summed(self, value: Array, walk: Callable[[], Array]) -> Array:
        """The result of a sum: what its walk over partial sums lost, then stored."""
        if self.rng is None:
            self.walks.append(walk().astype(np.float32))
            return value
        length = self.walks[self._next]
        self._next += 1
        return self.stored(self.noisy(value, length, ONE_ROUNDING * self.precision.accumulation))

    def product(self, left: Array, right: Array, multiply: Callable[[Array, Array], Array]) -> Array:
        """A matrix product of its factors as the unit that multiplies reads them: rounded, or quantised."""
        if self.precision.factors:
            deviation = ONE_ROUNDING * self.precision.factors
            return multiply(*(self.noisy(value, np.abs(value), deviation) for value in (left, right)))
        return multiply(self.quantised(left), self.quantised(right))

    def reads_exactly(self, right: Array) -> bool:
        """Whether the factors of a product are used as they are stored; only products with weights are quantised."""
        return self.rng is None or not (self.precision.factors or (self.precision.levels and right.ndim == 2))

    def quantised(self, value: Array) -> Array:
        """A tensor on `levels` equal steps over its range: off by up to half a step."""
        step = (value.max() - value.min()) / self.precision.levels
        return self.noisy(value, 1.0, float(step) / math.sqrt(12.0))


class Rounded(np.ndarray[tuple[int, ...], np.dtype[np.floating[Any]]]):
    """An array whose every operation errs as its `arithmetic` says. Integers and booleans are exact."""

    arithmetic: Arithmetic

    def __array_finalize__(self, made_from: Any) -> None:
        if made_from is not None and hasattr(made_from, "arithmetic"):
            self.arithmetic = made_from.arithmetic

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **options: Any) -> Any:
        plain = [_plain(value) for value in inputs]
        if out is not None:
            options["out"] = tuple(_plain(value) for value in out)
        result: Any = getattr(ufunc, method)(*plain, **options)
        if not _is_floating(result):
            return result
        arithmetic = _arithmetic(inputs)
        errs = arithmetic.rng is not None or ufunc is np.matmul or method == "reduce"
        if errs and ufunc.__name__ not in EXACT and not _is_trivial(ufunc.__name__, plain):
            result = _erring(arithmetic, ufunc, method, plain, result, options)
        if out is not None:
            options["out"][0][...] = result
            return out[0]
        return arithmetic.array(result)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function is np.einsum:
            return _einsum(*args)
        result = function(*_unwrapped(args), **_unwrapped(kwargs))
        return _arithmetic(_leaves((args, *kwargs.values()))).array(result) if _is_floating(result) else result


def _erring(
    arithmetic: Arithmetic, ufunc: np.ufunc, method: str, plain: list[Any], result: Any, options: Mapping[str, Any]
) -> Any:
    """The result of an operation with the error that belongs to it."""
    if ufunc is np.matmul:
        return _matmul(arithmetic, plain[0], plain[1], result)
    if ufunc is np.add and method == "reduce":
        terms, axis = plain[0], options.get("axis")
        return arithmetic.summed(result, lambda: _walk_of_sum(terms, result, axis))
    if ufunc.__name__ in ROUNDED_ONCE:
        return arithmetic.stored(result)
    return arithmetic.elementary(result)


def _matmul(arithmetic: Arithmetic, left: Array, right: Array, result: Array) -> Array:
    if not arithmetic.reads_exactly(right):
        result = arithmetic.product(left, right, np.matmul)
    return arithmetic.summed(result, lambda: walk_of_product(left, right, result))


def walk_of_product(left: Array, right: Array, result: Array) -> Array:
    """sqrt(sum of S_k^2 + sum of p^2) for every element of left @ right: how far its partial sums walk.

    The larger of the mean over all orders of adding, and of the natural order, followed in blocks: the walk within a
    block is a bridge from one partial sum to the next.

    Example:
        >>> ones = np.ones((1, 1000))  # S_k = k, so the sum of squares is n^3 / 3
        >>> walk = walk_of_product(ones, ones.T, ones @ ones.T)
        >>> round(float(walk[0, 0]) / (1000**1.5 / 3**0.5), 2)
        1.0
    """
    n = left.shape[-1]
    left, right = _narrowed(left), _narrowed(right)
    squares = (left * left) @ (right * right)
    any_order = (n + 1) / 6.0 * (2.0 * result * result + squares)
    step = max(-(-n // BLOCKS), 1)
    reached = np.zeros_like(squares)
    natural = step / 6.0 * squares
    for start in range(0, n, step):
        part = slice(start, start + step)
        reached += left[..., part] @ right[..., part, :]
        natural += step * (reached * reached)
    return np.sqrt(np.maximum(any_order, natural - step / 2.0 * (reached * reached)) + squares)


def _narrowed(value: Array) -> Array:
    """In float32, where its squares have room: the size of an error needs no more digits."""
    return value.astype(np.float32) if np.abs(value).max(initial=0.0) < 1e15 else value


def _walk_of_sum(terms: Array, result: Array, axis: Any) -> Array:
    """The same for a plain sum: in the mean over all orders of adding."""
    squares = np.sum(terms * terms, axis=axis).reshape(np.shape(result))
    n = np.size(terms) / max(np.size(result), 1)
    return np.sqrt((n + 1) / 6.0 * (2.0 * result * result + squares))


def _einsum(subscripts: str, left: Any, right: Any) -> Any:
    """A contraction of two factors: a product like another, whose walk is taken in the mean over all orders."""
    arithmetic = _arithmetic((left, right))
    left, right = _plain(left), _plain(right)
    multiply = partial(np.einsum, subscripts)
    result = multiply(left, right) if arithmetic.reads_exactly(right) else arithmetic.product(left, right, multiply)
    n = left.shape[-1]

    def walk() -> Array:
        squares = multiply(left * left, right * right)
        return np.sqrt((n + 1) / 6.0 * (2.0 * result * result + squares) + squares)

    return arithmetic.array(arithmetic.summed(result, walk))


#: (id, precision) -> the array, and whether the precision holds it: asked for the same weights in each run.
_held: dict[tuple[int, str], tuple[weakref.ref[Any], bool]] = {}


def _is_held(value: Array, name: str) -> bool:
    """Whether a precision has every number of an array."""
    known = _held.get((id(value), name))
    if known is None or known[0]() is not value:
        for key in [key for key, (array, _) in _held.items() if array() is None]:
            del _held[key]
        known = weakref.ref(value), bool((value == nearest(value, name)).all())
        _held[id(value), name] = known
    return known[1]


def nearest(value: Array, name: str) -> Array:
    """The value as a precision stores it."""
    stored = {"bfloat16": ml_dtypes.bfloat16, "float16": np.float16, "float64": np.float64}.get(name, np.float32)
    with np.errstate(over="ignore"):
        return value.astype(stored).astype(value.dtype)


# -- pieces ----------------------------------------------------------------------------------------------------------


def _is_trivial(name: str, operands: list[Any]) -> bool:
    """Adding 0, and multiplying or dividing by a power of two, are exact."""
    scalars = [float(value) for value in operands if isinstance(value, int | float)]
    if name in {"add", "subtract"}:
        return 0.0 in scalars
    return name in {"multiply", "divide", "true_divide"} and any(abs(math.frexp(v)[0]) == 0.5 for v in scalars)


def _plain(value: Any) -> Any:
    return value.view(np.ndarray) if isinstance(value, Rounded) else value


def _is_floating(value: Any) -> bool:
    return isinstance(value, np.ndarray | np.floating) and cast("Any", value).dtype.kind == "f"


def _arithmetic(values: Any) -> Arithmetic:
    return next(value.arithmetic for value in values if isinstance(value, Rounded))


def _unwrapped(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _unwrapped(part) for name, part in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, tuple | list):
        return type(value)(_unwrapped(part) for part in cast("tuple[Any, ...]", value))  # pyright: ignore
    return _plain(value)


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, tuple | list):
        return [leaf for part in cast("tuple[Any, ...]", value) for leaf in _leaves(part)]
    return [value]
