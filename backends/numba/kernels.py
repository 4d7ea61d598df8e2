"""The loops: what is computed at once, in the order that suits registers, caches and cores.

`reference/kernels.py` has the equations as plain loops; the line of the spec stands as a comment above its loop here.
The iterations of a parallel range, `prange`, are independent: each computes its elements of `out` alone and always in
the same order, so no result depends on the number of threads.

Arrays are C-contiguous, and `out` may be the first argument, but not that of a product. The annotations say dtype and
rank, and the compiler reads them: `Number` is the model's float32 or float64; `Row`, `Rows`, `Panels` and `Heads` are
arrays of it with one, two, three and four axes; `Views` have four and `Flats` three, and may lie in memory as they
like; `Integers` has one, `Booleans` four.
"""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import Any

import numpy as np
from numba import prange

from . import scalars
from .compiler import inner, kernel, summing
from .scalars import exp
from .tiles import ROWS, columns, place, tile, tile_of_two
from .turning import cut, packed, transpose

Number = Any
Row = Any
Rows = Any
Panels = Any
Heads = Any
Views = Any
Flats = Any
Integers = Any
Booleans = Any
Activation = Callable[[Number], Number]

#: How many maxima run side by side: as many as a vector unit holds.
LANES = 16

# -- sums of one row -------------------------------------------------------------------------------------------------


@summing
def total(x: Row) -> Number:
    """x.sum()."""
    result = x.dtype.type(0.0)
    for d in range(x.shape[0]):
        result += x[d]
    return result


@summing
def total_square(x: Row, mean: Number) -> Number:
    """((x - mean) ** 2).sum()."""
    result = x.dtype.type(0.0)
    for d in range(x.shape[0]):
        result += (x[d] - mean) * (x[d] - mean)
    return result


@inner
def largest(x: Row) -> Number:
    """x.max(), in `LANES` partial maxima; of a row with NaN, any of its elements."""
    partial = np.full(LANES, x[0], x.dtype)
    whole = x.shape[0] - x.shape[0] % LANES
    for start in range(0, whole, LANES):
        for lane in range(LANES):
            partial[lane] = x[start + lane] if x[start + lane] > partial[lane] else partial[lane]
    result = x[0]
    for lane in range(LANES):
        result = partial[lane] if partial[lane] > result else result
    for d in range(whole, x.shape[0]):
        result = x[d] if x[d] > result else result
    return result


# -- layers ----------------------------------------------------------------------------------------------------------


