"""Rows of shards: packed once, kept as a table, and found by number from then on."""

from __future__ import annotations

import errno
import os
from bisect import bisect_right
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from pathlib import Path
from tempfile import mkstemp
from typing import Any, TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ....files.mapped import mapped_tensors
from .packing import PackingName, frame_of, join, pack
from .reading import TokenShards

__all__ = ["PackedRow", "PackedRows"]

#: What a folder that cannot be written into answers.
READ_ONLY = {errno.EACCES, errno.EPERM, errno.EROFS}


class PackedRow(TypedDict):
    """A row of text.

    Args:
        input_ids: (T,), special tokens included, not filled up.
        row: its number in the corpus.
    """

    input_ids: NDArray[Any]
    row: int


class PackedRows:
    """The rows of a corpus, in the order of the text: a sequence that needs not be read from its beginning.

    Each shard is packed by itself, so that its last row may be short. Where rows begin is found once and kept in a file
    beside the shards, 16 bytes a row; where these cannot be written to, in memory.

    Args:
        shards: the corpus.
        max_length: ids in a row at most, special tokens included.
        packing: ``"full-sentences"`` or ``"doc-sentences"``, whose rows are those of `pack_full_sentences` and
            `pack_doc_sentences`; or ``"blocks"``, for causal language models: an ``eos`` behind each document, and all
            that in one line, cut every ``max_length`` ids.
        advance: called after each shard that was packed, for a progress bar.

    Raises:
        ValueError: no such packing, or no room for a token.

    Source:
        Liu et al. 2019, section 4.2; Brown et al. 2020, section 2.1, for blocks.

    Example:
        >>> import tempfile
        >>> from roberta.tokenizer import RobertaTokenizer
        >>> from roberta.tokenizer.data.shards import write_token_shards
        >>> tokenizer = RobertaTokenizer.train(["low lower lowest low"], vocab_size=263)
        >>> folder = tempfile.mkdtemp()
        >>> _ = write_token_shards([[[10, 11, 12], [13]], [[20, 21]]], folder, tokenizer)
        >>> rows = PackedRows(TokenShards(folder), max_length=6)
        >>> len(rows), [rows[number]["input_ids"].tolist() for number in range(2)]
        (2, [[0, 10, 11, 12, 13, 2], [0, 20, 21, 2]])
        >>> rows.lengths([1, 0])
        array([4, 6])
    """

    def __init__(
        self,
        shards: TokenShards,
        max_length: int,
        packing: PackingName = "full-sentences",
        *,
        advance: Callable[[], object] = lambda: None,
    ) -> None:
        self._frame = frame_of(packing)
        if max_length <= self._frame:
            raise ValueError(
                f"max_length: expected at least {self._frame + 1}, which a token needs in {packing}, got {max_length}; "
                "pass the model's usable length, such as 512"
            )
        self.shards, self.max_length, self.packing = shards, max_length, packing
        pack_all = partial(_tables, shards, max_length, packing, advance)
        path = shards.folder / f"rows-{packing}-{max_length}-{_digest(shards)}.safetensors"
        self._path = path if path.is_file() else self._kept(path, pack_all)
        self._load()

    def __len__(self) -> int:
        """How many rows."""
        return self._starts[-1]

    def __getitem__(self, row: int) -> PackedRow:
        size = len(self)
        if not -size <= row < size:
            raise IndexError(f"row: expected 0 to {size - 1}, got {row}")
        row = int(row) % size
        begin, count, first, within = self._table[row].tolist()
        made, edge = self.shards.index.tokenizer, self._frame // 2
        tokens = self.shards.shard(bisect_right(self._starts, row) - 1).tokens[begin : begin + count]
        ids = np.empty(count + within + self._frame, dtype=tokens.dtype)
        if edge:
            ids[0], ids[-1] = made.bos, made.eos
        inner = ids[edge : len(ids) - edge]
        if within:
            join(inner, tokens, self._breaks[first : first + within].astype(np.int64), begin, made.eos)
        else:
            inner[:] = tokens
        return {"input_ids": ids, "row": row}

    def lengths(self, rows: ArrayLike) -> NDArray[np.int64]:
        """How many ids rows have, special ones included; no token is read.

        Args:
            rows: (B,) numbers of rows.

        Returns:
            (B,) int64.
        """
        return self._table[np.asarray(rows)][:, 1::2].sum(axis=1, dtype=np.int64) + self._frame

    def __getstate__(self) -> dict[str, Any]:
        is_filed = self._path is not None
        return {name: value for name, value in vars(self).items() if not (is_filed and name in _LOADED)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        if self._path is not None:
            self._load()

    def _load(self) -> None:
        if self._path is not None:
            arrays = mapped_tensors(self._path, writable=False)
            self._table, self._breaks = arrays["rows"], arrays["breaks"]
            self._starts: list[int] = arrays["starts"].tolist()

    def _kept(self, path: Path, pack_all: Callable[[], dict[str, NDArray[Any]]]) -> Path | None:
        """Pack all shards, and write the table; None where it has to stay in memory."""
        arrays = pack_all()
        try:
            _write(path, arrays)
        except OSError as error:
            if error.errno not in READ_ONLY:
                raise
            self._table, self._breaks, self._starts = arrays["rows"], arrays["breaks"], arrays["starts"].tolist()
            return None
        return path


#: What is in the file, and so not in a pickle.
_LOADED = {"_table", "_breaks", "_starts"}


def _digest(shards: TokenShards) -> str:
    """Of all shards: a table of others is never taken for theirs."""
    return sha256("".join(record.sha256 for record in shards.index.shards).encode()).hexdigest()[:12]


def _tables(
    shards: TokenShards, max_length: int, packing: PackingName, advance: Callable[[], object]
) -> dict[str, NDArray[Any]]:
    """All rows of all shards; breaks are numbered through, and count from the beginning of their shard."""
    rows: list[NDArray[Any]] = [np.zeros((0, 4), np.uint32)]
    breaks: list[NDArray[Any]] = [np.zeros(0, np.uint32)]
    passed = 0
    for number in range(len(shards.index.shards)):
        found = pack(shards.shard(number), max_length, packing)
        found.rows[:, 2] += passed
        passed += len(found.breaks)
        rows.append(found.rows.astype(np.uint32))
        breaks.append(found.breaks.astype(np.uint32))
        advance()
    starts = np.cumsum([0, *(len(table) for table in rows[1:])], dtype=np.int64)
    return {"rows": np.concatenate(rows), "breaks": np.concatenate(breaks), "starts": starts}


def _write(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    """Beside its place, and renamed: several processes may do so at once, and write the same."""
    import safetensors.numpy as library

    numpy: Any = library
    handle, beside = mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    try:
        numpy.save_file(arrays, beside)  # in pieces: the table of a large corpus has a gigabyte
        with Path(beside).open("rb") as file:
            os.fsync(file.fileno())
        Path(beside).chmod(0o644)
        Path(beside).replace(path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise
