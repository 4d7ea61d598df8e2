"""The inference form: the same encoder on the real tokens of a batch, one after the other, without their padding.

Read it beside `encoder.py`: the same steps on (n, D) in place of (B, T, D), where n counts the tokens of `Flat`. The
steps are one `tf.function` whose sizes are left open, so that a new length traces nothing. Under XLA, which compiles a
program for each shape, sizes are rounded up to a `bucket`; it is taken where the model has Keras's own switch on,
`model.jit_compile = True`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import sqrt
from threading import RLock
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from tensorflow import Tensor

from ...reference.config import RobertaConfig
from ...reference.embeddings import resolve_position_ids
from ...reference.inputs import Inputs
from ...reference.outputs import Output
from ...reference.taps import silent
from ..arrays.answers import Parts, answer
from ..arrays.buckets import Places, bucket, filled, places
from ..arrays.flat import Flat, flat_batch
from . import heads, layers
from .layers import ACTIVATIONS, gelu, layer_norm, softmax
from .weights import is_tracing

Tree = dict[str, Any]


class Kind(NamedTuple):
    """What a traced function is for, besides its open sizes.

    Attributes:
        is_embedded: whether it is given vectors in place of ids.
        is_even: whether all rows have as many keys as there is room for, so that they are rows as they lie, and nothing
            is masked.
        has_wanted: whether the last layer is for few tokens.
        wants_states: whether the vectors of all layers are returned.
    """

    is_embedded: bool
    is_even: bool
    has_wanted: bool
    wants_states: bool


class Inference:
    """A head for forward passes; see `PublicModel.for_inference`. Its tensors are the weights as they were.

    Attributes:
        variable_dtype: of the numbers that it is given.
        compute_dtype: in which it computes: of a model with a mixed policy, the policy's.
        jit_compile: whether XLA compiles it.
        programs: how many functions have been traced so far; XLA compiles each for each set of buckets.
    """

    def __init__(self, model: Any, dtype: str) -> None:
        _require_known(model)
        self.head: str = model.head
        self.config: RobertaConfig = model.config
        self.variable_dtype = dtype
        self.compute_dtype: str = model.compute_dtype if dtype == model.variable_dtype else dtype
        self.jit_compile = getattr(model, "jit_compile", None) is True
        self.parameters: Tree = tf.nest.map_structure(lambda part: tf.cast(part, self.compute_dtype), _laid_out(model))
        self._begin()

    def _begin(self) -> None:
        self._functions: dict[Any, Callable[..., Any]] = {}
        self._lock = RLock()

    def __getstate__(self) -> dict[str, Any]:
        """Traced functions stay behind."""
        return {name: value for name, value in vars(self).items() if name not in ("_functions", "_lock")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._begin()

    @property
    def programs(self) -> int:
        """How many traces."""
        return len(self._functions)

    @property
    def nbytes(self) -> int:
        """How many bytes it holds; tables and norms it shares with the model, where that is there."""
        parts = {id(part): part for part in tf.nest.flatten(self.parameters)}.values()
        return sum(int(tf.size(part)) * part.dtype.size for part in parts)

    def refusal(self, inputs: Inputs) -> str:
        """What it has no way for."""
        if is_tracing():
            return "values that a traced function leaves open"
        mask, rank = inputs.attention_mask, 3 if self.head == "multiple_choice" else 2
        asked = {
            "attention probabilities": inputs.output_attentions,
            "a head mask": inputs.head_mask is not None,
            "a mask that says who sees whom": mask is not None and mask.shape.rank > rank,
            "a decoder": self.config.is_decoder,
            "relative positions": self.config.position_embedding_type != "absolute",
        }
        return ", ".join(name for name, is_asked in asked.items() if is_asked)

    def run(self, inputs: Inputs, has_labels: bool) -> Output:
        """`Inputs` -> the head's record."""
        names = ("input_ids", "attention_mask", "token_type_ids", "position_ids", "inputs_embeds", "positions")
        host = {name: None if getattr(inputs, name) is None else getattr(inputs, name).numpy() for name in names}
        batch = replace(inputs, **host)
        batch = batch.flattened() if self.head == "multiple_choice" else batch
        has_pooler = self.head == "model" and "pooler" in self.parameters
        flat = flat_batch(self.head, batch, batch.attention_mask, has_pooler=has_pooler, every_token=has_labels)
        x, states = self.encoded(batch, flat)  # n D, or w D
        shape, count = flat.shape, len(flat.places)
        is_whole = count == shape[0] * shape[1] and bool((flat.places == np.arange(count)).all())
        at = tf.constant(flat.places[:, None])  # n 1

        def whole(values: Tensor, empty: float) -> Tensor:
            values = values if values.shape[0] == count else values[:count]  # n …
            if not is_whole:
                padded = tf.fill([shape[0] * shape[1], *values.shape[1:]], tf.cast(empty, values.dtype))  # BT …
                values = tf.tensor_scatter_nd_update(padded, at, values)  # BT …
            return tf.reshape(values, [*shape, *values.shape[1:]])  # B T …

        wanted_count = None if flat.wanted is None else len(flat.wanted)
        parts = Parts(
            whole,
            heads.at_positions,
            lambda values: self.function("logits")(values)[:wanted_count],
            self.function("pooled") if has_pooler else None,
            x.dtype.min,
            tf.reshape,
        )
        return answer(self.head, x, states, flat, inputs, parts)

    def encoded(self, inputs: Inputs, flat: Flat) -> tuple[Tensor, list[Tensor]]:
        """Embeddings and all layers."""
        size = bucket if self.jit_compile else lambda count: max(count, 1)
        n, S = size(len(flat.places)), size(int(flat.counts.max(initial=0)))
        shape = inputs.tokens.shape[:2]  # B T

        def chosen(values: Any) -> Tensor:
            return tf.constant(filled(np.broadcast_to(values, shape).reshape(-1)[flat.places], n, 0), tf.int64)  # n

        if inputs.inputs_embeds is None:
            word = chosen(inputs.input_ids)  # n
        else:
            vectors = inputs.inputs_embeds.reshape(-1, inputs.inputs_embeds.shape[-1])[flat.places]  # n D
            word = tf.cast(filled(vectors, n, 0), self.compute_dtype)  # n D
        types = chosen(0 if inputs.token_type_ids is None else inputs.token_type_ids)  # n
        positions = chosen(resolve_position_ids(inputs, self.config))  # n
        wanted = flat.wanted
        found = places(flat, n, S, 0 if wanted is None else size(len(wanted)), fill=0)
        at = [tf.constant(part) for part in found[: 4 if wanted is None else 5]]
        kind = Kind(inputs.inputs_embeds is not None, found.is_even, wanted is not None, inputs.output_hidden_states)
        return self.function(kind)(word, types, positions, *at)

    def function(self, kind: Any) -> Callable[..., Any]:
        """The traced function of a kind, with open sizes; made once, whichever thread asks first."""
        with self._lock:
            if kind not in self._functions:
                self._functions[kind] = self._traced(kind)
            return self._functions[kind]

    def _traced(self, kind: Any) -> Callable[..., Any]:
        D, integers = self.config.hidden_size, tf.TensorSpec([None], tf.int64)
        vectors = tf.TensorSpec([None, D], self.compute_dtype)
        if not isinstance(kind, Kind):
            compute = logits if kind == "logits" else pooled
            return self._concrete(lambda x: compute(self.parameters, x, self), [vectors])
        rows, keys = tf.TensorSpec([None, None], tf.int64), tf.TensorSpec([None, None], tf.bool)
        signature = [vectors if kind.is_embedded else integers, integers, integers, rows, integers, keys]
        signature += [tf.TensorSpec([None], tf.bool), *([integers] if kind.has_wanted else [])]

        def steps(word: Tensor, types: Tensor, positions: Tensor, *at: Tensor) -> Any:
            where = Places(*at[:4], wanted=at[4] if kind.has_wanted else None)
            return body(self.parameters, word, types, positions, where, self, kind)

        return self._concrete(steps, signature)

    def _concrete(self, steps: Callable[..., Any], signature: list[Any]) -> Callable[..., Any]:
        """Traced at once: a `tf.function` would look for its one trace at each call, in 0.15 ms."""
        return tf.function(steps, input_signature=signature, jit_compile=self.jit_compile).get_concrete_function()


