"""What every model has, whatever its engine: the call with HF's signature, files, conversion, resizing, tapes.

An engine's head only computes: it takes a checked `Inputs` and returns a record. `public_class` joins it with
`PublicModel`, so that an engine (ours or a third party's) gets the whole interface for the few verbs in its package.
"""

from __future__ import annotations

import inspect
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import cache
from pathlib import Path
from threading import RLock
from types import ModuleType
from typing import Any, ClassVar, Self

import numpy as np

from ..reference.config import RobertaConfig
from ..reference.inputs import LABELS, SIGNATURES
from ..reference.outputs import Output
from ..reference.parameters import CLASS_NAMES, Parameter, initial_values, parameter_table
from ..reference.taps import Recorder, Tap, silent, symbols
from . import arguments, checkpoint, checks, matching, registry, surgery, writing
from .generation import Generating
from .inference import dropout_off
from .options import require_config, require_dtype, require_options, require_saving

DECODER = "lm_head.decoder.weight"


class PublicModel:
    """The interface of every model. Mixed in front of an engine's head; see `public_class`.

    Attributes:
        backend: the engine's name.
        head: which head this is, such as "masked_lm".
        config: the configuration.
        load_report: where each parameter comes from: what was loaded, and what is random, so far.
        checks_inputs: whether calls are checked. Switch it off where a look at the values costs too much.
    """

    backend: ClassVar[str]
    head: ClassVar[str]
    engine: ClassVar[ModuleType]
    native: ClassVar[type[Any]]

    config: RobertaConfig
    load_report: matching.LoadReport
    checks_inputs: bool
    options: dict[str, Any]

    def __init__(
        self,
        config: RobertaConfig,
        *,
        seed: int = 0,
        dtype: Any = None,
        device: Any = None,
        state: Mapping[str, Any] | None = None,
        strict: bool = True,
        **options: Any,
    ) -> None:
        """Build the head.

        Args:
            config: the configuration, checked again and copied.
            seed: of the initial weights, which are the same to the bit on every engine.
            dtype: of the parameters, such as "float32" (the default) or "float64", or that of any framework.
            device: where the engine is to put them; None for its default.
            state: HF's names -> arrays, of any framework; None draws all.
            strict: whether the state must have each parameter and nothing else. False draws what it lacks, and passes
                over what is of no use; `load_report` says what that was.
            **options: `add_pooling_layer` of the bare model.

        Raises:
            TypeError: no `RobertaConfig`, an unknown option, or a state that is no mapping of names to arrays of
                floating-point numbers.
            ValueError: a dtype that the engine lacks; or of a state the names, if `strict`, a shape, or a number that
                would become infinite in this dtype.
        """
        require_config(config, type(self).__name__)
        require_options(options, self.head)
        config = config.replace()
        dtype = require_dtype("float32" if dtype is None else dtype, self.backend, self.engine)
        table = parameter_table(self.head, config, **options)
        where = f"{CLASS_NAMES[self.head]}: state"
        lenient = "To draw what it lacks, and pass over what is of no use: strict=False"
        given: Mapping[str, Any] = {} if state is None else state
        exact = strict and state is not None
        found, report = matching.admit(given, table, self.head, dtype, where=where, strict=exact, lenient=lenient)
        self._assemble(config, table, found, seed, options, dtype, device)
        self.load_report = report
        self.checks_inputs = True

    def _assemble(
        self,
        config: RobertaConfig,
        table: Mapping[str, Parameter],
        state: Mapping[str, Any],
        seed: int,
        options: dict[str, Any],
        dtype: str,
        device: Any,
    ) -> None:
        """Build the native head and fill in its weights; called again when its sizes change."""
        self.native.__init__(self, config, **options)  # pyright: ignore[reportCallIssue]
        self.options = options
        lacking = {name: parameter for name, parameter in table.items() if (parameter.tied_to or name) not in state}
        drawn = initial_values(lacking, config, seed)
        merged = {**drawn, **state}
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
        output = self.run(arguments.as_inputs(native, self, bool(labels)), tap)  # pyright: ignore[reportAttributeAccessIssue]
        if labels:
            output = replace(output, loss=self.engine.LOSSES[self.head](output, *labels, self.config))
        wants_record = self.config.return_dict if native["return_dict"] is None else native["return_dict"]
        return output if wants_record else output.to_tuple()

    @contextmanager
    def inference(self) -> Generator[Self]:
        """In a `with` block: dropout off, and no gradients recorded; afterwards as it was.

        Several threads may be in such blocks of one model at the same time. Dropout is off until the last has left, for
        a thread that trains the model meanwhile as well; gradients are off for the thread of the block only.
        """
        model: Any = self
        with dropout_off(model), getattr(self.engine, "no_gradients", nullcontext)():
            yield self

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

    def load_state_dict_numpy(self, state: Mapping[str, Any], strict: bool = True) -> matching.LoadReport:
        """Replace parameters by arrays, in place.

        Args:
            state: HF's names -> arrays, of any framework.
            strict: whether it must have each parameter and nothing else. False leaves what it lacks as it is, and
                passes over what is of no use.

        Returns:
            What became of each name, which is the model's `load_report` from then on.

        Raises:
            TypeError: no mapping of names to arrays of floating-point numbers.
            ValueError: the names, if `strict`; a shape that does not fit; or a number that would become infinite in the
                model's dtype. Then nothing is changed.
        """
        table, where = self.table, "load_state_dict_numpy"
        lenient = "To leave what it lacks as it is, and pass over what is of no use: strict=False"
        found, report = matching.admit(state, table, self.head, self.dtype, where=where, strict=strict, lenient=lenient)
        ties = {name: p.tied_to for name, p in table.items() if p.tied_to in found}
        whole = {**found, **{name: found[source] for name, source in ties.items()}}
        self.engine.load_state_dict_numpy(self, whole, self.dtype)
        self.load_report = report.after(self.load_report, self.head)
        return self.load_report

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
        self.load_state_dict_numpy({name: array}, strict=False)

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
        return self._rebuild(config, state)

    def prune_heads(self, heads_to_prune: Mapping[int, Sequence[int]]) -> Self:
        """Remove self-attention heads, in place, by their original numbers; repeated calls add up.

        Args:
            heads_to_prune: layer -> heads.

        Raises:
            ValueError: no such layer or head, or none left.
        """
        config, state = surgery.pruned(self.config, self.state_dict_numpy(), self.table, heads_to_prune)
        return self._rebuild(config, state)

    def _rebuild(self, config: RobertaConfig, state: Mapping[str, Any]) -> Self:
        table = parameter_table(self.head, config, **self.options)
        training, dtype, device = getattr(self, "training", False), self.dtype, self.engine.device_of(self)
        report, checked, frozen = self.load_report, self.checks_inputs, self.engine.frozen_names(self)
        self._assemble(config, table, state, 0, self.options, dtype, device)
        if frozen and hasattr(self.engine, "freeze"):
            self.engine.freeze(self, frozen)
        self.load_report, self.checks_inputs = report, checked
        self.train(training)  # pyright: ignore[reportAttributeAccessIssue]
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
        cls = public_class(self.head, registry.canonical_name(name))
        state, dtype = self.state_dict_numpy(), self.dtype if dtype is None else dtype
        model = cls(self.config, dtype=dtype, device=device, state=state, **self.options)
        model.load_report = self.load_report
        return model.train(getattr(self, "training", False))

    def save_pretrained(
        self,
        save_directory: str | Path,
        *,
        is_main_process: bool = True,
        state_dict: Mapping[str, Any] | None = None,
        max_shard_size: int | str = "5GB",
        **others: Any,
    ) -> None:
        """Write config.json and model.safetensors, as HF lays them out. A failure leaves the old files as they were.

        Args:
            save_directory: a folder, made if it is missing.
            is_main_process: False writes nothing: of several processes with one model, one is to write.
            state_dict: HF's names -> arrays, in place of the model's own weights: each parameter, and nothing else.
            max_shard_size: the most bytes of a file, or a text such as "200MB". What needs more is written in shards,
                with an index.
            **others: what HF's has besides, as long as it asks for nothing: `safe_serialization=True`,
                `push_to_hub=False`, `variant=None`.

        Raises:
            NotADirectoryError: the folder is a file.
            TypeError: an option that does not exist, or weights that are no floating-point numbers.
            ValueError: an option that asks for what is not done here, a size that is none, or weights that do not fit.
        """
        require_saving(others)
        most = writing.byte_count(max_shard_size)
        if not is_main_process:
            return
        state, dtype = self.state_dict_numpy() if state_dict is None else state_dict, self.dtype
        found, _ = matching.admit(state, self.table, self.head, dtype, where="save_pretrained: state_dict")
        config = self.config.replace(architectures=[CLASS_NAMES[self.head]], dtype=dtype)
        writing.write_checkpoint(Path(save_directory), config, found, dtype, most)

    @classmethod
    def from_pretrained(
        cls,
        folder_or_hub_id: str | Path,
        *,
        dtype: Any = None,
        device: Any = None,
        seed: int = 0,
        strict: bool = False,
        ignore_mismatched_sizes: bool = False,
        config: RobertaConfig | None = None,
        add_pooling_layer: bool | None = None,
        **config_overrides: Any,
    ) -> Self:
        """Load a checkpoint: a folder, the name of a shipped one ("austen"), or an id on the hub.

        Args:
            folder_or_hub_id: where config.json and model.safetensors are.
            dtype: of the parameters; None is "float32", "auto" is the file's.
            device: where the engine is to put them.
            seed: of the parameters that the checkpoint lacks.
            strict: raise where it lacks any parameter, instead of warning. What the head has no use for is no error:
                `load_report.unexpected` lists it.
            ignore_mismatched_sizes: draw tensors of another shape anew, instead of raising.
            config: in place of the checkpoint's.
            add_pooling_layer: of the bare model.
            **config_overrides: fields of the config to replace.

        Returns:
            The model, dropout off, with `load_report`.

        Raises:
            FileNotFoundError: no such checkpoint.
            ValueError: a damaged file; weights that contradict the config, or that would become infinite in the dtype;
                or a checkpoint without one parameter of this model, or, if `strict`, without any.
            TypeError: weights that are no floating-point numbers.
        """
        folder = checkpoint.locate(folder_or_hub_id)
        config = (
            config.replace(**config_overrides) if config else RobertaConfig.from_pretrained(folder, **config_overrides)
        )
        options = {} if add_pooling_layer is None else {"add_pooling_layer": add_pooling_layer}
        table = parameter_table(cls.head, config, **options)
        tensors = checkpoint.read_tensors(folder)
        state, report = matching.match(
            tensors,
            table,
            cls.head,
            where=f"{CLASS_NAMES[cls.head]}: {folder.name}",
            origin="file",
            ignore_mismatched_sizes=ignore_mismatched_sizes,
        )
        checkpoint.tell_missing(cls.head, folder, report, table, strict)
        if isinstance(dtype, str) and dtype == "auto":
            dtype = str(next(iter(state.values())).dtype) if state else None
        model = cls(config, seed=seed, dtype=dtype, device=device, state=state, strict=False, **options)
        model.load_report = report
        return model.train(False)  # pyright: ignore[reportAttributeAccessIssue]


