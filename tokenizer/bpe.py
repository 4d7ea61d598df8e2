"""Byte-pair encoding, which joins neighbouring symbols by learned rank.

A piece begins as one symbol for each byte. Of all neighbouring pairs that a merge knows, the one of lowest
rank is joined, the leftmost of equals first, until no pair is known any more.
"""

import heapq
import re
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, pairwise, repeat
from typing import NamedTuple, TypeVar, cast

from .pieces import BYTE_TO_SYMBOL, SYMBOL_TO_BYTE, WORDS, split_pieces

__all__ = ["ByteLevelBPE", "Memory", "MergeTable", "merge_steps"]

K = TypeVar("K", str, bytes)
T = TypeVar("T")

# Measured: below this length looking at all ranks for the best beats a queue; above it the square cost shows.
_SCAN_LIMIT = 40


class MergeTable(NamedTuple):
    """The merges, by ids.

    Args:
        ranks: pair of ids -> rank.
        joined: rank -> id of the joined symbol.
    """

    ranks: Mapping[tuple[int, int], int]
    joined: list[int]


class ByteLevelBPE:
    """Encodes text as ids of a byte-level vocabulary; it knows of no special token.

    Args:
        vocab: symbol string -> id, at least 0.
        merges: pairs of symbol strings, the lowest rank first. Both and their joined form must be in ``vocab``.
        unk_id: the id of a byte that the vocabulary lacks.
        cache_size: how many words are remembered at most, and how many of their parts. 65,536 take some 20 MB of
            running English, 40 of Chinese, and 100 at the worst.

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
        merges = list(merges)
        self.merges = _ranked(vocab, merges)
        self.unk_id = unk_id
        self._id_of_byte = [vocab.get(symbol, unk_id) for symbol in BYTE_TO_SYMBOL]
        # What stands for several bytes may be joined where they would not.
        self._split_parts = _WHOLE.findall if unk_id in self._id_of_byte else _part_pattern(merges).findall
        self.memory = Memory(self._encode_word, cache_size)
        """Word or piece -> its ids."""
        self._parts = Memory(self._merge, cache_size)

    def encode(self, text: str) -> list[int]:
        """Encode a text without special tokens.

        Args:
            text: any text without lone surrogates.

        Returns:
            Its ids.
        """
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Encode texts without special tokens.

        Args:
            texts: as `encode` takes them.

        Returns:
            The ids of each.
        """
        look_up = self.memory.__getitem__
        return [list(chain.from_iterable(map(look_up, WORDS.findall(text)))) for text in texts]

    def encode_piece(self, piece: str) -> list[int]:
        """Encode one piece, without looking into the memory.

        Args:
            piece: what `split_pieces` cuts a text into.

        Returns:
            Its ids.
        """
        return list(self._merge(piece.encode()))

    def byte_ids(self, piece: str) -> list[int]:
        """Return the symbols that a piece begins as.

        Args:
            piece: any text without lone surrogates.

        Returns:
            One id for each byte.
        """
        return list(map(self._id_of_byte.__getitem__, piece.encode()))

    def _encode_word(self, word: str) -> tuple[int, ...]:
        is_ascii = word.isascii()
        if is_ascii and word.lstrip(" ").isalpha():  # one piece, as most words are
            return self._merge(word.encode())
        pieces = split_pieces(word)
        if len(pieces) > 1:
            encoded = map(self.memory.__getitem__, pieces)
        elif is_ascii:
            return self._merge(word.encode())
        else:
            encoded = map(self._parts.__getitem__, self._split_parts(word.encode()))
        return tuple(chain.from_iterable(encoded))

    def _merge(self, data: bytes) -> tuple[int, ...]:
        ids = list(map(self._id_of_byte.__getitem__, data))
        return tuple(_merge_short(ids, self.merges) if len(ids) <= _SCAN_LIMIT else _merge_long(ids, self.merges))


class Memory(dict[K, T]):
    """Word -> what was computed for it on first sight. A dict's own look-up is what makes running text fast.

    What is full forgets one word in eight, whichever: no bookkeeping on a look-up, and a word that comes often is
    soon back. So texts that hold half as many words again as are remembered still find a third of them.

    Args:
        compute: gives the value of a word.
        size: how many words are remembered at most.

    Example:
        >>> lengths = Memory(len, size=1000)
        >>> lengths["word"], list(lengths)
        (4, ['word'])
    """

    # Longer words hardly ever come twice; remembering them would cost memory without bound.
    longest_kept = 32

    def __init__(self, compute: Callable[[K], T], size: int) -> None:
        super().__init__()
        self._compute = compute
        self._size = size

    def __reduce__(self) -> tuple[type["Memory[K, T]"], tuple[Callable[[K], T], int]]:
        # What is remembered is no part of a tokenizer that is copied, or sent to a data loader's worker.
        return Memory, (self._compute, self._size)

    def __missing__(self, word: K) -> T:
        value = self._compute(word)
        if len(word) <= self.longest_kept:
            self.keep(word, value)
        return value

    def keep(self, word: K, value: T) -> None:
        """Remember the value of a word.

        Args:
            word: the word.
            value: its value.
        """
        if len(self) >= self._size:
            # Another thread may be at the same.
            for forgotten in list(self)[::8]:
                self.pop(forgotten, None)
        self[word] = value


