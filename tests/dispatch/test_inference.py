"""`for_inference`: on every engine and head, whatever is asked, within the budget of the float64 spec."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import pytest
import roberta
from roberta.dispatch import registry
from roberta.dispatch.api import FACES
from roberta.dispatch.inference import InferenceModel
from roberta.parity.cases import PADDINGS, Case, draw_case
from roberta.parity.compare import compare_outputs
from roberta.parity.probes.real_tokens import judged
from roberta.parity.tolerances import budgets, flat_outputs
from roberta.reference.inputs import LABELS
from roberta.reference.parameters import HEADS

HEAD = pytest.mark.parametrize("head", HEADS)
pytestmark = pytest.mark.filterwarnings("ignore:.*reads the first token, which is masked")
LANGUAGE = ("causal_lm", "masked_lm")
#: Pairs of a row and a token; the last is padding in rows that are padded on the right.
POSITIONS = np.array([[0, 3], [1, 0], [2, 12], [0, 12], [2, 5]])


#: What is said of every engine; the rest is of those that have an inference form, as others give the model itself.
OF_ALL = ("positions", "where_they_are_asked_for", "bad_input", "instance_of_its_face", "subclass", "does_not_depend")


@pytest.fixture(autouse=True)
def _has_an_inference_form(request: pytest.FixtureRequest, backend: str) -> None:
    is_of_all = any(part in request.node.name.partition("[")[0] for part in OF_ALL)
    if not is_of_all and not hasattr(registry.load(backend), "Inference"):
        pytest.skip("an engine without an inference form gives the model itself")


@cache
def case_of(head: str, padding: str = "right", **config: Any) -> Case:
    return draw_case(head, 17, padding, **config)


def model_of(case: Case, backend: str, dtype: str = "float32") -> Any:
    return FACES[case.head](case.config, backend=backend, dtype=dtype, state=case.state)


@cache
def twin_of(head: str, backend: str) -> Any:
    return model_of(case_of(head), backend).for_inference()


def unlabelled(case: Case) -> dict[str, Any]:
    return {name: value for name, value in case.inputs.items() if name not in LABELS[case.head]}


def require(found: Any, case: Case, inputs: Mapping[str, Any], dtype: str = "float32") -> None:
    """Within the budget, where the output is of a real token."""
    limits, _ = budgets(model_of(case, "numpy", "float64"), inputs, dtype)
    for name, budget in limits.items():
        limits[name] = budget.judging(judged(name, budget.truth.shape, inputs, case.head))
    for comparison in compare_outputs(flat_outputs(found), limits):
        assert comparison.passed, str(comparison)


# -- the same answers --------------------------------------------------------------------------------------------------


@HEAD
@pytest.mark.parametrize("padding", PADDINGS)
def test_it_answers_as_its_model_does_wherever_rows_are_padded(head: str, padding: str, backend: str) -> None:
    inputs = unlabelled(case_of(head, padding))
    require(twin_of(head, backend)(**inputs), case_of(head, padding), inputs)


@HEAD
def test_hidden_states_are_those_of_every_layer(head: str, backend: str) -> None:
    inputs = {**unlabelled(case_of(head)), "output_hidden_states": True}
    require(twin_of(head, backend)(**inputs), case_of(head), inputs)


@HEAD
def test_a_loss_is_the_models_padding_and_all(head: str, backend: str) -> None:
    if LABELS[head]:
        inputs = case_of(head, "inner").inputs
        case = case_of(head, "inner")
        limits, _ = budgets(model_of(case, "numpy", "float64"), inputs, "float32")
        for comparison in compare_outputs(flat_outputs(twin_of(head, backend)(**inputs)), limits):
            assert comparison.passed, str(comparison)


@pytest.mark.parametrize("head", LANGUAGE)
@pytest.mark.parametrize("states", [False, True], ids=["logits", "and hidden states"])
def test_logits_are_computed_where_they_are_asked_for(head: str, states: bool, backend: str) -> None:
    inputs = {**unlabelled(case_of(head)), "positions": POSITIONS, "output_hidden_states": states}
    for model in (model_of(case_of(head), backend), twin_of(head, backend)):
        found = model(**inputs)
        assert found.numpy()["logits"].shape == (len(POSITIONS), 101)
        require(found, case_of(head), inputs)


def test_a_masked_loss_is_that_of_the_positions(backend: str) -> None:
    case = case_of("masked_lm")
    labels = np.arange(len(POSITIONS)) * 7
    everywhere = np.full((3, 13), -100)
    everywhere[tuple(POSITIONS.T)] = labels
    inputs = unlabelled(case)
    truth, _ = budgets(model_of(case, "numpy", "float64"), {**inputs, "labels": everywhere}, "float32")
    for model in (model_of(case, backend), twin_of("masked_lm", backend)):
        found = flat_outputs(model(**inputs, positions=POSITIONS, labels=labels))
        (comparison,) = compare_outputs({"loss": found["loss"]}, {"loss": truth["loss"]})
        assert comparison.passed, str(comparison)


@HEAD
@pytest.mark.parametrize("mask", ["one row of nobody", "nobody anywhere", "first tokens hidden", "a single key"])
def test_masks_that_hide_much(head: str, mask: str, backend: str) -> None:
    case = case_of(head, "none")
    inputs = unlabelled(case)
    hides = inputs["attention_mask"].copy()
    if mask == "one row of nobody":
        hides[1] = 0
    elif mask == "nobody anywhere":
        hides[:] = 0
    elif mask == "first tokens hidden":
        hides[..., :2] = 0
    else:
        hides[...] = 0
        hides[..., 7] = 1
    inputs["attention_mask"] = hides
    if head in {"sequence_classification", "multiple_choice"}:  # its logits are what first tokens give, and exact
        found = compare_outputs(
            flat_outputs(twin_of(head, backend)(**inputs)),
            budgets(model_of(case, "numpy", "float64"), inputs, "float32")[0],
        )
        assert all(comparison.passed for comparison in found), str(found[0])
    else:
        require(twin_of(head, backend)(**inputs), case, inputs)


@HEAD
def test_a_batch_of_nothing_and_one_of_a_single_token(head: str, backend: str) -> None:
    inputs = unlabelled(case_of(head, "none"))
    empty = twin_of(head, backend)(**{name: value[:0] for name, value in inputs.items()}).numpy()
    plain = model_of(case_of(head), "numpy")(**{name: value[:0] for name, value in inputs.items()}).numpy()
    assert {name: value.shape for name, value in empty.items()} == {n: v.shape for n, v in plain.items()}
    single = {name: value[:1, ..., :1] for name, value in inputs.items()}
    require(twin_of(head, backend)(**single), case_of(head), single)


@HEAD
def test_embeddings_positions_and_no_mask(head: str, backend: str) -> None:
    inputs = unlabelled(case_of(head, "none"))
    ids, table = inputs.pop("input_ids"), case_of(head).state
    del inputs["attention_mask"]
    word = next(value for name, value in table.items() if name.endswith("word_embeddings.weight"))
    shape = ids.shape
    given = {**inputs, "inputs_embeds": word[ids], "position_ids": np.arange(ids.size).reshape(shape) % 29}
    require(twin_of(head, backend)(**given), case_of(head), given)


@pytest.mark.parametrize("asked", ["attentions", "head mask", "mask of three axes"])
@HEAD
def test_what_it_has_no_way_for_is_done_the_plain_way(head: str, asked: str, backend: str) -> None:
    inputs = unlabelled(case_of(head, "none"))
    shape = inputs["attention_mask"].shape
    if asked == "attentions":
        inputs["output_attentions"] = True
    elif asked == "head mask":
        inputs["head_mask"] = np.array([1.0, 0.0, 1.0])
    else:
        inputs["attention_mask"] = np.tril(np.ones((*shape, shape[-1]), np.int64))
    require(twin_of(head, backend)(**inputs), case_of(head), inputs)


@pytest.mark.parametrize("kind", ["relative_key", "relative_key_query"])
@HEAD
def test_relative_positions(head: str, kind: str, backend: str) -> None:
    case = case_of(head, "inner", position_embedding_type=kind)
    require(model_of(case, backend).for_inference()(**unlabelled(case)), case, unlabelled(case))


@pytest.mark.parametrize("activation", ["gelu_new", "relu", "silu", "tanh", "quick_gelu"])
def test_other_activations(activation: str, backend: str) -> None:
    case = case_of("model", hidden_act=activation)
    require(model_of(case, backend).for_inference()(**case.inputs), case, case.inputs)


def test_heads_that_are_pruned(backend: str) -> None:
    case = case_of("model")
    model = model_of(case, backend).prune_heads({0: [1], 1: [0, 2]})
    pruned = Case("model", model.config, model.state_dict_numpy(), case.inputs)
    require(model.for_inference()(**case.inputs), pruned, case.inputs)


# -- rows by themselves ------------------------------------------------------------------------------------------------

#: Engines whose rows are the same to the bit, whatever else is in the batch; docs/backends.md says so. Others' products
#: take another order of summation for another number of rows.
TO_THE_BIT = {"numba"}


@pytest.mark.parametrize("form", ["plain", "inference"])
@pytest.mark.parametrize("head", ["masked_lm", "sequence_classification", "multiple_choice"])
def test_what_a_row_gives_does_not_depend_on_the_others(head: str, form: str, backend: str) -> None:
    case = case_of(head)
    inputs = unlabelled(case)
    subject = twin_of(head, backend) if form == "inference" else model_of(case, backend)
    count = len(inputs["input_ids"])
    alone = [subject(**{name: value[row : row + 1] for name, value in inputs.items()}) for row in range(count)]
    joined = {"logits": np.concatenate([flat_outputs(output)["logits"] for output in alone])}
    require(joined, case, inputs)
    if backend in TO_THE_BIT:
        backwards = flat_outputs(subject(**{name: value[::-1] for name, value in inputs.items()}))["logits"][::-1]
        together = flat_outputs(subject(**inputs))["logits"]
        assert np.array_equal(joined["logits"], together)
        assert np.array_equal(backwards, together)


# -- decoders ----------------------------------------------------------------------------------------------------------


def test_a_decoder_sees_no_later_token(backend: str) -> None:
    case = case_of("causal_lm", is_decoder=True)
    require(model_of(case, backend).for_inference()(**unlabelled(case)), case, unlabelled(case))


def test_a_decoder_goes_on_from_its_cache_and_writes_the_same_text(backend: str) -> None:
    case = case_of("causal_lm", "left", is_decoder=True)
    model = model_of(case, backend)
    twin = model.for_inference()
    ids, mask = case.inputs["input_ids"], case.inputs["attention_mask"]
    options = {"max_new_tokens": 6, "eos_token_id": ()}
    expected = model.engine.to_numpy(model.generate(ids, mask, **options))
    np.testing.assert_array_equal(model.engine.to_numpy(twin.generate(ids, mask, **options)), expected)


def test_cross_attention(backend: str) -> None:
    case = case_of("causal_lm", is_decoder=True, add_cross_attention=True)
    require(model_of(case, backend).for_inference()(**unlabelled(case)), case, unlabelled(case))


# -- the object --------------------------------------------------------------------------------------------------------


def test_it_is_an_instance_of_its_face_and_says_what_it_is(backend: str) -> None:
    model = model_of(case_of("masked_lm"), backend)
    twin = model.for_inference()
    assert isinstance(twin, roberta.RobertaForMaskedLM)
    assert not isinstance(twin, roberta.RobertaForCausalLM)
    assert (twin.backend, twin.dtype_name, twin.training, twin.head) == (backend, "float32", False, "masked_lm")
    assert twin.config == model.config
    assert twin.for_inference() is twin
    assert twin.eval() is twin
    if isinstance(twin, InferenceModel):
        assert list(inspect.signature(twin).parameters)[-1] == "positions"
        assert twin.nbytes > 0
        assert f"for inference on {backend}" in repr(twin)


def test_what_only_the_model_has_is_an_error_that_says_so(backend: str) -> None:
    twin: Any = model_of(case_of("masked_lm"), backend).for_inference()
    if not isinstance(twin, InferenceModel):
        pytest.skip("an engine without an inference form gives the model itself")
    for name in ("tape", "save_pretrained", "resize_token_embeddings", "state_dict_numpy", "prune_heads"):
        with pytest.raises(AttributeError, match=f"forward passes only, and has no '{name}'.*model it was made of"):
            getattr(twin, name)
    with pytest.raises(AttributeError, match="has no 'train'"):
        twin.train()
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = twin.nonsense


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"input_ids": [[0, 500, 2]]}, r"input_ids: expected integers in \[0, 101\)"),
        ({"input_ids": [0, 5, 2]}, "A single text is a batch of one"),
        ({"input_ids": [[0, 5, 2]], "attention_mask": [[1, 1]]}, "attention_mask"),
        ({"input_ids": [[0, 5, 2]], "positions": [[0, 3]]}, r"positions\[:, 1\]"),
        ({"input_idz": [[0, 5, 2]]}, "Did you mean 'input_ids'"),
    ],
)
def test_bad_input_gets_the_models_own_error(given: dict[str, Any], message: str, backend: str) -> None:
    for model in (model_of(case_of("masked_lm"), backend), twin_of("masked_lm", backend)):
        with pytest.raises((ValueError, TypeError), match=message):
            model(**given)


def test_without_its_models_weights_it_says_what_it_has_no_way_for(backend: str) -> None:
    case = case_of("masked_lm")
    twin = model_of(case, backend).for_inference(keep_weights=False)
    require(twin(**unlabelled(case)), case, unlabelled(case))
    if isinstance(twin, InferenceModel):
        assert twin.model is None
        with pytest.raises(ValueError, match=r"keep_weights=False.*no way for.*call the model"):
            twin(**unlabelled(case), head_mask=np.ones(3))


@pytest.mark.parametrize("keep_weights", [True, False])
def test_copies_and_pickles_answer_alike(keep_weights: bool, backend: str) -> None:
    case = case_of("masked_lm")
    twin = model_of(case, backend).for_inference(keep_weights=keep_weights)
    if not isinstance(twin, InferenceModel):
        pytest.skip("an engine without an inference form gives the model itself")
    expected = twin(**unlabelled(case)).numpy()["logits"]
    for other in (pickle.loads(pickle.dumps(twin)), copy.deepcopy(twin), copy.copy(twin)):  # noqa: S301
        np.testing.assert_array_equal(other(**unlabelled(case)).numpy()["logits"], expected)


def test_a_subclass_that_computes_otherwise_is_its_own_inference_form(backend: str) -> None:
    class Doubled(roberta.RobertaForMaskedLM):  # type: ignore[type-arg]
        def forward(self, *args: Any, **kwargs: Any) -> Any:
            output = super().forward(*args, **kwargs)
            return output.logits * 2

    case = case_of("masked_lm")
    model = Doubled(case.config, backend=backend, state=case.state)
    assert model.for_inference() is model


def test_padding_is_zero_and_no_answer_starts_there(backend: str) -> None:
    twin = twin_of("question_answering", backend)
    case = case_of("question_answering")
    if not isinstance(twin, InferenceModel):
        pytest.skip("an engine without an inference form gives the model itself")
    is_padding = case.inputs["attention_mask"] == 0
    found = twin(**unlabelled(case), output_hidden_states=True)
    starts = twin.engine.to_numpy(found.start_logits)
    assert (starts[is_padding] == np.finfo(np.float32).min).all()
    assert not twin.engine.to_numpy(found.hidden_states[-1])[is_padding].any()
