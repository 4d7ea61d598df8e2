"""Beam search: of each row the K best beginnings are pursued side by side, and the K best texts are kept.

The score of a text is the sum of the log-probabilities of its tokens, after all rules; texts of different lengths are
compared by the score over length ** length_penalty.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from ...reference.embeddings import Integers
from ...reference.layers import Array
from .loop import Found, Plan
from .prompts import Prompt
from .sampling import NEVER, drawn_without_replacement, log_softmax
from .settings import Settings
from .steps import Steps


class Hypothesis(NamedTuple):
    """A text that has ended.

    Attributes:
        score: over its length to the power of `length_penalty`.
        ids: (T + new,), the prompt in front.
        origins: (new,), from which row of the scores each token was taken.
    """

    score: float
    ids: Integers
    origins: Integers


@dataclass
class Ended:
    """Of one row of the prompt, the best texts that have ended: at most K, the best first."""

    settings: Settings
    most_new: int
    kept: list[Hypothesis] = field(default_factory=list[Hypothesis])
    is_open: bool = True

    @property
    def is_full(self) -> bool:
        """Whether there are K."""
        return len(self.kept) == self.settings.num_beams

    def add(self, score: float, ids: Integers, origins: Integers) -> None:
        """One more text, if it is among the K best; of equals the earlier one is the better."""
        hypothesis = Hypothesis(score / len(origins) ** self.settings.length_penalty, ids, origins)
        self.kept = sorted([*self.kept, hypothesis], key=lambda each: -each.score)[: self.settings.num_beams]

    def close_if_none_is_better(self, best_running: float, new_count: int) -> None:
        """Whether a beginning may still become better than the worst of the K that have ended.

        Equation: best / length ** length_penalty > worst, with the length that it has; for `early_stopping="never"` and
        a positive penalty the length that it may get. With `early_stopping=True` K texts are enough.
        """
        is_long = self.settings.early_stopping == "never" and self.settings.length_penalty > 0
        length = self.most_new if is_long else new_count
        worst = self.kept[-1].score if self.is_full else NEVER
        self.is_open &= best_running / length**self.settings.length_penalty > worst
        self.is_open &= not (self.settings.early_stopping is True and self.is_full)


class Running(NamedTuple):
    """The beginnings that are pursued.

    Attributes:
        ids: (B, K, T).
        scores: (B, K), each row from the best to the worst; -inf where there is none.
        origins: (B, K, new).
    """

    ids: Integers
    scores: Array
    origins: Integers


def searched(steps: Steps, prompt: Prompt, plan: Plan) -> Found:
    """The best continuations of each row.

    Args:
        steps: the model, with the rows of the prompt K times.
        prompt: the same rows, R = B * K.
        plan: the settings, rules and streams; a draw takes of a row's stream K * V numbers at each step.

    Returns:
        `num_return_sequences` texts of each row, the best first, the shorter ones padded.

    Source: HF `GenerationMixin._beam_search` @ 4.57.6.
    """
    settings, mask = plan.settings, prompt.mask  # R S
    K = settings.num_beams
    B, T = len(prompt.ids) // K, prompt.ids.shape[1]
    found = Found(prompt.ids)
    ended = [Ended(settings, plan.most_new) for _ in range(B)]
    alike = np.where(np.arange(K) == 0, 0.0, NEVER)  # K: at first all are the prompt, of which one is enough
    running = Running(prompt.ids.reshape(B, K, T), np.tile(alike, (B, 1)), np.zeros((B, K, 0), np.int64))
    for new_count in range(1, plan.most_new + 1 if B else 0):
        ids = running.ids.reshape(B * K, -1)  # R T
        logits = steps.logits(ids, mask)  # R V
        scores = plan.ruled(log_softmax(logits), ids)  # R V
        if settings.output_logits:
            found.logits.append(logits)
        if settings.output_scores:
            found.scores.append(scores)
        longer = candidates(running, scores.reshape(B, K, -1), plan, [row.is_open for row in ended])
        is_end = np.isin(longer.ids[:, :, -1], settings.eos_token_id) | (new_count == plan.most_new)  # B C
        flat = longer.ids.reshape(-1, longer.ids.shape[-1])  # BC T+1
        is_end |= plan.stopped(flat, plan.shown(found.scores)).reshape(is_end.shape)  # B C
        keep_ended(ended, longer, is_end)
        running = those_that_go_on(longer, is_end, K)
        steps.reorder(running.origins[:, :, -1].reshape(-1))
        mask = np.concatenate([mask, np.ones((len(mask), 1), bool)], axis=1)  # R S+1
        for row, scores_of_row in zip(ended, running.scores, strict=True):
            row.close_if_none_is_better(float(scores_of_row[0]), new_count)
        if is_end.all() or not any(row.is_open for row in ended):
            break
    return _gathered(ended, found, prompt, settings)


def candidates(running: Running, scores: Array, plan: Plan, is_open: list[bool]) -> Running:
    """Of each row the beginnings with one token more, as many that K go on if all tokens that can end a text are there.

    Equation: the C = max(2, 1 + number of ends) K largest of running score + log p(token), or as many drawn by it.

    Args:
        running: the beginnings.
        scores: (B, K, V), of the next token.
        plan: whether they are drawn, and by which streams.
        is_open: (B,), whether the row is searched still.
    """
    B, K, V = scores.shape
    count = min(max(2, 1 + len(plan.settings.eos_token_id)) * K, K * V)
    total = (running.scores[:, :, None] + scores).reshape(B, K * V)  # B KV
    plan.require_choice(total, np.array(is_open, bool))
    if plan.settings.do_sample:
        pairs = zip(total, plan.streams, strict=True)
        chosen = np.array([drawn_without_replacement(row, count, stream) for row, stream in pairs], np.int64)
    else:
        chosen = _largest(total, count)  # B C
    beam, token = chosen.reshape(B, count) // V, chosen.reshape(B, count) % V  # B C, B C
    row = np.arange(B)[:, None]  # B 1
    return Running(
        np.concatenate([running.ids[row, beam], token[:, :, None]], axis=2),  # B C T+1
        np.take_along_axis(total, chosen.reshape(B, count), -1),  # B C
        np.concatenate([running.origins[row, beam], (row * K + beam)[:, :, None]], axis=2),  # B C new
    )


def _largest(total: Array, count: int) -> Integers:
    """Where the largest of each row are, from the largest on; of equals the first.

    Example:
        >>> _largest(np.array([[1.0, 3.0, 2.0, 3.0]]), 3)
        array([[1, 3, 2]])
    """
    some = np.sort(np.argpartition(-total, count - 1, axis=-1)[:, :count], -1)  # B C
    order = np.argsort(-np.take_along_axis(total, some, -1), axis=-1, kind="stable")  # B C
    return np.take_along_axis(some, order, -1)


def keep_ended(ended: list[Ended], longer: Running, is_end: Any) -> None:
    """Texts that have come to an end among the first K candidates of a row are kept; those behind are too bad."""
    for b, row in enumerate(ended):
        if row.is_open:
            for c in np.flatnonzero(is_end[b, : row.settings.num_beams]):
                row.add(float(longer.scores[b, c]), longer.ids[b, c], longer.origins[b, c])


def those_that_go_on(longer: Running, is_end: Any, K: int) -> Running:
    """The K best candidates that have not come to an end; where there are fewer, others without a chance."""
    scores = np.where(is_end, NEVER, longer.scores)  # B C
    best = np.argsort(-scores, axis=-1, kind="stable")[:, :K]  # B K
    row = np.arange(len(best))[:, None]  # B 1
    return Running(longer.ids[row, best], scores[row, best], longer.origins[row, best])


def _gathered(ended: list[Ended], found: Found, prompt: Prompt, settings: Settings) -> Found:
    """The best texts of all rows in arrays of one length."""
    best = [hypothesis for row in ended for hypothesis in row.kept[: settings.num_return_sequences]]
    start = prompt.ids.shape[1]
    longest = max((len(hypothesis.origins) for hypothesis in best), default=0)
    found.ids = np.full((len(best), start + longest), settings.pad_token_id, np.int64)  # R T+longest
    found.beam_indices = np.full((len(best), longest), -1, np.int64)  # R longest
    for i, hypothesis in enumerate(best):
        found.ids[i, : len(hypothesis.ids)] = hypothesis.ids
        found.beam_indices[i, : len(hypothesis.origins)] = hypothesis.origins
    found.sequences_scores = np.array([hypothesis.score for hypothesis in best], np.float64)  # R
    return found
