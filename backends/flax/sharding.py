"""Meshes with explicit axes, on which JAX wants to be told how a result lies wherever its operands leave that open.

A batch stays cut over the devices as it comes. A parameter that is cut is gathered where it is used, as in FSDP, so
that equations see it whole; its gradient is cut as it is. Without such a mesh all of them do nothing.
"""

from __future__ import annotations

from typing import Any

import jax
from flax import nnx
from jax import Array
from jax.sharding import PartitionSpec


def whole(parameter: nnx.Variable[Any]) -> Array:
    """The value of a parameter, gathered where it is cut over explicit axes of a mesh."""
    value = parameter[...]
    return value if lies(value) is None else jax.sharding.reshard(value, PartitionSpec(*[None] * value.ndim))


def lies(x: Array) -> PartitionSpec | None:
    """How an array is cut over explicit axes; None where it is not."""
    spec = jax.typeof(x).sharding.spec
    return spec if any(axis is not None for axis in spec) else None


def with_rows(x: Array) -> PartitionSpec | None:
    """How an array lies that has a row for each of these: (…) -> (…, D)."""
    spec = lies(x)
    return None if spec is None else PartitionSpec(*spec, None)


def cut_as(other: Array, x: Array) -> Array:
    """An array cut as another one of its shape is."""
    spec = lies(other)
    return x if spec is None else jax.sharding.reshard(x, spec)
