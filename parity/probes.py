"""Probes: what a candidate is asked, as data. Each is named and says which mistakes it is there to catch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..reference.layers import Array


@dataclass(frozen=True)
class Call:
    """One call of a probe.

    Attributes:
        inputs: HF's argument names -> NumPy arrays.
        continues: whether it goes on from the cache that the call before returned (`use_cache=True` is then given to
            both).
    """

    inputs: Mapping[str, Array]
    continues: bool = False


@dataclass(frozen=True)
class Probe:
    """Something to ask.

    Attributes:
        name: two or three words.
        catches: the mistakes that it is there to catch.
        calls: one after another; the outputs of each are judged.
        state: weights in place of the reference's, HF's names -> arrays, for what they magnify; None for its own. A
            candidate that cannot take weights is not covered by such a probe.
        judges_padding: whether what stands at padding is judged, too.
    """

    name: str
    catches: tuple[str, ...]
    calls: tuple[Call, ...]
    state: Mapping[str, Array] | None = None
    judges_padding: bool = False
