"""From ids and tokens back to text: what is given is read in any of its forms, and what comes out may be cleaned up."""

import codecs
import operator
from collections.abc import Iterable
from typing import Any, cast

__all__ = ["clean_up_spaces", "known_handler", "read_ids", "read_tokens"]


def read_ids(ids: Any) -> list[int]:
    """Read ids in any of their forms.

    Args:
        ids: one id, or a list, array or tensor of them, in one row.

    Returns:
        The ids.

    Raises:
        TypeError: something else.

    Example:
        >>> read_ids(7), read_ids(range(3))
        ([7], [0, 1, 2])
    """
    given = ids.tolist() if hasattr(ids, "tolist") else ids
    values = cast("Iterable[Any]", given if isinstance(given, Iterable) else [given])
    try:
        return [operator.index(value) for value in values]
    except TypeError:
        raise TypeError(
            f"ids: expected one id or one row of integer ids, got {type(ids).__name__} {ids!r:.80}; "
            "use batch_decode for several rows"
        ) from None


def read_tokens(tokens: Any) -> list[str]:
    """Read tokens.

    Args:
        tokens: one token or several.

    Returns:
        The tokens.

    Raises:
        TypeError: something else than str.

    Example:
        >>> read_tokens("a"), read_tokens(("a", "b"))
        (['a'], ['a', 'b'])
    """
    is_one = isinstance(tokens, str) or not isinstance(tokens, Iterable)
    found = cast("list[Any]", [tokens] if is_one else list(cast("Iterable[Any]", tokens)))
    for token in found:
        if not isinstance(token, str):
            raise TypeError(
                f"tokens: expected tokens (str), got {type(token).__name__} {token!r:.80}; "
                "convert ids with convert_ids_to_tokens"
            )
    return found


def clean_up_spaces(text: str) -> str:
    """Drop the spaces that English typography does not put before punctuation and contractions.

    Args:
        text: a decoded text.

    Returns:
        The text without them.

    Example:
        >>> clean_up_spaces("Yes , it is n't mine .")
        "Yes, it isn't mine."
    """
    for mark in (".", "?", "!", ","):
        text = text.replace(" " + mark, mark)
    text = text.replace(" ' ", "'")
    for ending in ("n't", "'m", "'s", "'ve", "'re"):
        text = text.replace(" " + ending, ending)
    return text


def known_handler(errors: str) -> str:
    """Require that Python knows an error handler.

    Args:
        errors: its name.

    Returns:
        The same.

    Raises:
        ValueError: there is none of that name.
    """
    try:
        codecs.lookup_error(errors)
    except (LookupError, TypeError):
        raise ValueError(
            f"errors: expected the name of an error handler, got {errors!r}; "
            "use 'replace', 'ignore', 'strict' or 'backslashreplace'"
        ) from None
    return errors
