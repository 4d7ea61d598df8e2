"""What people who come from Keras do with a model: their data, their layers around it, their copies and their files."""

import copy
import importlib
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import roberta
import tensorflow as tf
from roberta.backends.tensorflow.files import describe_records
from roberta.parity.compare import compare_outputs
from roberta.parity.tolerances import budgets

pytestmark = pytest.mark.tensorflow

IDS = np.arange(2, 17).reshape(3, 5)
MASK = np.tri(5, dtype=int)[2:]
CLASSES = np.array([0, 1, 2])
PARTS = {"input_ids": IDS, "attention_mask": MASK}


@pytest.fixture
def make(make_config: Any, make_model: Any) -> Any:
    """A model of one layer: make("masked_lm", position_embedding_type="relative_key")."""
    return lambda head, dtype="float32", **fields: make_model(
        head, make_config(num_hidden_layers=1, **fields), "tensorflow", dtype=dtype
    )


@pytest.fixture
def classifier(make: Any) -> Any:
    """One that tells three classes apart, compiled, and learns nothing."""
    none = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    model = make("sequence_classification", num_labels=3, **none)
    model.compile(keras.optimizers.SGD(0.0), run_eagerly=True)
    return model


def listed(arrays: dict[str, Any]) -> dict[str, Any]:
    return {name: array.tolist() for name, array in arrays.items()}


# -- data --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("convert", [np.asarray, tf.constant])
def test_a_list_of_arguments_is_taken_in_their_order_and_a_list_of_rows_as_rows(convert: Any, make: Any) -> None:
    model = make("masked_lm")
    wanted = model(IDS, MASK).logits
    for several in ([convert(IDS), convert(MASK)], (convert(IDS), convert(MASK))):
        assert np.array_equal(model(several).logits, wanted)
    assert np.array_equal(model([convert(row) for row in IDS]).logits, model(IDS).logits)
    choices = make("multiple_choice")
    ids, types = np.stack([IDS, IDS + 1], 1), np.stack([IDS, IDS], 1) % 5
    assert np.array_equal(choices([convert(ids), convert(types)]).logits, choices(ids, types).logits)
    assert choices([convert(IDS), convert(IDS)]).logits.shape == (2, 3)


def test_fit_evaluate_and_predict_take_what_is_in_memory_as_arrays_or_lists(classifier: Any) -> None:
    def seen(x: Any, y: Any) -> list[Any]:
        history = classifier.fit(x, y, validation_data=(x, y), verbose=0, shuffle=False).history
        return [history["loss"], history["val_loss"]]

    losses, logits = seen(PARTS, CLASSES), classifier.predict(PARTS, verbose=0)["logits"]
    for x in (listed(PARTS), (IDS, MASK)):
        assert seen(x, CLASSES.tolist()) == losses
    for x in (listed(PARTS), [IDS, MASK]):
        assert np.array_equal(classifier.predict(x, verbose=0)["logits"], logits)
    assert [classifier.evaluate(listed(PARTS), CLASSES.tolist(), verbose=0)] == losses[1]
    classifier.compile(jit_compile=False)  # and where values are unknown
    assert classifier.predict([IDS, MASK], verbose=0)["logits"].shape == (3, 3)


def test_a_tokenizers_record_is_a_batch_for_every_way_of_training(make: Any) -> None:
    tokenizer = roberta.RobertaTokenizer.from_pretrained("austen")
    record = tokenizer(["He was her son.", "She saw Emma."], padding=True)
    model = make("sequence_classification", num_labels=3, vocab_size=len(tokenizer))
    model.compile(keras.optimizers.SGD(0.0), run_eagerly=True)
    assert np.isfinite(model.fit(record, [0, 1], validation_data=(record, [0, 1]), verbose=0).history["val_loss"][0])
    assert np.isfinite(model.train_on_batch(record, [0, 1]))
    assert np.isfinite(model.test_on_batch(record, [0, 1]))
    assert model.predict_on_batch(record)["logits"].shape == (2, 3)


@pytest.mark.parametrize(
    ("head", "labels", "message"),
    [
        ("sequence_classification", np.zeros((3, 5), int), r"expected shape \(3,\) or \(3, 1\), got \(3, 5\) of int"),
        ("sequence_classification", np.zeros(3), r"expected shape \(3, 3\), got .* of float.*; .* convert them to int"),
        ("token_classification", np.zeros(3, int), r"labels: expected shape \(3, 5\), got \(3,\)"),
        ("multiple_choice", np.zeros((3, 2), int), r"labels: expected shape .*, got \(3, 2\)"),
        ("question_answering", np.zeros(3, int), "required start_positions and end_positions, .* got 1 of them"),
        ("question_answering", {"start": np.zeros(3, int)}, r"start_positions and end_positions, .* got \['start'\]"),
    ],
)
def test_labels_that_do_not_fit_are_refused_before_tensorflow_sees_them(
    head: str, labels: Any, message: str, make: Any
) -> None:
    model = make(head) if head == "question_answering" else make(head, num_labels=3)
    model.compile("sgd", run_eagerly=True)
    with pytest.raises(ValueError, match=message):
        model.fit(np.stack([IDS, IDS], 1) if head == "multiple_choice" else IDS, labels, verbose=0)


