"""Models of ours as candidates, on every engine, and as compilers leave them."""

import sys

import numpy as np
import pytest
from roberta.dispatch.api import FACES
from roberta.parity.candidates import CandidateError, answered, as_candidate
from roberta.parity.cases import draw_case
from roberta.parity.compare import compare_outputs
from roberta.parity.tolerances import budgets

ASKED = {"output_hidden_states": True, "output_attentions": True}


def made(case, backend, dtype="float32"):
    return FACES[case.head].on(backend)(case.config, dtype=dtype, state=case.state)


def passes(found, permitted):
    return all(comparison.passed for comparison in compare_outputs(found, permitted))


@pytest.fixture(scope="module")
def case():
    return draw_case("token_classification", 7)


@pytest.fixture(scope="module")
def permitted(case):
    return budgets(made(case, "numpy", "float64"), {**case.inputs, **ASKED}, "float32")


def test_every_engine_answers_within_its_budget_and_gives_its_taps(backend, case, permitted):
    model = made(case, backend).train(True)
    candidate = as_candidate(model)
    inputs = {**case.inputs, **ASKED}
    assert passes(answered(candidate, inputs), permitted[0])
    found = candidate.taps(inputs)
    assert "roberta.encoder.layer.1.attention.self.scores" in found
    assert passes(found, {name: permitted[1][name] for name in found})
    assert model.training
    described = candidate.describe()
    assert (described["engine"], described["dtype"]) == (backend, "float32")
    assert "roberta" in described["versions"]
    assert described["sha256"] == as_candidate(made(case, "numpy")).describe()["sha256"]
    assert described["sha256"] != as_candidate(made(draw_case(case.head, 8), backend)).describe()["sha256"]


def test_every_engine_is_copied_for_other_weights(backend, case):
    other = draw_case("token_classification", 8)
    candidate = as_candidate(made(case, backend)).with_weights(other.state)
    wanted, _ = budgets(made(other, "numpy", "float64"), case.inputs, "float32")
    assert passes(answered(candidate, case.inputs), wanted)


@pytest.mark.torch
def test_what_was_changed_in_a_model_by_hand_is_in_its_copy(case):
    model = made(case, "torch")
    for layer in model.roberta.encoder.layer:
        layer.output.LayerNorm.eps = 0.5
    candidate = as_candidate(model)
    changed = answered(candidate, case.inputs)["logits"]
    assert not np.array_equal(changed, answered(as_candidate(made(case, "torch")), case.inputs)["logits"])
    np.testing.assert_array_equal(answered(candidate.with_weights(case.state), case.inputs)["logits"], changed)


def test_a_model_without_a_pooler_stays_without_one(backend):
    config, state = draw_case("model", 1).config, draw_case("model", 1).state
    model = FACES["model"].on(backend)(config, add_pooling_layer=False)
    bare = {name: value for name, value in state.items() if not name.startswith("pooler.")}
    assert list(answered(as_candidate(model).with_weights(bare), {"input_ids": np.array([[5, 6]])})) == [
        "last_hidden_state"
    ]


def test_a_cache_goes_on(backend):
    case = draw_case("causal_lm", 2, "none", is_decoder=True)
    candidate = as_candidate(made(case, backend))
    ids = case.inputs["input_ids"]
    whole, _ = budgets(made(case, "numpy", "float64"), {"input_ids": ids}, "float32")
    first = answered(candidate, {"input_ids": ids[:, :9], "use_cache": True})
    layers = range(case.config.num_hidden_layers)
    past = tuple(tuple(first[f"past_key_values.{i}.{part}"] for part in (0, 1)) for i in layers)
    found = answered(candidate, {"input_ids": ids[:, 9:], "use_cache": True, "past_key_values": past})
    budget = whole["logits"]
    rows = type(budget)(budget.truth[:, 9:], budget.sigma[:, 9:], budget.limit[:, 9:])
    assert passes(found, {"logits": rows})


def compiled(model, way):
    """What a compiler makes of a model."""
    framework = sys.modules[{"torch.compile": "torch", "tf.function": "tensorflow"}.get(way, "jax")]
    if way == "torch.compile":
        return framework.compile(model, backend="eager")
    if way == "tf.function":
        return framework.function(model)
    return framework.jit(model) if way == "jax.jit" else sys.modules["flax.nnx"].jit(model)


@pytest.mark.parametrize(
    ("way", "engine"),
    [
        pytest.param("torch.compile", "torch", marks=pytest.mark.torch),
        pytest.param("tf.function", "tensorflow", marks=pytest.mark.tensorflow),
        pytest.param("jax.jit", "flax", marks=pytest.mark.flax),
        pytest.param("nnx.jit", "flax", marks=pytest.mark.flax),
    ],
)
def test_what_a_compiler_makes_of_a_model_is_called_as_it_is(way, engine, case, permitted):
    candidate = as_candidate(compiled(made(case, engine), way))
    flags = {} if engine == "flax" else ASKED
    inputs = {name: value for name, value in case.inputs.items() if name != "labels"} | flags
    assert candidate.capabilities.refusal(inputs) == ""
    found = answered(candidate, inputs)
    assert found.keys() >= permitted[0].keys() - {"loss"} if flags else found.keys() == {"logits"}
    assert passes(found, {name: permitted[0][name] for name in found})
    assert not candidate.capabilities.has_taps
    assert not candidate.capabilities.takes_weights
    with pytest.raises(CandidateError, match="a compiled model of roberta"):
        candidate.taps(inputs)
    assert candidate.describe()["wrapper"] != candidate.describe()["engine"]


@pytest.mark.flax
def test_a_tracer_that_takes_flags_for_arrays_is_not_asked_with_flags(case):
    candidate = as_candidate(compiled(made(case, "flax"), "jax.jit"))
    assert candidate.capabilities.refusal({**case.inputs, **ASKED}) == (
        "it takes no output_attentions, output_hidden_states"
    )


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning", "ignore:.*quantize_per_tensor:UserWarning")
def test_a_quantised_model_answers_with_taps_and_takes_no_weights(case, permitted):
    torch = sys.modules["torch"]
    model = torch.ao.quantization.quantize_dynamic(made(case, "torch"), {torch.nn.Linear}, dtype=torch.qint8)
    candidate = as_candidate(model)
    found = answered(candidate, case.inputs)
    truth = permitted[0]["logits"].truth
    assert not passes(found, {"logits": permitted[0]["logits"]})  # it is quantised indeed
    assert np.corrcoef(found["logits"].ravel(), truth.ravel())[0, 1] > 0.99
    assert candidate.describe()["is_quantised"]
    assert not candidate.capabilities.takes_weights
    assert "classifier.logits" in candidate.taps(case.inputs)
