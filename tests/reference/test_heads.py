"""All seven heads: dtypes, taps, and relations that must hold whatever the weights are."""

from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np
import pytest
from roberta.dispatch.api import FACES
from roberta.parity.cases import draw_inputs
from roberta.parity.compare import compare_array
from roberta.parity.tolerances import budgets, flat_outputs
from roberta.reference.inputs import SIGNATURES
from roberta.reference.layers import ACTIVATIONS
from roberta.reference.parameters import HEADS
from roberta.reference.taps import symbols

POSITIONS = ("absolute", "relative_key", "relative_key_query")
KINDS = {"encoder": {}, "decoder": {"is_decoder": True}, "cross": {"is_decoder": True, "add_cross_attention": True}}
CASES = [
    (head, position, kind)
    for head, position, kind in product(HEADS, POSITIONS, KINDS)
    if kind != "cross" or "encoder_hidden_states" in SIGNATURES[head]
]
CASE = pytest.mark.parametrize("case", CASES, ids="-".join)
HEAD = pytest.mark.parametrize("head", HEADS)
B, T, C, E = 3, 11, 2, 7


@pytest.fixture
def model_of(make_config: Any, make_model: Any) -> Any:
    def model_of(
        head: str, position: str = "absolute", kind: str = "encoder", dtype: str = "float64", **more: Any
    ) -> Any:
        labels = {} if head == "question_answering" else {"num_labels": 13}
        config = make_config(position_embedding_type=position, **KINDS[kind], **labels, **more)
        return make_model(head, config, "numpy", dtype=dtype)

    return model_of


def inputs_of(model: Any, padding: str = "right", has_labels: bool = True) -> dict[str, Any]:
    drawn = draw_inputs(model.head, model.config, seed=0, padding=padding, length=T)
    is_label = {"labels", "start_positions", "end_positions"}
    return {n: v for n, v in drawn.items() if n in SIGNATURES[model.head] and (has_labels or n not in is_label)}


def rows(inputs: Mapping[str, Any], order: Any) -> dict[str, Any]:
    return {name: value[order] for name, value in inputs.items()}


# -- dtypes and taps ---------------------------------------------------------------------------------------------------


@CASE
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_tap_and_output_has_the_dtype_of_the_parameters(model_of: Any, case: Any, dtype: str) -> None:
    model = model_of(*case, dtype=dtype)
    asked = {"output_attentions": True, "output_hidden_states": True}
    inputs = {**inputs_of(model), "head_mask": [[1, 0, 1], [1, 1, 0]]}
    for given in (inputs, inputs_of(model, has_labels=False)):
        found = {**model.tape(**given), **flat_outputs(model(**given, **asked))}
        found = {name: value for name, value in found.items() if not name.endswith("token_count")}
        assert {name: str(value.dtype) for name, value in found.items() if str(value.dtype) != dtype} == {}


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_no_activation_changes_the_dtype_on_its_way_through_a_model(model_of: Any, activation: str, dtype: str) -> None:
    model = model_of("model", dtype=dtype, hidden_act=activation)
    assert {str(value.dtype) for value in model.tape(**inputs_of(model)).values()} == {dtype}


@CASE
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dropout_changes_no_dtype(model_of: Any, case: Any, dtype: str) -> None:
    model = model_of(*case, dtype=dtype).train()
    output = model(**inputs_of(model))
    assert {str(value.dtype) for value in flat_outputs(output).values()} == {dtype}


@CASE
def test_a_pass_computes_exactly_the_listed_quantities_in_their_order_and_shapes(model_of: Any, case: Any) -> None:
    model = model_of(*case)
    inputs = inputs_of(model)
    tape, listed = model.tape(**inputs), symbols(model.head, model.config)
    assert list(tape) == list(listed)
    assert tape.missing == ()
    sizes = {"B": B, "T": T, "S": T, "E": E, "D": 21, "H": 3, "K": 7, "F": 31, "V": 53, "L": 13, "1": 1, "2": 2}
    sizes |= {"BC": B * C, "HK": 21}
    for name, symbol in listed.items():
        assert tape[name].shape == tuple(sizes[axis] for axis in symbol.axes.split()), name


# -- purity ------------------------------------------------------------------------------------------------------------


