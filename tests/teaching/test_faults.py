"""Every mistake is first seen at its own tap, or it is said why not; an honest engine is seen nowhere."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import roberta
from roberta.dispatch.api import FACES
from roberta.parity.cases import draw_case
from roberta.parity.taped import tap_budgets
from roberta.reference.parameters import HEADS
from roberta.teaching import departures
from roberta.teaching.departures import BROKEN, TapBudgets, first_departure
from roberta.teaching.faults import HONEST, faults_of, record_faults, run_fault
from roberta.teaching.switches import FAULTS

SENTENCE = "He was the eldest <mask> of a clergyman, and had no fortune of his own."
#: Head and what its configuration has: all heads, a decoder, one with an encoder, and both relative positions.
KINDS = {
    **{head: (head, {}) for head in HEADS},
    "decoder": ("causal_lm", {"is_decoder": True}),
    "crossed": ("causal_lm", {"is_decoder": True, "add_cross_attention": True}),
    "relative_key": ("token_classification", {"position_embedding_type": "relative_key"}),
    "relative_key_query": ("masked_lm", {"position_embedding_type": "relative_key_query"}),
}
each_kind = pytest.mark.parametrize("kind", KINDS)
#: What a drawn case, padded on the right, need not show.
HIDDEN_ON_DRAWN = {"padding-counted", "softmax-not-shifted", "one-pass-variance"}
#: What a decoder does not show besides: it does not look at padding on the right, which comes later.
HIDDEN_ON_DECODERS = {"mask-ignored", "mask-added"}


@cache
def drawn(kind: str):
    head, settings = KINDS[kind]
    case = draw_case(head, 5, **settings)
    return FACES[head].on("numpy")(case.config, state=case.state), case.inputs


@cache
def austen():
    tokenizer = roberta.RobertaTokenizer.from_pretrained("austen")
    model = roberta.RobertaForMaskedLM.from_pretrained("austen", backend="numpy")
    return model, {"input_ids": np.array([tokenizer(SENTENCE)["input_ids"]])}


# -- honest engines ----------------------------------------------------------------------------------------------------


@each_kind
def test_an_honest_engine_stays_below_its_budget_at_every_tap(kind):
    model, inputs = drawn(kind)
    ratios = TapBudgets.of(model, inputs).ratios(model.tape(**inputs))
    assert list(ratios) == list(model.tape(**inputs))
    assert max(ratios.values()) < 1
    assert max(ratios.values()) > 0.02  # a budget that nothing comes near says nothing


@pytest.mark.torch
@each_kind
def test_torch_stays_below_its_budget_at_every_tap_that_it_has(kind):
    model, inputs = drawn(kind)
    tape = model.to_backend("torch").tape(**inputs)
    assert 0.02 < max(TapBudgets.of(model, inputs).ratios(tape).values()) < 1


def test_on_austen_an_honest_engine_stays_below_its_budget():
    model, inputs = austen()
    run = run_fault(model, inputs, HONEST)
    assert run.first is None
    assert run.hidden == ""
    assert 0.02 < max(run.ratios.values()) < 1


# -- mistakes ----------------------------------------------------------------------------------------------------------


@each_kind
def test_every_mistake_is_first_seen_at_its_own_tap(kind):
    model, inputs = drawn(kind)
    runs = record_faults(model, inputs)
    assert [run.name for run in runs] == [fault.name for fault in faults_of(model)]
    may_hide = HIDDEN_ON_DRAWN | (HIDDEN_ON_DECODERS if model.config.is_decoder else set())
    for run in runs:
        assert run.name in may_hide or run.first == run.own_tap, run
        assert (run.hidden == "") == (run.first == run.own_tap)
    assert len(runs) >= 18


def test_on_austen_every_mistake_is_first_seen_at_its_own_tap_or_the_sentence_hides_it():
    model, inputs = austen()
    runs = {run.name: run for run in record_faults(model, inputs)}
    hidden = {name for name, run in runs.items() if run.hidden}
    assert hidden == {"padding-counted", "mask-ignored", "mask-added", "softmax-not-shifted", "one-pass-variance"}
    assert "it shows with padding that a token would look at" in runs["mask-ignored"].hidden
    assert len(runs) - len(hidden) >= 18


def test_with_padding_a_mask_that_is_ignored_is_seen():
    model, inputs = austen()
    ids = np.concatenate([inputs["input_ids"], [[1] * 3]], axis=1)
    run = run_fault(model, {"input_ids": ids, "attention_mask": (ids != 1).astype(int)}, "mask-ignored")
    assert (run.first, run.hidden) == ("roberta.encoder.layer.0.attention.self.probs", "")


def test_a_mistake_far_above_its_budget_may_leave_the_words_as_they_are():
    model, inputs = austen()
    right, wrong = (run_fault(model, inputs, name) for name in (HONEST, "tanh-gelu"))
    assert right.outcome["words"][0]["ids"] == wrong.outcome["words"][0]["ids"]
    assert max(wrong.ratios.values()) > 100


def test_every_fault_concerns_some_model_and_is_told_apart():
    seen = {fault.name for kind in KINDS for fault in faults_of(drawn(kind)[0])}
    assert seen == {fault.name for fault in FAULTS}
    assert len({fault.name for fault in FAULTS}) == len({fault.title for fault in FAULTS}) == len(FAULTS) >= 20


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_the_right_line_is_a_line_of_the_spec(fault):
    reference = Path(roberta.__file__).parent / "reference"
    lines = [line.strip() for file in reference.glob("*.py") for line in file.read_text("utf-8").splitlines()]
    assert [line for line in lines if line.partition("  # ")[0] == fault.correct], fault.correct
    assert fault.wrong != fault.correct


# -- what is given and what comes out ----------------------------------------------------------------------------------


@each_kind
def test_a_run_is_json(kind):
    model, inputs = drawn(kind)
    for run in record_faults(model, inputs):
        content = json.loads(json.dumps(asdict(run), allow_nan=False))
        assert list(content["ratios"]) == list(run.ratios)
        assert content["outcome"]


def test_the_words_are_those_of_fill_mask():
    model, inputs = austen()
    tokenizer = roberta.RobertaTokenizer.from_pretrained("austen")
    (words,) = run_fault(model, inputs, HONEST).outcome["words"]
    (fillings,) = roberta.fill_mask(SENTENCE, model, tokenizer)
    assert words["ids"] == [filling.token for filling in fillings]
    assert np.allclose(words["probabilities"], [filling.score for filling in fillings], rtol=1e-5)
    assert (words["row"], words["token"]) == (0, int(np.argwhere(inputs["input_ids"] == 3999)[0, 1]))


def test_words_are_shown_where_they_are_asked_for_or_behind_the_last_real_token():
    model, inputs = austen()
    asked = run_fault(model, {**inputs, "positions": [(0, 2)]}, HONEST)
    assert [word["token"] for word in asked.outcome["words"]] == [2]
    elsewhere = run_fault(model, inputs, HONEST, mask_token_id=int(inputs["input_ids"][0, 3]))
    assert 3 in [word["token"] for word in elsewhere.outcome["words"]]
    ids = np.array([[0, 50, 60, 2, 1, 1]])
    last = run_fault(model, {"input_ids": ids, "attention_mask": (ids != 1).astype(int)}, HONEST)
    assert [word["token"] for word in last.outcome["words"]] == [3]


def test_a_decoder_is_broken_on_its_cache():
    model, inputs = drawn("decoder")
    ids, mask = inputs["input_ids"], inputs["attention_mask"]
    past = model(input_ids=ids[:, :7], attention_mask=mask[:, :7], use_cache=True).past_key_values
    given = {"input_ids": ids[:, 7:], "attention_mask": mask, "past_key_values": past}
    assert run_fault(model, given, HONEST).first is None
    for name in ("positions-off-by-one", "causal-mask", "no-scale"):
        run = run_fault(model, given, name)
        assert run.first == run.own_tap
    shorter = model(input_ids=ids[:, 1:7], attention_mask=mask[:, 1:7], use_cache=True).past_key_values
    other = {**given, "attention_mask": mask[:, 1:], "past_key_values": shorter}
    assert run_fault(model, other, HONEST).first is None


@pytest.mark.torch
def test_a_model_of_another_engine_is_broken_by_its_numpy_twin_as_its_weights_are_now():
    import torch

    model, inputs = drawn("masked_lm")
    other = model.to_backend("torch")
    assert run_fault(other, inputs, "residual") == run_fault(model, inputs, "residual")
    with torch.no_grad():
        other.roberta.encoder.layer[1].output.dense.bias.add_(1.0)
    assert run_fault(other, inputs, HONEST).first is None
    assert TapBudgets.of(model, inputs).ratios(other.tape(**inputs))["roberta.encoder.layer.1.output.dense"] > 1e3


def test_labels_and_lists_are_taken_and_the_model_is_left_as_it_was():
    model, inputs = drawn("masked_lm")
    before = {name: value.copy() for name, value in model.state_dict_numpy().items()}
    listed = {name: value.tolist() for name, value in inputs.items()}
    assert run_fault(model, listed, "kernel-transposed") == run_fault(model, inputs, "kernel-transposed")
    assert all(np.array_equal(value, before[name]) for name, value in model.state_dict_numpy().items())


def test_what_is_unknown_is_refused_with_what_there_is():
    model, inputs = drawn("token_classification")
    with pytest.raises(ValueError, match="did you mean 'tanh-gelu'"):
        run_fault(model, inputs, "tanh-gelus")
    with pytest.raises(ValueError, match="another head or configuration"):
        run_fault(model, inputs, "decoder-bias")
    with pytest.raises(TypeError, match="RobertaForMaskedLM, got dict"):
        run_fault({}, inputs, "tanh-gelu")
    for wrong, error, said in (
        ({"input_ids": [[0, 10**6]]}, ValueError, "input_ids"),
        ({"input_ids": [[5, 6], [7]]}, ValueError, "rows of one length"),
        ({"ids": [[5]]}, TypeError, "unknown argument 'ids'"),
        (SENTENCE, TypeError, "inputs: required the arguments by name.*got str"),
    ):
        with pytest.raises(error, match=said):
            run_fault(model, wrong, "tanh-gelu")


# -- budgets -----------------------------------------------------------------------------------------------------------


def test_budgets_are_derived_once_and_again_when_a_weight_or_an_input_changes(monkeypatch):
    model, inputs = drawn("question_answering")
    model = model.to_backend("numpy")
    derived = []
    monkeypatch.setattr(departures, "_kept", {})
    monkeypatch.setattr(departures, "tap_budgets", lambda *args, **kw: derived.append(1) or tap_budgets(*args, **kw))
    for name in ("tanh-gelu", "residual", HONEST):
        run_fault(model, inputs, name)
    assert len(derived) == 1
    state = {name: value.copy() for name, value in model.state_dict_numpy().items()}
    state["roberta.encoder.layer.1.output.dense.weight"][0, 0] += 1.0
    model.load_state_dict_numpy(state)
    assert run_fault(model, inputs, HONEST).first is None
    assert len(derived) == 2
    changed = inputs["input_ids"].copy()
    changed[0, 0] = 7 if changed[0, 0] != 7 else 8
    assert run_fault(model, {**inputs, "input_ids": changed}, HONEST).first is None
    assert len(derived) == 3
    for token in range(2, 20):
        run_fault(model, {"input_ids": [[token]]}, HONEST)
    assert len(departures._kept) == departures.KEPT


def test_what_cannot_be_compared_is_broken():
    truth = {"a": np.ones((1, 2)), "b": np.zeros((1, 2))}
    budgets = TapBudgets(
        truth, {name: np.full((1, 2), 0.5) for name in truth}, {"a": True, "b": np.array([[True, False]])}
    )
    assert budgets.ratios({"a": np.full((1, 2), np.nan), "b": np.array([[0.25, np.inf]])}) == {"a": BROKEN, "b": 0.5}
    assert budgets.ratios({"a": np.ones(2), "c": np.ones(3)}) == {"a": BROKEN}
    assert first_departure({"a": 1.0, "b": 1.01}) == "b"


def test_a_hidden_probability_is_held_to_its_row():
    model, inputs = drawn("decoder")
    budgets = TapBudgets.of(model, inputs)
    name = "roberta.encoder.layer.0.attention.self.probs"
    row = budgets.limits[name][0, 0, 3]
    assert (budgets.truth[name][0, 0, 3, 4:] == 0).all()
    assert (row[4:] == row[:4].max()).all()
