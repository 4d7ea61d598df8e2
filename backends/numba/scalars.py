"""Functions of one number, which the kernels call for each of their own.

In float64, `erf` and `exp` are the C library's. In float32 polynomials take their place, which a vector unit computes
for sixteen numbers at once. Their coefficients are minimax fits, made for this file by iterated weighting.

A constant is said to be of the number's own dtype, `number(0.5)`: a compiled loop would otherwise compute in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba.extending import overload

from .compiler import OPTIONS, inner

Number = Any


@inner
def erf_single(x: Number) -> Number:
    """The error function in float32: x P(x²) / Q(x²), and the sign beyond 3.96.

    Of all normal x the worst is 7.3844 u off, at 3.7090933; of x spread evenly below 3.96 the rms is 1.22 u.
    """
    # Comparisons with NaN are false, so NaN goes through. At the end the quotient is 1 or a rounding above: cut to 1.
    one, end = np.float32(1.0), np.float32(3.96)
    x = end if x > end else x
    x = -end if x < -end else x
    t = x * x
    p = np.float32(2.05006185e-06)
    p = p * t + np.float32(0.000284864865)
    p = p * t + np.float32(0.00376515885)
    p = p * t + np.float32(0.0527472764)
    p = p * t + np.float32(0.190396872)
    p = p * t + np.float32(1.12837915)
    q = np.float32(3.80905167e-05)
    q = q * t + np.float32(0.00116241046)
    q = q * t + np.float32(0.0149683021)
    q = q * t + np.float32(0.114104986)
    q = q * t + np.float32(0.502067578)
    q = q * t + one
    y = x * p / q
    y = one if y > one else y
    return -one if y < -one else y


@inner
def exp_single(x: Number) -> Number:
    """The exponential in float32: 2^n exp(r), n the nearest integer to x / log 2.

    Of all x for which it is normal the worst is 1.4014 u off, at 37.77723.
    """
    low, high = np.float32(-110.0), np.float32(95.0)
    x = low if x < low else x  # beyond, the result is 0 or infinity all the same
    x = high if x > high else x
    # Adding 1.5 * 2^23 leaves no room for a fraction: the sum's last bits are n. NaN has no integer, but stays NaN.
    magic = np.float32(12582912.0)
    shifted = np.float32(x * np.float32(1.44269504) + magic)
    n = shifted - magic
    r = x - n * np.float32(0.693359375) - n * np.float32(-0.00021219444)  # log 2 in two parts: the first is exact
    p = np.float32(0.00138145964)
    p = p * r + np.float32(0.00836871709)
    p = p * r + np.float32(0.0416683881)
    p = p * r + np.float32(0.166665206)
    p = p * r + np.float32(0.499999934)
    p = p * r * r + r + np.float32(1.0)
    # 2^n in two factors: n may lie beyond the range of exponents where the result does not.
    exponent = shifted.view(np.int32) - magic.view(np.int32)
    half = exponent >> 1
    first = np.int32((half + 127) << 23).view(np.float32)
    second = np.int32((exponent - half + 127) << 23).view(np.float32)
    return p * first * second


def erf(x: Number) -> Number:
    """The error function."""
    return math.erf(x)


def exp(x: Number) -> Number:
    """The exponential."""
    return math.exp(x)


@overload(erf, jit_options=OPTIONS, strict=False)
def _erf(x: Any) -> Callable[..., Any]:
    """What a kernel calls for `erf`, by the type of x."""
    return (lambda x: erf_single(x)) if x == numba.float32 else (lambda x: math.erf(x))


@overload(exp, jit_options=OPTIONS, strict=False)
def _exp(x: Any) -> Callable[..., Any]:
    """What a kernel calls for `exp`, by the type of x."""
    return (lambda x: exp_single(x)) if x == numba.float32 else (lambda x: math.exp(x))


# -- activations ---------------------------------------------------------------------------------------------------


@inner
def keep(x: Number) -> Number:
    """No activation."""
    return x


@inner
def gelu(x: Number) -> Number:
    """0.5 x (1 + erf(x / sqrt(2)))."""
    number = type(x)
    return number(0.5) * x * (number(1.0) + erf(x / number(1.4142135623730951)))


@inner
def gelu_new(x: Number) -> Number:
    """0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))."""
    number = type(x)
    inside = number(0.7978845608028654) * (x + number(0.044715) * (x * x * x))
    return number(0.5) * x * (number(1.0) + math.tanh(inside))


@inner
def relu(x: Number) -> Number:
    """max(x, 0)."""
    number = type(x)
    return number(0.0) if x < number(0.0) else x


@inner
def silu(x: Number) -> Number:
    """x / (1 + exp(-x)), from exp(-|x|), which does not overflow."""
    number = type(x)
    power = exp(-abs(x))
    share = number(1.0) if x >= number(0.0) else power
    return x * (share / (number(1.0) + power))
