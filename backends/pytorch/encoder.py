"""The encoder: feed-forward layer, one layer, the stack, the pooler, and the body that all heads share.

A module takes tensors and gives a tensor or a tuple that begins with it, as hooks expect; what it has to know of the
call is an argument by name, `context`, and without one it attends to all.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ...reference.attention import Attended, Context
from ...reference.config import RobertaConfig
from ...reference.encoder import BodyOutput, LayerOutput, collected
from ...reference.inputs import Inputs
from ...reference.outputs import BaseModelOutput
from ...reference.taps import Tap, is_asked_for, scope, silent
from .attention import Attention, CrossAttention, Residual, SelfAttention, is_attended, is_source_attended
from .clients import Clients
from .embeddings import Embeddings, resolve_position_ids, token_count
from .layers import ACTIVATIONS, Part, linear


class Intermediate(Part):
    """activation(W_1 x + b_1)."""

    def __init__(self, config: RobertaConfig) -> None:
        super().__init__()
        self.config = config
        self.dense = linear(config.hidden_size, config.intermediate_size)

    def forward(self, x: Tensor, *, tap: Tap = silent) -> Tensor:
        """(B, T, D) -> (B, T, F)."""
        dense = tap("dense", self.dense(x))  # B T F
        return tap("output", ACTIVATIONS[self.config.hidden_act](dense, tap))  # B T F


class Layer(Part):
    """Self-attention, cross-attention where there is an encoder to look at, feed-forward."""

    def __init__(self, config: RobertaConfig, i: int) -> None:
        super().__init__()
        self.config = config
        width = config.attention_head_count(i) * config.head_size
        self.attention = Attention(config, SelfAttention(config, width, is_relative=True))
        if config.add_cross_attention:
            self.crossattention = Attention(config, CrossAttention(config, config.hidden_size, is_relative=False))
        self.intermediate = Intermediate(config)
        self.output = Residual(config, config.intermediate_size)

    def feed_forward(self, x: Tensor, tap: Tap = silent) -> Tensor:
        """LayerNorm(x + W_2 activation(W_1 x + b_1) + b_2): (B, T, D)."""
        activated = self.hear(self.intermediate, scope(tap, "intermediate"), x)  # B T F
        return self.hear(self.output, scope(tap, "output"), activated, x)  # B T D

    def forward(
        self, x: Tensor, attention_mask: Tensor | None = None, *, context: Context | None = None, tap: Tap = silent
    ) -> tuple[Tensor, ...]:
        """(B, T, D) -> its output (B, T, D), and behind it what the call asks for.

        That is, where asked for, the probabilities (B, H, T, S), those of cross-attention, and the keys and values of
        each: HF's tuple.

        Args:
            x: (B, T, D).
            attention_mask: of a layer that is called by itself; see `Encoder`.
            context: what the encoder knows of the call.
            tap: see `taps`.
        """
        context = alone(self.config, attention_mask) if context is None else context
        attended = Attended(*self.hear(self.attention, scope(tap, "attention"), x, context=context))
        asked = [attended]
        if self.config.add_cross_attention and context.has_source:
            crossed = self.hear(self.crossattention, scope(tap, "crossattention"), attended.output, context=context)
            asked.append(Attended(*crossed))
        y = self.chunked_feed_forward(asked[-1].output, tap)  # B T D
        probs = [part.probs for part in asked] if context.inputs.output_attentions else []
        cached = [tensor for part in asked for tensor in (part.key, part.value)] if context.inputs.use_cache else []
        return (y, *probs, *cached)

    def chunked_feed_forward(self, x: Tensor, tap: Tap) -> Tensor:
        """`feed_forward` over slices of T, to save memory; the last slice may be shorter. Then it has no taps."""
        size = self.config.chunk_size_feed_forward
        if not size or is_asked_for(tap, "intermediate", "output"):
            return self.feed_forward(x, tap)  # B T D
        return torch.cat([self.feed_forward(part) for part in x.split(size, dim=1)], dim=1)  # B T D


def alone(config: RobertaConfig, attention_mask: Tensor | None = None) -> Context:
    """What a layer that is called by itself knows: a mask (…, T, S) of booleans, or of HF's 0 and lowest numbers."""
    if attention_mask is not None and attention_mask.is_floating_point():
        attention_mask = attention_mask == 0
    return Context(config, Inputs(), attention_mask)


def _layer_output(parts: tuple[Tensor, ...], inputs: Inputs) -> LayerOutput:
    """What a layer's tuple holds, by name."""
    is_crossed = len(parts) - 1 == 2 * (inputs.output_attentions + 2 * inputs.use_cache)
    probs: Any = parts[1 : 2 + is_crossed] if inputs.output_attentions else (None, None)
    cached = parts[len(parts) - 2 * (1 + is_crossed) :] if inputs.use_cache else (None,) * 4
    output, *_ = parts  # B T D
    crossed = Attended(None, probs[1], *cached[2:]) if is_crossed and len(parts) > 1 else None
    return LayerOutput(output, Attended(None, probs[0], *cached[:2]), crossed)


