"""A row, as the model reads it: special tokens around what is kept of one or two texts, and padding beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .alignment import EncodedText, Span
from .options import Plan, Side
from .padding import pad
from .roles import unplayed
from .truncation import cut

__all__ = ["Frame", "Row", "fields_of", "make_rows"]


class Frame:
    """What all rows of a call have in common.

    Args:
        roles: role -> the id of the token that plays it.
        plan: the call.
        spell: ids -> tokens.

    Raises:
        ValueError: the call puts in a token of a role that nobody plays.
    """

    def __init__(self, roles: Mapping[str, int | None], plan: Plan, spell: Callable[[list[int]], list[str]]) -> None:
        self.specials: tuple[int, ...] = ()
        """The ids of ``<s>`` and ``</s>``; empty where none are put in."""
        if plan.add_special_tokens:
            cls, sep = roles["cls_token"], roles["sep_token"]
            if cls is None or sep is None:
                raise unplayed("cls_token" if cls is None else "sep_token")
            self.specials = cls, sep
        pad_id = roles["pad_token"]
        if pad_id is None and plan.padding:
            raise unplayed("pad_token")
        self.pad_id = pad_id or 0
        self.padding_side: Side = plan.padding_side
        self.spell = spell


_ALL = slice(None)
_WHOLE = (_ALL, _ALL)


class Row:
    """One row of a batch: ``<s> A </s>``, or ``<s> A </s> </s> B </s>``, and padding.

    Its look-ups go from characters to tokens to words and back. A character is a code point of its text, counted from
    0; a token is a place in the row, counted from 0, padding included; a word is a piece of its text, or a given word.
    Spans are end-exclusive. ``sequence_index`` is 0 for the first text, 1 for the second; one that the row lacks is a
    ValueError, and a place that it lacks an IndexError. What is not there is None: tokens that the call put in have no
    characters, no word and no text, and what was cut off has no token.

    Args:
        texts: the one or two texts.
        frame: what is put around them.
        sample: index of the text or pair in the batch.
        kept: what is kept of each text.

    Example:
        >>> from roberta.tokenizer import RobertaTokenizer
        >>> tokenizer = RobertaTokenizer.from_pretrained("austen")
        >>> row = tokenizer("I", " say", padding="max_length", max_length=7)[0]
        >>> row.ids
        [0, 44, 2, 2, 577, 2, 1]
        >>> row.special_tokens_mask
        [1, 0, 1, 1, 0, 1, 1]
        >>> row.offsets
        [(0, 0), (0, 1), (0, 0), (0, 0), (1, 4), (0, 0), (0, 0)]
        >>> row.sequence_ids
        [None, 0, None, None, 1, None, None]
        >>> row.char_to_token(1, sequence_index=1)
        4
    """

    def __init__(
        self, texts: Sequence[EncodedText], frame: Frame, sample: int = 0, kept: Sequence[slice] = _WHOLE
    ) -> None:
        self._texts = texts
        self._frame = frame
        self.sample = sample
        self._kept = kept
        self.length = len(frame.specials) * len(texts)
        """Tokens without padding."""
        for text, part in zip(texts, kept, strict=False):
            self.length += len(range(len(text.ids))[part])
        self.padded_length = self.length
        """Tokens with padding."""

    def __len__(self) -> int:
        """Tokens with padding."""
        return self.padded_length

    @property
    def text_count(self) -> int:
        """1, or 2 for a pair."""
        return len(self._texts)

    @property
    def ids(self) -> list[int]:
        """The ids."""
        return self._padded("input_ids")

    @property
    def attention_mask(self) -> list[int]:
        """1 for every token and 0 for padding."""
        return self._padded("attention_mask")

    @property
    def type_ids(self) -> list[int]:
        """The token types: RoBERTa has one, 0."""
        return self._padded("token_type_ids")

    @property
    def special_tokens_mask(self) -> list[int]:
        """1 for every token that the call put in, padding included, else 0."""
        return self._padded("special_tokens_mask")

    @property
    def offsets(self) -> list[Span]:
        """Each token's (start, end) in its text, code points, end-exclusive; (0, 0) for special tokens."""
        return self._padded("offset_mapping")

    @property
    def spans(self) -> NDArray[np.int64]:
        """The same as an array, (T, 2), without padding."""
        around = [np.zeros((1, 2), np.int64)] if self._frame.specials else []
        parts = zip(self._texts, self._kept, strict=False)
        return np.concatenate([array for text, part in parts for array in (*around, text.spans[part], *around)])

    @property
    def word_ids(self) -> list[int | None]:
        """The index of each token's piece or given word; None for what the call put in."""
        return self._padded("word_ids")

    @property
    def sequence_ids(self) -> list[int | None]:
        """0 or 1 for the tokens of the first and second text; None for what the call put in."""
        return self._padded("sequence_ids")

    @property
    def tokens(self) -> list[str]:
        """The tokens as the vocabulary spells them."""
        return self._frame.spell(self.ids)

    # -- look-ups ------------------------------------------------------------------------------------------------------

    def char_to_token(self, char_index: int, sequence_index: int = 0) -> int | None:
        """Find the first token that holds a code point; None for a space that was trimmed, too."""
        return next((at for at, (start, end), _ in self._tokens_of(sequence_index) if start <= char_index < end), None)

    def char_to_word(self, char_index: int, sequence_index: int = 0) -> int | None:
        """Find the word that holds a code point."""
        found = (word for _, (start, end), word in self._tokens_of(sequence_index) if start <= char_index < end)
        return next(found, None)

    def token_to_chars(self, token_index: int) -> Span | None:
        """Say where a token came from: (start, end) in its text."""
        return None if self.token_to_sequence(token_index) is None else self.offsets[token_index]

    def token_to_word(self, token_index: int) -> int | None:
        """Say which word a token belongs to."""
        return self.word_ids[self._place(token_index)]

    def token_to_sequence(self, token_index: int) -> int | None:
        """Say which text a token belongs to: 0 or 1."""
        return self.sequence_ids[self._place(token_index)]

    def word_to_tokens(self, word_index: int, sequence_index: int = 0) -> Span | None:
        """Find the tokens of a word: (start, end), places in the row."""
        found = [at for at, _, word in self._tokens_of(sequence_index) if word == word_index]
        return (found[0], found[-1] + 1) if found else None

    def word_to_chars(self, word_index: int, sequence_index: int = 0) -> Span | None:
        """Say where a word is in its text: (start, end)."""
        found = [span for _, span, word in self._tokens_of(sequence_index) if word == word_index]
        return (found[0][0], found[-1][1]) if found else None

    def _tokens_of(self, sequence_index: int) -> Iterator[tuple[int, Span, int]]:
        """Yield place in the row, offsets and word of each token of one text."""
        if not 0 <= sequence_index < len(self._texts):
            raise ValueError(
                f"sequence_index: expected 0 to {len(self._texts) - 1}, got {sequence_index}; the row has "
                f"{len(self._texts)} text(s)"
            )
        placed = zip(range(self.padded_length), self.sequence_ids, self.offsets, self.word_ids, strict=True)
        return ((at, span, word) for at, of, span, word in placed if of == sequence_index and word is not None)

    def _place(self, token_index: int) -> int:
        if not -self.padded_length <= token_index < self.padded_length:
            raise IndexError(
                f"token_index: expected a place in the row, 0 to {self.padded_length - 1}, got {token_index}; "
                "padding counts, too"
            )
        return token_index

    # -- without padding -----------------------------------------------------------------------------------------------

    def _padded(self, field: str) -> list[Any]:
        unpadded, filler = _PER_TOKEN[field]
        filler = self._frame.pad_id if field == "input_ids" else filler
        return pad(unpadded(self), self.padded_length, self._frame.padding_side, filler)

    def _framed_ids(self) -> list[int]:
        return self._framed("ids", *self._frame.specials)

    def _framed_offsets(self) -> list[Span]:
        return self._framed("offsets", (0, 0), (0, 0))

    def _framed_words(self) -> list[int | None]:
        return self._framed("words", None, None)

    def _framed(self, attribute: str, cls: Any = None, sep: Any = None) -> list[Any]:
        """Lay out what the texts say of the tokens that are kept, with values of special tokens around them."""
        laid: list[Any] = []
        for text, part in zip(self._texts, self._kept, strict=False):
            values = getattr(text, attribute)
            kept = values if part == _ALL else values[part]
            framed = [sep if laid else cls, *kept, sep] if self._frame.specials else [*kept]
            laid = laid + framed if laid else framed
        return laid

    def _framed_sequences(self) -> list[int | None]:
        around = [None] if self._frame.specials else []
        laid: list[int | None] = []
        for index, (text, part) in enumerate(zip(self._texts, self._kept, strict=False)):
            laid += [*around, *[index] * len(range(len(text.ids))[part]), *around]
        return laid

    def _framed_specials(self) -> list[int]:
        return [int(sequence is None) for sequence in self._framed_sequences()]

    def _ones(self) -> list[int]:
        return [1] * self.length

    def _zeros(self) -> list[int]:
        return [0] * self.length


