"""Parameters and arrays: flat names <-> the tree that the equations read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...reference import outputs
from ...reference.weights import flatten, nest
from .heads import Head


def state_dict_numpy(model: Head) -> dict[str, Any]:
    """HF's names -> arrays, tied ones under each of their names. The arrays are the model's own, and read-only."""
    return flatten(model.parameters)


def load_state_dict_numpy(model: Head, state: Mapping[str, Any], dtype: str, device: Any = None) -> None:
    """Copy the arrays, in the dtype asked for, and take them as the model's parameters; tied names share one array."""
    _take(model, state, dtype, device, copy=True)


def adopt_state_dict_numpy(model: Head, state: Mapping[str, Any], dtype: str, device: Any = None) -> None:
    """The same with arrays that are nobody else's: those of the dtype asked for are taken as they are."""
    _take(model, state, dtype, device, copy=None)


def _take(model: Head, state: Mapping[str, Any], dtype: str, device: Any, *, copy: bool | None) -> None:
    if device not in (None, "cpu"):
        message = f"device: the {model.backend} backend computes on the cpu, got {device!r}; leave device out"
        raise ValueError(message)
    flat = flatten(model.parameters)
    copies: dict[int, Any] = {}
    for name, array in state.items():
        if id(array) not in copies:
            copies[id(array)] = np.array(array, dtype, order="C", copy=copy).view()
            copies[id(array)].flags.writeable = False
        flat[name] = copies[id(array)]
    model.parameters = nest(flat)


def to_native(value: Any, model: Head) -> Any:
    """An array or list as an array: integers and booleans as int64, numbers in the model's dtype."""
    array = outputs.to_numpy(value)
    return array.astype(dtype_name(model) if np.issubdtype(array.dtype, np.floating) else np.int64, copy=False)


def to_numpy(value: Any) -> Any:
    """An array, as it is."""
    return value


def dtype_name(model: Head) -> str:
    """The dtype of the parameters: "float32" or "float64"."""
    first: Any = model.parameters
    while not hasattr(first, "dtype"):
        first = next(iter(first.values()))
    return str(first.dtype)


def is_tracing() -> bool:
    """Never: no compiler looks at the program."""
    return False


def devices() -> list[str]:
    """The cpu."""
    return ["cpu"]


def device_of(model: Head) -> None:
    """None: there is only the cpu."""


def frozen_names(model: Head) -> frozenset[str]:
    """None are frozen: nothing is trained."""
    return frozenset()
