"""`RobertaTokenizerFast`: `RobertaTokenizer` with the `tokenizers` library for an engine."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from .files import StrPath
from .library import LibraryBPE, library
from .pipeline import WordEncoder
from .tokenizer import RobertaTokenizer
from .tokenizer_json import read_tokenizer_json, tokenizer_json

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["RobertaTokenizerFast"]


class RobertaTokenizerFast(RobertaTokenizer):
    """RoBERTa's byte-level BPE tokenizer on the `tokenizers` library; ids and all else are `RobertaTokenizer`'s.

    Args:
        vocab_file: ``vocab.json``, or what it holds: symbol string -> id.
        merges_file: ``merges.txt``, or what it holds: pairs of symbol strings, the lowest rank first.
        tokenizer_file: ``tokenizer.json``, in place of both.
        errors: what decoding does with bytes that are no UTF-8: ``"replace"``, ``"ignore"``, ``"strict"``, …
        **settings: ``bos_token`` and the other roles, ``add_prefix_space``, and those of `Settings`, as
            `RobertaTokenizer` takes them.

    Raises:
        ImportError: the library is not installed.
        FileNotFoundError: a file is missing.
        ValueError: a file is damaged, or a setting has a value that does not exist.
        TypeError: a setting that does not exist, and resembles one; or neither ``tokenizer_file`` nor the two other
            files.

    Example:
        >>> tokenizer = RobertaTokenizerFast.train(["low lower lowest low"], vocab_size=263)
        >>> tokenizer("low <mask>").input_ids
        [0, 261, 262, 2]
    """

    is_fast = True
    slow_tokenizer_class = RobertaTokenizer

    def __init__(
        self,
        vocab_file: StrPath | Mapping[str, int] | None = None,
        merges_file: StrPath | Iterable[tuple[str, str]] | None = None,
        tokenizer_file: StrPath | None = None,
        errors: str = "replace",
        **settings: Any,
    ) -> None:
        library()
        if tokenizer_file is not None:
            stored = read_tokenizer_json(tokenizer_file)
            vocab_file, merges_file = vocab_file or stored.vocab, merges_file or stored.merges
            settings = {**stored.arguments, **settings}
        if vocab_file is None or merges_file is None:
            raise TypeError(
                "RobertaTokenizerFast: expected vocab_file and merges_file, or tokenizer_file, got "
                f"{'only one of the two' if (vocab_file is None) != (merges_file is None) else 'neither'}; pass them, "
                "or load a folder with RobertaTokenizerFast.from_pretrained(folder)"
            )
        super().__init__(vocab_file, merges_file, errors, **settings)

    @property
    def backend_tokenizer(self) -> Tokenizer:
        """A tokenizer of the library that is as ``tokenizer.json`` says: a copy, free to be changed."""
        return library().Tokenizer.from_str(json.dumps(tokenizer_json(self)))

    @property
    def decoder(self) -> Any:
        """What turns ids back to text in a tokenizer of the library."""
        backend: Any = self.backend_tokenizer
        return backend.decoder

    def _word_encoder(self) -> WordEncoder:
        unk_token = self.unk_token if self._lacking_symbols() else None
        return LibraryBPE(self._bpe, self._base, self._merges, unk_token)
