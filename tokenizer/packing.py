"""Full-sentence packing: rows filled to the brim with whole sentences.

RoBERTa is trained without next-sentence prediction on rows of contiguous sentences. A row may go on into the
next document; an extra separator then stands between the two. The rows are a stream: the corpus is never held
in memory.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

__all__ = ["pack_full_sentences", "stack_rows"]

Sentence = Sequence[int]
Document = Iterable[Sentence]


def pack_full_sentences(
    documents: Iterable[Document], max_length: int, *, bos: int = 0, eos: int = 2
) -> Iterator[list[int]]:
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
        A generator of rows of 3 to ``max_length`` ids.

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
    if max_length < 3:
        raise ValueError(
            f"max_length: expected at least 3 (bos, one token, eos), got {max_length}; pass the model's "
            "usable length, such as 512"
        )
    return _pack(documents, max_length - 2, bos, eos)


def _pack(documents: Iterable[Document], room: int, bos: int, eos: int) -> Iterator[list[int]]:
    row: list[int] = []
    for document in documents:
        separator = [eos] if row else []
        for sentence in _fitting(document, room):
            if len(row) + len(separator) + len(sentence) > room:
                yield [bos, *row, eos]
                row, separator = [], []
            row += [*separator, *sentence]
            separator = []
    if row:
        yield [bos, *row, eos]


def _fitting(document: Document, room: int) -> Iterator[Sentence]:
    """Yield the sentences, those that no row can hold in slices of a whole row."""
    for sentence in document:
        for begin in range(0, len(sentence), room):
            yield sentence[begin : begin + room]


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
