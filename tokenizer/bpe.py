"""Step 3 of the ladder: byte-pair encoding, which joins neighbouring symbols by learned rank.

A piece begins as one symbol for each byte. Of all neighbouring pairs that a merge knows, the one of lowest
rank is joined, the leftmost of equals first, until no pair is known any more.
"""

import heapq
from collections.abc import Iterable, Mapping
from itertools import chain, pairwise

from .alphabet import BYTE_TO_SYMBOL
from .pretokenize import split_pieces

__all__ = ["ByteLevelBPE"]

Merges = Mapping[tuple[int, int], tuple[int, int]]
"""A pair of ids -> (rank, id of the joined symbol)."""

# Measured: below this length scanning for the best pair beats a heap; above it the scan's square cost shows.
_SCAN_LIMIT = 40


class ByteLevelBPE:
    """Encodes text as ids of a byte-level vocabulary; it knows of no special token.

    Args:
        vocab: symbol string -> id, at least 0.
        merges: pairs of symbol strings, the lowest rank first. Both and their joined form must be in ``vocab``.
        unk_id: the id of a byte that the vocabulary lacks.
        cache_size: how many pieces are remembered at most.

    Raises:
        ValueError: a merge that the vocabulary lacks.

    Source:
        Sennrich et al. 2016, "Neural Machine Translation of Rare Words with Subword Units", section 3.2.

    Example:
        >>> vocab = {"<unk>": 0, "a": 1, "b": 2, "ab": 3, "aba": 4}
        >>> bpe = ByteLevelBPE(vocab, [("a", "b"), ("ab", "a")], unk_id=0)
        >>> bpe.encode("ababaab?")  # ab ab a ab, then ab aba ab; and this vocabulary has no ?
        [3, 4, 3, 0]
    """

    def __init__(
        self,
        vocab: Mapping[str, int],
        merges: Iterable[tuple[str, str]],
        unk_id: int,
        cache_size: int = 65536,
    ) -> None:
        self.merges: Merges = _ranked(vocab, merges)
        self.unk_id = unk_id
        self._id_of_byte = [vocab.get(symbol, unk_id) for symbol in BYTE_TO_SYMBOL]
        self._cache = _PieceCache(self, cache_size)

    def encode(self, text: str) -> list[int]:
        """Encode a text without special tokens.

        Args:
            text: any text without lone surrogates.

        Returns:
            Its ids.
        """
        return list(chain.from_iterable(map(self._cache.__getitem__, split_pieces(text))))

    def encode_piece(self, piece: str) -> list[int]:
        """Encode one piece, without looking into the cache.

        Args:
            piece: what `split_pieces` cuts a text into.

        Returns:
            Its ids.
        """
        ids = list(map(self._id_of_byte.__getitem__, piece.encode()))
        return _merge_by_scan(ids, self.merges) if len(ids) <= _SCAN_LIMIT else _merge_by_heap(ids, self.merges)


class _PieceCache(dict[str, tuple[int, ...]]):
    """Piece -> ids, computed on first sight. A dict's own look-up is what makes running text fast."""

    # Longer pieces hardly ever come twice; remembering them would cost memory without bound.
    longest_kept = 64

    def __init__(self, bpe: ByteLevelBPE, size: int) -> None:
        super().__init__()
        self._bpe = bpe
        self._size = size

    def __missing__(self, piece: str) -> tuple[int, ...]:
        ids = tuple(self._bpe.encode_piece(piece))
        if len(piece) <= self.longest_kept:
            if len(self) >= self._size:
                # Starting afresh costs a few thousand merges, and no bookkeeping on every hit.
                self.clear()
            self[piece] = ids
        return ids


def _ranked(vocab: Mapping[str, int], merges: Iterable[tuple[str, str]]) -> Merges:
    """Turn merges of strings into merges of ids; of a pair that comes twice, the later rank counts."""
    ranked: dict[tuple[int, int], tuple[int, int]] = {}
    for rank, (left, right) in enumerate(merges):
        try:
            ranked[vocab[left], vocab[right]] = rank, vocab[left + right]
        except KeyError as error:
            raise ValueError(
                f"merges: expected both parts and their joined form in the vocabulary, got merge {rank} ({left!r}, "
                f"{right!r}) while vocab lacks {error.args[0]!r}; the two files do not belong together: fetch both "
                "from one checkpoint"
            ) from None
    return ranked


def _merge_by_scan(ids: list[int], merges: Merges) -> list[int]:
    """Look at all pairs, join the best, repeat: the definition itself, good for short pieces.

    >>> _merge_by_scan([1, 1, 1], {(1, 1): (0, 2)})
    [2, 1]
    """
    none = (len(merges), -1)
    while len(ids) > 1:
        candidates = [merges.get(pair, none) for pair in pairwise(ids)]
        best = min(candidates)
        if best is none:
            break
        at = candidates.index(best)
        ids[at : at + 2] = [best[1]]
    return ids


def _merge_by_heap(ids: list[int], merges: Merges) -> list[int]:
    """Give the result of `_merge_by_scan` in n log n steps, for pieces of any length.

    The symbols are a doubly linked list over their first places; the heap holds (rank, place, joined id, the
    two parts). An entry is stale where the parts at its place have changed since.

    >>> _merge_by_heap([1, 1, 1], {(1, 1): (0, 2)})
    [2, 1]
    """
    size = len(ids)
    after = [*range(1, size), -1]
    before = list(range(-1, size - 1))
    heap = [(*merges[pair], at) for at, pair in enumerate(pairwise(ids)) if pair in merges]
    heap = [(rank, at, joined) for rank, joined, at in heap]
    heapq.heapify(heap)
    while heap:
        rank, at, joined = heapq.heappop(heap)
        right = after[at]
        if ids[at] < 0 or right < 0 or merges.get((ids[at], ids[right]), (-1, -1))[0] != rank:
            continue
        ids[at], ids[right] = joined, -1
        following = after[at] = after[right]
        if following >= 0:
            before[following] = at
        for left, neighbour in ((before[at], at), (at, following)):
            if left >= 0 and neighbour >= 0 and (ids[left], ids[neighbour]) in merges:
                next_rank, next_joined = merges[ids[left], ids[neighbour]]
                heapq.heappush(heap, (next_rank, left, next_joined))
    return [symbol for symbol in ids if symbol >= 0]
