"""Mistakes in what an engine is made of: the configuration and the weights. They can be made of any engine.

Each changes whatever of this a model has, and nothing where it has none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...reference.config import RobertaConfig
from ...reference.layers import Array
from ..arithmetic import nearest
from .wrong_engines import CACHED, DECODER, LM, OUTPUT, PROBS, SUM, Mutant, State

#: Where a head begins.
HEAD = r"^(roberta\.)?(pooler|lm_head|classifier)\.dense|^(classifier|qa_outputs)\.logits|" + OUTPUT


def _field(**changes: Any) -> Callable[[RobertaConfig], RobertaConfig]:
    return lambda config: config.replace(**changes)


def _by_query_alone(config: RobertaConfig) -> RobertaConfig:
    has_both = config.position_embedding_type == "relative_key_query"
    return config.replace(position_embedding_type="relative_key") if has_both else config


def _weights(ending: str, change: Callable[[Array, RobertaConfig], Array]) -> Callable[[State, RobertaConfig], State]:
    """Change every tensor whose name ends so; a copy, in its dtype. A tied tensor changes under all its names."""

    def changed(state: State, config: RobertaConfig) -> State:
        meant = {id(value) for name, value in state.items() if name.endswith(ending)}
        new = {id(v): change(v, config).astype(v.dtype) for v in state.values() if id(v) in meant}
        return {name: new.get(id(value), value) for name, value in state.items()}

    return changed


def _without_last_layer(state: State, config: RobertaConfig) -> State:
    last = f"encoder.layer.{config.num_hidden_layers - 1}."
    return {name: value for name, value in state.items() if last not in name}


def _swapped(one: str, other: str) -> Callable[[State, RobertaConfig], State]:
    def changed(state: State, config: RobertaConfig) -> State:
        names = {name: name.replace(one, "\0").replace(other, one).replace("\0", other) for name in state}
        return {name: state.get(source, state[name]) for name, source in names.items()}

    return changed


def _first_layer_twice(state: State, config: RobertaConfig) -> State:
    return {name: state[name.replace("encoder.layer.1.", "encoder.layer.0.")] for name in state}


def _without_decoder_bias(state: State, config: RobertaConfig) -> State:
    dropped = ("lm_head.bias", "lm_head.decoder.bias")
    return {name: value * 0 if name in dropped else value for name, value in state.items()}


def _interleaved(weight: Array, config: RobertaConfig) -> Array:
    """Columns of the output layer for heads merged as (K, H) instead of (H, K)."""
    K = config.head_size
    H = weight.shape[1] // K
    return weight.reshape(-1, H, K).swapaxes(1, 2).reshape(weight.shape)


def _unbiased(gain: Array, config: RobertaConfig) -> Array:
    return gain * np.sqrt((config.hidden_size - 1) / config.hidden_size)


def _unscaled(state: State, config: RobertaConfig) -> State:
    root = config.head_size**0.5
    state = _weights("self.query.weight", lambda weight, _: weight * root)(state, config)
    return _weights("self.query.bias", lambda bias, _: bias * root)(state, config)


def _truncated(weight: Array, config: RobertaConfig) -> Array:
    bits = np.ascontiguousarray(weight, np.float32).view(np.uint32)
    return (bits & 0xFFFF0000).view(np.float32)


def _stored_in(dtype: str) -> Callable[[Array, RobertaConfig], Array]:
    return lambda weight, _: nearest(weight, dtype)  # what is too large becomes infinite: it shows all the more


def _eight_bits(weight: Array, config: RobertaConfig) -> Array:
    step = float(np.abs(weight).max()) / 127.0
    return np.rint(weight / step) * step


def _one_entry(weight: Array, config: RobertaConfig) -> Array:
    changed = weight.copy()
    changed[np.unravel_index(np.abs(weight).argmax(), weight.shape)] *= 1.003
    return changed


def _zeroed(rows: slice) -> Callable[[Array, RobertaConfig], Array]:
    def changed(table: Array, config: RobertaConfig) -> Array:
        table = table.copy()
        table[rows] = 0.0
        return table

    return changed


def _clipped_distances(table: Array, config: RobertaConfig) -> Array:
    """The rows for distances beyond 8 are those for 8."""
    middle = config.max_position_embeddings - 1
    return table[np.clip(np.arange(len(table)), middle - 8, middle + 8)]


# -- the list --------------------------------------------------------------------------------------------------------

CONFIGURED: tuple[Mutant, ...] = (
    Mutant(
        "tanh GELU",
        "the framework's default GELU is the tanh form",
        config=_field(hidden_act="gelu_new"),
        place=r"layer\.0\.intermediate\.output",
    ),
    *(
        Mutant(
            f"eps {eps}",
            whose,
            config=_field(layer_norm_eps=float(eps)),
            place=r"embeddings\.LayerNorm\.normalized",
            needs="a layer norm of a row whose variance is small",
        )
        for eps, whose in (
            ("1e-12", "HF's default instead of the checkpoint's 1e-5"),
            ("1e-6", "Flax's default"),
            ("1e-3", "Keras' default"),
        )
    ),
    Mutant(
        "one layer less",
        "a loop that stops early",
        config=lambda config: config.replace(num_hidden_layers=max(config.num_hidden_layers - 1, 0)),
        state=_without_last_layer,
        place=HEAD,
    ),
    Mutant(
        "causal mask missing",
        "a decoder that sees what comes",
        heads=CACHED,
        config=_field(is_decoder=False),
        case=DECODER,
        place=PROBS,
        needs="a decoder",
    ),
    Mutant(
        "key term missing",
        "relative_key_query computed as relative_key",
        config=_by_query_alone,
        case={"position_embedding_type": "relative_key_query"},
        place=r"layer\.0\.attention\.self\.scores",
        needs="position_embedding_type relative_key_query",
    ),
)

LOADED: tuple[Mutant, ...] = (
    Mutant(
        "unbiased variance",
        "a variance with D - 1 in the layer norm",
        state=_weights("LayerNorm.weight", _unbiased),
        place=r"embeddings\.LayerNorm\.output",
    ),
    Mutant("no 1/sqrt(K)", "scores that are not scaled", state=_unscaled, place=r"layer\.0\.attention\.self\.query"),
    Mutant(
        "query scaled before its bias",
        "the scale folded into the weight alone",
        state=_weights("self.query.bias", lambda bias, config: bias * config.head_size**0.5),
        place=r"layer\.0\.attention\.self\.query",
    ),
    Mutant(
        "query and key swapped",
        "two of three projections mixed up",
        state=_swapped(".query.", ".key."),
        place=r"layer\.0\.attention\.self\.key",
    ),
    Mutant(
        "query and value swapped",
        "a fused projection split in another order",
        state=_swapped(".query.", ".value."),
        place=r"layer\.0\.attention\.self\.value",
    ),
    Mutant(
        "kernel transposed",
        "a square weight read as (in, out)",
        state=_weights("attention.output.dense.weight", lambda w, _: w.T),
        place=r"layer\.0\.attention\.output\.dense",
    ),
    Mutant(
        "heads interleaved",
        "heads merged as (K, H) instead of (H, K)",
        state=_weights("attention.output.dense.weight", _interleaved),
        place=r"layer\.0\.attention\.output\.dense",
    ),
    Mutant(
        "decoder bias dropped",
        "the tied decoder's bias is not loaded",
        heads=LM,
        state=_without_decoder_bias,
        place=r"lm_head\.logits",
    ),
    Mutant(
        "bias twice",
        "a fused layer that adds its bias again",
        state=_weights("dense.bias", lambda bias, _: 2 * bias),
        place=r"layer\.0\.attention\.output\.dense",
    ),
    Mutant(
        "value bias missing",
        "a fused projection whose bias has one part",
        state=_weights("self.value.bias", lambda bias, _: 0 * bias),
        place=r"layer\.0\.attention\.self\.value",
    ),
    Mutant(
        "key bias missing",
        "a fused projection whose bias has two parts",
        state=_weights("self.key.bias", lambda bias, _: 0 * bias),
        place=r"layer\.0\.attention\.self\.key",
        needs="taps or a cache: it adds one number to all scores of a row, which the softmax does not see",
        is_silent=True,
    ),
    Mutant(
        "layer norms swapped",
        "the two layer norms of a layer mixed up",
        state=_swapped(".attention.output.L", ".output.L"),
        place=r"layer\.0\.attention\.output\.LayerNorm\.output",
    ),
    Mutant(
        "layers swapped",
        "layers read in another order",
        state=_swapped("encoder.layer.0.", "encoder.layer.1."),
        place=r"layer\.0\.attention\.self\.key",
    ),
    Mutant(
        "a layer twice",
        "one layer's weights shared with the next",
        state=_first_layer_twice,
        place=r"layer\.1\.attention\.self\.key",
    ),
    Mutant(
        "distance reversed",
        "relative positions of j - i instead of i - j",
        state=_weights("distance_embedding.weight", lambda table, _: table[::-1]),
        case={"position_embedding_type": "relative_key"},
        place=r"layer\.0\.attention\.self\.scores",
        needs="relative positions",
    ),
    Mutant(
        "relative distance clipped",
        "distances beyond 8 taken for 8, as other models have it",
        state=_weights("distance_embedding.weight", _clipped_distances),
        case={"position_embedding_type": "relative_key"},
        place=r"layer\.0\.attention\.self\.scores",
        needs="relative positions and rows of more than 9 tokens",
    ),
    Mutant(
        "a position table cut short",
        "rows from 20 on never copied",
        state=_weights(".position_embeddings.weight", _zeroed(slice(20, None))),
        place=SUM,
        needs="absolute positions, and rows of more than 18 tokens or positions given",
    ),
    Mutant(
        "token type 1",
        "one row of the table of token types is missing",
        state=_weights("token_type_embeddings.weight", _zeroed(slice(1, None))),
        place=SUM,
        needs="a token of type 1",
    ),
    Mutant(
        "token type table missing",
        "token types left out because all are 0",
        state=_weights("token_type_embeddings.weight", _zeroed(slice(None))),
        place=SUM,
    ),
    Mutant(
        "one weight off by 0.003",
        "one entry of a file damaged",
        state=_weights("layer.0.intermediate.dense.weight", _one_entry),
        place=r"layer\.0\.intermediate\.dense",
    ),
    Mutant("weights in bfloat16", "a silent cast on loading", state=_weights("weight", _truncated), place=SUM),
    Mutant(
        "weights rounded to bfloat16",
        "the checkpoint was saved in bfloat16",
        state=_weights("weight", _stored_in("bfloat16")),
        place=SUM,
    ),
    Mutant(
        "weights in float16",
        "the checkpoint was saved in float16",
        state=_weights("weight", _stored_in("float16")),
        place=SUM,
    ),
    Mutant(
        "weights of 8 bits",
        "a quantised file, one scale for each tensor",
        state=_weights("dense.weight", _eight_bits),
        place=r"layer\.0\.attention\.output\.dense",
    ),
)

WRONG_WEIGHTS = (*CONFIGURED, *LOADED)
