"""`CamembertTokenizerFast` and `XLMRobertaTokenizerFast`: the same vocabularies on the `tokenizers` library.

Here the library takes the whole way of a text. It comes near to SentencePiece and is not the same: `docs/family.md`
lists where the ids of the pure and of the fast classes differ, as they do in transformers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..calls import Engine
from ..files import StrPath
from ..library import library
from ..pipeline import Source
from ..settings import Settings
from ..special import AddedToken
from ..vocabulary import TokenLike
from .model import Kind, PieceModel
from .pipeline import PieceText
from .tokenizer import CamembertTokenizer, UnigramTokenizer, XLMRobertaTokenizer
from .tokenizer_json import read_tokenizer_json, tokenizer_json

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["CamembertTokenizerFast", "LibraryPipeline", "XLMRobertaTokenizerFast"]


class LibraryPipeline:
    """Encodes texts by a tokenizer of the library.

    Args:
        tokenizer: what does it. Nobody else has it.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def encode(self, sources: Sequence[Source], split_special_tokens: bool = False) -> list[Any]:
        """Encode texts.

        Args:
            sources: texts, or lists of words.
            split_special_tokens: whether special tokens in them are treated as plain text.

        Returns:
            A `PieceText` of each.
        """
        self._tokenizer.encode_special_tokens = split_special_tokens
        found: list[Any] = [None] * len(sources)
        for is_words in (False, True):
            chosen = [at for at, source in enumerate(sources) if isinstance(source, str) is not is_words]
            given: list[Any] = [list(sources[at]) if is_words else sources[at] for at in chosen]
            encodings: list[Any] = []
            if given:
                encodings += self._tokenizer.encode_batch(given, is_pretokenized=is_words, add_special_tokens=False)
            for at, encoding in zip(chosen, encodings, strict=True):
                given_words: list[int | None] = encoding.word_ids
                words = [-1 if word is None else word for word in given_words]
                found[at] = PieceText(encoding.ids, encoding.offsets, words)
        return found


class _Fast(UnigramTokenizer):
    """What the two fast classes have in common."""

    is_fast = True

    def __init__(
        self, vocab_file: StrPath | PieceModel | None = None, tokenizer_file: StrPath | None = None, **settings: Any
    ) -> None:
        library()
        parts: Mapping[str, Any] = {}
        if tokenizer_file is not None:
            stored = read_tokenizer_json(tokenizer_file, self.layout)
            vocab_file, parts = vocab_file or stored.model, stored.parts
            settings = {"added_tokens_decoder": stored.added, **settings}
        if vocab_file is None:
            raise TypeError(
                f"{type(self).__name__}: expected vocab_file or tokenizer_file, got neither; pass one, or load a "
                f"folder with {type(self).__name__}.from_pretrained(folder)"
            )
        super().__init__(vocab_file, **settings)
        self._parts = dict(parts)

    def _added_of(self, settings: Settings) -> Mapping[Any, TokenLike]:
        # The library finds the control pieces, and those of users, before it cuts anything.
        found: dict[Any, TokenLike] = {}
        for number, piece in enumerate(self.model.pieces[self.layout.skipped :], self.layout.skipped):
            if piece.kind in (Kind.CONTROL, Kind.USER_DEFINED):
                is_special = piece.kind is Kind.CONTROL
                found[self.layout.id_of(number)] = AddedToken(piece.text, normalized=False, special=is_special)
        given = {int(index): token for index, token in (settings.get("added_tokens_decoder") or {}).items()}
        return {**found, **given}

    def _made_engine(self) -> Engine:
        return LibraryPipeline(self.backend_tokenizer)

    @property
    def backend_tokenizer(self) -> Tokenizer:
        """A tokenizer of the library that is as ``tokenizer.json`` says: a copy, free to be changed."""
        try:
            return library().Tokenizer.from_str(json.dumps(tokenizer_json(self)))
        except ValueError:
            raise
        except Exception as error:  # of no kind of its own
            raise ValueError(
                f"{type(self).__name__}: expected what the tokenizers library takes, got {error}; its release may be "
                "too old for the file"
            ) from error

    @property
    def decoder(self) -> Any:
        """What turns ids back to text in a tokenizer of the library."""
        backend: Any = self.backend_tokenizer
        return backend.decoder


class CamembertTokenizerFast(_Fast, CamembertTokenizer):
    """CamemBERT's tokenizer on the `tokenizers` library.

    Args:
        vocab_file: ``sentencepiece.bpe.model``, or the `PieceModel` of one.
        tokenizer_file: ``tokenizer.json``, in place of it.
        **settings: as `CamembertTokenizer` takes them.

    Raises:
        ImportError: the library is not installed.
        FileNotFoundError: a file is missing.
        ValueError: a file is damaged, or a setting has a value that does not exist.
        TypeError: neither file; or a setting that does not exist, and resembles one.
    """

    slow_tokenizer_class = CamembertTokenizer


class XLMRobertaTokenizerFast(_Fast, XLMRobertaTokenizer):
    """XLM-RoBERTa's tokenizer on the `tokenizers` library.

    Args:
        vocab_file: ``sentencepiece.bpe.model``, or the `PieceModel` of one.
        tokenizer_file: ``tokenizer.json``, in place of it.
        **settings: as `XLMRobertaTokenizer` takes them.

    Raises:
        ImportError: the library is not installed.
        FileNotFoundError: a file is missing.
        ValueError: a file is damaged, or a setting has a value that does not exist.
        TypeError: neither file; or a setting that does not exist, and resembles one.
    """

    slow_tokenizer_class = XLMRobertaTokenizer
    _normalizes_mask = True  # so it is found in what the table makes of a text, too: in ＜mask＞
