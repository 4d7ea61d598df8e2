"""What can be judged: a candidate answers HF's arguments with named arrays, and says what it can do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from ..reference.layers import Array


@dataclass(frozen=True)
class Capabilities:
    """What a candidate can be asked. What it cannot is counted as not covered, never as passed.

    Attributes:
        inputs: the names of the arguments that it takes, of HF's; "past_key_values" if it goes on from a cache.
        outputs: the names of the outputs that it can give ("logits", "hidden_states", "attentions", …); None: nobody
            knows before it is asked.
        longest: the largest number of tokens; None: what the configuration permits.
        batches: the sizes of batch that it takes; None: any.
        has_taps: whether `taps` gives intermediate values.
        takes_weights: whether `with_weights` gives the same engine with other weights.
        is_called_again: whether it may be called more than once.
    """

    inputs: frozenset[str]
    outputs: frozenset[str] | None = None
    longest: int | None = None
    batches: frozenset[int] | None = None
    has_taps: bool = False
    takes_weights: bool = False
    is_called_again: bool = True


@runtime_checkable
class Candidate(Protocol):
    """An implementation under audit."""

    name: str
    capabilities: Capabilities

    def __call__(self, **inputs: Any) -> Mapping[str, Any]:
        """One pass: NumPy arrays in, names of outputs -> arrays (or tuples of arrays) out."""
        ...

    def taps(self, inputs: Mapping[str, Any]) -> Mapping[str, Array]:
        """Intermediate values of one pass by the spec's names (`reference.taps.symbols`), as far as it has them.

        A graph whose values have names of its own gives them under those; `where` matches them by value.
        """
        ...

    def with_weights(self, state: Mapping[str, Array]) -> Candidate:
        """The same engine with other weights: HF's names -> arrays."""
        ...

    def describe(self) -> dict[str, Any]:
        """What a report says of it: kind, versions, hash of its file, anything that explains a result."""
        ...
