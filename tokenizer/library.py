"""Words by the `tokenizers` library, which is imported only when it is used: it merges those that were not seen before.

All else is the pure `Pipeline`: added tokens, the cut at white space, and the memory of words. (The library by itself
keeps track of every character of every text, and remembers less.)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, cast

from .bpe import Memory
from .pieces import WORDS
from .pipeline import AlignedWord, EncodedText, Pipeline, Source, Span, trimmed

if TYPE_CHECKING:
    from tokenizers import Encoding

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
    """Encodes plain text as `ByteLevelBPE` does, with the library to merge the words that it does not remember.

    Args:
        vocab: symbol string -> id.
        merges: pairs of symbol strings, the lowest rank first.
        unk_token: stands for a byte that the vocabulary lacks; None where it lacks none.
        unk_id: its id.
        trim_offsets: whether spaces at both ends of a token are left out of its offsets.

    Raises:
        ImportError: the library is not installed.
    """

    def __init__(
        self,
        vocab: Mapping[str, int],
        merges: Sequence[tuple[str, str]],
        unk_token: str | None,
        unk_id: int,
        *,
        trim_offsets: bool = True,
    ) -> None:
        self.unk_id = unk_id
        self.words = Memory(self._encode_word, 65536)
        entries = {**vocab, unk_token: unk_id} if unk_token else dict(vocab)
        self._tokenizer = library().Tokenizer(library().models.BPE(entries, list(merges), unk_token=unk_token))
        self._tokenizer.pre_tokenizer = library().pre_tokenizers.ByteLevel(add_prefix_space=False)
        self._trim_offsets = trim_offsets

    def encode(self, text: str) -> list[int]:
        """Encode a text without special tokens.

        Args:
            text: any text without lone surrogates.

        Returns:
            Its ids.
        """
        return list(chain.from_iterable(map(self.words.__getitem__, WORDS.findall(text))))

    def encode_words(self, words: list[str], aligned: bool) -> list[Encoding]:
        """Encode words that are not remembered.

        Args:
            words: as `encode` cuts them.
            aligned: whether the offsets will be asked for.

        Returns:
            The library's record of each.
        """
        return (self._tokenizer.encode_batch if aligned else self._tokenizer.encode_batch_fast)(words)

    def align_word(self, word: str) -> AlignedWord:
        """Say where the tokens of a word come from.

        Args:
            word: as `encode` cuts them.

        Returns:
            See `AlignedWord`.
        """
        return self.aligned(word, self._tokenizer.encode(word))

    def aligned(self, word: str, encoding: Encoding) -> AlignedWord:
        """Say the same of a word that is encoded already.

        Args:
            word: the word.
            encoding: the library's record of it, with offsets.

        Returns:
            See `AlignedWord`.
        """
        offsets: list[Span] = cast("Any", encoding.offsets)
        pieces = cast("list[int]", encoding.word_ids)
        if self._trim_offsets and (word[0] == " " or word.isspace()):
            # White space is a word by itself; of any other word only the first token holds the space before it.
            spaced = len(offsets) if word.isspace() else 1
            offsets[:spaced] = [trimmed(word, *span, " ") for span in offsets[:spaced]]
        return AlignedWord(offsets, pieces, pieces[-1] + 1)

    def _encode_word(self, word: str) -> tuple[int, ...]:
        return tuple(self._tokenizer.encode(word).ids)


class Library:
    """The engine of the fast class: a `Pipeline` that is given the new words of a batch all at once.

    Args:
        bpe: encodes words.
        pipeline: does all else, with these words.
    """

    def __init__(self, bpe: LibraryBPE, pipeline: Pipeline) -> None:
        self.bpe = bpe
        self.pipeline = pipeline

    def encode(
        self, sources: Sequence[Source], split_special_tokens: bool = False, aligned: bool = False
    ) -> list[EncodedText]:
        """Encode texts, as `Engine.encode` says."""
        if len(sources) < 2:
            return self.pipeline.encode(sources, split_special_tokens)
        words, aligned_words = self.bpe.words, self.pipeline.aligned_words
        new = list(self._words_of(sources) - (aligned_words if aligned else words).keys())
        for word, encoding in zip(new, self.bpe.encode_words(new, aligned), strict=True):
            words.keep(word, tuple(encoding.ids))
            if aligned:
                aligned_words.keep(word, self.bpe.aligned(word, encoding))
        texts = self.pipeline.encode(sources, split_special_tokens)
        if aligned:
            for text in texts:
                text.align()
        for memory in (words, aligned_words):
            memory.forget_long(new)
        return texts

    def _words_of(self, sources: Sequence[Source]) -> set[str]:
        """Find nearly all words of texts: at added tokens there may be others, which will be encoded one by one."""
        texts = cast("Iterable[str]", sources if isinstance(sources[0], str) else chain.from_iterable(sources))
        # With a line end before each, and the space that is put before a text.
        return set(WORDS.findall(("\n " if self.pipeline.add_prefix_space else "\n").join(("", *texts))))
