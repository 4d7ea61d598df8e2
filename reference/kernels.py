"""The layers once more, as scalar loops in index notation: what a compiler is to make of the NumPy lines.

The line of `layers.py`, `embeddings.py`, `attention.py` or `losses.py` stands as a comment above its loop. This is
plain Python, which runs as it is, slowly; the `numba` engine compiles it, with `prange` as its parallel range: the
iterations of such a loop are independent, each computes its elements of `out` alone and always in the same order, so no
result depends on the number of threads.

Arrays are C-contiguous, and `out` may be the first argument, but not that of a product. The annotations say dtype and
rank, and the compiler reads them: `Number` is the model's float32 or float64; `Row`, `Rows`, `Panels` and `Heads` are
arrays of it with one, two, three and four axes, and `Views` have four and may lie in memory as they like; `Integers`
has one, `Booleans` four. A constant is said to be of the model's dtype, too, `number(0.5)`: a compiled loop would
otherwise compute in float64.
"""

from __future__ import annotations

from math import erf, exp, sqrt, tanh
from typing import Any

import numpy as np

Number = Any
Row = Any
Rows = Any
Panels = Any
Heads = Any
Views = Any
Integers = Any
Booleans = Any

#: The parallel range of a compiler; without one, the plain range.
prange = range
#: How many partial sums run side by side: as many as a vector unit holds, and shorter sums round less.
LANES = 16

# -- functions of one number ---------------------------------------------------------------------------------------
# In float64, `erf` and `exp` are the C library's. In float32 these polynomials take their place, which a vector unit
# computes for sixteen numbers at once. Their coefficients are minimax fits, made for this file by iterated weighting.


def erf_single(x: Number) -> Number:
    """The error function in float32, within 7 u (rms 1 u): x P(x²) / Q(x²), and the sign beyond 3.96."""
    # Comparisons with NaN are false, so NaN goes through. At the end the quotient is 1 or a rounding above: cut to 1.
    one, end = np.float32(1.0), np.float32(3.96)
    x = end if x > end else x
    x = -end if x < -end else x
    t = x * x
    p = np.float32(2.05006185e-06)
    p = p * t + np.float32(0.000284864865)
    p = p * t + np.float32(0.00376515885)
    p = p * t + np.float32(0.0527472764)
    p = p * t + np.float32(0.190396872)
    p = p * t + np.float32(1.12837915)
    q = np.float32(3.80905167e-05)
    q = q * t + np.float32(0.00116241046)
    q = q * t + np.float32(0.0149683021)
    q = q * t + np.float32(0.114104986)
    q = q * t + np.float32(0.502067578)
    q = q * t + one
    y = x * p / q
    y = one if y > one else y
    return -one if y < -one else y


def exp_single(x: Number) -> Number:
    """The exponential in float32, within 2 u: 2^n exp(r), with n the nearest integer to x / log 2."""
    low, high = np.float32(-110.0), np.float32(95.0)
    x = low if x < low else x  # beyond, the result is 0 or infinity all the same
    x = high if x > high else x
    # Adding 1.5 * 2^23 leaves no room for a fraction: the sum's last bits are n. NaN has no integer, but stays NaN.
    magic = np.float32(12582912.0)
    shifted = np.float32(x * np.float32(1.44269504) + magic)
    n = shifted - magic
    r = x - n * np.float32(0.693359375) - n * np.float32(-0.00021219444)  # log 2 in two parts: the first is exact
    p = np.float32(0.00138145964)
    p = p * r + np.float32(0.00836871709)
    p = p * r + np.float32(0.0416683881)
    p = p * r + np.float32(0.166665206)
    p = p * r + np.float32(0.499999934)
    p = p * r * r + r + np.float32(1.0)
    # 2^n in two factors: n may lie beyond the range of exponents where the result does not.
    exponent = shifted.view(np.int32) - magic.view(np.int32)
    half = exponent >> 1
    first = np.int32((half + 127) << 23).view(np.float32)
    second = np.int32((exponent - half + 127) << 23).view(np.float32)
    return p * first * second


# -- sums of one row -------------------------------------------------------------------------------------------------


def total(x: Row) -> Number:
    """x.sum(), in `LANES` partial sums."""
    partial = np.zeros(LANES, x.dtype)
    whole = x.shape[0] - x.shape[0] % LANES
    for start in range(0, whole, LANES):
        for lane in range(LANES):
            partial[lane] += x[start + lane]
    result = x.dtype.type(0.0)
    for lane in range(LANES):
        result += partial[lane]
    for d in range(whole, x.shape[0]):
        result += x[d]
    return result


