"""Situations in which a model of rounding could break: weights, inputs and sizes that nobody would draw.

Each is a `Case` under a name. What is said of errors on average (terms of both signs, mantissas spread, errors that do
not know of each other, spreads that are alike) is untrue in one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ...reference.config import POSITION_EMBEDDING_TYPES
from ...reference.inputs import LABELS
from ...reference.layers import ACTIVATIONS, Array
from ...reference.parameters import HEADS
from ..cases import PADDINGS, Case, draw_case

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
        limited: of orders only those that differ most: sums are long.
        cached: how many tokens go first, the others on their cache; 0 for all at once.
        is_own: whether its shapes or functions are no other's, so that engines which compile would do so for it alone.
    """

    name: str
    head: str = "masked_lm"
    config: Mapping[str, Any] = field(default_factory=dict[str, Any])
    state: Change | None = None
    inputs: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    draw: Mapping[str, Any] = field(default_factory=dict[str, Any])
    dtypes: tuple[str, ...] = ALL
    limited: bool = False
    cached: int = 0
    is_own: bool = False

    def case(self, seed: int = 0) -> Case:
        """Its case of a seed, which asks for all that a model can show."""
        drawn = draw_case(self.head, seed, **self.draw, **self.config)
        state = dict(drawn.state) if self.state is None else _changed(drawn.state, self.state)
        inputs = drawn.inputs if self.inputs is None else self.inputs(dict(drawn.inputs))
        return replace(drawn, state=state, inputs={**inputs, "output_hidden_states": True, "output_attentions": True})

    def calls(self, case: Case) -> list[dict[str, Any]]:
        """Its calls: one, or, of a row that is split, the first part and the rest on its cache."""
        if not self.cached:
            return [case.inputs]
        given = {name: value for name, value in case.inputs.items() if name not in LABELS[self.head]}
        by_token = ("input_ids", "token_type_ids")
        first = {name: value[:, : self.cached] if name in by_token else value for name, value in given.items()}
        rest = {name: value[:, self.cached :] if name in by_token else value for name, value in given.items()}
        return [{**first, "attention_mask": given["attention_mask"][:, : self.cached]}, rest]


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


def every(change: Callable[[Array], Array]) -> Change:
    """A change of all."""
    return lambda name, value: change(value)


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


def thirtyfold(value: Array) -> Array:
    """30 times as large: what saturates, does."""
    return 30.0 * value


def tiny(value: Array) -> Array:
    """So small that of the embeddings' variance eps is most."""
    return 2e-3 * value


def truncated(value: Array) -> Array:
    """The first 8 bits of every mantissa."""
    return (np.ascontiguousarray(value, np.float32).view(np.uint32) & 0xFFFF0000).view(np.float32)


def fresh(name: str, value: Array) -> Array:
    """Biases of 0 and gains of 1, as before training."""
    if value.ndim > 1:
        return value
    return np.ones_like(value) if name.endswith("orm.weight") else np.zeros_like(value)


def initial(name: str, value: Array) -> Array:
    """As before training, weights of about 0.02."""
    return fresh(name, value) * (0.1 if value.ndim > 1 else 1.0)


positive = every(np.abs)


# -- the list --------------------------------------------------------------------------------------------------------

