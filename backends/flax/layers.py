"""The layers of `reference/layers.py` on JAX, with everything that JAX and Flax would choose by default said aloud.

First the equations, then the modules that hold their parameters, under the checkpoint's names and in its shapes.
Everything computes in the dtype of its input, whatever that of the parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from math import sqrt
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from flax.errors import TraceContextError
from jax import Array, lax

from ...reference.taps import Tap, silent
from .sharding import whole, with_rows

Activation = Callable[..., Array]
#: What to type where a dtype could be had.
REMEDIES = {
    "float64": "JAX has float64 only with 64 bits enabled: set JAX_ENABLE_X64=1 before Python starts, or first call "
    'jax.config.update("jax_enable_x64", True).'
}
#: The products of matrices are not to be rounded to fewer bits, as some accelerators do unless told.
PRECISION = lax.Precision.HIGHEST


def kernel(*static: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Compile an equation, so that also outside `jit` it is one step; where a tap listens, it runs line by line.

    Args:
        *static: names of arguments that are no arrays.
    """

    def compiled(equation: Callable[..., Any]) -> Callable[..., Any]:
        # inlined, so that a program compiled around it is as if this were not here
        fused = jax.jit(equation, static_argnames=(*static, "tap"), inline=True)

        @wraps(equation)
        def run(*args: Any, tap: Tap = silent, **options: Any) -> Any:
            return (fused if tap is silent else equation)(*args, tap=tap, **options)

        return run

    return compiled


def dtypes() -> tuple[str, ...]:
    """The precisions to be had now: JAX gives float32 where float64 is asked for, unless 64 bits are enabled."""
    halves = ("bfloat16", "float16")
    return ("float32", "float64", *halves) if jax.config.read("jax_enable_x64") else ("float32", *halves)


def at_least_single(x: Array) -> Array:
    """Half precision as float32, in which sums and the error function are computed; float64 stays."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


@kernel()
def linear(x: Array, weight: Array, bias: Array, tap: Tap = silent) -> Array:
    """y = x W' + b, with W (out, in) as the checkpoint stores it."""
    product = jnp.einsum("...i,oi->...o", x, weight.astype(x.dtype), precision=PRECISION)  # … out
    return product + bias.astype(x.dtype)  # … out


@kernel("eps")
def layer_norm(x: Array, weight: Array, bias: Array, eps: float, tap: Tap = silent) -> Array:
    """(x - mean) / sqrt(variance + eps) * weight + bias, biased variance in two passes. Flax's own takes one."""
    wide = at_least_single(x)  # … D
    mean = tap("mean", wide.mean(-1, keepdims=True))  # … 1
    variance = tap("variance", ((wide - mean) ** 2).mean(-1, keepdims=True))  # … 1
    normalized = tap("normalized", (wide - mean) / jnp.sqrt(variance + eps))  # … D
    return tap("output", (normalized * weight + bias).astype(x.dtype))  # … D


def softmax(scores: Array) -> Array:
    """The softmax over the last axis."""
    return jax.nn.softmax(at_least_single(scores), axis=-1).astype(scores.dtype)  # … S


@kernel("rate")
def dropout(x: Array, key: Array | None, rate: float, tap: Tap = silent) -> Array:
    """Inverted dropout: x / (1 - rate) where a uniform draw is at least `rate`, else 0. Without a key, x."""
    if key is None:
        return x
    # in float32: `jax.random.bernoulli` draws other numbers where 64 bits are enabled
    is_kept = jax.random.uniform(key, x.shape, jnp.float32) >= rate
    return jnp.where(is_kept, x / max(1.0 - rate, 1e-30), 0)


# -- activations ---------------------------------------------------------------------------------------------------


@kernel()
def gelu(x: Array, tap: Tap = silent) -> Array:
    """The exact Gaussian error linear unit, x Phi(x). `jax.nn.gelu` is the tanh form unless told."""
    wide = at_least_single(x)
    error_function = tap("erf", lax.erf(wide / sqrt(2.0)))
    return (0.5 * wide * (1.0 + error_function)).astype(x.dtype)


def elementwise(function: Callable[[Array], Array]) -> Activation:
    """An activation that states nothing on its way."""
    return kernel()(lambda x, tap=silent: function(x))


