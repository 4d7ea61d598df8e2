"""Error budgets, derived: how far from the truth an honest engine of a given precision may be, element by element.

The truth is the spec in float64. The budget comes from running it again, K times, in an arithmetic that errs as that
precision may, operation by operation (`arithmetic`); the spread of the results is sigma, with the conditioning of this
very model on this very input inside it, and `statistics` makes limits of it: for the largest element, for the mean
square, and for the projection on the direction of a known mistake, which share one declared rate of false alarms.
Nothing here is tuned by hand. docs/budgets.md derives it on a page.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np

from ..reference.layers import Array
from ..reference.outputs import Output, to_numpy
from ..reference.taps import Tap, silent
from ..reference.weights import nest
from . import stacks
from .arithmetic import ONE_ROUNDING, PRECISIONS, Arithmetic, Precision
from .statistics import Pooled, largest_of, mean_square_limit, pool

__all__ = ["DRAWS", "FALSE_ALARM_RATE", "ONE_ROUNDING", "PRECISIONS", "Budget", "Precision", "budgets", "flat_outputs"]

#: K, the number of noisy runs.
DRAWS = 24
#: The probability that an honest engine is refused in one comparison of one output, by the model above.
FALSE_ALARM_RATE = 1e-9
#: The rate is shared by three tests: the largest element, the mean square, and all projections together.
TESTS = 3


@dataclass(frozen=True)
class Budget:
    """Truth and permitted error of one array.

    Attributes:
        truth: the spec's float64 value.
        sigma: the standard deviation that the arithmetic may cause, elementwise.
        limit: the largest permitted distance from the truth, elementwise.
        rms_limit: the largest permitted root mean square of error / sigma.
        judged: which elements count, broadcastable to the truth; None for all.
        spread: what sigma is known from, for other rates and for projections; None where a budget is made by hand.
        overflows: whether a value on the way to this one may be larger or smaller than the precision has numbers for.
    """

    truth: Array
    sigma: Array
    limit: Array
    rms_limit: float = math.inf
    judged: Any = None
    spread: Spread | None = None
    overflows: bool = False

    def judging(self, judged: Any) -> Budget:
        """The same, with only some of its elements judged."""
        return replace(self, judged=judged)


@dataclass(frozen=True)
class Spread:
    """What K noisy runs say of one array: its errors in each, and their pooled spread."""

    errors: Array
    pooled: Pooled


@dataclass(frozen=True)
class Run:
    """Truth and spread of every output and tap of a sequence of calls.

    Attributes:
        outputs: of each call, name -> truth.
        taps: of the last call, in the order of computation, name -> truth.
        spreads: of each call's outputs.
        tap_spreads: of the taps.
        largest: the largest magnitude of any value on the way.
        precision: whose errors.
    """

    outputs: Sequence[Mapping[str, Array]]
    taps: Mapping[str, Array]
    spreads: Sequence[Mapping[str, Spread]]
    tap_spreads: Mapping[str, Spread]
    largest: float
    precision: Precision

    def budgets(self, call: int = -1, rate: float = FALSE_ALARM_RATE) -> dict[str, Budget]:
        """The budgets of one call's outputs at a rate of false alarms."""
        return {name: self._budget(t, self.spreads[call][name], rate) for name, t in self.outputs[call].items()}

    def tap_budgets(self, rate: float = FALSE_ALARM_RATE) -> dict[str, Budget]:
        """The budgets of the taps."""
        return {name: self._budget(t, self.tap_spreads[name], rate) for name, t in self.taps.items()}

    def budget_of(
        self, function: Callable[[Mapping[str, Array]], Array], call: int = -1, rate: float = FALSE_ALARM_RATE
    ) -> Budget:
        """The budget of what is made of one call's outputs, such as a probability, or a vector of a text.

        The errors of each draw go through the function, and add up or cancel there as they would.

        Args:
            function: the outputs by name -> an array. It computes in float64; roundings of its own are not counted.
            call: which call.
            rate: of false alarms.
        """
        outputs, spreads = self.outputs[call], self.spreads[call]
        truth = np.asarray(function(outputs))
        drawn = [
            function({name: value + spreads[name].errors[k] for name, value in outputs.items()}) - truth
            for k in range(len(next(iter(spreads.values())).errors))
        ]
        errors = np.stack(drawn).astype(np.float32)
        return self._budget(truth, Spread(errors, pool(errors, truth)), rate)

    def _budget(self, truth: Array, spread: Spread, rate: float) -> Budget:
        overflows = self.largest > self.precision.largest or not np.isfinite(spread.errors).all()
        return permitted(truth, spread, self.precision, rate, overflows=overflows)


