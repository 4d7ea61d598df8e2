"""The losses of the heads: means over the labels that count, in the dtype of the logits."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from ...reference.losses import IGNORE_INDEX, Criteria, head_losses
from .layers import at_least_single
from .sharding import cut_as, lies


def cross_entropy(logits: Array, labels: Array, ignore_index: int = IGNORE_INDEX) -> Array:
    """The mean negative log-likelihood of the labels that count; 0, with gradient 0, where none does.

    Where labels cannot be checked, inside `jit`, one that does not exist gives NaN: JAX would count from the end.
    """
    wide, labels = at_least_single(logits).reshape(-1, logits.shape[-1]), labels.reshape(-1)  # n C, n
    is_counted = labels != ignore_index  # n
    log_total = jax.nn.logsumexp(wide, axis=-1)  # n
    each = wide.at[cut_as(labels, jnp.arange(len(labels))), jnp.where(is_counted, labels, 0)]
    chosen = each.get(mode="fill", fill_value=jnp.nan, wrap_negative_indices=False, out_sharding=lies(labels))  # n
    total = jnp.where(is_counted, log_total - chosen, 0).sum()  # ()
    return (total / jnp.maximum(is_counted.sum(), 1)).astype(logits.dtype)


def mean_squared_error(logits: Array, labels: Array) -> Array:
    """mean (logits - labels)^2."""
    return ((logits.reshape(-1) - labels.reshape(-1).astype(logits.dtype)) ** 2).mean()


def binary_cross_entropy(logits: Array, labels: Array) -> Array:
    """mean of log(1 + exp(logits)) - labels logits."""
    return (jnp.logaddexp(logits, 0) - labels.astype(logits.dtype) * logits).mean()


def within(positions: Array, logits: Array) -> Array:
    """The positions in the text; those beyond it do not count: (B,)."""
    positions = positions.reshape(-1)  # B
    return jnp.where(positions < logits.shape[1], positions, IGNORE_INDEX)  # B


#: Head -> loss(output, *labels, config).
LOSSES = head_losses(Criteria(cross_entropy, mean_squared_error, binary_cross_entropy, within))
