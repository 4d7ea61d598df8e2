"""Attention: masks, the three position types, cross-attention, and the key-value cache.

Two paths, chosen by what is asked for: PyTorch's fused scaled-dot-product attention, which never materialises scores
and probabilities, and the explicit equation, where probabilities, a head mask or relative positions are wanted, or
where scores or probabilities are replaced.
"""

from __future__ import annotations

from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...reference.attention import Attended, Context
from ...reference.config import RobertaConfig
from ...reference.inputs import Inputs
from ...reference.taps import Tap, is_asked_for, scope, silent
from .layers import LayerNorm, Part, dropout, embedding, linear, softmax

# -- masks ---------------------------------------------------------------------------------------------------------


def is_attended(inputs: Inputs, config: RobertaConfig) -> Tensor | None:
    """Who may look at whom: (B, 1, T, S) or broadcastable, None for everybody at everybody."""
    T, device = inputs.tokens.shape[1], inputs.tokens.device
    P = 0 if inputs.past_key_values is None else inputs.past_key_values.length
    mask = inputs.attention_mask
    if mask is not None and mask.ndim == 3:
        return mask[:, None] >= 1  # B 1 T S
    is_shown = None if mask is None else mask[:, None, None, :] >= 1  # B 1 1 S
    if not config.is_decoder:
        return is_shown
    is_visible = torch.ones(T, P + T, dtype=torch.bool, device=device).tril(P)[None, None]  # 1 1 T S
    return is_visible if is_shown is None else is_visible & is_shown  # B 1 T S


def is_source_attended(inputs: Inputs) -> Tensor | None:
    """Which source tokens cross-attention may look at: (B, 1, T, E) or broadcastable, None for all."""
    mask = inputs.encoder_attention_mask
    if mask is None:
        return None
    return (mask[:, None] if mask.ndim == 3 else mask[:, None, None, :]) >= 1  # B 1 T E


def masked_softmax(scores: Tensor, is_attended: Tensor | None) -> Tensor:
    """The softmax over the attended scores; a row that may look at nobody attends uniformly to every key."""
    if is_attended is not None:
        scores = scores.masked_fill(~is_attended, torch.finfo(scores.dtype).min)  # B H T S
    return softmax(scores)  # B H T S


# -- the equation --------------------------------------------------------------------------------------------------


def split_heads(x: Tensor, head_size: int) -> Tensor:
    """(B, T, HK) -> (B, H, T, K)."""
    B, T, HK = x.shape
    return x.view(B, T, HK // head_size, head_size).transpose(1, 2)  # B H T K


def merge_heads(x: Tensor) -> Tensor:
    """(B, H, T, K) -> (B, T, HK)."""
    B, H, T, K = x.shape
    return x.transpose(1, 2).reshape(B, T, H * K)  # B T HK


def relative_scores(query: Tensor, key: Tensor, table: nn.Embedding | None, config: RobertaConfig) -> Tensor | float:
    """The position term of the scores, by the distance i - j with i = P + t: (B, H, T, S), or 0.0 for absolute."""
    if table is None:
        return 0.0
    T, S = query.shape[2], key.shape[2]
    tokens = torch.arange(S, device=query.device)  # S
    distance = tokens[S - T :, None] - tokens[None, :]  # T S
    relation = table(distance + config.max_position_embeddings - 1)  # T S K
    by_query = torch.einsum("bhtk,tsk->bhts", query, relation)  # B H T S
    if config.position_embedding_type == "relative_key":
        return by_query
    return by_query + torch.einsum("bhsk,tsk->bhts", key, relation)  # B H T S


def masked_heads(probs: Tensor, head_mask: Tensor | None) -> Tensor:
    """Multiply each head's probabilities by its entry of the head mask: 0 silences the head. Shape (B, H, T, S)."""
    return probs if head_mask is None else probs * head_mask


def fused(query: Tensor, key: Tensor, value: Tensor, is_attended: Tensor | None, drop_rate: float = 0.0) -> Tensor:
    """softmax(q k' / sqrt(K)) v by one fused kernel: (B, H, T, K).

    What a row that may look at nobody becomes depends on the kernel (zeros, NaN, or the softmax of its scores, where
    half precision is summed in single). Here such a row is let through and then given the mean of all values.
    """
    if is_attended is None:
        return F.scaled_dot_product_attention(query, key, value, dropout_p=drop_rate)  # B H T K
    looks_at_nobody = ~is_attended.any(-1, keepdim=True)  # B 1 T 1
    mask = is_attended | looks_at_nobody  # B 1 T S
    mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=drop_rate)  # B H T K
    return torch.where(looks_at_nobody, value.mean(2, keepdim=True), mixed)  # B H T K


