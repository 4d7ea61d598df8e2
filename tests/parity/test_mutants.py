"""Each mutant is caught on every head that it concerns; a mutant that changes nothing is a mistake of ours."""

from dataclasses import replace

import numpy as np
import pytest
from roberta.parity.candidates import Candidate
from roberta.parity.cases import draw_case
from roberta.parity.compare import compare_array
from roberta.parity.mistakes.hunting import DRAWN, question, questions
from roberta.parity.mistakes.mutants import MUTANTS, Mutant
from roberta.parity.mistakes.wrong_engines import answers, twin
from roberta.parity.selftest import effect, hunt, mutated_engines
from roberta.parity.tolerances import noisy_runs

BY_NAME = {mutant.name: mutant for mutant in MUTANTS}
HONEST = Mutant("an honest engine", "none")
each_mutant = pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)


@each_mutant
def test_the_mutant_is_caught_on_every_head(mutant):
    found = hunt(mutant, "numpy", seeds=(0,), dtype="float32")
    assert found.passed, (
        f"{mutant.name}: caught {found.caught} of {found.tried}, weakest {found.effect} at {found.weakest}"
    )
    assert found.excused == (found.tried if mutant.is_silent else 0)


@pytest.mark.torch
@pytest.mark.parametrize("mutant", [mutant for mutant in MUTANTS if not mutant.slip], ids=lambda mutant: mutant.name)
def test_the_mutant_is_caught_on_torch(mutant):
    assert effect(mutant, mutant.heads[0], 0, "torch", "float32") > 1 or mutant.is_silent


#: One mistake of each kind; `roberta selftest` lets all of them loose on every engine.
FEW = ("tanh GELU", "eps 1e-12", "padding counted", "mask ignored", "distance reversed", "weights in bfloat16")


@pytest.mark.parametrize("mutant", [mutant for mutant in MUTANTS if mutant.name in FEW], ids=lambda mutant: mutant.name)
def test_a_few_are_caught_on_every_engine(mutant, backend):
    assert effect(mutant, mutant.heads[-1], 1, backend, "float32") > 1


@each_mutant
def test_without_its_change_the_mutant_is_an_honest_engine(mutant):
    honest = replace(mutant, config=None, state=None, inputs=None, outputs=None, slip=None, keeps=None)
    assert effect(honest, mutant.heads[0], 0, "numpy", "float32") < 1


def test_there_are_at_least_twelve_with_different_names():
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 12


# -- in coarser precisions ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", ["mask ignored", "tanh GELU", "weights of 8 bits", "second call"])
def test_in_half_precision_the_mutant_is_caught_or_it_is_said_why_not(name, dtype):
    mutant = replace(BY_NAME[name], heads=("masked_lm",))
    found = hunt(mutant, "numpy", seeds=(0,), dtype=dtype)
    assert found.passed
    assert bool(found.reason) == (found.caught < found.tried)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_the_numpy_engine_that_rounds_what_it_stores_is_honest(dtype):
    asked = question("masked_lm", 0, (), DRAWN, dtype)
    assert 0.01 < asked.extent(HONEST, "numpy") < 1


def test_a_mutant_that_should_be_seen_and_is_not_has_no_excuse(monkeypatch):
    monkeypatch.setattr("roberta.parity.mistakes.hunting.Question.extent", lambda *_: 0.5)
    for dtype in ("float32", "bfloat16"):
        found = hunt(replace(BY_NAME["mask ignored"], heads=("model",)), "numpy", (0,), dtype)
        assert not found.passed
        assert found.reason == ""


def test_numpy_is_mutated_in_every_precision_and_other_engines_in_theirs():
    assert mutated_engines(["numpy"], "bfloat16") == ["numpy"]
    assert mutated_engines(["np"], "float32") == mutated_engines(["numpy"], "float32")
    with pytest.raises(ValueError, match="got 'bfloat17'"):
        mutated_engines(["numpy"], "bfloat17")


