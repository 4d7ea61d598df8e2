"""Attention: masks, the three position types, cross-attention, and the key-value cache."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any, Generic, NamedTuple

import numpy as np

from .arrays import A
from .config import RobertaConfig
from .inputs import Inputs
from .layers import Array, Dropout, keep_all, layer_norm, linear, softmax
from .taps import Tap, scope, silent

Booleans = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]


@dataclass
class Cache(Generic[A]):
    """The keys and values of the tokens already seen.

    Attributes:
        layers: per layer (key, value) or (key, value, cross_key, cross_value), each (B, H, S, K): HF's tuple.
        token_count: (B,) integers, the real (not padding) tokens seen, from which positions go on.
    """

    layers: tuple[tuple[A, ...], ...]
    token_count: A

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, layer: int) -> tuple[A, ...]:
        return self.layers[layer]

    @property
    def length(self) -> int:
        """P, the number of tokens seen, padding included."""
        keys: Any = self.layers[0][0] if self.layers else None  # B H P K
        return 0 if keys is None else keys.shape[2]

    def key_count(self, T: int) -> int:
        """S, how many keys there are in a call with T more tokens."""
        return self.length + T


class Context(NamedTuple):
    """What one layer knows besides its input, in the engine's own arrays.

    Attributes:
        config: the configuration.
        inputs: the call.
        is_attended: (B, 1, T, S) booleans, who may look at whom; None for all.
        head_mask: (B, H, T, S), axes of 1 where it does not vary; or None.
        past: this layer's part of the `Cache`, or None.
        is_source_attended: (B, 1, T, E) booleans, or None.
        drop: see `layers.dropout`.
    """

    config: RobertaConfig
    inputs: Inputs
    is_attended: Any = None
    head_mask: Any = None
    past: tuple[Any, ...] | None = None
    is_source_attended: Any = None
    drop: Dropout = keep_all

    def of_layer(self, i: int) -> Context:
        """The same, with what belongs to layer i alone."""
        head_mask, cache = self.inputs.head_mask, self.inputs.past_key_values
        return self._replace(
            head_mask=None if head_mask is None else head_mask[i], past=None if cache is None else cache[i]
        )

    @property
    def has_source(self) -> bool:
        """Whether there is an encoder to look at: its states, or its keys and values in the cache."""
        return self.inputs.encoder_hidden_states is not None or (self.past is not None and len(self.past) == 4)


class Attended(NamedTuple):
    """What attention gives: the output, the probabilities after dropout and head mask, and the keys and values used."""

    output: Any
    probs: Any
    key: Any
    value: Any


# -- masks ---------------------------------------------------------------------------------------------------------


def is_attended(inputs: Inputs, config: RobertaConfig) -> Booleans:
    """Who may look at whom, from the mask given and, in a decoder, from the order of the tokens.

    A (B, S) mask hides tokens; a (B, T, S) mask says all, and replaces the causal one. A decoder's token t, which is
    token P + t with P tokens in the cache, sees the tokens up to itself.

    Args:
        inputs: `attention_mask`, `past_key_values`, and the tokens for their shape.
        config: `is_decoder`.

    Returns:
        (B, 1, T, S) or broadcastable.

    Example:
        >>> inputs = Inputs(input_ids=np.array([[5, 6, 7]]), attention_mask=np.array([[0, 1, 1]]))
        >>> is_attended(inputs, RobertaConfig(is_decoder=True))[0, 0].astype(int)
        array([[0, 0, 0],
               [0, 1, 0],
               [0, 1, 1]])
    """
    T = inputs.tokens.shape[1]
    P = 0 if inputs.past_key_values is None else inputs.past_key_values.length
    if inputs.attention_mask is not None and inputs.attention_mask.ndim == 3:
        return inputs.attention_mask[:, None] >= 1  # B 1 T S
    is_visible = np.ones((1, 1, T, P + T), bool)  # 1 1 T S
    if config.is_decoder:
        is_visible = np.tri(T, P + T, P, dtype=bool)[None, None]  # 1 1 T S
    if inputs.attention_mask is None:
        return is_visible
    return is_visible & (inputs.attention_mask[:, None, None, :] >= 1)  # B 1 T S


def is_source_attended(inputs: Inputs) -> Booleans | None:
    """Which source tokens cross-attention may look at: (B, 1, T, E) or broadcastable, None for all."""
    mask = inputs.encoder_attention_mask
    if mask is None:
        return None
    if mask.ndim == 3:
        return mask[:, None] >= 1  # B 1 T E
    return mask[:, None, None, :] >= 1  # B 1 1 E


def masked_softmax(scores: Array, is_attended: Booleans | None) -> Array:
    """The softmax over the attended scores.

    Scores that are not attended become the dtype's lowest finite number, by selection (adding a bias would turn an
    infinity into NaN). They get probability 0, except in a row that may look at nobody: there all scores are equal,
    and the row attends uniformly to *every* key, as in HF PyTorch.

    Example:
        >>> masked_softmax(np.array([1.0, 1.0, 5.0]), np.array([True, True, False]))
        array([0.5, 0.5, 0. ])
        >>> masked_softmax(np.array([1.0, 9.0]), np.array([False, False]))
        array([0.5, 0.5])
    """
    if is_attended is not None:
        scores = np.where(is_attended, scores, np.finfo(scores.dtype).min)  # B H T S
    return softmax(scores)  # B H T S


# -- the equation --------------------------------------------------------------------------------------------------


def split_heads(x: Array, head_size: int) -> Array:
    """(B, T, HK) -> (B, H, T, K)."""
    B, T, HK = x.shape
    return x.reshape(B, T, HK // head_size, head_size).swapaxes(1, 2)  # B H T K


def merge_heads(x: Array) -> Array:
    """(B, H, T, K) -> (B, T, HK)."""
    B, H, T, K = x.shape
    return x.swapaxes(1, 2).reshape(B, T, H * K)  # B T HK


def relative_scores(query: Array, key: Array, p: Any, config: RobertaConfig) -> Array | float:
    """The position term of the scores (Shaw et al., 2018; Huang et al., 2020).

    Equation: relative_key: q_i · r_ij; relative_key_query: q_i · r_ij + k_j · r_ij; with r_ij the row of the distance
    table for i - j, and i = P + t for the token t of this call: with a cache of P tokens too, where HF takes the last
    token's distance for every row.

    Args:
        query: (B, H, T, K).
        key: (B, H, S, K), cached tokens first.
        p: the parameters at `attention.self`.
        config: `position_embedding_type`, `max_position_embeddings`.

    Returns:
        (B, H, T, S), or 0.0 for absolute positions.
    """
    if config.position_embedding_type == "absolute" or "distance_embedding" not in p:
        return 0.0
    T, S = query.shape[2], key.shape[2]
    distance = np.arange(S - T, S)[:, None] - np.arange(S)[None, :]  # T S
    relation = p["distance_embedding"]["weight"][distance + config.max_position_embeddings - 1]  # T S K
    by_query = np.einsum("bhtk,tsk->bhts", query, relation)  # B H T S
    if config.position_embedding_type == "relative_key":
        return by_query
    return by_query + np.einsum("bhsk,tsk->bhts", key, relation)  # B H T S


def masked_heads(probs: Array, head_mask: Array | None) -> Array:
    """Multiply each head's probabilities by its entry of the head mask: 0 silences the head. Shape (B, H, T, S)."""
    return probs if head_mask is None else probs * head_mask


