"""What only Flax has: compiling, splitting and merging, rngs, a cache of fixed size, and 64 bits that may be off."""

import copy
import itertools
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import roberta
from flax import nnx
from roberta.dispatch.api import FACES
from roberta.parity.cases import draw_inputs
from roberta.parity.compare import compare_outputs
from roberta.parity.tolerances import budgets, flat_outputs
from roberta.reference.inputs import SIGNATURES
from roberta.reference.outputs import Output
from roberta.reference.parameters import HEADS
from scipy import stats

pytestmark = pytest.mark.flax

HEAD = pytest.mark.parametrize("head", HEADS)
#: Every test has the same shape where it can: each new one is compiled anew.
IDS = jnp.arange(2, 23).reshape(3, 7)
KINDS = {"encoder": {}, "decoder": {"is_decoder": True}, "cross": {"is_decoder": True, "add_cross_attention": True}}


def inputs_of(model: Any, has_labels: bool = False, padding: str = "right") -> dict[str, Any]:
    drawn = draw_inputs(model.head, model.config, seed=0, padding=padding, length=7)
    is_label = {"labels", "start_positions", "end_positions"}
    names = [n for n in drawn if n in SIGNATURES[model.head] and (has_labels or n not in is_label)]
    return {name: jnp.asarray(drawn[name]) for name in names}


def host(inputs: Any) -> dict[str, Any]:
    return {name: np.asarray(value) for name, value in inputs.items()}


def arrays(output: Output) -> list[Any]:
    return list(flat_outputs(output).values())


def same(one: Output, other: Output) -> bool:
    pairs = list(zip(arrays(one), arrays(other), strict=True))
    return list(one) == list(other) and all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in pairs)


def require_within_budget(spec: Any, inputs: Any, outputs: Output, dtype: str = "float32", **asked: Any) -> None:
    """Held against the float64 spec; every output must be there."""
    permitted, _ = budgets(spec.to_backend("numpy", "float64").eval(), {**host(inputs), **asked}, dtype)
    for comparison in compare_outputs(flat_outputs(outputs), permitted):
        assert comparison.passed, str(comparison)


class Counted:
    """A function for `nnx.jit` that counts how often it is traced."""

    def __init__(self, **asked: Any) -> None:
        self.count = 0
        self.asked = asked
        self.jitted = nnx.jit(self.traced)

    def traced(self, model: Any, inputs: Any) -> Any:
        self.count += 1
        return model(**inputs, **self.asked)

    def __call__(self, model: Any, **inputs: Any) -> Any:
        return self.jitted(model, inputs)


# -- modules -----------------------------------------------------------------------------------------------------------


@HEAD
def test_the_state_has_the_tables_names_and_shapes(head: str, config: Any, make_model: Any) -> None:
    model = make_model(head, config, "flax")
    state = {".".join(map(str, path)): leaf for path, leaf in nnx.to_flat_state(nnx.state(model, nnx.Param))}
    sources = {name: p.shape for name, p in model.table.items() if p.tied_to is None}
    ties = {
        "lm_head.bias": "lm_head.decoder.bias",
        "roberta.embeddings.word_embeddings.weight": "lm_head.decoder.weight",
    }
    names = {name if name in state else ties[name]: shape for name, shape in sources.items()}
    assert {name: leaf.shape for name, leaf in state.items()} == names
    assert {leaf.dtype.name for leaf in state.values()} == {"float32"}


def test_tied_weights_are_one_parameter_and_get_both_gradients(make_config: Any, make_state: Any) -> None:
    state = make_state("masked_lm", make_config())
    word, decoder = "roberta.embeddings.word_embeddings.weight", "lm_head.decoder.weight"
    tied, untied = (
        FACES["masked_lm"](make_config(tie_word_embeddings=t), backend="flax", state=state) for t in (True, False)
    )
    assert tied.lm_head.decoder.weight is tied.roberta.embeddings.word_embeddings.weight
    assert untied.lm_head.decoder.weight is not untied.roberta.embeddings.word_embeddings.weight
    assert tied.lm_head.bias is tied.lm_head.decoder.bias
    merged = nnx.merge(*nnx.split(tied))
    assert merged.lm_head.decoder.weight is merged.roberta.embeddings.word_embeddings.weight
    one, two = (model.engine.gradients(model, {"input_ids": IDS, "labels": IDS}) for model in (tied, untied))
    both = two[word] + two[decoder]
    assert np.abs(one[word] - both).max() <= 4 * 2.0**-24 * np.abs(both).max()  # two sums, in either order


