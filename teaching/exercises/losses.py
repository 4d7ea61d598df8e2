"""The losses: what counts, what it is divided by, and which label belongs to which logits."""

# pyright: basic
# Mistakes are short functions of arrays; types would be longer than they are.

from __future__ import annotations

from typing import Any

import numpy as np

from ...reference.losses import LOSSES, binary_cross_entropy, cross_entropy, mean_squared_error
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

# -- several labels ----------------------------------------------------------------------------------------------------


def _label_cases(rng: np.random.Generator) -> list[Case]:
    return [
        {
            "logits": (rng.standard_normal((B, L)) * scale).astype(np.float32),
            "labels": (rng.random((B, L)) < 0.4).astype(np.float32),
        }
        for B, L, scale in ((1, 3, 1.0), (4, 7, 3.0), (3, 2, 30.0), (2, 5, 300.0))
    ]


def _by_probability(logits: Any, labels: Any) -> Any:
    with np.errstate(all="ignore"):
        p = 1 / (1 + np.exp(-logits))
        return -(labels * np.log(p) + (1 - labels) * np.log(1 - p)).mean()


BINARY_CROSS_ENTROPY = Exercise(
    "binary_cross_entropy",
    "The loss of several labels",
    """The mean, over all labels, of log(1 + exp(logit)) - label logit: each label is a yes or no of its own.

logits: (B, L). labels: (B, L) numbers, 0 or 1. Returns a number; large logits must not overflow, nor be lost.
Source: HF RobertaForSequenceClassification, problem_type "multi_label_classification".""",
    "(logits, labels)",
    binary_cross_entropy,
    _label_cases,
    (
        Mistake(
            "the logarithm is of a probability that is rounded to 0 or 1",
            "log(1 + exp(s)) is max(s, 0) + log(1 + exp(-|s|)), which is never lost: np.logaddexp(s, 0).",
            _by_probability,
        ),
        Mistake(
            "it is summed over the labels",
            "The mean is over rows and labels.",
            lambda logits, labels: binary_cross_entropy(logits.astype(np.float64), labels) * logits.shape[1],
        ),
        Mistake(
            "the labels that are 0 are left out",
            "A no counts as much as a yes.",
            lambda logits, labels: (labels * np.logaddexp(-logits.astype(np.float64), 0)).mean(),
        ),
        Mistake(
            "the labels of a row exclude each other",
            "There is no softmax: each label is a yes or no of its own.",
            lambda logits, labels: (
                labels * (np.logaddexp.reduce(logits.astype(np.float64), -1, keepdims=True) - logits)
            ).mean(),
        ),
    ),
)

# -- numbers -----------------------------------------------------------------------------------------------------------


def _number_cases(rng: np.random.Generator) -> list[Case]:
    return [
        {"logits": rng.standard_normal((B, 1)).astype(np.float32), "labels": rng.standard_normal(B).astype(np.float32)}
        for B in (1, 2, 5, 17)
    ]


REGRESSION_LOSS = Exercise(
    "regression_loss",
    "The loss of a number",
    """The mean of (logit - label)^2, of rows that have one logit each.

logits: (B, 1). labels: (B,) numbers. Returns a number.
Source: HF RobertaForSequenceClassification, problem_type "regression".""",
    "(logits, labels)",
    mean_squared_error,
    _number_cases,
    (
        Mistake(
            "every logit is compared with every label",
            "(B, 1) minus (B,) is (B, B): bring both to one shape first.",
            lambda logits, labels: ((logits - labels) ** 2).mean(),
        ),
        Mistake(
            "it is the absolute error", "Square it.", lambda logits, labels: np.abs(logits.reshape(-1) - labels).mean()
        ),
        Mistake("it is the sum", "Take the mean.", lambda logits, labels: ((logits.reshape(-1) - labels) ** 2).sum()),
    ),
)

# -- spans -------------------------------------------------------------------------------------------------------------


def _span(start_logits: Any, end_logits: Any, start_positions: Any, end_positions: Any) -> Any:
    output = {"start_logits": start_logits, "end_logits": end_logits}
    return LOSSES["question_answering"](output, start_positions, end_positions, None)


def _span_cases(rng: np.random.Generator) -> list[Case]:
    found: list[Case] = []
    for B, T, beyond in ((1, 4, 0), (3, 6, 0), (4, 5, 2), (2, 9, 1)):
        starts, ends = rng.integers(0, T, (2, B))
        starts[:beyond], ends[: beyond - 1 if beyond > 1 else beyond] = T, T + 3
        logits = rng.standard_normal((2, B, T)).astype(np.float32) * 2
        parts = {"start_logits": logits[0], "end_logits": logits[1]}
        found.append({**parts, "start_positions": starts, "end_positions": ends})
    return found


def _halves(start_logits: Any, end_logits: Any, start_positions: Any, end_positions: Any, change: Any) -> Any:
    pairs = ((start_logits, start_positions), (end_logits, end_positions))
    return [cross_entropy(one.astype(np.float64), change(at, one.shape[1])) for one, at in pairs]


def _beyond(at: Any, T: int) -> Any:
    return np.where(at < T, at, -100)


SPAN_LOSS = Exercise(
    "span_loss",
    "The loss of an answer's span",
    """The mean of two cross-entropies over the tokens: of the start, and of the end of an answer. A position of T or
more lies in another window, and does not count.

start_logits, end_logits: (B, T). start_positions, end_positions: (B,) integers. Returns a number.
Source: Devlin et al. (2019), section 4.2; HF RobertaForQuestionAnswering.""",
    "(start_logits, end_logits, start_positions, end_positions)",
    _span,
    _span_cases,
    (
        Mistake(
            "it is the sum of start and end",
            "Their mean.",
            lambda **given: sum(_halves(**given, change=_beyond)),
        ),
        Mistake(
            "the end is missing",
            "The mean of both.",
            lambda **given: _halves(**given, change=_beyond)[0],
        ),
        Mistake(
            "positions beyond the text are taken for its last token",
            "They do not count: their answer lies in another window.",
            lambda **given: sum(_halves(**given, change=lambda at, T: np.minimum(at, T - 1))) / 2,
        ),
    ),
)
