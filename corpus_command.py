"""`roberta tokenize-corpus`: a corpus of texts becomes token shards, which training reads."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from .terminal import progress

INPUT = "Files, and folders of files: texts, .jsonl, .parquet; also .gz, .bz2, .xz or .zst of them."


def tokenize_corpus(
    inputs: Annotated[list[str], typer.Argument(help=INPUT, show_default=False)],
    out: Annotated[
        Path, typer.Option(help="A new folder, or one in which the same command was stopped.", show_default=False)
    ],
    tokenizer: Annotated[
        str, typer.Option(help="A folder, the name of a shipped checkpoint, or an id on the hub.", show_default=False)
    ],
    documents: Annotated[
        str,
        typer.Option(help="Of texts: file, each is a document; blank, blank lines part them; line, each line is."),
    ] = "file",
    sentences: Annotated[
        str, typer.Option(help="Of a document: whole, it is one; lines, each line is one; rule, as punctuation says.")
    ] = "rule",
    column: Annotated[str, typer.Option(help="Of JSON lines and Parquet: the text, or its sentences.")] = "text",
    format: Annotated[
        str | None, typer.Option(help="text, jsonl or parquet; by default as names say.", show_default=False)
    ] = None,
    shard_size: Annotated[int, typer.Option(help="MiB of text a shard.", min=1)] = 64,
    processes: Annotated[
        int | None, typer.Option(help="That work at once; by default one a core.", min=1, show_default=False)
    ] = None,
    errors: Annotated[
        str, typer.Option(help="Unreadable documents: strict stops there; skip notes them in errors.jsonl.")
    ] = "strict",
) -> None:
    """Tokenize a corpus once, into shards that training maps into memory.

    It may be stopped at any moment: the same command goes on. The result does not depend on that, nor on the number of
    processes.
    """
    from .dispatch.tokenizers import load_tokenizer
    from .tokenizer.data.shards.readers import Reading
    from .tokenizer.data.shards.tokenizing import ERRORS
    from .tokenizer.data.shards.tokenizing import tokenize_corpus as work

    options: Any = {"documents": documents, "sentences": sentences, "column": column}
    policy: Any = errors
    index = work(
        inputs,
        out,
        load_tokenizer(tokenizer, fast=True),
        reading=Reading(**options),
        format=format,
        shard_bytes=shard_size * 2**20,
        processes=processes or _cores(),
        errors=policy,
        track=_tracked,
    )
    counts = ", ".join(f"{index.count(what):,} {what}" for what in ("documents", "sentences", "tokens"))
    typer.echo(f"{out}: {counts} in {len(index.shards)} shards")
    if index.skipped:
        typer.echo(f"{out / ERRORS}: {index.skipped} documents could not be read, and were left out", err=True)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _tracked(numbers: Sequence[int]) -> Generator[int]:
    with progress("shards", len(numbers)) as advance:
        for number in numbers:
            yield number
            advance()