@CASE
def test_nothing_is_written_to_what_comes_in(model_of: Any, case: Any) -> None:
    model = model_of(*case)
    inputs = {**inputs_of(model), "head_mask": np.ones((2, 3))}
    for array in inputs.values():
        array.flags.writeable = False
    assert not any(value.flags.writeable for value in model.state_dict_numpy().values())
    model.tape(**inputs)
    model.train()(**inputs)


@CASE
def test_the_same_call_gives_the_same_to_the_bit(model_of: Any, case: Any) -> None:
    model = model_of(*case)
    one, again = (flat_outputs(model(**inputs_of(model))) for _ in range(2))
    assert all(np.array_equal(one[name], again[name]) for name in one)


@HEAD
def test_dropout_is_drawn_from_the_models_generator_and_off_after_eval(model_of: Any, head: str) -> None:
    model = model_of(head)
    inputs = inputs_of(model, has_labels=False)
    plain = model(**inputs)[0]
    model.train()
    model.rng = np.random.default_rng(5)
    one, other = model(**inputs)[0], model(**inputs)[0]
    model.rng = np.random.default_rng(5)
    assert np.array_equal(model(**inputs)[0], one)
    assert not np.array_equal(one, other)
    assert not np.array_equal(one, plain)
    assert np.array_equal(model.eval()(**inputs)[0], plain)


# -- relations ---------------------------------------------------------------------------------------------------------


@CASE
def test_rows_in_another_order_give_the_same_rows_in_that_order(model_of: Any, case: Any) -> None:
    model, order = model_of(*case), np.array([2, 0, 1])
    inputs = inputs_of(model, has_labels=False)
    wanted, _ = budgets(model, inputs, "float64")
    got = flat_outputs(model(**rows(inputs, order)))
    back = np.argsort(order)
    for name, budget in wanted.items():
        assert compare_array(name, got[name][back], budget).passed, name


@CASE
def test_padding_on_the_right_changes_no_real_token(model_of: Any, case: Any) -> None:
    model = model_of(*case)
    padded = inputs_of(model, padding="none", has_labels=False)
    for name, filling in (("input_ids", 1), ("attention_mask", 0), ("token_type_ids", 3)):
        padded[name] = np.concatenate([padded[name], np.full((*padded[name].shape[:-1], 4), filling)], axis=-1)
    short = inputs_of(model, padding="none", has_labels=False)
    wanted, _ = budgets(
        model, {**short, "use_cache": False} if model.head in {"model", "causal_lm"} else short, "float64"
    )
    got = flat_outputs(model(**padded))
    for name, budget in wanted.items():
        is_by_token = budget.truth.shape[:2] == (B, T)
        own = got[name][:, :T] if is_by_token else got[name]
        assert compare_array(name, own, budget).passed, name


@HEAD
@pytest.mark.parametrize("padding", ["right", "left", "inner"])
@pytest.mark.filterwarnings("ignore:.*reads the first token, which is masked")
def test_a_mask_with_two_axes_is_the_broadcast_one_with_three(model_of: Any, head: str, padding: str) -> None:
    model = model_of(head)
    inputs = inputs_of(model, padding, has_labels=False)
    mask = inputs["attention_mask"]
    wide = np.repeat(mask[..., None, :], T, axis=-2)
    assert np.array_equal(model(**inputs)[0], model(**{**inputs, "attention_mask": wide})[0])


@pytest.mark.parametrize("head", ["model", "causal_lm"])
def test_a_causal_mask_with_three_axes_makes_a_decoder_of_an_encoder(model_of: Any, head: str) -> None:
    decoder, encoder = model_of(head, kind="decoder"), model_of(head)
    inputs = inputs_of(encoder, padding="none", has_labels=False)
    causal = {**inputs, "attention_mask": np.repeat(np.tri(T, dtype=int)[None], B, axis=0)}
    assert np.array_equal(decoder(**inputs)[0], encoder(**causal)[0])
    everybody = {**inputs, "attention_mask": np.ones((B, T, T), int)}
    assert np.array_equal(decoder(**everybody)[0], encoder(**inputs)[0])


@HEAD
def test_with_all_heads_silent_queries_keys_and_values_do_not_matter(model_of: Any, make_state: Any, head: str) -> None:
    model = model_of(head)
    inputs = {**inputs_of(model, has_labels=False), "head_mask": np.zeros((2, 3))}
    state = make_state(head, model.config, seed=1)
    other = {n: v for n, v in state.items() if ".self." in n}
    before = model(**inputs)[0]
    model.load_state_dict_numpy(other, strict=False)
    assert np.array_equal(model(**inputs)[0], before)
    assert not np.array_equal(model(**inputs_of(model, has_labels=False))[0], before)


