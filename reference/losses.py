"""The losses of the heads: means over the labels that count, in the dtype of the logits."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from .config import RobertaConfig
from .embeddings import Integers
from .layers import Array
from .outputs import Output

#: A label with this value does not count.
IGNORE_INDEX = -100


def cross_entropy(logits: Array, labels: Integers, ignore_index: int = IGNORE_INDEX) -> Array:
    """The mean negative log-likelihood of the labels that are not `ignore_index`.

    Equation: mean over counted n of (log sum_c exp logits[n, c] - logits[n, labels[n]]).

    Args:
        logits: (…, C).
        labels: (…) integers in [0, C), or `ignore_index`.
        ignore_index: marks labels that do not count.

    Returns:
        A scalar, natural-log units; 0 where no label counts (PyTorch gives NaN there, and so does HF).

    Example:
        >>> cross_entropy(np.array([[0.0, 0.0], [9.0, 9.0]]), np.array([1, -100])).round(4)
        np.float64(0.6931)
    """
    labels = labels.reshape(logits.shape[:-1])  # …
    is_counted = labels != ignore_index  # …
    largest = logits.max(-1, keepdims=True)  # … 1
    log_total = largest[..., 0] + np.log(np.exp(logits - largest).sum(-1))  # …
    chosen = np.take_along_axis(logits, np.where(is_counted, labels, 0)[..., None], -1)[..., 0]  # …
    return np.where(is_counted, log_total - chosen, 0).sum() / np.maximum(is_counted.sum(), 1).astype(logits.dtype)


def mean_squared_error(logits: Array, labels: Array) -> Array:
    """mean (logits - labels)^2, of as many logits as labels."""
    return ((logits.reshape(-1) - labels.reshape(-1).astype(logits.dtype)) ** 2).mean()


def binary_cross_entropy(logits: Array, labels: Array) -> Array:
    """mean of log(1 + exp(logits)) - labels logits: the negative log-likelihood of independent yes/no labels.

    Example:
        >>> binary_cross_entropy(np.array([[0.0, 0.0]]), np.array([[1.0, 0.0]])).round(4)
        np.float64(0.6931)
    """
    return (np.logaddexp(logits, 0) - labels.astype(logits.dtype) * logits).mean()


def within(positions: Integers, logits: Array) -> Integers:
    """The positions in the text; those beyond it, T or more, do not count. (B,) or (B, 1), and logits (B, T) -> (B,).

    Example:
        >>> within(np.array([1, 2, 7]), np.zeros((3, 2)))
        array([   1, -100, -100])
    """
    positions = positions.reshape(-1)  # B
    return np.where(positions < logits.shape[1], positions, IGNORE_INDEX)  # B


# -- which labels belong to which logits -------------------------------------------------------------------------------
# It computes nothing, so all engines share it: what computes is an argument.


class Criteria(NamedTuple):
    """The four functions above, as an engine has them for its own arrays."""

    cross_entropy: Callable[[Any, Any], Any]
    mean_squared_error: Callable[[Any, Any], Any]
    binary_cross_entropy: Callable[[Any, Any], Any]
    within: Callable[[Any, Any], Any]


def problem_type(config: RobertaConfig, labels: Any) -> str:
    """What sequence classification does with its labels.

    `config.problem_type`, else one label: regression; integer labels: one of several; else several at once. Unlike HF,
    what is inferred is not written into the configuration.
    """
    if config.problem_type is not None:
        return config.problem_type
    if config.num_labels == 1:
        return "regression"
    is_integer = "int" in str(labels.dtype)  # in every framework a dtype's name says so
    return "single_label_classification" if is_integer else "multi_label_classification"


def token_loss(criteria: Criteria, output: Output, labels: Any, config: RobertaConfig) -> Any:
    """Masked LM and token classification: cross-entropy at every token whose label counts. Labels (B, T)."""
    return criteria.cross_entropy(output["logits"], labels)


def causal_loss(criteria: Criteria, output: Output, labels: Any, config: RobertaConfig) -> Any:
    """Causal LM: the label of token t + 1 is the target of token t. Labels (B, T), the first of which has no use."""
    return criteria.cross_entropy(output["logits"][:, :-1], labels[:, 1:])


def sequence_loss(criteria: Criteria, output: Output, labels: Any, config: RobertaConfig) -> Any:
    """Sequence classification, by `problem_type`. Labels (B,) integers, or (B,) or (B, L) numbers."""
    kind = problem_type(config, labels)
    if kind == "regression":
        return criteria.mean_squared_error(output["logits"], labels)
    if kind == "single_label_classification":
        return criteria.cross_entropy(output["logits"], labels)
    return criteria.binary_cross_entropy(output["logits"], labels)


def choice_loss(criteria: Criteria, output: Output, labels: Any, config: RobertaConfig) -> Any:
    """Multiple choice: cross-entropy over the C choices. Labels (B,)."""
    return criteria.cross_entropy(output["logits"], labels)


def span_loss(criteria: Criteria, output: Output, start: Any, end: Any, config: RobertaConfig) -> Any:
    """Question answering: the mean of the cross-entropies of start and end.

    Positions beyond the text (T or more) do not count: the answer lies in another window. Labels (B,) each.
    """
    starts, ends = output["start_logits"], output["end_logits"]  # B T
    start, end = criteria.within(start, starts), criteria.within(end, ends)  # B
    return (criteria.cross_entropy(starts, start) + criteria.cross_entropy(ends, end)) / 2


def head_losses(criteria: Criteria) -> dict[str, Callable[..., Any]]:
    """Head -> loss(output, *labels, config), of an engine with these criteria."""
    losses: dict[str, Callable[..., Any]] = {
        "causal_lm": causal_loss,
        "masked_lm": token_loss,
        "sequence_classification": sequence_loss,
        "multiple_choice": choice_loss,
        "token_classification": token_loss,
        "question_answering": span_loss,
    }
    return {head: partial(loss, criteria) for head, loss in losses.items()}


#: Head -> loss(output, *labels, config).
LOSSES = head_losses(Criteria(cross_entropy, mean_squared_error, binary_cross_entropy, within))
