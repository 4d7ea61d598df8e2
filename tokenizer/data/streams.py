"""Streams of training data that can be interrupted: packed rows, shuffled items, batches of indices.

A stream is a function of its source, its options and its seed. Interrupted anywhere, it goes on from its `state_dict`
with exactly the items that would have followed; so does a copy, or what is pickled. `Packing` reads documents into
rows. Where the data are a stream, `ShuffledStream` shuffles it in a buffer of fixed size. Where they can be indexed,
`BatchSampler` deals out their indices, a new permutation in each epoch.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from copy import copy, deepcopy
from itertools import islice
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from .corpus import DOCUMENTS, Document, as_integers, as_rows

__all__ = ["BatchSampler", "Packer", "Packing", "ShuffledStream"]

T = TypeVar("T")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


# -- interruption ------------------------------------------------------------------------------------------------------


@runtime_checkable
class _Resumable(Protocol):
    """What can say where it stands, as JSON has it, and go there."""

    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...


def _behind(items: Iterable[T], count: int, what: str) -> Iterator[T]:
    """Pass over the items that were read before an interruption."""
    iterator = iter(items)
    passed = sum(1 for _ in islice(iterator, count))
    if passed < count:
        raise ValueError(
            f"load_state_dict: expected at least {count} {what}, which were read before, found {passed}; give the "
            "stream the source that it had"
        )
    return iterator


def _require_readable_again(source: Iterable[Any], reader: Iterator[Any] | None, where: str) -> None:
    if reader is not None and iter(source) is source:
        raise ValueError(
            f"{where}: expected a source that can be read again, got an iterator that is partly read; make a new "
            "stream on a fresh source and load the state_dict into that"
        )


# -- packed rows -------------------------------------------------------------------------------------------------------


class Packer(_Resumable, Protocol[R_co]):
    """A format: takes sentences one by one, and hands out rows as they are full.

    ``largest`` is how many ids a sentence has at most, and ``frame`` those that begin and end each row.
    """

    largest: int
    frame: tuple[int, int]

    def add(self, sentence: list[int]) -> Iterator[R_co]:
        """Take a sentence of 1 to ``largest`` ids; yield the rows that it fills."""
        ...

    def end_document(self) -> Iterator[R_co]:
        """Yield the rows that the end of a document fills."""
        ...

    def end(self) -> Iterator[R_co]:
        """Yield what is left at the end of all documents."""
        ...


class Packing(Iterator[R]):
    """A stream of rows that can be interrupted, and pickled or copied where it stands.

    In a data loader with several workers each has a copy, which reads all documents: give each its share of them.

    Args:
        documents: read once, as far as rows are asked for.
        packer: the format.

    Example:
        >>> from roberta.tokenizer import pack_full_sentences
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
        self._documents = as_rows(documents, "documents", DOCUMENTS)
        self._packer = packer
        self._document = self._sentence = 0  # documents that are read, and sentences of the next one
        self._ready: deque[R] = deque()
        self._rows: Iterator[R] | None = None  # open documents; made anew from the two counts

    def __next__(self) -> R:
        if self._rows is None:
            self._rows = self._read()
        return next(self._rows)

    def __getstate__(self) -> dict[str, Any]:
        _require_readable_again(self._documents, self._rows, "pickle, copy")
        return {**vars(self), "_ready": self._ready.copy(), "_packer": deepcopy(self._packer), "_rows": None}

    def state_dict(self) -> dict[str, Any]:
        """Say where the stream stands, as JSON has it.

        Returns:
            How many documents are read and how many sentences of the next, and what is read but not handed out.
        """
        places = {"document": self._document, "sentence": self._sentence}
        return {**places, "ready": list(self._ready), "packer": self._packer.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to where another stream stood. Documents before it are passed over unopened.

        Args:
            state: what `state_dict` of a stream with the same documents and options returned.

        Raises:
            ValueError: this stream has read from documents that can be read only once.
        """
        _require_readable_again(self._documents, self._rows, "load_state_dict")
        self._document, self._sentence = state["document"], state["sentence"]
        self._ready, self._rows = deque(state["ready"]), None
        self._packer.load_state_dict(state["packer"])

    def _read(self) -> Iterator[R]:
        # The places are counted before rows are handed out, so that a state taken between two rows is whole.
        yield from self._drain()
        for document in _behind(self._documents, self._document, "documents"):
            what = f"sentences of document {self._document}"
            for sentence in _behind(as_rows(document, what, DOCUMENTS), self._sentence, what):
                ids = self._ids(sentence)
                self._sentence += 1
                for begin in range(0, len(ids), self._packer.largest):
                    self._ready.extend(self._packer.add(ids[begin : begin + self._packer.largest]))
                yield from self._drain()
            self._document, self._sentence = self._document + 1, 0
            self._ready.extend(self._packer.end_document())
            yield from self._drain()
        self._ready.extend(self._packer.end())
        yield from self._drain()

    def _ids(self, sentence: Any) -> list[int]:
        where = f"sentence {self._sentence} of document {self._document}"
        ids = as_integers(sentence, where, DOCUMENTS)
        if len(ids) > 1 and (ids[0], ids[-1]) == self._packer.frame:
            raise ValueError(
                f"{where}: expected ids without special tokens, got a row from bos = {ids[0]} to eos = {ids[-1]}; "
                "encode with add_special_tokens=False"
            )
        return ids

    def _drain(self) -> Iterator[R]:
        while self._ready:
            yield self._ready.popleft()


# -- shuffled items ----------------------------------------------------------------------------------------------------


class ShuffledStream(Iterator[T]):
    """A stream in random order, as far as a buffer of fixed size allows.

    The buffer is filled; then each item that comes out is drawn from it at random, and the next one of the source
    takes its place. So an item comes at most ``buffer_size`` places early, and may come any number of places late.
    At the end of the source the buffer is emptied in random order: every item comes once.

    The same source, buffer and seed give the same order. The state holds what is in the buffer, and the state of the
    source where that has a `state_dict` of its own; otherwise how many items to pass over.

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
        self._source, self._buffer_size = source, buffer_size
        self._seed = [seed] if isinstance(seed, (int, np.integer)) else list(seed)
        self._buffer: list[T] = []
        self._taken = self._drawn = 0  # items that came in, and that went out
        self._items: Iterator[T] | None = None

    def __next__(self) -> T:
        if self._items is None:
            self._items = self._open()
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

    def __getstate__(self) -> dict[str, Any]:
        is_resumable = isinstance(self._source, _Resumable)
        if not is_resumable:
            _require_readable_again(self._source, self._items, "pickle, copy")
        source = copy(self._source) if is_resumable else self._source
        return {"options": (source, self._buffer_size, self._seed), "state": self.state_dict()}

    def __setstate__(self, kept: dict[str, Any]) -> None:
        self.__init__(*kept["options"])
        self.load_state_dict(kept["state"])

    def state_dict(self) -> dict[str, Any]:
        """Say where the stream stands: its buffer, two counts, and the state of the source, or None if it has none."""
        inner = self._source.state_dict() if isinstance(self._source, _Resumable) else None
        return {"buffer": list(self._buffer), "taken": self._taken, "drawn": self._drawn, "source": inner}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to where another stream stood. The source must be fresh.

        Args:
            state: what `state_dict` of a stream with the same source, buffer and seed returned.

        Raises:
            ValueError: something was drawn already, or the source is another one: it has fewer items than were read
                before, or no state of its own where there was one.
        """
        if self._items is not None:
            raise ValueError(
                "load_state_dict: expected a stream that nothing was drawn from, got one that is in use; "
                "make a new one on a fresh source and load into that"
            )
        source = self._source
        if isinstance(source, _Resumable) != (state["source"] is not None):
            raise ValueError(
                "load_state_dict: expected a source of the same kind, got one with a state_dict where there was none, "
                "or the other way round; give the stream the source that it had"
            )
        if isinstance(source, _Resumable):
            source.load_state_dict(state["source"])
        self._buffer, self._taken, self._drawn = list(state["buffer"]), state["taken"], state["drawn"]
        self._items = self._open() if self._taken else None

    def _open(self) -> Iterator[T]:
        """Begin the source where it stands, or behind the items that were taken."""
        return _behind(self._source, 0 if isinstance(self._source, _Resumable) else self._taken, "items")


# -- batches of indices ------------------------------------------------------------------------------------------------


class BatchSampler(Iterator[NDArray[np.int64]]):
    """Batches of indices without end: a new permutation in each epoch.

    Batch ``index`` of epoch ``epoch`` is a function of the seed and these two numbers alone (`batch`), and they are all
    that its state holds.

    Args:
        size: how many items there are.
        batch_size: indices in a batch.
        seed: of the permutations.
        keep_last: whether what is left at the end of an epoch is a smaller batch; otherwise it is left out.

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
        """Say which batch comes next: its ``epoch`` and its ``index``."""
        return {"epoch": self.epoch, "index": self.index}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go to where another sampler stood when its `state_dict` returned ``state``."""
        self.epoch, self.index = state["epoch"], state["index"]
