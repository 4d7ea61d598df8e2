"""The encoder: feed-forward layer, one layer, the stack, the pooler, and the body that all heads share."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...reference.attention import Context
from ...reference.config import RobertaConfig
from ...reference.encoder import BodyOutput, LayerOutput, collected
from ...reference.inputs import Inputs
from ...reference.taps import Tap, is_asked_for, scope, silent
from .attention import CrossAttention, SelfAttention, is_attended, is_source_attended
from .embeddings import Embeddings, token_count
from .layers import ACTIVATIONS, LayerNorm, dropout, linear


class Layer(nn.Module):
    """Self-attention, cross-attention where there is an encoder to look at, feed-forward."""

    def __init__(self, config: RobertaConfig, i: int) -> None:
        super().__init__()
        D, F = config.hidden_size, config.intermediate_size
        self.config = config
        self.attention = SelfAttention(config, config.attention_head_count(i) * config.head_size, is_relative=True)
        if config.add_cross_attention:
            self.crossattention = CrossAttention(config, D, is_relative=False)
        self.intermediate = nn.ModuleDict({"dense": linear(D, F)})
        self.output = nn.ModuleDict({"dense": linear(F, D), "LayerNorm": LayerNorm(D, config.layer_norm_eps)})
        self.drop = dropout(config.hidden_dropout_prob)

    def feed_forward(self, x: Tensor, tap: Tap = silent) -> Tensor:
        """LayerNorm(x + W_2 activation(W_1 x + b_1) + b_2): (B, T, D)."""
        activation = ACTIVATIONS[self.config.hidden_act]
        dense = tap("intermediate.dense", self.intermediate["dense"](x))  # B T F
        activated = tap("intermediate.output", activation(dense, scope(tap, "intermediate")))  # B T F
        dense = tap("output.dense", self.output["dense"](activated))  # B T D
        total = tap("output.sum", x + self.drop(dense))  # B T D
        return self.output["LayerNorm"](total, scope(tap, "output.LayerNorm"))  # B T D

    def forward(self, x: Tensor, context: Context, tap: Tap = silent) -> LayerOutput:
        """(B, T, D) -> `LayerOutput`."""
        attended = self.attention(x, context, scope(tap, "attention"))  # .output B T D
        cross_attended = None
        if self.config.add_cross_attention and context.has_source:
            cross_attended = self.crossattention(attended.output, context, scope(tap, "crossattention"))
        y = attended.output if cross_attended is None else cross_attended.output  # B T D
        return LayerOutput(self.chunked_feed_forward(y, tap), attended, cross_attended)

    def chunked_feed_forward(self, x: Tensor, tap: Tap) -> Tensor:
        """`feed_forward` over slices of T, to save memory; the last slice may be shorter. Then it has no taps."""
        size = self.config.chunk_size_feed_forward
        if not size or is_asked_for(tap, "intermediate", "output"):
            return self.feed_forward(x, tap)  # B T D
        return torch.cat([self.feed_forward(part) for part in x.split(size, dim=1)], dim=1)  # B T D


class Pooler(nn.Module):
    """The first token's vector through one dense layer: tanh(W x_0 + b)."""

    def __init__(self, config: RobertaConfig) -> None:
        super().__init__()
        self.dense = linear(config.hidden_size, config.hidden_size)

    def forward(self, x: Tensor, tap: Tap = silent) -> Tensor:
        """(B, T, D) -> (B, D)."""
        dense = tap("dense", self.dense(x[:, 0]))  # B D
        return tap("output", dense.tanh())  # B D


class Body(nn.Module):
    """Embeddings and all layers: what every head stands on."""

    def __init__(self, config: RobertaConfig, has_pooler: bool = False) -> None:
        super().__init__()
        self.config = config
        self.embeddings = Embeddings(config)
        layers = nn.ModuleList([Layer(config, i) for i in range(config.num_hidden_layers)])
        self.encoder = nn.ModuleDict({"layer": layers})
        self.pooler = Pooler(config) if has_pooler else None

    def body(self, inputs: Inputs, tap: Tap = silent) -> BodyOutput:
        """`Inputs` -> `BodyOutput`."""
        x = self.embeddings(inputs, scope(tap, "embeddings"))  # B T D
        context = call_context(inputs, self.config)
        states: list[Tensor] = [x]
        outputs: list[LayerOutput] = []
        for i, layer in enumerate(self.encoder["layer"]):  # pyright: ignore[reportArgumentType]
            result = layer(x, context.of_layer(i), scope(tap, f"encoder.layer.{i}"))
            x = result.output  # B T D
            states.append(x)
            outputs.append(result)
        return collected(inputs, token_count(inputs, self.config.pad_token_id), states, outputs)

    def forward(self, inputs: Inputs, tap: Tap = silent) -> BodyOutput:
        """`Inputs` -> `BodyOutput`."""
        return self.body(inputs, tap)


def call_context(inputs: Inputs, config: RobertaConfig) -> Context:
    """What all layers need to know of the call."""
    return Context(
        config=config,
        inputs=inputs,
        is_attended=is_attended(inputs, config),
        is_source_attended=is_source_attended(inputs),
    )
