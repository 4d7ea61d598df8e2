"""Error budgets, derived: how far from the truth an honest engine of a given precision may be, element by element.

The truth is the spec in float64. The budget comes from running it again, K times, with rounding errors put in where the
arithmetic of a lower precision would make them: independent, relative, uniform, with the standard deviation d of one
rounding: 0.42 u, u the unit roundoff.

* Every tap is rounded: relative error d.
* A sum of n products is as if each factor were wrong by sqrt(n) d (the probabilistic backward error of Higham and
  Mary, 2019). So each weight of a dense layer gets sqrt(n) d with n its fan-in; of a product of two activations, the
  factor that the table of taps names gets it (`taps.Symbol.terms`).
* The spread of the K results is sigma, with the conditioning of this very model on this very input inside it.

An element passes if its distance from the truth is at most t sqrt(sigma^2 + mean of sigma^2 over its row). The mean
over the row stands in where K draws happened to be too quiet; t is Student's quantile for K degrees of freedom at the
declared false-alarm rate, shared out over all elements. Nothing here is tuned by hand.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from scipy.special import stdtrit

from ..reference.config import RobertaConfig
from ..reference.layers import Array
from ..reference.outputs import Output, to_numpy
from ..reference.parameters import Parameter
from ..reference.taps import Symbol, Tap, silent, symbols
from ..reference.weights import nest

#: Standard deviation of one rounding to nearest, in u. The error is uniform within half a unit in the last place, that
#: is within u / m relative to a number of mantissa m in [1, 2), and mantissas are log-uniform (Benford), so its
#: variance is u^2 / 3 times the mean of m^-2, which is 3 / (8 ln 2).
ONE_ROUNDING = math.sqrt(1.0 / (8.0 * math.log(2.0)))
#: K, the number of perturbed runs.
DRAWS = 24
#: The probability that an honest engine is refused in one comparison of one output, by the model above.
FALSE_ALARM_RATE = 1e-9


@dataclass(frozen=True)
class Precision:
    """An arithmetic.

    Attributes:
        name: as in `dtype=`.
        storage: u of stored values: half the distance from 1 to the next number.
        accumulation: u in which sums are formed; matrix units sum half-precision products in float32.
        smallest: the smallest normal number: below it values may be flushed to zero.
    """

    name: str
    storage: float
    accumulation: float
    smallest: float


PRECISIONS: Mapping[str, Precision] = {
    "float64": Precision("float64", 2.0**-53, 2.0**-53, 2.0**-1022),
    "float32": Precision("float32", 2.0**-24, 2.0**-24, 2.0**-126),
    "tfloat32": Precision("tfloat32", 2.0**-11, 2.0**-24, 2.0**-126),
    "bfloat16": Precision("bfloat16", 2.0**-8, 2.0**-24, 2.0**-126),
    "float16": Precision("float16", 2.0**-11, 2.0**-24, 2.0**-14),
}


@dataclass(frozen=True)
class Budget:
    """Truth and permitted error of one array.

    Attributes:
        truth: the spec's float64 value.
        sigma: the standard deviation that the arithmetic may cause, elementwise.
        limit: the largest permitted distance from the truth, elementwise.
    """

    truth: Array
    sigma: Array
    limit: Array


def quantile(count: int, draws: int = DRAWS, rate: float = FALSE_ALARM_RATE) -> float:
    """t: how many estimated standard deviations no honest element of `count` exceeds, at the false-alarm rate.

    Example:
        >>> round(quantile(1, draws=1000, rate=0.05), 2)
        1.96
    """
    return float(-stdtrit(draws, rate / (2 * max(count, 1))))


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
    precision = PRECISIONS[dtype]
    truth, true_taps = _run(model, inputs, silent)
    squares = {name: np.zeros_like(value) for name, value in {**truth, **true_taps}.items()}
    parameters, rng = model.parameters, np.random.Generator(np.random.SFC64(seed))
    named = symbols(model.head, model.config, **model.options)
    try:
        for _ in range(draws):
            model.parameters = nest(rounded_parameters(model.state_dict_numpy(), model.table, precision, rng))
            outputs, taps = _run(model, inputs, rounding(named, model.config, precision, rng))
            for name, value in {**outputs, **taps}.items():
                squares[name] += (value - {**truth, **true_taps}[name]) ** 2
            model.parameters = parameters
    finally:
        model.parameters = parameters
    own = _truths_own_error(precision)
    deviations = {name: np.sqrt(total / draws * (1.0 + own)) for name, total in squares.items()}
    if "loss" in truth:
        deviations["loss"] = np.hypot(deviations["loss"], _loss_rounding(model, truth, inputs, precision))
    return tuple(  # pyright: ignore[reportReturnType]
        {name: permitted(value, deviations[name], precision, draws) for name, value in values.items()}
        for values in (truth, true_taps)
    )


def permitted(truth: Array, sigma: Array, precision: Precision, draws: int = DRAWS) -> Budget:
    """From the spread to the limit: t sqrt(sigma^2 + row mean of sigma^2), and what may be lost to underflow."""
    variance = np.asarray(sigma, np.float64) ** 2
    row = variance.mean(-1, keepdims=True) if variance.ndim else variance
    limit = quantile(variance.size, draws) * np.sqrt(variance + row) + precision.smallest
    return Budget(np.asarray(truth), np.asarray(sigma), limit)


def rounded_parameters(
    state: Mapping[str, Array], table: Mapping[str, Parameter], precision: Precision, rng: np.random.Generator
) -> dict[str, Array]:
    """The parameters with the rounding errors of the sums that they are factors in."""
    return {name: _rounded(value, _parameter_error(table[name], precision), rng) for name, value in state.items()}


def _parameter_error(parameter: Parameter, precision: Precision) -> float:
    is_dense = len(parameter.shape) == 2 and not parameter.name.endswith("embeddings.weight")
    return relative_error(precision, parameter.shape[1] if is_dense else 1)


def relative_error(precision: Precision, terms: int) -> float:
    """The standard deviation of a factor's relative error in a sum of n terms: 0.42 sqrt(u_storage^2 + n u_sums^2).

    Example:
        >>> relative_error(PRECISIONS["float32"], 3) / (ONE_ROUNDING * 2**-24)
        2.0
    """
    return ONE_ROUNDING * math.sqrt(precision.storage**2 + terms * precision.accumulation**2)


def rounding(named: Mapping[str, Symbol], config: RobertaConfig, precision: Precision, rng: np.random.Generator) -> Tap:
    """A tap that rounds: every value is multiplied by 1 + error."""

    def perturb(name: str, value: Array) -> Array:
        return _rounded(value, relative_error(precision, _terms(named[name], value, config)), rng)

    return perturb


def _terms(symbol: Symbol, value: Array, config: RobertaConfig) -> int:
    sizes = {"D": config.hidden_size, "K": config.head_size, "S": value.shape[-1], "E": value.shape[-1]}
    return 1 if symbol.terms is None else sizes[symbol.terms]


def _rounded(value: Array, deviation: float, rng: np.random.Generator) -> Array:
    """value (1 + error), the error uniform, as rounding errors are, with this standard deviation.

    Drawn in float32, which is twice as fast as in float64: noise needs no more digits.
    """
    error = rng.random(np.shape(value), np.float32)
    error -= 0.5
    error *= deviation * math.sqrt(12.0)
    return value + value * error


def _truths_own_error(precision: Precision) -> float:
    """The truth is rounded too: by float64, which counts only where that is what is compared."""
    return (PRECISIONS["float64"].accumulation / precision.accumulation) ** 2


def _loss_rounding(model: Any, truth: Mapping[str, Array], inputs: Mapping[str, Any], precision: Precision) -> float:
    """What the loss adds: a sum of C exponentials (an absolute error of its logarithm), and a mean of n terms."""
    logits = truth.get("logits", truth.get("start_logits"))
    classes = 1 if logits is None else logits.shape[-1]
    terms = 1 if logits is None else max(logits.size // classes, 1)
    return relative_error(precision, classes) + relative_error(precision, terms) * abs(float(truth["loss"]))


def _run(model: Any, inputs: Mapping[str, Any], tap: Tap) -> tuple[dict[str, Array], dict[str, Array]]:
    """One call with a tap in it: flat outputs, and the values that left the taps."""
    taps: dict[str, Array] = {}

    def keep(name: str, value: Array) -> Array:
        taps[name] = tap(name, value)
        return taps[name]

    output = model._call((), inputs, keep)
    return flat_outputs(output), taps


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
