"""The layers of `reference/layers.py` on TensorFlow, with everything that TensorFlow and Keras would choose said aloud.

The functions compute in the dtype of their input; half precisions are summed in float32 and rounded once. `Part`s are
the Keras layers that hold the parameters, under the checkpoint's names and in its shapes: a dense weight is (out, in).
"""

from __future__ import annotations

from collections.abc import Callable
from math import pi, sqrt
from typing import Any

import keras
import tensorflow as tf
from tensorflow import Tensor

from ...reference.taps import Tap, silent

Activation = Callable[[Tensor, Tap], Tensor]
Dropout = Callable[[Any, float], Any]


def linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """y = x W' + b, with the parameters rounded to the dtype of x: (…, in) -> (…, out)."""
    weight, bias = tf.cast(weight, x.dtype), tf.cast(bias, x.dtype)
    rows = tf.reshape(x, [-1, x.shape[-1]])  # n in
    y = tf.nn.bias_add(tf.matmul(rows, weight, transpose_b=True), bias)  # n out
    return tf.reshape(y, [*sizes(x)[:-1], weight.shape[0]])  # … out


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float, tap: Tap = silent) -> Tensor:
    """(x - mean) / sqrt(variance + eps) * weight + bias, biased variance in two passes. Keras's eps would be 1e-3."""
    wide = widened(x)  # … D
    mean = tap("mean", tf.reduce_mean(wide, -1, keepdims=True))  # … 1
    centered = wide - mean  # … D
    variance = tap("variance", tf.reduce_mean(tf.square(centered), -1, keepdims=True))  # … 1
    normalized = tap("normalized", centered * tf.math.rsqrt(variance + eps))  # … D
    output = normalized * tf.cast(weight, wide.dtype) + tf.cast(bias, wide.dtype)  # … D
    return tap("output", tf.cast(output, x.dtype))  # … D


def softmax(scores: Tensor) -> Tensor:
    """The softmax over the last axis."""
    return tf.cast(tf.nn.softmax(widened(scores), -1), scores.dtype)


def dropout(seeds: keras.random.SeedGenerator | None) -> Dropout:
    """Inverted dropout, whose draws follow the generator's state; without one, the identity."""
    return keep_all if seeds is None else Draws(seeds)


class Draws:
    """The dropout of a call."""

    def __init__(self, seeds: keras.random.SeedGenerator) -> None:
        self.seeds = seeds

    def __call__(self, x: Any, rate: float) -> Any:
        """(…) -> (…)."""
        # Keras refuses a rate of 1, which drops everything.
        return keras.random.dropout(x, rate, seed=self.seeds) if 0.0 < rate < 1.0 else x * (1.0 - rate)


class Replay(keras.random.SeedGenerator):
    """What a generator gives, written down, so that what is computed again draws the same again."""

    def __init__(self, seeds: keras.random.SeedGenerator) -> None:  # which has the state: this has none
        self.seeds = seeds
        self.given: list[Tensor] = []
        self.place = 0

    def from_start(self) -> Draws:
        """A dropout that draws what was drawn first, from the beginning."""
        self.place = 0
        return Draws(self)

    def next(self, ordered: bool = True) -> Tensor:
        """The next one of those that are written down, else of the generator."""
        if self.place == len(self.given):
            self.given.append(self.seeds.next(ordered))
        self.place += 1
        return self.given[self.place - 1]


def keep_all(x: Tensor, rate: float) -> Tensor:
    """Dropout outside training."""
    return x


def widened(x: Tensor) -> Tensor:
    """Half precisions as float32, in which they are summed; others as they are."""
    return tf.cast(x, tf.float32) if x.dtype in (tf.bfloat16, tf.float16) else x


def sizes(x: Tensor) -> list[Any]:
    """The length of each axis: a number where it is known, else, in a traced function, a scalar."""
    if x.shape.is_fully_defined():
        return list(x.shape)
    dynamic = tf.shape(x)
    return [dynamic[axis] if length is None else length for axis, length in enumerate(x.shape)]


# -- activations ---------------------------------------------------------------------------------------------------


def gelu(x: Tensor, tap: Tap = silent) -> Tensor:
    """x Phi(x), the exact one."""
    wide = widened(x)
    error_function = tap("erf", tf.math.erf(wide / sqrt(2.0)))
    return tf.cast(0.5 * wide * (1.0 + error_function), x.dtype)


def gelu_new(x: Tensor, tap: Tap = silent) -> Tensor:
    """The tanh approximation of `gelu`."""
    return 0.5 * x * (1.0 + tf.tanh(sqrt(2.0 / pi) * (x + 0.044715 * x * x * x)))


def relu(x: Tensor, tap: Tap = silent) -> Tensor:
    """max(x, 0)."""
    return tf.nn.relu(x)


def silu(x: Tensor, tap: Tap = silent) -> Tensor:
    """x sigmoid(x), also called swish."""
    return x * tf.sigmoid(x)


def tanh(x: Tensor, tap: Tap = silent) -> Tensor:
    """The hyperbolic tangent."""
    return tf.tanh(x)


