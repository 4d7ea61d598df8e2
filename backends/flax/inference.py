"""The inference form: the same encoder on the real tokens of a batch, one after the other, without their padding.

Read it beside `encoder.py`: the same steps on (n, D) in place of (B, T, D), where n counts the tokens of `Flat`. XLA
compiles a program for each shape, which takes seconds; so n, the longest row and the number of wanted tokens are
rounded up to a `bucket`, and a new length rarely needs a new one. Weights of layers lie (in, out): for few tokens XLA's
product by the transpose takes up to 1.7 times as long. Query, key and value are one product.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from math import sqrt
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from ...reference.config import RobertaConfig
from ...reference.embeddings import resolve_position_ids
from ...reference.inputs import Inputs
from ...reference.outputs import Output
from ..arrays.answers import Parts, answer
from ..arrays.buckets import Places, bucket, filled, places
from ..arrays.flat import Flat, flat_batch
from . import heads
from .layers import ACTIVATIONS, PRECISION, Linear, at_least_single, gelu, layer_norm, linear, rows
from .weights import is_tracing

Tree = dict[str, Any]


class Settings(NamedTuple):
    """What a program depends on besides the shapes."""

    head: str
    head_size: int
    layer_norm_eps: float
    hidden_act: str
    is_absolute: bool


def dense(x: Array, kernel: Array, bias: Array) -> Array:
    """x W + b, of a weight that lies (in, out): (…, in) -> (…, out)."""
    return jnp.matmul(x, kernel, precision=PRECISION) + bias  # … out


def attention(x: Array, p: Tree, at: Places, settings: Settings, *, is_even: bool, is_last: bool) -> Array:
    """LayerNorm(x + W_o concat_h(softmax(q k' / sqrt(K)) v) + b_o): (n, D) -> (n, D), or (w, D) of what is wanted."""
    K = settings.head_size
    whole = dense(x, *p["projections"])  # n 3HK
    whole = whole.reshape(len(x), 3, whole.shape[1] // (3 * K), K)  # n 3 H K
    if is_even:
        padded = whole.reshape(*at.rows.shape, *whole.shape[1:])  # B S 3 H K
    else:
        padded = whole.at[at.rows].get(mode="fill", fill_value=0)  # B S 3 H K
    query, key, value = padded.transpose(2, 0, 3, 1, 4)  # B H S K
    if not is_even:
        query = jnp.where(at.is_uniform[:, None, None, None], 0, query)  # B H S K
    scores = jnp.matmul(query, key.swapaxes(-1, -2), precision=PRECISION) / sqrt(K)  # B H S S
    if not is_even:
        scores = jnp.where(at.is_key[:, None, None], scores, jnp.finfo(scores.dtype).min)  # B H S S
    scores = at_least_single(scores)  # B H S S
    weights = jnp.exp(scores - scores.max(-1, keepdims=True))  # B H S S
    total = weights.sum(-1, keepdims=True)  # B H S 1
    if scores.dtype != x.dtype:  # a sum that is divided afterwards may be too large for half precision
        weights, total = (weights / total).astype(x.dtype), jnp.ones((), x.dtype)  # B H S S
    mixed = jnp.matmul(weights, value, precision=PRECISION) / total  # B H S K
    merged = mixed.swapaxes(1, 2).reshape(-1, whole.shape[2] * K)  # BS HK
    if is_last and at.wanted is not None:
        x, merged = x[at.wanted], merged[at.flat[at.wanted]]  # w D, w HK
    elif not is_even:
        merged = merged[at.flat]  # n HK
    total = x + dense(merged, *p["attended"])  # w D
    return layer_norm(total, *p["attended_norm"], eps=settings.layer_norm_eps)  # w D


def feed_forward(x: Array, p: Tree, settings: Settings) -> Array:
    """LayerNorm(x + W_2 activation(W_1 x + b_1) + b_2)."""
    activated = ACTIVATIONS[settings.hidden_act](dense(x, *p["intermediate"]))  # n F
    return layer_norm(x + dense(activated, *p["output"]), *p["output_norm"], eps=settings.layer_norm_eps)  # n D


@partial(jax.jit, static_argnames=("settings", "is_even", "wants_states"))
def body(
    p: Tree,
    word: Array,
    types: Array,
    positions: Array,
    at: Places,
    settings: Settings,
    *,
    is_even: bool,
    wants_states: bool,
) -> tuple[Array, list[Array]]:
    """Embeddings and all layers: the last vectors, and those before where they are wanted.

    Args:
        p: the laid-out parameters.
        word: (n,) ids, or (n, D) vectors.
        types: (n,) token types.
        positions: (n,) position ids.
        at: where the tokens are.
        settings: of the configuration.
        is_even: whether the tokens are rows as they lie, and nothing is masked.
        wants_states: whether to return the vectors of all layers.
    """
    vectors = rows(p["word"], word, padding=None) if word.ndim == 1 else word  # n D
    total = vectors + rows(p["token_type"], types, padding=None)  # n D
    if settings.is_absolute:
        total = total + rows(p["position"], positions, padding=None)  # n D
    x = layer_norm(total, *p["norm"], eps=settings.layer_norm_eps)  # n D
    states, N = [x], len(p["layers"])
    for i, own in enumerate(p["layers"]):
        x = attention(x, own, at, settings, is_even=is_even, is_last=i == N - 1)  # n D, or w D
        x = feed_forward(x, own, settings)  # n D, or w D
        states.append(x)
    if not N and at.wanted is not None:
        x = x[at.wanted]  # w D
    return x, states if wants_states else []


@partial(jax.jit, static_argnames="settings")
def logits(p: Tree, x: Array, settings: Settings) -> Array:
    """The head's own layers: (…, D) -> (…, V) or (…, L)."""
    if "decoder" in p:  # W_v LayerNorm(gelu(W x + b)) + b_v
        normed = layer_norm(gelu(linear(x, *p["dense"])), *p["head_norm"], eps=settings.layer_norm_eps)  # … D
        return linear(normed, *p["decoder"])  # … V
    if settings.head == "sequence_classification":  # W_o tanh(W x_0 + b) + b_o
        x = jnp.tanh(linear(x, *p["dense"]))  # B D
    elif settings.head == "multiple_choice":
        x = pooled(p, x)  # BC D
    return linear(x, *p["classifier"])  # … L


@jax.jit
def pooled(p: Tree, x: Array) -> Array:
    """tanh(W x + b) of first tokens: (B, D) -> (B, D)."""
    return jnp.tanh(linear(x, *p["pooler"]))  # B D


@partial(jax.jit, static_argnames="shape")
def padded(values: Array, places: Array, empty: float, shape: tuple[int, int]) -> Array:
    """(n, …) -> (B, T, …), with `empty` where no token was computed."""
    whole = jnp.full((shape[0] * shape[1], *values.shape[1:]), empty, values.dtype)  # BT …
    return whole.at[places].set(values, mode="drop").reshape(*shape, *values.shape[1:])  # B T …


class Inference:
    """A head for forward passes; see `PublicModel.for_inference`. JAX's arrays cannot change: it stays as it is.

    Attributes:
        compute_dtype: in which it computes.
        programs: how many of XLA's programs its encoder has needed so far, one for each set of shapes.
    """

    def __init__(self, model: Any, dtype: str) -> None:
        _require_known(model)
        self.head: str = model.head
        self.config: RobertaConfig = model.config
        self.compute_dtype: Any = model.compute_dtype if dtype == model.dtype else jnp.dtype(dtype)
        self.parameters: Tree = jax.tree.map(lambda part: part.astype(self.compute_dtype), _laid_out(model))
        is_absolute = self.config.position_embedding_type == "absolute"
        numbers = (self.config.head_size, self.config.layer_norm_eps)
        self.settings = Settings(self.head, *numbers, self.config.hidden_act, is_absolute)
        self._shapes: set[Any] = set()

    @property
    def programs(self) -> int:
        """How many programs."""
        return len(self._shapes)

    @property
    def nbytes(self) -> int:
        """How many bytes it holds; tables and norms it shares with the model, where that is there."""
        return sum(part.nbytes for part in {id(part): part for part in jax.tree.leaves(self.parameters)}.values())

    def refusal(self, inputs: Inputs) -> str:
        """What it has no way for."""
        if is_tracing():
            return "values that a compiler leaves open"
        mask, rank = inputs.attention_mask, 3 if self.head == "multiple_choice" else 2
        asked = {
            "attention probabilities": inputs.output_attentions,
            "a head mask": inputs.head_mask is not None,
            "a mask that says who sees whom": mask is not None and mask.ndim > rank,
            "a decoder": self.config.is_decoder,
            "relative positions": self.config.position_embedding_type != "absolute",
        }
        return ", ".join(name for name, is_asked in asked.items() if is_asked)

    def run(self, inputs: Inputs, has_labels: bool) -> Output:
        """`Inputs` -> the head's record."""
        names = ("input_ids", "attention_mask", "token_type_ids", "position_ids", "inputs_embeds", "positions")
        host = {name: None if getattr(inputs, name) is None else np.asarray(getattr(inputs, name)) for name in names}
        batch = replace(inputs, **host)
        batch = batch.flattened() if self.head == "multiple_choice" else batch
        has_pooler = self.head == "model" and "pooler" in self.parameters
        flat = flat_batch(self.head, batch, batch.attention_mask, has_pooler=has_pooler, every_token=has_labels)
        x, states = self.encoded(batch, flat)  # n D, or w D
        at = filled(flat.places, bucket(len(flat.places)), flat.shape[0] * flat.shape[1])  # n
        lowest, count = float(jnp.finfo(x.dtype).min), None if flat.wanted is None else len(flat.wanted)
        parts = Parts(
            lambda values, empty: padded(values, at, empty, shape=flat.shape),
            heads.at_positions,
            lambda values: logits(self.parameters, values, settings=self.settings)[:count],
            partial(pooled, self.parameters) if has_pooler else None,
            lowest,
        )
        return answer(self.head, x, states, flat, inputs, parts)

    def encoded(self, inputs: Inputs, flat: Flat) -> tuple[Array, list[Array]]:
        """Embeddings and all layers, of as many tokens as the bucket has."""
        n = bucket(len(flat.places))
        shape = inputs.tokens.shape[:2]  # B T

        def chosen(values: Any) -> Any:
            return filled(np.broadcast_to(values, shape).reshape(-1)[flat.places], n, 0)  # n

        if inputs.inputs_embeds is None:
            word = chosen(inputs.input_ids)  # n
        else:
            vectors = inputs.inputs_embeds.reshape(-1, inputs.inputs_embeds.shape[-1])[flat.places]  # n D
            word = jnp.asarray(filled(vectors, n, 0), self.compute_dtype)  # n D
        types = chosen(0 if inputs.token_type_ids is None else inputs.token_type_ids)  # n
        positions = chosen(resolve_position_ids(inputs, self.config))  # n
        S, wanted_count = bucket(int(flat.counts.max(initial=0))), 0 if flat.wanted is None else len(flat.wanted)
        at = places(flat, n, S, bucket(wanted_count), fill=n)
        kind = {"is_even": at.is_even, "wants_states": inputs.output_hidden_states}
        self._shapes.add((word.shape, at.rows.shape, at.wanted is None or len(at.wanted), *kind.values()))
        return body(self.parameters, word, types, positions, at, settings=self.settings, **kind)


# -- pieces ------------------------------------------------------------------------------------------------------------


def _laid_out(model: Any) -> Tree:
    """The parameters as the functions above read them: query, key and value beside each other."""
    base = model.base_model
    tables = {
        "word": base.embeddings.word_embeddings.weight[...],
        "token_type": base.embeddings.token_type_embeddings.weight[...],
        "position": base.embeddings.position_embeddings.weight[...],
        "norm": _pair(base.embeddings.LayerNorm),
    }
    found: Tree = {**tables, "layers": [_layer(layer) for layer in base.encoder["layer"]]}
    if base.pooler is not None:
        found["pooler"] = _pair(base.pooler.dense)
    if hasattr(model, "lm_head"):
        head = model.lm_head
        found |= {"dense": _pair(head.dense), "head_norm": _pair(head.layer_norm), "decoder": _pair(head.decoder)}
    elif model.head == "sequence_classification":
        found |= {"dense": _pair(model.classifier.dense), "classifier": _pair(model.classifier.out_proj)}
    elif model.head != "model":
        found["classifier"] = _pair(model.qa_outputs if model.head == "question_answering" else model.classifier)
    return found


def _layer(layer: Any) -> Tree:
    own, attended = layer.attention.self, layer.attention.output
    projections = zip(*(_turned(own[name]) for name in ("query", "key", "value")), strict=True)
    return {
        "projections": tuple(jnp.concatenate(parts, axis=-1) for parts in projections),
        "attended": _turned(attended["dense"]),
        "attended_norm": _pair(attended["LayerNorm"]),
        "intermediate": _turned(layer.intermediate["dense"]),
        "output": _turned(layer.output["dense"]),
        "output_norm": _pair(layer.output["LayerNorm"]),
    }


def _turned(module: Any) -> tuple[Array, Array]:
    """The weight as (in, out), and the bias."""
    weight, bias = _pair(module)
    return jnp.array(weight.T), bias


def _pair(module: Any) -> tuple[Array, Array]:
    return module.weight[...], module.bias[...]


def _require_known(model: Any) -> None:
    """A module that somebody has put in another's place would be passed over."""
    package = Linear.__module__.rpartition(".")[0]
    for path, module in nnx.iter_graph(model):
        kind = type(module)
        is_ours = kind.__module__.startswith(package) or kind.__module__.startswith("flax.nnx.helpers")
        is_container = isinstance(module, nnx.List | nnx.Dict | nnx.Rngs)
        if module is model or is_ours or is_container or not isinstance(module, nnx.Module):
            continue
        where = f"{type(model).__name__}: for_inference computes plain modules, and {'.'.join(map(str, path))} is a"
        message = f"{where} {kind.__name__}; merge or remove it first, or go on with the model"
        raise TypeError(message)
