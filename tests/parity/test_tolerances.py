"""The budget must be what it says: a spread that follows the precision, a quantile that follows the rate."""

from dataclasses import replace

import numpy as np
import pytest
import roberta
from roberta.parity.cases import draw_case, small_config
from roberta.parity.tolerances import (
    DRAWS,
    FALSE_ALARM_RATE,
    ONE_ROUNDING,
    PRECISIONS,
    budgets,
    flat_outputs,
    permitted,
    quantile,
    relative_error,
    rounded_parameters,
)
from scipy import stats


def oracle(head="masked_lm", seed=3):
    case = draw_case(head, seed)
    model = roberta.RobertaForMaskedLM(case.config, backend="numpy", dtype="float64", state=case.state)
    return model, case.inputs


def test_one_rounding_is_the_measured_deviation_of_rounding_log_uniform_numbers_to_float32():
    numbers = 2.0 ** np.random.default_rng(0).uniform(-40, 40, 1_000_000)
    errors = numbers.astype(np.float32).astype(np.float64) / numbers - 1.0
    # A standard deviation that is estimated from n draws is itself off by about 1 / sqrt(2 n).
    assert errors.std() / 2**-24 == pytest.approx(ONE_ROUNDING, rel=6 / np.sqrt(2 * len(numbers)))


@pytest.mark.parametrize("count", [1, 1000, 10**6])
def test_quantile_is_students_at_the_rate_shared_over_all_elements(count):
    assert quantile(count) == pytest.approx(stats.t.isf(FALSE_ALARM_RATE / (2 * count), DRAWS), rel=1e-6)


def test_unit_roundoffs_are_those_of_the_formats():
    for name in ("float16", "float32", "float64"):
        assert PRECISIONS[name].storage == np.finfo(name).eps / 2
        assert PRECISIONS[name].smallest == np.finfo(name).tiny


def test_sigma_scales_with_the_unit_roundoff(monkeypatch):
    model, inputs = oracle()
    coarse = replace(PRECISIONS["float32"], name="coarse", storage=2.0**-20, accumulation=2.0**-20)
    monkeypatch.setitem(PRECISIONS, "coarse", coarse)
    fine, _ = budgets(model, inputs, "float32")
    rough, _ = budgets(model, inputs, "coarse")
    # The same draws, and errors so small that the model is linear in them: what is not linear is of relative size 1e-6.
    assert rough["logits"].sigma / fine["logits"].sigma == pytest.approx(16.0, rel=1e-3)


def test_sigma_of_a_tap_without_history_is_one_rounding_of_its_terms():
    model, inputs = oracle()
    _, taps = budgets(model, inputs, "float32", draws=300)
    budget = taps["roberta.embeddings.sum"]
    # word + token type + position, each a rounded parameter (2 terms of u: storage and sum), then rounded once more
    p = model.parameters["roberta"]["embeddings"]
    ids = inputs["input_ids"]
    word = p["word_embeddings"]["weight"][ids]
    kind = p["token_type_embeddings"]["weight"][inputs["token_type_ids"]]
    place = budget.truth - word - kind
    d = relative_error(PRECISIONS["float32"], 1)
    expected = d * np.sqrt(word**2 + kind**2 + place**2 + budget.truth**2)
    ratio = budget.sigma / expected
    assert np.abs(ratio - 1).max() < 6 / np.sqrt(2 * 300)


def test_budgets_leave_the_model_as_it_was():
    model, inputs = oracle()
    before = model.state_dict_numpy()
    budgets(model, inputs, "float32", draws=1)
    after = model.state_dict_numpy()
    assert all(before[name] is after[name] for name in before)


def test_the_limit_is_never_below_what_underflow_may_lose():
    budget = permitted(np.zeros(3), np.zeros(3), PRECISIONS["float32"])
    assert (budget.limit == 2.0**-126).all()


def test_dense_weights_get_the_error_of_their_fan_in_and_tables_that_of_one_rounding():
    config = small_config()
    model = roberta.RobertaForMaskedLM(config, backend="numpy")
    state = {name: np.ones(p.shape) for name, p in model.table.items()}
    noisy = rounded_parameters(state, model.table, PRECISIONS["float32"], np.random.default_rng(0))
    for name, terms in (
        ("roberta.encoder.layer.0.output.dense.weight", config.intermediate_size),
        ("roberta.embeddings.word_embeddings.weight", 1),
    ):
        error = noisy[name] - 1
        expected = relative_error(PRECISIONS["float32"], terms)
        assert error.std() / expected == pytest.approx(1, rel=6 / np.sqrt(2 * error.size))


def test_flat_outputs_names_every_array_of_a_cache():
    model = roberta.RobertaForCausalLM(small_config(is_decoder=True), backend="numpy")
    names = set(flat_outputs(model(input_ids=[[5, 6]])))
    assert names == {"logits", *(f"past_key_values.{layer}.{part}" for layer in range(2) for part in range(2))}
