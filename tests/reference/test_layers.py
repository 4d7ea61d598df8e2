"""The layers against formulas written down a second time, in NumPy's long double or SciPy's distributions."""

from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from roberta.reference import config
from roberta.reference.layers import ACTIVATIONS, dropout, gelu, keep_all, layer_norm, linear, softmax
from roberta.reference.taps import Recorder, silent
from scipy import special, stats

DTYPES = ("float32", "float64")
U = {"float32": 2.0**-24, "float64": 2.0**-53}
moderate = st.floats(-30, 30, allow_subnormal=False)


def rows(width: int = 7) -> st.SearchStrategy:
    return hnp.arrays(np.float64, st.tuples(st.integers(1, 5), st.just(width)), elements=moderate)


def bound_of_a_sum(terms: int, dtype: str) -> float:
    """Higham's gamma_n: the relative error of a sum of n products, to their absolute sum, in any order."""
    n = terms + 2
    return n * U[dtype] / (1 - n * U[dtype])


# -- dense, norm, softmax ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@given(x=rows())
def test_linear_is_a_sum_over_the_last_axis_of_both(dtype: str, x: np.ndarray) -> None:
    x = x.astype(dtype)
    rng = np.random.default_rng(0)
    weight, bias = rng.standard_normal((3, 7)).astype(dtype), rng.standard_normal(3).astype(dtype)
    got = linear(x, weight, bias)
    exact = np.einsum("bi,oi->bo", x.astype(np.longdouble), weight.astype(np.longdouble)) + bias
    absolute = np.einsum("bi,oi->bo", np.abs(x), np.abs(weight)) + np.abs(bias)
    assert got.dtype == dtype
    assert (np.abs(got - exact) <= bound_of_a_sum(8, dtype) * absolute).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_layer_norm_has_mean_bias_and_deviation_gain_up_to_eps(dtype: str) -> None:
    rng = np.random.default_rng(1)
    x = (1e3 + rng.standard_normal((5, 101))).astype(dtype)  # a large mean: a one-pass variance would lose it
    x[1] = (1e-3 * rng.standard_normal(101)).astype(dtype)  # a small spread: eps matters
    gain, bias, eps = rng.standard_normal(101).astype(dtype), rng.standard_normal(101).astype(dtype), 1e-5
    got = layer_norm(x, gain, bias, eps)
    wide = x.astype(np.longdouble)
    exact = (wide - wide.mean(-1, keepdims=True)) / np.sqrt(wide.var(-1, keepdims=True) + eps) * gain + bias
    # The mean is off by at most gamma |mean|; that shifts every element by as much over the deviation.
    deviation = np.sqrt(wide.var(-1, keepdims=True) + eps)
    shift = bound_of_a_sum(101, dtype) * np.abs(wide).mean(-1, keepdims=True) / deviation
    slack = (shift + bound_of_a_sum(101, dtype) * (1 + np.abs(exact))) * (1 + np.abs(gain)) * (1 + np.abs(exact))
    assert got.dtype == dtype
    assert (np.abs(got - exact) <= slack).all()


def test_layer_norm_of_a_constant_row_is_its_bias_exactly() -> None:
    bias = np.array([0.5, -2.0, 3.0])
    assert np.array_equal(layer_norm(np.full((1, 3), 7.0), np.full(3, 9.0), bias, 1e-12), bias[None])


@pytest.mark.parametrize("dtype", DTYPES)
@given(scores=rows())
def test_softmax_is_scipys(dtype: str, scores: np.ndarray) -> None:
    scores = scores.astype(dtype)
    got = softmax(scores)
    exact = special.softmax(scores.astype(np.longdouble), axis=-1)
    # exp turns the rounding of its argument, up to u |argument|, into a relative error; then a sum of 7, and a division
    spread = np.ptp(scores, axis=-1, keepdims=True)
    assert got.dtype == dtype
    assert (np.abs(got - exact) <= (bound_of_a_sum(7, dtype) + 4 * U[dtype] * (1 + spread)) * exact).all()


@given(scores=rows(), shift=st.integers(-1000, 1000))
def test_softmax_does_not_see_what_all_scores_share(scores: np.ndarray, shift: int) -> None:
    scores = np.round(scores)  # integers, so that adding is exact
    assert np.array_equal(softmax(scores), softmax(scores + shift))


def test_softmax_neither_overflows_nor_vanishes() -> None:
    assert np.array_equal(softmax(np.array([8e307, -8e307, 8e307])), [0.5, 0.0, 0.5])


