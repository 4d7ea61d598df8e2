"""Batches whose rows are of many kinds, and answers asked for at some tokens only.

An engine that leaves padding out lays the tokens of all rows one behind the other, and has to find its way back: to the
row, to the keys of that row, to the token that was asked for. And it may compute less of its last layer than hidden
states would need; so these probes ask for the answer alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import cast

import numpy as np

from ...reference.embeddings import Integers
from .drawing import Draw, Given
from .probe import Call, Probe

#: What goes wrong where rows lie one behind the other.
LOST = (
    "rows mixed up", "a key left out", "tokens that only look taken for keys", "mask ignored", "left padding",
    "positions counted in the flat order", "a row of nobody that looks at its own",
)  # fmt: skip
#: How many tokens are asked for of each row.
ASKED = 2


def row_kinds(count: int, length: int) -> tuple[Integers, Integers]:
    """Masks of rows, each of another kind, again and again: whole, padded, with holes, of one key, of nobody.

    Args:
        count: how many rows.
        length: T.

    Returns:
        The mask (count, T), 1 where a token may be looked at; and which tokens are padding (count, T), 1 where: others
        that are hidden are tokens like any.

    Example:
        >>> mask, padding = row_kinds(8, 6)
        >>> mask.sum(-1)
        array([6, 0, 4, 3, 4, 0, 5, 1])
        >>> padding.sum(-1)
        array([0, 6, 2, 0, 2, 0, 0, 0])
    """
    place = np.arange(length)
    cut, nowhere = length // 3, np.zeros(length, bool)
    kinds = (
        (nowhere, nowhere),
        (~nowhere, ~nowhere),  # nothing but padding
        (place >= length - cut, place >= length - cut),
        (place % 2 == 1, nowhere),  # holes
        (place < cut, place < cut),
        (~nowhere, nowhere),  # tokens at which nobody may look
        (place == 0, nowhere) if length > 1 else (nowhere, nowhere),
        (place != length // 2, nowhere),
    )
    hidden, padding = (np.stack([kinds[row % len(kinds)][part] for row in range(count)]) for part in (0, 1))
    return (~hidden).astype(np.int64), padding.astype(np.int64)


def batch_of_many_kinds(draw: Draw, name: str) -> Given:
    """Eight rows; of multiple choice, of two choices each."""
    shape = draw.shape(8 if draw.head != "multiple_choice" else 4)
    batch = draw.batch(name, shape, "none")
    mask, padding = row_kinds(math.prod(shape[:-1]), shape[-1])
    batch["attention_mask"] = mask.reshape(shape)
    batch["input_ids"][padding.reshape(shape) == 1] = draw.config.pad_token_id
    return batch


def uneven(draw: Draw) -> Iterator[Probe]:
    """Rows of many kinds."""
    batch = batch_of_many_kinds(draw, "rows of many kinds")
    yield Probe("rows of many kinds", LOST, (Call(batch),), asks_answer_only=True)


def asked_for(draw: Draw) -> Iterator[Probe]:
    """Logits at tokens of all rows, in no order, some of them twice: an argument that models of this library have."""
    if not draw.takes("positions"):
        return
    batch = batch_of_many_kinds(draw, "positions asked for")
    rows, length = cast("tuple[int, int]", batch["input_ids"].shape)
    places: Integers = draw.rng("positions asked for, places").integers(0, rows * length, ASKED * rows)
    positions = np.stack(np.divmod(np.concatenate([places, places[:2]]), length), -1)
    catches = ("tokens put in order", "rows mixed up", "the next token of the last layer")
    yield Probe("positions asked for", catches, (Call({**batch, "positions": positions}),), asks_answer_only=True)
