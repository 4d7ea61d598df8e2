"""The Numba engine: compiled kernels, in the order of the spec's equations.

Reading order, as in `roberta.reference`: `heads`, `encoder`, `attention`, `embeddings`, `layers`, `losses`, `weights`;
then `kernels`, the loops, which stand on `scalars`, functions of one number, and on `tiles` and `turning`, which are
written for registers; `compiler` compiles them. It computes forward only, on the cpu. A model keeps its dense layers
twice: as the checkpoint has them, and packed for their products.

Numba's threads do it (`NUMBA_NUM_THREADS`, `numba.set_num_threads`), and results do not depend on how many there are. A
model may be called from several Python threads at once. A process that is forked after a call may be ended by GNU's
OpenMP: start workers by `spawn`. `NUMBA_THREADING_LAYER=workqueue` suits a process in which other libraries keep the
cores busy too, as its threads sleep when there is nothing to do; there, nobody else may run parallel code of Numba at
the same time.
"""

from __future__ import annotations

from ...reference.layers import Array
from ..arrays.weights import (
    device_of,
    devices,
    dtype_name,
    frozen_names,
    is_tracing,
    state_dict_numpy,
    to_native,
    to_numpy,
)
from .heads import HEADS
from .inference import Inference
from .losses import LOSSES
from .weights import adopt_state_dict_numpy, load_state_dict_numpy

__all__ = [
    "DTYPES",
    "ENTRY",
    "HEADS",
    "LOSSES",
    "Array",
    "Inference",
    "adopt_state_dict_numpy",
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
