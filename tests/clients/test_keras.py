"""What clients of a Keras model do with one of ours, each as its own quick start has it.

The first line of a docstring is a line of docs/clients.md: the client, and how it is called.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import roberta
import tensorflow as tf

pytestmark = [pytest.mark.tensorflow, pytest.mark.filterwarnings("ignore")]  # the clients' own
FOLDER = Path(roberta.__file__).parent / "checkpoints" / "austen"
TEXTS = ["She was not at all sorry.", "He said nothing."]
TOKENIZER = roberta.RobertaTokenizerFast.from_pretrained(FOLDER)
LABELS = np.array([0, 1])


def load(head: str = "MaskedLM", **options: Any) -> Any:
    name = "RobertaModel" if head == "Model" else f"RobertaFor{head}"
    return getattr(roberta, name).from_pretrained(FOLDER, backend="tensorflow", **options)


def batch() -> dict[str, Any]:
    return dict(TOKENIZER(TEXTS, return_tensors="tf", padding=True))


def same(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(np.asarray(found), np.asarray(expected), rtol=0, atol=1e-4)


# -- training ----------------------------------------------------------------------------------------------------------


def test_fit(tmp_path: Path) -> None:
    """`compile` and `fit` with a `tf.data` pipeline, metrics and callbacks that stop, keep the best and log"""
    model = load("SequenceClassification")
    rows = tf.data.Dataset.from_tensor_slices((batch(), LABELS)).repeat(2).batch(2)
    model.compile(
        keras.optimizers.AdamW(1e-4), keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"]
    )
    callbacks = [
        keras.callbacks.EarlyStopping("val_loss", restore_best_weights=True),
        keras.callbacks.ModelCheckpoint(tmp_path / "best.keras", save_best_only=True),
        keras.callbacks.CSVLogger(tmp_path / "log.csv"),
    ]
    history = model.fit(rows, validation_data=rows, epochs=2, callbacks=callbacks, verbose=0).history
    assert set(history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    same(keras.models.load_model(tmp_path / "best.keras")(batch()).logits, model(batch()).logits)


def test_mirrored_strategy() -> None:
    """`tf.distribute.MirroredStrategy`: a model that is made in its scope"""
    with tf.distribute.MirroredStrategy(["/cpu:0"]).scope():
        model = load("SequenceClassification")
        model.compile("adam", jit_compile=False)
    assert np.isfinite(model.fit(batch(), LABELS, verbose=0).history["loss"][0])


def test_remat_scope() -> None:
    """`keras.RematScope()`, or `model.gradient_checkpointing_enable()`: activations are computed again"""
    with keras.RematScope():
        model = load("SequenceClassification")
    assert model.is_gradient_checkpointing
    losses = [model.test_on_batch(batch(), LABELS) for _ in [model.compile("adam", jit_compile=False)]]
    model.train_on_batch(batch(), LABELS)
    assert model.test_on_batch(batch(), LABELS) != losses[0]


# -- layers around it --------------------------------------------------------------------------------------------------


def test_functional() -> None:
    """A functional model on the body: `keras.Model(inputs, dense(body(inputs).last_hidden_state[:, 0]))`"""
    body = load("Model", add_pooling_layer=False)
    inputs = {name: keras.Input((None,), dtype="int32", name=name) for name in ("input_ids", "attention_mask")}
    scores = keras.layers.Dense(2)(body(inputs).last_hidden_state[:, 0])
    model = keras.Model(inputs, scores)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=False)
    model.fit(batch(), LABELS, verbose=0)
    assert model.predict(batch(), verbose=0).shape == (2, 2)


def test_sequential() -> None:
    """`keras.Sequential([keras.Input((None,), dtype="int32"), model, …])`, and `keras.layers.TimeDistributed` of it"""
    first = keras.layers.Lambda(lambda output: output.last_hidden_state[:, 0], output_shape=(256,))
    body, ids = load("Model", add_pooling_layer=False), batch()["input_ids"]
    model = keras.Sequential([keras.Input((None,), dtype="int32"), body, first])
    same(model(ids), body(ids).last_hidden_state[:, 0])
    several = keras.layers.TimeDistributed(model)(np.stack([ids, ids], 1))
    same(several[:, 1], model(ids))
    for layers in ([load()], [load(), keras.layers.Dropout(0.1)]):
        with pytest.raises(TypeError, match=r'begin the Sequential.* with keras.Input\(\(None,\), dtype="int32"\)'):
            keras.Sequential(layers)(ids)


# -- files -------------------------------------------------------------------------------------------------------------


def test_keras_file(tmp_path: Path) -> None:
    """`model.save("model.keras")` and `keras.models.load_model`; `keras.models.clone_model`"""
    model = load()
    model.save(tmp_path / "model.keras")
    same(keras.models.load_model(tmp_path / "model.keras")(batch()).logits, model(batch()).logits)
    assert keras.models.clone_model(model).config == model.config


def test_h5(tmp_path: Path) -> None:
    """`model.save_weights("model.weights.h5")`; the legacy `model.save("model.h5")`, whole and compiled"""
    model = load("SequenceClassification")
    model.compile("adam", jit_compile=False)
    model.train_on_batch(batch(), LABELS)
    model.save_weights(tmp_path / "model.weights.h5")
    fresh = roberta.TFRobertaForSequenceClassification(model.config, seed=7)
    fresh.load_weights(tmp_path / "model.weights.h5")
    model.save(tmp_path / "model.h5")
    again = keras.models.load_model(tmp_path / "model.h5")
    for other in (fresh, again):
        np.testing.assert_array_equal(other(batch()).logits, model(batch()).logits)
    assert isinstance(again.optimizer, keras.optimizers.Adam)


def test_saved_model_layer(tmp_path: Path) -> None:
    """`model.export(folder)` and `keras.layers.TFSMLayer(folder, call_endpoint="serve")`, also in a functional model"""
    model = load()
    model.export(tmp_path / "served")
    layer = keras.layers.TFSMLayer(tmp_path / "served", call_endpoint="serve")
    same(layer(batch())["logits"], model(batch()).logits)
    inputs = {name: keras.Input((None,), dtype="int32", name=name) for name in ("input_ids", "attention_mask")}
    same(keras.Model(inputs, layer(inputs)["logits"])(batch()), model(batch()).logits)


def test_saved_model(tmp_path: Path) -> None:
    """`tf.saved_model.save(model, folder)`: its signature has the arguments' names; functions that give our records"""
    model = roberta.TFRobertaForQuestionAnswering(load().config)  # fresh, and never called
    tf.saved_model.save(model, tmp_path / "whole")
    found = tf.saved_model.load(tmp_path / "whole").signatures["serving_default"](**batch())
    for name, expected in model(batch()).items():
        same(found[name], expected)
    unknown = tf.TensorSpec([None, None], tf.int64)
    module = tf.Module()
    module.model = model
    module.answer = tf.function(lambda ids: model(ids), input_signature=[unknown])
    tf.saved_model.save(module, tmp_path / "module", signatures=module.answer)
    ids = tf.cast(batch()["input_ids"], tf.int64)
    again = tf.saved_model.load(tmp_path / "module")
    for name, expected in model(ids).items():
        same(getattr(again.answer(ids), name), expected)
        same(again.signatures["serving_default"](ids)[name], expected)


