"""Packing: sentences become rows, in the four ways that RoBERTa's authors compared.

Rows of full sentences may go on into the next document (`pack_full_sentences`), rows of doc-sentences may not
(`pack_doc_sentences`). RoBERTa is trained on the former. For next-sentence prediction, which they dropped, a row is of
two segments (`pack_segment_pairs`, `pack_sentence_pairs`).

Each format gives a stream, a `Packing`: documents are read as rows are asked for, and the corpus is never held in
memory; of pairs, a row and a bounded pool of segments.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from .corpus import Document, as_integers, require_room
from .streams import Packing

__all__ = [
    "PairRow",
    "pack_doc_sentences",
    "pack_full_sentences",
    "pack_segment_pairs",
    "pack_sentence_pairs",
    "stack_rows",
]


# -- the formats -------------------------------------------------------------------------------------------------------


def pack_full_sentences(
    documents: Iterable[Document], max_length: int, *, bos: int = 0, eos: int = 2
) -> Packing[list[int]]:
    """Pack sentences into rows ``<s> sentence sentence … </s>``.

    A sentence goes into the row where it fits, else it begins the next one. Where a row goes on into another
    document, one more ``eos`` stands between them. A sentence longer than a row is cut into full rows; its
    remainder begins the next row.

    Args:
        documents: documents of sentences of ids, without special tokens. Empty sentences and documents leave no trace.
        max_length: ids in a row at most, the two special tokens included; at least 3.
        bos: id that begins each row.
        eos: id that ends each row and parts documents.

    Returns:
        A stream of rows of 3 to ``max_length`` ids.

    Raises:
        TypeError: ``documents`` is a text or a record; as rows are drawn, a document or sentence is one.
        ValueError: ``max_length`` leaves no room for a token; as rows are drawn, a sentence has its special tokens.

    Source:
        Liu et al. 2019, "RoBERTa: A Robustly Optimized BERT Pretraining Approach", section 4.2, FULL-SENTENCES.

    Example:
        >>> documents = [[[10, 11, 12], [13]], [[20, 21]]]
        >>> list(pack_full_sentences(documents, max_length=9))
        [[0, 10, 11, 12, 13, 2, 20, 21, 2]]
        >>> list(pack_full_sentences(documents, max_length=6))
        [[0, 10, 11, 12, 13, 2], [0, 20, 21, 2]]
    """
    return Packing(documents, _FullRows(max_length, (bos, eos), crosses=True))


def pack_doc_sentences(
    documents: Iterable[Document], max_length: int, *, bos: int = 0, eos: int = 2
) -> Packing[list[int]]:
    """Pack sentences as `pack_full_sentences` does, but begin a new row with each document.

    The last row of a document is as short as it comes out; the paper then puts more rows into a batch. Arguments,
    result and errors are those of `pack_full_sentences`.

    Source:
        Liu et al. 2019, section 4.2, DOC-SENTENCES.

    Example:
        >>> list(pack_doc_sentences([[[10, 11, 12], [13]], [[20, 21]]], max_length=9))
        [[0, 10, 11, 12, 13, 2], [0, 20, 21, 2]]
    """
    return Packing(documents, _FullRows(max_length, (bos, eos), crosses=False))


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

    As many whole sentences as fit are taken and cut in two at random. By a fair coin B is the second part (label 0), or
    a segment of another document (label 1); the second part then begins the next row. So each sentence of a document
    comes once, as A or true B, in order.

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
        TypeError: as in `pack_full_sentences`.
        ValueError: as in `pack_full_sentences`; there is no room for two tokens, or no pool.

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
    return Packing(documents, _PairRows(max_length, (bos, eos), seed, pool_size, is_single=False))


def pack_sentence_pairs(
    documents: Iterable[Document], max_length: int, *, seed: int, pool_size: int = 64, bos: int = 0, eos: int = 2
) -> Packing[PairRow]:
    """Pack single sentences in pairs: `pack_segment_pairs` with segments of one sentence.

    Rows are much shorter than ``max_length``; the paper puts more of them into a batch. Arguments, result and errors
    are those of `pack_segment_pairs`.

    Source:
        Liu et al. 2019, section 4.2, SENTENCE-PAIR+NSP.

    Example:
        >>> list(pack_sentence_pairs([[[10], [11, 12]]], max_length=9, seed=0))
        [{'input_ids': [0, 10, 2, 2, 11, 12, 2], 'next_sentence_label': 0}]
    """
    return Packing(documents, _PairRows(max_length, (bos, eos), seed, pool_size, is_single=True))


# -- packers -----------------------------------------------------------------------------------------------------------


def _room(max_length: int, shortest: str) -> int:
    """Count the places that special tokens leave in a row, of which the shortest is spelled out."""
    least = len(shortest.split(", "))
    if max_length < least:
        raise ValueError(
            f"max_length: expected at least {least} ({shortest}), got {max_length}; pass the model's usable length, "
            "such as 512"
        )
    return max_length - least + shortest.count("token")


class _FullRows:
    """Rows of whole sentences; ``crosses`` says whether a row goes on into the next document."""

    def __init__(self, max_length: int, frame: tuple[int, int], *, crosses: bool) -> None:
        self.largest, self.frame, self._crosses = _room(max_length, "bos, one token, eos"), frame, crosses
        self._row: list[int] = []
        self._is_parted = False  # a document ended since the last sentence

    def add(self, sentence: list[int]) -> Iterator[list[int]]:
        separator = [self.frame[1]] if self._is_parted and self._row else []
        if len(self._row) + len(separator) + len(sentence) > self.largest:
            yield from self.end()
            separator = []
        self._row += [*separator, *sentence]
        self._is_parted = False

    def end_document(self) -> Iterator[list[int]]:
        self._is_parted = True
        return iter(()) if self._crosses else self.end()

    def end(self) -> Iterator[list[int]]:
        bos, eos = self.frame
        row, self._row = self._row, []
        if row:
            yield [bos, *row, eos]

    def state_dict(self) -> dict[str, Any]:
        return {"row": list(self._row), "is_parted": self._is_parted}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._row, self._is_parted = list(state["row"]), state["is_parted"]


Sentences = list[list[int]]


class _PairRows:
    """Rows of two segments; ``is_single`` says whether a segment is one sentence."""

    def __init__(self, max_length: int, frame: tuple[int, int], seed: int, pool_size: int, *, is_single: bool) -> None:
        if pool_size < 1:
            raise ValueError(f"pool_size: expected at least 1 foreign segment, got {pool_size}; 64 is the default")
        self._room = _room(max_length, "bos, a token, eos, eos, a token, eos")
        self.largest, self.frame = self._room // 2, frame  # any two sentences then make a row
        self._seed, self._pool_size, self._is_single = seed, pool_size, is_single
        self._waiting: Sentences = []  # of this document, for a row
        self._foreign: list[Sentences] = []  # segments of the documents before
        self._own: list[Sentences] = []  # segments of this document
        self._own_count = 0  # that they are a choice of
        self._draws = 0

    def add(self, sentence: list[int]) -> Iterator[PairRow]:
        while self._is_full(sentence):
            yield from self._pair()
        self._waiting.append(sentence)

    def end_document(self) -> Iterator[PairRow]:
        while self._waiting:
            yield from self._pair()
        both = [*self._foreign, *self._own]
        order = self._rng().permutation(len(both))[: self._pool_size]
        self._foreign, self._own, self._own_count = [both[index] for index in order], [], 0

    def end(self) -> Iterator[PairRow]:
        return iter(())

    def _is_full(self, sentence: list[int]) -> bool:
        are_two = self._is_single and len(self._waiting) == 2
        return are_two or sum(map(len, self._waiting)) + len(sentence) > self._room

    def _pair(self) -> Iterator[PairRow]:
        """Make a row of what waits; what it does not use goes on waiting."""
        rng, (bos, eos) = self._rng(), self.frame
        self._sample(self._waiting, rng)
        cut = int(rng.integers(1, len(self._waiting))) if len(self._waiting) > 1 else 1
        first, second = self._waiting[:cut], self._waiting[cut:]
        is_foreign = bool(self._foreign) and (not second or rng.random() < 0.5)
        self._waiting = second if is_foreign else []
        if is_foreign:
            second = self._foreign_segment(self._room - sum(map(len, first)), rng)
        if second:
            a, b = chain.from_iterable(first), chain.from_iterable(second)
            yield {"input_ids": [bos, *a, eos, eos, *b, eos], "next_sentence_label": int(is_foreign)}

    def _foreign_segment(self, room: int, rng: np.random.Generator) -> Sentences:
        """Draw foreign sentences that fit; the first is cut where even it does not."""
        segment = self._foreign[int(rng.integers(len(self._foreign)))]
        begin = int(rng.integers(len(segment)))
        taken = [segment[begin][:room]]
        for sentence in [] if self._is_single else segment[begin + 1 :]:
            if sum(map(len, taken)) + len(sentence) > room:
                break
            taken.append(sentence)
        return taken

    def _sample(self, segment: Sentences, rng: np.random.Generator) -> None:
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
        pools = {"chunk": list(self._waiting), "foreign": list(self._foreign), "own": list(self._own)}
        return {**pools, "own_count": self._own_count, "draws": self._draws}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._waiting, self._foreign, self._own = (list(state[name]) for name in ("chunk", "foreign", "own"))
        self._own_count, self._draws = state["own_count"], state["draws"]


# -- arrays ------------------------------------------------------------------------------------------------------------


def stack_rows(
    rows: Iterable[Sequence[int]], max_length: int, *, pad: int = 1, count: int | None = None
) -> NDArray[np.int64]:
    """Stack rows into one array, padded at the right.

    Args:
        rows: rows of at most ``max_length`` ids, such as `pack_full_sentences` yields.
        max_length: columns of the array.
        pad: id that fills the rows up.
        count: how many rows to take from the stream; None for all.

    Returns:
        int64 array of shape (rows, ``max_length``); (0, ``max_length``) where the stream is at its end.

    Raises:
        TypeError: a row is something else than ids.
        ValueError: a row is too long.

    Example:
        >>> stack_rows([[0, 10, 2], [0, 20, 21, 2]], max_length=4)
        array([[ 0, 10,  2,  1],
               [ 0, 20, 21,  2]])
    """
    remedy = "pass (row['input_ids'] for row in pairs) where rows are records"
    taken = [as_integers(row, f"row {at}", remedy) for at, row in enumerate(islice(rows, count))]
    require_room(taken, max_length)
    stacked = np.full((len(taken), max_length), pad, dtype=np.int64)
    for padded, row in zip(stacked, taken, strict=True):
        padded[: len(row)] = row
    return stacked
