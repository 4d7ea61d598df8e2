"""Where a candidate that fails departs from the spec: the best witness there is, and the mistake that it resembles."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..reference.layers import Array
from ..reference.taps import symbols
from .candidates import Candidate, CandidateError, answered
from .compare import Comparison, compare_array
from .findings import Departure
from .keeping import Keeper
from .mistakes.matched import MatchedFilter
from .mistakes.mutants import MUTANTS
from .probes.probe import Call
from .probes.real_tokens import judged
from .references import Reference
from .required import ANSWERS
from .where import climbed, first_departure, matched_by_value, replayed, taps_of_outputs

#: An error is taken for a known mistake's if so much of it is in that direction; and so many are named.
LIKE, SUSPECTS = 0.9, 3


@dataclass(frozen=True)
class Trial:
    """What a candidate was asked in one probe, and what it answered.

    Attributes:
        subject: the candidate, with the probe's weights.
        oracle: the spec in float64, with the same.
        asked: the arguments of the calls, by chain.
        answers: of each call, its outputs.
    """

    subject: Candidate
    oracle: Any
    asked: Sequence[Sequence[Mapping[str, Any]]]
    answers: Sequence[Mapping[str, Array]]

    @property
    def calls(self) -> list[Call]:
        """The chains as a probe has them."""
        return [Call(inputs, number > 0) for chain in self.asked for number, inputs in enumerate(chain)]

    @property
    def order(self) -> list[str]:
        """The names of all quantities, in the order of computation."""
        return list(symbols(self.oracle.head, self.oracle.config, **self.oracle.options))


@dataclass(frozen=True)
class Locator:
    """Finds the place; the attributes are those of the audit."""

    reference: Reference
    dtype: str
    rate: float
    draws: int
    seed: int
    timeout: float | None
    keeper: Keeper

    def located(self, trial: Trial, comparisons: Sequence[Comparison], known: MatchedFilter) -> Departure | None:
        """Where it departs, and which known mistakes its error looks like.

        Args:
            trial: what was asked and answered.
            comparisons: some of which have failed.
            known: the directions of known mistakes.
        """
        found = self._departure(trial, comparisons)
        likely = known.project(trial.answers)
        suspects = [projection for projection in likely if projection.likeness > LIKE][:SUSPECTS]
        if not suspects:
            failing = next(one for one in in_order(comparisons) if not one.passed)
            return found or Departure(failing.name, "outputs", failing.sigmas)
        names = tuple(projection.mistake for projection in suspects)
        if found is not None:
            return replace(found, suspects=names)
        mistake = next(mutant for mutant in MUTANTS if mutant.name == names[0])
        place = next((name for name in trial.order if mistake.departs_at(name)), mistake.place or "the outputs")
        return Departure(place, "matched filter", suspects[0].ratio, names)

    def _departure(self, trial: Trial, comparisons: Sequence[Comparison]) -> Departure | None:
        """The first operation that departs, by the best witness there is."""
        which = _first_failing(comparisons)
        call = trial.calls[which]
        if call.continues:
            return Departure("past_key_values", "inputs", float("nan"))  # what came before the cache has passed
        seen = taps_of_outputs(trial.answers[which], trial.oracle.head, trial.oracle.config)
        by_outputs = None
        if len(seen) > 1:
            by_outputs = first_departure(replayed(trial.oracle, call.inputs, seen, self.dtype), "hidden states")
        by_taps = self._by_taps(trial, call.inputs)
        order = trial.order.index
        if by_taps and (by_outputs is None or order(by_taps.place) <= order(by_outputs.place)):
            return by_taps
        return by_outputs or self._by_ladder(trial, call.inputs)

    def _by_taps(self, trial: Trial, inputs: Mapping[str, Any]) -> Departure | None:
        """By a candidate's own intermediate values; of a graph's, those that resemble the spec's."""
        if not trial.subject.capabilities.has_taps:
            return None
        values, evidence = taps_of(trial.subject, inputs), "taps"
        if not set(values) & set(trial.order):
            values, evidence = matched_by_value(trial.oracle, inputs, values), "graph"
        return first_departure(replayed(trial.oracle, inputs, values, self.dtype), evidence)

    def _by_ladder(self, trial: Trial, inputs: Mapping[str, Any]) -> Departure | None:
        """Of a black box that takes weights: which sublayer departs when it works alone."""
        if not trial.subject.capabilities.takes_weights:
            return None
        head = trial.oracle.head

        def extent(changed: Mapping[str, Array]) -> float:
            other, spec = self.reference.given_to(trial.subject, changed), self.reference.with_weights(changed)
            answer = answered(other, inputs, self.timeout)
            run = self.keeper.run(spec, [inputs], self.dtype, self.draws, self.seed)
            permitted = run.budgets(0, self.rate)
            return max(
                compare_array(name, answer[name], b.judging(judged(name, b.truth.shape, inputs, head))).extent
                for name, b in permitted.items()
                if name in answer
            )

        try:
            return climbed(self.reference.state, trial.oracle.config, "" if head == "model" else "roberta.", extent)
        except CandidateError:
            return None


# -- pieces ------------------------------------------------------------------------------------------------------------


def is_comparable(comparisons: Sequence[Comparison]) -> bool:
    """Whether something failed that has numbers in the right shape."""
    return any(not c.passed and (c.problem is None or c.index) for c in comparisons)


def in_order(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """In the order of computation: layer by layer, then what the head makes of it."""

    def place(comparison: Comparison) -> tuple[int, int]:
        kind, _, number = comparison.name.rpartition(": ")[2].partition(".")
        if kind in ("hidden_states", "attentions", "cross_attentions", "past_key_values"):
            layer = int(number.split(".")[0]) + (kind != "hidden_states")
            return (1, 2 * layer - (kind != "hidden_states"))
        return (2, 0) if kind in ANSWERS else (0, 0)

    return sorted(comparisons, key=place)


def taps_of(subject: Candidate, inputs: Mapping[str, Any]) -> dict[str, Array]:
    """A candidate's own intermediate values; none where it cannot give them for these inputs."""
    try:
        return {name: np.asarray(value) for name, value in subject.taps({**inputs, "output_attentions": True}).items()}
    except Exception as error:  # noqa: BLE001 - whatever a candidate raises: the verdict stands without them
        warnings.warn(f"{subject.name} gave no intermediate values: {error}", stacklevel=2)
        return {}


def _first_failing(comparisons: Sequence[Comparison]) -> int:
    """The first call of which an output failed."""
    name = next(comparison.name for comparison in comparisons if not comparison.passed)
    return int(name.split()[1].rstrip(":")) - 1 if name.startswith("call ") else 0
