"""Writing shards: documents of sentences of ids become files that can be mapped.

A shard is a safetensors file, which any reader of that format opens, with four arrays:

===================  ==================  ======================================================================
``tokens``           uint16 or uint32    the ids of all sentences, one after the other, no special ones between
``sentence_ends``    uint32              where each sentence ends, in tokens
``document_ends``    uint32              where each document ends, in sentences; an empty one ends where it begins
``origins``          int64, (n, 2)       where each document came from: the number of its file, and its offset there
===================  ==================  ======================================================================
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....files.atomic import write_atomically
from ..corpus import DOCUMENTS, Document, as_integers, as_rows
from .index import ShardIndex, ShardRecord, TokenizerIdentity, identity

__all__ = ["ShardBuilder", "shard_name", "write_token_shards"]

#: What `sentence_ends` can count.
MOST_TOKENS = 2**32 - 1


def shard_name(number: int) -> str:
    """The name of a shard's file.

    >>> shard_name(12)
    'shard-00012.safetensors'
    """
    return f"shard-{number:05}.safetensors"


class ShardBuilder:
    """Gathers the documents of one shard.

    Args:
        dtype: of the tokens: ``"uint16"`` or ``"uint32"``.
    """

    def __init__(self, dtype: str) -> None:
        self._dtype = np.dtype(dtype)
        self._tokens: list[NDArray[Any]] = []
        self._lengths: list[NDArray[Any]] = []  # of sentences
        self._counts: list[NDArray[Any]] = []  # of the sentences of documents
        self._origins: list[tuple[int, int]] = []
        self.tokens = 0

    def add(self, sentences: Sequence[Sequence[int]], origin: tuple[int, int] = (0, 0)) -> None:
        """Add a document.

        Args:
            sentences: of ids; empty ones leave no trace.
            origin: where it came from: the number of its file, and its offset there.

        Raises:
            ValueError: an id that the dtype cannot hold.
        """
        self.add_all(sentences, [len(sentences)], [origin])

    def add_all(
        self, sentences: Sequence[Sequence[int]], counts: Sequence[int], origins: Sequence[tuple[int, int]]
    ) -> None:
        """Add documents at once, which is quicker than one by one.

        Args:
            sentences: of all of them.
            counts: how many of the sentences each document has.
            origins: of each document.

        Raises:
            ValueError: an id that the dtype cannot hold.
        """
        lengths = np.array(list(map(len, sentences)), dtype=np.int64)
        ids = np.fromiter(chain.from_iterable(sentences), dtype=np.int64, count=int(lengths.sum()))
        document_of = np.repeat(np.arange(len(counts)), counts)  # of each sentence
        self._require_fit(ids, lengths, document_of)
        self._tokens.append(ids.astype(self._dtype))
        self._lengths.append(lengths[lengths > 0])
        self._counts.append(np.bincount(document_of[lengths > 0], minlength=len(counts)))
        self._origins += origins
        self.tokens += len(ids)

    def _require_fit(self, ids: NDArray[Any], lengths: NDArray[Any], document_of: NDArray[Any]) -> None:
        most = np.iinfo(self._dtype).max
        if ids.size and not 0 <= ids.min() <= ids.max() <= most:
            at = np.flatnonzero((ids < 0) | (ids > most))[0]
            number = document_of[np.searchsorted(lengths.cumsum(), at, side="right")] + len(self._origins)
            raise ValueError(
                f"document {number}: expected ids from 0 to {most}, as {self._dtype} holds them, got {ids[at]}; write "
                "the shards with the tokenizer that made the ids"
            )
        if self.tokens + len(ids) > MOST_TOKENS:
            raise ValueError(
                f"shard: expected at most {MOST_TOKENS} tokens, got more with document {len(self._origins)}; make "
                "smaller shards"
            )

    def to_bytes(self) -> bytes:
        """The whole file."""
        from safetensors.numpy import save

        return save(self._arrays())

    def write(self, path: Path) -> ShardRecord:
        """Write it beside its place and rename it; return what the index has to say."""
        content = self.to_bytes()
        write_atomically(path, content)
        sentences = sum(map(len, self._lengths))
        digest = sha256(content).hexdigest()
        return ShardRecord(path.name, len(content), digest, self.tokens, sentences, len(self._origins))

    def _arrays(self) -> dict[str, NDArray[Any]]:
        nothing = np.zeros(0, np.int64)
        return {
            "tokens": np.concatenate([nothing.astype(self._dtype), *self._tokens]),
            "sentence_ends": np.concatenate([nothing, *self._lengths]).cumsum().astype(np.uint32),
            "document_ends": np.concatenate([nothing, *self._counts]).cumsum().astype(np.uint32),
            "origins": np.array(self._origins, dtype=np.int64).reshape(-1, 2),
        }


def write_token_shards(
    documents: Iterable[Document], folder: str | Path, tokenizer: Any, *, shard_tokens: int = 2**24
) -> ShardIndex:
    """Write documents that are ids already; for texts there is `tokenize_corpus`.

    Args:
        documents: documents of sentences of ids, without special tokens; read once, and a shard of them held at most.
            An origin is the number of the document.
        folder: a new or an empty one.
        tokenizer: that made the ids.
        shard_tokens: a shard ends with the document that brings it to so many tokens.

    Returns:
        The index, as it was written.

    Raises:
        FileExistsError: the folder has files.
        TypeError: as in `pack_full_sentences`.
        ValueError: ids that are not this tokenizer's, or ``shard_tokens`` below 1.

    Example:
        >>> import tempfile
        >>> from roberta.tokenizer import RobertaTokenizer
        >>> tokenizer = RobertaTokenizer.train(["low lower lowest low"], vocab_size=263)
        >>> documents = [[[10, 11], [12]], [[20, 21]]]
        >>> index = write_token_shards(documents, tempfile.mkdtemp(), tokenizer, shard_tokens=3)
        >>> [(shard.file, shard.tokens, shard.documents) for shard in index.shards]
        [('shard-00000.safetensors', 3, 1), ('shard-00001.safetensors', 2, 1)]
    """
    if shard_tokens < 1:
        raise ValueError(f"shard_tokens: expected at least 1, got {shard_tokens}; 2**24 is the default")
    folder, made = Path(folder), identity(tokenizer)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder}: expected a new or an empty folder, found files; give another name")
    folder.mkdir(parents=True, exist_ok=True)
    records: list[ShardRecord] = []
    builder = ShardBuilder(made.dtype)
    for number, document in enumerate(as_rows(documents, "documents", DOCUMENTS)):
        builder.add(_sentences(document, number, made), (0, number))
        if builder.tokens >= shard_tokens:
            records.append(builder.write(folder / shard_name(len(records))))
            builder = ShardBuilder(made.dtype)
    if builder.tokens or not records:
        records.append(builder.write(folder / shard_name(len(records))))
    index = ShardIndex(made, tuple(records), options={"shard_tokens": shard_tokens})
    index.write(folder)
    return index


def _sentences(document: Any, number: int, made: TokenizerIdentity) -> list[list[int]]:
    where = f"document {number}"
    rows = as_rows(document, where, DOCUMENTS)
    sentences = [as_integers(row, f"sentence {at} of {where}", DOCUMENTS) for at, row in enumerate(rows)]
    largest = max((max(sentence) for sentence in sentences if sentence), default=0)
    if largest >= made.vocab_size:
        raise ValueError(
            f"{where}: expected ids below the tokenizer's {made.vocab_size}, got {largest}; write the shards with the "
            "tokenizer that made the ids"
        )
    return sentences