# Field -> what a row holds of it without padding, and what padding is. (The ids' is the tokenizer's.)
_PER_TOKEN: Mapping[str, tuple[Callable[[Row], list[Any]], Any]] = {
    "input_ids": (Row._framed_ids, None),
    "token_type_ids": (Row._zeros, 0),
    "attention_mask": (Row._ones, 0),
    "special_tokens_mask": (Row._framed_specials, 1),
    "offset_mapping": (Row._framed_offsets, (0, 0)),
    "word_ids": (Row._framed_words, None),
    "sequence_ids": (Row._framed_sequences, None),
}
_PER_ROW = {"length": attrgetter("padded_length"), "overflow_to_sample_mapping": attrgetter("sample")}


def make_rows(texts: Iterable[EncodedText], text_counts: Iterable[int], frame: Frame, plan: Plan) -> list[Row]:
    """Cut what is too long, and pad what is too short.

    Args:
        texts: the texts of all samples.
        text_counts: for each sample whether it is one text, or the two of a pair.
        frame: what is put around them.
        plan: the call.

    Returns:
        The rows of each sample: one, or one for each window.

    Raises:
        ValueError: a cut that cannot succeed.
    """
    rows: list[Row] = []
    remaining = iter(texts)
    limit = plan.max_length if plan.truncation else None
    for sample, text_count in enumerate(text_counts):
        parts = list(islice(remaining, text_count))
        row = Row(parts, frame, sample)
        if limit is None or row.length <= limit:
            rows.append(row)
        else:
            budget = limit - len(frame.specials) * text_count
            rows += [Row(parts, frame, sample, kept) for kept in cut([len(text.ids) for text in parts], budget, plan)]
    if plan.padding:
        wanted = plan.padded_length([row.length for row in rows])
        for row in rows:
            row.padded_length = max(wanted, row.length)
    return rows


