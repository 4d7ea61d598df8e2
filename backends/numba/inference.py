"""The inference form: the same encoder on the real tokens of a batch, one after the other, without their padding.

Read it beside `encoder.py`: the same steps and the same kernels on (n, D) in place of (B, T, D), where n counts the
tokens of `Flat`; attention goes row by row. Dense layers are packed already: it shares the model's.
"""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np

from ...reference.attention import Context
from ...reference.config import RobertaConfig
from ...reference.embeddings import Integers, resolve_position_ids
from ...reference.inputs import Inputs
from ...reference.layers import Array
from ...reference.outputs import Output
from ...reference.taps import silent
from ...reference.weights import flatten
from ..arrays.answers import Parts, answer
from ..arrays.flat import Flat, flat_batch
from . import heads, kernels
from .attention import residual
from .embeddings import table_rows
from .layers import ACTIVATIONS, layer_norm, linear


def embeddings(inputs: Inputs, places: Integers, p: Any, config: RobertaConfig) -> Array:
    """LayerNorm(word + token_type + position) of the tokens that are computed: (n, D)."""
    shape = inputs.tokens.shape[:2]  # B T
    norm = p["LayerNorm"]
    total = np.empty((len(places), config.hidden_size), norm["weight"].dtype)  # n D
    word, ids = table_rows(inputs, p)
    zeros = np.zeros(shape, np.int64)  # B T
    types = zeros if inputs.token_type_ids is None else inputs.token_type_ids  # B T
    position, numbers = np.zeros((1, config.hidden_size), total.dtype), zeros  # 1 D, B T
    if config.position_embedding_type == "absolute":
        position, numbers = p["position_embeddings"]["weight"], resolve_position_ids(inputs, config)  # M D, B T
    indices = [np.broadcast_to(part, shape).reshape(-1)[places].astype(np.int64) for part in (ids, types, numbers)]
    kernels.embeddings(*indices, word, p["token_type_embeddings"]["weight"], position, total)
    return layer_norm(total, **norm, eps=config.layer_norm_eps)  # n D


class Room:
    """Memory that each layer of one call writes to anew: the system takes longer to give some than a sum to fill it.

    Example:
        >>> room = Room()
        >>> first = room("projected", np.ones((3, 2), "float32"), 6)
        >>> first.shape, np.shares_memory(first, room("projected", first[:2], 6))
        ((3, 6), True)
    """

    def __init__(self) -> None:
        self._arrays: dict[str, Array] = {}

    def __call__(self, name: str, x: Array, size: int) -> Array:
        """Room for as many rows as x has, of another size: what was there under the name is gone."""
        found = self._arrays.get(name)
        if found is None or found.shape[1] != size or len(found) < len(x):
            self._arrays[name] = found = np.empty((len(x), size), x.dtype)
        return found[: len(x)]


