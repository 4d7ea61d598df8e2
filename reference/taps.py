"""Taps: every quantity of the spec that has a symbol has a name, and a listener may see or change it there.

A tap is a function `(name, value) -> value`. The code states it where the quantity is computed,

    scores = tap("scores", query @ key.swapaxes(-1, -2) / sqrt(K))

and is unchanged by it: `silent`, the default, returns the value. Four listeners share the mechanism:

    record    keep every value                       `Recorder`
    compare   find the first that departs            `roberta.parity`
    perturb   add rounding noise                     `roberta.parity.tolerances`
    replace   put another value in its place         `replacing`, `model.tape(replace=)`

A listener that has to have a quantity says so, and no path is taken that lacks it: `is_asked_for`.
`symbols` lists all quantities: the name is the path in the checkpoint plus the symbol.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..files.tables import Aside, Table
from .config import RobertaConfig
from .differences import Differences, Summary, differences

Tap = Callable[[str, Any], Any]


def silent(name: str, value: Any) -> Any:
    """The tap to which nobody listens.

    Example:
        >>> silent("scores", 3.0)
        3.0
    """
    return value


def scope(tap: Tap, path: str) -> Tap:
    """The same tap, one level further down the checkpoint's path; costs nothing while nobody listens.

    Example:
        >>> tape = Recorder()
        >>> _ = scope(scope(tape, "encoder"), "layer.0")("output", 1.5)
        >>> dict(tape)
        {'encoder.layer.0.output': 1.5}
    """
    return silent if tap is silent else Scope(tap, path)


class Scope:
    """A tap further down the checkpoint's path; `scope` makes it."""

    def __init__(self, tap: Tap, path: str) -> None:
        self.tap = tap
        self.path = path

    def __call__(self, name: str, value: Any) -> Any:
        """Hand the value on under its whole name."""
        return self.tap(f"{self.path}.{name}", value)

    def asks(self, name: str) -> bool:
        """See `is_asked_for`."""
        return is_asked_for(self.tap, f"{self.path}.{name}")


def is_asked_for(tap: Tap, *names: str) -> bool:
    """Whether somebody has to have one of these quantities: then a fused path, which lacks it, must not be taken.

    A listener says so by a method `asks(name)`; one without it takes what comes.

    Args:
        tap: as the place has it that chooses between the paths.
        *names: of quantities there, or of paths, which stand for all that is beneath them.

    Example:
        >>> tap = scope(replacing({"self.scores": abs}), "self")
        >>> is_asked_for(tap, "scores"), is_asked_for(tap, "probs"), is_asked_for(silent, "scores")
        (True, False, False)
    """
    asks: Callable[[str], bool] | None = None if tap is silent else getattr(tap, "asks", None)
    return asks is not None and any(asks(name) for name in names)


