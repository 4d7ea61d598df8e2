"""Each kernel against its line of the spec in a wider dtype; exactly, where nothing is rounded."""

from collections.abc import Callable, Iterable, Iterator
from math import sqrt
from typing import Any

import numba
import numpy as np
import pytest
from roberta import RobertaConfig
from roberta.backends.numba import kernels, scalars
from roberta.backends.numba.tiles import pack
from roberta.reference import attention, layers, losses
from scipy import special

U = {"float32": 2.0**-24, "float64": 2.0**-53}
DTYPE = pytest.mark.parametrize("dtype", U)
pytestmark = pytest.mark.numba


def draw(dtype: str, *shape: int, seed: int = 0) -> Any:
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(dtype)


def gamma(terms: int, dtype: str) -> float:
    """Higham's bound: the relative error of a sum of n terms, to their absolute sum, in any order."""
    return terms * U[dtype] / (1 - terms * U[dtype])


# -- functions of one number -------------------------------------------------------------------------------------------


def each(function: Callable[[Any], Any], x: Any) -> Any:
    """A function of one number, of each number in an array."""
    return np.array([function(value) for value in x.flat], x.dtype).reshape(x.shape)


@numba.njit
def erfs(x: Any, out: Any) -> None:
    for n in range(len(x)):
        out[n] = scalars.erf_single(x[n])


@numba.njit
def exps(x: Any, out: Any) -> None:
    for n in range(len(x)):
        out[n] = scalars.exp_single(x[n])


def of(loop: Callable[..., None], x: Any) -> Any:
    out = np.empty_like(x)
    loop(x, out)
    return out


def floats(first: float, last: float) -> Iterator[Any]:
    """All float32 from one positive number to another, which is left out, in blocks."""
    start, stop = (int(np.float32(end).view(np.int32)) for end in (first, last))
    for block in range(start, stop, 2**20):
        yield np.arange(block, min(block + 2**20, stop), dtype=np.int32).view(np.float32)


def errors(loop: Callable[..., None], exact: Callable[[Any], Any], x: Any) -> Any:
    """Relative, in roundings. `exact` is of float64, whose own error, of 2**-52 or so, is nothing beside 2**-24."""
    wanted = exact(x.astype(float))
    return np.abs(of(loop, x) - wanted) / wanted / U["float32"]


def worst(loop: Callable[..., None], exact: Callable[[Any], Any], blocks: Iterable[Any]) -> tuple[float, float]:
    """The largest of `errors`, and where it is."""
    found = (0.0, 0.0)
    for x in blocks:
        error = errors(loop, exact, x)
        found = max(found, (float(error.max()), float(x[error.argmax()])))
    return found


def test_the_single_error_function_is_as_close_as_it_says_where_that_is_hardest():
    error, x = worst(erfs, special.erf, floats(2, 4))
    assert 7.384 < error < 7.385
    assert np.float32(x) == np.float32(3.7090933)
    few = np.concatenate([np.linspace(1e-3, 6, 40001), np.geomspace(2.0**-126, 2, 60001)]).astype(np.float32)
    assert worst(erfs, special.erf, [few])[0] < 7.385
    assert np.array_equal(of(erfs, -few), -of(erfs, few))
    assert of(erfs, few).max() == 1


@pytest.mark.slow
def test_the_single_error_function_is_as_close_as_it_says_for_every_number():
    """Of all normal float32, of both signs. The smallest are multiplied by a float32 beside 2 / sqrt(pi), no more.

    Such a product errs by the constant's error, by one rounding, and by x**2 / 3 < 2**-41, which erf x is below it.
    """
    factor, square, width = np.float32(1.12837915), 0.0, 0.0
    assert abs(float(factor) / (2 / sqrt(np.pi)) - 1) + U["float32"] + 2.0**-41 < 2 * U["float32"]
    assert all(np.array_equal(of(erfs, x), x * factor) for x in floats(2.0**-126, 2.0**-20))
    found = (0.0, 0.0)
    for x in floats(2.0**-20, 3.96):
        error, spacing = errors(erfs, special.erf, x), np.spacing(x).astype(float)
        found = max(found, (float(error.max()), float(x[error.argmax()])))
        square, width = square + float((error**2 * spacing).sum()), width + float(spacing.sum())
        assert np.array_equal(of(erfs, -x), -of(erfs, x))
    assert 7.384 < found[0] < 7.385
    assert np.float32(found[1]) == np.float32(3.7090933)
    assert 1.22 < sqrt(square / width) < 1.23
    for x in floats(3.96, np.inf):
        assert (of(erfs, x) == 1).all()
        assert (of(erfs, -x) == -1).all()