#: Under every layer norm.
LIFTED = ("token_type_embeddings.weight", "output.dense.bias", "lm_head.dense.bias")
TABLES = ("word_embeddings.weight", "position_embeddings.weight", "token_type_embeddings.weight", "decoder.weight")
WIDE = {
    "hidden_act": "relu",
    "hidden_size": 64,
    "num_attention_heads": 2,
    "intermediate_size": 3072,
    "num_hidden_layers": 1,
}
BASE = {"hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072, "num_hidden_layers": 1}
SHORT = {"length": 4, "padding": "none"}


def situations() -> Iterator[Situation]:
    """All of them."""
    yield from (Situation(f"head {head}", head) for head in HEADS)
    yield from (Situation(f"padding {padding}", draw={"padding": padding}) for padding in PADDINGS)
    yield from _numbers()
    own = (*_activations(), *_decoders(), *_sizes())
    yield from (replace(situation, is_own=True) for situation in own)


def _activations() -> Iterator[Situation]:
    for function in dict.fromkeys(ACTIVATIONS.values()):  # some have several names
        name = next(name for name, value in ACTIVATIONS.items() if value is function)
        yield Situation(f"activation {name}", config={"hidden_act": name})


def _decoders() -> Iterator[Situation]:
    for kind in POSITION_EMBEDDING_TYPES:
        decoder = {"is_decoder": True, "use_cache": True, "position_embedding_type": kind}
        yield Situation(f"decoder {kind}", "causal_lm", decoder)
        yield Situation(f"decoder {kind}, cached", "causal_lm", decoder, cached=5)
        yield Situation(f"cross-attention {kind}", "causal_lm", {**decoder, "add_cross_attention": True})


def _numbers() -> Iterator[Situation]:
    yield Situation("positive weights", state=positive)
    yield Situation("positive weights, relu", state=positive, config={"hidden_act": "relu"})
    yield Situation("outlier columns x 50", state=dense(outliers))
    yield Situation("outlier gains x 50", state=only(("LayerNorm.weight",), outliers))
    yield Situation("saturated softmax", state=only((".query.weight", ".query.bias"), thirtyfold))
    yield Situation("saturated tanh", "sequence_classification", state=only(("classifier.dense.weight",), thirtyfold))
    yield Situation("saturated pooler", "model", state=only(("pooler.dense.weight",), thirtyfold))
    yield Situation("rows of mean 1e3", state=only(LIFTED, lambda value: value + 1e3))
    yield Situation("eps 1e-12", config={"layer_norm_eps": 1e-12})
    yield Situation("tiny embeddings, eps 1e-12", config={"layer_norm_eps": 1e-12}, state=only(TABLES, tiny))
    yield Situation("tiny embeddings, eps 1e-5", state=only(TABLES, tiny))
    yield Situation("constant dense weights", state=dense(constant))
    yield Situation("constant tensors", state=every(constant))
    yield Situation("sorted dense weights", state=dense(np.sort))
    yield Situation("sorted tensors", state=every(np.sort))
    yield Situation("ramps", state=dense(ramp))
    yield Situation("mantissas 1", state=every(with_mantissa(1.0)))
    yield Situation("mantissas just above 1", state=every(with_mantissa(1.0 + 2.0**-12)))
    yield Situation("mantissas just below 2", state=every(with_mantissa(2.0 - 2.0**-20)))
    yield Situation("biases 0, gains 1", state=fresh)
    yield Situation("initial weights of 0.02", state=initial)
    yield Situation("weights stored in bfloat16", state=every(truncated))


def _sizes() -> Iterator[Situation]:
    yield Situation("48 layers", config={"num_hidden_layers": 48}, draw=SHORT)
    yield Situation("no layer", config={"num_hidden_layers": 0})
    yield Situation("heads of size 1", config={"hidden_size": 12, "num_attention_heads": 12})
    yield Situation("a head of size 256", config={"hidden_size": 256, "num_attention_heads": 1}, draw=SHORT)
    yield Situation(
        "50,265 words", config={"vocab_size": 50265}, draw={"length": 2}, dtypes=("float32", *HALF), limited=True
    )
    yield Situation(
        "512 tokens",
        "question_answering",
        {"max_position_embeddings": 514, "num_hidden_layers": 1, "num_attention_heads": 1},
        draw={"length": 512},
        dtypes=("float32", *HALF),
        limited=True,
    )
    yield Situation("one token", draw={"length": 1, "padding": "none"})
    yield Situation("one output", "sequence_classification", {"num_labels": 1})
    base: dict[str, Any] = {"config": BASE, "draw": {"length": 2}, "dtypes": ("float32", "bfloat16"), "limited": True}
    yield Situation("base width", **base)
    yield Situation("constant embeddings, base width", state=only(TABLES, constant), **base)
    yield Situation("3,072 positive products", config=WIDE, draw=SHORT, state=positive)
    yield Situation("3,072 equal products", config=WIDE, draw=SHORT, state=every(constant))
