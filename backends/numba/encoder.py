"""The encoder: feed-forward layer, one layer, the stack, the pooler, and the body that all heads share."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...reference.attention import Context
from ...reference.config import RobertaConfig
from ...reference.embeddings import token_count
from ...reference.encoder import BodyOutput, LayerOutput, call_context, collected
from ...reference.inputs import Inputs
from ...reference.layers import Array, Dropout, keep_all
from ...reference.taps import Tap, scope, silent
from .attention import cross_attention, residual, self_attention
from .embeddings import embeddings
from .layers import ACTIVATIONS, linear


def feed_forward(x: Array, p: Any, context: Context, tap: Tap = silent) -> Array:
    """LayerNorm(x + W_2 activation(W_1 x + b_1) + b_2): (B, T, D)."""
    activation = ACTIVATIONS[context.config.hidden_act]
    activated = activation(x, p["intermediate"]["dense"], scope(tap, "intermediate"), None)  # B T F
    activated = tap("intermediate.output", activated)  # B T F
    return residual(x, activated, p["output"], context, tap)  # B T D


def layer(x: Array, p: Any, context: Context, tap: Tap = silent) -> LayerOutput:
    """Self-attention, cross-attention where there is an encoder to look at, feed-forward."""
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
    """Embeddings and all layers: what every head stands on."""
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
