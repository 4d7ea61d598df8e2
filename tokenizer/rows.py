"""Step 15 of the ladder: a row, as the model reads it: special tokens, kept tokens of the texts, padding."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeVar

import numpy as np

from .plan import Plan
from .texts import Part

__all__ = ["Frame", "Row", "Span", "gather", "pad_rows", "stack"]

T = TypeVar("T")
Span = tuple[int, int]
IntArray = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Frame:
    """What all rows of a call have in common.

    Args:
        cls_sep: the ids of ``<s>`` and ``</s>``, or None where none are put in.
        pad_id: the id of padding, or None where there is none.
        spell: ids -> tokens.
    """

    cls_sep: tuple[int, int] | None
    pad_id: int | None
    spell: Callable[[list[int]], list[str]]


@dataclass(slots=True)
class Row:
    """One row of the batch: ``<s> A </s>``, or ``<s> A </s> </s> B </s>``, and padding.

    Args:
        parts: the kept tokens of the one or two texts.
        frame: what is put around them.
        sample: index of the text or pair in the batch.
        padding: tokens of padding at the left and at the right.

    Example:
        >>> from roberta.tokenizer.alignment import Alignment
        >>> from roberta.tokenizer.texts import EncodedText
        >>> a = EncodedText("a", [102], lambda text: Alignment([(0, 1)], [0]))
        >>> bc = EncodedText("bc", [428], lambda text: Alignment([(0, 2)], [0]))
        >>> row = Row([Part(a, 0, 1), Part(bc, 0, 1)], Frame((0, 2), pad_id=1, spell=str), padding=(0, 1))
        >>> row.ids
        [0, 102, 2, 2, 428, 2, 1]
        >>> row.special_tokens_mask
        [1, 0, 1, 1, 0, 1, 1]
        >>> row.offsets
        [(0, 0), (0, 1), (0, 0), (0, 0), (0, 2), (0, 0), (0, 0)]
        >>> row.sequence_ids
        [None, 0, None, None, 1, None, None]
        >>> row.char_to_token(1, sequence_index=1)
        4
    """

    parts: Sequence[Part]
    frame: Frame
    sample: int = 0
    padding: tuple[int, int] = (0, 0)

    def __len__(self) -> int:
        """Tokens without padding."""
        tokens = sum(map(len, self.parts))
        return tokens + 2 * len(self.parts) if self.frame.cls_sep else tokens

    @property
    def padded_length(self) -> int:
        """Tokens with padding."""
        return len(self) + sum(self.padding)

    @property
    def ids(self) -> list[int]:
        """The ids."""
        return self._padded(self.framed_ids(), self.frame.pad_id or 0)

    @property
    def attention_mask(self) -> list[int]:
        """1 for every token and 0 for padding."""
        return self._padded([1] * len(self), 0)

    @property
    def type_ids(self) -> list[int]:
        """The token types: RoBERTa has one, 0."""
        return [0] * self.padded_length

    @property
    def special_tokens_mask(self) -> list[int]:
        """1 for every token that the call put in, padding included, else 0."""
        return self._padded(self.framed_specials(), 1)

    @property
    def tokens(self) -> list[str]:
        """The tokens as the vocabulary spells them."""
        return self.frame.spell(self.ids)

    @property
    def offsets(self) -> list[Span]:
        """Each token's (start, end) in its text, code points, end-exclusive; (0, 0) for special tokens."""
        return self._padded(self.framed_offsets(), (0, 0))

    @property
    def word_ids(self) -> list[int | None]:
        """The index of each token's piece or given word; None for what the call put in."""
        words: list[Sequence[int | None]] = [part.alignment.words for part in self.parts]
        return self._padded(self._framed(words, None, None), None)

    @property
    def sequence_ids(self) -> list[int | None]:
        """0 or 1 for the tokens of the first and second text; None for what the call put in."""
        indices: list[Sequence[int | None]] = [[index] * len(part) for index, part in enumerate(self.parts)]
        return self._padded(self._framed(indices, None, None), None)

    def char_to_token(self, char_index: int, sequence_index: int = 0) -> int | None:
        """Find the token that holds a code point of a text.

        Args:
            char_index: code point of the text, from 0.
            sequence_index: 0 for the first text, 1 for the second.

        Returns:
            Place in the row of the first such token; None where no token of the row holds it, as of a space that
            was trimmed.

        Raises:
            ValueError: the row has no such text.
        """
        return next((at for at, (start, end), _ in self._tokens_of(sequence_index) if start <= char_index < end), None)

    def char_to_word(self, char_index: int, sequence_index: int = 0) -> int | None:
        """Find the word that holds a code point of a text.

        Args:
            char_index: code point of the text, from 0.
            sequence_index: 0 for the first text, 1 for the second.

        Returns:
            Index of the word; None where no token of the row holds the code point.

        Raises:
            ValueError: the row has no such text.
        """
        found = (word for _, (start, end), word in self._tokens_of(sequence_index) if start <= char_index < end)
        return next(found, None)

    def token_to_chars(self, token_index: int) -> Span | None:
        """Say where a token came from.

        Args:
            token_index: place in the row, from 0, padding included.

        Returns:
            (start, end) in its text, Unicode code points, end-exclusive; None for what the call put in.
        """
        return None if self.token_to_sequence(token_index) is None else self.offsets[token_index]

    def token_to_word(self, token_index: int) -> int | None:
        """Say which word a token belongs to.

        Args:
            token_index: place in the row, from 0, padding included.

        Returns:
            Index of the word in its text; None for what the call put in.
        """
        return self.word_ids[self._place(token_index)]

    def token_to_sequence(self, token_index: int) -> int | None:
        """Say which text a token belongs to.

        Args:
            token_index: place in the row, from 0, padding included.

        Returns:
            0 or 1; None for what the call put in.
        """
        return self.sequence_ids[self._place(token_index)]

    def word_to_tokens(self, word_index: int, sequence_index: int = 0) -> Span | None:
        """Find the tokens of a word.

        Args:
            word_index: piece of the text, or given word, from 0.
            sequence_index: 0 for the first text, 1 for the second.

        Returns:
            (first, last + 1), places in the row; None where the row has no token of it.

        Raises:
            ValueError: the row has no such text.
        """
        found = [at for at, _, word in self._tokens_of(sequence_index) if word == word_index]
        return (found[0], found[-1] + 1) if found else None

    def word_to_chars(self, word_index: int, sequence_index: int = 0) -> Span | None:
        """Say where a word is in its text.

        Args:
            word_index: piece of the text, or given word, from 0.
            sequence_index: 0 for the first text, 1 for the second.

        Returns:
            (start, end), Unicode code points, end-exclusive; None where the row has no token of it.

        Raises:
            ValueError: the row has no such text.
        """
        found = [span for _, span, word in self._tokens_of(sequence_index) if word == word_index]
        return (found[0][0], found[-1][1]) if found else None

    def _tokens_of(self, sequence_index: int) -> Iterator[tuple[int, Span, int]]:
        """Yield place in the row, offsets and word of each token of one text."""
        if not 0 <= sequence_index < len(self.parts):
            raise ValueError(
                f"sequence_index: expected 0 to {len(self.parts) - 1}, got {sequence_index}; the row has "
                f"{len(self.parts)} text(s)"
            )
        specials = 1 + 2 * sequence_index if self.frame.cls_sep else 0
        begin = self.padding[0] + specials + sum(map(len, self.parts[:sequence_index]))
        offsets, words = self.parts[sequence_index].alignment
        return zip(range(begin, begin + len(words)), offsets, words, strict=True)

    def _place(self, token_index: int) -> int:
        if not -self.padded_length <= token_index < self.padded_length:
            raise IndexError(
                f"token_index: expected a place in the row, 0 to {self.padded_length - 1}, got {token_index}; "
                "padding counts, too"
            )
        return token_index

    # Without padding.

    def framed_ids(self) -> list[int]:
        """Return the ids."""
        return self._framed([part.ids for part in self.parts], *(self.frame.cls_sep or (0, 0)))

    def framed_specials(self) -> list[int]:
        """Return 1 for every token that the call put in, else 0."""
        return self._framed([[0] * len(part) for part in self.parts], 1, 1)

    def framed_offsets(self) -> list[Span]:
        """Return each token's offsets."""
        return self._framed([part.alignment.offsets for part in self.parts], (0, 0), (0, 0))

    def _framed(self, inner: Sequence[Sequence[T]], cls: T, sep: T) -> list[T]:
        """Lay out values of kept tokens, with those of ``<s>`` and ``</s>`` around them."""
        if self.frame.cls_sep is None:
            return list(chain.from_iterable(inner))
        laid = [cls, *inner[0], sep]
        for values in inner[1:]:
            laid += [sep, *values, sep]
        return laid

    def _padded(self, laid: list[T], filler: T) -> list[T]:
        left, right = self.padding
        return [filler] * left + laid + [filler] * right if left or right else laid


