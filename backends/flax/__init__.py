"""The Flax engine: `flax.nnx.Module`s whose parameters have HF's names and shapes.

Compiling: `nnx.jit(lambda model, ids: model(ids))`, or `nnx.split` and `jax.jit`. All models of one configuration and
one `load_report` share what was compiled; a change of `model.config` is seen, and compiles anew. Outside `jit`, each
equation is one step.

Training: `model.train()` switches dropout on, or `nnx.view(model, deterministic=False)`; it draws from one stream, and
`nnx.reseed(model, dropout=1)` begins another. `model.compute_in("bfloat16")` leaves the parameters as they are.

Inside `jit`, `grad` and `vmap` values are unknown, so only shapes are checked. An id, position or label that does not
exist, and a token that a cache of fixed size (`model.init_cache`) has no room for, gives NaN there; outside, an error.

Reading order, as in `roberta.reference`: `heads`, `encoder`, `attention`, `embeddings`, `layers`, `losses`, `weights`.
"""

from __future__ import annotations

import dataclasses
import json
import os
from typing import TYPE_CHECKING, Any

# Before JAX looks for accelerators: it would take three quarters of their memory at once.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

from flax import nnx
from jax import Array, tree_util

from ...reference.attention import Cache
from ...reference.config import RobertaConfig
from ...reference.outputs import OUTPUTS
from .attention import FixedCache
from .clients import register, seeded_by
from .compiled import compiled_forms
from .heads import HEADS
from .inference import Inference
from .layers import REMEDIES, dtypes
from .losses import LOSSES
from .weights import (
    added_shapes,
    adopt_state_dict_numpy,
    device_of,
    devices,
    dtype_name,
    freeze,
    frozen_names,
    gradients,
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
    "REMEDIES",
    "Array",
    "Inference",
    "added_shapes",
    "adopt_state_dict_numpy",
    "compiled_forms",
    "device_of",
    "devices",
    "dtype_name",
    "freeze",
    "frozen_names",
    "gradients",
    "is_tracing",
    "load_state_dict_numpy",
    "seeded_by",
    "state_dict_numpy",
    "to_native",
    "to_numpy",
]

#: The method that a caller calls.
ENTRY = "__call__"
if TYPE_CHECKING:
    DTYPES: tuple[str, ...]


def __getattr__(name: str) -> Any:
    if name == "DTYPES":  # asked anew each time: 64 bits can be enabled until the first array is made
        return dtypes()
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)


def _register(record: type[Any]) -> None:
    """Let a record cross jit, grad and vmap: its fields are its leaves."""
    names = [spec.name for spec in dataclasses.fields(record)]
    tree_util.register_dataclass(record, data_fields=names, meta_fields=[])


for _record in (*OUTPUTS, Cache, FixedCache):
    _register(_record)
register()


def _config(content: str, is_frozen: bool) -> RobertaConfig:
    """A configuration from what JAX has kept of it."""
    config = RobertaConfig.from_dict(json.loads(content))
    return config.frozen() if is_frozen else config


# The configuration can be changed, and JAX takes what it has once seen as static for unchanged. So it sees the content:
# a tree without leaves whose structure is the JSON.
tree_util.register_pytree_node(
    RobertaConfig,
    lambda config: ((), (config.to_json_string(use_diff=False), config.is_frozen)),
    lambda static, _: _config(*static),
)
nnx.register_data_type(RobertaConfig)
