"""Calibration: honest engines in situations that are hard on the model of rounding, held against its budgets.

None may be refused, and error / sigma must be near 1: a budget that is much too wide is no budget. Engines are the
emulated ones of `emulation`, which add in every order that there is, and the five of this package, eager and compiled,
on one thread and two. What is compared is everything that a model shows: one output, one comparison.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from ...dispatch import registry
from ...dispatch.api import FACES
from ..arithmetic import PRECISIONS
from ..candidates import as_candidate
from ..compare import Comparison, compare_outputs
from ..tolerances import DRAWS, flat_outputs, noisy_runs, run_in
from .emulation import ENGINES, Emulated
from .situations import Situation, situations

if TYPE_CHECKING:
    from rich.table import Table

#: An engine answers calls, each on the cache of the one before: (the spec's model, calls, dtype) -> the last's outputs.
Engine = Callable[[Any, Sequence[Mapping[str, Any]], str], Mapping[str, Any]]
#: Where products are added in float32 and stored in half of it, or rounded before, orders hardly differ: these do.
DISTINCT = ("natural", "16 lanes", "blocks of 4, FMA", "pairwise, fused kernels", "Kahan")
#: What is compiled, which takes long.
COMPILED = ("head masked_lm", "outlier columns x 50")


@dataclass(frozen=True)
class Outcome:
    """What became of one output of an honest engine."""

    situation: str
    dtype: str
    engine: str
    comparison: Comparison

    @property
    def is_out_of_range(self) -> bool:
        """Whether it was refused for a value that the precision has no number for, and the verdict says so."""
        return not self.comparison.passed and "overflows in this precision" in (self.comparison.problem or "")

    @property
    def is_alarm(self) -> bool:
        """Whether it was refused as wrong."""
        return not self.comparison.passed and not self.is_out_of_range


@dataclass(frozen=True)
class Calibration:
    """What became of all."""

    outcomes: Sequence[Outcome]

    @property
    def alarms(self) -> Sequence[Outcome]:
        """The honest outputs that were refused."""
        return [outcome for outcome in self.outcomes if outcome.is_alarm]

    @property
    def passed(self) -> bool:
        """Whether there was none, and something was compared."""
        return bool(self.outcomes) and not self.alarms

    def table(self, by: str = "situation") -> Table:
        """One line for each situation, or "dtype", or "engine": how often it was refused, and how large errors were.

        Args:
            by: the attribute of `Outcome` that makes the lines.
        """
        from rich.table import Table

        title = f"{len(self.alarms)} false alarms in {len(self.outcomes)} honest comparisons, by {by}"
        table = Table(title=title, caption="the last three columns: root mean square of error / sigma, its quantiles")
        table.add_column(by, no_wrap=True)
        for column in ("compared", "alarms", "out of range", "error / limit", "rms / limit"):
            table.add_column(column, justify="right")
        for column in ("5 %", "median", "95 %"):
            table.add_column(column, justify="right")
        for name, outcomes in grouped(self.outcomes, by).items():
            table.add_row(name, *_summary(outcomes))
        return table


def grouped(outcomes: Iterable[Outcome], by: str) -> dict[str, list[Outcome]]:
    """The outcomes by one of their attributes, in the order of appearance."""
    groups: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault(getattr(outcome, by), []).append(outcome)
    return groups


def rms(outcomes: Iterable[Outcome]) -> list[float]:
    """error / sigma, root mean square, of what can be compared and is not the truth itself.

    The loss is one number, of which the root mean square is any: it is left out.
    """
    inside = [o.comparison for o in outcomes if not o.is_out_of_range and o.comparison.name != "loss"]
    return [comparison.sigmas for comparison in inside if comparison.sigmas > 0.0]


def _summary(outcomes: Sequence[Outcome]) -> list[str]:
    inside = [outcome.comparison for outcome in outcomes if not outcome.is_out_of_range]
    counts = [len(outcomes), sum(o.is_alarm for o in outcomes), len(outcomes) - len(inside)]
    largest = [max((getattr(c, name) for c in inside), default=0.0) for name in ("ratio", "rms")]
    return [
        *map(str, counts),
        *(f"{value:.2f}" for value in (*largest, *np.quantile(rms(outcomes) or [math.nan], (0.05, 0.5, 0.95)))),
    ]


# -- the run ---------------------------------------------------------------------------------------------------------


def run_calibration(
    chosen: Sequence[Situation] | None = None,
    backends: Sequence[str] | None = None,
    *,
    seeds: Sequence[int] = (0,),
    draws: int = DRAWS,
    dtypes: Sequence[str] | None = None,
    advance: Callable[[], None] = lambda: None,
) -> Calibration:
    """Hold honest engines against the spec in every situation.

    Args:
        chosen: the situations; None for all.
        backends: engines of this package besides the emulated ones; None for all that are available.
        seeds: of the cases.
        draws: K.
        dtypes: precisions; None for all that a situation is looked at in.
        advance: called after each situation, for a progress bar.
    """
    usable = [name for name, status in registry.available_backends().items() if status.is_available]
    names = usable if backends is None else [registry.canonical_name(name) for name in backends]
    outcomes: list[Outcome] = []
    for situation in situations() if chosen is None else chosen:
        for dtype in situation.dtypes:
            if dtypes is None or dtype in dtypes:
                for seed in seeds:
                    outcomes += _outcomes(situation, dtype, seed, names, draws)
        advance()
    return Calibration(outcomes)


def _outcomes(situation: Situation, dtype: str, seed: int, names: Sequence[str], draws: int) -> Iterator[Outcome]:
    case = situation.case(seed)
    oracle = FACES[case.head].on("numpy")(case.config, dtype="float64", state=case.state)
    calls = situation.calls(case)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # masked first tokens, what overflows: not what is asked here
        permitted = noisy_runs(oracle, calls, dtype, draws=draws, seed=seed).budgets()
        for name, engine in _engines(situation, dtype, names):
            for comparison in compare_outputs(engine(oracle, calls, dtype), permitted):
                yield Outcome(situation.name, dtype, name, comparison)


def _engines(situation: Situation, dtype: str, names: Sequence[str]) -> Iterator[tuple[str, Engine]]:
    """Those that a situation is looked at with, by name."""
    is_short = situation.limited or dtype != "float32"
    for name, engine in ENGINES.items():
        if name in DISTINCT or not is_short:
            yield name, partial(_emulated, engine)
    for name in names:
        if dtype in registry.load(name).DTYPES and not (name == "flax" and situation.is_own):
            yield name, partial(_ours, name, None)
            if situation.name in COMPILED and name in COMPILERS and dtype == "float32":
                yield f"{name}, compiled", partial(_ours, name, COMPILERS[name])
            if situation.limited and name in THREADS:
                yield f"{name}, two threads", partial(_on_two_threads, name)


def _emulated(engine: Emulated, oracle: Any, calls: Sequence[Mapping[str, Any]], dtype: str) -> Mapping[str, Any]:
    precision = PRECISIONS[dtype]
    return run_in(oracle, calls, engine.arithmetic(precision), engine.tap(precision))[0][-1]


def _ours(
    name: str, compiled: Callable[[Any], Any] | None, oracle: Any, calls: Sequence[Mapping[str, Any]], dtype: str
) -> Mapping[str, Any]:
    model = oracle.to_backend(name, dtype=dtype).eval()
    candidate: Any = model if compiled is None else as_candidate(compiled(model))
    past: dict[str, Any] = {}
    output: Any = None
    for call in calls:
        output = candidate(**call, **past)
        past = {"past_key_values": output.get("past_key_values")} if len(calls) > 1 else {}
    return flat_outputs(output)


def _on_two_threads(name: str, oracle: Any, calls: Sequence[Mapping[str, Any]], dtype: str) -> Mapping[str, Any]:
    library: Any = import_module(name)
    before = library.get_num_threads()
    library.set_num_threads(2)
    try:
        return _ours(name, None, oracle, calls, dtype)
    finally:
        library.set_num_threads(before)


def _by_torch(model: Any) -> Any:
    torch: Any = import_module("torch")
    return torch.compile(model)


def _by_tensorflow(model: Any) -> Any:
    tensorflow: Any = import_module("tensorflow")
    return tensorflow.function(model)


#: Libraries whose number of threads can be changed once they run.
THREADS = ("torch", "numba")
#: What compiles by itself, as Flax does, is not here.
COMPILERS: Mapping[str, Callable[[Any], Any]] = {"torch": _by_torch, "tensorflow": _by_tensorflow}
