"""Each scalar loop against the NumPy line of its name, in the same dtype: they differ by the order of sums alone."""

import inspect
from math import sqrt
from typing import Any

import numpy as np
import pytest
from roberta import RobertaConfig
from roberta.reference import attention, embeddings, kernels, layers, losses
from roberta.reference.inputs import Inputs

U = {"float32": 2.0**-24, "float64": 2.0**-53}
DTYPE = pytest.mark.parametrize("dtype", U)
SPEC = (layers, embeddings, attention, losses)


def draw(dtype: str, *shape: int, seed: int = 0) -> Any:
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(dtype)


def gamma(terms: int, dtype: str) -> float:
    """Higham's bound: the relative error of a sum of n terms, to their absolute sum, in any order."""
    return terms * U[dtype] / (1 - terms * U[dtype])


def test_every_loop_has_the_name_of_an_equation_and_stands_in_its_order():
    names = [
        name for name, part in vars(kernels).items() if inspect.isfunction(part) and part.__module__ == kernels.__name__
    ]
    lines = [name for module in SPEC for name, part in vars(module).items() if inspect.isfunction(part)]
    own = [name for module in SPEC for name in vars(module) if name in names and name in lines]
    assert names == list(dict.fromkeys(own))


# -- layers ------------------------------------------------------------------------------------------------------------


@DTYPE
def test_linear(dtype: str):
    x, weight, bias = draw(dtype, 5, 37), draw(dtype, 7, 37), draw(dtype, 7)
    got, wanted = kernels.linear(x, weight, bias), layers.linear(x, weight, bias)
    assert got.dtype == dtype
    assert (np.abs(got - wanted) <= 2 * gamma(38, dtype) * layers.linear(np.abs(x), np.abs(weight), np.abs(bias))).all()


@DTYPE
def test_linear_is_exact_where_sums_are(dtype: str):
    x, weight, bias = (
        np.random.default_rng(0).integers(-9, 10, shape).astype(dtype) for shape in ((5, 37), (7, 37), 7)
    )
    assert np.array_equal(kernels.linear(x, weight, bias), layers.linear(x, weight, bias))


@DTYPE
def test_layer_norm(dtype: str):
    x = draw(dtype, 5, 37)
    x[1] = 1e3 + x[1]  # a large mean: a one-pass variance would lose it
    x[2] = 1e-3 * x[2]  # a small spread: eps matters
    weight, bias = draw(dtype, 37, seed=1), draw(dtype, 37, seed=2)
    got, wanted = (module.layer_norm(x, weight, bias, 1e-5) for module in (kernels, layers))
    # The mean is off by at most gamma |mean|; that shifts every element by as much over the deviation.
    shift = gamma(39, dtype) * np.abs(x).mean(-1, keepdims=True) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    slack = 2 * (shift + gamma(39, dtype) * (1 + np.abs(wanted))) * (1 + np.abs(weight)) * (1 + np.abs(wanted))
    assert got.dtype == dtype
    assert (np.abs(got - wanted) <= slack).all()


@DTYPE
def test_softmax(dtype: str):
    scores = 5 * draw(dtype, 5, 17)
    got, wanted = kernels.softmax(scores), layers.softmax(scores)
    assert got.dtype == dtype
    assert (np.abs(got - wanted) <= 2 * gamma(21, dtype) * wanted).all()


@DTYPE
@pytest.mark.parametrize("name", ["gelu", "gelu_new", "relu", "silu"])
def test_activations_of_one_number(name: str, dtype: str):
    x = np.linspace(-12, 12, 241).astype(dtype)
    with np.errstate(under="ignore"):
        got = [getattr(kernels, name)(number) for number in x]
        wanted = getattr(layers, name)(x)
    assert {number.dtype for number in got} == {np.dtype(dtype)}
    # Each of at most sixteen operations rounds its result by u, and no step is larger than 1 + |x| + |x|^2.
    assert (np.abs(np.array(got) - wanted) <= 16 * U[dtype] * (1 + np.abs(x) + x**2)).all()


# -- embeddings --------------------------------------------------------------------------------------------------------


def test_position_ids():
    ids, past = np.random.default_rng(0).integers(0, 4, (3, 11)), np.array([0, 5, 2])
    assert np.array_equal(kernels.position_ids(ids, 1, past), embeddings.position_ids(ids, 1, past))


