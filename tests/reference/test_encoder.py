"""The layer and the stack, and the cache: a text in pieces is the text in one piece."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from roberta import RobertaConfig
from roberta.dispatch.api import FACES
from roberta.parity.compare import compare_array
from roberta.parity.tolerances import budgets
from roberta.reference.attention import Cache
from roberta.reference.config import POSITION_EMBEDDING_TYPES
from roberta.reference.encoder import collected, feed_forward
from roberta.reference.inputs import Inputs
from roberta.reference.taps import Recorder

B, T, E, D = 2, 7, 5, 21
KINDS = {"decoder": {"is_decoder": True}, "cross": {"is_decoder": True, "add_cross_attention": True}}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=POSITION_EMBEDDING_TYPES)
def decoder(request: pytest.FixtureRequest, kind: str, make_config: Any, make_model: Any) -> Any:
    config = make_config(position_embedding_type=request.param, **KINDS[kind])
    return make_model("model", config, "numpy", dtype="float64")


def texts(kind: str, padding: str = "none", as_embeddings: bool = False) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    ids = rng.integers(2, 53, (B, T))
    inputs: dict[str, Any] = {"input_ids": ids}
    if padding != "none":
        mask = np.ones((B, T), int)
        mask[0, {"left": slice(3), "right": slice(4, None), "middle": slice(2, 4)}[padding]] = 0
        inputs = {"input_ids": np.where(mask == 1, ids, 1), "attention_mask": mask}
    if as_embeddings:
        del inputs["input_ids"]
        inputs["inputs_embeds"] = rng.standard_normal((B, T, D))
    if kind == "cross":
        inputs["encoder_hidden_states"] = rng.standard_normal((B, E, D))
        inputs["encoder_attention_mask"] = (np.arange(E) < [[5], [3]]).astype(int)
    return inputs


def piece(inputs: Mapping[str, Any], start: int, stop: int) -> dict[str, Any]:
    own = {name: inputs[name][:, start:stop] for name in ("input_ids", "inputs_embeds") if name in inputs}
    masks = {"attention_mask": inputs["attention_mask"][:, :stop]} if "attention_mask" in inputs else {}
    return {**inputs, **own, **masks}


def in_pieces(model: Any, inputs: Mapping[str, Any], cuts: tuple[int, ...]) -> np.ndarray:
    past, parts = None, []
    for start, stop in zip((0, *cuts), (*cuts, T), strict=True):
        output = model(**piece(inputs, start, stop), past_key_values=past)
        past = output.past_key_values
        assert past.length == stop
        parts.append(output.last_hidden_state)
    return np.concatenate(parts, axis=1)


def require_the_same(model: Any, inputs: Mapping[str, Any], cuts: tuple[int, ...]) -> None:
    """Equal to the pass without a cache, within what float64 may round, but for masked tokens, which see nobody."""
    budget = budgets(model, {**inputs, "use_cache": False}, "float64")[0]["last_hidden_state"]
    is_read = np.asarray(inputs.get("attention_mask", np.ones((B, T)))) == 1
    got = np.where(is_read[..., None], in_pieces(model, inputs, cuts), budget.truth)
    assert compare_array("last_hidden_state", got, budget).passed


@pytest.mark.parametrize("cut", range(1, T))
def test_a_text_cut_in_two_is_the_text_in_one_piece(decoder: Any, kind: str, cut: int) -> None:
    require_the_same(decoder, texts(kind), (cut,))


@pytest.mark.parametrize("padding", ["left", "right", "middle"])
def test_padding_anywhere_does_not_disturb_the_cache(decoder: Any, kind: str, padding: str) -> None:
    require_the_same(decoder, texts(kind, padding), (2, 5))


def test_embeddings_go_on_at_the_position_where_the_cache_stopped(decoder: Any, kind: str) -> None:
    require_the_same(decoder, texts(kind, as_embeddings=True), (3, 4))


def test_a_text_token_by_token_is_the_text_in_one_piece(decoder: Any, kind: str) -> None:
    require_the_same(decoder, texts(kind, "left"), tuple(range(1, T)))


@settings(max_examples=20)
@given(cuts=st.sets(st.integers(1, T - 1)), seed=st.integers(0, 9))
def test_any_cuts_give_the_text_in_one_piece(cuts: set[int], seed: int) -> None:
    config = RobertaConfig(53, 21, 1, 3, 31, max_position_embeddings=23, is_decoder=True, initializer_range=0.3)
    require_the_same(
        FACES["model"](config, backend="numpy", seed=seed, dtype="float64"), texts("decoder"), tuple(sorted(cuts))
    )


def test_a_causal_token_does_not_see_the_next_ones(decoder: Any, kind: str) -> None:
    inputs = texts(kind)
    changed = {**inputs, "input_ids": inputs["input_ids"].copy()}
    changed["input_ids"][:, 4:] = 2
    one, other = decoder(**inputs).last_hidden_state, decoder(**changed).last_hidden_state
    assert np.array_equal(one[:, :4], other[:, :4])
    assert not np.array_equal(one[:, 4:], other[:, 4:])


def test_later_encoder_states_are_ignored_once_their_keys_are_cached(make_config: Any, make_model: Any) -> None:
    model = make_model("model", make_config(**KINDS["cross"]), "numpy", dtype="float64")
    inputs = texts("cross")
    past = model(**piece(inputs, 0, 3)).past_key_values
    assert [len(layer) for layer in past.layers] == [4, 4]
    rest = {**piece(inputs, 3, T), "past_key_values": past}
    plain = model(**rest).last_hidden_state
    without = {name: value for name, value in rest.items() if name != "encoder_hidden_states"}
    assert np.array_equal(model(**without).last_hidden_state, plain)
    assert np.array_equal(model(**{**rest, "encoder_hidden_states": np.zeros((B, E, D))}).last_hidden_state, plain)


def test_without_encoder_states_a_cross_decoder_is_the_plain_one(make_config: Any, make_state: Any) -> None:
    config = make_config(**KINDS["cross"])
    state = make_state("model", config)
    plain = make_config(**KINDS["decoder"])
    own = {name: value for name, value in state.items() if "crossattention" not in name}
    crossed, alone = (
        FACES["model"](c, backend="numpy", state=s)(**texts("decoder"), output_attentions=True)
        for c, s in ((config, state), (plain, own))
    )
    assert np.array_equal(crossed.last_hidden_state, alone.last_hidden_state)
    assert crossed.cross_attentions is None


def test_a_cache_is_extended_and_never_written_to(make_config: Any, make_model: Any) -> None:
    model = make_model("model", make_config(**KINDS["decoder"]), "numpy")
    inputs = texts("decoder")
    past = model(**piece(inputs, 0, 3)).past_key_values
    parts = [part for layer in past.layers for part in layer]
    before = [part.copy() for part in parts]
    one, again = (model(**piece(inputs, 3, T), past_key_values=past) for _ in range(2))
    assert past.length == 3
    assert all(np.array_equal(part, old) for part, old in zip(parts, before, strict=True))
    assert np.array_equal(one.last_hidden_state, again.last_hidden_state)


# -- layers and stack --------------------------------------------------------------------------------------------------


def test_no_layers_are_the_embeddings(make_config: Any, make_model: Any) -> None:
    model = make_model("model", make_config(num_hidden_layers=0), "numpy")
    output = model([[5, 6, 7]], output_hidden_states=True, output_attentions=True)
    assert len(output.hidden_states) == 1
    assert output.hidden_states[0] is output.last_hidden_state
    assert output.attentions == ()


def test_hidden_states_are_the_embeddings_and_what_every_layer_gives(make_config: Any, make_model: Any) -> None:
    model = make_model("model", make_config(), "numpy")
    tape = model.tape(input_ids=[[5, 6, 7]])
    states = model([[5, 6, 7]], output_hidden_states=True).hidden_states
    names = ["embeddings.LayerNorm.output", *(f"encoder.layer.{i}.output.LayerNorm.output" for i in range(2))]
    assert all(np.array_equal(state, tape[name]) for state, name in zip(states, names, strict=True))


def test_the_feed_forward_layer_is_its_two_dense_layers_and_a_residual(make_config: Any, make_model: Any) -> None:
    from roberta.reference.attention import Context

    model = make_model("model", make_config(hidden_act="relu"), "numpy", dtype="float64")
    p = model.parameters["encoder"]["layer"]["0"]
    x, tape = np.random.default_rng(1).standard_normal((2, 3, D)), Recorder()
    output = feed_forward(x, p, Context(model.config, Inputs()), tape)
    inner = np.maximum(x @ p["intermediate"]["dense"]["weight"].T + p["intermediate"]["dense"]["bias"], 0)
    assert np.array_equal(tape["intermediate.output"], inner)
    assert np.array_equal(
        tape["output.sum"], x + (inner @ p["output"]["dense"]["weight"].T + p["output"]["dense"]["bias"])
    )
    assert np.array_equal(output, tape["output.LayerNorm.output"])


def test_the_pooler_reads_the_first_token_alone(make_config: Any, make_model: Any) -> None:
    model = make_model("model", make_config(num_hidden_layers=0), "numpy")
    one, other = (model(ids).pooler_output for ids in ([[5, 6, 7]], [[5, 9, 8]]))
    assert np.array_equal(one, other)
    assert one.shape == (1, D)
    assert np.abs(one).max() < 1


def test_nothing_is_kept_that_nobody_asks_for() -> None:
    kept = collected(Inputs(), 0, ["embeddings", "last"], [])
    assert kept._asdict() == {
        "last_hidden_state": "last",
        "past_key_values": None,
        "hidden_states": None,
        "attentions": None,
        "cross_attentions": None,
    }


def test_a_cache_counts_real_tokens_only(make_config: Any, make_model: Any) -> None:
    model = make_model("model", make_config(**KINDS["decoder"]), "numpy")
    ids = np.array([[1, 1, 5, 6], [7, 8, 9, 2]])
    first = model(ids, attention_mask=ids != 1).past_key_values
    assert isinstance(first, Cache)
    assert first.token_count.tolist() == [2, 4]
    more = np.concatenate([ids != 1, np.ones((2, 1), bool)], axis=1)
    assert model([[3], [1]], attention_mask=more, past_key_values=first).past_key_values.token_count.tolist() == [3, 4]