def attention(x: Array, p: Any, context: Context, flat: Flat, room: Room, wanted: Wanted | None = None) -> Array:
    """LayerNorm(x + W_o concat_h(softmax(q k' / sqrt(K)) v) + b_o): (n, D) -> (n, D), or (w, D) of what is wanted."""
    K, dense = context.config.head_size, p["self"]["projections"]
    whole = linear(x, **dense, out=room("projected", x, dense["size"]))  # n 3HK
    whole = whole.reshape(len(x), 3, dense["size"] // (3 * K), K)  # n 3 H K
    query, key, value = whole.swapaxes(0, 1)  # n H K
    for b in np.flatnonzero(flat.is_uniform):
        query[flat.starts[b] : flat.starts[b + 1]] = 0
    starts = flat.starts
    if wanted is not None:
        x, query, starts = x[wanted.order], query[wanted.order], wanted.starts  # w D, w H K
    mixed, scale = room("mixed", x, dense["size"] // 3), x.dtype.type(sqrt(K))  # w HK
    kernels.flat_attention(query, key, value, starts, flat.starts, flat.key_counts, scale, mixed.reshape(query.shape))
    return residual(x, mixed, p["output"], context, out=room("attended", x, x.shape[1]))  # w D


def feed_forward(x: Array, p: Any, context: Context, room: Room) -> Array:
    """LayerNorm(x + W_2 activation(W_1 x + b_1) + b_2): (n, D)."""
    dense = p["intermediate"]["dense"]
    activation = ACTIVATIONS[context.config.hidden_act]
    activated = activation(x, dense, silent, room("activated", x, dense["size"]))  # n F
    return residual(x, activated, p["output"], context, out=room("output", x, x.shape[1]))  # n D


class Wanted:
    """The tokens whose vectors are wanted of the last layer.

    Attributes:
        order: (w,) their places in the flat order, row by row.
        back: (w,) from that order to the one that was asked for.
        starts: (B + 1,) where each row's begin.
    """

    def __init__(self, places: Integers, flat: Flat) -> None:
        row = np.searchsorted(flat.starts, places, side="right") - 1  # w
        order = np.argsort(row, kind="stable")  # w
        self.order, self.back = places[order], np.argsort(order)
        self.starts = np.concatenate([[0], np.bincount(row, minlength=flat.shape[0]).cumsum()])  # B+1


class Inference:
    """A head for forward passes; see `PublicModel.for_inference`.

    Attributes:
        parameters: packed dense layers, tables and norms, as a tree; the model's own.
    """

    def __init__(self, model: Any, dtype: str) -> None:
        self.head: str = model.head
        self.config: RobertaConfig = model.config
        self.parameters: dict[str, Any] = (model if dtype == model.dtype else model.to_backend("numba", dtype)).packed

    @property
    def nbytes(self) -> int:
        """How many bytes it holds, of which the model holds the same while it is there."""
        arrays = {id(array): array for array in flatten(self.parameters).values() if isinstance(array, np.ndarray)}
        return sum(array.nbytes for array in arrays.values())

    def refusal(self, inputs: Inputs) -> str:
        """What it has no way for."""
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
        rows = inputs.flattened() if self.head == "multiple_choice" else inputs
        has_pooler = self.head == "model" and "pooler" in self.parameters
        flat = flat_batch(self.head, rows, rows.attention_mask, has_pooler=has_pooler, every_token=has_labels)
        x, states = self.body(rows, flat)  # n D, or w D
        lowest = float(np.finfo(x.dtype).min)
        parts = Parts(flat.padded, heads.at_positions, self.logits, self.pooled if has_pooler else None, lowest)
        return answer(self.head, x, states, flat, inputs, parts)

    def body(self, inputs: Inputs, flat: Flat) -> tuple[Array, list[Array]]:
        """Embeddings and all layers: the last vectors, and those before where they are wanted."""
        p = self.parameters.get("roberta", self.parameters)
        x = embeddings(inputs, flat.places, p["embeddings"], self.config)  # n D
        states = [x] if inputs.output_hidden_states else []
        wanted = None if flat.wanted is None else Wanted(flat.wanted, flat)
        context, room, N = Context(self.config, inputs), Room(), self.config.num_hidden_layers
        for i in range(N):
            own = p["encoder"]["layer"][str(i)]
            x = attention(x, own["attention"], context, flat, room, wanted if i == N - 1 else None)  # n D, or w D
            x = feed_forward(x, own, context, room)  # n D, or w D
            if inputs.output_hidden_states:
                states.append(x.copy())
        if wanted is not None:
            x = x[wanted.back if N else flat.wanted]  # w D
        return x, states

    # -- the heads -----------------------------------------------------------------------------------------------------

    def pooled(self, x: Array) -> Array:
        """tanh(W x + b) of first tokens: (B, D) -> (B, D)."""
        p = self.parameters.get("roberta", self.parameters)
        return np.tanh(linear(x, **p["pooler"]["dense"]))  # B D

    def logits(self, x: Array) -> Array:
        """The head's own layers: (…, D) -> (…, V) or (…, L)."""
        p = self.parameters
        if "lm_head" in p:
            return heads.lm_head(x, p["lm_head"], self.config)  # … V
        if self.head == "sequence_classification":
            return heads.classification_head(x[:, None], p["classifier"], self.config)  # B L
        if self.head == "multiple_choice":
            return linear(self.pooled(x), **p["classifier"])  # BC 1
        return linear(x, **p["classifier" if "classifier" in p else "qa_outputs"])  # n L