gelu_new = elementwise(lambda x: jax.nn.gelu(x, approximate=True))
relu = elementwise(jax.nn.relu)
silu = elementwise(jax.nn.silu)
tanh = elementwise(jnp.tanh)

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
    "gelu_fast": elementwise(lambda x: 0.5 * x * (1.0 + jnp.tanh(0.7978845608 * x * (1.0 + 0.044715 * x * x)))),
    "gelu_10": kernel()(lambda x, tap=silent: jnp.clip(gelu(x, tap=tap), -10.0, 10.0)),
    "quick_gelu": elementwise(lambda x: x * jax.nn.sigmoid(1.702 * x)),
    "sigmoid": elementwise(jax.nn.sigmoid),
    "mish": elementwise(jax.nn.mish),
    "relu2": elementwise(lambda x: jax.nn.relu(x) ** 2),
    "relu6": elementwise(jax.nn.relu6),
    "leaky_relu": elementwise(lambda x: jax.nn.leaky_relu(x, negative_slope=0.01)),
    "linear": elementwise(lambda x: x),
}


# -- modules -------------------------------------------------------------------------------------------------------


def parameter(*shape: int) -> nnx.Param[Any]:
    """A parameter of which only the shape is known; `load_state_dict_numpy` gives it its numbers."""
    return nnx.Param(jax.ShapeDtypeStruct(shape, jnp.float32))


class Linear(nnx.Module):
    """`linear` with its weight (out, in) and bias (out,)."""

    def __init__(self, in_size: int, out_size: int) -> None:
        self.weight = parameter(out_size, in_size)
        self.bias = parameter(out_size)

    def __call__(self, x: Array) -> Array:
        """(…, in) -> (…, out)."""
        return linear(x, whole(self.weight), whole(self.bias))


class LayerNorm(nnx.Module):
    """`layer_norm` with its weight and bias (D,)."""

    def __init__(self, size: int, eps: float) -> None:
        self.weight = parameter(size)
        self.bias = parameter(size)
        self.eps = eps

    def __call__(self, x: Array, tap: Tap = silent) -> Array:
        """(…, D) -> (…, D)."""
        return layer_norm(x, whole(self.weight), whole(self.bias), eps=self.eps, tap=tap)


@kernel("padding")
def rows(table: Array, ids: Array, padding: int | None, tap: Tap = silent) -> Array:
    """The rows of a table (V, D) by ids (…): (…, D). The row of padding gets no gradient, as in fairseq and HF.

    Where ids cannot be checked, inside `jit`, a row that does not exist is NaN: JAX would take the last one.
    """
    found = table.at[ids]
    taken = found.get(mode="fill", fill_value=jnp.nan, wrap_negative_indices=False, out_sharding=with_rows(ids))  # … D
    if padding is None:
        return taken
    return jnp.where((ids == padding)[..., None], lax.stop_gradient(taken), taken)  # … D


class Embedding(nnx.Module):
    """`rows` of a table (V, D)."""

    def __init__(self, count: int, size: int, padding: int | None = None) -> None:
        self.weight = parameter(count, size)
        self.padding = padding

    def __call__(self, ids: Array) -> Array:
        """(…) -> (…, D)."""
        return rows(whole(self.weight), ids, padding=self.padding)


class Dropout(nnx.Module):
    """`dropout` in training mode, with keys from the stream that all of a model's dropouts share."""

    def __init__(self, rate: float, stream: nnx.RngStream) -> None:
        self.rate = rate
        self.stream = stream
        self.deterministic = True

    def set_view(self, deterministic: bool | None = None) -> None:
        """What `nnx.view` calls.

        Args:
            deterministic: whether nothing is dropped.
        """
        if deterministic is not None:
            self.deterministic = deterministic

    def key(self) -> Array | None:
        """The key of the next draw; None where nothing is dropped.

        Raises:
            TraceContextError: the stream's counter was made in another trace than this, which cannot count on.
        """
        if self.deterministic or not self.rate:
            return None
        try:
            return self.stream()
        except TraceContextError:
            remedy = "type nnx.merge(graph, parameters, rest, copy=True), and take the new rest by nnx.split"
            message = f"dropout: its counter belongs to another trace, and cannot count on in this one; {remedy}"
            raise TraceContextError(message) from None

    def __call__(self, x: Array) -> Array:
        """An array -> one of the same shape."""
        key = self.key()
        return x if key is None else dropout(x, key, rate=self.rate)
