"""Rounding noise on factors, for derivatives: what multiplies stands in the chain rule as it stands in the value.

`arithmetic` adds the error of a sum to its result, which is where it arises; but what is added has no derivative, while
a gradient errs as much as the value does. So here each factor of a sum of n products is off by sqrt(n) roundings (the
probabilistic backward error of Higham and Mary, 2019): each weight of a dense layer, with n its fan-in; of a product of
two activations the factor that the table of taps names (`taps.Symbol.terms`); and every tap by one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from ..reference.config import RobertaConfig
from ..reference.layers import Array
from ..reference.parameters import Parameter
from ..reference.taps import Symbol, Tap
from .arithmetic import ONE_ROUNDING, Precision


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
        >>> from roberta.parity.arithmetic import PRECISIONS
        >>> relative_error(PRECISIONS["float32"], 3) / (ONE_ROUNDING * 2**-24)
        2.0
    """
    stored = max(precision.storage, precision.factors)
    return ONE_ROUNDING * math.sqrt(stored**2 + terms * precision.accumulation**2)


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
