"""What every model has, whatever its engine: the call with HF's signature, files, conversion, resizing, tapes.

An engine's head only computes: it takes a checked `Inputs` and returns a record. A native class joins it with
`PublicModel`, so that an engine (ours or a third party's) gets the whole interface for the few verbs in its package.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, Unpack, cast

from ..files.places import HubOptions
from ..reference.arrays import A
from ..reference.config import RobertaConfig
from ..reference.fields import ConfigFields
from ..reference.outputs import Output
from ..reference.parameters import CLASS_NAMES, Parameter, initial_values, parameter_table
from ..reference.taps import Recorder, Tap, silent, symbols
from . import checkpoint, interventions, matching, surgery
from .calling import body_called, called
from .dropout import dropout_off
from .faces import Face, bind, is_plain, origin
from .inference import InferenceModel
from .options import LoadOptions, as_config, require_dtype, require_options, require_overrides, without_unread
from .weights import Weights

#: Names that a subclass cannot have for its own.
RESERVED = frozenset({"head", "engine", "native", "backend", "table", "added"})
#: What a subclass's constructor, which may take the configuration only, is not asked to pass on: see `_made`.
_beside: ContextVar[Mapping[str, Any]] = ContextVar("beside", default=MappingProxyType({}))


class PublicModel(Weights, Generic[A], metaclass=Face):
    """The interface of every model, whose arrays are of type A.

    A class that says `engine=` joins it with what the engine has for its head, the last of its bases.

    Attributes:
        backend: the engine's name.
        head: which head this is, such as "masked_lm".
        config_class: the class of its configuration, which says under what name of the family it is saved.
        config: the configuration, which cannot be edited into disagreement with the model; see `RobertaConfig.frozen`.
        training: whether dropout is on. Off from the start, on every engine; `train` switches it.
        load_report: where each parameter comes from: what was loaded, and what is random, so far.
        checks_inputs: whether calls are checked. Switch it off where a look at the values costs too much.
    """

    backend: ClassVar[str]
    head: ClassVar[str]
    config_class: ClassVar[type[RobertaConfig]] = RobertaConfig
    engine: ClassVar[ModuleType]
    native: ClassVar[type[Any]]

    config: RobertaConfig
    load_report: matching.LoadReport
    checks_inputs: bool
    options: dict[str, Any]

    if TYPE_CHECKING:  # what the engine's own class has
        training: bool

        def run(self, inputs: Any, tap: Tap = silent) -> Any:
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
        taken = RESERVED & vars(cls).keys()
        if taken and engine is None and any("head" in vars(base) for base in cls.__mro__[1:]):
            name = min(taken)
            message = f"{cls.__name__}: required a class without {name!r}, a name of the model's own; call it my_{name}"
            raise TypeError(message)
        if engine is not None:
            bind(cls, engine)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in RESERVED:
            message = f"{type(self).__name__}: {name!r} is a name of the model's own; call yours my_{name}"
            raise TypeError(message)
        if name == "config" and "config" in vars(self):
            if value == self.config:
                return
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
        strict: bool = True,
        **options: Any,
    ) -> None:
        """Build the head.

        Args:
            config: the configuration, checked again, copied and frozen.
            backend: the engine; None for the default one. A native class has its own.
            seed: of the initial weights, which are the same to the bit on every engine.
            dtype: of the parameters, such as "float32" (the default) or "float64", or that of any framework.
            device: where the engine is to put them; None for its default.
            state: HF's names -> arrays, of any framework; None draws all.
            strict: whether the state must have each parameter and nothing else. False draws what it lacks, and passes
                over what is of no use; `load_report` says what that was.
            **options: `add_pooling_layer` of the bare model; on Flax `rngs`, an `nnx.Rngs`, in place of the seed.

        Raises:
            TypeError: no `RobertaConfig`, an unknown option, or a state that is no mapping of names to arrays of
                floating-point numbers.
            ValueError: a dtype that the engine lacks; or of a state the names, if `strict`, a shape, or a number that
                would become infinite in this dtype.
        """
        config = as_config(config, type(self).__name__, self.config_class)
        options = {**_beside_options(type(self)), **options}
        streams = options.pop("rngs", None) if hasattr(self.engine, "seeded_by") else None
        require_options(options, self.head)
        seed, dtype, device, state, strict, owned = _given(type(self), seed, dtype, device, state, strict, not state)
        finish: Callable[[Self], None] | None = None
        if streams is not None:
            seed, finish = self.engine.seeded_by(streams)
        config = config.frozen()
        dtype = require_dtype("float32" if dtype is None else dtype, self.backend, self.engine)
        table = parameter_table(self.head, config, **options)
        where = f"{CLASS_NAMES[self.head]}: state"
        lenient = "To draw what it lacks, and pass over what is of no use: strict=False"
        given: Mapping[str, Any] = {} if state is None else state
        exact = strict and state is not None
        found, report = matching.admit(given, table, self.head, dtype, where=where, strict=exact, lenient=lenient)
        self._assemble(config, table, found, seed, options, dtype, device, owned=owned)
        self.load_report = report
        self.checks_inputs = True
        if finish is not None:
            finish(self)

    def _assemble(
        self,
        config: RobertaConfig,
        table: Mapping[str, Parameter],
        state: Mapping[str, Any],
        seed: int,
        options: dict[str, Any],
        dtype: str,
        device: Any,
        *,
        owned: bool = False,
    ) -> None:
        """Build the native head and fill in its weights; called again when its sizes change.

        Arrays that are `owned`, because they were just drawn or read, may become the parameters as they are.
        """
        lacking = {name: parameter for name, parameter in table.items() if (parameter.tied_to or name) not in state}
        drawn = initial_values(lacking, config, seed)
        merged = {**drawn, **state}
        full = {name: merged[parameter.tied_to or name] for name, parameter in table.items()}
        vars(self).pop("config", None)
        with getattr(self.engine, "MAKING", nullcontext()):
            self.native.__init__(self, config, **options)  # pyright: ignore[reportCallIssue]
            body = getattr(self, "roberta", None)
            if hasattr(body, "entry"):  # of engines whose users call a body as they call a model
                body.entry = partial(body_called, type(self))  # pyright: ignore[reportOptionalMemberAccess]
            self.options = options
            take = getattr(self.engine, "adopt_state_dict_numpy", None) if owned else None
            (take or self.engine.load_state_dict_numpy)(self, full, dtype, device)

    @classmethod
    def _made(cls, config: RobertaConfig, options: Mapping[str, Any], **given: Any) -> Self:
        """A model by its class's constructor, which may be a subclass's that takes the configuration only."""
        taken = inspect.signature(cls).parameters
        passed = {name: value for name, value in options.items() if name in taken or "options" in taken}
        token = _beside.set({"class": cls, "options": {n: o for n, o in options.items() if n not in passed}, **given})
        try:
            return cls(config, **passed)
        finally:
            _beside.reset(token)

    # -- the call ----------------------------------------------------------------------------------------------------

    def _call(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], tap: Tap = silent) -> Output | tuple[Any, ...]:
        return called(self, args, kwargs, lambda inputs, _: self.run(inputs, tap))

    @contextmanager
    def inference(self) -> Generator[Self]:
        """In a `with` block: dropout off, and no gradients recorded; afterwards as it was.

        Several threads may be in such blocks of one model at the same time. Dropout is off until the last has left, for
        a thread that trains the model meanwhile as well; gradients are off for the thread of the block only.
        """
        model: Any = self
        with dropout_off(model), getattr(self.engine, "no_gradients", nullcontext)():
            yield self

    def tape(self, *, replace: Mapping[str, Callable[[A], A]] | None = None, **inputs: Any) -> Recorder:
        """Run the model and keep every named quantity; if told so, with other values in place of its own.

        Args:
            replace: name -> a function that takes the quantity, the engine's own array, and returns what the pass goes
                on with: an array of the same shape and dtype, which the tape shows. A path that does not compute the
                quantity is not taken.
            **inputs: as the call takes them.

        Returns:
            name -> the engine's array, with `output`, what the pass returned, and `missing`, which names what a fused
            path never computed. Ask for `output_attentions=True` to take the path that computes the scores and
            probabilities.

        Raises:
            TypeError: a replacement that is no function, or that returns no array of the engine.
            ValueError: a name that the model lacks, or that this pass never computed; or a replacement that returns
                an array of another shape or dtype.

        Example:
            >>> from roberta import RobertaConfig, RobertaModel
            >>> config = RobertaConfig(num_hidden_layers=1, hidden_size=4, num_attention_heads=2, intermediate_size=4)
            >>> model, name = RobertaModel(config), "encoder.layer.0.attention.self.probs"
            >>> tape = model.tape(input_ids=[[5, 6, 7]], replace={name: lambda probs: probs * 0})
            >>> tape["encoder.layer.0.attention.self.context"].any(), tape.output.last_hidden_state.shape
            (np.False_, (1, 3, 4))
        """
        expected, where = symbols(self.head, self.config, **self.options), type(self).__name__
        recorder = Recorder(interventions.intervening(replace, expected, where))
        recorder.output = self._call((), inputs, recorder)
        interventions.require_computed(replace or (), recorder, where)
        recorder.symbols = expected
        recorder.missing = tuple(name for name in expected if name not in recorder)
        return recorder

    @classmethod
    def can_generate(cls) -> bool:
        """Whether it has `generate`."""
        return cls.head == "causal_lm"

    def _like(self) -> Any:
        """What arrays made for this model are like: it has their dtype, and is where they are to be.

        No property: Keras, reading a file, follows every attribute of a model that is a model.
        """
        return self

    def for_inference(self, dtype: Any = None, *, keep_weights: bool = True) -> Self:
        """A twin for forward passes: faster, frozen, called in the same way, with the same answers.

        Its weights are laid out for the processor once; padding is not computed, on whichever side; a head that reads
        the first token computes the last layer for that token only, and a language model with `positions` for those.
        What stands at padding is 0 in its answers (in `start_logits` and `end_logits` the lowest number, as the largest
        is looked for), unless there are labels. Dropout is off, and nothing is recorded for gradients.

        It is as the weights are now: make it again when they have changed. What it has no way of its own for (attention
        probabilities, head masks, masks of three axes) is computed by this model.

        Args:
            dtype: in which it computes; None for the model's own.
            keep_weights: False: it holds the laid-out weights alone, and what it has no way for is an error. The others
                go with the last reference to the model: `model = model.for_inference(keep_weights=False)`.

        Returns:
            The twin: callable, `generate` and `inference` included. An engine without an inference form, and a
            subclass, which may compute as it likes, give a model.

        Raises:
            ValueError: a dtype that the engine does not have.

        Example:
            >>> from roberta import RobertaConfig, RobertaForMaskedLM
            >>> model = RobertaForMaskedLM(RobertaConfig(11, 4, 1, 2, 7), backend="numba")
            >>> fast = model.for_inference()
            >>> fast([[0, 5, 2], [0, 2, 1]], attention_mask=[[1, 1, 1], [1, 1, 0]]).logits[1, 2].any()
            np.False_
        """
        chosen = require_dtype(self.dtype_name if dtype is None else dtype, self.backend, self.engine)
        if not is_plain(type(self)) or not hasattr(self.engine, "Inference"):
            return self.to_backend(self.backend, dtype=chosen).eval() if chosen != self.dtype_name else self.eval()
        twin: Any = InferenceModel(self, chosen, keep_weights)
        return twin

    # -- sizes -------------------------------------------------------------------------------------------------------

    def resize_token_embeddings(
        self,
        new_num_tokens: int | None = None,
        pad_to_multiple_of: int | None = None,
        mean_resizing: bool = False,
        seed: int = 0,
    ) -> Any:
        """Give the vocabulary another size, in place: rows are cut off, or drawn anew behind the old ones.

        The parameters become new objects: make the optimizer afterwards.

        Args:
            new_num_tokens: V, above the padding, beginning and end ids; None for as many as there are.
            pad_to_multiple_of: V is rounded up to a multiple of it, as half-precision products like it.
            mean_resizing: draw new rows around the mean of the old ones, of a billionth of their covariance, in place
                of drawing them as initial weights are: then a new token changes the probabilities of the others
                little (Hewitt, 2021). New biases are the mean bias.
            seed: of the new rows.

        Returns:
            The word table, as `get_input_embeddings` gives it.

        Raises:
            TypeError: a size that is no integer.
            ValueError: a size that would cut off a special id.
        """
        size = surgery.rounded_up(
            self.config.vocab_size if new_num_tokens is None else new_num_tokens, pad_to_multiple_of
        )
        config, state = surgery.resized(
            self.config, self.state_dict_numpy(), self.table, size, seed, mean_resizing=mean_resizing
        )
        self._rebuild(config.frozen(), state)
        return self.get_input_embeddings()

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
        if self.added or type(self).__init__ is not PublicModel.__init__:
            remedy = "make it of a configuration of that size, or change the size of a plain model first"
            own = f"parameters of its own ({', '.join(self.added)})" if self.added else "a constructor of its own"
            message = f"{type(self).__name__} has {own}, and what that has made would be lost"
            raise TypeError(f"{message}; {remedy}")
        table = parameter_table(self.head, config, **self.options)
        training, dtype, device = getattr(self, "training", False), self.dtype_name, self.engine.device_of(self)
        report, checked, frozen = self.load_report, self.checks_inputs, self.engine.frozen_names(self)
        self._assemble(config, table, state, 0, self.options, dtype, device)
        if frozen and hasattr(self.engine, "freeze"):
            self.engine.freeze(self, frozen)
        self.load_report, self.checks_inputs = report, checked
        self.train(training)
        return self

    # -- other engines and files -------------------------------------------------------------------------------------

    def to_backend(self, name: str, dtype: Any = None, device: Any = None) -> Any:
        """The same model on another engine: equal weights to the bit, where the dtype is the same.

        Args:
            name: the engine.
            dtype: another dtype than this model's.
            device: where the new model is to be.
        """
        cls = origin(type(self)).on(name)
        if hasattr(self.engine, "require_nameable"):
            self.engine.require_nameable(self)
        state, dtype = self.state_dict_numpy(), self.dtype_name if dtype is None else dtype
        model = cls._made(self.config, self.options, dtype=dtype, device=device, state=state, strict=False)
        lost = [name for name in self.added if name not in model.added]
        if lost:
            message = (
                f"to_backend: {type(self).__name__} has parameters of its own, which {cls.__name__} on {name} lacks"
            )
            raise TypeError(f"{message} ({', '.join(lost)}); convert the plain model, and add them there")
        if self.added:
            model.load_state_dict_numpy({name: state[name] for name in self.added}, strict=False)
        model.load_report = self.load_report
        return model.train(getattr(self, "training", False))

    @classmethod
    def from_pretrained(
        cls,
        folder_or_hub_id: str | Path | None = None,
        *,
        backend: str | None = None,
        dtype: Any = None,
        device: Any = None,
        seed: int = 0,
        strict: bool = False,
        ignore_mismatched_sizes: bool = False,
        config: RobertaConfig | None = None,
        add_pooling_layer: bool | None = None,
        **overrides: Unpack[LoadOptions],
    ) -> Self:
        """Load a checkpoint: a folder, the name of a shipped one ("austen"), or an id on the hub.

        Args:
            folder_or_hub_id: where config.json and model.safetensors are; HF's name of it may be said, too. None where
                `config` and `state_dict` are given in their place.
            backend: the engine; None for the default one. A native class has its own.
            dtype: of the parameters; None is "float32", "auto" is the file's.
            device: where the engine is to put them.
            seed: of the parameters that the checkpoint lacks.
            strict: raise where it lacks any parameter, instead of warning. What the head has no use for is no error:
                `load_report.unexpected` lists it.
            ignore_mismatched_sizes: draw tensors of another shape anew, instead of raising.
            config: in place of the checkpoint's.
            add_pooling_layer: of the bare model.
            **overrides: fields of the config to replace; and `subfolder`, `revision`, `token`, `cache_dir`,
                `local_files_only` and `force_download`, as `roberta.files.places.HubOptions` says. `torch_dtype` is an
                older name of `dtype`; `state_dict` has weights in place of the file's.

        Returns:
            The model, dropout off, with `load_report`; with `output_loading_info=True` a pair, of the model and of what
            the report says under HF's names.

        Raises:
            FileNotFoundError: no such checkpoint.
            ValueError: a damaged file; weights that contradict the config, or that would become infinite in the dtype;
                or a checkpoint without one parameter of this model, or, if `strict`, without any.
            TypeError: weights that are no floating-point numbers.
        """
        native = cls.on(backend)
        given: dict[str, Any] = {**overrides}
        hub = {name: given.pop(name) for name in HubOptions.__annotations__ if name in given}
        dtype = given.pop("torch_dtype", dtype)  # its older name
        folder_or_hub_id = given.pop("pretrained_model_name_or_path", folder_or_hub_id)
        tensors, wants_info = given.pop("state_dict", None), given.pop("output_loading_info", False)
        device = without_unread(given, device)
        taken = inspect.signature(native).parameters.keys() - inspect.signature(PublicModel).parameters.keys()
        own = {name: given.pop(name) for name in [*given] if name in taken - ConfigFields.__annotations__.keys()}
        if config is not None:
            config = as_config(config, cls.__name__, cls.config_class)
        require_overrides(given, cls.__name__, inspect.signature(PublicModel.from_pretrained).parameters)
        if folder_or_hub_id is not None:
            folder = checkpoint.locate(folder_or_hub_id, **hub)
        elif config is not None and tensors is not None:
            folder = Path("state_dict")
        else:
            what = "a folder, the name of a shipped checkpoint or an id on the hub, or config= and state_dict="
            message = f"{cls.__name__}.from_pretrained: required {what}, got None"
            raise TypeError(message)
        options = {} if add_pooling_layer is None else {"add_pooling_layer": add_pooling_layer}
        options |= own
        is_read, source = tensors is None, None  # and nobody else's, which a state_dict may be
        if is_read and config is None:
            config, tensors, source = checkpoint.read_checkpoint(folder, cls.config_class, **given)
        else:
            config = config.replace(**given) if config else checkpoint.read_config(folder, cls.config_class, **given)
        if tensors is None:
            source = checkpoint.source_of(folder)
            tensors = checkpoint.read_tensors(folder)

        def match(table: Mapping[str, Parameter]) -> tuple[matching.State, matching.LoadReport]:
            where, ignoring = f"{CLASS_NAMES[cls.head]}: {folder.name}", ignore_mismatched_sizes
            return matching.match(
                tensors, table, cls.head, where=where, origin="file", ignore_mismatched_sizes=ignoring
            )

        sizes = {name: option for name, option in options.items() if name == "add_pooling_layer"}
        state, report = match(parameter_table(cls.head, config, **sizes))
        if isinstance(dtype, str) and dtype == "auto":
            dtype = str(next(iter(state.values())).dtype) if state else None
        given = {"seed": seed, "dtype": dtype, "device": device, "state": state, "strict": False, "owned": is_read}
        model = native._made(config, options, **given)
        if model.added or model.options != sizes:  # what a subclass has, or lacks, is known only now
            state, report = match(model.table)
            model.load_state_dict_numpy({name: state[name] for name in model.added if name in state}, strict=False)
        model.load_report = replace(report, source=source, dtypes=matching.changed_dtypes(state, model.dtype_name))
        checkpoint.tell_missing(cls.head, folder, report, model.table, strict)
        return cast("Self", (model, report.loading_info())) if wants_info else model


# -- pieces ----------------------------------------------------------------------------------------------------------


def _given(cls: type[Any], *arguments: Any) -> tuple[Any, ...]:
    """The arguments of the constructor, in place of which `_made` may have others: once, and for this class only."""
    beside = _beside.get()
    if beside.get("class") is not cls:
        return arguments
    _beside.set({})
    names = ("seed", "dtype", "device", "state", "strict", "owned")
    return tuple(
        value if beside.get(name) is None else beside[name] for name, value in zip(names, arguments, strict=True)
    )


def _beside_options(cls: type[Any]) -> dict[str, Any]:
    """Options of the head that a subclass's constructor has no name for."""
    beside = _beside.get()
    return dict(beside["options"]) if beside.get("class") is cls else {}
