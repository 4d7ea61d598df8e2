"""Packing a shard: where its rows begin, in each of three formats, without a look at any token.

A row is a stretch of a shard's tokens. What is not among the tokens is told by where documents end: between two of them
stands an ``eos``. So a row is known by four numbers: where it begins, how many tokens it takes, and which of the ends
of documents (*breaks*) lie within it.

Rows of sentences are the greedy rows of `pack_full_sentences` and `pack_doc_sentences`, and equal to them. Let B(x) be
the number of breaks below x. A row that begins at s and ends with the sentence that ends at e has e - s tokens, and
between them as many breaks as lie strictly within: B(e) - B(s + 1). It fits where

    e + B(e)  ≤  s + B(s + 1) + room,

and the left side grows with e. So one binary search finds, for each sentence, where a row that began with it would end;
from the first sentence on, that is followed from row to row.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .reading import Shard

__all__ = ["PACKINGS", "PackingName", "RowTable", "frame_of", "pack"]

PackingName = Literal["full-sentences", "doc-sentences", "blocks"]
PACKINGS: dict[PackingName, int] = {"full-sentences": 2, "doc-sentences": 2, "blocks": 0}
"""The formats, and how many special tokens begin and end a row of each."""

Offsets = NDArray[np.int64]


class RowTable(NamedTuple):
    """The rows of a shard.

    Args:
        rows: (R, 4): where the row begins, in tokens; how many tokens it takes; which break is its first; how many
            breaks lie in it.
        breaks: ends of documents, in tokens, each once.
    """

    rows: Offsets
    breaks: Offsets


def frame_of(packing: str) -> int:
    """How many special tokens begin and end a row: 2, or 0 for blocks.

    Raises:
        ValueError: there is no such packing.
    """
    if packing not in PACKINGS:
        raise ValueError(f"packing: expected one of {', '.join(PACKINGS)}, got {packing!r}")
    return PACKINGS[packing]


def pack(shard: Shard, max_length: int, packing: PackingName) -> RowTable:
    """Find the rows of a shard.

    Args:
        shard: its sentences and documents are looked at, its tokens not.
        max_length: ids in a row at most, special tokens included.
        packing: ``"full-sentences"``; ``"doc-sentences"``, whose rows end with their document; or ``"blocks"``, all
            tokens in one line, an ``eos`` behind each document, cut every ``max_length`` ids.

    Returns:
        The rows, in the order of the text.

    Example:
        >>> from roberta.tokenizer.data.shards.writing import ShardBuilder
        >>> import safetensors.numpy
        >>> builder = ShardBuilder("uint16")
        >>> builder.add([[10, 11, 12], [13]])
        >>> builder.add([[20, 21]])
        >>> shard = Shard(**safetensors.numpy.load(builder.to_bytes()))
        >>> pack(shard, 9, "full-sentences")
        RowTable(rows=array([[0, 6, 0, 1]]), breaks=array([4, 6]))
        >>> pack(shard, 5, "doc-sentences").rows.tolist()
        [[0, 3, 0, 0], [3, 1, 0, 0], [4, 2, 1, 0]]
        >>> pack(shard, 5, "blocks").rows.tolist()
        [[0, 4, 0, 1], [4, 2, 1, 1]]
    """
    ends = shard.sentence_ends.astype(np.int64)
    of_documents = shard.document_ends.astype(np.int64)
    breaks = np.unique(ends[of_documents[of_documents > 0] - 1])
    if packing == "blocks":
        return RowTable(_blocks(len(shard.tokens), breaks, max_length), breaks)
    pieces = _pieces(ends, max_length - frame_of(packing))
    begins = _begins(pieces, breaks, max_length - frame_of(packing), crosses=packing == "full-sentences")
    following = np.append(begins[1:], pieces[-1:])
    first = np.searchsorted(breaks, begins, side="right")
    within = np.searchsorted(breaks, following, side="left") - first
    return RowTable(np.stack([begins, following - begins, first, within], axis=1), breaks)


def _pieces(ends: Offsets, room: int) -> Offsets:
    """Where sentences end, and those parts that longer ones than a row are cut into.

    >>> _pieces(np.array([2, 9]), room=3)
    array([2, 5, 8, 9])
    """
    lengths: Offsets = np.diff(ends, prepend=0)
    counts: Offsets = -(-lengths // room)
    nth: Offsets = np.arange(1, int(counts.sum()) + 1) - np.repeat(counts.cumsum() - counts, counts)
    return np.minimum(np.repeat(ends - lengths, counts) + nth * room, np.repeat(ends, counts))


def _begins(pieces: Offsets, breaks: Offsets, room: int, *, crosses: bool) -> Offsets:
    """Where each row begins, in tokens."""
    starts = np.append(0, pieces[:-1])[: len(pieces)]
    passed = np.searchsorted(breaks, starts, side="right")  # B(s + 1)
    if crosses:
        sizes = pieces + np.searchsorted(breaks, pieces, side="left")  # e + B(e)
        following = np.searchsorted(sizes, starts + passed + room, side="right")
    else:
        following = np.searchsorted(pieces, np.minimum(starts + room, breaks[passed]), side="right")
    places: list[int] = []
    steps, at = following.tolist(), 0
    while at < len(steps):
        places.append(at)
        at = steps[at]
    return starts[np.array(places, dtype=np.int64)]


def _blocks(count: int, breaks: Offsets, length: int) -> Offsets:
    """Cut the line of all tokens and of an ``eos`` behind each document."""
    stops = breaks + np.arange(len(breaks))  # where each eos stands in that line
    begins = np.arange(0, count + len(breaks), length)
    ends = np.minimum(begins + length, count + len(breaks))
    first, last = (np.searchsorted(stops, edges, side="left") for edges in (begins, ends))
    return np.stack([begins - first, (ends - last) - (begins - first), first, last - first], axis=1)


def join(out: NDArray[Any], tokens: NDArray[Any], breaks: Offsets, begin: int, eos: int) -> None:
    """Write a row's tokens into ``out``, and an ``eos`` where a document ends.

    >>> row = np.zeros(6, np.int64)
    >>> join(row, np.array([5, 6, 7, 8]), np.array([12, 14]), begin=10, eos=2)
    >>> row
    array([5, 6, 2, 7, 8, 2])
    """
    done = 0
    for nth, place in enumerate((breaks - begin).tolist()):
        out[done + nth : place + nth] = tokens[done:place]
        out[place + nth] = eos
        done = place
    out[done + len(breaks) :] = tokens[done:]
