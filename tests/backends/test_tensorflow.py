"""What only TensorFlow and Keras have: traced functions, fit and predict, files, policies, and a quiet start."""

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import roberta
import tensorflow as tf
from roberta.backends.tensorflow import startup
from roberta.parity.cases import draw_inputs
from roberta.parity.compare import compare_outputs
from roberta.parity.tolerances import budgets, flat_outputs
from roberta.reference.attention import Cache
from roberta.reference.inputs import LABELS, SIGNATURES
from roberta.reference.outputs import Output
from roberta.reference.parameters import HEADS
from scipy import stats

pytestmark = pytest.mark.tensorflow

HEAD = pytest.mark.parametrize("head", HEADS)
IDS = np.arange(2, 17).reshape(3, 5)
MASK = np.ones_like(IDS)
KINDS = {"encoder": {}, "decoder": {"is_decoder": True}, "cross": {"is_decoder": True, "add_cross_attention": True}}
U = {"float64": 2.0**-53, "float32": 2.0**-24, "bfloat16": 2.0**-8, "float16": 2.0**-11}


@pytest.fixture(autouse=True)
def _seeded() -> None:
    keras.utils.set_random_seed(0)


def inputs_of(model: Any, has_labels: bool = False, padding: str = "right") -> dict[str, Any]:
    drawn = draw_inputs(model.head, model.config, seed=0, padding=padding, length=7)
    wanted = set(SIGNATURES[model.head]) - (set() if has_labels else set(LABELS[model.head]))
    return {name: np.asarray(value) for name, value in drawn.items() if name in wanted}


def require_within_budget(spec: Any, inputs: Any, outputs: Output, dtype: str = "float32", **asked: Any) -> None:
    """Held against the float64 spec; every output must be there."""
    permitted, _ = budgets(spec.to_backend("numpy", "float64").eval(), {**inputs, **asked}, dtype)
    for comparison in compare_outputs(flat_outputs(outputs), permitted):
        assert comparison.passed, str(comparison)


def arrays(output: Output) -> list[Any]:
    return list(flat_outputs(output).values())


def equal(a: Output, b: Output) -> bool:
    return list(a) == list(b) and all(np.array_equal(x, y) for x, y in zip(*map(arrays, (a, b)), strict=True))


# -- models ------------------------------------------------------------------------------------------------------------


@HEAD
def test_a_model_is_kerass_and_its_variables_lie_where_the_checkpoint_has_them(
    head: str, config: Any, make_model: Any
) -> None:
    model = make_model(head, config, "tensorflow")
    own = [name for name, parameter in model.table.items() if parameter.tied_to is None]
    assert isinstance(model, keras.Model)
    assert model.built
    assert sorted(v.path.replace("/", ".") for v in model.trainable_variables) == sorted(
        "lm_head.decoder.bias" if name == "lm_head.bias" else name for name in own
    )
    assert model.count_params() == model.num_parameters()
    assert all(layer.built for layer in model._flatten_layers())


def test_tied_weights_are_one_variable_and_get_both_gradients(make_config: Any, make_state: Any) -> None:
    state = make_state("masked_lm", make_config())
    word, decoder = "roberta.embeddings.word_embeddings.weight", "lm_head.decoder.weight"
    tied, untied = (
        roberta.TFRobertaForMaskedLM(make_config(tie_word_embeddings=is_tied), state=state, dtype="float64")
        for is_tied in (True, False)
    )
    assert tied.lm_head.decoder.weight is tied.roberta.embeddings.word_embeddings.weight
    assert tied.lm_head.bias is tied.lm_head.decoder.bias
    given = {"input_ids": IDS, "labels": IDS}
    both, apart = (model.engine.gradients(model, given) for model in (tied, untied))
    largest = np.abs(both[word]).max()
    assert np.abs(both[word] - (apart[word] + apart[decoder])).max() <= 4 * 2.0**-53 * largest
    assert np.abs(apart[decoder]).max() > 0


