"""Many noisy runs in one pass: each row of a call K times over, so that weights are read once, and Python runs once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np

from ..reference.inputs import LABELS
from ..reference.layers import Array
from ..reference.outputs import Output
from .arithmetic import Arithmetic, Precision, is_held

#: No pass has more tokens than this, of all copies together, unless one copy has.
TOKENS = 1024
#: Nor arrays of more numbers: 32 MiB are the largest that the allocator keeps at hand, others cost a page fault a page.
NUMBERS = 2**22
#: Heads that may return a cache.
CACHING = frozenset({"model", "causal_lm"})


def size(model: Any, calls: Sequence[Mapping[str, Any]], precision: Precision, draws: int) -> int:
    """K: how many runs one pass may hold. One, where runs differ in more than the errors of results.

    Args:
        model: a model of the numpy backend in float64.
        calls: of a chain.
        precision: whose errors are drawn: where weights err, or are flushed, each run has its own.
        draws: how many runs are wanted.
    """
    if any(call.get("past_key_values") is not None for call in calls):  # the caller's own, of one copy
        return 1
    rereads = precision.factors or precision.levels or precision.smallest > 2.0**-100
    if rereads or not all(is_held(value, precision.name) for value in model.state_dict_numpy().values()):
        return 1
    largest = max(_token_count(call) for call in calls)
    widest = max(parameter.shape[0] for name, parameter in model.table.items() if "embeddings" not in name)
    return max(1, min(draws, min(TOKENS, NUMBERS // widest) // max(largest, 1)))


def copied(inputs: Mapping[str, Any], copies: int, head: str) -> dict[str, Any]:
    """The arguments of a call with each row `copies` times over, without labels, whose loss is a mean over rows.

    Args:
        inputs: HF's argument names -> arrays.
        copies: K.
        head: which head.
    """
    if copies == 1:
        return dict(inputs)
    found = {name: _copied(name, value, copies) for name, value in inputs.items() if name not in LABELS[head]}
    if inputs.get("positions") is not None:  # rows by their number: each copy has its own
        B = len(inputs["inputs_embeds"] if inputs.get("input_ids") is None else inputs["input_ids"])
        row, token = np.asarray(inputs["positions"]).T
        found["positions"] = np.concatenate([np.stack([row + k * B, token], axis=1) for k in range(copies)])
    is_uncached = head in CACHING and has_labels(inputs, head)  # with labels no cache is returned
    return {**found, "use_cache": False} if is_uncached else found


def has_labels(inputs: Mapping[str, Any], head: str) -> bool:
    """Whether there is a loss."""
    return any(inputs.get(name) is not None for name in LABELS[head])


def losses(model: Any, output: Output, inputs: Mapping[str, Any], arithmetic: Arithmetic) -> Array:
    """The loss of each copy, (K,): each is computed by itself, with the same walks."""
    labels = [inputs[name] for name in LABELS[model.head] if inputs.get(name) is not None]
    native = [model.engine.to_native(label, model) for label in labels]
    found: list[float] = []
    copies, one, mark = arithmetic.copies, arithmetic.alone(), arithmetic.mark()
    for k in range(copies):
        one.return_to(mark)
        rows = {
            name: one.array(value.reshape(copies, -1, *value.shape[1:])[k])
            for name, value in output.items()
            if name.endswith("logits")
        }
        found.append(float(model.engine.LOSSES[model.head](rows, *native, model.config)))
    return np.array(found)


def _token_count(call: Mapping[str, Any]) -> int:
    ids = call.get("input_ids")
    return math.prod(np.shape(call["inputs_embeds"])[:-1] if ids is None else np.shape(ids))


def _copied(name: str, value: Any, copies: int) -> Any:
    """One argument: along its rows, which a head mask has, if it has any, on its second axis."""
    if not isinstance(value, np.ndarray):
        return value
    value = cast("Array", value)
    axis = 1 if name == "head_mask" else 0
    has_rows = value.ndim == 5 if name == "head_mask" else value.ndim > 1
    if not has_rows or (value.shape[axis] == 1 and name in {"head_mask", "position_ids"}):
        return value
    return np.concatenate([value] * copies, axis)
