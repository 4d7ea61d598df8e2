"""Which rows a step learns from, and on which device.

All rows of all epochs stand in one line. Step s learns from the places s B to (s + 1) B - 1, whoever computes: so a run
that goes on with other devices goes on with the same rows, in the same order, under the same masks.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from roberta.tokenizer.data import IGNORED
from roberta.tokenizer.data.shards import PackedRows, RowCollator, ShuffledRows, TokenShards

Ids = NDArray[np.int64]


class Corpus(Protocol):
    """An endless line of rows: all of them, shuffled and masked anew in each epoch, one epoch after the other.

    A row and its mask are a function of its place in the line, and of nothing else.

    Attributes:
        length: ids in a row, at most.
        vocab_size: ids are below it.
        identity: what tells this line from others; for JSON.
    """

    length: int
    vocab_size: int
    identity: Mapping[str, Any]

    def masked(self, first: int, count: int) -> tuple[Ids, Ids]:
        """What the model sees from a place on, and what it has to guess, else `IGNORED`: (count, T) twice."""
        ...

    def save_tokenizer(self, folder: Path) -> None:
        """Write what turns text into these ids."""
        ...


class ShardCorpus:
    """Rows of full sentences from token shards, which `roberta tokenize-corpus` writes.

    Args:
        folder: of the shards.
        tokenizer: that made them; a copy of it goes into the checkpoint.
        length: ids in a row, at most: 512 in the paper.
        seed: of the order and of the masks.
        mask_probability: chance of a token to be chosen: 80 % of these are masked, 10 % are replaced, 10 % stay.
    """

    def __init__(
        self, folder: Path, tokenizer: Any, length: int = 512, seed: int = 0, mask_probability: float = 0.15
    ) -> None:
        shards = TokenShards(folder, tokenizer)
        self.tokenizer, self.length, self.vocab_size = tokenizer, length, shards.index.tokenizer.vocab_size
        self.rows = ShuffledRows(PackedRows(shards, length), seed, epochs=None)
        self.collate = RowCollator(shards, length, seed=seed, probability=mask_probability)
        digest = sha256("".join(record.sha256 for record in shards.index.shards).encode()).hexdigest()
        self.identity = {"shards": digest, "length": length, "seed": seed, "mask_probability": mask_probability}
        self.tokens = shards.tokens

    def masked(self, first: int, count: int) -> tuple[Ids, Ids]:
        """What the model sees from a place on, and what it has to guess: (count, T) twice."""
        batch = self.collate([self.rows[place] for place in range(first, first + count)])
        return batch["input_ids"], batch["labels"]

    def save_tokenizer(self, folder: Path) -> None:
        """Write the tokenizer."""
        self.tokenizer.save_pretrained(folder)


class Batch(NamedTuple):
    """What one process learns from in a step, cut for its devices, and for each into pieces that fit its memory.

    Attributes:
        ids: (devices, pieces, B, T), masked.
        places: (devices, pieces, B, M): where in its row a token was hidden; what is left of M is 0.
        labels: (devices, pieces, B, M): the true ids there; what is left is `IGNORED`.
    """

    ids: Ids
    places: Ids
    labels: Ids

    @property
    def count(self) -> int:
        """How many tokens are to be guessed."""
        return int((self.labels != IGNORED).sum())


class Layout(NamedTuple):
    """Who computes: this process, of how many, on how many devices each, so many rows at once."""

    rank: int = 0
    world: int = 1
    devices: int = 1
    rows_at_once: int = 1

    @classmethod
    def of(cls, batch: int, rank: int, world: int, devices: int, rows_at_once: int | None = None) -> Layout:
        """Check that the batch can be cut so.

        Raises:
            ValueError: the devices, or the pieces, would get different numbers of rows.
        """
        if batch % (world * devices):
            message = (
                f"batch: expected a multiple of the {world * devices} devices, got {batch}; give --batch, or use "
                "another number of them"
            )
            raise ValueError(message)
        share = batch // (world * devices)
        rows_at_once = share if rows_at_once is None else rows_at_once
        if rows_at_once < 1 or share % rows_at_once:
            message = (
                f"rows_at_once: expected a divisor of the {share} rows that each of {world * devices} devices gets of "
                f"a batch of {batch}, got {rows_at_once}"
            )
            raise ValueError(message)
        return cls(rank, world, devices, rows_at_once)


def batch_of(corpus: Corpus, step: int, size: int, layout: Layout) -> Batch:
    """What this process learns from in a step."""
    share = size // layout.world
    return cut(*corpus.masked(step * size + layout.rank * share, share), layout)


def cut(masked: Ids, labels: Ids, layout: Layout) -> Batch:
    """Cut rows for devices and pieces, and note where tokens are to be guessed: logits are wanted there only.

    All rows have as many places, M, as the fullest needs, up to a multiple of 8: compiled engines meet few shapes.

    Example:
        >>> batch = cut(np.array([[0, 4, 5, 2]]), np.array([[-100, -100, 9, -100]]), Layout())
        >>> batch.places[0, 0].tolist(), batch.labels[0, 0].tolist()
        ([[2, 0, 0, 0, 0, 0, 0, 0]], [[9, -100, -100, -100, -100, -100, -100, -100]])
    """
    is_hidden = labels != IGNORED  # B T
    counts = is_hidden.sum(1)  # B
    most = -(-max(1, int(counts.max())) // 8) * 8
    row, place = np.nonzero(is_hidden)  # M of all rows
    nth = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    places = np.zeros((len(labels), most), np.int64)  # B M
    targets = np.full((len(labels), most), IGNORED)  # B M
    places[row, nth], targets[row, nth] = place, labels[row, place]
    shape = (layout.devices, -1, layout.rows_at_once)
    return Batch(*(x.reshape(*shape, x.shape[1]) for x in (masked, places, targets)))
