"""Bad input gets one clear error at the boundary, the same on every engine: what was required, what came, where."""

import warnings
from collections import UserDict
from typing import Any

import numpy as np
import pytest
from roberta.dispatch.checks import bind
from roberta.reference.attention import Cache
from roberta.reference.inputs import SIGNATURES
from roberta.reference.parameters import HEADS

B, T, C, E, V, D, H, K, N, M, TYPES, L = 3, 5, 2, 7, 53, 21, 3, 7, 2, 23, 5, 4
IDS = np.arange(2, 2 + B * T).reshape(B, T)
CHOICES = np.stack([IDS, IDS + 1], axis=1)
DECODER = {"is_decoder": True}
CROSS = {"is_decoder": True, "add_cross_attention": True}
STATES = np.ones((B, E, D), np.float32)


def changed(array: Any, index: Any, value: Any) -> np.ndarray:
    copy = np.array(array)
    copy[index] = value
    return copy


def embeds(value: float = 0.5, index: Any = (1, 2, 3)) -> np.ndarray:
    return changed(np.ones((B, T, D), np.float32), index, value)


def cache(B: int = B, H: int = H, P: int = 4, layers: int = N, parts: int = 2, cross: Any = ()) -> Cache:
    return Cache(((*(np.zeros((B, H, P, K), np.float32),) * parts, *cross),) * layers, np.full(B, P))