def test_rows_of_padding_learn_nothing_as_embeddings(make_config: Any, make_model: Any) -> None:
    model = make_model("token_classification", make_config(), "flax")
    ids = IDS.at[:, 3:].set(1)
    found = model.engine.gradients(model, {"input_ids": ids, "attention_mask": jnp.ones_like(ids), "labels": IDS % 2})
    for table in ("word", "position"):
        gradient = found[f"roberta.embeddings.{table}_embeddings.weight"]
        assert not gradient[1].any()
        assert gradient.any()


def test_ties_survive_a_change_of_weights_and_parameters_stay_the_same_objects(config: Any, make_model: Any) -> None:
    model = make_model("masked_lm", config, "flax")
    before = jax.tree.leaves(nnx.state(model, nnx.Param), is_leaf=lambda leaf: isinstance(leaf, nnx.Variable))
    word = model.roberta.embeddings.word_embeddings.weight
    model.load_state_dict_numpy({n: a + 1 for n, a in model.state_dict_numpy().items()})
    assert model.roberta.embeddings.word_embeddings.weight is word is model.lm_head.decoder.weight
    after = jax.tree.leaves(nnx.state(model, nnx.Param), is_leaf=lambda leaf: isinstance(leaf, nnx.Variable))
    assert len(before) == len(after) == sum(p.tied_to is None for p in model.table.values())


def test_a_parameter_that_is_none_counts_as_frozen_and_has_no_gradient(config: Any, make_model: Any) -> None:
    class Frozen(nnx.Variable):
        pass

    model = make_model("masked_lm", config, "flax")
    whole = model.num_parameters()
    dense = model.lm_head.dense
    dense.bias = Frozen(dense.bias[...])
    assert model.engine.frozen_names(model) == {"lm_head.dense.bias"}
    assert whole - model.num_parameters(only_trainable=True) == config.hidden_size
    found = model.engine.gradients(model, {"input_ids": IDS, "labels": IDS})
    assert not found["lm_head.dense.bias"].any()
    assert found["lm_head.dense.weight"].any()


def test_the_native_class_can_be_subclassed(config: Any) -> None:
    class Tagger(roberta.FlaxRobertaForTokenClassification):
        def tags(self, ids: Any) -> Any:
            return self(ids).logits.argmax(-1)

    model = Tagger(config)
    assert isinstance(model, nnx.Module)
    assert isinstance(model, roberta.RobertaForTokenClassification)
    assert model.tags(IDS).shape == (3, 7)


def test_a_copy_is_another_model_with_equal_weights(config: Any, make_model: Any) -> None:
    model = make_model("masked_lm", config, "flax")
    other = copy.deepcopy(model)
    assert other.lm_head.decoder.weight is other.roberta.embeddings.word_embeddings.weight
    other.lm_head.dense.bias[...] += 1
    assert not same(model(IDS), other(IDS))
    assert other.config == model.config


# -- compiling ---------------------------------------------------------------------------------------------------------


@HEAD
def test_a_compiled_model_returns_its_record_within_the_budget(head: str, make_config: Any, make_model: Any) -> None:
    model = make_model(head, make_config(num_hidden_layers=1), "flax")
    inputs = inputs_of(model, has_labels=True)
    asked = {"output_attentions": True, "output_hidden_states": True}
    got = Counted(**asked)(model, **inputs)
    assert type(got) is type(model(**inputs))
    require_within_budget(model, inputs, got, **asked)


def test_a_compiled_model_is_traced_once_for_all_models_of_one_config(make_config: Any, make_model: Any) -> None:
    one, other = (make_model("masked_lm", make_config(num_hidden_layers=1), "flax", seed=seed) for seed in (0, 1))
    run = Counted()
    assert not same(run(one, input_ids=IDS), run(other, input_ids=IDS))
    assert same(run(one, input_ids=IDS), run(one, input_ids=IDS))
    assert run.count == 1
    assert hash(nnx.split(one)[0]) == hash(nnx.split(other)[0])
    assert nnx.split(one)[0] == nnx.split(other)[0]
    other.train()
    run(other, input_ids=IDS)
    assert run.count == 2


def test_a_loaded_model_has_a_hash_too_as_plain_jit_wants_of_what_is_static() -> None:
    one, other = (FACES["masked_lm"].from_pretrained("austen", backend="flax") for _ in range(2))
    assert hash(nnx.split(one)[0]) == hash(nnx.split(other)[0])
    assert nnx.split(one)[0] == nnx.split(other)[0]


def test_a_change_of_the_config_is_seen_by_what_was_compiled_before(make_config: Any, make_model: Any) -> None:
    model = make_model("token_classification", make_config(num_hidden_layers=1), "flax")
    run = Counted()
    assert run(model, input_ids=IDS).hidden_states is None
    model.config.output_hidden_states = True
    assert len(run(model, input_ids=IDS).hidden_states) == 2
    assert model.config.output_hidden_states
    assert model.config is model.config
    assert run.count == 2


