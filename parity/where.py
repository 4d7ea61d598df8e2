"""Where a candidate departs: each operation of the spec is run on the candidate's own values before it.

An error at one place is an error everywhere behind it. So the spec is run with what the candidate has put in the place
of each value as soon as it is computed (a listener at the taps); what it then finds at the next tap differs from the
candidate by the error of *that* operation alone, whose spread is known as any other (`tolerances.noisy_runs`). The
first operation that exceeds its limit is where the candidate leaves the spec. It works with all taps, with the few
values that every model returns (hidden states, attentions), and with a graph's own values, matched by what they are.

Of a black box nothing is seen but its outputs. It is asked again with probe weights that switch sublayers off
(`ladder`): what still departs with all of them off is in the embeddings or the head, what departs with one of them on
is in that one. Without that, the mistake whose direction the error has is the only witness (`matched`).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..reference.config import RobertaConfig
from ..reference.layers import Array
from ..reference.taps import Symbol, symbols
from .compare import Comparison, compare_array
from .findings import Departure
from .probes.real_tokens import real_tokens
from .tolerances import FALSE_ALARM_RATE, noisy_runs

#: K, where every operation is looked at by itself: their errors are alike, and variances borrow from each other.
DRAWS = 8


def replayed(
    oracle: Any, inputs: Mapping[str, Any], observed: Mapping[str, Array], dtype: str, rate: float = FALSE_ALARM_RATE
) -> list[Comparison]:
    """Hold each of a candidate's own values against the operation of the spec that leads to it from the ones before.

    Args:
        oracle: the spec in float64.
        inputs: the arguments of the call.
        observed: names of taps -> what the candidate has there, as far as it is known.
        dtype: the precision in which the candidate computes.
        rate: of false alarms, over all values together.

    Returns:
        A comparison for each observed tap, in the order of computation.
    """
    table = symbols(oracle.head, oracle.config, **oracle.options)
    known = {name: np.shape(value) for name, value in observed.items() if name in table}
    judged = {name: judged_tap(table[name], shape, inputs) for name, shape in known.items()}

    def put(name: str, value: Any) -> Any:
        shape = known.get(name)
        if shape is None or shape[1:] != value.shape[1:] or value.shape[0] % shape[0]:
            return value
        own = np.asarray(value).reshape(-1, *shape)  # of several copies
        return np.where(judged[name], observed[name], own).reshape(value.shape)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a candidate's NaN goes on through the spec
        run = noisy_runs(oracle, [inputs], dtype, draws=DRAWS, keep_taps=True, listener=put)
    shared = rate / max(len(judged), 1)
    found = run.tap_budgets(shared)
    return [
        compare_array(name, observed[name], budget.judging(judged[name]))
        for name, budget in found.items()
        if name in judged
    ]


def first_departure(comparisons: Sequence[Comparison], evidence: str) -> Departure | None:
    """The first operation that exceeds its limit."""
    for comparison in comparisons:
        if not comparison.passed:
            return Departure(comparison.name, evidence, comparison.sigmas)
    return None


def taps_of_outputs(outputs: Mapping[str, Array], head: str, config: RobertaConfig) -> dict[str, Any]:
    """The values that a model returns by the names of the taps where the spec computes them.

    Args:
        outputs: flat names, as of `tolerances.flat_outputs`.
        head: which head.
        config: its configuration.
    """
    prefix = "" if head == "model" else "roberta."
    names = {f"attentions.{i}": f"{prefix}encoder.layer.{i}.attention.self.probs" for i in range(len(outputs))}
    names |= {
        f"cross_attentions.{i}": f"{prefix}encoder.layer.{i}.crossattention.self.probs" for i in range(len(outputs))
    }
    for i in range(config.num_hidden_layers):
        names[f"hidden_states.{i + 1}"] = f"{prefix}encoder.layer.{i}.output.LayerNorm.output"
    names["hidden_states.0"] = f"{prefix}embeddings.LayerNorm.output"
    names["last_hidden_state"] = names[f"hidden_states.{config.num_hidden_layers}"]
    names["pooler_output"] = f"{prefix}pooler.output"
    names["logits"] = {"causal_lm": "lm_head.logits", "masked_lm": "lm_head.logits"}.get(head, "classifier.logits")
    found = {names[name]: value for name, value in outputs.items() if name in names}
    if "start_logits" in outputs and "end_logits" in outputs:
        found["qa_outputs.logits"] = np.stack([outputs["start_logits"], outputs["end_logits"]], axis=-1)
    if head == "multiple_choice" and "classifier.logits" in found:
        found["classifier.logits"] = found["classifier.logits"].reshape(-1, 1)
    return found


# -- a graph's own values ----------------------------------------------------------------------------------------------


def matched_by_value(oracle: Any, inputs: Mapping[str, Any], values: Mapping[str, Array]) -> dict[str, Array]:
    """Which of a graph's values is which of the spec's: the nearest of the same size, whatever its layout.

    The spec is followed from value to value: what has been matched is put in place of its own, so that a departure
    does not hide what is right behind it. A value that resembles nothing is left out.

    Args:
        oracle: the spec in float64.
        inputs: the arguments of the call.
        values: a graph's names -> values.

    Returns:
        names of taps -> values, in the spec's layout.
    """
    table = symbols(oracle.head, oracle.config, **oracle.options)
    by_size: dict[int, list[Array]] = {}
    for value in values.values():
        if np.issubdtype(np.asarray(value).dtype, np.floating) and np.size(value) > 1:
            by_size.setdefault(np.size(value), []).append(np.asarray(value, np.float64))
    found: dict[str, Array] = {}

    def match(name: str, value: Any) -> Any:
        own = np.asarray(value)
        where = np.broadcast_to(judged_tap(table[name], own.shape, inputs), own.shape)
        candidate, distance = _nearest(own, by_size.get(own.size, []), where)
        if candidate is None or distance > RESEMBLANCE:
            return value
        found[name] = candidate
        return np.where(where, candidate, own)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        oracle._call((), dict(inputs), match)
    return found


#: The largest relative distance, in the mean square, of values that are taken for one another: a mistake changes a
#: value by less, and two different values of the same size are at about sqrt(2).
RESEMBLANCE = 0.7


def _nearest(own: Array, candidates: Sequence[Array], where: Any) -> tuple[Array | None, float]:
    """The candidate that is nearest to a value in any of the layouts that graphs use, and its relative distance."""
    best: tuple[Array | None, float] = (None, float("inf"))
    size = float(np.linalg.norm(own[where])) or 1.0
    for candidate in candidates:
        for laid in _layouts(candidate, own.shape):
            distance = float(np.linalg.norm((laid - own)[where])) / size
            if distance < best[1]:
                best = (laid, distance)
    return best


def _layouts(value: Array, shape: tuple[int, ...]) -> Iterator[Array]:
    """A value in a shape: as it is; with heads side by side; keys transposed."""
    if value.shape == shape:
        yield value
    elif value.ndim == len(shape) and len(shape) == 4:
        if value.swapaxes(-1, -2).shape == shape:
            yield value.swapaxes(-1, -2)
        if value.swapaxes(1, 2).shape == shape:
            yield value.swapaxes(1, 2)
    elif value.ndim == 3 and len(shape) == 4:  # B T HK, or BH T K
        B, H, T, K = shape
        if value.shape == (B, T, H * K):
            yield value.reshape(B, T, H, K).swapaxes(1, 2)
        elif value.shape == (B * H, T, K):
            yield value.reshape(shape)
    elif value.size == int(np.prod(shape)) and value.shape[-1] == shape[-1]:
        yield value.reshape(shape)


# -- a black box -------------------------------------------------------------------------------------------------------


def ladder(state: Mapping[str, Array], config: RobertaConfig, prefix: str) -> Iterator[tuple[str, dict[str, Array]]]:
    """Probe weights for a black box: all sublayers off, then each of them on alone.

    A sublayer is off where its last dense layer is 0: the residual connection goes by.

    Args:
        state: the reference's weights.
        config: how many layers.
        prefix: "roberta." or "".

    Yields:
        The place that a departure would be in, and the weights that are changed.
    """
    parts = {"attention": "attention.output", "crossattention": "crossattention.output", "output": "output"}
    if not config.add_cross_attention:
        del parts["crossattention"]
    ends = {
        f"{prefix}encoder.layer.{i}.{part}": f"{prefix}encoder.layer.{i}.{last}.dense"
        for i in range(config.num_hidden_layers)
        for part, last in parts.items()
    }
    off = {
        f"{end}.{kind}": np.zeros_like(state[f"{end}.{kind}"]) for end in ends.values() for kind in ("weight", "bias")
    }
    yield f"{prefix}embeddings", off
    for place, end in ends.items():
        yield place, {name: value for name, value in off.items() if not name.startswith(f"{end}.")}


def climbed(
    state: Mapping[str, Array],
    config: RobertaConfig,
    prefix: str,
    passes: Callable[[Mapping[str, Array]], float],
) -> Departure | None:
    """Where a black box departs, from whether it passes with each rung of the ladder.

    Args:
        state: the reference's weights.
        config: how many layers.
        prefix: "roberta." or "".
        passes: weights that are changed -> the largest statistic in units of its limit.
    """
    for place, changed in ladder(state, config, prefix):
        extent = passes(changed)
        if extent > 1.0:
            return Departure(place, "inputs", extent)
    return None


# -- pieces ----------------------------------------------------------------------------------------------------------


def judged_tap(symbol: Symbol, shape: tuple[int, ...], inputs: Mapping[str, Any]) -> Any:
    """Which elements of a tap count: those of real tokens, and the scores of keys that may be looked at.

    Args:
        symbol: of the tap.
        shape: its shape.
        inputs: the arguments of the call.

    Returns:
        Booleans that broadcast to the shape; True for all.
    """
    is_real = real_tokens(inputs)
    if is_real is None:
        return True
    rows = is_real.reshape(-1, is_real.shape[-1])  # B T
    axes = symbol.axes.split()
    if len(shape) < len(axes):
        return True  # (W, …): of the tokens that were asked for
    if "T" not in axes:  # of the first token, or of a source
        first = rows[:, 0].reshape(-1, *[1] * (len(shape) - 1))
        return first if axes[0] in {"B", "BC"} and not {"E", "S"} & set(axes) else True
    place = [1] * len(shape)
    place[0], place[axes.index("T")] = rows.shape
    found = rows.reshape(place)
    if axes[-1] == "S" and rows.shape[1] == shape[-1]:
        keys = inputs.get("attention_mask")
        if keys is not None and keys.ndim == is_real.ndim:
            found = found & rows[:, None, None, :]
    return found
