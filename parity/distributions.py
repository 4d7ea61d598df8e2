"""The special functions of `statistics`: SciPy's where it is there, else their series and integrals, within 1e-8.

A browser has no SciPy unless 13.5 MB are downloaded, and budgets are derived there, too. The names and the arguments
are SciPy's. The quantiles are those of the far tails that limits are made of, at most 0.05 of the probability: there

    P(F > f) = integral of p(z) dz from z = ln(f) / 2 on                      (Fisher's z, whose density is log-concave)
             = p(z) / s times the integral of exp(-v) g(v) dv from 0 on,      s = -(ln p)'(z),  g <= 1, smooth

is a Gauss-Laguerre sum, and Newton's method on the concave ln P finds the quantile from either side.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np

__all__ = ["fdtri", "psi", "stdtrit", "zeta"]

#: B_2j, the numbers of Bernoulli: what the formula of Euler and Maclaurin adds to a sum.
BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6)
#: From here on its series is within 1e-16.
FAR = 12
#: Of the Gauss-Laguerre sum.
NODES = 128


def series_psi(x: float) -> float:
    """The digamma function of x > 0.

    Example:
        >>> round(series_psi(1.0), 12)  # minus Euler's constant
        -0.577215664902
    """
    count = max(FAR - int(x), 0)
    far = x + count
    tail = sum(b / (2 * j * far ** (2 * j)) for j, b in enumerate(BERNOULLI, 1))
    return math.log(far) - 0.5 / far - tail - math.fsum(1.0 / (x + k) for k in range(count))


def series_zeta(s: float, x: float) -> float:
    """The zeta function of Hurwitz, the sum of (x + k)^-s over k = 0, 1, …, for s > 1 and x > 0.

    Example:
        >>> round(series_zeta(2, 1.0), 12) == round(math.pi**2 / 6, 12)
        True
    """
    count = max(FAR - int(x), 0)
    far = x + count
    total = math.fsum((x + k) ** -s for k in range(count)) + far ** (1 - s) / (s - 1) + 0.5 * far**-s
    factor = s * far ** (-s - 1)  # s (s + 1) … (s + 2j - 2) far^(-s - 2j + 1)
    for j, b in enumerate(BERNOULLI, 1):
        total += b / math.factorial(2 * j) * factor
        factor *= (s + 2 * j - 1) * (s + 2 * j) / far**2
    return total


def tail_stdtrit(freedom: float, rate: float) -> float:
    """What Student's variable is below with probability `rate`, at most 0.025: -sqrt(f) of Fisher's with 1 degree.

    Example:
        >>> round(tail_stdtrit(10.0, 0.025), 6)
        -2.228139
    """
    return -math.exp(_tail(1.0, freedom, 2.0 * rate))


def tail_fdtri(above: float, below: float, probability: float) -> float:
    """What Fisher's variable with these degrees of freedom is below with this probability, at least 0.95.

    Example:
        >>> round(tail_fdtri(3.0, 20.0, 0.95), 6)
        3.098391
    """
    return math.exp(2.0 * _tail(above, below, 1.0 - probability))


@cache
def _tail(a: float, b: float, rate: float) -> float:
    """Fisher's z = ln(F) / 2 that is exceeded with probability `rate`."""
    z = 1.5 * math.sqrt((1.0 / a + 1.0 / b) / 2.0)  # beyond the mode, which is at 0
    for _ in range(100):
        log_tail, hazard = _log_tail(a, b, z)
        step = (log_tail - math.log(rate)) / hazard
        z = max(z + step, z / 2.0)
        if abs(step) <= 1e-12:
            break
    return z


def _log_tail(a: float, b: float, z: float) -> tuple[float, float]:
    """ln P(Z > z), z > 0, and minus its derivative."""
    nodes, weights = _laguerre()
    slope = a * b * math.expm1(2.0 * z) / (a * math.exp(2.0 * z) + b)
    log_density = _log_density(a, b, z)
    ratios = np.exp(_log_density(a, b, z + nodes / slope) - log_density + nodes)
    length = float(weights @ ratios) / slope
    return float(log_density) + math.log(length), 1.0 / length


def _log_density(a: float, b: float, z: Any) -> Any:
    """2 a^(a/2) b^(b/2) / B(a/2, b/2) exp(a z) / (a exp(2 z) + b)^((a + b) / 2), relative to its value at z = 0."""
    n = a + b
    log_beta = math.lgamma(a / 2.0) + math.lgamma(b / 2.0) - math.lgamma(n / 2.0)
    at_mode = math.log(2.0) - log_beta - a / 2.0 * math.log1p(b / a) - b / 2.0 * math.log1p(a / b)
    with np.errstate(over="ignore"):  # so far out there is nothing
        return at_mode + a * z - n / 2.0 * np.log1p(a / n * np.expm1(2.0 * z))


@cache
def _laguerre() -> tuple[Any, Any]:
    return np.polynomial.laguerre.laggauss(NODES)


try:
    from scipy.special import fdtri, psi, stdtrit
    from scipy.special import zeta as zeta  # pyright: ignore[reportUnknownVariableType]
except ImportError:
    fdtri, psi, stdtrit, zeta = tail_fdtri, series_psi, tail_stdtrit, series_zeta
