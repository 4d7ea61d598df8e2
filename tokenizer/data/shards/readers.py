"""Readers: texts, JSON lines and Parquet become documents, each with the place that it was read from.

A document that cannot be read is handed out as such, with the reason, and the reading goes on behind it: what becomes
of it is for the caller to say.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from reprlib import repr as shortened
from typing import IO, Any, Literal, NamedTuple, cast

from ....files import parquet
from .sentences import CUTS, SentenceCut
from .sources import Source, Span, skip

__all__ = ["DocumentCut", "ReadDocument", "Reading", "read_documents"]

DocumentCut = Literal["file", "blank", "line"]
DOCUMENT_CUTS = ("file", "blank", "line")


@dataclass(frozen=True)
class Reading:
    """How documents are read.

    Args:
        documents: of texts: ``"file"``, a file is a document; ``"blank"``, blank lines part them; ``"line"``, each line
            is one.
        sentences: how a document is cut: ``"whole"``, ``"lines"`` or ``"rule"``, see `sentences`. A column of lists of
            texts has its sentences already.
        column: of JSON lines and Parquet: the field of the text.

    Raises:
        ValueError: no such cut.
    """

    documents: DocumentCut = "file"
    sentences: SentenceCut = "whole"
    column: str = "text"

    def __post_init__(self) -> None:
        for name, choice, choices in (
            ("documents", self.documents, DOCUMENT_CUTS),
            ("sentences", self.sentences, tuple(CUTS)),
        ):
            if choice not in choices:
                raise ValueError(f"{name}: expected one of {', '.join(choices)}, got {choice!r}; pass one of these")


class ReadDocument(NamedTuple):
    """A document, or why there is none.

    Args:
        file: number of its source.
        offset: where it begins there: a byte, decompressed; of Parquet, the row.
        sentences: its texts; empty where it has none.
        problem: why it could not be read; "" otherwise.
    """

    file: int
    offset: int
    sentences: list[str]
    problem: str = ""

    def where(self, sources: Sequence[Source]) -> str:
        """Say its place as people count: the file, and there the line or row from 1."""
        source = sources[self.file]
        if source.format == "parquet":
            return f"{source.path}, row {self.offset + 1}"
        with source.open() as stream:
            lines, left = 1, self.offset
            while left and (read := stream.read(min(left, 2**20))):
                lines, left = lines + read.count(b"\n"), left - len(read)
        return f"{source.path}, line {lines}"


def read_documents(sources: Sequence[Source], spans: Iterable[Span], reading: Reading) -> Iterator[ReadDocument]:
    """Read the documents that begin in some stretches of files.

    Args:
        sources: the files.
        spans: the stretches.
        reading: how.

    Returns:
        The documents in order, unreadable ones too.

    Raises:
        ValueError: a file of Parquet lacks the column, or holds something else than texts there.
    """
    for span in spans:
        source = sources[span.file]
        if source.format == "parquet":
            yield from _rows(source, span, reading)
        else:
            with source.open() as stream:
                found = _records if source.format == "jsonl" else _TEXTS[reading.documents]
                yield from found(stream, span, reading)


# -- texts -------------------------------------------------------------------------------------------------------------


def _lines(stream: IO[bytes], begin: int) -> Iterator[tuple[int, bytes]]:
    """All lines that begin at a place or behind it, with their places."""
    at = begin
    if begin:
        skip(stream, begin - 1)
        at += len(stream.readline()) - 1  # the rest of a line that began before, if only its end
    while line := stream.readline():
        yield at, line
        at += len(line)


def _whole_file(stream: IO[bytes], span: Span, reading: Reading) -> Iterator[ReadDocument]:
    if span.begin == 0:
        yield _document(span.file, 0, stream.read(), reading)


def _each_line(stream: IO[bytes], span: Span, reading: Reading) -> Iterator[ReadDocument]:
    for at, line in _lines(stream, span.begin):
        if at >= span.end:
            return
        if line.strip():
            yield _document(span.file, at, line.rstrip(b"\r\n"), reading)


def _between_blank_lines(stream: IO[bytes], span: Span, reading: Reading) -> Iterator[ReadDocument]:
    """A document belongs to where the blank line before it begins: whoever sees that line sees the document whole."""
    blank = 0 if span.begin == 0 else -1  # where the last blank line began; -1: none was seen
    begin, held = 0, list[bytes]()
    for at, line in _lines(stream, span.begin):
        if line.strip():
            if not held:
                begin = at
            if blank >= 0:
                held.append(line)
            continue
        if held:
            yield _document(span.file, begin, b"".join(held), reading)
            held = []
        blank = at
        if blank >= span.end:
            return
    if held:
        yield _document(span.file, begin, b"".join(held), reading)


_TEXTS = {"file": _whole_file, "blank": _between_blank_lines, "line": _each_line}


def _document(file: int, offset: int, content: bytes, reading: Reading) -> ReadDocument:
    try:
        text = content.decode("utf-8-sig" if offset == 0 else "utf-8")
    except UnicodeDecodeError as error:
        return _unreadable(file, offset + error.start, f"expected UTF-8, got the byte 0x{content[error.start]:02x}")
    return ReadDocument(file, offset, CUTS[reading.sentences](text))


def _unreadable(file: int, offset: int, problem: str) -> ReadDocument:
    return ReadDocument(file, offset, [], problem)


# -- records -----------------------------------------------------------------------------------------------------------


def _records(stream: IO[bytes], span: Span, reading: Reading) -> Iterator[ReadDocument]:
    for at, line in _lines(stream, span.begin):
        if at >= span.end:
            return
        if line.strip():
            yield _record(span.file, at, line, reading)


def _record(file: int, offset: int, line: bytes, reading: Reading) -> ReadDocument:
    try:
        record: Any = json.loads(line)
    except (ValueError, RecursionError) as error:  # of which UnicodeDecodeError is one
        return _unreadable(file, offset, f"expected a JSON object in UTF-8, got {shortened(line)} ({error})")
    fields = cast("dict[str, Any] | None", record if isinstance(record, dict) else None)
    if fields is None or reading.column not in fields:
        found = shortened(line) if fields is None else shortened(list(fields))
        return _unreadable(file, offset, f"expected an object with {reading.column!r}, got {found}")
    return _value(file, offset, fields[reading.column], reading)


def _value(file: int, offset: int, value: Any, reading: Reading) -> ReadDocument:
    """A text, or the list of its sentences."""
    sentences = cast("list[Any]", value) if isinstance(value, list) else None
    texts: list[Any] = [value] if sentences is None else sentences
    for text in texts:
        if not isinstance(text, str):
            problem = f"{reading.column}: expected a text or a list of texts, got {type(text).__name__}"
            return _unreadable(file, offset, f"{problem} {shortened(text)}")
        try:
            text.encode()
        except UnicodeEncodeError:
            return _unreadable(file, offset, f"{reading.column}: expected a text, got half a surrogate pair in it")
    if sentences is not None:
        return ReadDocument(file, offset, [text for text in sentences if text])
    return ReadDocument(file, offset, CUTS[reading.sentences](texts[0]))


def _rows(source: Source, span: Span, reading: Reading) -> Iterator[ReadDocument]:
    file = parquet.opened(Path(source.path))
    _require_column(source, file, reading.column)
    for at, values in _columns(source, file, reading.column, span):
        low, high = max(span.begin - at, 0), max(min(span.end - at, len(values)), 0)
        for number in range(low, high):
            yield _value(span.file, at + number, values[number].as_py(), reading)


def _columns(source: Source, file: Any, column: str, span: Span) -> Iterator[tuple[int, Any]]:
    """The column, piece by piece, of the groups of rows that a span has a part in; with the number of its first row."""
    first = 0
    for group in range(file.metadata.num_row_groups):
        at, first = first, first + file.metadata.row_group(group).num_rows
        if first <= span.begin or at >= span.end:
            continue
        try:
            for batch in file.iter_batches(1024, row_groups=[group], columns=[column]):
                yield at, batch.column(0)
                at += len(batch)
        except (OSError, ValueError) as error:
            raise ValueError(
                f"{source.path}, row {at + 1}: expected rows of Parquet, got damaged ones ({error})"
            ) from error


def _require_column(source: Source, file: Any, column: str) -> None:
    import pyarrow.types as types

    schema, library = file.schema_arrow, types
    if column not in schema.names:
        raise ValueError(
            f"{source.path}: expected a column {column!r}, got {', '.join(schema.names)}; name the column of the text"
        )
    kind: Any = schema.field(column).type
    checks: Any = library
    nests = checks.is_list(kind) or checks.is_large_list(kind) or checks.is_dictionary(kind)
    inner = kind.value_type if nests else kind
    if not (checks.is_string(inner) or checks.is_large_string(inner) or checks.is_string_view(inner)):
        raise ValueError(
            f"{source.path}: expected texts or lists of texts in the column {column!r}, got {kind}; name the column of "
            "the text"
        )
