"""One continuation a row, token by token: the most probable one, or one that is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...reference.embeddings import Integers
from ...reference.layers import Array
from .calling import Criterion, Stream
from .processors import Rule
from .prompts import Prompt
from .sampling import drawn, several
from .settings import Settings, fail
from .steps import Steps


@dataclass
class Found:
    """What a search gives, as NumPy arrays.

    Attributes:
        ids: (R, T + new).
        scores: a step each, (R, V), if they are asked for.
        logits: likewise.
        sequences_scores: (R,), of beam search.
        beam_indices: (R, new), of beam search.
    """

    ids: Integers
    scores: list[Array] = field(default_factory=list[Array])
    logits: list[Array] = field(default_factory=list[Array])
    sequences_scores: Array | None = None
    beam_indices: Integers | None = None


@dataclass
class Plan:
    """What a search needs to know.

    Attributes:
        settings: of the call, tokens checked.
        rules: what changes the scores, in order.
        stopped: which rows the caller wants to end.
        most_new: how many tokens are added at most.
        streams: of random numbers, one for each row, or for each row of the prompt in beam search.
        native: NumPy arrays -> the engine's.
    """

    settings: Settings
    rules: Sequence[Rule]
    stopped: Criterion
    most_new: int
    streams: Sequence[np.random.Generator]
    native: Any

    def ruled(self, scores: Array, ids: Integers) -> Array:
        """The scores (R, V) after all rules."""
        for rule in self.rules:
            scores = rule(scores, ids)
        return scores

    def shown(self, scores: list[Array]) -> Any:
        """The scores so far, as a stopping criterion is given them: None unless they are asked for."""
        return tuple(self.native(each) for each in scores) if self.settings.output_scores else None

    def require_choice(self, scores: Array, is_open: Any) -> None:
        """Each row (R, ...) of scores that is not at its end has a token that may come."""
        is_stuck = is_open & (scores.max(-1) == -np.inf)  # R
        if is_stuck.any():
            remedy = "ask for fewer bans: bad_words_ids, suppress_tokens, no_repeat_ngram_size, …"
            raise fail("scores", f"a token that may come in row {int(np.argmax(is_stuck))}", None, remedy)


def continued(steps: Steps, prompt: Prompt, plan: Plan, stream: Stream) -> Found:
    """Add tokens until all rows have ended or the most has been added.

    A row that has ended gets padding, to which nobody attends.

    Source: HF `GenerationMixin._sample` @ 4.57.6.
    """
    settings, ids, mask = plan.settings, prompt.ids, prompt.mask  # R T, R S
    found = Found(ids)
    has_ended = np.zeros(len(ids), bool)  # R
    stream.put(ids)
    for _ in range(plan.most_new):
        if has_ended.all():
            break
        logits = steps.logits(ids, mask)  # R V
        scores = plan.ruled(logits, ids)  # R V
        plan.require_choice(scores, ~has_ended)
        if settings.output_logits:
            found.logits.append(logits)
        if settings.output_scores:
            found.scores.append(scores)
        chosen = drawn(scores, several(plan.streams)) if settings.do_sample else scores.argmax(-1)  # R
        token = np.where(has_ended, settings.pad_token_id, chosen)  # R
        ids = np.concatenate([ids, token[:, None]], axis=1)  # R T+1
        mask = np.concatenate([mask, ~has_ended[:, None]], axis=1)  # R S+1
        stream.put(token)
        has_ended |= np.isin(token, settings.eos_token_id) | plan.stopped(ids, plan.shown(found.scores))  # R
    stream.end()
    found.ids = ids
    return found
