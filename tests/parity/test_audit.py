"""The audit as its users meet it: what is judged, what is not, what is said, and what is written in any case."""

from __future__ import annotations

import time
import warnings

import numpy as np
import pytest
import roberta
from roberta.parity import keeping
from roberta.parity.audit import audit
from roberta.parity.cases import draw_case, draw_state, small_config
from roberta.parity.probes.battery import battery
from roberta.parity.probes.probe import Call, Probe
from roberta.reference.parameters import parameter_table


@pytest.fixture(scope="module")
def model():
    case = draw_case("masked_lm", 5, max_position_embeddings=83)
    return roberta.RobertaForMaskedLM(case.config, backend="numpy", state=case.state)


@pytest.fixture(scope="module")
def probes(model):
    return {probe.name: probe for probe in battery("masked_lm", model.config)}


def port_of(model):
    def port(input_ids, attention_mask=None, token_type_ids=None):
        return {"logits": model(input_ids, attention_mask, token_type_ids).logits.copy()}

    return port


def judged(candidate, model, *probes, **options):
    return audit(candidate, model, list(probes), power=False, **options)


# -- what is judged ----------------------------------------------------------------------------------------------------


def test_what_nobody_asked_for_is_judged_all_the_same(model, probes):
    def with_nonsense(input_ids, attention_mask=None, token_type_ids=None):
        output = model(input_ids, attention_mask, token_type_ids, output_attentions=True)
        return {"logits": output.logits, "attentions": tuple(probs * 0 + 0.5 for probs in output.attentions)}

    found = judged(with_nonsense, model, probes["text"])
    assert not found.passed
    assert found.findings[0].worst.name.startswith("attentions")


def test_hidden_states_of_nan_are_refused(model, probes):
    def with_nan(input_ids, attention_mask=None, token_type_ids=None):
        output = model(input_ids, attention_mask, token_type_ids, output_hidden_states=True)
        return {"logits": output.logits, "hidden_states": tuple(x * np.nan for x in output.hidden_states)}

    assert not judged(with_nan, model, probes["text"]).passed


def test_what_stands_at_padding_is_nobodys_unless_the_probe_says_so(model, probes):
    def careless(input_ids, attention_mask=None, token_type_ids=None):
        logits = port_of(model)(input_ids, attention_mask, token_type_ids)["logits"]
        logits[attention_mask == 0] = np.nan
        return {"logits": logits}

    probe = probes["padding on the left"]
    assert judged(careless, model, probe).passed
    strict = Probe(probe.name, probe.catches, probe.calls, judges_padding=True)
    assert not judged(careless, model, strict).passed


def test_an_output_that_the_spec_does_not_have_is_no_pass(model, probes):
    def other_head(input_ids, attention_mask=None, token_type_ids=None):
        return {**port_of(model)(input_ids, attention_mask, token_type_ids), "start_logits": np.zeros((3, 13))}

    found = judged(other_head, model, probes["text"])
    assert not found.passed
    assert "no such output" in str(found.findings[0].worst)


def zeroed_positions(model):
    state = model.state_dict_numpy()
    name = "roberta.embeddings.position_embeddings.weight"
    table = state[name].copy()
    table[20:] = 0
    return port_of(roberta.RobertaForMaskedLM(model.config, backend="numpy", state={**state, name: table}))


def zeros_for_long_rows(model):
    def port(input_ids, attention_mask=None, token_type_ids=None):
        logits = port_of(model)(input_ids, attention_mask, token_type_ids)["logits"]
        return {"logits": logits * (input_ids.shape[1] <= 64)}

    return port


def wrong_from_the_second_call(model):
    calls = iter([1.0, *[1.0001] * 1000])

    def port(input_ids, attention_mask=None, token_type_ids=None):
        return {"logits": port_of(model)(input_ids, attention_mask, token_type_ids)["logits"] * np.float32(next(calls))}

    return port


def blind_to_the_mask(model):
    def port(input_ids, attention_mask=None, token_type_ids=None):
        return port_of(model)(input_ids, np.ones_like(input_ids), token_type_ids)

    return port


def one_buffer_for_all(model):
    held = {}

    def port(input_ids, attention_mask=None, token_type_ids=None):
        logits = port_of(model)(input_ids, attention_mask, token_type_ids)["logits"]
        buffer = held.setdefault(logits.shape, np.empty_like(logits))
        buffer[...] = logits
        return {"logits": buffer}

    return port


