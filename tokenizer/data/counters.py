"""Random numbers by place: each is a function of a seed and of where it is wanted, and of nothing that came before.

A generator with a state has to be wound forward to where a run was interrupted, and what it gives depends on how the
work was dealt out. A counter-based one has no state: it scrambles the number of the place. This is Philox with four
words of 32 bits, a block cipher of ten rounds, which passes the tests of randomness that are known (BigCrush) whatever
counters it is asked for. A round multiplies two of the words, and exchanges the halves of the products:

    (c₀, c₁, c₂, c₃) ← (hi(M₁ c₂) ⊕ c₁ ⊕ k₀,  lo(M₁ c₂),  hi(M₀ c₀) ⊕ c₃ ⊕ k₁,  lo(M₀ c₀))

and the key (k₀, k₁) goes on by a constant. For a fixed key that is a bijection of 128 bits: two places never share a
counter, so nowhere are numbers used twice.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["philox", "row_words"]

Words = NDArray[np.uint64]

#: The multipliers, and what is added to the key after each round.
M0, M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
W0, W1 = 0x9E3779B9, 0xBB67AE85
ROUNDS = 10
LOW, HALF = np.uint64(0xFFFFFFFF), np.uint64(32)

#: Blocks at a time: so many that the calls cost little, and so few that all stays in a processor's second cache.
CHUNK = 8192


def philox(counters: tuple[ArrayLike, ArrayLike, ArrayLike, ArrayLike], key: int) -> NDArray[np.uint32]:
    """Scramble counters: Philox-4x32-10.

    Args:
        counters: four words of 32 bits, scalars or arrays that broadcast to a shape (...).
        key: 64 bits.

    Returns:
        (..., 4) uint32.

    Source:
        Salmon, Moraes, Dror, Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3", section 3.3.

    Example:
        The first of the authors' known answers.

        >>> [hex(word) for word in philox((0, 0, 0, 0), key=0).tolist()]
        ['0x6627e8d5', '0xe169c58d', '0xbc57ac4c', '0x9b00dbd8']
    """
    arrays: Any = np.broadcast_arrays(*(np.asarray(counter, dtype=np.uint64) for counter in counters))
    shape, flat = arrays[0].shape, [np.ravel(array) for array in arrays]
    words = np.empty((flat[0].size, 4), dtype=np.uint32)
    for begin in range(0, len(words), CHUNK):
        part = slice(begin, begin + CHUNK)
        _scramble([array[part].copy() for array in flat], key, words[part])
    return words.reshape(*shape, 4)


def _scramble(counters: list[Words], key: int, words: NDArray[np.uint32]) -> None:
    """All rounds, in place: words of 32 bits lie in 64, so that a product has room."""
    c0, c1, c2, c3 = counters
    k0, k1 = key & 0xFFFFFFFF, key >> 32
    for _ in range(ROUNDS):
        c0 *= M0
        c2 *= M1
        # c1 and c3 take the low halves of the products; what was in them goes, with the high halves, into c0 and c2.
        c1 ^= c2 >> HALF
        c1 ^= np.uint64(k0)
        c2 &= LOW
        c3 ^= c0 >> HALF
        c3 ^= np.uint64(k1)
        c0 &= LOW
        c0, c1, c2, c3 = c1, c2, c3, c0
        k0, k1 = (k0 + W0) & 0xFFFFFFFF, (k1 + W1) & 0xFFFFFFFF
    for at, word in enumerate((c0, c1, c2, c3)):
        words[:, at] = word


def row_words(seed: int, epochs: ArrayLike, rows: ArrayLike, length: int) -> NDArray[np.uint32]:
    """One word for each token of each row.

    The counter of a token is (column / 4, row, epoch): four columns share a scrambled block. So a word depends on
    neither the batch nor the length of its rows.

    Args:
        seed: 0 to 2⁶⁴ - 1.
        epochs: (B,), or one for all; 0 to 2³² - 1.
        rows: (B,), the number of each row in the corpus, 0 to 2⁶⁴ - 1.
        length: T.

    Returns:
        (B, T) uint32, uniform.

    Example:
        >>> words = row_words(seed=1, epochs=0, rows=[5, 7], length=6)
        >>> bool((words[1, :3] == row_words(1, 0, [7], 3)).all())
        True
    """
    rows, epochs = np.asarray(rows, dtype=np.uint64)[:, None], np.asarray(epochs, dtype=np.uint64)  # B 1
    blocks = np.arange(-(-length // 4), dtype=np.uint64)  # T/4
    counters = blocks, rows & LOW, rows >> HALF, epochs[..., None] if epochs.ndim else epochs
    return philox(counters, seed).reshape(len(rows), -1)[:, :length]  # B T
