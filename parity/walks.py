"""How far the partial sums of a sum walk: the size of the error that adding up makes, whatever the order.

`arithmetic` says what it is for; `docs/budgets.md` derives it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..reference.layers import Array

#: Terms that are equal by chance, a pair here and there, make no difference worth sorting all weights for.
CHANCE = 1.1
#: In so many blocks is a sum's natural order followed.
BLOCKS = 8


def walk_of_product(left: Array, right: Array, result: Array) -> Array:
    """sqrt(sum of S_k^2 + sum of p^2) for every element of left @ right: how far its partial sums walk.

    The larger of the mean over all orders of adding, and of the natural order, followed in blocks: the walk within a
    block is a bridge from one partial sum to the next.

    Example:
        >>> ones, nearly = np.ones((1, 1000)), np.linspace(0.999, 1.001, 1000)[:, None]
        >>> walk = walk_of_product(ones, nearly, ones @ nearly)  # S_k = k, so the sum of squares is n^3 / 3
        >>> round(float(walk[0, 0]) / (1000**1.5 / 3**0.5), 2)
        1.0
    """
    if right.ndim == 2 and left.ndim > 2:  # all rows at once
        rows = walk_of_product(left.reshape(-1, left.shape[-1]), right, result.reshape(-1, result.shape[-1]))
        return rows.reshape(result.shape)
    with np.errstate(over="ignore", invalid="ignore"):
        # In float32, where its squares have room: the size of an error needs no more digits.
        steps = _steps(*(value.astype(np.float32) for value in (left, right, result)))
    if not np.isfinite(steps.max(initial=0.0)):
        steps = _steps(left, right, result)
    return np.sqrt(steps)


def _steps(left: Array, right: Array, result: Array) -> Array:
    """The square of the walk."""
    n = left.shape[-1]
    squares = (left * left) @ (right * right)
    any_order = (n + 1) / 6.0 * (2.0 * result * result + squares)
    step = max(-(-n // BLOCKS), 1)
    reached = np.zeros_like(squares)
    natural = step / 6.0 * squares
    for start in range(0, n, step):
        part = slice(start, start + step)
        reached += left[..., part] @ right[..., part, :]
        natural += step * (reached * reached)
    steps = np.maximum(any_order, natural - step / 2.0 * (reached * reached)) + squares
    alike = _coherence(left)[..., None]
    if alike.max(initial=1.0) > CHANCE:  # products are equal where both factors are
        steps *= np.minimum(alike, _coherence(right.swapaxes(-1, -2))[..., None, :])
    return steps


def walk_of_sum(terms: Array, result: Array, axis: Any) -> Array:
    """The same for a plain sum, whose natural order is followed step by step."""
    rows = terms.reshape(1, -1) if axis is None else np.moveaxis(terms, axis, -1)
    total = rows.sum(-1)
    squares = np.square(rows).sum(-1)
    any_order = (rows.shape[-1] + 1) / 6.0 * (2.0 * total * total + squares)
    natural = np.square(np.cumsum(rows, axis=-1)).sum(-1)
    return np.sqrt(_coherence(rows) * np.maximum(any_order, natural)).reshape(np.shape(result))


def _coherence(rows: Array) -> Array:
    """How many terms of a row err alike, in the mean: equal ones do.

    The sum that has been reached is a multiple of its unit in the last place, so a step loses what the term has below
    that, whatever the sum is. Errors of m equal terms add up to a variance of m^2, not m; terms of 0 lose nothing.

    Example:
        >>> _coherence(np.array([[3.0, 3.0, 3.0, 3.0], [1.0, 2.0, 3.0, 4.0], [5.0, 5.0, 7.0, 0.0]])).tolist()
        [4.0, 1.0, 1.6666666666666667]
    """
    ordered = np.sort(rows, axis=-1)
    begins = np.concatenate([np.ones_like(ordered[..., :1], bool), ordered[..., 1:] != ordered[..., :-1]], axis=-1)
    counts = begins & (ordered != 0)
    if counts.all():
        return np.ones(rows.shape[:-1])
    places = np.arange(rows.shape[-1])
    first = np.maximum.accumulate(np.where(begins, places, 0), axis=-1)
    pairs = np.where(ordered != 0, 2 * (places - first) + 1, 0).sum(-1)  # 1 + 3 + 5 + … = m^2
    return pairs / np.maximum((ordered != 0).sum(-1), 1)


def walk_of_contraction(multiply: Callable[[Array, Array], Array], left: Array, right: Array, result: Array) -> Array:
    """The same for a contraction: in the mean over all orders of adding."""
    n = left.shape[-1]
    squares = multiply(left * left, right * right)
    return np.sqrt((n + 1) / 6.0 * (2.0 * result * result + squares) + squares)
