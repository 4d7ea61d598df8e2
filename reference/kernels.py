"""The equations once more as scalar loops, in index notation: what each line of NumPy does, one number at a time.

Each function has its name from `layers.py`, `embeddings.py`, `attention.py` or `losses.py`, and the same result up to
the order in which sums are rounded. It runs as it is, slowly; with a pencil one can follow it. Rows are n, elements of
a row d, and attention is that of one head and one text.
"""

from __future__ import annotations

from math import pi, sqrt
from typing import Any

import numpy as np

from .embeddings import Integers
from .layers import Array
from .losses import IGNORE_INDEX
from .special import erf

Number = Any
Booleans = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]

# -- layers ----------------------------------------------------------------------------------------------------------


def linear(x: Array, weight: Array, bias: Array) -> Array:
    """y[n, j] = sum_k x[n, k] weight[j, k] + bias[j]. (N, in) -> (N, out).

    Example:
        >>> linear(np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]]), np.array([5.0]))
        array([[16.]])
    """
    (N, K), J = x.shape, len(weight)
    y = np.empty((N, J), x.dtype)
    for n in range(N):
        for j in range(J):
            y[n, j] = sum(x[n, k] * weight[j, k] for k in range(K)) + bias[j]
    return y


def layer_norm(x: Array, weight: Array, bias: Array, eps: float) -> Array:
    """y[n, d] = (x[n, d] - mean_n) / sqrt(variance_n + eps) weight[d] + bias[d], in two passes. (N, D) -> (N, D).

    Example:
        >>> layer_norm(np.array([[1.0, 3.0]]), np.ones(2), np.zeros(2), eps=0.0)
        array([[-1.,  1.]])
    """
    N, D = x.shape
    y = np.empty((N, D), x.dtype)
    for n in range(N):
        mean = sum(x[n, d] for d in range(D)) / D
        variance = sum((x[n, d] - mean) ** 2 for d in range(D)) / D
        for d in range(D):
            y[n, d] = (x[n, d] - mean) / np.sqrt(variance + eps) * weight[d] + bias[d]
    return y


def softmax(scores: Array) -> Array:
    """probs[n, s] = exp(scores[n, s] - largest_n) / sum_r exp(scores[n, r] - largest_n). (N, S) -> (N, S).

    Example:
        >>> softmax(np.array([[1000.0, 1000.0]]))
        array([[0.5, 0.5]])
    """
    N, S = scores.shape
    probs = np.empty((N, S), scores.dtype)
    for n in range(N):
        largest = max(scores[n, s] for s in range(S))
        total = sum(np.exp(scores[n, s] - largest) for s in range(S))
        for s in range(S):
            probs[n, s] = np.exp(scores[n, s] - largest) / total
    return probs


# -- activations, of one number --------------------------------------------------------------------------------------


def gelu(x: Number) -> Number:
    """x Phi(x), with the error function.

    Example:
        >>> float(gelu(1.0).round(4))
        0.8413
    """
    return 0.5 * x * (1.0 + erf(x / sqrt(2.0)))


def gelu_new(x: Number) -> Number:
    """The tanh approximation of `gelu`."""
    return 0.5 * x * (1.0 + np.tanh(sqrt(2.0 / pi) * (x + 0.044715 * x * x * x)))


def relu(x: Number) -> Number:
    """max(x, 0)."""
    return x if x > 0 else 0 * x


def silu(x: Number) -> Number:
    """x / (1 + exp(-x)), from exp(-|x|), which does not overflow."""
    power = np.exp(-abs(x))
    return x / (1 + power) if x >= 0 else x * power / (1 + power)


# -- embeddings ------------------------------------------------------------------------------------------------------


def position_ids(input_ids: Integers, pad_token_id: int, past_token_count: Integers) -> Integers:
    """Real tokens are counted from `pad_token_id + 1`, behind those of the cache; padding stays. (B, T) -> (B, T).

    Example:
        >>> position_ids(np.array([[0, 5, 1, 7, 1]]), 1, np.array([0]))
        array([[2, 3, 1, 4, 1]])
    """
    B, T = input_ids.shape
    positions = np.full((B, T), pad_token_id)
    for b in range(B):
        count = past_token_count[b]
        for t in range(T):
            if input_ids[b, t] != pad_token_id:
                count += 1
                positions[b, t] = pad_token_id + count
    return positions


