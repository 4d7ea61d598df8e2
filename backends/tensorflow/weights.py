"""Parameters and arrays: NumPy <-> Keras. The layers have the checkpoint's names and shapes: nothing is transposed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from functools import reduce
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow import Tensor

from ...files.mapped import release
from ...reference import outputs


def state_dict_numpy(model: Any) -> dict[str, Any]:
    """HF's names -> arrays, tied ones under each of their names; bfloat16 as float32, which holds it exactly."""
    return {name: to_numpy(part_at(model, name)) for name in model.table}


def load_state_dict_numpy(model: Any, state: Mapping[str, Any], dtype: str, device: Any = None) -> None:
    """Make the variables, the first time, and copy the arrays into them; tied names have one variable."""
    for _ in _loading(model, state, dtype, device):
        pass


def adopt_state_dict_numpy(model: Any, state: Mapping[str, Any], dtype: str, device: Any = None) -> None:
    """The same with arrays that are nobody else's: what has been copied is given back."""
    for array in _loading(model, state, dtype, device):
        release(array)


def _loading(model: Any, state: Mapping[str, Any], dtype: str, device: Any) -> Iterator[Any]:
    """Each array that has been copied."""
    if not model.built:
        _build(model, dtype, device)
    loaded: set[int] = set()
    for name, array in state.items():
        variable = part_at(model, name)
        if id(variable) not in loaded:
            variable.assign(tf.cast(np.asarray(array), variable.dtype))
            loaded.add(id(variable))
            yield array


def _build(model: Any, dtype: str, device: Any) -> None:
    """Make the variables of every layer that has some, in the order of the table.

    A mixed policy, of the model as it was or else of Keras, is kept where its variables have the dtype asked for; and
    which layers were computed again still are.
    """
    policy = model.former_policy or keras.config.dtype_policy()
    model.dtype_policy = policy if policy.variable_dtype == dtype else keras.DTypePolicy(dtype)
    model.recomputed = model.former_recomputed or model.recomputed
    model.device = None if device is None else _require_device(str(device))
    with model.placed():
        for name in model.table:
            *path, _ = name.split(".")
            _build_part(model, path)
    model.built = True
    model.set_input_shapes()


def _require_device(name: str) -> str:
    if name.lower() not in devices():
        message = f"device: required one of {devices()}, or None for TensorFlow's choice, got {name!r}"
        raise ValueError(message)
    return name.lower()


def _build_part(model: Any, path: list[str]) -> None:
    """Make the variables of one layer, and give it and those around it the names that they have in the checkpoint."""
    with ExitStack() as scopes:
        for depth, part in enumerate(path, start=1):
            layer = part_at(model, ".".join(path[:depth]))
            if isinstance(layer, keras.layers.Layer):
                layer.name = part
                if not layer.built:
                    layer.build(None)
            scopes.enter_context(keras.name_scope(part))


def part_at(model: Any, name: str) -> Any:
    """The layer or variable of a name: its parts are attributes, keys and indices."""
    return reduce(_step, name.split("."), model)


def _step(node: Any, part: str) -> Any:
    if isinstance(node, list):
        return node[int(part)]
    return node[part] if isinstance(node, dict) else getattr(node, part)


def to_native(value: Any, model: Any) -> Tensor:
    """An array, list or tensor as a tensor: integers and booleans as int64, numbers in the model's dtype."""
    value = value if tf.is_tensor(value) else outputs.to_numpy(value)
    tensor = tf.convert_to_tensor(value)
    return tf.cast(tensor, model.variable_dtype if tensor.dtype.is_floating else tf.int64)


def to_numpy(value: Any) -> Any:
    """A tensor or variable as an array on the host; a copy, so that later training steps do not change it."""
    array = np.array(value.numpy() if hasattr(value, "numpy") else value)
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array


def dtype_name(model: Any) -> str:
    """The dtype of the parameters, such as "float32"."""
    return model.variable_dtype


def is_tracing() -> bool:
    """Whether values are unknown because a function is traced."""
    return not tf.executing_eagerly()


def devices() -> list[str]:
    """The devices that a model can be put on."""
    accelerators = tf.config.list_logical_devices("GPU")
    return ["cpu", *(f"gpu:{index}" for index in range(len(accelerators)))]


def device_of(model: Any) -> str:
    """Where the parameters are, such as "cpu" or "gpu:0"."""
    device = tf.DeviceSpec.from_string(part_at(model, next(iter(model.table))).value.device)
    return "cpu" if device.device_type == "CPU" else f"{device.device_type.lower()}:{device.device_index}"


def frozen_names(model: Any) -> frozenset[str]:
    """The parameters that are not trained."""
    return frozenset(name for name in model.table if not part_at(model, name).trainable)


def require_nameable(model: Any) -> None:
    """The layers that a subclass has besides have no names in a checkpoint.

    Raises:
        TypeError: there are some; says how Keras saves them.
    """
    known = {id(part_at(model, name)) for name in model.table}
    others = [variable.path for variable in model.weights if id(variable) not in known]
    if others:
        required = f"{type(model).__name__}: required the parameters of its head, got besides {', '.join(others)}"
        message = f'{required}; a checkpoint has no names for them, Keras has: model.save("folder/name.keras")'
        raise TypeError(message)


def freeze(model: Any, names: Iterable[str]) -> None:
    """Leave these parameters out of training."""
    for name in names:
        part_at(model, name).trainable = False


def gradients(model: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """HF's names -> the derivatives of the loss of one call by each parameter; 0 where it is frozen or unused."""
    variables = {name: part_at(model, name) for name, p in model.table.items() if p.tied_to is None}
    trained = {name: variable.value for name, variable in variables.items() if variable.trainable}
    with tf.GradientTape() as tape:
        loss = _loss(model(**inputs))
    found = tape.gradient(loss, trained, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    zeros = {name: tf.zeros_like(variable.value) for name, variable in variables.items()}
    return {name: to_numpy(gradient) for name, gradient in {**zeros, **found}.items()}


def _loss(output: Any) -> Tensor:
    """The loss of a call; of the bare model, which has none, a smooth number that all its outputs go into."""
    if "last_hidden_state" not in output:
        return output.loss
    total = tf.reduce_sum(tf.sin(output.last_hidden_state))  # ()
    return total if output.pooler_output is None else total + tf.reduce_sum(output.pooler_output)
