"""What can be asked, and what comes back: every kind of thing is recognised, every kind of nonsense is refused."""

import functools
import sys
import threading
import time
from collections import namedtuple
from dataclasses import dataclass, field

import ml_dtypes
import numpy as np
import pytest
import roberta
from roberta.parity.candidates import Candidate, CandidateError, Capabilities, answered, as_candidate, padding_of
from roberta.parity.cases import draw_case, small_config
from roberta.reference.attention import Cache

INPUTS = {"input_ids": np.arange(6).reshape(2, 3), "attention_mask": np.ones((2, 3), int)}


def ask(function, inputs=INPUTS, timeout=None):
    return answered(as_candidate(function), inputs, timeout)


def returning(output):
    return lambda **inputs: output


# -- what is accepted --------------------------------------------------------------------------------------------------


@dataclass
class Own:
    name: str = "own"
    capabilities: Capabilities = field(default_factory=lambda: Capabilities(frozenset({"input_ids"})))

    def __call__(self, **inputs):
        return {"logits": np.zeros(2)}

    def taps(self, inputs):
        return {}

    def with_weights(self, state):
        return self

    def describe(self):
        return {}


def test_a_candidate_stays_what_it_is_and_a_name_given_here_is_not_written_into_it():
    own = Own()
    named = as_candidate(own, name="other", capabilities=Capabilities(frozenset({"inputs_embeds"})))
    assert as_candidate(own) is own
    assert (named.name, named.capabilities.inputs) == ("other", {"inputs_embeds"})
    assert (own.name, own.capabilities.inputs) == ("own", {"input_ids"})


def test_a_function_is_asked_what_its_signature_names():
    def port(input_ids, attention_mask=None, *, temperature=1.0, **ignored):
        return {}

    assert as_candidate(port).capabilities.inputs == {"input_ids", "attention_mask"}
    bound = functools.partial(port, attention_mask=np.ones(3))
    assert as_candidate(bound).capabilities.inputs == {"input_ids"}
    assert as_candidate(bound).name == "port"


def test_a_function_of_any_keyword_is_asked_everything_that_the_head_has():
    def port(**inputs):
        return {}

    model = roberta.RobertaForQuestionAnswering(small_config(), backend="numpy")
    assert {"labels", "start_positions"} <= as_candidate(port).capabilities.inputs
    assert "labels" not in as_candidate(port, reference=model).capabilities.inputs
    assert "start_positions" in as_candidate(port, reference=model).capabilities.inputs


@pytest.mark.parametrize("function", [lambda ids: {}, lambda ids, /: {}, lambda input_ids, /: {}])
def test_a_function_that_needs_what_hf_does_not_have_is_refused(function):
    with pytest.raises(TypeError, match=r"required arguments that HF has, by name, got '(input_)?ids'.*input_ids"):
        as_candidate(function)


def test_something_to_import_is_found_in_the_current_folder(tmp_path, monkeypatch):
    (tmp_path / "ported_model.py").write_text(
        "class Port:\n    def run(self, input_ids):\n        return {}\nport = Port()\n"
    )
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    candidate = as_candidate("ported_model:port.run")
    assert (candidate.name, candidate.capabilities.inputs) == ("ported_model:port.run", {"input_ids"})
    assert sys.path == before
    with pytest.raises(AttributeError, match=r"required 'rum' in ported_model, got nothing of that name; it has Port"):
        as_candidate("ported_model:rum")
    with pytest.raises(ModuleNotFoundError, match=r"required the module of 'no_such_module:x'.*install it"):
        as_candidate("no_such_module:x")


@pytest.mark.parametrize("thing", [3, None, np.ones(3), {"logits": 1}, Own, ["ls", 3], "austen", "a b:c"])
def test_anything_else_is_refused_and_told_what_is_accepted(thing):
    with pytest.raises(TypeError, match=r"required something that can be asked, got .*Accepted: a Candidate; .*\.onnx"):
        as_candidate(thing)


def test_a_folder_that_is_no_converted_model_is_told_so(tmp_path):
    with pytest.raises(TypeError, match="This folder is no CTranslate2 model: load it first"):
        as_candidate(tmp_path)