def embeddings(
    input_ids: Integers, token_type_ids: Integers, positions: Integers, word: Array, token_type: Array, position: Array
) -> Array:
    """x[b, t, d] = word[row, d] + token_type[kind, d] + position[place, d], before the norm. (B, T) -> (B, T, D)."""
    (B, T), D = input_ids.shape, word.shape[1]
    x = np.empty((B, T, D), word.dtype)
    for b in range(B):
        for t in range(T):
            row, kind, place = input_ids[b, t], token_type_ids[b, t], positions[b, t]
            for d in range(D):
                x[b, t, d] = word[row, d] + token_type[kind, d] + position[place, d]
    return x


# -- attention, of one head and one text -----------------------------------------------------------------------------


def masked_softmax(scores: Array, is_attended: Booleans) -> Array:
    """`softmax`, where scores that are not attended count as the lowest number there is. (T, S) -> (T, S).

    Example:
        >>> masked_softmax(np.array([[1.0, 1.0, 5.0]]), np.array([[True, True, False]]))
        array([[0.5, 0.5, 0. ]])
    """
    T, S = scores.shape
    kept = np.empty((T, S), scores.dtype)
    for t in range(T):
        for s in range(S):
            kept[t, s] = scores[t, s] if is_attended[t, s] else np.finfo(scores.dtype).min
    return softmax(kept)


def relative_scores(query: Array, key: Array, relation: Array, position_embedding_type: str) -> Array:
    """sum_k query[t, k] r[k], with r the row of the distance from token t to s; of a key and a query, + key[s, k] r[k].

    Args:
        query: (T, K), the last T of S tokens.
        key: (S, K).
        relation: (2M - 1, K); row M - 1 is that of distance 0.
        position_embedding_type: "relative_key" or "relative_key_query".

    Returns:
        (T, S).
    """
    (T, K), S, M = query.shape, len(key), (len(relation) + 1) // 2
    scores = np.empty((T, S), query.dtype)
    for t in range(T):
        for s in range(S):
            row = relation[S - T + t - s + M - 1]
            scores[t, s] = sum(query[t, k] * row[k] for k in range(K))
            if position_embedding_type == "relative_key_query":
                scores[t, s] += sum(key[s, k] * row[k] for k in range(K))
    return scores


def attention(query: Array, key: Array, value: Array, relative: Array, is_attended: Booleans) -> Array:
    """mixed[t, k] = sum_s probs[t, s] value[s, k], with probs = softmax((query key' + relative) / sqrt(K)).

    Args:
        query: (T, K).
        key: (S, K).
        value: (S, K).
        relative: (T, S), `relative_scores` or zeros.
        is_attended: (T, S).

    Returns:
        (T, K).
    """
    (T, K), S = query.shape, len(key)
    scores, mixed = np.empty((T, S), query.dtype), np.empty((T, K), query.dtype)
    for t in range(T):
        for s in range(S):
            scores[t, s] = (sum(query[t, k] * key[s, k] for k in range(K)) + relative[t, s]) / sqrt(K)
    probs = masked_softmax(scores, is_attended)
    for t in range(T):
        for k in range(K):
            mixed[t, k] = sum(probs[t, s] * value[s, k] for s in range(S))
    return mixed


# -- losses ----------------------------------------------------------------------------------------------------------


def cross_entropy(logits: Array, labels: Integers, ignore_index: int = IGNORE_INDEX) -> Number:
    """The mean over counted n of log sum_c exp logits[n, c] - logits[n, labels[n]]. (N, C) and (N,) -> one number.

    Example:
        >>> float(cross_entropy(np.array([[0.0, 0.0], [9.0, 9.0]]), np.array([1, -100])).round(4))
        0.6931
    """
    N, C = logits.shape
    total, count = logits.dtype.type(0), 0
    for n in range(N):
        if labels[n] != ignore_index:
            largest = max(logits[n, c] for c in range(C))
            log_total = largest + np.log(sum(np.exp(logits[n, c] - largest) for c in range(C)))
            total += log_total - logits[n, labels[n]]
            count += 1
    return total / max(count, 1)
