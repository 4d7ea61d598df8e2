"""Token ids -> vectors: position ids, and the sum of three embeddings under a layer norm."""

from __future__ import annotations

import tensorflow as tf
from tensorflow import Tensor

from ...reference.config import RobertaConfig
from ...reference.inputs import Inputs
from ...reference.taps import Tap, scope, silent
from .layers import Dropout, Embedding, LayerNorm, Part, keep_all, sizes


def position_ids(input_ids: Tensor, pad_token_id: int, past_token_count: Tensor) -> Tensor:
    """(cumsum(is_token) + past) * is_token + pad: (B, T)."""
    is_token = tf.cast(input_ids != pad_token_id, tf.int64)  # B T
    return (tf.cumsum(is_token, -1) + past_token_count[:, None]) * is_token + pad_token_id  # B T


def token_count(inputs: Inputs, pad_token_id: int) -> Tensor:
    """How many real tokens each row holds; of embeddings, all are taken for real. Shape (B,)."""
    if inputs.input_ids is None:
        B, T, _ = sizes(inputs.tokens)
        return tf.fill([B], tf.cast(T, tf.int64))  # B
    return tf.math.count_nonzero(inputs.input_ids != pad_token_id, -1)  # B


def resolve_position_ids(inputs: Inputs, config: RobertaConfig) -> Tensor:
    """The position ids given, else counted from ids, else, for embeddings, `pad + 1 + past` upwards. Shape (B, T)."""
    if inputs.position_ids is not None:
        return inputs.position_ids  # B T
    B, T = sizes(inputs.tokens)[:2]
    past = tf.zeros([B], tf.int64) if inputs.past_key_values is None else inputs.past_key_values.token_count  # B
    if inputs.input_ids is not None:
        return position_ids(inputs.input_ids, config.pad_token_id, past)  # B T
    return tf.range(1, tf.cast(T, tf.int64) + 1) + past[:, None] + config.pad_token_id  # B T


class Embeddings(Part):
    """dropout(LayerNorm(word + token_type + position)): (B, T, D)."""

    def __init__(self, config: RobertaConfig) -> None:
        super().__init__()
        D, pad = config.hidden_size, config.pad_token_id
        self.config = config
        self.word_embeddings = Embedding(config.vocab_size, D, padding_id=pad)
        self.position_embeddings = Embedding(config.max_position_embeddings, D, padding_id=pad)
        self.token_type_embeddings = Embedding(config.type_vocab_size, D)
        self.LayerNorm = LayerNorm(D, config.layer_norm_eps)

    def call(self, inputs: Inputs, tap: Tap = silent, drop: Dropout = keep_all) -> Tensor:
        """Sum, normalise, drop out: (B, T, D)."""
        given = inputs.inputs_embeds
        dtype = self.word_embeddings.compute_dtype
        word = self.word_embeddings(inputs.input_ids) if given is None else tf.cast(given, dtype)  # B T D
        token_type_ids = inputs.token_type_ids
        if token_type_ids is None:
            token_type_ids = tf.zeros([1, 1], tf.int64)  # 1 1
        total = word + self.token_type_embeddings(token_type_ids)  # B T D
        if self.config.position_embedding_type == "absolute":
            total = total + self.position_embeddings(resolve_position_ids(inputs, self.config))  # B T D
        total = tap("sum", total)  # B T D
        x = self.LayerNorm(total, scope(tap, "LayerNorm"))  # B T D
        return drop(x, self.config.hidden_dropout_prob)  # B T D
