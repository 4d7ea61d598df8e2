"""The instrument: a candidate is asked every probe, each answer is held against the spec's, and all of it is recorded.

    probe → what the candidate answers → truth and limits from the spec → three statistics → where it departs → power

`check`, `compare`, the command and the pytest plugin are short calls of it.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np

from .. import __version__
from ..dispatch import checkpoint
from ..dispatch.api import FACES
from ..dispatch.model import PublicModel
from ..reference.fields import ConfigOverrides
from ..reference.inputs import LABELS
from ..reference.layers import Array
from ..reference.parameters import HEADS
from ..reference.taps import symbols
from ..reference.weights import nest
from .battery import battery
from .candidates import Candidate, CandidateError, answered, as_candidate
from .compare import Comparison, compare_array
from .coverage import varied
from .environment import environment
from .exporting import saved_head
from .findings import Audit, Decisions, Departure, Finding
from .hashes import hash_model, hash_probes
from .keeping import Keeper
from .probes import Call, Probe, chains
from .real_tokens import judged, real_tokens
from .tolerances import DRAWS, PRECISIONS, Budget, Run
from .where import climbed, first_departure, matched_by_value, replayed, taps_of_outputs

#: The probability that an honest candidate is refused in a whole audit, by the rounding model.
AUDIT_RATE = 1e-6
#: A model with more parameters than this is asked fewer tokens, with fewer noisy runs: it has more elements to pool.
LARGE = 20_000_000
LARGE_DRAWS, LARGE_TOKENS = 6, 400
#: Outputs that a candidate may leave out, unless a call asks for them.
OPTIONAL = frozenset({"loss", "hidden_states", "attentions", "cross_attentions", "past_key_values", "pooler_output"})
#: Output -> the flag that asks for it.
ASKED_BY = {
    "hidden_states": "output_hidden_states",
    "attentions": "output_attentions",
    "cross_attentions": "output_attentions",
    "past_key_values": "use_cache",
}
Advance = Callable[[], None]


def audit(
    candidate: Any,
    reference: Any,
    probes: Sequence[Probe] | None = None,
    dtype: str = "float32",
    *,
    inputs: Mapping[str, Any] | None = None,
    head: str | None = None,
    seed: int = 0,
    rate: float = AUDIT_RATE,
    draws: int | None = None,
    power: bool = True,
    cache: str | Path | None = None,
    timeout: float | None = None,
    advance: Advance | None = None,
) -> Audit:
    """Hold an implementation against the spec.

    Args:
        candidate: whatever `candidates.as_candidate` accepts: a function, a model, an ONNX file, a command, an address.
        reference: the same weights: a model of ours on any engine, or a checkpoint.
        probes: what to ask; None for the battery of the head and configuration.
        dtype: the precision in which the candidate computes, one of `tolerances.PRECISIONS`.
        inputs: the arguments of one call, in place of the battery.
        head: of a checkpoint: which head; None for the one that it was saved as.
        seed: of the probes and the rounding errors.
        rate: the probability that an honest candidate is refused, over all probes, outputs and statistics.
        draws: K, the number of noisy runs; None for as many as the size of the model calls for.
        power: whether to state what the probes would have seen.
        cache: a folder in which truths and limits are kept for the next audit; None for none.
        timeout: how many seconds one answer may take; None: for ever.
        advance: called after each probe.

    Returns:
        `Audit`. Interrupted by Ctrl-C, it holds what was found so far, and does not pass.

    Raises:
        ValueError: an unknown head, dtype, probe or input.
        TypeError: what cannot be a candidate.
        FileNotFoundError: no such checkpoint or file.

    Example:
        >>> import roberta
        >>> from roberta.parity.cases import small_config
        >>> model = roberta.RobertaForTokenClassification(small_config(), backend="numpy")
        >>> audit(model, model, power=False).passed
        True
    """
    _require(dtype, probes, inputs)
    reference_ = Reference.of(reference, head)
    judged_ = as_candidate(candidate, reference=reference_.oracle)
    if inputs is not None:
        asked: Sequence[Probe] = (Probe("given", ("what the given inputs show",), (Call(dict(inputs)),)),)
    else:
        asked = probes if probes is not None else reference_.battery(seed)
    is_large = reference_.is_large
    k = draws if draws is not None else (LARGE_DRAWS if is_large else DRAWS)
    judge = Judge(judged_, reference_, dtype, rate / max(len(asked), 1), k, seed, timeout, Keeper(cache), power)
    findings: list[Finding] = []
    is_complete = False
    try:
        for probe in asked:
            findings.append(judge.finding(probe))
            if advance is not None:
                advance()
        is_complete = True
    except KeyboardInterrupt:
        pass
    settings = {
        "dtype": dtype,
        "seed": seed,
        "draws": k,
        "rate": rate,
        "probes": hash_probes(asked),
        "power": power,
        "roberta": __version__,
    }
    return Audit(
        judge.candidate.describe() | {"name": judge.candidate.name, "can": _abilities(judge.candidate)},
        reference_.describe(),
        settings,
        environment(judge.candidate),
        tuple(findings),
        is_complete,
    )


def _require(dtype: str, probes: Any, inputs: Any) -> None:
    if dtype not in PRECISIONS:
        message = f"dtype: required one of {list(PRECISIONS)}, got {dtype!r}"
        raise ValueError(message)
    if inputs is not None and not isinstance(inputs, Mapping):
        message = f"inputs: required a mapping of argument names to arrays, got {type(inputs).__name__}"
        raise TypeError(f'{message}; give {{"input_ids": ids}}')
    if probes is not None and not all(isinstance(probe, Probe) for probe in probes):
        message = "probes: required a sequence of roberta.parity.probes.Probe; for one call give inputs={...}"
        raise TypeError(message)


def _abilities(candidate: Candidate) -> dict[str, Any]:
    can = candidate.capabilities
    return {
        "inputs": sorted(can.inputs),
        "outputs": None if can.outputs is None else sorted(can.outputs),
        "longest": can.longest,
        "batches": None if can.batches is None else sorted(can.batches),
        "taps": can.has_taps,
        "other weights": can.takes_weights,
    }


# -- the reference -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reference:
    """Whose weights, and the spec that computes with them.

    Attributes:
        name: for the report.
        oracle: the spec in float64.
        folder: the checkpoint's, for its vocabulary; None of a model.
    """

    name: str
    oracle: Any
    folder: Path | None = None

    @classmethod
    def of(cls, reference: Any, head: str | None = None) -> Reference:
        """A model of ours, or a checkpoint, as a reference."""
        if head is not None and head not in HEADS:
            message = f"head: required one of {list(HEADS)}, got {head!r}"
            raise ValueError(message)
        if isinstance(reference, PublicModel):
            model = cast("PublicModel[Any]", reference)
            if head not in (None, model.head):
                message = f"head: required {model.head!r}, the model's own, or None, got {head!r}; give a checkpoint"
                raise ValueError(message)
            return cls(type(model).__name__, model.to_backend("numpy", dtype="float64").eval())
        folder = checkpoint.locate(reference)
        chosen = saved_head(folder) if head is None else head
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is random is in the report
            overrides: ConfigOverrides = {"num_labels": 2} if chosen == "question_answering" else {}
            oracle = FACES[chosen].from_pretrained(folder, backend="numpy", dtype="float64", **overrides)
        return cls(str(reference), oracle, folder)

    @property
    def is_large(self) -> bool:
        """Whether it is asked less."""
        return self.oracle.num_parameters() > LARGE

    def battery(self, seed: int) -> tuple[Probe, ...]:
        """What it is asked unless somebody says."""
        tokens = LARGE_TOKENS if self.is_large else None
        return battery(self.oracle.head, self.oracle.config, seed=seed, tokens=tokens, folder=self.folder)

    @cached_property
    def state(self) -> dict[str, Array]:
        """HF's names -> arrays."""
        return self.oracle.state_dict_numpy()

    def with_weights(self, changed: Mapping[str, Array] | None) -> Any:
        """The spec with some other weights; it shares the rest."""
        if not changed:
            return self.oracle
        other = copy.copy(self.oracle)
        table = self.oracle.table
        state = {name: changed.get(parameter.tied_to or name) for name, parameter in table.items()}
        state = {name: self.state[name] if value is None else np.asarray(value, float) for name, value in state.items()}
        other.parameters = nest(state)
        return other

    def describe(self) -> dict[str, Any]:
        """What a report says of it."""
        missing = self.oracle.load_report.missing
        return {
            "name": self.name,
            "head": self.oracle.head,
            "weights": hash_model(self.oracle),
            "config": self.oracle.config.to_diff_dict(),
            "random": list(missing),
        }


