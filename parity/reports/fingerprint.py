"""Which arithmetic a product is computed in, found by asking: small products whose result tells how it was formed.

Every probe is a sum of a few terms that float32 cannot hold exactly. Which of the possible results comes out says
whether products are rounded before they are added (no fused multiply-add), how wide the sum is, in how many parts it is
formed, how many digits of the factors are read (TF32 and bfloat16 drop some), whether subnormals are zero, how results
are rounded, and whether the same product is the same twice. Nothing is assumed of the machine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...reference.layers import Array

#: (m, k), (k, n) -> (m, n): float32 arrays of NumPy in and out.
Product = Callable[[Array, Array], Array]

#: Rows and columns of each probe: enough that a library takes the way that it takes for layers.
SIZE = 32
#: Terms of a sum: more than any number of partial sums that a register or a tile holds.
TERMS = 1024
#: How far apart two terms are that might meet in the same partial sum: next to each other, or a number of lanes.
STRIDES = tuple(2**i for i in range(8))
#: The explicit digits of float32's significand; and what a known number of them is called.
DIGITS = 23
FORMATS = {23: "float32", 10: "TF32 or float16", 7: "bfloat16"}


def fingerprint(product: Product) -> dict[str, Any]:
    """The arithmetic of a matrix product.

    Args:
        product: computes `a @ b` of two float32 arrays of NumPy, (m, k) and (k, n).

    Returns:
        Names -> strings and numbers, which JSON can hold:

        * "factor digits": how many binary digits of a factor are read, after the first: 23, TF32 10, bfloat16 7;
        * "factors": the format that has so many;
        * "accumulation": "wider than float32", "float32, in order", "float32, in parts" or "narrower than float32";
        * "partial sums": about how many, where it is in parts;
        * "fused multiply-add": "yes", "no", or "unknown" where factors are cut or sums are wider;
        * "subnormal factors" and "subnormal results": "kept" or "zero";
        * "rounding": "to nearest even", "toward zero", "other" or "unknown";
        * "same twice": whether the same product is the same to the bit;
        * "same alone": whether a row is the same to the bit, alone and among others.

    Source: each of these results follows from IEEE 754's rounding rules; Fasi, Higham, Mikaitis and Pranesh, Numerical
    behavior of NVIDIA tensor cores (2021), find the same properties of matrix units in this way.

    Example:
        >>> found = fingerprint(lambda a, b: (a.astype("float64") @ b.astype("float64")).astype("float32"))
        >>> found["factors"], found["accumulation"], found["rounding"]
        ('float32', 'wider than float32', 'to nearest even')
    """
    digits = _factor_digits(product)
    accumulation, parts = _accumulation(product)
    return {
        "factor digits": digits,
        "factors": FORMATS.get(digits, f"{digits} digits"),
        "accumulation": accumulation,
        "partial sums": parts,
        "fused multiply-add": _fused(product) if digits == DIGITS and accumulation.startswith("float32") else "unknown",
        "subnormal factors": _kept(_dot(product, [2.0**-140], [1.0])),
        "subnormal results": _kept(_dot(product, [2.0**-100], [2.0**-40])),
        "rounding": _rounding(product) if digits == DIGITS else "unknown",
        **_repeatability(product),
    }


def _dot(product: Product, a: Sequence[float] | Array, b: Sequence[float] | Array) -> float:
    """The sum of a_k b_k, as one element of a product of SIZE equal rows with SIZE equal columns."""
    left = np.zeros((SIZE, max(len(a), SIZE)), np.float32)
    right = np.zeros((left.shape[1], SIZE), np.float32)
    left[:, : len(a)] = a
    right[: len(b)] = np.asarray(b, np.float32)[:, None]
    return float(np.asarray(product(left, right))[0, 0])


def _factor_digits(product: Product) -> int:
    """The largest p such that 1 + 2^-p comes through."""
    whole = (p for p in range(DIGITS, 0, -1) if _dot(product, [1.0 + 2.0**-p], [1.0]) == 1.0 + 2.0**-p)
    return next(whole, 0)


def _accumulation(product: Product) -> tuple[str, int | None]:
    """From 2^26, 1, 1, …: a sum in float32 and in order loses each 1; one in parts those that meet 2^26.

    Numbers there are 8 apart. The whole is one of them, so that a wider sum loses nothing; the best order of sums in
    float32, in pairs, loses 1 + 2 + 4.
    """
    many = 8 * TERMS
    if _dot(product, np.ones(many), np.ones(many)) != many:  # in bfloat16 such a sum stays at 256
        return "narrower than float32", None
    lost = TERMS - (_dot(product, [2.0**26, *[1.0] * TERMS], np.ones(TERMS + 1)) - 2.0**26)
    if lost == 0:
        return "wider than float32", None
    return ("float32, in order", 1) if lost >= TERMS else ("float32, in parts", round(TERMS / lost))


def _fused(product: Product) -> str:
    """x^2 - fl(x^2) of x = 1 + 2^-12: 2^-24 if x^2 is added to the other product before it is rounded, otherwise 0."""
    x, rounded = 1.0 + 2.0**-12, 1.0 + 2.0**-11
    for stride in STRIDES:
        left, right = np.zeros(stride + 1), np.zeros(stride + 1)
        for first, last in (((-rounded, 1.0), (x, x)), ((x, x), (-rounded, 1.0))):
            (left[0], right[0]), (left[-1], right[-1]) = first, last
            if _dot(product, left, right) != 0.0:
                return "yes"
    return "no"


def _kept(value: float) -> str:
    return "kept" if value == 2.0**-140 else "zero" if value == 0.0 else "other"


def _rounding(product: Product) -> str:
    """Two ties: one whose even neighbour is above, one whose even neighbour is below."""
    ulp = 2.0**-DIGITS
    is_up = (
        _dot(product, [1.0 + ulp], [1.5]) == 1.5 + 2 * ulp,
        _dot(product, [1.0, ulp / 2], [1.0, 1.0]) == 1.0 + ulp,
    )
    return {(True, False): "to nearest even", (False, False): "toward zero"}.get(is_up, "other")


def _repeatability(product: Product) -> dict[str, bool]:
    rng = np.random.default_rng(0)
    a = rng.standard_normal((SIZE, TERMS)).astype(np.float32)
    b = rng.standard_normal((TERMS, SIZE)).astype(np.float32)
    whole = np.array(product(a, b))
    again = [np.array(product(a, b)) for _ in range(3)]
    alone = np.concatenate([np.asarray(product(a[i : i + 1], b)) for i in range(4)])
    return {
        "same twice": all(np.array_equal(whole, other) for other in again),
        "same alone": bool(np.array_equal(whole[:4], alone)),
    }