@inner
def product_share(
    x: Rows, panels: Panels, bias: Rows, n: int, groups: int, slices: int, activation: Activation, out: Rows
) -> None:
    """Share n of a product: one of the groups of tiles with one of the slices of the panels."""
    (P, K), tiles = panels.shape[:2], (x.shape[0] + ROWS - 1) // ROWS
    first, last = n // slices * tiles // groups, (n // slices + 1) * tiles // groups
    rows = packed(x[first * ROWS : last * ROWS], ROWS)
    part = np.empty((ROWS, columns(x.dtype)), x.dtype)
    for p in range(n % slices * P // slices, (n % slices + 1) * P // slices):
        following = panels[min(p + 1, P - 1)]
        for i in range(last - first):
            # x @ weight.T + bias
            ahead = following[i * K // (last - first) :]
            if last - first == 2:
                tile_of_two(rows[i], panels[p], bias[p], ahead, part)
            else:
                tile(rows[i], panels[p], bias[p], ahead, part)
            # activation(…)
            for r in range(part.shape[0]):
                for c in range(part.shape[1]):
                    part[r, c] = activation(part[r, c])
            place(part, (first + i) * ROWS, p * part.shape[1], out)


@kernel
def linear(x: Rows, panels: Panels, bias: Rows, groups: int, slices: int, out: Rows) -> None:
    """`layers.linear` of a packed weight and a bias cut alike; see `tiles.shares` for the last two."""
    for n in prange(groups * slices):
        product_share(x, panels, bias, n, groups, slices, scalars.keep, out)


@kernel
def linear_gelu(x: Rows, panels: Panels, bias: Rows, groups: int, slices: int, out: Rows) -> None:
    """`layers.gelu` of `linear`, while a tile of the product is at hand."""
    for n in prange(groups * slices):
        product_share(x, panels, bias, n, groups, slices, scalars.gelu, out)


@kernel
def linear_gelu_new(x: Rows, panels: Panels, bias: Rows, groups: int, slices: int, out: Rows) -> None:
    """`layers.gelu_new` of `linear`."""
    for n in prange(groups * slices):
        product_share(x, panels, bias, n, groups, slices, scalars.gelu_new, out)


@kernel
def linear_relu(x: Rows, panels: Panels, bias: Rows, groups: int, slices: int, out: Rows) -> None:
    """`layers.relu` of `linear`."""
    for n in prange(groups * slices):
        product_share(x, panels, bias, n, groups, slices, scalars.relu, out)


@kernel
def linear_silu(x: Rows, panels: Panels, bias: Rows, groups: int, slices: int, out: Rows) -> None:
    """`layers.silu` of `linear`."""
    for n in prange(groups * slices):
        product_share(x, panels, bias, n, groups, slices, scalars.silu, out)


@kernel
def gelu(x: Rows, out: Rows) -> None:
    """`layers.gelu`."""
    for n in prange(x.shape[0]):
        for d in range(x.shape[1]):
            out[n, d] = scalars.gelu(x[n, d])


@inner
def normalize(x: Row, weight: Row, bias: Row, eps: Number) -> None:
    """The layer norm of one row, in place."""
    size = x.dtype.type(x.shape[0])
    # mean = x.mean(-1)
    mean = total(x) / size
    # variance = ((x - mean) ** 2).mean(-1)
    variance = total_square(x, mean) / size
    deviation = x.dtype.type(sqrt(variance + eps))
    # (x - mean) / sqrt(variance + eps) * weight + bias
    for d in range(x.shape[0]):
        x[d] = (x[d] - mean) / deviation * weight[d] + bias[d]


@kernel
def layer_norm(x: Rows, weight: Row, bias: Row, eps: Number, out: Rows) -> None:
    """`layers.layer_norm`."""
    for n in prange(x.shape[0]):
        row = out[n]
        for d in range(x.shape[1]):
            row[d] = x[n, d]
        normalize(row, weight, bias, eps)


@kernel
def add_layer_norm(x: Rows, dense: Rows, weight: Row, bias: Row, eps: Number, out: Rows) -> None:
    """`layers.layer_norm` of a sum: the residual connection of a sublayer and the norm after it."""
    for n in prange(x.shape[0]):
        row = out[n]
        # total = x + dense
        for d in range(x.shape[1]):
            row[d] = x[n, d] + dense[n, d]
        # layer_norm(total, weight, bias, eps)
        normalize(row, weight, bias, eps)


# -- embeddings ------------------------------------------------------------------------------------------------------


@kernel
def embeddings(
    ids: Integers,
    token_type_ids: Integers,
    position_ids: Integers,
    word: Rows,
    token_type: Rows,
    position: Rows,
    out: Rows,
) -> None:
    """The sum of `embeddings.embeddings`."""
    for n in prange(ids.shape[0]):
        # word[ids] + token_type[token_type_ids] + position[position_ids]
        for d in range(word.shape[1]):
            out[n, d] = word[ids[n], d] + token_type[token_type_ids[n], d] + position[position_ids[n], d]


# -- attention -------------------------------------------------------------------------------------------------------


@kernel
def relative_scores(scores: Heads, by_query: Heads, by_key: Heads, out: Heads) -> None:
    """`attention.relative_scores`, given the products with the row of every distance, added to the scores.

    The distance of token t to s is S - T + t - s, from 1 - T to S - 1: the row of number S - 1 + t - s of those
    products. A product that the position type lacks has no rows, T or S of 0.
    """
    B, H, T, S = scores.shape
    for n in prange(B * H * T):
        b, h, t = n // (H * T), n // T % H, n % T
        for s in range(S):
            out[b, h, t, s] = scores[b, h, t, s] + by_query[b, h, t, S - 1 + t - s]
        # relative_key_query: + einsum("bhsk,tsk->bhts", key, relation)
        if by_key.shape[2]:
            for s in range(S):
                out[b, h, t, s] += by_key[b, h, s, S - 1 + t - s]


@kernel
def masked_softmax(scores: Heads, is_attended: Booleans, scale: Number, out: Heads) -> None:
    """`attention.masked_softmax` of scores / scale."""
    B, H, T, S = scores.shape
    mask_B, _, mask_T, _ = is_attended.shape
    lowest = np.finfo(out.dtype).min
    for n in prange(B * H * T):
        b, h, t = n // (H * T), n // T % H, n % T
        row = out[b, h, t]
        mask = is_attended[b if mask_B > 1 else 0, 0, t if mask_T > 1 else 0]
        # scores = np.where(is_attended, scores / scale, np.finfo(scores.dtype).min)
        for s in range(S):
            row[s] = scores[b, h, t, s] / scale if mask[s] else lowest
        # weights = np.exp(scores - scores.max(-1))
        shift = largest(row)
        for s in range(S):
            row[s] = exp(row[s] - shift)
        # weights / weights.sum(-1)
        weight = total(row)
        for s in range(S):
            row[s] = row[s] / weight


@inner
def masked_softmax_columns(scores: Rows, mask: Rows, first: int, scale: Number) -> None:
    """`attention.masked_softmax` of scores.T / scale, in place.

    The tokens that look lie side by side, from the first on: a mask whose rows are all alike has only one.
    """
    lowest = np.finfo(scores.dtype).min
    shift, weights = np.full(scores.shape[1], lowest, scores.dtype), np.zeros(scores.shape[1], scores.dtype)
    for s in range(scores.shape[0]):
        # scores = np.where(is_attended, scores / scale, np.finfo(scores.dtype).min)
        for c in range(scores.shape[1]):
            scores[s, c] = scores[s, c] / scale
        if mask.shape[0] > 1 or not mask[0, s]:
            for c in range(scores.shape[1]):
                scores[s, c] = scores[s, c] if mask[min(first + c, mask.shape[0] - 1), s] else lowest
        # scores.max(-1)
        for c in range(scores.shape[1]):
            shift[c] = scores[s, c] if scores[s, c] > shift[c] else shift[c]
    for s in range(scores.shape[0]):
        # weights = np.exp(scores - scores.max(-1))
        for c in range(scores.shape[1]):
            scores[s, c] = exp(scores[s, c] - shift[c])
            weights[c] += scores[s, c]
    # weights / weights.sum(-1)
    for c in range(scores.shape[1]):
        weights[c] = scores.dtype.type(1.0) / weights[c]
    for s in range(scores.shape[0]):
        for c in range(scores.shape[1]):
            scores[s, c] *= weights[c]


@inner
def attend(query: Rows, key: Rows, value: Rows, mask: Rows, scale: Number, out: Rows) -> None:
    """One head of one row, softmax(query key' / scale) value: (T, K), (S, K), (S, K) -> (T, K), a few tokens at a time.

    Their scores stand on end, (S, tokens): so they are the panel by which the values are multiplied, and the softmax of
    as many tokens is computed side by side.
    """
    T, K = query.shape
    S, width = key.shape[0], columns(out.dtype)
    queries, keys = packed(query, width), packed(key, ROWS)
    values = cut(value, ROWS)
    scores = np.empty((keys.shape[0] * ROWS, width), out.dtype)
    part, nothing = np.empty((ROWS, width), out.dtype), np.zeros(width, out.dtype)
    for p in range(queries.shape[0]):
        # scores = query @ key.T
        for i in range(keys.shape[0]):
            tile(keys[i], queries[p], nothing, queries[p], scores[i * ROWS : (i + 1) * ROWS])
        # probs = masked_softmax(scores / scale, is_attended)
        masked_softmax_columns(scores[:S], mask, p * width, scale)
        # probs @ value
        for i in range(values.shape[0]):
            tile(values[i], scores[:S], nothing, scores, part)
            transpose(part[: K - i * ROWS, : T - p * width], out[p * width :, i * ROWS :])


@kernel
def attention(query: Views, key: Views, value: Views, is_attended: Booleans, scale: Number, out: Heads) -> None:
    """The middle of `attention.attention`: (B, H, T, K) -> (B, T, H, K)."""
    B, H = query.shape[:2]
    mask_B = is_attended.shape[0]
    for n in prange(B * H):
        b, h = n // H, n % H
        # (probs @ value).transpose(0, 2, 1, 3)
        attend(query[b, h], key[b, h], value[b, h], is_attended[b if mask_B > 1 else 0, 0], scale, out[b, :, h])


@kernel
def flat_attention(
    query: Flats,
    key: Flats,
    value: Flats,
    queries: Integers,
    tokens: Integers,
    key_counts: Integers,
    scale: Number,
    out: Panels,
) -> None:
    """The same of rows that have their own lengths and stand one behind the other: (m, H, K), (n, H, K) -> (m, H, K).

    Row b's queries begin at `queries[b]` and end where the next row's begin; its keys are `key_counts[b]` tokens from
    `tokens[b]` on.
    """
    B, H = key_counts.shape[0], query.shape[1]
    for n in prange(B * H):
        b, h = n % B, n // B  # so that each thread has rows of all lengths
        first, last, start = queries[b], queries[b + 1], tokens[b]
        end = start + key_counts[b]
        if last > first:
            everybody = np.ones((1, end - start), np.bool_)
            attend(query[first:last, h], key[start:end, h], value[start:end, h], everybody, scale, out[first:last, h])


# -- losses ----------------------------------------------------------------------------------------------------------


@kernel
def cross_entropy(logits: Rows, labels: Integers, ignore_index: int, out: Row) -> None:
    """The terms of `losses.cross_entropy`, whose sum over the count of the labels that count is the loss."""
    number = out.dtype.type
    for n in prange(logits.shape[0]):
        # np.where(is_counted, largest + np.log(np.exp(logits - largest).sum(-1)) - logits[labels], 0)
        out[n] = number(0.0)
        if labels[n] != ignore_index:
            row = np.empty(logits.shape[1], logits.dtype)
            shift = largest(logits[n])
            for c in range(logits.shape[1]):
                row[c] = exp(logits[n, c] - shift)
            out[n] = shift + number(np.log(total(row))) - logits[n, labels[n]]
