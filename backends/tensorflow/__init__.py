"""The TensorFlow engine: `keras.Model`s of Keras 3, whose layers have the checkpoint's names and shapes.

Training: without `compile(loss=...)` a model trains on its head's own loss, with labels in x or as y; a loss or metric
of Keras is given logits, so say `from_logits=True`. Dropout is on in `fit`, with `training=True`, and where a Keras
layer around the model is told so; `train` and `eval` set what holds otherwise. Several replicas of `tf.distribute`
share a batch, and train as one would.

Precision: a mixed policy of Keras, if one is set when a model is made, is the model's from then on, and survives a
change of its sizes; `model.dtype_policy = "mixed_bfloat16"` sets it later. The parameters have the dtype of `dtype=`.

Inside `tf.function`, which `fit` and `predict` are, values are unknown, so only shapes are checked, if they are set.
An id or position that does not exist gives an error of TensorFlow, and NaN under XLA, which Keras chooses unless told
`jit_compile=False`; so does a label. Call the model once on a batch to have it checked.

Files: `save_pretrained` for every engine; `model.save` for Keras, with the optimizer, the policy, and what is frozen;
`tf.train.Checkpoint`, under the checkpoint's names; `export` for serving.

Reading order, as in `roberta.reference`: `heads`, `encoder`, `attention`, `embeddings`, `layers`, `losses`, `weights`;
`training` holds what Keras does with a whole model, `files` what it writes of one.
"""

from __future__ import annotations

import dataclasses
from threading import RLock
from typing import Any

import optree

from ...reference.attention import Cache
from ...reference.outputs import OUTPUTS
from . import startup  # noqa: F401  # pyright: ignore[reportUnusedImport]  # before TensorFlow is imported
from .compiled import compiled_forms
from .files import describe_records
from .heads import HEADS
from .inference import Inference
from .layers import Tensor as Array
from .losses import LOSSES
from .weights import (
    adopt_state_dict_numpy,
    device_of,
    devices,
    dtype_name,
    freeze,
    frozen_names,
    gradients,
    is_tracing,
    load_state_dict_numpy,
    require_nameable,
    state_dict_numpy,
    to_native,
    to_numpy,
)

__all__ = [
    "DTYPES",
    "ENTRY",
    "HEADS",
    "LOSSES",
    "MAKING",
    "Array",
    "Inference",
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
    "require_nameable",
    "state_dict_numpy",
    "to_native",
    "to_numpy",
]

#: Held while a model is made: TensorFlow crashes now and then where sixteen threads make variables at once.
MAKING = RLock()
#: The method that checks and converts; Keras calls it through `call`.
ENTRY = "forward"
#: Of the classes' names: `TFRobertaModel`.
PREFIX = "TF"
DTYPES = ("float32", "float64", "bfloat16", "float16")


def _register(record: Any) -> None:
    """Let a record cross `tf.function`, and Keras's functional models: its fields are its leaves."""
    names = tuple(spec.name for spec in dataclasses.fields(record))
    record.__tf_flatten__ = lambda self: ((), tuple(getattr(self, name) for name in names))
    record.__tf_unflatten__ = classmethod(lambda cls, _, values: cls(*values))

    def present(output: Any) -> tuple[tuple[Any, ...], Any]:
        kept = {name: getattr(output, name) for name in names if getattr(output, name) is not None}
        return tuple(kept.values()), tuple(kept)

    def restored(kept: Any, values: Any) -> Any:
        return record(**dict(zip(kept, values, strict=True)))

    optree.register_pytree_node(record, present, restored, namespace="keras")


for _record in (*OUTPUTS, Cache):
    _register(_record)
describe_records()