class Recorder(Mapping[str, Any]):
    """A tap that keeps every value: name -> value, in the order of computation.

    Attributes:
        missing: the names that the spec has and this pass never computed, because a fused path skipped them.
        output: what the pass returned.
        symbols: name -> `Symbol`, of all that the spec has here; empty where nobody said.
    """

    def __init__(self, tap: Tap = silent) -> None:
        """Listen behind another tap: what it makes of a value is what is kept."""
        self.tap = tap
        self.values_by_name: dict[str, Any] = {}
        self.missing: tuple[str, ...] = ()
        self.output: Any = None
        self.symbols: Mapping[str, Symbol] = {}

    def __call__(self, name: str, value: Any) -> Any:
        """Keep the value and hand it on."""
        self.values_by_name[name] = self.tap(name, value)
        return self.values_by_name[name]

    def asks(self, name: str) -> bool:
        """See `is_asked_for`."""
        return is_asked_for(self.tap, name)

    def __getitem__(self, name: str) -> Any:
        if name not in self.values_by_name:
            ends = [known for known in self.values_by_name if known.endswith(f".{name}")]
            near = ends or difflib.get_close_matches(str(name), self.values_by_name)
            remedy = f"did you mean {near[0]!r}?" if near else "list(tape) has their names"
            message = f"tape: required one of the {len(self)} values of this pass, got {name!r}; {remedy}"
            raise KeyError(message)
        return self.values_by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_by_name)

    def __len__(self) -> int:
        return len(self.values_by_name)

    def attention(self, layer: int, *, cross: bool = False) -> Any:
        """The attention probabilities of a layer: how far each token looks at each other one.

        Args:
            layer: its number, from 0; -1 is the last.
            cross: those of the cross-attention, to the tokens of the encoder.

        Returns:
            (B, H, T, S) of the engine's own array, or (B, H, T, E); rows sum to 1.

        Raises:
            TypeError: a layer that is no integer.
            IndexError: a layer that this pass does not have.
            ValueError: a pass that has the layer, and never computed its probabilities.

        Example:
            >>> from roberta import RobertaConfig, RobertaModel
            >>> config = RobertaConfig(num_hidden_layers=1, hidden_size=4, num_attention_heads=2, intermediate_size=4)
            >>> RobertaModel(config).tape(input_ids=[[0, 5, 2]]).attention(-1).shape
            (1, 2, 3, 3)
        """
        names = self._attentions("crossattention" if cross else "attention")
        if isinstance(layer, bool) or not hasattr(layer, "__index__"):
            message = f"layer: required the number of a layer, got {type(layer).__name__}: {layer!r:.60}"
            raise TypeError(message)
        if not names:
            what = (
                "cross-attention: the configuration has add_cross_attention=True where there is" if cross else "layer"
            )
            message = f"attention: this tape has no {what}"
            raise IndexError(message)
        if not -len(names) <= layer < len(names):
            message = f"layer: required {-len(names)} to {len(names) - 1}, as there are {len(names)}, got {layer}"
            raise IndexError(message)
        name = names[layer]
        if name not in self:
            remedy = "give encoder_hidden_states=…" if cross else "ask for them: tape(output_attentions=True, …)"
            message = f"{name}: this pass took a path that never computes the probabilities; {remedy}"
            raise ValueError(message)
        return self[name]

    def _attentions(self, kind: str) -> list[str]:
        """The names of the probabilities of one kind, of all layers, computed or not."""
        found = (name for name in (*self, *self.missing) if name.endswith(f".{kind}.self.probs"))
        return sorted(found, key=lambda name: int(name.partition("layer.")[2].partition(".")[0]))

    def compare(self, other: Mapping[str, Any], limits: Mapping[str, Any] | None = None) -> Differences:
        """How far this pass is from another: each tap that both have, the largest error, and where it is.

        Args:
            other: another tape, of whatever engine, or any mapping of taps to arrays.
            limits: name -> the largest permitted distance, elementwise: then the first tap beyond its limit is found.
                `roberta.parity.compare_tape` derives them.

        Returns:
            `Differences`, a mapping of names to `Difference`.

        Raises:
            TypeError: something else than a mapping.

        Example:
            >>> import numpy as np
            >>> one, other = Recorder(), Recorder()
            >>> _ = one("scores", np.ones(2)), other("scores", np.array([1.0, 3.0]))
            >>> one.compare(other)["scores"].error, one.compare(other, {"scores": 0.5}).first.ratio
            (2.0, 4.0)
        """
        return differences(self, other, limits)

    def __repr__(self) -> str:
        return self._table().text(most=len(self) + len(self.missing))

    def _repr_html_(self) -> str:
        return self._table().html()

    def _table(self) -> Table:
        """Every value, in the order of computation; what was never computed is told apart, at the end."""
        equations = {name: symbol.equation for name, symbol in self.symbols.items()}
        rows = [(name, equations.get(name, ""), *Summary.of(value).cells) for name, value in self.items()]
        aside = Aside("never computed")
        rows += [(Aside(name), equations.get(name, ""), aside, *[""] * 4) for name in self.missing]
        columns = ("name", "equation", "shape", "dtype", "min", "max", "rms")
        return Table(columns, rows, f"tape of {len(self)} value{'s' * (len(self) != 1)}")


class Replacing:
    """A tap that intervenes; `replacing` makes it."""

    def __init__(self, replacements: Mapping[str, Callable[[Any], Any]]) -> None:
        self.replacements = replacements

    def __call__(self, name: str, value: Any) -> Any:
        """Apply the function that is listed for the name."""
        return self.replacements[name](value) if name in self.replacements else value

    def asks(self, name: str) -> bool:
        """See `is_asked_for`."""
        return any(listed == name or listed.startswith(f"{name}.") for listed in self.replacements)


def replacing(replacements: Mapping[str, Callable[[Any], Any]]) -> Tap:
    """A tap that intervenes: where a name is listed, its function is applied to the value.

    Example:
        >>> tap = replacing({"scores": lambda scores: 0 * scores})
        >>> tap("scores", 7.0), tap("probs", 7.0)
        (0.0, 7.0)
    """
    return Replacing(replacements)


@dataclass(frozen=True)
class Symbol:
    """One named quantity.

    Attributes:
        path: the place, with `{i}` for the number of the layer.
        axes: its shape, in the letters of `roberta.reference`; H' are the heads that a pruned layer has left, which
            its cross-attention, that keeps all H, has not lost.
        equation: what it is.
        terms: the axis whose length counts the terms of the sum in which this value is rounded: the sum that it is
            (a mean), or the product of two activations whose factor it is. None: rounded once. The error budget of
            `roberta.parity` asks for this.
    """

    path: str
    axes: str
    equation: str
    terms: str | None = None


