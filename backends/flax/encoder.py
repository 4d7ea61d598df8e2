"""The encoder: feed-forward layer, one layer, the stack, the pooler, and the body that all heads share."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from flax import nnx
from jax import Array

from ...reference.attention import Context
from ...reference.config import RobertaConfig
from ...reference.encoder import BodyOutput, LayerOutput, collected
from ...reference.inputs import Inputs
from ...reference.taps import Tap, is_asked_for, scope, silent
from .attention import CrossAttention, FixedCache, SelfAttention, is_attended, is_source_attended, require_room
from .embeddings import Embeddings, token_count
from .layers import ACTIVATIONS, Dropout, LayerNorm, Linear


class Layer(nnx.Module):
    """Self-attention, cross-attention where there is an encoder to look at, feed-forward."""

    def __init__(self, config: RobertaConfig, i: int, rngs: nnx.Rngs) -> None:
        D, F = config.hidden_size, config.intermediate_size
        width = config.attention_head_count(i) * config.head_size
        self.attention = SelfAttention(config, width, is_relative=True, rngs=rngs)
        if config.add_cross_attention:
            self.crossattention = CrossAttention(config, D, is_relative=False, rngs=rngs)
        self.intermediate = nnx.Dict(dense=Linear(D, F))
        self.output: nnx.Dict[Any] = nnx.Dict(dense=Linear(F, D), LayerNorm=LayerNorm(D, config.layer_norm_eps))
        self.drop = Dropout(config.hidden_dropout_prob, rngs.dropout)

    def feed_forward(self, x: Array, config: RobertaConfig, tap: Tap = silent) -> Array:
        """LayerNorm(x + W_2 activation(W_1 x + b_1) + b_2): (B, T, D)."""
        activation = ACTIVATIONS[config.hidden_act]
        dense = tap("intermediate.dense", self.intermediate["dense"](x))  # B T F
        activated = tap("intermediate.output", activation(dense, tap=scope(tap, "intermediate")))  # B T F
        dense = tap("output.dense", self.output["dense"](activated))  # B T D
        total = tap("output.sum", x + self.drop(dense))  # B T D
        return self.output["LayerNorm"](total, scope(tap, "output.LayerNorm"))  # B T D

    def __call__(self, x: Array, context: Context, tap: Tap = silent) -> LayerOutput:
        """(B, T, D) -> `LayerOutput`."""
        attended = self.attention(x, context, scope(tap, "attention"))  # .output B T D
        cross_attended = None
        if context.config.add_cross_attention and context.has_source:
            cross_attended = self.crossattention(attended.output, context, scope(tap, "crossattention"))
        y = attended.output if cross_attended is None else cross_attended.output  # B T D
        return LayerOutput(self.chunked_feed_forward(y, context.config, tap), attended, cross_attended)

    def chunked_feed_forward(self, x: Array, config: RobertaConfig, tap: Tap) -> Array:
        """`feed_forward` over slices of T, to save memory; the last slice may be shorter. Then it has no taps."""
        size = config.chunk_size_feed_forward
        if not size or is_asked_for(tap, "intermediate", "output"):
            return self.feed_forward(x, config, tap)  # B T D
        starts = range(0, x.shape[1], size)
        return jnp.concatenate([self.feed_forward(x[:, start : start + size], config) for start in starts], 1)  # B T D


class Pooler(nnx.Module):
    """The first token's vector through one dense layer: tanh(W x_0 + b)."""

    def __init__(self, config: RobertaConfig) -> None:
        self.dense = Linear(config.hidden_size, config.hidden_size)

    def __call__(self, x: Array, tap: Tap = silent) -> Array:
        """(B, T, D) -> (B, D)."""
        dense = tap("dense", self.dense(x[:, 0]))  # B D
        return tap("output", jnp.tanh(dense))  # B D


def recomputed(layer: Layer, x: Array, context: Context) -> LayerOutput:
    """A layer of which its input is kept, and the rest computed again in the backward pass, with the same dropout."""
    return nnx.remat(lambda layer, x: layer(x, context))(layer, x)


class Body(nnx.Module):
    """Embeddings and all layers: what every head stands on.

    Attributes:
        recomputes: whether layers are `recomputed`.
    """

    recomputes: bool = False

    def __init__(
        self, config: RobertaConfig, rngs: nnx.Rngs, dtype: str | None = None, has_pooler: bool = False
    ) -> None:
        self.embeddings = Embeddings(config, rngs, dtype)
        layers = nnx.List(Layer(config, i, rngs) for i in range(config.num_hidden_layers))
        self.encoder = nnx.Dict(layer=layers)
        self.pooler = Pooler(config) if has_pooler else None

    def body(self, inputs: Inputs, config: RobertaConfig, tap: Tap = silent) -> BodyOutput:
        """`Inputs` -> `BodyOutput`."""
        T, past = inputs.tokens.shape[1], inputs.past_key_values
        if isinstance(past, FixedCache):
            require_room(past, T)
        x = self.embeddings(inputs, config, scope(tap, "embeddings"))  # B T D
        context = call_context(inputs, config)
        states: list[Array] = [x]
        outputs: list[LayerOutput] = []
        for i, layer in enumerate(self.encoder["layer"]):
            if self.recomputes and tap is silent:
                result = recomputed(layer, x, context.of_layer(i))
            else:
                result = layer(x, context.of_layer(i), scope(tap, f"encoder.layer.{i}"))
            x = result.output  # B T D
            states.append(x)
            outputs.append(result)
        count = token_count(inputs, config.pad_token_id) if inputs.use_cache else None  # B
        result = collected(inputs, count, states, outputs)
        if isinstance(past, FixedCache) and result.past_key_values is not None:
            return result._replace(past_key_values=past.followed_by(result.past_key_values, T))
        return result

    def __call__(self, inputs: Inputs, config: RobertaConfig, tap: Tap = silent) -> BodyOutput:
        """`Inputs` -> `BodyOutput`."""
        return self.body(inputs, config, tap)


def call_context(inputs: Inputs, config: RobertaConfig) -> Context:
    """What all layers need to know of the call."""
    return Context(
        config=config,
        inputs=inputs,
        is_attended=is_attended(inputs, config),
        is_source_attended=is_source_attended(inputs),
    )