def test_rows_of_padding_learn_nothing_as_embeddings(make_config: Any, make_model: Any) -> None:
    model = make_model("token_classification", make_config(), "tensorflow")
    ids = np.where(np.arange(5) < 3, IDS, 1)
    found = model.engine.gradients(model, {"input_ids": ids, "attention_mask": MASK, "labels": IDS % 2})
    for table in ("word", "position"):
        gradient = found[f"roberta.embeddings.{table}_embeddings.weight"]
        assert not gradient[1].any()
        assert gradient.any()


def test_arrays_that_go_in_and_come_out_are_copies(config: Any, make_state: Any) -> None:
    state = make_state("model", config)
    model = roberta.TFRobertaModel(config, state=state)
    before = model(IDS).last_hidden_state.numpy()
    seen = model.state_dict_numpy()
    name = "encoder.layer.0.output.dense.bias"
    state[name] += 1
    seen[name] += 1
    assert np.array_equal(model(IDS).last_hidden_state, before)
    kept = model.state_dict_numpy()
    for variable in model.trainable_variables:
        variable.assign_add(np.ones(variable.shape, np.float32))
    assert np.array_equal(kept[name] + 1, model.state_dict_numpy()[name])


def test_frozen_layers_are_named_and_get_no_gradient(config: Any, make_model: Any) -> None:
    model = make_model("masked_lm", config, "tensorflow")
    model.roberta.encoder["layer"][0].trainable = False
    frozen = [name for name in model.table if ".layer.0." in name]
    assert model.engine.frozen_names(model) == set(frozen)
    assert model.num_parameters(only_trainable=True) < model.num_parameters()
    found = model.engine.gradients(model, {"input_ids": IDS, "labels": IDS})
    assert not any(found[name].any() for name in frozen)
    assert found["roberta.encoder.layer.1.output.dense.bias"].any()


def test_no_labels_that_count_give_a_loss_of_zero_with_a_gradient_of_zero(config: Any, make_model: Any) -> None:
    for head in ("masked_lm", "causal_lm", "token_classification"):
        model = make_model(head, config, "tensorflow")
        given = {"input_ids": IDS, "labels": np.full_like(IDS, -100)}
        assert model(**given).loss == 0
        assert not any(gradient.any() for gradient in model.engine.gradients(model, given).values())


def test_sizes_change_in_place_without_a_trace_of_the_old_layers(config: Any, make_model: Any) -> None:
    model = make_model("masked_lm", config, "tensorflow")
    model.resize_token_embeddings(59)
    model.prune_heads({0: [1]})
    assert model.count_params() == model.num_parameters()
    assert model.lm_head.decoder.weight is model.roberta.embeddings.word_embeddings.weight
    assert model(IDS).logits.shape == (3, 5, 59)


def test_a_device_that_is_not_there_is_refused_and_the_cpu_is(config: Any) -> None:
    assert roberta.TFRobertaModel(config, device="cpu")(IDS).last_hidden_state.device.endswith("CPU:0")
    with pytest.raises(ValueError, match=r"device: required one of \['cpu'.*got 'tpu:9'"):
        roberta.TFRobertaModel(config, device="tpu:9")


# -- dropout -----------------------------------------------------------------------------------------------------------


def test_probabilities_are_dropped_as_often_as_a_binomial_law_allows(make_config: Any, make_model: Any) -> None:
    rate = 0.3
    config = make_config(attention_probs_dropout_prob=rate, hidden_dropout_prob=0.0)
    model = make_model("model", config, "tensorflow")
    ids = np.random.default_rng(0).integers(2, 53, (16, 21))
    plain, dropped = (model(ids, output_attentions=True, training=mode).attentions[0].numpy() for mode in (False, True))
    kept = int((dropped != 0).sum())
    assert stats.binom.ppf(5e-10, plain.size, 1 - rate) <= kept <= stats.binom.isf(5e-10, plain.size, 1 - rate)
    scaled = np.where(dropped != 0, plain / (1 - rate), 0)
    assert (np.abs(dropped - scaled) <= 8 * U["float32"] * scaled).all()


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
    model = make_model(head, make_config(**{**none, **ONE_PLACE[place]}), "tensorflow")
    inputs = inputs_of(model)

    def first(seed: int = 0, **asked: Any) -> Any:
        model.seed_generator.state.assign([seed, 0])
        return model(**inputs, **asked)[0].numpy()

    plain = first()
    is_felt = place != "classifier" or head in {"sequence_classification", "token_classification"}
    assert np.array_equal(first(0, training=True), first(0, training=True))
    assert np.array_equal(first(0, training=True), first(1, training=True)) != is_felt
    assert np.array_equal(first(), plain)
    assert np.array_equal(model.train() and first(0), first(0, training=True))
    assert np.array_equal(first(training=False), plain)
    assert np.array_equal(model.eval() and first(), plain)