@pytest.mark.parametrize(
    "faulty", [zeroed_positions, zeros_for_long_rows, wrong_from_the_second_call, blind_to_the_mask, one_buffer_for_all]
)
def test_the_battery_refuses_what_one_batch_of_drawn_ids_lets_pass(model, faulty):
    ids = np.random.default_rng(0).integers(5, 90, (3, 13))
    assert audit(faulty(model), model, inputs={"input_ids": ids}, power=False).passed
    assert not audit(faulty(model), model, power=False).passed


# -- whose weights -----------------------------------------------------------------------------------------------------


def test_a_folder_is_judged_as_the_head_that_it_was_saved_as(model, tmp_path, probes):
    model.save_pretrained(tmp_path)
    found = audit(port_of(model), tmp_path, [probes["text"]], power=False)
    assert found.passed
    assert found.reference["head"] == "masked_lm"


def test_an_output_for_which_the_checkpoint_has_no_weights_is_not_judged(model, tmp_path):
    model.save_pretrained(tmp_path)
    with pytest.warns(UserWarning, match="pooler"):
        body = roberta.RobertaModel.from_pretrained(tmp_path, backend="numpy", seed=7)  # another pooler

    def port(input_ids, attention_mask=None, token_type_ids=None):
        return body(input_ids, attention_mask, token_type_ids).numpy()

    found = audit(port, tmp_path, [battery("model", body.config)[0]], head="model", power=False)
    assert found.passed
    assert "pooler_output" in found.findings[0].reason
    assert not audit(port, roberta.RobertaModel(body.config, backend="numpy"), power=False).passed


# -- what cannot be judged ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("candidate", "says"),
    [
        (lambda **_: object(), "mapping of output names to arrays"),
        (lambda **_: np.ones(3), "mapping of output names to arrays"),
        (lambda **_: {"logits": "a text"}, "logits"),
        (lambda **_: {"logits": None}, "logits"),
        (lambda **_: 1 / 0, "ZeroDivisionError"),
        (lambda **_: time.sleep(60), "within 1 s"),
    ],
)
def test_a_candidate_that_gives_no_answer_is_broken_and_the_report_is_written(model, probes, tmp_path, candidate, says):
    found = judged(candidate, model, probes["text"], timeout=1.0)
    assert found.findings[0].status == "broken"
    assert says in found.findings[0].reason
    assert not found.passed
    found.write(tmp_path)
    assert (tmp_path / "report.json").is_file()
    assert says in (tmp_path / "report.md").read_text()


def test_what_a_candidate_cannot_be_asked_is_not_covered_and_no_pass(model, probes):
    found = judged(lambda input_ids: {"logits": model(input_ids).logits}, model, probes["padding on the left"])
    assert found.findings[0].status == "not covered"
    assert "attention_mask" in found.findings[0].reason
    assert not found.passed  # nothing was judged


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"dtype": "fp16"}, ValueError, r"dtype: required one of \['float64'.*got 'fp16'"),
        ({"inputs": np.ones((2, 3))}, TypeError, "inputs: required a mapping .* got ndarray"),
        ({"probes": ["text"]}, TypeError, "probes: required a sequence of"),
        ({"head": "causal_lm"}, ValueError, "head: required 'masked_lm'"),
        ({"head": "nonsense"}, ValueError, r"head: required one of .* got 'nonsense'"),
    ],
)
def test_wrong_arguments_say_what_was_required(model, arguments, error, says):
    with pytest.raises(error, match=says):
        audit(port_of(model), model, **arguments)


def test_what_overflows_is_said_to_overflow_and_not_to_be_wrong():
    config = small_config(hidden_size=32, num_attention_heads=2)
    state = draw_state(parameter_table("masked_lm", config), 0)
    name = "roberta.encoder.layer.0.output.dense.weight"
    model = roberta.RobertaForMaskedLM(config, backend="numpy", state={**state, name: state[name] * 1e6})

    def in_half(input_ids, attention_mask=None, token_type_ids=None):
        output = model(input_ids, attention_mask, token_type_ids, output_hidden_states=True)
        with np.errstate(all="ignore"):
            return {"logits": output.logits * np.float16(np.inf)}

    probe = battery("masked_lm", config)[0]
    found = judged(in_half, model, probe, dtype="float16")
    assert found.findings[0].status == "failed"
    assert "overflows in this precision" in found.findings[0].reason
    assert "overflows" not in judged(in_half, model, probe, dtype="bfloat16").findings[0].reason


# -- runs --------------------------------------------------------------------------------------------------------------


