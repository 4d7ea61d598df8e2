"""The losses of the heads: means over the labels that count, in the dtype of the logits."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from ...reference.config import RobertaConfig
from ...reference.losses import IGNORE_INDEX
from ...reference.outputs import Output


def cross_entropy(logits: Tensor, labels: Tensor, ignore_index: int = IGNORE_INDEX) -> Tensor:
    """The mean negative log-likelihood of the labels that count; 0, with gradient 0, where none does."""
    total = F.cross_entropy(logits, labels.long(), ignore_index=ignore_index, reduction="sum")
    return total / (labels != ignore_index).sum().clamp(min=1)


def mean_squared_error(logits: Tensor, labels: Tensor) -> Tensor:
    """mean (logits - labels)^2."""
    return F.mse_loss(logits, labels.to(logits.dtype))


def binary_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """mean of log(1 + exp(logits)) - labels logits."""
    return F.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype))


def problem_type(config: RobertaConfig, labels: Tensor) -> str:
    """`config.problem_type`, else one label: regression; integer labels: one of several; else several at once."""
    if config.problem_type is not None:
        return config.problem_type
    if config.num_labels == 1:
        return "regression"
    return "multi_label_classification" if labels.is_floating_point() else "single_label_classification"


def token_loss(output: Output, labels: Tensor, config: RobertaConfig) -> Tensor:
    """Masked LM and token classification: cross-entropy at every token whose label counts."""
    logits = output["logits"]  # B T C
    return cross_entropy(logits.reshape(-1, logits.shape[-1]), labels.reshape(-1))


def causal_loss(output: Output, labels: Tensor, config: RobertaConfig) -> Tensor:
    """Causal LM: the label of token t + 1 is the target of token t."""
    logits = output["logits"][:, :-1]  # B T-1 V
    return cross_entropy(logits.reshape(-1, logits.shape[-1]), labels[:, 1:].reshape(-1))


def sequence_loss(output: Output, labels: Tensor, config: RobertaConfig) -> Tensor:
    """Sequence classification, by `problem_type`."""
    logits = output["logits"]  # B L
    kind = problem_type(config, labels)
    if kind == "regression":
        return mean_squared_error(logits.reshape(-1), labels.reshape(-1))
    if kind == "single_label_classification":
        return cross_entropy(logits, labels.reshape(-1))
    return binary_cross_entropy(logits, labels)


def choice_loss(output: Output, labels: Tensor, config: RobertaConfig) -> Tensor:
    """Multiple choice: cross-entropy over the C choices."""
    return cross_entropy(output["logits"], labels.reshape(-1))


def span_loss(output: Output, start: Tensor, end: Tensor, config: RobertaConfig) -> Tensor:
    """Question answering: the mean of the cross-entropies of start and end; positions beyond the text do not count."""
    T = output["start_logits"].shape[1]
    start, end = (
        torch.where(position.reshape(-1) < T, position.reshape(-1), IGNORE_INDEX) for position in (start, end)
    )
    return (cross_entropy(output["start_logits"], start) + cross_entropy(output["end_logits"], end)) / 2


#: Head -> loss(output, *labels, config).
LOSSES: Mapping[str, Callable[..., Tensor]] = {
    "causal_lm": causal_loss,
    "masked_lm": token_loss,
    "sequence_classification": sequence_loss,
    "multiple_choice": choice_loss,
    "token_classification": token_loss,
    "question_answering": span_loss,
}
