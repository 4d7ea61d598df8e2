"""The layers of the encoder, a function each: the spec's own, on drawn inputs, and what people write instead."""

# pyright: basic
# Mistakes are short functions of arrays; types would be longer than they are.

from __future__ import annotations

from math import sqrt
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from ...reference import layers
from ...reference.attention import masked_softmax, relative_scores
from ...reference.config import RobertaConfig
from ...reference.embeddings import embeddings as embedded
from ...reference.inputs import Inputs
from .exercise import Case, Exercise, Mistake


def _drawn(rng: np.random.Generator, *shape: int, scale: float = 1.0) -> Any:
    return (rng.standard_normal(shape) * scale).astype(np.float32)


# -- embeddings ------------------------------------------------------------------------------------------------------

TABLES = ("word", "position", "token_type")


def _embeddings(input_ids: Any, position_ids: Any, token_type_ids: Any, p: Any, eps: float) -> Any:
    named = {f"{name}_embeddings": {"weight": p[name]} for name in TABLES}
    named["LayerNorm"] = {"weight": p["weight"], "bias": p["bias"]}
    inputs = Inputs(input_ids, position_ids=position_ids, token_type_ids=token_type_ids)
    about = SimpleNamespace(position_embedding_type="absolute", layer_norm_eps=eps, hidden_dropout_prob=0.0)
    return embedded(inputs, named, cast("RobertaConfig", about))


def _embedding_cases(rng: np.random.Generator) -> list[Case]:
    found: list[Case] = []
    for B, T, D in ((1, 3, 4), (2, 5, 16), (3, 7, 64)):
        p = {"word": _drawn(rng, 31, D), "position": _drawn(rng, 19, D), "token_type": _drawn(rng, 2, D)}
        p |= {"weight": 1 + _drawn(rng, D, scale=0.1), "bias": _drawn(rng, D, scale=0.1)}
        positions = np.broadcast_to(np.arange(2, T + 2), (B, T))
        ids, types = rng.integers(0, 31, (B, T)), rng.integers(0, 2, (B, T))
        found.append({"input_ids": ids, "position_ids": positions, "token_type_ids": types, "p": p, "eps": 1e-5})
    return found


def _sum(input_ids: Any, position_ids: Any, token_type_ids: Any, p: Any, eps: float) -> Any:
    return p["word"][input_ids] + p["position"][position_ids] + p["token_type"][token_type_ids]


EMBEDDINGS = Exercise(
    "embeddings",
    "Three embeddings and their norm",
    """x = LayerNorm(word + position + token type): the vectors that enter the encoder.

input_ids, position_ids, token_type_ids: (B, T) integers. p: a dict with the tables "word" (V, D), "position" (P, D),
"token_type" (2, D), and the norm's "weight" and "bias" (D,). eps: of the norm. Returns (B, T, D).
Source: Liu et al. (2019), section 2; HF RobertaEmbeddings.""",
    "(input_ids, position_ids, token_type_ids, p, eps)",
    _embeddings,
    _embedding_cases,
    (
        Mistake("the norm is missing", "LayerNorm comes behind the sum.", _sum),
        Mistake(
            "token types are left out",
            "RoBERTa has one type only, and its row is added all the same.",
            lambda input_ids, position_ids, token_type_ids, p, eps: layers.layer_norm(
                p["word"][input_ids] + p["position"][position_ids], p["weight"], p["bias"], eps
            ),
        ),
        Mistake(
            "the words alone are normed",
            "Add first, then norm.",
            lambda input_ids, position_ids, token_type_ids, p, eps: (
                layers.layer_norm(p["word"][input_ids], p["weight"], p["bias"], eps)
                + p["position"][position_ids]
                + p["token_type"][token_type_ids]
            ),
        ),
    ),
)

# -- layer norm ------------------------------------------------------------------------------------------------------


def _norm_cases(rng: np.random.Generator) -> list[Case]:
    shapes = ((1, 4), (2, 3, 5), (2, 3, 64), (1, 2, 768))
    scales = ((1.0, 0.0), (1e-3, 0.0), (5.0, 3.0), (1.0, -7.0))
    return [
        {
            "x": _drawn(rng, *shape, scale=scale) + np.float32(shift),
            "weight": 1 + _drawn(rng, shape[-1], scale=0.2),
            "bias": _drawn(rng, shape[-1], scale=0.2),
            "eps": eps,
        }
        for shape in shapes
        for scale, shift in scales
        for eps in (1e-5, 1e-12)
    ]


def _normed(x: Any, weight: Any, bias: Any, scale: Any) -> Any:
    return (x - x.mean(-1, keepdims=True)) / scale * weight + bias


