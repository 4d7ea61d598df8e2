"""Models of ours on any engine; also what compilers, tracers and quantisation have made of one."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, cast

from ...dispatch.arguments import NO_ARRAYS
from ...dispatch.arguments import native as to_native
from ...dispatch.checks import FLAGS
from ...dispatch.inference import InferenceModel
from ...dispatch.model import PublicModel
from ...reference.config import RobertaConfig
from ...reference.inputs import SIGNATURES
from ...reference.layers import Array
from ..candidates import Candidate, Capabilities
from ..compare import Comparison
from ..padding import at_padding
from . import wrapped
from .adapter import Adapter, versions


class ModelCandidate(Adapter):
    """A model of ours as it is: with taps, and copied for other weights.

    Attributes:
        model: it; dropout is off while it is asked.
    """

    kind = "model of roberta"

    def __init__(self, model: PublicModel[Any]) -> None:
        is_whole = not _is_quantised(model)
        inputs = accepted(model.head, model.config)
        longest = model.config.usable_length
        super().__init__(
            f"{type(model).__name__} on {model.backend}",
            Capabilities(inputs, longest=longest, has_taps=True, takes_weights=is_whole, is_own=True),
        )
        self.model = model

    def __call__(self, **inputs: Any) -> Mapping[str, Any]:
        """One pass without dropout and gradients."""
        with self._inference() as model:
            return model(**inputs, return_dict=True).numpy()

    def taps(self, inputs: Mapping[str, Any]) -> Mapping[str, Array]:
        """The tape of the very pass that the inputs ask for; `output_attentions=True` asks for one with scores."""
        with self._inference() as model:
            return {name: model.engine.to_numpy(value) for name, value in model.tape(**inputs).items()}

    def with_weights(self, state: Mapping[str, Array]) -> Candidate:
        """A copy with the other weights: a new model would lack what has been changed in this one by hand."""
        if not self.capabilities.takes_weights:
            return super().with_weights(state)
        model = copy.deepcopy(self.model)
        model.load_state_dict_numpy(state)
        return ModelCandidate(model)

    def describe(self) -> dict[str, Any]:
        """Kind, versions, engine, precision and device."""
        return super().describe() | described(self.model)

    def arrays(self) -> Mapping[str, Array]:
        """Its parameters; none where they are packed."""
        return self.model.state_dict_numpy() if self.capabilities.takes_weights else {}

    def _inference(self) -> AbstractContextManager[Any]:
        return self.model.inference()


class TwinCandidate(Adapter):
    """What `for_inference` gives: without taps, and laid out anew for other weights.

    Attributes:
        twin: it.
    """

    kind = "inference form of roberta"

    def __init__(self, twin: InferenceModel) -> None:
        inputs, longest = accepted(twin.head, twin.config), twin.config.usable_length
        if twin.model is None:  # then some of them are refused
            inputs -= {"output_attentions", "head_mask"}
        can = Capabilities(inputs, longest=longest, takes_weights=twin.model is not None, is_own=True)
        super().__init__(f"{twin.face.__name__} for inference on {twin.backend}", can)
        self.twin = twin

    def __call__(self, **inputs: Any) -> Mapping[str, Any]:
        """One pass."""
        return self.twin(**inputs, return_dict=True).numpy()

    def at_padding(self, inputs: Mapping[str, Any], answer: Mapping[str, Array], where: str) -> list[Comparison]:
        """Where an answer has something else at padding than `for_inference` says, see `padding.at_padding`."""
        return list(at_padding(self.twin, inputs, answer, where))

    def with_weights(self, state: Mapping[str, Array]) -> Candidate:
        """A copy of its model with the other weights, laid out."""
        if not self.capabilities.takes_weights:
            return super().with_weights(state)
        model: Any = copy.deepcopy(self.twin.model)
        model.load_state_dict_numpy(state)
        return TwinCandidate(model.for_inference(self.twin.dtype_name))

    def describe(self) -> dict[str, Any]:
        """Kind, versions, engine and precision."""
        about = {"head": self.twin.head, "engine": self.twin.backend, "dtype": self.twin.dtype_name}
        return super().describe() | {**about, "bytes": self.twin.nbytes}


class WrappedCandidate(Adapter):
    """A callable around a model of ours: what `torch.compile`, `tf.function`, `jax.jit` and `nnx.jit` return.

    It has no taps and takes no weights: those would be of the model inside, which is other code.

    Attributes:
        function: the callable.
        model: the model inside.
    """

    kind = "compiled model of roberta"

    def __init__(self, function: Any, model: PublicModel[Any]) -> None:
        inputs = accepted(model.head, model.config)
        if model.backend == "flax":  # which traces every argument: a flag would be an array
            inputs -= {*FLAGS}
        name = f"{type(model).__name__} on {model.backend}, in {type(function).__name__}"
        super().__init__(name, Capabilities(inputs, longest=model.config.usable_length, is_own=True))
        self.function = function
        self.model = model

    def __call__(self, **inputs: Any) -> Mapping[str, Any]:
        """One pass, of the engine's own arrays: that is what compilers trace."""
        arrays = {name: self._native(name, value) for name, value in inputs.items()}
        with cast("AbstractContextManager[Any]", self.model.inference()):
            return self.function(**arrays)

    def _native(self, name: str, value: Any) -> Any:
        if name == "past_key_values" and value is not None:
            return tuple(tuple(self.model.engine.to_native(part, self.model) for part in layer) for layer in value)
        return value if name in NO_ARRAYS else to_native(name, value, self.model)

    def describe(self) -> dict[str, Any]:
        """Kind, versions, the wrapper, engine, precision and device."""
        wrapper = f"{type(self.function).__module__}.{type(self.function).__name__}"
        return super().describe() | described(self.model) | {"wrapper": wrapper}


def accepted(head: str, config: RobertaConfig) -> frozenset[str]:
    """The arguments that a head of this configuration takes.

    Example:
        >>> sorted(accepted("question_answering", RobertaConfig()) & {"labels", "use_cache", "start_positions"})
        ['start_positions']
    """
    names = {*SIGNATURES[head]} - {"return_dict"}
    if not config.is_decoder:
        names -= {"past_key_values", "use_cache"}
    if not config.add_cross_attention:
        names -= {"encoder_hidden_states", "encoder_attention_mask"}
    return frozenset(names)


def described(model: PublicModel[Any]) -> dict[str, Any]:
    """What a report says of a model of ours."""
    from ...dispatch.registry import backends

    backend = backends()[model.backend]
    return {
        "head": model.head,
        "engine": model.backend,
        "versions": versions("roberta", backend.distribution, *backend.companions),
        "dtype": model.dtype_name,
        "device": str(model.engine.device_of(model)),
        "is_quantised": _is_quantised(model),
    }


def _is_quantised(model: Any) -> bool:
    """Whether some PyTorch layer has packed its weights."""
    parts = model.modules() if model.backend == "torch" else ()
    return any(".quantized." in type(part).__module__ for part in parts)


def adapt(thing: Any, reference: Any = None) -> Adapter:
    """A model of ours, or a callable around one, as a candidate."""
    if isinstance(thing, InferenceModel):
        return TwinCandidate(thing)
    model = wrapped(thing)
    return ModelCandidate(model) if model is thing else WrappedCandidate(thing, model)
