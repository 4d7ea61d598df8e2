"""The files of a corpus: which they are, how they are opened, and how the work is cut into parts.

All files, decompressed and laid end to end, are one long line of bytes, which is cut every so many. A document belongs
to the part in which it begins. So the parts depend on the files alone, not on how many processes share them; none waits
for another; and one large file is shared as well as many small ones. (Rows of Parquet have no bytes of their own: the
i-th of n rows of a file of size s is taken to begin at i s / n.)
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

from ....files import compressed, parquet
from ....files.compressed import COMPRESSIONS

__all__ = ["FORMATS", "Source", "Span", "find_sources", "parts_of"]

FORMATS = {".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl", ".parquet": "parquet"}
"""Suffix -> format; every other is text."""


@dataclass(frozen=True)
class Source:
    """A file.

    Args:
        path: as it was given.
        format: ``"text"``, ``"jsonl"`` or ``"parquet"``.
        size: in bytes, decompressed.
        rows: of Parquet; 0 otherwise.
        stamp: size and time of the last change of the file as it lies there.
    """

    path: str
    format: str
    size: int
    rows: int
    stamp: tuple[int, int]

    def open(self) -> IO[bytes]:
        """Open it, to be read decompressed from its beginning."""
        return compressed.opened(Path(self.path))


class Span(NamedTuple):
    """A stretch of a file: the documents that begin in it.

    Args:
        file: its number among the sources.
        begin: of bytes, decompressed; of Parquet, of rows.
        end: one past the last.
    """

    file: int
    begin: int
    end: int


def find_sources(paths: Iterable[str | Path], format: str | None, known: Iterable[Source] = ()) -> tuple[Source, ...]:
    """Look the files up.

    Args:
        paths: files; and folders, of which all files are taken that do not begin with a dot, sorted by their paths.
        format: of all; None: what each name says.
        known: what was found before: a file that did not change since is not decompressed again to learn its size.

    Raises:
        FileNotFoundError: there is no such file, or no file at all.
        ImportError: a library is missing that reads it.
        ValueError: a file cannot be decompressed, or an unknown format.
    """
    if format not in (None, "text", "jsonl", "parquet"):
        raise ValueError(f"format: expected text, jsonl or parquet, got {format!r}; pass one of these")
    files = [file for path in paths for file in _files(Path(path))]
    if not files:
        raise FileNotFoundError("input: expected files to read, got none; name files, or a folder that has some")
    if len(set(files)) < len(files):
        twice = sorted(str(file) for file in set(files) if files.count(file) > 1)
        raise ValueError(f"input: expected each file once, got {twice[0]} twice; leave one out")
    before = {source.path: source for source in known}
    return tuple(_source(file, format or _format_of(file), before.get(str(file))) for file in files)


def parts_of(sources: Sequence[Source], size: int) -> list[tuple[Span, ...]]:
    """Cut the files, laid end to end, every ``size`` bytes.

    Example:
        >>> files = [Source(name, "text", size, 0, (0, 0)) for name, size in (("a", 3), ("b", 9), ("c", 2))]
        >>> for part in parts_of(files, 5):
        ...     print([tuple(span) for span in part])
        [(0, 0, 3), (1, 0, 2)]
        [(1, 2, 7)]
        [(1, 7, 9), (2, 0, 2)]
    """
    parts: list[tuple[Span, ...]] = []
    spans: list[Span] = []
    room = size
    for number, source in enumerate(sources):
        begin = 0
        while begin < source.size:
            end = min(source.size, begin + room)
            spans.append(_span(number, source, begin, end))
            room -= end - begin
            begin = end
            if not room:
                parts.append(tuple(spans))
                spans, room = [], size
    return [*parts, tuple(spans)] if spans or not parts else parts


def _span(number: int, source: Source, begin: int, end: int) -> Span:
    if source.format != "parquet":
        return Span(number, begin, end)
    return Span(number, *(-(-edge * source.rows // source.size) for edge in (begin, end)))


# -- files -------------------------------------------------------------------------------------------------------------


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        inside = [file for file in path.rglob("*") if file.is_file()]
        return sorted(file for file in inside if not any(p.startswith(".") for p in file.relative_to(path).parts))
    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected a file or a folder, found none; check the name")
    return [path]


def _format_of(path: Path) -> str:
    name = path.with_suffix("") if path.suffix in COMPRESSIONS else path
    return FORMATS.get(name.suffix, "text")


def _source(path: Path, format: str, before: Source | None) -> Source:
    status = path.stat()
    stamp = status.st_size, status.st_mtime_ns
    if before is not None and (before.format, before.stamp) == (format, stamp):
        return before
    if format == "parquet":
        return Source(str(path), format, *_parquet_size(path), stamp)
    return Source(
        str(path), format, status.st_size if path.suffix not in COMPRESSIONS else compressed.length(path), 0, stamp
    )


def _parquet_size(path: Path) -> tuple[int, int]:
    """Bytes, decompressed, and rows."""
    metadata = parquet.opened(path).metadata
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    size = sum(group.total_byte_size for group in groups)
    return (max(size, metadata.num_rows) if metadata.num_rows else 0), metadata.num_rows


def skip(stream: IO[bytes], count: int) -> None:
    """Go on by so many bytes: at once, or decompressing."""
    if not count:
        return
    try:
        stream.seek(count, os.SEEK_CUR)
    except (OSError, ValueError):  # no way to jump
        while count and (read := len(stream.read(min(count, 2**20)))):
            count -= read
