"""`roberta explain`: a page that shows one run of the spec, value by value, and what mistakes would do to it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .terminal import progress

WHERE = "A folder, the name of a shipped checkpoint, or an id on the hub; by default austen, which is shipped."
OTHER = "Of question answering the context; of multiple choice a choice, once for each."


def explain(
    text: Annotated[str, typer.Argument(help="The text, such as one with a <mask>.", show_default=False)],
    out: Annotated[Path, typer.Option(help="The file to write.")] = Path("explained.html"),
    model: Annotated[str | None, typer.Option(help=WHERE)] = None,
    head: Annotated[
        str | None, typer.Option(help="Such as masked_lm; by default the checkpoint's own.", show_default=False)
    ] = None,
    other: Annotated[list[str] | None, typer.Option(help=OTHER, show_default=False)] = None,
    faults: Annotated[bool, typer.Option(help="Make the mistakes that people make, too.")] = True,
) -> None:
    """Write a page that shows one run, value by value, and how far each mistake reaches.

    The page is one file, which opens without a server and asks nobody for anything.
    """
    from .dispatch.checkpoint import DEFAULT_CHECKPOINT
    from .teaching.pages import write_page

    with progress("mistakes (--no-faults leaves them out)", None) as advance:
        options = {"head": head, "others": other or (), "faults": faults, "tell": advance}
        size = write_page(out, text, model or DEFAULT_CHECKPOINT, **options)
    typer.echo(f"{out}: {size / 1e6:.1f} MB; open it in a browser")