# -- activations -------------------------------------------------------------------------------------------------------

#: Written down again, from their papers, in other words than the code's.
FORMULAS = {
    "gelu": lambda x: x * stats.norm.cdf(x),
    "gelu_python": lambda x: x * stats.norm.cdf(x),
    "gelu_10": lambda x: np.minimum(x * stats.norm.cdf(x), 10),
    "gelu_new": lambda x: x * special.expit(2 * sqrt(2 / np.pi) * (x + 0.044715 * x**3)),
    "gelu_pytorch_tanh": lambda x: x * special.expit(2 * sqrt(2 / np.pi) * (x + 0.044715 * x**3)),
    "gelu_accurate": lambda x: x * special.expit(2 * sqrt(2 / np.pi) * (x + 0.044715 * x**3)),
    "gelu_fast": lambda x: x * special.expit(2 * 0.7978845608 * (x + 0.044715 * x**3)),
    "quick_gelu": lambda x: x / (1 + np.exp(-1.702 * x)),
    "relu": lambda x: (x + np.abs(x)) / 2,
    "relu2": lambda x: x * (x + np.abs(x)) / 2,
    "relu6": lambda x: np.minimum((x + np.abs(x)) / 2, 6),
    "leaky_relu": lambda x: x * np.where(x < 0, 0.01, 1),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "swish": lambda x: x / (1 + np.exp(-x)),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": lambda x: 2 * special.expit(2 * x) - 1,
    "mish": lambda x: x * np.tanh(np.log1p(np.exp(x))),
    "linear": lambda x: x + 0,
}


def test_every_activation_has_a_second_formula() -> None:
    assert set(FORMULAS) == set(ACTIVATIONS)


def test_a_configuration_may_name_every_activation_and_no_other() -> None:
    assert tuple(ACTIVATIONS) == config.ACTIVATIONS


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_is_its_formula_in_its_inputs_dtype(name: str, dtype: str) -> None:
    x = np.linspace(-12, 12, 1009).astype(dtype)
    got, exact = ACTIVATIONS[name](x, silent), FORMULAS[name](x.astype(np.float64))
    # Each of at most sixteen operations rounds its result by u, and no step is larger than 1 + |x| + |x|^2.
    assert got.dtype == dtype
    assert (np.abs(got - exact) <= 16 * U[dtype] * (1 + np.abs(x) + x.astype(np.float64) ** 2)).all()


def test_the_tanh_form_is_no_stand_in_for_the_exact_gelu() -> None:
    x = np.linspace(-5, 5, 1001)
    assert 1e-4 < np.abs(ACTIVATIONS["gelu_new"](x, silent) - gelu(x)).max() < 5e-4


def test_the_exact_gelu_names_its_error_function() -> None:
    tape = Recorder()
    gelu(np.array([0.5]), tape)
    assert tape["erf"] == special.erf(0.5 / sqrt(2))


# -- dropout -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rate", [0.05, 0.1, 0.5, 0.9])
def test_dropout_keeps_as_many_as_a_binomial_law_allows_and_scales_them(rate: float, dtype: str) -> None:
    n = 100_003
    got = dropout(np.random.default_rng(3))(np.ones(n, dtype), rate)
    kept = int((got != 0).sum())
    # Both tails of the binomial law hold one in 1e9.
    assert stats.binom.ppf(5e-10, n, 1 - rate) <= kept <= stats.binom.isf(5e-10, n, 1 - rate)
    assert got.dtype == dtype
    assert np.abs(got[got != 0] * (1 - rate) - 1).max() <= 4 * U[dtype]


def test_dropout_of_different_elements_is_independent() -> None:
    n = 100_003
    kept = dropout(np.random.default_rng(4))(np.ones((2, n)), 0.5) != 0
    both = int((kept[0] & kept[1]).sum())
    assert stats.binom.ppf(5e-10, n, 0.25) <= both <= stats.binom.isf(5e-10, n, 0.25)


def test_the_same_generator_state_gives_the_same_dropout() -> None:
    one, other = (dropout(np.random.default_rng(5))(np.ones(1009), 0.3) for _ in range(2))
    assert np.array_equal(one, other)


def test_dropout_at_the_ends_of_its_range() -> None:
    x = np.linspace(-1, 1, 11)
    assert np.array_equal(dropout(np.random.default_rng(6))(x, 0.0), x)
    assert not dropout(np.random.default_rng(6))(x, 1.0).any()
    assert dropout(None) is keep_all
    assert keep_all(x, 0.9) is x