def test_a_model_on_numpy_has_taps_and_takes_weights():
    case, other = draw_case("masked_lm", 1), draw_case("masked_lm", 2)
    model = roberta.RobertaForMaskedLM(case.config, backend="numpy", state=case.state)
    candidate = as_candidate(model)
    assert isinstance(candidate, Candidate)
    assert {"labels", "output_attentions"} <= candidate.capabilities.inputs
    assert not {"past_key_values", "encoder_hidden_states", "return_dict"} & candidate.capabilities.inputs
    found = answered(candidate, case.inputs)
    np.testing.assert_array_equal(found["logits"], model(**case.inputs).logits)
    taps = candidate.taps(case.inputs)
    np.testing.assert_array_equal(taps["lm_head.logits"], found["logits"])
    again = candidate.with_weights(other.state)
    expected = roberta.RobertaForMaskedLM(case.config, backend="numpy", state=other.state)(**case.inputs).logits
    np.testing.assert_array_equal(answered(again, case.inputs)["logits"], expected)
    np.testing.assert_array_equal(answered(candidate, case.inputs)["logits"], found["logits"])


def test_kinds_without_taps_and_weights_say_so():
    candidate = as_candidate(lambda input_ids: {})
    with pytest.raises(CandidateError, match="required a candidate with taps, got a function"):
        candidate.taps(INPUTS)
    with pytest.raises(CandidateError, match="required a candidate that takes weights, got a function"):
        candidate.with_weights({})


def test_a_function_is_described_by_its_file():
    described = as_candidate(returning({})).describe()
    assert described["kind"] == "function"
    assert len(described["sha256"]["test_candidates.py"]) == 64


# -- what it can be asked ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("capabilities", "inputs", "refusal"),
    [
        ({}, INPUTS, ""),
        ({}, {**INPUTS, "labels": None}, ""),
        ({}, {**INPUTS, "labels": np.ones(2)}, "it takes no labels"),
        ({"longest": 3}, INPUTS, ""),
        ({"longest": 2}, INPUTS, "it takes at most 2 tokens, not 3"),
        ({"longest": 2}, {"inputs_embeds": np.ones((2, 3, 5))}, "it takes at most 2 tokens, not 3"),
        ({"longest": 5}, {"inputs_embeds": np.ones((2, 3, 7))}, ""),
        ({"batches": frozenset({1, 4})}, INPUTS, "it takes batches of 1, 4, not of 2"),
        ({"paddings": frozenset({"none", "right"})}, {**INPUTS, "attention_mask": np.array([[1, 1, 0]] * 2)}, ""),
        (
            {"paddings": frozenset({"none", "right"})},
            {**INPUTS, "attention_mask": np.array([[0, 1, 1]] * 2)},
            "its masks hide tokens at none, right only, not at left",
        ),
    ],
)
def test_what_a_candidate_cannot_be_asked_has_a_reason(capabilities, inputs, refusal):
    names = frozenset({"input_ids", "inputs_embeds", "attention_mask"})
    assert Capabilities(names, **capabilities).refusal(inputs) == refusal


@pytest.mark.parametrize(
    ("mask", "padding"),
    [
        ([[1, 1, 1], [1, 1, 1]], "none"),
        ([[1, 1, 1], [1, 1, 0]], "right"),
        ([[1, 1, 0], [0, 1, 1]], "left"),
        ([[1, 0, 1], [0, 1, 1]], "inner"),
        ([[1, 0, 1], [0, 0, 0]], "whole row"),
        (np.ones((2, 3, 3)), "by token"),
    ],
)
def test_padding_is_named_by_the_row_that_is_hardest(mask, padding):
    assert padding_of(np.array(mask)) == padding


def test_a_mask_of_multiple_choice_is_one_of_rows():
    assert padding_of(np.ones((2, 2, 3)), rank=3) == "none"


# -- what comes back ---------------------------------------------------------------------------------------------------


class Unreadable:
    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("on another machine")


Record = namedtuple("Record", ["logits"])


@dataclass
class Answer:
    logits: object


@pytest.mark.parametrize(
    "output",
    [{"logits": np.eye(2)}, Record(np.eye(2)), Answer(np.eye(2)), {"logits": np.eye(2, dtype=ml_dtypes.bfloat16)}],
)
def test_mappings_and_records_are_answers(output):
    found = ask(returning(output))
    assert list(found) == ["logits"]
    np.testing.assert_array_equal(found["logits"], np.eye(2))


