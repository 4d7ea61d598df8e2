from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from roberta import RobertaConfig
from roberta.reference.losses import (
    IGNORE_INDEX,
    LOSSES,
    Criteria,
    binary_cross_entropy,
    cross_entropy,
    head_losses,
    mean_squared_error,
    problem_type,
)
from roberta.reference.outputs import QuestionAnsweringModelOutput, SequenceClassifierOutput, TokenClassifierOutput
from roberta.reference.parameters import HEADS
from scipy import special, stats

U = {"float32": 2.0**-24, "float64": 2.0**-53}
B, T, L = 3, 5, 7
# Of the spec's own criteria.
token_loss, causal_loss, span_loss = (LOSSES[h] for h in ("token_classification", "causal_lm", "question_answering"))
choice_loss, sequence_loss = LOSSES["multiple_choice"], LOSSES["sequence_classification"]


def logits_of(shape: tuple[int, ...], dtype: str = "float64", seed: int = 0) -> np.ndarray:
    return (5 * np.random.default_rng(seed).standard_normal(shape)).astype(dtype)


def slack(logits: np.ndarray, terms: int) -> float:
    """A sum of C exponentials, its logarithm, a difference, and a mean of n terms: each rounds values of this size."""
    return (terms + logits.shape[-1] + 8) * U[str(logits.dtype)] * (1 + 2 * float(np.abs(logits).max()))


def test_every_head_but_the_bare_model_has_a_loss() -> None:
    assert list(LOSSES) == [head for head in HEADS if head != "model"]


def test_a_loss_is_made_of_the_criteria_that_it_is_given() -> None:
    given = Criteria(*(lambda *arrays, name=name: (name, *arrays) for name in Criteria._fields))
    output, labels = TokenClassifierOutput(logits=logits_of((B, T, L))), np.zeros((B, T), int)
    name, logits, targets = head_losses(given)["causal_lm"](output, labels, RobertaConfig())
    assert (name, logits.shape, targets.shape) == ("cross_entropy", (B, T - 1, L), (B, T - 1))


# -- cross-entropy -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", U)
@given(seed=st.integers(0, 99), ignored=st.lists(st.booleans(), min_size=11, max_size=11))
def test_cross_entropy_is_the_mean_of_scipys_log_softmax_over_labels_that_count(
    dtype: str, seed: int, ignored: list[bool]
) -> None:
    logits = logits_of((11, L), dtype, seed)
    labels = np.where(ignored, IGNORE_INDEX, np.random.default_rng(seed).integers(0, L, 11))
    wide = special.log_softmax(logits.astype(np.longdouble), axis=-1)
    counted = [-wide[n, label] for n, label in enumerate(labels) if label != IGNORE_INDEX]
    got = cross_entropy(logits, labels)
    assert got.dtype == dtype
    assert abs(got - (np.mean(counted) if counted else 0.0)) <= slack(logits, 11)


def test_a_certain_and_right_answer_costs_nothing_and_a_certain_wrong_one_its_margin() -> None:
    logits = np.array([[1e4, 0.0]])
    assert cross_entropy(logits, np.array([0])) == 0.0
    assert cross_entropy(logits, np.array([1])) == 1e4


def test_no_label_that_counts_costs_nothing_and_gives_no_nan() -> None:
    assert cross_entropy(logits_of((4, L)), np.full(4, IGNORE_INDEX)) == 0.0
    assert cross_entropy(logits_of((0, L)), np.zeros(0, int)) == 0.0


# -- heads -------------------------------------------------------------------------------------------------------------


def test_token_losses_count_every_token_whose_label_counts_and_no_other() -> None:
    output = TokenClassifierOutput(logits=logits_of((B, T, L)))
    labels = np.random.default_rng(1).integers(0, L, (B, T))
    labels[1] = IGNORE_INDEX
    kept = [0, 2]
    only = TokenClassifierOutput(logits=output.logits[kept])
    assert token_loss(output, labels, RobertaConfig()) == token_loss(only, labels[kept], RobertaConfig())


def test_the_causal_loss_compares_each_token_with_the_next_label() -> None:
    output = TokenClassifierOutput(logits=logits_of((B, T, L)))
    labels = np.random.default_rng(2).integers(0, L, (B, T))
    labels[0, 3] = IGNORE_INDEX
    shifted = TokenClassifierOutput(logits=output.logits[:, :-1])
    assert causal_loss(output, labels, RobertaConfig()) == token_loss(shifted, labels[:, 1:], RobertaConfig())
    first_label, last_logits = labels.copy(), output.logits.copy()
    first_label[:, 0], last_logits[:, -1] = 0, 99.0
    changed = TokenClassifierOutput(logits=last_logits)
    assert causal_loss(changed, first_label, RobertaConfig()) == causal_loss(output, labels, RobertaConfig())