@HEAD
def test_a_head_mask_of_ones_is_no_mask_and_one_row_serves_all_layers(model_of: Any, head: str) -> None:
    model = model_of(head)
    inputs = inputs_of(model, has_labels=False)
    assert np.array_equal(model(**inputs, head_mask=np.ones(3))[0], model(**inputs)[0])
    row = np.array([0.0, 0.5, 1.0])
    both = model(**inputs, head_mask=np.stack([row, row]))[0]
    assert np.array_equal(model(**inputs, head_mask=row)[0], both)
    assert np.array_equal(model(**inputs, head_mask=np.stack([row, row])[:, None, :, None, None])[0], both)


def test_choices_in_another_order_give_their_numbers_in_that_order(model_of: Any) -> None:
    model = model_of("multiple_choice")
    inputs = inputs_of(model, has_labels=False)
    budget = budgets(model, inputs, "float64")[0]["logits"]
    swapped = {name: value[:, ::-1] for name, value in inputs.items()}
    assert compare_array("logits", model(**swapped).logits[:, ::-1], budget).passed


def test_each_choice_is_scored_as_a_text_of_its_own(model_of: Any) -> None:
    model = model_of("multiple_choice")
    inputs = inputs_of(model, has_labels=False)
    budget = budgets(model, inputs, "float64")[0]["logits"]
    alone = [
        model(**{n: v[b : b + 1, c : c + 1] for n, v in inputs.items()}).logits for b in range(B) for c in range(C)
    ]
    assert compare_array("logits", np.concatenate(alone).reshape(B, C), budget).passed


@HEAD
def test_a_batch_of_none_gives_outputs_of_none(model_of: Any, head: str) -> None:
    model = model_of(head)
    empty = rows(inputs_of(model, has_labels=False), slice(0, 0))
    full = flat_outputs(model(**inputs_of(model, has_labels=False)))
    for name, value in flat_outputs(model(**empty)).items():
        assert value.shape == (0, *full[name].shape[1:])


def test_start_and_end_are_the_two_columns_of_one_dense_layer(model_of: Any) -> None:
    model = model_of("question_answering")
    inputs = inputs_of(model, has_labels=False)
    logits, output = model.tape(**inputs)["qa_outputs.logits"], model(**inputs)
    assert np.array_equal(output.start_logits, logits[..., 0])
    assert np.array_equal(output.end_logits, logits[..., 1])


def test_the_classifier_of_a_text_reads_its_first_token_and_no_pooler(model_of: Any) -> None:
    model = model_of("sequence_classification")
    assert not any("pooler" in name for name in model.table)
    tape = model.tape(**inputs_of(model))
    p = model.state_dict_numpy()
    first = tape["roberta.encoder.layer.1.output.LayerNorm.output"][:, 0]
    hidden = np.tanh(first @ p["classifier.dense.weight"].T + p["classifier.dense.bias"])
    assert np.array_equal(tape["classifier.tanh"], hidden)
    assert np.array_equal(
        tape["classifier.logits"], hidden @ p["classifier.out_proj.weight"].T + p["classifier.out_proj.bias"]
    )


def test_the_language_model_head_uses_the_exact_gelu_whatever_the_config_says(model_of: Any) -> None:
    model = model_of("masked_lm", hidden_act="relu")
    tape = model.tape(**inputs_of(model))
    dense = tape["lm_head.dense"]
    assert np.array_equal(tape["lm_head.gelu"], ACTIVATIONS["gelu"](dense, lambda _, value: value))


def test_untied_logits_come_from_the_decoders_own_weight(make_config: Any, make_state: Any) -> None:
    config = make_config(tie_word_embeddings=False)
    state = make_state("masked_lm", config)
    ids = [[5, 6, 7]]
    one = FACES["masked_lm"](config, backend="numpy", state=state)(ids).logits
    word = "roberta.embeddings.word_embeddings.weight"
    swapped = {**state, "lm_head.decoder.weight": state[word]}
    tied = FACES["masked_lm"](make_config(), backend="numpy", state=swapped)(ids).logits
    assert not np.array_equal(one, tied)
    assert np.array_equal(FACES["masked_lm"](config, backend="numpy", state=swapped)(ids).logits, tied)
