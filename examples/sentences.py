"""What `bulk_ray.py` and `bulk_spark.py` share: numbered sentences of text files, and whose output a folder has."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import roberta
import typer
from roberta.files.atomic import write_atomically

#: In the folder of the output; readers of Parquet leave out names that begin so.
RUN = "_run.json"

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


def require_same(out: Path, run: Mapping[str, Any]) -> None:
    """Refuse a folder with parts of another run: its part 7 has other rows, and would be taken for this one's."""
    if (out / RUN).exists():
        before = json.loads((out / RUN).read_text(encoding="utf-8"))
        for name, value in run.items():
            if before.get(name) != value:
                message = f"required the run that {out} has parts of, with {name} = {before.get(name)!r}, got {value!r}"
                raise typer.BadParameter(f"{message}; give another --out, or remove the folder")


def note_run(out: Path, run: Mapping[str, Any]) -> None:
    """Say in the folder what its parts are of."""
    write_atomically(out / RUN, json.dumps(run).encode())


def require_answerable(*predictors: roberta.Predictor) -> None:
    """Load each model once, in this process, where the user sees what is wrong with it."""
    for predictor in predictors:
        try:
            predictor.task.load()
        except (ValueError, OSError) as error:
            raise typer.BadParameter(str(error)) from error


def sentences_of(text: str) -> list[str]:
    r"""Cut after . ! ? and closing quotes where a capital follows, but not after "Mr."; breaks of lines are undone.

    >>> sentences_of('"Oh!" said Mr.\nKnightley.  She had not. "No."')
    ['"Oh!" said Mr. Knightley.', 'She had not.', '"No."']
    """
    paragraphs = (" ".join(block.replace("_", "").split()) for block in re.split(r"\n\s*\n", text))
    return [sentence for paragraph in paragraphs for sentence in SENTENCE_END.split(paragraph) if sentence]
