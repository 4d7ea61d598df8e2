"""A task over a file, batch by batch: what `roberta run` does."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from ...files import compressed
from ...files.compressed import COMPRESSIONS
from ...reference.layers import Array
from ..answers import Column, columns_of, more_parts_of, parts_of
from ..calling import LOOKAHEAD, Task
from ..records import plain
from . import journal, writing
from .journal import Journal
from .reading import TEXT, InputRow, format_of, read_rows

#: The input that is read from standard input.
STDIN = Path("-")
#: The column that says on which line of the input a row begins.
LINE = "line"


@dataclass(frozen=True)
class Summary:
    """What a run has done.

    Attributes:
        rows: of the input.
        failed: of these, how many could not be answered.
        skipped: how many were done by an earlier run.
    """

    rows: int
    failed: int
    skipped: int


def run(
    task: Task[Any],
    source: Path,
    out: Path,
    *,
    column: str | Mapping[str, str] | None = None,
    form: str | None = None,
    prefix: str = "",
    errors: Path | None = None,
    is_new: bool = False,
    tell: Callable[[int, int], None] = lambda _rows, _end: None,
) -> Summary:
    """Answer every row of a file.

    Rows that cannot be read or answered are told in the errors file, with their line, and the run goes on. A run that
    was stopped at any moment goes on where it was.

    Args:
        task: what answers.
        source: the file, compressed or not; `-` for standard input.
        out: the output: .jsonl, .csv, .tsv or .parquet. It has the line of each row, the columns of the input, and
            those of the answers.
        column: which column holds the text; or of inputs with several parts, part -> column; None for `text`, or for
            columns that are named as the parts are. `a.b` is what an object in the column `a` calls `b`.
        form: of the file, where its name does not say it: "text", "csv", "tsv", "jsonl" or "parquet".
        prefix: goes in front of the names of the columns that are added.
        errors: the errors file; None for the output's name and `.errors.jsonl`.
        is_new: whether to forget an earlier run, and to replace its output.
        tell: is called after each batch with the rows so far, and how far the file is read.

    Returns:
        What was done.

    Raises:
        FileNotFoundError: no such file.
        FileExistsError: the output is there already, or files of another run.
        ValueError: an empty file, no such column, an output of an unknown format or with the input's name; what
            concerns no single row.
        OSError: a full disk; the next run goes on.
    """
    writing.writer_of(out)
    errors = errors or out.with_name(out.name + ".errors.jsonl")
    _require_different(source, out, errors)
    if is_new:
        journal.remove(out, errors)
    else:
        journal.require_new(out, errors)
    form = format_of(source, form)
    columns = columns_of(task, prefix)
    parts = _parts(task, column)
    identity = {"input": _identity(source), "format": form, "errors": str(errors.resolve())}
    identity |= {"task": repr(task), "columns": parts, "prefix": prefix}
    with _opened(source) as stream, Journal(out, errors, identity) as done:
        rows = read_rows(stream, form)
        skipped = sum(1 for _ in islice(rows, done.state.rows))
        if skipped < done.state.rows:
            required = f"the {done.state.rows} rows that were answered before"
            message = f"{source}: required {required}, got {skipped}; type --restart to begin anew"
            raise ValueError(message)
        _answer_all(task.load(), rows, done, columns, parts, prefix, tell)
        summary = Summary(done.state.rows, done.state.failed, skipped)
        if not summary.rows:
            done.close()
            message = f"{source}: required at least one row, got an empty file"
            raise ValueError(message)
        writing.write(done.part, out, columns)
        done.close()
    return summary


# -- pieces ------------------------------------------------------------------------------------------------------------


def _answer_all(
    task: Task[Any],
    rows: Iterator[InputRow],
    done: Journal,
    columns: tuple[Column, ...],
    parts: Mapping[str, str],
    prefix: str,
    tell: Callable[[int, int], None],
) -> None:
    while batch := list(islice(rows, LOOKAHEAD * task.batch_size)):
        if not done.state.rows:
            _require_columns(batch, [*(column.name for column in columns), prefix + LINE], parts)
        problems = {at: row.problem for at, row in enumerate(batch) if row.fields is None}
        readable = [at for at in range(len(batch)) if at not in problems]
        answers = dict(zip(readable, task.attempt([_item(batch[at], parts) for at in readable]), strict=True))
        problems |= {at: str(answer) for at, answer in answers.items() if isinstance(answer, Exception)}
        good = [at for at in readable if at not in problems]
        done.commit(
            done.state.rows + len(batch),
            [_output(batch[at], answers[at], columns, prefix + LINE) for at in good],
            [{LINE: batch[at].line, "error": problems[at], "input": batch[at].fields} for at in sorted(problems)],
        )
        tell(done.state.rows, batch[-1].end)


def _parts(task: Task[Any], column: str | Mapping[str, str] | None) -> dict[str, str]:
    """Part of an input -> the column that holds it; of a text the part is "text".

    Raises:
        ValueError: a column for a part that the task does not have.
    """
    names = parts_of(task) or (TEXT,)
    given = {names[0]: column} if isinstance(column, str) else dict(column or {})
    known = (*names, *more_parts_of(task))
    unknown = [name for name in given if name not in known]
    if unknown:
        message = f"--column: {task.name} takes {' and '.join(known)}, got {unknown[0]!r}; type PART=COLUMN of these"
        raise ValueError(message)
    return {**{name: name for name in names}, **given}


def _require_columns(batch: list[InputRow], added: list[str], parts: Mapping[str, str]) -> None:
    """The first rows must have the columns that are asked for, and none of the name of one that is added."""
    fields = [row.fields for row in batch if row.fields is not None]
    if not fields:
        return
    for name in parts.values():
        if not any(_has(one, name) for one in fields):
            found = ", ".join(map(repr, fields[0])) or "none"
            message = f"input: required a column {name!r}, got {found}; say which with --column"
            raise ValueError(message)
    taken = [name for name in added if name in fields[0]]
    if taken:
        message = f"input: has a column {taken[0]!r} already; name what is added otherwise, such as --prefix answer_"
        raise ValueError(message)


def _item(row: InputRow, parts: Mapping[str, str]) -> Any:
    """What the task takes of a row."""
    fields = cast("dict[str, Any]", row.fields)
    if list(parts) == [TEXT]:
        return _value(fields, parts[TEXT])
    found = {part: _value(fields, name) for part, name in parts.items()}
    choices = found.get("choices")
    if isinstance(choices, str):  # of CSV, where a list is written as JSON
        with suppress(json.JSONDecodeError):
            found["choices"] = json.loads(choices)
    return found


def _has(fields: Mapping[str, Any], name: str) -> bool:
    """Whether there is such a column; `a.b` is also `b` of what stands in the column `a`."""
    outer, dot, inner = name.partition(".")
    value: Any = fields.get(outer)
    return name in fields or (bool(dot) and isinstance(value, dict) and _has(cast("dict[str, Any]", value), inner))


def _value(fields: Mapping[str, Any], name: str) -> Any:
    """What stands in a column, by its name or by its path; None where there is none."""
    if name in fields or not _has(fields, name):
        return fields.get(name)
    outer, _, inner = name.partition(".")
    return _value(fields[outer], inner)


def _output(row: InputRow, answer: Any, columns: tuple[Column, ...], line: str) -> dict[str, Any]:
    """A row of the output: its line, what it was, and the answer."""
    said = {column.name: _short(column.value(answer)) for column in columns}
    return {line: row.line, **plain(row.fields), **said}


def _short(value: Any) -> Any:
    """A value as JSON has it; numbers of float32 in the nine digits that they need."""
    if isinstance(value, np.ndarray):
        array = cast("Array", value)
        if array.dtype == np.float32:
            return [_short(each) for each in array] if array.ndim > 1 else [float(f"{number:.9g}") for number in array]
    return plain(value)


def _identity(source: Path) -> Any:
    """What tells a file from another."""
    if source == STDIN:
        return str(source)
    if not source.is_file():
        what = "a folder" if source.is_dir() else "nothing"
        message = f"{source}: required a file, or - for standard input, got {what}"
        raise FileNotFoundError(message)
    stat = source.stat()
    return [str(source.resolve()), stat.st_size, stat.st_mtime_ns]


def _require_different(source: Path, out: Path, errors: Path) -> None:
    """What is read is not written over, and answers and errors are two files."""
    for option, path, others in (("--out", out, [source]), ("--errors", errors, [source, out])):
        if any(path.resolve() == other.resolve() for other in others):
            message = f"{option}: required a file of its own, got {path}, which is the input or the output, too"
            raise ValueError(f"{message}; give another name")


@contextmanager
def _opened(source: Path) -> Generator[IO[bytes]]:
    if source == STDIN:
        yield sys.stdin.buffer
    else:
        if source.suffix in COMPRESSIONS:
            compressed.length(source)  # a damaged file is told before anything is computed
        with compressed.refusing_damage(source), compressed.opened(source) as stream:
            yield stream
