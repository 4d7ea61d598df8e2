"""Dropout off for a while: for as long as anybody computes with a model, in however many threads and nested blocks."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import RLock
from typing import Protocol


class Switched(Protocol):
    """A model whose dropout is switched as PyTorch has it."""

    def train(self, mode: bool = True) -> object:
        """Switch it."""
        ...


@dataclass
class _Use:
    """How many are inside, and what the first of them found."""

    count: int
    was_training: bool


_lock = RLock()
#: Of each model that is in use, by its identity. Not on the model: there it would be copied, pickled and compiled.
_uses: dict[int, _Use] = {}


@contextmanager
def dropout_off(model: Switched) -> Generator[None]:
    """In a `with` block dropout is off. The first to enter switches it off, the last to leave sets it as it was.

    Example:
        >>> import roberta
        >>> model = roberta.RobertaModel(roberta.RobertaConfig(11, 4, 1, 2, 7), backend="numpy").train()
        >>> with dropout_off(model), dropout_off(model):
        ...     model.training
        False
        >>> model.training
        True
    """
    with _lock:
        use = _uses.get(id(model)) or _Use(0, getattr(model, "training", False))
        if not use.count:
            model.train(False)
        use.count += 1
        _uses[id(model)] = use
    try:
        yield
    finally:
        with _lock:
            use.count -= 1
            if not use.count:
                del _uses[id(model)]
                model.train(use.was_training)
