"""What every model has, whatever its engine: the call with HF's signature, files, conversion, resizing, tapes.

An engine's head only computes: it takes a checked `Inputs` and returns a record. A native class joins it with
`PublicModel`, so that an engine (ours or a third party's) gets the whole interface for the few verbs in its package.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import update_wrapper
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar, Unpack, get_overloads

import numpy as np

from ..reference.arrays import A
from ..reference.config import RobertaConfig
from ..reference.fields import ConfigOverrides
from ..reference.inputs import LABELS
from ..reference.outputs import Output
from ..reference.parameters import CLASS_NAMES, Parameter, initial_values, parameter_table
from ..reference.taps import Recorder, Tap, silent, symbols
from . import arguments, checkpoint, checks, registry, surgery
from .faces import Face, face_of, joined
from .options import require_config, require_dtype, require_options

DECODER = "lm_head.decoder.weight"
Method = TypeVar("Method", bound=Callable[..., Any])


def entry(written: Method) -> Method:
    """The call of a head: its signature and its words are written, what it does is the same for all."""
    call = _like(written, lambda model, *args, **kwargs: model._call(args, kwargs))
    call.__signature__ = inspect.signature(get_overloads(written)[0])
    return call


def _forwarding(written: Any) -> Any:
    """The same as an engine's entry of another name: through `forward`, so that a subclass may override that."""
    call = _like(written, lambda model, *args, **kwargs: model.forward(*args, **kwargs))
    call.__signature__ = inspect.signature(written)
    return call


def _like(written: Any, function: Callable[..., Any]) -> Any:
    """A function with the name and the words of another. No `__wrapped__`, which compilers would follow."""

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        return function(self, *args, **kwargs)

    update_wrapper(call, written)
    del call.__wrapped__
    return call


