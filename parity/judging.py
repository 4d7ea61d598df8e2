"""One probe: the candidate is asked, its answers are held against the spec's, and a failure is traced to its place."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..reference.layers import Array
from ..reference.taps import symbols
from .candidates import Candidate, CandidateError, answered
from .compare import Comparison, compare_array
from .findings import Decisions, Finding, Visibility
from .keeping import Keeper
from .locating import Locator, Trial, in_order, is_comparable, taps_of
from .mistakes.effects import effects
from .mistakes.matched import MatchedFilter, judge_projections
from .mistakes.mutants import MUTANTS
from .mistakes.power import power, smallest_faults
from .probes.coverage import varied
from .probes.probe import Probe, chains
from .probes.real_tokens import judged, token_counts
from .references import Reference
from .required import ANSWERS, ASKED_BY, OPTIONAL, is_required
from .tolerances import Budget, Run, noisy_runs
from .where import DRAWS, judged_tap

#: Of so many failing probes it is found out where the candidate departs.
LOCATED = 3


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
    def _locator(self) -> Locator:
        return Locator(self.reference, self.dtype, self.rate, self.draws, self.seed, self.timeout, self.keeper)

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
            subject = self.reference.given_to(self.candidate, probe.state)
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", ".*reads the first token, which is masked", UserWarning)  # as asked
                answers = [answer for chain in asked for answer in self._answers(subject, chain)]
        except CandidateError as error:
            return replace(facts, status="broken", reason=str(error))
        oracle = self.reference.with_weights(probe.state)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # some probes mask first tokens
            runs = self._runs(oracle, asked, answers)
            calls = [call for chain in asked for call in chain]
            permitted = self._budgets(probe, calls, runs)
            trial = Trial(subject, oracle, asked, answers)
            taps = self._taps(trial)
            outputs = self._comparisons(calls, answers, permitted)
            known = self._known(probe, trial, permitted) if self.states_power else None
            if known is not None:
                outputs = tuple(judge_projections(outputs, known.project(answers)))
            comparisons = (*taps, *outputs)
            failed = not all(comparison.passed for comparison in comparisons)
            departure = None
            if failed and is_comparable(comparisons) and self.located < LOCATED:
                self.located += 1
                directions = known or self._known(probe, trial, permitted)
                departure = self._locator.located(trial, comparisons, directions)
        return replace(
            facts,
            status="failed" if failed else "passed",
            reason=_overflow(comparisons) or self._unjudged(),
            comparisons=comparisons,
            departure=departure,
            power=() if known is None else self._power(trial, known),
            decisions=_decisions(answers, permitted),
            tokens=token_counts(probe),
            trail=tuple((comparison.name, comparison.extent) for comparison in in_order(comparisons)),
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
        flagged = self.candidate.capabilities.filled if probe.asks_answer_only else self._with_flags
        asked = [[flagged(inputs) for inputs in chain] for chain in chains(probe.calls)]
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
        count, is_own = sum(len(run.outputs[number]) for run, number in runs), self.candidate.capabilities.is_own
        found: list[dict[str, Budget]] = []
        for inputs, (run, number) in zip(calls, runs, strict=True):
            permitted = run.budgets(number, self.rate / count)
            if not probe.judges_padding:
                permitted = {
                    name: budget.judging(judged(name, budget.truth.shape, inputs, self.head, is_own=is_own))
                    for name, budget in permitted.items()
                }
            found.append(permitted)
        return found

    def _comparisons(
        self,
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
                if name in answer or is_required(name, inputs, self.head, self.candidate.capabilities.outputs):
                    found.append(compare_array(f"{where}{name}", answer.get(name), budget))
            found += getattr(self.candidate, "at_padding", _nothing)(inputs, answer, where)
            for name in [name for name in answer if name not in budgets]:
                problem = "the spec has no such output in this call"
                if name.partition(".")[0] in OPTIONAL | ANSWERS:
                    found.append(Comparison(f"{where}{name}", float("inf"), problem=problem))
        return tuple(found)

    def _taps(self, trial: Trial) -> tuple[Comparison, ...]:
        """Intermediate values of the first call, of a candidate that has them by the spec's names, as outputs are held.

        Some mistakes change nothing else: all keys of a row may be off by one vector, and no probability changes.
        """
        subject, oracle, inputs = trial.subject, trial.oracle, trial.asked[0][0]
        if self.has_seen_taps or not subject.capabilities.has_taps:
            return ()
        self.has_seen_taps = True
        values = taps_of(subject, inputs)
        table = symbols(oracle.head, oracle.config, **oracle.options)
        if not values.keys() & table.keys():
            return ()
        run = noisy_runs(oracle, [inputs], self.dtype, draws=min(self.draws, DRAWS), seed=self.seed, keep_taps=True)
        permitted = run.tap_budgets(self.rate / max(len(run.taps), 1))
        return tuple(
            compare_array(name, values[name], budget.judging(judged_tap(table[name], budget.truth.shape, inputs)))
            for name, budget in permitted.items()
            if name in values
        )

    # -- known mistakes

    def _known(self, probe: Probe, trial: Trial, permitted: Sequence[Mapping[str, Budget]]) -> MatchedFilter:
        """The directions of known mistakes: of those that the probe is for; of all, where that costs little.

        It does where the model is small, and in the first probe of one that is not large.
        """
        is_whole = self.reference.is_small or not (self.reference.is_large or self.has_stated_sizes)
        mutants = [one for one in MUTANTS if is_whole or one.name in probe.catches]
        given = [
            {name: budget for name, budget in budgets.items() if name in answer}
            for budgets, answer in zip(permitted, trial.answers, strict=True)
        ]
        share = self.rate / max(sum(map(len, permitted)), 1)
        return MatchedFilter(given, effects(trial.oracle, trial.calls, mutants), share)

    def _power(self, trial: Trial, known: MatchedFilter) -> tuple[Visibility, ...]:
        """What was to be seen of each mistake; and, once for all probes, the smallest faults that were."""
        found = power(known, MUTANTS, self.dtype)
        if self.has_stated_sizes:
            return found
        self.has_stated_sizes = True
        return (*found, *smallest_faults(trial.oracle, trial.calls, known))


# -- pieces ------------------------------------------------------------------------------------------------------------


def _nothing(*_: Any) -> tuple[Comparison, ...]:
    """Of a candidate that says nothing of what stands at padding."""
    return ()


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


def _decisions(answers: Sequence[Mapping[str, Array]], permitted: Sequence[Mapping[str, Budget]]) -> Decisions | None:
    """How many arg-maxes of logits there are, how many the precision may flip, and how many did flip."""
    count = may_flip = flipped = 0
    for answer, budgets in zip(answers, permitted, strict=True):
        budget = budgets.get("logits")
        if budget is None or answer.get("logits") is None or answer["logits"].shape != budget.truth.shape:
            continue
        if budget.truth.ndim < 2 or budget.truth.shape[-1] < 2:
            continue
        is_judged = np.broadcast_to(True if budget.judged is None else budget.judged, budget.truth.shape).all(-1)
        two = np.argpartition(budget.truth, -2, -1)[..., -2:]  # the second largest, the largest
        values, rooms = (np.take_along_axis(array, two, -1) for array in (budget.truth, budget.limit))
        count += int(is_judged.sum())
        may_flip += int(((values[..., 1] - values[..., 0] <= rooms.sum(-1)) & is_judged).sum())
        flipped += int(((answer["logits"].argmax(-1) != two[..., 1]) & is_judged).sum())
    return Decisions(count, may_flip, flipped) if count else None
