"""The index of a folder of shards: what `index.json` says of them, and whose ids they hold."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

from ....files.atomic import write_atomically

__all__ = ["INDEX", "ShardIndex", "ShardRecord", "TokenizerIdentity", "identity"]

INDEX = "index.json"
FORMAT, VERSION = "roberta token shards", 1


@dataclass(frozen=True)
class TokenizerIdentity:
    """What shards remember of the tokenizer that made their ids.

    Args:
        fingerprint: SHA-256 of all that decides which ids a text becomes.
        vocab_size: ids are below it.
        bos: id that begins rows.
        eos: id that ends rows and parts documents.
        pad: id that fills rows up.
        mask: id of ``<mask>``; None without one.
        special: ids that are never masked.
    """

    fingerprint: str
    vocab_size: int
    bos: int
    eos: int
    pad: int
    mask: int | None
    special: tuple[int, ...]

    @property
    def dtype(self) -> str:
        """The smallest that holds all ids: ``uint16`` for up to 65,536 of them, else ``uint32``."""
        return "uint16" if self.vocab_size <= 2**16 else "uint32"


def identity(tokenizer: Any) -> TokenizerIdentity:
    """Say which tokenizer this is: two with the same answer give every text the same ids.

    Args:
        tokenizer: one of this package, pure or fast.

    Raises:
        TypeError: another library's.
        ValueError: it has no token that begins, ends or fills rows.

    Example:
        >>> from roberta.tokenizer import RobertaTokenizer, RobertaTokenizerFast
        >>> texts = ["low lower lowest low"]
        >>> pure, other = (RobertaTokenizer.train(texts, vocab_size=size) for size in (263, 262))
        >>> found = identity(pure)
        >>> found.vocab_size, found.dtype, found.special
        (263, 'uint16', (0, 1, 2, 3, 262))
        >>> found == identity(RobertaTokenizerFast.train(texts, vocab_size=263)), found == identity(other)
        (True, False)
    """
    parts = _parts(tokenizer)
    deciding = {name: parts.get(name) for name in ("added_tokens", "normalizer", "pre_tokenizer", "model")}
    roles = {name: getattr(tokenizer, f"{name}_token_id") for name in ("bos", "eos", "pad", "mask")}
    lacking = [name for name in ("bos", "eos", "pad") if roles[name] is None]
    if lacking:
        raise ValueError(
            f"tokenizer: expected one with bos, eos and pad tokens, got one without {', '.join(lacking)}; load it with "
            "bos_token='<s>', eos_token='</s>', pad_token='<pad>'"
        )
    return TokenizerIdentity(
        sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest(),
        vocab_size=len(tokenizer),
        special=tuple(sorted(tokenizer.all_special_ids)),
        **roles,
    )


def _parts(tokenizer: Any) -> dict[str, Any]:
    """What `tokenizer.json` would hold, of either family."""
    from ... import tokenizer_json as merges
    from ...tokenizer import RobertaTokenizer
    from ...unigram import tokenizer_json as pieces
    from ...unigram.tokenizer import UnigramTokenizer

    if isinstance(tokenizer, RobertaTokenizer):
        return merges.tokenizer_json(tokenizer)
    if isinstance(tokenizer, UnigramTokenizer):
        return pieces.tokenizer_json(tokenizer)
    raise TypeError(
        f"tokenizer: expected one of this package, got {type(tokenizer).__module__}.{type(tokenizer).__qualname__}; "
        "load it with roberta.load_tokenizer(folder, fast=True)"
    )


@dataclass(frozen=True)
class ShardRecord:
    """What the index says of one shard.

    Args:
        file: its name in the folder.
        bytes: its size.
        sha256: of the file.
        tokens: how many ids.
        sentences: how many.
        documents: how many, empty ones too.
    """

    file: str
    bytes: int
    sha256: str
    tokens: int
    sentences: int
    documents: int


@dataclass(frozen=True)
class ShardIndex:
    """What `index.json` holds; it is written last, so that where it is, the shards are whole.

    Args:
        tokenizer: whose ids they are.
        shards: in order.
        sources: the files that the documents came from; a document's origin counts in them.
        options: how they were read.
        skipped: unreadable documents that were left out.
    """

    tokenizer: TokenizerIdentity
    shards: tuple[ShardRecord, ...]
    sources: tuple[str, ...] = ()
    options: Mapping[str, Any] | None = None
    skipped: int = 0

    def count(self, what: str) -> int:
        """How many ``tokens``, ``sentences``, ``documents`` or ``bytes`` all shards have."""
        return sum(getattr(shard, what) for shard in self.shards)

    def write(self, folder: Path) -> None:
        """Write it into the folder, at once."""
        counts = {name: self.count(name) for name in ("tokens", "sentences", "documents")}
        head = {"format": FORMAT, "version": VERSION, "dtype": self.tokenizer.dtype, **counts}
        write_atomically(folder / INDEX, (json.dumps({**head, **asdict(self)}, indent=1) + "\n").encode())

    @classmethod
    def read(cls, folder: Path) -> ShardIndex:
        """Read it.

        Raises:
            FileNotFoundError: there is none: the folder is another one, or not finished.
            ValueError: it is damaged, or of a later version.
        """
        path = folder / INDEX
        if not path.is_file():
            raise FileNotFoundError(
                f"{path}: expected the index of token shards, found none; if `roberta tokenize-corpus` was stopped, "
                "give the same command again: it goes on"
            )
        try:
            return cls._read(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{path}: expected the index of token shards, version {VERSION}, got one that cannot be read "
                f"({type(error).__name__}: {error}); make the shards again with `roberta tokenize-corpus`"
            ) from error

    @classmethod
    def _read(cls, data: Any) -> ShardIndex:
        if (data["format"], data["version"]) != (FORMAT, VERSION):
            message = f"format {data['format']!r}, version {data['version']!r}"
            raise ValueError(message)
        made = dict(data["tokenizer"])
        made["special"] = tuple(made["special"])
        shards = tuple(_typed(ShardRecord, record) for record in data["shards"])
        for shard in shards:
            if Path(shard.file).name != shard.file:  # a path in an index never leaves its folder
                message = f"a file {shard.file!r}, which is no plain name"
                raise ValueError(message)
        made = _typed(TokenizerIdentity, made)
        return cls(made, shards, tuple(data["sources"]), data["options"], data["skipped"])


def _typed(kind: Any, record: Mapping[str, Any]) -> Any:
    """Make a record of JSON, whose numbers are whole and not negative, and whose texts are texts."""
    wanted = {field.name: cast("str", field.type) for field in fields(kind)}
    for name, value in record.items():
        is_whole = isinstance(value, int) and not isinstance(value, bool) and value >= 0
        if (wanted[name] == "int" and not is_whole) or (wanted[name] == "str" and not isinstance(value, str)):
            message = f"{name} = {value!r}"
            raise TypeError(message)
    return kind(**record)
