"""Engines that are wrong in one known way: what a mutant changes, and the engine that comes of it.

A mutant changes what an engine is made of (configuration, weights), what goes in, what comes out, or a value on the
way: then it is a slip, which stands at the taps where a port has it in its code, and knows what was computed before.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, cast

from ...dispatch.api import FACES
from ...reference.attention import Booleans, is_attended, is_source_attended
from ...reference.config import RobertaConfig
from ...reference.inputs import SIGNATURES, Inputs
from ...reference.layers import Array
from ...reference.parameters import HEADS
from ...reference.taps import Tap, silent
from ...reference.weights import nest
from ..arithmetic import nearest
from ..candidates import Capabilities
from ..cases import Case
from ..tolerances import flat_outputs

State = dict[str, Array]
#: What an engine remembers from call to call.
Memory = dict[str, Any]
CACHE = "past_key_values"
LM = ("causal_lm", "masked_lm")
CACHED = ("model", "causal_lm")
#: What a case must have: a decoder that is called once, and one that goes on from its cache.
DECODER: Mapping[str, Any] = {"is_decoder": True, "use_cache": False}
GOES_ON: Mapping[str, Any] = {"is_decoder": True}
#: Places: where embeddings are summed, where a mask is first of consequence, and all outputs.
SUM, PROBS = r"embeddings\.sum", r"layer\.0\.attention\.self\.probs"
OUTPUT = r"^(loss|logits|start_logits|end_logits|last_hidden_state|pooler_output|(hidden_states|\w*attentions)\..*)"


@dataclass(frozen=True)
class Place:
    """Where a slip stands.

    Attributes:
        name: of the tap.
        seen: what was computed before, in the order of computation.
        case: head, configuration, weights and arguments.
        memory: what the engine remembers from call to call; "calls" counts them, this one included.
    """

    name: str
    seen: Mapping[str, Array]
    case: Case
    memory: Memory

    def beside(self, symbol: str) -> Array:
        """The value of another symbol of the same module."""
        return self.seen[f"{self.name.rpartition('.')[0]}.{symbol}"]

    def parameter(self, name: str) -> Array:
        """The "weight" or "bias" of the dense layer whose result this is."""
        return self.case.state[f"{self.name}.{name}"]

    @property
    def last(self) -> Array:
        """The value that was computed last."""
        return self.seen[list(self.seen)[-1]]

    @property
    def normed(self) -> Array:
        """What the layer norm of this place is given: the value before its mean."""
        names = list(self.seen)
        return self.seen[names[names.index(f"{self.name.rpartition('.')[0]}.mean") - 1]]

    @property
    def inputs(self) -> Inputs:
        """The arguments of the call, each choice a row of its own."""
        given: dict[str, Any] = {name: self.case.inputs.get(name) for name in Inputs.__dataclass_fields__}
        inputs = Inputs(**given)
        return inputs.flattened() if self.case.head == "multiple_choice" else inputs

    @property
    def attended(self) -> Booleans | None:
        """Who may look at whom in this attention."""
        return is_source_attended(self.inputs) if "cross" in self.name else is_attended(self.inputs, self.case.config)


Slip = Callable[[Array, Place], Any]


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
        slip: changes the value at each tap whose name ends as `place` says.
        keeps: changes the named outputs by what is remembered from call to call.
        place: where it departs: a regular expression of the names of taps, or of outputs where no tap departs.
        needs: what inputs or configuration must have, in words, for an effect.
        is_silent: whether it shows at taps alone, as no output depends on it.
    """

    name: str
    mistake: str
    heads: tuple[str, ...] = HEADS
    config: Callable[[RobertaConfig], RobertaConfig] | None = None
    state: Callable[[State, RobertaConfig], State] | None = None
    inputs: Callable[[dict[str, Any], RobertaConfig], dict[str, Any]] | None = None
    outputs: Callable[[dict[str, Array]], dict[str, Array]] | None = None
    case: Mapping[str, Any] = field(default_factory=dict[str, Any])
    slip: Slip | None = None
    keeps: Callable[[dict[str, Array], Memory], dict[str, Array]] | None = None
    place: str = ""
    needs: str = ""
    is_silent: bool = False

    def mutated(self, case: Case) -> Case:
        """The case as the wrong engine sees it; without what it does on the way, see `tap`."""
        return replace(self.loaded(case), inputs=self.asked(case.inputs, case.config))

    def loaded(self, case: Case) -> Case:
        """The case with the configuration and the weights of the wrong engine."""
        config = self.config(case.config) if self.config else case.config
        state = self.state(dict(case.state), case.config) if self.state else case.state
        return replace(case, config=config, state=state)

    def asked(self, inputs: Mapping[str, Any], config: RobertaConfig) -> dict[str, Any]:
        """The arguments as the wrong engine takes them."""
        return self.inputs(dict(inputs), config) if self.inputs else dict(inputs)

    def finished(self, outputs: dict[str, Array]) -> dict[str, Array]:
        """The outputs as the wrong engine returns them."""
        return self.outputs(dict(outputs)) if self.outputs else outputs

    def tap(self, case: Case, memory: Memory) -> Tap:
        """What the wrong engine does on the way of one call."""
        if self.slip is None:
            return silent
        slip, ends, seen = self.slip, re.compile(f"(?:{self.place})$"), dict[str, Array]()

        def listen(name: str, value: Array) -> Array:
            if ends.search(name):
                value = slip(value, Place(name, seen, case, memory)).astype(value.dtype, copy=False)
            seen[name] = value
            return value

        return listen

    def departs_at(self, name: str) -> bool:
        r"""Whether a tap, or an output, is one at which this mistake may first be seen.

        Example:
            >>> mutant = Mutant("scores in half", "a cast", place=r"self\.scores")
            >>> mutant.departs_at("roberta.encoder.layer.0.attention.self.scores"), mutant.departs_at("logits")
            (True, False)
        """
        return bool(self.place) and re.search(f"(?:{self.place})$", name) is not None

    def candidate(
        self, subject: Any, backend: str = "numpy", dtype: str = "float32", form: str = "plain"
    ) -> WrongEngine:
        """The wrong engine, as a candidate of `audit`.

        Args:
            subject: a model of ours, or a `Case`: head, configuration and weights.
            backend: the engine in which the mistake is made. A slip needs one that computes the spec's values one by
                one: numpy does, and others where their path is not fused.
            dtype: its precision. The numpy engine has float32 and float64; of the others it takes the roundings of
                stored values.
            form: in which it computes: "plain", or "inference", which has no taps and so no slips.

        Returns:
            `WrongEngine`.

        Example:
            >>> from roberta.parity.cases import draw_case
            >>> case = draw_case("model", 0)
            >>> twice = Mutant("twice", "a pasted line", outputs=lambda outputs: {n: 2 * v for n, v in outputs.items()})
            >>> ratio = twice.candidate(case)(**case.inputs)["pooler_output"]
            >>> ratio = ratio / Mutant("none", "none").candidate(case)(**case.inputs)["pooler_output"]
            >>> bool((ratio == 2).all())
            True
        """
        if isinstance(subject, Case):
            return WrongEngine(self, subject, backend, dtype, form)
        case = Case(subject.head, subject.config, dict(subject.state_dict_numpy()), {}, dict(subject.options))
        return WrongEngine(self, case, backend, dtype, form)


