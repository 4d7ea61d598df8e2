"""From K noisy runs to limits: variances that borrow from each other, and the tails of three statistics.

K draws tell the variance of one element badly (a factor of 2 either way for K = 8), and a limit for millions of
elements at a tiny rate then needs Student's far tail. But the elements of one array are alike. So their variances are
shrunk towards what rows and columns have in common (empirical Bayes with an inverse chi-square prior: Smyth, 2004,
section 3); how alike they are is estimated, as the degrees of freedom of the prior, and added to K. Where elements are
alike the limit is the normal distribution's, where they are not it is Student's with K, and nobody has chosen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..reference.layers import Array
from .arithmetic import ONE_ROUNDING
from .distributions import (
    fdtri,
    psi,
    stdtrit,
    zeta,  # pyright: ignore[reportUnknownVariableType]
)

#: The standard deviation of a rounding where all mantissas are 1, u / sqrt(3), over that of the average mantissa.
COARSEST = 1.0 / (math.sqrt(3.0) * ONE_ROUNDING)
#: More degrees of freedom than this are the normal distribution.
NORMAL = 1e6


@dataclass(frozen=True)
class Pooled:
    """The spread of one array.

    Attributes:
        sigma: standard deviation, elementwise; 0 where nothing moves the element.
        freedom: degrees of freedom of `sigma`, and of the tails of the draws.
        modes: how many independent directions the errors have: N for N independent elements, 1 where all move
            together.
        draws: K.
    """

    sigma: Array
    freedom: float
    modes: float
    draws: int


def pool(errors: Array, truth: Array | None = None) -> Pooled:
    """The spread of an array from K draws of its error.

    Args:
        errors: (K, …).
        truth: where it is not 0, an element that no draw has moved may move all the same, as its neighbours do.

    Example:
        >>> found = pool(np.random.default_rng(0).standard_normal((8, 100, 50)))
        >>> bool(abs(found.sigma - 1).max() < 0.25), found.freedom > 100, 3000 < found.modes < 7000
        (True, True, True)
    """
    K = len(errors)
    errors, variance = _mean_square(errors)
    is_moved = variance > 0
    if not is_moved.any():
        return Pooled(np.zeros_like(variance), float(K), 1.0, K)
    prior, freedom = _prior(variance, is_moved, K)
    shrunk = variance if freedom == 0 else (freedom * prior + K * variance) / (freedom + K)
    may_move = is_moved if truth is None else is_moved | (truth != 0)
    sigma = np.sqrt(np.where(is_moved, shrunk, np.where(may_move, prior, 0.0)))
    if freedom < 1.0:
        sigma = _of_one_scale(sigma)
    modes = _modes(_scaled(errors, sigma, is_moved))
    total = (freedom * prior + K * variance)[is_moved]
    tails = _freedom_of_tails(_Unforeseen.of(errors[:, is_moved], total, freedom), modes)
    if tails <= 4.0 < K:
        sigma = _of_one_scale(sigma)
    return Pooled(sigma, min(freedom + K, tails, NORMAL), modes, K)


def _of_one_scale(sigma: Array) -> Array:
    """At least the array's root mean square, where draws of one element say nothing of it.

    That is where what its row and column say is worth less than one draw, or where tails have four degrees of freedom
    or less, so that a mean of squares has no variance itself: a softmax between ties, of scores that err by more than
    1, is 0 in all draws and 1 in the next.
    """
    return np.where(sigma > 0, np.maximum(sigma, np.sqrt(np.mean(np.square(sigma)))), 0.0)


def _mean_square(errors: Array) -> tuple[Array, Array]:
    """The draws without those that left the range of numbers, and the mean square of each element's."""
    is_finite = np.isfinite(errors)
    if is_finite.all():
        return errors, np.mean(np.square(errors, dtype=np.float64), axis=0)
    errors = np.where(is_finite, errors, 0.0)
    return errors, np.square(errors, dtype=np.float64).sum(0) / np.maximum(is_finite.sum(0), 1)


def _prior(variance: Array, is_moved: Any, K: int) -> tuple[Array, float]:
    """What variance an element would have by its row and column, and how many draws that knowledge is worth."""
    logs = np.log(np.where(is_moved, variance, 1.0)) - psi(K / 2) + math.log(K / 2)  # unbiased for log sigma^2
    common, fitted = _by_row_and_column(logs, is_moved)
    count = int(is_moved.sum())
    residual = (logs - common)[is_moved]
    left = count - fitted
    if left < 1:
        return variance, 0.0
    excess = max(float(np.square(residual).sum() / left) - _trigamma(K / 2), 0.0)
    excess += _trigamma(K / 2) * fitted / count  # the fit is known from draws, too
    freedom = min(2.0 * _inverse_trigamma(excess), NORMAL)
    return np.exp(common + psi(freedom / 2) - math.log(freedom / 2)), freedom