def budgets(
    model: Any, inputs: Mapping[str, Any], dtype: str, draws: int = DRAWS, seed: int = 0
) -> tuple[dict[str, Budget], dict[str, Budget]]:
    """The budgets of all outputs and of all taps of one call.

    Args:
        model: a model of the numpy backend in float64.
        inputs: the arguments of the call, NumPy arrays.
        dtype: the precision whose errors are permitted.
        draws: K.
        seed: of the rounding errors.

    Returns:
        Outputs and taps: name -> `Budget`. Nested outputs have names such as "hidden_states.0".
    """
    run = noisy_runs(model, [inputs], dtype, draws=draws, seed=seed, keep_taps=True)
    return run.budgets(), run.tap_budgets()


def noisy_runs(
    model: Any,
    calls: Sequence[Mapping[str, Any]],
    dtype: str,
    *,
    draws: int = DRAWS,
    seed: int = 0,
    keep_taps: bool = False,
    listener: Tap = silent,
) -> Run:
    """Run the spec once in float64, and K times as the precision may err.

    Args:
        model: a model of the numpy backend in float64.
        calls: the arguments of one call, or of several, each on the cache that the one before returned.
        dtype: the precision whose errors are permitted.
        draws: K.
        seed: of the rounding errors.
        keep_taps: whether the taps get budgets, too.
        listener: a tap that stands in every run, after the value is kept: it may put another in its place.
    """
    precision = PRECISIONS[dtype]
    exact = Arithmetic(precision)
    true_outputs, true_taps = run_in(model, calls, exact, listener, keep_taps)
    errors = [{name: _stack(draws, value) for name, value in outputs.items()} for outputs in true_outputs]
    tap_errors = {name: _stack(draws, value) for name, value in true_taps.items()}
    size = stacks.size(model, calls, precision, draws)
    for start in range(0, draws, size):
        K = min(size, draws - start)
        rng = np.random.Generator(np.random.SFC64([seed, start]))
        outputs, taps = run_in(model, calls, exact.drawing(rng, K), listener, keep_taps)
        for found, truth, into in zip((*outputs, taps), (*true_outputs, true_taps), (*errors, tap_errors), strict=True):
            for name, value in found.items():
                into[name][start : start + K] = value.reshape(K, *truth[name].shape) - truth[name]
    own = math.sqrt(1.0 + _truths_own_error(precision))
    return Run(
        true_outputs,
        true_taps,
        [
            {name: _spread(found, truth[name], own) for name, found in call.items()}
            for call, truth in zip(errors, true_outputs, strict=True)
        ],
        {name: _spread(found, true_taps[name], own) for name, found in tap_errors.items()},
        exact.largest,
        precision,
    )


def permitted(
    truth: Array, spread: Spread, precision: Precision, rate: float = FALSE_ALARM_RATE, *, overflows: bool = False
) -> Budget:
    """From the spread to the limits, with what may be lost to underflow."""
    pooled = spread.pooled
    sigma = _first_order(pooled.sigma, precision)
    t = largest_of(truth.size, pooled.freedom, rate / TESTS)
    limit = t * sigma + precision.smallest
    rms_limit = mean_square_limit(pooled, truth.size, rate / TESTS)
    sigma = _flushed(sigma, truth, limit, precision)
    return Budget(np.asarray(truth), sigma, limit, rms_limit, None, spread, overflows)


def _first_order(sigma: Array, precision: Precision) -> Array:
    """At least u times the row's: what was neglected, an error of an error, is not smaller where its element is small.

    A row's elements are mixed with each other (by norms, softmax, products). What nothing moves stays exact.
    """
    row = np.sqrt(np.mean(np.square(sigma), axis=-1, keepdims=True)) if sigma.ndim else sigma
    return np.where(sigma > 0, np.maximum(sigma, precision.coarsest * row), 0.0)