def test_a_global_seed_makes_a_run_reproducible_and_draws_go_on(make_config: Any) -> None:
    drawn = []
    for _ in range(2):
        keras.utils.set_random_seed(7)
        model = roberta.TFRobertaModel(make_config(hidden_dropout_prob=0.5))
        drawn.append([model(IDS, training=True)[0].numpy() for _ in range(2)])
    assert np.array_equal(drawn[0], drawn[1])
    assert not np.array_equal(*drawn[0])


def test_a_rate_of_one_drops_everything(make_config: Any, make_model: Any) -> None:
    model = make_model("model", make_config(attention_probs_dropout_prob=1.0), "tensorflow")
    assert not any(probs.numpy().any() for probs in model(IDS, output_attentions=True, training=True).attentions)


# -- precisions --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize(
    ("head", "kind"), [*((h, "encoder") for h in HEADS), ("causal_lm", "decoder"), ("model", "cross")]
)
def test_every_precision_keeps_within_its_budget(
    head: str, kind: str, dtype: str, make_config: Any, make_model: Any
) -> None:
    model = make_model(head, make_config(**KINDS[kind]), "tensorflow", dtype=dtype)
    inputs = inputs_of(model, has_labels=True)
    output = model(**inputs, output_attentions=True)
    assert next(value for name, value in output.items() if name != "loss").dtype == dtype
    require_within_budget(model, inputs, output, dtype, output_attentions=True)


@pytest.mark.parametrize("dtype", U)
def test_a_row_that_may_look_at_nobody_looks_at_all_alike_and_has_a_gradient(
    dtype: str, make_config: Any, make_model: Any
) -> None:
    model = make_model("model", make_config(num_hidden_layers=1), "tensorflow", dtype=dtype)
    mask = np.ones((3, 5, 5), int)
    mask[1, 2] = mask[2] = 0
    inputs = {"input_ids": IDS, "attention_mask": mask}
    output = model(**inputs, output_attentions=True)
    alike = np.asarray(output.attentions[0][1, :, 2], "float64")
    # Five terms of a sum, the exponential, the quotient: some processors multiply by a reciprocal.
    assert np.max(np.abs(alike - 0.2)) <= 0.2 * 7 * U[dtype]
    require_within_budget(model, inputs, output, dtype, output_attentions=True)
    assert all(np.isfinite(gradient).all() for gradient in model.engine.gradients(model, inputs).values())


@pytest.fixture
def policy(request: pytest.FixtureRequest) -> Any:
    """A global policy of Keras, for one test."""
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"], indirect=True)
def test_a_mixed_policy_computes_in_half_and_trains_in_single(policy: str, make_config: Any, make_model: Any) -> None:
    half = policy.removeprefix("mixed_")
    model = make_model("masked_lm", make_config(num_hidden_layers=1), "tensorflow")
    inputs = inputs_of(model, has_labels=True)
    output = model(**inputs)
    assert (model.dtype, output.logits.dtype, output.loss.dtype) == ("float32", half, tf.float32)
    require_within_budget(model, inputs, output, half)
    model.compile(keras.optimizers.Adam(1e-2), jit_compile=False)
    losses = model.fit(inputs, epochs=8, verbose=0).history["loss"]
    assert losses[-1] < 0.9 * losses[0]
    assert {variable.dtype for variable in model.trainable_variables} == {"float32"}


def test_a_policy_can_be_set_afterwards_and_an_explicit_dtype_wins_over_another_one(
    config: Any, make_model: Any
) -> None:
    model = make_model("masked_lm", config, "tensorflow")
    single = model(IDS).logits
    model.dtype_policy = "mixed_bfloat16"
    assert model(IDS).logits.dtype == tf.bfloat16
    assert model.dtype == "float32"
    model.dtype_policy = "float32"
    assert np.array_equal(model(IDS).logits, single)
    keras.config.set_dtype_policy("mixed_float16")
    try:
        assert make_model("masked_lm", config, "tensorflow", dtype="float64")(IDS).logits.dtype == tf.float64
    finally:
        keras.config.set_dtype_policy("float32")


