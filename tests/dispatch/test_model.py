"""What every model has: the call, records, seeds, conversion between engines, tapes, copies."""

import copy
import inspect
import io
import pickle
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import roberta
from roberta.dispatch.api import FACES
from roberta.dispatch.model import PublicModel
from roberta.parity.cases import draw_inputs
from roberta.parity.compare import compare_array
from roberta.parity.tolerances import budgets, flat_outputs
from roberta.reference.attention import Cache
from roberta.reference.inputs import SIGNATURES
from roberta.reference.outputs import OUTPUTS
from roberta.reference.parameters import CLASS_NAMES, HEADS, parameter_table
from roberta.reference.taps import symbols

HEAD = pytest.mark.parametrize("head", HEADS)
IDS = np.arange(2, 17).reshape(3, 5)
CROSS = {"is_decoder": True, "add_cross_attention": True}


def inputs_of(model: Any, has_labels: bool = False) -> dict[str, Any]:
    drawn = draw_inputs(model.head, model.config, seed=0, length=7)
    is_label = {"labels", "start_positions", "end_positions"}
    return {n: v for n, v in drawn.items() if n in SIGNATURES[model.head] and (has_labels or n not in is_label)}


def arrays(output: Any) -> dict[str, Any]:
    return flat_outputs(output)


def same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return list(one) == list(other) and all(np.array_equal(one[name], other[name]) for name in one)


# -- the call ----------------------------------------------------------------------------------------------------------


@pytest.mark.hf
@HEAD
def test_arguments_come_in_the_order_of_transformers(head: str, backend: str) -> None:
    import transformers

    theirs = list(inspect.signature(getattr(transformers, CLASS_NAMES[head]).forward).parameters)
    entry = getattr(FACES[head].on(backend), FACES[head].on(backend).engine.ENTRY)
    ours = list(inspect.signature(entry).parameters)
    left_out = {"cache_position", "kwargs"}
    ours = ours[:-1] if ours[-1] == "positions" else ours  # which is ours alone, and behind theirs
    assert ours == [name for name in theirs if name not in left_out]


@HEAD
def test_lists_arrays_and_own_tensors_give_the_same_to_the_bit(
    head: str, backend: str, config: Any, make_model: Any
) -> None:
    model = make_model(head, config, backend)
    given = inputs_of(model, has_labels=True)
    own = {name: model.engine.to_native(value, model) for name, value in given.items()}
    listed = {name: value.tolist() for name, value in given.items()}
    wanted = arrays(model(**given))
    assert same(arrays(model(**own)), wanted)
    assert same(arrays(model(**listed)), wanted)


@HEAD
def test_by_position_and_by_name_is_the_same_call(head: str, backend: str, config: Any, make_model: Any) -> None:
    model = make_model(head, config, backend)
    given = inputs_of(model, has_labels=True)
    by_position = [given.get(name) for name in SIGNATURES[head]]
    assert same(arrays(model(*by_position)), arrays(model(**given)))


@HEAD
def test_without_a_record_the_same_values_come_as_a_tuple(
    head: str, backend: str, config: Any, make_model: Any
) -> None:
    model = make_model(head, config, backend)
    given = {**inputs_of(model, has_labels=True), "output_hidden_states": True, "output_attentions": True}
    record, plain = model(**given), model(**given, return_dict=False)
    assert isinstance(plain, tuple)
    assert isinstance(record, OUTPUTS)
    assert same(arrays(record), arrays(type(record)(**dict(zip(record, plain, strict=True)))))
    model.config.return_dict = False
    assert isinstance(model(**given), tuple)
    assert not isinstance(model(**given, return_dict=True), tuple)


@HEAD
def test_what_is_asked_for_defaults_to_the_config(head: str, backend: str, make_config: Any, make_model: Any) -> None:
    model = make_model(head, make_config(output_attentions=True, output_hidden_states=True), backend)
    output = model(**inputs_of(model))
    assert [len(output.hidden_states), len(output.attentions)] == [3, 2]
    quiet = model(**inputs_of(model), output_attentions=False, output_hidden_states=False)
    assert {"hidden_states", "attentions"}.isdisjoint(quiet)


@pytest.mark.parametrize("head", ["model", "causal_lm"])
def test_a_decoder_returns_its_cache_unless_told_otherwise_or_given_labels(
    head: str, backend: str, make_config: Any, make_model: Any
) -> None:
    model = make_model(head, make_config(is_decoder=True), backend)
    assert "past_key_values" in model(IDS)
    assert "past_key_values" not in model(IDS, use_cache=False)
    quiet = make_model(head, make_config(is_decoder=True, use_cache=False), backend)
    assert "past_key_values" not in quiet(IDS)
    assert "past_key_values" in quiet(IDS, use_cache=True)
    if head == "causal_lm":
        assert "past_key_values" not in model(IDS, labels=IDS)
    assert "past_key_values" not in make_model(head, make_config(), backend)(IDS)