ACTIVATIONS: dict[str, Activation] = {
    "gelu": gelu,
    "gelu_new": gelu_new,
    "relu": relu,
    "silu": silu,
    "tanh": tanh,
    "swish": silu,
    "gelu_pytorch_tanh": gelu_new,
    "gelu_python": gelu,
    "gelu_accurate": gelu_new,
    "gelu_fast": lambda x, tap=silent: 0.5 * x * (1.0 + tf.tanh(0.7978845608 * x * (1.0 + 0.044715 * x * x))),
    "gelu_10": lambda x, tap=silent: tf.clip_by_value(gelu(x, tap), -10.0, 10.0),
    "quick_gelu": lambda x, tap=silent: x * tf.sigmoid(1.702 * x),
    "sigmoid": lambda x, tap=silent: tf.sigmoid(x),
    "mish": lambda x, tap=silent: x * tf.tanh(tf.math.softplus(x)),
    "relu2": lambda x, tap=silent: tf.square(tf.nn.relu(x)),
    "relu6": lambda x, tap=silent: tf.nn.relu6(x),
    # tf.nn.leaky_relu keeps its slope in float32, whatever x is.
    "leaky_relu": lambda x, tap=silent: tf.where(x >= 0, x, 0.01 * x),
    "linear": lambda x, tap=silent: x,
}


# -- parts ---------------------------------------------------------------------------------------------------------


class Part(keras.layers.Layer):
    """A layer inside a model.

    Calling it is calling `call`: what Keras does besides (converting, casting, checking and building) has been done
    once for the whole model, and would cost more than a small layer.
    """

    #: Its own variables, as files name them; one that it borrows for a tie is not its own.
    owned: tuple[str, ...] = ()

    def __init__(self) -> None:
        super().__init__()
        self.built = True  # most parts only hold others

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """`call`."""
        return self.call(*args, **kwargs)

    @property
    def output(self) -> Any:
        """What ends a block. Keras means something else by this name, and would not save what stands there."""
        return self._end

    def save_own_variables(self, store: Any) -> None:
        """Write the variables into a `.keras` file, by name."""
        for name in self.owned:
            store[name] = getattr(self, name).numpy()

    def load_own_variables(self, store: Any) -> None:
        """The way back."""
        for name in self.owned:
            getattr(self, name).assign(store[name])


#: Of a weight: nothing is drawn, as the model puts its own numbers there.
WEIGHT: dict[str, Any] = {"name": "weight", "initializer": "zeros"}


class Linear(Part):
    """`linear` with its parameters; the weight may be that of a table (V, D), to which it is tied."""

    def __init__(self, in_size: int, out_size: int, table: Embedding | None = None) -> None:
        super().__init__()
        self.shape, self.table, self.built = (out_size, in_size), table, False
        self.owned = ("weight", "bias") if table is None else ("bias",)

    def build(self, input_shape: Any = None) -> None:
        """Make the parameters."""
        self.weight = self.table.weight if self.table else self.add_weight(shape=self.shape, **WEIGHT)
        self.bias = self.add_weight(name="bias", shape=self.shape[:1])

    def call(self, x: Tensor) -> Tensor:
        """(…, in) -> (…, out)."""
        return linear(x, self.weight.value, self.bias.value)


class LayerNorm(Part):
    """`layer_norm` with its parameters."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.size, self.eps, self.built = size, eps, False
        self.owned = ("weight", "bias")

    def build(self, input_shape: Any = None) -> None:
        """Make the parameters."""
        self.weight = self.add_weight(name="weight", shape=(self.size,))
        self.bias = self.add_weight(name="bias", shape=(self.size,))

    def call(self, x: Tensor, tap: Tap = silent) -> Tensor:
        """(…, D) -> (…, D)."""
        return layer_norm(x, self.weight.value, self.bias.value, self.eps, tap)


class Embedding(Part):
    """A table, whose rows are looked up; the row of padding learns nothing there, as in fairseq and HF PyTorch.

    In a traced function, where ids cannot be checked, a row that does not exist is NaN, or an error of TensorFlow.
    """

    def __init__(self, row_count: int, size: int, padding_id: int | None = None) -> None:
        super().__init__()
        self.shape, self.padding_id, self.built = (row_count, size), padding_id, False
        self.owned = ("weight",)

    def build(self, input_shape: Any = None) -> None:
        """Make the parameter."""
        self.weight = self.add_weight(shape=self.shape, **WEIGHT)

    def call(self, ids: Tensor) -> Tensor:
        """(…) integers -> (…, D), in the dtype of computing."""
        # Reshaping makes the gradient dense. Keras's Adam squares the slices of a sparse one before it adds up those of
        # one row: what occurs twice in a batch would get a wrong second moment.
        table = tf.reshape(self.weight.value, self.shape)  # V D
        rows = tf.cast(tf.gather(table, ids), self.compute_dtype)  # … D
        if not tf.executing_eagerly():  # XLA would take the nearest row, an accelerator zeros
            is_row = tf.expand_dims((ids >= 0) & (ids < self.shape[0]), -1)  # … 1
            rows = tf.where(is_row, rows, tf.constant(float("nan"), rows.dtype))  # … D
        if self.padding_id is None:
            return rows
        is_padding = tf.expand_dims(ids == self.padding_id, -1)  # … 1
        return tf.where(is_padding, tf.stop_gradient(rows), rows)  # … D
