"""A batch without its padding: its tokens one after the other, and which of them may be looked at.

Padding is two thirds of a ragged batch, and nobody looks at it. So an engine's inference form computes embeddings,
dense layers and norms of the real tokens only, (n, D) in place of (B, T, D), and attention row by row. Where each token
is, is counted here, once, in NumPy on the host; what computes is the engine's.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ...reference.embeddings import Integers
from ...reference.inputs import Inputs
from ...reference.layers import Array

#: Heads whose logits are read from the first token of a row.
FIRST = frozenset({"sequence_classification", "multiple_choice"})


class Flat(NamedTuple):
    """Which tokens are computed, in which order, and who looks at whom: the tokens of a row at its keys.

    Attributes:
        shape: (B, T), of the batch with its padding.
        places: (n,) integers b * T + t: where each token stands in the batch. Row by row; in a row the keys come first,
            then tokens that look and are not looked at, such as a first token that is masked.
        starts: (B + 1,): the tokens of row b are `starts[b]:starts[b + 1]`.
        key_counts: (B,): the first so many tokens of a row are its keys.
        is_uniform: (B,) booleans: the row may look at nobody, so each of its tokens looks at all of them alike. That is
            what attention with queries of zero does.
        wanted: (W,) places in the flat order: the tokens whose vector is wanted of the last layer; None for all.
    """

    shape: tuple[int, int]
    places: Integers
    starts: Integers
    key_counts: Integers
    is_uniform: Any
    wanted: Integers | None

    @property
    def counts(self) -> Integers:
        """How many tokens of each row are computed: (B,)."""
        return np.diff(self.starts)

    def padded(self, values: Array, empty: float = 0.0) -> Array:
        """(n, …) -> (B, T, …), with `empty` where no token was computed; of an engine without arrays of its own."""
        B, T = self.shape
        whole = np.full((B * T, *values.shape[1:]), empty, values.dtype)
        whole[self.places] = values
        return whole.reshape(B, T, *values.shape[1:])


def every_token(shape: tuple[int, int]) -> Flat:
    """All tokens of a batch (B, T), padding and all, in their order.

    Example:
        >>> every_token((2, 3)).starts
        array([0, 3, 6])
    """
    B, T = shape
    return Flat((B, T), np.arange(B * T), np.arange(B + 1) * T, np.full(B, T), np.zeros(B, bool), None)


def flat_batch(head: str, inputs: Inputs, mask: Any, *, has_pooler: bool = False, every_token: bool = False) -> Flat:
    """The tokens that a head's answer depends on.

    Args:
        head: which head; of multiple choice the inputs are flattened already.
        inputs: of the call.
        mask: (B, T) of zeros and ones, on the host; None: everybody looks at everybody.
        has_pooler: whether the first token's vector is pooled.
        every_token: whether what stands at padding counts, too, as it does for a loss.

    Returns:
        `Flat`. A row that may look at nobody is left out, unless the answer depends on it.

    Example:
        >>> ids = np.array([[0, 7, 8, 2], [1, 0, 9, 2], [1, 1, 1, 1]])
        >>> flat = flat_batch("masked_lm", Inputs(ids), ids != 1)
        >>> flat.places, flat.starts
        (array([0, 1, 2, 3, 5, 6, 7]), array([0, 4, 7, 7]))
        >>> first = flat_batch("sequence_classification", Inputs(ids), ids != 1)
        >>> first.places, first.key_counts, first.wanted
        (array([ 0,  1,  2,  3,  5,  6,  7,  4,  8,  9, 10, 11]), array([4, 3, 4]), array([0, 7, 8]))
    """
    B, T = inputs.tokens.shape[:2]
    is_key: Any = np.ones((B, T), bool) if mask is None else np.asarray(mask) >= 1  # B T
    looks = np.full((B, T), every_token)  # B T
    wanted: Any = None
    if head in FIRST or has_pooler:
        looks[:, :1] = True
    if inputs.positions is not None:
        wanted = np.asarray(inputs.positions)  # W 2
        looks[wanted[:, 0], wanted[:, 1]] = True
    elif head in FIRST:
        wanted = np.stack([np.arange(B), np.zeros(B, np.int64)], -1)  # B 2
    is_uniform = ~is_key.any(-1) & looks.any(-1)  # B
    is_key |= is_uniform[:, None]
    order = np.argsort(~is_key, axis=-1, kind="stable")  # B T, keys first
    is_kept = np.take_along_axis(is_key | looks, order, -1)  # B T
    places = (np.arange(B)[:, None] * T + order)[is_kept]  # n
    starts = np.concatenate([[0], is_kept.sum(-1).cumsum()])  # B+1
    if wanted is not None and not inputs.output_hidden_states:
        at = np.empty(B * T, np.int64)  # BT: only what is kept is ever read
        at[places] = np.arange(len(places))
        wanted = at[wanted[:, 0] * T + wanted[:, 1]]  # W
    else:
        wanted = None
    return Flat((B, T), places, starts, is_key.sum(-1), is_uniform, wanted)
