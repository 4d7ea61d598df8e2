"""Differences of two passes, and what a notebook shows of tapes and records."""

from __future__ import annotations

import numpy as np
import pytest
from roberta import RobertaConfig, RobertaForCausalLM, RobertaModel
from roberta.reference.differences import Summary, differences
from roberta.reference.outputs import MaskedLMOutput
from roberta.reference.taps import Recorder

SIZES = {"hidden_size": 4, "num_attention_heads": 2, "intermediate_size": 4, "vocab_size": 11}
IDS = [[0, 5, 7, 2]]


def test_the_largest_error_is_found_where_it_is():
    ours = np.zeros((2, 3))
    ours[1, 2], ours[0, 0] = -4.0, 3.0
    found = differences({"a": ours}, {"a": np.full((2, 3), 0.5)})["a"]
    assert (found.error, found.index, found.relative, found.ratio) == (4.5, (1, 2), 9.0, None)


def test_with_limits_the_place_is_that_of_the_ratio_and_what_is_not_judged_counts_nothing():
    limits = {"a": np.array([10.0, 1.0, np.inf]), "b": np.array([1.0])}
    found = differences({"a": np.array([5.0, 2.0, 99.0]), "b": [7.0]}, {"a": np.zeros(3), "b": [0.0]}, limits)
    assert (found["a"].ratio, found["a"].index) == (2.0, (1,))
    assert found.first is found["a"]
    assert found.largest is found["b"]
    assert "the first beyond its limit is a" in str(found)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_infinitely_far(wrong):
    found = differences({"a": [1.0, wrong]}, {"a": [1.0, 2.0]}, {"a": 1.0})
    assert (found["a"].error, found["a"].ratio, found.first) == (np.inf, np.inf, found["a"])


def test_the_same_infinity_and_nan_are_no_difference():
    same = np.array([np.nan, np.inf, -np.inf])
    assert differences({"a": same}, {"a": same})["a"].error == 0.0


def test_other_shapes_are_a_difference_and_lonely_names_are_said():
    found = differences({"a": np.zeros(2), "b": np.zeros(1)}, {"a": np.zeros(3), "c": 0.0})
    assert found["a"].error == np.inf
    assert found.missing == ("b", "c")
    assert "shapes (2,) and (3,)" in str(found)
    assert "shapes (2,) and (3,)" in found._repr_html_()


def test_something_else_than_a_tape_is_refused():
    with pytest.raises(TypeError, match=r"other: required a mapping of taps to arrays, such as a tape, got ndarray"):
        Recorder().compare(np.zeros(2))


def test_two_engines_have_their_taps_compared(backend):
    model = RobertaModel(RobertaConfig(num_hidden_layers=1, **SIZES), "numpy")
    found = model.to_backend(backend).tape(input_ids=IDS).compare(model.tape(input_ids=IDS))
    assert 0.0 <= found.largest.error < 1e-5
    assert len(found) > 10


def test_attention_of_a_layer():
    tape = RobertaModel(RobertaConfig(num_hidden_layers=3, **SIZES)).tape(input_ids=IDS)
    assert tape.attention(-1) is tape["encoder.layer.2.attention.self.probs"]
    assert np.allclose(tape.attention(0).sum(-1), 1.0)
    for layer in (3, -4):
        with pytest.raises(IndexError, match=rf"layer: required -3 to 2, as there are 3, got {layer}"):
            tape.attention(layer)
    for layer in ("0", 1.0, True):
        with pytest.raises(TypeError, match="layer: required the number of a layer"):
            tape.attention(layer)
    with pytest.raises(IndexError, match="add_cross_attention"):
        tape.attention(0, cross=True)


def test_cross_attention_of_a_layer():
    config = RobertaConfig(num_hidden_layers=1, is_decoder=True, add_cross_attention=True, **SIZES)
    model = RobertaForCausalLM(config)
    source = np.ones((1, 3, 4), np.float32)
    assert model.tape(input_ids=IDS, encoder_hidden_states=source).attention(0, cross=True).shape == (1, 2, 4, 3)
    with pytest.raises(ValueError, match="give encoder_hidden_states"):
        model.tape(input_ids=IDS).attention(0, cross=True)


@pytest.mark.torch
def test_a_fused_path_says_how_to_get_its_probabilities():
    model = RobertaModel(RobertaConfig(num_hidden_layers=1, **SIZES), "torch")
    with pytest.raises(ValueError, match=r"never computes .*: tape\(output_attentions=True"):
        model.tape(input_ids=IDS).attention(0)
    assert model.tape(input_ids=IDS, output_attentions=True).attention(0).shape == (1, 2, 4, 4)


def test_a_tape_shows_equations_and_is_cut():
    tape = RobertaModel(RobertaConfig(num_hidden_layers=9, **SIZES)).tape(input_ids=IDS)
    tape.missing = ("<b>",)
    html = tape._repr_html_()
    assert "(query key&#x27; + relative terms) / sqrt(K)" in html
    assert "more</em>" in html
    assert "&lt;b&gt;" in html
    assert len(html) < 60_000
    assert len(repr(tape).splitlines()) == len(tape) + 3


def test_a_record_shows_what_it_holds():
    record = MaskedLMOutput(logits=np.full((1, 2, 3), 2.0), hidden_states=(np.zeros(1), np.zeros(1)))
    lines = [line.split() for line in repr(record).splitlines()]
    assert lines[0] == ["MaskedLMOutput"]
    assert lines[2] == ["logits", "(1,", "2,", "3)", "float64", "2", "2", "2"]
    assert [line[0] for line in lines[3:]] == ["hidden_states.0", "hidden_states.1"]
    assert "<td" in record._repr_html_()


def test_summaries_of_nothing_and_of_no_number():
    assert Summary.of(np.zeros((0, 2))).cells == ("(0, 2)", "float64", "", "", "")
    assert Summary.of(np.array([np.nan, 1.0])).cells[2:] == ("nan", "nan", "nan")