class Pooler(Part):
    """The first token's vector through one dense layer: tanh(W x_0 + b)."""

    def __init__(self, config: RobertaConfig) -> None:
        super().__init__()
        self.dense = linear(config.hidden_size, config.hidden_size)

    def forward(self, x: Tensor, *, tap: Tap = silent) -> Tensor:
        """(B, T, D) -> (B, D)."""
        dense = tap("dense", self.dense(x[:, 0]))  # B D
        return tap("output", dense.tanh())  # B D


class Encoder(Part):
    """All layers, one after the other.

    Attributes:
        checkpoint: how a layer is called so that its activations are computed again in the backward pass, rather than
            kept: `torch.utils.checkpoint`. None: they are kept.
    """

    def __init__(self, config: RobertaConfig) -> None:
        super().__init__()
        self.config = config
        self.layer = nn.ModuleList([Layer(config, i) for i in range(config.num_hidden_layers)])
        self.checkpoint: Callable[..., Any] | None = None

    def forward(
        self, x: Tensor, attention_mask: Tensor | None = None, *, context: Context | None = None, tap: Tap = silent
    ) -> BodyOutput:
        """(B, T, D) -> `BodyOutput`; the arguments are those of a `Layer`."""
        context = alone(self.config, attention_mask) if context is None else context
        inputs = context.inputs
        states: list[Tensor] = [x]
        outputs: list[LayerOutput] = []
        checkpoint = self.checkpoint if self.training and tap is silent else None
        for i, layer in enumerate(self.layer):
            if checkpoint is not None:
                parts = checkpoint(partial(layer, context=context.of_layer(i)), x)
            else:
                parts = self.hear(layer, scope(tap, f"layer.{i}"), x, context=context.of_layer(i))
            result = _layer_output(parts, inputs)
            x = result.output  # B T D
            states.append(x)
            outputs.append(result)
        count = token_count(inputs, self.config.pad_token_id) if inputs.use_cache else None  # B
        return collected(inputs, count, states, outputs)


class Body(Clients, Part):
    """Embeddings and all layers: what every head stands on.

    Attributes:
        entry: what calls it as the bare model is called, with its checks and conversions, where a head has it as
            `roberta`: a function of this body, the arguments, and those by name.
    """

    def __init__(self, config: RobertaConfig, has_pooler: bool = False) -> None:
        super().__init__()
        self.config = config
        self.embeddings = Embeddings(config)
        self.encoder = Encoder(config)
        self.pooler = Pooler(config) if has_pooler else None
        self.entry: Callable[..., Any] | None = None

    def run(self, inputs: Inputs, tap: Tap = silent) -> BaseModelOutput:
        """`Inputs` -> `BaseModelOutput`."""
        result = self.body(inputs, tap)  # .last_hidden_state B T D
        x, pooled = result.last_hidden_state, None
        if self.pooler is not None:
            pooled = self.hear(self.pooler, scope(tap, "pooler"), x)  # B D
        return BaseModelOutput(**result._asdict(), pooler_output=pooled)

    def body(self, inputs: Inputs, tap: Tap = silent) -> BodyOutput:
        """`Inputs` -> `BodyOutput`."""
        is_absolute = self.config.position_embedding_type == "absolute"
        positions = resolve_position_ids(inputs, self.config) if is_absolute else None  # B T, the cache counted
        given = (inputs.input_ids, inputs.token_type_ids, positions, inputs.inputs_embeds)
        x = self.hear(self.embeddings, scope(tap, "embeddings"), *given)  # B T D
        return self.hear(self.encoder, scope(tap, "encoder"), x, context=call_context(inputs, self.config))

    def forward(
        self,
        input_ids: Any = None,
        attention_mask: Any = None,
        token_type_ids: Any = None,
        position_ids: Any = None,
        head_mask: Any = None,
        inputs_embeds: Any = None,
        encoder_hidden_states: Any = None,
        encoder_attention_mask: Any = None,
        past_key_values: Any = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        *,
        inputs: Inputs | None = None,
        tap: Tap = silent,
        **unknown: Any,
    ) -> Any:
        """As the bare model is called; a head that stands on it hands its checked `Inputs` over, as `inputs`."""
        if inputs is not None:
            return self.body(inputs, tap)
        if self.entry is None:
            message = "a body by itself has no checked call: call .run(Inputs(...)), or make a RobertaModel"
            raise TypeError(message)
        given = {
            "input_ids": input_ids,
            "attention_mask": attention_mask,
            "token_type_ids": token_type_ids,
            "position_ids": position_ids,
            "head_mask": head_mask,
            "inputs_embeds": inputs_embeds,
            "encoder_hidden_states": encoder_hidden_states,
            "encoder_attention_mask": encoder_attention_mask,
            "past_key_values": past_key_values,
            "use_cache": use_cache,
            "output_attentions": output_attentions,
            "output_hidden_states": output_hidden_states,
            "return_dict": return_dict,
        }
        return self.entry(self, (), {**given, **unknown})


def call_context(inputs: Inputs, config: RobertaConfig) -> Context:
    """What all layers need to know of the call."""
    return Context(
        config=config,
        inputs=inputs,
        is_attended=is_attended(inputs, config),
        is_source_attended=is_source_attended(inputs),
    )
