"""The losses of the heads: means over the labels that count, in the dtype of the logits."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ...reference.losses import IGNORE_INDEX, Criteria, head_losses


def cross_entropy(logits: Tensor, labels: Tensor, ignore_index: int = IGNORE_INDEX) -> Tensor:
    """The mean negative log-likelihood of the labels that count; 0, with gradient 0, where none does."""
    logits, labels = logits.reshape(-1, logits.shape[-1]), labels.reshape(-1).long()  # n C, n
    total = F.cross_entropy(logits, labels, ignore_index=ignore_index, reduction="sum")
    return total / (labels != ignore_index).sum().clamp(min=1)


def mean_squared_error(logits: Tensor, labels: Tensor) -> Tensor:
    """mean (logits - labels)^2."""
    return F.mse_loss(logits.reshape(-1), labels.reshape(-1).to(logits.dtype))


def binary_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """mean of log(1 + exp(logits)) - labels logits."""
    return F.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype))


def within(positions: Tensor, logits: Tensor) -> Tensor:
    """The positions in the text; those beyond it do not count: (B,)."""
    positions = positions.reshape(-1)  # B
    return torch.where(positions < logits.shape[1], positions, IGNORE_INDEX)  # B


#: Head -> loss(output, *labels, config).
LOSSES = head_losses(Criteria(cross_entropy, mean_squared_error, binary_cross_entropy, within))
