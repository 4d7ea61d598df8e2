"""Parquet files: read and written by pyarrow, opened in one way."""

from __future__ import annotations

import io
from pathlib import Path
from typing import IO, Any


def library(named: object = "Parquet") -> Any:
    """`pyarrow.parquet`.

    Args:
        named: for whose sake, for the error.

    Raises:
        ModuleNotFoundError: pyarrow is missing; says what to type.
    """
    try:
        import pyarrow.parquet as found
    except ImportError as error:
        message = f'{named}: Parquet is read and written by pyarrow ({error}); pip install "roberta[data]"'
        raise ModuleNotFoundError(message) from error
    return found


def opened(source: Path | IO[bytes]) -> Any:
    """A file, as `pyarrow.parquet.ParquetFile`; a stream that cannot be sought in is read whole.

    Raises:
        ModuleNotFoundError: pyarrow is missing; says what to type.
        ValueError: the file is damaged, or none of Parquet.
    """
    named = source if isinstance(source, Path) else getattr(source, "name", "stream")
    found = library(named)
    if not isinstance(source, Path) and not source.seekable():
        source = io.BytesIO(source.read())
    try:
        return found.ParquetFile(source)
    except (OSError, ValueError) as error:  # of which pyarrow's own errors are
        raise ValueError(f"{named}: expected a file of Parquet, got one that cannot be read ({error})") from error
