"""A comparator that NaN, a wrong shape or nothing at all can pass is none."""

import numpy as np
import pytest
from roberta.parity.compare import compare_array, compare_outputs
from roberta.parity.tolerances import Budget

BUDGET = Budget(truth=np.array([[1.0, 2.0, 3.0]]), sigma=np.full((1, 3), 0.1), limit=np.array([[0.5, 0.5, 0.25]]))


def test_the_ratio_is_the_largest_error_over_its_own_limit():
    found = compare_array("x", np.array([[1.1, 2.0, 3.125]]), BUDGET)
    assert found.ratio == pytest.approx(0.5)
    assert found.index == (0, 2)
    assert found.error == pytest.approx(0.125)
    assert found.passed


def test_an_error_just_above_the_limit_fails_and_just_below_passes():
    assert compare_array("x", BUDGET.truth + np.array([[0, 0, 0.2499]]), BUDGET).passed
    assert not compare_array("x", BUDGET.truth + np.array([[0, 0, 0.2501]]), BUDGET).passed


@pytest.mark.parametrize(
    ("candidate", "problem"),
    [
        (None, "did not return it"),
        (np.ones((3, 1)), "expected shape (1, 3), got (3, 1)"),
        (np.array([[1.0, np.nan, 3.0]]), "nan at [0, 1]"),
        (np.array([[1.0, 2.0, np.inf]]), "inf at [0, 2]"),
        (np.array([[1, 2, 4]]), "integers that differ"),
    ],
)
def test_what_cannot_be_compared_fails_and_says_why(candidate, problem):
    found = compare_array("logits", candidate, BUDGET)
    assert not found.passed
    assert problem in str(found)
    assert "logits" in str(found)


def test_integers_that_equal_the_truth_pass():
    assert compare_array("count", np.array([[1, 2, 3]]), BUDGET).passed


def test_sigmas_measure_the_error_in_standard_deviations():
    assert compare_array("x", BUDGET.truth + 0.2, BUDGET).sigmas == pytest.approx(2.0)


def test_an_output_that_is_missing_is_a_failed_comparison():
    (found,) = compare_outputs({}, {"logits": BUDGET})
    assert not found.passed
