"""The order of training data: shuffled streams and batches of indices, seeded, and resumable to the item.

Where the data are a stream, `ShuffledStream` shuffles it in a buffer of fixed size. Where they can be indexed,
`BatchSampler` deals out their indices, a new permutation in each epoch.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Generic, Protocol, Self, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

__all__ = ["BatchSampler", "ShuffledStream"]

T = TypeVar("T")


@runtime_checkable
class _Resumable(Protocol):
    """What can say where it stands, as a `Packing` can."""

    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...


class ShuffledStream(Generic[T]):
    """A stream in random order, as far as a buffer of fixed size allows.

    The buffer is filled; then each item that comes out is drawn from it at random, and the next one of the source
    takes its place. So an item comes at most ``buffer_size`` places early, and may come any number of places late.
    At the end of the source the buffer is emptied in random order: every item comes once.

    The same source, buffer and seed give the same order. Restored from its `state_dict`, the stream goes on with
    exactly the items that would have followed: the state holds what is in the buffer, and the state of the source where
    that has a `state_dict` of its own; otherwise how many items to pass over.

    Args:
        source: where the items come from; for the state to be JSON, items of lists, dicts, numbers and strings.
        buffer_size: items held at most, at least 1; 1 leaves the order as it is.
        seed: of the order; for another order in each epoch pass ``[seed, epoch]``.

    Raises:
        ValueError: ``buffer_size`` below 1.

    Example:
        >>> list(ShuffledStream(range(8), buffer_size=4, seed=0))
        [3, 2, 5, 4, 1, 6, 0, 7]
        >>> from roberta.tokenizer import pack_full_sentences
        >>> def rows(): return ShuffledStream(pack_full_sentences([[[10], [11], [12], [13]]], 3), buffer_size=2, seed=1)
        >>> stream, resumed = rows(), rows()
        >>> _ = next(stream)
        >>> resumed.load_state_dict(stream.state_dict())
        >>> list(resumed) == list(stream)
        True
    """

    def __init__(self, source: Iterable[T], buffer_size: int, seed: int | list[int]) -> None:
        if buffer_size < 1:
            raise ValueError(f"buffer_size: expected at least 1, got {buffer_size}; the larger, the better the shuffle")
        self._source = source
        self._buffer_size = buffer_size
        self._seed = [seed] if isinstance(seed, int) else list(seed)
        self._buffer: list[T] = []
        self._taken = self._drawn = 0  # items that came in, and that went out
        self._items: Iterator[T] | None = None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        if self._items is None:
            self._items = iter(self._source)
        for item in islice(self._items, self._buffer_size - len(self._buffer)):
            self._buffer.append(item)
            self._taken += 1
        if not self._buffer:
            raise StopIteration
        # Of the seed and a counter, so that the state need not hold a generator's.
        place = int(np.random.default_rng([*self._seed, self._drawn]).integers(len(self._buffer)))
        self._drawn += 1
        self._buffer[place], self._buffer[-1] = self._buffer[-1], self._buffer[place]
        return self._buffer.pop()

    def state_dict(self) -> dict[str, Any]:
        """Say where the stream stands.

        Returns:
            The buffer, two counts, and the state of the source, or None where it has none.
        """
        inner = self._source.state_dict() if isinstance(self._source, _Resumable) else None
        return {"buffer": list(self._buffer), "taken": self._taken, "drawn": self._drawn, "source": inner}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to where another stream stood. The source must be fresh.

        Args:
            state: what `state_dict` of a stream with the same source, buffer and seed returned.

        Raises:
            ValueError: something was drawn already, or the source has fewer items than were read before.
        """
        if self._items is not None:
            raise ValueError(
                "load_state_dict: expected a stream that nothing was drawn from, got one that is in use; "
                "make a new one on a fresh source and load into that"
            )
        self._buffer = list(state["buffer"])
        self._taken, self._drawn = state["taken"], state["drawn"]
        if isinstance(self._source, _Resumable):
            self._source.load_state_dict(state["source"])
        self._items = iter(self._source)
        passed = self._taken if state["source"] is not None else sum(1 for _ in islice(self._items, self._taken))
        if passed < self._taken:
            raise ValueError(
                f"load_state_dict: expected a source of at least {self._taken} items, which were read before, found "
                f"{passed}; give the stream the source that it had"
            )


class BatchSampler:
    """Batches of indices without end: a new permutation in each epoch.

    Batch ``index`` of epoch ``epoch`` is a function of the seed and these two numbers alone (`batch`), and they are all
    that its state holds. What is left at the end of an epoch and too little for a batch is left out of that epoch;
    ``keep_last`` makes it a smaller batch.

    Args:
        size: how many items there are.
        batch_size: indices in a batch.
        seed: of the permutations.
        keep_last: whether an epoch's last batch may be smaller.

    Raises:
        ValueError: a batch size below 1, or more than there are items.

    Example:
        >>> sampler = BatchSampler(size=7, batch_size=3, seed=0)
        >>> [next(sampler).tolist() for _ in range(3)]
        [[2, 4, 3], [6, 5, 0], [1, 3, 6]]
        >>> sampler.state_dict()
        {'epoch': 1, 'index': 1}
        >>> sampler.batch(epoch=0, index=1)
        array([6, 5, 0])
    """

    def __init__(self, size: int, batch_size: int, seed: int, *, keep_last: bool = False) -> None:
        if not 1 <= batch_size <= size:
            raise ValueError(
                f"batch_size: expected 1 to size = {size}, got {batch_size}; pass a smaller batch or more items"
            )
        self.size, self.batch_size, self.seed = size, batch_size, seed
        self.epoch = self.index = 0
        self._count = -(-size // batch_size) if keep_last else size // batch_size
        self._order: tuple[int, NDArray[np.int64]] | None = None  # of which epoch, and its permutation

    def __len__(self) -> int:
        """Batches in an epoch."""
        return self._count

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> NDArray[np.int64]:
        batch = self.batch(self.epoch, self.index)
        self.epoch, self.index = divmod(self.epoch * self._count + self.index + 1, self._count)
        return batch

    def batch(self, epoch: int, index: int) -> NDArray[np.int64]:
        """Return one batch, whatever came before.

        Args:
            epoch: from 0.
            index: of the batch in its epoch, 0 to ``len(sampler) - 1``.

        Returns:
            (``batch_size``,) indices from 0 to ``size - 1``, none twice.

        Raises:
            IndexError: the epoch has no such batch.
        """
        if not 0 <= index < self._count:
            raise IndexError(f"index: expected 0 to {self._count - 1}, got {index}; an epoch has {self._count} batches")
        if self._order is None or self._order[0] != epoch:
            self._order = epoch, np.random.default_rng([self.seed, epoch]).permutation(self.size)
        return self._order[1][index * self.batch_size : (index + 1) * self.batch_size]

    def state_dict(self) -> dict[str, int]:
        """Say which batch comes next.

        Returns:
            ``epoch`` and ``index``.
        """
        return {"epoch": self.epoch, "index": self.index}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go to where another sampler stood.

        Args:
            state: what its `state_dict` returned.
        """
        self.epoch, self.index = state["epoch"], state["index"]