def symbols(head: str, config: RobertaConfig, add_pooling_layer: bool = True) -> dict[str, Symbol]:
    """Every tap of a head, in the order of computation: name -> `Symbol`.

    Cross-attention is listed where the config has it, though a pass without encoder states skips it.

    Args:
        head: one of `parameters.HEADS`.
        config: number of layers, decoder, activation.
        add_pooling_layer: for the head "model" only.

    Example:
        >>> list(symbols("question_answering", RobertaConfig(num_hidden_layers=0)))[-1]
        'qa_outputs.logits'
    """
    prefix = "" if head == "model" else "roberta."
    body = [*_embeddings(), *(symbol for i in range(config.num_hidden_layers) for symbol in _layer(i, config))]
    if head == "multiple_choice" or (head == "model" and add_pooling_layer):
        body += POOLER
    if head == "multiple_choice":  # each choice is a row of its own
        body = [replace(symbol, axes=symbol.axes.replace("B", "BC", 1)) for symbol in body]
    table = {prefix + symbol.path: symbol for symbol in body}
    return table | {symbol.path: symbol for symbol in HEAD_SYMBOLS[head]}


def _layer(i: int, config: RobertaConfig) -> Iterator[Symbol]:
    heads = "H'" if i in config.pruned_heads else "H"
    cross = _attention("crossattention", "H", keys="E", scores="E") if config.add_cross_attention else ()
    for symbol in (*_attention("attention", heads, keys="T", scores="S"), *cross, *_feed_forward()):
        if symbol.path != "intermediate.erf" or config.hidden_act in {"gelu", "gelu_python", "gelu_10"}:
            yield replace(symbol, path=f"encoder.layer.{i}.{symbol.path}")


def _layer_norm(path: str) -> tuple[Symbol, ...]:
    return (
        Symbol(f"{path}.mean", "B T 1", "mean over D of x", terms="D"),
        Symbol(f"{path}.variance", "B T 1", "mean over D of (x - mean)^2, biased", terms="D"),
        Symbol(f"{path}.normalized", "B T D", "(x - mean) / sqrt(variance + eps)"),
        Symbol(f"{path}.output", "B T D", "normalized * weight + bias"),
    )


def _embeddings() -> tuple[Symbol, ...]:
    total = Symbol("embeddings.sum", "B T D", "word + token type + position (absolute types only)")
    return (total, *_layer_norm("embeddings.LayerNorm"))


def _attention(path: str, heads: str, keys: str, scores: str) -> tuple[Symbol, ...]:
    """Of tokens to `scores` others, of which those of this call, `keys`, are computed and the rest is cached."""
    return (
        Symbol(f"{path}.self.key", f"B {heads} {keys} K", "x W_k' + b_k, by head", terms="K"),
        Symbol(f"{path}.self.value", f"B {heads} {keys} K", "x W_v' + b_v, by head"),
        Symbol(f"{path}.self.query", f"B {heads} T K", "x W_q' + b_q, by head", terms="K"),
        Symbol(f"{path}.self.scores", f"B {heads} T {scores}", "(query key' + relative terms) / sqrt(K)"),
        Symbol(
            f"{path}.self.probs", f"B {heads} T {scores}", f"softmax over {scores} of the attended scores", terms=scores
        ),
        Symbol(f"{path}.self.context", f"B T {heads}K", "probs value, heads side by side"),
        Symbol(f"{path}.output.dense", "B T D", "context W_o' + b_o"),
        Symbol(f"{path}.output.sum", "B T D", "x + dense"),
        *_layer_norm(f"{path}.output.LayerNorm"),
    )


def _feed_forward() -> tuple[Symbol, ...]:
    return (
        Symbol("intermediate.dense", "B T F", "y W_1' + b_1"),
        Symbol("intermediate.erf", "B T F", "erf(dense / sqrt(2)), where the activation is the exact GELU"),
        Symbol("intermediate.output", "B T F", "activation(dense)"),
        Symbol("output.dense", "B T D", "activation W_2' + b_2"),
        Symbol("output.sum", "B T D", "y + dense"),
        *_layer_norm("output.LayerNorm"),
    )


POOLER = (
    Symbol("pooler.dense", "B D", "x[:, 0] W' + b"),
    Symbol("pooler.output", "B D", "tanh(dense)"),
)
LM_HEAD = (
    Symbol("lm_head.dense", "B T D", "x W' + b"),
    Symbol("lm_head.erf", "B T D", "erf(dense / sqrt(2))"),
    Symbol("lm_head.gelu", "B T D", "gelu(dense)"),
    *_layer_norm("lm_head.layer_norm"),
    Symbol("lm_head.logits", "B T V", "layer_norm W_v' + b_v"),
)
HEAD_SYMBOLS: Mapping[str, tuple[Symbol, ...]] = {
    "model": (),
    "causal_lm": LM_HEAD,
    "masked_lm": LM_HEAD,
    "sequence_classification": (
        Symbol("classifier.dense", "B D", "x[:, 0] W' + b"),
        Symbol("classifier.tanh", "B D", "tanh(dense)"),
        Symbol("classifier.logits", "B L", "tanh W_o' + b_o"),
    ),
    "multiple_choice": (Symbol("classifier.logits", "BC 1", "pooler w' + b"),),
    "token_classification": (Symbol("classifier.logits", "B T L", "x W' + b"),),
    "question_answering": (Symbol("qa_outputs.logits", "B T 2", "x W' + b"),),
}
