"""Words by the `tokenizers` library, which is imported only when it is used: it merges those that were not seen before.

All else is the pure way: added tokens, the cut, and the memory of words. (The library by itself keeps track of every
character of every text, and remembers less.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain, filterfalse
from typing import Any

from .bpe import ByteLevelBPE
from .pieces import WORDS

__all__ = ["LibraryBPE", "library"]


def library() -> Any:
    """Import the `tokenizers` library.

    Returns:
        The module.

    Raises:
        ImportError: it cannot be imported; with the line that installs it.
    """
    try:
        import tokenizers
    except ImportError as error:
        raise ImportError(
            f"RobertaTokenizerFast needs the library tokenizers, which cannot be imported ({error}); "
            'pip install "roberta[tokenizers]", or use RobertaTokenizer, which gives the same ids'
        ) from error
    return tokenizers


class LibraryBPE:
    """Encodes plain text as `ByteLevelBPE` does, and has the library merge what is new in a batch, all at once.

    That is what the library is faster at: words of ASCII letters. In other scripts nearly every character is merged
    by itself, and those of all texts are few.

    Args:
        bpe: encodes what is not left to the library, and remembers what was encoded.
        vocab: symbol string -> id.
        merges: pairs of symbol strings, the lowest rank first.
        unk_token: stands for a byte that the vocabulary lacks; None where it lacks none.

    Raises:
        ImportError: the library is not installed.
    """

    def __init__(
        self, bpe: ByteLevelBPE, vocab: Mapping[str, int], merges: Sequence[tuple[str, str]], unk_token: str | None
    ) -> None:
        self.unk_id = bpe.unk_id
        self._memory = bpe.memory
        entries = {**vocab, unk_token: bpe.unk_id} if unk_token else dict(vocab)
        self._tokenizer = library().Tokenizer(library().models.BPE(entries, list(merges), unk_token=unk_token))
        self._tokenizer.pre_tokenizer = library().pre_tokenizers.ByteLevel(add_prefix_space=False)

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Encode texts without special tokens.

        Args:
            texts: any texts without lone surrogates.

        Returns:
            The ids of each.
        """
        words = list(map(WORDS.findall, texts))
        new = list(filterfalse(self._memory.__contains__, chain.from_iterable(words)))
        if new:
            self._learn({word for word in new if word.isascii() and len(word) <= self._memory.longest_kept})
        look_up = self._memory.__getitem__
        return [list(chain.from_iterable(map(look_up, each))) for each in words]

    def _learn(self, words: set[str]) -> None:
        new = list(words)
        for word, encoding in zip(new, self._tokenizer.encode_batch_fast(new), strict=True):
            self._memory.keep(word, tuple(encoding.ids))
