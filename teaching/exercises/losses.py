"""Two losses: what counts, what it is divided by, and which label belongs to which logits."""

# pyright: basic
# Mistakes are short functions of arrays; types would be longer than they are.

from __future__ import annotations

from typing import Any

import numpy as np

from ...reference.losses import cross_entropy
from .exercise import Case, Exercise, Mistake


def _cases(rng: np.random.Generator) -> list[Case]:
    found: list[Case] = []
    for B, T, V, scale in ((1, 3, 4, 1.0), (2, 5, 11, 3.0), (3, 7, 50, 10.0), (1, 4, 6, 200.0)):
        labels = rng.integers(0, V, (B, T))
        labels[rng.random((B, T)) < 0.4] = -100
        labels[:, -1] = 0
        found.append({"logits": (rng.standard_normal((B, T, V)) * scale).astype(np.float32), "labels": labels})
    return found


def _each(logits: Any, labels: Any) -> Any:
    """The loss of each token as if all counted, of label 0 where there is none."""
    wide = logits.astype(np.float64)
    shifted = wide - wide.max(-1, keepdims=True)
    chosen = np.take_along_axis(shifted, np.where(labels == -100, 0, labels)[..., None], -1)[..., 0]
    return np.log(np.exp(shifted).sum(-1)) - chosen


def _unshifted(logits: Any, labels: Any) -> Any:
    with np.errstate(all="ignore"):
        weights = np.exp(logits.astype(np.float32))
        probabilities = weights / weights.sum(-1, keepdims=True)
        chosen = np.take_along_axis(probabilities, np.where(labels == -100, 0, labels)[..., None], -1)[..., 0]
        return np.where(labels == -100, 0, -np.log(chosen)).sum() / (labels != -100).sum()


def _over_all(logits: Any, labels: Any) -> Any:
    return np.where(labels == -100, 0, _each(logits, labels)).mean()


CROSS_ENTROPY = Exercise(
    "cross_entropy",
    "The loss of masked tokens",
    """The mean, over the tokens whose label is not -100, of log sum_c exp(logits_c) - logits_label.

logits: (B, T, V). labels: (B, T) integers, -100 where a token does not count. Returns a number; large logits must not
overflow.
Source: Devlin et al. (2019), section 3.1, task 1; -100 is PyTorch's ignore_index.""",
    "(logits, labels)",
    cross_entropy,
    _cases,
    (
        Mistake("it is divided by all tokens", "The mean is over those that count.", _over_all),
        Mistake(
            "tokens without a label count",
            "-100 says that a token does not count; as an index it would be the hundredth from the end.",
            lambda logits, labels: _each(logits, labels).mean(),
        ),
        Mistake(
            "it is the sum",
            "Divide by the number of tokens that count.",
            lambda logits, labels: np.where(labels == -100, 0, _each(logits, labels)).sum(),
        ),
        Mistake(
            "the sign is wrong",
            "The loss is minus the log-likelihood, and never below 0.",
            lambda logits, labels: -cross_entropy(logits.astype(np.float64), labels),
        ),
        Mistake(
            "the probability is rounded to 0 before its logarithm",
            "Take the largest logit of each token away, and the logarithm of the sum, not of the quotient.",
            _unshifted,
        ),
    ),
)


def _next(logits: Any, labels: Any) -> Any:
    return cross_entropy(logits[:, :-1], labels[:, 1:])


NEXT_TOKEN_LOSS = Exercise(
    "next_token_loss",
    "The loss of the next token",
    """Cross-entropy of a causal language model: the logits at token t are a guess of the label of token t + 1.

logits: (B, T, V). labels: (B, T) integers, -100 where a token does not count; the first has no use.
Returns a number.""",
    "(logits, labels)",
    _next,
    lambda rng: [case for case in _cases(rng) if case["labels"].shape[1] > 1],
    (
        Mistake(
            "nothing is shifted",
            "The logits at t belong to the label at t + 1.",
            lambda logits, labels: cross_entropy(logits.astype(np.float64), labels),
        ),
        Mistake(
            "it is shifted the other way",
            "logits[:, :-1] and labels[:, 1:].",
            lambda logits, labels: cross_entropy(logits[:, 1:].astype(np.float64), labels[:, :-1]),
        ),
        Mistake(
            "it is divided by all tokens",
            "The mean is over those that count.",
            lambda logits, labels: _over_all(logits[:, :-1], labels[:, 1:]),
        ),
    ),
)
