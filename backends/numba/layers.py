"""The layers of `reference/layers.py`, by kernels. A dense layer is `Packed`, where the spec has weight and bias."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...reference import kernels, layers
from ...reference.layers import Array
from ...reference.taps import Tap, silent
from .kernels import Kernel, run
from .tiles import Packed, shares

Activated = Callable[[Array, Packed, Tap], Array]


def linear(x: Array, panels: Array, bias: Array, size: int, finish: Kernel = kernels.keep) -> Array:
    """The dense layer, y = x W' + b, and where `finish` is an activation's kernel, the activation of y."""
    rows = np.ascontiguousarray(x).reshape(-1, x.shape[-1])  # n in
    out = np.empty((len(rows), size), x.dtype)  # n out
    run(kernels.linear, rows, panels, bias, *shares(len(rows)), out, finish=finish)
    return out.reshape(*x.shape[:-1], -1)  # … out


def layer_norm(x: Array, weight: Array, bias: Array, eps: float, tap: Tap = silent) -> Array:
    """(x - mean) / sqrt(variance + eps) * weight + bias, with the biased variance in two passes."""
    rows = x.reshape(-1, x.shape[-1])  # n D
    out = np.empty_like(rows)  # n D
    run(kernels.layer_norm, rows, weight, bias, x.dtype.type(eps), out)
    return tap("output", out.reshape(x.shape))  # … D


# -- activations ---------------------------------------------------------------------------------------------------


def gelu(x: Array, tap: Tap = silent) -> Array:
    """x Phi(x), where the dense layer before it has gone its own way."""
    return run(kernels.gelu, x.reshape(-1, x.shape[-1]).copy()).reshape(x.shape)  # … D


def _fused(kernel: Kernel) -> Activated:
    """A dense layer, and an activation that has a kernel: while a tile of the product is at hand."""
    return lambda x, dense, tap=silent: linear(x, **dense, finish=kernel)


def _plain(activation: layers.Activation) -> Activated:
    """A dense layer, and an activation that is the spec's."""
    return lambda x, dense, tap=silent: activation(linear(x, **dense), tap)


FUSED: dict[layers.Activation, Kernel] = {
    layers.gelu: kernels.gelu,
    layers.gelu_new: kernels.gelu_new,
    layers.relu: kernels.relu,
    layers.silu: kernels.silu,
}
#: Names that `config.hidden_act` may have -> a dense layer and its activation, (x, dense, tap).
ACTIVATIONS: dict[str, Activated] = {
    name: _fused(FUSED[activation]) if activation in FUSED else _plain(activation)
    for name, activation in layers.ACTIVATIONS.items()
}