#: What is wrong -> head, configuration, arguments, error, and parts that the message must have.
BAD: dict[str, tuple[str, dict[str, Any], dict[str, Any], type[Exception], list[str]]] = {
    # -- tokens
    "an id beyond the vocabulary": (
        "masked_lm", {}, {"input_ids": changed(IDS, (1, 3), V)}, ValueError,
        ["input_ids", f"[0, {V})", "vocab_size", f"got {V} at [1, 3]"]),
    "a negative id": (
        "model", {}, {"input_ids": changed(IDS, (2, 0), -1)}, ValueError, ["input_ids", "[0, 53)", "got -1 at [2, 0]"]),
    "ids that are no integers": (
        "model", {}, {"input_ids": IDS.astype(np.float32)}, TypeError,
        ["input_ids", "integers", "shape (3, 5) of float32", ".astype(int)"]),
    "one text without a batch": (
        "model", {}, {"input_ids": IDS[0]}, ValueError,
        ["input_ids", "rank 2, (B, T)", "shape (5,)", "A single text is a batch of one: add an axis"]),
    "ids with too many axes": ("model", {}, {"input_ids": CHOICES}, ValueError, ["rank 2", "shape (3, 2, 5)"]),
    "choices without their axis": (
        "multiple_choice", {}, {"input_ids": IDS}, ValueError, ["input_ids", "rank 3, (B, C, T)", "shape (3, 5)"]),
    "no tokens": ("model", {}, {"input_ids": IDS[:, :0]}, ValueError, ["input_ids", "at least one token", "(3, 0)"]),
    "no choices": (
        "multiple_choice", {}, {"input_ids": CHOICES[:, :0]}, ValueError,
        ["at least one token and choice", "(3, 0, 5)"]),
    "ids and embeddings": (
        "model", {}, {"input_ids": IDS, "inputs_embeds": embeds()}, ValueError,
        ["RobertaModel", "exactly one of input_ids and inputs_embeds", "got both"]),
    "neither ids nor embeddings": (
        "multiple_choice", {}, {"attention_mask": IDS}, ValueError,
        ["RobertaForMultipleChoice", "exactly one", "neither"]),
    "more tokens than positions": (
        "model", {}, {"input_ids": changed(np.full((B, 22), 5), (0, slice(20)), 1)}, ValueError,
        ["input_ids", "at most 21 tokens a row", "23 - 1 - 1", "got 22 in row 1", "truncation=True"]),
    "more embeddings than positions": (
        "model", {}, {"inputs_embeds": np.ones((B, 22, D))}, ValueError,
        ["inputs_embeds", "at most 21", "got 22 in row 0"]),
    "more tokens than positions with the cached ones": (
        "model", DECODER, {"input_ids": IDS, "past_key_values": cache(P=17)}, ValueError,
        ["at most 21", "got 22 in row 0"]),
    "more tokens than distances": (
        "model", {"position_embedding_type": "relative_key"}, {"input_ids": np.full((B, 24), 5)}, ValueError,
        ["max_position_embeddings = 23", "got 24", "Truncate"]),
    "embeddings of another width": (
        "model", {}, {"inputs_embeds": np.ones((B, T, 20))}, ValueError,
        ["inputs_embeds", "last axis D = 21 (hidden_size)", "shape (3, 5, 20)"]),
    "embeddings without a batch": (
        "model", {}, {"inputs_embeds": np.ones((T, D))}, ValueError,
        ["inputs_embeds", "rank 3, (B, T, D)", "shape (5, 21)"]),
    "NaN in embeddings": (
        "model", {}, {"inputs_embeds": embeds(np.nan)}, ValueError, ["inputs_embeds", "finite", "nan at [1, 2, 3]"]),
    "infinity in embeddings": (
        "token_classification", {}, {"inputs_embeds": embeds(-np.inf)}, ValueError,
        ["inputs_embeds", "-inf at [1, 2, 3]"]),
    "embeddings of integers": (
        "model", {}, {"inputs_embeds": np.ones((B, T, D), int)}, TypeError,
        ["inputs_embeds", "floating-point", "int64"]),
    "a token type beyond its table": (
        "model", {}, {"input_ids": IDS, "token_type_ids": changed(IDS * 0, (0, 4), TYPES)}, ValueError,
        ["token_type_ids", "[0, 5)", "type_vocab_size", "got 5 at [0, 4]"]),
    "token types of another shape": (
        "model", {}, {"input_ids": IDS, "token_type_ids": IDS[:, :4]}, ValueError,
        ["token_type_ids", "(B, T) = (3, 5)", "got (3, 4)"]),
    "a position beyond its table": (
        "model", {}, {"input_ids": IDS, "position_ids": changed(IDS, (0, 0), M)}, ValueError,
        ["position_ids", "[0, 23)", "max_position_embeddings", "got 23 at [0, 0]"]),
    "positions of another shape": (
        "model", {}, {"input_ids": IDS, "position_ids": IDS[:2]}, ValueError,
        ["position_ids", "(B, T) = (3, 5) or (1, T) = (1, 5)", "got (2, 5)"]),
    # -- masks
    "a mask of another length": (
        "model", {}, {"input_ids": IDS, "attention_mask": np.ones((B, 9))}, ValueError,
        ["attention_mask", "(B, S) = (3, 5) or (B, T, S) = (3, 5, 5)", "got (3, 9)"]),
    "a mask of another batch": (
        "masked_lm", {}, {"input_ids": IDS[:1], "attention_mask": np.ones((2, T))}, ValueError,
        ["(1, 5)", "got (2, 5)"]),
    "a mask without a batch": (
        "model", {}, {"input_ids": IDS, "attention_mask": np.ones(T)}, ValueError, ["attention_mask", "got (5,)"]),
    "a mask with four axes": (
        "model", {}, {"input_ids": IDS, "attention_mask": np.ones((B, 1, T, T))}, ValueError, ["got (3, 1, 5, 5)"]),
    "a mask of twos": (
        "model", {}, {"input_ids": IDS, "attention_mask": changed(IDS * 0, (1, 1), 2)}, ValueError,
        ["attention_mask", "zeros and ones (1 attend, 0 do not)", "got 2 at [1, 1]"]),
    "a mask of halves": (
        "model", {}, {"input_ids": IDS, "attention_mask": np.full((B, T), 0.5)}, ValueError,
        ["zeros and ones", "0.5 at [0, 0]"]),
    "a mask of choices of another shape": (
        "multiple_choice", {}, {"input_ids": CHOICES, "attention_mask": np.ones((B, T))}, ValueError,
        ["attention_mask", "(B, C, S) = (3, 2, 5)", "got (3, 5)"]),
    "a mask that leaves out the cached tokens": (
        "model", DECODER, {"input_ids": IDS, "attention_mask": np.ones((B, T)), "past_key_values": cache()}, ValueError,
        ["attention_mask", "S = 9", "got 5", "put theirs in front"]),
    "a head mask for other heads": (
        "model", {}, {"input_ids": IDS, "head_mask": np.ones(4)}, ValueError,
        ["head_mask", "(H,) = (3,)", "(N, H) = (2, 3)", "shape (4,)"]),
    "a head mask for other layers": (
        "model", {}, {"input_ids": IDS, "head_mask": np.ones((5, H))}, ValueError, ["(N, H) = (2, 3)", "shape (5, 3)"]),
    "a head mask with three axes": (
        "model", {}, {"input_ids": IDS, "head_mask": np.ones((N, 1, H))}, ValueError, ["head_mask", "shape (2, 1, 3)"]),
    "a full head mask that would enlarge the batch": (
        "model", {}, {"input_ids": IDS[:1], "head_mask": np.ones((N, 4, H, 1, 1))}, ValueError,
        ["head_mask", "(N, B, H, T, S)", "shape (2, 4, 3, 1, 1)"]),
    "NaN in the head mask": (
        "model", {}, {"input_ids": IDS, "head_mask": [1, np.nan, 1]}, ValueError, ["head_mask", "finite", "NaN"]),
    "a head mask where self-attention has fewer heads than cross-attention": (
        "model", {**CROSS, "pruned_heads": {1: [0]}}, {"input_ids": IDS, "head_mask": np.ones(H)}, ValueError,
        ["head_mask", "without cross-attention", "pruned_heads={1: [0]}"]),
    # -- encoder states
    "encoder states that nobody looks at": (
        "model", DECODER, {"input_ids": IDS, "encoder_hidden_states": STATES}, ValueError,
        ["encoder_hidden_states", "add_cross_attention", "it would have no effect"]),
    "encoder states of another width": (
        "causal_lm", CROSS, {"input_ids": IDS, "encoder_hidden_states": STATES[..., :20]}, ValueError,
        ["encoder_hidden_states", "(B, E, D) = (3, E, 21)", "shape (3, 7, 20)"]),
    "encoder states of another batch": (
        "model", CROSS, {"input_ids": IDS, "encoder_hidden_states": STATES[:2]}, ValueError,
        ["(3, E, 21)", "(2, 7, 21)"]),
    "NaN in encoder states": (
        "model", CROSS, {"input_ids": IDS, "encoder_hidden_states": changed(STATES, (0, 0, 0), np.nan)}, ValueError,
        ["encoder_hidden_states", "finite", "nan at [0, 0, 0]"]),
    "encoder states of integers": (
        "model", CROSS, {"input_ids": IDS, "encoder_hidden_states": STATES.astype(int)}, TypeError,
        ["encoder_hidden_states", "floating-point", "int64"]),
    "a mask of encoder states that are not there": (
        "model", CROSS, {"input_ids": IDS, "encoder_attention_mask": np.ones((B, E))}, ValueError,
        ["encoder_attention_mask", "encoder_hidden_states beside it"]),
    "a mask of encoder states of another length": (
        "model", CROSS, {"input_ids": IDS, "encoder_hidden_states": STATES, "encoder_attention_mask": np.ones((B, T))},
        ValueError, ["encoder_attention_mask", "(B, E) = (3, 7) or (B, T, E) = (3, 5, 7)", "got (3, 5)"]),
    # -- cache
    "a cache asked of an encoder": (
        "model", {}, {"input_ids": IDS, "use_cache": True}, ValueError, ["use_cache", "is_decoder=True", "an encoder"]),
    "a cache of other layers": (
        "model", DECODER, {"input_ids": IDS, "past_key_values": cache(layers=3)}, ValueError,
        ["past_key_values", "one entry per layer, N = 2", "got 3"]),
    "a cache of another batch": (
        "model", DECODER, {"input_ids": IDS, "past_key_values": cache(B=2)}, ValueError,
        ["past_key_values[0].key", "(B, H, P, K) = (3, 3, 4, 7)", "got (2, 3, 4, 7)"]),
    "a cache of other heads": (
        "causal_lm", DECODER, {"input_ids": IDS, "past_key_values": cache(H=4)}, ValueError,
        ["(3, 3, 4, 7)", "(3, 4, 4, 7)"]),
    "a cache of three parts": (
        "model", DECODER, {"input_ids": IDS, "past_key_values": cache(parts=3)}, ValueError,
        ["past_key_values[0]", "(key, value, cross_key, cross_value)", "got 3"]),
    "cached cross keys of another batch": (
        "model", CROSS, {"input_ids": IDS, "past_key_values": cache(cross=cache(B=2)[0])},
        ValueError, ["past_key_values[0].cross_key", "(B, H, E, K) = (3, 3, 4, 7)", "got (2, 3, 4, 7)"]),
    # -- labels
    "labels of the bare model": (
        "model", {}, {"input_ids": IDS, "labels": IDS}, TypeError, ["RobertaModel", "unknown argument 'labels'"]),
    "a label beyond the vocabulary": (
        "masked_lm", {}, {"input_ids": IDS, "labels": changed(IDS, (0, 1), V)}, ValueError,
        ["labels", "[0, 53) or -100", "vocab_size", "got 53 at [0, 1]"]),
    "a label of -1": (
        "causal_lm", {}, {"input_ids": IDS, "labels": changed(IDS, (0, 1), -1)}, ValueError,
        ["[0, 53) or -100", "got -1"]),
    "labels of another shape": (
        "masked_lm", {}, {"input_ids": IDS, "labels": IDS[:, 1:]}, ValueError,
        ["labels", "(B, T) = (3, 5)", "got (3, 4)"]),
    "labels that are no integers": (
        "token_classification", {}, {"input_ids": IDS, "labels": IDS * 0.5}, TypeError,
        ["labels", "integers", "float64"]),
    "a label beyond the classes": (
        "token_classification", {"num_labels": L}, {"input_ids": IDS, "labels": np.full((B, T), L)}, ValueError,
        ["labels", "[0, 4) or -100", "num_labels", "got 4 at [0, 0]"]),
    "a label of a text beyond the classes": (
        "sequence_classification", {"num_labels": L}, {"input_ids": IDS, "labels": [0, L, 1]}, ValueError,
        ["labels", "[0, 4) or -100", "got 4 at [1]"]),
    "labels of texts for each token": (
        "sequence_classification", {"num_labels": L}, {"input_ids": IDS, "labels": IDS * 0}, ValueError,
        ["labels", "(B) = (3,)", "got (3, 5)"]),
    "several labels of another count": (
        "sequence_classification", {"num_labels": L}, {"input_ids": IDS, "labels": np.zeros((B, 3))}, ValueError,
        ["labels", "(B, L) = (3, 4)", "got (3, 3)"]),
    "numbers of another count": (
        "sequence_classification", {"num_labels": L, "problem_type": "regression"},
        {"input_ids": IDS, "labels": np.zeros((B, 1))}, ValueError, ["labels", "(B, L) = (3, 4)", "got (3, 1)"]),
    "NaN to regress to": (
        "sequence_classification", {"num_labels": 1}, {"input_ids": IDS, "labels": [0.0, np.nan, 1.0]}, ValueError,
        ["labels", "finite"]),
    "a choice that is not there": (
        "multiple_choice", {}, {"input_ids": CHOICES, "labels": [0, 1, C]}, ValueError,
        ["labels", "[0, 2) or -100", "number of choices", "got 2 at [2]"]),
    "a start without an end": (
        "question_answering", {}, {"input_ids": IDS, "start_positions": [0, 1, 2]}, ValueError,
        ["both start_positions and end_positions", "start_positions alone"]),
    "a negative position": (
        "question_answering", {}, {"input_ids": IDS, "start_positions": [0, 1, 2], "end_positions": [0, -1, 2]},
        ValueError,
        ["end_positions", "or -100", "got -1 at [1]"]),
    "positions of another batch": (
        "question_answering", {}, {"input_ids": IDS, "start_positions": [0, 1], "end_positions": [0, 1]}, ValueError,
        ["start_positions", "(B) = (3,)", "got (2,)"]),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_the_message_says_what_was_required_what_came_and_where(
    case: str, backend: str, make_config: Any, make_model: Any
) -> None:
    head, fields, arguments, kind, parts = BAD[case]
    model = make_model(head, make_config(**fields), backend)
    with pytest.raises(kind) as error:
        model(**arguments)
    assert [part for part in parts if part not in str(error.value)] == [], str(error.value)


@pytest.mark.parametrize(
    "case", ["an id beyond the vocabulary", "a mask of twos", "NaN in embeddings", "a label of -1"]
)
@pytest.mark.parametrize("form", ["list", pytest.param("tensor", marks=pytest.mark.torch)])
def test_lists_and_tensors_are_checked_as_arrays_are(case: str, form: str, make_config: Any, make_model: Any) -> None:
    head, fields, arguments, kind, parts = BAD[case]
    if form == "list":
        converted = {name: value.tolist() for name, value in arguments.items()}
        model = make_model(head, make_config(**fields), "numpy")
    else:
        import torch

        converted = {name: torch.from_numpy(value) for name, value in arguments.items()}
        model = make_model(head, make_config(**fields), "torch")
    with pytest.raises(kind) as error:
        model(**converted)
    assert all(part in str(error.value) for part in parts)


#: What of these only values tell.
HIDDEN = {
    "an id beyond the vocabulary", "a negative id", "more tokens than positions",
    "more tokens than positions with the cached ones", "NaN in embeddings", "infinity in embeddings",
    "a token type beyond its table", "a position beyond its table", "a mask of twos", "a mask of halves",
    "NaN in the head mask", "NaN in encoder states", "a label beyond the vocabulary", "a label of -1",
    "a label beyond the classes", "a label of a text beyond the classes", "NaN to regress to",
    "a choice that is not there", "a negative position",
}  # fmt: skip


class Reached(Exception):  # noqa: N818  # it is none
    """The engine's head has been called."""


def reach(*_: Any) -> None:
    raise Reached


@pytest.mark.parametrize("case", BAD)
def test_while_a_compiler_looks_only_what_values_tell_is_not_seen(
    case: str, make_config: Any, make_model: Any, monkeypatch: Any
) -> None:
    head, fields, arguments, kind, parts = BAD[case]
    model = make_model(head, make_config(**fields), "numpy")
    monkeypatch.setattr(model.engine, "is_tracing", lambda: True)
    monkeypatch.setattr(type(model), "run", reach)
    if case in HIDDEN:
        kind, parts = Reached, []
    with pytest.raises(kind) as error:
        model(**arguments)
    assert [part for part in parts if part not in str(error.value)] == [], str(error.value)


@pytest.mark.parametrize("flag", ["use_cache", "output_attentions", "output_hidden_states", "return_dict"])
@pytest.mark.parametrize("value", ["junk", 1, 0.0, [True], np.array([True])], ids=repr)
@pytest.mark.parametrize("is_tracing", [False, True])
def test_a_flag_is_true_false_or_none(
    flag: str, value: Any, is_tracing: bool, make_config: Any, make_model: Any, monkeypatch: Any
) -> None:
    model = make_model("model", make_config(is_decoder=True), "numpy")
    monkeypatch.setattr(model.engine, "is_tracing", lambda: is_tracing)
    said = rf"{flag}: expected True, False or None, got {type(value).__name__}: .*type {flag}=True"
    with pytest.raises(TypeError, match=said):
        model(IDS, **{flag: value})


@pytest.mark.parametrize("flag", ["use_cache", "output_attentions", "output_hidden_states", "return_dict"])
def test_a_flag_of_numpy_is_one(flag: str, backend: str, make_config: Any, make_model: Any) -> None:
    model = make_model("model", make_config(is_decoder=True, num_hidden_layers=1), backend)
    for value in (True, False):
        one, other = model(IDS, **{flag: np.bool_(value)}), model(IDS, **{flag: value})
        assert type(one) is type(other)
        assert len(one) == len(other)


def test_a_model_that_checks_nothing_says_so_and_does_not(config: Any, make_model: Any) -> None:
    model = make_model("model", config, "numpy")
    model.checks_inputs = False
    model(IDS, token_type_ids=IDS * 0 - 1)  # wraps around in NumPy: what the check is for
    model.checks_inputs = True
    with pytest.raises(ValueError, match="token_type_ids"):
        model(IDS, token_type_ids=IDS * 0 - 1)


# -- arguments ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("head", HEADS)
def test_arguments_bind_by_position_in_the_heads_own_order(head: str) -> None:
    names = SIGNATURES[head]
    assert bind(head, tuple(range(len(names))), {}) == {name: i for i, name in enumerate(names)}


def test_an_argument_that_nobody_knows_is_refused_with_the_nearest() -> None:
    with pytest.raises(
        TypeError, match=r"RobertaForMaskedLM: unknown argument 'atention_mask'. Did you mean 'attention_mask'"
    ):
        bind("masked_lm", (), {"atention_mask": 1})
    with pytest.raises(TypeError, match=r"unknown argument 'zzz'. It takes input_ids, .*return_dict"):
        bind("masked_lm", (), {"zzz": 1})


def test_an_argument_given_twice_and_one_too_many_are_refused() -> None:
    with pytest.raises(TypeError, match="input_ids is given twice, by position and by name"):
        bind("model", (1,), {"input_ids": 1})
    with pytest.raises(TypeError, match="takes at most 13 arguments, got 14"):
        bind("model", tuple(range(14)), {})


@pytest.mark.parametrize("text", ["hello", b"hello", ["hello"], [["hello"]], np.array([["hello"]])], ids=repr)
@pytest.mark.parametrize("is_tracing", [False, True])
def test_texts_are_refused_with_the_tokenizer(
    text: Any, is_tracing: bool, config: Any, make_model: Any, monkeypatch: Any
) -> None:
    model = make_model("model", config, "numpy")
    monkeypatch.setattr(model.engine, "is_tracing", lambda: is_tracing)
    with pytest.raises(
        TypeError, match=r"input_ids: expected an array of numbers, got .*tokenizer\(text, return_tensors"
    ):
        model(text)


@pytest.mark.parametrize("record", [dict, UserDict])
@pytest.mark.parametrize("is_tracing", [False, True])
def test_a_dict_of_arguments_is_refused_with_how_to_give_them(
    record: Any, is_tracing: bool, config: Any, make_model: Any, monkeypatch: Any
) -> None:
    model = make_model("model", config, "numpy")
    monkeypatch.setattr(model.engine, "is_tracing", lambda: is_tracing)
    with pytest.raises(TypeError, match=rf"input_ids: .*got a {record.__name__}.*m\(\*\*inputs\)"):
        model(input_ids=record(input_ids=IDS))


@pytest.mark.parametrize("past", [(), 5, "x", ("x",), (5,), ((), ()), {"a": 1}, [[1, 2], [3, 4]]], ids=repr)
def test_what_is_no_cache_is_refused(past: Any, make_config: Any, make_model: Any) -> None:
    model = make_model("causal_lm", make_config(is_decoder=True), "numpy")
    with pytest.raises(TypeError, match=r"past_key_values: expected the past_key_values of an earlier output, .* got "):
        model(IDS, past_key_values=past)


# -- warnings ----------------------------------------------------------------------------------------------------------


def test_padding_without_a_mask_is_warned_of(backend: str, config: Any, make_model: Any) -> None:
    model = make_model("masked_lm", config, backend)
    padded = changed(IDS, (0, 4), 1)
    with pytest.warns(UserWarning, match=r"hold padding but there is no attention_mask.*\(input_ids != pad_token_id\)"):
        model(padded)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model(padded, attention_mask=padded != 1)


@pytest.mark.parametrize("head", ["sequence_classification", "multiple_choice"])
def test_a_masked_first_token_is_warned_of_where_it_is_the_one_that_is_read(
    head: str, backend: str, config: Any, make_model: Any
) -> None:
    ids = CHOICES if head == "multiple_choice" else IDS
    model = make_model(head, config, backend)
    mask = changed(np.ones_like(ids), (..., 0), 0)
    with pytest.warns(UserWarning, match="reads the first token, which is masked in some rows; pad on the right"):
        model(input_ids=ids, attention_mask=mask)


# -- what is allowed ---------------------------------------------------------------------------------------------------


def test_padding_beyond_the_positions_is_free(backend: str, config: Any, make_model: Any) -> None:
    ids = np.full((1, 40), 1)
    ids[0, :21] = 5
    output = make_model("model", config, backend)(ids, attention_mask=ids != 1)
    assert np.isfinite(output.numpy()["last_hidden_state"]).all()


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint8, bool, np.float32])
def test_masks_of_every_dtype_and_ids_of_every_integer_dtype_are_taken(
    dtype: Any, backend: str, config: Any, make_model: Any
) -> None:
    model = make_model("masked_lm", config, backend)
    mask = changed(np.ones((B, T), int), (0, 4), 0)
    wanted = model(IDS, mask).numpy()["logits"]
    ids = IDS.astype(dtype if np.issubdtype(dtype, np.integer) else np.int64)
    assert np.array_equal(model(ids, mask.astype(dtype)).numpy()["logits"], wanted)


def test_labels_of_every_integer_dtype_are_taken(backend: str, config: Any, make_model: Any) -> None:
    model = make_model("masked_lm", config, backend)
    one, other = (model(IDS, labels=IDS.astype(dtype)).numpy()["loss"] for dtype in (np.int64, np.int32))
    assert np.array_equal(one, other)
