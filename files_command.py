"""`roberta inspect` and `roberta convert`: what is in a checkpoint, and the same in another format."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .terminal import console

WHERE = "A folder, a file of weights, the name of a shipped checkpoint, or an id on the hub."


def inspect(
    checkpoint: Annotated[str, typer.Argument(help=WHERE, show_default=False)],
    json: Annotated[bool, typer.Option("--json", help="Print data in place of tables.")] = False,
) -> None:
    """Show what is in a checkpoint, without loading a framework.

    Exit status 1 where a number is not finite, the configuration is missing, or no head is whole.
    """
    from .dispatch.inspection import inspect as look
    from .files.tables import printable

    found = look(checkpoint)
    if json:
        typer.echo(_data(found))
    else:
        console().print(_tensors(found))
        console().print(_heads(found))
        for name, value in found.hashes.items():
            typer.echo(f"{name}: {found.source.format}, sha256 {value}")
        if found.problem:
            typer.echo(f"config.json: {printable(found.problem)}")
    if not found.is_sound:
        raise typer.Exit(1)


def convert(
    source: Annotated[str, typer.Argument(help=WHERE, show_default=False)],
    target: Annotated[Path, typer.Argument(help="A new folder, or an empty one.", show_default=False)],
    format: Annotated[str, typer.Option(help="safetensors, pytorch, h5 or msgpack.")] = "safetensors",
    dtype: Annotated[
        str | None, typer.Option(help="Of the numbers; by default as they are.", show_default=False)
    ] = None,
    max_shard_size: Annotated[str, typer.Option(help="The most bytes of a file.")] = "5GB",
    head: Annotated[str | None, typer.Option(help="Such as masked_lm; by default its own.", show_default=False)] = None,
) -> None:
    """Write a checkpoint in another format, and compare it tensor by tensor. Nothing is overwritten."""
    from .dispatch.conversion import convert as do

    done = do(source, target, format=format, dtype=dtype, max_shard_size=max_shard_size, head=head)
    typer.echo(f"{target}: {done.tensors} tensors of {done.head} as {done.format}, each compared after it was written")
    for old, new in done.dtypes.items():
        typer.echo(f"{old} became {new}")
    if done.copied:
        typer.echo(f"with it: {', '.join(done.copied)}")
    if done.left_out:
        typer.echo(f"left out, as {done.head} has no use for them: {', '.join(done.left_out)}")


def _tensors(found: Any) -> Any:
    """A row for each tensor."""
    from rich.table import Column, Table

    from .files.tables import printable

    table = Table(
        Column("tensor", overflow="fold"), "shape", "dtype", "least", "most", "mean", "deviation", "odd", "remark"
    )
    for one in found.tensors:
        numbers = [f"{value:.4g}" for value in (one.least, one.most, one.mean, one.deviation)]
        odd = ", ".join(f"{count} {what}" for count, what in ((one.nans, "NaN"), (one.infinities, "inf")) if count)
        is_plain = one.parameter.removeprefix("roberta.") == one.name.removeprefix("roberta.")
        own = "" if is_plain else one.parameter or "of no use"
        remark = ", ".join(part for part in (own, f"is {one.tied_to}" if one.tied_to else "") if part)
        shape = " × ".join(map(str, one.shape)) or "one"
        table.add_row(printable(one.name), shape, one.dtype, *numbers, odd, printable(remark))
    return table


def _heads(found: Any) -> Any:
    """A row for each head: what it would find, and lack."""
    from rich.table import Table

    from .files.tables import printable

    table = Table("head", "found", "tied", "missing", "of no use", "remark")
    for fit in found.fits:
        report: Any = fit.report
        if report is None:
            table.add_row(fit.head, "", "", "", "", printable(fit.problem))
            continue
        counts = [len(names or ()) for names in (report.loaded, report.tied, report.missing, report.unexpected)]
        remark = "whole" if fit.is_whole else f"random: {', '.join(report.random_outputs)}"
        table.add_row(fit.head, *map(str, counts), remark)
    return table


def _data(found: Any) -> str:
    from dataclasses import asdict
    from json import dumps

    data = {
        "format": found.source.format,
        "files": dict(found.hashes),
        "config": found.config.to_dict() if found.config else None,
        "problem": found.problem,
        "sound": found.is_sound,
        "tensors": [
            {name: None if value != value else value for name, value in asdict(one).items()} for one in found.tensors
        ],
        "heads": {
            fit.head: {"whole": fit.is_whole, "problem": fit.problem}
            | ({"missing": fit.report.missing, "unexpected": fit.report.unexpected} if fit.report else {})
            for fit in found.fits
        },
    }
    return dumps(data, indent=1, allow_nan=False, default=str)
