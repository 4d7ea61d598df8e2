"""Gradients, held against finite differences of the spec's loss in float64: no second derivation, only the function.

Of each parameter, the derivative along one random direction of length 1: central differences at halving steps,
extrapolated to step 0 (Richardson), which tells its own truncation error; the rounding error of each difference is what
the derived budget permits the loss, over the step. In float64 that uncertainty is the whole budget, as differences are
less exact than gradients. For a lower precision the derivative of the *perturbed* spec (`factors`) is taken, too:
an error at a tap stands in the chain rule as it stands in the value, so the spread of the derivatives is sigma.

An engine takes part if it has the verb `gradients`; see `docs/backends.md`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from ..dispatch import registry
from ..dispatch.api import FACES
from ..reference.config import RobertaConfig
from ..reference.layers import Array
from ..reference.parameters import Parameter
from ..reference.taps import Tap, silent, symbols
from ..reference.weights import nest
from .arithmetic import PRECISIONS, Precision
from .cases import Case, draw_case
from .checking import engines, require_heads
from .compare import Comparison
from .factors import rounded_parameters, rounding
from .report import Report, Row
from .statistics import largest_of
from .tolerances import DRAWS, FALSE_ALARM_RATE, budgets

#: The steps halve from here. Directions have length 1, and parameters an order of magnitude of 1.
LARGEST_STEP, STEP_COUNT = 2.0**-4, 4
Loss = Callable[[Mapping[str, Array], Tap], float]


class Derivative(NamedTuple):
    """A derivative, and how far off it may be."""

    value: float
    uncertainty: float


class Slope(NamedTuple):
    """What is known of one parameter's gradient.

    Attributes:
        direction: of length 1, in the parameter's shape.
        derivative: of the spec's loss along it.
        sigma: the standard deviation that the precision may cause.
        limit: the largest permitted distance from the derivative.
    """

    direction: Array
    derivative: Derivative
    sigma: float
    limit: float


def check_gradients(
    backends: Sequence[str] | None = None,
    heads: Sequence[str] | None = None,
    dtype: str = "float64",
    device: str | None = None,
    **config: Any,
) -> Report:
    """Hold the gradients of engines against finite differences of the spec, on a small drawn model of each head.

    Args:
        backends: engines; None for all that are available and have gradients.
        heads: None for all seven.
        dtype: the engines' precision.
        device: where, as in `check`.
        **config: fields of the configuration, such as `is_decoder=True`.

    Returns:
        `Report` with a row for each head and engine, and in it a comparison for each parameter.

    Raises:
        ValueError: an unknown head, or an engine that has no gradients or no such dtype.

    Example:
        >>> check_gradients(["torch"], ["question_answering"]).passed  # doctest: +SKIP
        True
    """
    cases = [draw_case(head, 0, **config) for head in require_heads(heads)]
    names = _training_engines(backends, dtype, device)
    rows = [row for case in cases for row in check_case_gradients(case, names, dtype, device)]
    return Report("gradients", dtype, tuple(rows))


def check_case_gradients(
    case: Case, backends: Sequence[str], dtype: str = "float64", device: str | None = None
) -> list[Row]:
    """The rows of `check_gradients` of one case, on named engines."""
    expected = slopes(case, dtype)
    rows: list[Row] = []
    for name in backends:
        model = FACES[case.head].on(name)(case.config, dtype=dtype, device=device, state=case.state).train(False)
        found = model.engine.gradients(model, case.inputs)
        rows.append(Row(case.head, name, "drawn", tuple(compare_gradients(found, expected))))
    return rows


def trains(backend: str) -> bool:
    """Whether an engine computes gradients."""
    return hasattr(registry.load(backend), "gradients")


def _training_engines(backends: Sequence[str] | None, dtype: str, device: str | None) -> list[str]:
    names = engines(backends, dtype, device)
    if backends is None:
        return [name for name in names if trains(name)]
    for name in names:
        if not trains(name):
            message = f"backends: required engines that train, got {name!r}, which computes no gradients; leave it out"
            raise ValueError(message)
    return names


# -- the truth -------------------------------------------------------------------------------------------------------


def slopes(case: Case, dtype: str = "float64", seed: int = 1) -> dict[str, Slope]:
    """The derivative of the spec's loss along one direction for each parameter, and how far an engine may be off.

    Args:
        case: head, configuration, weights and inputs with labels.
        dtype: the precision of the gradients that are to be compared.
        seed: of the directions.

    Returns:
        Parameter -> `Slope`; a tied tensor once.
    """
    model = FACES[case.head].on("numpy")(case.config, dtype="float64", state=case.state)
    rounded = rounding_of_the_loss(model, case.inputs)
    state, loss = model.state_dict_numpy(), loss_of(model, case.inputs)
    rng = np.random.default_rng(seed)
    found: dict[str, Slope] = {}
    untied = [parameter for parameter in model.table.values() if parameter.tied_to is None]
    for parameter in untied:
        along = direction(parameter, case.config, rng)
        names = [name for name, other in model.table.items() if parameter.name in (name, other.tied_to)]

        def moved(step: float, names: list[str] = names, along: Array = along) -> dict[str, Array]:
            return {**state, **{name: state[name] + step * along for name in names}}

        derivative = extrapolated(lambda step, moved=moved: loss(moved(step), silent), rounded)
        sigma = spread(model, loss, moved, PRECISIONS[dtype])
        limit = derivative.uncertainty + largest_of(len(untied), DRAWS, FALSE_ALARM_RATE) * sigma
        found[parameter.name] = Slope(along, derivative, sigma, limit)
    return found


def loss_of(model: Any, inputs: Mapping[str, Any]) -> Loss:
    """The spec's loss as a function of its parameters (HF's names -> arrays), with a tap in it.

    Args:
        model: of the numpy backend; its parameters and checks are changed.
        inputs: the arguments of the call; the bare model, which has no loss, gives the sum of sin(last_hidden_state)
            and of pooler_output: a smooth number that all its outputs go into.
    """
    model.checks_inputs = False

    def loss(state: Mapping[str, Array], tap: Tap = silent) -> float:
        model.parameters = nest(state)
        output = model._call((), inputs, tap)
        if model.head != "model":
            return float(output.loss)
        pooled = 0.0 if output.pooler_output is None else output.pooler_output.sum()
        return float(np.sin(output.last_hidden_state).sum() + pooled)

    return loss


def rounding_of_the_loss(model: Any, inputs: Mapping[str, Any]) -> float:
    """How far off float64 may leave the loss, from the derived budget."""
    permitted, _ = budgets(model, inputs, "float64")
    if model.head != "model":
        return float(permitted["loss"].limit)
    # A sum: as its terms, whose slopes are at most 1.
    return float(sum(budget.limit.sum() for name, budget in permitted.items() if not name.startswith("past")))


def direction(parameter: Parameter, config: RobertaConfig, rng: np.random.Generator) -> Array:
    """A random direction of length 1, without the rows of padding, which some frameworks freeze by design."""
    value = rng.standard_normal(parameter.shape)
    if parameter.zero_row is not None:
        value[config.pad_token_id] = 0.0
    return value / np.linalg.norm(value)


def extrapolated(function: Callable[[float], float], rounding: float) -> Derivative:
    """f'(0) by Richardson's extrapolation of central differences.

    The error of a difference has even powers of the step only, so that (4^j fine - coarse) / (4^j - 1) removes one
    power after another. What the last removal changed bounds the error that was left. The errors of the differences go
    through the same weights. The entry with the smallest sum of the two is taken.

    Args:
        function: f, a smooth function of a step.
        rounding: how far off each value of f is at most.

    Example:
        >>> found = extrapolated(np.exp, rounding=2.0**-52)
        >>> bool(abs(found.value - 1.0) <= found.uncertainty < 1e-9)
        True
    """
    steps = [LARGEST_STEP / 2**k for k in range(STEP_COUNT)]
    column = [Derivative((function(h) - function(-h)) / (2 * h), rounding / h) for h in steps]
    best = Derivative(column[0].value, float("inf"))
    for j in range(1, STEP_COUNT):
        finer = [_without_power(coarse, fine, 4.0**j - 1) for coarse, fine in pairwise(column)]
        for before, after in zip(column[1:], finer, strict=True):
            total = abs(after.value - before.value) + after.uncertainty
            best = min(best, Derivative(after.value, total), key=lambda derivative: derivative.uncertainty)
        column = finer
    return best


def _without_power(coarse: Derivative, fine: Derivative, weight: float) -> Derivative:
    value = ((weight + 1) * fine.value - coarse.value) / weight
    return Derivative(value, ((weight + 1) * fine.uncertainty + coarse.uncertainty) / weight)


def spread(model: Any, loss: Loss, moved: Callable[[float], dict[str, Array]], precision: Precision) -> float:
    """sigma of the derivative: of K perturbed specs, each differentiated with its own errors held fast.

    In float64 the perturbations would drown in the rounding of the differences, which are the whole budget there.
    """
    if precision.accumulation <= PRECISIONS["float64"].accumulation:
        return 0.0
    h = LARGEST_STEP / 2**STEP_COUNT
    named, table = symbols(model.head, model.config, **model.options), model.table

    def slope(draw: int) -> float:
        def value(step: float) -> float:
            rng = np.random.Generator(np.random.SFC64(draw))
            state = rounded_parameters(moved(step), table, precision, rng)
            return loss(state, rounding(named, model.config, precision, rng))

        return (value(h) - value(-h)) / (2 * h)

    clean = (loss(moved(h), silent) - loss(moved(-h), silent)) / (2 * h)
    return float(np.sqrt(np.mean([(slope(draw) - clean) ** 2 for draw in range(DRAWS)])))


# -- the comparison --------------------------------------------------------------------------------------------------


def compare_gradients(gradients: Mapping[str, Any], expected: Mapping[str, Slope]) -> list[Comparison]:
    """Hold gradients, HF's names -> arrays, against `slopes`. What is missing or of another shape does not pass."""
    return [_compared(name, gradients.get(name), slope) for name, slope in expected.items()]


def _compared(name: str, gradient: Any, slope: Slope) -> Comparison:
    if gradient is None:
        return Comparison(name, float("inf"), problem="the engine gave no gradient")
    if np.shape(gradient) != slope.direction.shape:
        problem = f"expected shape {slope.direction.shape}, got {np.shape(gradient)}"
        return Comparison(name, float("inf"), problem=problem)
    along = float(np.sum(np.asarray(gradient, np.float64) * slope.direction))
    if not np.isfinite(along):
        return Comparison(name, float("inf"), problem=f"{along} along a direction")
    error = abs(along - slope.derivative.value)
    return Comparison(name, error / slope.limit, error, (), error / slope.sigma if slope.sigma else 0.0)
