"""The losses of the heads: means over the labels that count. Half precisions give a float32 loss.

A loss in float16 would overflow as soon as an optimizer scales it, which is how float16 is trained.
"""

from __future__ import annotations

import tensorflow as tf
from tensorflow import Tensor

from ...reference.losses import IGNORE_INDEX, Criteria, head_losses
from .layers import sizes, widened


def cross_entropy(logits: Tensor, labels: Tensor, ignore_index: int = IGNORE_INDEX) -> Tensor:
    """The mean negative log-likelihood of the labels that count; 0, with gradient 0, where none does."""
    logits, labels = tf.reshape(logits, [-1, sizes(logits)[-1]]), tf.reshape(labels, [-1])  # n C, n
    is_counted = labels != ignore_index  # n
    chosen = tf.where(is_counted, labels, 0)  # n
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=chosen, logits=widened(logits))  # n
    count = tf.maximum(tf.math.count_nonzero(is_counted), 1)
    return tf.reduce_sum(tf.where(is_counted, losses, 0)) / tf.cast(count, losses.dtype)


def mean_squared_error(logits: Tensor, labels: Tensor) -> Tensor:
    """mean (logits - labels)^2."""
    logits, labels = tf.reshape(widened(logits), [-1]), tf.reshape(labels, [-1])  # n
    return tf.reduce_mean(tf.square(logits - tf.cast(labels, logits.dtype)))


def binary_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """mean of log(1 + exp(logits)) - labels logits."""
    logits = widened(logits)
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(tf.cast(labels, logits.dtype), logits))


def within(positions: Tensor, logits: Tensor) -> Tensor:
    """The positions in the text; those beyond it do not count: (B,)."""
    positions, T = tf.reshape(positions, [-1]), tf.cast(sizes(logits)[1], tf.int64)  # B
    return tf.where(positions < T, positions, IGNORE_INDEX)  # B


#: Head -> loss(output, *labels, config).
LOSSES = head_losses(Criteria(cross_entropy, mean_squared_error, binary_cross_entropy, within))
