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
from .layers import LayerNorm, dropout, embedding, linear, softmax

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


class Attention(nn.Module):
    """LayerNorm(x + W_o concat_h(softmax((q k' + relative) / sqrt(K)) v) + b_o), with q = x W_q' + b_q."""

    def __init__(self, config: RobertaConfig, width: int, is_relative: bool) -> None:
        super().__init__()
        D = config.hidden_size
        self.config = config
        projections: dict[str, nn.Module] = {name: linear(D, width) for name in ("query", "key", "value")}
        if is_relative and config.position_embedding_type != "absolute":
            projections["distance_embedding"] = embedding(2 * config.max_position_embeddings - 1, config.head_size)
        self.self = nn.ModuleDict(projections)
        self.output = nn.ModuleDict({"dense": linear(width, D), "LayerNorm": LayerNorm(D, config.layer_norm_eps)})
        self.drop_probs = dropout(config.attention_probs_dropout_prob)
        self.drop = dropout(config.hidden_dropout_prob)

    def attention(self, x: Tensor, key_value: tuple[Tensor, Tensor], context: Context, tap: Tap = silent) -> Attended:
        """The equation, from the query on: output (B, T, D), probs (B, H, T, S) or None on the fused path."""
        at = scope(tap, "self")
        query = at("query", split_heads(self.self["query"](x), self.config.head_size))  # B H T K
        merged, probs = self.mixed(query, key_value, context, at)  # B T HK
        dense = tap("output.dense", self.output["dense"](merged))  # B T D
        total = tap("output.sum", x + self.drop(dense))  # B T D
        output = self.output["LayerNorm"](total, scope(tap, "output.LayerNorm"))  # B T D
        return Attended(output, probs, *key_value)

    def mixed(
        self, query: Tensor, key_value: tuple[Tensor, Tensor], context: Context, at: Tap
    ) -> tuple[Tensor, Tensor | None]:
        """The values, mixed by the probabilities: (B, T, HK), and the probabilities (B, H, T, S) where computed."""
        key, value = key_value  # B H S K
        is_explicit = context.inputs.output_attentions or context.head_mask is not None
        is_explicit = is_explicit or is_asked_for(at, "scores", "probs")
        if not is_explicit and "distance_embedding" not in self.self:
            return at("context", merge_heads(self.fused(query, key, value, context))), None  # B T HK
        # a ModuleDict has no `get`
        table = self.self["distance_embedding"] if "distance_embedding" in self.self else None  # noqa: SIM401
        relative = relative_scores(query, key, table, self.config)  # B H T S  # pyright: ignore[reportArgumentType]
        scores = at("scores", (query @ key.transpose(-1, -2) + relative) / sqrt(self.config.head_size))  # B H T S
        probs = at("probs", masked_softmax(scores, context.is_attended))  # B H T S
        probs = masked_heads(self.drop_probs(probs), context.head_mask)  # B H T S
        return at("context", merge_heads(probs @ value)), probs  # B T HK

    def fused(self, query: Tensor, key: Tensor, value: Tensor, context: Context) -> Tensor:
        """The same by one fused kernel: (B, H, T, K).

        What a row that may look at nobody becomes depends on the kernel (zeros, NaN, or the softmax of its scores,
        where half precision is summed in single). Here such a row is let through and then given the mean of all values.
        """
        rate = self.drop_probs.p if self.training else 0.0
        attended = context.is_attended
        if attended is None:
            return F.scaled_dot_product_attention(query, key, value, dropout_p=rate)  # B H T K
        looks_at_nobody = ~attended.any(-1, keepdim=True)  # B 1 T 1
        mask = attended | looks_at_nobody  # B 1 T S
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=rate)  # B H T K
        return torch.where(looks_at_nobody, value.mean(2, keepdim=True), mixed)  # B H T K

    def keys_and_values(self, x: Tensor, tap: Tap = silent) -> tuple[Tensor, Tensor]:
        """What the tokens x (B, S, D) offer to those that look at them: key and value, each (B, H, S, K)."""
        K = self.config.head_size
        key = tap("key", split_heads(self.self["key"](x), K))  # B H S K
        value = tap("value", split_heads(self.self["value"](x), K))  # B H S K
        return key, value


class SelfAttention(Attention):
    """`Attention` of the tokens x (B, T, D) to themselves and to the cached tokens before them."""

    def forward(self, x: Tensor, context: Context, tap: Tap = silent) -> Attended:
        """(B, T, D) -> `Attended`."""
        key, value = self.keys_and_values(x, scope(tap, "self"))  # B H T K
        if context.past is not None:
            key = torch.cat([context.past[0], key], dim=2)  # B H S K
            value = torch.cat([context.past[1], value], dim=2)  # B H S K
        return self.attention(x, (key, value), context, tap)


class CrossAttention(Attention):
    """`Attention` of a decoder's tokens x (B, T, D) to an encoder's, whose keys and values are cached once computed."""

    def forward(self, x: Tensor, context: Context, tap: Tap = silent) -> Attended:
        """(B, T, D) -> `Attended`."""
        if context.past is not None and len(context.past) == 4:
            key, value = context.past[2:]  # B H E K
        else:
            key, value = self.keys_and_values(context.inputs.encoder_hidden_states, scope(tap, "self"))  # B H E K
        return self.attention(x, (key, value), context._replace(is_attended=context.is_source_attended), tap)