def test_cross_attentions_come_with_encoder_states_only(backend: str, make_config: Any, make_model: Any) -> None:
    model = make_model("causal_lm", make_config(**CROSS), backend)
    states = np.ones((3, 4, 21), np.float32)
    output = model(IDS, encoder_hidden_states=states, output_attentions=True)
    assert [tuple(probs.shape) for probs in output.cross_attentions] == [(3, 3, 5, 4)] * 2
    assert "cross_attentions" not in model(IDS, output_attentions=True)


def test_a_cache_is_taken_as_hf_s_tuple_and_from_another_engine(
    backend: str, make_config: Any, make_model: Any
) -> None:
    config = make_config(is_decoder=True)
    model, spec = make_model("model", config, backend), make_model("model", config, "numpy")
    padded = np.concatenate([np.ones((3, 2), int), IDS], axis=1)
    mask = (padded != 1).astype(int)
    past = model(padded[:, :4], attention_mask=mask[:, :4]).past_key_values
    rest = {"input_ids": padded[:, 4:], "attention_mask": mask}
    wanted = arrays(model(**rest, past_key_values=past))["last_hidden_state"]
    for given_mask in (mask, mask.tolist(), model.engine.to_native(mask, model)):
        got = model(**{**rest, "attention_mask": given_mask}, past_key_values=past.layers)
        assert np.array_equal(arrays(got)["last_hidden_state"], wanted)
    foreign = spec(padded[:, :4], attention_mask=mask[:, :4]).past_key_values
    got = model(**rest, past_key_values=foreign)
    budget = budgets(spec.to_backend("numpy", "float64"), {**rest, "past_key_values": foreign}, "float32")[0]
    assert compare_array("x", arrays(got)["last_hidden_state"], budget["last_hidden_state"]).passed
    assert isinstance(got.past_key_values, Cache)


def test_a_field_of_the_record_has_the_engines_own_arrays(backend: str, config: Any, make_model: Any) -> None:
    model = make_model("masked_lm", config, backend)
    output = model(IDS)
    assert type(output.logits) is type(model.engine.to_native(IDS, model))
    assert isinstance(output.numpy()["logits"], np.ndarray)


# -- classes -----------------------------------------------------------------------------------------------------------


@HEAD
def test_a_model_is_native_and_an_instance_of_its_public_name(
    head: str, backend: str, config: Any, make_model: Any
) -> None:
    model = make_model(head, config, backend)
    face = getattr(roberta, CLASS_NAMES[head])
    others = [other for other in HEADS if other != head]
    assert isinstance(model, face)
    assert not any(isinstance(model, getattr(roberta, CLASS_NAMES[other])) for other in others)
    assert isinstance(model, model.engine.HEADS[head])
    assert isinstance(model, PublicModel)
    assert (model.backend, model.head, model.dtype_name) == (backend, head, "float32")
    assert type(model).__name__.endswith(CLASS_NAMES[head])
    assert type(model) is getattr(roberta, type(model).__name__)


def test_a_config_is_copied_and_checked_when_a_model_is_built(backend: str, config: Any) -> None:
    model = roberta.RobertaModel(config, backend=backend)
    config.layer_norm_eps = 0.5
    assert model.config.layer_norm_eps == 1e-5
    config.num_hidden_layers = -1
    with pytest.raises(ValueError, match="num_hidden_layers"):
        roberta.RobertaModel(config, backend=backend)


def test_what_is_no_config_is_refused_with_what_to_type(backend: str) -> None:
    with pytest.raises(TypeError, match=r"required a RobertaConfig, got str.*RobertaModel.from_pretrained\(folder\)"):
        roberta.RobertaModel("austen", backend=backend)


def test_a_dtype_that_an_engine_lacks_is_refused_with_those_it_has(config: Any) -> None:
    with pytest.raises(ValueError, match=r"numpy backend computes in one of \['float32', 'float64'\], got 'bfloat16'"):
        roberta.RobertaModel(config, backend="numpy", dtype="bfloat16")
    with pytest.raises(ValueError, match="numpy backend computes on the cpu, got 'cuda'"):
        roberta.RobertaModel(config, backend="numpy", device="cuda")
    assert roberta.RobertaModel(config, backend="numpy", dtype=np.float64).dtype == "float64"