class PublicModel(Generic[A], metaclass=Face):
    """The interface of every model, whose arrays are of type A.

    A class that says `engine=` joins it with what the engine has for its head, the last of its bases.

    Attributes:
        backend: the engine's name.
        head: which head this is, such as "masked_lm".
        config: the configuration, which cannot be edited into disagreement with the model; see `RobertaConfig.frozen`.
        training: whether dropout is on. Off from the start, on every engine; `train` switches it.
        load_report: what became of each name when the weights were loaded; None for a model that was not loaded.
        checks_inputs: whether calls are checked. Switch it off where a look at the values costs too much.
    """

    backend: ClassVar[str]
    head: ClassVar[str]
    engine: ClassVar[ModuleType]
    native: ClassVar[type[Any]]

    config: RobertaConfig
    load_report: checkpoint.LoadReport | None
    checks_inputs: bool
    options: dict[str, Any]

    if TYPE_CHECKING:  # what the engine's own class has
        training: bool

        def run(self, inputs: Any, tap: Tap = ...) -> Any:
            """`Inputs` -> the head's record."""

        def train(self, mode: bool = True) -> Self:
            """Switch dropout on or off."""
            ...

        def eval(self) -> Self:
            """Switch dropout off."""
            ...

        def get_input_embeddings(self) -> Any:
            """The word table, in the form that the framework's users expect."""

    def __init_subclass__(cls, engine: str | None = None, **options: Any) -> None:
        super().__init_subclass__(**options)
        if engine is not None:
            _bind(cls, engine)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "config" and "config" in vars(self):
            made = f"{type(self).__name__} was made by its configuration"
            remedy = "make a new one: config = model.config.replace(...)"
            message = f"config: {made}, which stays; {remedy}"
            raise AttributeError(message)
        super().__setattr__(name, value)

    def __init__(
        self,
        config: RobertaConfig,
        backend: str | None = None,
        *,
        seed: int = 0,
        dtype: Any = None,
        device: Any = None,
        state: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        """Build the head.

        Args:
            config: the configuration, checked again, copied and frozen.
            backend: the engine; None for the default one. A native class has its own.
            seed: of the initial weights, which are the same to the bit on every engine.
            dtype: of the parameters, such as "float32" (the default) or "float64", or that of any framework.
            device: where the engine is to put them; None for its default.
            state: HF's names -> arrays; what it lacks is drawn.
            **options: `add_pooling_layer` of the bare model.

        Raises:
            TypeError: no `RobertaConfig`, or an unknown option.
            ValueError: a dtype that the engine lacks.
        """
        require_config(config, type(self).__name__)
        require_options(options, self.head)
        config = config.frozen()
        dtype = require_dtype("float32" if dtype is None else dtype, self.backend, self.engine)
        table = parameter_table(self.head, config, **options)
        self._assemble(config, table, state, seed, options, dtype, device)
        self.load_report = None
        self.checks_inputs = True

    def _assemble(
        self,
        config: RobertaConfig,
        table: Mapping[str, Parameter],
        state: Mapping[str, Any] | None,
        seed: int,
        options: dict[str, Any],
        dtype: str,
        device: Any,
    ) -> None:
        """Build the native head and fill in its weights; called again when its sizes change."""
        vars(self).pop("config", None)
        self.native.__init__(self, config, **options)  # pyright: ignore[reportCallIssue]
        self.options = options
        lacking = {name: parameter for name, parameter in table.items() if not state or name not in state}
        drawn = initial_values(_with_sources(lacking, table), config, seed) if lacking else {}
        merged = {**drawn, **(state or {})}
        full = {name: merged[parameter.tied_to or name] for name, parameter in table.items()}
        self.engine.load_state_dict_numpy(self, full, dtype, device)

    # -- the call ----------------------------------------------------------------------------------------------------

    def _call(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], tap: Tap = silent) -> Output | tuple[Any, ...]:
        given = checks.bind(self.head, args, kwargs)
        past = arguments.as_cache(given.get("past_key_values"), given.get("attention_mask"), self)
        given["past_key_values"] = past
        if self.checks_inputs:
            look = arguments.outlined if self.engine.is_tracing() else arguments.visible
            checks.check_call(self.head, self.config, {name: look(name, value) for name, value in given.items()})
        native = {name: arguments.native(name, value, self) for name, value in given.items()}
        labels = [native[name] for name in LABELS[self.head] if native[name] is not None]
        output = self.run(arguments.as_inputs(native, self, bool(labels)), tap)
        if labels:
            output = replace(output, loss=self.engine.LOSSES[self.head](output, *labels, self.config))
        wants_record = self.config.return_dict if native["return_dict"] is None else native["return_dict"]
        return output if wants_record else output.to_tuple()

    @contextmanager
    def inference(self) -> Generator[Self]:
        """In a `with` block: dropout off, and no gradients recorded; afterwards as it was."""
        was_training = getattr(self, "training", False)
        self.train(False)
        try:
            with getattr(self.engine, "no_gradients", nullcontext)():
                yield self
        finally:
            self.train(was_training)

    def tape(self, **inputs: Any) -> Recorder:
        """Run the model and keep every named quantity.

        Args:
            **inputs: as the call takes them.

        Returns:
            name -> the engine's array, with `missing` naming what a fused path never computed. Ask for
            `output_attentions=True` to take the path that computes the scores and probabilities.
        """
        recorder = Recorder()
        self._call((), inputs, recorder)
        expected = symbols(self.head, self.config, **self.options)
        recorder.missing = tuple(name for name in expected if name not in recorder)
        return recorder

    # -- weights -----------------------------------------------------------------------------------------------------

    @property
    def table(self) -> dict[str, Parameter]:
        """The parameters of this model: name -> `Parameter`."""
        return parameter_table(self.head, self.config, **self.options)

    def state_dict_numpy(self) -> dict[str, Any]:
        """HF's names -> NumPy arrays, tied tensors under each of their names."""
        return self.engine.state_dict_numpy(self)

    def load_state_dict_numpy(self, state: Mapping[str, Any]) -> checkpoint.LoadReport:
        """Replace parameters by arrays, in place; names that the state lacks stay as they are.

        Raises:
            ValueError: a shape that does not fit.
        """
        found, report = checkpoint.match(state, self.table, self.head)
        ties = {name: p.tied_to for name, p in self.table.items() if p.tied_to in found}
        self.engine.load_state_dict_numpy(
            self, {**found, **{name: found[source] for name, source in ties.items()}}, self.dtype
        )
        return report

    def num_parameters(self, only_trainable: bool = False, exclude_embeddings: bool = False) -> int:
        """How many numbers the model learns; tied tensors count once.

        Args:
            only_trainable: leave out frozen parameters, where the engine has such.
            exclude_embeddings: leave out the tables (word, position, token type, distance).
        """
        frozen = self.engine.frozen_names(self) if only_trainable else frozenset[str]()
        return sum(
            int(np.prod(parameter.shape))
            for name, parameter in self.table.items()
            if parameter.tied_to is None
            and name not in frozen
            and not (exclude_embeddings and name.split(".")[-2].endswith(("_embeddings", "_embedding")))
        )

    def set_input_embeddings(self, value: Any) -> None:
        """Copy another word table into this model's; a tied decoder follows.

        Args:
            value: (V, D), an array or tensor, or the framework's embedding layer.

        Raises:
            TypeError: something else.
            ValueError: another shape; to change V, call `resize_token_embeddings` first.
        """
        name = next(name for name in self.table if name.endswith("embeddings.word_embeddings.weight"))
        self._set_embeddings("set_input_embeddings", name, value)

    def get_output_embeddings(self) -> Any:
        """The decoder of a language model's head, as the engine has it (a layer, or its (V, D) array); else None."""
        if DECODER not in self.table:
            return None
        decoder = getattr(getattr(self, "lm_head", None), "decoder", None)
        return self.state_dict_numpy()[DECODER] if decoder is None else decoder

    def set_output_embeddings(self, value: Any) -> None:
        """Copy another decoder's weight into this model's; a tied word table follows.

        Args:
            value: (V, D), an array or tensor, or a module that has one as its `weight`.

        Raises:
            TypeError: something else.
            ValueError: another shape, or a head without a decoder.
        """
        if DECODER not in self.table:
            message = f"set_output_embeddings: required a language model's head, which has a decoder, got {self.head}"
            raise ValueError(message)
        self._set_embeddings("set_output_embeddings", DECODER, value)

    def _set_embeddings(self, verb: str, name: str, value: Any) -> None:
        array = arguments.visible(name, _table_of(verb, value))
        if tuple(array.shape) != self.table[name].shape:
            message = (
                f"{verb}: expected (V, D) = {self.table[name].shape}, got {tuple(array.shape)}. "
                "To change V, call resize_token_embeddings first."
            )
            raise ValueError(message)
        self.load_state_dict_numpy({name: array})

    def resize_token_embeddings(self, new_num_tokens: int, seed: int = 0) -> Self:
        """Give the vocabulary another size, in place: rows are cut off, or drawn anew behind the old ones.

        The parameters become new objects: make the optimizer afterwards.

        Args:
            new_num_tokens: V, above the padding, beginning and end ids.
            seed: of the new rows.

        Raises:
            ValueError: a size that would cut off a special id.
        """
        config, state = surgery.resized(self.config, self.state_dict_numpy(), self.table, new_num_tokens, seed)
        return self._rebuild(config.frozen(), state)

    def prune_heads(self, heads_to_prune: Mapping[int, Sequence[int]]) -> Self:
        """Remove self-attention heads, in place, by their original numbers; repeated calls add up.

        Args:
            heads_to_prune: layer -> heads.

        Raises:
            ValueError: no such layer or head, or none left.
        """
        config, state = surgery.pruned(self.config, self.state_dict_numpy(), self.table, heads_to_prune)
        return self._rebuild(config.frozen(), state)

    def _rebuild(self, config: RobertaConfig, state: Mapping[str, Any]) -> Self:
        table = parameter_table(self.head, config, **self.options)
        training, dtype, device = getattr(self, "training", False), self.dtype, self.engine.device_of(self)
        report, checked, frozen = self.load_report, self.checks_inputs, self.engine.frozen_names(self)
        self._assemble(config, table, state, 0, self.options, dtype, device)
        if frozen and hasattr(self.engine, "freeze"):
            self.engine.freeze(self, frozen)
        self.load_report, self.checks_inputs = report, checked
        self.train(training)
        return self

    # -- other engines and files -------------------------------------------------------------------------------------

    @property
    def dtype(self) -> str:
        """The dtype of the parameters, such as "float32"."""
        return self.engine.dtype_name(self)

    def to_backend(self, name: str, dtype: Any = None, device: Any = None) -> Any:
        """The same model on another engine: equal weights to the bit, where the dtype is the same.

        Args:
            name: the engine.
            dtype: another dtype than this model's.
            device: where the new model is to be.
        """
        cls = joined(face_of(type(self)), registry.canonical_name(name))
        state, dtype = self.state_dict_numpy(), self.dtype if dtype is None else dtype
        model = cls(self.config, dtype=dtype, device=device, state=state, **self.options)
        model.load_report = self.load_report
        return model.train(getattr(self, "training", False))

    def save_pretrained(self, save_directory: str | Path) -> None:
        """Write config.json and model.safetensors, as HF lays them out; each replaces the old file in one step."""
        config = self.config.replace(architectures=[CLASS_NAMES[self.head]], dtype=self.dtype)
        checkpoint.write_checkpoint(Path(save_directory), config, self.state_dict_numpy(), self.table, self.dtype)

    @classmethod
    def from_pretrained(
        cls,
        folder_or_hub_id: str | Path,
        *,
        backend: str | None = None,
        dtype: Any = None,
        device: Any = None,
        seed: int = 0,
        strict: bool = False,
        ignore_mismatched_sizes: bool = False,
        config: RobertaConfig | None = None,
        add_pooling_layer: bool | None = None,
        **config_overrides: Unpack[ConfigOverrides],
    ) -> Self:
        """Load a checkpoint: a folder, the name of a shipped one ("austen"), or an id on the hub.

        Args:
            folder_or_hub_id: where config.json and model.safetensors are.
            backend: the engine; None for the default one. A native class has its own.
            dtype: of the parameters; None is "float32", "auto" is the file's.
            device: where the engine is to put them.
            seed: of the parameters that the checkpoint lacks.
            strict: raise where it lacks any, instead of warning.
            ignore_mismatched_sizes: draw tensors of another shape anew, instead of raising.
            config: in place of the checkpoint's.
            add_pooling_layer: of the bare model.
            **config_overrides: fields of the config to replace.

        Returns:
            The model, dropout off, with `load_report`.

        Raises:
            FileNotFoundError: no such checkpoint.
            ValueError: a damaged file, or weights that contradict the config.
        """
        native = cls.on(backend)
        folder = checkpoint.locate(folder_or_hub_id)
        config = (
            config.replace(**config_overrides) if config else RobertaConfig.from_pretrained(folder, **config_overrides)
        )
        options = {} if add_pooling_layer is None else {"add_pooling_layer": add_pooling_layer}
        table = parameter_table(cls.head, config, **options)
        tensors = checkpoint.read_tensors(folder)
        state, report = checkpoint.match(tensors, table, cls.head, ignore_mismatched_sizes)
        checkpoint.tell_missing(cls.head, folder, report, strict)
        if isinstance(dtype, str) and dtype == "auto":
            dtype = str(next(iter(state.values())).dtype) if state else None
        model = native(config, seed=seed, dtype=dtype, device=device, state=state, **options)
        model.load_report = report
        return model


