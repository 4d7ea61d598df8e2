"""Kernels, compiled: once for each kernel and dtype, on first use, and cached on disk.

The cache is where Numba puts it: `NUMBA_CACHE_DIR` if set, else `__pycache__` beside the kernels, else, where that
folder is read-only, the user's cache folder; where nothing can be written, each process compiles anew.

Of the liberties of `fastmath` sums take one, their order (`summing`), and nothing else takes any: rows with NaN or
infinity are computed as IEEE 754 says.
"""

from __future__ import annotations

import sys
import threading
import time
import zlib
from collections.abc import Callable
from functools import cache, wraps
from pathlib import Path
from typing import Any

import numba
import numpy as np

#: Division by zero gives infinity or NaN, as in NumPy, and no exception, whose check would break up every loop.
OPTIONS: Any = {"error_model": "numpy"}
#: Of the files whose functions are compiled into those of `kernels.py`. The cache on disk asks for that file alone.
_SOURCES = [Path(__file__).parent / name for name in ("scalars.py", "tiles.py", "turning.py")]
VERSION = f"{zlib.crc32(b''.join(path.read_bytes() for path in _SOURCES)):x}"
#: The dtypes that there are kernels for. (`str` of one takes a quarter of the time that it takes to start a kernel.)
_NAMES = {np.dtype(name): name for name in ("float32", "float64")}
#: Seconds of compiling after which the user is told why the first call takes so long.
PATIENCE = 2.0
#: One caller at a time: where Numba has neither OpenMP nor TBB, its thread pool ends the process of two that enter it.
_turn = threading.RLock()
_spent = 0.0


def inner(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that only kernels call: it is compiled with them, for their types."""
    return numba.njit(**OPTIONS)(function)


def summing(function: Callable[..., Any]) -> Callable[..., Any]:
    """An inner function that adds up a row, in as many partial sums as the compiler likes.

    In the order of the row each sum would wait for the one before. Partial sums are shorter, so they round less.
    """
    return numba.njit(**OPTIONS, fastmath={"reassoc"})(function)


def kernel(function: Callable[..., None]) -> Callable[..., Any]:
    """A function that Python calls on arrays whose dtype is that of the last, `out`, which it then returns.

    Its annotations say what is compiled: dtype and rank of every argument.
    """

    @wraps(function)
    def run(*arguments: Any) -> Any:
        out = arguments[-1]
        with _turn:
            compiled(function, _NAMES[out.dtype])(*arguments)
        return out

    function.__qualname__ = f"{function.__name__}.{VERSION}"  # by which the cache on disk knows it
    return run


@cache
def compiled(function: Callable[..., None], dtype: str) -> Callable[..., None]:
    """A kernel's function, compiled for one dtype, with parallel loops.

    Args:
        function: one whose arguments are annotated.
        dtype: "float32" or "float64".

    Example:
        >>> from .kernels import gelu
        >>> x, out = np.zeros((1, 2)), np.ones((1, 2))
        >>> compiled(gelu.__wrapped__, "float64")(x, out)
        >>> out
        array([[0., 0.]])
    """
    start = time.perf_counter()
    types = _signature(function, dtype)
    try:
        found = numba.njit(types, **OPTIONS, parallel=True, nogil=True, cache=True)(function)
    except RuntimeError:  # no folder can be written to
        found = numba.njit(types, **OPTIONS, parallel=True, nogil=True)(function)
    if not found.stats.cache_hits:
        _tell(time.perf_counter() - start)
    return found


def _signature(function: Callable[..., None], dtype: str) -> Any:
    """The types that the annotations stand for. Only `out` is written to."""
    number = numba.from_dtype(np.dtype(dtype))
    ranks = {"Row": 1, "Rows": 2, "Panels": 3, "Heads": 4, "Views": 4, "Flats": 3}
    arrays = {name: (number, rank) for name, rank in ranks.items()}
    arrays |= {"Integers": (numba.int64, 1), "Booleans": (numba.boolean, 4)}
    scalars = {"Number": number, "int": numba.int64}

    def of(name: str, kind: str) -> Any:
        if kind in scalars:
            return scalars[kind]
        return numba.types.Array(*arrays[kind], "A" if kind in {"Views", "Flats"} else "C", readonly=name != "out")

    return numba.void(*(of(name, kind) for name, kind in function.__annotations__.items() if name != "return"))


def _tell(seconds: float) -> None:
    """Say once, on stderr, that what takes long is the compiler."""
    global _spent
    was_silent, _spent = _spent < PATIENCE, _spent + seconds
    if was_silent and _spent >= PATIENCE:
        print("roberta: compiling the kernels of the numba backend; later runs find them cached.", file=sys.stderr)
