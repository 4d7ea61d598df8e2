"""CTranslate2 as a candidate: an encoder converted from a folder of ours, on the tokens that it answers for."""

import json

import ctranslate2
import numpy as np
import pytest
from roberta.dispatch.api import FACES
from roberta.parity.candidates import CandidateError, answered, as_candidate
from roberta.parity.cases import draw_case
from roberta.parity.compare import compare_outputs
from roberta.parity.tolerances import Budget, budgets

# Its converter loads the peer's PyTorch class.
pytestmark = [pytest.mark.torch, pytest.mark.hf]


@pytest.fixture(scope="module")
def case():
    return draw_case("model", 3, "right")


@pytest.fixture(scope="module")
def folder(case, tmp_path_factory):
    """A converted model; the converter asks for a vocabulary, which nobody uses here."""
    source, target = (tmp_path_factory.mktemp("models") / name for name in ("source", "converted"))
    FACES["model"].on("numpy")(case.config, state=case.state).save_pretrained(source)
    words = ["<s>", "<pad>", "</s>", "<unk>", *(chr(code) for code in range(0x100, 0x160)), "<mask>"]
    (source / "vocab.json").write_text(json.dumps({word: index for index, word in enumerate(words)}))
    (source / "merges.txt").write_text("#version: 0.2\n")
    ctranslate2.converters.TransformersConverter(str(source)).convert(str(target))
    return target


def at_tokens(budget, mask):
    """The budget of the tokens that are real, one a row."""
    return Budget(budget.truth[mask], budget.sigma[mask], budget.limit[mask])


@pytest.mark.parametrize("types", [True, False])
def test_real_tokens_are_within_the_budget(types, case, folder):
    candidate = as_candidate(folder)
    inputs = {name: value for name, value in case.inputs.items() if types or name != "token_type_ids"}
    assert candidate.capabilities.refusal(inputs) == ""
    permitted, _ = budgets(
        FACES["model"].on("numpy")(case.config, dtype="float64", state=case.state), inputs, "float32"
    )
    found = answered(candidate, inputs)
    assert found.keys() == candidate.capabilities.outputs == permitted.keys()
    mask = inputs["attention_mask"] == 1
    judged = {
        name: at_tokens(budget, mask) if name == "last_hidden_state" else budget for name, budget in permitted.items()
    }
    found["last_hidden_state"] = found["last_hidden_state"][mask]
    assert all(comparison.passed for comparison in compare_outputs(found, judged))


def test_a_call_without_a_mask_is_one_of_whole_rows(case, folder):
    ids = {"input_ids": draw_case("model", 3, "none").inputs["input_ids"]}
    permitted, _ = budgets(FACES["model"].on("numpy")(case.config, dtype="float64", state=case.state), ids, "float32")
    assert all(comparison.passed for comparison in compare_outputs(answered(as_candidate(folder), ids), permitted))


@pytest.mark.parametrize("padding", ["left", "inner"])
def test_masks_that_lengths_cannot_say_are_not_covered(padding, folder):
    candidate = as_candidate(str(folder))
    inputs = draw_case("model", 3, padding).inputs
    reason = f"its masks hide tokens at none, right only, not at {padding}"
    assert candidate.capabilities.refusal(inputs) == reason
    with pytest.raises(CandidateError, match=f"required a call that it covers, but {reason}"):
        answered(candidate, inputs)


def test_what_an_encoder_does_not_take_is_refused_rather_than_passed_over(case, folder):
    with pytest.raises(CandidateError, match="required a call that it covers, but it takes no position_ids"):
        answered(as_candidate(folder), {**case.inputs, "position_ids": np.ones((3, 13), int)})


def test_an_encoder_is_one_too_and_both_are_described(folder):
    encoder = ctranslate2.Encoder(str(folder), compute_type="int8")
    described, of_files = as_candidate(encoder).describe(), as_candidate(folder).describe()
    assert described["compute_type"].startswith("int8")
    assert described["sha256"] == {}
    assert {*of_files["sha256"]} >= {"model.bin", "config.json"}
    assert of_files["versions"] == {"ctranslate2": ctranslate2.__version__}
    ids = {"input_ids": np.array([[0, 5, 2]])}
    plain = ctranslate2.Encoder(str(folder), compute_type="float32")
    small, alike, own = (answered(as_candidate(thing), ids)["last_hidden_state"] for thing in (encoder, plain, folder))
    assert np.array_equal(alike, own)
    assert not np.array_equal(small, own)
