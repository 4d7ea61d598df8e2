"""The layers of `reference/layers.py` on PyTorch, with everything that PyTorch would choose by default said aloud."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Activation = Callable[[Tensor], Tensor]


def linear(in_size: int, out_size: int) -> nn.Linear:
    """y = x W' + b."""
    return nn.Linear(in_size, out_size, bias=True)


def layer_norm(size: int, eps: float) -> nn.LayerNorm:
    """(x - mean) / sqrt(variance + eps) * weight + bias, biased variance. PyTorch's own eps would be 1e-5."""
    return nn.LayerNorm(size, eps=eps)


def softmax(scores: Tensor) -> Tensor:
    """The softmax over the last axis."""
    return scores.softmax(-1)


def dropout(rate: float) -> nn.Dropout:
    """Inverted dropout, active in training mode."""
    return nn.Dropout(rate)


# -- activations ---------------------------------------------------------------------------------------------------

ACTIVATIONS: dict[str, Activation] = {
    "gelu": partial(F.gelu, approximate="none"),
    "gelu_new": partial(F.gelu, approximate="tanh"),
    "relu": F.relu,
    "silu": F.silu,
    "tanh": torch.tanh,
    "swish": F.silu,
    "gelu_pytorch_tanh": partial(F.gelu, approximate="tanh"),
    "gelu_python": partial(F.gelu, approximate="none"),
    "gelu_accurate": partial(F.gelu, approximate="tanh"),
    "gelu_fast": lambda x: 0.5 * x * (1.0 + torch.tanh(0.7978845608 * x * (1.0 + 0.044715 * x * x))),
    "gelu_10": lambda x: F.gelu(x, approximate="none").clamp(-10.0, 10.0),
    "quick_gelu": lambda x: x * torch.sigmoid(1.702 * x),
    "sigmoid": torch.sigmoid,
    "mish": F.mish,
    "relu2": lambda x: F.relu(x) ** 2,
    "relu6": F.relu6,
    "leaky_relu": partial(F.leaky_relu, negative_slope=0.01),
    "linear": lambda x: x,
}
