"""A head as an object: a configuration, parameters, and the equation that an engine gives it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Self

import numpy as np

from ...reference.config import RobertaConfig
from ...reference.inputs import Inputs
from ...reference.layers import dropout
from ...reference.outputs import Output
from ...reference.taps import Tap, silent


class Head:
    """A head: its configuration, its parameters as a tree, and `run`, which takes checked inputs.

    Attributes:
        backend: the engine's name.
        equation: the function of the engine's `heads.py`; each of its classes has its own.
        parameters: nested mapping whose path is HF's name; read-only arrays.
        training: whether dropout is on. Off from the start.
        rng: draws the dropout; seed it anew for a reproducible step.
    """

    backend: ClassVar[str]
    equation: ClassVar[Callable[..., Output]]

    def __init__(self, config: RobertaConfig, **_options: Any) -> None:
        self.config = config
        self.parameters: dict[str, Any] = {}
        self.training = False
        self.rng = np.random.default_rng(0)

    @property
    def tree(self) -> dict[str, Any]:
        """The parameters as the equation reads them."""
        return self.parameters

    def run(self, inputs: Inputs, tap: Tap = silent) -> Output:
        """`Inputs` -> the head's record."""
        drop = dropout(self.rng if self.training else None)
        return type(self).equation(inputs, self.tree, self.config, tap, drop)

    def get_input_embeddings(self) -> Any:
        """The word table, (V, D), read-only."""
        body = self.parameters.get("roberta", self.parameters)
        return body["embeddings"]["word_embeddings"]["weight"]

    def train(self, mode: bool = True) -> Self:
        """Switch dropout on or off. Nothing here computes gradients: `to_backend` takes a model where they are."""
        self.training = mode
        return self

    def eval(self) -> Self:
        """Switch dropout off."""
        return self.train(False)
