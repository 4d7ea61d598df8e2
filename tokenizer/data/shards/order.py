"""The order of training: one endless line of rows, of which every rank and worker takes its share.

The *place* in that line is all that a run has to remember. Place g is row π(g mod n) of epoch g div n, where n is how
many rows there are and π the permutation of that epoch. It is found at once, so resuming reads nothing again; and since
it does not depend on who asks, a run may go on with another number of ranks or workers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .permutation import Permutation
from .rows import PackedRow, PackedRows

__all__ = ["BudgetBatches", "PlaceBatches", "PlacedRow", "ShuffledRows"]


class PlacedRow(PackedRow):
    """A `PackedRow`, and in which ``epoch`` it is seen."""

    epoch: int


class ShuffledRows:
    """All rows, shuffled anew in each epoch, one epoch after the other: a sequence for any framework's data loader.

    Args:
        rows: of the corpus.
        seed: of the order.
        epochs: how many; None: without end, and so without a length.

    Example:
        >>> import tempfile
        >>> from roberta.tokenizer import RobertaTokenizer
        >>> from roberta.tokenizer.data.shards import TokenShards, write_token_shards
        >>> tokenizer = RobertaTokenizer.train(["low lower lowest low"], vocab_size=263)
        >>> folder = tempfile.mkdtemp()
        >>> _ = write_token_shards([[[10]], [[20]], [[30]]], folder, tokenizer)
        >>> rows = ShuffledRows(PackedRows(TokenShards(folder), 3), seed=1, epochs=2)
        >>> [(rows[place]["epoch"], rows[place]["input_ids"].tolist()) for place in range(len(rows))]
        [(0, [0, 20, 2]), (0, [0, 10, 2]), (0, [0, 30, 2]), (1, [0, 20, 2]), (1, [0, 30, 2]), (1, [0, 10, 2])]
    """

    def __init__(self, rows: PackedRows, seed: int, epochs: int | None = 1) -> None:
        if not len(rows):
            raise ValueError(f"rows: expected at least one, got none: the corpus in {rows.shards.folder} is empty")
        self.rows, self.seed, self.epochs = rows, seed, epochs

    def __len__(self) -> int:
        """How many places: the rows times the epochs."""
        if self.epochs is None:
            raise TypeError("len: expected a number of epochs, got None; pass ShuffledRows(rows, seed, epochs=…)")
        return len(self.rows) * self.epochs

    def __getitem__(self, place: int) -> PlacedRow:
        epoch, at = self._split(place)
        return {**self.rows[_order(len(self.rows), self.seed, epoch)(at)], "epoch": epoch}

    def __iter__(self) -> Iterator[PlacedRow]:
        place = 0
        while self.epochs is None or place < len(self):
            yield self[place]
            place += 1

    def numbers(self, places: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Say which rows stand at places; none is read.

        Args:
            places: (B,).

        Returns:
            Their numbers and their epochs, (B,) int64 each.
        """
        epochs, at = np.divmod(np.asarray(places, dtype=np.int64), len(self.rows))
        rows = np.empty_like(at)
        for epoch in np.unique(epochs).tolist():
            is_here = epochs == epoch
            rows[is_here] = _order(len(self.rows), self.seed, epoch)(at[is_here])
        return rows, epochs

    def _split(self, place: int) -> tuple[int, int]:
        most = None if self.epochs is None else len(self)
        if place < 0 or (most is not None and place >= most):
            raise IndexError(f"place: expected 0 to {'any' if most is None else most - 1}, got {place}")
        return divmod(int(place), len(self.rows))


@lru_cache(maxsize=8)
def _order(size: int, seed: int, epoch: int) -> Permutation:
    return Permutation(size, seed, epoch)


# -- batches -----------------------------------------------------------------------------------------------------------


