"""Power: what a probe, in a precision, would have seen of each known mistake, and the smallest fault that it refuses.

The effect m of a mistake is computed without noise. Each of the three statistics is linear or monotone in it, so that

    effect = max( max |m| / limit,   rms(m / sigma) / its limit,   |m / sigma| / limit in its direction )

is how far a port that makes it would stand beyond the limit, but for its rounding errors, which are within 1. At 2 and
more it would be refused whatever these are (`SEEN`); between 1 and 2 they decide; below 1 it would pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ...reference.layers import Array
from ..findings import Visibility
from ..probes.probe import Call
from .effects import effect_of
from .matched import MatchedFilter
from .wrong_engines import Mutant, State, answers, twin

#: An effect of so many limits is refused whatever the rounding errors are: they are within one.
SEEN = 2.0
#: Effects below this are rounding errors of the truth.
NOTHING = 1e-6
#: The relative change that is tried, of which the smallest that would be seen is reckoned.
CHANGE = 1e-3
#: Entries of weights that are tried.
ENTRIES = 5


def power(known: MatchedFilter, mutants: Iterable[Mutant], dtype: str) -> tuple[Visibility, ...]:
    """Which mistakes a probe would have seen, and why not.

    Args:
        known: directions and limits of the probe.
        mutants: the mistakes.
        dtype: the precision, for the reason.

    Returns:
        One for each mistake that the filter knows, in its order.

    Example:
        >>> from roberta.parity.cases import draw_case
        >>> from roberta.parity.mistakes.effects import effects
        >>> from roberta.parity.mistakes.mutants import MUTANTS
        >>> from roberta.parity.tolerances import noisy_runs
        >>> import roberta
        >>> case = draw_case("model", 0)
        >>> spec = roberta.RobertaModel(case.config, "numpy", state=case.state, dtype="float64")
        >>> budgets = [noisy_runs(spec, [case.inputs], "bfloat16").budgets()]
        >>> known = MatchedFilter(budgets, effects(spec, [Call(case.inputs)], MUTANTS))
        >>> found = {one.mistake: one for one in power(known, MUTANTS, "bfloat16")}
        >>> found["mask ignored"].is_seen, found["last vocabulary row"].reason
        (True, 'no effect here: it needs the last id')
    """
    by_name = {mutant.name: mutant for mutant in mutants}
    found: list[Visibility] = []
    for direction in known.directions:
        along = direction.length / known.limits[direction.mistake] if direction.unit is not None else 0.0
        effect = max(direction.ratio, direction.rms, along)
        reason = _reason(by_name[direction.mistake], effect, dtype)
        found.append(Visibility(direction.mistake, effect >= SEEN, effect, reason=reason))
    return tuple(found)


def _reason(mutant: Mutant, effect: float, dtype: str) -> str:
    if effect >= SEEN:
        return ""
    if effect < NOTHING or mutant.is_silent:
        return f"no effect here: it needs {mutant.needs}" if mutant.needs else "it changes no output here"
    where = "at the edge: " if effect >= 1.0 else ""
    return f"{where}its effect is {effect:.2g} of the limit in {dtype}"


def smallest_faults(
    oracle: Any, calls: Sequence[Call], known: MatchedFilter, seed: int = 0, entries: int = ENTRIES
) -> tuple[Visibility, ...]:
    """The smallest relative changes of one weight, of whole matrices and of eps that would be refused.

    Args:
        oracle: a model of the numpy backend in float64, with the probe's weights.
        calls: of the probe.
        known: its limits; the directions are of no use for what nobody knows.
        seed: chooses the entries.
        entries: how many single weights are tried. Of these the median counts: half of all weights must be off by more.

    Returns:
        "one weight", "one matrix: query", …, "eps": `smallest` is the change that is refused whatever the rounding
        errors are, reckoned in proportion from one of 0.1 %; `effect` is that of 0.1 %.
    """
    truth = answers(oracle, calls)
    found = {name: _effect(change, oracle, calls, known, truth) for name, change in _changes(oracle, seed, entries)}
    single = sorted(effect for name, effect in found.items() if name.startswith("entry"))
    kinds = {name: effect for name, effect in found.items() if not name.startswith("entry")}
    one = {"one weight": single[(len(single) - 1) // 2]} if single else {}
    return tuple(_visibility(name, effect) for name, effect in {**one, **kinds}.items())


def _visibility(name: str, effect: float) -> Visibility:
    if effect < NOTHING:
        return Visibility(name, False, effect, None, "it changes no output here")
    smallest = CHANGE * SEEN / effect
    is_seen = smallest < 1.0
    return Visibility(name, is_seen, effect, smallest, "" if is_seen else "less than its own size would pass")


def _effect(
    change: Mutant, oracle: Any, calls: Sequence[Call], known: MatchedFilter, truth: Sequence[Mapping[str, Array]]
) -> float:
    return max(known.extents(effect_of(lambda: answers(twin(change, oracle), calls), truth)))


#: Kind -> the end of its parameter's name.
MATRICES: Mapping[str, str] = {
    "query": "layer.0.attention.self.query.weight",
    "key": "layer.0.attention.self.key.weight",
    "value": "layer.0.attention.self.value.weight",
    "attention output": "layer.0.attention.output.dense.weight",
    "intermediate": "layer.0.intermediate.dense.weight",
    "output": "layer.0.output.dense.weight",
    "word table": "word_embeddings.weight",
}


def _changes(oracle: Any, seed: int, entries: int) -> Iterator[tuple[str, Mutant]]:
    """What is tried: name and mistake."""
    rng = np.random.default_rng([seed, 5])
    state: State = oracle.state_dict_numpy()
    dense = [name for name, value in state.items() if value.ndim == 2 and not name.endswith("embeddings.weight")]
    for i, name in enumerate(rng.choice(dense, entries)):
        place = tuple(int(rng.integers(size)) for size in state[name].shape)
        yield f"entry {i}", Mutant("one weight", "", state=_entry_scaled(name, place))
    for kind, ending in MATRICES.items():
        name = next((name for name in state if name.endswith(ending)), None)
        if name is not None:
            yield f"one matrix: {kind}", Mutant(kind, "", state=_entry_scaled(name, ...))
    yield "eps", Mutant("eps", "", config=lambda config: config.replace(layer_norm_eps=_scaled(config.layer_norm_eps)))


def _scaled(value: Any) -> Any:
    return value * (1.0 + CHANGE)


def _entry_scaled(name: str, place: Any) -> Callable[[State, Any], State]:
    """One entry, or all, of a tensor (under all its names) off by the change."""

    def changed(state: State, config: Any) -> State:
        value = state[name].copy()
        value[place] = _scaled(value[place])
        return {other: value if held is state[name] else held for other, held in state.items()}

    return changed
