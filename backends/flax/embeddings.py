"""Token ids -> vectors: position ids, and the sum of three embeddings under a layer norm."""

from __future__ import annotations

import jax.numpy as jnp
from flax import nnx
from jax import Array

from ...reference.config import RobertaConfig
from ...reference.inputs import Inputs
from ...reference.taps import Tap, scope, silent
from .layers import Dropout, Embedding, LayerNorm, kernel


@kernel("pad_token_id")
def position_ids(input_ids: Array, pad_token_id: int, past_token_count: Array, tap: Tap = silent) -> Array:
    """(cumsum(is_token) + past) * is_token + pad: (B, T)."""
    is_token = (input_ids != pad_token_id).astype(input_ids.dtype)  # B T
    return (is_token.cumsum(-1) + past_token_count[:, None]) * is_token + pad_token_id  # B T


def token_count(inputs: Inputs, pad_token_id: int) -> Array:
    """How many real tokens each row holds; of embeddings, all are taken for real. Shape (B,)."""
    if inputs.input_ids is None:
        B, T = inputs.tokens.shape[:2]
        return jnp.full(B, T)  # B
    return (inputs.input_ids != pad_token_id).sum(-1)  # B


def resolve_position_ids(inputs: Inputs, config: RobertaConfig) -> Array:
    """The position ids given, else counted from ids, else, for embeddings, `pad + 1 + past` upwards. Shape (B, T)."""
    if inputs.position_ids is not None:
        return inputs.position_ids  # B T
    B, T = inputs.tokens.shape[:2]
    past = jnp.zeros(B, int) if inputs.past_key_values is None else inputs.past_key_values.token_count  # B
    if inputs.input_ids is not None:
        return position_ids(inputs.input_ids, pad_token_id=config.pad_token_id, past_token_count=past)  # B T
    return jnp.arange(1, T + 1) + past[:, None] + config.pad_token_id  # B T


class Embeddings(nnx.Module):
    """dropout(LayerNorm(word + token_type + position)): (B, T, D), in the dtype in which the model computes."""

    def __init__(self, config: RobertaConfig, rngs: nnx.Rngs, dtype: str | None) -> None:
        D, pad = config.hidden_size, config.pad_token_id
        self.word_embeddings = Embedding(config.vocab_size, D, padding=pad)
        self.position_embeddings = Embedding(config.max_position_embeddings, D, padding=pad)
        self.token_type_embeddings = Embedding(config.type_vocab_size, D)
        self.LayerNorm = LayerNorm(D, config.layer_norm_eps)
        self.drop = Dropout(config.hidden_dropout_prob, rngs.dropout)
        self.dtype = dtype

    def __call__(self, inputs: Inputs, config: RobertaConfig, tap: Tap = silent) -> Array:
        """Sum, normalise, drop out: (B, T, D)."""
        word = self.word_embeddings(inputs.input_ids) if inputs.inputs_embeds is None else inputs.inputs_embeds
        token_type_ids = inputs.token_type_ids
        if token_type_ids is None:
            token_type_ids = jnp.zeros(word.shape[:2], int)
        total = word + self.token_type_embeddings(token_type_ids)  # B T D
        if config.position_embedding_type == "absolute":
            total = total + self.position_embeddings(resolve_position_ids(inputs, config))  # B T D
        total = tap("sum", total.astype(self.dtype or total.dtype))  # B T D
        x = self.LayerNorm(total, scope(tap, "LayerNorm"))  # B T D
        return self.drop(x)  # B T D
