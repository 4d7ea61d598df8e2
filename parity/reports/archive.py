"""An audit as JSON and back, and the comparison of two that should be the same.

The document is described by `audit.schema.json`, and in words in docs/audit.md. JSON has no NaN and no infinity: they
are the strings "NaN", "Infinity" and "-Infinity", which a reader of a number has to expect.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from types import UnionType
from typing import Any, Union, cast, get_args, get_origin, get_type_hints

import numpy as np

from ..findings import Audit

#: Name and version of the document's schema. The version rises when a reader of the old one would be misled.
SCHEMA = "roberta.audit/1"
#: Settings that differ between two runs of the same audit.
TIMES = frozenset({"started", "seconds"})


def to_json(audit: Audit) -> str:
    """The whole audit, lossless, and what follows from it ("passed", "coverage") for readers without this package.

    Args:
        audit: of `audit`.

    Returns:
        JSON of the schema `SCHEMA`, the same for the same audit. What JSON cannot hold is written as text: NaN and
        infinities by name, paths and other objects as `str` has them, sets in order.

    Example:
        >>> audit = Audit({"name": "mine"}, {"name": "austen"}, {"dtype": "float32"}, {}, ())
        >>> json.loads(to_json(audit))["schema"]
        'roberta.audit/1'
    """
    derived = {"schema": SCHEMA, "passed": audit.passed, "coverage": plain(audit.coverage())}
    return json.dumps({**derived, **plain(audit)}, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def from_json(text: str | bytes) -> Audit:
    """The audit that `to_json` wrote.

    Args:
        text: the document.

    Returns:
        An equal `Audit`, where the four mappings held what JSON can hold; their tuples come back as lists.

    Raises:
        ValueError: no JSON, another schema, or a document that lacks something.

    Example:
        >>> audit = Audit({"name": "mine"}, {"name": "austen"}, {"dtype": "float32"}, {}, ())
        >>> from_json(to_json(audit)) == audit
        True
    """
    content = read(text)
    try:
        return cast("Audit", _restored(Audit, content))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        message = f"report: required what audit.schema.json describes, got a document in which {error}; audit again"
        raise ValueError(message) from error


def read(text: str | bytes) -> dict[str, Any]:
    """The document as data, once it is known to be one.

    Raises:
        ValueError: no JSON, or another schema.
    """
    try:
        content: Any = json.loads(text)
    except ValueError as error:
        message = f"report: required JSON, as `to_json` writes it, got text that is none: {error}"
        raise ValueError(message) from error
    document = cast("dict[str, Any]", content) if isinstance(content, dict) else {}
    if document.get("schema") != SCHEMA:
        remedy = "audit again, or read it with the version of roberta that wrote it"
        message = f"report: required a document of the schema {SCHEMA!r}, got {document.get('schema')!r}; {remedy}"
        raise ValueError(message)
    return document


def differences(before: str | bytes, now: str | bytes) -> list[str]:
    """Where two documents differ, but for times: a line for each place, in the document's order.

    Args:
        before: a document.
        now: another one.

    Returns:
        Lines such as "settings.seed: 0 before, 1 now"; none where they say the same.

    Raises:
        ValueError: one of them is no such document.

    Example:
        >>> def document(seed, started):
        ...     return to_json(Audit({}, {}, {"seed": seed, "started": started}, {}, ()))
        >>> differences(document(0, "12:00"), document(1, "12:30"))
        ['settings.seed: 0 before, 1 now']
    """
    return _compared("", read(before), read(now))


def plain(value: Any) -> Any:
    """A value as JSON can hold it: records as mappings, sequences as lists, sets in order, numbers as Python's.

    Example:
        >>> plain({"a": (np.float32(0.5), float("inf")), "b": {2, 1}})
        {'a': [0.5, 'Infinity'], 'b': [1, 2]}
    """
    if isinstance(value, np.generic | np.ndarray):
        return plain(value.tolist())
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(cast("Any", value))}
    if isinstance(value, Mapping):
        return {str(name): plain(part) for name, part in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, set | frozenset):
        return [plain(part) for part in sorted(cast("set[Any]", value), key=repr)]
    if isinstance(value, list | tuple):
        return [plain(part) for part in cast("list[Any]", value)]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


# -- pieces ------------------------------------------------------------------------------------------------------------


def _restored(kind: Any, value: Any) -> Any:
    """JSON's value as the type that a record declares. Names that it does not have are passed over."""
    if value is None or kind is Any:
        return value
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return _restored(next(part for part in parts if part is not type(None)), value)
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        return cast("Any", kind)(**{name: _restored(hints[name], value[name]) for name in hints if name in value})
    if origin is tuple and parts[-1] is not Ellipsis:
        return tuple(_restored(part, item) for part, item in zip(parts, value, strict=True))
    if origin in (tuple, Sequence):
        return tuple(_hashable(item) if parts[0] is Any else _restored(parts[0], item) for item in value)
    if origin is Mapping:
        return {name: _restored(parts[1], part) for name, part in value.items()}
    return float(value) if kind is float else value


def _hashable(value: Any) -> Any:
    return tuple(_hashable(part) for part in cast("list[Any]", value)) if isinstance(value, list) else value


def _compared(place: str, before: Any, now: Any) -> list[str]:
    """The lines of `differences` beneath a place."""
    if isinstance(before, dict) and isinstance(now, dict):
        return _compared_by_name(place, cast("dict[str, Any]", before), cast("dict[str, Any]", now))
    if isinstance(before, list) and isinstance(now, list):
        first, second = cast("list[Any]", before), cast("list[Any]", now)
        if len(first) == len(second):
            return [
                line
                for index, pair in enumerate(zip(first, second, strict=True))
                for line in _compared(f"{place}[{index}]", *pair)
            ]
        return [f"{place}: {len(first)} entries before, {len(second)} now"]
    shown = json.dumps(cast("Any", before)), json.dumps(now)
    return [] if shown[0] == shown[1] else [f"{place}: {_cut(shown[0])} before, {_cut(shown[1])} now"]


def _compared_by_name(place: str, before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    lines: list[str] = []
    for name in dict.fromkeys((*before, *now)):
        inner = f"{place}.{name}" if place else name
        if place == "settings" and name in TIMES:
            continue
        if name not in before or name not in now:
            lines.append(f"{inner}: only {'before' if name in before else 'now'}")
        else:
            lines += _compared(inner, before[name], now[name])
    return lines


def _cut(text: str, length: int = 60) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