def test_a_model_split_into_graph_and_state_crosses_plain_jit(make_config: Any, make_model: Any) -> None:
    model = make_model("masked_lm", make_config(num_hidden_layers=1), "flax")
    graph, state = nnx.split(model)
    run = jax.jit(lambda graph, state, ids: nnx.merge(graph, state)(ids), static_argnums=0)
    assert same(run(graph, state, IDS), Counted()(model, input_ids=IDS))
    assert jax.tree.structure(run(graph, state, IDS)) == jax.tree.structure(model(IDS))


def test_a_batch_can_be_mapped_row_by_row(make_config: Any, make_model: Any) -> None:
    model = make_model("sequence_classification", make_config(num_hidden_layers=1), "flax")
    mapped = jax.vmap(lambda ids: model(ids[None]))(IDS)
    assert mapped.logits.shape == (3, 1, 2)
    require_within_budget(model, {"input_ids": IDS}, type(mapped)(logits=mapped.logits[:, 0]))


def test_a_tape_works_inside_what_is_compiled(make_config: Any, make_model: Any) -> None:
    model = make_model("model", make_config(num_hidden_layers=1), "flax")
    taped = nnx.jit(lambda model, ids: dict(model.tape(input_ids=ids)))(model, IDS)
    eager = model.tape(input_ids=IDS)
    assert eager.missing == ()
    assert sorted(taped) == sorted(eager)  # crossing jit, a dict is sorted
    assert all(taped[name].shape == eager[name].shape for name in eager)


def test_an_equation_is_one_step_unless_somebody_listens(make_config: Any, make_model: Any) -> None:
    model = make_model("model", make_config(num_hidden_layers=1), "flax")
    quiet = str(jax.make_jaxpr(lambda x: model.encoder["layer"][0].output["LayerNorm"](x))(jnp.ones((3, 7, 21))))
    assert "jit" not in quiet, "inlined: a program around it may fuse it with what follows"
    require_within_budget(model, {"input_ids": IDS}, model(IDS))
    tape = model.tape(input_ids=IDS)
    assert np.abs(tape["encoder.layer.0.output.LayerNorm.mean"]).max() > 0


# -- ids that do not exist ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "wrong"), [("input_ids", 53), ("input_ids", -1), ("token_type_ids", 5)])
def test_ids_out_of_range_are_an_error_and_inside_jit_nan(
    name: str, wrong: int, make_config: Any, make_model: Any
) -> None:
    model = make_model("model", make_config(num_hidden_layers=1), "flax")
    given = {"input_ids": IDS, "token_type_ids": jnp.zeros_like(IDS)}
    given[name] = given[name].at[1, 2].set(wrong)
    with pytest.raises(ValueError, match=f"{name}.*{wrong}"):
        model(**given)
    found = Counted()(model, **given).last_hidden_state
    assert jnp.isnan(found[1]).all()
    assert jnp.isfinite(found[jnp.array([0, 2])]).all()


def test_labels_that_do_not_exist_are_an_error_and_inside_jit_nan(make_config: Any, make_model: Any) -> None:
    model = make_model("token_classification", make_config(num_hidden_layers=1), "flax")
    run = Counted()
    labels = jnp.where(IDS % 3 > 0, IDS % 2, -100)
    assert jnp.isfinite(run(model, input_ids=IDS, labels=labels).loss)
    for wrong in (2, -1, -2):  # of two; JAX counts negative ones from the end
        given = {"input_ids": IDS, "labels": labels.at[1, 2].set(wrong)}
        with pytest.raises(ValueError, match=f"labels.*{wrong}"):
            model(**given)
        assert jnp.isnan(run(model, **given).loss)


def test_positions_are_counted_in_whatever_integers_the_ids_are(make_config: Any, make_model: Any) -> None:
    model = make_model("model", make_config(num_hidden_layers=1, max_position_embeddings=307), "flax")
    ids = jnp.arange(293)[None] % 51 + 2  # more tokens than a byte can count
    run = Counted()
    for narrow in (jnp.uint8, jnp.int8):
        assert same(model(ids.astype(narrow)), model(ids))
        assert same(run(model, input_ids=ids.astype(narrow)), run(model, input_ids=ids))


def test_more_tokens_than_positions_are_an_error_and_inside_jit_nan(make_config: Any, make_model: Any) -> None:
    model = make_model("model", make_config(num_hidden_layers=1, max_position_embeddings=7), "flax")
    with pytest.raises(ValueError, match="at most 5 tokens"):
        model(IDS)
    assert jnp.isnan(Counted()(model, input_ids=IDS).last_hidden_state).all()


