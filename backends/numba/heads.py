"""The seven heads: the functions of `reference/heads.py`, of the parts of this engine, bound to parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np

from ...reference import heads
from ...reference.config import RobertaConfig
from ...reference.inputs import Inputs
from ...reference.layers import dropout
from ...reference.outputs import Output
from ...reference.scopes import in_scope
from ...reference.taps import Tap, silent
from .encoder import body, pooler
from .layers import gelu, layer_norm, linear


class Head:
    """A head: its configuration, its parameters as a tree, and `run`, which takes checked inputs.

    Attributes:
        parameters: nested mapping whose path is HF's name; read-only arrays.
        packed: the same, with every dense layer laid out for its product; see `weights.pack_dense`.
        training: whether dropout is on. Off from the start.
        rng: draws the dropout; seed it anew for a reproducible step.
    """

    head: str

    def __init__(self, config: RobertaConfig, **_options: Any) -> None:
        self.config = config
        self.parameters: dict[str, Any] = {}
        self.packed: dict[str, Any] = {}
        self.training = False
        self.rng = np.random.default_rng(0)

    def run(self, inputs: Inputs, tap: Tap = silent) -> Output:
        """`Inputs` -> the head's record."""
        drop = dropout(self.rng if self.training else None)
        return HEAD_FUNCTIONS[self.head](inputs, self.packed, self.config, tap, drop)

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


class Model(Head):
    """See `model`."""

    head = "model"


class CausalLM(Head):
    """See `causal_lm`."""

    head = "causal_lm"


class MaskedLM(Head):
    """See `masked_lm`."""

    head = "masked_lm"


class SequenceClassification(Head):
    """See `sequence_classification`."""

    head = "sequence_classification"


class MultipleChoice(Head):
    """See `multiple_choice`."""

    head = "multiple_choice"


class TokenClassification(Head):
    """See `token_classification`."""

    head = "token_classification"


class QuestionAnswering(Head):
    """See `question_answering`."""

    head = "question_answering"


#: What the equations of the spec compute with here.
LAYERS = {"body": body, "pooler": pooler, "linear": linear, "layer_norm": layer_norm, "gelu": gelu}
PARTS = LAYERS | {part.__name__: in_scope(part, LAYERS) for part in (heads.lm_head, heads.classification_head)}
#: Head -> its function.
HEAD_FUNCTIONS: Mapping[str, Callable[..., Output]] = {
    head: in_scope(function, PARTS) for head, function in heads.HEAD_FUNCTIONS.items()
}

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
