"""The budget must be what it says: a spread that follows the precision, limits that follow the rate."""

from dataclasses import replace

import numpy as np
import pytest
import roberta
from roberta.parity.arithmetic import Arithmetic
from roberta.parity.cases import draw_case, small_config
from roberta.parity.compare import compare_array
from roberta.parity.factors import relative_error, rounded_parameters
from roberta.parity.statistics import Pooled, largest_of
from roberta.parity.tolerances import (
    FALSE_ALARM_RATE,
    ONE_ROUNDING,
    PRECISIONS,
    TESTS,
    Spread,
    budgets,
    flat_outputs,
    noisy_runs,
    permitted,
    run_in,
)


def oracle(head="masked_lm", seed=3):
    case = draw_case(head, seed)
    model = roberta.RobertaForMaskedLM(case.config, backend="numpy", dtype="float64", state=case.state)
    return model, case.inputs


def spread_of(sigma, freedom=1e6, modes=1.0, draws=24):
    sigma = np.asarray(sigma, np.float64)
    return Spread(np.zeros((draws, *sigma.shape), np.float32), Pooled(sigma, freedom, modes, draws))


def test_tokens_that_are_asked_for_err_as_they_do_among_all():
    model, inputs = oracle()
    inputs = {name: inputs[name] for name in ("input_ids", "attention_mask")}
    everywhere = budgets(model, inputs, "float32")[0]["logits"].sigma[:, 2]  # B V
    asked = budgets(model, {**inputs, "positions": np.array([[0, 2], [1, 2], [2, 2]])}, "float32")[0]["logits"].sigma
    assert np.allclose(asked, everywhere, rtol=0.3)


@pytest.mark.parametrize("freedom", [5.0, 24.0, 1e6])
@pytest.mark.parametrize("count", [1, 1000, 10**5])
def test_the_limit_is_students_at_a_share_of_the_rate_for_each_element(count, freedom):
    budget = permitted(np.ones(count), spread_of(np.full(count, 0.1), freedom), PRECISIONS["float32"])
    assert budget.limit[0] == pytest.approx(0.1 * largest_of(count, freedom, FALSE_ALARM_RATE / TESTS), rel=1e-9)


def test_a_smaller_rate_makes_every_limit_wider():
    model, inputs = oracle()
    run = noisy_runs(model, [inputs], "float32", draws=8)
    strict, lenient = run.budgets(rate=1e-3)["logits"], run.budgets(rate=1e-12)["logits"]
    assert (strict.limit < lenient.limit).all()
    assert strict.rms_limit < lenient.rms_limit


def test_sigma_scales_with_the_unit_roundoff(monkeypatch):
    model, inputs = oracle()
    coarse = replace(PRECISIONS["float32"], name="coarse", storage=2.0**-20, accumulation=2.0**-20)
    monkeypatch.setitem(PRECISIONS, "coarse", coarse)
    fine, _ = budgets(model, inputs, "float32")
    rough, _ = budgets(model, inputs, "coarse")
    # The same draws, and errors so small that the model is linear in them: what is not is of relative size 1e-6, but
    # where an argument's leading bits change with it, and its approximation's error is then another one.
    off = np.abs(rough["logits"].sigma / fine["logits"].sigma / 16.0 - 1.0)
    assert np.quantile(off, 0.99) < 1e-3


def test_sigma_of_a_tap_without_history_is_one_rounding_of_each_sum():
    model, inputs = oracle()
    run = noisy_runs(model, [inputs], "float32", draws=300, keep_taps=True)
    # word + token type, rounded, + position, rounded; float32 parameters are as they are stored
    p = model.parameters["roberta"]["embeddings"]
    word = p["word_embeddings"]["weight"][inputs["input_ids"]]
    kind = p["token_type_embeddings"]["weight"][inputs["token_type_ids"]]
    expected = ONE_ROUNDING * 2.0**-24 * np.hypot(word + kind, run.taps["roberta.embeddings.sum"])
    errors = run.tap_spreads["roberta.embeddings.sum"].errors
    ratio = np.sqrt(np.mean(np.square(errors, dtype=np.float64), axis=0)) / expected
    assert np.abs(ratio - 1).max() < 6 / np.sqrt(2 * 300)