def pad_rows(rows: Sequence[Row], plan: Plan) -> None:
    """Give every row its padding.

    Args:
        rows: changed in place. A row longer than the wanted length stays as it is.
        plan: says to which length and at which side.
    """
    lengths = list(map(len, rows))
    wanted = plan.padded_length(lengths)
    for row, length in zip(rows, lengths, strict=True):
        missing = max(wanted - length, 0)
        row.padding = (missing, 0) if plan.padding_side == "left" else (0, missing)


def gather(rows: Sequence[Row], attribute: str) -> Any:
    """Gather one field of all rows.

    Args:
        rows: the rows, padded.
        attribute: the attribute that holds the field.

    Returns:
        One value a row, in a list.

    Example:
        >>> gather([Row([], Frame((0, 2), 1, str))], "sample")
        [0]
    """
    return [getattr(row, attribute) for row in rows]


def stack(rows: Sequence[Row], attribute: str) -> Any:
    """Gather one field of all rows in an array; the same as `gather`, without lists that hold the padding.

    Args:
        rows: the rows, padded.
        attribute: the attribute that holds the field.

    Returns:
        (B, T) int64; (B, T, 2) for offsets; (B,) for a number a row. What `gather` gives, where the rows are
        of different lengths, or none.

    Example:
        >>> from roberta.tokenizer.texts import EncodedText
        >>> part = Part(EncodedText("a", [102], lambda text: ...), 0, 1)
        >>> rows = [Row([part], Frame((0, 2), pad_id=1, spell=str), padding=padding) for padding in ((0, 1), (1, 0))]
        >>> stack(rows, "ids").tolist()
        [[0, 102, 2, 1], [1, 0, 102, 2]]
    """
    widths = {row.padded_length for row in rows}
    if len(widths) != 1:
        return gather(rows, attribute)
    left, right = (np.array([row.padding[side] for row in rows])[:, None] for side in (0, 1))  # B 1
    place = np.arange(widths.pop())  # T
    is_token = (place >= left) & (place < len(place) - right)  # B T
    if attribute == "attention_mask":
        return is_token.astype(np.int64)
    if attribute == "type_ids":
        return np.zeros(is_token.shape, np.int64)
    if attribute == "ids":
        return _scatter(map(Row.framed_ids, rows), is_token, rows[0].frame.pad_id or 0)
    if attribute == "special_tokens_mask":
        return _scatter(map(Row.framed_specials, rows), is_token, 1)
    if attribute == "offsets":
        spans = list(chain.from_iterable(map(Row.framed_offsets, rows)))
        return np.stack([_scatter([[span[side] for span in spans]], is_token, 0) for side in (0, 1)], axis=-1)  # B T 2
    return gather(rows, attribute)


def _scatter(values: Iterable[Sequence[int]], is_token: IntArray, filler: int) -> IntArray:
    """Put values where there is a token, and a filler where there is none."""
    flat = np.fromiter(chain.from_iterable(values), np.int64, np.count_nonzero(is_token))
    stacked = np.full(is_token.shape, filler, np.int64)  # B T
    stacked[is_token] = flat
    return stacked