def test_question_answering_wants_two_labels_when_it_is_built(backend: str, make_config: Any) -> None:
    with pytest.raises(ValueError, match=r"num_labels=2 \(start and end\), got 3"):
        roberta.RobertaForQuestionAnswering(make_config(num_labels=3), backend=backend)


def test_the_bare_model_may_go_without_a_pooler(backend: str, config: Any) -> None:
    model = roberta.RobertaModel(config, backend=backend, add_pooling_layer=False)
    output = model(IDS)
    assert "pooler_output" not in output
    assert list(output) == ["last_hidden_state"]
    assert not any("pooler" in name for name in model.state_dict_numpy())


# -- weights -----------------------------------------------------------------------------------------------------------


@HEAD
def test_a_seed_gives_the_same_weights_to_the_bit_on_every_engine(head: str, backend: str, config: Any) -> None:
    one, other = (FACES[head](config, backend=b, seed=3).state_dict_numpy() for b in (backend, "numpy"))
    assert same(one, other)
    assert not same(FACES[head](config, backend=backend, seed=4).state_dict_numpy(), one)


@HEAD
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_conversion_to_another_engine_and_back_is_exact(
    head: str, dtype: str, backend: str, make_config: Any, make_model: Any
) -> None:
    model = make_model(head, make_config(position_embedding_type="relative_key"), "numpy", dtype=dtype)
    there = model.to_backend(backend)
    back = there.to_backend("numpy")
    assert (there.backend, there.dtype_name, back.dtype_name) == (backend, dtype, dtype)
    assert same(there.state_dict_numpy(), model.state_dict_numpy())
    assert same(back.state_dict_numpy(), model.state_dict_numpy())
    assert same(arrays(back(**inputs_of(model))), arrays(model(**inputs_of(model))))


def test_conversion_keeps_config_options_and_mode(backend: str, make_config: Any) -> None:
    config = make_config(pruned_heads={1: [0]}, layer_norm_eps=1e-3)
    model = roberta.RobertaModel(config, backend="numpy", add_pooling_layer=False).train()
    there = model.to_backend(backend)
    assert there.training
    assert there.config == model.config
    assert "pooler_output" not in there.eval()(IDS)


@HEAD
def test_names_and_shapes_are_those_of_the_table(head: str, backend: str, make_config: Any, make_model: Any) -> None:
    config = make_config(is_decoder=True, add_cross_attention=True, position_embedding_type="relative_key_query")
    model = make_model(head, config, backend)
    wanted = {name: p.shape for name, p in parameter_table(head, config).items()}
    assert {name: array.shape for name, array in model.state_dict_numpy().items()} == wanted
    assert list(model.state_dict_numpy()) == list(wanted)


@HEAD
def test_loading_a_part_of_the_state_leaves_the_rest_as_it_is(
    head: str, backend: str, config: Any, make_model: Any
) -> None:
    model = make_model(head, config, backend)
    before = model.state_dict_numpy()
    name = next(iter(before))
    report = model.load_state_dict_numpy({name: np.full_like(before[name], 0.5)}, strict=False)
    after = model.state_dict_numpy()
    assert report.loaded == (name,)
    assert (after[name] == 0.5).all()
    tied = {n for n, p in model.table.items() if p.tied_to == name}
    assert [n for n in before if not np.array_equal(before[n], after[n])] == [
        n for n in before if n == name or n in tied
    ]


def test_ties_survive_loading_either_end(backend: str, config: Any, make_model: Any) -> None:
    model = make_model("masked_lm", config, backend)
    word, decoder = "roberta.embeddings.word_embeddings.weight", "lm_head.decoder.weight"
    for name, value in ((word, 2.0), (decoder, 3.0), ("lm_head.decoder.bias", 4.0), ("lm_head.bias", 5.0)):
        model.load_state_dict_numpy({name: np.full(model.table[name].shape, value, np.float32)}, strict=False)
        state = model.state_dict_numpy()
        partners = (word, decoder) if name.endswith("weight") else ("lm_head.decoder.bias", "lm_head.bias")
        assert all((state[partner] == value).all() for partner in partners), name


def test_a_state_of_another_shape_is_refused_and_changes_nothing(backend: str, config: Any, make_model: Any) -> None:
    model = make_model("model", config, backend)
    before = model.state_dict_numpy()
    with pytest.raises(ValueError, match=r"(?s)pooler.dense.bias: the config says \(21,\), the state has \(20,\)"):
        model.load_state_dict_numpy({"pooler.dense.bias": np.zeros(20), "pooler.dense.weight": np.zeros((21, 21))})
    assert same(model.state_dict_numpy(), before)


