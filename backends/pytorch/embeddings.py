"""Token ids -> vectors: position ids, and the sum of three embeddings under a layer norm."""

from __future__ import annotations

import torch
from torch import Tensor

from ...reference.config import RobertaConfig
from ...reference.inputs import Inputs
from ...reference.taps import Tap, scope, silent
from .layers import LayerNorm, Part, dropout, embedding


def position_ids(input_ids: Tensor, pad_token_id: int, past_token_count: Tensor) -> Tensor:
    """(cumsum(is_token) + past) * is_token + pad: (B, T)."""
    is_token = (input_ids != pad_token_id).long()  # B T
    return (is_token.cumsum(-1) + past_token_count[:, None]) * is_token + pad_token_id  # B T


def token_count(inputs: Inputs, pad_token_id: int) -> Tensor:
    """How many real tokens each row holds; of embeddings, all are taken for real. Shape (B,)."""
    if inputs.input_ids is None:
        B, T = inputs.tokens.shape[:2]
        return torch.full((B,), T, device=inputs.tokens.device)  # B
    return (inputs.input_ids != pad_token_id).sum(-1)  # B


def resolve_position_ids(inputs: Inputs, config: RobertaConfig) -> Tensor:
    """The position ids given, else counted from ids, else, for embeddings, `pad + 1 + past` upwards. Shape (B, T)."""
    if inputs.position_ids is not None:
        return inputs.position_ids  # B T
    B, T = inputs.tokens.shape[:2]
    device = inputs.tokens.device
    cache = inputs.past_key_values
    past = torch.zeros(B, dtype=torch.long, device=device) if cache is None else cache.token_count  # B
    if inputs.input_ids is not None:
        return position_ids(inputs.input_ids, config.pad_token_id, past)  # B T
    return torch.arange(1, T + 1, device=device) + past[:, None] + config.pad_token_id  # B T


class Embeddings(Part):
    """dropout(LayerNorm(word + token_type + position)): (B, T, D)."""

    def __init__(self, config: RobertaConfig) -> None:
        super().__init__()
        D, pad = config.hidden_size, config.pad_token_id
        self.config = config
        # padding_idx: the rows of padding get no gradient, as in fairseq and HF
        self.word_embeddings = embedding(config.vocab_size, D, pad)
        self.position_embeddings = embedding(config.max_position_embeddings, D, pad)
        self.token_type_embeddings = embedding(config.type_vocab_size, D)
        self.LayerNorm = LayerNorm(D, config.layer_norm_eps)
        self.dropout = dropout(config.hidden_dropout_prob)

    def forward(
        self,
        input_ids: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        *,
        tap: Tap = silent,
    ) -> Tensor:
        """Sum, normalise, drop out: ids (B, T) or, in place of the word table's rows, (B, T, D) -> (B, T, D)."""
        word = self.word_embeddings(input_ids) if inputs_embeds is None else inputs_embeds  # B T D
        if token_type_ids is None:
            token_type_ids = torch.zeros(word.shape[:2], dtype=torch.long, device=word.device)
        total = word + self.token_type_embeddings(token_type_ids)  # B T D
        if self.config.position_embedding_type == "absolute":
            inputs = Inputs(input_ids=input_ids, inputs_embeds=inputs_embeds, position_ids=position_ids)
            total = total + self.position_embeddings(resolve_position_ids(inputs, self.config))  # B T D
        total = tap("sum", total)  # B T D
        x = self.hear(self.LayerNorm, scope(tap, "LayerNorm"), total)  # B T D
        return self.dropout(x)  # B T D
