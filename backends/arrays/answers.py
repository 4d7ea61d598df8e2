"""What a head makes of flat tokens: which vectors, and in which record. What computes is the engine's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ...reference import outputs
from ...reference.inputs import Inputs
from ...reference.outputs import Output
from .flat import FIRST, Flat

#: Head -> its record; of the bare model and of question answering, see `answer`.
RECORDS: dict[str, type[Any]] = {
    "causal_lm": outputs.CausalLMOutput,
    "masked_lm": outputs.MaskedLMOutput,
    "sequence_classification": outputs.SequenceClassifierOutput,
    "multiple_choice": outputs.MultipleChoiceModelOutput,
    "token_classification": outputs.TokenClassifierOutput,
}


class Parts(NamedTuple):
    """What an engine computes with.

    Attributes:
        whole: flat values (n, …), and what stands where there is none -> (B, T, …).
        at_positions: (B, T, D), (W, 2) -> (W, D).
        logits: the head's layers, (…, D) -> (…, V) or (…, L); of the bare model None.
        pooler: (B, D) -> (B, D), of the bare model; None where it has none.
        lowest: the lowest number of the dtype.
        reshape: values, shape -> the same in another shape.
    """

    whole: Callable[[Any, float], Any]
    at_positions: Callable[[Any, Any], Any]
    logits: Callable[[Any], Any] | None
    pooler: Callable[[Any], Any] | None
    lowest: float
    reshape: Callable[[Any, tuple[int, int]], Any] = lambda values, shape: values.reshape(shape)


def answer(head: str, x: Any, states: list[Any], flat: Flat, inputs: Inputs, parts: Parts) -> Output:
    """The head's record.

    Args:
        head: which head.
        x: the vectors of the last layer: (n, D), or (w, D) of the tokens that are wanted.
        states: of all layers, (n, D) each.
        flat: which tokens these are.
        inputs: of the call; of multiple choice before they were flattened.
        parts: what computes.
    """
    hidden = tuple(parts.whole(state, 0.0) for state in states) if inputs.output_hidden_states else None
    if head == "model":
        last = parts.whole(x, 0.0)  # B T D
        pooled = None if parts.pooler is None else parts.pooler(last[:, 0])  # B D
        return outputs.BaseModelOutput(last_hidden_state=last, pooler_output=pooled, hidden_states=hidden)
    compute: Any = parts.logits
    if head == "question_answering":
        logits = parts.whole(compute(x), parts.lowest)  # B T 2: no answer starts or ends at padding
        starts, ends = logits[..., 0], logits[..., 1]  # B T
        return outputs.QuestionAnsweringModelOutput(start_logits=starts, end_logits=ends, hidden_states=hidden)
    if head in FIRST:
        logits = compute(x if flat.wanted is not None else parts.whole(x, 0.0)[:, 0])  # B L
        logits = parts.reshape(logits, inputs.tokens.shape[:2]) if head == "multiple_choice" else logits  # B C
    elif inputs.positions is not None:
        at = x if flat.wanted is not None else parts.at_positions(parts.whole(x, 0.0), inputs.positions)  # W D
        logits = compute(at)  # W V
    else:
        logits = parts.whole(compute(x), 0.0)  # B T V or B T L
    return RECORDS[head](logits=logits, hidden_states=hidden)