def test_rows_of_several_lengths_are_refused_with_how_to_pad_them(make: Any, classifier: Any) -> None:
    for given in (tf.ragged.constant([[2, 3], [4]]), tf.sparse.from_dense([[2, 3]])):
        with pytest.raises(TypeError, match=r"rows have one length, got a \w+Tensor; pad it: ids.to_tensor"):
            make("model")(given)
    with pytest.raises(TypeError, match=r"attention_mask: required"):
        make("model")(IDS, attention_mask=tf.ragged.constant([[1, 1], [1]]))
    with pytest.raises(ValueError, match=r"input_ids: required rows of one length.*padding=True"):
        classifier.fit({"input_ids": [[2, 3], [4]]}, [0, 1], verbose=0)


def test_a_row_of_a_table_that_does_not_exist_is_no_other_row_in_a_traced_function(make: Any) -> None:
    model = make("masked_lm")
    words = model.get_input_embeddings()
    found = tf.function(words, jit_compile=True)(tf.constant([2, 52, 53, -1])).numpy()
    assert np.array_equal(found[:2], words.weight.numpy()[[2, 52]])
    assert np.isnan(found[2:]).all()
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"53 is not in \[0, 53\)"):
        tf.function(lambda ids: model(ids).logits)(tf.constant([[53]]))


# -- layers around it --------------------------------------------------------------------------------------------------


class Around(keras.Model):
    """A model of somebody else's, which leaves `training` to Keras."""

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner = inner

    def call(self, ids: Any) -> Any:
        return self.inner(ids).pooler_output


class Outermost(Around):
    def call(self, ids: Any, training: bool | None = None) -> Any:
        return self.inner(ids)


def test_a_layer_around_it_says_whether_it_trains_as_it_does_to_kerass_own_layers(make: Any) -> None:
    inner = make("model", hidden_dropout_prob=0.5)
    whole = Outermost(Around(inner))
    plain = inner(IDS).pooler_output
    assert np.array_equal(whole(IDS), plain)
    assert not np.array_equal(whole(IDS, training=True), plain)
    assert np.array_equal(inner(IDS).pooler_output, plain)
    inner.train()
    assert not np.array_equal(whole(IDS), plain)
    assert np.array_equal(whole(IDS, training=False), plain)


REPLICAS = """
import roberta, numpy as np
import roberta.backends.tensorflow, keras, tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
fields = dict(vocab_size=53, hidden_size=6, num_attention_heads=3, num_hidden_layers=1, intermediate_size=7)
none = dict(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
ids = np.arange(2, 22).reshape(4, 5)
for devices in (["/cpu:0"], ["/cpu:0", "/cpu:1"]):
    with tf.distribute.MirroredStrategy(devices).scope():
        model = roberta.TFRobertaForSequenceClassification(roberta.RobertaConfig(**fields, **none))
        model.compile(keras.optimizers.SGD(1.0), metrics=["accuracy"], jit_compile=False)
    loss = model.fit(ids, np.array([0, 1, 1, 0]), batch_size=4, shuffle=False, verbose=0).history["loss"]
    print(*loss, *model.state_dict_numpy()["classifier.out_proj.bias"])
"""


def test_two_replicas_train_as_one_does() -> None:
    result = subprocess.run([sys.executable, "-c", REPLICAS], capture_output=True, text=True, check=True)  # noqa: S603
    one, two = (np.array(line.split(), float) for line in result.stdout.splitlines())
    assert np.abs(two - one).max() <= 64 * 2.0**-24 * np.abs(one).max()


# -- policies ----------------------------------------------------------------------------------------------------------


def test_a_model_whose_sizes_change_keeps_its_policy_whatever_kerass_is_by_then(make: Any) -> None:
    single, mixed = make("masked_lm"), make("masked_lm")
    mixed.dtype_policy = "mixed_bfloat16"
    assert mixed.prune_heads({0: [1]})(IDS).logits.dtype == tf.bfloat16
    keras.config.set_dtype_policy("mixed_float16")
    try:
        for model in (single, mixed):
            model.resize_token_embeddings(59)
        assert (single(IDS).logits.dtype, mixed(IDS).logits.dtype) == (tf.float32, tf.bfloat16)
        assert copy.deepcopy(single)(IDS).logits.dtype == tf.float32
    finally:
        keras.config.set_dtype_policy("float32")