def test_numbers_that_come_in_take_the_models_dtype(make_config: Any, make_model: Any) -> None:
    model = make_model("model", make_config(**KINDS["cross"]), "tensorflow", dtype="bfloat16")
    rng = np.random.default_rng(0)
    embeds, states, mask = rng.normal(size=(3, 5, 21)), rng.normal(size=(3, 4, 21)), np.array([1.0, 0.5, 0.0])
    for floats in (np.float64, np.float32):
        for convert in (np.asarray, tf.constant):
            given = [convert(value.astype(floats)) for value in (embeds, states, mask)]
            output = model(
                inputs_embeds=given[0], encoder_hidden_states=given[1], head_mask=given[2], output_attentions=True
            )
            found = {value.dtype for value in (output[0], *output.attentions, *output.cross_attentions)}
            assert found == {tf.bfloat16}


def test_gradients_reach_embeddings_that_are_given(config: Any, make_model: Any) -> None:
    model = make_model("model", config, "tensorflow")
    embeds = tf.Variable(np.random.default_rng(0).normal(size=(3, 5, 21)))
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(model(inputs_embeds=embeds).pooler_output)
    assert np.abs(tape.gradient(total, embeds)).sum() > 0


def test_a_step_by_hand_lowers_the_loss(config: Any, make_model: Any) -> None:
    model, optimizer = make_model("masked_lm", config, "tensorflow"), keras.optimizers.SGD(0.1)
    losses = []
    for _ in range(5):
        with tf.GradientTape() as tape:
            losses.append(model(IDS, labels=IDS, training=True).loss)
        optimizer.apply_gradients(
            zip(tape.gradient(losses[-1], model.trainable_variables), model.trainable_variables, strict=True)
        )
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("size", [1, 3, 7, 100])
def test_a_feed_forward_in_slices_is_the_whole_even_if_the_last_is_shorter(
    size: int, make_config: Any, make_model: Any
) -> None:
    config = make_config(chunk_size_feed_forward=size, num_hidden_layers=1)
    model = make_model("model", config, "tensorflow", dtype="float64")
    inputs = {name: value for name, value in inputs_of(model).items() if name in {"input_ids", "attention_mask"}}
    require_within_budget(model, inputs, model(**inputs), "float64")
    assert any(name.endswith("intermediate.dense") for name in model.tape(**inputs).missing)
    unknown = tf.function(model, input_signature=[tf.TensorSpec([None, None], tf.int64)] * 2)
    require_within_budget(
        model, inputs, unknown(tf.constant(inputs["input_ids"]), tf.constant(inputs["attention_mask"])), "float64"
    )


# -- traced functions --------------------------------------------------------------------------------------------------

UNKNOWN = tf.TensorSpec([None, None], tf.int64)


@HEAD
def test_a_traced_function_takes_texts_of_any_number_and_length_and_returns_the_record(
    head: str, make_config: Any, make_model: Any
) -> None:
    model = make_model(head, make_config(num_hidden_layers=1), "tensorflow")
    inputs = inputs_of(model, has_labels=True)
    specs = {name: tf.TensorSpec([None] * value.ndim, value.dtype) for name, value in inputs.items()}

    @tf.function(input_signature=[specs])
    def traced(given: Any) -> Any:
        return model(**given, output_attentions=True, output_hidden_states=True)

    short = {
        name: value if name.endswith("positions") else value[:2] if value.ndim == 1 else value[:2, ..., :4]
        for name, value in inputs.items()
    }
    short = {name: value[:2] for name, value in short.items()}
    for given in (inputs, short):
        output = traced({name: tf.constant(value) for name, value in given.items()})
        assert type(output) is type(model(**given))
        require_within_budget(model, given, output, output_attentions=True, output_hidden_states=True)
    assert traced.experimental_get_tracing_count() == 1


