"""The Numba engine: the spec's equations around BLAS products, with the kernels of `reference/kernels.py` compiled.

Reading order, as in `roberta.reference`: `heads`, `encoder`, `attention`, `embeddings`, `layers`, `losses`, `weights`;
`kernels` compiles. It computes forward only, on the cpu. Two libraries bring threads: BLAS, for the products
(`OPENBLAS_NUM_THREADS`), and Numba, for the rest (`NUMBA_NUM_THREADS`, `numba.set_num_threads`). They take turns and
never nest, so both may have every core. `NUMBA_THREADING_LAYER=workqueue` is faster than OpenMP, whose threads spin
while those of BLAS work; it suits a process in which nobody else runs parallel code of Numba at the same time. A model
may be called from several Python threads at once. A process that is forked after a call may be ended by GNU's OpenMP:
start workers by `spawn`.
"""

from __future__ import annotations

from .heads import HEADS
from .losses import LOSSES
from .weights import (
    device_of,
    devices,
    dtype_name,
    frozen_names,
    is_tracing,
    load_state_dict_numpy,
    state_dict_numpy,
    to_native,
    to_numpy,
)

__all__ = [
    "DTYPES",
    "ENTRY",
    "HEADS",
    "LOSSES",
    "device_of",
    "devices",
    "dtype_name",
    "frozen_names",
    "is_tracing",
    "load_state_dict_numpy",
    "state_dict_numpy",
    "to_native",
    "to_numpy",
]

#: The method that a caller calls.
ENTRY = "__call__"
DTYPES = ("float32", "float64")