class WrongEngine:
    """A mutant of one engine: a candidate. What it remembers from call to call is its own.

    Attributes:
        name: the mutant's.
        capabilities: what it can do: all that our engines can.
    """

    def __init__(
        self, mutant: Mutant, case: Case, backend: str, dtype: str, form: str = "plain", model: Any = None
    ) -> None:
        self.mutant, self.case, self.backend, self.dtype, self.form = mutant, case, backend, dtype, form
        self.name = mutant.name
        self.memory: Memory = {"calls": 0}
        inputs = frozenset(SIGNATURES[case.head])
        self.capabilities = Capabilities(inputs, has_taps=form == "plain", takes_weights=True, is_own=True)
        self._rounds = backend == "numpy" and dtype not in ("float32", "float64")
        self.model = self._built() if model is None else model
        self._twin = self.model.for_inference() if form == "inference" else None

    def _built(self) -> Any:
        case = self.mutant.loaded(self.case)
        dtype = "float32" if self._rounds else self.dtype
        state = {name: self._stored(value) for name, value in case.state.items()} if self._rounds else case.state
        made = _class(case.head, self.backend)(case.config, dtype=dtype, state=state, **case.options)
        return made.train(False)

    def __call__(self, **inputs: Any) -> Mapping[str, Any]:
        """One pass: HF's arguments -> named outputs."""
        return self._pass(inputs, lambda name, value: value)

    def taps(self, inputs: Mapping[str, Any]) -> Mapping[str, Array]:
        """The values on the way of one pass, by the spec's names."""
        taken: dict[str, Array] = {}

        def keep(name: str, value: Any) -> Any:
            taken[name] = self.model.engine.to_numpy(value)
            return value

        self._pass(inputs, keep)
        return taken

    def with_weights(self, state: Mapping[str, Array]) -> WrongEngine:
        """The same mistake with other weights: those that are given, and its own."""
        case = replace(self.case, state={**self.case.state, **state})
        return WrongEngine(self.mutant, case, self.backend, self.dtype, self.form)

    def describe(self) -> dict[str, Any]:
        """What a report says of it."""
        where = {"backend": self.backend, "dtype": self.dtype, "form": self.form}
        return {"kind": "mutant", "mistake": self.mutant.mistake, **where}

    def _pass(self, inputs: Mapping[str, Any], listener: Tap) -> Mapping[str, Any]:
        mutant, model = self.mutant, self.model
        self.memory["calls"] += 1
        given = mutant.asked(inputs, self.case.config)
        state = self.case.state if mutant.slip is None else model.state_dict_numpy()
        slip = self._native(mutant.tap(replace(self.case, state=state, inputs=given), self.memory))
        tap = silent if slip is silent and listener is silent else _one_after_another(slip, listener)
        with misused(), model.inference():
            # A tap is no public argument of a call.
            made = model._call((), given, tap) if self._twin is None else self._twin(**given, return_dict=True)
        output = cast("Mapping[str, Any]", made)
        if not (mutant.outputs or mutant.keeps):
            return output
        named = {name: value for name, value in flat_outputs(output).items() if not name.startswith(CACHE)}
        named = mutant.finished(named)
        named = mutant.keeps(named, self.memory) if mutant.keeps else named
        return {**named, **({} if output.get(CACHE) is None else {CACHE: output[CACHE]})}

    def _native(self, tap: Tap) -> Tap:
        """A tap on NumPy arrays as one on the engine's own; rounded as they are stored."""
        engine, model = self.model.engine, self.model
        if tap is silent and not self._rounds:
            return silent
        if self.backend == "numpy":
            return (lambda name, value: self._stored(tap(name, value))) if self._rounds else tap
        return lambda name, value: _replaced(value, tap(name, engine.to_numpy(value)), engine, model)

    def _stored(self, value: Array) -> Array:
        return nearest(value, self.dtype)