def test_one_token_has_no_next_one_and_costs_nothing() -> None:
    assert causal_loss(TokenClassifierOutput(logits=logits_of((B, 1, L))), np.zeros((B, 1), int), RobertaConfig()) == 0


@pytest.mark.parametrize("column", [False, True], ids=["(B,)", "(B, 1)"])
def test_positions_beyond_the_text_and_minus_100_do_not_count(column: bool) -> None:
    output = QuestionAnsweringModelOutput(start_logits=logits_of((B, T)), end_logits=logits_of((B, T), seed=1))
    start, end = np.array([1, T, 4]), np.array([T + 9, IGNORE_INDEX, 0])
    wanted = (
        cross_entropy(output.start_logits[[0, 2]], start[[0, 2]]) + cross_entropy(output.end_logits[[2]], end[[2]])
    ) / 2
    if column:
        start, end = start[:, None], end[:, None]
    assert span_loss(output, start, end, RobertaConfig()) == wanted


def test_an_answer_that_lies_elsewhere_in_all_rows_costs_nothing() -> None:
    output = QuestionAnsweringModelOutput(start_logits=logits_of((B, T)), end_logits=logits_of((B, T)))
    assert span_loss(output, np.full(B, T), np.full(B, T), RobertaConfig()) == 0.0


def test_start_and_end_are_not_interchangeable() -> None:
    output = QuestionAnsweringModelOutput(start_logits=logits_of((B, T)), end_logits=logits_of((B, T), seed=1))
    start, end = np.array([0, 1, 2]), np.array([4, 3, 3])
    assert span_loss(output, start, end, RobertaConfig()) != span_loss(output, end, start, RobertaConfig())


def test_multiple_choice_is_a_cross_entropy_over_choices() -> None:
    output = SequenceClassifierOutput(logits=logits_of((B, 4)))
    labels = np.array([3, IGNORE_INDEX, 0])
    assert choice_loss(output, labels, RobertaConfig()) == cross_entropy(output.logits, labels)


# -- problem types -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "labels", "wanted"),
    [
        ({"num_labels": 1}, np.zeros(B), "regression"),
        ({"num_labels": 1}, np.zeros(B, int), "regression"),
        ({"num_labels": L}, np.zeros(B, int), "single_label_classification"),
        ({"num_labels": L}, np.zeros(B, np.int32), "single_label_classification"),
        ({"num_labels": L}, np.zeros((B, L)), "multi_label_classification"),
        ({"num_labels": L, "problem_type": "regression"}, np.zeros((B, L), int), "regression"),
    ],
)
def test_the_problem_is_the_configs_else_inferred_and_never_written_back(
    fields: dict[str, Any], labels: np.ndarray, wanted: str
) -> None:
    config = RobertaConfig(**fields)
    assert problem_type(config, labels) == wanted
    assert config.problem_type == fields.get("problem_type")


@pytest.mark.parametrize("dtype", U)
def test_regression_is_the_mean_squared_error_over_all_numbers(dtype: str) -> None:
    logits, labels = logits_of((B, L), dtype), np.random.default_rng(3).standard_normal((B, L))
    config = RobertaConfig(num_labels=L, problem_type="regression")
    got = sequence_loss(SequenceClassifierOutput(logits=logits), labels, config)
    wanted = sum((logits[b, c] - labels[b, c]) ** 2 for b, c in np.ndindex(B, L)) / (B * L)
    assert got.dtype == dtype
    assert abs(got - wanted) <= (B * L + 8) * U[dtype] * wanted * 4


def test_regression_of_one_number_never_broadcasts_a_column_against_a_row() -> None:
    logits, labels = logits_of((B, 1)), np.arange(3.0)
    config = RobertaConfig(num_labels=1)
    flat, column = (
        sequence_loss(SequenceClassifierOutput(logits=logits), x, config) for x in (labels, labels[:, None])
    )
    assert flat == column == mean_squared_error(logits[:, 0], labels)


@pytest.mark.parametrize("dtype", U)
def test_many_labels_are_independent_coins(dtype: str) -> None:
    logits, labels = logits_of((B, L), dtype), np.random.default_rng(4).integers(0, 2, (B, L))
    got = binary_cross_entropy(logits, labels)
    wanted = -stats.bernoulli.logpmf(labels, special.expit(logits.astype(np.float64))).mean()
    assert got.dtype == dtype
    # SciPy's detour over probabilities loses up to u exp(|logit|), of which the largest here is that of float64.
    lost = 2.0**-53 * np.exp(np.abs(logits.astype(np.float64)).max())
    assert abs(got - wanted) <= slack(logits, B * L) + lost


def test_many_labels_at_extreme_logits_cost_their_margin() -> None:
    assert binary_cross_entropy(np.array([1e4, -1e4]), np.array([0.0, 1.0])) == 1e4
    assert binary_cross_entropy(np.array([1e4, -1e4]), np.array([1.0, 0.0])) == 0.0
