"""The losses of the heads: means over the labels that count, in the dtype of the logits."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
from jax import Array

from ...reference.config import RobertaConfig
from ...reference.losses import IGNORE_INDEX, problem_type
from ...reference.outputs import Output
from .layers import at_least_single


def cross_entropy(logits: Array, labels: Array, ignore_index: int = IGNORE_INDEX) -> Array:
    """The mean negative log-likelihood of the labels that count; 0, with gradient 0, where none does.

    Where labels cannot be checked, inside `jit`, one that does not exist gives NaN: JAX would count from the end.
    """
    wide = at_least_single(logits)  # n C
    is_counted = labels != ignore_index  # n
    log_total = jax.nn.logsumexp(wide, axis=-1)  # n
    each = jnp.arange(len(labels)), jnp.where(is_counted, labels, 0)  # n, n
    chosen = wide.at[each].get(mode="fill", fill_value=jnp.nan, wrap_negative_indices=False)  # n
    total = jnp.where(is_counted, log_total - chosen, 0).sum()  # ()
    return (total / jnp.maximum(is_counted.sum(), 1)).astype(logits.dtype)


def mean_squared_error(logits: Array, labels: Array) -> Array:
    """mean (logits - labels)^2."""
    return ((logits - labels.astype(logits.dtype)) ** 2).mean()


def binary_cross_entropy(logits: Array, labels: Array) -> Array:
    """mean of log(1 + exp(logits)) - labels logits."""
    return (jnp.logaddexp(logits, 0) - labels.astype(logits.dtype) * logits).mean()


def token_loss(output: Output, labels: Array, config: RobertaConfig) -> Array:
    """Masked LM and token classification: cross-entropy at every token whose label counts."""
    logits = output["logits"]  # B T C
    return cross_entropy(logits.reshape(-1, logits.shape[-1]), labels.reshape(-1))


def causal_loss(output: Output, labels: Array, config: RobertaConfig) -> Array:
    """Causal LM: the label of token t + 1 is the target of token t."""
    logits = output["logits"][:, :-1]  # B T-1 V
    return cross_entropy(logits.reshape(-1, logits.shape[-1]), labels[:, 1:].reshape(-1))


def sequence_loss(output: Output, labels: Array, config: RobertaConfig) -> Array:
    """Sequence classification, by `problem_type`."""
    logits = output["logits"]  # B L
    kind = problem_type(config, labels)
    if kind == "regression":
        return mean_squared_error(logits.reshape(-1), labels.reshape(-1))
    if kind == "single_label_classification":
        return cross_entropy(logits, labels.reshape(-1))
    return binary_cross_entropy(logits, labels)


def choice_loss(output: Output, labels: Array, config: RobertaConfig) -> Array:
    """Multiple choice: cross-entropy over the C choices."""
    return cross_entropy(output["logits"], labels.reshape(-1))


def span_loss(output: Output, start: Array, end: Array, config: RobertaConfig) -> Array:
    """Question answering: the mean of the cross-entropies of start and end; positions beyond the text do not count."""
    T = output["start_logits"].shape[1]
    start, end = (jnp.where(position.reshape(-1) < T, position.reshape(-1), IGNORE_INDEX) for position in (start, end))
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