def test_ctrl_c_leaves_what_was_found_and_no_pass(model, probes):
    asked = iter([None, KeyboardInterrupt])

    def stopped(input_ids, attention_mask=None, token_type_ids=None):
        error = next(asked)
        if error:
            raise error
        return port_of(model)(input_ids, attention_mask, token_type_ids)

    found = judged(stopped, model, probes["text"], probes["one token"], probes["batch of five"])
    assert [finding.probe for finding in found.findings] == ["text"]
    assert not found.is_complete
    assert not found.passed


def test_two_audits_are_equal_and_the_second_takes_its_budgets_from_the_cache(model, probes, tmp_path, monkeypatch):
    asked = [probes["text"], probes["called twice"]]
    first = audit(model, model, asked, power=False, cache=tmp_path)
    assert len(list(tmp_path.glob("*.safetensors"))) == 2
    monkeypatch.setattr(keeping, "noisy_runs", lambda *_, **__: pytest.fail("computed again"))
    second = audit(model, model, asked, power=False, cache=tmp_path)
    assert second.findings == first.findings
    assert audit(model, model, asked[:1], power=False, cache=tmp_path).passed


def test_a_cache_is_of_these_weights_inputs_and_precision_alone(model, probes, tmp_path):
    other = roberta.RobertaForMaskedLM(model.config, backend="numpy", seed=9)
    for count, (reference, dtype) in enumerate([(model, "float32"), (model, "bfloat16"), (other, "float32")], 1):
        audit(reference, reference, [probes["one token"]], dtype, power=False, cache=tmp_path)
        assert len(list(tmp_path.glob("*.safetensors"))) == count


def test_decisions_count_what_the_precision_may_flip(model):
    ids = np.array([[0, 5, 6, 2]])
    state = dict(model.state_dict_numpy())
    for name in ("lm_head.decoder.weight", "roberta.embeddings.word_embeddings.weight"):
        state[name] = state[name].copy()
        state[name][7] = state[name][8]  # two words that nobody can tell apart
    for name in ("lm_head.bias", "lm_head.decoder.bias"):
        state[name] = state[name].copy()
        state[name][[7, 8]] = 50.0
    twin = roberta.RobertaForMaskedLM(model.config, backend="numpy", state=state)
    decisions = audit(twin, twin, inputs={"input_ids": ids}, power=False).findings[0].decisions
    assert (decisions.count, decisions.may_flip) == (4, 4)
    decisions = audit(model, model, inputs={"input_ids": ids}, power=False).findings[0].decisions
    assert (decisions.count, decisions.may_flip, decisions.flipped) == (4, 0, 0)


def test_a_probe_of_one_call_is_judged_at_the_whole_rate():
    case = draw_case("token_classification", 2)
    model = roberta.RobertaForTokenClassification(case.config, backend="numpy", state=case.state)
    probe = Probe("case", ("anything",), (Call(case.inputs),))
    strict = audit(model, model, [probe], rate=1e-2, power=False).findings[0].worst
    loose = audit(model, model, [probe], rate=1e-12, power=False).findings[0].worst
    assert strict.ratio > loose.ratio


def test_a_damaged_cache_is_named_and_computed_again(model, probes, tmp_path):
    first = audit(model, model, [probes["no padding"]], power=False, cache=tmp_path)
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:100])
    with pytest.warns(RuntimeWarning, match=r"\.safetensors is damaged, and computed again"):
        again = audit(model, model, [probes["no padding"]], power=False, cache=tmp_path)
    assert again.findings == first.findings
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        audit(model, model, [probes["no padding"]], power=False, cache=tmp_path)


def test_another_noise_model_has_limits_of_its_own(model, probes, tmp_path, monkeypatch):
    audit(model, model, [probes["no padding"]], power=False, cache=tmp_path)
    before = set(tmp_path.iterdir())
    monkeypatch.setattr(keeping, "NOISE_MODEL", -1)
    audit(model, model, [probes["no padding"]], power=False, cache=tmp_path)
    assert len(set(tmp_path.iterdir()) - before) == len(before) > 0


def test_what_was_not_asked_for_is_listed_in_the_order_of_the_answer(model, probes):
    def port(**inputs):
        extra = {f"attentions.{i}": np.zeros(1) for i in (7, 3, 9, 5)}
        return {**model(**inputs).numpy(), **extra}

    finding = audit(port, model, [probes["no padding"]], power=False).findings[0]
    found = [comparison.name for comparison in finding.comparisons if comparison.problem]
    assert found == ["attentions.7", "attentions.3", "attentions.9", "attentions.5"]
