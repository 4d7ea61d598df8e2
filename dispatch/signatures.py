"""What a type checker is told: which class `backend=` gives, and with which arguments. At run time it is empty.

`RobertaForMaskedLM(config, backend="torch")` is a `TorchRobertaForMaskedLM`, and so a `torch.nn.Module`; where the
engine is no literal, it is a `RobertaForMaskedLM`. All heads have these signatures, so they are written once: the five
parameters stand for a head's native classes. What happens is in `faces`, and what it means is said in `model`.
"""
# pyright: reportOverlappingOverload=false, reportInconsistentConstructor=false
# pyright: reportIncompatibleMethodOverride=false
# A string that is no literal may be the name of an engine all the same: the last overload says less than the others.

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, Self, TypeAlias, Unpack, overload

from ..reference.arrays import A
from ..reference.config import RobertaConfig
from .model import PublicModel
from .options import LoadOptions

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    N = TypeVar("N", default=Any)
    B = TypeVar("B", default=Any)
    T = TypeVar("T", default=Any)
    K = TypeVar("K", default=Any)
    F = TypeVar("F", default=Any)
else:
    from typing import TypeVar

    N, B, T, K, F = (TypeVar(name) for name in "NBTKF")

State: TypeAlias = "Mapping[str, Any] | None"

# fmt: off


class Faced(PublicModel[A], Generic[A, N, B, T, K, F]):
    """A head under HF's name. The parameters: its arrays, and its classes on NumPy, Numba, PyTorch, Keras and Flax."""

    if TYPE_CHECKING:

        @overload
        def __new__(
            cls, config: RobertaConfig, backend: Literal["numpy", "np"], *, seed: int = 0,
            dtype: Any = None, device: Any = None, state: State = None,
            strict: bool = True,
        ) -> N: ...

        @overload
        def __new__(
            cls, config: RobertaConfig, backend: Literal["numba"], *, seed: int = 0,
            dtype: Any = None, device: Any = None, state: State = None,
            strict: bool = True,
        ) -> B: ...

        @overload
        def __new__(
            cls, config: RobertaConfig, backend: Literal["torch", "pytorch", "pt"], *, seed: int = 0,
            dtype: Any = None, device: Any = None, state: State = None,
            strict: bool = True,
        ) -> T: ...

        @overload
        def __new__(
            cls, config: RobertaConfig, backend: Literal["tensorflow", "tf", "keras"], *, seed: int = 0,
            dtype: Any = None, device: Any = None, state: State = None,
            strict: bool = True,
        ) -> K: ...

        @overload
        def __new__(
            cls, config: RobertaConfig, backend: Literal["flax", "jax"], *, seed: int = 0,
            dtype: Any = None, device: Any = None, state: State = None,
            strict: bool = True,
        ) -> F: ...

        @overload
        def __new__(
            cls, config: RobertaConfig, backend: str | None = None, *, seed: int = 0,
            dtype: Any = None, device: Any = None, state: State = None,
            strict: bool = True,
        ) -> Self: ...

        def __new__(cls, *args: Any, **options: Any) -> Any: ...

        @overload
        @classmethod
        def from_pretrained(
            cls, folder_or_hub_id: str | Path, *, backend: Literal["numpy", "np"], dtype: Any = None,
            device: Any = None, seed: int = 0, strict: bool = False, ignore_mismatched_sizes: bool = False,
            config: RobertaConfig | None = None,
            **overrides: Unpack[LoadOptions],
        ) -> N: ...

        @overload
        @classmethod
        def from_pretrained(
            cls, folder_or_hub_id: str | Path, *, backend: Literal["numba"], dtype: Any = None,
            device: Any = None, seed: int = 0, strict: bool = False, ignore_mismatched_sizes: bool = False,
            config: RobertaConfig | None = None,
            **overrides: Unpack[LoadOptions],
        ) -> B: ...

        @overload
        @classmethod
        def from_pretrained(
            cls, folder_or_hub_id: str | Path, *, backend: Literal["torch", "pytorch", "pt"], dtype: Any = None,
            device: Any = None, seed: int = 0, strict: bool = False, ignore_mismatched_sizes: bool = False,
            config: RobertaConfig | None = None,
            **overrides: Unpack[LoadOptions],
        ) -> T: ...

        @overload
        @classmethod
        def from_pretrained(
            cls, folder_or_hub_id: str | Path, *, backend: Literal["tensorflow", "tf", "keras"], dtype: Any = None,
            device: Any = None, seed: int = 0, strict: bool = False, ignore_mismatched_sizes: bool = False,
            config: RobertaConfig | None = None,
            **overrides: Unpack[LoadOptions],
        ) -> K: ...

        @overload
        @classmethod
        def from_pretrained(
            cls, folder_or_hub_id: str | Path, *, backend: Literal["flax", "jax"], dtype: Any = None,
            device: Any = None, seed: int = 0, strict: bool = False, ignore_mismatched_sizes: bool = False,
            config: RobertaConfig | None = None,
            **overrides: Unpack[LoadOptions],
        ) -> F: ...

        @overload
        @classmethod
        def from_pretrained(
            cls, folder_or_hub_id: str | Path, *, backend: str | None = None, dtype: Any = None,
            device: Any = None, seed: int = 0, strict: bool = False, ignore_mismatched_sizes: bool = False,
            config: RobertaConfig | None = None,
            **overrides: Unpack[LoadOptions],
        ) -> Self: ...

        @classmethod
        def from_pretrained(cls, *args: Any, **options: Any) -> Any: ...

        @overload
        def to_backend(
            self, name: Literal["numpy", "np"], dtype: Any = None, device: Any = None
        ) -> N: ...

        @overload
        def to_backend(
            self, name: Literal["numba"], dtype: Any = None, device: Any = None
        ) -> B: ...

        @overload
        def to_backend(
            self, name: Literal["torch", "pytorch", "pt"], dtype: Any = None, device: Any = None
        ) -> T: ...

        @overload
        def to_backend(
            self, name: Literal["tensorflow", "tf", "keras"], dtype: Any = None, device: Any = None
        ) -> K: ...

        @overload
        def to_backend(
            self, name: Literal["flax", "jax"], dtype: Any = None, device: Any = None
        ) -> F: ...

        @overload
        def to_backend(self, name: str, dtype: Any = None, device: Any = None) -> Any: ...

        def to_backend(self, *args: Any, **options: Any) -> Any: ...


