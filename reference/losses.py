"""The losses of the heads: means over the labels that count, in the dtype of the logits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

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
        logits: (n, C).
        labels: (n,) integers in [0, C), or `ignore_index`.
        ignore_index: marks labels that do not count.

    Returns:
        A scalar, natural-log units; 0 where no label counts (PyTorch gives NaN there, and so does HF).

    Example:
        >>> cross_entropy(np.array([[0.0, 0.0], [9.0, 9.0]]), np.array([1, -100])).round(4)
        np.float64(0.6931)
    """
    is_counted = labels != ignore_index  # n
    largest = logits.max(-1, keepdims=True)  # n 1
    log_total = largest[:, 0] + np.log(np.exp(logits - largest).sum(-1))  # n
    chosen = np.take_along_axis(logits, np.where(is_counted, labels, 0)[:, None], -1)[:, 0]  # n
    return np.where(is_counted, log_total - chosen, 0).sum() / np.maximum(is_counted.sum(), 1).astype(logits.dtype)


def mean_squared_error(logits: Array, labels: Array) -> Array:
    """mean (logits - labels)^2."""
    return ((logits - labels.astype(logits.dtype)) ** 2).mean()


def binary_cross_entropy(logits: Array, labels: Array) -> Array:
    """mean of log(1 + exp(logits)) - labels logits: the negative log-likelihood of independent yes/no labels.

    Example:
        >>> binary_cross_entropy(np.array([[0.0, 0.0]]), np.array([[1.0, 0.0]])).round(4)
        np.float64(0.6931)
    """
    return (np.logaddexp(logits, 0) - labels.astype(logits.dtype) * logits).mean()


def problem_type(config: RobertaConfig, labels: Any) -> str:
    """What sequence classification does with its labels.

    `config.problem_type`, else one label: regression; integer labels: one of several; else several at once. Unlike HF,
    what is inferred is not written into the configuration.
    """
    if config.problem_type is not None:
        return config.problem_type
    if config.num_labels == 1:
        return "regression"
    is_integer = np.issubdtype(labels.dtype, np.integer)
    return "single_label_classification" if is_integer else "multi_label_classification"


def token_loss(output: Output, labels: Integers, config: RobertaConfig) -> Array:
    """Masked LM and token classification: cross-entropy at every token whose label counts. Labels (B, T)."""
    logits = output["logits"]  # B T C
    return cross_entropy(logits.reshape(-1, logits.shape[-1]), labels.reshape(-1))


def causal_loss(output: Output, labels: Integers, config: RobertaConfig) -> Array:
    """Causal LM: the label of token t + 1 is the target of token t. Labels (B, T), the first of which has no use."""
    logits = output["logits"][:, :-1]  # B T-1 V
    return cross_entropy(logits.reshape(-1, logits.shape[-1]), labels[:, 1:].reshape(-1))


def sequence_loss(output: Output, labels: Any, config: RobertaConfig) -> Array:
    """Sequence classification, by `problem_type`. Labels (B,) integers, or (B,) or (B, L) numbers."""
    logits = output["logits"]  # B L
    kind = problem_type(config, labels)
    if kind == "regression":
        return mean_squared_error(logits.reshape(-1), labels.reshape(-1))
    if kind == "single_label_classification":
        return cross_entropy(logits, labels.reshape(-1))
    return binary_cross_entropy(logits, labels)


def choice_loss(output: Output, labels: Integers, config: RobertaConfig) -> Array:
    """Multiple choice: cross-entropy over the C choices. Labels (B,)."""
    return cross_entropy(output["logits"], labels.reshape(-1))


def span_loss(output: Output, start: Integers, end: Integers, config: RobertaConfig) -> Array:
    """Question answering: the mean of the cross-entropies of start and end.

    Positions beyond the text (T or more) do not count: the answer lies in another window. Labels (B,) each.
    """
    T = output["start_logits"].shape[1]
    start, end = (np.where(position.reshape(-1) < T, position.reshape(-1), IGNORE_INDEX) for position in (start, end))
    return (cross_entropy(output["start_logits"], start) + cross_entropy(output["end_logits"], end)) / 2


#: Head -> loss(output, *labels, config).
LOSSES: Mapping[str, Callable[..., Array]] = {
    "causal_lm": causal_loss,
    "masked_lm": token_loss,
    "sequence_classification": sequence_loss,
    "multiple_choice": choice_loss,
    "token_classification": token_loss,
    "question_answering": span_loss,
}
