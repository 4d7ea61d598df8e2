"""Packing: sentences become rows.

Rows of full sentences may go on into the next document (`pack_full_sentences`), rows of doc-sentences may not
(`pack_doc_sentences`). RoBERTa is trained on the former, without next-sentence prediction; the two formats for that are
in ``pairs``.

Each format gives a stream, a `Packing`: documents are read as rows are asked for, and the corpus is never held in
memory. A stream is a function of its documents and its options. Interrupted anywhere, it goes on from its `state_dict`
with exactly the rows that would have followed.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Generic, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["Document", "Packer", "Packing", "pack_doc_sentences", "pack_full_sentences", "stack_rows"]

Sentence = Sequence[int]
Document = Iterable[Sentence]
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


# -- the formats --------------------------------------------------------------------------------------------------


def pack_full_sentences(
    documents: Iterable[Document], max_length: int, *, bos: int = 0, eos: int = 2
) -> "Packing[list[int]]":
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
        ValueError: ``max_length`` leaves no room for a token.

    Source:
        Liu et al. 2019, "RoBERTa: A Robustly Optimized BERT Pretraining Approach", section 4.2,
        FULL-SENTENCES.

    Example:
        >>> documents = [[[10, 11, 12], [13]], [[20, 21]]]
        >>> list(pack_full_sentences(documents, max_length=9))
        [[0, 10, 11, 12, 13, 2, 20, 21, 2]]
        >>> list(pack_full_sentences(documents, max_length=6))
        [[0, 10, 11, 12, 13, 2], [0, 20, 21, 2]]
    """
    return Packing(documents, _Rows(_room(max_length), (bos, eos), crosses=True))


def pack_doc_sentences(
    documents: Iterable[Document], max_length: int, *, bos: int = 0, eos: int = 2
) -> "Packing[list[int]]":
    """Pack sentences as `pack_full_sentences` does, but begin a new row with each document.

    The last row of a document is as short as it comes out; the paper then puts more rows into a batch.

    Args:
        documents: as in `pack_full_sentences`.
        max_length: ids in a row at most, the two special tokens included; at least 3.
        bos: id that begins each row.
        eos: id that ends each row.

    Returns:
        A stream of rows of 3 to ``max_length`` ids.

    Raises:
        ValueError: ``max_length`` leaves no room for a token.

    Source:
        Liu et al. 2019, section 4.2, DOC-SENTENCES.

    Example:
        >>> list(pack_doc_sentences([[[10, 11, 12], [13]], [[20, 21]]], max_length=9))
        [[0, 10, 11, 12, 13, 2], [0, 20, 21, 2]]
    """
    return Packing(documents, _Rows(_room(max_length), (bos, eos), crosses=False))


def _room(max_length: int) -> int:
    if max_length < 3:
        raise ValueError(
            f"max_length: expected at least 3 (bos, one token, eos), got {max_length}; pass the model's "
            "usable length, such as 512"
        )
    return max_length - 2


# -- the stream --------------------------------------------------------------------------------------------------------


class Packer(Protocol[R_co]):
    """A format: takes sentences one by one, and hands out rows as they are full."""

    largest: int
    """Ids in the longest sentence that it takes."""

    def add(self, sentence: list[int]) -> Iterator[R_co]:
        """Take a sentence of 1 to `largest` ids; yield the rows that it fills."""
        ...

    def end_document(self) -> Iterator[R_co]:
        """Yield the rows that the end of a document fills."""
        ...

    def end(self) -> Iterator[R_co]:
        """Yield what is left at the end of all documents."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return what the next rows depend on, as JSON has it."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over another's state."""
        ...