class PlaceBatches:
    """Batches of places, for one rank: a ``batch_sampler`` of a data loader.

    All ranks together take ``batch_size`` · ``world`` places at a time, one after the other; of these the rank takes
    each ``world``-th. So no place is taken twice or left out, and all ranks have as many batches.

    Args:
        rows: the line of rows.
        batch_size: rows of a batch, on one rank.
        rank: of this process, 0 to ``world - 1``.
        world: how many processes train together.
        keep_last: whether the last rows, too few for all ranks, are a smaller batch, which some ranks may not have;
            otherwise they are left out.

    Raises:
        ValueError: a batch size below 1, or no such rank.

    Example:
        >>> batches = PlaceBatches(range(10), batch_size=2, rank=0, world=2)
        >>> list(batches)
        [[0, 2], [4, 6]]
        >>> list(PlaceBatches(range(10), batch_size=2, rank=1, world=2, keep_last=True))
        [[1, 3], [5, 7], [9]]

        After one batch, the run goes on with a single process.

        >>> alone = PlaceBatches(range(10), batch_size=4)
        >>> alone.load_state_dict(batches.state_dict(1))
        >>> list(alone)
        [[4, 5, 6, 7]]
    """

    def __init__(self, rows: Any, batch_size: int, *, rank: int = 0, world: int = 1, keep_last: bool = False) -> None:
        _require_rank(rank, world)
        if batch_size < 1:
            raise ValueError(f"batch_size: expected at least 1, got {batch_size}; pass the rows of a batch on one rank")
        self.rows, self.batch_size, self.rank, self.world, self.keep_last = rows, batch_size, rank, world, keep_last
        self._begin = 0
        self._ends: list[int] = []

    def __iter__(self) -> Iterator[list[int]]:
        self._ends = []
        for begin, end in self._stretches(self._begin, _size_of(self.rows)):
            self._ends.append(end)
            if mine := list(range(begin + self.rank, end, self.world)):
                yield mine

    def __len__(self) -> int:
        """How many batches are left, from where the run stands."""
        return sum(1 for begin, end in self._stretches(self._begin, len(self.rows)) if begin + self.rank < end)

    def state_dict(self, batches: int) -> dict[str, int]:
        """Say where the run stands.

        Args:
            batches: how many of the last iteration's batches were trained on. What a data loader has read ahead does
                not count: its workers may hold more.

        Returns:
            The place at which it goes on, with any number of ranks. It is the same on all of them; behind a smaller
            last batch, ask rank 0.
        """
        if not 0 <= batches <= len(self._ends):
            raise ValueError(f"batches: expected 0 to {len(self._ends)}, which were handed out, got {batches}")
        return {"place": self._ends[batches - 1] if batches else self._begin}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go to where another one stood; nothing is read for that."""
        if not isinstance(state.get("place"), int | np.integer):
            raise ValueError(f"state: expected what state_dict() gave, such as {{'place': 8}}, got {dict(state)!r:.80}")
        self._begin, self._ends = int(state["place"]), []

    def _stretches(self, begin: int, size: int | None) -> Iterator[tuple[int, int]]:
        """Where the batches of all ranks together begin and end."""
        step = self.batch_size * self.world
        while size is None or begin + step <= size:
            yield begin, begin + step
            begin += step
        if self.keep_last and begin < size:
            yield begin, size


class BudgetBatches(PlaceBatches):
    """Batches of about as many tokens each, for rows of different lengths, as DOC-SENTENCES has them.

    All ranks together take rows as long as these have at most ``tokens`` · ``world`` ids, and deal them out in turn.
    What is not told here is as in `PlaceBatches`.

    Args:
        rows: the line of rows.
        tokens: ids of a batch on one rank, special ones included; at least ``max_length`` of the packing.
        rank: of this process.
        world: how many processes train together.
        keep_last: as in `PlaceBatches`.

    Raises:
        ValueError: a budget that a single row may exceed, or no such rank.

    Source:
        Liu et al. 2019, section 4.2: "we dynamically increase the batch size" in DOC-SENTENCES.
    """

    def __init__(
        self, rows: ShuffledRows, tokens: int, *, rank: int = 0, world: int = 1, keep_last: bool = False
    ) -> None:
        if tokens < rows.rows.max_length:
            raise ValueError(
                f"tokens: expected at least max_length = {rows.rows.max_length}, which a row may have, got {tokens}; "
                "pass a multiple of it"
            )
        super().__init__(rows, 1, rank=rank, world=world, keep_last=keep_last)
        self.tokens = tokens

    def _stretches(self, begin: int, size: int | None) -> Iterator[tuple[int, int]]:
        budget = self.tokens * self.world
        ahead = max(64, 2 * budget // self.rows.rows.max_length)  # rows whose lengths are looked up at once
        lengths: list[int] = []
        end = begin
        total = 0
        while size is None or end < size:
            if not lengths:
                last = end + ahead if size is None else min(end + ahead, size)
                lengths = self.rows.rows.lengths(self.rows.numbers(np.arange(end, last))[0])[::-1].tolist()
            if total + lengths[-1] > budget:
                yield begin, end
                begin, total = end, 0
            total += lengths.pop()
            end += 1
        if self.keep_last and begin < end:
            yield begin, end


def _require_rank(rank: int, world: int) -> None:
    if not 0 <= rank < world:
        raise ValueError(f"rank: expected 0 to world - 1 = {world - 1}, got {rank}; count processes from 0")


def _size_of(rows: Any) -> int | None:
    return None if getattr(rows, "epochs", 1) is None else len(rows)