class FacedBody(Faced[A, N, B, T, K, F]):
    """The same for the bare model, which has an option of its own."""

    if TYPE_CHECKING:

        @overload
        def __new__(
            cls, config: RobertaConfig, backend: Literal["numpy", "np"], *, seed: int = 0,
            dtype: Any = None, device: Any = None, state: State = None,
            strict: bool = True, add_pooling_layer: bool = True,
        ) -> N: ...

        @overload
        def __new__(
            cls, config: RobertaConfig, backend: Literal["numba"], *, seed: int = 0,
            dtype: Any = None, device: Any = None, state: State = None,
            strict: bool = True, add_pooling_layer: bool = True,
        ) -> B: ...

        @overload
        def __new__(
            cls, config: RobertaConfig, backend: Literal["torch", "pytorch", "pt"], *, seed: int = 0,
            dtype: Any = None, device: Any = None, state: State = None,
            strict: bool = True, add_pooling_layer: bool = True,
        ) -> T: ...

        @overload
        def __new__(
            cls, config: RobertaConfig, backend: Literal["tensorflow", "tf", "keras"], *, seed: int = 0,
            dtype: Any = None, device: Any = None, state: State = None,
            strict: bool = True, add_pooling_layer: bool = True,
        ) -> K: ...

        @overload
        def __new__(
            cls, config: RobertaConfig, backend: Literal["flax", "jax"], *, seed: int = 0,
            dtype: Any = None, device: Any = None, state: State = None,
            strict: bool = True, add_pooling_layer: bool = True,
        ) -> F: ...

        @overload
        def __new__(
            cls, config: RobertaConfig, backend: str | None = None, *, seed: int = 0,
            dtype: Any = None, device: Any = None, state: State = None,
            strict: bool = True, add_pooling_layer: bool = True,
        ) -> Self: ...

        def __new__(cls, *args: Any, **options: Any) -> Any: ...

        @overload
        @classmethod
        def from_pretrained(
            cls, folder_or_hub_id: str | Path, *, backend: Literal["numpy", "np"], dtype: Any = None,
            device: Any = None, seed: int = 0, strict: bool = False, ignore_mismatched_sizes: bool = False,
            config: RobertaConfig | None = None, add_pooling_layer: bool | None = None,
            **overrides: Unpack[LoadOptions],
        ) -> N: ...

        @overload
        @classmethod
        def from_pretrained(
            cls, folder_or_hub_id: str | Path, *, backend: Literal["numba"], dtype: Any = None,
            device: Any = None, seed: int = 0, strict: bool = False, ignore_mismatched_sizes: bool = False,
            config: RobertaConfig | None = None, add_pooling_layer: bool | None = None,
            **overrides: Unpack[LoadOptions],
        ) -> B: ...

        @overload
        @classmethod
        def from_pretrained(
            cls, folder_or_hub_id: str | Path, *, backend: Literal["torch", "pytorch", "pt"], dtype: Any = None,
            device: Any = None, seed: int = 0, strict: bool = False, ignore_mismatched_sizes: bool = False,
            config: RobertaConfig | None = None, add_pooling_layer: bool | None = None,
            **overrides: Unpack[LoadOptions],
        ) -> T: ...

        @overload
        @classmethod
        def from_pretrained(
            cls, folder_or_hub_id: str | Path, *, backend: Literal["tensorflow", "tf", "keras"], dtype: Any = None,
            device: Any = None, seed: int = 0, strict: bool = False, ignore_mismatched_sizes: bool = False,
            config: RobertaConfig | None = None, add_pooling_layer: bool | None = None,
            **overrides: Unpack[LoadOptions],
        ) -> K: ...

        @overload
        @classmethod
        def from_pretrained(
            cls, folder_or_hub_id: str | Path, *, backend: Literal["flax", "jax"], dtype: Any = None,
            device: Any = None, seed: int = 0, strict: bool = False, ignore_mismatched_sizes: bool = False,
            config: RobertaConfig | None = None, add_pooling_layer: bool | None = None,
            **overrides: Unpack[LoadOptions],
        ) -> F: ...

        @overload
        @classmethod
        def from_pretrained(
            cls, folder_or_hub_id: str | Path, *, backend: str | None = None, dtype: Any = None,
            device: Any = None, seed: int = 0, strict: bool = False, ignore_mismatched_sizes: bool = False,
            config: RobertaConfig | None = None, add_pooling_layer: bool | None = None,
            **overrides: Unpack[LoadOptions],
        ) -> Self: ...

        @classmethod
        def from_pretrained(cls, *args: Any, **options: Any) -> Any: ...