def test_a_parameter_that_the_precision_lacks_errs_and_one_that_it_has_does_not():
    held = Arithmetic(PRECISIONS["bfloat16"]).drawing(np.random.default_rng(0))
    assert (np.asarray(held.parameter("w", np.full(3, 0.5))) == 0.5).all()
    assert (np.asarray(held.parameter("w", np.full(3, 0.3))) != 0.3).all()


def test_budgets_leave_the_model_as_it_was():
    model, inputs = oracle()
    before = model.state_dict_numpy()
    budgets(model, inputs, "float32", draws=1)
    after = model.state_dict_numpy()
    assert all(before[name] is after[name] for name in before)


def test_a_run_without_errors_is_the_spec():
    model, inputs = oracle()
    (found,), _ = run_in(model, [inputs], Arithmetic(PRECISIONS["float32"]))
    for name, value in flat_outputs(model(**inputs)).items():
        assert (found[name] == value).all()


def test_the_same_seed_draws_the_same_errors():
    model, inputs = oracle()
    one, same, other = (noisy_runs(model, [inputs], "float32", draws=2, seed=seed) for seed in (1, 1, 2))
    assert (one.spreads[0]["logits"].errors == same.spreads[0]["logits"].errors).all()
    assert (one.spreads[0]["logits"].errors != other.spreads[0]["logits"].errors).any()


def test_the_limit_is_never_below_what_underflow_may_lose():
    budget = permitted(np.zeros(3), spread_of(np.zeros(3)), PRECISIONS["float32"])
    assert (budget.limit == 2.0**-126).all()


def test_what_is_flushed_counts_as_its_own_size_in_the_mean_square():
    truth = np.array([1e-40, 0.5])  # the first is smaller than the smallest normal number of float32
    budget = permitted(truth, spread_of([1e-47, 1e-33]), PRECISIONS["float32"])
    assert compare_array("x", np.array([0.0, 0.5]), budget).sigmas < 1.0
    assert not compare_array("x", np.array([1e-40, 0.5001]), budget).passed


def test_an_element_is_not_known_better_than_to_an_error_of_its_rows_errors():
    sigma = np.array([[1e-3, 1e-3, 1e-30, 0.0]])
    budget = permitted(np.ones((1, 4)), spread_of(sigma), PRECISIONS["bfloat16"])
    assert budget.sigma[0, 2] == pytest.approx(2.0**-8 * np.sqrt(np.mean(sigma**2)))
    assert budget.sigma[0, 3] == 0.0


def test_an_overflow_is_called_by_its_name():
    model, inputs = oracle()
    state = model.state_dict_numpy()
    name = "roberta.encoder.layer.0.output.dense.bias"
    model.load_state_dict_numpy({**state, name: state[name] + 1000.0})  # whose square float16 lacks
    state = {**state, name: state[name] * 1e3}
    model.load_state_dict_numpy(state)
    permitted_, _ = budgets(model, inputs, "float16", draws=4)
    wrong = np.full_like(permitted_["logits"].truth, np.nan)
    assert "overflows in this precision" in str(compare_array("logits", wrong, permitted_["logits"]))
    in_range, _ = budgets(model, inputs, "float32", draws=4)
    assert "overflows" not in str(compare_array("logits", wrong, in_range["logits"]))


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


def test_the_budget_of_a_function_is_that_of_its_value():
    model, inputs = oracle()
    run = noisy_runs(model, [inputs], "float32")
    itself = run.budget_of(lambda outputs: outputs["logits"])
    assert np.array_equal(itself.limit, run.budgets()["logits"].limit)
    doubled = run.budget_of(lambda outputs: 2.0 * outputs["logits"])
    assert np.allclose(doubled.sigma, 2.0 * itself.sigma)

    # what is added to all logits of a token alike, softmax does not see: errors cancel, where limits could not
    def shifted(outputs):
        return outputs["logits"] - outputs["logits"][..., :1]

    assert (run.budget_of(shifted).sigma[..., 0] == 0).all()
