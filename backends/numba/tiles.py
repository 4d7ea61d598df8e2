"""Products tile by tile: the tile in vector registers, which no compiler finds by itself, and what is packed for it.

A product is made `ROWS` rows by `columns(dtype)` columns at a time: few enough sums to stay in registers, over operands
that lie in memory in the order of their use. Rows are packed for each product, (N, K) -> (tiles, K, ROWS); a weight
once for all, (N, K) -> (panels, K, columns). What fills up the last tile is zero, and its sums are dropped.

A processor multiplies at its full speed only if nearly all of its vector registers hold sums, and if each number that
is loaded is used for many of them. So the tile is written in the compiler's own language, LLVM's: `ROWS` times
`VECTORS` registers of sums; for each k, `VECTORS` registers of the panel and, one after the other, `ROWS` numbers of
the rows, each spread over a register. Meanwhile it asks for the next panel, cache line by cache line: a little of
it, or where two tiles are all the rows of a short text, half of it each.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any, TypedDict

import llvmlite.binding as llvm
import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic, overload

from ...reference.layers import Array
from .compiler import OPTIONS, inner

#: What this processor can; where the user names another to compile for (`NUMBA_CPU_NAME`), nothing special.
FEATURES = {} if os.environ.get("NUMBA_CPU_NAME") else llvm.get_host_cpu_features()
#: Of one vector register, in bytes: AVX-512's, AVX's, or that which nearly every processor has.
WIDTH = 64 if FEATURES.get("avx512f") else 32 if FEATURES.get("avx") else 16
#: Rows of a tile: 24 registers of sums where there are 32, 12 where there are 16.
ROWS = 8 if FEATURES.get("avx512f") or FEATURES.get("neon") else 4
#: Registers in each row of a tile.
VECTORS = 3
#: How many k a round of the loop has.
UNROLLED = 4
#: Of a cache, and so the boundary at which panels begin, in bytes.
LINE = 64
#: How many lines of the next panel a tile asks for in a round: where there are two, both together for all of it. Many
#: have time to wait, and one reads as fast as memory gives, unasked.
FETCHES, FETCHES_OF_TWO = 1, VECTORS * WIDTH * UNROLLED // LINE // 2
#: Tiles of rows that one thread works on at a time, at most: enough for the next panel to come while one is used, and
#: few enough to wait for it in the cache.
TILES = 16


class Packed(TypedDict):
    """A dense layer, laid out for the products of `kernels.py`.

    Attributes:
        panels: the weight, (panels, in, columns).
        bias: (panels, columns).
        size: how many columns there are.
    """

    panels: Array
    bias: Array
    size: int


def columns(dtype: Any) -> int:
    """How many columns a tile has."""
    return VECTORS * WIDTH // np.dtype(dtype).itemsize


@overload(columns, jit_options=OPTIONS, strict=False)
def _columns(dtype: Any) -> Callable[[Any], int]:
    """What a kernel calls for it: a constant."""
    count = columns(str(dtype.dtype))
    return lambda dtype: count


def pack(weight: Array, bias: Array) -> Packed:
    """A dense layer, (out, in) and (out,), in panels.

    Example:
        >>> packed = pack(np.ones((5, 7), "float32"), np.zeros(5, "float32"))
        >>> packed["panels"][:, 0].ravel()[:6], packed["size"]
        (array([1., 1., 1., 1., 1., 0.], dtype=float32), 5)
    """
    size, depth = weight.shape
    width = columns(weight.dtype)
    count = -(-size // width)
    panels = _aligned((count, depth, width), weight.dtype)
    for i in range(count):
        part = weight[i * width : (i + 1) * width]
        panels[i, :, : len(part)] = part.T
    whole = np.pad(bias, (0, count * width - size)).reshape(count, width)
    return {"panels": panels, "bias": whole, "size": size}


def shares(rows: int) -> tuple[int, int]:
    """Into how many groups of rows and slices of panels a product goes: each thread has as much to do."""
    threads, tiles = numba.get_num_threads(), -(-rows // ROWS)
    if tiles < TILES // 4 * threads:  # of a short text, each thread takes all rows and its part of the weight
        return 1, threads
    return threads * -(-tiles // (threads * TILES)), 1


def _aligned(shape: tuple[int, ...], dtype: Any) -> Array:
    """Zeros that begin at a cache line: a vector that lies across two is loaded twice."""
    size = np.dtype(dtype).itemsize * int(np.prod(shape))
    room = np.zeros(size + LINE, np.uint8)
    start = -room.ctypes.data % LINE
    return room[start : start + size].view(dtype).reshape(shape)


@inner
def place(part: Array, n: int, c: int, out: Array) -> None:
    """Write a tile to its place in the product, from row n and column c on, as far as the product goes."""
    if n + part.shape[0] <= out.shape[0] and c + part.shape[1] <= out.shape[1]:
        place_whole(part, n, c, out)
        return
    for r in range(min(part.shape[0], out.shape[0] - n)):
        for column in range(min(part.shape[1], out.shape[1] - c)):
            out[n + r, c + column] = part[r, column]


# -- the tile --------------------------------------------------------------------------------------------------------


def _tile_types(fetches: int) -> Callable[..., Any]:
    """What numbers of these types are made of."""

    def types(_context: Any, rows: Any, panel: Any, bias: Any, ahead: Any, out: Any) -> tuple[Any, Callable[..., Any]]:
        return numba.void(rows, panel, bias, ahead, out), partial(_tile_code, fetches)

    return types


#: tile(rows, panel, bias, ahead, out): out = bias + rows.T @ panel, of (K, ROWS) and (K, columns). What lies `ahead` is
#: needed next, and is fetched meanwhile: a line a round, or by each of two tiles a half.
tile: Any = intrinsic(_tile_types(FETCHES))
tile_of_two: Any = intrinsic(_tile_types(FETCHES_OF_TWO))


def _tile_code(fetches: int, context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """Its instructions: sums in registers, the loop over k, and what the sums are at the end."""
    rows, panel, bias, ahead, out = arrays_of(context, builder, signature, arguments)
    code, index = Registers(context, builder, signature.args[0].dtype), cgutils.intp_t
    first = [code.load(bias.data, v) for v in range(VECTORS)]
    sums = [[cgutils.alloca_once_value(builder, first[v]) for v in range(VECTORS)] for _ in range(ROWS)]

    def step(k: Any) -> None:
        """sums += rows[k, :, None] * panel[k]."""
        start = code.at(panel.data, builder.mul(k, index(VECTORS * code.lanes)))
        right = [code.load(start, v) for v in range(VECTORS)]
        start = code.at(rows.data, builder.mul(k, index(ROWS)))
        for r in range(ROWS):
            left = code.spread(builder.load(code.at(start, index(r))))
            for v in range(VECTORS):
                product = builder.fmul(left, right[v], flags=("contract",))
                builder.store(builder.fadd(builder.load(sums[r][v]), product, flags=("contract",)), sums[r][v])

    # The rounds that are short come first: the loop that counts then ends where the sums are stored.
    depth = builder.extract_value(panel.shape, 0)
    short = builder.and_(depth, index(UNROLLED - 1))
    with cgutils.for_range_slice(builder, index(0), short, index(1), inc=True) as (k, _):
        step(k)
    with cgutils.for_range_slice(builder, short, depth, index(UNROLLED), inc=True) as (k, _):
        line = LINE // code.size
        first_line = builder.mul(k, index(fetches * line // UNROLLED))
        for f in range(fetches):
            _fetch(builder, code.at(ahead.data, builder.add(first_line, index(f * line))))
        for u in range(UNROLLED):
            step(builder.add(k, index(u)))
    for r in range(ROWS):
        for v in range(VECTORS):
            code.store(builder.load(sums[r][v]), out.data, r * VECTORS + v)
    return context.get_dummy_value()


def _place_types(_context: Any, part: Any, n: Any, c: Any, out: Any) -> tuple[Any, Callable[..., Any]]:
    """What numbers of these types are made of."""
    return numba.void(part, n, c, out), _place_code


#: place_whole(part, n, c, out): out[n : n + ROWS, c : c + columns] = part, register by register. (A loop stores number
#: by number, where it cannot know how many there are: while lines of `out` come from memory, that took a fifth of the
#: time of a product.)
place_whole: Any = intrinsic(_place_types)


def _place_code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """Its instructions."""
    part, n, c, out = arrays_of(context, builder, signature, arguments)
    code, index = Registers(context, builder, signature.args[0].dtype), cgutils.intp_t
    for r in range(ROWS):
        start = code.at_row(out, builder.add(n, index(r)), c)
        for v in range(VECTORS):
            code.store(code.load(part.data, r * VECTORS + v), start, v)
    return context.get_dummy_value()


def arrays_of(context: Any, builder: Any, signature: Any, arguments: Any) -> list[Any]:
    """The arguments, arrays as structures with `data` and `shape`."""
    given = zip(signature.args, arguments, strict=True)
    return [
        context.make_array(kind)(context, builder, value) if isinstance(kind, numba.types.Array) else value
        for kind, value in given
    ]


class Registers:
    """Instructions on vector registers full of numbers of one dtype.

    Attributes:
        size: of a number, in bytes.
        lanes: how many a register holds.
        vector: the type of a register.
    """

    def __init__(self, context: Any, builder: Any, dtype: Any) -> None:
        self.builder, self.size = builder, dtype.bitwidth // 8
        self.lanes = WIDTH // self.size
        self.vector: Any = ir.VectorType(context.get_value_type(dtype), self.lanes)

    def at(self, start: Any, offset: Any) -> Any:
        """A place in memory, so many numbers after another."""
        return self.builder.gep(start, [offset])

    def at_row(self, array: Any, row: Any, column: Any) -> Any:
        """A place in an array of two axes, of which the last is dense."""
        stride = self.builder.sdiv(self.builder.extract_value(array.strides, 0), cgutils.intp_t(self.size))
        return self.at(array.data, self.builder.add(self.builder.mul(row, stride), column))

    def load(self, start: Any, position: int) -> Any:
        """The register of a position, counted in registers from a start."""
        return self.builder.load(self._at_vector(start, position), align=self.size)

    def store(self, value: Any, start: Any, position: int) -> None:
        """Write it there."""
        self.builder.store(value, self._at_vector(start, position), align=self.size)

    def spread(self, number: Any) -> Any:
        """A register of one number."""
        undefined, integer = ir.Constant(self.vector, ir.Undefined), ir.IntType(32)
        alone = self.builder.insert_element(undefined, number, ir.Constant(integer, 0))
        return self.builder.shuffle_vector(alone, undefined, ir.Constant(ir.VectorType(integer, self.lanes), None))

    def _at_vector(self, start: Any, position: int) -> Any:
        place = self.at(start, cgutils.intp_t(position * self.lanes))
        return self.builder.bitcast(place, self.vector.as_pointer())


def _fetch(builder: Any, address: Any) -> None:
    """Ask for the line at an address, to read it soon, into the second-level cache. Any address may be asked for."""
    byte, integer = ir.IntType(8).as_pointer(), ir.IntType(32)
    kind = ir.FunctionType(ir.VoidType(), [byte, integer, integer, integer])
    prefetch = builder.module.declare_intrinsic("llvm.prefetch", (), kind)
    is_write, locality, is_data = (ir.Constant(integer, value) for value in (0, 2, 1))
    builder.call(prefetch, [builder.bitcast(address, byte), is_write, locality, is_data])
