"""What Keras does with a whole model: the call, `compile`, `fit`, `evaluate`, `predict`, `export` and files."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any, Self

import keras
import numpy as np
import tensorflow as tf
from tensorflow import Tensor

from ...reference.config import RobertaConfig
from ...reference.inputs import LABELS
from ...reference.outputs import Output
from .layers import Dropout, dropout
from .losses import LOSSES

#: What a call is told by `training=`, for as long as it lasts: the model's own mode stays.
_asked: ContextVar[bool | None] = ContextVar("training", default=None)
#: Fields of a record that are no predictions.
BESIDES = frozenset({"loss", "past_key_values", "hidden_states", "attentions", "cross_attentions"})


@contextmanager
def _training(mode: bool | None) -> Generator[None]:
    """Dropout on or off within a `with` block, in this thread only; None: as it is."""
    token = _asked.set(_asked.get() if mode is None else bool(mode))
    try:
        yield
    finally:
        _asked.reset(token)


class KerasModel(keras.Model):
    """A head as a `keras.Model`: everything but its layers and its equation.

    Attributes:
        config: the configuration.
        device: where the model was put, such as "cpu" or "gpu:0"; None for TensorFlow's choice.
        training: whether dropout is on where a call does not say `training=`. Off from the start, as Keras has it.
        seed_generator: its state decides the dropout, and goes on with each draw. It starts from Python's generator,
            so that `keras.utils.set_random_seed` before the model is made, or
            `model.seed_generator.state.assign([seed, 0])` at any time, makes a run reproducible.
    """

    head: str
    options: dict[str, Any]
    forward: Callable[..., Any]

    def __init__(self, config: RobertaConfig) -> None:
        # A model whose sizes change is made anew in place: Keras would keep the layers that it had.
        self.__dict__.clear()
        super().__init__()
        self.config = config
        self.device: str | None = None
        self.training = False
        self.seed_generator = keras.random.SeedGenerator()

    # -- the call ----------------------------------------------------------------------------------------------------

    @tf.autograph.experimental.do_not_convert  # pyright: ignore[reportUntypedFunctionDecorator]
    def __call__(self, *args: Any, training: bool | None = None, **kwargs: Any) -> Any:
        """Call the head with HF's arguments, or with a mapping of them, as Keras hands over a batch.

        Args:
            *args: as `forward` has them.
            training: dropout on or off for this call; None: as `train` and `eval` have set it.
            **kwargs: as `forward` has them.
        """
        if any(isinstance(value, keras.KerasTensor) for value in keras.tree.flatten([args, kwargs])):
            return super().__call__(*args, training=training, **kwargs)
        return self.call(*args, training=training, **kwargs)

    def call(self, *args: Any, training: bool | None = None, **kwargs: Any) -> Any:
        """The same without Keras's functional models."""
        if args and isinstance(args[0], Mapping):
            args, kwargs = args[1:], {**args[0], **kwargs}
        with _training(training), self.placed():
            return self.forward(*args, **kwargs)

    def placed(self) -> AbstractContextManager[Any]:
        """A `with` block that computes where the model was put; where TensorFlow likes if it was put nowhere."""
        return nullcontext() if self.device is None else tf.device(self.device)

    @property
    def drop(self) -> Dropout:
        """The dropout of this call."""
        asked = _asked.get()
        return dropout(self.seed_generator if (self.training if asked is None else asked) else None)

    def train(self, mode: bool = True) -> Self:
        """Switch dropout on or off."""
        self.training = mode
        return self

    def eval(self) -> Self:
        """Switch dropout off."""
        return self.train(False)

    @keras.Model.dtype_policy.setter
    def dtype_policy(self, value: Any) -> None:
        """Of all parts as well: "mixed_bfloat16" computes in bfloat16 and keeps the variables in float32."""
        for layer in self._flatten_layers():
            layer._dtype_policy = keras.dtype_policies.get(value)

    # -- fit, evaluate, predict --------------------------------------------------------------------------------------

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """As Keras has it; without a loss, the model trains on its own."""
        # Keras would go on with the loss and the metrics of an earlier call.
        self._compile_loss = self._compile_metrics = None
        super().compile(*args, **kwargs)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile as the model of a `.keras` file was: Keras leaves this to whoever has a `compile` of his own."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def fit(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        """As Keras has it; x may be a tokenizer's record."""
        return super().fit(_plain(x), *args, **kwargs)

    def evaluate(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        """As Keras has it; x may be a tokenizer's record."""
        return super().evaluate(_plain(x), *args, **kwargs)

    def predict(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """As Keras has it, output name -> array; x may be a tokenizer's record."""
        return super().predict(_plain(x), *args, **kwargs)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Tensor:
        """The loss given to `compile`, else the head's own; the labels are y, or stand in x."""
        y = self._labels_of(x, y)
        if self._compile_loss is not None:
            return super().compute_loss(x, y, predictions(y_pred), sample_weight, training)
        if y is None:
            names = " and ".join(LABELS[self.head])
            remedy = f"put {names} into x, or give them as y" if names else "give compile(loss=...) and y"
            message = f"{type(self).__name__}: required labels to train on, got none; {remedy}"
            raise ValueError(message)
        if sample_weight is not None:
            message = "sample_weight: the model's own loss counts labels alike; leave it out, or give compile(loss=...)"
            raise ValueError(message)
        return LOSSES[self.head](y_pred, *_native_labels(y, LABELS[self.head]), self.config)

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """The metrics given to `compile`, on the predictions and the labels."""
        return super().compute_metrics(x, self._labels_of(x, y), predictions(y_pred), sample_weight)

    def predict_step(self, data: Any) -> dict[str, Any]:
        """The outputs of a batch by name, without the loss and the cache, which have no row for each text."""
        x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        output = self(x, training=False)
        return {name: value for name, value in output.items() if name not in {"loss", "past_key_values"}}

    def _labels_of(self, x: Any, y: Any) -> Any:
        if y is not None or not isinstance(x, Mapping):
            return y
        found = {name: x[name] for name in LABELS[self.head] if name in x}
        return (next(iter(found.values())) if len(found) == 1 else found) if found else None

    # -- files -------------------------------------------------------------------------------------------------------

    def export(
        self,
        filepath: Any,
        format: str = "tf_saved_model",
        verbose: Any = None,
        input_signature: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Write a SavedModel that needs neither this package nor Keras; texts may be of any number and length.

        Args:
            filepath: a folder.
            format: "tf_saved_model", or another one that Keras has.
            verbose: whether Keras tells what it wrote.
            input_signature: argument -> `tf.TensorSpec`; None: `input_ids` and `attention_mask`, int32, as the
                tokenizer gives them with `return_tensors="tf"`.
            **kwargs: of the other formats.

        Returns:
            What Keras returns: of a SavedModel, nothing. `tf.saved_model.load(folder).serve(inputs)` takes a dict of
            arguments and gives a dict of outputs: "logits", or of several by number, "hidden_states.0".
        """
        if format != "tf_saved_model":
            return super().export(filepath, format, verbose, input_signature, **kwargs)
        rank = 3 if self.head == "multiple_choice" else 2
        arguments = ("input_ids", "attention_mask")
        asked = input_signature or {name: tf.TensorSpec([None] * rank, tf.int32, name=name) for name in arguments}
        archive: Any = keras.export.ExportArchive()
        archive.track(self)
        archive.add_endpoint("serve", lambda inputs: _flat(self.predict_step((inputs,))), [asked])
        return archive.write_out(filepath, verbose=bool(verbose))

    def get_config(self) -> dict[str, Any]:
        """What a `.keras` file and a pickle keep besides the numbers."""
        policy = keras.dtype_policies.serialize(self.dtype_policy)
        return {"config": self.config.to_dict(), "policy": policy, "training": self.training, **self.options}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        """The way back: a model of the same sizes."""
        fields, policy, training = (config.pop(name) for name in ("config", "policy", "training"))
        policy = keras.dtype_policies.deserialize(policy)
        made: Any = cls  # the public class, which takes the dtype as well
        model = made(RobertaConfig.from_dict(fields), dtype=policy.variable_dtype, **config)
        model.dtype_policy = policy
        return model.train(training)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Make each class known to Keras, which looks for it when it reads a `.keras` file."""
        super().__init_subclass__(**kwargs)
        keras.saving.register_keras_serializable("roberta")(cls)


def predictions(output: Output) -> Any:
    """What labels are held against: the logits, or where a head has several outputs, a dict of them."""
    named = {name: value for name, value in output.items() if name not in BESIDES}
    return next(iter(named.values())) if len(named) == 1 else named


def _flat(outputs: Mapping[str, Any]) -> dict[str, Tensor]:
    """Outputs as a signature can name them: tensors only."""
    flat: dict[str, Tensor] = {}
    for name, value in outputs.items():
        flat |= {f"{name}.{i}": part for i, part in enumerate(value)} if isinstance(value, tuple) else {name: value}
    return flat


def _plain(x: Any) -> Any:
    """A mapping as a dict of arrays: Keras knows no other, and no lists in it."""
    if not isinstance(x, Mapping):
        return x
    return {name: np.asarray(value) if isinstance(value, list | tuple) else value for name, value in x.items()}


def _native_labels(y: Any, names: tuple[str, ...]) -> list[Tensor]:
    """Labels in the order of the head's arguments."""
    values = [y[name] for name in names] if isinstance(y, Mapping) else y if isinstance(y, list | tuple) else [y]
    tensors = [tf.convert_to_tensor(value) for value in values]
    return [value if value.dtype.is_floating else tf.cast(value, tf.int64) for value in tensors]
