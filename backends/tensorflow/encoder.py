"""The encoder: feed-forward layer, one layer, the stack, the pooler, and the body that all heads share."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import tensorflow as tf
from tensorflow import Tensor

from ...reference.attention import Attended, Context
from ...reference.config import RobertaConfig
from ...reference.encoder import BodyOutput, LayerOutput, collected
from ...reference.inputs import Inputs
from ...reference.taps import Tap, is_asked_for, scope, silent
from .attention import CrossAttention, SelfAttention, is_attended, is_source_attended
from .embeddings import Embeddings, token_count
from .layers import ACTIVATIONS, Draws, Dropout, LayerNorm, Linear, Part, Replay, keep_all


class Layer(Part):
    """Self-attention, cross-attention where there is an encoder to look at, feed-forward.

    Attributes:
        recomputes: whether it is `recomputed` in training; at first, as the `keras.RematScope` says that it is made in.
    """

    def __init__(self, config: RobertaConfig, i: int) -> None:
        super().__init__()
        # Keras has no public way to ask for the scope; one that keeps it elsewhere has `gradient_checkpointing_enable`.
        mode = getattr(self, "_remat_mode", None)  # "larger_than" some size, as a layer's activations always are
        is_named = mode is not None and mode.mode == "list_of_layers" and str(i) in mode.layer_names
        self.recomputes = is_named or (mode is not None and mode.mode in {"full", "larger_than"})
        D, F = config.hidden_size, config.intermediate_size
        self.config = config
        self.attention = SelfAttention(config, config.attention_head_count(i) * config.head_size, is_relative=True)
        if config.add_cross_attention:
            self.crossattention = CrossAttention(config, D, is_relative=False)
        self.intermediate = {"dense": Linear(D, F)}
        self._end = {"dense": Linear(F, D), "LayerNorm": LayerNorm(D, config.layer_norm_eps)}

    def feed_forward(self, x: Tensor, context: Context, tap: Tap = silent) -> Tensor:
        """LayerNorm(x + W_2 activation(W_1 x + b_1) + b_2): (B, T, D)."""
        activation = ACTIVATIONS[self.config.hidden_act]
        dense = tap("intermediate.dense", self.intermediate["dense"](x))  # B T F
        activated = tap("intermediate.output", activation(dense, scope(tap, "intermediate")))  # B T F
        dense = tap("output.dense", self.output["dense"](activated))  # B T D
        total = tap("output.sum", x + context.drop(dense, self.config.hidden_dropout_prob))  # B T D
        return self.output["LayerNorm"](total, scope(tap, "output.LayerNorm"))  # B T D

    def call(self, x: Tensor, context: Context, tap: Tap = silent) -> LayerOutput:
        """(B, T, D) -> `LayerOutput`."""
        attended = self.attention(x, context, scope(tap, "attention"))  # .output B T D
        cross_attended = None
        if self.config.add_cross_attention and context.has_source:
            cross_attended = self.crossattention(attended.output, context, scope(tap, "crossattention"))
        y = attended.output if cross_attended is None else cross_attended.output  # B T D
        return LayerOutput(self.chunked_feed_forward(y, context, tap), attended, cross_attended)

    def chunked_feed_forward(self, x: Tensor, context: Context, tap: Tap) -> Tensor:
        """`feed_forward` over slices of T, to save memory; the last slice may be shorter. Then it has no taps.

        Where a traced function does not know T, it is not sliced: the numbers are the same.
        """
        size, T = self.config.chunk_size_feed_forward, x.shape[1]
        if not size or T is None or is_asked_for(tap, "intermediate", "output"):
            return self.feed_forward(x, context, tap)  # B T D
        return tf.concat([self.feed_forward(x[:, start : start + size], context) for start in range(0, T, size)], 1)


class Pooler(Part):
    """The first token's vector through one dense layer: tanh(W x_0 + b)."""

    def __init__(self, config: RobertaConfig) -> None:
        super().__init__()
        self.dense = Linear(config.hidden_size, config.hidden_size)

    def call(self, x: Tensor, tap: Tap = silent) -> Tensor:
        """(B, T, D) -> (B, D)."""
        dense = tap("dense", self.dense(x[:, 0]))  # B D
        return tap("output", tf.tanh(dense))  # B D


def recomputed(layer: Layer, x: Tensor, context: Context) -> LayerOutput:
    """A layer of which its input is kept, and the rest computed again in the backward pass, with the same dropout.

    Of what it gives, only what the call asks for is kept, too. TensorFlow derives by arguments and variables, so what
    else somebody may derive by is an argument.

    Source: Chen et al. (2016), arXiv:1604.06174.
    """
    inputs, drop = context.inputs, context.drop
    replay = Replay(drop.seeds) if isinstance(drop, Draws) else None
    given = {"x": x, "head_mask": context.head_mask, "source": inputs.encoder_hidden_states}
    given = {name: value for name, value in given.items() if value is not None}
    results: list[LayerOutput] = []

    def asked(attended: Attended) -> Attended:
        key, value = (attended.key, attended.value) if inputs.use_cache else (None, None)
        return Attended(None, attended.probs if inputs.output_attentions else None, key, value)

    def compute(*values: Tensor) -> list[Tensor]:
        own = dict(zip(given, values, strict=True))
        known = context._replace(
            inputs=replace(inputs, encoder_hidden_states=own.get("source")),
            head_mask=own.get("head_mask"),
            drop=drop if replay is None else replay.from_start(),
        )
        result = layer(own["x"], known)
        crossed = None if result.cross_attended is None else asked(result.cross_attended)
        results[:] = [LayerOutput(result.output, asked(result.attended), crossed)]
        return [part for part in tf.nest.flatten(results[0]) if part is not None]

    found = iter(tf.recompute_grad(compute)(*given.values()))
    return tf.nest.map_structure(lambda part: None if part is None else next(found), results[0])


def parts(config: RobertaConfig, has_pooler: bool) -> tuple[Embeddings, dict[str, list[Layer]], Pooler | None]:
    """What a body consists of: `embeddings`, `encoder` and `pooler`."""
    layers = [Layer(config, i) for i in range(config.num_hidden_layers)]
    return Embeddings(config), {"layer": layers}, Pooler(config) if has_pooler else None


class Body(Part):
    """Embeddings and all layers: what every head stands on."""

    def __init__(self, config: RobertaConfig, has_pooler: bool = False) -> None:
        super().__init__()
        self.config = config
        self.embeddings, self.encoder, self.pooler = parts(config, has_pooler)

    def call(self, inputs: Inputs, tap: Tap = silent, drop: Dropout = keep_all) -> BodyOutput:
        """`Inputs` -> `BodyOutput`."""
        return body(inputs, self, self.config, tap, drop)


def body(inputs: Inputs, p: Any, config: RobertaConfig, tap: Tap = silent, drop: Dropout = keep_all) -> BodyOutput:
    """`Inputs` -> `BodyOutput`; p is a `Body`, or the bare model, which has the same parts."""
    x = p.embeddings(inputs, scope(tap, "embeddings"), drop)  # B T D
    context = call_context(inputs, config, drop)
    states: list[Tensor] = [x]
    outputs: list[LayerOutput] = []
    for i, layer in enumerate(p.encoder["layer"]):
        if layer.recomputes and tap is silent and inputs.past_key_values is None:
            result = recomputed(layer, x, context.of_layer(i))
        else:
            result = layer(x, context.of_layer(i), scope(tap, f"encoder.layer.{i}"))
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