def attention(x: Array, key_value: tuple[Array, Array], p: Any, context: Context, tap: Tap = silent) -> Attended:
    """Attention of one layer, with its output layer and residual connection.

    Equation: LayerNorm(x + W_o concat_h(softmax((q k' + relative) / sqrt(K)) v) + b_o), with q = x W_q' + b_q.

    Args:
        x: (B, T, D).
        key_value: key and value, each (B, H, S, K).
        p: the parameters at `attention` or `crossattention`.
        context: mask, head mask, dropout.
        tap: see `taps`.

    Returns:
        `Attended`: output (B, T, D), probs (B, H, T, S), key and value.

    Source: Vaswani et al. (2017), section 3.2; HF `RobertaSelfAttention`, `RobertaSelfOutput`.
    """
    config, key, value = context.config, *key_value
    at = scope(tap, "self")
    query = at("query", split_heads(linear(x, **p["self"]["query"]), config.head_size))  # B H T K
    relative = relative_scores(query, key, p["self"], config)  # B H T S
    scores = at("scores", (query @ key.swapaxes(-1, -2) + relative) / sqrt(config.head_size))  # B H T S
    probs = at("probs", masked_softmax(scores, context.is_attended))  # B H T S
    probs = masked_heads(context.drop(probs, config.attention_probs_dropout_prob), context.head_mask)  # B H T S
    merged = at("context", merge_heads(probs @ value))  # B T HK
    dense = tap("output.dense", linear(merged, **p["output"]["dense"]))  # B T D
    total = tap("output.sum", x + context.drop(dense, config.hidden_dropout_prob))  # B T D
    norm = scope(tap, "output.LayerNorm")
    output = layer_norm(total, **p["output"]["LayerNorm"], eps=config.layer_norm_eps, tap=norm)  # B T D
    return Attended(output, probs, key, value)


def keys_and_values(x: Array, p: Any, head_size: int, tap: Tap = silent) -> tuple[Array, Array]:
    """What the tokens x (B, S, D) offer to those that look at them: key and value, each (B, H, S, K)."""
    key = tap("key", split_heads(linear(x, **p["key"]), head_size))  # B H S K
    value = tap("value", split_heads(linear(x, **p["value"]), head_size))  # B H S K
    return key, value


def self_attention(x: Array, p: Any, context: Context, tap: Tap = silent) -> Attended:
    """`attention` of the tokens x (B, T, D) to themselves and to the cached tokens before them."""
    key, value = keys_and_values(x, p["self"], context.config.head_size, scope(tap, "self"))  # B H T K
    if context.past is not None:
        key = np.concatenate([context.past[0], key], axis=2)  # B H S K
        value = np.concatenate([context.past[1], value], axis=2)  # B H S K
    return attention(x, (key, value), p, context, tap)


def cross_attention(x: Array, p: Any, context: Context, tap: Tap = silent) -> Attended:
    """`attention` of a decoder's tokens x (B, T, D) to an encoder's, whose keys and values are cached once computed."""
    if context.past is not None and len(context.past) == 4:
        key, value = context.past[2:]  # B H E K
    else:
        states, K = context.inputs.encoder_hidden_states, context.config.head_size  # B E D
        key, value = keys_and_values(states, p["self"], K, scope(tap, "self"))  # B H E K
    return attention(x, (key, value), p, context._replace(is_attended=context.is_source_attended), tap)
