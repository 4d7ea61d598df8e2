"""A tape against the truth: how far every value on a model's way is from the spec's, in units of what it may be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..dispatch.arguments import visible
from ..reference.differences import Differences, differences
from ..reference.taps import symbols
from .tolerances import FALSE_ALARM_RATE, Budget, noisy_runs
from .where import DRAWS, judged_tap


def compare_tape(
    tape: Mapping[str, Any], reference_model: Any, inputs: Mapping[str, Any], dtype: str = "float32"
) -> Differences:
    """Hold each value of a tape against the spec in float64, and the budget that is derived for it.

    Args:
        tape: what `model.tape(**inputs)` gave, on any engine; or any mapping of taps to arrays.
        reference_model: the same weights as a model of ours, on any engine.
        inputs: the arguments of that call.
        dtype: the precision in which the tape's model computes.

    Returns:
        `Differences`: error / limit of each tap at real tokens, `first`, the first beyond its limit, and `ratios`. All
        taps share one rate of false alarms.

    Raises:
        TypeError: something else than a tape.
        ValueError: arguments that the model cannot take.

    Numerics: K = 8 noisy runs; the largest element is judged. docs/budgets.md derives it.

    Example:
        >>> import roberta
        >>> from roberta.parity.cases import small_config
        >>> model, inputs = roberta.RobertaModel(small_config()), {"input_ids": [[0, 5, 2]]}
        >>> compare_tape(model.tape(**inputs), model, inputs).first is None
        True
        >>> wrong = model.tape(**inputs, replace={"embeddings.sum": lambda total: total * np.float32(1.001)})
        >>> compare_tape(wrong, model, inputs).first.name
        'embeddings.sum'
    """
    given = {name: visible(name, value) for name, value in inputs.items() if value is not None}
    found = tap_budgets(reference_model, given, dtype)
    limits = {name: np.where(budget.judged, budget.limit, np.inf) for name, budget in found.items()}
    return differences(tape, {name: budget.truth for name, budget in found.items()}, limits)


def tap_budgets(reference_model: Any, inputs: Mapping[str, Any], dtype: str = "float32") -> dict[str, Budget]:
    """The budget of every tap of one call, at real tokens: they share one rate of false alarms.

    Args:
        reference_model: a model of ours, on any engine.
        inputs: the arguments of the call, NumPy arrays.
        dtype: the precision in which a candidate computes.

    Returns:
        name -> `Budget`, in the order of computation; `judged` says which elements count.
    """
    oracle = reference_model.to_backend("numpy", dtype="float64").eval()
    table = symbols(oracle.head, oracle.config, **oracle.options)
    run = noisy_runs(oracle, [inputs], dtype, draws=DRAWS, keep_taps=True)
    return {
        name: budget.judging(judged_tap(table[name], budget.truth.shape, inputs))
        for name, budget in run.tap_budgets(FALSE_ALARM_RATE / len(run.taps)).items()
    }