def _flushed(sigma: Array, truth: Array, limit: Array, precision: Precision) -> Array:
    """With what an element errs that is flushed to zero: by its own size, where it may be smaller than any number."""
    size = np.abs(truth)
    return np.where(sigma > 0, np.hypot(sigma, np.where(size < limit, np.minimum(size, precision.smallest), 0.0)), 0.0)


def _stack(draws: int, value: Array) -> Array:
    return np.empty((draws, *np.shape(value)), np.float32)


def _spread(errors: Array, truth: Array, own: float) -> Spread:
    errors *= np.float32(own)
    return Spread(errors, pool(errors, truth))


def _truths_own_error(precision: Precision) -> float:
    """The truth is rounded too: by float64, which counts only where that is what is compared."""
    return (PRECISIONS["float64"].accumulation / precision.accumulation) ** 2


# -- one run ---------------------------------------------------------------------------------------------------------


def run_in(
    model: Any,
    calls: Sequence[Mapping[str, Any]],
    arithmetic: Arithmetic,
    listener: Tap = silent,
    keep_taps: bool = False,
) -> tuple[list[dict[str, Array]], dict[str, Array]]:
    """Run the spec in an arithmetic.

    Args:
        model: a model of the numpy backend in float64; afterwards it is as before.
        calls: the arguments of one call, or of several, each on the cache that the one before returned.
        arithmetic: in which its own code runs.
        listener: a tap, after the value is kept.
        keep_taps: whether the taps are returned.

    Returns:
        The flat outputs of each call, and the taps of the last; the copies of an arithmetic stand along the first axis.
    """
    taps: dict[str, Array] = {}

    def keep(name: str, value: Array) -> Array:
        if keep_taps:
            taps[name] = np.asarray(value)
        return value if listener is silent else arithmetic.array(listener(name, value))

    outputs: list[dict[str, Array]] = []
    # What leaves the range of numbers in some draw is noted there (`Run`), and no warning to anybody.
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"), _in_arithmetic(model, arithmetic):
        past: Any = None
        for call in calls:
            given = {name: arithmetic.given(value) for name, value in call.items()}
            taps.clear()
            cached = {} if past is None else {"past_key_values": past}
            output = model._call((), {**stacks.copied(given, arithmetic.copies, model.head), **cached}, keep)
            found = flat_outputs(output)
            if arithmetic.copies > 1 and stacks.has_labels(given, model.head):
                found["loss"] = stacks.losses(model, output, given, arithmetic)
            outputs.append(found)
            past = output.get("past_key_values")
    return outputs, dict(taps)


@contextmanager
def _in_arithmetic(model: Any, arithmetic: Arithmetic) -> Generator[None]:
    """The model with its parameters in an arithmetic, and afterwards as it was."""
    parameters, state = model.parameters, model.state_dict_numpy()
    held: dict[int, Any] = {}  # a tied tensor errs once
    for name, value in state.items():
        if id(value) not in held:
            held[id(value)] = arithmetic.parameter(name, value)
    model.parameters = nest({name: held[id(value)] for name, value in state.items()})
    try:
        yield
    finally:
        model.parameters = parameters


def flat_outputs(output: Output | Mapping[str, Any]) -> dict[str, Array]:
    """Outputs as flat names ("logits", "hidden_states.0", "past_key_values.0.1") -> NumPy arrays.

    Example:
        >>> list(flat_outputs({"logits": np.ones(1), "attentions": (np.ones(1), np.ones(1))}))
        ['logits', 'attentions.0', 'attentions.1']
    """
    named = output.numpy() if isinstance(output, Output) else output
    flat: dict[str, Array] = {}
    for name, value in named.items():
        _flatten_into(flat, name, value)
    return flat


def _flatten_into(flat: dict[str, Array], name: str, value: Any) -> None:
    layers: Any = getattr(value, "layers", value)
    if isinstance(layers, tuple | list):
        for index, part in enumerate(cast("list[Any]", layers)):
            _flatten_into(flat, f"{name}.{index}", part)
    else:
        flat[name] = to_numpy(layers)
