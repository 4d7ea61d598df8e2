"""What stands at padding in the answers of an inference form: nothing is computed there, and it is documented what is.

Elsewhere what stands at padding is nobody's (`probes.real_tokens`); here a value that has slipped in is a mistake, as
somebody may rely on it: a sum over tokens, or the largest start logit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ..reference.inputs import LABELS
from ..reference.layers import Array
from .arithmetic import PRECISIONS
from .compare import Comparison
from .probes.real_tokens import FIRST, TOKENWISE, real_tokens


def left_out(twin: Any, inputs: Mapping[str, Any]) -> Any:
    """Which tokens an inference form leaves out, by what `for_inference` says of it.

    Args:
        twin: what `model.for_inference()` gave.
        inputs: the arguments of a call.

    Returns:
        (B, T), or (BC, T) of choices, True where nothing is computed: what is hidden, but for first tokens that are
        read and for tokens that were asked for, with all that these look at. None where its model computes, or a loss
        counts what stands at padding.

    Example:
        >>> import roberta
        >>> from roberta.parity.cases import small_config
        >>> twin = roberta.RobertaForMaskedLM(small_config(), backend="numba").for_inference()
        >>> left_out(twin, {"input_ids": np.array([[5, 6, 7]]), "attention_mask": np.array([[0, 1, 0]])})
        array([[ True, False,  True]])
    """
    mask, head, config = inputs.get("attention_mask"), twin.head, twin.config
    rank = 3 if head == "multiple_choice" else 2
    is_plain = config.is_decoder or config.position_embedding_type != "absolute" or mask is None or mask.ndim != rank
    asked = (*LABELS[head], "output_attentions", "head_mask")
    if is_plain or any(inputs.get(name) is not None and inputs[name] is not False for name in asked):
        return None
    is_hidden: Any = ~real_tokens({**inputs, "encoder_attention_mask": None})
    is_hidden = is_hidden.reshape(-1, is_hidden.shape[-1])  # B T
    is_read = np.zeros_like(is_hidden)
    if head in FIRST or (head == "model" and twin.options.get("add_pooling_layer", True)):
        is_read[:, 0] = True
    if inputs.get("positions") is not None:
        is_read[tuple(np.asarray(inputs["positions"]).T)] = True
    # Of a row of nobody, a token that is read looks at all of them.
    return is_hidden & ~is_read & ~(is_hidden.all(-1) & is_read.any(-1))[:, None]


def at_padding(twin: Any, inputs: Mapping[str, Any], answer: Mapping[str, Array], where: str) -> Iterator[Comparison]:
    """Where there is no zero though nothing was computed; of start and end logits not the lowest number. Exactly.

    Args:
        twin: what `model.for_inference()` gave.
        inputs: the arguments of a call.
        answer: flat names -> arrays.
        where: in front of the names.
    """
    is_left_out = left_out(twin, inputs)
    if is_left_out is None:
        return
    lowest = -PRECISIONS[twin.dtype_name].largest
    for name, value in answer.items():
        if name.partition(".")[0] not in TOKENWISE or value.shape[:2] != is_left_out.shape:
            continue
        expected = lowest if name in ("start_logits", "end_logits") else 0.0
        is_wrong = (value != expected) & is_left_out.reshape(*is_left_out.shape, *[1] * (value.ndim - 2))
        if is_wrong.any():
            index = tuple(int(i) for i in np.argwhere(is_wrong)[0])
            problem = f"{value[index]} at {list(index)}, which is padding; expected {expected:g}"
            yield Comparison(f"{where}{name}", float("inf"), index=index, problem=problem)
