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


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("probs", "did you mean 'a.probs'"),
        ("a.prob", "did you mean 'a.probs'"),
        ("zzz", r"list\(tape\) has their names"),
    ],
)
def test_a_name_that_a_tape_does_not_have(name: str, remedy: str) -> None:
    tape = Recorder()
    tape("a.probs", 7)
    with pytest.raises(KeyError, match=f"tape: required one of the 1 values of this pass, got '{name}'; {remedy}"):
        tape[name]
    assert name not in tape
    assert tape.get(name) is None


def test_a_recorder_shows_names_shapes_and_what_is_missing() -> None:
    tape = Recorder()
    tape("lm_head.logits", np.zeros((2, 3)))
    tape.missing = ("roberta.probs",)
    lines = repr(tape).splitlines()
    assert lines[0] == "tape of 1 value"
    assert lines[2].split() == ["lm_head.logits", "(2,", "3)", "float64", "0", "0", "0"]
    assert lines[3].split() == ["roberta.probs", "never", "computed"]


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


# -- shapes ------------------------------------------------------------------------------------------------------------

#: Every letter another prime. S are, in a pass on a cache, its tokens and those of the call.
SIZES = {"B": 11, "C": 2, "T": 17, "S": 19, "E": 23, "H": 5, "H'": 3, "K": 7, "F": 31, "V": 53, "L": 13, "1": 1, "2": 2}
SIZES |= {"D": 35, "HK": 35, "H'K": 21, "BC": 22}
CROSS = {"is_decoder": True, "add_cross_attention": True}
VARIANTS: dict[str, dict[str, Any]] = {
    "encoder": {},
    "decoder": {"is_decoder": True},
    "cross": CROSS,
    "relative_key": {"position_embedding_type": "relative_key"},
    "relative_key_query": {"position_embedding_type": "relative_key_query"},
    "pruned": {"pruned_heads": {1: [0, 3]}},
    "pruned-cross": {**CROSS, "pruned_heads": {1: [0, 3]}},
    "cached": {"is_decoder": True, "position_embedding_type": "relative_key_query"},
    "cached-cross": {**CROSS, "pruned_heads": {1: [0, 3]}},
}
#: Those that not every head has.
ONLY = {
    "cross": {"model", "causal_lm", "masked_lm"},
    "pruned-cross": {"model", "causal_lm", "masked_lm"},
    "cached": {"model", "causal_lm"},
    "cached-cross": {"model", "causal_lm"},
}
CASES = [(head, variant) for head in HEADS for variant in VARIANTS if head in ONLY.get(variant, HEADS)]
#: For the other engines, whose every path is compared with the spec's elsewhere.
FEW = [*((head, "encoder") for head in HEADS), ("masked_lm", "pruned-cross"), ("causal_lm", "cached-cross")]


def sized(head: str, variant: str) -> RobertaConfig:
    names = {"F": "intermediate_size", "V": "vocab_size", "H": "num_attention_heads", "D": "hidden_size"}
    labels = {} if head == "question_answering" else {"num_labels": SIZES["L"]}
    sizes = {name: SIZES[letter] for letter, name in names.items()}
    layers = {"num_hidden_layers": 2, "max_position_embeddings": 43, "type_vocab_size": 3}
    return RobertaConfig(**sizes, **layers, **labels, **VARIANTS[variant])


def passes(model: Any, variant: str) -> list[tuple[Any, dict[str, int]]]:
    """The tapes of one case, each with the sizes of its letters: of a cached one, both passes."""
    rng, T, S = np.random.default_rng(0), SIZES["T"], SIZES["S"]
    rows = (SIZES["B"], SIZES["C"]) if model.head == "multiple_choice" else (SIZES["B"],)
    ids = rng.integers(2, SIZES["V"], (*rows, S))
    given: dict[str, Any] = {"output_attentions": True}
    if "cross" in variant:
        given["encoder_hidden_states"] = rng.standard_normal((SIZES["B"], SIZES["E"], SIZES["D"])).astype(np.float32)
    if not variant.startswith("cached"):
        return [(model.tape(input_ids=ids[..., :T], **given), {**SIZES, "S": T})]
    first = model.tape(input_ids=ids[:, : S - T], **given)
    second = model.tape(input_ids=ids[:, S - T :], past_key_values=first.output.past_key_values, **given)
    return [(first, {**SIZES, "T": S - T, "S": S - T}), (second, SIZES)]


def require_axes(tape: Any, config: RobertaConfig, head: str, sizes: dict[str, int]) -> None:
    listed = symbols(head, config)
    declared = {name: tuple(sizes[axis] for axis in listed[name].axes.split()) for name in tape}
    assert {name: tuple(value.shape) for name, value in tape.items()} == declared


@pytest.mark.parametrize(("head", "variant"), CASES)
def test_every_declared_shape_is_that_of_the_value(head: str, variant: str, make_model: Any) -> None:
    config = sized(head, variant)
    tapes = passes(make_model(head, config, "numpy"), variant)
    for n, (tape, sizes) in enumerate(tapes):
        require_axes(tape, config, head, sizes)
        is_cached = n == 1 and "cross" in variant  # the encoder's keys and values are those of the first pass
        unseen = {"key", "value"} if is_cached else set[str]()
        assert {name.rpartition(".")[2] for name in tape.missing} == unseen
        assert all("crossattention.self" in name for name in tape.missing)


@pytest.mark.parametrize(("head", "variant"), FEW)
def test_every_declared_shape_is_that_of_an_engines_value(
    head: str, variant: str, backend: str, make_model: Any
) -> None:
    config = sized(head, variant)
    for tape, sizes in passes(make_model(head, config, backend), variant):
        require_axes(tape, config, head, sizes)
        assert len(tape) > 10
