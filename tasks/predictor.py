"""A task as a function from batches to batches: what Ray Data, Spark, Dask and `datasets` run on many machines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from .answers import Column, columns_of, more_parts_of, parts_of, record_of
from .batches import kind_of
from .calling import Task

#: The column that says what was wrong with a row, where errors are wanted as a column.
ERROR = "error"


@dataclass(frozen=True)
class Predictor:
    """A callable that adds a task's answers to a batch, as columns, in the batch's own kind.

    The fields of the records become columns of these names; where the task answers with a list of records, each column
    holds lists. It is pickled as its task is: names and options, no weights; each process loads the model once, at its
    first batch.

    Args:
        task: what `roberta.task` gave.
        column: which column holds the text; or, of inputs with several parts, part -> column, such as
            `{"question": "q", "context": "body"}`. None for `text`, or for columns that are named as the parts are.
        prefix: goes in front of the names of the answer's columns.
        errors: "raise": a row that cannot be answered ends the batch; "column": its answers are null, and a further
            column `error` says why.

    Raises:
        ValueError: `errors` is neither.
        TypeError: no task; `column` is neither a name nor a mapping of names.

    Example:
        >>> import roberta
        >>> predict = Predictor(roberta.task("feature-extraction", "austen", pooling="mean", backend="numpy"))
        >>> batch = predict({"row": [1, 2], "text": ["She was glad.", "He was not."]})
        >>> list(batch), batch["vector"][0].shape
        (['row', 'text', 'vector'], (256,))
        >>> predict.ddl()
        'vector array<float>'
    """

    task: Task[Any]
    column: str | Mapping[str, str] | None = None
    prefix: str = ""
    errors: Literal["raise", "column"] = "raise"

    def __post_init__(self) -> None:
        record_of(self.task)
        if self.errors not in ("raise", "column"):
            message = f"errors: required 'raise' or 'column', got {self.errors!r}"
            raise ValueError(message)
        if not all(isinstance(name, str) for name in self._wanted):  # pyright: ignore[reportUnnecessaryIsInstance]
            message = f"column: required a name, or a mapping of parts of an input to names, got {self.column!r}"
            raise TypeError(message)
        parts = parts_of(self.task)
        known = (*(parts or ("text",)), *more_parts_of(self.task))
        given: dict[str, str] = dict(self.column) if isinstance(self.column, Mapping) else {}
        unlike = [part for part in given if part not in known]
        unlike += [part for part in parts if given and part not in given]
        if unlike:
            message = f"column: required a name for each part, {self.task.name} takes {' and '.join(known)}, got "
            raise TypeError(f"{message}{given!r}; look at {unlike[0]!r}")
        if parts and isinstance(self.column, str):
            example = {part: part for part in parts}
            message = f"column: required a mapping, since {self.task.name} takes {' and '.join(parts)}, got "
            raise TypeError(f"{message}{self.column!r}; such as {example}")

    @property
    def _source(self) -> str | Mapping[str, str]:
        """`column`, where it is None that of the task."""
        parts = parts_of(self.task)
        default = {part: part for part in parts} if parts else "text"
        return default if self.column is None else self.column

    @property
    def _wanted(self) -> list[str]:
        """The columns that a batch must have."""
        return list(self._source.values()) if isinstance(self._source, Mapping) else [self._source]

    @property
    def _keeps_errors(self) -> bool:
        return self.errors == "column"

    # -- what comes, before it comes -----------------------------------------------------------------------------------

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns that are added."""
        answers = columns_of(self.task, self.prefix)
        return (*answers, Column(self.prefix + ERROR, ERROR, "string")) if self._keeps_errors else answers

    def schema(self, given: Any = None) -> Any:
        """The Arrow schema of what is added, or, given that of a batch, of what comes back.

        Args:
            given: a `pyarrow.Schema`; None for that of the answers alone.

        Returns:
            A `pyarrow.Schema`. No weights are read for it.

        Raises:
            KeyError: a column is missing there.
            ValueError: one has the name of an answer's.
        """
        import pyarrow

        pa: Any = pyarrow
        found = pa.schema([]) if given is None else given
        if given is not None:
            self._require_columns(given.names)
        for column in self.columns:
            found = found.append(pa.field(column.name, column.arrow))
        return found

    def ddl(self) -> str:
        """What is added as Spark declares it: `f"text string, {predictor.ddl()}"` is the schema of mapInPandas."""
        return ", ".join(column.ddl for column in self.columns)

    # -- batches -------------------------------------------------------------------------------------------------------

    def __call__(self, batch: Any) -> Any:
        """The batch with the answers' columns behind its own.

        Args:
            batch: a dict of NumPy arrays or of lists, a pyarrow Table or RecordBatch, a pandas DataFrame; a Series, of
                which the answers come as a DataFrame; or an iterator of batches, such as Spark's mapInPandas gives.

        Returns:
            The same kind; of an iterator, another. Numbers and strings are columns; vectors are lists of fixed size
            (Arrow), an array (B, D) (NumPy) or objects (pandas). An empty batch loads no model.

        Raises:
            TypeError: another kind of batch; a null, or something else than the task takes, in a row.
            KeyError: a column is missing.
            ValueError: one has the name of an answer's; or what the task raises of a row.
        """
        if isinstance(batch, Iterator):
            return map(self, cast("Iterator[Any]", batch))
        kind = kind_of(batch)
        names = kind.columns(batch)
        if names is not None:
            self._require_columns(names)
        answers, errors = self._answered(self._items(kind, batch))
        values = {
            column: errors if column.field == ERROR else [column.value(answer) for answer in answers]
            for column in self.columns
        }
        return kind.extended(batch, values, self._keeps_errors)

    def _require_columns(self, names: Sequence[str]) -> None:
        for name in self._wanted:
            if name not in names:
                listed = ", ".join(map(str, names)) or "none"
                message = f"batch: required a column {name!r}, got {listed}; say which with Predictor(column=…)"
                raise KeyError(message)
        taken = [column.name for column in self.columns if column.name in names]
        if taken:
            message = f"batch: has a column {taken[0]!r} already; name the answers otherwise with Predictor(prefix=…)"
            raise ValueError(message)

    def _items(self, kind: Any, batch: Any) -> list[Any]:
        """What the task takes, row by row."""
        source = self._source
        if list(source) == ["text"] and isinstance(source, Mapping):
            source = source["text"]
        if isinstance(source, str):
            return kind.values(batch, source)
        parts = {part: kind.values(batch, name) for part, name in source.items()}
        return [dict(zip(parts, values, strict=True)) for values in zip(*parts.values(), strict=True)]

    def _answered(self, items: Sequence[Any]) -> tuple[list[Any], list[str | None]]:
        """Answer and error of each row, one of which is None."""
        found = self.task.attempt(items) if items else []
        failed = {row: answer for row, answer in enumerate(found) if isinstance(answer, Exception)}
        if failed and not self._keeps_errors:
            row, error = next(iter(failed.items()))
            remedy = "Predictor(errors='column') goes on without such rows"
            error.add_note(f"inputs are rows: this is row {row} of a batch of {len(items)}; {remedy}")
            raise error
        errors = [str(failed[row]) if row in failed else None for row in range(len(items))]
        return [None if row in failed else answer for row, answer in enumerate(found)], errors
