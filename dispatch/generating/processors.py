"""Rules that change the scores of the next token before it is chosen: penalties, bans, lengths.

Each takes scores (R, V) and the ids so far (R, T), and returns scores (R, V), in which -inf is what must not come.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from ...reference.embeddings import Integers
from ...reference.layers import Array
from .sampling import NEVER, log_softmax, narrowings
from .settings import Settings

Rule = Callable[[Array, Integers], Array]


def rules(
    settings: Settings,
    ends: Sequence[int],
    prompt_length: int,
    least_new: int,
    most_new: int,
    others: Iterable[Rule],
    never: int,
) -> list[Rule]:
    """All that are asked for, in HF's order.

    Args:
        settings: of the call.
        ends: ids that end a row.
        prompt_length: how many columns of the ids are the prompt.
        least_new: no end before so many tokens have been added.
        most_new: how many tokens are added at most.
        others: the caller's own.
        never: the padding id, which has no position: it must not come.

    Source: HF `GenerationMixin._get_logits_processor` @ 4.57.6.
    """
    asked, start = settings, prompt_length
    banned: dict[tuple[int, ...], float] = dict.fromkeys(asked.bad_words_ids or (), NEVER)
    known: list[tuple[Any, Rule]] = [
        (asked.sequence_bias, partial(biased, bias=asked.sequence_bias or {})),
        (asked.repetition_penalty != 1.0, partial(penalised, penalty=asked.repetition_penalty)),
        (asked.no_repeat_ngram_size, partial(without_repeated_ngrams, size=asked.no_repeat_ngram_size)),
        (banned, partial(biased, bias={word: value for word, value in banned.items() if word not in _alone(ends)})),
        (least_new, partial(forbidden_until, tokens=ends, length=start + least_new)),
        (asked.forced_bos_token_id is not None, partial(forced_at, tokens=[asked.forced_bos_token_id], length=1)),
        (asked.forced_eos_token_id, partial(forced_at, tokens=asked.forced_eos_token_id, length=start + most_new - 1)),
        (
            asked.exponential_decay_length_penalty,
            partial(with_likelier_ends, ends=ends, start=start, decay=asked.exponential_decay_length_penalty or (0, 1)),
        ),
        (asked.suppress_tokens, partial(forbidden_until, tokens=asked.suppress_tokens, length=None)),
        (asked.begin_suppress_tokens, partial(forbidden_until, tokens=asked.begin_suppress_tokens, length=start + 1)),
    ]
    last: list[Rule] = [partial(forbidden_until, tokens=[never], length=None)]
    least_kept = len(ends) + 1 if settings.num_beams > 1 else 1  # a beam has to go on somewhere
    narrow: list[Rule] = [lambda scores, _, rule=rule: rule(scores) for rule in narrowings(settings, least_kept)]
    normal: list[Rule] = [lambda scores, _: log_softmax(scores)] if settings.renormalize_logits else []
    return [*(rule for is_asked, rule in known if is_asked), *others, *last, *narrow, *normal]


def _alone(tokens: Iterable[int]) -> set[tuple[int, ...]]:
    return {(token,) for token in tokens}


def biased(scores: Array, ids: Integers, bias: Mapping[tuple[int, ...], float]) -> Array:
    """A number added to the score of a token that would complete a sequence; -inf forbids it.

    Source: HF `SequenceBiasLogitsProcessor`, `NoBadWordsLogitsProcessor` @ 4.57.6.

    Example:
        >>> biased(np.zeros((2, 3)), np.array([[0, 1], [1, 0]]), {(1, 2): -1.0, (0,): 2.0})
        array([[ 2.,  0., -1.],
               [ 2.,  0.,  0.]])
    """
    total = np.zeros(scores.shape)  # R V
    for (*before, token), number in bias.items():
        if len(before) < ids.shape[1]:
            is_there = (ids[:, ids.shape[1] - len(before) :] == before).all(-1)  # R
            total[is_there, token] += number
    return scores + total  # R V


def penalised(scores: Array, ids: Integers, penalty: float) -> Array:
    """Scores of tokens that are there already, divided by the penalty where positive and multiplied where negative.

    Source: Keskar et al. (2019), section 4.1; HF `RepetitionPenaltyLogitsProcessor` @ 4.57.6.

    Example:
        >>> penalised(np.array([[2.0, -2.0, 3.0]]), np.array([[0, 1]]), 2.0)
        array([[ 1., -4.,  3.]])
    """
    is_there = np.zeros(scores.shape, bool)  # R V
    np.put_along_axis(is_there, ids, True, -1)
    return np.where(is_there, np.where(scores < 0, scores * penalty, scores / penalty), scores)  # R V


def without_repeated_ngrams(scores: Array, ids: Integers, size: int) -> Array:
    """What would make the last `size` tokens a sequence that is there already cannot come.

    Source: Paulus et al. (2018), section 2.5; HF `NoRepeatNGramLogitsProcessor` @ 4.57.6.

    Example:
        >>> without_repeated_ngrams(np.zeros((1, 4)), np.array([[1, 2, 3, 1, 2]]), 3)
        array([[  0.,   0.,   0., -inf]])
    """
    scores, T = scores.copy(), ids.shape[1]  # R V
    if size > T:
        return scores
    windows = np.lib.stride_tricks.sliding_window_view(ids, size, axis=1)  # R W size
    is_begun = (windows[:, :, :-1] == ids[:, None, T - size + 1 :]).all(-1)  # R W
    row, window = np.nonzero(is_begun)
    scores[row, windows[row, window, -1]] = NEVER
    return scores


def forbidden_until(scores: Array, ids: Integers, tokens: Sequence[int], length: int | None) -> Array:
    """Some tokens cannot come before there are so many columns; never, where that is None.

    Source: HF `MinNewTokensLengthLogitsProcessor`, `SuppressTokensLogitsProcessor` @ 4.57.6.

    Example:
        >>> forbidden_until(np.zeros((1, 3)), np.array([[0, 1]]), [2], 3)
        array([[  0.,   0., -inf]])
    """
    if length is not None and ids.shape[1] >= length:
        return scores
    scores = scores.copy()
    scores[:, list(tokens)] = NEVER
    return scores


def forced_at(scores: Array, ids: Integers, tokens: Sequence[int], length: int) -> Array:
    """Nothing but these can come where there are exactly so many columns, and then they are sure.

    Source: HF `ForcedBOSTokenLogitsProcessor`, `ForcedEOSTokenLogitsProcessor` @ 4.57.6.

    Example:
        >>> forced_at(np.ones((1, 3)), np.array([[0]]), [2], 1)
        array([[-inf, -inf,   0.]])
    """
    if ids.shape[1] != length:
        return scores
    forced = np.full(scores.shape, NEVER)  # R V
    forced[:, list(tokens)] = 0.0
    return forced


def with_likelier_ends(
    scores: Array, ids: Integers, ends: Sequence[int], start: int, decay: tuple[int, float]
) -> Array:
    """Ends get likelier with each token after the first so many.

    Equation: s + |s| (factor^(new - begin) - 1) for ends, where new > begin.

    Source: HF `ExponentialDecayLengthPenalty` @ 4.57.6.

    Example:
        >>> with_likelier_ends(np.array([[1.0, -2.0]]), np.array([[0, 0, 0]]), [1], 1, (1, 1.5))
        array([[ 1., -1.]])
    """
    begin, factor = decay
    beyond = ids.shape[1] - start - begin
    if beyond <= 0:
        return scores
    scores, at = scores.copy(), list(ends)
    scores[:, at] += np.abs(scores[:, at]) * (factor**beyond - 1)
    return scores


def allowed_only(scores: Array, ids: Integers, allowed: Callable[[int, Any], Any], copies: int) -> Array:
    """Nothing can come but what a function of the row's number and ids names.

    Source: Cao et al. (2021), section 3.2; HF `PrefixConstrainedLogitsProcessor` @ 4.57.6.

    Example:
        >>> allowed_only(np.zeros((1, 3)), np.array([[0]]), lambda row, ids: [2], 1)
        array([[-inf, -inf,   0.]])
    """
    only = np.full(scores.shape, NEVER)  # R V
    for row, row_ids in enumerate(ids):
        tokens = list(allowed(row // copies, row_ids))
        only[row, tokens] = scores[row, tokens]
    return only
