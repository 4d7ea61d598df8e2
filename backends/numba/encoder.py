"""The encoder: feed-forward layer, one layer, the stack, the pooler, and the body that all heads share."""

from __future__ import annotations

from typing import Any

from ...reference import encoder
from ...reference.attention import Context
from ...reference.config import RobertaConfig
from ...reference.inputs import Inputs
from ...reference.layers import Array, Dropout
from ...reference.scopes import in_scope
from ...reference.taps import Tap, scope, silent
from .attention import cross_attention, residual, self_attention
from .embeddings import embeddings
from .layers import ACTIVATIONS, linear


def feed_forward(x: Array, p: Any, context: Context, tap: Tap = silent) -> Array:
    """LayerNorm(x + W_2 activation(W_1 x + b_1) + b_2): (B, T, D)."""
    activation = ACTIVATIONS[context.config.hidden_act]
    activated = activation(x, p["intermediate"]["dense"], scope(tap, "intermediate"))  # B T F
    activated = tap("intermediate.output", activated)  # B T F
    return residual(x, activated, p["output"], context, tap)  # B T D


def call_context(inputs: Inputs, config: RobertaConfig, drop: Dropout) -> Context:
    """What all layers need to know of the call. Where nobody asks for them, no probabilities are kept."""
    is_explicit = inputs.output_attentions or inputs.head_mask is not None
    return encoder.call_context(inputs, config, drop)._replace(is_explicit=is_explicit)


# The rest is the spec's, of the parts of this engine.
PARTS = {
    "linear": linear,
    "embeddings": embeddings,
    "self_attention": self_attention,
    "cross_attention": cross_attention,
    "feed_forward": feed_forward,
    "call_context": call_context,
}
layer = in_scope(encoder.layer, PARTS)
pooler = in_scope(encoder.pooler, PARTS)
body = in_scope(encoder.body, {**PARTS, "layer": layer})