def test_tuples_of_arrays_are_numbered():
    assert list(ask(returning({"attentions": (np.ones(1), np.ones(1))}))) == ["attentions.0", "attentions.1"]


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (np.eye(2), r'required a mapping of output names to arrays, got ndarray; return \{"logits": array\}'),
        ((np.eye(2), np.eye(2)), "required a mapping of output names to arrays, got tuple"),
        (None, "required a mapping of output names to arrays, got NoneType"),
        ("yes", "required a mapping of output names to arrays, got str"),
        ({0: np.eye(2)}, r"required a mapping of output names to arrays, got dict with the keys \[0\]"),
        ({"logits": "yes"}, "logits: required an array of numbers, got str: yes"),
        ({"logits": None}, "logits: required an array of numbers, got NoneType.*leave out"),
        ({"logits": object()}, "logits: required an array of numbers, got object"),
        ({"logits": np.array(["a"])}, "logits: required an array of numbers, got <U1"),
        ({"logits": np.eye(2) * 1j}, "logits: required an array of numbers, got complex128"),
        ({"logits": [[1.0, 2.0]]}, r"logits\.0: required an array, got a list of float; return np.asarray"),
        ({"hidden_states": (np.eye(2), None)}, r"hidden_states\.1: required an array of numbers, got NoneType"),
        ({"logits": {"a": np.eye(2)}}, "logits: required an array of numbers, got dict"),
        ({"logits": Unreadable()}, r"required arrays of numbers, got what cannot be read as such \(on another"),
    ],
)  # fmt: skip
def test_what_is_no_named_array_of_numbers_is_refused_in_a_sentence(output, message):
    with pytest.raises(CandidateError, match=message):
        ask(returning(output))


@pytest.mark.parametrize("timeout", [None, 5.0])
@pytest.mark.parametrize("error", [ValueError("seven"), KeyError("seven"), SystemExit("seven")])
def test_a_candidate_that_raises_is_told_what_where_and_for_which_inputs(error, timeout):
    def port(input_ids, attention_mask):
        raise error

    message = (
        rf"port: required an answer, got {type(error).__name__}: .?seven.*test_candidates\.py, line \d+, in port\)"
    )
    with pytest.raises(CandidateError, match=rf"{message}.*input_ids: int64\[2, 3\]") as caught:
        ask(port, timeout=timeout)
    assert caught.value.__cause__ is error


def test_a_candidate_that_hangs_is_given_up():
    is_over = threading.Event()

    def port(input_ids, attention_mask):
        is_over.wait(30)
        return {"logits": np.ones(1)}

    start = time.monotonic()
    with pytest.raises(CandidateError, match=r"port: required an answer within 0\.2 s, got none; .*timeout="):
        ask(port, timeout=0.2)
    is_over.set()
    assert time.monotonic() - start < 5


def test_a_candidate_in_time_is_answered_in_a_thread_with_the_same_context():
    def port(input_ids, attention_mask):
        return {"logits": np.array(roberta.get_default_backend() == "torch")}

    with roberta.use_backend("torch"):
        assert ask(port, timeout=5.0)["logits"]


def test_a_candidate_that_changes_its_inputs_is_noticed_and_the_inputs_are_unharmed():
    def port(input_ids, attention_mask):
        input_ids += 1
        return {"logits": np.ones(1)}

    with pytest.raises(CandidateError, match="required to leave its inputs as they are, but it changed input_ids"):
        ask(port)
    np.testing.assert_array_equal(INPUTS["input_ids"], np.arange(6).reshape(2, 3))


def test_a_nan_among_the_inputs_is_no_change():
    assert ask(lambda inputs_embeds: {"logits": inputs_embeds}, {"inputs_embeds": np.array([np.nan])})


def test_a_candidate_that_uses_its_buffer_again_is_noticed():
    buffer = np.zeros(3)

    def port(input_ids):
        buffer[:] = input_ids[0]
        return {"logits": buffer}

    candidate = as_candidate(port)
    answered(candidate, {"input_ids": np.array([[1, 2, 3]])})
    with pytest.raises(CandidateError, match=r"this call changed the logits that the call before had returned.*copy"):
        answered(candidate, {"input_ids": np.array([[4, 5, 6]])})


def test_what_is_answered_is_ones_own():
    kept = np.zeros(3)
    first = ask(returning({"logits": kept}))
    kept[0] = 7
    assert first["logits"][0] == 0


def test_lists_go_in_as_arrays():
    found = ask(lambda input_ids: {"logits": input_ids.astype(float)}, {"input_ids": [[1, 2, 3]]})
    np.testing.assert_array_equal(found["logits"], [[1.0, 2.0, 3.0]])


def test_a_cache_goes_in_as_copies_and_flags_as_they_are():
    seen = {}

    def port(input_ids, past_key_values, use_cache):
        seen.update(past=past_key_values, flag=use_cache)
        return {"logits": np.ones(1)}

    past = ((np.ones(1), np.ones(1)),)
    ask(port, {"input_ids": np.ones((1, 1)), "past_key_values": past, "use_cache": True})
    assert seen["flag"] is True
    assert seen["past"][0][0] is not past[0][0]
    assert seen["past"] == past
    ask(port, {"input_ids": np.ones((1, 1)), "past_key_values": Cache(past, np.ones(1)), "use_cache": True})
    assert seen["past"] == past