def fields_of(rows: Sequence[Row], frame: Frame, plan: Plan) -> dict[str, Any]:
    """Gather the fields that a call returns.

    Args:
        rows: the rows.
        frame: what they have in common.
        plan: names the fields.

    Returns:
        Field -> one list, or one number, a row. Where arrays are wanted and the rows are of one length:
        (B, T) int64; (B, T, 2) for offsets; (B,) for a number a row.
    """
    is_token = _token_places(rows, frame) if plan.return_tensors else None
    fields: dict[str, Any] = {}
    for name in plan.fields:
        if name in _PER_ROW:
            fields[name] = list(map(_PER_ROW[name], rows))
        elif is_token is not None and name == "attention_mask":
            fields[name] = is_token.astype(np.int64)
        elif is_token is not None and name == "offset_mapping":
            fields[name] = np.zeros((*is_token.shape, 2), np.int64)  # B T 2
            fields[name][is_token] = np.concatenate([row.spans for row in rows])
        else:
            unpadded, filler = _PER_TOKEN[name]
            filler = frame.pad_id if name == "input_ids" else filler
            values = list(map(unpadded, rows))
            if is_token is not None:
                values = _scatter(values, is_token, filler)
            elif plan.padding:
                side = frame.padding_side
                values = [pad(row, length, side, filler) for row, length in zip(values, map(len, rows), strict=True)]
            fields[name] = values
    return fields


def _token_places(rows: Sequence[Row], frame: Frame) -> NDArray[np.bool_] | None:
    """Say where rows have tokens, and where padding, if they are all of one length."""
    widths = {row.padded_length for row in rows}
    if len(widths) != 1:
        return None
    width = widths.pop()
    lengths = np.array([row.length for row in rows])[:, None]  # B 1
    begins = width - lengths if frame.padding_side == "left" else np.zeros_like(lengths)  # B 1
    places = np.arange(width)  # T
    return (places >= begins) & (places < begins + lengths)  # B T


def _scatter(values: Sequence[Sequence[int]], is_token: NDArray[np.bool_], filler: int) -> NDArray[np.int64]:
    """Put values where there is a token, and a filler where there is padding: `pad` for arrays.

    >>> _scatter([[0, 102, 2], [5]], np.array([[True, True, True], [False, False, True]]), filler=1).tolist()
    [[0, 102, 2], [1, 1, 5]]
    """
    stacked = np.full(is_token.shape, filler, np.int64)  # B T
    stacked[is_token] = np.fromiter(chain.from_iterable(values), np.int64)
    return stacked