def test_the_single_exponential_is_as_close_as_it_says_or_below_the_smallest_number():
    x = np.linspace(-104, 88.7, 500003).astype(np.float32)
    got, exact = of(exps, x), np.exp(x.astype(float))
    assert (np.abs(got - exact) <= 1.402 * U["float32"] * exact + 2.0**-149).all()


@pytest.mark.slow
def test_the_single_exponential_is_as_close_as_it_says_for_every_number():
    """Where it is normal and the argument not so small, below 2**-26, that 1 is nearest."""
    tiny, largest, smallest = 2.0**-26, np.log(float(np.finfo(np.float32).max)), -np.log(2.0**-126)
    for x in floats(0, tiny):
        assert (of(exps, x) == 1).all()
        assert (of(exps, -x) == 1).all()
    error, place = worst(exps, np.exp, floats(tiny, largest))
    assert 1.401 < error < 1.402
    assert np.float32(place) == np.float32(37.77723)
    assert worst(exps, np.exp, (-x for x in floats(tiny, smallest)))[0] < 1.402
    for x in floats(smallest, 105):  # subnormal: what is lost below the smallest number may be all of it
        exact = np.exp(-x.astype(float))
        assert (np.abs(of(exps, -x) - exact) <= 1.402 * U["float32"] * exact + 2.0**-149).all()


@pytest.mark.parametrize(
    ("function", "x", "wanted"),
    [
        (scalars.erf_single, [np.inf, -np.inf, np.nan, 4, -4, 0], [1, -1, np.nan, 1, -1, 0]),
        (scalars.exp_single, [np.inf, -np.inf, np.nan, 89, -105, 0, -3.4e38], [np.inf, 0, np.nan, np.inf, 0, 1, 0]),
    ],
)
def test_the_ends_of_the_single_functions_are_exact(function: Any, x: Any, wanted: Any):
    assert np.array_equal(each(function, np.array(x, np.float32)), np.array(wanted, np.float32), equal_nan=True)


# -- sums of one row ---------------------------------------------------------------------------------------------------


@DTYPE
@pytest.mark.parametrize("size", [1, 15, 16, 17, 37, 769])
def test_sums_and_maxima_of_a_row_of_any_length(size: int, dtype: str):
    x, mean = draw(dtype, size), np.dtype(dtype).type(0.25)
    wide = x.astype(np.longdouble)
    bound = gamma(size + 2, dtype)
    assert abs(kernels.total(x) - wide.sum()) <= bound * np.abs(wide).sum()
    assert abs(kernels.total_square(x, mean) - ((wide - mean) ** 2).sum()) <= bound * ((wide - mean) ** 2).sum()
    assert kernels.largest(x) == x.max()


# -- layers ------------------------------------------------------------------------------------------------------------


@DTYPE
def test_layer_norm_is_its_line(dtype: str):
    x = draw(dtype, 5, 37)
    x[1] = 1e3 + x[1]  # a large mean: a one-pass variance would lose it
    x[2] = 1e-3 * x[2]  # a small spread: eps matters
    weight, bias, eps = draw(dtype, 37, seed=1), draw(dtype, 37, seed=2), np.dtype(dtype).type(1e-5)
    got = kernels.layer_norm(x, weight, bias, eps, np.empty_like(x))
    wide = x.astype(np.longdouble)
    exact = layers.layer_norm(wide, weight, bias, float(eps))
    # The mean is off by at most gamma |mean|; that shifts every element by as much over the deviation.
    deviation = np.sqrt(wide.var(-1, keepdims=True) + eps)
    shift = gamma(39, dtype) * np.abs(wide).mean(-1, keepdims=True) / deviation
    slack = (shift + gamma(39, dtype) * (1 + np.abs(exact))) * (1 + np.abs(weight)) * (1 + np.abs(exact))
    assert (np.abs(got - exact) <= slack).all()


@DTYPE
def test_the_norm_of_a_constant_row_is_its_bias_exactly(dtype: str):
    x, weight, bias = np.full((2, 37), 7, dtype), draw(dtype, 37), draw(dtype, 37, seed=1)
    assert np.array_equal(kernels.layer_norm(x, weight, bias, np.dtype(dtype).type(1e-12), x), [bias, bias])


