"""Flat tokens in sizes of few kinds, for engines that compile a program for each shape: counted on the host."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ...reference.embeddings import Integers
from .flat import Flat

#: Sizes above this are rounded up to a multiple of it; those below to a power of two.
BUCKET = 64


def bucket(size: int) -> int:
    """The size of a program that has room for so many.

    Example:
        >>> [bucket(size) for size in (0, 9, 17, 64, 65, 485)]
        [8, 16, 32, 64, 128, 512]
    """
    if size > BUCKET:
        return -(-size // BUCKET) * BUCKET
    return max(8, 1 << (max(size, 1) - 1).bit_length())


class Places(NamedTuple):
    """Where tokens are, for a program: in the flat order, and in rows, for attention. Of arrays of any engine.

    Attributes:
        rows: (B, S) the flat places of each row's tokens; `fill` where there is none.
        flat: (n,) b * S + s, where each flat token is in the rows.
        is_key: (B, S) booleans.
        is_uniform: (B,) booleans: the row looks at all of its tokens alike.
        wanted: (w,) flat places whose vectors are wanted of the last layer; None for all.
    """

    rows: Any
    flat: Any
    is_key: Any
    is_uniform: Any
    wanted: Any

    @property
    def is_even(self) -> bool:
        """Whether, counted on the host, the tokens are rows as they lie, and each looks at all of its row."""
        return len(self.flat) == self.rows.size and bool(self.is_key.all()) and not self.is_uniform.any()


def filled(values: Any, size: int, empty: int) -> Any:
    """As many as there is room for: (n, …) -> (size, …), with `empty` behind.

    Example:
        >>> filled(np.array([5, 6]), 4, 0)
        array([5, 6, 0, 0])
    """
    if len(values) == size:
        return values
    room = [(0, size - len(values)), *[(0, 0)] * (values.ndim - 1)]
    return np.pad(values, room, constant_values=empty)


def places(flat: Flat, n: int, S: int, wanted_count: int, fill: int) -> Places:
    """Where the tokens are.

    Args:
        flat: which tokens are computed.
        n: how many the program has room for.
        S: how many tokens a row has room for.
        wanted_count: for how many wanted tokens there is room.
        fill: what stands in `rows` where a row has no token.

    Example:
        >>> flat = Flat((2, 3), np.array([0, 1, 3]), np.array([0, 2, 3]), np.array([2, 1]), np.zeros(2, bool), None)
        >>> places(flat, 4, 2, 0, fill=9).rows
        array([[0, 1],
               [2, 9]])
    """
    counts, B = flat.counts, max(flat.shape[0], 1)  # a batch of nothing is computed as a row of nothing
    row = np.repeat(np.arange(flat.shape[0]), counts)  # n
    place: Integers = np.arange(len(row)) - flat.starts[row]  # n
    rows = np.full((B, S), fill)  # B S
    rows[row, place] = np.arange(len(row))
    is_key = np.arange(S) < filled(flat.key_counts, B, 0)[:, None]  # B S
    wanted = None if flat.wanted is None else filled(flat.wanted, wanted_count, 0)  # w
    return Places(rows, filled(row * S + place, n, 0), is_key, filled(flat.is_uniform, B, 0), wanted)
