"""Attention: masks, the three position types, cross-attention, and the key-value cache, which may have a fixed size."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any, NamedTuple

import jax.numpy as jnp
from flax import nnx
from jax import Array, core, lax

from ...reference.attention import Attended, Cache, Context
from ...reference.config import RobertaConfig
from ...reference.inputs import Inputs
from ...reference.taps import Tap, scope, silent
from .layers import PRECISION, Dropout, Embedding, LayerNorm, Linear, dropout, kernel, softmax

# -- a cache of fixed size -----------------------------------------------------------------------------------------


@dataclass
class FixedCache(Cache):
    """A `Cache` whose arrays have room for all tokens from the start, so that a compiled step fits every step.

    The mask of a call, if any, then has M columns, one for each slot: those of tokens to come may be 1.

    Attributes:
        layers: as in `Cache`, with M slots for S.
        token_count: as in `Cache`.
        taken: scalar integer, how many slots hold a token.
    """

    taken: Any = None

    def __getitem__(self, layer: int) -> tuple[Any, ...]:
        return Slots(self.layers[layer], self.taken)

    def key_count(self, T: int) -> int:
        """M, however many tokens are in it."""
        return self.length

    def grown(self) -> Cache:
        """The same without its empty slots, as engines have it whose caches grow."""
        end = int(self.taken)
        layers = tuple((k[:, :, :end], v[:, :, :end], *crossed) for k, v, *crossed in self.layers)  # B H S K
        return Cache(layers, self.token_count)

    def followed_by(self, cache: Cache, T: int) -> FixedCache:
        """What `cache`, the one after a call with T tokens, is as one of fixed size."""
        return FixedCache(cache.layers, cache.token_count, self.taken + T)


class Slots(tuple[Any, ...]):
    """One layer's part of a `FixedCache`: its keys and values, and how many slots are `taken`."""

    taken: Any

    def __new__(cls, layer: tuple[Any, ...], taken: Any) -> Slots:
        """The tensors of the layer, which know how far they are filled."""
        slots = super().__new__(cls, layer)
        slots.taken = taken
        return slots


def init_cache(config: RobertaConfig, batch_size: int, max_length: int, dtype: str) -> FixedCache:
    """An empty cache with room for `max_length` tokens."""
    require_sizes(config, batch_size, max_length)
    sizes = [config.attention_head_count(i) for i in range(config.num_hidden_layers)]
    empty = [jnp.zeros((batch_size, H, max_length, config.head_size), dtype) for H in sizes]  # B H M K
    return FixedCache(tuple((room, room) for room in empty), jnp.zeros(batch_size, int), jnp.zeros((), int))


def require_sizes(config: RobertaConfig, batch_size: int, max_length: int) -> None:
    """Only a decoder has a cache, and that has a slot at least."""
    if not config.is_decoder:
        message = "init_cache: expected a decoder (is_decoder=True), got an encoder, which keeps no cache"
        raise ValueError(message)
    for name, size, least in (("batch_size", batch_size, 0), ("max_length", max_length, 1)):
        if size < least:
            message = f"init_cache: {name}: expected at least {least}, got {size}"
            raise ValueError(message)


def first_token(past: Any, T: int, S: int) -> Any:
    """P, the place of this call's first token among all."""
    return getattr(past, "taken", S - T)


@kernel()
def with_past(past: Array, new: Array, taken: Any, tap: Tap = silent) -> Array:
    """The keys or values so far and those of this call: (B, H, S, K). Where the room does not suffice, NaN."""
    if taken is None:
        return jnp.concatenate([past, new], axis=2)  # B H S K
    T, M = new.shape[2], past.shape[2]
    new = jnp.where(taken + T <= M, new, jnp.nan)  # B H T K
    return lax.dynamic_update_slice_in_dim(past, new, taken, axis=2)  # B H M K


def require_room(past: FixedCache, T: int) -> None:
    """More tokens than slots are an error where the count is known, which it is not inside `jit`."""
    if not isinstance(past.taken, core.Tracer) and past.taken + T > past.length:
        message = (
            f"past_key_values: expected room for {T} tokens, got a cache of {past.length} with {past.taken} in it. "
            "Begin with a longer one: model.init_cache(batch_size, max_length)"
        )
        raise ValueError(message)


# -- masks ---------------------------------------------------------------------------------------------------------


