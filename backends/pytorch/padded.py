"""The inference form of decoders: laid-out products on a batch as it is, padding and all, with its cache.

Read it beside `attention.py` and `encoder.py`: the same steps, of which the dense layers are `inference`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ...reference.attention import Attended, Context
from ...reference.encoder import BodyOutput, LayerOutput, collected
from ...reference.inputs import Inputs
from .attention import fused, merge_heads
from .embeddings import token_count
from .encoder import call_context

if TYPE_CHECKING:
    from .inference import Attention, Inference, Layer


def self_attention(x: Tensor, own: Attention, context: Context) -> Attended:
    """LayerNorm(x + W_o concat_h(softmax(q k' / sqrt(K)) v) + b_o), the cached tokens looked at too: (B, T, D)."""
    flat = x.flatten(0, 1)  # BT D
    *query, key, value = (by_head(part, len(x)) for part in own.keys_and_values(flat))  # B H T K
    query = query[0] if query else by_head(own.queries(flat), len(x))  # B H T K
    if context.past is not None:
        key = torch.cat([context.past[0], key], dim=2)  # B H S K
        value = torch.cat([context.past[1], value], dim=2)  # B H S K
    return attended(x, query, (key, value), own, context.is_attended)


def cross_attention(x: Tensor, own: Attention, context: Context) -> Attended:
    """The same of the tokens x (B, T, D), which look at an encoder's; its keys and values are cached."""
    if context.past is not None and len(context.past) == 4:
        key, value = context.past[2:]  # B H E K
    else:
        states = context.inputs.encoder_hidden_states  # B E D
        key, value = (by_head(part, len(x)) for part in own.keys_and_values(states.flatten(0, 1)))  # B H E K
    query = by_head(own.queries(x.flatten(0, 1)), len(x))  # B H T K
    return attended(x, query, (key, value), own, context.is_source_attended)


def attended(
    x: Tensor, query: Tensor, key_value: tuple[Tensor, Tensor], own: Attention, is_attended: Tensor | None
) -> Attended:
    """From the query on: `Attended`, without probabilities."""
    mixed = merge_heads(fused(query, *key_value, is_attended))  # B T HK
    return Attended(own.ended(mixed.flatten(0, 1), x.flatten(0, 1)).view_as(x), None, *key_value)


def by_head(flat: Tensor, B: int) -> Tensor:
    """(BT, H, K) -> (B, H, T, K)."""
    return flat.view(B, len(flat) // max(B, 1), *flat.shape[1:]).transpose(1, 2)  # B H T K


def layer(x: Tensor, own: Layer, context: Context) -> LayerOutput:
    """Self-attention, cross-attention where there is an encoder to look at, feed-forward."""
    first = self_attention(x, own.self_attention, context)
    crossed = None
    if own.cross_attention is not None and context.has_source:
        crossed = cross_attention(first.output, own.cross_attention, context)
    y = first.output if crossed is None else crossed.output  # B T D
    return LayerOutput(own.feed_forward(y.flatten(0, 1)).view_as(y), first, crossed)


def padded_body(form: Inference, inputs: Inputs) -> BodyOutput:
    """Embeddings and all layers: `Inputs` -> `BodyOutput`."""
    B, T = inputs.tokens.shape[:2]
    every = torch.arange(B * T, device=inputs.tokens.device)  # BT
    x = form.embeddings(inputs, every).view(B, T, -1)  # B T D
    context = call_context(inputs, form.config)
    states: list[Tensor] = [x]
    outputs: list[LayerOutput] = []
    for i, own in enumerate(form.layers):
        outputs.append(layer(x, own, context.of_layer(i)))
        x = outputs[-1].output  # B T D
        states.append(x)
    return collected(inputs, token_count(inputs, form.config.pad_token_id), states, outputs)