# -- training ----------------------------------------------------------------------------------------------------------


def test_probabilities_are_dropped_as_often_as_a_binomial_law_allows(make_config: Any, make_model: Any) -> None:
    rate = 0.3
    model = make_model("model", make_config(attention_probs_dropout_prob=rate, hidden_dropout_prob=0.0), "flax")
    ids = np.random.default_rng(0).integers(2, 53, (16, 21))
    plain = model(ids, output_attentions=True).attentions[0]
    dropped = model.train()(ids, output_attentions=True).attentions[0]
    kept = int((dropped != 0).sum())
    assert stats.binom.ppf(5e-10, plain.size, 1 - rate) <= kept <= stats.binom.isf(5e-10, plain.size, 1 - rate)
    scaled = jnp.where(dropped != 0, plain / (1 - rate), 0)
    assert (jnp.abs(dropped - scaled) <= 8 * 2.0**-24 * scaled).all()


ONE_PLACE = {
    "hidden": {"hidden_dropout_prob": 0.5},
    "attention": {"attention_probs_dropout_prob": 0.5},
    "classifier": {"classifier_dropout": 0.5},
}


@HEAD
@pytest.mark.parametrize("place", ONE_PLACE)
def test_each_dropout_works_in_training_only_and_is_seeded(
    head: str, place: str, make_config: Any, make_model: Any
) -> None:
    none = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "classifier_dropout": 0.0}
    model = make_model(head, make_config(**{**none, **ONE_PLACE[place]}), "flax")
    inputs = inputs_of(model)

    def first(seed: int = 0) -> Any:
        nnx.reseed(model, dropout=seed)
        return np.asarray(model(**inputs)[0])

    plain = first()
    assert np.array_equal(first(1), plain), "off from the start"
    model.train()
    is_felt = place != "classifier" or head in {"sequence_classification", "token_classification"}
    assert np.array_equal(first(), first())
    assert np.array_equal(first(0), first(1)) != is_felt
    assert np.array_equal(model(**inputs)[0], first(1)) != is_felt, "the stream goes on"
    model.eval()
    assert np.array_equal(first(), plain)


def test_dropout_can_be_switched_as_nnx_does_it(make_config: Any, make_model: Any) -> None:
    model = make_model("causal_lm", make_config(num_hidden_layers=1, is_decoder=True), "flax")
    plain = model(IDS)
    other = nnx.view(model, deterministic=False)
    assert (model.training, other.training) == (False, True)
    assert not same(other(IDS), plain)
    assert same(model(IDS), plain)
    model.set_attributes(deterministic=False)
    assert model.training
    model.generate(IDS[:, :2], max_new_tokens=1)
    assert not same(model(IDS), plain), "generating leaves the mode as it was"
    nnx.Module.eval(model)
    assert not model.training
    assert same(model(IDS), plain)


def test_each_model_keeps_its_own_report_through_what_is_compiled(config: Any, make_state: Any) -> None:
    fresh = FACES["model"](config, backend="flax")
    given = FACES["model"](config, backend="flax", state=make_state("model", config))
    reports = [model.load_report for model in (fresh, given)]
    run = Counted()
    for model in (fresh, given, FACES["model"](config, backend="flax", seed=1)):
        run(model, input_ids=IDS)
    assert run.count == 2, "models whose weights come from the same places share what was compiled"
    assert [model.load_report for model in (fresh, given)] == reports
    assert nnx.merge(*nnx.split(given)).load_report == given.load_report
    assert reports[0] != reports[1]


def test_dropout_inside_jit_goes_on_where_it_was_and_is_reproducible(make_config: Any, make_model: Any) -> None:
    drawn = []
    for _ in range(2):
        model = make_model("model", make_config(num_hidden_layers=1), "flax").train()
        run = Counted()
        drawn.append([np.asarray(run(model, input_ids=IDS).pooler_output) for _ in range(2)])
        assert run.count == 1
    assert np.array_equal(drawn[0], drawn[1])
    assert not np.array_equal(*drawn[0])


@HEAD
def test_a_few_steps_of_training_lower_the_loss(head: str, make_config: Any, make_model: Any) -> None:
    model = make_model(head, make_config(num_hidden_layers=1), "flax")
    inputs = inputs_of(model, has_labels=head != "model")
    optimizer = nnx.Optimizer(model, optax.adam(1e-2), wrt=nnx.Param)

    def loss(model: Any) -> Any:
        output = model(**inputs)
        return jnp.square(output.pooler_output).mean() if head == "model" else output.loss

    @nnx.jit
    def step(model: Any, optimizer: Any) -> Any:
        value, gradients = nnx.value_and_grad(loss)(model)
        optimizer.update(model, gradients)
        return value

    values = [float(step(model, optimizer)) for _ in range(12)]
    assert 0 <= values[-1] < 0.9 * values[0]
    if head.endswith("_lm"):
        assert model.lm_head.decoder.weight is model.roberta.embeddings.word_embeddings.weight


