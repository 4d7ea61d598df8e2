"""What is known of an array while a compiler looks at the program: its shape and its dtype, but no values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from ..reference.attention import Cache

_NAMES = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32")
#: A dtype's name in any framework -> NumPy's, which has no bfloat16. A table, as compilers can follow one.
_DTYPES = {**{name: np.dtype(name) for name in (*_NAMES, "float64")}, "bfloat16": np.dtype("float32")}


class Outline(NamedTuple):
    """An array without its values.

    Attributes:
        shape: a size that the compiler leaves open is None.
        dtype: NumPy's; `object` where it is none of numbers.
    """

    shape: tuple[int | None, ...]
    dtype: Any

    @property
    def ndim(self) -> int:
        """The rank, which is always known."""
        return len(self.shape)


def outline(name: str, value: Any) -> Outline:
    """What is known of an argument: a compiler's tensor, an array, or a list.

    Raises:
        ValueError: a tensor of which not even the rank is known.

    Example:
        >>> outline("input_ids", [[0, 5, 2]])
        Outline(shape=(1, 3), dtype=dtype('int64'))
    """
    value = value if hasattr(value, "shape") else np.asarray(value)
    if getattr(value.shape, "rank", 0) is None:
        message = f"{name}: expected a tensor of known rank, got {value}; say it before: tensor.set_shape([None, None])"
        raise ValueError(message)
    dtype = str(getattr(value.dtype, "name", value.dtype)).removeprefix("torch.")
    # What a compiler has for an open size, None or a symbol, is no plain integer.
    shape = tuple(size if type(size) is int else None for size in value.shape)
    return Outline(shape, _DTYPES.get(dtype, np.dtype(object)))


def cache_outline(past: Cache) -> Cache:
    """A cache of outlines; how many tokens it has seen is a value."""
    layers = tuple(tuple(outline("past_key_values", part) for part in layer) for layer in past.layers)
    return replace(past, layers=layers, token_count=None)


def agree(shape: Iterable[int | None], other: Iterable[int | None]) -> bool:
    """Whether two shapes can be the same: what is unknown agrees with anything.

    Example:
        >>> agree((3, None), (3, 5)), agree((3, None), (2, 5)), agree((3, None), (3,))
        (True, False, False)
    """
    shape, other = tuple(shape), tuple(other)
    return len(shape) == len(other) and all(a is None or b is None or a == b for a, b in zip(shape, other, strict=True))
