"""A model's twin for forward passes: what `for_inference` gives. What computes is the engine's `Inference`."""

from __future__ import annotations

import inspect
from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from typing import Any, Self

from ..reference.inputs import Inputs
from ..reference.outputs import Output
from . import registry
from .calling import called
from .faces import origin
from .generating.settings import Settings
from .generation import Generating

#: What it takes over from the model as it is.
TAKEN = ("backend", "head", "config", "load_report", "checks_inputs")


class InferenceModel:
    """The frozen twin of a model: the same call, the same records, the same errors. Made by `for_inference`.

    Attributes:
        model: the model it was made of; None where its weights were not kept.
        runner: the engine's `Inference`: laid-out weights, and `run`.
        face: of which of the seven names, or of their siblings, it is an instance.
        dtype_name: in which it computes; `dtype` says it as the framework's users have it.
        engine: the engine's package.
        training: False: dropout is off.
    """

    is_twin = True
    backend: str
    head: str
    config: Any
    training = False

    def __init__(self, model: Any, dtype: str, keep_weights: bool = True) -> None:
        self.model = model if keep_weights else None
        self.face = origin(type(model))
        self.dtype_name = dtype
        for name in TAKEN:
            setattr(self, name, getattr(model, name))
        self.options: dict[str, Any] = dict(model.options)  # of its models' Keras has made another kind
        self.engine = model.engine
        with model.inference():
            self.runner = self.engine.Inference(model, dtype)

    @property
    def dtype(self) -> Any:
        """In which it computes: "float32", and torch.float32 on PyTorch."""
        own = getattr(self.engine, "own_dtype", str)
        return own(self.dtype_name)

    @property
    def __signature__(self) -> inspect.Signature:
        """The model's."""
        written = inspect.signature(self.face.__call__)
        return written.replace(parameters=list(written.parameters.values())[1:])

    def _like(self) -> Any:
        """What arrays made for it are like."""
        return self.runner

    @property
    def nbytes(self) -> int:
        """How many bytes its laid-out weights take, beside those of `model`, where that is kept."""
        return self.runner.nbytes

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """As `model` is called.

        Raises:
            ValueError: a gradient is wanted.
        """
        wants_gradient = getattr(self.engine, "wants_gradient", None)
        for name, value in {**dict(enumerate(args)), **kwargs}.items():
            if wants_gradient is not None and wants_gradient(value):
                message = "what for_inference gave computes no gradients; call the model it was made of"
                raise ValueError(f"{name}: {message}")
        with getattr(self.engine, "no_gradients", nullcontext)():
            return called(self, args, kwargs, self._run)

    @property
    def forward(self) -> Any:
        """The call, as PyTorch names it."""
        return self.__call__

    def _run(self, inputs: Inputs, has_labels: bool) -> Output:
        reason = self.runner.refusal(inputs)
        if not reason:
            return self.runner.run(inputs, has_labels)
        if self.model is None:
            what = f"{self.face.__name__}: for_inference(keep_weights=False) has no way for {reason}"
            message = f"{what}; call the model that it was made of, or make it with keep_weights=True"
            raise ValueError(message)
        if self.dtype_name != self.model.dtype_name:
            what = f"{self.face.__name__}: for_inference({self.dtype_name!r}) has no way for {reason}"
            message = f"{what}, and its model computes in {self.model.dtype_name}; call a model in {self.dtype_name}"
            raise ValueError(message)
        # a compiler that looks on forbids some engines to switch anything, and there is nothing to switch
        is_off = self.engine.is_tracing() and not self.model.training
        with nullcontext() if is_off else self.model.inference():
            return self.model.run(inputs)

    def generate(self, *args: Any, **kwargs: Any) -> Any:
        """As `model.generate`, of a causal language model."""
        if self.head != "causal_lm":
            message = f"{self.face.__name__} writes no text: generate is what RobertaForCausalLM has"
            raise AttributeError(message)
        return Generating.generate(self, *args, **kwargs)  # pyright: ignore[reportArgumentType]

    def can_generate(self) -> bool:
        """Whether it has `generate`."""
        return self.head == "causal_lm"

    @property
    def generation_config(self) -> Any:
        """What `generate` goes by where a call says nothing: the model's."""
        if self.head != "causal_lm":
            raise self._refused("generation_config")
        return Settings() if self.model is None else self.model.generation_config

    @contextmanager
    def inference(self) -> Generator[Self]:
        """As `model.inference()`: here dropout is always off, and no gradients are recorded."""
        with getattr(self.engine, "no_gradients", nullcontext)():
            yield self

    def for_inference(self, dtype: Any = None, *, keep_weights: bool = True) -> Self:
        """Itself, if nothing else is asked for."""
        if dtype in (None, self.dtype, self.dtype_name) and keep_weights == (self.model is not None):
            return self
        if self.model is None:
            message = "for_inference: this one has not kept its model's weights; call the model's own for_inference"
            raise ValueError(message)
        return self.model.for_inference(dtype, keep_weights=keep_weights)

    def eval(self) -> Self:
        """Itself: dropout is off."""
        return self

    def train(self, mode: bool = True) -> Self:
        """Itself, if dropout is to be off.

        Raises:
            AttributeError: it is to be on.
        """
        if mode:
            raise self._refused("train")
        return self

    def __getattr__(self, name: str) -> Any:
        """What only the model has.

        Raises:
            AttributeError: always; says where it is.
        """
        if name.startswith("__") or "face" not in vars(self):
            raise AttributeError(name)
        raise self._refused(name)

    def __getstate__(self) -> dict[str, Any]:
        """Modules cannot be pickled."""
        return {name: value for name, value in vars(self).items() if name != "engine"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Of a copy, the runner is watching the copy of the model."""
        vars(self).update(state, engine=registry.load(state["backend"]))
        if self.model is not None and hasattr(self.runner, "watch"):
            self.runner.watch(self.model)

    def _refused(self, name: str) -> AttributeError:
        face = vars(self)["face"].__name__
        if not hasattr(vars(self)["model"] or vars(self)["face"], name):
            return AttributeError(f"{face} has no attribute {name!r}")
        what = f"{face}: what for_inference gave computes forward passes only, and has no {name!r}"
        return AttributeError(f"{what}; use that of the model it was made of (its `model`, where weights are kept)")

    def __repr__(self) -> str:
        """Engine, dtype and what it takes."""
        kept = "beside its model's" if self.model is not None else "and no others"
        what = f"{self.face.__name__} for inference on {self.backend} in {self.dtype_name}"
        return f"<{what}: {self.nbytes / 1e6:.0f} MB of laid-out weights, {kept}>"