def test_a_policy_of_other_variables_than_the_model_has_is_refused(make: Any) -> None:
    model = make("model")
    for name in ("float64", "bfloat16"):
        with pytest.raises(ValueError, match=rf"one of float32 variables, got '{name}'.*to_backend.*{name}"):
            model.dtype_policy = name
    assert model.dtype == "float32"


# -- activations that are computed again -------------------------------------------------------------------------------

DROPS = {"hidden_dropout_prob": 0.3, "attention_probs_dropout_prob": 0.2}


def derived(model: Any, inputs: dict[str, Any], way: str) -> Any:
    """A loss with dropout, its derivatives by all variables and by what else is no integer, and the dropout's state."""
    given = {name: tf.constant(value) for name, value in inputs.items()}
    vectors = [value for value in given.values() if value.dtype.is_floating]

    def compute() -> Any:
        with tf.GradientTape() as tape:
            tape.watch(vectors)
            loss = model(**given, labels=IDS, training=True).loss
        wanted = [variable.value for variable in model.trainable_variables]
        return loss, tape.gradient(loss, [*wanted, *vectors], unconnected_gradients="zero")

    model.seed_generator.state.assign([7, 0])
    compute = compute if way == "eager" else tf.function(compute, jit_compile=way == "XLA")
    loss, gradients = compute()
    return [loss, *gradients, model.seed_generator.state]


@pytest.mark.parametrize("way", ["eager", "traced", "XLA"])
@pytest.mark.parametrize("kind", ["encoder", "cross-attention"])
def test_gradient_checkpointing_computes_layers_again_to_the_same_gradients(
    way: str, kind: str, make: Any, monkeypatch: Any
) -> None:
    rng, fields, inputs = np.random.default_rng(0), {}, {"input_ids": IDS, "head_mask": np.array([1.0, 0.5, 0.0])}
    if kind != "encoder":
        fields = {"is_decoder": True, "add_cross_attention": True}
        inputs["encoder_hidden_states"] = rng.normal(size=(3, 4, 6))
    model = make("causal_lm" if fields else "masked_lm", "float64", hidden_size=6, **DROPS, **fields)
    layer = model.roberta.encoder["layer"][0]
    calls, feed_forward = [], type(layer).feed_forward
    monkeypatch.setattr(type(layer), "feed_forward", lambda *args: (calls.append(way), feed_forward(*args))[1])
    kept = derived(model, inputs, way)
    counts = [len(calls)]
    model.gradient_checkpointing_enable()
    again = derived(model, inputs, way)
    counts.append(len(calls) - counts[0])
    assert counts[1] == 2 * counts[0]
    for one, other in zip(kept, again, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-12)  # rounding is 1e-16; another dropout moves all


def test_gradient_checkpointing_gives_what_a_call_asks_for(make: Any) -> None:
    model = make("causal_lm", is_decoder=True)
    asked = {"output_attentions": True, "output_hidden_states": True, "use_cache": True}
    kept = model(IDS, MASK, **asked)
    model.gradient_checkpointing_enable()
    again = model(IDS, MASK, **asked)
    assert list(kept) == list(again)
    for one, other in zip(tf.nest.flatten(kept.to_tuple()), tf.nest.flatten(again.to_tuple()), strict=True):
        np.testing.assert_array_equal(one, other)
    assert model(IDS[:, :1], past_key_values=again.past_key_values).logits.shape == (3, 1, 53)


def test_gradient_checkpointing_trains_alike(make: Any) -> None:
    losses = []
    for is_on in (False, True):
        keras.utils.set_random_seed(0)
        model = make("sequence_classification", num_labels=3, **DROPS)
        if is_on:
            model.gradient_checkpointing_enable()
        model.compile(keras.optimizers.SGD(0.1))
        losses.append(model.fit(IDS, CLASSES, epochs=3, shuffle=False, verbose=0).history["loss"])
    np.testing.assert_allclose(*losses, rtol=1e-5)


def test_gradient_checkpointing_is_kerass_remat_scope_and_is_remembered(make_config: Any, tmp_path: Path) -> None:
    config = make_config(num_hidden_layers=3)

    def made() -> Any:
        return roberta.RobertaForMaskedLM(config, backend="tensorflow")

    assert made().recomputed == [False, False, False]
    with keras.RematScope():
        assert made().recomputed == [True, True, True]
    with keras.RematScope("list_of_layers", layer_names=["1"]):
        model = made()
    assert model.recomputed == [False, True, False]
    model.save(tmp_path / "model.keras")
    model.resize_token_embeddings(59)
    others = copy.deepcopy(model), keras.models.load_model(tmp_path / "model.keras")
    assert [other.recomputed for other in (model, *others)] == [[False, True, False]] * 3
    model.gradient_checkpointing_enable()
    assert model.is_gradient_checkpointing
    model.gradient_checkpointing_disable()
    assert not model.is_gradient_checkpointing


