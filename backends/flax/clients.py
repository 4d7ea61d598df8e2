"""What NNX's and JAX's own tools ask of a model: streams of random numbers, files of programs, tables of modules."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
from flax import nnx
from jax import export, tree_util

from ...reference.attention import Attended, Cache, Context
from ...reference.encoder import BodyOutput, LayerOutput
from ...reference.outputs import OUTPUTS

#: What transformers' Flax classes have -> what to type here.
INSTEAD = {
    "params": "its parameters are nnx.state(model, nnx.Param)",
    "to_bf16": 'type model.to_backend("flax", dtype="bfloat16"), or model.compute_in("bfloat16"), parameters kept',
    "to_fp16": 'type model.to_backend("flax", dtype="float16")',
    "to_fp32": 'type model.to_backend("flax", dtype="float32")',
    "init_weights": "type type(model)(config, seed=0): a model is made with its weights",
}


def seeded_by(rngs: object) -> tuple[int, Callable[[Any], None]]:
    """What `rngs=` says to a constructor, as NNX's users write it.

    Args:
        rngs: whose streams "params" and "dropout" are asked once each.

    Returns:
        The seed of the weights, which NumPy draws; and what gives the model, once it is made, its dropout.

    Raises:
        TypeError: no `nnx.Rngs`.

    Example:
        >>> seed, _ = seeded_by(nnx.Rngs(0))
        >>> seed == seeded_by(nnx.Rngs(0))[0] != seeded_by(nnx.Rngs(1))[0]
        True
    """
    if not isinstance(rngs, nnx.Rngs):
        message = f"rngs: required an nnx.Rngs, such as nnx.Rngs(0), got {type(rngs).__name__}"
        raise TypeError(message)
    seed, key = int(jax.random.bits(rngs.params())), rngs.dropout()
    return seed, lambda model: nnx.reseed(model, dropout=key)


def register() -> None:
    """Let records cross a file of `jax.export`, and NNX's table show what modules pass each other.

    The table takes a named tuple for a list, so its parts have numbers here.
    """
    for record in (*OUTPUTS, Cache):
        export.register_pytree_node_serialization(
            record,
            serialized_name=f"roberta.{record.__name__}",
            serialize_auxdata=lambda _: b"",
            deserialize_auxdata=lambda _: (),
            from_children=partial(_record, record),
        )
    for kind in (Attended, BodyOutput, Context, LayerOutput):
        tree_util.register_pytree_with_keys(
            kind,
            lambda parts: ([(tree_util.SequenceKey(i), part) for i, part in enumerate(parts)], None),
            lambda _, parts, kind=kind: kind(*parts),
        )


def _record(kind: type[Any], aux_data: Any, children: Sequence[Any]) -> Any:
    """A record of its fields, in their order."""
    return kind(**dict(zip([spec.name for spec in dataclasses.fields(kind)], children, strict=True)))
