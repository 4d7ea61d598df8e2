"""The corpus, checked as it is read: documents of sentences of ids, or examples with fields.

What looks like one and is none would go through in silence: a text is a sequence of letters, and a record of the
tokenizer one of the names of its fields. Each reader is told ``what`` it reads, and the ``remedy``, what to do where
that is something else: its errors say both.
"""

from collections.abc import Iterable, Mapping, Sequence
from operator import index
from reprlib import repr as shortened
from typing import Any

__all__ = [
    "DOCUMENTS",
    "Document",
    "Example",
    "as_integers",
    "as_rows",
    "as_texts",
    "column",
    "optional_column",
    "require_room",
    "text_column",
]

Document = Iterable[Sequence[int]]
"""Sentences that follow each other, of ids without special tokens."""

Example = Mapping[str, Any]
"""Field -> value: a row of a data set."""

DOCUMENTS = "pass tokenizer(sentences, add_special_tokens=False)['input_ids'] for each document"
"""What to do where documents are something else."""

# Named, since a checker would take `isinstance(x, list)` for a list of unknown.
_WHOLE: tuple[type, ...] = (str, bytes, Mapping)
_LIST: tuple[type, ...] = (list, tuple)


def as_rows(items: Any, what: str, remedy: str) -> Any:
    """Require what can be iterated over, but no text and no mapping, and return it as it is.

    Raises:
        TypeError: a text, a mapping, or a single item.

    Example:
        >>> as_rows({"input_ids": [7]}, "examples", "pass rows")
        Traceback (most recent call last):
        TypeError: examples: expected a list, got dict {'input_ids': [7]}; pass rows
    """
    can_iterate = hasattr(items, "__iter__") or hasattr(items, "__getitem__")
    if isinstance(items, _WHOLE) or not can_iterate:
        raise TypeError(f"{what}: expected a list, got {type(items).__name__} {shortened(items)}; {remedy}")
    return items


def as_integers(values: Any, what: str, remedy: str) -> list[int]:
    """Read Python's integers from a list, a tuple, or an array or tensor of one dimension.

    Raises:
        TypeError: a text, a mapping, or something else than integers, such as floats.

    Example:
        >>> as_integers(range(7, 9), "labels", "give the numbers of classes")
        [7, 8]
        >>> as_integers([0.5], "labels", "give the numbers of classes")
        Traceback (most recent call last):
        TypeError: labels: expected integers, got [0.5]; give the numbers of classes
    """
    items = values
    if not isinstance(values, _LIST):  # which most are, and a corpus has many
        items = as_rows(values.tolist() if hasattr(values, "tolist") else values, what, remedy)
    try:
        return list(map(index, items))
    except TypeError:
        raise TypeError(f"{what}: expected integers, got {shortened(values)}; {remedy}") from None


def as_texts(values: Any, what: str, remedy: str) -> list[str]:
    """Read texts from a list, a tuple or an array.

    Raises:
        TypeError: a single text, a mapping, or something else than texts.

    Example:
        >>> as_texts(("the", "cat"), "words", "split them")
        ['the', 'cat']
    """
    texts = list(as_rows(values, what, remedy))
    for at, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(
                f"{what}: expected str, got {type(text).__name__} {shortened(text)} at place {at}; {remedy}"
            )
    return texts


def require_room(rows: Sequence[Sequence[int]], max_length: int) -> None:
    """Require rows of at most ``max_length`` ids.

    Raises:
        ValueError: a row is too long.
    """
    for at, row in enumerate(rows):
        if len(row) > max_length:
            raise ValueError(
                f"rows: expected at most max_length = {max_length} ids, got {len(row)} in row {at}; pack with the "
                "same max_length"
            )


def optional_column(examples: Sequence[Any], name: str) -> list[Any] | None:
    """Take a field that all examples have, or none: its values, or None.

    Raises:
        TypeError: an example that is no mapping.
        ValueError: some have it and others do not.

    Example:
        >>> optional_column([{"text": "the", "label": 1}, {"text": "cat", "label": 0}], "label")
        [1, 0]
    """
    for row, example in enumerate(examples):
        if not isinstance(example, Mapping):
            raise TypeError(
                f"examples: expected mappings, got {type(example).__name__} {shortened(example)} in example {row}; "
                f"pass a dict with {name!r} for each"
            )
    values = [example[name] for example in examples if name in example]
    if 0 < len(values) < len(examples):
        raise ValueError(
            f"examples: expected {name!r} in all {len(examples)} or in none, got it in {len(values)}; split the batch"
        )
    return values or None


def column(examples: Sequence[Any], name: str) -> list[Any]:
    """Take a field that all examples have.

    Raises:
        TypeError: an example that is no mapping.
        ValueError: an example without the field.
    """
    values = optional_column(examples, name)
    if values is None:
        raise ValueError(
            f"examples: expected each to be a mapping with {name!r}, got {list(examples[0])}; rename the field"
        )
    return values


def text_column(examples: Sequence[Any], name: str) -> list[str]:
    """Take a field that is a text in all examples.

    Raises:
        TypeError: as in `column`; or a field of another type.
        ValueError: as in `column`.
    """
    return as_texts(column(examples, name), name, "pass str")