def is_attended(inputs: Inputs, config: RobertaConfig) -> Array | None:
    """Who may look at whom: (B, 1, T, S) or broadcastable, None for everybody at everybody."""
    T, past, mask = inputs.tokens.shape[1], inputs.past_key_values, inputs.attention_mask
    S = T if past is None else past.key_count(T)
    P = first_token(past, T, S) if config.is_decoder else None
    return None if mask is None and P is None else is_shown_and_visible(mask, P, T=T, S=S)  # B 1 T S


@kernel("T", "S")
def is_shown_and_visible(mask: Array | None, P: Any, T: int, S: int, tap: Tap = silent) -> Array:
    """The mask (B, S) or (B, T, S), and, of a decoder whose first token is P, the order of the tokens: (B, 1, T, S)."""
    if mask is not None and mask.ndim == 3:
        return mask[:, None] >= 1  # B 1 T S
    is_shown = jnp.bool_(True) if mask is None else mask[:, None, None, :] >= 1  # B 1 1 S
    if P is None:
        return is_shown
    is_visible = jnp.arange(S)[None, :] <= P + jnp.arange(T)[:, None]  # T S
    return is_visible[None, None] & is_shown  # B 1 T S


def is_source_attended(inputs: Inputs) -> Array | None:
    """Which source tokens cross-attention may look at: (B, 1, T, E) or broadcastable, None for all."""
    mask = inputs.encoder_attention_mask
    if mask is None:
        return None
    return (mask[:, None] if mask.ndim == 3 else mask[:, None, None, :]) >= 1  # B 1 T E


def masked_softmax(scores: Array, is_attended: Array | None, end: Any = None) -> Array:
    """The softmax over the attended scores; a row that may look at nobody attends uniformly to every key.

    Slots of a cache from `end` on hold no key, and have no part in it.
    """
    if is_attended is not None:
        scores = jnp.where(is_attended, scores, jnp.finfo(scores.dtype).min)  # B H T S
    if end is not None:
        scores = jnp.where(jnp.arange(scores.shape[-1]) < end, scores, -jnp.inf)  # B H T S
    return softmax(scores)  # B H T S


# -- the equation --------------------------------------------------------------------------------------------------


class Terms(NamedTuple):
    """What makes the probabilities, besides query and key.

    Attributes:
        relation: the rows r_ij of the distances (T, S, K), or None for absolute positions.
        is_attended: see `Context`.
        end: the first empty slot of a cache of fixed size, or None.
        head_mask: see `Context`.
        dropout_key: None outside training.
    """

    relation: Any
    is_attended: Any
    end: Any
    head_mask: Any
    dropout_key: Any


