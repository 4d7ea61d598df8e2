"""Dense layers laid out for the processor once: y = x W' + b, by the fastest route that keeps float32's bits.

PyTorch's own `linear` calls MKL, which on some processors reaches half of what oneDNN does, and oneDNN is asked for it
only by way of private operators. So each route is tried with numbers before it is used, in this process, on this
processor: one that is missing, raises, or computes with fewer bits than it was given is passed over.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

#: dtype -> p: so many bits its numbers have.
BITS = {torch.float64: 53, torch.float32: 24, torch.bfloat16: 8, torch.float16: 11}
#: So many bits a sum has, in single and half precision.
SUM_BITS = 24
#: (n, K, N) of the products that are tried: few and many rows, short and long sums, sizes that no block divides.
TRIED = ((1, 64, 48), (16, 768, 96), (37, 3072, 31), (300, 129, 64))


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
    """Whether a route computes in a dtype to the last bit, and not in a narrower one.

    It is asked for products that no order of summation can make inexact: of whole numbers, scaled by a power of two,
    whose partial sums all have at most p bits. So its answer is compared exactly, whatever p, K and the blocks are:
    factors that are rounded to bfloat16 or TF32 on the way, or are split in too few parts, and narrow sums all show.
    GELU nobody computes exactly. With an error function within 4 units in the last place, as vector libraries state
    theirs, one rounding of 1 + erf <= 2 and one each of two products it errs by at most

        |x| / 2 (8 u + 2 u) + 2 u |x| = 7 u |x|.

    Args:
        route: which one.
        dtype: of weights and inputs.
    """
    try:
        is_exact = all(_is_exact(route, *case) for case in _known_products(dtype))
        return is_exact and _has_gelu(route, dtype)
    except (RuntimeError, AttributeError, NotImplementedError):  # no such operator, or not for this dtype
        return False


def _known_products(dtype: torch.dtype) -> Iterator[tuple[Tensor, ...]]:
    """x, W, b and what is added: numbers of p - 2 bits in sums of two products, then shorter ones in sums of all K."""
    generator = torch.Generator().manual_seed(0)
    p = BITS[dtype]

    def whole(bits: int, *shape: int) -> Tensor:
        bound = 2**bits
        numbers = torch.randint(1 - bound, bound, shape, generator=generator, dtype=torch.int64)
        return (numbers.double() / bound).to(dtype)

    def signs(*shape: int) -> Tensor:
        return torch.randint(2, shape, generator=generator).double().mul(2).sub(1).to(dtype)

    def two_of(rows: int, count: int) -> Tensor:
        places = torch.rand(rows, count, generator=generator).topk(2).indices  # rows 2
        return torch.zeros(rows, count, dtype=dtype).scatter_(1, places, signs(rows, 2))

    for n, K, N in TRIED:
        bias, other = whole(p - 2, N), whole(p - 2, n, N)
        yield whole(p - 2, n, K), two_of(N, K), bias, other
        yield two_of(n, K), whole(p - 2, N, K), bias, other
        short = min(p, SUM_BITS - (K + 2).bit_length())
        yield whole(short, n, K), signs(N, K), whole(short, N), whole(short, n, N)


def _is_exact(route: type[Dense], x: Tensor, weight: Tensor, bias: Tensor, other: Tensor) -> bool:
    wide = F.linear(x.double(), weight.double(), bias.double())  # n N: exact
    layer, product = route(weight, bias), wide.to(x.dtype)
    added = layer.plus(x, other)  # n N
    once, twice = (wide + other.double()).to(x.dtype), product + other  # half precision may store the product first
    is_added = bool(((added == once) | (added == twice)).all())
    return is_added and torch.equal(layer(x), product) and torch.equal(layer.plain(), weight)


def _has_gelu(route: type[Dense], dtype: torch.dtype) -> bool:
    u = 2.0 ** -BITS[dtype]
    x = torch.linspace(-12.0, 12.0, 64 * 64).reshape(64, 64).to(dtype)
    found = route(torch.eye(64, dtype=dtype), torch.zeros(64, dtype=dtype)).gelu(x)
    error = (found.double() - F.gelu(x.double(), approximate="none")).abs()  # 64 64
    return bool((error <= 7 * u * x.double().abs()).all())
