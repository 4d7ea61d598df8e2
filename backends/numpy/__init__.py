"""The NumPy engine: the spec itself, behind the interface of the other engines. The mathematics is in `reference`."""

from __future__ import annotations

from ...reference.layers import Array
from ...reference.losses import LOSSES
from ..arrays.weights import (
    adopt_state_dict_numpy,
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
from .blas import remark
from .heads import HEADS

__all__ = [
    "DTYPES",
    "ENTRY",
    "HEADS",
    "LOSSES",
    "Array",
    "adopt_state_dict_numpy",
    "device_of",
    "devices",
    "dtype_name",
    "frozen_names",
    "is_tracing",
    "load_state_dict_numpy",
    "remark",
    "state_dict_numpy",
    "to_native",
    "to_numpy",
]

#: The method that a caller calls.
ENTRY = "__call__"
DTYPES = ("float32", "float64")
