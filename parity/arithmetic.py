"""The spec in an arithmetic that errs: rounding noise where rounding happens, and the spec's own code around it.

`Rounded` is a NumPy array that knows an `Arithmetic`. The spec's functions run on it unchanged, and each operation adds
the error that an honest engine of that precision may make there:

* A value that is stored, or the result of + - * /, a square root: one rounding, d |result|, with d = 0.42 u.
* An elementary function (exp, erf, tanh, …): `ELEMENTARY` u |result|, as libraries err by more than a rounding; half of
  it alike for arguments that begin alike. A quotient: two roundings, since it may be a product with the reciprocal.
* A sum of n terms p: every order of adding them up is a walk over partial sums S_k, and each step rounds, so the
  variance is d^2 sum_k S_k^2. Averaged over all orders that is

      d^2 (n + 1) / 6 · (2 s^2 + q),    s = sum p,  q = sum p^2,

  which needs the result and one product of squares. The natural order, the one that a plain loop takes, is followed
  besides (of products in blocks), and the larger of the two counts. Blocked, pairwise, fused and compensated sums walk
  less far. Terms that are equal err alike, which is counted (`walks`).
  No order can be worse than n (sum |p|)^2, but only one that has sorted the terms by sign comes near it.
* A product's terms are rounded, too, where they are not fused: q d^2. A dense layer's sum may begin with its bias.

Sums are formed in the accumulator's precision, then stored. Errors of one operation are drawn independently, with mean
zero (Higham and Mary, 2019; Connolly, Higham and Mary, 2021); what makes them grow or cancel further on is the spec.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, cast

import numpy as np

from ..reference.layers import Array
from .walks import walk_of_contraction, walk_of_product, walk_of_sum

#: Standard deviation of one rounding to nearest, in u. The error is uniform within half a unit in the last place, that
#: is within u / m relative to a number of mantissa m in [1, 2), and mantissas are log-uniform (Benford), so its
#: variance is u^2 / 3 times the mean of m^-2, which is 3 / (8 ln 2).
ONE_ROUNDING = math.sqrt(1.0 / (8.0 * math.log(2.0)))
#: Standard deviation of an elementary function, in u: vector libraries state errors of up to 4 units in the last place,
#: and have about one.
ELEMENTARY = 1.0
#: So many leading bits of a number, sign and exponent among them, say where an approximation is off by how much.
LEADING = 12
#: Which model this is. Raise it whenever a limit changes: limits that are kept are kept under this number.
NOISE_MODEL = 2


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

    @property
    def coarsest(self) -> float:
        """The largest relative error of any single operation."""
        return max(self.storage, self.factors, 1.0 / self.levels if self.levels else 0.0)


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
ROUNDED_ONCE = frozenset({"add", "subtract", "multiply", "sqrt", "square"})
#: They may be by the reciprocal, which is rounded, too.
DIVISIONS = frozenset({"divide", "true_divide", "reciprocal"})


@dataclass
class Arithmetic:
    """Draws the errors of one run; without a generator it makes none, and notes how far the sums of products may err.

    Attributes:
        precision: whose errors.
        rng: draws them; None in the run that is the truth.
        walks: of every sum, in the order of computation: noted by the true run, used by the others.
        largest: the largest magnitude that a stored result has had; of masked scores, which are as low as can be, none.
        copies: how many runs stand side by side, along the first axis of every array.
        flushes: whether results below the smallest normal number become 0, as some engines have it: drawn for a run.
    """

    precision: Precision
    rng: np.random.Generator | None = None
    walks: list[Array] = field(default_factory=list[Array])
    largest: float = 0.0
    flushes: bool = False
    copies: int = 1
    _next: int = 0

    @property
    def errs(self) -> bool:
        """Whether results differ from the truth."""
        return self.rng is not None

    def alone(self) -> Arithmetic:
        """The same for one run by itself."""
        return replace(self, copies=1)

    def mark(self) -> int:
        """How many sums there have been."""
        return self._next

    def return_to(self, mark: int) -> None:
        """Go on as after so many sums."""
        self._next = mark

    def array(self, value: Any) -> Rounded:
        """A value in this arithmetic."""
        held = np.asarray(value).view(Rounded)
        held.arithmetic = self
        return held

    def drawing(self, rng: np.random.Generator, copies: int = 1) -> Arithmetic:
        """The same arithmetic, erring: it uses the walks that this one has noted."""
        return Arithmetic(self.precision, rng, self.walks, flushes=bool(rng.random() < 0.5), copies=copies)

    def parameter(self, name: str, value: Array) -> Rounded:
        """A parameter as an engine holds it: off by a rounding where the precision lacks its value."""
        if self.rng is None:
            return self.array(value)
        if self.precision.levels and name.endswith("embeddings.weight"):
            return self.array(self.quantised(value))
        return self.array(self.given(value))

    def given(self, value: Any) -> Any:
        """An argument as an engine receives it: numbers that the precision lacks are off by a rounding."""
        if self.rng is None or not is_floating(value):
            return value
        if is_held(value, self.precision.name):
            return value
        lacking = value != nearest(value, self.precision.name)
        return self.noisy(value, np.abs(value) * lacking, ONE_ROUNDING * self.precision.storage)

    def noisy(self, value: Array, scale: Array | float, deviation: float) -> Array:
        """value + deviation · scale · noise, the noise uniform, as rounding errors are, of mean 0 and variance 1."""
        if self.rng is None or deviation == 0.0:
            return value
        noise: Array = self.rng.random(np.shape(value), np.float32)
        noise -= np.float32(0.5)
        with np.errstate(over="ignore"):  # a hidden score is the lowest number that there is
            found = np.asarray(np.multiply(noise, scale, dtype=np.float64))
            found *= deviation * math.sqrt(12.0)
            found += value
        return found

    def stored(self, value: Array, deviation: float | None = None) -> Array:
        """A result, rounded as it is stored."""
        if self.rng is None:
            self.largest = max(self.largest, _largest(value))
            return value
        deviation = ONE_ROUNDING * self.precision.storage if deviation is None else deviation
        smallest = self.precision.smallest
        if smallest < 2.0**-100:
            return self.noisy(value, value, deviation)  # of either sign: so is the noise
        scale = np.abs(value)
        # float16: small probabilities and variances live below the smallest normal number.
        rounded = self.noisy(value, np.maximum(scale, smallest), deviation)
        return np.where(scale < smallest, 0.0 if self.flushes else np.copysign(rounded, value), rounded)

    def elementary(self, value: Array, argument: Array) -> Array:
        """The result of an elementary function: half of its error is its rounding's, half its approximation's.

        A polynomial errs as smoothly as it approximates: arguments that begin alike are off alike.
        """
        deviation = ELEMENTARY * self.precision.storage / math.sqrt(2.0)
        if self.rng is None:
            return self.stored(value)
        with np.errstate(over="ignore"):
            leading = argument.astype(np.float32).reshape(self.copies, -1).view(np.uint32) >> np.uint32(32 - LEADING)
        errors = self.rng.random((self.copies, 2**LEADING), np.float32) - np.float32(0.5)
        alike = np.take_along_axis(errors, leading.astype(np.int64), 1).reshape(np.shape(value))
        off = value + deviation * math.sqrt(12.0) * np.abs(value) * alike
        return self.stored(off, deviation)

    def multiplied(self, left: Array, right: Array, result: Array) -> Array:
        """left @ right, from the exact result."""
        if not self.reads_exactly(right):
            result = self.product(left, right, np.matmul)
        return self.summed(result, lambda: walk_of_product(left, right, result))

    def contracted(self, subscripts: str, left: Array, right: Array) -> Array:
        """A contraction of two factors over their last axes: a product like another."""
        multiply = partial(np.einsum, subscripts)
        result = multiply(left, right) if self.reads_exactly(right) else self.product(left, right, multiply)
        return self.summed(result, lambda: walk_of_contraction(multiply, left, right, result))

    def added(self, terms: Array, axis: Any, result: Array) -> Array:
        """sum of the terms over an axis, from the exact result."""
        return self.summed(result, lambda: walk_of_sum(terms, result, axis))

    def begun(self, result: Array, product: Array, bias: Array, terms: int) -> Array:
        """product + bias, of so many terms, where the sum may have begun with the bias: each step then carries it.

        In the mean over all orders sum (S_k + b)^2 is sum S_k^2 + n b^2 + (n + 1) b s.
        """
        further = product * ((terms + 1) * bias)
        further += terms * bias * bias
        np.sqrt(np.maximum(further, 0.0, out=further), out=further)
        return self.noisy(result, further, ONE_ROUNDING * self.precision.accumulation)

    def summed(self, value: Array, walk: Callable[[], Array]) -> Array:
        """The result of a sum: what its walk over partial sums lost, then stored."""
        if self.rng is None:
            self.walks.append(walk().astype(np.float32))
            return self.stored(value)
        length = self.walks[self._next]
        self._next += 1
        if length.shape != np.shape(value):  # of several copies
            length = np.broadcast_to(length, (np.size(value) // length.size, *length.shape)).reshape(np.shape(value))
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
    #: Of how many terms it is the sum, where it has just come out of a product, and a bias may follow.
    terms: int = 0

    def __array_finalize__(self, made_from: Any) -> None:
        if made_from is not None and hasattr(made_from, "arithmetic"):
            self.arithmetic = made_from.arithmetic

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **options: Any) -> Any:
        plain = [_plain(value) for value in inputs]
        if out is not None:
            options["out"] = tuple(_plain(value) for value in out)
        arithmetic = _arithmetic(inputs)
        if ufunc is np.matmul and arithmetic.errs:
            result: Any = _flat_product(plain[0], plain[1])
        else:
            result = getattr(ufunc, method)(*plain, **options)
            if getattr(result, "dtype", None) == np.dtype("O"):  # of single numbers: see `reference.special`
                result = result.astype(np.float64)
        if not is_floating(result):
            return result
        if ufunc is np.add and method == "__call__" and arithmetic.rng is not None:
            result = _with_bias(arithmetic, inputs, result)
        if ufunc.__name__ not in EXACT and not _is_trivial(ufunc.__name__, plain):
            result = _erring(arithmetic, ufunc, method, plain, result, options)
        if out is not None:
            options["out"][0][...] = result
            return out[0]
        held = arithmetic.array(result)
        if ufunc is np.matmul:
            held.terms = plain[0].shape[-1]
        return held

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function is np.einsum:
            arithmetic = _arithmetic(args[1:])
            return arithmetic.array(arithmetic.contracted(*_unwrapped(args)))
        result = function(*_unwrapped(args), **_unwrapped(kwargs))
        return _arithmetic(_leaves((args, *kwargs.values()))).array(result) if is_floating(result) else result


def _erring(
    arithmetic: Arithmetic, ufunc: np.ufunc, method: str, plain: list[Any], result: Any, options: Mapping[str, Any]
) -> Any:
    """The result of an operation with the error that belongs to it."""
    if ufunc is np.matmul:
        return arithmetic.multiplied(plain[0], plain[1], result)
    if ufunc is np.add and method == "reduce":
        return arithmetic.added(plain[0], options.get("axis"), result)
    if ufunc.__name__ in DIVISIONS:
        return arithmetic.stored(result, math.sqrt(2.0) * ONE_ROUNDING * arithmetic.precision.storage)
    if ufunc.__name__ in ROUNDED_ONCE:
        return arithmetic.stored(result)
    return arithmetic.elementary(result, plain[0])


def _flat_product(left: Array, right: Array) -> Array:
    """left @ right; with a matrix at the right all rows at once, which reads it once."""
    if right.ndim != 2 or left.ndim < 3:
        return left @ right
    return (left.reshape(-1, left.shape[-1]) @ right).reshape(*left.shape[:-1], right.shape[1])


def _with_bias(arithmetic: Arithmetic, operands: Sequence[Any], result: Any) -> Any:
    product, bias = operands
    if isinstance(product, Rounded) and product.terms and isinstance(bias, Rounded) and bias.ndim == 1:
        return arithmetic.begun(result, _plain(product), _plain(bias), product.terms)
    return result


#: (id, precision) -> the array, and whether the precision holds it: asked for the same weights in each run.
_held: dict[tuple[int, str], tuple[weakref.ref[Any], bool]] = {}


def is_held(value: Array, name: str) -> bool:
    """Whether a precision has every number of an array."""
    known = _held.get((id(value), name))
    if known is None or known[0]() is not value:
        for key in [key for key, (array, _) in _held.items() if array() is None]:
            del _held[key]
        known = weakref.ref(value), bool((value == nearest(value, name)).all())
        _held[id(value), name] = known
    return known[1]


def nearest(value: Array, name: str) -> Array:
    """The value as a precision stores it.

    Example:
        >>> nearest(np.array([1.00390625, 1.01171875, 3.4e38]), "bfloat16").tolist()
        [1.0, 1.015625, inf]
    """
    stored = {"float16": np.float16, "float64": np.float64}.get(name, np.float32)
    with np.errstate(over="ignore"):
        found = value.astype(stored)
    return (_cut(found) if name == "bfloat16" else found).astype(value.dtype)


def _cut(value: Array) -> Array:
    """Float32 to the nearest number whose last 16 bits are 0, of two the even one; NaN stays NaN."""
    bits = value.view(np.uint32)
    rounded = bits + np.uint32(0x7FFF) + (bits >> np.uint32(16) & np.uint32(1)) & np.uint32(0xFFFF0000)
    return np.where(np.isnan(value), value, rounded.view(np.float32))


# -- pieces ----------------------------------------------------------------------------------------------------------


def _is_trivial(name: str, operands: list[Any]) -> bool:
    """Adding 0, and multiplying or dividing by a power of two, are exact."""
    scalars = [float(value) for value in operands if isinstance(value, int | float)]
    if name in {"add", "subtract"}:
        return 0.0 in scalars
    return name in {"multiply", "divide", "true_divide"} and any(abs(math.frexp(v)[0]) == 0.5 for v in scalars)


def _largest(value: Array) -> float:
    """The largest magnitude; hidden scores are the lowest number, or near it, and no results."""
    magnitudes = np.abs(value)
    return float(magnitudes.max(initial=0.0, where=magnitudes < 1e300))


def _plain(value: Any) -> Any:
    return value.view(np.ndarray) if isinstance(value, Rounded) else value


def is_floating(value: Any) -> bool:
    """Whether it is an array, or a number of NumPy, of floating point."""
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