@pytest.mark.parametrize("kind", ["relative_key_query", "cross"])
def test_a_traced_decoder_takes_and_returns_its_cache(kind: str, make_config: Any, make_model: Any) -> None:
    fields = KINDS["cross"] if kind == "cross" else {"is_decoder": True, "position_embedding_type": kind}
    model = make_model("causal_lm", make_config(num_hidden_layers=1, **fields), "tensorflow", dtype="float64")
    rng = np.random.default_rng(0)
    states = {"encoder_hidden_states": tf.constant(rng.normal(size=(3, 4, 21)))} if kind == "cross" else {}
    traced = tf.function(lambda ids, past: model(ids, past_key_values=past, **states), reduce_retracing=True)
    past, whole = None, model(IDS, **states)
    for start, end in ((0, 2), (2, 3), (3, 5)):
        output = traced(tf.constant(IDS[:, start:end]), past)
        past = output.past_key_values
        assert isinstance(past, Cache)
        wanted = whole.logits[:, start:end]
        assert np.abs(output.logits - wanted).max() <= 1e4 * 2.0**-53 * np.abs(wanted).max()
    assert np.array_equal(past.token_count, [5, 5, 5])


@pytest.mark.slow
@pytest.mark.parametrize("head", ["masked_lm", "multiple_choice"])
def test_xla_keeps_within_the_budget(head: str, make_config: Any, make_model: Any) -> None:
    model = make_model(head, make_config(num_hidden_layers=1), "tensorflow")
    inputs = inputs_of(model, has_labels=True)
    compiled = tf.function(lambda given: model(**given, output_hidden_states=True), jit_compile=True)
    output = compiled({name: tf.constant(value) for name, value in inputs.items()})
    require_within_budget(model, inputs, output, output_hidden_states=True)


def test_a_head_mask_and_a_mask_of_three_axes_pass_a_traced_function(make_config: Any, make_model: Any) -> None:
    model = make_model("model", make_config(num_hidden_layers=1), "tensorflow")
    model.prune_heads({0: [1]})
    given = {"input_ids": IDS, "attention_mask": np.tri(5, dtype=int)[None].repeat(3, 0), "head_mask": [1.0, 0.5, 0.25]}
    given = {name: tf.constant(value) for name, value in given.items()}
    traced = tf.function(lambda inputs: model(**inputs))
    host = {name: value.numpy() for name, value in given.items()}
    require_within_budget(model, host, traced(given))


# -- fit, evaluate, predict --------------------------------------------------------------------------------------------


def compiled(head: str, config: Any, make_model: Any, **settings: Any) -> Any:
    model = make_model(head, config, "tensorflow")
    model.compile(keras.optimizers.Adam(1e-2), **{"jit_compile": False, **settings})
    return model


@pytest.mark.parametrize("head", HEADS[1:])
def test_a_model_fits_on_its_own_loss_and_evaluates_to_it(head: str, make_config: Any, make_model: Any) -> None:
    none = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    model = compiled(head, make_config(num_hidden_layers=1, **none), make_model)
    inputs = inputs_of(model, has_labels=True)
    first = float(model(**inputs).loss)
    losses = model.fit(inputs, epochs=5, verbose=0, batch_size=len(IDS)).history["loss"]
    assert abs(losses[0] - first) <= 16 * U["float32"] * first
    assert losses[-1] < 0.9 * first
    last = float(model(**inputs).loss)
    assert abs(model.evaluate(inputs, verbose=0, batch_size=len(IDS)) - last) <= 16 * U["float32"] * first


def test_labels_may_stand_in_x_or_be_y_in_a_dict_a_dataset_or_a_tokenizers_record(
    make_config: Any, make_model: Any
) -> None:
    tokenizer = roberta.RobertaTokenizer.from_pretrained("austen")
    record = tokenizer(["He was her son.", "She saw Emma."], padding=True)
    none = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    config = make_config(vocab_size=len(tokenizer), num_hidden_layers=1, **none)
    model = compiled("question_answering", config, make_model)
    model.optimizer.learning_rate = 0.0
    arguments = {name: np.asarray(value) for name, value in record.items()}
    spans = {"start_positions": np.array([1, 2]), "end_positions": np.array([2, 3])}
    wanted = float(model(**arguments, **spans).loss)
    rows = tf.data.Dataset.from_tensor_slices((arguments, spans)).batch(2)
    ways = [((record, spans), {}), ((record, tuple(spans.values())), {}), (({**record, **spans},), {})]
    for args, options in [*ways, ((rows,), {"shuffle": False})]:
        (loss,) = model.fit(*args, verbose=0, **options).history["loss"]
        assert abs(loss - wanted) <= 16 * U["float32"] * wanted
    assert {name: value.shape for name, value in model.predict(record, verbose=0).items()} == {
        "start_logits": arguments["input_ids"].shape,
        "end_logits": arguments["input_ids"].shape,
    }