def total_square(x: Row, mean: Number) -> Number:
    """((x - mean) ** 2).sum(), in `LANES` partial sums."""
    partial = np.zeros(LANES, x.dtype)
    whole = x.shape[0] - x.shape[0] % LANES
    for start in range(0, whole, LANES):
        for lane in range(LANES):
            partial[lane] += (x[start + lane] - mean) * (x[start + lane] - mean)
    result = x.dtype.type(0.0)
    for lane in range(LANES):
        result += partial[lane]
    for d in range(whole, x.shape[0]):
        result += (x[d] - mean) * (x[d] - mean)
    return result


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


def layer_norm(x: Rows, weight: Row, bias: Row, eps: Number, out: Rows) -> None:
    """`layers.layer_norm`."""
    for n in prange(x.shape[0]):
        row = out[n]
        for d in range(x.shape[1]):
            row[d] = x[n, d]
        normalize(row, weight, bias, eps)


def add_layer_norm(x: Rows, dense: Rows, weight: Row, bias: Row, eps: Number, out: Rows) -> None:
    """`layers.layer_norm` of a sum: the residual connection of a sublayer and the norm after it."""
    for n in prange(x.shape[0]):
        row = out[n]
        # total = x + dense
        for d in range(x.shape[1]):
            row[d] = x[n, d] + dense[n, d]
        # layer_norm(total, weight, bias, eps)
        normalize(row, weight, bias, eps)


# -- activations, in place ---------------------------------------------------------------------------------------------


def keep(out: Rows) -> None:
    """No activation."""


def gelu(out: Rows) -> None:
    """`layers.gelu`."""
    number = out.dtype.type
    for n in prange(out.shape[0]):
        # 0.5 * x * (1.0 + erf(x / sqrt(2.0)))
        for d in range(out.shape[1]):
            x = out[n, d]
            out[n, d] = number(0.5) * x * (number(1.0) + erf(x / number(1.4142135623730951)))


def gelu_new(out: Rows) -> None:
    """`layers.gelu_new`."""
    number = out.dtype.type
    for n in prange(out.shape[0]):
        # 0.5 * x * (1.0 + np.tanh(sqrt(2.0 / pi) * (x + 0.044715 * x**3)))
        for d in range(out.shape[1]):
            x = out[n, d]
            inner = number(0.7978845608028654) * (x + number(0.044715) * (x * x * x))
            out[n, d] = number(0.5) * x * (number(1.0) + tanh(inner))


def relu(out: Rows) -> None:
    """`layers.relu`."""
    number = out.dtype.type
    for n in prange(out.shape[0]):
        # np.maximum(x, 0)
        for d in range(out.shape[1]):
            out[n, d] = number(0.0) if out[n, d] < number(0.0) else out[n, d]


def silu(out: Rows) -> None:
    """`layers.silu`."""
    number = out.dtype.type
    for n in prange(out.shape[0]):
        # x * expit(x), from exp(-|x|), which does not overflow
        for d in range(out.shape[1]):
            x = out[n, d]
            power = exp(-abs(x))
            share = number(1.0) if x >= number(0.0) else power
            out[n, d] = x * (share / (number(1.0) + power))


# -- products --------------------------------------------------------------------------------------------------------
# A product is made tile by tile, `ROWS` rows by `COLUMNS` columns: few enough sums to stay in registers, over operands
# that lie in memory in the order of their use. Rows are packed for each product, (N, K) -> (tiles, K, ROWS); a weight
# once for all, (N, K) -> (panels, K, COLUMNS). What fills up the last tile is zero, and its sums are dropped.

#: The shape of a tile. A compiler takes what its registers hold.
ROWS, COLUMNS = 4, 6
#: What `linear` does with each tile at last. A compiler makes a `linear` for each activation, which takes this name.
finish = keep


