"""The arithmetic that errs does so where and as far as its formulas say; emulated engines add as they are called."""

from fractions import Fraction
from itertools import permutations

import ml_dtypes
import numpy as np
import pytest
from roberta.parity.arithmetic import ELEMENTARY, ONE_ROUNDING, PRECISIONS, Arithmetic, nearest
from roberta.parity.calibrating.emulation import ENGINES, ORDERS, Computing, Emulated, natural, sorted_by_sign
from roberta.parity.walks import walk_of_product
from roberta.reference.layers import layer_norm, softmax
from scipy import special

F32 = PRECISIONS["float32"]


def spread(compute, *values, precision=F32, draws=2000):
    """The truth and the standard deviation of a computation in an arithmetic."""
    exact = Arithmetic(precision)
    truth = np.asarray(compute(*map(exact.array, values)))
    found = [
        np.asarray(compute(*map(noisy.array, values))) - truth
        for noisy in (exact.drawing(np.random.default_rng(k)) for k in range(draws))
    ]
    return truth, np.sqrt(np.mean(np.square(found), axis=0))


def within(draws=2000):
    """A standard deviation from n draws is off by about 1 / sqrt(2 n)."""
    return 6 / np.sqrt(2 * draws)


def steps(terms):
    """S_1, S_2, …, S_n."""
    return np.cumsum(terms)


def test_one_rounding_is_the_measured_deviation_of_rounding_log_uniform_numbers_to_float32():
    numbers = 2.0 ** np.random.default_rng(0).uniform(-40, 40, 1_000_000)
    errors = numbers.astype(np.float32).astype(np.float64) / numbers - 1.0
    assert errors.std() / 2**-24 == pytest.approx(ONE_ROUNDING, rel=6 / np.sqrt(2 * len(numbers)))


def test_unit_roundoffs_are_those_of_the_formats():
    for name in ("float16", "float32", "float64"):
        assert PRECISIONS[name].storage == np.finfo(name).eps / 2
        assert PRECISIONS[name].smallest == np.finfo(name).tiny
        assert PRECISIONS[name].largest == np.finfo(name).max


@pytest.mark.parametrize(
    ("compute", "size"),
    [(lambda x: x * 3.0, ONE_ROUNDING), (np.sqrt, ONE_ROUNDING), (np.exp, ELEMENTARY), (special.erf, ELEMENTARY)],
    ids=["product", "square root", "exponential", "error function"],
)
def test_a_result_errs_by_one_rounding_and_an_elementary_function_by_more(compute, size):
    truth, sigma = spread(compute, np.array([0.7, 1.3, 2.9]))
    assert sigma / (size * 2.0**-24 * truth) == pytest.approx(np.ones(3), rel=within())


def test_what_is_exact_does_not_err():
    for compute in (lambda x: x + 0.0, lambda x: x * 0.5, np.negative, lambda x: np.maximum(x, 0.0), lambda x: x / 4.0):
        assert not spread(compute, np.array([-0.7, 1.3]), draws=4)[1].any()


def test_the_mean_over_all_orders_of_the_sum_of_squared_partial_sums_is_the_formula():
    terms = np.array([3.0, -1.0, 4.0, 1.5, -5.0, 9.0])
    n, s, q = len(terms), terms.sum(), np.square(terms).sum()
    over_all = np.mean([np.square(steps(np.array(order))).sum() for order in permutations(terms)])
    assert over_all == pytest.approx((n + 1) / 6 * (2 * s * s + q), rel=1e-12)


def test_a_product_walks_as_far_as_the_mean_order_or_the_natural_one():
    rng = np.random.default_rng(0)
    random, ordered = rng.standard_normal(64), np.sort(rng.standard_normal(64))
    for x in (random, ordered, np.abs(random)):
        walk = walk_of_product(x[None], np.ones((64, 1)), x[None] @ np.ones((64, 1)))[0, 0]
        q = np.square(x).sum()
        mean = 65 / 6 * (2 * x.sum() ** 2 + q) + q
        follows = np.square(steps(x)).sum() + q
        assert walk**2 >= 0.9 * max(mean, follows)  # blocks of 8 terms interpolate
        assert walk**2 <= 1.2 * max(mean, follows)


def test_no_order_errs_more_than_the_bound_of_higham():
    rng = np.random.default_rng(1)
    x = rng.standard_normal((1, 200)).astype(np.float32).astype(np.float64)
    exact = float(sum(map(Fraction, x[0].tolist())))
    bound = 200 * 2.0**-24 * np.abs(x).sum()
    for order in (*ORDERS.values(), sorted_by_sign):
        assert abs(float(order(lambda k: x[0, k], 200, np.float32)) - exact) <= bound


