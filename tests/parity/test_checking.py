"""`check` and `compare`, as a user calls them."""

import json

import numpy as np
import pytest
import roberta
from roberta.parity.cases import draw_case, small_config
from roberta.parity.checking import check_case, engines
from roberta.parity.mistakes.mutants import MUTANTS
from roberta.reference.parameters import HEADS


@pytest.fixture(scope="module")
def masked_lm():
    case = draw_case("masked_lm", 5)
    return roberta.RobertaForMaskedLM(case.config, backend="numpy", state=case.state), case


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("position_type", ["absolute", "relative_key", "relative_key_query"])
def test_an_honest_numpy_engine_passes_on_every_head(head, position_type):
    report = check_case(draw_case(head, 11, position_embedding_type=position_type), ["numpy"])
    assert report.passed, str(report)


@pytest.mark.torch
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
def test_an_honest_torch_engine_passes_on_every_head_and_dtype(head, dtype):
    report = check_case(draw_case(head, 11), ["torch"], dtype)
    assert report.passed, str(report)


def test_a_checkpoint_without_some_heads_marks_them_as_seeded(masked_lm, tmp_path):
    model, _ = masked_lm
    model.save_pretrained(tmp_path)
    report = roberta.parity.check(tmp_path, backends=["numpy"])
    assert report.passed
    assert {row.head: row.weights for row in report.rows} == {
        head: "checkpoint" if head in {"masked_lm", "causal_lm"} else "seeded head" for head in HEADS
    }


def test_a_wrong_engine_fails_and_the_first_departing_tap_is_named(masked_lm, monkeypatch):
    from roberta.reference import encoder
    from roberta.reference.layers import gelu_new

    model, _ = masked_lm
    real = encoder.ACTIVATIONS["gelu"]

    def wrong_in_float32(x, tap):
        return gelu_new(x, tap) if x.dtype == np.float32 else real(x, tap)

    monkeypatch.setitem(encoder.ACTIVATIONS, "gelu", wrong_in_float32)
    report = roberta.parity.check(model, backends=["numpy"])
    assert not report.passed
    assert report.rows[0].first_tap == "roberta.encoder.layer.0.intermediate.output"
    assert "first at roberta.encoder.layer.0.intermediate.output" in str(list(report.table().columns[-1].cells))


def test_compare_accepts_a_port_and_refuses_each_wrong_one(masked_lm):
    model, _ = masked_lm

    def port(input_ids, attention_mask, token_type_ids=None, **_):
        return {"logits": model(input_ids, attention_mask, token_type_ids).logits}

    assert roberta.parity.compare(port, model).passed
    for spoil in (lambda x: x * (1 + 1e-4), lambda x: np.roll(x, 1, -1), lambda x: x * np.nan, lambda x: x[:, :-1]):
        report = roberta.parity.compare(
            lambda spoil=spoil, **inputs: {"logits": spoil(port(**inputs)["logits"])}, model
        )
        assert not report.passed


def test_compare_refuses_a_candidate_that_returns_nothing(masked_lm):
    report = roberta.parity.compare(lambda **_: {}, masked_lm[0])
    assert not report.passed
    assert "did not return it" in str(report)


def test_compare_judges_hidden_states_if_they_are_given(masked_lm):
    model, case = masked_lm
    inputs = {**case.inputs, "output_hidden_states": True}
    given = model(**inputs).numpy()
    assert roberta.parity.compare(lambda **_: given, model, inputs).passed
    spoiled = {**given, "hidden_states": (given["hidden_states"][0] + 1e-3, *given["hidden_states"][1:])}
    assert not roberta.parity.compare(lambda **_: spoiled, model, inputs).passed


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ({"heads": ["maskedlm"]}, ["heads", "masked_lm", "maskedlm"]),
        ({"backends": ["torhc"]}, ["backend", "torhc", "torch"]),
        ({"dtype": "float8"}, ["dtype", "float32", "float8"]),
        ({"backends": ["numpy"], "dtype": "bfloat16"}, ["numpy", "float64", "bfloat16"]),
    ],
)
def test_wrong_arguments_are_named_with_what_is_allowed(masked_lm, tmp_path, arguments, parts):
    masked_lm[0].save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=parts[0]) as raised:
        roberta.parity.check(tmp_path, **arguments)
    assert all(part in str(raised.value) for part in parts)


def test_a_checkpoint_that_does_not_exist_is_a_file_not_found_error():
    with pytest.raises(FileNotFoundError, match="nowhere"):
        roberta.parity.check("nowhere")


def test_json_holds_every_output_and_no_number_that_json_lacks(masked_lm):
    report = roberta.parity.compare(lambda **_: {"logits": np.full(1, np.nan)}, masked_lm[0])
    content = json.loads(report.to_json(), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert content["passed"] is False
    assert content["rows"][0]["outputs"][0]["name"] == "logits"
    assert content["rows"][0]["outputs"][0]["ratio"] is None


def test_a_report_that_compared_nothing_does_not_pass():
    assert not roberta.parity.Report("nothing", "float32").passed
    assert not roberta.parity.Row("model", "numpy", "drawn", ()).passed


def test_every_mutant_of_the_outputs_is_refused_by_compare():
    case = draw_case("question_answering", 2)
    model = roberta.RobertaForQuestionAnswering(case.config, backend="numpy", state=case.state)
    outputs = model(**case.inputs).numpy()
    for mutant in MUTANTS:
        if mutant.outputs and "question_answering" in mutant.heads:
            assert not roberta.parity.compare(lambda m=mutant, **_: m.finished(outputs), model, case.inputs).passed


def test_small_configs_have_a_different_prime_for_every_axis():
    config = small_config()
    sizes = [config.vocab_size, config.head_size, config.num_attention_heads, config.intermediate_size]
    sizes += [config.max_position_embeddings, 13, 7]  # T and E
    assert len(set(sizes)) == len(sizes)
    assert all(all(size % divisor for divisor in range(2, size)) for size in sizes)


def test_another_head_than_the_model_s_own_is_refused(masked_lm):
    model, _ = masked_lm
    with pytest.raises(ValueError, match=r"heads: required \['masked_lm'\].*got \['causal_lm'\].*checkpoint"):
        roberta.parity.check(model, backends=["numpy"], heads=["causal_lm"])
    with pytest.raises(ValueError, match=r"got \['masked_lm', 'model'\]"):
        roberta.parity.check(model, backends=["numpy"], heads=["masked_lm", "model"])
    assert [row.head for row in roberta.parity.check(model, backends=["numpy"], heads=["masked_lm"]).rows] == [
        "masked_lm"
    ]


def test_a_precision_that_no_engine_has_is_no_device_s_fault_and_no_pass(masked_lm):
    assert engines(None, "tfloat32") == []
    with pytest.raises(ValueError, match="dtype: no engine that is available computes in 'tfloat32'"):
        roberta.parity.check(masked_lm, dtype="tfloat32")