LAYER_NORM = Exercise(
    "layer_norm",
    "Layer normalisation",
    """(x - mean) / sqrt(variance + eps) * weight + bias, over the last axis; the variance is the biased one, the mean
of (x - mean)^2.

x: (…, D). weight, bias: (D,). eps: a number. Returns (…, D).
Source: Ba, Kiros and Hinton (2016), equation 3.""",
    "(x, weight, bias, eps)",
    layers.layer_norm,
    _norm_cases,
    (
        Mistake(
            "the variance is the unbiased one",
            "Divide by D, not by D - 1: NumPy's var does by default, torch.var does not.",
            lambda x, weight, bias, eps: _normed(x, weight, bias, np.sqrt(x.var(-1, ddof=1, keepdims=True) + eps)),
        ),
        Mistake(
            "eps stands outside the root",
            "sqrt(variance + eps), not sqrt(variance) + eps.",
            lambda x, weight, bias, eps: _normed(x, weight, bias, np.sqrt(x.var(-1, keepdims=True)) + eps),
        ),
        Mistake(
            "eps is missing",
            "It is added to the variance, and counts where that is small.",
            lambda x, weight, bias, eps: _normed(x, weight, bias, np.sqrt(x.var(-1, keepdims=True))),
        ),
        Mistake(
            "the root is missing",
            "Divide by the standard deviation.",
            lambda x, weight, bias, eps: _normed(x, weight, bias, x.var(-1, keepdims=True) + eps),
        ),
        Mistake(
            "weight and bias are missing",
            "What is normed is multiplied by the weight and moved by the bias.",
            lambda x, weight, bias, eps: _normed(x, 1.0, 0.0, np.sqrt(x.var(-1, keepdims=True) + eps)),
        ),
    ),
)

# -- GELU ------------------------------------------------------------------------------------------------------------

GELU = Exercise(
    "gelu",
    "The exact GELU",
    """x Phi(x), with Phi the normal distribution's: 0.5 x (1 + erf(x / sqrt 2)).

x: any shape. Returns the same shape. (scipy.special.erf, or math.erf by np.vectorize.)
Source: Hendrycks and Gimpel (2016), section 2.""",
    "(x)",
    layers.gelu,
    lambda rng: [
        {"x": np.linspace(-6, 6, 97, dtype=np.float32)},
        {"x": _drawn(rng, 2, 3, 50)},
        {"x": _drawn(rng, 500, scale=20)},
    ],
    (
        Mistake(
            "it is the tanh approximation",
            "It is off by up to 5e-4: an error in float32, not a variant.",
            layers.gelu_new,
        ),
        Mistake(
            "it is x times the logistic function of 1.702 x",
            "The quick GELU is off by up to 0.02.",
            lambda x: x / (1 + np.exp(np.clip(-1.702 * x, -80, 80))),
        ),
        Mistake(
            "erf of x, not of x / sqrt 2",
            "Phi(x) = (1 + erf(x / sqrt 2)) / 2.",
            lambda x: 0.5 * x * (1 + layers.erf(x)),
        ),
        Mistake("it is ReLU", "Small negative numbers give small negative ones.", layers.relu),
    ),
)

# -- softmax ---------------------------------------------------------------------------------------------------------


def _unshifted(scores: Any) -> Any:
    with np.errstate(all="ignore"):
        weights = np.exp(scores.astype(np.float32))
        return weights / weights.sum(-1, keepdims=True)


def _softmax_cases(rng: np.random.Generator) -> list[Case]:
    drawn: list[Case] = [
        {"scores": _drawn(rng, *shape, scale=scale)} for shape in ((4,), (2, 3, 5)) for scale in (1, 10)
    ]
    return [
        *drawn,
        {"scores": np.array([[1000.0, 999.0, -1000.0]], np.float32)},
        {"scores": np.full((2, 3), -3e38, np.float32)},
    ]


SOFTMAX = Exercise(
    "softmax",
    "A softmax that does not overflow",
    """exp(s) / sum exp(s) over the last axis, for scores of any size: take the largest score of the row away first.

scores: (…, S). Returns (…, S); each row sums to 1.""",
    "(scores)",
    layers.softmax,
    _softmax_cases,
    (
        Mistake(
            "the scores are not shifted",
            "exp(1000) is infinite in float32: take the largest score of each row away first.",
            _unshifted,
        ),
        Mistake(
            "it runs over the first axis",
            "Sum and maximum are those of the last axis, with keepdims=True.",
            lambda scores: layers.softmax(scores.swapaxes(0, -1)).swapaxes(0, -1),
        ),
        Mistake(
            "it is normed over the whole array",
            "Each row sums to 1: give the sum its axis.",
            lambda scores: layers.softmax(scores.reshape(-1)).reshape(scores.shape),
        ),
    ),
)

# -- attention -------------------------------------------------------------------------------------------------------


def _attention(query: Any, key: Any, value: Any, is_attended: Any) -> Any:
    return masked_softmax(query @ key.swapaxes(-1, -2) / sqrt(query.shape[-1]), is_attended) @ value


