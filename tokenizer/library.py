"""The other engine: the same law by the `tokenizers` library, which is imported only when it is used.

The library cuts at added tokens, cuts into pieces, merges, and says where tokens came from. Rows, padding and
truncation stay ours. Where it would do otherwise than the pure `Pipeline`, it is set right here.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, cast

from .pieces import BYTE_TO_SYMBOL, WHITE_SPACE
from .pipeline import Alignment, EncodedText, Pipeline, Source, Span, trimmed
from .special import AddedToken

if TYPE_CHECKING:
    from tokenizers import Encoding

__all__ = ["Library", "can_serve", "library"]


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


def can_serve(base: Mapping[str, int], added: Mapping[int, AddedToken]) -> bool:
    """Say whether the library gives the ids of a vocabulary.

    Args:
        base: the base vocabulary: symbol string -> id.
        added: id -> token, for those that lie over it.

    Returns:
        False where the pure engine has to encode: where an added token is spelled like the symbol of a byte that the
        base vocabulary lacks (the library would take such a byte for the token), and where one swallows the white
        space in which another begins (the library would encode that text twice, or abort).

    Example:
        >>> can_serve({"a": 0}, {1: AddedToken("<r>", rstrip=True), 2: AddedToken(" x")})
        False
    """
    lacking = {symbol for symbol in BYTE_TO_SYMBOL if symbol not in base}
    takes_byte = any(token.content in lacking for token in added.values())
    swallows = any(token.rstrip for token in added.values())
    return not takes_byte and not (swallows and any(token.content[0] in WHITE_SPACE for token in added.values()))


class Library:
    """The library, set up as a pure engine is. Nothing of it changes during a call, so threads may share it.

    Args:
        pipeline: the pure engine.
        added: its added tokens.
        vocab: token -> id, added tokens included.
        merges: pairs of symbol strings, the lowest rank first.
        unk_token: stands for bytes that the vocabulary lacks; None where it lacks none.

    Raises:
        ImportError: the library is not installed.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        added: Mapping[int, AddedToken],
        vocab: Mapping[str, int],
        merges: Sequence[tuple[str, str]],
        unk_token: str | None,
    ) -> None:
        self._pipeline = pipeline
        # The library takes the symbol of the space for a space, in an added token too; and it loses track of a space
        # that it has put before a text.
        is_symbol = any(token.content.strip("Ġ") != token.content for token in added.values())
        self._is_right = not (pipeline.add_prefix_space or is_symbol)
        # Added tokens are entries of the model, too, so that they keep their ids: the library would count its own.
        model = library().models.BPE(dict(vocab), list(merges), unk_token=unk_token)
        tokens = [library().AddedToken(**asdict(token)) for _, token in sorted(added.items())]
        # One that finds special tokens in the text, and one that takes them for plain text.
        self._tokenizers = [self._make_tokenizer(model, tokens, is_plain) for is_plain in (False, True)]

    def _make_tokenizer(self, model: Any, tokens: list[Any], split_special_tokens: bool) -> Any:
        tokenizer = library().Tokenizer(model)
        tokenizer.pre_tokenizer = library().pre_tokenizers.ByteLevel(self._pipeline.add_prefix_space)
        if self._is_right and self._pipeline.trim_offsets:
            tokenizer.post_processor = library().processors.ByteLevel(trim_offsets=True, add_prefix_space=False)
        tokenizer.add_tokens(tokens)
        tokenizer.encode_special_tokens = split_special_tokens
        return tokenizer

    def encode(
        self, sources: Sequence[Source], split_special_tokens: bool = False, aligned: bool = False
    ) -> list[EncodedText]:
        """Encode texts, as `Engine.encode` says; a text that was not ``aligned`` is encoded again when someone asks."""
        tokenizer = self._tokenizers[split_special_tokens]
        if len(sources) == 1:
            encodings, aligned = [self._encode_one(sources[0], split_special_tokens)], True
        else:
            encode = tokenizer.encode_batch if aligned else tokenizer.encode_batch_fast
            is_words = len(sources) > 0 and not isinstance(sources[0], str)
            encodings = encode(sources, is_pretokenized=is_words, add_special_tokens=False)
        align = partial(self._align, split_special_tokens)
        texts: list[EncodedText] = []
        for source, encoding in zip(sources, encodings, strict=True):
            texts.append(EncodedText(encoding.ids, partial(align, source, encoding if aligned else None)))
        return texts

    def _encode_one(self, source: Source, split_special_tokens: bool) -> Encoding:
        encode = self._tokenizers[split_special_tokens].encode
        return encode(source, is_pretokenized=not isinstance(source, str), add_special_tokens=False)

    def _align(self, split_special_tokens: bool, source: Source, encoding: Encoding | None) -> Alignment:
        encoding = encoding or self._encode_one(source, split_special_tokens)
        words = cast("list[int]", encoding.word_ids)
        if self._is_right:
            return Alignment(encoding.offsets, words)
        tokens = list(zip(encoding.ids, encoding.offsets, strict=True))
        if isinstance(source, str):
            return Alignment(list(self._corrected(source, tokens, split_special_tokens)), words)
        words_of_source = list(source)
        offsets: list[Span] = []
        for word, group in groupby(zip(words, tokens, strict=True), key=itemgetter(0)):
            offsets += self._corrected(words_of_source[word], [token for _, token in group], split_special_tokens)
        return Alignment(offsets, words)

    def _corrected(self, text: str, tokens: Sequence[tuple[int, Span]], split_special_tokens: bool) -> Iterator[Span]:
        """Set the library's offsets right, and trim them."""
        pipeline = self._pipeline
        at = 0
        for segment in pipeline.splitter.split(text, split_special_tokens):
            begin = at
            # A token that is added is one; its text may reach into that of the next.
            at = begin + 1 if segment.token else _first_behind(segment.end, tokens, begin)
            spans = [span for _, span in tokens[begin:at]]
            has_inserted_space = segment.token is None and pipeline.add_prefix_space and text[segment.start] != " "
            if has_inserted_space and pipeline.byte_count(tokens[begin][0]) == 1:
                spans[0] = segment.start, segment.start  # a token by itself: to the library it is the first character
            spaces = WHITE_SPACE if segment.token else " "
            yield from (trimmed(text, *span, spaces) for span in spans) if pipeline.trim_offsets else spans


def _first_behind(end: int, tokens: Sequence[tuple[int, Span]], begin: int) -> int:
    """Return the place of the first token, from ``begin`` on, that begins at ``end`` or later."""
    return bisect_left(tokens, end, begin, key=lambda token: token[1][0])
