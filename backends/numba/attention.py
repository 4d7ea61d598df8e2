"""Attention: the three position types, cross-attention, and the key-value cache. Masks are the spec's.

One kernel does it all, from the heads of query, key and value to the merged context, and keeps no scores. Where
somebody needs them, for distances, dropout, a head mask, to see or to replace them, they are computed whole: BLAS
multiplies, and one kernel scales, masks and normalises.
"""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np

from ...reference.attention import Attended, Booleans, Context, masked_heads
from ...reference.config import RobertaConfig
from ...reference.layers import Array, keep_all
from ...reference.taps import Tap, is_asked_for, scope, silent
from . import kernels
from .layers import layer_norm, linear
from .tiles import Packed

# -- masks ---------------------------------------------------------------------------------------------------------


def masked_softmax(scores: Array, is_attended: Booleans | None, scale: float, out: Array) -> Array:
    """The softmax over the attended of scores / scale: (B, H, T, S), into `out`, which may be the scores."""
    mask = _whole(is_attended, scores.shape[-1])  # B 1 T S
    return kernels.masked_softmax(scores, mask, scores.dtype.type(scale), out)  # B H T S


def _whole(is_attended: Booleans | None, size: int) -> Booleans:
    """The mask as kernels want it, whose axes of 1 do not vary."""
    return np.ones((1, 1, 1, size), bool) if is_attended is None else np.ascontiguousarray(is_attended)  # B 1 T S


# -- the equation --------------------------------------------------------------------------------------------------


def split_heads(x: Array, dense: Packed, count: int, head_size: int) -> Array:
    """Several projections of the tokens x (B, T, D) in one product, split into heads: views, (P, B, H, T, K)."""
    B, T, _ = x.shape
    heads = (B, T, count, dense["size"] // (count * head_size), head_size)
    return linear(x, **dense).reshape(heads).transpose(2, 0, 3, 1, 4)  # P B H T K


def relative_scores(scores: Array, query: Array, key: Array, p: Any, config: RobertaConfig) -> Array:
    """The scores and their position term: (B, H, T, S), in place.

    Query and key are multiplied with the row of every distance that occurs, from 1 - T to S - 1.
    """
    if "distance_embedding" not in p:
        return scores
    T, S = scores.shape[2:]
    origin = config.max_position_embeddings - 1
    relation = p["distance_embedding"]["weight"][origin + 1 - T : origin + S]  # T+S-1 K
    by_query = query @ relation.T  # B H T T+S-1
    by_key = key @ relation.T if config.position_embedding_type == "relative_key_query" else by_query[:, :, :0]
    return kernels.relative_scores(scores, by_query, np.ascontiguousarray(by_key), scores)  # B H T S


def attention(x: Array, query: Array, key_value: tuple[Array, Array], p: Any, context: Context, tap: Tap) -> Attended:
    """LayerNorm(x + W_o concat_h(softmax((q k' + relative) / sqrt(K)) v) + b_o), from the heads of the query on."""
    key, value = key_value  # B H S K
    at = scope(tap, "self")
    B, H, T, K = query.shape
    merged, probs = np.empty((B, T, H, K), x.dtype), None  # B T H K
    if is_explicit(context, at) or context.drop is not keep_all or "distance_embedding" in p["self"]:
        scores = query @ key.swapaxes(-1, -2)  # B H T S
        scores = relative_scores(scores, query, key, p["self"], context.config)  # B H T S
        probs = probabilities(scores, context, at)  # B H T S
        np.matmul(probs, value, out=merged.swapaxes(1, 2))
    else:
        mask, scale = _whole(context.is_attended, key.shape[2]), x.dtype.type(sqrt(K))
        kernels.attention(query, key, value, mask, scale, merged)
    merged = at("context", merged.reshape(B, T, H * K))  # B T HK
    output = residual(x, merged, p["output"], context, tap)  # B T D
    return Attended(output, probs, key, value)


def is_explicit(context: Context, tap: Tap) -> bool:
    """Whether somebody needs the probabilities: to see or to replace them, or to mask heads."""
    is_needed = context.inputs.output_attentions or context.head_mask is not None
    return is_needed or is_asked_for(tap, "scores", "probs")


def probabilities(scores: Array, context: Context, tap: Tap) -> Array:
    """Softmax, dropout and head mask: (B, H, T, S). Where nobody asks for the scores, they are overwritten."""
    config, scale = context.config, sqrt(context.config.head_size)
    if not is_explicit(context, tap):
        probs = masked_softmax(scores, context.is_attended, scale, scores)  # B H T S
        return context.drop(probs, config.attention_probs_dropout_prob)  # B H T S
    scores = tap("scores", scores / scale)  # B H T S
    probs = tap("probs", masked_softmax(scores, context.is_attended, 1.0, np.empty_like(scores)))  # B H T S
    return masked_heads(context.drop(probs, config.attention_probs_dropout_prob), context.head_mask)  # B H T S


def residual(x: Array, inner: Array, p: Any, context: Context, tap: Tap = silent, out: Array | None = None) -> Array:
    """The end of a sublayer, LayerNorm(x + dropout(W inner + b)): (B, T, D); into `out`, (n, D), where it is given."""
    config, norm, at = context.config, p["LayerNorm"], scope(tap, "output")
    if is_asked_for(at, "dense", "sum", "LayerNorm.mean", "LayerNorm.variance", "LayerNorm.normalized"):
        dense = at("dense", linear(inner, **p["dense"]))  # B T D
        total = at("sum", x + context.drop(dense, config.hidden_dropout_prob))  # B T D
        return layer_norm(total, **norm, eps=config.layer_norm_eps, tap=scope(at, "LayerNorm"))  # B T D
    dense = context.drop(linear(inner, **p["dense"], out=out), config.hidden_dropout_prob)  # B T D
    rows, added = (array.reshape(-1, x.shape[-1]) for array in (x, dense))  # BT D
    eps = x.dtype.type(config.layer_norm_eps)
    output = kernels.add_layer_norm(rows, added, norm["weight"], norm["bias"], eps, added)  # BT D
    return at("LayerNorm.output", output.reshape(x.shape))  # B T D


def self_attention(x: Array, p: Any, context: Context, tap: Tap = silent) -> Attended:
    """`attention` of the tokens x (B, T, D) to themselves and to the cached tokens before them."""
    at = scope(tap, "self")
    query, key, value = split_heads(x, p["self"]["projections"], 3, context.config.head_size)  # B H T K
    key, value, query = at("key", key), at("value", value), at("query", query)  # B H T K
    if context.past is not None:
        key = np.concatenate([context.past[0], key], axis=2)  # B H S K
        value = np.concatenate([context.past[1], value], axis=2)  # B H S K
    return attention(x, query, (key, value), p, context, tap)


def cross_attention(x: Array, p: Any, context: Context, tap: Tap = silent) -> Attended:
    """`attention` of a decoder's tokens x (B, T, D) to an encoder's, whose keys and values are cached once computed."""
    at, K = scope(tap, "self"), context.config.head_size
    if context.past is not None and len(context.past) == 4:
        key, value = context.past[2:]  # B H E K
    else:
        key, value = split_heads(context.inputs.encoder_hidden_states, p["self"]["sources"], 2, K)  # B H E K
        key, value = at("key", key), at("value", value)  # B H E K
    query = at("query", split_heads(x, p["self"]["projections"], 1, K)[0])  # B H T K
    return attention(x, query, (key, value), p, context._replace(is_attended=context.is_source_attended), tap)
