"""Mistakes in what goes in and what comes out: configuration, weights, arguments, outputs. They can be made of any engine.

Each changes whatever of this a call has, and nothing where it has none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np

from ..reference.config import RobertaConfig
from ..reference.embeddings import position_ids
from ..reference.inputs import SIGNATURES
from ..reference.layers import Array
from ..reference.losses import IGNORE_INDEX
from ..reference.parameters import HEADS
from .wrong_engines import CACHE, Memory, Mutant, State

Given = dict[str, Any]
LM = ("causal_lm", "masked_lm")
CACHED = ("model", "causal_lm")
DECODER = {"is_decoder": True, "use_cache": False}
GOES_ON = {"is_decoder": True}
#: Where the mask is first of consequence, where positions and ids are, and where a head begins.
PROBS, SUM = r"layer\.0\.attention\.self\.probs", r"embeddings\.sum"
OUTPUT = r"^(loss|logits|start_logits|end_logits|last_hidden_state|pooler_output|(hidden_states|\w*attentions)\..*)"
HEAD = r"^(roberta\.)?(pooler|lm_head|classifier)\.dense|^(classifier|qa_outputs)\.logits|" + OUTPUT


# -- configuration and weights ---------------------------------------------------------------------------------------


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


def _eight_bits(weight: Array, config: RobertaConfig) -> Array:
    step = np.abs(weight).max() / 127.0
    return np.round(weight / step) * step


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


# -- arguments -------------------------------------------------------------------------------------------------------


def _argument(name: str, change: Callable[[Any, RobertaConfig], Any]) -> Callable[[Given, RobertaConfig], Given]:
    """Change an argument where it is given."""
    return lambda inputs, config: (
        inputs if inputs.get(name) is None else {**inputs, name: change(inputs[name], config)}
    )


def _without(name: str) -> Callable[[Given, RobertaConfig], Given]:
    return lambda inputs, _: {given: value for given, value in inputs.items() if given != name}


def _positions(count: Callable[[Any, Given, RobertaConfig], Any]) -> Callable[[Given, RobertaConfig], Given]:
    """Count positions otherwise, where they are counted from ids."""

    def changed(inputs: Given, config: RobertaConfig) -> Given:
        ids = inputs.get("input_ids")
        if ids is None or inputs.get("position_ids") is not None or config.position_embedding_type != "absolute":
            return inputs
        return {**inputs, "position_ids": count(ids, inputs, config)}

    return changed


def _right_positions(ids: Any, config: RobertaConfig, past: Any = 0) -> Any:
    rows = ids.reshape(-1, ids.shape[-1])
    seen = np.broadcast_to(past, len(rows))
    return position_ids(rows, config.pad_token_id, seen).reshape(ids.shape)


def _from_zero(ids: Any, inputs: Given, config: RobertaConfig) -> Any:
    past = getattr(inputs.get(CACHE), "token_count", 0)
    return np.maximum(_right_positions(ids, config, past) - config.pad_token_id - 1, 0)


def _through_padding(ids: Any, inputs: Given, config: RobertaConfig) -> Any:
    P = getattr(inputs.get(CACHE), "length", 0)
    T: int = ids.shape[-1]
    return 0 * ids + np.arange(P, P + T) + config.pad_token_id + 1


def _by_the_mask(ids: Any, inputs: Given, config: RobertaConfig) -> Any:
    mask, T = inputs.get("attention_mask"), ids.shape[-1]
    if mask is None or mask.ndim != ids.ndim:
        return _through_padding(ids, inputs, config)
    return (mask.cumsum(-1) * mask)[..., -T:] + config.pad_token_id


def _positions_of_vectors(inputs: Given, config: RobertaConfig) -> Given:
    vectors = inputs.get("inputs_embeds")
    if vectors is None or config.position_embedding_type != "absolute":
        return inputs
    P = getattr(inputs.get(CACHE), "length", 0)
    return {**inputs, "position_ids": np.broadcast_to(np.arange(vectors.shape[-2]) + P, vectors.shape[:-1]).copy()}


def _left_justified(mask: Any, config: RobertaConfig) -> Any:
    """As many keys as are real, from the first on; of masks with a row for each token, as it is."""
    is_square = mask.ndim > 2 and mask.shape[-1] == mask.shape[-2]
    return mask if is_square else (np.arange(mask.shape[-1]) < mask.sum(-1, keepdims=True)).astype(mask.dtype)


def _mask_from_ids(inputs: Given, config: RobertaConfig) -> Given:
    ids, mask = inputs.get("input_ids"), inputs.get("attention_mask")
    if ids is None or mask is None or mask.shape != ids.shape:
        return inputs
    return {**inputs, "attention_mask": (ids != config.pad_token_id).astype(np.int64)}


def _mask_with_padding_only(inputs: Given, config: RobertaConfig) -> Given:
    ids = inputs.get("input_ids")
    has_padding = ids is not None and (ids == config.pad_token_id).any()
    return inputs if has_padding else _without("attention_mask")(inputs, config)


def _not_shifted(labels: Any, config: RobertaConfig) -> Any:
    shifted = np.roll(labels, 1, -1)
    shifted[..., 0] = IGNORE_INDEX
    return shifted


def _heads_that_take(name: str) -> tuple[str, ...]:
    return tuple(head for head in HEADS if name in SIGNATURES[head])


# -- outputs ---------------------------------------------------------------------------------------------------------


def _every_output(change: Callable[[Array], Array]) -> Callable[[dict[str, Array]], dict[str, Array]]:
    return lambda outputs: {name: change(value) for name, value in outputs.items()}


def _with_nan(value: Array) -> Array:
    value = value.copy()
    value.flat[-1] = np.nan
    return value


def _start_end_swapped(outputs: dict[str, Array]) -> dict[str, Array]:
    return {**outputs, "start_logits": outputs["end_logits"], "end_logits": outputs["start_logits"]}


def _choices_transposed(outputs: dict[str, Array]) -> dict[str, Array]:
    logits = outputs["logits"]
    return {**outputs, "logits": logits.reshape(logits.shape[::-1]).T}


def _states_of_the_layer_before(outputs: dict[str, Array]) -> dict[str, Array]:
    states = [name for name in outputs if name.startswith("hidden_states")]
    return {**outputs, **{name: outputs[before] for before, name in zip(states, states[1:], strict=False)}}


def _into_one_buffer(outputs: dict[str, Array], memory: Memory) -> dict[str, Array]:
    """The arrays of the call before, where they have the shape, with the new values in them."""
    for name, value in outputs.items():
        kept = memory.get(name)
        memory[name] = np.array(value) if kept is None or kept.shape != value.shape else kept
        memory[name][...] = value
    return {name: memory[name] for name in outputs}


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
    Mutant(
        "weights in bfloat16", "a silent cast on loading", state=_weights("weight", _truncated), place=SUM
    ),
    Mutant(
        "weights rounded to bfloat16",
        "the checkpoint was saved in bfloat16",
        state=_weights("weight", lambda weight, _: weight.astype(ml_dtypes.bfloat16)),
        place=SUM,
    ),
    Mutant(
        "weights in float16",
        "the checkpoint was saved in float16",
        state=_weights("weight", lambda weight, _: weight.astype(np.float16)),
        place=SUM,
    ),
    Mutant(
        "weights of 8 bits",
        "a quantised file, one scale for each tensor",
        state=_weights("dense.weight", _eight_bits),
        place=r"layer\.0\.attention\.output\.dense",
    ),
)

ASKED: tuple[Mutant, ...] = (
    Mutant(
        "positions from 0",
        "position ids that do not start behind the padding id",
        inputs=_positions(_from_zero),
        place=SUM,
        needs="absolute positions, counted",
    ),
    Mutant(
        "padding counted",
        "position ids that run on through padding",
        inputs=_positions(_through_padding),
        case={"padding": "left"},
        place=SUM,
        needs="padding before a real token",
    ),
    Mutant(
        "positions counted from the mask",
        "position ids from the mask instead of the ids",
        inputs=_positions(_by_the_mask),
        place=SUM,
        needs="a real token that the mask hides",
    ),
    Mutant(
        "positions that do not go on from the cache",
        "cached positions counted from the first again",
        heads=CACHED,
        inputs=_positions(lambda ids, _, config: _right_positions(ids, config)),
        case=GOES_ON,
        place=SUM,
        needs="a call on a cache",
    ),
    Mutant(
        "positions of embeddings",
        "positions from 0 where embeddings are given",
        heads=_heads_that_take("inputs_embeds"),
        inputs=_positions_of_vectors,
        place=SUM,
        needs="embeddings given",
    ),
    Mutant("given positions ignored", "an argument that is not handed on", inputs=_without("position_ids"), place=SUM,
           needs="positions given"),
    Mutant("mask inverted", "1 taken for hidden", inputs=_argument("attention_mask", lambda mask, _: 1 - mask),
           place=PROBS, needs="a mask"),
    Mutant("mask ignored", "a kernel that drops the mask", inputs=_without("attention_mask"), place=PROBS,
           needs="padding"),
    Mutant(
        "left padding",
        "a kernel that is told how many tokens a row has, and takes the first",
        inputs=_argument("attention_mask", _left_justified),
        place=PROBS,
        needs="padding on the left or inside",
    ),
    Mutant(
        "a mask made from the ids",
        "hidden is what has the padding id",
        inputs=_mask_from_ids,
        place=PROBS,
        needs="a padding id that is attended to, or a token that is not",
    ),
    Mutant(
        "mask ignored without padding",
        "a fast path for batches without padding ids",
        inputs=_mask_with_padding_only,
        place=PROBS,
        needs="a mask that hides tokens of a batch without padding",
    ),
    Mutant(
        "token types ignored",
        "segment ids that are not handed on",
        inputs=_argument("token_type_ids", lambda types, _: np.zeros_like(types)),
        place=SUM,
        needs="token types",
    ),
    Mutant(
        "last vocabulary row",
        "ids clipped below the last",
        inputs=_argument("input_ids", lambda ids, config: np.minimum(ids, config.vocab_size - 2)),
        place=SUM,
        needs="the last id",
    ),
    Mutant(
        "head mask ignored",
        "an argument that is not handed on",
        heads=_heads_that_take("head_mask"),
        inputs=_without("head_mask"),
        place=r"layer\.0\.attention\.self\.context",
        needs="a head mask",
    ),
    Mutant(
        "head mask of another layer",
        "layers counted from the last",
        heads=_heads_that_take("head_mask"),
        inputs=_argument("head_mask", lambda mask, _: mask[::-1].copy()),
        place=r"layer\.0\.attention\.self\.context",
        needs="a head mask that differs between layers",
    ),
    Mutant(
        "encoder mask ignored",
        "an argument that is not handed on",
        heads=CACHED,
        inputs=_without("encoder_attention_mask"),
        case={**DECODER, "add_cross_attention": True},
        place=r"layer\.0\.crossattention\.self\.probs",
        needs="an encoder with padding",
    ),
    Mutant(
        "labels that do not count, counted",
        "-100 clipped to a class",
        heads=("causal_lm", "masked_lm", "token_classification"),
        inputs=_argument("labels", lambda labels, _: np.maximum(labels, 0)),
        place="loss",
        needs="labels, some of them -100",
    ),
    Mutant(
        "labels not shifted",
        "each token predicts itself",
        heads=("causal_lm",),
        inputs=_argument("labels", lambda labels, _: _not_shifted(labels, _)),
        place="loss",
        needs="labels",
    ),
)

RETURNED: tuple[Mutant, ...] = (
    Mutant(
        "start and end swapped",
        "the two columns mixed up",
        ("question_answering",),
        outputs=_start_end_swapped,
        place="(start|end)_logits",
    ),
    Mutant(
        "choices transposed",
        "(C, B) read as (B, C)",
        ("multiple_choice",),
        outputs=_choices_transposed,
        place="logits",
    ),
    Mutant("NaN injected", "one NaN in an output", outputs=_every_output(_with_nan), place=OUTPUT),
    Mutant(
        "constant output",
        "an engine that computes nothing",
        outputs=_every_output(lambda value: value * 0 + 0.5),
        place=OUTPUT,
    ),
    Mutant(
        "an axis of 1 squeezed away",
        "a squeeze without its axis",
        outputs=_every_output(np.squeeze),
        place=OUTPUT,
        needs="an axis of length 1",
    ),
    Mutant(
        "hidden states of other layers",
        "a list that begins one layer too early",
        outputs=_states_of_the_layer_before,
        place=r"hidden_states\..*",
        needs="hidden states asked for",
    ),
    Mutant(
        "reused buffer",
        "outputs are views of memory that the next call writes to",
        keeps=_into_one_buffer,
        place=OUTPUT,
        needs="two calls of one shape, whose outputs are read after the last",
    ),
)

CHANGES = (*CONFIGURED, *LOADED, *ASKED, *RETURNED)