def test_a_loss_and_metrics_of_keras_get_the_logits(config: Any, make_model: Any) -> None:
    losses = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-100)
    model = compiled("masked_lm", config, make_model, loss=losses, metrics=["sparse_categorical_accuracy"])
    wanted = float(model(IDS, MASK, labels=IDS).loss)
    for args in (({"input_ids": IDS, "attention_mask": MASK}, IDS), ({"input_ids": IDS, "labels": IDS},)):
        loss, accuracy = model.evaluate(*args, verbose=0)
        assert abs(loss - wanted) <= 16 * U["float32"] * wanted
        assert accuracy == np.float32((model(IDS).logits.numpy().argmax(-1) == IDS).mean())
    model.compile("adam", jit_compile=False)
    assert isinstance(model.evaluate({"input_ids": IDS, "labels": IDS}, verbose=0), float)


def test_training_without_labels_is_refused_with_what_to_do(config: Any, make_model: Any) -> None:
    with pytest.raises(ValueError, match="put start_positions and end_positions into x, or give them as y"):
        compiled("question_answering", config, make_model).fit({"input_ids": IDS}, verbose=0)
    with pytest.raises(ValueError, match=r"give compile\(loss=...\) and y"):
        compiled("model", config, make_model).fit({"input_ids": IDS}, verbose=0)
    with pytest.raises(ValueError, match="sample_weight"):
        compiled("masked_lm", config, make_model).fit({"input_ids": IDS}, IDS, sample_weight=np.ones(3), verbose=0)


def test_predictions_are_the_calls_of_all_batches_by_name(make_config: Any, make_model: Any) -> None:
    config = make_config(is_decoder=True, output_hidden_states=True, num_hidden_layers=1)
    model = compiled("causal_lm", config, make_model)
    found = model.predict({"input_ids": IDS, "labels": IDS}, batch_size=2, verbose=0)
    assert list(found) == ["logits", "hidden_states"]
    permitted, _ = budgets(model.to_backend("numpy", "float64"), {"input_ids": IDS}, "float32")
    assert all(c.passed for c in compare_outputs(found, {"logits": permitted["logits"]}))
    assert [value.shape for value in found["hidden_states"]] == [(3, 5, 21)] * 2


