"""Mutants: engines that are wrong in one known way. A comparator that lets one of them pass is no comparator.

A mutant changes what goes in (configuration, weights, inputs) or what comes out, never the code, so that it can be made
of every engine. `MUTANTS` lists them with the mistake each stands for and the cases on which it must be caught.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..reference.config import RobertaConfig
from ..reference.layers import Array
from ..reference.parameters import HEADS
from .cases import Case

State = dict[str, Array]
ALL = HEADS
LM = ("causal_lm", "masked_lm")


@dataclass(frozen=True)
class Mutant:
    """An engine that is wrong in one way.

    Attributes:
        name: what is wrong, in two or three words.
        mistake: how somebody comes to write it.
        heads: on which it shows.
        config: changes the configuration.
        state: changes the weights.
        inputs: changes the arguments.
        outputs: changes the named outputs.
        case: what the case must have for the mistake to show: `padding`, or fields of the configuration.
    """

    name: str
    mistake: str
    heads: tuple[str, ...] = ALL
    config: Callable[[RobertaConfig], RobertaConfig] | None = None
    state: Callable[[State, RobertaConfig], State] | None = None
    inputs: Callable[[dict[str, Any], RobertaConfig], dict[str, Any]] | None = None
    outputs: Callable[[dict[str, Array]], dict[str, Array]] | None = None
    case: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def mutated(self, case: Case) -> Case:
        """The case as the wrong engine sees it."""
        config = self.config(case.config) if self.config else case.config
        state = self.state(dict(case.state), case.config) if self.state else case.state
        inputs = self.inputs(dict(case.inputs), case.config) if self.inputs else case.inputs
        return replace(case, config=config, state=state, inputs=inputs)

    def finished(self, outputs: dict[str, Array]) -> dict[str, Array]:
        """The outputs as the wrong engine returns them."""
        return self.outputs(dict(outputs)) if self.outputs else outputs


# -- changes ---------------------------------------------------------------------------------------------------------


def _field(**changes: Any) -> Callable[[RobertaConfig], RobertaConfig]:
    return lambda config: config.replace(**changes)


def _weights(ending: str, change: Callable[[Array, RobertaConfig], Array]) -> Callable[[State, RobertaConfig], State]:
    """Change every tensor whose name ends so; a copy, in float32."""

    def changed(state: State, config: RobertaConfig) -> State:
        return {
            name: change(value, config).astype(np.float32) if name.endswith(ending) else value
            for name, value in state.items()
        }

    return changed


def _without_last_layer(state: State, config: RobertaConfig) -> State:
    last = f"encoder.layer.{config.num_hidden_layers - 1}."
    return {name: value for name, value in state.items() if last not in name}


def _swapped(one: str, other: str) -> Callable[[State, RobertaConfig], State]:
    def changed(state: State, config: RobertaConfig) -> State:
        names = {name: name.replace(one, "\0").replace(other, one).replace("\0", other) for name in state}
        return {name: state[source] for name, source in names.items()}

    return changed


def _interleaved(weight: Array, config: RobertaConfig) -> Array:
    """Columns of the output layer for heads merged as (K, H) instead of (H, K)."""
    H, K = config.num_attention_heads, config.head_size
    return weight.reshape(-1, H, K).swapaxes(1, 2).reshape(weight.shape)


def _positions(count: Callable[[Any, RobertaConfig], Any]) -> Callable[[dict[str, Any], RobertaConfig], dict[str, Any]]:
    return lambda inputs, config: {**inputs, "position_ids": count(inputs["input_ids"], config)}


def _right_positions(ids: Any, config: RobertaConfig) -> Any:
    is_token = (ids != config.pad_token_id).astype(np.int64)
    return is_token.cumsum(-1) * is_token + config.pad_token_id


def _counted_positions(ids: Any, config: RobertaConfig) -> Any:
    count: int = ids.shape[-1]
    return 0 * ids + np.arange(count) + config.pad_token_id + 1


def _mask(change: Callable[[Any], Any]) -> Callable[[dict[str, Any], RobertaConfig], dict[str, Any]]:
    return lambda inputs, config: {**inputs, "attention_mask": change(inputs["attention_mask"])}


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


def _unbiased(gain: Array, config: RobertaConfig) -> Array:
    return gain * np.sqrt((config.hidden_size - 1) / config.hidden_size)


# -- the list --------------------------------------------------------------------------------------------------------

MUTANTS: tuple[Mutant, ...] = (
    Mutant("tanh GELU", "the framework's default GELU is the tanh form", config=_field(hidden_act="gelu_new")),
    Mutant("eps 1e-12", "HF's default instead of the checkpoint's 1e-5", config=_field(layer_norm_eps=1e-12)),
    Mutant("eps 1e-6", "Flax's default", config=_field(layer_norm_eps=1e-6)),
    Mutant("eps 1e-3", "Keras' default", config=_field(layer_norm_eps=1e-3)),
    Mutant(
        "unbiased variance",
        "a variance with D - 1 in the layer norm",
        state=_weights("LayerNorm.weight", _unbiased),
    ),
    Mutant(
        "no 1/sqrt(K)",
        "scores that are not scaled",
        state=lambda state, config: _weights("self.query.bias", lambda b, c: b * c.head_size**0.5)(
            _weights("self.query.weight", lambda w, c: w * c.head_size**0.5)(state, config), config
        ),
    ),
    Mutant(
        "positions from 0",
        "position ids that do not start behind the padding id",
        inputs=_positions(lambda ids, config: np.maximum(_right_positions(ids, config) - config.pad_token_id - 1, 0)),
    ),
    Mutant(
        "padding counted",
        "position ids that run on through padding",
        inputs=_positions(_counted_positions),
        case={"padding": "left"},
    ),
    Mutant("query and key swapped", "two of three projections mixed up", state=_swapped(".query.", ".key.")),
    Mutant(
        "kernel transposed",
        "a square weight read as (in, out)",
        state=_weights("attention.output.dense.weight", lambda w, c: w.T),
    ),
    Mutant(
        "heads interleaved",
        "heads merged as (K, H) instead of (H, K)",
        state=_weights("attention.output.dense.weight", _interleaved),
    ),
    Mutant("mask inverted", "1 taken for hidden", inputs=_mask(lambda mask: 1 - mask)),
    Mutant("mask ignored", "a kernel that drops the mask", inputs=_mask(np.ones_like)),
    Mutant(
        "token types ignored",
        "segment ids that are not handed on",
        inputs=lambda inputs, config: {**inputs, "token_type_ids": np.zeros_like(inputs["token_type_ids"])},
    ),
    Mutant(
        "decoder bias dropped",
        "the tied decoder's bias is not loaded",
        heads=LM,
        state=lambda state, config: {
            name: value * 0 if name in {"lm_head.bias", "lm_head.decoder.bias"} else value
            for name, value in state.items()
        },
    ),
    Mutant("bias twice", "a fused layer that adds its bias again", state=_weights("dense.bias", lambda b, c: 2 * b)),
    Mutant(
        "one layer less",
        "a loop that stops early",
        config=lambda config: config.replace(num_hidden_layers=config.num_hidden_layers - 1),
        state=_without_last_layer,
    ),
    Mutant(
        "layer norms swapped",
        "the two layer norms of a layer mixed up",
        state=_swapped(".attention.output.L", ".output.L"),
    ),
    Mutant(
        "causal mask missing",
        "a decoder that sees what comes",
        heads=("causal_lm", "model"),
        config=_field(is_decoder=False),
        case={"is_decoder": True, "use_cache": False},
    ),
    Mutant(
        "distance reversed",
        "relative positions of j - i instead of i - j",
        state=_weights("distance_embedding.weight", lambda table, c: table[::-1]),
        case={"position_embedding_type": "relative_key"},
    ),
    Mutant(
        "key term missing",
        "relative_key_query computed as relative_key",
        config=_field(position_embedding_type="relative_key"),
        case={"position_embedding_type": "relative_key_query"},
    ),
    Mutant("start and end swapped", "the two columns mixed up", ("question_answering",), outputs=_start_end_swapped),
    Mutant("choices transposed", "(C, B) read as (B, C)", ("multiple_choice",), outputs=_choices_transposed),
    Mutant(
        "weights in bfloat16",
        "a silent cast on loading",
        state=_weights("weight", lambda w, c: (np.ascontiguousarray(w).view(np.uint32) & 0xFFFF0000).view(np.float32)),
    ),
    Mutant("NaN injected", "one NaN in an output", outputs=_every_output(_with_nan)),
    Mutant("constant output", "an engine that computes nothing", outputs=_every_output(lambda value: value * 0 + 0.5)),
)