def test_no_labels_that_count_give_a_loss_of_zero_with_a_gradient_of_zero(config: Any, make_model: Any) -> None:
    for head in ("masked_lm", "causal_lm", "token_classification"):
        model = make_model(head, config, "flax")
        given = {"input_ids": IDS, "labels": jnp.full_like(IDS, -100)}
        assert model(**given).loss == 0
        assert not any(gradient.any() for gradient in model.engine.gradients(model, given).values())


def test_gradients_reach_embeddings_that_are_given(make_config: Any, make_model: Any) -> None:
    model = make_model("model", make_config(num_hidden_layers=1), "flax")
    embeds = jax.random.normal(jax.random.key(0), (3, 7, 21), jnp.float64)
    found = jax.jit(jax.grad(lambda embeds: model(inputs_embeds=embeds).pooler_output.sum()))(embeds)
    assert found.dtype == jnp.float64
    assert jnp.abs(found).sum() > 0


# -- precision ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize(
    ("head", "kind"), [*((h, "encoder") for h in HEADS), ("causal_lm", "decoder"), ("model", "cross")]
)
def test_every_precision_keeps_within_its_budget_and_can_be_computed_in_over_float32(
    head: str, kind: str, dtype: str, make_config: Any, make_model: Any
) -> None:
    model = make_model(head, make_config(**KINDS[kind]), "flax")
    inputs = inputs_of(model)
    computed = model.compute_in(dtype)(**inputs, output_attentions=True)
    assert (model.dtype, model.compute_dtype) == ("float32", dtype)
    stored = make_model(head, make_config(**KINDS[kind]), "flax", dtype=dtype)(**inputs, output_attentions=True)
    assert {value.dtype.name for value in jax.tree.leaves((stored.to_tuple(), computed.to_tuple()))} <= {dtype, "int64"}
    require_within_budget(model.compute_in(None), inputs, stored, dtype, output_attentions=True)
    require_within_budget(model, inputs, computed, dtype, output_attentions=True)


def test_what_a_model_computes_in_is_checked_and_kept_when_its_sizes_change(config: Any, make_model: Any) -> None:
    model = make_model("masked_lm", config, "flax").compute_in("bfloat16")
    with pytest.raises(ValueError, match=r"one of \['float32', .*got 'int8'"):
        model.compute_in("int8")
    for name in ("float16", "bfloat16"):  # a scalar type of JAX, or a dtype, is as good
        for dtype in (getattr(jnp, name), jnp.dtype(name)):
            assert model.compute_in(dtype).compute_dtype == name
    model.resize_token_embeddings(59)
    assert (model.dtype, model(IDS).logits.dtype.name) == ("float32", "bfloat16")


def test_numbers_that_come_in_take_the_dtype_of_the_computation(make_config: Any, make_model: Any) -> None:
    model = make_model("model", make_config(**KINDS["cross"], num_hidden_layers=1), "flax").compute_in("bfloat16")
    rng = np.random.default_rng(0)
    embeds, states, mask = rng.normal(size=(3, 7, 21)), rng.normal(size=(3, 4, 21)), np.array([1.0, 0.5, 0.0])
    for floats, convert in itertools.product(("float64", "float32"), (np.asarray, jnp.asarray)):
        given = [convert(value.astype(floats)) for value in (embeds, states, mask)]
        output = model(
            inputs_embeds=given[0], encoder_hidden_states=given[1], head_mask=given[2], output_attentions=True
        )
        found = {value.dtype.name for value in (output[0], *output.attentions, *output.cross_attentions)}
        assert found == {"bfloat16"}


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16", "float16"])
def test_a_row_that_may_look_at_nobody_looks_at_all_alike_and_has_a_gradient(
    dtype: str, make_config: Any, make_model: Any
) -> None:
    model = make_model("model", make_config(num_hidden_layers=1), "flax", dtype=dtype)
    mask = jnp.ones((3, 7, 7)).at[1, 2].set(0).at[2].set(0)
    inputs = {"input_ids": IDS, "attention_mask": mask}
    output = model(**inputs, output_attentions=True)
    assert (output.attentions[0][1, :, 2] == jnp.asarray(1 / 7, dtype)).all()
    require_within_budget(model, inputs, output, dtype, output_attentions=True)
    if dtype == "float32":  # of the others it would only be compiled anew
        assert all(np.isfinite(gradient).all() for gradient in model.engine.gradients(model, inputs).values())