# -- the steps ---------------------------------------------------------------------------------------------------------


def linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """y = x W + b, of a weight that is laid out (in, out): (n, in) -> (n, out)."""
    return tf.nn.bias_add(tf.matmul(x, weight), bias)  # n out


def attention(x: Tensor, p: Tree, at: Places, own: Inference, kind: Kind, *, is_last: bool) -> Tensor:
    """LayerNorm(x + W_o concat_h(softmax(q k' / sqrt(K)) v) + b_o): (n, D) -> (n, D), or (w, D) of what is wanted."""
    K, shape = own.config.head_size, tf.shape(at.rows)  # B S
    whole = linear(x, *p["projections"])  # n 3HK
    H = p["projections"][1].shape[0] // (3 * K)
    padded = whole if kind.is_even else tf.gather(whole, tf.reshape(at.rows, [-1]))  # BS 3HK
    padded = tf.transpose(tf.reshape(padded, [shape[0], shape[1], 3, H, K]), [2, 0, 3, 1, 4])  # 3 B H S K
    query, key, value = tf.unstack(padded)  # B H S K
    if not kind.is_even:
        query = tf.where(at.is_uniform[:, None, None, None], tf.zeros([], query.dtype), query)  # B H S K
    scores = tf.matmul(query, key, transpose_b=True) / sqrt(K)  # B H S S
    if not kind.is_even:
        scores = tf.where(at.is_key[:, None, None], scores, scores.dtype.min)  # B H S S
    probs = softmax(scores)  # B H S S
    merged = tf.reshape(tf.transpose(tf.matmul(probs, value), [0, 2, 1, 3]), [-1, H * K])  # BS HK
    if is_last and at.wanted is not None:
        x, merged = tf.gather(x, at.wanted), tf.gather(merged, tf.gather(at.flat, at.wanted))  # w D, w HK
    elif not kind.is_even:
        merged = tf.gather(merged, at.flat)  # n HK
    return layer_norm(x + linear(merged, *p["attended"]), *p["attended_norm"], eps=own.config.layer_norm_eps)  # n D


