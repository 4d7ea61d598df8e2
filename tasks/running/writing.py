"""Answers as JSON lines, CSV or Parquet, made of the JSON lines of a run: beside the output first, then renamed."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, cast

from ...files import parquet
from ..answers import Column

#: So many rows become one group of a Parquet file.
GROUP = 8192


def write(part: Path, out: Path, columns: Sequence[Column]) -> None:
    """Make the output of the answers.

    Args:
        part: JSON lines.
        out: the output; its suffix says the format: .jsonl, .csv, .tsv or .parquet.
        columns: those of the answers, in order; others, of the input, stand before them.

    Raises:
        ValueError: another suffix.
        OSError: a full disk; the answers so far stay where they are.
    """
    writer = writer_of(out)
    beside = out.with_name(f".{out.name}.whole")  # of one name, so that who is killed here leaves no heap of them
    try:
        writer(part, beside, columns)
        with beside.open("rb+") as file:
            os.fsync(file.fileno())
        beside.replace(out)
    finally:
        beside.unlink(missing_ok=True)


def writer_of(out: Path) -> Callable[[Path, Path, Sequence[Column]], None]:
    """What writes a format.

    Raises:
        ValueError: an unknown suffix.
        ModuleNotFoundError: of Parquet, pyarrow is missing; says what to type.
    """
    writer = _WRITERS.get(out.suffix.lower())
    if writer is None:
        message = f"--out: required a name that ends in {', '.join(_WRITERS)}, got {out.name!r}"
        raise ValueError(message)
    if writer is _as_parquet:
        parquet.library("--out")  # before all is computed
    return writer


# -- one for each format -----------------------------------------------------------------------------------------------


def _as_jsonl(part: Path, out: Path, columns: Sequence[Column]) -> None:
    with part.open("rb") as source, out.open("wb") as target:
        while block := source.read(2**20):
            target.write(block)


def _as_csv(part: Path, out: Path, columns: Sequence[Column], delimiter: str = ",") -> None:
    names = [*_given(part, columns), *(column.name for column in columns)]
    with out.open("w", encoding="utf-8", newline="") as target:
        writer = csv.writer(target, delimiter=delimiter)
        writer.writerow(names)
        for row in _rows(part):
            writer.writerow([_cell(row.get(name)) for name in names])


def _as_tsv(part: Path, out: Path, columns: Sequence[Column]) -> None:
    _as_csv(part, out, columns, "\t")


def _as_parquet(part: Path, out: Path, columns: Sequence[Column]) -> None:
    import pyarrow

    pa: Any = pyarrow
    given = _given(part, columns)
    kinds = {name: _KINDS.get(kinds.pop(), "string") if len(kinds) == 1 else "string" for name, kinds in given.items()}
    fields = [pa.field(name, getattr(pa, kind)()) for name, kind in kinds.items()]
    schema = pa.schema([*fields, *(pa.field(column.name, column.arrow) for column in columns)])
    rows = _rows(part)
    with parquet.library(out).ParquetWriter(out, schema) as writer:
        while some := list(islice(rows, GROUP)):
            arrays = [
                [_text(row.get(name)) if kind == "string" else row.get(name) for row in some]
                for name, kind in kinds.items()
            ]
            arrays += [[row.get(column.name) for row in some] for column in columns]
            table = [pa.array(array, field.type) for array, field in zip(arrays, schema, strict=True)]
            writer.write_table(pa.table(table, schema=schema))


#: A value of JSON -> what Arrow calls its kind, where all of a column are alike.
_KINDS: Mapping[type, str] = {str: "string", int: "int64", float: "float64", bool: "bool_"}
_WRITERS: Mapping[str, Callable[[Path, Path, Sequence[Column]], None]] = {
    ".jsonl": _as_jsonl,
    ".csv": _as_csv,
    ".tsv": _as_tsv,
    ".parquet": _as_parquet,
}


# -- pieces ------------------------------------------------------------------------------------------------------------


def _rows(part: Path) -> Iterator[dict[str, Any]]:
    with part.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def _given(part: Path, columns: Sequence[Column]) -> dict[str, set[type]]:
    """The columns of the input, in the order in which they come, and what kinds of values they have."""
    answers = {column.name for column in columns}
    found: dict[str, set[type]] = {}
    for row in _rows(part):
        for name, value in row.items():
            if name not in answers:
                kinds = found.setdefault(name, set())
                if value is not None:
                    kinds.add(type(value))  # pyright: ignore[reportUnknownArgumentType]  # of JSON
    return found


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _cell(value: Any) -> Any:
    """A value in CSV: lists as JSON."""
    return json.dumps(cast("Any", value), ensure_ascii=False) if isinstance(value, list | dict | bool) else value
