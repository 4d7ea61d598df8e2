"""Parameters and arrays: flat names <-> the trees that the engine reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ...reference import outputs
from ...reference.layers import Array
from ...reference.weights import flatten, nest
from .heads import Head
from .tiles import Packed, pack

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
    model.parameters = nest(flat)
    model.packed = nest(pack_dense(flat))


def pack_dense(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Weight and bias of each dense layer as a `Packed` in their place; projections of the same tokens in one."""
    packed: dict[str, Any] = dict(flat)

    def take(path: str, names: Iterable[str]) -> Packed:
        whole = [np.concatenate([packed.pop(path + name + part) for name in names]) for part in (".weight", ".bias")]
        return pack(*whole)

    for path in [name.removesuffix("query.weight") for name in flat if name.endswith(".query.weight")]:
        for place, names in (CROSS if ".crossattention." in path else SELF).items():
            packed[f"{path}{place}"] = take(path, names)
    for path in [name.removesuffix(".bias") for name in packed if name.endswith(".bias")]:
        if packed.get(f"{path}.weight", np.empty(0)).ndim == 2:  # a norm's has one axis; a head's common bias no weight
            packed[path] = take(path, ("",))
    return packed


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
    first: Any = model.parameters
    while isinstance(first, Mapping):
        first = next(iter(first.values()))
    return str(first.dtype)


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
