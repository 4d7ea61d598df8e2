"""What is kept of texts that are too long, and in which windows the rest comes."""

from collections.abc import Sequence

from .alignment import Span
from .options import Plan, Truncation

__all__ = ["cut", "kept_lengths", "windows"]


def cut(lengths: Sequence[int], budget: int, plan: Plan) -> list[list[slice]]:
    """Cut one or two texts so that a row holds them.

    Args:
        lengths: tokens of the text, or of both of a pair.
        budget: tokens that a row may keep of them, special tokens not included.
        plan: the strategy, the side, and whether windows of what is cut off are wanted.

    Returns:
        For each row what it keeps of each text: one row, or one for each window. For a pair each window
        of the first text meets each of the second; the row of both first windows comes first.

    Raises:
        ValueError: the strategy cannot reach the budget, or windows would not advance.
    """
    second = lengths[1] if len(lengths) > 1 else None
    kept = kept_lengths(lengths[0], second, budget, plan.truncation or "longest_first")
    parts = [_parts(length, keep, plan) for length, keep in zip(lengths, kept, strict=False)]
    return [[part] for part in parts[0]] if second is None else _pairs_of_windows(*parts)


def _parts(length: int, keep: int, plan: Plan) -> list[slice]:
    if plan.windows:
        return [slice(*window) for window in windows(length, keep, plan.stride, plan.truncation_side)]
    return [slice(0, keep) if plan.truncation_side == "right" else slice(length - keep, length)]


def _pairs_of_windows(firsts: list[slice], seconds: list[slice]) -> list[list[slice]]:
    """Let each window of the first text meet each of the second, in the order of the peer."""
    (first, *more_firsts), (second, *more_seconds) = firsts, seconds
    later = [[one, other] for one in more_firsts for other in seconds]
    return [[first, second], *later, *([first, other] for other in more_seconds)]


def kept_lengths(first: int, second: int | None, budget: int, strategy: Truncation) -> tuple[int, int]:
    """Say how many tokens of a text, or of both of a pair, are kept.

    ``longest_first`` gives each of a pair half of the budget, the odd token to the longer one (of two equally
    long, the second); what the shorter one leaves over goes to the longer.

    Args:
        first: tokens of the text.
        second: tokens of the second text; None where there is none.
        budget: tokens that may be kept in all, special tokens not included.
        strategy: which text is cut.

    Returns:
        Kept tokens of the first and of the second text.

    Raises:
        ValueError: the strategy cannot reach the budget.

    Source:
        ``truncate_encodings`` of tokenizers 0.22.

    Example:
        >>> kept_lengths(10, 10, 7, "longest_first")
        (3, 4)
        >>> kept_lengths(10, 2, 7, "longest_first")
        (5, 2)
        >>> kept_lengths(10, 2, 7, "only_first")
        (5, 2)
    """
    other = second or 0
    excess = first + other - budget
    if budget < 0:
        raise ValueError(
            f"max_length: expected room for the special tokens, got {-budget} too few; "
            "raise max_length or pass add_special_tokens=False"
        )
    if excess <= 0:
        return first, other
    if strategy == "only_second":
        return first, _shortened("second", second, excess, budget)
    if strategy == "only_first":
        return _shortened("first", first, excess, budget), other
    if second is None:
        return budget, 0
    shorter = min(first, other, budget // 2)
    return (shorter, budget - shorter) if first <= other else (budget - shorter, shorter)


def _shortened(which: str, length: int | None, excess: int, budget: int) -> int:
    # As in the peer, a text is not cut to nothing unless there is room for nothing at all.
    if length is not None and (length > excess or (length == excess and budget == 0)):
        return length - excess
    raise ValueError(
        f"truncation: only_{which} expects a {which} text of more than {excess} tokens, since so many have to go, got "
        f"{'none' if length is None else length}; raise max_length or use truncation='longest_first'"
    )


def windows(length: int, kept: int, stride: int, side: str) -> list[Span]:
    """Cover a text with windows of ``kept`` tokens, of which two neighbours share ``stride``.

    Args:
        length: tokens of the text.
        kept: tokens of a window.
        stride: tokens that neighbours share; less than ``kept``.
        side: ``"right"``: windows from the beginning on, the last one shorter; ``"left"``: from the end backwards.

    Returns:
        (begin, end) of each window, end-exclusive; one window where nothing is cut.

    Raises:
        ValueError: windows that would not advance.

    Example:
        >>> windows(7, kept=4, stride=1, side="right")
        [(0, 4), (3, 7)]
        >>> windows(8, kept=4, stride=1, side="left")
        [(4, 8), (1, 5), (0, 2)]
    """
    if kept >= length:
        return [(0, length)]
    if stride >= kept:
        raise ValueError(
            f"stride: expected windows of more than stride = {stride} tokens, so that they advance, got windows of "
            f"{kept}; lower stride or raise max_length"
        )
    # A window that begins within the last `stride` tokens would add nothing to the one before it.
    begins = range(0, length - stride, kept - stride)
    right = [(begin, min(begin + kept, length)) for begin in begins]
    return right if side == "right" else [(length - end, length - begin) for begin, end in right]
