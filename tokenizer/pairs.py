"""Packing in pairs, for next-sentence prediction: the two formats that RoBERTa's authors tried and dropped.

A row holds a segment A and a segment B: the one that follows A in its document, or, by a fair coin, one of another
document (`pack_segment_pairs`, `pack_sentence_pairs`). What is held in memory is a row and a bounded pool of segments.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, TypedDict

import numpy as np

from .packing import Document, Packing

__all__ = ["PairRow", "pack_segment_pairs", "pack_sentence_pairs"]

Segment = list[list[int]]
"""Sentences that follow each other."""


class PairRow(TypedDict):
    """A row of two segments.

    Args:
        input_ids: ``<s> A </s> </s> B </s>``.
        next_sentence_label: 0 where B follows A in the text, 1 where it comes from another document.
    """

    input_ids: list[int]
    next_sentence_label: int


def pack_segment_pairs(
    documents: Iterable[Document], max_length: int, *, seed: int, pool_size: int = 64, bos: int = 0, eos: int = 2
) -> Packing[PairRow]:
    """Pack sentences into rows of two segments, ``<s> A </s> </s> B </s>``, for next-sentence prediction.

    As many whole sentences as fit are taken and cut in two at random. By a fair coin B is the second part
    (label 0), or a segment of another document (label 1); the second part then begins the next row. So the A and
    true B of a document, one after the other, are the document: nothing is lost, and nothing comes twice.

    Foreign segments come from a pool: a random choice of `pool_size` from the documents before this one. While
    there are none (in the first document), B is always the true one. A document's last sentence, where it is left
    alone, gets a foreign B; where there is no such, it makes no row. Sentences of more than half a row are cut.

    Args:
        documents: as in `pack_full_sentences`.
        max_length: ids in a row at most, the four special tokens included; at least 6.
        seed: of the coin, the cuts and the pool.
        pool_size: foreign segments to choose from; twice as many are held at most.
        bos: id that begins each row.
        eos: id that ends each segment, and begins the second.

    Returns:
        A stream of `PairRow`.

    Raises:
        ValueError: ``max_length`` leaves no room for two tokens, or there is no pool.

    Source:
        Liu et al. 2019, section 4.2, SEGMENT-PAIR+NSP; Devlin et al. 2019, section 3.1. Rows are as long as
        sentences let them be; a tenth of BERT's was made shorter at random.

    Example:
        >>> documents = [[[10], [11], [12]], [[20], [21]]]
        >>> for row in pack_segment_pairs(documents, max_length=7, seed=2):
        ...     print(row["input_ids"], row["next_sentence_label"])
        [0, 10, 2, 2, 11, 12, 2] 0
        [0, 20, 2, 2, 10, 11, 2] 1
        [0, 21, 2, 2, 12, 2] 1
    """
    return Packing(documents, _Pairs(_pair_room(max_length), (bos, eos), seed, pool_size, most=None))


def pack_sentence_pairs(
    documents: Iterable[Document], max_length: int, *, seed: int, pool_size: int = 64, bos: int = 0, eos: int = 2
) -> Packing[PairRow]:
    """Pack single sentences in pairs, ``<s> A </s> </s> B </s>``, for next-sentence prediction.

    As `pack_segment_pairs`, with segments of one sentence. Rows are much shorter than ``max_length``; the paper
    puts more of them into a batch.

    Args:
        documents: as in `pack_full_sentences`.
        max_length: ids in a row at most, the four special tokens included; at least 6.
        seed: of the coin and the pool.
        pool_size: foreign sentences to choose from; twice as many are held at most.
        bos: id that begins each row.
        eos: id that ends each sentence, and begins the second.

    Returns:
        A stream of `PairRow`.

    Raises:
        ValueError: ``max_length`` leaves no room for two tokens, or there is no pool.

    Source:
        Liu et al. 2019, section 4.2, SENTENCE-PAIR+NSP.

    Example:
        >>> list(pack_sentence_pairs([[[10], [11, 12]]], max_length=9, seed=0))
        [{'input_ids': [0, 10, 2, 2, 11, 12, 2], 'next_sentence_label': 0}]
    """
    return Packing(documents, _Pairs(_pair_room(max_length), (bos, eos), seed, pool_size, most=2))


def _pair_room(max_length: int) -> int:
    if max_length < 6:
        raise ValueError(
            f"max_length: expected at least 6 (bos, a token, eos, eos, a token, eos), got {max_length}; pass the "
            "model's usable length, such as 512"
        )
    return max_length - 4


class _Pairs:
    """Rows of two segments; ``most`` is the number of sentences that both have together, or None."""

    def __init__(self, room: int, frame: tuple[int, int], seed: int, pool_size: int, most: int | None) -> None:
        if pool_size < 1:
            raise ValueError(f"pool_size: expected at least 1 foreign segment, got {pool_size}; 64 is the default")
        self.largest = room // 2  # any two sentences then make a row
        self._room = room
        self._bos, self._eos = frame
        self._seed, self._pool_size, self._most = seed, pool_size, most
        self._chunk: Segment = []  # sentences of this document that wait for a row
        self._foreign: list[Segment] = []  # of the documents before
        self._own: list[Segment] = []  # of this document
        self._own_count = 0  # that it is a choice of
        self._draws = 0

    def add(self, sentence: list[int]) -> Iterator[PairRow]:
        while self._is_full(sentence):
            yield from self._pair()
        self._chunk.append(sentence)

    def end_document(self) -> Iterator[PairRow]:
        while self._chunk:
            yield from self._pair()
        both = [*self._foreign, *self._own]
        order = self._rng().permutation(len(both))[: self._pool_size]
        self._foreign, self._own, self._own_count = [both[index] for index in order], [], 0

    def end(self) -> Iterator[PairRow]:
        return iter(())

    def _is_full(self, sentence: list[int]) -> bool:
        has_most = self._most is not None and len(self._chunk) >= self._most
        return has_most or sum(map(len, self._chunk)) + len(sentence) > self._room

    def _pair(self) -> Iterator[PairRow]:
        """Make a row of what waits; what it does not use goes on waiting."""
        rng, chunk = self._rng(), self._chunk
        self._remember(chunk, rng)
        is_alone = len(chunk) == 1
        cut = 1 if is_alone else int(rng.integers(1, len(chunk)))
        first, second = chunk[:cut], chunk[cut:]
        is_foreign = bool(self._foreign) and (is_alone or rng.random() < 0.5)
        self._chunk = second if is_foreign else []
        if is_foreign:
            yield self._row(first, self._stranger(self._room - sum(map(len, first)), rng), 1)
        elif not is_alone:
            yield self._row(first, second, 0)

    def _row(self, first: Segment, second: Segment, label: int) -> PairRow:
        a, b = chain.from_iterable(first), chain.from_iterable(second)
        return {"input_ids": [self._bos, *a, self._eos, self._eos, *b, self._eos], "next_sentence_label": label}

    def _stranger(self, room: int, rng: np.random.Generator) -> Segment:
        """Draw foreign sentences that fit; the first is cut where even it does not."""
        segment = self._foreign[int(rng.integers(len(self._foreign)))]
        begin = int(rng.integers(len(segment)))
        taken = [segment[begin][:room]]
        for sentence in [] if self._most else segment[begin + 1 :]:
            if sum(map(len, taken)) + len(sentence) > room:
                break
            taken.append(sentence)
        return taken

    def _remember(self, segment: Segment, rng: np.random.Generator) -> None:
        """Keep a uniform choice of this document's segments (reservoir sampling, Vitter's algorithm R)."""
        self._own_count += 1
        if len(self._own) < self._pool_size:
            self._own.append(segment)
        elif (place := int(rng.integers(self._own_count))) < self._pool_size:
            self._own[place] = segment

    def _rng(self) -> np.random.Generator:
        # Of the seed and a counter, so that the state need not hold a generator's.
        self._draws += 1
        return np.random.default_rng([self._seed, self._draws])

    def state_dict(self) -> dict[str, Any]:
        pools = {"chunk": list(self._chunk), "foreign": list(self._foreign), "own": list(self._own)}
        return {**pools, "own_count": self._own_count, "draws": self._draws}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._chunk, self._foreign, self._own = (list(state[name]) for name in ("chunk", "foreign", "own"))
        self._own_count, self._draws = state["own_count"], state["draws"]
