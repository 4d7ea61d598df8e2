"""Token ids -> vectors: position ids, and the sum of three embeddings under a layer norm."""

from __future__ import annotations

from typing import Any

import numpy as np

from .config import RobertaConfig
from .inputs import Inputs
from .layers import Array, Dropout, keep_all, layer_norm
from .taps import Tap, scope, silent

Integers = np.ndarray[tuple[int, ...], np.dtype[np.integer[Any]]]


def position_ids(input_ids: Integers, pad_token_id: int, past_token_count: Integers) -> Integers:
    """Position ids count the real tokens of a row from `pad_token_id + 1`; padding stays at `pad_token_id`.

    Equation: (cumsum(is_token) + past) * is_token + pad.

    Args:
        input_ids: (B, T).
        pad_token_id: the padding id and the offset.
        past_token_count: (B,), the real tokens already in the cache.

    Returns:
        (B, T) integers.

    Source: fairseq `make_positions`; HF `create_position_ids_from_input_ids` @ 4.57.6, which adds the cache's length,
    padding included, so that its left-padded rows change when they are cached. Here they do not.

    Example:
        >>> position_ids(np.array([[0, 5, 1, 7, 1]]), 1, np.array([0]))
        array([[2, 3, 1, 4, 1]])
        >>> position_ids(np.array([[0, 5, 1, 7, 1]]), 1, np.array([3]))
        array([[5, 6, 1, 7, 1]])
    """
    is_token = (input_ids != pad_token_id).astype(np.int64)  # B T
    return (is_token.cumsum(-1) + past_token_count[:, None]) * is_token + pad_token_id  # B T


def token_count(inputs: Inputs, pad_token_id: int) -> Integers:
    """How many real tokens each row holds; of embeddings, all are taken for real. Shape (B,)."""
    if inputs.input_ids is None:
        return np.full(len(inputs.tokens), inputs.tokens.shape[1])  # B
    return (inputs.input_ids != pad_token_id).sum(-1)  # B


def resolve_position_ids(inputs: Inputs, config: RobertaConfig) -> Integers:
    """The position ids given, else counted from ids, else, for embeddings, `pad + 1 + past` upwards. Shape (B, T)."""
    if inputs.position_ids is not None:
        return inputs.position_ids  # B T
    shape: tuple[int, int] = inputs.tokens.shape[:2]
    B, T = shape
    past = np.zeros(B, np.int64) if inputs.past_key_values is None else inputs.past_key_values.token_count  # B
    if inputs.input_ids is not None:
        return position_ids(inputs.input_ids, config.pad_token_id, past)  # B T
    return np.arange(1, T + 1) + past[:, None] + config.pad_token_id  # B T


def embeddings(inputs: Inputs, p: Any, config: RobertaConfig, tap: Tap = silent, drop: Dropout = keep_all) -> Array:
    """The vectors that enter the encoder.

    Equation: dropout(LayerNorm(word + token_type + position)); relative position types have no position term.

    Args:
        inputs: `input_ids` or `inputs_embeds`, with `token_type_ids` and `position_ids` where given.
        p: the parameters at `embeddings`.
        config: the configuration.
        tap: see `taps`.
        drop: see `layers.dropout`.

    Returns:
        (B, T, D).

    Source: Liu et al. (2019), section 2; HF `RobertaEmbeddings`.
    """
    word = p["word_embeddings"]["weight"][inputs.input_ids] if inputs.inputs_embeds is None else inputs.inputs_embeds
    token_type_ids = np.zeros(word.shape[:2], np.int64) if inputs.token_type_ids is None else inputs.token_type_ids
    total = word + p["token_type_embeddings"]["weight"][token_type_ids]  # B T D
    if config.position_embedding_type == "absolute":
        total = total + p["position_embeddings"]["weight"][resolve_position_ids(inputs, config)]  # B T D
    total = tap("sum", total)  # B T D
    x = layer_norm(total, **p["LayerNorm"], eps=config.layer_norm_eps, tap=scope(tap, "LayerNorm"))  # B T D
    return drop(x, config.hidden_dropout_prob)  # B T D
