"""The seven heads as objects: parameters and configuration bound to the functions of `reference/heads.py`."""

from __future__ import annotations

from ...reference import heads
from ..arrays import heads as arrays


class Head(arrays.Head):
    """A head of this engine."""

    backend = "numpy"


class Model(Head):
    """See `reference.heads.model`."""

    equation = heads.model


class CausalLM(Head):
    """See `reference.heads.causal_lm`."""

    equation = heads.causal_lm


class MaskedLM(Head):
    """See `reference.heads.masked_lm`."""

    equation = heads.masked_lm


class SequenceClassification(Head):
    """See `reference.heads.sequence_classification`."""

    equation = heads.sequence_classification


class MultipleChoice(Head):
    """See `reference.heads.multiple_choice`."""

    equation = heads.multiple_choice


class TokenClassification(Head):
    """See `reference.heads.token_classification`."""

    equation = heads.token_classification


class QuestionAnswering(Head):
    """See `reference.heads.question_answering`."""

    equation = heads.question_answering


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
