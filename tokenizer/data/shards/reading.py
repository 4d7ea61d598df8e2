"""Reading shards: files of any size, of which memory holds what is being looked at."""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from hashlib import file_digest
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, NamedTuple, overload

from numpy.typing import NDArray

from ....files.mapped import mapped_tensors
from .index import ShardIndex, ShardRecord, identity

__all__ = ["Shard", "TokenShards"]

#: How many shards a process keeps mapped. Each takes a file handle, of which a process has 1,024 by default.
MOST_OPEN = 512


class Shard(NamedTuple):
    """The arrays of one shard, as `writing` describes them; they lie in its file, and cannot be written into."""

    tokens: NDArray[Any]
    sentence_ends: NDArray[Any]
    document_ends: NDArray[Any]
    origins: NDArray[Any]

    def document(self, number: int) -> list[NDArray[Any]]:
        """The sentences of one document, each an array of ids."""
        ends = self.document_ends
        first, last = int(ends[number - 1]) if number else 0, int(ends[number])
        begin = int(self.sentence_ends[first - 1]) if first else 0
        return [self.tokens[a:b] for a, b in pairwise([begin, *self.sentence_ends[first:last].tolist()])]


class TokenShards:
    """A folder of token shards: a sequence of documents, each a list of sentences, each an array of ids.

    Nothing is read before it is asked for, so it costs nothing to pickle, or to hold in each worker of a data loader.

    Args:
        folder: what `roberta tokenize-corpus` or `write_token_shards` wrote.
        tokenizer: whose ids you take them to be; None: not compared.

    Attributes:
        index: what `index.json` holds.

    Raises:
        FileNotFoundError: no index, or a shard is missing.
        ValueError: the ids are another tokenizer's, the index is damaged, or a shard has another size.

    Example:
        >>> import tempfile
        >>> from roberta.tokenizer import RobertaTokenizer
        >>> from roberta.tokenizer.data.shards import write_token_shards
        >>> tokenizer = RobertaTokenizer.train(["low lower lowest low"], vocab_size=263)
        >>> folder = tempfile.mkdtemp()
        >>> _ = write_token_shards([[[10, 11], [12]], [[20, 21]]], folder, tokenizer, shard_tokens=3)
        >>> shards = TokenShards(folder, tokenizer)
        >>> len(shards), shards.tokens
        (2, 5)
        >>> [[sentence.tolist() for sentence in document] for document in shards]
        [[[10, 11], [12]], [[20, 21]]]
        >>> shards.verify()
    """

    def __init__(self, folder: str | Path, tokenizer: Any = None) -> None:
        self.folder = Path(folder)
        self.index = ShardIndex.read(self.folder)
        self._ends = list(accumulate(record.documents for record in self.index.shards))
        self._open: OrderedDict[int, Shard] = OrderedDict()
        if tokenizer is not None:
            self.require(tokenizer)
        for record in self.index.shards:
            self._require_size(record)

    @property
    def tokens(self) -> int:
        """How many tokens all documents have."""
        return self.index.count("tokens")

    def __len__(self) -> int:
        """How many documents."""
        return self._ends[-1] if self._ends else 0

    @overload
    def __getitem__(self, document: int) -> list[NDArray[Any]]: ...
    @overload
    def __getitem__(self, document: slice) -> list[list[NDArray[Any]]]: ...
    def __getitem__(self, document: int | slice) -> Any:
        if isinstance(document, slice):
            return [self[number] for number in range(*document.indices(len(self)))]
        shard, number = self._place(document)
        return self.shard(shard).document(number)

    def __iter__(self) -> Iterator[list[NDArray[Any]]]:
        for number, record in enumerate(self.index.shards):
            shard = self.shard(number)
            yield from (shard.document(at) for at in range(record.documents))

    def origin(self, document: int) -> tuple[str, int]:
        """Say where a document came from.

        Returns:
            The file, "" where documents were given as ids, and the offset there: of lines and texts the byte at which
            it begins, once the file is decompressed; of Parquet the row.
        """
        shard, number = self._place(document)
        file, offset = map(int, self.shard(shard).origins[number])
        return (self.index.sources[file] if self.index.sources else ""), offset

    def shard(self, number: int) -> Shard:
        """The arrays of one shard, mapped."""
        found = self._open.get(number)
        if found is None:
            record = self.index.shards[number]
            found = self._open[number] = Shard(**self._mapped(record))
            if len(self._open) > MOST_OPEN:
                self._open.popitem(last=False)  # whoever still has its arrays keeps them
        elif len(self.index.shards) > MOST_OPEN:
            with suppress(KeyError):  # another thread let it go
                self._open.move_to_end(number)
        return found

    def verify(self) -> None:
        """Read every shard and compare its checksum.

        Raises:
            ValueError: one is damaged; with its name.
        """
        for record in self.index.shards:
            self._require_size(record)
            with (self.folder / record.file).open("rb") as file:
                digest = file_digest(file, "sha256").hexdigest()
            if digest != record.sha256:
                raise ValueError(
                    f"{self.folder / record.file}: expected the SHA-256 {record.sha256}, got {digest}; the shard is "
                    "damaged: copy it again, or make the shards again"
                )

    def require(self, tokenizer: Any) -> None:
        """Refuse a tokenizer that gives other ids.

        Raises:
            ValueError: it is not the one that the shards were made with.
        """
        made, given = self.index.tokenizer, identity(tokenizer)
        if made != given:
            raise ValueError(
                f"tokenizer: expected the one that made the shards in {self.folder}, of {made.vocab_size} tokens and "
                f"fingerprint {made.fingerprint[:12]}, got one of {given.vocab_size} and {given.fingerprint[:12]}; "
                "load the tokenizer that `roberta tokenize-corpus` was given, or make the shards again with this one"
            )

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_open": OrderedDict()}  # maps do not travel

    def _place(self, document: int) -> tuple[int, int]:
        if not -len(self) <= document < len(self):
            raise IndexError(f"document: expected 0 to {len(self) - 1}, got {document}")
        document %= len(self)
        shard = bisect_right(self._ends, document)
        return shard, document - (self._ends[shard - 1] if shard else 0)

    def _require_size(self, record: ShardRecord) -> None:
        path = self.folder / record.file
        remedy = "copy the folder again, or make the shards again"
        if not path.is_file():
            raise FileNotFoundError(f"{path}: expected a shard, which the index names, found none; {remedy}")
        if (size := path.stat().st_size) != record.bytes:
            raise ValueError(f"{path}: expected {record.bytes} bytes, as the index says, got {size}; {remedy}")

    def _mapped(self, record: ShardRecord) -> dict[str, Any]:
        self._require_size(record)
        path = self.folder / record.file
        arrays = mapped_tensors(path, writable=False)
        wanted = {
            "tokens": (self.index.tokenizer.dtype, (record.tokens,)),
            "sentence_ends": ("uint32", (record.sentences,)),
            "document_ends": ("uint32", (record.documents,)),
            "origins": ("int64", (record.documents, 2)),
        }
        found = {name: (str(array.dtype), array.shape) for name, array in arrays.items()}
        if found != wanted:
            raise ValueError(
                f"{path}: expected the arrays {wanted}, as the index says, got {found}; it is a shard of another "
                "folder: copy it again, or make the shards again"
            )
        return arrays
