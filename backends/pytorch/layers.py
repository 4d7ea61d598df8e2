"""The layers of `reference/layers.py` on PyTorch, with everything that PyTorch would choose by default said aloud."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...reference.taps import Tap, is_asked_for, silent

Activation = Callable[[Tensor, Tap], Tensor]


class Part(nn.Module):
    """A module that states its quantities to a tap. It is called with its tensors, and is silent then."""

    def hear(self, part: nn.Module, tap: Tap, *values: Any, **context: Any) -> Any:
        """Call a part of this one. The tap goes along only where somebody listens, and only to a `Part`.

        So hooks see the tensors alone, and a module of anybody's may stand in a part's place.
        """
        if tap is silent or not isinstance(part, Part):
            return part(*values, **context)
        return part(*values, **context, tap=tap)


def linear(in_size: int, out_size: int) -> nn.Linear:
    """y = x W' + b, without numbers yet: `weights` puts them there."""
    return nn.Linear(in_size, out_size, bias=True, device="meta")


def embedding(row_count: int, width: int, padding_idx: int | None = None) -> nn.Embedding:
    """A table whose rows are looked up, without numbers yet. The row of padding gets no gradient."""
    table = torch.empty(row_count, width, device="meta")
    return nn.Embedding.from_pretrained(table, freeze=False, padding_idx=padding_idx)


class LayerNorm(Part, nn.LayerNorm):
    """(x - mean) / sqrt(variance + eps) * weight + bias, biased variance. PyTorch's own eps would be 1e-5."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__(size, eps=eps, device="meta")

    def forward(self, input: Tensor, tap: Tap = silent) -> Tensor:
        """(…, D) -> (…, D), by one fused kernel; step by step where somebody has to have what is inside."""
        if not is_asked_for(tap, "mean", "variance", "normalized"):
            return tap("output", super().forward(input))  # … D
        wide = widened(input)  # … D
        mean = tap("mean", wide.mean(-1, keepdim=True))  # … 1
        variance = tap("variance", ((wide - mean) ** 2).mean(-1, keepdim=True))  # … 1
        normalized = tap("normalized", (wide - mean) / torch.sqrt(variance + self.eps))  # … D
        return tap("output", (normalized * self.weight + self.bias).to(input.dtype))  # … D


def widened(x: Tensor) -> Tensor:
    """Half precision as float32, in which PyTorch's kernels compute too."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def softmax(scores: Tensor) -> Tensor:
    """The softmax over the last axis."""
    return scores.softmax(-1)


def dropout(rate: float) -> nn.Dropout:
    """Inverted dropout, active in training mode."""
    return nn.Dropout(rate)


# -- activations ---------------------------------------------------------------------------------------------------


def gelu(x: Tensor, tap: Tap = silent) -> Tensor:
    """x Phi(x), the exact one, by one fused kernel; step by step where somebody has to have the error function."""
    if not is_asked_for(tap, "erf"):
        return F.gelu(x, approximate="none")
    wide = widened(x)
    error_function = tap("erf", torch.erf(wide / sqrt(2.0)))
    return (0.5 * wide * (1.0 + error_function)).to(x.dtype)


def gelu_new(x: Tensor, tap: Tap = silent) -> Tensor:
    """The tanh approximation of `gelu`."""
    return F.gelu(x, approximate="tanh")


def relu(x: Tensor, tap: Tap = silent) -> Tensor:
    """max(x, 0)."""
    return F.relu(x)


def silu(x: Tensor, tap: Tap = silent) -> Tensor:
    """x sigmoid(x)."""
    return F.silu(x)


def tanh(x: Tensor, tap: Tap = silent) -> Tensor:
    """The hyperbolic tangent."""
    return torch.tanh(x)


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
    "gelu_fast": lambda x, tap=silent: 0.5 * x * (1.0 + torch.tanh(0.7978845608 * x * (1.0 + 0.044715 * x * x))),
    "gelu_10": lambda x, tap=silent: gelu(x, tap).clamp(-10.0, 10.0),
    "quick_gelu": lambda x, tap=silent: x * torch.sigmoid(1.702 * x),
    "sigmoid": lambda x, tap=silent: torch.sigmoid(x),
    "mish": lambda x, tap=silent: F.mish(x),
    "relu2": lambda x, tap=silent: F.relu(x) ** 2,
    "relu6": lambda x, tap=silent: F.relu6(x),
    "leaky_relu": lambda x, tap=silent: F.leaky_relu(x, negative_slope=0.01),
    "linear": lambda x, tap=silent: x,
}