def test_gradient_checkpointing_within_a_functional_model(make_config: Any) -> None:
    with keras.RematScope():
        body = roberta.RobertaModel(make_config(num_hidden_layers=2), backend="tensorflow", add_pooling_layer=False)
    ids = keras.Input((None,), dtype="int32")
    model = keras.Model(ids, keras.layers.Dense(1)(body(ids, training=True).last_hidden_state[:, 0]))
    model.compile("sgd", "mse", jit_compile=False)
    before = body.embeddings.word_embeddings.weight.numpy()
    model.fit(IDS, np.ones((3, 1)), verbose=0)
    assert not np.array_equal(before, body.embeddings.word_embeddings.weight.numpy())


def test_quantizing_says_what_does(make: Any) -> None:
    with pytest.raises(NotImplementedError, match=r"TFRobertaForMaskedLM: .* int8 weights: model.export\("):
        make("masked_lm").quantize("int8")


def test_what_a_layer_around_it_is_told_holds_in_older_keras_too(make: Any, monkeypatch: Any) -> None:
    model = make("masked_lm", **DROPS)
    plain = model(IDS).logits
    told = types.SimpleNamespace(training=True)  # Keras 3.8's, without get_value
    monkeypatch.setattr(model, "_get_call_context", lambda: told)
    assert not np.array_equal(model(IDS).logits, plain)
    told.training = False
    assert np.array_equal(model(IDS).logits, plain)


def test_records_cannot_be_described_where_tensorflow_has_moved_that(monkeypatch: Any) -> None:
    coder = importlib.import_module("tensorflow.python.saved_model.nested_structure_coder")
    monkeypatch.delattr(coder, "register_codec")
    describe_records()  # which must not keep the engine from being imported


# -- copies and files --------------------------------------------------------------------------------------------------


def test_a_checkpoint_of_tensorflow_holds_every_parameter_under_its_name(make: Any, tmp_path: Path) -> None:
    model, fresh = (make("masked_lm", position_embedding_type="relative_key") for _ in range(2))
    path = tf.train.Checkpoint(model=model).save(tmp_path / "checkpoint")
    for variable in fresh.trainable_variables:
        variable.assign(tf.zeros_like(variable))
    tf.train.Checkpoint(model=fresh).restore(path).assert_existing_objects_matched().expect_partial()
    assert np.array_equal(fresh(IDS, MASK).logits, model(IDS, MASK).logits)
    kept = {name.replace("..", ".") for name, _ in tf.train.list_variables(path)}  # as TensorFlow writes a dot
    assert all(any(name in key for key in kept) for name in model.table if ".layer." in name)


def test_copies_and_files_remember_what_is_frozen(make: Any, tmp_path: Path) -> None:
    model = make("masked_lm")
    model.roberta.trainable = False
    model.save(tmp_path / "model.keras")
    for again in (copy.deepcopy(model), keras.models.load_model(tmp_path / "model.keras")):
        assert again.engine.frozen_names(again) == model.engine.frozen_names(model)
        assert len(again.trainable_variables) == len(model.trainable_variables) == 5
        assert np.array_equal(again(IDS).logits, model(IDS).logits)


def test_a_model_is_made_from_a_config_any_number_of_times(make: Any) -> None:
    model = make("model")
    config = model.get_config()
    assert all(type(model).from_config(config).config == model.config for _ in range(2))
    assert keras.models.clone_model(model).config == model.config


def test_an_exported_model_takes_the_signatures_that_keras_describes(make: Any, tmp_path: Path) -> None:
    model = make("token_classification")
    ids, mask = tf.constant(IDS, tf.int32), tf.constant(MASK, tf.int32)
    spec = keras.InputSpec(shape=(None, None), dtype="int32")
    model.export(tmp_path / "named", input_signature=[{"attention_mask": spec, "input_ids": spec}])
    named = tf.saved_model.load(tmp_path / "named")
    model.export(tmp_path / "listed", input_signature=[tf.TensorSpec([None, None], tf.int32)] * 2)
    in_order = tf.saved_model.load(tmp_path / "listed")
    permitted, _ = budgets(model.to_backend("numpy", "float64").eval(), PARTS, "float32")
    for found in (
        named.signatures["serving_default"](input_ids=ids, attention_mask=mask),
        in_order.serve(ids, mask),
    ):
        assert all(c.passed for c in compare_outputs({"logits": found["logits"].numpy()}, permitted))
