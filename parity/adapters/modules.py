"""PyTorch modules that take HF's arguments as tensors: anybody's, and what those of transformers have in common."""

from __future__ import annotations

import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import numpy as np

from ...reference.layers import Array
from ...reference.outputs import to_numpy
from ..candidates import Capabilities
from .adapter import Adapter
from .functions import ARGUMENTS, arguments_of


class ModuleCandidate(Adapter):
    """A PyTorch module.

    Attributes:
        module: it; in evaluation while it is asked, and as it was afterwards.
    """

    kind = "PyTorch module"
    libraries = ("torch",)

    def __init__(self, module: Any, reference: Any = None) -> None:
        name = type(module).__name__
        schema = getattr(module.forward, "schema", None)  # of a traced module, whose signature is (*args, **kwargs)
        traced = frozenset(argument.name for argument in schema.arguments) & ARGUMENTS if schema else None
        super().__init__(name, Capabilities(traced or arguments_of(module.forward, name, reference)))
        self.module = module

    def __call__(self, **inputs: Any) -> Mapping[str, Any]:
        """One pass without dropout and gradients."""
        with self.evaluating():
            return self.module(**{name: self.tensors(value) for name, value in inputs.items()})

    @contextmanager
    def evaluating(self) -> Generator[None]:
        """Without dropout, where the module has a mode at all, and without gradients."""
        was_training = [part for part in self.module.modules() if part.training]
        for part in was_training:
            part.training = False
        try:
            with torch().no_grad():
                yield
        finally:
            for part in was_training:
                part.training = True

    def tensors(self, value: Any) -> Any:
        """Arrays as tensors on the module's device: reals in its precision, integers in 64 bits; the rest as it is."""
        if isinstance(value, tuple):
            return tuple(self.tensors(part) for part in cast("tuple[Any, ...]", value))
        if not hasattr(value, "dtype"):
            return value
        tensor: Any = torch().from_numpy(np.array(value))
        return tensor.to(device=self.device, dtype=self.dtype if value.dtype.kind == "f" else torch().int64)

    @property
    def dtype(self) -> Any:
        """That of the first parameter of floating point; float32 where all are packed."""
        found = (each.dtype for each in self.module.parameters() if each.dtype.is_floating_point)
        return next(found, torch().float32)

    @property
    def device(self) -> Any:
        """That of the first parameter."""
        return next((each.device for each in self.module.parameters()), torch().device("cpu"))

    @property
    def is_quantised(self) -> bool:
        """Whether some layer has packed its weights."""
        return any(".quantized." in type(part).__module__ for part in self.module.modules())

    def arrays(self) -> Mapping[str, Array]:
        """Its parameters and buffers; none where they are packed."""
        return {} if self.is_quantised else {name: to_numpy(value) for name, value in self.module.state_dict().items()}

    def describe(self) -> dict[str, Any]:
        """Kind, versions, class, precision, device."""
        return super().describe() | {
            "class": f"{type(self.module).__module__}.{type(self.module).__name__}",
            "dtype": str(self.dtype).removeprefix("torch."),
            "device": str(self.device),
            "is_quantised": self.is_quantised,
        }


def torch() -> Any:
    """PyTorch, which is loaded where there is a module of it."""
    return sys.modules["torch"]


def adapt(thing: Any, reference: Any = None) -> ModuleCandidate:
    """A PyTorch module as a candidate."""
    return ModuleCandidate(thing, reference)
