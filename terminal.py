"""What the commands print to: tables, and a bar for what takes long."""

from __future__ import annotations

import sys
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
