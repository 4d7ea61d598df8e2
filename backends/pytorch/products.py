"""Dense layers laid out for the processor once: y = x W' + b, by the fastest route that keeps float32's bits.

PyTorch's own `linear` calls MKL, which on some processors reaches half of what oneDNN does, and oneDNN is asked for it
only by way of private operators. So each route is tried with numbers before it is used, in this process, on this
processor: one that is missing, raises, or computes with fewer bits than it was given is passed over.
"""

from __future__ import annotations

from functools import cache
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F


class Dense:
    """One dense layer, and PyTorch's own product: the route that is always there.

    Attributes:
        weight: (out, in), laid out as the route wants it.
        bias: (out,).
        can_fuse: whether GELU, or a sum, costs nothing behind the product.
    """

    can_fuse: ClassVar[bool] = False

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        self.bias = bias.detach().clone()
        self.weight = self.laid_out(weight.detach())

    def laid_out(self, weight: Tensor) -> Tensor:
        """The weight as the product reads it; a copy, as the model's may change."""
        return weight.clone(memory_format=torch.contiguous_format)

    def plain(self) -> Tensor:
        """The weight as it was, (out, in)."""
        return self.weight

    def __call__(self, x: Tensor) -> Tensor:
        """(n, in) -> (n, out)."""
        return F.linear(x, self.weight, self.bias)

    def gelu(self, x: Tensor) -> Tensor:
        """The same with GELU behind it: (n, in) -> (n, out)."""
        return F.gelu(self(x), approximate="none")

    def plus(self, x: Tensor, other: Tensor) -> Tensor:
        """x W' + b + other: (n, in), (n, out) -> (n, out)."""
        return self(x).add_(other)

    @property
    def nbytes(self) -> int:
        """What it holds."""
        return self.weight.numel() * self.weight.element_size() + self.bias.nbytes

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as it was, and laid out anew: the other process may run on another processor."""
        return dense, (self.plain(), self.bias)


class Packed(Dense):
    """oneDNN's product, of a weight that lies in its own blocks.

    Source: the operators that PyTorch's Inductor uses for frozen weights; they are private.
    """

    can_fuse: ClassVar[bool] = True

    def laid_out(self, weight: Tensor) -> Tensor:
        """In oneDNN's blocks."""
        return torch.ops.mkldnn._reorder_linear_weight(weight.contiguous())

    def plain(self) -> Tensor:
        """Out of the blocks."""
        return self.weight.to_dense()

    def __call__(self, x: Tensor) -> Tensor:
        """(n, in) -> (n, out)."""
        return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], "")

    def gelu(self, x: Tensor) -> Tensor:
        """GELU behind it, before the product leaves the cache; "none" says that it is the exact one."""
        return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "gelu", [], "none")

    def plus(self, x: Tensor, other: Tensor) -> Tensor:
        """x W' + b + other, likewise."""
        return torch.ops.mkldnn._linear_pointwise.binary(x, other, self.weight, self.bias, "add")


#: Fastest first. (A 1 x 1 convolution, which is public, reaches oneDNN too: 5 to 15 % slower than `Packed` in batches,
#: and no faster than `Dense` for a short text.)
ROUTES: tuple[type[Dense], ...] = (Packed, Dense)


def dense(weight: Tensor, bias: Tensor) -> Dense:
    """A dense layer by the best route for its dtype and device.

    Args:
        weight: (out, in).
        bias: (out,).

    Example:
        >>> layer = dense(torch.eye(3)[:2], torch.tensor([0.0, 10.0]))
        >>> layer(torch.tensor([[1.0, 2.0, 3.0]]))
        tensor([[ 1., 12.]])
    """
    if weight.is_meta or weight.device.type != "cpu" or not weight.numel():
        return Dense(weight, bias)
    return best_route(weight.dtype)(weight, bias)


@cache
def best_route(dtype: torch.dtype) -> type[Dense]:
    """The first route that keeps the bits of a dtype on this processor."""
    return next(route for route in ROUTES if route is Dense or keeps_bits(route, dtype))


def keeps_bits(route: type[Dense], dtype: torch.dtype) -> bool:
    """Whether a route computes in a dtype, and not in a narrower one.

    Sums of K = 64 products in any order err by at most gamma_K = K u / (1 - K u) of sum |x| |w| (Higham 2002, 3.5). In
    float32 that is 2^-18; factors that are rounded to bfloat16 or TF32 on the way err by 2^-9 and 2^-12 each, and among
    thousands of sums some err by a tenth of that. A result in half precision is rounded once more when it is stored.

    Args:
        route: which one.
        dtype: of weights and inputs.
    """
    u = torch.finfo(dtype).eps / 2
    generator = torch.Generator().manual_seed(0)
    depth, size = 64, 96
    weight, bias = (torch.randn(*shape, generator=generator).to(dtype) for shape in ((size, depth), (size,)))
    gamma = (depth + 1) * torch.finfo(torch.float32).eps / 2 if u > 2**-24 else (depth + 1) * u
    try:
        layer = route(weight, bias)
        for rows in (1, 5, 16, 129):
            x, other = (torch.randn(rows, count, generator=generator).to(dtype) for count in (depth, size))
            wide = [part.double() for part in (x, weight, bias, other)]
            truth = F.linear(wide[0], wide[1], wide[2])  # n out
            room = gamma * F.linear(wide[0].abs(), wide[1].abs(), wide[2].abs()) + 2 * u * (truth.abs() + 1e-3)
            slope = 1.13  # of gelu, at most; and it and the sum round once more
            if not (
                _is_within(layer(x), truth, room)
                and _is_within(layer.gelu(x), F.gelu(truth), slope * room + 8 * u * (F.gelu(truth).abs() + 1))
                and _is_within(layer.plus(x, other), truth + wide[3], room + 2 * u * (truth + wide[3]).abs())
            ):
                return False
    except (RuntimeError, AttributeError, NotImplementedError):  # no such operator, or not for this dtype
        return False
    return True


def _is_within(found: Tensor, truth: Tensor, room: Tensor) -> bool:
    return bool(((found.double() - truth).abs() <= room).all())