def _by_row_and_column(logs: Array, is_moved: Any) -> tuple[Array, int]:
    """The additive fit of the last axis (columns) and all others (rows), and how many numbers it took."""
    shape = logs.shape
    columns = shape[-1] if logs.ndim else 1
    table, weight = logs.reshape(-1, columns), is_moved.reshape(-1, columns).astype(float)
    fit = np.zeros_like(table)
    for axis in (1, 0, 1, 0):  # alternating means: at once exact where nothing is missing
        if table.shape[axis] > 1:
            fit = fit + _means(table - fit, weight, axis)
    if table.size == 1:
        return logs, 1
    terms = sum(n for n, other in (table.shape, table.shape[::-1]) if other > 1)
    return fit.reshape(shape), terms - (1 if min(table.shape) > 1 else 0)


def _means(values: Array, weight: Array, axis: int) -> Array:
    total = (values * weight).sum(axis, keepdims=True)
    return total / np.maximum(weight.sum(axis, keepdims=True), 1.0)


def _trigamma(x: float) -> float:
    return float(zeta(2, x))


def _inverse_trigamma(value: float) -> float:
    """x with trigamma(x) = value, by Newton's method on 1 / trigamma (Smyth, 2004, appendix)."""
    if value > 1e7:
        return value**-0.5
    if value < 1e-6:
        return 1.0 / value
    x = 0.5 + 1.0 / value
    for _ in range(50):
        trigamma = _trigamma(x)
        step = trigamma * (1.0 - trigamma / value) / (-2.0 * float(zeta(3, x)))
        x += step
        if abs(step) < 1e-9 * x:
            break
    return x


def _scaled(errors: Array, sigma: Array, is_moved: Any) -> Array:
    """(K, N): the draws in standard deviations, of the elements that move."""
    return (errors[:, is_moved] / sigma[is_moved]).astype(np.float32)


@dataclass(frozen=True)
class _Unforeseen:
    """The draws, each in the standard deviations that the other draws and the prior would have given it."""

    draws: int
    largest: float
    kurtosis: float

    @classmethod
    def of(cls, errors: Array, total: Array, freedom: float) -> _Unforeseen:
        K, largest, second, fourth = len(errors), 0.0, 0.0, 0.0
        for draw in errors if K > 1 else ():
            square = np.square(draw, dtype=np.float64)
            square *= (freedom + K - 1) / np.maximum(total - square, 2.0**-52 * total)
            largest = max(largest, float(square.max()))
            second, fourth = second + float(square.sum()), fourth + float(np.square(square).sum())
        return cls(K, math.sqrt(largest), fourth * errors.size / second**2 if second else 0.0)


def _freedom_of_tails(found: _Unforeseen, modes: float) -> float:
    """The degrees of freedom of Student's distribution that has such tails.

    By the kurtosis, 3 + 6 / (freedom - 4); and the largest that the largest draw does not refute at the 5 % level.
    """
    by_kurtosis = 4.0 + 6.0 / max(found.kurtosis - 3.0, 6.0 / NORMAL)
    rate = 0.05 / (found.draws * modes)
    if found.largest <= largest_of(1, by_kurtosis, rate):
        return by_kurtosis
    low, high = 0.0, math.log(by_kurtosis)
    for _ in range(40):
        middle = (low + high) / 2.0
        low, high = (low, middle) if largest_of(1, math.exp(middle), rate) < found.largest else (middle, high)
    return math.exp(low)


def _modes(scaled: Array) -> float:
    """N^2 / tr C^2 of the correlations C: of independent draws, the mean of (z_j · z_k)^2 is tr C^2."""
    K, N = scaled.shape
    if K < 2:
        return 1.0
    gram = scaled @ scaled.T
    pairs = np.square(gram[np.triu_indices(K, 1)], dtype=np.float64).mean()
    size = float(np.trace(gram)) / K
    return float(np.clip(size * size / max(pairs, 1e-30), 1.0, N))


# -- limits ----------------------------------------------------------------------------------------------------------


def largest_of(count: int, freedom: float, rate: float) -> float:
    """What none of `count` elements exceeds, in standard deviations, but with probability `rate` (Bonferroni).

    Example:
        >>> round(largest_of(1, 1e6, 0.05), 2), round(largest_of(50265, 1e6, 1e-9), 1)
        (1.96, 7.7)
    """
    return float(-stdtrit(freedom, rate / (2 * max(count, 1))))


def mean_square_limit(found: Pooled, count: int, rate: float) -> float:
    """What the root mean square of error / sigma exceeds with probability `rate`: Fisher's F of the modes.

    The square of a Student's variable is d / (d - 2) in the mean, for d degrees of freedom. And where tails are heavy,
    a mean is as large as one element makes it ("a single big jump"), for which it has room besides. A mean over many is
    so sharp that the one thing shows which the model takes on average, how large a rounding is for the mantissas at
    hand: so they are taken at their coarsest.

    Args:
        found: the spread.
        count: how many squares are averaged.
        rate: of false alarms.

    Example:
        >>> spread = Pooled(np.ones(1000), NORMAL, 1000.0, 24)
        >>> round(mean_square_limit(spread, 1000, 1e-9) / COARSEST, 2)
        1.16
    """
    if found.freedom <= 2.0:
        return math.inf
    square = float(fdtri(found.modes, found.draws * found.modes, 1.0 - rate)) * found.freedom / (found.freedom - 2.0)
    single = largest_of(count, found.freedom, rate) ** 2 / max(count, 1)
    return COARSEST * math.sqrt(square + single)