def _attention_cases(rng: np.random.Generator) -> list[Case]:
    found: list[Case] = []
    for B, H, T, S, K in ((1, 1, 2, 3, 4), (2, 3, 5, 5, 8), (2, 2, 4, 7, 64), (1, 2, 6, 6, 16)):
        is_attended = np.arange(S) < rng.integers(1, S + 1, (B, 1, 1, 1))  # B 1 1 S
        if T == S == 6:
            is_attended = np.tri(T, S, dtype=bool)[None, None]
        parts = {"query": _drawn(rng, B, H, T, K), "key": _drawn(rng, B, H, S, K), "value": _drawn(rng, B, H, S, K)}
        found += [{**parts, "is_attended": np.ones((B, 1, 1, S), bool)}, {**parts, "is_attended": is_attended}]
    return found


def _scores(query: Any, key: Any) -> Any:
    return query @ key.swapaxes(-1, -2) / np.float32(sqrt(query.shape[-1]))


ATTENTION = Exercise(
    "attention",
    "Scaled dot-product attention",
    """softmax(q k' / sqrt(K)) v, of the keys that may be looked at: the others get probability 0.

query: (B, H, T, K). key, value: (B, H, S, K). is_attended: booleans, broadcastable to (B, H, T, S); each row has one
True at least. Returns (B, H, T, K).
Source: Vaswani et al. (2017), equation 1.""",
    "(query, key, value, is_attended)",
    _attention,
    _attention_cases,
    (
        Mistake(
            "the scores are not divided by sqrt(K)",
            "K is the head size, the last axis of query.",
            lambda query, key, value, is_attended: masked_softmax(query @ key.swapaxes(-1, -2), is_attended) @ value,
        ),
        Mistake(
            "the scores are divided by K, not by its root",
            "sqrt(K).",
            lambda query, key, value, is_attended: (
                masked_softmax(query @ key.swapaxes(-1, -2) / query.shape[-1], is_attended) @ value
            ),
        ),
        Mistake(
            "the mask is ignored",
            "Scores that may not be looked at become very low, before the softmax.",
            lambda query, key, value, is_attended: layers.softmax(_scores(query, key)) @ value,
        ),
        Mistake(
            "the mask comes behind the softmax",
            "Then rows no longer sum to 1: mask the scores, not the probabilities.",
            lambda query, key, value, is_attended: (layers.softmax(_scores(query, key)) * is_attended) @ value,
        ),
        Mistake(
            "hidden scores are 0, not very low",
            "exp(0) is 1: put the lowest number there.",
            lambda query, key, value, is_attended: layers.softmax(_scores(query, key) * is_attended) @ value,
        ),
        Mistake(
            "the softmax runs over the queries",
            "Each query's probabilities sum to 1: over the last axis.",
            lambda query, key, value, is_attended: (
                layers.softmax(_scores(query, key).swapaxes(-1, -2)).swapaxes(-1, -2) @ value
            ),
        ),
    ),
)

# -- relative positions ----------------------------------------------------------------------------------------------


def _relative(query: Any, key: Any, table: Any) -> Any:
    about = SimpleNamespace(position_embedding_type="relative_key_query", max_position_embeddings=(len(table) + 1) // 2)
    named = {"distance_embedding": {"weight": table}}
    return relative_scores(query, key, named, cast("RobertaConfig", about))


def _relative_cases(rng: np.random.Generator) -> list[Case]:
    return [
        {"query": _drawn(rng, B, H, T, K), "key": _drawn(rng, B, H, T, K), "table": _drawn(rng, 2 * P - 1, K)}
        for B, H, T, K, P in ((1, 1, 2, 4, 2), (2, 3, 5, 8, 9), (1, 2, 7, 64, 7))
    ]


def _by(query: Any, key: Any, table: Any, *, sign: int = 1, shift: int = 0, parts: str = "qk") -> Any:
    T = query.shape[2]
    distance = sign * (np.arange(T)[:, None] - np.arange(T)[None, :])
    relation = table[(distance + (len(table) - 1) // 2 + shift) % len(table)]  # T S K
    by_query = np.einsum("bhtk,tsk->bhts", query, relation)
    return by_query if parts == "q" else by_query + np.einsum("bhsk,tsk->bhts", key, relation)


RELATIVE_POSITIONS = Exercise(
    "relative_positions",
    "Relative positions",
    """What the distance i - j adds to the score of query i and key j: q_i · r_(i-j) + k_j · r_(i-j), before it is
divided.

query, key: (B, H, T, K). table: (2 P - 1, K), of which row i - j + P - 1 is r_(i-j). Returns (B, H, T, T).
Source: Huang et al. (2020), method 4 ("relative_key_query"); Shaw et al. (2018) has the first term alone.""",
    "(query, key, table)",
    _relative,
    _relative_cases,
    (
        Mistake(
            "the distance has the other sign",
            "Row i is the query, column j the key: i - j.",
            lambda query, key, table: _by(query, key, table, sign=-1),
        ),
        Mistake(
            "the keys' term is missing",
            'That is "relative_key": here k_j · r_(i-j) is added, too.',
            lambda query, key, table: _by(query, key, table, parts="q"),
        ),
        Mistake(
            "the table begins one row too late",
            "Distance 0 is row P - 1.",
            lambda query, key, table: _by(query, key, table, shift=1),
        ),
    ),
)