def feed_forward(x: Tensor, p: Tree, own: Inference) -> Tensor:
    """LayerNorm(x + W_2 activation(W_1 x + b_1) + b_2)."""
    activated = ACTIVATIONS[own.config.hidden_act](linear(x, *p["intermediate"]), silent)  # n F
    return layer_norm(x + linear(activated, *p["output"]), *p["output_norm"], eps=own.config.layer_norm_eps)  # n D


def body(
    p: Tree, word: Tensor, types: Tensor, positions: Tensor, at: Places, own: Inference, kind: Kind
) -> tuple[Tensor, list[Tensor]]:
    """Embeddings and all layers: the last vectors, and those before where they are wanted.

    Args:
        p: the laid-out parameters.
        word: (n,) ids, or (n, D) vectors.
        types: (n,) token types.
        positions: (n,) position ids.
        at: where the tokens are.
        own: the configuration.
        kind: what is asked for.
    """
    vectors = word if kind.is_embedded else tf.gather(p["word"], word)  # n D
    total = vectors + tf.gather(p["token_type"], types)  # n D
    if own.config.position_embedding_type == "absolute":
        total = total + tf.gather(p["position"], positions)  # n D
    x = layer_norm(total, *p["norm"], eps=own.config.layer_norm_eps)  # n D
    states, N = [x], len(p["layers"])
    for i, layer in enumerate(p["layers"]):
        x = feed_forward(attention(x, layer, at, own, kind, is_last=i == N - 1), layer, own)  # n D, or w D
        states.append(x)
    if not N and at.wanted is not None:
        x = tf.gather(x, at.wanted)  # w D
    return x, states if kind.wants_states else []


