"""How long a checkpoint takes to load, and how much memory: each engine, and transformers' PyTorch class.

    python benchmarks/load.py [--engines numpy,torch,numba,flax,tensorflow,transformers] [--layers 12] [--runs 3]
        [--formats safetensors,pytorch,h5,msgpack]

roberta-base's sizes, float32, a file of 500 MB that has just been written; transformers loads each format by the class
of the framework that it belongs to. Each load in a process of its own, imports not counted; medians. Memory is the peak
over what the imports take, after the load and after the first call, of 8 x 128 ids: of a mapped file those pages are
counted that have been used.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from itertools import product
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from inference import checkpoint, native, on_host
from rich.console import Console
from rich.table import Table
from roberta.dispatch.conversion import convert
from speed import JOB, as_markdown, memory, pin, put, run_child

#: A file -> transformers' class that reads it; other files are PyTorch's.
PEERS = {"tf_model.h5": "TFRobertaModel", "flax_model.msgpack": "FlaxRobertaModel"}
COLUMNS = ("engine", "load, s", "first call, s", "GB after the load", "GB after the call")


class Work(NamedTuple):
    """What a child process is told; `who` is an engine, or "transformers"."""

    who: str
    folder: str
    threads: int


def measure(work: Work) -> tuple[float, float, float, float]:
    """In a child: what stands in the columns."""
    import numpy as np

    given: dict[str, Any] = {}
    if work.who == "transformers":
        import transformers

        name = next((name for file, name in PEERS.items() if (Path(work.folder) / file).exists()), "RobertaModel")
        Face = getattr(transformers, name)
    else:
        import roberta

        Face = roberta.RobertaModel.on(work.who)
        given["backend"] = work.who
    own = {"TFRobertaModel": "tensorflow", "FlaxRobertaModel": "flax"}.get(Face.__name__, "torch")
    ids = native(own if work.who == "transformers" else work.who)(np.full((8, 128), 7))
    before, begun = memory(), time.perf_counter()
    model: Any = Face.from_pretrained(work.folder, **given)
    loaded, after = time.perf_counter(), memory()
    output = model(ids)[0]
    on_host(output.detach() if hasattr(output, "detach") else output)
    return loaded - begun, time.perf_counter() - loaded, after - before, memory() - before


# -- in the parent -----------------------------------------------------------------------------------------------------


def main(
    engines: Annotated[
        str, typer.Option(help="which, with commas between")
    ] = "numpy,torch,numba,flax,tensorflow,transformers",
    layers: int = 12,
    threads: int = 2,
    runs: Annotated[int, typer.Option(min=1, help="how often each loads")] = 3,
    formats: Annotated[str, typer.Option(help="which, with commas between")] = "safetensors",
    page: Annotated[Path | None, typer.Option(help="a page to put the table into, such as docs/speed.md")] = None,
) -> None:
    """Load, and measure time and memory."""
    pin(threads)
    rows: list[tuple[str, ...]] = []
    with tempfile.TemporaryDirectory() as above:
        folder = str(Path(above) / "checkpoint")
        checkpoint(folder, layers)
        for form, who in product(formats.split(","), engines.split(",")):
            place = folder if form == "safetensors" else f"{folder}-{form}"
            if not Path(place).exists():
                convert(folder, place, format=form)
            found = [run_child(Work(who, place, threads), __file__) for _ in range(runs)]
            if isinstance(found[0], str):
                raise SystemExit(f"{who}, {form}: {found[0]}")
            name = who if formats == "safetensors" else f"{who}, {form}"
            rows.append((name, *(f"{statistics.median(column):.2f}" for column in zip(*found, strict=True))))
    table = Table(*COLUMNS)
    for row in rows:
        table.add_row(*row)
    Console(width=100).print(table)
    if page is not None:
        put(page, "load", as_markdown(COLUMNS, rows))


if __name__ == "__main__":
    if JOB in os.environ:
        own_work = Work(*json.loads(os.environ[JOB]))
        pin(own_work.threads)
        print(json.dumps(measure(own_work)))
    else:
        typer.run(main)
