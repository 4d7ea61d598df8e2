"""One probe: the candidate is asked, its answers are held against the spec's, and a failure is traced to its place."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..reference.inputs import LABELS
from ..reference.layers import Array
from ..reference.taps import symbols
from .candidates import Candidate, CandidateError, answered
from .compare import Comparison, compare_array
from .findings import Decisions, Departure, Finding, Visibility
from .keeping import Keeper
from .mistakes.effects import effects
from .mistakes.matched import MatchedFilter, judge_projections
from .mistakes.mutants import MUTANTS
from .mistakes.power import power, smallest_faults
from .probes.coverage import varied
from .probes.probe import Call, Probe, chains
from .probes.real_tokens import judged, token_counts
from .references import Reference
from .tolerances import Budget, Run, noisy_runs
from .where import climbed, first_departure, judged_tap, matched_by_value, replayed, taps_of_outputs

#: Outputs that a candidate may leave out, unless a call asks for them.
OPTIONAL = frozenset({"loss", "hidden_states", "attentions", "cross_attentions", "past_key_values", "pooler_output"})
#: An error is taken for a known mistake's if so much of it is in that direction; and so many are named.
LIKE, SUSPECTS = 0.9, 3
#: K, where taps are judged: there are many of them, and each lends the others its draws.
TAP_DRAWS = 8
#: Of so many failing probes it is found out where the candidate departs.
LOCATED = 3
#: What heads answer.
ANSWERS = frozenset({"logits", "last_hidden_state", "start_logits", "end_logits", "pooler_output", "loss"})
#: Output -> the flag that asks for it.
ASKED_BY = {
    "hidden_states": "output_hidden_states",
    "attentions": "output_attentions",
    "cross_attentions": "output_attentions",
    "past_key_values": "use_cache",
}


@dataclass
class Judge:
    """Asks a candidate one probe after the other."""

    candidate: Candidate
    reference: Reference
    dtype: str
    rate: float
    draws: int
    seed: int
    timeout: float | None
    keeper: Keeper
    states_power: bool
    located: int = 0
    has_seen_taps: bool = False
    has_stated_sizes: bool = False

    @property
    def head(self) -> str:
        """Which head is judged."""
        return self.reference.oracle.head

    def finding(self, probe: Probe) -> Finding:
        """What one probe finds."""
        facts = Finding(probe.name, probe.catches, "not covered", varied=varied(probe, self.reference.oracle.config))
        asked, reason = self._asked(probe)
        if reason:
            return replace(facts, reason=reason)
        try:
            subject = self._with_weights(self.candidate, probe.state)
            answers = [answer for chain in asked for answer in self._answers(subject, chain)]
        except CandidateError as error:
            return replace(facts, status="broken", reason=str(error))
        oracle = self.reference.with_weights(probe.state)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # some probes mask first tokens
            runs = self._runs(oracle, asked, answers)
            calls = [call for chain in asked for call in chain]
            judged_ = self._budgets(probe, calls, runs)
            taps = self._taps(subject, oracle, asked[0][0])
            outputs = self._comparisons(probe, calls, answers, judged_)
            known = self._known(probe, oracle, asked, answers, judged_) if self.states_power else None
            if known is not None:
                outputs = tuple(judge_projections(outputs, known.project(answers)))
            comparisons = (*taps, *outputs)
            failed = not all(comparison.passed for comparison in comparisons)
            departure = self._located(subject, oracle, probe, asked, answers, comparisons, judged_) if failed else None
        return replace(
            facts,
            status="failed" if failed else "passed",
            reason=_overflow(comparisons) or self._unjudged(),
            comparisons=comparisons,
            departure=departure,
            power=() if known is None else self._power(oracle, asked, known),
            decisions=_decisions(calls, answers, judged_),
            tokens=token_counts(probe),
            trail=tuple((comparison.name, comparison.extent) for comparison in _in_order(comparisons)),
        )

    def _unjudged(self) -> str:
        """Which outputs nobody can know."""
        names = ", ".join(sorted(self.reference.random))
        return f"not judged: {names}, for which the checkpoint has no weights" if names else ""

    # -- asking

    def _asked(self, probe: Probe) -> tuple[list[list[dict[str, Any]]], str]:
        """The calls as they are made, by chain; and why not, if the candidate cannot be asked."""
        can = self.candidate.capabilities
        if probe.state is not None and not can.takes_weights:
            return [], "it takes no other weights"
        if len(probe.calls) > 1 and not can.is_called_again:
            return [], "it is called once only"
        asked = [[self._with_flags(inputs) for inputs in chain] for chain in chains(probe.calls)]
        for chain in asked:
            if len(chain) > 1 and "past_key_values" not in can.inputs:
                return [], "it goes on from no cache"
            for inputs in chain:
                reason = can.refusal(inputs)
                if reason:
                    return [], reason
        return asked, ""

    def _with_flags(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments, and a question for the hidden states, which say where it departs, if it knows of them."""
        can = self.candidate.capabilities
        inputs = can.filled(inputs)
        may_give = can.outputs is None or "hidden_states" in can.outputs
        if "output_hidden_states" in can.inputs and may_give:
            return {"output_hidden_states": True, **inputs}
        return dict(inputs)

    def _with_weights(self, candidate: Candidate, changed: Mapping[str, Array] | None) -> Candidate:
        if changed is None:
            return candidate
        state = {name: np.asarray(value) for name, value in self.reference.state.items()}
        table = self.reference.oracle.table
        given = {name: changed.get(table[name].tied_to or name, value) for name, value in state.items()}
        return candidate.with_weights(given)

    def _answers(self, subject: Candidate, chain: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Array]]:
        past: Any = None
        for inputs in chain:
            given = dict(inputs) if past is None else {**inputs, "past_key_values": past}
            answer = answered(subject, given, self.timeout)
            past = _as_cache(answer)
            yield answer

    # -- truth and limits

    def _runs(
        self, oracle: Any, asked: Sequence[Sequence[Mapping[str, Any]]], answers: Sequence[Mapping[str, Array]]
    ) -> list[tuple[Run, int]]:
        """For each call the run that has its truth, and which call of that run it is. Asked for is all that came."""
        found: list[tuple[Run, int]] = []
        position = 0
        for chain in asked:
            came = {name.partition(".")[0] for answer in answers[position : position + len(chain)] for name in answer}
            flags = {flag: True for output, flag in ASKED_BY.items() if output in came and output != "past_key_values"}
            calls = [{**inputs, **flags} for inputs in chain]
            if "past_key_values" in came and oracle.config.is_decoder:
                calls = [{**call, "use_cache": True} for call in calls]
            run = self.keeper.run(oracle, calls, self.dtype, self.draws, self.seed)
            found += [(run, number) for number in range(len(chain))]
            position += len(chain)
        return found

    def _budgets(
        self, probe: Probe, calls: Sequence[Mapping[str, Any]], runs: Sequence[tuple[Run, int]]
    ) -> list[dict[str, Budget]]:
        """The limits of every output of every call, of real tokens unless the probe says otherwise."""
        count = sum(len(run.outputs[number]) for run, number in runs)
        found: list[dict[str, Budget]] = []
        for inputs, (run, number) in zip(calls, runs, strict=True):
            permitted = run.budgets(number, self.rate / count)
            if not probe.judges_padding:
                permitted = {
                    name: budget.judging(judged(name, budget.truth.shape, inputs, self.head))
                    for name, budget in permitted.items()
                }
            found.append(permitted)
        return found

    def _comparisons(
        self,
        probe: Probe,
        calls: Sequence[Mapping[str, Any]],
        answers: Sequence[Mapping[str, Array]],
        permitted: Sequence[Mapping[str, Budget]],
    ) -> tuple[Comparison, ...]:
        found: list[Comparison] = []
        for number, (inputs, answer, budgets) in enumerate(zip(calls, answers, permitted, strict=True)):
            where = f"call {number + 1}: " if len(calls) > 1 else ""
            for name, budget in budgets.items():
                if name.partition(".")[0] in self.reference.random:
                    continue
                if name in answer or self._is_required(name, inputs, probe):
                    found.append(compare_array(f"{where}{name}", answer.get(name), budget))
            for name in answer.keys() - budgets.keys():
                problem = "the spec has no such output in this call"
                if name.partition(".")[0] in OPTIONAL | ANSWERS:
                    found.append(Comparison(f"{where}{name}", float("inf"), problem=problem))
        return tuple(found)

    def _is_required(self, name: str, inputs: Mapping[str, Any], probe: Probe) -> bool:
        """Whether an output that is missing is a failure."""
        kind = name.partition(".")[0]
        can = self.candidate.capabilities.outputs
        if can is not None and kind not in can:
            return False
        if kind == "loss":
            return bool(set(LABELS[self.head]) & inputs.keys())
        if kind in ASKED_BY and can is not None:
            return inputs.get(ASKED_BY[kind]) is True
        return kind not in OPTIONAL

    def _taps(self, subject: Candidate, oracle: Any, inputs: Mapping[str, Any]) -> tuple[Comparison, ...]:
        """Intermediate values of the first call, of a candidate that has them by the spec's names, as outputs are held.

        Some mistakes change nothing else: all keys of a row may be off by one vector, and no probability changes.
        """
        if self.has_seen_taps or not subject.capabilities.has_taps:
            return ()
        self.has_seen_taps = True
        values = _taps_of(subject, inputs)
        table = symbols(oracle.head, oracle.config, **oracle.options)
        if not values.keys() & table.keys():
            return ()
        run = noisy_runs(oracle, [inputs], self.dtype, draws=min(self.draws, TAP_DRAWS), seed=self.seed, keep_taps=True)
        permitted = run.tap_budgets(self.rate / max(len(run.taps), 1))
        return tuple(
            compare_array(name, values[name], budget.judging(judged_tap(table[name], budget.truth.shape, inputs)))
            for name, budget in permitted.items()
            if name in values
        )

    # -- known mistakes

    def _known(
        self,
        probe: Probe,
        oracle: Any,
        asked: Sequence[Sequence[Mapping[str, Any]]],
        answers: Sequence[Mapping[str, Array]],
        permitted: Sequence[Mapping[str, Budget]],
    ) -> MatchedFilter:
        """The directions of known mistakes: of those that the probe is for; of all, where that costs little.

        It does where the model is small, and in the first probe of one that is not large.
        """
        is_whole = self.reference.is_small or not (self.reference.is_large or self.has_stated_sizes)
        mutants = [one for one in MUTANTS if is_whole or one.name in probe.catches]
        given = [
            {name: budget for name, budget in budgets.items() if name in answer}
            for budgets, answer in zip(permitted, answers, strict=True)
        ]
        share = self.rate / max(sum(map(len, permitted)), 1)
        return MatchedFilter(given, effects(oracle, _calls(asked), mutants), share)

    def _power(
        self, oracle: Any, asked: Sequence[Sequence[Mapping[str, Any]]], known: MatchedFilter
    ) -> tuple[Visibility, ...]:
        """What was to be seen of each mistake; and, once for all probes, the smallest faults that were."""
        found = power(known, MUTANTS, self.dtype)
        if self.has_stated_sizes:
            return found
        self.has_stated_sizes = True
        return (*found, *smallest_faults(oracle, _calls(asked), known))

    # -- where

    def _located(
        self,
        subject: Candidate,
        oracle: Any,
        probe: Probe,
        asked: Sequence[Sequence[Mapping[str, Any]]],
        answers: Sequence[Mapping[str, Array]],
        comparisons: Sequence[Comparison],
        permitted: Sequence[Mapping[str, Budget]],
    ) -> Departure | None:
        """Where it departs; of the first few probes that fail, since the others seldom know more."""
        is_comparable = any(not c.passed and (c.problem is None or c.index) for c in comparisons)
        if not is_comparable or self.located >= LOCATED:
            return None
        self.located += 1
        found = self._departure(subject, oracle, asked, answers, comparisons)
        likely = self._known(probe, oracle, asked, answers, permitted).project(answers)
        suspects = [projection for projection in likely if projection.likeness > LIKE][:SUSPECTS]
        if not suspects:
            failing = next(one for one in _in_order(comparisons) if not one.passed)
            return found or Departure(failing.name, "outputs", failing.sigmas)
        names = tuple(projection.mistake for projection in suspects)
        if found is not None:
            return replace(found, suspects=names)
        mistake = next(mutant for mutant in MUTANTS if mutant.name == names[0])
        table = symbols(oracle.head, oracle.config, **oracle.options)
        place = next((name for name in table if mistake.departs_at(name)), mistake.place or "the outputs")
        return Departure(place, "matched filter", suspects[0].ratio, names)

    def _departure(
        self,
        subject: Candidate,
        oracle: Any,
        asked: Sequence[Sequence[Mapping[str, Any]]],
        answers: Sequence[Mapping[str, Array]],
        comparisons: Sequence[Comparison],
    ) -> Departure | None:
        """The first operation that departs, by the best witness there is."""
        calls = [(inputs, number) for chain in asked for number, inputs in enumerate(chain)]
        which = _first_failing(comparisons)
        inputs, place_in_chain = calls[which]
        if place_in_chain:
            return Departure("past_key_values", "inputs", float("nan"))  # what came before the cache has passed
        seen = taps_of_outputs(answers[which], oracle.head, oracle.config)
        by_outputs = None
        if len(seen) > 1:
            by_outputs = first_departure(replayed(oracle, inputs, seen, self.dtype), "hidden states")
        by_taps = self._by_taps(subject, oracle, inputs)
        order = list(symbols(oracle.head, oracle.config, **oracle.options)).index
        if by_taps and (by_outputs is None or order(by_taps.place) <= order(by_outputs.place)):
            return by_taps
        return by_outputs or self._by_ladder(subject, oracle, inputs)

    def _by_taps(self, subject: Candidate, oracle: Any, inputs: Mapping[str, Any]) -> Departure | None:
        """By a candidate's own intermediate values; of a graph's, those that resemble the spec's."""
        if not subject.capabilities.has_taps:
            return None
        values, evidence = _taps_of(subject, inputs), "taps"
        if not set(values) & set(symbols(oracle.head, oracle.config, **oracle.options)):
            values, evidence = matched_by_value(oracle, inputs, values), "graph"
        return first_departure(replayed(oracle, inputs, values, self.dtype), evidence)

    def _by_ladder(self, subject: Candidate, oracle: Any, inputs: Mapping[str, Any]) -> Departure | None:
        """Of a black box that takes weights: which sublayer departs when it works alone."""
        if not subject.capabilities.takes_weights:
            return None
        prefix = "" if oracle.head == "model" else "roberta."

        def extent(changed: Mapping[str, Array]) -> float:
            other, spec = self._with_weights(subject, changed), self.reference.with_weights(changed)
            answer = answered(other, inputs, self.timeout)
            run = self.keeper.run(spec, [inputs], self.dtype, self.draws, self.seed)
            permitted = run.budgets(0, self.rate)
            return max(
                compare_array(name, answer[name], b.judging(judged(name, b.truth.shape, inputs, self.head))).extent
                for name, b in permitted.items()
                if name in answer
            )

        try:
            return climbed(self.reference.state, oracle.config, prefix, extent)
        except CandidateError:
            return None


