"""The losses of the heads: means over the labels that count. Half precisions give a float32 loss.

A loss in float16 would overflow as soon as an optimizer scales it, which is how float16 is trained.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import tensorflow as tf
from tensorflow import Tensor

from ...reference.config import RobertaConfig
from ...reference.losses import IGNORE_INDEX
from ...reference.outputs import Output
from .layers import sizes, widened


def cross_entropy(logits: Tensor, labels: Tensor, ignore_index: int = IGNORE_INDEX) -> Tensor:
    """The mean negative log-likelihood of the labels that count; 0, with gradient 0, where none does."""
    is_counted = labels != ignore_index  # n
    chosen = tf.where(is_counted, labels, 0)  # n
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=chosen, logits=widened(logits))  # n
    count = tf.maximum(tf.math.count_nonzero(is_counted), 1)
    return tf.reduce_sum(tf.where(is_counted, losses, 0)) / tf.cast(count, losses.dtype)


def mean_squared_error(logits: Tensor, labels: Tensor) -> Tensor:
    """mean (logits - labels)^2."""
    logits = widened(logits)
    return tf.reduce_mean(tf.square(logits - tf.cast(labels, logits.dtype)))


def binary_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """mean of log(1 + exp(logits)) - labels logits."""
    logits = widened(logits)
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(tf.cast(labels, logits.dtype), logits))


def problem_type(config: RobertaConfig, labels: Tensor) -> str:
    """`config.problem_type`, else one label: regression; integer labels: one of several; else several at once."""
    if config.problem_type is not None:
        return config.problem_type
    if config.num_labels == 1:
        return "regression"
    return "multi_label_classification" if labels.dtype.is_floating else "single_label_classification"


def token_loss(output: Output, labels: Tensor, config: RobertaConfig) -> Tensor:
    """Masked LM and token classification: cross-entropy at every token whose label counts."""
    logits = output["logits"]  # B T C
    return cross_entropy(tf.reshape(logits, [-1, logits.shape[-1]]), tf.reshape(labels, [-1]))


def causal_loss(output: Output, labels: Tensor, config: RobertaConfig) -> Tensor:
    """Causal LM: the label of token t + 1 is the target of token t."""
    logits = output["logits"][:, :-1]  # B T-1 V
    return cross_entropy(tf.reshape(logits, [-1, logits.shape[-1]]), tf.reshape(labels[:, 1:], [-1]))


def sequence_loss(output: Output, labels: Tensor, config: RobertaConfig) -> Tensor:
    """Sequence classification, by `problem_type`."""
    logits = output["logits"]  # B L
    kind = problem_type(config, labels)
    if kind == "regression":
        return mean_squared_error(tf.reshape(logits, [-1]), tf.reshape(labels, [-1]))
    if kind == "single_label_classification":
        return cross_entropy(logits, tf.reshape(labels, [-1]))
    return binary_cross_entropy(logits, labels)


def choice_loss(output: Output, labels: Tensor, config: RobertaConfig) -> Tensor:
    """Multiple choice: cross-entropy over the C choices."""
    return cross_entropy(output["logits"], tf.reshape(labels, [-1]))


def span_loss(output: Output, start: Tensor, end: Tensor, config: RobertaConfig) -> Tensor:
    """Question answering: the mean of the cross-entropies of start and end; positions beyond the text do not count."""
    T = tf.cast(sizes(output["start_logits"])[1], tf.int64)
    start, end = (tf.reshape(position, [-1]) for position in (start, end))  # B
    start, end = (tf.where(position < T, position, IGNORE_INDEX) for position in (start, end))  # B
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
