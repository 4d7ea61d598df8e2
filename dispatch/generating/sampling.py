"""Rules that narrow a draw, in the order in which they apply, and the draw itself."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np

from ...reference.embeddings import Integers
from ...reference.layers import Array, softmax
from .settings import Settings, fail

#: What narrows a draw: scores (R, V) -> scores (R, V), with -inf for what cannot be drawn.
Narrowing = Callable[[Array], Array]
NEVER = -np.inf


def log_softmax(x: Array) -> Array:
    """Logits as log-probabilities, x - log sum exp x, over the last axis.

    Example:
        >>> np.exp(log_softmax(np.log([[1.0, 3.0]])))
        array([[0.25, 0.75]])
    """
    shifted = x - x.max(-1, keepdims=True)  # R V
    with np.errstate(divide="ignore"):
        return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))  # R V


def entropy(log_p: Array) -> Array:
    """H = -sum p log p over the last axis, of log-probabilities (R, V); what cannot come adds nothing. Shape (R, 1).

    Example:
        >>> entropy(np.array([[np.log(0.5), np.log(0.5), -np.inf]])).round(3)
        array([[0.693]])
    """
    is_possible = log_p > NEVER  # R V
    return -(np.exp(log_p) * np.where(is_possible, log_p, 0.0)).sum(-1, keepdims=True)  # R 1


def narrowings(settings: Settings, least: int) -> list[Narrowing]:
    """The rules that are asked for; each keeps at least so many tokens.

    Source: HF `GenerationMixin._get_logits_processor` @ 4.57.6, for the order.
    """
    asked = settings
    rules: list[tuple[bool, Narrowing]] = [
        (asked.temperature != 1.0, lambda scores: cooled(scores, asked.temperature)),
        (bool(asked.top_k), lambda scores: within_top_k(scores, max(asked.top_k or 0, least))),
        (asked.top_p not in (None, 1.0), lambda scores: within_top_p(scores, asked.top_p, least)),
        (asked.min_p is not None, lambda scores: within_min_p(scores, asked.min_p or 0.0, least)),
        (asked.typical_p not in (None, 1.0), lambda scores: within_typical_p(scores, asked.typical_p or 1.0, least)),
        (bool(asked.epsilon_cutoff), lambda scores: above_epsilon(scores, asked.epsilon_cutoff or 0.0, least)),
        (bool(asked.eta_cutoff), lambda scores: above_eta(scores, asked.eta_cutoff or 0.0, least)),
    ]
    return [rule for is_asked, rule in rules if is_asked] if settings.do_sample else []


def cooled(scores: Array, temperature: float) -> Array:
    """scores / temperature; where that is too large for a number, what is drawn stays the same: differences count.

    Example:
        >>> cooled(np.array([[1.0, 3.0]]), 0.5), cooled(np.array([[1.0, 3.0]]), 1e-320)
        (array([[2., 6.]]), array([[-inf,   0.]]))
    """
    largest = scores.max(-1, keepdims=True)  # R 1
    with np.errstate(over="ignore"):  # a quotient below all numbers is -inf, which is right
        quotient, top = scores / temperature, largest / temperature  # R V, R 1
        return np.where(np.isfinite(top), quotient, (scores - largest) / temperature)  # R V


def within_top_k(scores: Array, top_k: int | None) -> Array:
    """The scores with all but the k largest of a row at -inf; what equals the k-th largest stays too.

    Source: Fan et al. (2018), section 5.

    Example:
        >>> within_top_k(np.array([[3.0, 1.0, 2.0]]), 2)
        array([[  3., -inf,   2.]])
    """
    if top_k is None or top_k >= scores.shape[-1]:
        return scores
    lowest = np.partition(scores, -top_k, axis=-1)[:, -top_k, None]  # R 1
    return np.where(scores >= lowest, scores, NEVER)  # R V


def within_top_p(scores: Array, top_p: float | None, least: int = 1) -> Array:
    """The scores with all at -inf but the fewest, from the most probable on, whose probabilities reach p in sum.

    Source: Holtzman et al. (2020), section 3.1.

    Example:
        >>> np.exp(within_top_p(np.log([[0.5, 0.2, 0.3]]), 0.7)).round(1)
        array([[0.5, 0. , 0.3]])
    """
    if top_p is None:
        return scores
    order = np.argsort(-scores, axis=-1, kind="stable")  # R V
    probabilities = softmax(np.take_along_axis(scores, order, -1))  # R V
    before = probabilities.cumsum(-1) - probabilities  # R V
    return _kept(scores, order, before < top_p, least)


def within_min_p(scores: Array, min_p: float, least: int = 1) -> Array:
    """The scores with those at -inf whose probability is below min_p times the largest one.

    Source: Nguyen et al. (2024), section 3; HF `MinPLogitsWarper` @ 4.57.6.

    Example:
        >>> np.exp(within_min_p(np.log([[0.5, 0.2, 0.3]]), 0.5)).round(1)
        array([[0.5, 0. , 0.3]])
    """
    order = np.argsort(-scores, axis=-1, kind="stable")  # R V
    probabilities = softmax(np.take_along_axis(scores, order, -1))  # R V
    return _kept(scores, order, probabilities >= min_p * probabilities[:, :1], least)


def within_typical_p(scores: Array, typical_p: float, least: int = 1) -> Array:
    """The scores with all at -inf but the tokens nearest to the entropy in their surprise, up to typical_p in sum.

    Equation: order by |-log p - H|, H = -sum p log p; keep up to the token with which the sum of p reaches typical_p,
    and what is as near as that.

    Source: Meister et al. (2023), equation 11; HF `TypicalLogitsWarper` @ 4.57.6.

    Example:
        >>> np.exp(within_typical_p(np.log([[0.5, 0.2, 0.3]]), 0.6)).round(1)
        array([[0.5, 0. , 0.3]])
    """
    log_p = log_softmax(scores)  # R V
    p = np.exp(log_p)  # R V
    distance = np.abs(-log_p - entropy(log_p))  # R V
    order = np.argsort(distance, axis=-1, kind="stable")  # R V
    ordered = np.take_along_axis(distance, order, -1)  # R V
    total = np.take_along_axis(p, order, -1).cumsum(-1)  # R V
    last = (total < typical_p).sum(-1, keepdims=True).clip(max=scores.shape[-1] - 1)  # R 1
    return _kept(scores, order, ordered <= np.take_along_axis(ordered, last, -1), least)


def above_epsilon(scores: Array, epsilon: float, least: int = 1) -> Array:
    """The scores with those at -inf whose probability is below epsilon.

    Source: Hewitt et al. (2022), section 4.2; HF `EpsilonLogitsWarper` @ 4.57.6.

    Example:
        >>> np.exp(above_epsilon(np.log([[0.5, 0.2, 0.3]]), 0.25)).round(1)
        array([[0.5, 0. , 0.3]])
    """
    return _above(scores, np.float64(epsilon), least)


def above_eta(scores: Array, epsilon: float, least: int = 1) -> Array:
    """The scores with those at -inf whose probability is below eta = min(epsilon, sqrt(epsilon) exp(-entropy)).

    Source: Hewitt et al. (2022), equation 4; HF `EtaLogitsWarper` @ 4.57.6.

    Example:
        >>> np.exp(above_eta(np.log([[0.5, 0.2, 0.3]]), 0.25)).round(1)
        array([[0.5, 0.2, 0.3]])
    """
    eta = np.minimum(epsilon, np.sqrt(epsilon) * np.exp(-entropy(log_softmax(scores))))  # R 1
    return _above(scores, eta, least)


def _above(scores: Array, bound: Any, least: int) -> Array:
    """What is as probable as the bound, and the `least` most probable tokens."""
    lowest = np.partition(scores, -least, axis=-1)[:, -least, None]  # R 1
    return np.where((softmax(scores) >= bound) | (scores >= lowest), scores, NEVER)  # R V


def _kept(scores: Array, order: Integers, is_kept: Any, least: int) -> Array:
    """The scores of the tokens that are kept, which are given in an order, and of the first `least` of that."""
    first = np.arange(scores.shape[-1]) < least  # V
    kept = np.zeros(scores.shape, bool)  # R V
    np.put_along_axis(kept, order, is_kept | first, -1)
    return np.where(kept, scores, NEVER)  # R V


# -- the draw ----------------------------------------------------------------------------------------------------------


def streams(seed: Any, row_count: int, copies: int = 1) -> list[np.random.Generator]:
    """A stream of random numbers for each row and each of its continuations, `default_rng([seed, row, copy])`.

    Of the first continuation that is `default_rng([seed, row])`. None is another seed each time; a list has, for each
    row, the numbers that come in place of the seed and the row.

    Raises:
        ValueError: a list of another length than there are rows.

    Example:
        >>> bool(streams(5, 2, 3)[3].random() == np.random.default_rng([5, 1]).random())
        True
        >>> bool(streams([(5, 1)], 1)[0].random() == streams(5, 2)[1].random())
        True
    """
    if isinstance(seed, list):
        rows: list[list[Any]] = [list(cast("Any", np.atleast_1d(each))) for each in cast("list[Any]", seed)]
        if len(rows) != row_count:
            raise fail("seed", f"an integer, or a list of one for each of the {row_count} rows", f"{len(rows)} of them")
    else:
        chosen = secrets.randbits(64) if seed is None else int(seed)
        rows = [[chosen, row] for row in range(row_count)]
    return [np.random.default_rng([*row, copy]) for row in rows for copy in range(copies)]


def drawn(scores: Array, draws: Array) -> Integers:
    """The next token of each row: at which the cumulative sum of the probabilities passes the number drawn.

    Args:
        scores: (R, V) in float64; -inf for what must not come.
        draws: (R,) uniform numbers in [0, 1), one for each row.

    Returns:
        (R,) ids.

    Example:
        >>> drawn(np.log([[0.1, 0.6, 0.3]]), np.array([0.05])), drawn(np.log([[0.1, 0.6, 0.3]]), np.array([0.8]))
        (array([0]), array([2]))
    """
    cumulative = softmax(scores).cumsum(-1)  # R V
    is_passed = cumulative > draws[:, None] * cumulative[:, -1:]  # R V
    return is_passed.argmax(-1)  # R


def drawn_without_replacement(scores: Array, count: int, stream: np.random.Generator) -> Integers:
    """Of one row, the indices of so many different entries, drawn one after the other by their probabilities.

    Equation: the largest of scores + Gumbel noise, -log(-log u), in order.

    Args:
        scores: (V,) unnormalised log-probabilities.
        count: how many, at most V.
        stream: of which V numbers are taken.

    Source: Kool et al. (2019), section 2.

    Example:
        >>> drawn_without_replacement(np.array([0.0, -np.inf, 50.0]), 2, np.random.default_rng(0))
        array([2, 0])
    """
    with np.errstate(divide="ignore"):  # a draw of 0 is the lowest noise
        noise = -np.log(-np.log(stream.random(scores.shape)))  # V
    return np.argsort(-(scores + noise), kind="stable")[:count]  # count


def several(streams_of_rows: Sequence[np.random.Generator]) -> Array:
    """The next number of each stream, (R,)."""
    return np.array([stream.random() for stream in streams_of_rows])  # R
