"""What all answers have: fields by name, by key, and as plain data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any, cast

import numpy as np


class Record:
    """An answer. Its fields have the names of transformers' pipelines, and are there by attribute and by key.

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass(frozen=True)
        ... class Pair(Record):
        ...     label: str
        ...     score: float
        >>> pair = Pair("yes", 0.5)
        >>> pair.score, pair["score"], dict(pair), pair.to_dict() == dict(pair)
        (0.5, 0.5, {'label': 'yes', 'score': 0.5}, True)
    """

    def keys(self) -> list[str]:
        """The names of the fields."""
        return [each.name for each in fields(self)]  # pyright: ignore[reportArgumentType]  # a dataclass, always

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self.keys())

    def __getitem__(self, name: str) -> Any:
        if name not in self.keys():
            message = f"{type(self).__name__}: expected one of the fields {', '.join(self.keys())}, got {name!r}"
            raise KeyError(message)
        return getattr(self, name)

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain data, as JSON has it: arrays become lists."""
        return {name: plain(self[name]) for name in self.keys()}


def plain(value: Any) -> Any:
    """Records, arrays and numbers of NumPy as plain data.

    Example:
        >>> plain([np.float32(0.5), np.arange(2), (1, "a")])
        [0.5, [0, 1], [1, 'a']]
    """
    if isinstance(value, Record):
        return value.to_dict()
    if isinstance(value, np.ndarray | np.generic):
        return cast("Any", value).tolist()
    if isinstance(value, dict):
        return {name: plain(each) for name, each in cast("dict[Any, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in cast("list[Any]", value)]
    return value
