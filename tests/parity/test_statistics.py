"""Limits that keep the rate that they declare, whatever the errors are like, and spreads that are what was drawn."""

from dataclasses import replace

import numpy as np
import pytest
from roberta.parity.statistics import COARSEST, NORMAL, largest_of, mean_square_limit, pool
from scipy import stats

RATE, RUNS, SHAPE = 1e-2, 400, (30, 20)
#: No more alarms than this happen with probability 1e-6, if the true rate is twice the declared one or less.
TOO_MANY = int(stats.binom.isf(1e-6, RUNS, 2 * RATE))
SPREADS = np.exp(np.random.default_rng(5).standard_normal(SHAPE))
MIXING = np.random.default_rng(7).standard_normal((4, *SHAPE))

KINDS = {
    "independent": lambda rng, n: rng.standard_normal((n, *SHAPE)),
    "of uneven spreads": lambda rng, n: rng.standard_normal((n, *SHAPE)) * SPREADS,
    "of rank 4": lambda rng, n: np.tensordot(rng.standard_normal((n, 4)), MIXING, 1),
    "with tails of 5 degrees of freedom": lambda rng, n: rng.standard_t(5, (n, *SHAPE)),
    "uniform": lambda rng, n: rng.uniform(-1, 1, (n, *SHAPE)),
    "of one number": lambda rng, n: rng.standard_normal((n, 1)),
}


@pytest.mark.parametrize("draws", [4, 8, 24])
@pytest.mark.parametrize("kind", KINDS)
def test_both_limits_are_exceeded_at_most_twice_as_often_as_declared(kind, draws):
    rng = np.random.default_rng(0)
    largest = squares = 0
    for _ in range(RUNS):
        *errors, fresh = KINDS[kind](rng, draws + 1)
        spread = pool(np.array(errors))
        z = fresh / spread.sigma
        largest += np.abs(z).max() > largest_of(z.size, spread.freedom, RATE)
        # The last factor is for mantissas, which these errors do not have.
        squares += np.sqrt(np.mean(z * z)) > mean_square_limit(spread, z.size, RATE) / COARSEST
    # Tails are not seen in four draws of the few that are far out: twice as many again (docs/budgets.md).
    assert largest <= TOO_MANY * (2 if "tails" in kind and draws < 24 else 1)
    assert squares <= TOO_MANY


def test_a_limit_for_the_largest_is_no_wider_than_needed_where_elements_are_alike():
    spread = pool(np.random.default_rng(1).standard_normal((8, 100, 300)))
    needed = largest_of(30000, NORMAL, 1e-9)
    assert largest_of(30000, spread.freedom, 1e-9) < 1.25 * needed
    assert largest_of(30000, 8, 1e-9) > 10 * needed  # which is what eight draws of each element alone would allow


def test_shrinkage_recovers_variances_that_rows_and_columns_explain():
    rng = np.random.default_rng(2)
    true = np.exp(rng.standard_normal((40, 1)) + rng.standard_normal(50))
    found = pool(rng.standard_normal((8, 40, 50)) * true)
    own = np.sqrt(np.mean(np.square(rng.standard_normal((8, 40, 50))), axis=0))  # what an element alone would say
    error = np.log(found.sigma / true).std()
    assert error < 0.5 * np.log(own).std()
    assert found.freedom > 50


def test_variances_that_nothing_explains_are_left_to_their_own_draws():
    rng = np.random.default_rng(3)
    true = np.exp(rng.standard_normal((40, 50)))
    found = pool(rng.standard_normal((8, 40, 50)) * true)
    assert found.freedom < 12
    assert np.log(found.sigma / true).std() < 0.35  # of eight draws, sqrt(trigamma(4)) / 2 = 0.27 is what is known


def test_elements_of_which_draws_say_nothing_have_the_scale_of_the_array():
    """Probabilities between ties: 0 in all draws, and 1 in the next."""
    rng = np.random.default_rng(3)
    sigma = pool(np.exp(10.0 * rng.standard_normal((8, 40, 50)))).sigma
    assert sigma.min() > 0.5 * np.sqrt(np.mean(np.square(sigma)))


def test_modes_are_the_rank_of_what_moves_together():
    rng = np.random.default_rng(4)
    for rank in (1, 3, 10):
        # Orthogonal directions of one size: N^2 / tr C^2 is the rank but for chance.
        directions = np.repeat(np.eye(rank), 50, axis=1)
        errors = rng.standard_normal((200, rank)) @ directions
        assert pool(errors).modes == pytest.approx(rank, rel=0.25)
    assert pool(rng.standard_normal((24, 1000))).modes > 500


def test_one_draw_far_out_is_a_heavy_tail():
    errors = np.random.default_rng(6).standard_normal((8, 500))
    light = pool(errors).freedom
    errors[3, 100] = 1000.0
    assert pool(errors).freedom < 4 < light


def test_a_mean_square_whose_expectation_is_infinite_is_not_judged():
    spread = replace(pool(np.random.default_rng(0).standard_normal((8, 100))), freedom=2.0)
    assert mean_square_limit(spread, 100, 1e-9) == np.inf


def test_what_no_draw_moves_has_no_spread_unless_its_value_may_move():
    errors = np.random.default_rng(0).standard_normal((8, 10, 10))
    errors[:, 0, 0] = errors[:, 0, 1] = 0.0
    truth = np.ones((10, 10))
    truth[0, 0] = 0.0
    sigma = pool(errors, truth).sigma
    assert sigma[0, 0] == 0.0
    assert 0.2 < sigma[0, 1] < 5.0


def test_draws_that_left_the_range_of_numbers_are_left_out():
    errors = np.random.default_rng(0).standard_normal((8, 10, 10))
    errors[2, 0, 0] = np.nan
    sigma = pool(errors).sigma
    assert np.isfinite(sigma).all()
    assert 0.3 < sigma[0, 0] < 3.0
