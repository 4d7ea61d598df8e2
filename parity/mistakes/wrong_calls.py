"""Mistakes in what goes in and what comes out: the arguments and the outputs. They can be made of any engine.

Each changes whatever of this a call has, and nothing where it has none.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from ...reference.config import RobertaConfig
from ...reference.embeddings import position_ids
from ...reference.inputs import SIGNATURES
from ...reference.layers import Array
from ...reference.losses import IGNORE_INDEX
from ...reference.parameters import HEADS
from .wrong_engines import CACHE, CACHED, DECODER, GOES_ON, OUTPUT, PROBS, SUM, Memory, Mutant

Given = dict[str, Any]


# -- arguments -------------------------------------------------------------------------------------------------------


def _argument(name: str, change: Callable[[Any, RobertaConfig], Any]) -> Callable[[Given, RobertaConfig], Given]:
    """Change an argument where it is given."""
    return lambda inputs, config: inputs if inputs.get(name) is None else {**inputs, name: change(inputs[name], config)}


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
    positions: Any = position_ids(rows, config.pad_token_id, np.zeros(len(rows), np.int64) + past)
    return positions.reshape(ids.shape)


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
    vectors: Any = inputs.get("inputs_embeds")
    if vectors is None or config.position_embedding_type != "absolute":
        return inputs
    P: int = getattr(inputs.get(CACHE), "length", 0)
    shape: tuple[int, ...] = vectors.shape[:-1]
    return {**inputs, "position_ids": np.zeros(shape, np.int64) + np.arange(P, P + shape[-1])}


def _left_justified(mask: Any, config: RobertaConfig) -> Any:
    """As many keys as are real, from the first on; of masks with a row for each token, as it is."""
    is_square = mask.ndim > 2 and mask.shape[-1] == mask.shape[-2]
    keys: int = mask.shape[-1]
    return mask if is_square else np.int64(1) * (np.arange(keys) < mask.sum(-1, keepdims=True))


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
    return {**outputs, **{name: outputs[before] for before, name in pairwise(states)}}


def _into_one_buffer(outputs: dict[str, Array], memory: Memory) -> dict[str, Array]:
    """Views of memory that is as large as the largest outputs so far, with the new values in them."""
    for name, value in outputs.items():
        if name not in memory or memory[name].size < value.size:
            memory[name] = np.empty(value.size, value.dtype)
        memory[name][: value.size] = value.reshape(-1)
    return {name: memory[name][: value.size].reshape(value.shape) for name, value in outputs.items()}


# -- the list --------------------------------------------------------------------------------------------------------

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
    Mutant(
        "given positions ignored",
        "an argument that is not handed on",
        inputs=_without("position_ids"),
        place=SUM,
        needs="positions given",
    ),
    Mutant(
        "mask inverted",
        "1 taken for hidden",
        inputs=_argument("attention_mask", lambda mask, _: 1 - mask),
        place=PROBS,
        needs="a mask",
    ),
    Mutant(
        "mask ignored", "a kernel that drops the mask", inputs=_without("attention_mask"), place=PROBS, needs="padding"
    ),
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
        inputs=_argument("labels", _not_shifted),
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
        needs="two calls whose outputs are read after the last",
    ),
)

WRONG_CALLS = (*ASKED, *RETURNED)
