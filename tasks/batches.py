"""Batches of tables as four libraries have them: a column read as a list of values, and columns of answers added.

A kind is chosen by what the batch is, and nothing is imported to look: who holds an Arrow table has imported pyarrow.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np

from .answers import Column

#: The answers of one column, in the order of the rows; None where a row has none.
Values = Sequence[Any]
KINDS = "a dict of arrays or lists, a pyarrow Table or RecordBatch, or a pandas DataFrame or Series"


def kind_of(batch: Any) -> type[Arrays | Arrow | Pandas]:
    """How a batch is read and written.

    Raises:
        TypeError: it is none of `KINDS`.

    Example:
        >>> kind_of({"text": ["She was glad."]}).__name__
        'Arrays'
    """
    for library, kind in (("pyarrow", Arrow), ("pandas", Pandas)):
        module = sys.modules.get(library)
        if module is not None and isinstance(batch, tuple(getattr(module, name) for name in kind.names)):
            return kind
    if isinstance(batch, Mapping):
        return Arrays
    message = f"batch: required {KINDS}, got {type(batch).__name__}; in Ray Data choose with batch_format='pyarrow'"
    raise TypeError(message)


# -- dicts of NumPy arrays (Ray Data) or of lists (datasets) -------------------------------------------------------


class Arrays:
    """A mapping of names to NumPy arrays or to lists, all of one length. Nulls are None, and NaN among objects."""

    @staticmethod
    def columns(batch: Mapping[str, Any]) -> list[str]:
        """The names."""
        return list(batch)

    @staticmethod
    def values(batch: Mapping[str, Any], name: str) -> list[Any]:
        """One column as Python's own values."""
        column = batch[name]
        if isinstance(column, str | bytes):
            message = f"batch: required a list or an array of texts in column {name!r}, got one text; put it in a list"
            raise TypeError(message)
        values = column.tolist() if isinstance(column, np.ndarray) else list(column)
        return [plain_or_null(value) for value in values]

    @staticmethod
    def extended(batch: Mapping[str, Any], answers: Mapping[Column, Values], nullable: bool) -> dict[str, Any]:
        """The batch with answers: arrays, unless the batch is of lists."""
        are_lists = any(isinstance(column, list) for column in batch.values())
        added = {
            column.name: list(values) if are_lists else array_of(column, values, nullable)
            for column, values in answers.items()
        }
        return {**batch, **added}


def plain_or_null(value: Any) -> Any:
    """NaN, which stands for null where there is no other, as None; an array in a cell as a list.

    Example:
        >>> [plain_or_null(value) for value in ("a", float("nan"), np.array(["b", "c"]))]
        ['a', None, ['b', 'c']]
    """
    if isinstance(value, np.ndarray):
        return cast("Any", value).tolist()
    return None if isinstance(value, float) and math.isnan(value) else value


def array_of(column: Column, values: Values, nullable: bool) -> Any:
    """A NumPy array of answers: numbers (B,), vectors (B, D), objects where lists differ in length, or for strings.

    A null is NaN among floats and None among objects; integers that may be null are objects.

    Example:
        >>> array_of(Column("vector", "vector", "float32", 1, 2), [np.ones(2, "f4"), None], True)
        array([[ 1.,  1.],
               [nan, nan]], dtype=float32)
    """
    if column.depth == 1 and column.size is not None:
        filled = np.full((len(values), column.size), np.nan, column.kind)
        for row, value in zip(filled, values, strict=True):
            if value is not None:
                row[:] = value
        return filled  # B D
    if column.depth == 0 and column.kind.startswith("float"):
        return np.array([np.nan if value is None else value for value in values], column.kind)
    if column.depth == 0 and column.kind == "int64" and not nullable:
        return np.array(values, np.int64)
    found = np.empty(len(values), object)  # filled one by one: NumPy would make a table of lists of one length
    for row, value in enumerate(values):
        found[row] = value
    return found


# -- Arrow (Ray Data, Spark's mapInArrow, datasets' "arrow" format) ------------------------------------------------


class Arrow:
    """A `pyarrow.Table` or `pyarrow.RecordBatch`. Vectors are lists of fixed size."""

    names = ("Table", "RecordBatch")

    @staticmethod
    def columns(batch: Any) -> list[str]:
        """The names."""
        return list(batch.schema.names)

    @staticmethod
    def values(batch: Any, name: str) -> list[Any]:
        """One column as Python's own values."""
        return batch.column(name).to_pylist()

    @staticmethod
    def extended(batch: Any, answers: Mapping[Column, Values], nullable: bool) -> Any:
        """The batch with answers, a new one of the same class."""
        del nullable  # every Arrow column may have nulls
        for column, values in answers.items():
            batch = batch.append_column(column.name, arrow_of(column, values))
        return batch


def arrow_of(column: Column, values: Values) -> Any:
    """An Arrow array of answers; vectors are copied once, as one block."""
    import pyarrow

    pa: Any = pyarrow
    if column.depth == 1 and column.size is not None:
        filled = array_of(column, values, nullable=True)
        missing = pa.array([value is None for value in values], pa.bool_())
        return pa.FixedSizeListArray.from_arrays(pa.array(filled.reshape(-1)), type=column.arrow, mask=missing)
    return pa.array(values, column.arrow)


# -- pandas (Spark's mapInPandas and pandas_udf, Dask) -------------------------------------------------------------


class Pandas:
    """A `pandas.DataFrame`, or a `pandas.Series`, of which only the answers come back, as a frame.

    Vectors are objects, arrays (D,): pandas has no columns of vectors of its own, and Spark takes these.
    """

    names = ("DataFrame", "Series")

    @staticmethod
    def columns(batch: Any) -> list[str] | None:
        """The names; None of a series, which is whatever column is asked for."""
        return list(batch.columns) if hasattr(batch, "columns") else None

    @staticmethod
    def values(batch: Any, name: str) -> list[Any]:
        """One column as Python's own values."""
        column = batch[name] if hasattr(batch, "columns") else batch
        return [plain_or_null(value) for value in column.astype(object).where(column.notna(), None)]

    @staticmethod
    def extended(batch: Any, answers: Mapping[Column, Values], nullable: bool) -> Any:
        """The batch with answers, a new one with the same index; of a series, the answers alone."""
        import pandas

        pd: Any = pandas
        kept = batch if hasattr(batch, "columns") else pd.DataFrame(index=batch.index)
        return kept.assign(
            **{
                column.name: pd.Series(
                    _objects(column, values), index=batch.index, dtype=_dtype(column, nullable, pd.__version__)
                )
                for column, values in answers.items()
            }
        )


def _objects(column: Column, values: Values) -> Any:
    """A pandas series is made of a one-dimensional array, also of vectors."""
    return (
        array_of(Column(column.name, column.field, "string"), values, nullable=True) if column.depth else list(values)
    )


def _dtype(column: Column, nullable: bool, version: str) -> str:
    """As pandas has the kind; its own strings are the default from 3.0 on."""
    if column.depth or (column.kind == "string" and int(version.partition(".")[0]) < 3):
        return "object"
    if column.kind == "string":
        return "str"
    return "Int64" if column.kind == "int64" and nullable else column.kind