def packed(x: Rows, width: int) -> Panels:
    """One side of a product, so many rows of it side by side: (N, K) -> (N / width, K, width)."""
    panels = np.zeros(((x.shape[0] + width - 1) // width, x.shape[1], width), x.dtype)
    for p in range(panels.shape[0]):
        for k in range(x.shape[1]):
            for c in range(min(width, x.shape[0] - p * width)):
                panels[p, k, c] = x[p * width + c, k]
    return panels


def tile(rows: Rows, panel: Rows, bias: Row, ahead: Rows, out: Rows) -> None:
    """bias + rows.T @ panel, of (K, ROWS) and (K, COLUMNS). What lies `ahead` is needed next, and may be fetched."""
    for r in range(rows.shape[1]):
        for c in range(panel.shape[1]):
            result = bias[c]
            for k in range(panel.shape[0]):
                result += rows[k, r] * panel[k, c]
            out[r, c] = result


def place(part: Rows, n: int, c: int, out: Rows) -> None:
    """Write a tile to its place in the product, from row n and column c on, as far as the product goes."""
    for r in range(min(part.shape[0], out.shape[0] - n)):
        for column in range(min(part.shape[1], out.shape[1] - c)):
            out[n + r, c + column] = part[r, column]


def linear(x: Rows, panels: Panels, bias: Rows, groups: int, slices: int, out: Rows) -> None:
    """`layers.linear` of a packed weight and a bias cut alike, and the activation after it.

    The parallel range goes over groups of tiles, each with one slice of the panels: as many as suit caches and cores.
    """
    P, K = panels.shape[:2]
    tiles = (x.shape[0] + ROWS - 1) // ROWS
    for n in prange(groups * slices):
        first, last = n // slices * tiles // groups, (n // slices + 1) * tiles // groups
        rows = packed(x[first * ROWS : last * ROWS], ROWS)
        part = np.empty((ROWS, COLUMNS), x.dtype)
        for p in range(n % slices * P // slices, (n % slices + 1) * P // slices):
            following = panels[min(p + 1, P - 1)]
            for i in range(last - first):
                # x @ weight.T + bias
                tile(rows[i], panels[p], bias[p], following[i * K // (last - first) :], part)
                finish(part)
                place(part, (first + i) * ROWS, p * COLUMNS, out)


# -- embeddings ------------------------------------------------------------------------------------------------------


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


def softmax_weights(scores: Rows, mask: Rows, first: int, scale: Number, weights: Row) -> None:
    """`attention.masked_softmax` of scores.T / scale before its division, in place, and the sums to divide by.

    The tokens that look lie side by side, from the first on: a mask whose rows are all alike has only one.
    """
    lowest = np.finfo(scores.dtype).min
    shift = np.full(scores.shape[1], lowest, scores.dtype)
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
    weights[:] = scores.dtype.type(0.0)
    for s in range(scores.shape[0]):
        # weights = np.exp(scores - scores.max(-1))
        for c in range(scores.shape[1]):
            scores[s, c] = exp(scores[s, c] - shift[c])
            weights[c] += scores[s, c]


def attention(query: Views, key: Views, value: Views, is_attended: Booleans, scale: Number, out: Heads) -> None:
    """The middle of `attention.attention`: (B, H, T, K) -> (B, T, H, K), with the scores of a few tokens at a time.

    They stand on end, (S, COLUMNS): so they are the panel by which the values are multiplied, and the softmax of as
    many tokens is computed side by side.
    """
    B, H, T, K = query.shape
    mask_B, S = is_attended.shape[0], key.shape[2]
    for n in prange(B * H):
        b, h = n // H, n % H
        queries, keys = packed(query[b, h], COLUMNS), packed(key[b, h], ROWS)
        values = packed(value[b, h].T, ROWS)
        scores, weights = np.empty((keys.shape[0] * ROWS, COLUMNS), out.dtype), np.empty(COLUMNS, out.dtype)
        part, nothing = np.empty((ROWS, COLUMNS), out.dtype), np.zeros(COLUMNS, out.dtype)
        for p in range(queries.shape[0]):
            # scores = query @ key.T
            for i in range(keys.shape[0]):
                tile(keys[i], queries[p], nothing, queries[p], scores[i * ROWS : (i + 1) * ROWS])
            # weights = exp(scores / scale - largest), where attended
            softmax_weights(scores[:S], is_attended[b if mask_B > 1 else 0, 0], p * COLUMNS, scale, weights)
            # (weights @ value / weights.sum(-1)).transpose(0, 2, 1, 3)
            for i in range(values.shape[0]):
                tile(values[i], scores[:S], nothing, scores, part)
                for c in range(min(COLUMNS, T - p * COLUMNS)):
                    share = out.dtype.type(1.0) / weights[c]
                    for r in range(min(ROWS, K - i * ROWS)):
                        out[b, p * COLUMNS + c, h, i * ROWS + r] = part[r, c] * share


# -- losses ----------------------------------------------------------------------------------------------------------


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
