"""Situations in which a model of rounding could break: weights, inputs and sizes that nobody would draw.

Each is a `Case` under a name. What is said of errors on average (terms of both signs, mantissas spread, errors that do
not know of each other, spreads that are alike) is untrue in one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..reference.config import POSITION_EMBEDDING_TYPES
from ..reference.layers import ACTIVATIONS, Array
from ..reference.parameters import HEADS
from .cases import PADDINGS, Case, draw_case

State = dict[str, Array]
#: Changes one tensor of a name.
Change = Callable[[str, Array], Array]
HALF = ("bfloat16", "float16")
ALL = ("float32", "float64", "tfloat32", *HALF)


@dataclass(frozen=True)
class Situation:
    """One class of cases.

    Attributes:
        name: for the table.
        head: which head.
        config: fields of the configuration.
        state: changes every tensor.
        inputs: changes the arguments.
        draw: the other arguments of `cases.draw_case`.
        dtypes: the precisions in which it is looked at.
        limited: of orders and engines only those that finish in time: sums are long.
    """

    name: str
    head: str = "masked_lm"
    config: Mapping[str, Any] = field(default_factory=dict[str, Any])
    state: Change | None = None
    inputs: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    draw: Mapping[str, Any] = field(default_factory=dict[str, Any])
    dtypes: tuple[str, ...] = ALL
    limited: bool = False

    def case(self, seed: int = 0) -> Case:
        """Its case of a seed, which asks for all that a model can show."""
        drawn = draw_case(self.head, seed, **self.draw, **self.config)
        state = dict(drawn.state) if self.state is None else _changed(drawn.state, self.state)
        inputs = drawn.inputs if self.inputs is None else self.inputs(dict(drawn.inputs))
        return replace(drawn, state=state, inputs={**inputs, "output_hidden_states": True, "output_attentions": True})


def _changed(state: State, change: Change) -> State:
    """Every tensor changed, in float32; what was tied stays so."""
    done: dict[int, Array] = {}
    for name, value in state.items():
        if id(value) not in done:
            done[id(value)] = change(name, value).astype(np.float32)
    return {name: done[id(value)] for name, value in state.items()}


# -- changes ---------------------------------------------------------------------------------------------------------


def only(endings: tuple[str, ...], change: Callable[[Array], Array]) -> Change:
    """A change of the tensors whose names end so."""
    return lambda name, value: change(value) if name.endswith(endings) else value


def dense(change: Callable[[Array], Array]) -> Change:
    """A change of the weights of dense layers."""
    return lambda name, value: change(value) if value.ndim == 2 and "embeddings" not in name else value


def outliers(value: Array) -> Array:
    """Every eleventh column 50 times as large."""
    value = value.copy()
    value[..., ::11] *= 50.0
    return value


def constant(value: Array) -> Array:
    """One number, of the size that the weights had, with a mantissa that is no fraction."""
    return np.full_like(value, np.sqrt(np.mean(value * value)))


def ramp(value: Array) -> Array:
    """Rows that rise evenly from - to +."""
    return np.broadcast_to(np.linspace(-1, 1, value.shape[-1]) * np.abs(value).mean(-1, keepdims=True), value.shape)


def with_mantissa(mantissa: float) -> Callable[[Array], Array]:
    """All magnitudes a power of two times this."""

    def changed(value: Array) -> Array:
        _, exponent = np.frexp(value)
        return np.copysign(np.ldexp(mantissa, exponent - 1), value)

    return changed


def positive(name: str, value: Array) -> Array:
    """No weight is negative."""
    return np.abs(value)


def far_rows(name: str, value: Array) -> Array:
    """Rows of mean 1e3 under every layer norm."""
    is_moved = name.endswith(("token_type_embeddings.weight", "output.dense.bias", "lm_head.dense.bias"))
    return value + 1e3 if is_moved else value


def saturated(name: str, value: Array) -> Array:
    """Scores 30 times as large."""
    return 30.0 * value if ".query." in name else value


# -- the list --------------------------------------------------------------------------------------------------------

WIDE = {"hidden_size": 64, "num_attention_heads": 2, "intermediate_size": 3072, "num_hidden_layers": 1}
BASE = {"hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072, "num_hidden_layers": 1}
SHORT = {"length": 4, "padding": "none"}


def situations() -> Iterator[Situation]:
    """All of them."""
    yield from (Situation(f"head {head}", head) for head in HEADS)
    yield from (Situation(f"padding {padding}", draw={"padding": padding}) for padding in PADDINGS)
    yield from (Situation(f"activation {name}", config={"hidden_act": name}) for name in ACTIVATIONS)
    yield from _decoders()
    yield from _numbers()
    yield from _sizes()


def _decoders() -> Iterator[Situation]:
    for kind in POSITION_EMBEDDING_TYPES:
        decoder = {"is_decoder": True, "use_cache": True, "position_embedding_type": kind}
        yield Situation(f"decoder {kind}", "causal_lm", decoder)
        yield Situation(f"cross-attention {kind}", "causal_lm", {**decoder, "add_cross_attention": True})


def _numbers() -> Iterator[Situation]:
    gains = only(("LayerNorm.weight", "layer_norm.weight"), np.abs)
    yield Situation("positive weights", state=positive)
    yield Situation("positive weights, relu", state=positive, config={"hidden_act": "relu"})
    yield Situation("outlier columns x 50", state=dense(outliers))
    yield Situation("outlier gains x 50", state=only(("LayerNorm.weight",), outliers))
    yield Situation("saturated softmax", state=saturated)
    yield Situation("saturated tanh", "sequence_classification", state=only(("classifier.dense.weight",), lambda w: 30 * w))
    yield Situation("saturated pooler", "model", state=only(("pooler.dense.weight",), lambda w: 30 * w))
    yield Situation("rows of mean 1e3", state=far_rows)
    yield Situation("eps 1e-12", config={"layer_norm_eps": 1e-12})
    yield Situation("tiny embeddings, eps 1e-12", config={"layer_norm_eps": 1e-12}, state=tiny)
    yield Situation("tiny embeddings, eps 1e-5", state=tiny)
    yield Situation("constant dense weights", state=dense(constant))
    yield Situation("constant positive", state=lambda name, value: constant(value))
    yield Situation("sorted dense weights", state=dense(lambda w: np.sort(w, axis=-1)))
    yield Situation("sorted weights and gains", state=lambda name, value: np.sort(gains(name, value), axis=-1))
    yield Situation("ramps", state=dense(ramp))
    yield Situation("mantissas 1", state=lambda name, value: with_mantissa(1.0)(value))
    yield Situation("mantissas just above 1", state=lambda name, value: with_mantissa(1.0 + 2.0**-12)(value))
    yield Situation("mantissas just below 2", state=lambda name, value: with_mantissa(2.0 - 2.0**-20)(value))
    yield Situation("zero biases, gains 1", state=fresh)
    yield Situation("initial weights of 0.02", state=lambda name, value: fresh(name, value) * (0.1 if value.ndim == 2 else 1))
    yield Situation("weights stored in bfloat16", state=lambda name, value: _truncated(value))


def tiny(name: str, value: Array) -> Array:
    """Embeddings of 1e-4: the variance is eps or less."""
    return 2e-3 * value if "embeddings.weight" in name.replace("_embeddings", "embeddings") else value


def fresh(name: str, value: Array) -> Array:
    """Biases of 0 and gains of 1, as before training."""
    if value.ndim > 1:
        return value
    return np.ones_like(value) if name.endswith("orm.weight") else np.zeros_like(value)


def _truncated(value: Array) -> Array:
    return (np.ascontiguousarray(value).view(np.uint32) & 0xFFFF0000).view(np.float32)


def _sizes() -> Iterator[Situation]:
    yield Situation("48 layers", config={"num_hidden_layers": 48}, draw=SHORT)
    yield Situation("no layer", config={"num_hidden_layers": 0})
    yield Situation("heads of size 1", config={"hidden_size": 12, "num_attention_heads": 12})
    yield Situation("a head of size 256", config={"hidden_size": 256, "num_attention_heads": 1}, draw=SHORT)
    yield Situation("50,265 words", config={"vocab_size": 50265}, draw={"length": 2}, limited=True)
    yield Situation(
        "512 tokens",
        "question_answering",
        {"max_position_embeddings": 514, "num_hidden_layers": 1, "num_attention_heads": 1},
        draw={"length": 512},
        limited=True,
    )
    yield Situation("one token", draw={"length": 1, "padding": "none"})
    yield Situation("one output", "sequence_classification", {"num_labels": 1})
    yield Situation("base width", config=BASE, draw=SHORT, limited=True)
    yield Situation("constant embeddings, base width", config=BASE, draw=SHORT, state=only(("embeddings.weight",), constant), limited=True)
    wide = {"config": {**WIDE, "hidden_act": "relu"}, "draw": SHORT}
    yield Situation("3,072 positive products", state=positive, **wide)
    yield Situation("3,072 equal products", state=lambda name, value: constant(value), **wide)
