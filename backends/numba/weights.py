"""Parameters and arrays: flat names <-> the trees that the engine reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...reference import outputs
from ...reference.layers import Array
from ...reference.weights import flatten, nest
from .heads import Head

#: The projections of an attention that are multiplied with the same tokens, and the place of their common array.
SELF = {"projections": ("query", "key", "value")}
CROSS = {"projections": ("query",), "sources": ("key", "value")}


def state_dict_numpy(model: Head) -> dict[str, Any]:
    """HF's names -> arrays, tied ones under each of their names. The arrays are the model's own, and read-only."""
    return flatten(model.parameters)


def load_state_dict_numpy(model: Head, state: Mapping[str, Any], dtype: str, device: Any = None) -> None:
    """Take the arrays, in the dtype asked for, as the model's parameters; tied names go on sharing one array."""
    if device not in (None, "cpu"):
        message = f"device: the numba backend computes on the cpu, got {device!r}; leave device out"
        raise ValueError(message)
    flat = flatten(model.parameters)
    copies: dict[int, Any] = {}
    for name, array in state.items():
        if id(array) not in copies:
            copies[id(array)] = _frozen(np.array(array, dtype, order="C"))
        flat[name] = copies[id(array)]
    joined = join_projections(flat)
    model.parameters = nest(flat)
    model.joined = nest({**flat, **joined})


def join_projections(flat: dict[str, Any]) -> dict[str, Any]:
    """Lay projections of the same tokens side by side, so that one product computes them.

    Their own arrays, in `flat`, become views of the common ones, which are returned: (P, HK, D) and (P, HK).
    """
    joined: dict[str, Any] = {}
    for path in [name.removesuffix(".query.weight") for name in flat if name.endswith(".query.weight")]:
        groups = CROSS if ".crossattention." in path else SELF
        for place, names in groups.items():
            for part in ("weight", "bias"):
                whole = _frozen(np.stack([flat[f"{path}.{name}.{part}"] for name in names]))
                joined[f"{path}.{place}.{part}"] = whole
                flat |= {f"{path}.{name}.{part}": whole[i] for i, name in enumerate(names)}
    return joined


def _frozen(array: Array) -> Array:
    array.flags.writeable = False
    return array


def to_native(value: Any, model: Head) -> Any:
    """An array or list as an array: integers and booleans as int64, numbers in the model's dtype."""
    array = outputs.to_numpy(value)
    return array.astype(dtype_name(model) if np.issubdtype(array.dtype, np.floating) else np.int64, copy=False)


def to_numpy(value: Any) -> Any:
    """An array, as it is."""
    return value


def dtype_name(model: Head) -> str:
    """The dtype of the parameters: "float32" or "float64"."""
    return str(next(iter(flatten(model.parameters).values())).dtype)


def is_tracing() -> bool:
    """Never: the compiler does not look at the model, only at its kernels."""
    return False


def devices() -> list[str]:
    """The cpu."""
    return ["cpu"]


def device_of(model: Head) -> None:
    """None: there is only the cpu."""


def frozen_names(model: Head) -> frozenset[str]:
    """None are frozen: the engine trains nothing."""
    return frozenset()
