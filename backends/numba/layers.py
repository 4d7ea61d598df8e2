"""The layers of `reference/layers.py`: BLAS multiplies, a kernel does what comes after."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...reference import kernels, layers
from ...reference.layers import Array
from ...reference.taps import Tap, silent
from .kernels import run

Activation = Callable[[Array, Array, Tap], Array]


def product(x: Array, weight: Array) -> Array:
    """x W': (…, in) and (out, in) -> (n, out), with all axes but the last in one."""
    return np.matmul(x.reshape(-1, x.shape[-1]), weight.T)  # n out


def linear(x: Array, weight: Array, bias: Array) -> Array:
    """The dense layer, y = x W' + b."""
    dense = product(x, weight)  # n out
    return run(kernels.add_bias, dense, bias, dense).reshape(*x.shape[:-1], -1)  # … out


def layer_norm(x: Array, weight: Array, bias: Array, eps: float) -> Array:
    """(x - mean) / sqrt(variance + eps) * weight + bias, with the biased variance in two passes."""
    rows = x.reshape(-1, x.shape[-1])  # n D
    out = np.empty_like(rows)  # n D
    return run(kernels.layer_norm, rows, weight, bias, x.dtype.type(eps), out).reshape(x.shape)  # … D


# -- activations ---------------------------------------------------------------------------------------------------
# They take a product and its bias, and overwrite the product.


def _fused(kernel: Callable[..., None]) -> Activation:
    """An activation that has a kernel."""
    return lambda dense, bias, tap=silent: run(kernel, dense, bias, dense)


def _plain(activation: layers.Activation) -> Activation:
    """An activation that is the spec's."""
    return lambda dense, bias, tap=silent: activation(run(kernels.add_bias, dense, bias, dense), tap)


FUSED: dict[layers.Activation, Callable[..., None]] = {
    layers.gelu: kernels.gelu,
    layers.gelu_new: kernels.gelu_new,
    layers.relu: kernels.relu,
    layers.silu: kernels.silu,
}
#: Names that `config.hidden_act` may have -> activation(product, bias, tap).
ACTIVATIONS: dict[str, Activation] = {
    name: _fused(FUSED[activation]) if activation in FUSED else _plain(activation)
    for name, activation in layers.ACTIVATIONS.items()
}
