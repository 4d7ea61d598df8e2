"""The losses of the heads: means over the labels that count. The sum over the classes is a kernel."""

from __future__ import annotations

import numpy as np

from ...reference.embeddings import Integers
from ...reference.layers import Array
from ...reference.losses import (
    IGNORE_INDEX,
    Criteria,
    binary_cross_entropy,
    head_losses,
    mean_squared_error,
    within,
)
from . import kernels


def cross_entropy(logits: Array, labels: Integers, ignore_index: int = IGNORE_INDEX) -> Array:
    """The mean negative log-likelihood of the labels that count; 0 where none does."""
    rows = np.ascontiguousarray(logits).reshape(-1, logits.shape[-1])  # n C
    labels = np.ascontiguousarray(labels, np.int64).reshape(-1)  # n
    terms = kernels.cross_entropy(rows, labels, ignore_index, np.empty(len(rows), logits.dtype))  # n
    return terms.sum() / np.maximum((labels != ignore_index).sum(), 1).astype(logits.dtype)


#: Head -> loss(output, *labels, config).
LOSSES = head_losses(Criteria(cross_entropy, mean_squared_error, binary_cross_entropy, within))
