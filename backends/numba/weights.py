"""Parameters and arrays: flat names <-> the trees that the engine reads. The verbs are those of `backends/arrays`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ...files.mapped import release
from ...reference.weights import flatten, nest
from ..arrays import weights as arrays
from .heads import Head
from .tiles import Packed, pack

#: The projections of an attention that are multiplied with the same tokens, and the place of their common array.
SELF = {"projections": ("query", "key", "value")}
CROSS = {"projections": ("query",), "sources": ("key", "value")}


def load_state_dict_numpy(model: Head, state: Mapping[str, Any], dtype: str, device: Any = None) -> None:
    """Take the arrays as the model's parameters, and lay its dense layers out for their products."""
    arrays.load_state_dict_numpy(model, state, dtype, device)
    model.packed = nest(pack_dense(flatten(model.parameters)))


def adopt_state_dict_numpy(model: Head, state: Mapping[str, Any], dtype: str, device: Any = None) -> None:
    """The same with arrays that are nobody else's: those of the dtype asked for are taken as they are."""
    arrays.adopt_state_dict_numpy(model, state, dtype, device)
    model.packed = nest(pack_dense(flatten(model.parameters)))


def pack_dense(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Weight and bias of each dense layer as a `Packed` in their place; projections of the same tokens in one."""
    packed: dict[str, Any] = dict(flat)

    def take(path: str, names: Iterable[str]) -> Packed:
        parts = [[packed.pop(path + name + part) for name in names] for part in (".weight", ".bias")]
        found = pack(*(several[0] if len(several) == 1 else np.concatenate(several) for several in parts))
        for array in parts[0]:
            release(array)
        return found

    for path in [name.removesuffix("query.weight") for name in flat if name.endswith(".query.weight")]:
        for place, names in (CROSS if ".crossattention." in path else SELF).items():
            packed[f"{path}{place}"] = take(path, names)
    for path in [name.removesuffix(".bias") for name in packed if name.endswith(".bias")]:
        if packed.get(f"{path}.weight", np.empty(0)).ndim == 2:  # a norm's has one axis; a head's common bias no weight
            packed[path] = take(path, ("",))
    return packed