def logits(p: Tree, x: Tensor, own: Inference) -> Tensor:
    """The head's own layers: (…, D) -> (…, V) or (…, L)."""
    if "decoder" in p:  # W_v LayerNorm(gelu(W x + b)) + b_v
        normed = layer_norm(gelu(linear(x, *p["dense"])), *p["head_norm"], eps=own.config.layer_norm_eps)  # … D
        return linear(normed, *p["decoder"])  # … V
    if own.head == "sequence_classification":  # W_o tanh(W x_0 + b) + b_o
        x = tf.tanh(linear(x, *p["dense"]))  # B D
    elif own.head == "multiple_choice":
        x = pooled(p, x, own)  # BC D
    return linear(x, *p["classifier"])  # … L


def pooled(p: Tree, x: Tensor, own: Inference) -> Tensor:
    """tanh(W x + b) of first tokens: (B, D) -> (B, D)."""
    return tf.tanh(linear(x, *p["pooler"]))  # B D


# -- pieces ------------------------------------------------------------------------------------------------------------


def _laid_out(model: Any) -> Tree:
    """The parameters as the functions above read them: query, key and value beside each other."""
    base = model if model.head == "model" else model.roberta
    names = ("word", "token_type", "position")
    tables = {name: tf.convert_to_tensor(getattr(base.embeddings, f"{name}_embeddings").weight.value) for name in names}
    found: Tree = {**tables, "norm": _norm(base.embeddings.LayerNorm)}
    found["layers"] = [_layer(layer) for layer in base.encoder["layer"]]
    if base.pooler is not None:
        found["pooler"] = _dense(base.pooler.dense)
    if hasattr(model, "lm_head"):
        head = model.lm_head
        found |= {"dense": _dense(head.dense), "head_norm": _norm(head.layer_norm), "decoder": _dense(head.decoder)}
    elif model.head == "sequence_classification":
        found |= {"dense": _dense(model.classifier.dense), "classifier": _dense(model.classifier.out_proj)}
    elif model.head != "model":
        found["classifier"] = _dense(model.qa_outputs if model.head == "question_answering" else model.classifier)
    return found


def _layer(layer: Any) -> Tree:
    own, attended = layer.attention.self, layer.attention.output
    return {
        "projections": _dense(own["query"], own["key"], own["value"]),
        "attended": _dense(attended["dense"]),
        "attended_norm": _norm(attended["LayerNorm"]),
        "intermediate": _dense(layer.intermediate["dense"]),
        "output": _dense(layer.output["dense"]),
        "output_norm": _norm(layer.output["LayerNorm"]),
    }


def _dense(*modules: Any) -> tuple[Tensor, Tensor]:
    """Dense layers beside each other, the weight (in, out), which products with few rows read as it lies."""
    weights, biases = zip(*(_norm(module) for module in modules), strict=True)
    return tf.transpose(tf.concat(weights, 0)), tf.concat(biases, 0)


def _norm(module: Any) -> tuple[Tensor, Tensor]:
    return tf.convert_to_tensor(module.weight.value), tf.convert_to_tensor(module.bias.value)


def _require_known(model: Any) -> None:
    """A layer that somebody has put in another's place would be passed over.

    Raises:
        TypeError: names the first that is not this package's.
    """
    package = layers.__name__.rpartition(".")[0]
    for layer in model._flatten_layers(include_self=False):
        if not type(layer).__module__.startswith(package):
            where = f"{type(model).__name__}: for_inference computes plain layers, and {layer.name} is a"
            message = f"{where} {type(layer).__name__}; merge or remove it first, or go on with the model"
            raise TypeError(message)
