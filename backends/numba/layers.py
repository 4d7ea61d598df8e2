"""The layers of `reference/layers.py`, by kernels. A dense layer is `Packed`, where the spec has weight and bias."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...reference import layers
from ...reference.layers import Array
from ...reference.taps import Tap, is_asked_for, silent
from . import kernels
from .tiles import Packed, shares

Kernel = Callable[..., Array]
#: (x, dense, tap, out) -> the activated.
Activated = Callable[[Array, Packed, Tap, Array | None], Array]


def linear(
    x: Array, panels: Array, bias: Array, size: int, kernel: Kernel = kernels.linear, out: Array | None = None
) -> Array:
    """The dense layer, y = x W' + b, and the activation that the kernel has; into `out`, (n, out), if it is given."""
    shape = x.shape
    rows = np.ascontiguousarray(x).reshape(-1, shape[-1])  # n in
    out = np.empty((len(rows), size), x.dtype) if out is None else out  # n out
    return kernel(rows, panels, bias, *shares(len(rows)), out).reshape(*shape[:-1], size)  # … out


def layer_norm(x: Array, weight: Array, bias: Array, eps: float, tap: Tap = silent) -> Array:
    """(x - mean) / sqrt(variance + eps) * weight + bias, with the biased variance in two passes."""
    if is_asked_for(tap, "mean", "variance", "normalized"):
        return layers.layer_norm(x, weight, bias, eps, tap)  # … D
    rows = x.reshape(-1, x.shape[-1])  # n D
    out = kernels.layer_norm(rows, weight, bias, x.dtype.type(eps), np.empty_like(rows))  # n D
    return tap("output", out.reshape(x.shape))  # … D


# -- activations ---------------------------------------------------------------------------------------------------


def gelu(x: Array, tap: Tap = silent) -> Array:
    """x Phi(x), where the dense layer before it has gone its own way."""
    if is_asked_for(tap, "erf"):
        return layers.gelu(x, tap)  # … D
    rows = x.reshape(-1, x.shape[-1])  # n D
    return kernels.gelu(rows, np.empty_like(rows)).reshape(x.shape)  # … D


def _fused(kernel: Kernel, activation: layers.Activation) -> Activated:
    """A dense layer with an activation that has a kernel; apart, where somebody has to have what is between them."""
    apart = _plain(activation)

    def run(x: Array, dense: Packed, tap: Tap = silent, out: Array | None = None) -> Array:
        if is_asked_for(tap, "dense", "erf"):
            return apart(x, dense, tap, out)
        return linear(x, **dense, kernel=kernel, out=out)

    return run


def _plain(activation: layers.Activation) -> Activated:
    """A dense layer, and an activation that is the spec's."""
    return lambda x, dense, tap=silent, out=None: activation(tap("dense", linear(x, **dense, out=out)), tap)


FUSED: dict[layers.Activation, Kernel] = {
    layers.gelu: kernels.linear_gelu,
    layers.gelu_new: kernels.linear_gelu_new,
    layers.relu: kernels.linear_relu,
    layers.silu: kernels.linear_silu,
}
#: Names that `config.hidden_act` may have -> a dense layer and its activation.
ACTIVATIONS: dict[str, Activated] = {
    name: _fused(FUSED[activation], activation) if activation in FUSED else _plain(activation)
    for name, activation in layers.ACTIVATIONS.items()
}
