"""What JAX's and NNX's compilers make of a model, for those who hold engines against the spec."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
from flax import nnx


def compiled_forms(model: Any) -> Mapping[str, Callable[..., Any] | str]:
    """Compiler -> a callable with the model's arguments, compiled when it is called.

    The parameters are arguments of the program: XLA would work for minutes on hundreds of megabytes of constants.
    """
    definition, state = nnx.split(model)
    by_jax = jax.jit(lambda state, inputs: nnx.merge(definition, state)(**inputs))
    by_nnx = nnx.jit(lambda model, inputs: model(**inputs))
    return {"jax.jit": partial(_called, by_jax, state), "nnx.jit": partial(_called, by_nnx, model)}


def _called(program: Callable[..., Any], model: Any, **inputs: Any) -> Any:
    return program(model, inputs)