class Heads(Part):
    """concat_h(softmax((q k' + relative) / sqrt(K)) v), with q = x W_q' + b_q: at `self` in a checkpoint."""

    def __init__(self, config: RobertaConfig, width: int, is_relative: bool) -> None:
        super().__init__()
        D = config.hidden_size
        self.config = config
        self.query, self.key, self.value = linear(D, width), linear(D, width), linear(D, width)
        self.distance_embedding: nn.Embedding | None = None
        if is_relative and config.position_embedding_type != "absolute":
            self.distance_embedding = embedding(2 * config.max_position_embeddings - 1, config.head_size)
        self.dropout = dropout(config.attention_probs_dropout_prob)

    def attention(self, x: Tensor, key_value: tuple[Tensor, Tensor], context: Context, tap: Tap = silent) -> Attended:
        """The equation: the values, mixed by the probabilities (B, T, HK); see `Attended`."""
        key, value = key_value  # B H S K
        query = tap("query", split_heads(self.query(x), self.config.head_size))  # B H T K
        is_explicit = context.inputs.output_attentions or context.head_mask is not None
        is_explicit = is_explicit or is_asked_for(tap, "scores", "probs")
        if not is_explicit and self.distance_embedding is None:
            rate = self.dropout.p if self.training else 0.0
            mixed = fused(query, key, value, context.is_attended, rate)  # B H T K
            return Attended(tap("context", merge_heads(mixed)), None, key, value)
        relative = relative_scores(query, key, self.distance_embedding, self.config)  # B H T S
        scores = tap("scores", (query @ key.transpose(-1, -2) + relative) / sqrt(self.config.head_size))  # B H T S
        probs = tap("probs", masked_softmax(scores, context.is_attended))  # B H T S
        probs = masked_heads(self.dropout(probs), context.head_mask)  # B H T S
        return Attended(tap("context", merge_heads(probs @ value)), probs, key, value)

    def keys_and_values(self, x: Tensor, tap: Tap = silent) -> tuple[Tensor, Tensor]:
        """What the tokens x (B, S, D) offer to those that look at them: key and value, each (B, H, S, K)."""
        K = self.config.head_size
        key = tap("key", split_heads(self.key(x), K))  # B H S K
        value = tap("value", split_heads(self.value(x), K))  # B H S K
        return key, value


class SelfAttention(Heads):
    """`Heads` of the tokens x (B, T, D), which look at themselves and at the cached tokens before them."""

    def forward(self, x: Tensor, *, context: Context | None = None, tap: Tap = silent) -> Attended:
        """(B, T, D) -> `Attended`."""
        context = Context(self.config, Inputs()) if context is None else context
        key, value = self.keys_and_values(x, tap)  # B H T K
        if context.past is not None:
            key = torch.cat([context.past[0], key], dim=2)  # B H S K
            value = torch.cat([context.past[1], value], dim=2)  # B H S K
        return self.attention(x, (key, value), context, tap)


class CrossAttention(Heads):
    """`Heads` of a decoder's tokens x (B, T, D), which look at an encoder's; its keys and values are cached."""

    def forward(self, x: Tensor, *, context: Context, tap: Tap = silent) -> Attended:
        """(B, T, D) -> `Attended`."""
        if context.past is not None and len(context.past) == 4:
            key, value = context.past[2:]  # B H E K
        else:
            key, value = self.keys_and_values(context.inputs.encoder_hidden_states, tap)  # B H E K
        return self.attention(x, (key, value), context._replace(is_attended=context.is_source_attended), tap)


class Residual(Part):
    """LayerNorm(x + W y + b): the end of both sublayers, what stands at `output` in a checkpoint."""

    def __init__(self, config: RobertaConfig, width: int) -> None:
        super().__init__()
        self.dense = linear(width, config.hidden_size)
        self.LayerNorm = LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.dropout = dropout(config.hidden_dropout_prob)

    def forward(self, y: Tensor, x: Tensor, *, tap: Tap = silent) -> Tensor:
        """(B, T, HK) or (B, T, F), and (B, T, D) -> (B, T, D)."""
        dense = tap("dense", self.dense(y))  # B T D
        total = tap("sum", x + self.dropout(dense))  # B T D
        return self.hear(self.LayerNorm, scope(tap, "LayerNorm"), total)  # B T D


class Attention(Part):
    """LayerNorm(x + W_o concat_h(softmax((q k' + relative) / sqrt(K)) v) + b_o)."""

    def __init__(self, config: RobertaConfig, heads: Heads) -> None:
        super().__init__()
        self.self = heads
        self.output = Residual(config, heads.query.out_features)

    def forward(self, x: Tensor, *, context: Context | None = None, tap: Tap = silent) -> Attended:
        """(B, T, D) -> `Attended`, of the output (B, T, D)."""
        mixed, *rest = self.hear(self.self, scope(tap, "self"), x, context=context)  # B T HK
        return Attended(self.hear(self.output, scope(tap, "output"), mixed, x), *rest)