@pytest.mark.parametrize("size", [1, 3, 7, 100])
def test_a_feed_forward_in_slices_is_the_whole_even_if_the_last_is_shorter(
    size: int, make_config: Any, make_model: Any
) -> None:
    model = make_model("model", make_config(chunk_size_feed_forward=size), "flax", dtype="float64")
    inputs = inputs_of(model)
    require_within_budget(model, inputs, model(**inputs), "float64")
    assert any(name.endswith("intermediate.dense") for name in model.tape(**inputs).missing)


# -- a cache of fixed size ---------------------------------------------------------------------------------------------

DECODERS = {
    "absolute": {},
    "relative_key": {"position_embedding_type": "relative_key"},
    "relative_key_query": {"position_embedding_type": "relative_key_query"},
    "cross": {"add_cross_attention": True},
}


def in_parts(model: Any, given: dict[str, Any], cuts: tuple[int, ...], past: Any) -> tuple[Any, Any]:
    """The last hidden states of a text that is given in parts, and the cache behind it."""
    found, is_fixed = [], past is not None
    for start, stop in itertools.pairwise((0, *cuts, 7)):
        part = {name: value[:, start:stop] for name, value in given.items() if name.startswith("input")}
        if "attention_mask" in given:  # one column for each slot, or for each token so far
            part["attention_mask"] = given["attention_mask"][:, : None if is_fixed else stop]
        kept = {name: value for name, value in given.items() if name.startswith("encoder")}
        output = model(**part, **kept, past_key_values=past)
        past = output.past_key_values
        found.append(output.last_hidden_state)
    return jnp.concatenate(found, 1), past


@pytest.mark.parametrize("has_embeds", [False, True], ids=["ids", "embeds"])
@pytest.mark.parametrize("has_mask", [False, True], ids=["whole", "left"])
@pytest.mark.parametrize("kind", DECODERS)
def test_a_cache_of_fixed_size_gives_what_the_growing_one_gives(
    kind: str, has_mask: bool, has_embeds: bool, make_config: Any, make_model: Any
) -> None:
    config = make_config(is_decoder=True, num_hidden_layers=1, **DECODERS[kind])
    model = make_model("model", config, "flax", dtype="float64")
    rng = np.random.default_rng(0)
    ids = IDS.at[1, :2].set(1).at[2, :4].set(1) if has_mask else IDS
    given = {"inputs_embeds": jnp.asarray(rng.normal(size=(3, 7, 21)))} if has_embeds else {"input_ids": ids}
    given |= {"encoder_hidden_states": jnp.asarray(rng.normal(size=(3, 4, 21)))} if kind == "cross" else {}
    mask = jnp.ones((3, 11), int).at[1, :2].set(0).at[2, :4].set(0)
    given |= {"attention_mask": mask} if has_mask else {}
    for cuts in ((3,), (1, 2, 3, 4, 5, 6)):
        wanted, grown = in_parts(model, given, cuts, None)
        found, past = in_parts(model, given, cuts, model.init_cache(3, 11))
        # the same sums, over up to ten more terms that are zero
        assert jnp.abs(found - wanted).max() <= 64 * 2.0**-53 * float(jnp.abs(wanted).max())
        assert int(past.taken) == grown.length == 7
        assert np.array_equal(past.token_count, grown.token_count)
        assert all(part.shape[2] == 11 for layer in past.layers for part in layer[:2])


def test_all_steps_of_a_compiled_decoder_are_one_program(make_config: Any, make_model: Any) -> None:
    model = make_model("causal_lm", make_config(is_decoder=True, num_hidden_layers=1), "flax")
    run = Counted()
    past = model.init_cache(3, 9)
    shapes = jax.tree.map(jnp.shape, past)
    for t in range(7):
        output = run(model, input_ids=IDS[:, t : t + 1], past_key_values=past)
        past = output.past_key_values
        assert type(past) is type(model.init_cache(3, 9))
        assert jax.tree.map(jnp.shape, past) == shapes
    assert run.count == 1
    whole = model(IDS).logits[:, -1:]
    assert jnp.abs(output.logits - whole).max() <= 1e3 * 2.0**-24 * jnp.abs(whole).max()


