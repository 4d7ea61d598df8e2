"""What Keras and TensorFlow write of a whole model: `.keras` and `.h5` files, checkpoints, SavedModels, LiteRT."""

from __future__ import annotations

import dataclasses
from collections import namedtuple
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Self

import keras
import tensorflow as tf

from ...reference.attention import Cache
from ...reference.config import RobertaConfig
from ...reference.outputs import Output, numbered
from .weights import frozen_names, part_at

#: Fields of a record that have no row for each text.
UNSERVED = frozenset({"loss", "past_key_values"})


class KerasFiles(keras.Model):
    """The part of a model that is about files.

    A model is built when it is made, so a fresh one can be written without a call.
    """

    head: str
    config: RobertaConfig
    options: dict[str, Any]
    table: Mapping[str, Any]

    @property
    def token_axes(self) -> str:
        """The axes of `input_ids`."""
        return "BCT" if self.head == "multiple_choice" else "BT"

    @property
    def input_dtype(self) -> str:
        """Of ids and masks, where Keras or a converter makes up inputs: Keras's own is the dtype of computing."""
        return "int32"

    def set_input_shapes(self) -> None:
        """Say what `build` would have been told: by this, Keras and TensorFlow's converters make up inputs.

        The public way is to call `build`, which forbids from then on to put another layer in a part's place. A Keras
        that reads it no more asks for one call of the model before it writes files of other formats.
        """
        shape = (None,) * len(self.token_axes)
        self.__dict__["_build_shapes_dict"] = {"input_shape": {"input_ids": shape, "attention_mask": shape}}

    def get_build_config(self) -> None:
        """A `.keras` file need not say how to build what is built when it is made."""

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
            format: "tf_saved_model", "litert" for a `.tflite` file, or another one that Keras has.
            verbose: whether Keras tells what it wrote.
            input_signature: argument -> `tf.TensorSpec` or `keras.InputSpec`, or a list of them in the order of the
                call; None: `input_ids` and `attention_mask`, int32, as the tokenizer gives them with
                `return_tensors="tf"`.
            **kwargs: of the other formats.

        Returns:
            What Keras returns: of a SavedModel, nothing. `tf.saved_model.load(folder).serve(inputs)` takes a dict of
            arguments and gives a dict of outputs: "logits", or of several by number, "hidden_states.0".
        """
        asked = input_signature or self._signature()
        asked = [_named(part) for part in (asked if isinstance(asked, list | tuple) else [asked])]
        if format != "tf_saved_model":
            return super().export(filepath, format, verbose, asked, **kwargs)
        archive: Any = keras.export.ExportArchive()
        archive.track(self)
        archive.add_endpoint("serve", lambda *inputs: numbered(self.predict_step((_only(inputs),))), asked)
        return archive.write_out(filepath, verbose=bool(verbose))

    def _trackable_children(self, save_type: str = "checkpoint", **kwargs: Any) -> dict[str, Any]:
        """What TensorFlow's files keep. Keras would leave out every layer that lies in a dict or a list."""
        children = super()._trackable_children(save_type, **kwargs)
        if not self.built:
            return children
        if save_type == "savedmodel":
            return {**children, "variables": [variable.value for variable in self.variables]}
        return {**children, **{name: part_at(self, name) for name in self.table}}

    @property
    def _default_save_signature(self) -> Any:
        """What `tf.saved_model.save` keeps of a call, by the name under which TensorFlow looks for it.

        Keras's own gives the arguments no names, and is what is kept where that name is another.
        """
        return tf.function(lambda inputs: numbered(self.predict_step((inputs,))), input_signature=[self._signature()])

    def _signature(self) -> dict[str, Any]:
        unknown = tf.TensorSpec([None] * len(self.token_axes), tf.int32)
        return _named({"input_ids": unknown, "attention_mask": unknown})

    def get_config(self) -> dict[str, Any]:
        """What a `.keras` file and a pickle keep besides the numbers."""
        model: Any = self
        policy = keras.dtype_policies.serialize(self.dtype_policy)
        kept = {"policy": policy, "training": self.training, "frozen": sorted(frozen_names(self))}
        return {"config": self.config.to_dict(), **kept, "recomputed": model.recomputed, **self.options}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        """The way back: a model of the same sizes."""
        options = dict(config)  # which the caller may use again
        fields, policy, training = (options.pop(name) for name in ("config", "policy", "training"))
        frozen, recomputed = options.pop("frozen", ()), options.pop("recomputed", None)
        policy = keras.dtype_policies.deserialize(policy)
        public: Any = cls
        model = public._made(RobertaConfig.from_dict(fields), options, dtype=policy.variable_dtype)
        model.dtype_policy = policy
        for name in frozen:
            part_at(model, name).trainable = False
        model.recomputed = model.recomputed if recomputed is None else recomputed
        return model.train(training)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Make each class known to Keras, which looks for it when it reads a file: in `.h5`, by its plain name."""
        super().__init_subclass__(**kwargs)
        keras.saving.register_keras_serializable("roberta")(cls)
        keras.saving.get_custom_objects()[cls.__name__] = cls


class Codec:
    """How a SavedModel describes a function that gives a record: what it gives there is a named tuple."""

    @staticmethod
    def can_encode(value: Any) -> bool:
        """Whether it is a record."""
        return isinstance(value, Output | Cache)

    @staticmethod
    def do_encode(value: Any, encode: Any) -> Any:
        """Its fields that are present, in their order, which decides which tensor is which."""
        present = {spec.name: getattr(value, spec.name) for spec in dataclasses.fields(value)}
        present = {name: part for name, part in present.items() if part is not None}
        kind = namedtuple(type(value).__name__, present)  # pyright: ignore[reportUntypedNamedTuple]
        return encode(kind(**present))

    @staticmethod
    def can_decode(value: Any) -> bool:
        """Whether it was written as a record: never."""
        return False

    do_decode = None  # TensorFlow asks for it beforehand


def describe_records() -> None:
    """Tell TensorFlow of `Codec`, for which there is no public way.

    Where that has moved, functions that give records cannot be saved, and TensorFlow says so; others can.
    """
    with suppress(ImportError, AttributeError):
        from tensorflow.python.saved_model import nested_structure_coder

        nested_structure_coder.register_codec(Codec())


def served(output: Output) -> dict[str, Any]:
    """The outputs that have a row for each text, by name."""
    return {name: value for name, value in output.items() if name not in UNSERVED}


def _named(specs: Any) -> Any:
    """The specs of a dict of arguments, each under its name."""
    if not isinstance(specs, Mapping):
        return specs
    return {name: tf.TensorSpec(spec.shape, spec.dtype, name=name) for name, spec in specs.items()}


def _only(inputs: tuple[Any, ...]) -> Any:
    return inputs[0] if len(inputs) == 1 else inputs
