"""The losses of the heads: the spec's, with the sum over the classes in a kernel."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ...reference import kernels
from ...reference.config import RobertaConfig
from ...reference.embeddings import Integers
from ...reference.layers import Array
from ...reference.losses import IGNORE_INDEX, binary_cross_entropy, mean_squared_error, problem_type
from ...reference.outputs import Output
from .kernels import run


def cross_entropy(logits: Array, labels: Integers, ignore_index: int = IGNORE_INDEX) -> Array:
    """The mean negative log-likelihood of the labels that count; 0 where none does."""
    terms = np.empty(len(logits), logits.dtype)  # n
    labels = np.ascontiguousarray(labels, np.int64)  # n
    run(kernels.cross_entropy, np.ascontiguousarray(logits), labels, ignore_index, terms)
    return terms.sum() / np.maximum((labels != ignore_index).sum(), 1).astype(logits.dtype)


def token_loss(output: Output, labels: Integers, config: RobertaConfig) -> Array:
    """Masked LM and token classification: cross-entropy at every token whose label counts."""
    logits = output["logits"]  # B T C
    return cross_entropy(logits.reshape(-1, logits.shape[-1]), labels.reshape(-1))


def causal_loss(output: Output, labels: Integers, config: RobertaConfig) -> Array:
    """Causal LM: the label of token t + 1 is the target of token t."""
    logits = output["logits"][:, :-1]  # B T-1 V
    return cross_entropy(logits.reshape(-1, logits.shape[-1]), labels[:, 1:].reshape(-1))


def sequence_loss(output: Output, labels: Any, config: RobertaConfig) -> Array:
    """Sequence classification, by `problem_type`."""
    logits = output["logits"]  # B L
    kind = problem_type(config, labels)
    if kind == "regression":
        return mean_squared_error(logits.reshape(-1), labels.reshape(-1))
    if kind == "single_label_classification":
        return cross_entropy(logits, labels.reshape(-1))
    return binary_cross_entropy(logits, labels)


def choice_loss(output: Output, labels: Integers, config: RobertaConfig) -> Array:
    """Multiple choice: cross-entropy over the C choices."""
    return cross_entropy(output["logits"], labels.reshape(-1))


def span_loss(output: Output, start: Integers, end: Integers, config: RobertaConfig) -> Array:
    """Question answering: the mean of the cross-entropies of start and end; positions beyond the text do not count."""
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
