"""Files as numbered rows: lines of text, CSV, JSON lines, Parquet; of a row that cannot be read, where and why."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, Any, cast

from ...files import compressed, parquet
from ...files.compressed import COMPRESSIONS

#: Suffix -> format.
SUFFIXES: Mapping[str, str] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".txt": "text",
}
#: The column of a file of lines.
TEXT = "text"


@dataclass(frozen=True)
class InputRow:
    """A row of a file.

    Attributes:
        line: on which line of the file it begins, from 1; of Parquet, which row it is.
        fields: column -> value; None where it cannot be read.
        problem: why not; "" if it can.
        end: how far the file is read with it: bytes, or rows of Parquet.
    """

    line: int
    fields: dict[str, Any] | None
    problem: str = ""
    end: int = 0


def format_of(path: Path, asked: str | None = None) -> str:
    """The format of a file: what is asked for, or what its suffix says, or lines of text.

    Raises:
        ValueError: no such format.

    Example:
        >>> format_of(Path("novels.jsonl.gz")), format_of(Path("notes")), format_of(Path("-"), "csv")
        ('jsonl', 'text', 'csv')
    """
    known = sorted(set(SUFFIXES.values()))
    if asked is not None and asked not in known:
        message = f"format: required one of {', '.join(known)}, got {asked!r}"
        raise ValueError(message)
    name = path.with_suffix("") if path.suffix in COMPRESSIONS else path
    return asked or SUFFIXES.get(name.suffix.lower(), "text")


def read_rows(stream: IO[bytes], form: str) -> Iterator[InputRow]:
    r"""The rows of a file.

    Args:
        stream: opened for bytes; of Parquet one that can be sought in.
        form: as `format_of` gives it.

    Raises:
        ValueError: a file that has no rows for what all of it is like: no header, no Parquet.

    Example:
        >>> [row.fields for row in read_rows(io.BytesIO(b"text,n\nShe was.,1\n"), "csv")]
        [{'text': 'She was.', 'n': '1'}]
        >>> [(row.line, row.problem[:26]) for row in read_rows(io.BytesIO(b'{"a": 1}\n{"a": \n'), "jsonl")]
        [(1, ''), (2, 'no JSON: Expecting value: ')]
    """
    return _READERS[form](stream)


def size_of(path: Path, form: str) -> int | None:
    """How far `InputRow.end` goes: bytes, decompressed, or rows of Parquet; None of a stream.

    Raises:
        ValueError: a damaged file.
    """
    if not path.is_file():
        return None
    if path.suffix in COMPRESSIONS and form != "parquet":
        return compressed.length(path)
    return parquet.opened(path).metadata.num_rows if form == "parquet" else path.stat().st_size


# -- one for each format -----------------------------------------------------------------------------------------------


def _lines(stream: IO[bytes]) -> Iterator[tuple[int, int, str | None, str]]:
    """Of each line its number, the bytes read with it, its text, and what is wrong."""
    end = 0
    for number, raw in enumerate(stream, 1):
        if number == 1:
            _require_text(raw)
        end += len(raw)
        try:
            text = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            yield number, end, None, f"no UTF-8: byte {error.object[error.start]:#04x} at place {error.start}"
        else:
            yield number, end, text, ""


def _require_text(first: bytes) -> None:
    """Refuse what is no text from its first line on, before each of its lines is called a bad row."""
    if b"\0" in first:
        message = (
            "input: required text in UTF-8, got zero bytes in its first line, as UTF-16 and binary files have; "
            "save it as CSV in UTF-8, or say its format with --format"
        )
        raise ValueError(message)


def _read_text(stream: IO[bytes]) -> Iterator[InputRow]:
    for number, end, text, problem in _lines(stream):
        yield InputRow(number, None if text is None else {TEXT: text}, problem, end)


def _read_jsonl(stream: IO[bytes]) -> Iterator[InputRow]:
    for number, end, text, problem in _lines(stream):
        if number == 1 and text and (text.lstrip().startswith("[") or text.strip() == "{"):
            remedy = "write each object on a line of its own, such as jq -c '.[]' FILE, or pandas' to_json(lines=True)"
            message = f"input: required JSON lines, got one JSON value over several lines, or a list; {remedy}"
            raise ValueError(message)
        if text is None or not text.strip():
            yield InputRow(number, None, problem or "an empty line, where a JSON object is required", end)
            continue
        try:
            value = json.loads(text)
        except (json.JSONDecodeError, RecursionError) as error:
            yield InputRow(number, None, f"no JSON: {error}", end)
            continue
        value = {TEXT: value} if isinstance(value, str) else value
        if isinstance(value, dict):
            yield InputRow(number, cast("dict[str, Any]", value), "", end)
        else:
            yield InputRow(number, None, f"required a JSON object or a string, got {type(value).__name__}", end)


def _read_csv(stream: IO[bytes], delimiter: str | None = None) -> Iterator[InputRow]:
    read = [0, 0, 0]  # lines and bytes that the reader has taken, and the first line of the row
    broken: list[str] = []

    def lines() -> Iterator[str]:
        for number, end, text, problem in _lines(stream):
            read[:2] = number, end
            if problem:
                broken.append(problem)
            yield (text or "") + "\n"

    source = lines()
    first = next(source, "")
    if delimiter is None:  # spreadsheets write semicolons where a comma stands in numbers
        delimiter = ";" if ";" in first and "," not in first else ","
    reader = csv.reader(chain([first], source), delimiter=delimiter, strict=True)
    header = next(reader, None)
    if not header or len(set(header)) < len(header) or broken:
        got = broken[0] if broken else header or "nothing"
        message = f"CSV: required a first line with the names of the columns, each once, got {got}"
        raise ValueError(message)
    while True:
        line = read[0] + 1
        broken.clear()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield InputRow(line, None, f"no CSV: {error}", read[1])
            continue
        if not cells and not broken:
            continue  # an empty line, as many programs write at the end
        if broken or len(cells) != len(header):
            counted = f"required {len(header)} cells, as in the first line, got {len(cells)}"
            yield InputRow(line, None, broken[0] if broken else counted, read[1])
        else:
            yield InputRow(line, dict(zip(header, cells, strict=True)), "", read[1])


def _read_tsv(stream: IO[bytes]) -> Iterator[InputRow]:
    return _read_csv(stream, "\t")


def _read_parquet(stream: IO[bytes]) -> Iterator[InputRow]:
    number = 0
    for batch in parquet.opened(stream).iter_batches(batch_size=256):
        for fields in batch.to_pylist():
            number += 1
            yield InputRow(number, fields, "", number)


_READERS: Mapping[str, Callable[[IO[bytes]], Iterator[InputRow]]] = {
    "text": _read_text,
    "jsonl": _read_jsonl,
    "csv": _read_csv,
    "tsv": _read_tsv,
    "parquet": _read_parquet,
}
