"""Spans: an answer in characters becomes places of tokens, and the model's scores of places become an answer.

A long context comes in windows that overlap. The answer lies in those windows that hold it whole; in the others the
place of ``<s>``, 0, stands for "not here", as in transformers' scripts for SQuAD.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .encoding import CharSpan, TokenSpan

__all__ = ["NOT_HERE", "Answer", "Window", "best_answer", "chars_to_tokens", "tokens_to_chars"]

NOT_HERE = 0
"""The place of ``<s>``: what a window without the answer points to."""

Offsets = Sequence[tuple[int, int]]


class Answer(NamedTuple):
    """An answer that was found.

    Args:
        text: as it stands in the context; empty where the answer is that there is none.
        start: its first code point in the context.
        end: one past its last.
        score: logit of its start plus logit of its end.
    """

    text: str
    start: int
    end: int
    score: float


def chars_to_tokens(
    offsets: Offsets, sequence_ids: Sequence[int | None], chars: tuple[int, int], sequence_index: int = 1
) -> TokenSpan | None:
    """Find the tokens of a span of characters in one window.

    Args:
        offsets: (T,) each token's (start, end) in its text.
        sequence_ids: (T,) which text each token is of; None for special tokens and padding.
        chars: (start, end) in the text, Unicode code points, end-exclusive; not empty, no white space at its ends.
        sequence_index: which text the span is in: 1 for the context behind a question.

    Returns:
        Places in the row, end-exclusive: the tokens that have a character of the span. None where the window does not
        hold the whole span.

    Example:
        >>> offsets = [(0, 0), (0, 3), (4, 7), (8, 10), (0, 0)]  # "the cat sat"; "sat" is two tokens, one cut off
        >>> chars_to_tokens(offsets, [None, 1, 1, 1, None], (0, 6))
        TokenSpan(start=1, end=3)
        >>> chars_to_tokens(offsets, [None, 1, 1, 1, None], (4, 11)) is None
        True
    """
    inside = [at for at, sequence in enumerate(sequence_ids) if sequence == sequence_index]
    start, end = chars
    if not inside or offsets[inside[0]][0] > start or offsets[inside[-1]][1] < end:
        return None
    touched = [at for at in inside if offsets[at][0] < end and offsets[at][1] > start]
    return TokenSpan(touched[0], touched[-1] + 1) if touched else None


def tokens_to_chars(offsets: Offsets, tokens: tuple[int, int]) -> CharSpan:
    """Find the characters of a span of tokens.

    Args:
        offsets: (T,) each token's (start, end) in its text.
        tokens: places, end-exclusive, all of one text.

    Returns:
        (start, end) in that text, Unicode code points, end-exclusive.

    Example:
        >>> tokens_to_chars([(0, 0), (0, 3), (4, 7), (0, 0)], (1, 3))
        CharSpan(start=0, end=7)
    """
    first, end = tokens
    return CharSpan(offsets[first][0], offsets[end - 1][1])


class Window(NamedTuple):
    """What the model says about one window.

    Args:
        start_logits: (T,).
        end_logits: (T,).
        offsets: (T,) each token's (start, end) in its text.
        sequence_ids: (T,) which text each token is of; None for special tokens and padding.
    """

    start_logits: ArrayLike
    end_logits: ArrayLike
    offsets: Offsets
    sequence_ids: Sequence[int | None]


def best_answer(
    context: str, windows: Sequence[Window], *, max_tokens: int = 30, allows_none: bool = False, sequence_index: int = 1
) -> Answer:
    """Choose the best span of a context from the scores of its windows.

    Equation: the largest start_logits[s] + end_logits[e] over all windows and all s <= e < s + max_tokens in the
    context. With ``allows_none``: no answer, where the smallest start_logits[0] + end_logits[0] of a window is larger.

    Args:
        context: the text that the answer is a part of.
        windows: at least one.
        max_tokens: tokens in an answer at most, at least 1.
        allows_none: whether "there is none" is an answer.
        sequence_index: which text the context is: 1 behind a question.

    Returns:
        The answer. Its text is empty where the answer is that there is none, and where no window has a token of the
        context; then start = end = 0.

    Raises:
        ValueError: no windows, or ``max_tokens`` below 1.

    Source:
        Devlin et al. 2019, sections 4.2 and 4.3 (SQuAD 1.1 and 2.0).

    Example:
        >>> offsets, ids = [(0, 0), (0, 3), (4, 7), (8, 11), (0, 0)], [None, 1, 1, 1, None]
        >>> best_answer("the cat sat", [Window([9, 0, 5, 1, 0], [9, 4, 0, 3, 0], offsets, ids)])
        Answer(text='cat sat', start=4, end=11, score=8.0)
        >>> best_answer("the cat sat", [Window([9, 0, 5, 1, 0], [9, 4, 0, 3, 0], offsets, ids)], allows_none=True)
        Answer(text='', start=0, end=0, score=18.0)
    """
    if not windows or max_tokens < 1:
        raise ValueError(
            f"windows, max_tokens: expected at least 1 of each, got {len(windows)} and {max_tokens}; pass the windows "
            "of one context"
        )
    best = max((_best_of(context, window, max_tokens, sequence_index) for window in windows), key=lambda a: a.score)
    none = min(float(np.ravel(w.start_logits)[NOT_HERE]) + float(np.ravel(w.end_logits)[NOT_HERE]) for w in windows)
    return Answer("", 0, 0, none) if allows_none and none > best.score else best


def _best_of(context: str, window: Window, max_tokens: int, sequence_index: int) -> Answer:
    inside = np.array([sequence == sequence_index for sequence in window.sequence_ids], dtype=np.bool_)  # T
    start, end = (np.where(inside, np.asarray(part, np.float64), -np.inf) for part in window[:2])  # T
    scores = _near_diagonal(start[:, None] + end[None, :], max_tokens)  # T T
    first, last = divmod(int(scores.argmax()), scores.shape[1])
    if not np.isfinite(scores[first, last]):
        return Answer("", 0, 0, -np.inf)
    chars = tokens_to_chars(window.offsets, (first, last + 1))
    return Answer(context[chars.start : chars.end], *chars, float(scores[first, last]))


def _near_diagonal(scores: NDArray[np.float64], max_tokens: int) -> NDArray[np.float64]:
    """Rule out ends before the start, and spans of more tokens.

    >>> _near_diagonal(np.ones((3, 3)), 2)
    array([[  1.,   1., -inf],
           [-inf,   1.,   1.],
           [-inf, -inf,   1.]])
    """
    places = np.arange(len(scores))
    length = places[None, :] - places[:, None] + 1  # T T
    return np.where((length >= 1) & (length <= max_tokens), scores, -np.inf)