def test_equal_terms_err_alike_and_are_given_room():
    """A row of one number: each step of a binade loses the same, so errors add up instead of cancelling."""
    x = np.full((1, 768), np.float32(0.1)).astype(np.float64)
    found = natural(lambda k: x[0, k], 768, np.float32)
    truth, sigma = spread(lambda value: value.sum(-1), x, draws=200)
    assert abs(found - truth[0]) > 4 * ONE_ROUNDING * 2.0**-24 * np.sqrt(np.square(steps(x[0])).sum())
    assert abs(found - truth[0]) < 4 * sigma[0]


@pytest.mark.parametrize("order", ORDERS)
def test_every_order_adds_all_terms_once(order):
    integers = np.arange(1.0, 301.0)
    assert ORDERS[order](lambda k: integers[k], 300, np.float32) == 300 * 301 / 2


def test_orders_round_and_fma_rounds_less():
    rng = np.random.default_rng(0)
    left, right = rng.standard_normal((40, 300)), rng.standard_normal((300, 40))
    errors = {}
    for name in ("natural", "pairwise", "Kahan", "natural, FMA"):
        engine = ENGINES[name].arithmetic(F32)
        a, b = engine.array(engine.given(left)), engine.array(engine.given(right))
        errors[name] = np.asarray(a @ b) - np.asarray(a).astype(np.float64) @ np.asarray(b).astype(np.float64)
    size = {name: np.sqrt(np.mean(np.square(error))) for name, error in errors.items()}
    assert size["natural"] > 2 * size["pairwise"] > 2 * 0.9 * size["Kahan"] > 0
    assert (errors["natural"] != errors["natural, FMA"]).mean() > 0.5


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_an_emulated_engine_is_numpy_itself_where_numpy_rounds_every_result(dtype):
    """Elementwise operations, divisions and square roots; the sum is exact, so that its order does not matter."""
    x = nearest(np.random.default_rng(0).uniform(1, 2, (5, 4)), dtype)
    engine = Computing(PRECISIONS[dtype], engine=Emulated(natural))
    found = np.asarray((engine.array(x) * 3.0 - 1.0) / np.sqrt(engine.array(x)))
    native = x.astype(dtype)
    assert (found == (native * native.dtype.type(3) - native.dtype.type(1)) / np.sqrt(native)).all()


@pytest.mark.parametrize("function", [softmax, lambda x: layer_norm(x, np.ones(33), np.zeros(33), 1e-5)])
def test_every_order_keeps_within_five_standard_deviations_in_float32(function):
    x = np.random.default_rng(3).standard_normal((7, 33)).astype(np.float32).astype(np.float64)
    truth, sigma = spread(function, x, draws=300)
    for engine in ENGINES.values():
        found = np.asarray(function(engine.arithmetic(F32).array(x)))
        assert (np.abs(found - truth) <= 5 * sigma).all()
        assert np.sqrt(np.mean(np.square((found - truth) / sigma))) > 0.2


def test_a_run_in_float16_flushes_or_does_not():
    tiny = np.full(50, 3e-6)
    draws = [Arithmetic(PRECISIONS["float16"]).drawing(np.random.default_rng(k)) for k in range(40)]
    kept = [np.asarray(arithmetic.array(tiny) * 1.1) for arithmetic in draws]
    assert {bool(value.any()) for value in kept} == {True, False}
    assert all((value >= 0).all() for value in kept)


def test_the_largest_number_on_the_way_is_noted_between_taps_too():
    exact = Arithmetic(PRECISIONS["float16"])
    layer_norm(exact.array(np.array([400.0, -400.0])), np.ones(2), np.zeros(2), 1e-5)
    assert exact.largest == 2 * 400.0**2


def test_a_hidden_score_is_no_large_number():
    exact = Arithmetic(PRECISIONS["float16"])
    softmax(exact.array(np.array([1.0, np.finfo(np.float64).min])))
    assert exact.largest < 10


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_nearest_bfloat16_is_that_of_ml_dtypes(dtype):
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, 2**32, 100_003, np.uint32).view(np.float32)  # of every size, NaN and infinity among them
    halfway = (rng.integers(0, 2**16, 10_007, np.uint32) << 16 | 0x8000).view(np.float32)
    ends = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, -np.nan, 3.4e38, 1e-45], np.float32)
    with np.errstate(invalid="ignore"):  # a signalling NaN
        x = np.concatenate([drawn, halfway, ends]).astype(dtype)
        if dtype == "float64":  # numbers that float32 lacks
            x = np.concatenate([x, rng.standard_normal(50_021), 1.00390625 + np.array([1e-12, -1e-12])])
        found, wanted = nearest(x, "bfloat16"), x.astype(ml_dtypes.bfloat16).astype(dtype)
    assert np.array_equal(found, wanted, equal_nan=True)
    assert np.array_equal(np.signbit(found), np.signbit(wanted))
