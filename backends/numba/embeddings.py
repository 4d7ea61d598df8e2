"""Token ids -> vectors: the sum of three embeddings under a layer norm. Position ids are the spec's."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...reference.config import RobertaConfig
from ...reference.embeddings import Integers, resolve_position_ids
from ...reference.inputs import Inputs
from ...reference.layers import Array, Dropout, keep_all
from ...reference.taps import Tap, scope, silent
from . import kernels
from .layers import layer_norm


def embeddings(inputs: Inputs, p: Any, config: RobertaConfig, tap: Tap = silent, drop: Dropout = keep_all) -> Array:
    """dropout(LayerNorm(word + token_type + position)): (B, T, D)."""
    B, T = inputs.tokens.shape[:2]
    total = np.empty((B * T, config.hidden_size), p["LayerNorm"]["weight"].dtype)  # BT D
    word, ids = table_rows(inputs, p)  # BT D
    types = np.zeros((B, T), np.int64) if inputs.token_type_ids is None else inputs.token_type_ids  # B T
    position, places = np.zeros((1, config.hidden_size), total.dtype), np.zeros((B, T), np.int64)  # 1 D, B T
    if config.position_embedding_type == "absolute":
        position, places = p["position_embeddings"]["weight"], resolve_position_ids(inputs, config)  # M D, B T
    indices = [_flat(numbers, (B, T)) for numbers in (ids, types, places)]
    kernels.embeddings(*indices, word, p["token_type_embeddings"]["weight"], position, total)
    total = tap("sum", total.reshape(B, T, config.hidden_size))  # B T D
    x = layer_norm(total, **p["LayerNorm"], eps=config.layer_norm_eps, tap=scope(tap, "LayerNorm"))  # B T D
    return drop(x, config.hidden_dropout_prob)  # B T D


def table_rows(inputs: Inputs, p: Any) -> tuple[Array, Integers]:
    """A table and the numbers of its rows: the word table and the ids, or the embeddings given, each its own row."""
    if inputs.inputs_embeds is None:
        return p["word_embeddings"]["weight"], inputs.input_ids
    B, T, D = inputs.inputs_embeds.shape
    return np.ascontiguousarray(inputs.inputs_embeds).reshape(-1, D), np.arange(B * T).reshape(B, T)


def _flat(numbers: Integers, shape: tuple[int, int]) -> Integers:
    """Integers of every token, side by side: (BT,)."""
    return np.ascontiguousarray(np.broadcast_to(numbers, shape), np.int64).reshape(-1)