_making = RLock()


def public_class(head: str, backend: str) -> type[Any]:
    """The class of a head on an engine, one for all threads: the engine's own class with `PublicModel` in front.

    Args:
        head: such as "masked_lm".
        backend: the engine's own name.

    Raises:
        BackendUnavailableError: its framework is missing.
    """
    with _making:
        return _public_class(head, backend)


@cache
def _public_class(head: str, backend: str) -> type[Any]:
    engine: Any = registry.load(backend)
    native = engine.HEADS[head]
    name = f"{getattr(engine, 'PREFIX', backend.capitalize())}{CLASS_NAMES[head]}"

    def entry(self: PublicModel, *args: Any, **kwargs: Any) -> Any:
        return self._call(args, kwargs)

    parameters = [inspect.Parameter(n, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=None) for n in SIGNATURES[head]]
    me = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    entry.__signature__ = inspect.Signature([me, *parameters])  # pyright: ignore[reportFunctionMemberAccess]
    entry.__doc__ = f"Call the head with HF's arguments of {CLASS_NAMES[head]}; see `roberta.reference.inputs.Inputs`."
    body = {"backend": backend, "head": head, "engine": engine, "native": native, engine.ENTRY: entry}
    # The module is the face's, where the name is looked up again when a model is unpickled.
    mixed = (PublicModel, Generating, native) if head == "causal_lm" else (PublicModel, native)
    return type(native)(name, mixed, {**body, "__module__": registry.PACKAGE, "__doc__": native.__doc__})


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