def _ranked(vocab: Mapping[str, int], merges: Iterable[tuple[str, str]]) -> MergeTable:
    """Turn merges of strings into merges of ids; of a pair that comes twice, the later rank counts."""
    ranks: dict[tuple[int, int], int] = {}
    joined: list[int] = []
    for rank, merge in enumerate(merges):
        if isinstance(cast("object", merge), str) or len(merge) != 2:
            raise ValueError(f"merges: expected pairs of str, got {merge!r} at rank {rank}; split lines at the space")
        left, right = merge
        try:
            ranks[vocab[left], vocab[right]] = rank
            joined.append(vocab[left + right])
        except KeyError as error:
            raise ValueError(
                f"merges: expected both parts and their joined form in the vocabulary, got merge {rank} ({left!r}, "
                f"{right!r}) while vocab lacks {error.args[0]!r}; the two files do not belong together: fetch both "
                "from one checkpoint"
            ) from None
    return MergeTable(ranks, joined)


_WHOLE = re.compile(rb"(?s:.+)")


def _part_pattern(merges: Iterable[tuple[str, str]]) -> re.Pattern[bytes]:
    r"""Compile what cuts a piece into parts that no merge joins.

    Two symbols are joined only if some merge has their bytes, the last of the left and the first of the right one,
    side by side. In an English vocabulary that is rare for the first bytes of other scripts (0xC2 and above):
    there nearly every character is a part by itself. Before other bytes there is no cut.

    >>> _part_pattern([("Ã", "©"), ("a", "Ã")]).findall("aébé".encode())
    [b'a\xc3\xa9b', b'\xc3\xa9']
    """
    joined_to: defaultdict[int, set[int]] = defaultdict(set)
    for left, right in merges:
        joined_to[SYMBOL_TO_BYTE.get(right[0], 0)].add(SYMBOL_TO_BYTE.get(left[-1], 0))
    firsts: defaultdict[frozenset[int], list[int]] = defaultdict(list)
    for first in range(0xC0, 0x100):
        firsts[frozenset(joined_to[first])].append(first)
    goes_on = [
        b"[%b](?<=[%b][%b])" % (_escaped(after), _escaped(before), _escaped(after))
        for before, after in firsts.items()
        if before
    ]
    return re.compile(rb"(?s:.)(?:%b)*+" % b"|".join([rb"[\x00-\xbf]", *goes_on]))


def _escaped(values: Iterable[int]) -> bytes:
    return b"".join(b"\\x%02x" % value for value in values)


def _merge_short(ids: list[int], merges: MergeTable) -> list[int]:
    """Take the lowest rank of all pairs, join that pair, repeat: the definition itself, good for short pieces.

    >>> _merge_short([1, 1, 1], MergeTable({(1, 1): 0}, [2]))
    [2, 1]
    """
    rank_of, none = merges.ranks.get, len(merges.joined)
    ranks = list(map(rank_of, pairwise(ids), repeat(none)))
    while ranks and (best := min(ranks)) < none:
        at = ranks.index(best)
        ids[at : at + 2] = [merges.joined[best]]
        del ranks[at]
        # Only the pairs at both sides of the joined symbol are new.
        if at > 0:
            ranks[at - 1] = rank_of((ids[at - 1], ids[at]), none)
        if at < len(ranks):
            ranks[at] = rank_of((ids[at], ids[at + 1]), none)
    return ids


def _merge_long(ids: list[int], merges: MergeTable) -> list[int]:
    """Give the result of `_merge_short` for pieces of any length, in time that hardly grows faster than they do.

    >>> _merge_long([1, 1, 1], MergeTable({(1, 1): 0}, [2]))
    [2, 1]
    """
    deque(merge_steps(ids, merges), maxlen=0)
    return [symbol for symbol in ids if symbol != _GONE]


_GONE = -2
"""Stands in the place of a symbol that has become part of the one before it. (-1 is an id of no token.)"""


def merge_steps(ids: list[int], merges: MergeTable) -> Iterator[tuple[int, int, int]]:
    """Join pairs one by one, in the order of the definition.

    The symbols are a doubly linked list over their first places. One queue holds the ranks that wait, and each
    rank has a queue of the places where its pair was seen; a place is stale where the pair has changed since.
    (A long piece repeats itself: queues of plain numbers, each short or in order already, cost less than one
    queue of all ranks and places.)

    Args:
        ids: the symbols, one for each byte; a joined symbol takes the place of its first byte, and what it
            swallowed becomes -2.
        merges: the merges.

    Returns:
        The rank of each merge and the places of its two parts, just before ``ids`` changes.

    Example:
        >>> list(merge_steps([1, 1, 1, 1], MergeTable({(1, 1): 0, (2, 2): 1}, [2, 3])))
        [(0, 0, 1), (0, 2, 3), (1, 0, 2)]
    """
    rank_of, joined = merges.ranks.get, merges.joined
    end = len(ids)
    after, before = list(range(1, end + 1)), list(range(-1, end - 1))
    places: defaultdict[int, list[int]] = defaultdict(list)
    for at, pair in enumerate(pairwise(ids)):
        if (rank := rank_of(pair)) is not None:
            places[rank].append(at)
    queue = sorted(places)
    while queue:
        rank = queue[0]
        if not places[rank]:
            del places[heapq.heappop(queue)]
            continue
        at = heapq.heappop(places[rank])
        right = after[at]
        if right == end or rank_of((ids[at], ids[right])) != rank:
            continue
        yield rank, at, right
        ids[at], ids[right] = joined[rank], _GONE
        following = after[at] = after[right]
        if following < end:
            before[following] = at
        for left, neighbour in ((before[at], at), (at, following)):
            if left >= 0 and neighbour < end and (found := rank_of((ids[left], ids[neighbour]))) is not None:
                if found not in places:
                    heapq.heappush(queue, found)
                heapq.heappush(places[found], left)