# -- pieces ------------------------------------------------------------------------------------------------------------


def _in_order(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """In the order of computation: layer by layer, then what the head makes of it."""

    def place(comparison: Comparison) -> tuple[int, int]:
        kind, _, number = comparison.name.rpartition(": ")[2].partition(".")
        if kind in ("hidden_states", "attentions", "cross_attentions", "past_key_values"):
            layer = int(number.split(".")[0]) + (kind != "hidden_states")
            return (1, 2 * layer - (kind != "hidden_states"))
        return (2, 0) if kind in ANSWERS else (0, 0)

    return sorted(comparisons, key=place)


def _calls(asked: Sequence[Sequence[Mapping[str, Any]]]) -> list[Call]:
    """Chains as a probe has them."""
    return [Call(inputs, number > 0) for chain in asked for number, inputs in enumerate(chain)]


def _first_failing(comparisons: Sequence[Comparison]) -> int:
    """The first call of which an output failed."""
    name = next(comparison.name for comparison in comparisons if not comparison.passed)
    return int(name.split()[1].rstrip(":")) - 1 if name.startswith("call ") else 0


def _taps_of(subject: Candidate, inputs: Mapping[str, Any]) -> dict[str, Array]:
    """A candidate's own intermediate values; none where it cannot give them for these inputs."""
    try:
        return {name: np.asarray(value) for name, value in subject.taps({**inputs, "output_attentions": True}).items()}
    except Exception as error:  # noqa: BLE001 - whatever a candidate raises: the verdict stands without them
        warnings.warn(f"{subject.name} gave no intermediate values: {error}", stacklevel=2)
        return {}


def _as_cache(answer: Mapping[str, Array]) -> Any:
    """The cache of an answer as tuples, one of each layer."""
    layers: dict[int, dict[int, Array]] = {}
    for name, value in answer.items():
        kind, _, place = name.partition(".")
        if kind == "past_key_values" and place.count(".") == 1:
            layer, part = map(int, place.split("."))
            layers.setdefault(layer, {})[part] = value
    if not layers:
        return None
    return tuple(tuple(parts[part] for part in sorted(parts)) for _, parts in sorted(layers.items()))


def _overflow(comparisons: Sequence[Comparison]) -> str:
    """What a failure is not: an overflow is no mistake."""
    problems = [comparison.problem or "" for comparison in comparisons if not comparison.passed]
    if problems and all("overflows in this precision" in problem for problem in problems):
        return "overflows in this precision: a value on the way is larger than its largest number"
    return ""


def _decisions(
    calls: Sequence[Mapping[str, Any]],
    answers: Sequence[Mapping[str, Array]],
    permitted: Sequence[Mapping[str, Budget]],
) -> Decisions | None:
    """How many arg-maxes of logits there are, how many the precision may flip, and how many did flip."""
    count = may_flip = flipped = 0
    for answer, budgets in zip(answers, permitted, strict=True):
        budget = budgets.get("logits")
        if budget is None or answer.get("logits") is None or answer["logits"].shape != budget.truth.shape:
            continue
        if budget.truth.ndim < 2 or budget.truth.shape[-1] < 2:
            continue
        is_judged = np.broadcast_to(True if budget.judged is None else budget.judged, budget.truth.shape).all(-1)
        order = np.argsort(budget.truth, -1)
        first, second = order[..., -1:], order[..., -2:-1]
        gap = np.take_along_axis(budget.truth, first, -1) - np.take_along_axis(budget.truth, second, -1)
        room = np.take_along_axis(budget.limit, first, -1) + np.take_along_axis(budget.limit, second, -1)
        count += int(is_judged.sum())
        may_flip += int(((gap <= room)[..., 0] & is_judged).sum())
        flipped += int(((answer["logits"].argmax(-1) != first[..., 0]) & is_judged).sum())
    return Decisions(count, may_flip, flipped) if count else None