@pytest.mark.slow
def test_a_model_fits_under_xla(make_config: Any, make_model: Any) -> None:
    model = compiled("sequence_classification", make_config(num_hidden_layers=1), make_model, jit_compile=True)
    losses = model.fit({"input_ids": IDS}, np.array([0, 1, 1]), epochs=8, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


# -- files and functional models ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("head", ["masked_lm", "multiple_choice", "question_answering"])
def test_an_exported_model_serves_texts_of_any_number_and_length(
    head: str, make_config: Any, make_model: Any, tmp_path: Path
) -> None:
    config = make_config(num_hidden_layers=1, is_decoder=True, output_hidden_states=True)
    model = make_model(head, config, "tensorflow").train()
    model.export(tmp_path / "model")
    served = tf.saved_model.load(tmp_path / "model")
    ids = np.stack([IDS, IDS + 1], 1) if head == "multiple_choice" else IDS
    for given in (ids, ids[:2, ..., :3]):
        mask = np.ones_like(given)
        found = served.serve({"input_ids": tf.constant(given, tf.int32), "attention_mask": tf.constant(mask, tf.int32)})
        wanted = model(given, attention_mask=mask, training=False)
        assert set(found) == {
            *(set(wanted) - {"hidden_states", "past_key_values"}),
            *(f"hidden_states.{i}" for i in (0, 1)),
        }
        permitted, _ = budgets(
            model.to_backend("numpy", "float64").eval(), {"input_ids": given, "attention_mask": mask}, "float32"
        )
        assert all(c.passed for c in compare_outputs({n: v.numpy() for n, v in found.items()}, permitted))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_kerass_own_files_hold_the_whole_model(dtype: str, config: Any, make_model: Any, tmp_path: Path) -> None:
    model = make_model("masked_lm", config, "tensorflow", dtype=dtype)
    model.save(tmp_path / "model.keras")
    model.save_weights(tmp_path / "model.weights.h5")
    fresh = roberta.TFRobertaForMaskedLM(config, seed=1, dtype=dtype)
    fresh.load_weights(tmp_path / "model.weights.h5")
    for again in (keras.models.load_model(tmp_path / "model.keras"), fresh, pickle.loads(pickle.dumps(model))):  # noqa: S301  # our own bytes
        assert type(again) is type(model)
        assert again.dtype == dtype
        assert equal(again(IDS, MASK), model(IDS, MASK))
        assert again.lm_head.decoder.weight is again.roberta.embeddings.word_embeddings.weight


def test_a_compiled_model_goes_on_training_from_its_file(config: Any, make_model: Any, tmp_path: Path) -> None:
    model = compiled("masked_lm", config, make_model)
    inputs = {"input_ids": IDS, "labels": IDS}
    model.fit(inputs, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.optimizer.iterations == 1
    assert all(np.array_equal(a, b) for a, b in zip(again.optimizer.variables, model.optimizer.variables, strict=True))


def test_a_model_is_a_layer_of_a_functional_model(config: Any, make_model: Any) -> None:
    model = make_model("model", config, "tensorflow")
    ids, mask = (keras.Input((None,), dtype="int32", name=name) for name in ("input_ids", "attention_mask"))
    whole = keras.Model([ids, mask], model(ids, attention_mask=mask).pooler_output * 2)
    assert np.array_equal(whole([IDS, MASK]), 2 * model(IDS, MASK).pooler_output)


def test_the_native_class_can_be_subclassed(config: Any) -> None:
    class Tagger(roberta.TFRobertaForTokenClassification):
        def tags(self, ids: Any) -> Any:
            return tf.argmax(self(ids).logits, -1)

    assert Tagger(config).tags(IDS).shape == (3, 5)


# -- starting ----------------------------------------------------------------------------------------------------------


def start(code: str, **variables: str) -> Any:
    """A new interpreter, whose environment says nothing of TensorFlow but what is given."""
    clean = {
        n: v for n, v in os.environ.items() if not n.startswith(("TF_", "KERAS", "ABSL")) and n != "JAX_ENABLE_X64"
    }
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**clean, **variables})  # noqa: S603


USE = """
import sys, roberta
config = roberta.RobertaConfig(hidden_size=4, num_attention_heads=1, num_hidden_layers=1, vocab_size=7)
model = roberta.RobertaModel(config, backend="tensorflow")
model([[5, 6]])
print(sorted({"torch", "jax", "flax", "numba", "tf_keras", "transformers"} & set(sys.modules)))
"""


def test_a_start_and_a_call_write_nothing_to_the_terminal_and_import_no_other_framework() -> None:
    result = start(USE)
    assert (result.returncode, result.stdout.strip(), result.stderr) == (0, "[]", "")


def test_who_wants_notes_gets_them() -> None:
    result = start("import roberta.backends.tensorflow", TF_CPP_MIN_LOG_LEVEL="0")
    assert result.returncode == 0
    assert result.stderr


def test_keras_on_another_framework_is_refused_with_the_variable_to_set(tmp_path: Path) -> None:
    by_file = tmp_path / "keras.json"
    by_file.write_text('{"backend": "numpy"}', encoding="utf-8")
    for variables in ({"KERAS_BACKEND": "jax"}, {"KERAS_HOME": str(tmp_path)}):
        result = start(USE, **variables)
        assert "BackendUnavailableError" in result.stderr
        assert result.stderr.rstrip().endswith(f"What helps: {startup.REMEDY}")


def test_products_are_not_rounded_to_fewer_bits() -> None:
    assert not tf.config.experimental.tensor_float_32_execution_enabled()
