from typing import Any

import numpy as np
import pytest
from roberta import RobertaConfig
from roberta.reference.parameters import HEADS
from roberta.reference.taps import Recorder, replacing, scope, silent, symbols


def test_a_silent_tap_stays_silent_and_costs_no_closure() -> None:
    assert scope(scope(silent, "a"), "b") is silent


def test_a_scope_prefixes_the_path() -> None:
    tape = Recorder()
    value = scope(scope(tape, "encoder"), "layer.3")("scores", 7)
    assert (value, dict(tape), len(tape)) == (7, {"encoder.layer.3.scores": 7}, 1)


def test_a_recorder_shows_names_shapes_and_what_is_missing() -> None:
    tape = Recorder()
    tape("lm_head.logits", np.zeros((2, 3)))
    tape.missing = ("roberta.probs",)
    lines = repr(tape).splitlines()
    assert lines[0] == "tape of 1 values"
    assert lines[1].split() == ["lm_head.logits", "(2,", "3)"]
    assert lines[2].split() == ["roberta.probs", "never", "materialised"]


def test_replacing_changes_what_is_listed_and_nothing_else() -> None:
    tap = replacing({"probs": lambda probs: probs * 0})
    assert tap("probs", 3.0) == 0.0
    assert tap("scores", 3.0) == 3.0


def test_a_replaced_value_is_what_the_model_goes_on_with(make_model: Any, make_config: Any) -> None:
    model = make_model("masked_lm", make_config(), "numpy")
    ids = np.array([[5, 6, 7]])
    other = model.tape(input_ids=ids[:, ::-1])
    name = "roberta.encoder.layer.1.output.LayerNorm.output"
    replayed = model._call((ids,), {}, replacing({name: lambda _: other[name]}))
    assert np.array_equal(replayed.logits, other["lm_head.logits"])


@pytest.mark.parametrize("head", HEADS)
def test_names_are_paths_of_the_checkpoint_and_each_comes_once(head: str) -> None:
    table = symbols(head, RobertaConfig(num_hidden_layers=2, is_decoder=True, add_cross_attention=True))
    assert all(symbol.path and symbol.axes and symbol.equation for symbol in table.values())
    body = [name for name in table if "encoder.layer.1." in name]
    assert len(body) == len(set(body)) == 12 + 12 + 9  # self-attention, cross-attention, feed-forward
    assert all(name.startswith("roberta.") == (head != "model") for name in body)


def test_only_an_exact_gelu_has_an_error_function() -> None:
    for activation, wanted in (("gelu", True), ("gelu_10", True), ("relu", False), ("gelu_new", False)):
        table = symbols("model", RobertaConfig(num_hidden_layers=1, hidden_act=activation))
        assert ("encoder.layer.0.intermediate.erf" in table) == wanted


def test_a_model_without_a_pooler_has_no_pooler_symbols() -> None:
    config = RobertaConfig(num_hidden_layers=0)
    assert "pooler.output" in symbols("model", config)
    assert "pooler.output" not in symbols("model", config, add_pooling_layer=False)
