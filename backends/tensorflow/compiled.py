"""What TensorFlow's compilers make of a model, for those who hold engines against the spec."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf


def compiled_forms(model: Any) -> Mapping[str, Callable[..., Any] | str]:
    """Compiler -> a callable with the model's arguments, compiled when it is called."""
    return {"tf.function": tf.function(model), "tf.function, XLA": tf.function(model, jit_compile=True)}
