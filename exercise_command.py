"""`roberta exercise`: write a function of the spec yourself, and have it judged."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .terminal import console

NAME = "Of the exercise, and of the function; without it, all are listed."
FILE = "A file that defines the function; without it, the text is shown."


def exercise(
    name: Annotated[str | None, typer.Argument(help=NAME, show_default=False)] = None,
    file: Annotated[Path | None, typer.Argument(help=FILE, show_default=False)] = None,
    start: Annotated[Path | None, typer.Option(help="A new file to begin with.", show_default=False)] = None,
) -> None:
    """Write a function of the spec yourself; it is judged by the budget that rounding leaves.

    Exit status 1 where it does not compute what the spec computes.
    """
    from rich.table import Table

    from .teaching.exercises import EXERCISES
    from .teaching.exercises import exercise as find

    if name is None:
        table = Table("exercise", "what to write")
        for one in EXERCISES.values():
            table.add_row(one.name, one.title)
        console().print(table)
        return
    if start is not None:
        from .teaching.exercises.files import write_start

        write_start(name, start)
        typer.echo(f"{start}: write it, then: roberta exercise {name} {start}")
    elif file is None:
        one = find(name)
        typer.echo(f"{one.title}\n\ndef {one.name}{one.signature}\n\n{one.text}")
    else:
        from .teaching.exercises.files import judge_file

        verdict = judge_file(name, file)
        typer.echo(verdict)
        names = list(EXERCISES)
        if not verdict.passed:
            raise typer.Exit(1)
        if name != names[-1]:
            typer.echo(f"Next: roberta exercise {names[names.index(name) + 1]}")
