"""The record that a call returns."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from ..files.tables import Aside, Table
from .alignment import Span
from .rows import Row
from .tensors import to_tensor

__all__ = ["BatchEncoding", "CharSpan", "TokenSpan"]

T = TypeVar("T")
#: What a notebook shows of a record: so many rows, and so many tokens of each.
MOST_HTML_ROWS, MOST_HTML_TOKENS = 8, 48


class CharSpan(NamedTuple):
    """Code points of a text.

    Args:
        start: the first.
        end: one past the last.
    """

    start: int
    end: int


class TokenSpan(NamedTuple):
    """Tokens of a row.

    Args:
        start: the first.
        end: one past the last.
    """

    start: int
    end: int


class BatchEncoding(dict[str, Any]):
    """Field name -> lists or tensors: a dict, so that ``model(**encoding)`` works; fields are attributes too.

    The record of a call also knows where each token came from. With an integer it gives a `Row`; the methods of a row
    are also methods of the record, which take the index of the row first, or leave it out where there is one row:
    ``encoding[0].char_to_token(4)``, ``encoding.char_to_token(0, 4)``, ``encoding.char_to_token(4)``.

    Args:
        fields: the fields.
        rows: what they were made of; needed for alignment only. They stay behind when the record is pickled.

    Example:
        >>> encoding = BatchEncoding({"input_ids": [0, 102, 2], "attention_mask": [1, 1, 1]})
        >>> encoding.input_ids
        [0, 102, 2]
        >>> encoding
        BatchEncoding
          input_ids       [0, 102, 2]
          attention_mask  [1, 1, 1]
    """

    def __init__(self, fields: Mapping[str, Any], rows: Sequence[Row] = ()) -> None:
        super().__init__(fields)
        self._rows = rows

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(
                f"BatchEncoding: expected one of the fields {', '.join(self)}, got {name!r}; "
                f"ask the tokenizer for it, such as with return_{name}=True"
            ) from None

    def __getitem__(self, key: Any) -> Any:
        return self._row(key) if isinstance(key, int) else super().__getitem__(key)

    def __reduce__(self) -> tuple[type["BatchEncoding"], tuple[dict[str, Any]]]:
        # A row holds on to its tokenizer, which has no place in what a data loader's worker sends with each batch.
        return BatchEncoding, (dict(self),)

    def __repr__(self) -> str:
        width = max(map(len, self), default=0)
        lines = [f"  {name:{width}}  {_shown(value)}" for name, value in self.items()]
        return "\n".join(["BatchEncoding", *lines])

    def _repr_html_(self) -> str:
        """Each row's tokens above their ids, those that the call put in told apart; without rows, the fields."""
        if not self._rows:
            fields = [(name, _shown(value)) for name, value in self.items()]
            return Table(("field", "value"), fields, "BatchEncoding").html()
        shown = "".join(_row_html(index, row) for index, row in enumerate(self._rows[:MOST_HTML_ROWS]))
        left = len(self._rows) - MOST_HTML_ROWS
        return shown + (f"<p>… {left:,} more rows</p>" if left > 0 else "")

    @property
    def data(self) -> dict[str, Any]:
        """The fields as a plain dict."""
        return dict(self)

    @property
    def encodings(self) -> list[Row]:
        """The rows, which know where their tokens came from."""
        return list(self._rows)

    @property
    def is_fast(self) -> bool:
        """Whether the record knows where its tokens came from."""
        return bool(self._rows)

    @property
    def n_sequences(self) -> int | None:
        """How many texts are in a row: 1 or 2; None where the record does not know."""
        return self._rows[0].text_count if self._rows else None

    # The rows say more about each of these.

    def tokens(self, batch_index: int = 0) -> list[str]:
        """Spell the tokens of a row as the vocabulary does, special tokens and padding included."""
        return self._row(batch_index).tokens

    def word_ids(self, batch_index: int = 0) -> list[int | None]:
        """Say which piece of the text, or which given word, each token of a row belongs to."""
        return self._row(batch_index).word_ids

    words = word_ids
    """An older name."""

    def sequence_ids(self, batch_index: int = 0) -> list[int | None]:
        """Say which text each token of a row belongs to: 0, 1, or None for special tokens and padding."""
        return self._row(batch_index).sequence_ids

    def char_to_token(self, row_or_char: int, char_index: int | None = None, sequence_index: int = 0) -> int | None:
        """Find the token that holds a code point of a text: `Row.char_to_token`."""
        row, char = self._at(row_or_char, char_index)
        return row.char_to_token(char, sequence_index)

    def char_to_word(self, row_or_char: int, char_index: int | None = None, sequence_index: int = 0) -> int | None:
        """Find the word that holds a code point of a text: `Row.char_to_word`."""
        row, char = self._at(row_or_char, char_index)
        return row.char_to_word(char, sequence_index)

    def token_to_chars(self, row_or_token: int, token_index: int | None = None) -> CharSpan | None:
        """Say where a token came from: `Row.token_to_chars`."""
        row, token = self._at(row_or_token, token_index)
        return _span(CharSpan, row.token_to_chars(token))

    def token_to_word(self, row_or_token: int, token_index: int | None = None) -> int | None:
        """Say which word a token belongs to: `Row.token_to_word`."""
        row, token = self._at(row_or_token, token_index)
        return row.token_to_word(token)

    def token_to_sequence(self, row_or_token: int, token_index: int | None = None) -> int | None:
        """Say which text a token belongs to: `Row.token_to_sequence`."""
        row, token = self._at(row_or_token, token_index)
        return row.token_to_sequence(token)

    def word_to_tokens(
        self, row_or_word: int, word_index: int | None = None, sequence_index: int = 0
    ) -> TokenSpan | None:
        """Find the tokens of a word: `Row.word_to_tokens`."""
        row, word = self._at(row_or_word, word_index)
        return _span(TokenSpan, row.word_to_tokens(word, sequence_index))

    def word_to_chars(
        self, row_or_word: int, word_index: int | None = None, sequence_index: int = 0
    ) -> CharSpan | None:
        """Say where a word is in its text: `Row.word_to_chars`."""
        row, word = self._at(row_or_word, word_index)
        return _span(CharSpan, row.word_to_chars(word, sequence_index))

    def convert_to_tensors(self, tensor_type: str | None, prepend_batch_axis: bool = False) -> "BatchEncoding":
        """Turn every field into a tensor, in place.

        Args:
            tensor_type: ``"np"``, ``"pt"``, ``"tf"``, ``"jax"``; None changes nothing.
            prepend_batch_axis: whether the fields are those of one row, and become a batch of it.

        Returns:
            This record.
        """
        if tensor_type is not None:
            rows = {name: [value] if prepend_batch_axis else value for name, value in self.items()}
            self.update({name: to_tensor(name, value, tensor_type) for name, value in rows.items()})
        return self

    def to(self, device: Any, *, non_blocking: bool = False) -> "BatchEncoding":
        """Move PyTorch tensors to a device, in place; other fields stay.

        Args:
            device: what ``Tensor.to`` takes. A dtype changes nothing, with a warning: ids are integers.
            non_blocking: whether to go on before they have arrived.

        Returns:
            This record.
        """
        if type(device).__name__ == "dtype":
            warnings.warn(f"BatchEncoding.to: expected a device, got {device}: ids stay integers", stacklevel=2)
            return self
        tensors = {name: value for name, value in self.items() if hasattr(value, "to")}
        options = {"non_blocking": True} if non_blocking else {}
        self.update({name: value.to(device, **options) for name, value in tensors.items()})
        return self

    def _at(self, row_or_index: int, index: int | None) -> tuple[Row, int]:
        return (self._row(0), row_or_index) if index is None else (self._row(row_or_index), index)

    def _row(self, index: int) -> Row:
        if not self._rows:
            raise ValueError(
                "BatchEncoding: expected the record of a tokenizer call, got one without rows; "
                "alignment is lost in pad() and in pickling: ask before, or use return_offsets_mapping=True"
            )
        if not -len(self._rows) <= index < len(self._rows):
            raise IndexError(
                f"BatchEncoding: expected a row index of 0 to {len(self._rows) - 1}, got {index}; "
                "name a field by its str"
            )
        return self._rows[index]


def _span(kind: Callable[[int, int], T], span: Span | None) -> T | None:
    return None if span is None else kind(*span)


def _row_html(index: int, row: Row) -> str:
    """A row as a table that lies: a column for each token."""
    tokens, ids, specials = row.tokens, row.ids, row.special_tokens_mask
    kept = list(zip(tokens, ids, specials, strict=True))[:MOST_HTML_TOKENS]
    cells = [(Aside(token), Aside(str(id))) if special else (token, str(id)) for token, id, special in kept]
    title = f"row {index}: {len(tokens):,} tokens" + (f", the first {len(kept)}" if len(kept) < len(tokens) else "")
    return Table((), [list(line) for line in zip(*cells, strict=True)], title).html()


def _shown(value: Any) -> str:
    """Show a short value whole, a long one by its beginning; and its shape if it has one."""
    shape = getattr(value, "shape", None)
    text = " ".join(repr(value).split())
    text = text if len(text) <= 76 else f"{text[:72]} ..."
    return text if shape is None else f"{text}  shape {tuple(shape)}"