@DTYPE
def test_the_norm_of_a_sum_is_the_norm_of_the_sum_exactly(dtype: str):
    x, dense, eps = draw(dtype, 5, 37), draw(dtype, 5, 37, seed=1), np.dtype(dtype).type(1e-5)
    weight, bias = (draw(dtype, 37, seed=seed) for seed in (2, 3))
    wanted = kernels.layer_norm(x + dense, weight, bias, eps, np.empty_like(x))
    assert np.array_equal(kernels.add_layer_norm(x, dense, weight, bias, eps, np.empty_like(x)), wanted)


@DTYPE
@pytest.mark.parametrize("name", ["gelu", "gelu_new", "relu", "silu"])
def test_an_activation_is_its_line(name: str, dtype: str):
    x = np.linspace(-12, 12, 7 * 37).astype(dtype).reshape(7, 37)
    got, x = each(getattr(scalars, name), x), x.astype(np.longdouble)
    exact = getattr(layers, name)(x.astype(np.float64) if name in {"gelu", "silu"} else x)
    # Each of at most sixteen operations rounds its result by u, and no step is larger than 1 + |x| + |x|^2.
    assert (np.abs(got - exact) <= 16 * U[dtype] * (1 + np.abs(x) + x**2)).all()


@DTYPE
@pytest.mark.parametrize("name", ["gelu", "gelu_new", "relu", "silu"])
def test_an_activation_of_nan_and_infinity_is_what_numpy_says(name: str, dtype: str):
    x = np.array([[np.nan, np.inf, -np.inf, 0.0]], dtype)
    with np.errstate(all="ignore"):
        wanted = getattr(layers, name)(x)
    assert np.array_equal(each(getattr(scalars, name), x), wanted, equal_nan=True)


@DTYPE
@pytest.mark.parametrize("name", ["gelu", "gelu_new", "relu", "silu"])
def test_an_activation_after_a_product_is_that_of_the_product_to_the_bit(name: str, dtype: str):
    x, layer = draw(dtype, 19, 37), packed(draw(dtype, 53, 37), draw(dtype, 53))
    plain, fused = (
        kernel(x, *layer, 3, 2, np.empty((19, 53), dtype))
        for kernel in (kernels.linear, getattr(kernels, f"linear_{name}"))
    )
    assert np.array_equal(fused, each(getattr(scalars, name), plain))
    if name == "gelu":
        assert np.array_equal(kernels.gelu(plain, np.empty_like(plain)), fused)


# -- products ----------------------------------------------------------------------------------------------------------


def packed(weight: Any, bias: Any) -> tuple[Any, Any]:
    layer = pack(weight, bias)
    return layer["panels"], layer["bias"]


def integers(dtype: str, *shape: int, seed: int = 0) -> Any:
    """Numbers so small that no sum of their products is rounded."""
    return np.random.default_rng([seed, *shape]).integers(-9, 10, shape).astype(dtype)


@DTYPE
@pytest.mark.parametrize("rows", [1, 7, 8, 17])
@pytest.mark.parametrize(("depth", "size"), [(1, 1), (3, 48), (37, 53)])
def test_a_product_is_its_line_exactly_where_sums_are_exact(rows: int, depth: int, size: int, dtype: str):
    x, weight, bias = integers(dtype, rows, depth), integers(dtype, size, depth), integers(dtype, size)
    panels, cut = packed(weight, bias)
    for groups, slices in ((1, 1), (2, 1), (1, 3), (3, 2), (5, 5)):
        got = kernels.linear(x, panels, cut, groups, slices, np.full((rows, size), np.nan, dtype))
        assert np.array_equal(got, layers.linear(x, weight, bias)), (groups, slices)


@DTYPE
def test_a_product_is_the_same_to_the_bit_however_the_work_is_shared(dtype: str):
    x, weight, bias = draw(dtype, 19, 37), draw(dtype, 53, 37), draw(dtype, 53)
    panels, cut = packed(weight, bias)
    one, *others = (
        kernels.linear(x, panels, cut, groups, slices, np.empty((19, 53), dtype))
        for groups, slices in ((1, 1), (2, 1), (1, 2), (3, 2), (7, 5))
    )
    wide = [np.abs(array).astype(np.longdouble) for array in (x, weight, bias)]
    exact = layers.linear(*(array.astype(np.longdouble) for array in (x, weight, bias)))
    assert (np.abs(one - exact) <= gamma(38, dtype) * layers.linear(*wide)).all()
    assert all(np.array_equal(one, other) for other in others)


