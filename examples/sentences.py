"""Numbered sentences of text files, the input of `bulk_ray.py` and `bulk_spark.py`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import cycle, islice
from pathlib import Path

import pyarrow as pa
import typer

SENTENCE_END = re.compile(
    r"""(?<!\bMr\.)(?<!\bMrs\.)(?<!\bDr\.)(?<!\bSt\.)(?:(?<=[.!?])|(?<=[.!?]["')]))\s+(?=["'(]*[A-Z])"""
)


def numbered(files: Iterable[Path], count: int) -> pa.Table:
    """A table of `row` (0, 1, …) and `text`: the first `count` sentences, begun again where there are fewer."""
    found = [sentence for file in files for sentence in sentences_of(file.read_text(encoding="utf-8"))]
    if not found:
        message = f"required text files with sentences in them, got {', '.join(map(str, files))}"
        raise typer.BadParameter(message)
    return pa.table({"row": pa.array(range(count), pa.int64()), "text": list(islice(cycle(found), count))})


def sentences_of(text: str) -> list[str]:
    r"""Cut after . ! ? and closing quotes where a capital follows, but not after "Mr."; breaks of lines are undone.

    >>> sentences_of('"Oh!" said Mr.\nKnightley.  She had not. "No."')
    ['"Oh!" said Mr. Knightley.', 'She had not.', '"No."']
    """
    paragraphs = (" ".join(block.replace("_", "").split()) for block in re.split(r"\n\s*\n", text))
    return [sentence for paragraph in paragraphs for sentence in SENTENCE_END.split(paragraph) if sentence]
