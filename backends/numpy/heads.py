"""The seven heads as objects: parameters and configuration bound to the functions of `reference/heads.py`."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from ...reference.config import RobertaConfig
from ...reference.heads import HEAD_FUNCTIONS
from ...reference.inputs import Inputs
from ...reference.layers import dropout
from ...reference.outputs import Output
from ...reference.taps import Tap, silent


class Head:
    """A head: its configuration, its parameters as a tree, and `run`, which takes checked inputs.

    Attributes:
        parameters: nested mapping whose path is HF's name; read-only arrays.
        training: whether dropout is on. Off from the start: the spec is deterministic.
        rng: draws the dropout; seed it anew for a reproducible step.
    """

    head: str

    def __init__(self, config: RobertaConfig, **_options: Any) -> None:
        self.config = config
        self.parameters: dict[str, Any] = {}
        self.training = False
        self.rng = np.random.default_rng(0)

    def run(self, inputs: Inputs, tap: Tap = silent) -> Output:
        """`Inputs` -> the head's record."""
        drop = dropout(self.rng if self.training else None)
        return HEAD_FUNCTIONS[self.head](inputs, self.parameters, self.config, tap, drop)

    def get_input_embeddings(self) -> Any:
        """The word table, (V, D), read-only."""
        body = self.parameters.get("roberta", self.parameters)
        return body["embeddings"]["word_embeddings"]["weight"]

    def train(self, mode: bool = True) -> Self:
        """Switch dropout on or off."""
        self.training = mode
        return self

    def eval(self) -> Self:
        """Switch dropout off."""
        return self.train(False)


class Model(Head):
    """See `reference.heads.model`."""

    head = "model"


class CausalLM(Head):
    """See `reference.heads.causal_lm`."""

    head = "causal_lm"


class MaskedLM(Head):
    """See `reference.heads.masked_lm`."""

    head = "masked_lm"


class SequenceClassification(Head):
    """See `reference.heads.sequence_classification`."""

    head = "sequence_classification"


class MultipleChoice(Head):
    """See `reference.heads.multiple_choice`."""

    head = "multiple_choice"


class TokenClassification(Head):
    """See `reference.heads.token_classification`."""

    head = "token_classification"


class QuestionAnswering(Head):
    """See `reference.heads.question_answering`."""

    head = "question_answering"


#: Head -> its class, in the order of `reference/heads.py`.
HEADS: dict[str, type[Head]] = {
    "model": Model,
    "causal_lm": CausalLM,
    "masked_lm": MaskedLM,
    "sequence_classification": SequenceClassification,
    "multiple_choice": MultipleChoice,
    "token_classification": TokenClassification,
    "question_answering": QuestionAnswering,
}
