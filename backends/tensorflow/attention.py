"""Attention: masks, the three position types, cross-attention, and the key-value cache."""

from __future__ import annotations

from math import sqrt
from typing import Any

import tensorflow as tf
from tensorflow import Tensor

from ...reference.attention import Attended, Context
from ...reference.config import RobertaConfig
from ...reference.inputs import Inputs
from ...reference.taps import Tap, scope, silent
from .layers import Embedding, LayerNorm, Linear, Part, sizes, softmax

# -- masks ---------------------------------------------------------------------------------------------------------


def is_attended(inputs: Inputs, config: RobertaConfig) -> Tensor | None:
    """Who may look at whom: (B, 1, T, S) or broadcastable, None for everybody at everybody."""
    T, mask, past = sizes(inputs.tokens)[1], inputs.attention_mask, inputs.past_key_values
    P = sizes(past[0][0])[2] if past else 0
    if mask is not None and mask.shape.rank == 3:
        return mask[:, None] >= 1  # B 1 T S
    is_shown = None if mask is None else mask[:, None][:, None] >= 1  # B 1 1 S: TFLite knows no slice with two new axes
    if not config.is_decoder:
        return is_shown
    is_visible = (tf.range(P, P + T)[:, None] >= tf.range(P + T)[None, :])[None][None]  # 1 1 T S
    return is_visible if is_shown is None else is_visible & is_shown  # B 1 T S


def is_source_attended(inputs: Inputs) -> Tensor | None:
    """Which source tokens cross-attention may look at: (B, 1, T, E) or broadcastable, None for all."""
    mask = inputs.encoder_attention_mask
    if mask is None:
        return None
    return (mask[:, None] if mask.shape.rank == 3 else mask[:, None][:, None]) >= 1  # B 1 T E


def masked_softmax(scores: Tensor, is_attended: Tensor | None) -> Tensor:
    """The softmax over the attended scores; a row that may look at nobody attends uniformly to every key."""
    if is_attended is not None:
        scores = tf.where(is_attended, scores, scores.dtype.min)  # B H T S
    return softmax(scores)  # B H T S


# -- the equation --------------------------------------------------------------------------------------------------


def split_heads(x: Tensor, head_size: int) -> Tensor:
    """(B, T, HK) -> (B, H, T, K)."""
    B, T, HK = sizes(x)
    return tf.transpose(tf.reshape(x, [B, T, HK // head_size, head_size]), [0, 2, 1, 3])  # B H T K


def merge_heads(x: Tensor) -> Tensor:
    """(B, H, T, K) -> (B, T, HK)."""
    B, H, T, K = sizes(x)
    return tf.reshape(tf.transpose(x, [0, 2, 1, 3]), [B, T, H * K])  # B T HK


def relative_scores(query: Tensor, key: Tensor, table: Embedding | None, config: RobertaConfig) -> Tensor | float:
    """The position term of the scores, by the distance i - j with i = P + t: (B, H, T, S), or 0.0 for absolute."""
    if table is None:
        return 0.0
    T, S = sizes(query)[2], sizes(key)[2]
    distance = tf.range(S - T, S)[:, None] - tf.range(S)[None, :]  # T S
    relation = table(distance + config.max_position_embeddings - 1)  # T S K
    by_query = tf.einsum("bhtk,tsk->bhts", query, relation)  # B H T S
    if config.position_embedding_type == "relative_key":
        return by_query
    return by_query + tf.einsum("bhsk,tsk->bhts", key, relation)  # B H T S


def masked_heads(probs: Tensor, head_mask: Tensor | None) -> Tensor:
    """Multiply each head's probabilities by its entry of the head mask: 0 silences the head. Shape (B, H, T, S)."""
    return probs if head_mask is None else probs * tf.cast(head_mask, probs.dtype)


class Attention(Part):
    """LayerNorm(x + W_o concat_h(softmax((q k' + relative) / sqrt(K)) v) + b_o), with q = x W_q' + b_q."""

    def __init__(self, config: RobertaConfig, width: int, is_relative: bool) -> None:
        super().__init__()
        D = config.hidden_size
        self.config = config
        self.self: dict[str, Any] = {name: Linear(D, width) for name in ("query", "key", "value")}
        if is_relative and config.position_embedding_type != "absolute":
            table = Embedding(2 * config.max_position_embeddings - 1, config.head_size)
            self.self = {**self.self, "distance_embedding": table}
        self._end = {"dense": Linear(width, D), "LayerNorm": LayerNorm(D, config.layer_norm_eps)}

    def attention(self, x: Tensor, key_value: tuple[Tensor, Tensor], context: Context, tap: Tap = silent) -> Attended:
        """The equation, from the query on: output (B, T, D), probs (B, H, T, S)."""
        config, key, value = self.config, *key_value  # B H S K
        at = scope(tap, "self")
        query = at("query", split_heads(self.self["query"](x), config.head_size))  # B H T K
        relative = relative_scores(query, key, self.self.get("distance_embedding"), config)  # B H T S
        scores = (tf.matmul(query, key, transpose_b=True) + relative) / sqrt(config.head_size)  # B H T S
        probs = at("probs", masked_softmax(at("scores", scores), context.is_attended))  # B H T S
        dropped = context.drop(probs, config.attention_probs_dropout_prob)  # B H T S
        probs = masked_heads(dropped, context.head_mask)  # B H T S  # pyright: ignore[reportArgumentType]
        merged = at("context", merge_heads(tf.matmul(probs, value)))  # B T HK
        dense = tap("output.dense", self.output["dense"](merged))  # B T D
        total = tap("output.sum", x + context.drop(dense, config.hidden_dropout_prob))  # B T D
        output = self.output["LayerNorm"](total, scope(tap, "output.LayerNorm"))  # B T D
        return Attended(output, probs, key, value)

    def keys_and_values(self, x: Tensor, tap: Tap = silent) -> tuple[Tensor, Tensor]:
        """What the tokens x (B, S, D) offer to those that look at them: key and value, each (B, H, S, K)."""
        K = self.config.head_size
        key = tap("key", split_heads(self.self["key"](x), K))  # B H S K
        value = tap("value", split_heads(self.self["value"](x), K))  # B H S K
        return key, value


class SelfAttention(Attention):
    """`Attention` of the tokens x (B, T, D) to themselves and to the cached tokens before them."""

    def call(self, x: Tensor, context: Context, tap: Tap = silent) -> Attended:
        """(B, T, D) -> `Attended`."""
        key, value = self.keys_and_values(x, scope(tap, "self"))  # B H T K
        if context.past is not None:
            key = tf.concat([tf.cast(context.past[0], key.dtype), key], 2)  # B H S K
            value = tf.concat([tf.cast(context.past[1], value.dtype), value], 2)  # B H S K
        return self.attention(x, (key, value), context, tap)


class CrossAttention(Attention):
    """`Attention` of a decoder's tokens x (B, T, D) to an encoder's, whose keys and values are cached once computed."""

    def call(self, x: Tensor, context: Context, tap: Tap = silent) -> Attended:
        """(B, T, D) -> `Attended`."""
        if context.past is not None and len(context.past) == 4:
            key, value = (tf.cast(part, x.dtype) for part in context.past[2:])  # B H E K
        else:
            states = tf.cast(context.inputs.encoder_hidden_states, x.dtype)  # B E D
            key, value = self.keys_and_values(states, scope(tap, "self"))  # B H E K
        return self.attention(x, (key, value), context._replace(is_attended=context.is_source_attended), tap)
