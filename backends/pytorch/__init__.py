"""The PyTorch engine: `torch.nn.Module`s whose state_dict has HF's names and shapes.

Reading order, as in `roberta.reference`: `heads`, `encoder`, `attention`, `embeddings`, `layers`, `losses`, `weights`.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from torch import Tensor as Array
from torch.utils import _pytree as pytree  # the only registry that torch.compile and torch.export ask

from ...reference.attention import Cache
from ...reference.outputs import OUTPUTS
from .compiled import compiled_forms
from .heads import HEADS
from .inference import Inference
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
    has_values,
    is_tracing,
    load_state_dict_numpy,
    no_gradients,
    own_dtype,
    state_dict_numpy,
    to_native,
    to_numpy,
    wants_gradient,
)

__all__ = [
    "DTYPES",
    "ENTRY",
    "HEADS",
    "LOSSES",
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
    "has_values",
    "is_tracing",
    "load_state_dict_numpy",
    "no_gradients",
    "own_dtype",
    "state_dict_numpy",
    "to_native",
    "to_numpy",
    "wants_gradient",
]

#: The method that the framework calls.
ENTRY = "forward"
DTYPES = ("float32", "float64", "bfloat16", "float16")


def _register(record: type[Any]) -> None:
    """Let a record cross torch.compile and torch.export: its fields are its leaves."""
    names = tuple(spec.name for spec in dataclasses.fields(record))
    pytree.register_pytree_node(
        record,
        lambda output: ([getattr(output, name) for name in names], None),
        lambda values, _: record(*values),
        serialized_type_name=f"roberta.{record.__name__}",
        to_dumpable_context=lambda _: "",
        from_dumpable_context=lambda _: None,
    )


for _record in (*OUTPUTS, Cache):
    _register(_record)