class Packing(Generic[R]):
    """A stream of rows that can be interrupted.

    Args:
        documents: read once, as far as rows are asked for.
        packer: the format.

    Example:
        >>> documents = [[[10], [11]], [[20], [21]]]
        >>> rows = pack_full_sentences(documents, max_length=4)
        >>> next(rows)
        [0, 10, 11, 2]
        >>> state = rows.state_dict()
        >>> resumed = pack_full_sentences(documents, max_length=4)
        >>> resumed.load_state_dict(state)
        >>> list(resumed) == list(rows) == [[0, 20, 21, 2]]
        True
    """

    def __init__(self, documents: Iterable[Document], packer: Packer[R]) -> None:
        self._documents = documents
        self._packer = packer
        self._document = self._sentence = 0  # documents that are read, and sentences of the next one
        self._ready: deque[R] = deque()
        self._rows: Iterator[R] | None = None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> R:
        if self._rows is None:
            self._rows = self._read()
        return next(self._rows)

    def state_dict(self) -> dict[str, Any]:
        """Say where the stream stands.

        Returns:
            Numbers, strings, lists and dicts, as JSON has them: how many documents are read and how many sentences
            of the next, and what is read but not handed out.
        """
        return {
            "document": self._document,
            "sentence": self._sentence,
            "ready": list(self._ready),
            "packer": self._packer.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to where another stream stood. Documents before it are passed over unopened.

        Args:
            state: what `state_dict` of a stream with the same documents and options returned.

        Raises:
            ValueError: this stream has read from documents that can be read only once.
        """
        if self._rows is not None and iter(self._documents) is self._documents:
            raise ValueError(
                "load_state_dict: expected documents from their beginning, got an iterator that is partly read; "
                "make a new stream on fresh documents and load into that"
            )
        self._document, self._sentence = state["document"], state["sentence"]
        self._ready = deque(state["ready"])
        self._packer.load_state_dict(state["packer"])
        self._rows = self._read()

    def _read(self) -> Iterator[R]:
        # The places are counted before rows are handed out, so that a state taken between two rows is whole.
        yield from self._drain()
        for document in _after(self._documents, self._document, "documents"):
            for sentence in _after(document, self._sentence, "sentences of the next"):
                self._sentence += 1
                for begin in range(0, len(sentence), self._packer.largest):
                    self._ready.extend(self._packer.add(list(sentence[begin : begin + self._packer.largest])))
                yield from self._drain()
            self._document, self._sentence = self._document + 1, 0
            self._ready.extend(self._packer.end_document())
            yield from self._drain()
        self._ready.extend(self._packer.end())
        yield from self._drain()

    def _drain(self) -> Iterator[R]:
        while self._ready:
            yield self._ready.popleft()


T = TypeVar("T")


def _after(items: Iterable[T], count: int, what: str) -> Iterator[T]:
    """Pass over what was read before the interruption."""
    iterator = iter(items)
    passed = sum(1 for _ in islice(iterator, count))
    if passed < count:
        raise ValueError(
            f"load_state_dict: expected at least {count} {what}, which were read before, found {passed}; give the "
            "stream the documents that it had"
        )
    return iterator


class _Rows:
    """Rows of whole sentences; ``crosses`` says whether a row goes on into the next document."""

    def __init__(self, room: int, frame: tuple[int, int], crosses: bool) -> None:
        self.largest = room
        self._bos, self._eos = frame
        self._crosses = crosses
        self._row: list[int] = []
        self._is_parted = False  # a document ended since the last sentence

    def add(self, sentence: list[int]) -> Iterator[list[int]]:
        separator = [self._eos] if self._is_parted and self._row else []
        if len(self._row) + len(separator) + len(sentence) > self.largest:
            yield from self._flush()
            separator = []
        self._row += [*separator, *sentence]
        self._is_parted = False

    def end_document(self) -> Iterator[list[int]]:
        self._is_parted = True
        return iter(()) if self._crosses else self._flush()

    def end(self) -> Iterator[list[int]]:
        return self._flush()

    def _flush(self) -> Iterator[list[int]]:
        row, self._row = self._row, []
        if row:
            yield [self._bos, *row, self._eos]

    def state_dict(self) -> dict[str, Any]:
        return {"row": list(self._row), "is_parted": self._is_parted}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._row, self._is_parted = list(state["row"]), state["is_parted"]


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
        ValueError: a row is too long.

    Example:
        >>> stack_rows([[0, 10, 2], [0, 20, 21, 2]], max_length=4)
        array([[ 0, 10,  2,  1],
               [ 0, 20, 21,  2]])
    """
    taken = list(islice(rows, count))
    stacked = np.full((len(taken), max_length), pad, dtype=np.int64)
    for index, row in enumerate(taken):
        if len(row) > max_length:
            raise ValueError(
                f"rows: expected at most max_length = {max_length} ids, got {len(row)} in row {index}; "
                "pack and stack with the same max_length"
            )
        stacked[index, : len(row)] = row
    return stacked
