"""Letting a mutant loose: probes with their budgets, what becomes of a wrong engine there, and what is to be seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any

from ...dispatch.api import FACES
from ...reference.layers import Array
from ..cases import Case, draw_case
from ..compare import compare_outputs
from ..findings import Visibility
from ..probes.battery import battery
from ..probes.probe import Call, Probe, chains
from ..probes.real_tokens import judged
from ..tolerances import Budget, noisy_runs
from .effects import effects
from .matched import MatchedFilter
from .mutants import MUTANTS
from .power import power
from .wrong_engines import Mutant, answers, misused

#: The name of the probe that is the case itself, as it was drawn.
DRAWN = "drawn case"


@dataclass(frozen=True)
class Question:
    """A probe of a case in a precision.

    Attributes:
        case: with the probe's weights.
        probe: what is asked.
        dtype: the precision in which answers are judged.
        mutants: the mistakes whose directions are known.
    """

    case: Case
    probe: Probe
    dtype: str
    mutants: Sequence[Mutant]

    @cached_property
    def oracle(self) -> Any:
        """The spec in float64."""
        return FACES[self.case.head].on("numpy")(self.case.config, dtype="float64", state=self.case.state)

    @cached_property
    def budgets(self) -> list[dict[str, Budget]]:
        """Of each call."""
        with misused():
            runs = [(chain, noisy_runs(self.oracle, chain, self.dtype)) for chain in chains(self.probe.calls)]
        return [
            {name: self._judged(name, budget, inputs) for name, budget in run.budgets(i).items()}
            for chain, run in runs
            for i, inputs in enumerate(chain)
        ]

    def _judged(self, name: str, budget: Budget, inputs: Mapping[str, Any]) -> Budget:
        return budget.judging(judged(name, budget.truth.shape, inputs, self.case.head))

    @cached_property
    def known(self) -> MatchedFilter:
        """The directions of all mistakes."""
        with misused():
            return MatchedFilter(self.budgets, effects(self.oracle, self.probe.calls, self.mutants))

    @cached_property
    def power(self) -> Mapping[str, Visibility]:
        """Mistake -> whether it would be seen."""
        return {visibility.mistake: visibility for visibility in power(self.known, self.mutants, self.dtype)}

    @property
    def overflows(self) -> bool:
        """Whether the right answer is beyond this precision: then an honest engine is wrong, too."""
        return any(budget.overflows for call in self.budgets for budget in call.values())

    def extent(self, mutant: Mutant, backend: str, form: str = "plain") -> float:
        """The largest statistic of a wrong engine in units of its limit; infinite where it breaks."""
        engine = mutant.candidate(self.case, backend, self.dtype, form)
        try:
            outputs = answers(engine, self.probe.calls)
        except ValueError:  # a wrong engine may refuse what it is asked
            return float("inf")
        return self.judge(outputs)

    def judge(self, outputs: Sequence[Mapping[str, Array]]) -> float:
        """The largest statistic of answers in units of its limit; the directions are asked where nothing else tells."""
        pairs = zip(outputs, self.budgets, strict=True)
        largest = max(comparison.extent for found, budgets in pairs for comparison in compare_outputs(found, budgets))
        if largest > 1.0:
            return largest
        return max([largest, *(projection.ratio for projection in self.known.project(outputs))])


def questions(mutant: Mutant, head: str, seed: int, dtype: str) -> Iterator[Question]:
    """What a mutant must be caught by: the drawn case that it needs, and the probes that are there to catch it."""
    needs = tuple(sorted(mutant.case.items()))
    for name in (DRAWN, *_names(head, needs, mutant.name)):
        asked = question(head, seed, needs, name, dtype)
        if not asked.overflows:
            yield asked


@cache
def question(head: str, seed: int, needs: tuple[tuple[str, Any], ...], name: str, dtype: str) -> Question:
    """A probe by its name, of a drawn case; most mutants share it."""
    case = draw_case(head, seed, **dict(needs))
    if name == DRAWN:
        return Question(case, Probe(DRAWN, (), (Call(case.inputs),)), dtype, MUTANTS)
    probe = _battery(head, needs)[name]
    return Question(replace(case, state={**case.state, **(probe.state or {})}), probe, dtype, MUTANTS)


@cache
def _battery(head: str, needs: tuple[tuple[str, Any], ...]) -> Mapping[str, Probe]:
    return {probe.name: probe for probe in battery(head, draw_case(head, 0, **dict(needs)).config, is_own=True)}


def _names(head: str, needs: tuple[tuple[str, Any], ...], mistake: str) -> list[str]:
    return [probe.name for probe in _battery(head, needs).values() if mistake in probe.catches]
