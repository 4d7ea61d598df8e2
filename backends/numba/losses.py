"""The losses of the heads: the spec's, with the sum over the classes in a kernel."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from ...reference import kernels, losses
from ...reference.embeddings import Integers
from ...reference.layers import Array
from ...reference.losses import IGNORE_INDEX
from ...reference.scopes import in_scope
from .kernels import run


def cross_entropy(logits: Array, labels: Integers, ignore_index: int = IGNORE_INDEX) -> Array:
    """The mean negative log-likelihood of the labels that count; 0 where none does."""
    terms = np.empty(len(logits), logits.dtype)  # n
    labels = np.ascontiguousarray(labels, np.int64)  # n
    run(kernels.cross_entropy, np.ascontiguousarray(logits), labels, ignore_index, terms)
    return terms.sum() / np.maximum((labels != ignore_index).sum(), 1).astype(logits.dtype)


#: Head -> loss(output, *labels, config): the spec's, with this cross-entropy.
LOSSES: Mapping[str, Callable[..., Array]] = {
    head: in_scope(loss, {"cross_entropy": cross_entropy}) for head, loss in losses.LOSSES.items()
}
