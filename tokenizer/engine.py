"""Step 25 of the ladder: the pipeline once more, by the `tokenizers` library, which is imported only when it is used.

The library cuts at added tokens, cuts into pieces, and merges. Rows, padding and truncation stay ours. Where the
library would do otherwise than the pipeline, it is set right here.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import chain, groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from .alignment import Alignment
from .inputs import Source
from .pieces import BYTE_TO_SYMBOL, WHITE_SPACE
from .vocabulary import Vocabulary

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

Span = tuple[int, int]

__all__ = ["Engine", "align_encoding", "can_serve", "library"]


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


def can_serve(vocabulary: Vocabulary) -> bool:
    """Say whether the library gives the ids of a vocabulary.

    Args:
        vocabulary: any.

    Returns:
        False where the pipeline has to encode: where an added token is spelled like the symbol of a byte that the
        base vocabulary lacks (the library would take such a byte for the token), and where one swallows the white
        space in which another begins (the library would encode that text twice, or abort).
    """
    added = vocabulary.added_tokens_decoder.values()
    lacking = _lacking_symbols(vocabulary)
    takes_byte = any(token.content in lacking for token in added)
    swallows_token = any(token.rstrip for token in added) and any(token.content[0] in WHITE_SPACE for token in added)
    return not (takes_byte or swallows_token)


def _lacking_symbols(vocabulary: Vocabulary) -> list[str]:
    return [symbol for symbol in BYTE_TO_SYMBOL if symbol not in vocabulary._base]


class Engine:
    """The library, set up for a vocabulary. Nothing of it changes during a call, so threads may share it.

    Args:
        vocabulary: where all of it comes from.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._made_of = _parts(vocabulary)
        unk_token = vocabulary.unk_token if _lacking_symbols(vocabulary) else None
        # Added tokens are entries of the model, too, so that they keep their ids: the library would count its own.
        self._model = library().models.BPE(vocabulary.get_vocab(), vocabulary._merges, unk_token=unk_token)
        # One that finds special tokens in the text, and one that takes them for plain text.
        self._tokenizers = tuple(self._make_tokenizer(vocabulary, split_special) for split_special in (False, True))

    def _make_tokenizer(self, vocabulary: Vocabulary, split_special_tokens: bool) -> Tokenizer:
        tokenizer = library().Tokenizer(self._model)
        byte_level = library().pre_tokenizers.ByteLevel
        tokenizer.pre_tokenizer = byte_level(vocabulary.add_prefix_space, trim_offsets=False)
        added = vocabulary.added_tokens_decoder.values()
        tokenizer.add_tokens([library().AddedToken(**asdict(token)) for token in added])
        tokenizer.encode_special_tokens = split_special_tokens
        return tokenizer

    def fits(self, vocabulary: Vocabulary) -> bool:
        """Say whether the vocabulary is still as it was.

        Args:
            vocabulary: the one that this was made for.

        Returns:
            False where tokens were added or a setting changed since.
        """
        return all(ours is theirs for ours, theirs in zip(self._made_of, _parts(vocabulary), strict=True))

    def encode(
        self, sources: Sequence[Source], split_special_tokens: bool, with_offsets: bool = True
    ) -> list[Encoding]:
        """Encode texts, without special tokens around them.

        Args:
            sources: texts, or lists of words; not both.
            split_special_tokens: whether special tokens in them are treated as plain text.
            with_offsets: whether the offsets will be asked for. Leaving them out saves time.

        Returns:
            The library's record of each text.
        """
        tokenizer = self._tokenizers[split_special_tokens]
        encode = tokenizer.encode_batch if with_offsets else tokenizer.encode_batch_fast
        is_words = len(sources) > 0 and not isinstance(sources[0], str)
        return encode(cast("Any", sources), is_pretokenized=is_words, add_special_tokens=False)


def _parts(vocabulary: Vocabulary) -> tuple[object, ...]:
    """Return what changes when a token is added or a setting is changed."""
    pipeline = vocabulary._pipeline
    return pipeline.splitter, pipeline.bpe, pipeline.add_prefix_space


def align_encoding(vocabulary: Vocabulary, split_special_tokens: bool, encoding: Encoding, source: Source) -> Alignment:
    """Align the tokens of a text, as the pure pipeline's aligner does.

    Args:
        vocabulary: the one that encoded it.
        split_special_tokens: as it was encoded.
        encoding: the library's record of a text, with offsets.
        source: the text, or its words.

    Returns:
        The alignment.
    """
    aligner = _Aligner(vocabulary, split_special_tokens)
    tokens = list(zip(encoding.ids, encoding.offsets, strict=True))
    words = cast("list[int]", encoding.word_ids)
    if isinstance(source, str):
        return Alignment(list(aligner.offsets(source, tokens)), words)
    tokens_of_words = groupby(zip(words, tokens, strict=True), key=itemgetter(0))
    offsets = (aligner.offsets(source[int(word)], [token for _, token in group]) for word, group in tokens_of_words)
    return Alignment(list(chain.from_iterable(offsets)), words)


class _Aligner(NamedTuple):
    """Sets the library's offsets right, and trims them."""

    vocabulary: Vocabulary
    split_special_tokens: bool

    def offsets(self, text: str, tokens: Sequence[tuple[int, Span]]) -> Iterator[Span]:
        trims = self.vocabulary.trim_offsets
        at = 0
        for segment in self.vocabulary._pipeline.splitter.split(text, self.split_special_tokens):
            begin = at
            # A token that is added is one; its text may reach into that of the next.
            at = begin + 1 if segment.token else _first_behind(segment.end, tokens, begin)
            spans = [span for _, span in tokens[begin:at]]
            if segment.token is None and self._is_inserted_space(tokens[begin][0], text[segment.start]):
                spans[0] = segment.start, segment.start  # to the library it is the first character
            spaces = WHITE_SPACE if segment.token else " "
            yield from (_trimmed(text, span, spaces) for span in spans) if trims else spans

    def _is_inserted_space(self, first_id: int, first_character: str) -> bool:
        inserts = self.vocabulary.add_prefix_space and first_character != " "
        return inserts and self.vocabulary._byte_count(first_id) == 1


def _first_behind(end: int, tokens: Sequence[tuple[int, Span]], begin: int) -> int:
    """Return the place of the first token, from ``begin`` on, that begins at ``end`` or later."""
    return bisect_left(tokens, end, begin, key=lambda token: token[1][0])


def _trimmed(text: str, span: Span, spaces: str) -> Span:
    kept = text[slice(*span)].lstrip(spaces)
    return span[1] - len(kept), span[1] - len(kept) + len(kept.rstrip(spaces))