# -- one probe ---------------------------------------------------------------------------------------------------------


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
            comparisons = self._comparisons(probe, calls, answers, judged_)
            failed = not all(comparison.passed for comparison in comparisons)
            departure = self._departure(subject, oracle, calls, answers, comparisons) if failed else None
        return replace(
            facts,
            status="failed" if failed else "passed",
            reason=_overflow(comparisons),
            comparisons=comparisons,
            departure=departure,
            decisions=_decisions(calls, answers, judged_),
            tokens=_token_counts(probe),
            trail=tuple((comparison.name, comparison.extent) for comparison in comparisons),
        )

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
        """The arguments, and, where the candidate knows of them, a question for hidden states: they say where it departs."""
        can = self.candidate.capabilities
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
                if name in answer or self._is_required(name, inputs, probe):
                    found.append(compare_array(f"{where}{name}", answer.get(name), budget))
            for name in answer.keys() - budgets.keys():
                problem = "the spec has no such output in this call"
                if name.partition(".")[0] in {*OPTIONAL, "logits", "last_hidden_state", "start_logits", "end_logits"}:
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

    # -- where

    def _departure(
        self,
        subject: Candidate,
        oracle: Any,
        calls: Sequence[Mapping[str, Any]],
        answers: Sequence[Mapping[str, Array]],
        comparisons: Sequence[Comparison],
    ) -> Departure | None:
        """The first operation that departs, by the best witness there is."""
        inputs, answer = calls[0], answers[0]
        table = symbols(oracle.head, oracle.config, **oracle.options)
        if subject.capabilities.has_taps:
            values, evidence = _taps_of(subject, inputs), "taps"
            if not set(values) & set(table):
                values, evidence = matched_by_value(oracle, inputs, values, self.dtype), "graph"
            found = first_departure(replayed(oracle, inputs, values, self.dtype), evidence)
            if found is not None:
                return found
        seen = taps_of_outputs(answer, oracle.head, oracle.config, "pooler_output" in answer)
        found = first_departure(replayed(oracle, inputs, seen, self.dtype), "hidden states")
        if found is not None and len(seen) > 1:
            return found
        return self._by_ladder(subject, oracle, inputs) or found

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


def _token_counts(probe: Probe) -> tuple[int, int]:
    """How many tokens of all calls are real, and how many positions are padding."""
    real = 0
    for call in probe.calls:
        is_real = real_tokens(call.inputs)
        real += call.token_count if is_real is None else int(is_real.sum())
    return real, probe.token_count - real