def _bind(cls: Any, backend: str) -> None:
    """Make a class that joins a head with what an engine has for it call, and be called, as its framework wants."""
    cls.backend, cls.engine = backend, registry.load(backend)
    cls.native = cls.__bases__[-1]
    cls.__module__ = registry.PACKAGE  # where its name is looked up again when a model is unpickled
    cls.forward = cls.__call__
    if cls.engine.ENTRY != "__call__":
        cls.__call__ = cls.native.__call__  # the framework's, which calls the entry
    if cls.engine.ENTRY != "forward":
        setattr(cls, cls.engine.ENTRY, _forwarding(cls.forward))


# -- pieces ----------------------------------------------------------------------------------------------------------


def _table_of(verb: str, value: Any) -> Any:
    """An array as it is, or the table of an embedding layer, which each framework calls otherwise."""
    if isinstance(value, list | tuple):
        return value
    parts = [getattr(value, name, None) for name in ("weight", "embedding", "embeddings")]
    for table in (*parts, value):
        if hasattr(table, "shape"):
            return table
    message = f"{verb}: expected an array (V, D) or an embedding layer that has its table, got {value!r:.60}"
    raise TypeError(message)


def _with_sources(lacking: Mapping[str, Parameter], table: Mapping[str, Parameter]) -> dict[str, Parameter]:
    """The lacking parameters, and those that they are tied to: a tie is drawn under its source's name."""
    sources = {p.tied_to: table[p.tied_to] for p in lacking.values() if p.tied_to}
    return {**sources, **lacking}
