"""Which outputs an answer must have, and which it may leave out."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from ..reference.inputs import LABELS

#: Outputs that a candidate may leave out, unless a call asks for them.
OPTIONAL = frozenset({"loss", "hidden_states", "attentions", "cross_attentions", "past_key_values", "pooler_output"})
#: What heads answer.
ANSWERS = frozenset({"logits", "last_hidden_state", "start_logits", "end_logits", "pooler_output", "loss"})
#: Output -> the flag that asks for it.
ASKED_BY = {
    "hidden_states": "output_hidden_states",
    "attentions": "output_attentions",
    "cross_attentions": "output_attentions",
    "past_key_values": "use_cache",
}


def is_required(name: str, inputs: Mapping[str, Any], head: str, can: Collection[str] | None = None) -> bool:
    """Whether an output that is missing is a failure.

    Args:
        name: of the output, flat: "logits", "hidden_states.0", ….
        inputs: the arguments of the call.
        head: which head.
        can: the outputs that a candidate says it has; None: it says nothing.

    Example:
        >>> [is_required(name, {"labels": 1}, "masked_lm") for name in ("logits", "loss", "attentions.0")]
        [True, True, False]
    """
    kind = name.partition(".")[0]
    if can is not None and kind not in can:
        return False
    if kind == "loss":
        return bool(set(LABELS[head]) & inputs.keys())
    if kind in ASKED_BY and can is not None:
        return inputs.get(ASKED_BY[kind]) is True
    return kind not in OPTIONAL
