"""The gradients' own judge: it knows its error, accepts an engine that is right, and refuses each that is wrong."""

from __future__ import annotations

import numpy as np
import pytest
import roberta
from roberta.parity.cases import draw_case
from roberta.parity.gradients import (
    Derivative,
    Slope,
    check_case_gradients,
    check_gradients,
    compare_gradients,
    extrapolated,
    slopes,
)

TRAINING = [pytest.param(name, marks=getattr(pytest.mark, name)) for name in ("torch", "tensorflow", "flax")]
WORD = "roberta.embeddings.word_embeddings.weight"


@pytest.fixture(scope="module")
def case():
    return draw_case("masked_lm", 3, num_hidden_layers=1)


@pytest.fixture(scope="module")
def expected(case):
    return slopes(case)


def test_the_extrapolation_knows_its_own_error():
    for function, truth in ((np.exp, 1.0), (lambda x: np.sin(3 * x), 3.0), (lambda x: 1 / (1 + x) ** 5, -5.0)):
        found = extrapolated(lambda x, function=function: float(function(x)), rounding=2.0**-52)
        assert abs(found.value - truth) <= found.uncertainty < 1e-8 * abs(truth)


def test_a_tied_table_has_one_slope_and_directions_have_length_1(case, expected):
    model = roberta.RobertaForMaskedLM(case.config, state=case.state, backend="numpy")
    assert list(expected) == [name for name, parameter in model.table.items() if parameter.tied_to is None]
    for name, slope in expected.items():
        assert slope.direction.shape == model.table[name].shape
        assert np.linalg.norm(slope.direction) == pytest.approx(1.0)
    assert not expected[WORD].direction[case.config.pad_token_id].any()


def test_the_differences_are_sharp(expected):
    largest = max(abs(slope.derivative.value) for slope in expected.values())
    assert all(slope.derivative.uncertainty < 1e-6 * largest for slope in expected.values())


def test_sigma_follows_the_precision_and_float64_has_none():
    small = draw_case("sequence_classification", 0, num_hidden_layers=0)
    exact, single, half = (slopes(small, dtype) for dtype in ("float64", "float32", "tfloat32"))
    for name, slope in exact.items():
        assert slope.sigma == 0.0
        assert slope.limit == slope.derivative.uncertainty
        assert single[name].limit > 5 * single[name].sigma
    # The same draws, up to 2^13 times as large: where values are stored, not where they are summed.
    ratios = [half[name].sigma / single[name].sigma for name in exact if single[name].sigma > 0]
    assert 2**10 < np.median(ratios) <= 2**13


@pytest.mark.parametrize("name", TRAINING)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_an_engine_that_trains_keeps_within_its_budget(name, dtype, case, expected):
    (row,) = check_case_gradients(case, [name], dtype)
    assert row.passed, str(row.worst)
    assert [comparison.name for comparison in row.comparisons] == list(expected)


@pytest.mark.parametrize("name", TRAINING)
def test_gradients_are_numpy_arrays_and_leave_the_model_as_it_was(name, case):
    model = roberta.RobertaForMaskedLM(case.config, backend=name, state=case.state).train(True)
    before = model.state_dict_numpy()
    found = model.engine.gradients(model, case.inputs)
    assert {(type(array), array.dtype) for array in found.values()} == {(np.ndarray, np.dtype("float32"))}
    assert {n: array.shape for n, array in found.items()} == {n: before[n].shape for n in found}
    assert list(found) == [n for n, parameter in model.table.items() if parameter.tied_to is None]
    assert model.training
    assert all(np.array_equal(before[n], array) for n, array in model.state_dict_numpy().items())


# -- what is refused ---------------------------------------------------------------------------------------------------


def true_gradients(expected):
    """Arrays that have exactly the derivatives of the spec along the directions."""
    return {name: slope.direction * slope.derivative.value for name, slope in expected.items()}


def test_what_has_the_right_derivatives_passes(expected):
    assert all(comparison.passed for comparison in compare_gradients(true_gradients(expected), expected))


WRONG = {
    "halved": lambda gradient: gradient / 2,
    "of the other sign": lambda gradient: -gradient,
    "off by a millionth": lambda gradient: gradient * (1 + 1e-6),
    "nothing": lambda gradient: 0 * gradient,
    "not a number": lambda gradient: gradient * np.nan,
    "flat": lambda gradient: gradient.reshape(-1),
    "missing": lambda gradient: None,
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_wrong_gradients_are_refused(wrong, expected):
    names = [name for name in expected if name.endswith(("word_embeddings.weight", "query.weight"))]
    assert len(names) == 2
    for name in names:
        given = {**true_gradients(expected), name: wrong(true_gradients(expected)[name])}
        refused = [comparison.name for comparison in compare_gradients(given, expected) if not comparison.passed]
        assert refused == [name]


@pytest.mark.torch
def test_a_tie_that_counts_one_end_only_is_refused(case, expected):
    untied = case.config.replace(tie_word_embeddings=False)
    model = roberta.RobertaForMaskedLM(untied, backend="torch", dtype="float64", state=case.state).train(False)
    found = model.engine.gradients(model, case.inputs)
    verdicts = {comparison.name: comparison.passed for comparison in compare_gradients(found, expected)}
    assert [name for name, passed in verdicts.items() if not passed] == [WORD]
    both = {**found, WORD: found[WORD] + found["lm_head.decoder.weight"]}
    assert all(comparison.passed for comparison in compare_gradients(both, expected))


def test_the_ratio_is_error_over_limit():
    slope = Slope(np.array([0.6, 0.8]), Derivative(2.0, 0.01), 0.25, 0.5)
    (found,) = compare_gradients({"x": np.array([1.2, 2.1])}, {"x": slope})
    assert (found.error, found.ratio, found.sigmas) == pytest.approx((0.4, 0.8, 1.6))


def test_engines_without_gradients_are_refused_by_name():
    with pytest.raises(ValueError, match=r"required engines that train, got 'numpy'.*leave it out"):
        check_gradients(["numpy"])
    with pytest.raises(ValueError, match="got 'span'"):
        check_gradients([], ["span"])
