"""Step 26 of the ladder: the short way from ids to arrays, for batches of single texts.

The library encodes a line in the time that it takes to make a few Python objects. So the arrays are made from the
ids at once, and the rows, which know of alignment, only when someone asks for them.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any, overload

import numpy as np

from .plan import Plan
from .rows import Frame, Row
from .truncation import kept_lengths

__all__ = ["LaterRows", "is_short_way", "lay_out"]

_FIELDS = {"input_ids", "attention_mask", "token_type_ids"}


def is_short_way(plan: Plan) -> bool:
    """Say whether a call wants nothing but arrays of ids and masks, of rows that are cut at one place.

    Args:
        plan: the call.

    Returns:
        Whether `lay_out` can do it.
    """
    is_one_window = not plan.windows and plan.truncation != "only_second"
    return plan.return_tensors is not None and plan.fields.keys() <= _FIELDS and is_one_window


def lay_out(ids: Sequence[list[int]], frame: Frame, plan: Plan) -> dict[str, Any] | None:
    """Cut single texts, put special tokens and padding around them, all in arrays.

    Args:
        ids: the ids of each text.
        frame: what is put around them.
        plan: the call.

    Returns:
        Field -> (B, T) int64; None where the rows would differ in length, or there are none.

    Raises:
        ValueError: there is no room for the special tokens.

    Example:
        >>> from types import SimpleNamespace
        >>> plan = SimpleNamespace(truncation=None, max_length=None, padding_side="left", fields={"input_ids": "ids"})
        >>> plan.padded_length = max
        >>> lay_out([[7, 8], [9]], Frame((0, 2), pad_id=1, spell=str), plan)["input_ids"].tolist()
        [[0, 7, 8, 2], [1, 0, 9, 2]]
    """
    if not ids:
        return None
    kept = list(map(len, ids))
    specials = 2 if frame.cls_sep else 0
    if plan.truncation and plan.max_length is not None and max(kept) + specials > plan.max_length:
        budget, _ = kept_lengths(max(kept), None, plan.max_length - specials, "longest_first")
        ids = [row if len(row) <= budget else _cut(row, budget, plan.truncation_side) for row in ids]
        kept = list(map(len, ids))
    lengths = np.array(kept, np.int64) + specials  # B
    wanted = plan.padded_length(lengths.tolist())
    if max(wanted, lengths.min()) < lengths.max():
        return None
    width = max(wanted, int(lengths.max()))
    places = np.arange(width)  # T
    begins = (width - lengths if plan.padding_side == "left" else np.zeros_like(lengths))[:, None]  # B 1
    is_token = (places >= begins) & (places < begins + lengths[:, None])  # B T
    values = {
        "input_ids": lambda: _filled(ids, frame, is_token),
        "attention_mask": lambda: is_token.astype(np.int64),
        "token_type_ids": lambda: np.zeros(is_token.shape, np.int64),
    }
    return {name: values[name]() for name in plan.fields}


def _cut(row: list[int], budget: int, side: str) -> list[int]:
    return row[:budget] if side == "right" else row[len(row) - budget :]


def _filled(ids: Sequence[list[int]], frame: Frame, is_token: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    array = np.full(is_token.shape, frame.pad_id or 0, np.int64)  # B T
    is_inner = is_token
    if frame.cls_sep:
        first = is_token.argmax(axis=1)[:, None]  # B 1
        last = first + is_token.sum(axis=1)[:, None] - 1  # B 1
        np.put_along_axis(array, first, frame.cls_sep[0], axis=1)
        np.put_along_axis(array, last, frame.cls_sep[1], axis=1)
        places = np.arange(is_token.shape[1])  # T
        is_inner = (places > first) & (places < last)  # B T
    array[is_inner] = np.fromiter(chain.from_iterable(ids), np.int64, sum(map(len, ids)))
    return array


class LaterRows(Sequence[Row]):
    """Rows that are made when the first of them is asked for.

    Args:
        count: how many there will be.
        make: makes them.

    Example:
        >>> rows = LaterRows(2, lambda: print("made") or ["first", "second"])
        >>> len(rows)
        2
        >>> rows[1]
        made
        'second'
    """

    def __init__(self, count: int, make: Callable[[], list[Row]]) -> None:
        self._count = count
        self._make: Callable[[], list[Row]] | None = make
        self._rows: list[Row] = []

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        return self._made()[index]

    def __iter__(self) -> Iterator[Row]:
        return iter(self._made())

    def _made(self) -> list[Row]:
        if self._make is not None:
            self._rows, self._make = self._make(), None
        return self._rows