def lite(content: bytes) -> Any:
    """The outputs of a LiteRT model on the batch."""
    run = tf.lite.Interpreter(model_content=content).get_signature_runner()
    (found,) = run(**{name: np.asarray(value, np.int32) for name, value in batch().items()}).values()
    return found


def test_litert(tmp_path: Path) -> None:
    """LiteRT (TFLite): `model.export("model.tflite", format="litert")`, and `tf.lite.TFLiteConverter` of each kind"""
    model = load()
    expected, converter = model(batch()).logits, tf.lite.TFLiteConverter
    model.export(tmp_path / "model.tflite", format="litert")
    same(lite((tmp_path / "model.tflite").read_bytes()), expected)
    same(lite(converter.from_keras_model(model).convert()), expected)
    for write in (model.export, lambda folder: tf.saved_model.save(model, folder)):
        write(tmp_path / "saved")
        same(lite(converter.from_saved_model(str(tmp_path / "saved")).convert()), expected)
    named = [tf.TensorSpec([None, None], tf.int32, name) for name in ("input_ids", "attention_mask")]

    @tf.function(input_signature=named)
    def answer(input_ids: Any, attention_mask: Any) -> Any:
        return model(input_ids, attention_mask).logits

    functions = [answer.get_concrete_function()]
    same(lite(converter.from_concrete_functions(functions, model).convert()), expected)
