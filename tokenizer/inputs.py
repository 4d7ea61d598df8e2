"""Step 10 of the ladder: a text, a pair, a batch, a batch of pairs, words: all become one list of pairs."""

import operator
from collections.abc import Iterable, Sequence
from typing import Any, cast

__all__ = ["Source", "read_ids", "read_inputs", "read_tokens"]

Source = str | Sequence[str]
"""One text, or the words of one text."""

Pair = tuple[Source, Source | None]


def read_inputs(text: Any, text_pair: Any, is_split_into_words: bool) -> tuple[list[Pair], bool]:
    """Tell apart the forms that a call accepts.

    Args:
        text: a text, or a list of texts, or a list of pairs of texts. With ``is_split_into_words`` a list of
            words stands wherever a text may stand.
        text_pair: second text, or a list of second texts; None for none.
        is_split_into_words: see above.

    Returns:
        The pairs, whose second may be None, and whether they are a batch.

    Raises:
        TypeError: one of ``text`` and ``text_pair`` is a batch, the other is not.
        ValueError: something else than texts, or batches of different sizes.

    Example:
        >>> read_inputs("a", "b", False)
        ([('a', 'b')], False)
        >>> read_inputs([("a", "b"), ("c", "d")], None, False)
        ([('a', 'b'), ('c', 'd')], True)
        >>> read_inputs(["a", "b"], None, True)
        ([(['a', 'b'], None)], False)
    """
    is_batch = _is_batch(text, is_split_into_words)
    if text_pair is not None and is_batch != _is_batch(text_pair, is_split_into_words):
        raise TypeError(
            f"text_pair: expected {'a list like text' if is_batch else 'one text like text'}, got "
            f"{type(text_pair).__name__}; pass two texts or two lists of the same size"
        )
    if not is_batch:
        text, text_pair = [text], None if text_pair is None else [text_pair]
    if text_pair is None:
        pairs = [_as_pair(item, is_batch and not is_split_into_words) for item in text]
    else:
        pairs = _zip(text, text_pair)
    for index, pair in enumerate(pairs):
        _check("text", pair[0], index, is_split_into_words)
        if pair[1] is not None:
            _check("text_pair", pair[1], index, is_split_into_words)
    return pairs, is_batch


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
    values = ids.tolist() if hasattr(ids, "tolist") else ids
    try:
        return [operator.index(value) for value in (values if isinstance(values, Iterable) else [values])]
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
    found = [tokens] if isinstance(tokens, str) or not isinstance(tokens, Iterable) else list(tokens)
    for token in found:
        if not isinstance(token, str):
            raise TypeError(
                f"tokens: expected tokens (str), got {type(token).__name__} {token!r:.80}; "
                "convert ids with convert_ids_to_tokens"
            )
    return cast("list[str]", found)


def _is_batch(text: Any, is_split_into_words: bool) -> bool:
    if not isinstance(text, (list, tuple)):
        return False
    items = cast("Sequence[object]", text)
    return not is_split_into_words or (len(items) > 0 and isinstance(items[0], (list, tuple)))


def _as_pair(item: Any, may_be_pair: bool) -> Pair:
    if may_be_pair and isinstance(item, (list, tuple)) and len(cast("Sequence[Any]", item)) == 2:
        return item[0], item[1]
    return item, None


def _zip(texts: Sequence[Source], seconds: Sequence[Source]) -> list[Pair]:
    if len(texts) != len(seconds):
        raise ValueError(
            f"text_pair: expected as many texts as in text, {len(texts)}, got {len(seconds)}; pass lists of "
            "the same size"
        )
    return list(zip(texts, seconds, strict=True))


def _check(name: str, source: Any, index: int, is_split_into_words: bool) -> None:
    if isinstance(source, str) and not is_split_into_words:
        _check_characters(name, source, index)
        return
    words = cast("Sequence[object]", source if is_split_into_words else [source])
    if isinstance(words, (list, tuple)) and all(isinstance(word, str) for word in words):
        for word in words:
            _check_characters(name, cast("str", word), index)
        return
    wanted = "a list of words (str)" if is_split_into_words else "a str"
    raise ValueError(
        f"{name}: expected {wanted}, got {type(source).__name__} {source!r:.80} at batch index {index}; "
        "pass str, list[str], or a list of pairs, and decode bytes or ids first"
    )


def _check_characters(name: str, text: str, index: int) -> None:
    if text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{name}: expected Unicode text, got the lone surrogate {text[error.start]!r} at code point {error.start} "
            f"of batch index {index}; repair it with text.encode('utf-16', 'surrogatepass').decode('utf-16', 'replace')"
        ) from None
