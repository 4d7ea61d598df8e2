"""Attention of rows that lie one behind the other without padding: each looks at its own keys, and at nothing else.

Two ways, chosen by `attention_of`. A processor takes rows of one size together (`ByRow`), a call of the kernel for each
size. An accelerator, which waits for calls rather than for numbers, takes them all in one call (`Together`).
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..arrays.flat import Flat

#: The kernels for rows of any sizes read the numbers of a head in pieces of so many, in these precisions.
PIECE, PRECISIONS = 8, (torch.float32, torch.bfloat16, torch.float16)


class Run(NamedTuple):
    """Rows that lie one behind the other and are of one size, so that one call of the kernel does them all.

    Attributes:
        queries: where their first query is.
        tokens: where their first token is.
        row_count: how many rows.
        query_count: how many queries each row has.
        token_count: how many tokens; the first `key_count` are keys.
        key_count: how many keys.
        is_uniform: whether each query looks at all keys alike.
    """

    queries: int
    tokens: int
    row_count: int
    query_count: int
    token_count: int
    key_count: int
    is_uniform: bool


class ByRow:
    """concat_h(softmax(q k' / sqrt(K)) v), rows of one size at a time."""

    def __init__(self, query_starts: Any, flat: Flat) -> None:
        self.runs = _runs(query_starts, flat)

    def __call__(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Queries (m, H, K), keys and values (n, H, K) -> (m, HK)."""
        m, H, K = query.shape
        mixed = query.new_empty(m, H, K)
        for run in self.runs:
            g, end = run.row_count, run.queries + run.row_count * run.query_count
            q = query[run.queries : end].view(g, run.query_count, H, K).transpose(1, 2)  # g H t K
            tokens = slice(run.tokens, run.tokens + g * run.token_count)
            k, v = (
                part[tokens].view(g, run.token_count, H, K)[:, : run.key_count].transpose(1, 2) for part in (key, value)
            )  # g H s K
            found = F.scaled_dot_product_attention(torch.zeros_like(q) if run.is_uniform else q, k, v)  # g H t K
            mixed[run.queries : end].view(g, run.query_count, H, K).copy_(found.transpose(1, 2))
        return mixed.view(m, H * K)


class Together:
    """The same of all rows in one call: where each begins is told to the kernel.

    Source: the operators beneath `scaled_dot_product_attention`, FlashAttention in half precision and the
    memory-efficient attention in single. They are private, so they are tried with numbers first (`keeps_bits`).
    PyTorch's public way to them, jagged tensors, took its slowest path here: 100 ms for one short text in place of 4.
    """

    def __init__(self, query_starts: Any, flat: Flat, device: torch.device) -> None:
        counts = np.diff(query_starts)  # B
        has_queries = counts > 0  # B
        key_counts = flat.key_counts[has_queries]  # r
        self.most = int(counts.max(initial=0)), int(key_counts.max(initial=0))
        self.starts = tuple(_starts(part).to(device) for part in (counts[has_queries], key_counts))  # r+1 each
        self.key_places: Tensor | None = None
        if not has_queries.all() or (flat.key_counts != flat.counts).any():
            firsts = np.repeat(flat.starts[:-1][has_queries], key_counts)
            within = np.arange(len(firsts)) - np.repeat(np.cumsum(key_counts) - key_counts, key_counts)
            self.key_places = torch.from_numpy(firsts + within).to(device)  # k
        self.looks: Tensor | None = None
        if (flat.is_uniform & has_queries).any():
            self.looks = torch.from_numpy(np.repeat(~flat.is_uniform, counts)).to(device)[:, None, None]  # m 1 1

    def __call__(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Queries (m, H, K), keys and values (n, H, K) -> (m, HK)."""
        if self.key_places is not None:
            key, value = key[self.key_places], value[self.key_places]  # k H K
        if self.looks is not None:
            query = query * self.looks  # m H K
        return kernel(query, key, value, self.starts, self.most).flatten(1)  # m HK


def kernel(query: Tensor, key: Tensor, value: Tensor, starts: tuple[Tensor, ...], most: tuple[int, int]) -> Tensor:
    """softmax(q k' / sqrt(K)) v of rows of any sizes.

    Args:
        query: (m, H, K).
        key: (k, H, K).
        value: (k, H, K).
        starts: (r + 1,) integers each: where the queries, and the keys, of each row begin.
        most: how many queries, and keys, a row has at most.

    Returns:
        (m, H, K).
    """
    if query.dtype == torch.float32:
        one = (part.unsqueeze(0) for part in (query, key, value))  # 1 m H K
        return torch.ops.aten._efficient_attention_forward(*one, None, *starts, *most, 0.0, 0)[0].squeeze(0)
    return torch.ops.aten._flash_attention_forward(query, key, value, *starts, *most, 0.0, False, False)[0]


@cache
def keeps_bits(dtype: torch.dtype, device: torch.device, head_size: int) -> bool:
    """Whether the kernel is there, keeps rows apart and a precision's bits: asked where its answer is known.

    Query t of a row is 2^7 in the place t and key s is 2^7 in the place s, so that a score is 2^14 / sqrt(K) or 0 and
    the softmax is 1 or 0, exactly. Then what comes out are the values: all their bits in half precision; in single 22
    at least, as a kernel may add products of numbers split in two for TensorFloat-32, but must not drop the second.
    TF32 alone would leave 11.
    """
    counts = np.array([3, 1, 7])
    flat = Flat((3, 7), np.arange(11), np.array([0, 3, 4, 11]), counts, np.zeros(3, bool), None)
    axes = torch.cat([torch.eye(count, head_size) for count in counts]).to(device, dtype) * 2**7  # n K
    generator = torch.Generator().manual_seed(0)
    value = torch.rand(11, head_size, generator=generator).to(device, dtype)  # n K
    stacked = torch.stack([axes, axes, value], 1)[:, :, None]  # n 3 1 K: in memory as where it is used
    try:
        mixed = Together(flat.starts, flat, device)(*stacked.unbind(1))  # n K
    except (RuntimeError, AttributeError, NotImplementedError):  # no such operator, or not for this processor
        return False
    lost = 2.0**-22 if dtype == torch.float32 else 0.0
    return bool(((mixed - value).abs() <= lost * value).all())


def attention_of(
    query_starts: Any, flat: Flat, device: torch.device, dtype: torch.dtype, head_size: int
) -> ByRow | Together:
    """The attention of a batch's rows, by the way that is quickest where it is computed.

    Args:
        query_starts: (B + 1,): the queries of row b are `query_starts[b]:query_starts[b + 1]`.
        flat: the tokens of the rows, and which of them are keys.
        device: where.
        dtype: in which precision; there are no kernels for rows of any sizes in float64.
        head_size: K.
    """
    by_row = ByRow(query_starts, flat)
    is_possible = device.type == "cuda" and dtype in PRECISIONS and head_size % PIECE == 0
    if len(by_row.runs) < 2 or not is_possible or not keeps_bits(dtype, device, head_size):
        return by_row  # rows of one size are one call, in which PyTorch chooses the kernel
    return Together(query_starts, flat, device)


def _starts(counts: Any) -> Tensor:
    return torch.from_numpy(np.concatenate([[0], np.cumsum(counts)]).astype(np.int32))


def _runs(query_starts: Any, flat: Flat) -> list[Run]:
    """Neighbouring rows of one size together; rows without a query are left out."""
    runs: list[Run] = []
    rows = (flat.starts[:-1], flat.counts, flat.key_counts, flat.is_uniform)
    columns = (query_starts[:-1], np.diff(query_starts), *rows)
    for queries, query_count, tokens, token_count, key_count, is_uniform in zip(*columns, strict=True):
        if not query_count:
            continue
        sizes = (int(query_count), int(token_count), int(key_count))
        own = Run(int(queries), int(tokens), 1, *sizes, is_uniform=bool(is_uniform))
        last = runs[-1] if runs else own
        if runs and last.tokens + last.row_count * last.token_count == own.tokens and last[3:] == own[3:]:
            runs[-1] = last._replace(row_count=last.row_count + 1)
        else:
            runs.append(own)
    return runs