def test_what_is_loaded_is_copied(backend: str, config: Any, make_state: Any) -> None:
    state = make_state("model", config)
    model = FACES["model"](config, backend=backend, state=state)
    before = model.state_dict_numpy()
    wanted = {name: value.copy() for name, value in before.items()}
    for value in state.values():
        value[...] = 0
    assert same(model.state_dict_numpy(), wanted)
    model.load_state_dict_numpy({name: value + 1 for name, value in wanted.items()})
    assert same(before, wanted)


@HEAD
def test_a_shuffled_state_is_the_same_state(head: str, backend: str, config: Any, make_state: Any) -> None:
    state = make_state(head, config)
    one, other = (FACES[head](config, backend=backend, state=s) for s in (state, dict(reversed(state.items()))))
    assert same(one.state_dict_numpy(), other.state_dict_numpy())


# -- tapes -------------------------------------------------------------------------------------------------------------

#: Engines with one path only, which computes the scores and probabilities in any case.
EXPLICIT = {"numpy", "tensorflow", "flax"}


@pytest.mark.parametrize(
    ("head", "kind"),
    [*((head, "encoder") for head in HEADS), *((head, "cross") for head in ("model", "causal_lm", "masked_lm"))],
)
def test_a_tape_has_the_names_and_shapes_of_the_symbols_and_says_what_is_missing(
    head: str, kind: str, backend: str, make_config: Any, make_model: Any
) -> None:
    config = make_config(**(CROSS if kind == "cross" else {}))
    model, spec = make_model(head, config, backend), make_model(head, config, "numpy")
    given = inputs_of(model)
    listed, wanted = symbols(head, config), spec.tape(**given)
    for asked in (False, True):
        tape = model.tape(**given, output_attentions=asked)
        assert [name for name in listed if name in tape] == list(tape)
        assert [name for name in listed if name not in tape] == list(tape.missing)
        assert {n: tuple(v.shape) for n, v in tape.items()} == {n: wanted[n].shape for n in tape}
        has_scores = any(name.endswith(("scores", "probs")) for name in tape)
        assert has_scores == (asked or backend in EXPLICIT)
        if has_scores:
            assert not any(name.endswith(("scores", "probs")) for name in tape.missing)


@HEAD
def test_every_tap_of_an_engine_keeps_within_the_budget_of_its_name(
    head: str, backend: str, make_config: Any, make_model: Any
) -> None:
    config = make_config(**CROSS)
    spec = make_model(head, config, "numpy", dtype="float64")
    given = inputs_of(spec)
    _, permitted = budgets(spec, given, "float32")
    tape = make_model(head, config, backend).tape(**given, output_attentions=True)
    for name, value in tape.items():
        comparison = compare_array(name, flat_outputs({name: value_of(value)})[name], permitted[name])
        assert comparison.passed, str(comparison)


def value_of(value: Any) -> Any:
    return value.detach().numpy() if hasattr(value, "detach") else value


# -- copies ------------------------------------------------------------------------------------------------------------


@HEAD
def test_a_deep_copy_is_a_model_of_its_own_and_equal(head: str, backend: str, config: Any, make_model: Any) -> None:
    model = make_model(head, config, backend)
    twin = copy.deepcopy(model)
    wanted = arrays(model(**inputs_of(model)))
    assert same(arrays(twin(**inputs_of(model))), wanted)
    name = next(iter(model.table))
    twin.load_state_dict_numpy({name: twin.state_dict_numpy()[name] + 1}, strict=False)
    assert same(arrays(model(**inputs_of(model))), wanted)
    if head == "masked_lm":
        state = twin.state_dict_numpy()
        assert np.array_equal(state["lm_head.decoder.weight"], state[name])


@HEAD
def test_a_pickled_model_comes_back_whole(head: str, backend: str, config: Any, make_model: Any) -> None:
    model = make_model(head, config, backend)
    again = pickle.loads(pickle.dumps(model))  # noqa: S301  # our own bytes
    assert type(again) is type(model)
    assert same(arrays(again(**inputs_of(model))), arrays(model(**inputs_of(model))))


@pytest.mark.torch
@HEAD
def test_torch_saves_and_loads_a_whole_model(head: str, config: Any, make_model: Any) -> None:
    import torch

    model = make_model(head, config, "torch")
    stream = io.BytesIO()
    torch.save(model, stream)
    stream.seek(0)
    again = torch.load(stream, weights_only=False)
    assert type(again) is type(model)
    assert same(arrays(again(**inputs_of(model))), arrays(model(**inputs_of(model))))
    if head == "masked_lm":
        assert again.lm_head.decoder.weight is again.roberta.embeddings.word_embeddings.weight
