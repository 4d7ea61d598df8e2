"""The command `roberta run`: a task over a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from .terminal import running


def run(
    task: Annotated[
        str, typer.Argument(help="Such as text-classification; as `roberta.task` takes it.", show_default=False)
    ],
    source: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="Lines of text, .csv, .tsv, .jsonl or .parquet; - for standard input.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option(help="The output: .jsonl, .csv, .tsv or .parquet.", show_default=False)],
    model: Annotated[
        str | None, typer.Option(help="A folder, or an id on the hub; by default what is shipped, if it has the head.")
    ] = None,
    tokenizer: Annotated[str | None, typer.Option(help="Where its tokenizer is, if not beside the model.")] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            help="Which column holds the text; or PART=COLUMN, once for each part, such as question=q.",
            show_default=False,
        ),
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(help="Of the task, NAME=VALUE, the value a word or JSON, such as top_k=3.", show_default=False),
    ] = None,
    backend: Annotated[str | None, typer.Option(help="The engine; by default numpy, or ROBERTA_BACKEND.")] = None,
    batch_size: Annotated[int, typer.Option(help="Rows that the model computes together.", min=1)] = 8,
    device: Annotated[str | None, typer.Option(help="Where it computes, such as cuda.", show_default=False)] = None,
    dtype: Annotated[
        str | None, typer.Option(help="In which it computes, such as bfloat16.", show_default=False)
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="Of FILE, where its name does not say it: text, csv, tsv, jsonl, parquet.",
            show_default=False,
        ),
    ] = None,
    prefix: Annotated[str, typer.Option(help="Goes in front of the names of the columns that are added.")] = "",
    errors: Annotated[
        Path | None, typer.Option(help="Where bad rows are told; by default OUT.errors.jsonl.", show_default=False)
    ] = None,
    restart: Annotated[bool, typer.Option("--restart", help="Forget an earlier run, and replace its output.")] = False,
) -> None:
    """Answer every row of a file.

    A run that was stopped goes on where it was when the same is typed again. Rows that cannot be read or answered are
    told in a file of errors, with their line; the exit status is then 1.
    """
    from .tasks import task as made
    from .tasks.running.reading import format_of, size_of
    from .tasks.running.run import run as answered

    options = {"backend": backend, "batch_size": batch_size, "device": device, "dtype": dtype, **_options(option or [])}
    chosen = made(task, model, tokenizer, **options)
    with running(size_of(source, format_of(source, form))) as tell:
        summary = answered(
            chosen,
            source,
            out,
            column=_columns(column or []),
            form=form,
            prefix=prefix,
            errors=errors,
            is_new=restart,
            tell=tell,
        )
    earlier = f", {summary.skipped:,} of them by an earlier run" if summary.skipped else ""
    typer.echo(f"{out}: {summary.rows - summary.failed:,} of {summary.rows:,} rows answered{earlier}", err=True)
    if summary.failed:
        where = errors or f"{out}.errors.jsonl"
        typer.echo(f"{where}: {summary.failed:,} rows that could not be, each with its line and why", err=True)
        raise typer.Exit(1)


# -- pieces ------------------------------------------------------------------------------------------------------------


def _options(given: list[str]) -> dict[str, Any]:
    r"""NAME=VALUE of the task's options.

    Example:
        >>> _options(["top_k=3", "pooling=mean", "candidate_labels=[\"a\", \"b\"]"])
        {'top_k': 3, 'pooling': 'mean', 'candidate_labels': ['a', 'b']}
    """
    found: dict[str, Any] = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not equals:
            message = f"--option: required NAME=VALUE, got {each!r}; such as --option top_k=3"
            raise ValueError(message)
        try:
            found[name] = json.loads(value)
        except json.JSONDecodeError:
            found[name] = value
    return found


def _columns(given: list[str]) -> str | dict[str, str] | None:
    """One column, or PART=COLUMN of several parts."""
    if len(given) == 1 and "=" not in given[0]:
        return given[0]
    pairs = [each.partition("=") for each in given]
    if not all(equals for _, equals, _ in pairs):
        message = f"--column: required one name, or PART=COLUMN of each part, got {' '.join(given)}"
        raise ValueError(message)
    return {part: name for part, _, name in pairs} or None