@cache
def _class(head: str, backend: str) -> Any:
    return FACES[head].on(backend)


def _one_after_another(first: Tap, second: Tap) -> Tap:
    return lambda name, value: second(name, first(name, value))


def _replaced(value: Any, changed: Any, engine: Any, model: Any) -> Any:
    """The changed value as the engine's own array; its own, where nothing was changed."""
    same = engine.to_numpy(value)
    return value if (changed == same).all() else engine.to_native(changed, model)


@contextmanager
def misused() -> Generator[None]:
    """In a `with` block: no warnings of masked first tokens, which are a mistake in use, not in arithmetic."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


def twin(mutant: Mutant, oracle: Any) -> WrongEngine:
    """A mutant of the spec itself, in float64, which shares with it all tensors that it does not change.

    Args:
        mutant: the mistake.
        oracle: a model of the numpy backend in float64.
    """
    case = Case(oracle.head, oracle.config, oracle.state_dict_numpy(), {}, dict(oracle.options))
    wrong = mutant.loaded(case)
    model = copy(oracle)
    if wrong.config is not case.config:
        del vars(model)["config"]
        model.config = wrong.config.frozen()
    if wrong.state is not case.state:
        model.parameters = nest(wrong.state)
    return WrongEngine(mutant, case, "numpy", "float64", model=model)


def answers(engine: Callable[..., Mapping[str, Any]], calls: Iterable[Any]) -> list[dict[str, Array]]:
    """The flat outputs of a probe's calls, one after another; what is kept is what was returned, not a copy.

    Args:
        engine: a candidate, or a model of ours.
        calls: of a `Probe`; each that continues is given the cache of the one before.
    """
    calls = list(calls)
    found: list[dict[str, Array]] = []
    past: Any = None
    for call, following in zip(calls, [*calls[1:], None], strict=True):
        given = dict(call.inputs)
        if call.continues or (following is not None and following.continues):
            given["use_cache"] = True
        if call.continues:
            given[CACHE] = past
        output = engine(**given)
        past = output.get(CACHE)
        found.append(flat_outputs(output))
    return found
