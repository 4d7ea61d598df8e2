"""Parameters and arrays: NumPy <-> JAX. The names are HF's, which are the paths of the modules."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import reduce
from typing import Any

import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array, core

from ...files.mapped import release
from ...reference import outputs
from .heads import Head

with core.eval_context():
    #: What JAX is doing when it does nothing but compute.
    EAGER = jax.extend.core.get_opaque_trace_state(convention="flax")


def named_parameter(model: Any, name: str) -> nnx.Variable[Any]:
    """The parameter at a path such as "roberta.encoder.layer.0.output.dense.weight"."""
    return reduce(lambda node, part: node[int(part)] if part.isdigit() else getattr(node, part), name.split("."), model)


def any_parameter(model: Head) -> nnx.Variable[Any]:
    """One that every model has: all have the same dtype and are in the same place."""
    return model.get_input_embeddings().weight


def state_dict_numpy(model: Any) -> dict[str, Any]:
    """HF's names -> arrays, tied ones under each of their names; bfloat16 as float32, which holds it exactly."""
    return {name: to_numpy(named_parameter(model, name)[...]) for name in model.table}


def load_state_dict_numpy(model: Any, state: Mapping[str, Any], dtype: str, device: Any = None) -> None:
    """Put the arrays into the model's parameters, which stay the same objects, so that ties are kept.

    Raises:
        ValueError: a device that is not there.
    """
    _put(model, {name: np.asarray(array).astype(dtype) for name, array in state.items()}, device)


def adopt_state_dict_numpy(model: Any, state: Mapping[str, Any], dtype: str, device: Any = None) -> None:
    """The same with arrays that are nobody else's, which JAX may go on using; tied ones are one array."""
    tied = {id(array): name for name, array in state.items()}
    for name, array in state.items():
        if tied[id(array)] == name:
            _put(model, {name: np.asarray(array, dtype)}, device)
            release(array)


def _put(model: Any, state: Mapping[str, Any], device: Any) -> None:
    place = _device(device)
    for name, array in state.items():
        variable = named_parameter(model, name)
        where = getattr(variable.get_value(), "sharding", None) if place is None else place
        variable.set_value(jax.device_put(array, where))


def to_native(value: Any, model: Head) -> Array:
    """An array or list as JAX's: numbers in the dtype in which the model computes, integers and booleans as `int`."""
    if isinstance(value, jax.Array):
        # a position is counted in the integers of the ids, and a byte does not reach far
        return value.astype(model.compute_dtype if jnp.issubdtype(value.dtype, jnp.floating) else int)
    array = outputs.to_numpy(value)
    if jnp.issubdtype(array.dtype, jnp.floating):
        return jnp.asarray(array, model.compute_dtype)
    limits = jnp.iinfo(jax.dtypes.canonicalize_dtype(int))
    # without 64 bits, a position beyond the text stays beyond it
    return jnp.asarray(array.astype(np.int64).clip(limits.min, limits.max), int)


def to_numpy(value: Any) -> Any:
    """An array on the host; bfloat16 as float32."""
    array = np.asarray(value[...] if isinstance(value, nnx.Variable) else value)
    return array.astype(np.float32) if array.dtype == jnp.bfloat16 else array


def dtype_name(model: Head) -> str:
    """The dtype of the parameters, such as "float32"."""
    return any_parameter(model).dtype.name


def is_tracing() -> bool:
    """Whether values are unknown because `jit`, `grad`, `vmap` or the like look at the program."""
    return jax.extend.core.get_opaque_trace_state(convention="flax") != EAGER


def devices() -> list[str]:
    """The devices that a model can be moved to: "cpu", and accelerators such as "gpu:0"."""
    return list(_devices())


def _devices() -> dict[str, Any]:
    platforms = dict.fromkeys(("cpu", jax.default_backend()))
    found = [(platform, i, device) for platform in platforms for i, device in enumerate(jax.devices(platform))]
    return {platform if (platform, i) == ("cpu", 0) else f"{platform}:{i}": device for platform, i, device in found}


def _device(name: Any) -> Any:
    """The device of a name; one of JAX's own, or a sharding, is taken as it is."""
    if name is None or isinstance(name, jax.Device | jax.sharding.Sharding):
        return name
    known = _devices()
    if name not in known:
        message = f"device: the flax backend has {list(known)}, got {name!r}"
        raise ValueError(message)
    return known[name]


def device_of(model: Head) -> Any:
    """Where the parameters are: a sharding, which a device is a simple case of."""
    return any_parameter(model).get_value().sharding


def frozen_names(model: Any) -> frozenset[str]:
    """The parameters that are not trained: those that have been made something else than an `nnx.Param`."""
    return frozenset(name for name in model.table if not isinstance(named_parameter(model, name), nnx.Param))


def added_shapes(model: Any, known: Collection[str]) -> dict[str, tuple[int, ...]]:
    """The parameters that a subclass has besides: name -> shape."""
    taken = {id(named_parameter(model, name)) for name in known}
    found = {
        ".".join(map(str, path)): part
        for path, part in nnx.iter_graph(model)
        if isinstance(part, nnx.Param | nnx.BatchStat)
    }
    return {name: tuple(part.shape) for name, part in found.items() if id(part) not in taken}


def freeze(model: Any, names: Iterable[str]) -> None:
    """Leave these parameters out of training: each becomes a plain `nnx.Variable`, a tied one at both of its ends."""
    plain: dict[int, nnx.Variable[Any]] = {}
    for name in names:
        path, _, last = name.rpartition(".")
        module, variable = named_parameter(model, path), named_parameter(model, name)
        setattr(module, last, plain.setdefault(id(variable), nnx.Variable(variable[...])))


def gradients(model: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """HF's names -> the derivatives of the loss of one call by each parameter; 0 where it is frozen or unused."""
    graph, parameters, rest = nnx.split(model, nnx.Param, ...)
    found = jax.grad(lambda trained: _loss(nnx.merge(graph, trained, rest, copy=True)(**inputs)))(parameters)
    zeros = jax.tree.map(jnp.zeros_like, rest)
    derived = nnx.merge(graph, found, zeros)  # a model whose parameters are the derivatives of this one's
    sources = [name for name, parameter in model.table.items() if parameter.tied_to is None]
    return {name: to_numpy(named_parameter(derived, name)) for name in sources}


def _loss(output: Any) -> Array:
    """The loss of a call; of the bare model, which has none, a smooth number that all its outputs go into."""
    if "last_hidden_state" not in output:
        return output.loss
    total = jnp.sin(output.last_hidden_state).sum()  # ()
    return total if output.pooler_output is None else total + output.pooler_output.sum()
