"""Rows are brought to one length: the one way to pad, and the rows that are encoded already, as a collator has them."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, cast

from .options import Plan, Side

__all__ = ["pad", "pad_features"]

T = TypeVar("T")
Features = Mapping[str, Any] | Sequence[Mapping[str, Any]]

_FILLERS = {"attention_mask": 0, "token_type_ids": 0, "special_tokens_mask": 1}


def pad(values: list[T], length: int, side: Side, filler: T) -> list[T]:
    """Bring a row to a length.

    Args:
        values: one for each token.
        length: the length; a row that is longer stays as it is.
        side: where padding goes.
        filler: what it consists of.

    Returns:
        The row.

    Example:
        >>> pad([0, 102, 2], 5, "right", filler=1)
        [0, 102, 2, 1, 1]
    """
    if len(values) >= length:
        return values
    padding = [filler] * (length - len(values))
    return padding + values if side == "left" else values + padding


def pad_features(features: Features, plan: Plan, pad_id: int, ids: str = "input_ids") -> dict[str, Any]:
    """Bring rows that are encoded already to one length, as a collator does.

    Args:
        features: a mapping of field -> rows (or field -> one row), or a list of mappings of field -> one row.
            ``input_ids`` must be there.
        plan: says to which length and at which side.
        pad_id: the id of padding.
        ids: the name of the field of ids.

    Returns:
        Field -> rows. ``attention_mask`` is added where it is lacking and wanted; ``token_type_ids`` are
        padded with 0, ``special_tokens_mask`` with 1, and other fields, such as labels, are left as they are.

    Raises:
        ValueError: there is no ``input_ids``, a feature lacks a field that the first one has, or a mask has
            another length than its ids.
        TypeError: something else than mappings.
    """
    columns = _columns(features)
    if ids not in columns:
        raise ValueError(
            f"pad: expected features with {ids}, got {', '.join(columns) or 'none'}; pass what the "
            "tokenizer returns, or name the field of ids first in model_input_names"
        )
    is_batch = len(columns[ids]) == 0 or hasattr(columns[ids][0], "__len__")
    if not is_batch:
        columns = {name: [value] for name, value in columns.items()}
    lengths = [len(row) for row in columns[ids]]
    for name in _FILLERS.keys() & columns.keys():
        if [len(row) for row in columns[name]] != lengths:
            raise ValueError(
                f"{name}: expected rows as long as those of {ids}, {lengths[:8]}, got "
                f"{[len(row) for row in columns[name]][:8]}; pass what the tokenizer returns"
            )
    if "attention_mask" in plan.fields and "attention_mask" not in columns:
        columns["attention_mask"] = [[1] * length for length in lengths]
    fillers = {ids: pad_id, **_FILLERS}
    wanted = plan.padded_length(lengths)
    for name in fillers.keys() & columns.keys():
        columns[name] = [pad(list(row), wanted, plan.padding_side, fillers[name]) for row in columns[name]]
    return columns if is_batch or plan.return_tensors else {name: rows[0] for name, rows in columns.items()}


def _columns(features: Features) -> dict[str, Any]:
    if isinstance(features, str) or not isinstance(cast("object", features), (Mapping, Sequence)):
        raise TypeError(f"pad: expected a mapping or a list of mappings, got {type(features).__name__}; pass features")
    if isinstance(features, Mapping):
        return {name: _as_list(rows) for name, rows in features.items()}
    names: Mapping[str, Any] = features[0] if features else {}
    for index, feature in enumerate(features):
        lacking = [name for name in names if name not in feature]
        if lacking:
            raise ValueError(f"pad: expected the field {lacking[0]!r} in feature {index}, as in feature 0; add it")
    return {name: [_as_list(feature[name]) for feature in features] for name in names}


def _as_list(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else value