# -- where it departs --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "mutant", [mutant for mutant in MUTANTS if not (mutant.outputs or mutant.keeps)], ids=lambda mutant: mutant.name
)
def test_the_first_value_that_departs_is_at_the_mutant_s_place(mutant):
    departed = [_first_departure(mutant, asked) for asked in questions(mutant, mutant.heads[-1], 0, "float32")]
    assert any(departed)
    assert all(mutant.departs_at(name) for name in departed if name)


def _first_departure(mutant, asked):
    """The first tap or output that is not the spec's, on the last call of a question."""
    right, given = (
        _taps_of_the_last_call(twin(made, asked.oracle), asked.probe.calls)
        | answers(twin(made, asked.oracle), asked.probe.calls)[-1]
        for made in (HONEST, mutant)
    )
    return next((name for name in given if name in right and not _alike(given[name], right[name])), None)


def _taps_of_the_last_call(engine, calls):
    *before, last = calls
    past = {}
    for call in before:
        output = engine(**call.inputs, **({"use_cache": True} if last.continues else {}), **past)
        past = {"past_key_values": output["past_key_values"]} if last.continues else {}
    return engine.taps({**last.inputs, **past})


def _alike(one, other):
    return one.shape == other.shape and np.allclose(one, other, rtol=1e-9, atol=1e-12)


def test_a_key_bias_shows_at_a_tap():
    case = draw_case("masked_lm", 0)
    wrong = BY_NAME["key bias missing"].candidate(case)
    oracle = twin(HONEST, HONEST.candidate(case, dtype="float64").model).model
    budgets = noisy_runs(oracle, [case.inputs], "float32", keep_taps=True).tap_budgets()
    taps = wrong.taps(case.inputs)
    departed = [name for name, budget in budgets.items() if not compare_array(name, taps[name], budget).passed]
    assert wrong.mutant.departs_at(departed[0])


# -- as candidates -----------------------------------------------------------------------------------------------------


def test_a_wrong_engine_is_a_candidate_with_taps_and_other_weights():
    case = draw_case("token_classification", 0)
    wrong = BY_NAME["tanh GELU"].candidate(case)
    assert isinstance(wrong, Candidate)
    assert wrong.capabilities.has_taps
    assert wrong.capabilities.takes_weights
    assert np.array_equal(wrong.taps(case.inputs)["classifier.logits"], wrong(**case.inputs)["logits"])
    moved = wrong.with_weights({"classifier.bias": case.state["classifier.bias"] + 1})
    assert np.allclose(moved(**case.inputs)["logits"] - wrong(**case.inputs)["logits"], 1, atol=1e-5)
    assert moved.describe()["mistake"] == wrong.mutant.mistake


def test_what_is_remembered_from_call_to_call_is_each_engine_s_own():
    case = draw_case("model", 0)
    mutant = BY_NAME["second call"]
    first, other = mutant.candidate(case), mutant.candidate(case)
    before = first(**case.inputs)["last_hidden_state"]
    assert not np.allclose(before, first(**case.inputs)["last_hidden_state"], atol=1e-3)
    assert np.array_equal(before, other(**case.inputs)["last_hidden_state"])


def test_a_twin_shares_the_tensors_that_it_does_not_change():
    case = draw_case("masked_lm", 0)
    oracle = HONEST.candidate(case, dtype="float64").model
    right, wrong = oracle.state_dict_numpy(), twin(BY_NAME["value bias missing"], oracle).model.state_dict_numpy()
    changed = {name for name in right if not np.shares_memory(right[name], wrong[name])}
    assert changed == {f"roberta.encoder.layer.{i}.attention.self.value.bias" for i in range(2)}
    assert twin(BY_NAME["eps 1e-12"], oracle).model.config.layer_norm_eps == 1e-12
    assert oracle.config.layer_norm_eps == 1e-5