def test_a_loop_inside_jit_generates_what_generate_does(make_config: Any, make_model: Any) -> None:
    model = make_model("causal_lm", make_config(is_decoder=True, num_hidden_layers=1), "flax", dtype="float64")

    @nnx.jit
    def greedy(model: Any, ids: Any) -> Any:
        def step(carry: Any, _: Any) -> Any:
            token, past = carry
            output = model(token, past_key_values=past)
            token = output.logits[:, -1:].at[..., model.config.pad_token_id].set(-jnp.inf).argmax(-1)
            return (token, output.past_key_values), token[:, 0]

        output = model(ids[:, :-1], past_key_values=model.init_cache(3, 12))
        _, tokens = jax.lax.scan(step, (ids[:, -1:], output.past_key_values), length=5)
        return tokens.T

    wanted = model.generate(IDS, max_new_tokens=5, eos_token_id=())[:, 7:]
    assert np.array_equal(greedy(model, IDS), wanted)


def test_more_tokens_than_slots_are_an_error_and_inside_jit_nan(make_config: Any, make_model: Any) -> None:
    model = make_model("causal_lm", make_config(is_decoder=True, num_hidden_layers=1), "flax")
    past = model(IDS, past_key_values=model.init_cache(3, 9)).past_key_values
    with pytest.raises(ValueError, match=r"past_key_values: expected room for 3 tokens, got a cache of 9 with 7 in it"):
        model(IDS[:, :3], past_key_values=past)
    with pytest.raises(ValueError, match=r"attention_mask.*\(3, 9\).*got \(3, 8\)"):
        model(IDS[:, :1], past_key_values=past, attention_mask=jnp.ones((3, 8), int))
    assert jnp.isnan(Counted()(model, input_ids=IDS[:, :3], past_key_values=past).logits).all()


def test_a_cache_of_fixed_size_is_one_for_every_engine(make_config: Any, make_model: Any) -> None:
    config = make_config(is_decoder=True, add_cross_attention=True, num_hidden_layers=1)
    model = make_model("causal_lm", config, "flax")
    source = jnp.asarray(np.random.default_rng(0).normal(size=(3, 4, 21)), jnp.float32)
    spec = model.to_backend("numpy")
    whole = spec(IDS, encoder_hidden_states=source).logits[:, 4:]  # B 3 V
    first = model(IDS[:, :4], past_key_values=model.init_cache(3, 9), encoder_hidden_states=source)
    mask = np.ones((3, 7), int)
    for past in (first.past_key_values, first.numpy()["past_key_values"]):
        grown = spec(IDS[:, 4:], past_key_values=past, attention_mask=mask)
        assert np.abs(grown.logits - whole).max() <= 64 * 2.0**-24 * np.abs(whole).max()
        assert grown.past_key_values.length == 7
        here = model(IDS[:, 4:], past_key_values=past)
        assert np.abs(here.logits - whole).max() <= 64 * 2.0**-24 * np.abs(whole).max()
        assert int(here.past_key_values.taken) == 7


@pytest.mark.parametrize(
    ("sizes", "said"), [((3, 0), "max_length.*at least 1, got 0"), ((-1, 7), "batch_size.*at least 0, got -1")]
)
def test_a_cache_that_cannot_be_is_refused(sizes: Any, said: str, make_config: Any, make_model: Any) -> None:
    with pytest.raises(ValueError, match=f"init_cache: {said}"):
        make_model("model", make_config(is_decoder=True), "flax").init_cache(*sizes)
    with pytest.raises(ValueError, match=r"init_cache: expected a decoder.*is_decoder=True"):
        make_model("model", make_config(), "flax").init_cache(3, 7)


# -- 64 bits, devices, and the process ---------------------------------------------------------------------------------

ROOT = Path(roberta.__file__).resolve().parent


def fresh(code: str, environment: dict[str, str]) -> str:
    """What a new interpreter prints, to both of its streams, where warnings are errors."""
    command = [sys.executable, "-W", "error", "-c", code]
    result = subprocess.run(  # noqa: S603  # our own
        command, capture_output=True, text=True, check=False, cwd=ROOT.anchor, env=environment
    )
    assert result.returncode == 0, result.stderr
    return result.stdout + result.stderr


FIGURES = """
import numpy as np, roberta
config = roberta.RobertaConfig(53, 21, 1, 3, 31, max_position_embeddings=23, num_labels=3)
model = roberta.RobertaForTokenClassification(config, backend="flax", seed=3)
ids = np.arange(2, 23).reshape(3, 7)
figures = []
for mode in (False, True):
    output = model.train(mode)(ids, ids > 4, labels=ids % 3, output_hidden_states=True)
    figures += [output.loss, output.logits, *output.hidden_states]
"""


def test_float32_is_the_same_with_and_without_64_bits() -> None:
    here: dict[str, Any] = {}
    exec(FIGURES, here)  # noqa: S102  # our own lines, which the other interpreter runs as well
    assert jax.config.read("jax_enable_x64")
    assert {str(value.dtype) for value in here["figures"]} == {"float32"}
    code = FIGURES + "print(*(np.asarray(value).tobytes().hex() for value in figures))"
    there = fresh(code, {**os.environ, "JAX_ENABLE_X64": "0"}).split()
    assert there == [np.asarray(value).tobytes().hex() for value in here["figures"]]


