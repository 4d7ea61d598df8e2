"""What is said of arrays to a type checker, an engine's own and whatever a call takes; and the way to NumPy's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike as NumPyArrayLike
    from typing_extensions import TypeVar  # a default is not in `typing` before Python 3.13

    #: The type of an engine's arrays; of a model whose engine is not known, anything.
    A = TypeVar("A", default=Any)
else:
    from typing import TypeVar

    NumPyArrayLike = object
    A = TypeVar("A")


class Shaped(Protocol):
    """An array or tensor of whatever library."""

    @property
    def shape(self) -> Any:
        """Its sizes."""
        ...


#: An argument that is an array: nested lists, NumPy arrays, or tensors of any engine; None where it is left out.
Given: TypeAlias = "NumPyArrayLike | Shaped | None"
#: An argument that is yes or no; None for what the configuration says.
Flag: TypeAlias = "bool | None"


def to_numpy(value: Any) -> Any:
    """One array of any engine as a NumPy array; bfloat16, which NumPy lacks, as float32.

    Example:
        >>> to_numpy(np.float32(2.0))
        array(2., dtype=float32)
    """
    value = value.detach().cpu() if hasattr(value, "detach") else value
    if "bfloat16" in str(getattr(value, "dtype", "")):
        value = value.float() if hasattr(value, "float") else np.asarray(value, np.float32)
    return np.asarray(value)
