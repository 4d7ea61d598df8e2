"""What the commands print to: tables, and a bar for what takes long."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def console() -> Console:
    """Where results go: texts as they are, no markup in them; wide enough for every table where no window limits it."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 140, markup=False, emoji=False, highlight=False)


@contextmanager
def progress(what: str, total: int | None) -> Generator[Callable[..., None]]:
    """A bar on stderr, in a window only; what it gives moves it on by one.

    Args:
        what: is counted.
        total: how many there are; None: nobody knows.

    Example:
        >>> with progress("sheep", 3) as advance:
        ...     advance()
    """
    from rich.console import Console
    from rich.progress import Progress

    stderr = Console(stderr=True)
    with Progress(console=stderr, transient=True, disable=not stderr.is_terminal) as bar:
        task = bar.add_task(what, total=total)
        yield lambda *_: bar.advance(task)


@contextmanager
def running(total: int | None) -> Generator[Callable[[int, int], None]]:
    """A bar for rows of a file, with rows a second and the time that is left; what it gives is told where the run is.

    Args:
        total: how far the file goes, bytes or rows; None: nobody knows.

    Yields:
        A function of the rows that are done, and how far the file is read with them.

    Example:
        >>> with running(7) as tell:
        ...     tell(1, 7)
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    begin, stderr = time.monotonic(), Console(stderr=True)
    counted = TextColumn("{task.fields[rows]:,} rows, {task.fields[speed]:,.1f} a second")
    columns = (BarColumn(), TaskProgressColumn(), counted, TimeElapsedColumn(), TimeRemainingColumn())
    first: list[int] = []  # rows when the first batch was told: a run that goes on has not done the earlier ones
    with Progress(*columns, console=stderr, transient=True, disable=not stderr.is_terminal) as bar:
        task = bar.add_task("rows", total=total, rows=0, speed=0.0)

        def tell(rows: int, end: int) -> None:
            first.append(rows)
            speed = (rows - first[0]) / max(time.monotonic() - begin, 1e-9)
            bar.update(task, completed=end, rows=rows, speed=speed)

        yield tell