@kernel("head_size")
def split_heads(x: Array, head_size: int, tap: Tap = silent) -> Array:
    """(B, T, HK) -> (B, H, T, K)."""
    B, T, HK = x.shape
    return x.reshape(B, T, HK // head_size, head_size).swapaxes(1, 2)  # B H T K


def merge_heads(x: Array) -> Array:
    """(B, H, T, K) -> (B, T, HK)."""
    B, H, T, K = x.shape
    return x.swapaxes(1, 2).reshape(B, T, H * K)  # B T HK


def relative_scores(query: Array, key: Array, relation: Array | None, position_type: str) -> Array | float:
    """The position term of the scores, from the rows of the distances: (B, H, T, S), or 0.0 for absolute."""
    if relation is None:
        return 0.0
    by_query = jnp.einsum("bhtk,tsk->bhts", query, relation, precision=PRECISION)  # B H T S
    if position_type == "relative_key":
        return by_query
    return by_query + jnp.einsum("bhsk,tsk->bhts", key, relation, precision=PRECISION)  # B H T S


def masked_heads(probs: Array, head_mask: Array | None) -> Array:
    """Multiply each head's probabilities by its entry of the head mask: 0 silences the head. Shape (B, H, T, S)."""
    return probs if head_mask is None else probs * head_mask


@kernel("position_type", "rate")
def mixed(
    query: Array, key_value: tuple[Array, Array], terms: Terms, *, position_type: str, rate: float, tap: Tap = silent
) -> tuple[Array, Array]:
    """The values, mixed by the probabilities: (B, T, HK), and the probabilities (B, H, T, S)."""
    key, value = key_value  # B H S K
    relative = relative_scores(query, key, terms.relation, position_type)  # B H T S
    product = jnp.einsum("bhtk,bhsk->bhts", query, key, precision=PRECISION)  # B H T S
    scores = tap("scores", (product + relative) / sqrt(query.shape[-1]))  # B H T S
    probs = tap("probs", masked_softmax(scores, terms.is_attended, terms.end))  # B H T S
    probs = masked_heads(dropout(probs, terms.dropout_key, rate=rate), terms.head_mask)  # B H T S
    heads = jnp.einsum("bhts,bhsk->bhtk", probs, value, precision=PRECISION)  # B H T K
    return tap("context", merge_heads(heads)), probs  # B T HK


class Attention(nnx.Module):
    """LayerNorm(x + W_o concat_h(softmax((q k' + relative) / sqrt(K)) v) + b_o), with q = x W_q' + b_q."""

    def __init__(self, config: RobertaConfig, width: int, is_relative: bool, rngs: nnx.Rngs) -> None:
        D = config.hidden_size
        self.self = nnx.Dict(query=Linear(D, width), key=Linear(D, width), value=Linear(D, width))
        if is_relative and config.position_embedding_type != "absolute":
            self.self["distance_embedding"] = Embedding(2 * config.max_position_embeddings - 1, config.head_size)
        self.output: nnx.Dict[Any] = nnx.Dict(dense=Linear(width, D), LayerNorm=LayerNorm(D, config.layer_norm_eps))
        self.drop_probs = Dropout(config.attention_probs_dropout_prob, rngs.dropout)
        self.drop = Dropout(config.hidden_dropout_prob, rngs.dropout)

    def attention(self, x: Array, key_value: tuple[Array, Array], context: Context, tap: Tap = silent) -> Attended:
        """The equation, from the query on: output (B, T, D), probs (B, H, T, S)."""
        config, at = context.config, scope(tap, "self")
        query = at("query", split_heads(self.self["query"](x), head_size=config.head_size))  # B H T K
        terms, kind = self.terms(query, key_value[0], context), config.position_embedding_type
        merged, probs = mixed(query, key_value, terms, position_type=kind, rate=self.drop_probs.rate, tap=at)  # B T HK
        dense = tap("output.dense", self.output["dense"](merged))  # B T D
        total = tap("output.sum", x + self.drop(dense))  # B T D
        output = self.output["LayerNorm"](total, scope(tap, "output.LayerNorm"))  # B T D
        return Attended(output, probs, *key_value)

    def terms(self, query: Array, key: Array, context: Context) -> Terms:
        """What makes the probabilities, besides query and key."""
        T, S = query.shape[2], key.shape[2]
        P, relation = first_token(context.past, T, S), None
        if "distance_embedding" in self.self:
            distance = P + jnp.arange(T)[:, None] - jnp.arange(S)[None, :]  # T S
            relation = self.self["distance_embedding"](distance + context.config.max_position_embeddings - 1)  # T S K
        end = P + T if isinstance(context.past, Slots) else None
        return Terms(relation, context.is_attended, end, context.head_mask, self.drop_probs.key())

    def keys_and_values(self, x: Array, head_size: int, tap: Tap = silent) -> tuple[Array, Array]:
        """What the tokens x (B, S, D) offer to those that look at them: key and value, each (B, H, S, K)."""
        key = tap("key", split_heads(self.self["key"](x), head_size=head_size))  # B H S K
        value = tap("value", split_heads(self.self["value"](x), head_size=head_size))  # B H S K
        return key, value


class SelfAttention(Attention):
    """`Attention` of the tokens x (B, T, D) to themselves and to the cached tokens before them."""

    def __call__(self, x: Array, context: Context, tap: Tap = silent) -> Attended:
        """(B, T, D) -> `Attended`."""
        key, value = self.keys_and_values(x, context.config.head_size, scope(tap, "self"))  # B H T K
        if context.past is not None:
            taken = getattr(context.past, "taken", None)
            key = with_past(context.past[0], key, taken)  # B H S K
            value = with_past(context.past[1], value, taken)  # B H S K
        return self.attention(x, (key, value), context, tap)


class CrossAttention(Attention):
    """`Attention` of a decoder's tokens x (B, T, D) to an encoder's, whose keys and values are cached once computed."""

    def __call__(self, x: Array, context: Context, tap: Tap = silent) -> Attended:
        """(B, T, D) -> `Attended`."""
        if context.past is not None and len(context.past) == 4:
            key, value = context.past[2:]  # B H E K
        else:
            source = context.inputs.encoder_hidden_states  # B E D
            key, value = self.keys_and_values(source, context.config.head_size, scope(tap, "self"))  # B H E K
        return self.attention(x, (key, value), context._replace(is_attended=context.is_source_attended, past=None), tap)