def test_without_64_bits_float64_is_an_error_that_says_what_to_type_and_large_labels_stay_large() -> None:
    code = FIGURES + (
        "for ask in (lambda: model.compute_in('float64'), lambda: model.to_backend('flax', 'float64')):\n"
        "    try: ask(); print('nothing')\n"
        "    except ValueError as error: print(error)\n"
        "answers = roberta.RobertaForQuestionAnswering(config.replace(num_labels=2), backend='flax')\n"
        "inside, beyond = (answers(ids, start_positions=[1] * 3, end_positions=[p] * 3).loss for p in (2, 2**40))\n"
        "half = answers(ids, start_positions=[1] * 3, end_positions=[7] * 3).loss\n"
        "print(bool(beyond == half != inside))"
    )
    printed = fresh(code, {**os.environ, "JAX_ENABLE_X64": "0"}).splitlines()
    assert len(printed) == 3
    for line in printed[:2]:
        assert "JAX_ENABLE_X64=1" in line
        assert 'jax.config.update("jax_enable_x64", True)' in line
    assert printed[2] == "True"


def test_the_engine_is_silent_and_takes_no_memory_in_advance() -> None:
    code = (
        "import os, roberta; roberta.FlaxRobertaModel(roberta.RobertaConfig(9, 2, 1, 1, 2));"
        "print(os.environ['XLA_PYTHON_CLIENT_PREALLOCATE'])"
    )
    unset = {name: value for name, value in os.environ.items() if not name.startswith(("XLA_", "TF_", "JAX_"))}
    assert fresh(code, unset) == "false\n"
    assert fresh(code, {**unset, "XLA_PYTHON_CLIENT_PREALLOCATE": "true"}) == "true\n"


def test_a_model_goes_to_the_device_that_is_named(config: Any) -> None:
    names = roberta.available_backends()["flax"].devices
    for name in names:
        model = FACES["masked_lm"](config, backend="flax", device=name)
        platform = name.partition(":")[0]
        assert {device.platform for device in model(IDS).logits.devices()} == {platform}
    assert FACES["masked_lm"](config, backend="flax", device=jax.devices()[0]).dtype == "float32"
    with pytest.raises(ValueError, match=r"device: the flax backend has \['cpu'.*got 'tpu:7'"):
        FACES["masked_lm"](config, backend="flax", device="tpu:7")
    with pytest.raises(ValueError, match=r"device: the flax backend has \['cpu'.*got 7"):
        FACES["masked_lm"](config, backend="flax", device=7)


def test_what_is_half_a_number_survives_the_way_to_numpy_and_back(config: Any, make_model: Any) -> None:
    model = make_model("masked_lm", config, "flax", dtype="bfloat16")
    state = model.state_dict_numpy()
    assert {array.dtype for array in state.values()} == {np.dtype("float32")}
    assert all(np.array_equal(np.asarray(a, jnp.bfloat16).astype(np.float32), a) for a in state.values())
    assert same(model.to_backend("flax")(IDS), model(IDS))
    labels = partial(model, IDS, labels=IDS)
    assert labels().loss.dtype == jnp.bfloat16


# -- activations that are computed again -------------------------------------------------------------------------------


@pytest.mark.parametrize("is_compiled", [False, True])
def test_gradient_checkpointing_gives_the_same_gradients_and_keeps_less(
    is_compiled: bool, make_config: Any, make_model: Any
) -> None:
    config = make_config(hidden_dropout_prob=0.3, attention_probs_dropout_prob=0.2)
    ids, found, kept = jnp.asarray(np.arange(2, 17).reshape(3, 5)), [], []
    for is_on in (False, True):
        model = make_model("masked_lm", config, "flax", dtype="float64").train()
        if is_on:
            model.gradient_checkpointing_enable()
        assert model.is_gradient_checkpointing is is_on

        def gradients(model: Any) -> Any:
            return nnx.grad(lambda model: model(ids, labels=ids).loss)(model)

        found.append(jax.tree.leaves((nnx.jit(gradients) if is_compiled else gradients)(model)))
        graph, state = nnx.split(model)
        _, pull = jax.vjp(lambda state, graph=graph: nnx.merge(graph, state)(ids, labels=ids).loss, state)
        kept.append(sum(part.size for part in jax.tree.leaves(pull)))
        model.gradient_checkpointing_disable()
        assert not model.is_gradient_checkpointing
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-12)  # rounding is 1e-16; another dropout moves all
    assert kept[1] < kept[0]
