"""A shuffle without a list: the place of every item is computed, so that any of them is found at once.

A permutation of 76 million rows as a list takes 600 MB in every process, and seconds to make in each epoch. A cipher is
a permutation as well, which computes where one number goes, and needs nothing but its key. This one is a Feistel
network. A number x below a · b is written with two digits, x = l · b + r, with l < a and r < b. A round changes one
digit by an amount that depends on the other:

    l ← (l + f₁(r)) mod a,    r ← (r + f₂(l)) mod b,    …

Each round can be undone, whatever f is (subtract the same amount), so each is a permutation of the a · b numbers, and
so are all of them together. With functions f that are random, what four rounds give cannot be told from a random
permutation by whoever looks at far fewer than √(√n) of its places (Luby and Rackoff 1988); further rounds push that
bound up to about √n (Patarin 2004). Here are eight, and the f are hashes of 64 bits: enough to shuffle, no secret.

For n items a is √n, rounded up, and b the smallest with a · b ≥ n, so that at most √n numbers are too many. Where an
item falls on one of these, it is sent on until it falls below n (*cycle walking*, Black and Rogaway 2002): leaving the
numbers that are too many out of the cycles of a permutation leaves cycles, so a permutation. A second step is needed
with a chance of at most 1/√n.
"""

from __future__ import annotations

from math import isqrt
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

__all__ = ["Permutation"]

ROUNDS = 8
Places = NDArray[np.int64]


class Permutation:
    """A random order of ``size`` items, which is computed and not kept.

    Args:
        size: how many items, 0 to 2⁶² - 1.
        seed: of the order.
        epoch: another order for each.

    Example:
        >>> order = Permutation(size=10, seed=1, epoch=0)
        >>> order(np.arange(10))
        array([9, 8, 6, 0, 5, 2, 4, 1, 7, 3])
        >>> order(3)
        0
    """

    def __init__(self, size: int, seed: int, epoch: int) -> None:
        self.size = size
        self._left = isqrt(max(size, 1) - 1) + 1  # a
        self._right = -(-max(size, 1) // self._left)  # b
        keys = np.random.SeedSequence([seed, epoch]).generate_state(ROUNDS, np.uint64)
        self._keys: list[int] = keys.tolist()

    @overload
    def __call__(self, places: int) -> int: ...
    @overload
    def __call__(self, places: Places) -> Places: ...
    def __call__(self, places: Any) -> Any:
        """Return which item stands at a place.

        Args:
            places: 0 to ``size - 1``; one, or an array of any shape.

        Returns:
            Items from 0 to ``size - 1``; int64 where it is an array.

        Raises:
            IndexError: there is no such place.
        """
        if np.ndim(places) == 0:
            return self._item(int(places))
        items: Places = np.array(places, dtype=np.int64)
        if items.size and not 0 <= items.min() <= items.max() < self.size:
            raise IndexError(f"places: expected 0 to {self.size - 1}, got {items.min()} to {items.max()}")
        flat = self._scrambled(items.ravel())
        while (outside := np.flatnonzero(flat >= self.size)).size:
            flat[outside] = self._scrambled(flat[outside])
        return flat.reshape(items.shape)

    def _item(self, place: int) -> int:
        """The same for one place, in Python's integers, which is faster for one."""
        if not 0 <= place < self.size:
            raise IndexError(f"place: expected 0 to {self.size - 1}, got {place}")
        a, b, item = self._left, self._right, place
        while True:
            left, right = divmod(item, b)
            for at in range(0, ROUNDS, 2):
                left = (left + _mixed(right ^ self._keys[at])) % a
                right = (right + _mixed(left ^ self._keys[at + 1])) % b
            item = left * b + right
            if item < self.size:
                return item

    def _scrambled(self, items: Places) -> Places:
        """One walk through all rounds, which may end outside."""
        a, b = np.uint64(self._left), np.uint64(self._right)
        left, right = np.divmod(items.astype(np.uint64), b)
        for at in range(0, ROUNDS, 2):
            left = (left + _mixed_array(right ^ np.uint64(self._keys[at])) % a) % a
            right = (right + _mixed_array(left ^ np.uint64(self._keys[at + 1])) % b) % b
        return (left * b + right).astype(np.int64)


# -- what a round adds: a hash, of whose 64 bits each depends on all bits of x ----------------------------------------

FACTORS = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB  # Steele, Lea, Flood 2014, SplitMix; variant 13 of Stafford
ALL = 2**64 - 1


def _mixed(x: int) -> int:
    x = (x ^ (x >> 30)) * FACTORS[0] & ALL
    x = (x ^ (x >> 27)) * FACTORS[1] & ALL
    return x ^ (x >> 31)


def _mixed_array(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(FACTORS[0])
    x = (x ^ (x >> np.uint64(27))) * np.uint64(FACTORS[1])
    return x ^ (x >> np.uint64(31))