class Native:
    """A head on one engine: constructing it and loading it give the class itself."""

    if TYPE_CHECKING:

        def __new__(cls, *args: Any, **options: Any) -> Self: ...

        def __init__(
            self, config: RobertaConfig, backend: str | None = None, *, seed: int = 0, dtype: Any = None,
            device: Any = None, state: State = None,
            strict: bool = True,
        ) -> None: ...

        @classmethod
        def from_pretrained(
            cls, folder_or_hub_id: str | Path, *, backend: str | None = None, dtype: Any = None,
            device: Any = None, seed: int = 0, strict: bool = False, ignore_mismatched_sizes: bool = False,
            config: RobertaConfig | None = None,
            **overrides: Unpack[LoadOptions],
        ) -> Self: ...


class NativeBody(Native):
    """The same for the bare model."""

    if TYPE_CHECKING:

        def __new__(cls, *args: Any, **options: Any) -> Self: ...

        def __init__(
            self, config: RobertaConfig, backend: str | None = None, *, seed: int = 0, dtype: Any = None,
            device: Any = None, state: State = None,
            strict: bool = True, add_pooling_layer: bool = True,
        ) -> None: ...

        @classmethod
        def from_pretrained(
            cls, folder_or_hub_id: str | Path, *, backend: str | None = None, dtype: Any = None,
            device: Any = None, seed: int = 0, strict: bool = False, ignore_mismatched_sizes: bool = False,
            config: RobertaConfig | None = None, add_pooling_layer: bool | None = None,
            **overrides: Unpack[LoadOptions],
        ) -> Self: ...
