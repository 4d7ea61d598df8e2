"""The other engine: the same law with the `tokenizers` library, which is imported only when it is used.

The library merges the words that were not seen before. All else is the pure `Pipeline`: added tokens, the cut at white
space, and the memory of words, by which running text is read several times faster than the library alone would read it.
Only text with hardly a space, such as Chinese, has no words that come again, and is the library's from end to end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import chain, compress
from operator import not_
from typing import TYPE_CHECKING, Any, cast

from .bpe import Memory
from .pieces import WORDS
from .pipeline import AlignedWord, EncodedText, Pipeline, Source, Span, trimmed

if TYPE_CHECKING:
    from tokenizers import Encoding

__all__ = ["Library", "LibraryBPE", "library"]

_SHORT = Memory.longest_kept


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
        self.aligns_texts = not trim_offsets or "Ġ" in vocab
        """Whether the library trims as the pipeline does: it knows a space by its symbol."""
        if trim_offsets and self.aligns_texts:
            self._tokenizer.post_processor = library().processors.ByteLevel(add_prefix_space=False)

    def encode(self, text: str) -> list[int]:
        """Encode a text without special tokens.

        Args:
            text: any text without lone surrogates.

        Returns:
            Its ids.
        """
        return list(chain.from_iterable(map(self.words.__getitem__, WORDS.findall(text))))

    def encode_batch(self, texts: list[Any], aligned: bool) -> list[Encoding]:
        """Encode words, or whole texts, without looking into the memory.

        Args:
            texts: plain texts.
            aligned: whether the offsets will be asked for.

        Returns:
            The library's record of each.
        """
        if len(texts) < 2:
            return list(map(self._tokenizer.encode, texts))
        return (self._tokenizer.encode_batch if aligned else self._tokenizer.encode_batch_fast)(texts)

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
        if not self.aligns_texts:
            offsets = [trimmed(word, *span, " ") for span in offsets]
        return tuple((begin, end, piece) for (begin, end), piece in zip(offsets, pieces, strict=True)), pieces[-1] + 1

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
        # To the library a space that was put before a text is a part of it.
        self._takes_texts = bpe.aligns_texts and not pipeline.add_prefix_space

    def encode(
        self, sources: Sequence[Source], split_special_tokens: bool = False, aligned: bool = False
    ) -> list[EncodedText]:
        """Encode texts, as `Engine.encode` says."""
        others, is_whole = sources, None
        if self._takes_texts and max(map(len, sources), default=0) > _SHORT:
            is_whole = list(map(self._has_hardly_a_space, sources))
            others = list(compress(sources, map(not_, is_whole)))
        if len(others) > 1:
            self._meet(others, aligned)
        texts = self.pipeline.encode(others, split_special_tokens)
        if is_whole is None:
            return texts
        whole, remaining = iter(self.bpe.encode_batch(list(compress(sources, is_whole)), True)), iter(texts)
        return [_encoded(next(whole)) if each else next(remaining) for each in is_whole]

    def _has_hardly_a_space(self, text: Source) -> bool:
        is_long = len(text) > _SHORT * (text.count(" ") + 1)
        return is_long and self.pipeline.splitter.find_candidate(str(text)) is None

    def _meet(self, sources: Sequence[Source], aligned: bool) -> None:
        """Remember the new words of texts."""
        words, aligned_words = self.bpe.words, self.pipeline.aligned_words
        new = list(self._words_of(sources) - (aligned_words if aligned else words).keys())
        for word, encoding in zip(new, self.bpe.encode_batch(new, aligned), strict=True):
            words.keep(word, tuple(encoding.ids))
            if aligned:
                aligned_words.keep(word, self.bpe.aligned(word, encoding))

    def _words_of(self, sources: Sequence[Source]) -> set[str]:
        """Find nearly all words that can be remembered: beside added tokens there may be others."""
        texts = cast("Iterable[str]", sources if isinstance(sources[0], str) else chain.from_iterable(sources))
        # With a line end before each, and the space that is put before a text.
        words = WORDS.findall(("\n " if self.pipeline.add_prefix_space else "\n").join(("", *texts)))
        return {word for word in set(words) if len(word) <= _SHORT}


def _encoded(encoding: Encoding) -> EncodedText:
    return EncodedText(encoding.ids, partial(_LibraryAlignment, encoding))


class _LibraryAlignment:
    """The library's record, of which only what is asked for becomes a list."""

    def __init__(self, encoding: Encoding) -> None:
        self._encoding = encoding

    @property
    def offsets(self) -> list[Span]:
        return cast("Any", self._encoding.offsets)

    @property
    def words(self) -> list[int]:
        return cast("Any", self._encoding.word_ids)
