"""The encoder: feed-forward layer, one layer, the stack, the pooler, and the body that all heads share."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .attention import Attended, Cache, Context, cross_attention, is_attended, is_source_attended, self_attention
from .config import RobertaConfig
from .embeddings import embeddings, token_count
from .inputs import Inputs
from .layers import ACTIVATIONS, Array, Dropout, keep_all, layer_norm, linear
from .taps import Tap, scope, silent


class LayerOutput(NamedTuple):
    """What a layer gives: its output (B, T, D), and what its attentions gave."""

    output: Any
    attended: Attended
    cross_attended: Attended | None


class BodyOutput(NamedTuple):
    """What the body gives to a head; everything but the first is None unless asked for.

    Attributes:
        last_hidden_state: (B, T, D).
        past_key_values: the `Cache`.
        hidden_states: N + 1 arrays (B, T, D): the embeddings, then each layer.
        attentions: N arrays (B, H, T, S).
        cross_attentions: N arrays (B, H, T, E).
    """

    last_hidden_state: Any
    past_key_values: Cache | None = None
    hidden_states: tuple[Any, ...] | None = None
    attentions: tuple[Any, ...] | None = None
    cross_attentions: tuple[Any, ...] | None = None


def feed_forward(x: Array, p: Any, context: Context, tap: Tap = silent) -> Array:
    """The feed-forward layer with its residual connection.

    Equation: LayerNorm(x + W_2 activation(W_1 x + b_1) + b_2).

    Args:
        x: (B, T, D).
        p: the parameters of the layer: `intermediate` and `output`.
        context: configuration and dropout.
        tap: see `taps`.

    Returns:
        (B, T, D).

    Source: Vaswani et al. (2017), section 3.3; HF `RobertaIntermediate`, `RobertaOutput`.
    """
    config = context.config
    activation = ACTIVATIONS[config.hidden_act]
    dense = tap("intermediate.dense", linear(x, **p["intermediate"]["dense"]))  # B T F
    activated = tap("intermediate.output", activation(dense, scope(tap, "intermediate")))  # B T F
    dense = tap("output.dense", linear(activated, **p["output"]["dense"]))  # B T D
    total = tap("output.sum", x + context.drop(dense, config.hidden_dropout_prob))  # B T D
    norm = scope(tap, "output.LayerNorm")
    return layer_norm(total, **p["output"]["LayerNorm"], eps=config.layer_norm_eps, tap=norm)  # B T D


def layer(x: Array, p: Any, context: Context, tap: Tap = silent) -> LayerOutput:
    """One layer: self-attention, cross-attention where there is an encoder to look at, feed-forward.

    Args:
        x: (B, T, D).
        p: the parameters at `encoder.layer.{i}`.
        context: see `attention.Context`.
        tap: see `taps`.

    Returns:
        `LayerOutput`.

    Source: Liu et al. (2019), section 2.1: the post-norm layer of BERT; HF `RobertaLayer`.
    """
    attended = self_attention(x, p["attention"], context, scope(tap, "attention"))  # .output B T D
    cross_attended = None
    if "crossattention" in p and context.has_source:
        cross_attended = cross_attention(attended.output, p["crossattention"], context, scope(tap, "crossattention"))
    y = attended.output if cross_attended is None else cross_attended.output  # B T D
    return LayerOutput(feed_forward(y, p, context, tap), attended, cross_attended)


def pooler(x: Array, p: Any, tap: Tap = silent) -> Array:
    """The first token's vector through one dense layer: tanh(W x_0 + b). (B, T, D) -> (B, D)."""
    dense = tap("dense", linear(x[:, 0], **p["dense"]))  # B D
    return tap("output", np.tanh(dense))  # B D


def body(inputs: Inputs, p: Any, config: RobertaConfig, tap: Tap = silent, drop: Dropout = keep_all) -> BodyOutput:
    """Embeddings and all layers: what every head stands on.

    Args:
        inputs: see `Inputs`.
        p: the parameters at `roberta`, or of the bare model.
        config: the configuration.
        tap: see `taps`.
        drop: see `layers.dropout`.

    Returns:
        `BodyOutput`.

    Source: HF `RobertaModel`.
    """
    x = embeddings(inputs, p["embeddings"], config, scope(tap, "embeddings"), drop)  # B T D
    context = call_context(inputs, config, drop)
    states: list[Array] = [x]
    outputs: list[LayerOutput] = []
    for i in range(config.num_hidden_layers):
        result = layer(x, p["encoder"]["layer"][str(i)], context.of_layer(i), scope(tap, f"encoder.layer.{i}"))
        x = result.output  # B T D
        states.append(x)
        outputs.append(result)
    return collected(inputs, token_count(inputs, config.pad_token_id), states, outputs)


def call_context(inputs: Inputs, config: RobertaConfig, drop: Dropout) -> Context:
    """What all layers need to know of the call."""
    return Context(
        config=config,
        inputs=inputs,
        is_attended=is_attended(inputs, config),
        is_source_attended=is_source_attended(inputs),
        drop=drop,
    )


def collected(inputs: Inputs, count: Any, states: list[Any], outputs: list[LayerOutput]) -> BodyOutput:
    """Keep of all layers what the call asks for. It computes nothing, so all engines share it.

    Args:
        inputs: what is asked for, and the cache so far.
        count: (B,) integers, the real tokens of this call.
        states: N + 1 arrays (B, T, D).
        outputs: what the N layers gave.
    """
    crossed = [output.cross_attended for output in outputs if output.cross_attended is not None]
    asks = inputs.output_attentions
    return BodyOutput(
        last_hidden_state=states[-1],
        past_key_values=extended_cache(inputs.past_key_values, count, outputs) if inputs.use_cache else None,
        hidden_states=tuple(states) if inputs.output_hidden_states else None,
        attentions=tuple(output.attended.probs for output in outputs) if asks else None,
        cross_attentions=tuple(attended.probs for attended in crossed) if asks and crossed else None,
    )


def extended_cache(past: Cache | None, count: Any, outputs: list[LayerOutput]) -> Cache:
    """The cache after this call: all keys and values, and the count of real tokens."""
    layers = tuple(
        tuple(tensor for part in (output.attended, output.cross_attended) if part for tensor in (part.key, part.value))
        for output in outputs
    )
    return Cache(layers, count if past is None else past.token_count + count)
