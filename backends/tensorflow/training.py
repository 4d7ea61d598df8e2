"""What Keras does with a whole model: the call, `compile`, `fit`, `evaluate` and `predict`; `files` has the rest."""

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
from ...reference.losses import problem_type
from ...reference.outputs import Output
from .files import KerasFiles, served
from .layers import Dropout, dropout
from .losses import LOSSES

#: What a call is told by `training=`, for as long as it lasts: the model's own mode stays.
_asked: ContextVar[bool | None] = ContextVar("training", default=None)
#: Arguments that are no integers.
VECTORS = frozenset({"inputs_embeds", "head_mask", "encoder_hidden_states"})
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


class KerasModel(KerasFiles):
    """A head as a `keras.Model`: everything but its layers and its equation.

    Attributes:
        config: the configuration.
        former_policy: of the model whose sizes have changed, which it keeps; None for a new one.
        former_recomputed: of that model, too: which of its layers are computed again in the backward pass.
        device: where the model was put, such as "cpu" or "gpu:0"; None for TensorFlow's choice.
        training: whether dropout is on where a call does not say `training=`. Off from the start, as Keras has it.
        seed_generator: its state decides the dropout, and goes on with each draw. It starts from Python's generator,
            so that `keras.utils.set_random_seed` before the model is made, or
            `model.seed_generator.state.assign([seed, 0])` at any time, makes a run reproducible.
    """

    forward: Callable[..., Any]

    def __init__(self, config: RobertaConfig) -> None:
        # A model whose sizes change is made anew in place: Keras would keep the layers that it had.
        former_policy = self.__dict__.get("_dtype_policy")
        former_recomputed = self.recomputed if former_policy else None
        self.__dict__.clear()
        super().__init__()
        self.autocast = False  # an argument has the dtype that it has: ids are no numbers
        self.config = config
        self.former_policy, self.former_recomputed = former_policy, former_recomputed
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
            _require_whole(args)
            return super().__call__(*args, training=training, **kwargs)
        return self.call(*args, training=training, **kwargs)

    def call(self, inputs: Any = None, *args: Any, training: bool | None = None, **kwargs: Any) -> Any:
        """The same without Keras's functional models; `inputs` is the first argument, which some of Keras looks for."""
        args = (inputs, *args) if args or inputs is not None else ()
        first = args[0] if args else None
        if isinstance(first, Mapping):
            args, kwargs = args[1:], {**first, **kwargs}
        elif isinstance(first, list | tuple) and self._is_several(first):
            args = (*first, *args[1:])
        for name, value in (*enumerate(args), *kwargs.items()):
            _require_dense(name, value)
        with _training(self._mode_around() if training is None else training), self.placed():
            return self.forward(*args, **kwargs)

    def _is_several(self, first: list[Any] | tuple[Any, ...]) -> bool:
        """Whether the first argument is a list of arguments, as Keras hands them over, and no list of rows."""
        rank = len(self.token_axes)
        return bool(first) and all(len(getattr(part, "shape", ())) >= rank for part in first)

    def _mode_around(self) -> bool | None:
        """What the Keras layer whose call this is part of was told by `training=`; None where there is none."""
        # Keras tells its layers by what is private to it, and has no public way; old releases have no `get_value`.
        context: Any = self._get_call_context()
        mode = context.get_value("training") if hasattr(context, "get_value") else context.training
        self._maybe_reset_call_context()
        return mode

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
        policy = keras.dtype_policies.get(value)
        if self.built and policy.variable_dtype != self.variable_dtype:
            remedy = f"for others: model.to_backend('tensorflow', dtype={policy.variable_dtype!r})"
            message = f"dtype_policy: required one of {self.variable_dtype} variables, got {policy.name!r}; {remedy}"
            raise ValueError(message)
        for layer in self._flatten_layers():
            layer._dtype_policy = policy

    # -- activations that are computed again -------------------------------------------------------------------------

    @property
    def recomputed(self) -> list[bool]:
        """Of each layer, whether its activations are computed again in the backward pass."""
        return [layer.recomputes for layer in self._stack]

    @recomputed.setter
    def recomputed(self, values: list[bool]) -> None:
        for layer, value in zip(self._stack, values, strict=True):
            layer.recomputes = value

    @property
    def _stack(self) -> list[Any]:
        body: Any = getattr(self, "roberta", self)
        return body.encoder["layer"]

    @property
    def is_gradient_checkpointing(self) -> bool:
        """Whether activations are computed again in the backward pass."""
        return any(self.recomputed)

    def gradient_checkpointing_enable(self) -> None:
        """Keep of each layer its input only, and compute the rest again in the backward pass: `tf.recompute_grad`.

        The gradients are the same, dropout included. A model that is made within `with keras.RematScope():` has it from
        the start. Say it before a function is traced with the model: to a compiled one, before `compile`.

        Source: Chen et al. (2016), arXiv:1604.06174.
        """
        self.recomputed = [True] * len(self._stack)

    def gradient_checkpointing_disable(self) -> None:
        """Keep all activations."""
        self.recomputed = [False] * len(self._stack)

    # -- fit, evaluate, predict --------------------------------------------------------------------------------------

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """As Keras has it; without a loss, the model trains on its own. Another one gets logits, no probabilities."""
        # Keras would go on with the loss and the metrics of an earlier call.
        self._compile_loss = self._compile_metrics = None
        super().compile(*args, **kwargs)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile as the model of a `.keras` file was: Keras leaves this to whoever has a `compile` of his own."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def quantize(self, *args: Any, **kwargs: Any) -> None:
        """Not done: Keras quantizes layers of its own, and would pass over all of these with a warning each.

        Raises:
            NotImplementedError: always; says what writes a file of int8 weights.
        """
        remedy = 'model.export("model.tflite", format="litert", optimizations=[tf.lite.Optimize.DEFAULT])'
        message = f"{type(self).__name__}: Keras's quantize knows its own layers only; for int8 weights: {remedy}"
        raise NotImplementedError(message)

    def fit(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """As Keras has it; x may be a tokenizer's record, and what is in memory lists, in `validation_data` too."""
        held_out = {name: _plain(name, kwargs[name]) for name in ("validation_data",) if name in kwargs}
        return super().fit(_plain("x", x), _plain("y", y), *args, **{**kwargs, **held_out})

    def evaluate(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """As Keras has it; x may be a tokenizer's record, and what is in memory lists."""
        return super().evaluate(_plain("x", x), _plain("y", y), *args, **kwargs)

    def predict(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """As Keras has it, output name -> array; x may be a tokenizer's record, or a list."""
        return super().predict(_plain("x", x), *args, **kwargs)

    def train_on_batch(self, x: Any, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """As Keras has it; x may be a tokenizer's record."""
        return super().train_on_batch(_plain("x", x), _plain("y", y), *args, **kwargs)

    def test_on_batch(self, x: Any, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """As Keras has it; x may be a tokenizer's record."""
        return super().test_on_batch(_plain("x", x), _plain("y", y), *args, **kwargs)

    def predict_on_batch(self, x: Any) -> Any:
        """As Keras has it, output name -> array; x may be a tokenizer's record."""
        return super().predict_on_batch(_plain("x", x))

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
            given = "sample_weight, class_weight"
            message = f"{given}: the model's own loss counts labels alike; leave it out, or give compile(loss=...)"
            raise ValueError(message)
        labels = _native_labels(y, LABELS[self.head])
        for name, label in labels.items():
            _require_shape(name, label, self.head, predictions(y_pred), self.config)
        loss = LOSSES[self.head](y_pred, *labels.values(), self.config)
        return loss / tf.distribute.get_strategy().num_replicas_in_sync  # Keras adds up what the replicas give

    def _symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        """Build Keras's loss and metrics. It shows the mean of several replicas' batches, whose ids are fractions."""
        if data_batch is not None:
            x, *labels = keras.utils.unpack_x_y_sample_weight(data_batch)
            data_batch = (_with_whole_ids(x), *labels)
        super()._symbolic_build(iterator, data_batch)

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """The metrics given to `compile`, on the predictions and the labels."""
        return super().compute_metrics(x, self._labels_of(x, y), predictions(y_pred), sample_weight)

    def predict_step(self, data: Any) -> dict[str, Any]:
        """The outputs of a batch by name, without the loss and the cache, which have no row for each text."""
        x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        return served(self(x, training=False))

    def _labels_of(self, x: Any, y: Any) -> Any:
        if y is not None or not isinstance(x, Mapping):
            return y
        found = {name: x[name] for name in LABELS[self.head] if name in x}
        return (next(iter(found.values())) if len(found) == 1 else found) if found else None


def predictions(output: Output) -> Any:
    """What labels are held against: the logits, or where a head has several outputs, a dict of them."""
    named = {name: value for name, value in output.items() if name not in BESIDES}
    return next(iter(named.values())) if len(named) == 1 else named


def _plain(name: str, given: Any) -> Any:
    """Lists as arrays, and a mapping as a dict of them: Keras knows no other. Several in a tuple stay several."""
    if isinstance(given, Mapping):
        return {part: _plain(part, value) for part, value in given.items()}
    if not isinstance(given, list | tuple):
        return given
    is_several = any(hasattr(part, "shape") or isinstance(part, list | Mapping) for part in given)
    if isinstance(given, tuple) and is_several:
        return tuple(_plain(name, part) for part in given)
    if any(hasattr(part, "shape") for part in given):
        return given
    try:
        return np.asarray(given)
    except ValueError as error:
        remedy = "pad them: tokenizer(..., padding=True)"
        message = f"{name}: required rows of one length, got lists of several; {remedy}"
        raise ValueError(message) from error


def _with_whole_ids(x: Any) -> Any:
    """A batch with integers where it has ids and masks."""
    if isinstance(x, Mapping):
        return {name: value if name in VECTORS else tf.cast(value, tf.int64) for name, value in x.items()}
    return keras.tree.map_structure(lambda value: tf.cast(value, tf.int64), x)


def _require_whole(args: tuple[Any, ...]) -> None:
    """A `Sequential` that is not told of its inputs takes them for numbers; ids would be rounded."""
    if args and isinstance(args[0], keras.KerasTensor) and "float" in keras.backend.standardize_dtype(args[0].dtype):
        remedy = 'begin the Sequential or functional model with keras.Input((None,), dtype="int32")'
        message = f"input_ids: required integers, got a symbol of {args[0].dtype}; {remedy}"
        raise TypeError(message)


def _require_dense(name: str | int, value: Any) -> None:
    """Tensors whose rows have several lengths, and sparse ones, are no texts."""
    if isinstance(value, tf.RaggedTensor | tf.SparseTensor):
        where = f"argument {name}" if isinstance(name, int) else name
        remedy = "pad it: ids.to_tensor(pad_token_id), with attention_mask=(ids != pad_token_id)"
        message = f"{where}: required a tensor whose rows have one length, got a {type(value).__name__}; {remedy}"
        raise TypeError(message)


def _native_labels(y: Any, names: tuple[str, ...]) -> dict[str, Tensor]:
    """Labels by name, in the order of the head's arguments."""
    parts = list(y) if isinstance(y, list | tuple) else [y]
    given = dict(y) if isinstance(y, Mapping) else dict(zip(names, parts, strict=False))
    if set(given) != set(names) or len(parts) > len(names):
        found = sorted(given) if isinstance(y, Mapping) else f"{len(parts)} of them"
        message = f"labels: required {' and '.join(names)}, as a dict or in this order, got {found}"
        raise ValueError(message)
    tensors = {name: tf.convert_to_tensor(given[name]) for name in names}
    return {name: x if x.dtype.is_floating else tf.cast(x, tf.int64) for name, x in tensors.items()}


def _require_shape(name: str, labels: Tensor, head: str, found: Any, config: RobertaConfig) -> None:
    """Labels fit the predictions, as far as a traced function knows their shapes."""
    logits = next(iter(found.values())) if isinstance(found, Mapping) else found
    permitted = [logits.shape[:1], [*logits.shape[:1], 1]]  # B or B 1
    if head in {"causal_lm", "masked_lm", "token_classification"}:
        permitted = [logits.shape[:2]]  # B T
    is_whole = head == "sequence_classification" and config.num_labels > 1
    if is_whole and problem_type(config, labels) != "single_label_classification":
        permitted = [logits.shape]  # B L
    if not any(labels.shape.is_compatible_with(shape) for shape in permitted):
        shapes = " or ".join(str(tuple(shape)) for shape in permitted)
        is_fraction = is_whole and labels.dtype.is_floating
        hint = "; for one class a row convert them to integers, or set config.problem_type" if is_fraction else ""
        message = f"{name}: expected shape {shapes}, got {tuple(labels.shape)} of {labels.dtype.name}{hint}"
        raise ValueError(message)
