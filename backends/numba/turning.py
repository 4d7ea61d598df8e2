"""Arrays turned over, block by block in vector registers: what a tile multiplies lies in the order of its use.

So many rows of a block as a register has numbers, or as a tile has rows, are loaded, and shuffled until the first
numbers of all stand side by side, then the second ones, and so on. Number by number it would take as long as a sixth of
attention's products.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic

from ...reference.layers import Array
from .compiler import inner
from .tiles import ROWS, VECTORS, Registers, arrays_of, columns


@inner
def packed(x: Array, width: int) -> Array:
    """One side of a product, so many rows of it side by side: (N, K) -> (N / width, K, width)."""
    panels = np.zeros(((x.shape[0] + width - 1) // width, x.shape[1], width), x.dtype)
    for p in range(panels.shape[0]):
        transpose(x[p * width : (p + 1) * width], panels[p])
    return panels


@inner
def cut(x: Array, width: int) -> Array:
    """`packed` of x.T: so many columns side by side, (N, K) -> (K / width, N, width)."""
    panels = np.zeros(((x.shape[1] + width - 1) // width, x.shape[0], width), x.dtype)
    for n in range(x.shape[0]):
        for k in range(x.shape[1]):
            panels[k // width, n, k % width] = x[n, k]
    return panels


@inner
def transpose(x: Array, out: Array) -> None:
    """out[:K, :N] = x.T, of x (N, K)."""
    N, K = x.shape
    lanes = columns(x.dtype) // VECTORS
    is_dense = x.strides[1] == x.itemsize and out.strides[1] == out.itemsize
    n = 0
    while n < N:
        count = lanes if N - n >= lanes else ROWS if N - n >= ROWS else 1
        whole = K - K % lanes if is_dense and count > 1 else 0
        for k in range(0, whole, lanes):
            if count == lanes:
                turn_lanes(x, n, k, out)
            else:
                turn_rows(x, n, k, out)
        for k in range(whole, K):
            for r in range(count):
                out[k, n + r] = x[n + r, k]
        n += count


# -- a block -----------------------------------------------------------------------------------------------------------


def _turn_types(count: int | None) -> Callable[..., Any]:
    """What numbers of these types are made of."""

    def types(_context: Any, x: Any, n: Any, k: Any, out: Any) -> tuple[Any, Callable[..., Any]]:
        return numba.void(x, n, k, out), partial(_turn_code, count)

    return types


#: turn_rows(x, n, k, out): out[k + j, n + r] = x[n + r, k + j] for as many r as a tile has rows, and as many j as a
#: register has lanes; and for as many r.
turn_rows: Any = intrinsic(_turn_types(ROWS))
turn_lanes: Any = intrinsic(_turn_types(None))


def _turn_code(given: int | None, context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """Its instructions: registers of rows, turned over, and written down piece by piece."""
    x, n, k, out = arrays_of(context, builder, signature, arguments)
    code, index = Registers(context, builder, signature.args[0].dtype), cgutils.intp_t
    count = given or code.lanes
    rows = [code.load(code.at_row(x, builder.add(n, index(r)), k), 0) for r in range(count)]
    turned = interleaved(builder, rows)
    piece = min(count, code.lanes)  # so many numbers of a row of `out` are in one register
    kind = ir.VectorType(code.vector.element, piece)
    for first in range(0, count * code.lanes, piece):
        within = range(first % code.lanes, first % code.lanes + piece)
        register = turned[first // code.lanes]
        part = builder.shuffle_vector(register, register, _order(within)) if piece < code.lanes else register
        row, column = builder.add(k, index(first // count)), builder.add(n, index(first % count))
        builder.store(part, builder.bitcast(code.at_row(out, row, column), kind.as_pointer()), align=code.size)
    return context.get_dummy_value()


def interleaved(builder: Any, registers: Sequence[Any]) -> Sequence[Any]:
    """The first numbers of all registers, then the second ones, and so on; of 2^m registers of 2^l numbers.

    One after the other they are 2^(m+l) numbers, each at a place of m + l bits. Whoever lets the first half take turns
    with the second moves the first bit of each place to its end: m times, and the number of a register is at the end.
    """
    lanes, half = registers[0].type.count, len(registers) // 2
    halves = (range(lanes // 2), range(lanes // 2, lanes))
    orders = [_order([place for i in part for place in (i, lanes + i)]) for part in halves]
    for _ in range(len(registers).bit_length() - 1):
        pairs = zip(registers[:half], registers[half:], strict=True)
        registers = [builder.shuffle_vector(first, second, order) for first, second in pairs for order in orders]
    return registers


def _order(places: Sequence[int]) -> Any:
    return ir.Constant(ir.VectorType(ir.IntType(32), len(places)), list(places))