@DTYPE
def test_embeddings(dtype: str):
    rng = np.random.default_rng(0)
    ids, types, places = (rng.integers(0, size, (2, 5)) for size in (13, 2, 7))
    tables = {"word_embeddings": draw(dtype, 13, 7), "token_type_embeddings": draw(dtype, 2, 7)}
    tables["position_embeddings"] = draw(dtype, 7, 7)
    p: dict[str, Any] = {name: {"weight": table} for name, table in tables.items()}
    p["LayerNorm"] = {"weight": np.ones(7, dtype), "bias": np.zeros(7, dtype)}
    seen: dict[str, Any] = {}
    embeddings.embeddings(
        Inputs(input_ids=ids, token_type_ids=types, position_ids=places), p, RobertaConfig(), seen.setdefault
    )
    assert np.array_equal(kernels.embeddings(ids, types, places, *tables.values()), seen["sum"])


# -- attention ---------------------------------------------------------------------------------------------------------


@DTYPE
def test_masked_softmax_and_its_row_that_may_look_at_nobody(dtype: str):
    scores, is_attended = 5 * draw(dtype, 5, 17), np.random.default_rng(1).random((5, 17)) < 0.7
    is_attended[2] = False
    got, wanted = kernels.masked_softmax(scores, is_attended), attention.masked_softmax(scores, is_attended)
    assert (np.abs(got - wanted) <= 2 * gamma(21, dtype) * wanted).all()
    assert np.array_equal(got[2], np.full(17, 1, dtype) / 17)


@pytest.mark.parametrize("kind", ["relative_key", "relative_key_query"])
@pytest.mark.parametrize("P", [0, 3])
def test_relative_scores_are_exact_where_sums_are(P: int, kind: str):
    T, S, K, M = 5, 5 + P, 7, 11
    rng = np.random.default_rng(0)
    query, key, rows = (rng.integers(-9, 9, shape).astype("float32") for shape in ((T, K), (S, K), (2 * M - 1, K)))
    config = RobertaConfig(max_position_embeddings=M, position_embedding_type=kind)
    tables = {"distance_embedding": {"weight": rows}}
    wanted = attention.relative_scores(query[None, None], key[None, None], tables, config)[0, 0]
    assert np.array_equal(kernels.relative_scores(query, key, rows, kind), wanted)


@DTYPE
def test_attention_of_one_head(dtype: str):
    T, S, K = 5, 11, 7
    query, key, value = draw(dtype, T, K), draw(dtype, S, K, seed=1), draw(dtype, S, K, seed=2)
    relative, is_attended = draw(dtype, T, S), np.random.default_rng(1).random((T, S)) < 0.7
    is_attended[0] = False  # it may look at nobody
    got = kernels.attention(query, key, value, relative, is_attended)
    scores = (query @ key.T + relative) / sqrt(K)
    probs = attention.masked_softmax(scores, is_attended)
    # A score's error is one of the exponent, and so relative to its weight; then come a product, a sum and a division.
    exponent = gamma(K + 3, dtype) * (np.abs(query) @ np.abs(key).T + np.abs(relative)).max(-1, keepdims=True) / sqrt(K)
    slack = 2 * (2 * exponent + gamma(2 * S + 8, dtype)) * (probs @ np.abs(value))
    assert got.dtype == dtype
    assert (np.abs(got - probs @ value) <= slack).all()


# -- losses ------------------------------------------------------------------------------------------------------------


@DTYPE
def test_cross_entropy(dtype: str):
    logits, labels = 5 * draw(dtype, 11, 37), np.random.default_rng(0).integers(0, 37, 11)
    labels[[2, 5]] = losses.IGNORE_INDEX
    got, wanted = kernels.cross_entropy(logits, labels), losses.cross_entropy(logits, labels)
    # A relative error of the sum of exponentials is an absolute one of its logarithm; then two sums.
    assert got.dtype == dtype
    assert abs(got - wanted) <= 2 * gamma(60, dtype) * (1 + 2 * np.abs(logits).max())
    assert kernels.cross_entropy(logits, np.full(11, losses.IGNORE_INDEX)) == 0
