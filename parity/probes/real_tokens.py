"""Which elements of an output are judged: those of real tokens.

What stands at padding is nobody's: engines that leave padding out give zeros there, others what falls out of the
arithmetic. The same holds for a row that may look at nobody, and for what is read from a first token that is masked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .probe import Probe

#: Outputs that have an entry for each token, and those that have one for each token and head.
TOKENWISE = frozenset({"logits", "last_hidden_state", "hidden_states", "start_logits", "end_logits"})
ATTENTIONS = frozenset({"attentions", "cross_attentions"})
#: Heads whose logits are read from the first token.
FIRST = frozenset({"sequence_classification", "multiple_choice"})


def judged(name: str, shape: tuple[int, ...], inputs: Mapping[str, Any], head: str, *, is_own: bool = False) -> Any:
    """Which elements of an output are judged.

    Args:
        name: of the output, flat: "logits", "hidden_states.0", "attentions.1", "past_key_values.0.1", ….
        shape: of the output.
        inputs: the arguments of the call.
        head: which head.
        is_own: whether the candidate is a model of this library: of those it is settled what an answer is that is read
            from one hidden token.

    Returns:
        Booleans that broadcast to the shape, True where an element is judged; None for all.

    Example:
        >>> mask = np.array([[1, 1, 0], [0, 0, 0]])
        >>> inputs = {"input_ids": np.array([[5, 6, 1], [7, 8, 9]]), "attention_mask": mask}
        >>> judged("logits", (2, 3, 5), inputs, "masked_lm")[..., 0]
        array([[ True,  True, False],
               [False, False, False]])
        >>> judged("logits", (2, 5), inputs, "sequence_classification")[..., 0]
        array([ True, False])
    """
    kind, _, part = name.partition(".")
    if kind == "past_key_values":
        keys = _source_keys(inputs) if part.endswith((".2", ".3")) else _keys(inputs)
        return None if keys is None else _rows(keys)[:, None, :, None]  # B 1 S 1
    is_real = real_tokens(inputs)  # B T, or B C T
    if is_real is None:
        return None
    if is_own and reads_single_tokens(name, inputs, head):
        return None
    if kind == "pooler_output" or (kind == "logits" and head in FIRST):
        first = is_real[..., 0]  # B, or B C
        return first if head == "multiple_choice" else first[:, None]  # B C, or B 1
    if kind in ATTENTIONS:
        return _rows(is_real)[:, None, :, None]  # B 1 T 1
    if kind not in TOKENWISE:
        return None
    rows = _rows(is_real)  # B T
    if kind == "logits" and inputs.get("positions") is not None:
        row, token = np.asarray(inputs["positions"]).T  # P
        return rows[row, token][:, None]  # P 1
    return rows.reshape(*rows.shape, *[1] * (len(shape) - 2))  # B T, or B T 1


def reads_single_tokens(name: str, inputs: Mapping[str, Any], head: str) -> bool:
    """Whether an output is read from first tokens, or from those that were asked for.

    Example:
        >>> [reads_single_tokens("logits", {}, head) for head in ("masked_lm", "multiple_choice")]
        [False, True]
    """
    is_first = name == "pooler_output" or (name == "logits" and head in FIRST)
    return is_first or (name == "logits" and inputs.get("positions") is not None)


def real_tokens(inputs: Mapping[str, Any]) -> Any:
    """Which tokens of a call are real: their mask is 1; or, of a mask of three axes, they may look at somebody.

    A token that has a source to look at and may look at nobody there is not real either.

    Args:
        inputs: the arguments of the call.

    Returns:
        (B, T), or (B, C, T) for multiple choice; of a call on a cache, of its own tokens. None where all are.

    Example:
        >>> real_tokens({"input_ids": np.array([[5, 6]]), "attention_mask": np.array([[1, 1, 0, 1]])})
        array([[False,  True]])
    """
    shape = _token_shape(inputs)  # B T, or B C T
    mask, source = inputs.get("attention_mask"), _has_source(inputs)
    if mask is None and source is None:
        return None
    is_real = np.ones(shape, bool)
    if mask is not None:
        is_key_mask = mask.ndim == len(shape)
        is_real = mask[..., -shape[-1] :] == 1 if is_key_mask else (mask == 1).any(-1)
    return is_real if source is None else is_real & source


def token_counts(probe: Probe) -> tuple[int, int]:
    """How many tokens of all calls are real, and how many positions are padding."""
    real = 0
    for call in probe.calls:
        is_real = real_tokens(call.inputs)
        real += call.token_count if is_real is None else int(is_real.sum())
    return real, probe.token_count - real


# -- pieces ----------------------------------------------------------------------------------------------------------


def _token_shape(inputs: Mapping[str, Any]) -> tuple[int, ...]:
    ids = inputs.get("input_ids")
    return inputs["inputs_embeds"].shape[:-1] if ids is None else ids.shape


def _has_source(inputs: Mapping[str, Any]) -> Any:
    """Whether a token may look at some token of the encoder: (B, T) or (B, 1); None where nothing is hidden."""
    mask = inputs.get("encoder_attention_mask")
    if mask is None:
        return None
    may_look = (mask == 1).any(-1)  # B, or B T
    return may_look[:, None] if may_look.ndim == 1 else may_look


def _keys(inputs: Mapping[str, Any]) -> Any:
    """Which keys are real: (…, S). Under a mask of three axes those that some token looks at, and real tokens' own."""
    mask = inputs.get("attention_mask")
    if mask is None or mask.ndim == len(_token_shape(inputs)):
        return None if mask is None else mask == 1
    is_key = (mask == 1).any(-2)
    own = real_tokens(inputs)
    is_key[..., -own.shape[-1] :] |= own
    return is_key


def _source_keys(inputs: Mapping[str, Any]) -> Any:
    """Which of the encoder's keys are real: (B, E), those that some token may look at."""
    mask = inputs.get("encoder_attention_mask")
    if mask is None or mask.ndim == 2:
        return None if mask is None else mask == 1
    return (mask == 1).any(1)


def _rows(is_real: Any) -> Any:
    """(B, T) as it is, (B, C, T) as the encoder sees it: (BC, T)."""
    return is_real.reshape(-1, is_real.shape[-1])
