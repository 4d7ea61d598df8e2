"""Attention of rows that lie one behind the other without padding: each looks at its own keys, and at nothing else.

Two ways, chosen by `attention_of`. A processor takes rows of one size together (`ByRow`), a call of the kernel for each
size. An accelerator, which waits for calls rather than for numbers, takes them all in one call (`Jagged`), as PyTorch's
jagged tensors offer it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..arrays.flat import Flat

#: Kernels for rows of any sizes read the numbers of a head in pieces of so many, in these precisions.
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


class Jagged:
    """The same of all rows in one call: where each begins is told to the kernel."""

    def __init__(self, query_starts: Any, flat: Flat, device: torch.device) -> None:
        counts = np.diff(query_starts)  # B
        has_queries = counts > 0  # B
        key_counts = flat.key_counts[has_queries]  # r
        self.queries = _Offsets(counts[has_queries], device)
        self.keys = _Offsets(key_counts, device)
        self.key_places: Tensor | None = None
        if not has_queries.all() or (flat.key_counts != flat.counts).any():
            starts = np.repeat(flat.starts[:-1][has_queries] - _starts(key_counts)[:-1], key_counts)
            self.key_places = torch.from_numpy(starts + np.arange(len(starts))).to(device)  # k
        self.looks: Tensor | None = None
        if (flat.is_uniform & has_queries).any():
            looks = np.repeat(~flat.is_uniform, counts)  # m
            self.looks = torch.from_numpy(looks).to(device)[:, None, None]  # m 1 1

    def __call__(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Queries (m, H, K), keys and values (n, H, K) -> (m, HK)."""
        if self.key_places is not None:
            key, value = key[self.key_places], value[self.key_places]  # k H K
        if self.looks is not None:
            query = query * self.looks  # m H K
        q = self.queries.rows_of(query)  # r H t K
        k, v = (self.keys.rows_of(part) for part in (key, value))  # r H s K
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2)  # r t H K
        return mixed.values().flatten(1)  # m HK


class _Offsets:
    """Where rows begin, as jagged tensors have it; how long the longest is, is told, or it would be waited for."""

    def __init__(self, counts: Any, device: torch.device) -> None:
        self.starts = torch.from_numpy(_starts(counts)).to(device)  # r+1
        self.shortest, self.longest = int(counts.min(initial=0)), int(counts.max(initial=0))

    def rows_of(self, x: Tensor) -> Any:
        """(n, H, K) -> (r, H, t, K), t as long as each row is."""
        made: Any = torch.nested.nested_tensor_from_jagged(
            x.contiguous(), self.starts, min_seqlen=self.shortest, max_seqlen=self.longest
        )
        return made.transpose(1, 2)


def attention_of(
    query_starts: Any, flat: Flat, device: torch.device, dtype: torch.dtype, head_size: int
) -> ByRow | Jagged:
    """The attention of a batch's rows, by the way that is quickest where it is computed.

    Args:
        query_starts: (B + 1,): the queries of row b are `query_starts[b]:query_starts[b + 1]`.
        flat: the tokens of the rows, and which of them are keys.
        device: where.
        dtype: in which precision; there are no kernels for rows of any sizes in float64.
        head_size: K.
    """
    has_kernel = device.type == "cuda" and dtype in PRECISIONS and head_size % PIECE == 0 and query_starts[-1] > 0
    return Jagged(query_starts, flat, device) if has_kernel else ByRow(query_starts, flat)


def _starts(counts: Any) -> Any:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


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
