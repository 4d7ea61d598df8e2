r"""Embed and label many sentences with Ray Data, so that each is in the output once, whatever is killed meanwhile.

    python examples/bulk_ray.py novels/*.txt --out out --label-model my-classifier --count 100000 --workers 2

Sentences are numbered, and numbers cut into parts: part 7 is always the same rows, and its output always the same file,
`part-00007.parquet`, which is written beside and renamed. So a part is there whole or not at all. A worker that dies is
replaced by Ray, and its part computed again; a run that dies is started again, and computes what has no file yet.
"""

from __future__ import annotations

import io
import time
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.parquet as pq
import ray
import roberta
import typer
from roberta.files.atomic import write_atomically
from sentences import note_run, numbered, require_answerable, require_same


def part_of(table: pa.Table, part: int, size: int) -> pa.Table:
    """The rows of a part, in memory of their own: a slice would carry the whole table along."""
    return pa.table(table.slice(part * size, size).to_pydict(), table.schema)


def write_part(table: pa.Table, out: Path, size: int) -> dict[str, Any]:
    """Write one part, if it is one: which rows came together is Ray's to decide, so it is not taken on trust."""
    rows = table["row"].to_pylist()
    part, within = divmod(rows[0], size)
    if within or rows != list(range(rows[0], rows[0] + len(rows))) or len(rows) > size:
        message = f"a batch has rows {rows[0]} to {rows[-1]}, {len(rows)} of them: that is not one part of {size}"
        raise RuntimeError(message)
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    write_atomically(out / f"part-{part:05}.parquet", buffer.getvalue())
    return {"part": [part], "rows": [len(rows)]}


def main(
    files: Annotated[list[Path], typer.Argument(help="Text files.", exists=True, dir_okay=False)],
    out: Annotated[Path, typer.Option(help="The folder of the Parquet files.")],
    label_model: Annotated[str, typer.Option(help="A checkpoint with a sequence classification head.")],
    model: Annotated[str, typer.Option(help="The checkpoint that embeds.")] = "austen",
    count: Annotated[int, typer.Option(min=1, help="So many sentences; repeated if the files have fewer.")] = 100_000,
    part_size: Annotated[int, typer.Option(min=1, help="Rows of a part.")] = 2000,
    batch_size: Annotated[int, typer.Option(min=1, help="Rows that the model computes together.")] = 64,
    workers: Annotated[int, typer.Option(min=1, help="Processes, of one core each.")] = 2,
    backend: Annotated[str, typer.Option(help="The engine.")] = "torch",
) -> None:
    """Embed and label sentences into Parquet, each exactly once."""
    table = numbered(files, count)
    run = {"files": [file.name for file in files], "count": count, "part_size": part_size}
    run |= {"model": model, "label_model": label_model}
    require_same(out, run)
    parts = range(-(-count // part_size))
    todo = [part for part in parts if not (out / f"part-{part:05}.parquet").exists()]
    print(f"{len(parts) - len(todo)} of {len(parts)} parts are there already", flush=True)
    if not todo:
        return
    settings: dict[str, Any] = {"backend": backend, "batch_size": batch_size, "truncation": True}
    embed = roberta.Predictor(roberta.task("feature-extraction", model, pooling="mean", normalize=True, **settings))
    label = roberta.Predictor(roberta.task("text-classification", label_model, **settings))
    require_answerable(embed, label)  # here, as a worker's error is far from what caused it
    note_run(out, run)
    whole: dict[str, Any] = {
        "batch_format": "pyarrow",
        "batch_size": None,
        "compute": ray.data.TaskPoolStrategy(size=workers),
    }
    ray.init(
        num_cpus=workers,
        include_dashboard=False,
        object_store_memory=256 * 2**20,
        log_to_driver=False,
        logging_level="WARNING",
    )
    try:
        start = time.perf_counter()
        blocks = ray.data.from_arrow([part_of(table, part, part_size) for part in todo])
        answered = blocks.map_batches(embed, **whole).map_batches(label, **whole)
        written = answered.map_batches(write_part, fn_args=(out.resolve(), part_size), **whole).take_all()
        seconds, rows = time.perf_counter() - start, sum(one["rows"] for one in written)
        print(f"{rows} rows in {len(written)} parts, {seconds:.1f} s, {rows / seconds:.0f} rows/s")
    finally:
        ray.shutdown()


if __name__ == "__main__":
    typer.run(main)
