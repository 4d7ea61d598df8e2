"""Probes: what a candidate is asked, as data. Each is named and says which mistakes it is there to catch.

`battery` has those that every head and configuration is asked, `real_tokens` says what of the answers is judged, and
`coverage` what was varied.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...reference.layers import Array


@dataclass(frozen=True)
class Call:
    """One call of a probe.

    Attributes:
        inputs: HF's argument names -> NumPy arrays, or True for what is asked for besides ("output_attentions").
        continues: whether it goes on from the cache that the call before returned (`use_cache=True` is then given to
            both).
    """

    inputs: Mapping[str, Any]
    continues: bool = False

    @property
    def token_count(self) -> int:
        """How many tokens it holds, padding included."""
        ids: Array | None = self.inputs.get("input_ids")
        return math.prod(self.inputs["inputs_embeds"].shape[:-1] if ids is None else ids.shape)


@dataclass(frozen=True)
class Probe:
    """Something to ask.

    Attributes:
        name: two or three words.
        catches: the mistakes that it is there to catch.
        calls: one after another; the outputs of each are judged.
        state: weights in place of the reference's, HF's names -> arrays, for what they magnify: those that are changed
            and no others; None for its own. A candidate that cannot take weights is not covered by such a probe.
        judges_padding: whether what stands at padding is judged, too.
        asks_answer_only: whether nothing is asked for besides, as hidden states are otherwise, which say where a
            candidate departs: an engine may compute less then.
        remark: what is less about it than there should be, such as a row that is shorter than the longest.
    """

    name: str
    catches: tuple[str, ...]
    calls: tuple[Call, ...]
    state: Mapping[str, Array] | None = None
    judges_padding: bool = False
    asks_answer_only: bool = False
    remark: str = ""

    @property
    def token_count(self) -> int:
        """How many tokens all its calls hold, padding included: what it costs."""
        return sum(call.token_count for call in self.calls)


def chains(calls: Sequence[Call]) -> list[list[dict[str, Any]]]:
    """Calls grouped by cache: the arguments of each, `use_cache=True` among them where the cache is of use.

    Args:
        calls: of a probe.

    Returns:
        Chains of calls; the second call of a chain goes on from the cache of the first, and so on. A call on its own is
        a chain of one.

    Example:
        >>> import numpy as np
        >>> ids = {"input_ids": np.array([[5, 6]])}
        >>> [len(chain) for chain in chains([Call(ids), Call(ids), Call(ids, continues=True)])]
        [1, 2]
    """
    found: list[list[dict[str, Any]]] = []
    for call in calls:
        if call.continues:
            found[-1].append(dict(call.inputs))
        else:
            found.append([dict(call.inputs)])
    return [[{**inputs, "use_cache": True} for inputs in chain] if len(chain) > 1 else chain for chain in found]
