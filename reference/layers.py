"""The layers: one equation each. Everything computes in the dtype of its input, float32 or float64."""

from __future__ import annotations

from collections.abc import Callable
from math import pi, sqrt
from typing import Any

import numpy as np

from .special import erf, expit
from .taps import Tap, silent

Array = np.ndarray[tuple[int, ...], np.dtype[np.floating[Any]]]
Activation = Callable[[Array, Tap], Array]
Dropout = Callable[[Array, float], Array]


def linear(x: Array, weight: Array, bias: Array) -> Array:
    """The dense layer, y = x W' + b.

    Args:
        x: (…, in).
        weight: (out, in), as the checkpoint stores it.
        bias: (out,).

    Returns:
        (…, out), in the dtype of x.

    Example:
        >>> linear(np.array([1.0, 2.0]), np.array([[3.0, 4.0]]), np.array([5.0]))
        array([16.])
    """
    return x @ weight.T + bias  # … out


def layer_norm(x: Array, weight: Array, bias: Array, eps: float, tap: Tap = silent) -> Array:
    """Layer normalisation over the last axis (Ba, Kiros and Hinton, 2016).

    Equation: (x - mean) / sqrt(variance + eps) * weight + bias, with the biased variance in two passes.

    Args:
        x: (…, D).
        weight: (D,), the gain.
        bias: (D,).
        eps: added to the variance, inside the square root.
        tap: see `taps`.

    Returns:
        (…, D), in the dtype of x.

    Example:
        >>> layer_norm(np.array([1.0, 3.0]), np.ones(2), np.zeros(2), eps=0.0)
        array([-1.,  1.])
    """
    mean = tap("mean", x.mean(-1, keepdims=True))  # … 1
    variance = tap("variance", ((x - mean) ** 2).mean(-1, keepdims=True))  # … 1
    normalized = tap("normalized", (x - mean) / np.sqrt(variance + eps))  # … D
    return tap("output", normalized * weight + bias)  # … D


def softmax(scores: Array) -> Array:
    """The softmax over the last axis, exp(s) / sum exp(s), shifted by the largest score so that nothing overflows.

    Example:
        >>> softmax(np.array([1000.0, 1000.0]))
        array([0.5, 0.5])
    """
    weights = np.exp(scores - scores.max(-1, keepdims=True))  # … S
    return weights / weights.sum(-1, keepdims=True)  # … S


def dropout(rng: np.random.Generator | None) -> Dropout:
    """Inverted dropout (Srivastava et al., 2014) with an explicit generator; without one, the identity.

    Equation: x / (1 - rate) where a uniform draw is at least `rate`, else 0.

    Args:
        rng: draws one number per element; None outside training.

    Returns:
        A function (x, rate) -> array of the shape and dtype of x.

    Example:
        >>> dropout(np.random.default_rng(0))(np.ones(4), 0.5)
        array([2., 0., 0., 0.])
        >>> dropout(None)(np.ones(2), 0.5)
        array([1., 1.])
    """
    if rng is None:
        return keep_all

    def drop(x: Array, rate: float) -> Array:
        is_kept = np.greater_equal(rng.random(x.shape), rate)
        return x * is_kept.astype(x.dtype) / max(1.0 - rate, 1e-30)

    return drop


def keep_all(x: Array, rate: float) -> Array:
    """Dropout outside training."""
    return x


# -- activations ---------------------------------------------------------------------------------------------------
# `erf` keeps float32 and float64 apart: see `special`. Python floats do not promote an array (NumPy 2, NEP 50).


def gelu(x: Array, tap: Tap = silent) -> Array:
    """The exact Gaussian error linear unit, x Phi(x) (Hendrycks and Gimpel, 2016).

    Example:
        >>> gelu(np.array([-1.0, 0.0, 1.0])).round(4)
        array([-0.1587,  0.    ,  0.8413])
    """
    error_function = tap("erf", erf(x / sqrt(2.0)))
    return 0.5 * x * (1.0 + error_function)


def gelu_new(x: Array, tap: Tap = silent) -> Array:
    """The tanh approximation of `gelu`. Off by up to 5e-4, so never a stand-in for it."""
    return 0.5 * x * (1.0 + np.tanh(sqrt(2.0 / pi) * (x + 0.044715 * x**3)))


def relu(x: Array, tap: Tap = silent) -> Array:
    """max(x, 0)."""
    return np.maximum(x, 0)


def silu(x: Array, tap: Tap = silent) -> Array:
    """x sigmoid(x), also called swish."""
    return x * expit(x)


def tanh(x: Array, tap: Tap = silent) -> Array:
    """The hyperbolic tangent."""
    return np.tanh(x)


#: Names that `config.hidden_act` may have. Names that HF gives to one and the same function share it.
ACTIVATIONS: dict[str, Activation] = {
    "gelu": gelu,
    "gelu_new": gelu_new,
    "relu": relu,
    "silu": silu,
    "tanh": tanh,
    "swish": silu,
    "gelu_pytorch_tanh": gelu_new,
    "gelu_python": gelu,
    "gelu_accurate": gelu_new,
    "gelu_fast": lambda x, tap=silent: 0.5 * x * (1.0 + np.tanh(0.7978845608 * x * (1.0 + 0.044715 * x * x))),
    "gelu_10": lambda x, tap=silent: np.clip(gelu(x, tap), -10.0, 10.0),
    "quick_gelu": lambda x, tap=silent: x * expit(1.702 * x),
    "sigmoid": lambda x, tap=silent: expit(x),
    "mish": lambda x, tap=silent: x * np.tanh(np.logaddexp(x, 0)),
    "relu2": lambda x, tap=silent: np.maximum(x, 0) ** 2,
    "relu6": lambda x, tap=silent: np.clip(x, 0, 6),
    "leaky_relu": lambda x, tap=silent: np.where(x >= 0, x, 0.01 * x),
    "linear": lambda x, tap=silent: x,
}