@DTYPE
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_and_infinity_spoil_their_own_row_or_column_of_a_product_alone(value: float, dtype: str):
    x, weight, bias = draw(dtype, 5, 7), draw(dtype, 11, 7), draw(dtype, 11)
    x[3, 2] = weight[9, 4] = value
    got = kernels.linear(x, *packed(weight, bias), 1, 1, np.empty((5, 11), dtype))
    is_spoilt = ~np.isfinite(got)
    wanted = np.zeros((5, 11), bool)
    wanted[3], wanted[:, 9] = True, True
    assert np.array_equal(is_spoilt, wanted)


# -- embeddings, heads -------------------------------------------------------------------------------------------------


@DTYPE
def test_embeddings_are_summed_exactly(dtype: str):
    rng = np.random.default_rng(0)
    ids, types, places = (rng.integers(0, size, 11) for size in (13, 2, 7))
    word, token_type, position = draw(dtype, 13, 5), draw(dtype, 2, 5), draw(dtype, 7, 5)
    got = kernels.embeddings(ids, types, places, word, token_type, position, np.empty((11, 5), dtype))
    assert np.array_equal(got, word[ids] + token_type[types] + position[places])


@DTYPE
@pytest.mark.parametrize("kind", ["relative_key", "relative_key_query"])
@pytest.mark.parametrize("P", [0, 3])
def test_relative_scores_are_the_specs_exactly_where_sums_are_exact(P: int, kind: str, dtype: str):
    B, H, T, K, M = 2, 3, 5, 7, 23
    S = P + T
    rng = np.random.default_rng(0)
    query, key, rows, scores = (  # small integers: no sum is rounded
        rng.integers(-9, 9, shape).astype(dtype) for shape in ((B, H, T, K), (B, H, S, K), (2 * M - 1, K), (B, H, T, S))
    )
    config = RobertaConfig(max_position_embeddings=M, position_embedding_type=kind)
    wanted = scores + attention.relative_scores(query, key, {"distance_embedding": {"weight": rows}}, config)
    relation = rows[M - T : M - 1 + S]
    by_key = key @ relation.T if kind == "relative_key_query" else np.empty((B, H, 0, S + T - 1), dtype)
    assert np.array_equal(kernels.relative_scores(scores, query @ relation.T, by_key, scores), wanted)


# -- softmax -----------------------------------------------------------------------------------------------------------


@DTYPE
@pytest.mark.parametrize("mask_shape", [(1, 1, 1, 17), (2, 1, 1, 17), (1, 1, 5, 17), (2, 1, 5, 17)])
def test_the_masked_softmax_is_its_line(mask_shape: tuple[int, ...], dtype: str):
    scores, scale = 5 * draw(dtype, 2, 3, 5, 17), np.dtype(dtype).type(sqrt(7))
    mask = np.random.default_rng(1).random(mask_shape) < 0.7
    got = kernels.masked_softmax(scores, mask, scale, np.empty_like(scores))
    exact = attention.masked_softmax(scores.astype(np.float64) / sqrt(7), mask)
    # exp turns the rounding of its argument into a relative error; the scale, a sum of 17 and a division come on top
    spread = np.ptp(np.where(mask, scores, 0), axis=-1, keepdims=True)
    assert (np.abs(got - exact) <= (gamma(19, dtype) + 8 * U[dtype] * (1 + spread)) * exact).all()
    assert not got[~np.broadcast_to(mask, got.shape)].any()


@DTYPE
def test_a_row_that_may_look_at_nobody_is_uniform_and_a_masked_score_may_be_anything(dtype: str):
    wild = np.array([0.0, np.nan, 0.0, np.inf, -np.inf, 1e30], dtype)
    scores = np.broadcast_to(wild, (1, 1, 2, 6)).copy()
    mask = np.array([[[[True, False, True, False, False, False], [False] * 6]]])
    got = kernels.masked_softmax(scores, mask, np.dtype(dtype).type(2), scores)
    assert np.array_equal(got[0, 0, 0], np.array([0.5, 0, 0.5, 0, 0, 0], dtype))
    assert np.array_equal(got[0, 0, 1], np.full(6, 1, dtype) / np.array(6, dtype))


@DTYPE
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("place", [0, 3, 16])
def test_nan_and_infinity_spoil_their_own_row_alone(place: int, value: float, dtype: str):
    scores = draw(dtype, 1, 1, 3, 17)
    scores[0, 0, 1, place] = value
    with np.errstate(all="ignore"):
        wanted = attention.masked_softmax(scores, None)
    got = kernels.masked_softmax(scores, np.ones((1, 1, 1, 17), bool), np.dtype(dtype).type(1), scores)
    assert np.array_equal(np.isnan(got), np.isnan(wanted))
    assert np.isnan(got[0, 0, 1]).all()
    assert np.isfinite(got[0, 0, [0, 2]]).all()


