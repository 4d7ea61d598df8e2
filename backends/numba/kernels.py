"""`reference/kernels.py`, compiled: once for each kernel and dtype, on first use, and cached on disk.

The cache is where Numba puts it: `NUMBA_CACHE_DIR` if set, else `__pycache__` beside the kernels, else, where that
folder is read-only, the user's cache folder; where nothing can be written, each process compiles anew.

No flag of `fastmath` is set: rows with NaN or infinity are computed as IEEE 754 says.
"""

from __future__ import annotations

import sys
import threading
import time
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numba
import numpy as np

from ...reference import kernels
from ...reference.scopes import in_scope
from . import tiles

Kernel = Callable[..., None]

#: Division by zero gives infinity or NaN, as in NumPy, and no exception, whose check would break up every loop.
OPTIONS: dict[str, Any] = {"error_model": "numpy"}
#: Functions that kernels call, each after those that it calls itself.
INNER = (
    kernels.total,
    kernels.total_square,
    kernels.largest,
    kernels.normalize,
    kernels.softmax_weights,
    kernels.packed,
    kernels.place,
)
#: Of the tile, which is written in another file than the kernels that are compiled with it.
VERSION = f"{zlib.crc32(Path(tiles.__file__).read_bytes()):x}"
#: Seconds of compiling after which the user is told why the first call takes so long.
PATIENCE = 2.0
#: One caller at a time: where Numba has neither OpenMP nor TBB, its thread pool ends the process of two that enter it.
_turn = threading.RLock()
_spent = 0.0


def run(kernel: Kernel, *arguments: Any, finish: Kernel = kernels.keep) -> Any:
    """Run a kernel on arrays whose dtype is that of the last, `out`, which it returns."""
    out = arguments[-1]
    with _turn:
        compiled(kernel, str(out.dtype), finish)(*arguments)
    return out


@cache
def compiled(kernel: Kernel, dtype: str, finish: Kernel = kernels.keep) -> Kernel:
    """A kernel compiled for one dtype, with parallel loops.

    Args:
        kernel: of `reference/kernels.py`.
        dtype: "float32" or "float64".
        finish: what `kernels.linear` does with each tile at last: an activation.

    Example:
        >>> x = np.array([[-1.0, 3.0]])
        >>> compiled(kernels.relu, "float64")(x)
        >>> x
        array([[0., 3.]])
    """
    start = time.perf_counter()
    twin = in_scope(kernel, {**_scope(dtype), "finish": _inner(finish, _scope(dtype))})
    # The cache on disk tells functions by name and file; what else goes into the twin stands in its name.
    twin.__qualname__ = f"{kernel.__name__}.{finish.__name__}.{VERSION}"
    types = _signature(kernel, dtype)
    try:
        found = numba.njit(types, **OPTIONS, parallel=True, nogil=True, cache=True)(twin)
    except RuntimeError:  # no folder can be written to
        found = numba.njit(types, **OPTIONS, parallel=True, nogil=True)(twin)
    if not found.stats.cache_hits:
        _tell(time.perf_counter() - start)
    return found


@cache
def _scope(dtype: str) -> dict[str, Any]:
    """What the kernels' names mean when they are compiled: the parallel range, the tile, and the inner functions."""
    scope: dict[str, Any] = {"prange": numba.prange, "tile": tiles.tile}
    scope |= {"ROWS": tiles.ROWS, "COLUMNS": tiles.columns(dtype)}
    if dtype == "float32":
        scope |= {"erf": _inner(kernels.erf_single, scope), "exp": _inner(kernels.exp_single, scope)}
    for inner in INNER:
        scope[inner.__name__] = _inner(inner, scope, "always" if inner is kernels.place else "never")
    return scope


def _inner(function: Callable[..., Any], scope: dict[str, Any], inline: Literal["never", "always"] = "never") -> Any:
    """A function that only kernels call: it is compiled with them, for their types."""
    return numba.njit(**OPTIONS, inline=inline)(in_scope(function, scope))


def _signature(kernel: Kernel, dtype: str) -> Any:
    """The types that the annotations stand for. Only `out` is written to."""
    number = numba.from_dtype(np.dtype(dtype))
    ranks = {"Row": 1, "Rows": 2, "Panels": 3, "Heads": 4, "Views": 4}
    arrays = {name: (number, rank) for name, rank in ranks.items()}
    arrays |= {"Integers": (numba.int64, 1), "Booleans": (numba.boolean, 4)}
    scalars = {"Number": number, "int": numba.int64}

    def of(name: str, kind: str) -> Any:
        if kind in scalars:
            return scalars[kind]
        return numba.types.Array(*arrays[kind], "A" if kind == "Views" else "C", readonly=name != "out")

    return numba.void(*(of(name, kind) for name, kind in kernel.__annotations__.items() if name != "return"))


def _tell(seconds: float) -> None:
    """Say once, on stderr, that what takes long is the compiler."""
    global _spent
    was_silent, _spent = _spent < PATIENCE, _spent + seconds
    if was_silent and _spent >= PATIENCE:
        print("roberta: compiling the kernels of the numba backend; later runs find them cached.", file=sys.stderr)