# -- attention ---------------------------------------------------------------------------------------------------------


@DTYPE
@pytest.mark.parametrize(("T", "S", "K"), [(5, 17, 7), (1, 3, 1), (53, 61, 13)])
@pytest.mark.parametrize("mask_axes", [(1, 1), (2, 1), (1, None), (2, None)])
def test_attention_is_its_lines(mask_axes: tuple[int, Any], T: int, S: int, K: int, dtype: str):
    query, key, value = (draw(dtype, 2, size, 3, K, seed=size).swapaxes(1, 2) for size in (T, S, S))  # views
    mask = np.random.default_rng(1).random((mask_axes[0], 1, mask_axes[1] or T, S)) < 0.7
    mask[0, 0, 0] = False  # it may look at nobody
    got = kernels.attention(query, key, value, mask, np.dtype(dtype).type(sqrt(K)), np.empty((2, T, 3, K), dtype))
    wide, transposed = [array.astype(np.float64) for array in (query, key, value)], key.swapaxes(-1, -2)
    scores = wide[0] @ wide[1].swapaxes(-1, -2) / sqrt(K)
    probs = attention.masked_softmax(scores, mask)
    exact = (probs @ wide[2]).swapaxes(1, 2)
    # A score's error is one of the exponent, and so relative to its weight; then come a product, a sum and a division.
    terms = (np.abs(query) @ np.abs(transposed)).max(-1, keepdims=True) / sqrt(K)
    exponent = gamma(K + 2, dtype) * terms + 8 * U[dtype] * (1 + np.ptp(scores, axis=-1, keepdims=True))
    slack = (2 * exponent + gamma(2 * S + 4, dtype)) * (probs @ np.abs(wide[2]))
    assert (np.abs(got - exact) <= slack.swapaxes(1, 2)).all()


@DTYPE
@pytest.mark.parametrize("where", ["query", "key", "masked key", "masked value"])
def test_nan_goes_as_far_in_attention_as_in_its_lines(where: str, dtype: str):
    query, key, value = (draw(dtype, 1, 2, size, 7, seed=size) for size in (5, 11, 11))
    mask = np.arange(11)[None, None, None] != 3
    spoilt = {"query": query[:, :, 2], "key": key[:, :1, 4], "masked key": key[:, :, 3], "masked value": value[:, :, 3]}
    spoilt[where][...] = np.nan
    got = kernels.attention(query, key, value, mask, np.dtype(dtype).type(1), np.empty((1, 5, 2, 7), dtype))
    with np.errstate(all="ignore"):
        wanted = attention.masked_softmax(query @ key.swapaxes(-1, -2), mask) @ value
    assert np.array_equal(np.isnan(got), np.isnan(wanted).swapaxes(1, 2))


# -- losses ------------------------------------------------------------------------------------------------------------


@DTYPE
def test_the_terms_of_cross_entropy_are_the_specs(dtype: str):
    logits, labels = 5 * draw(dtype, 11, 37), np.random.default_rng(0).integers(0, 37, 11)
    labels[[2, 5]] = losses.IGNORE_INDEX
    got = kernels.cross_entropy(logits, labels, losses.IGNORE_INDEX, np.full(11, np.nan, dtype))
    wide = logits.astype(np.float64)
    exact = np.array([float(losses.cross_entropy(wide[n : n + 1], labels[n : n + 1])) for n in range(11)])
    # A relative error of the sum of exponentials is an absolute one of its logarithm; then two sums.
    slack = gamma(39, dtype) + 8 * U[dtype] * (1 + np.ptp(wide, axis=-1) + np.abs(wide).max(-1))
    assert (np.abs(got - exact) <= slack).all()
    assert np.array_equal(got == 0, labels == losses.IGNORE_INDEX)


# -- nothing -----------------------------------------------------------------------------------------------------------


@DTYPE
def test_no_rows_are_no_work(dtype: str):
    row, rows = draw(dtype, 5), np.empty((0, 5), dtype)
    assert kernels.layer_norm(rows, row, row, np.dtype(dtype).type(1), rows).shape == (0, 5)
    assert kernels.gelu(rows, rows).shape == (0, 5)
    assert kernels.linear(rows, *packed(draw(dtype, 5, 5), row), 2, 1, rows.copy()).shape == (0, 5)
