r"""Embed and label many sentences with Spark, so that each is in the output once, whatever is killed meanwhile.

    python examples/bulk_spark.py novels/*.txt --out out --label-model my-classifier --count 100000 --workers 2

Each part of the rows is one job that writes `out/part=7`. Spark's committer moves a task's file into place when the
task has ended well, once, and writes `_SUCCESS` when all have: a Python worker that dies costs its task a second try,
and a run that dies is started again, and computes the parts that have no `_SUCCESS` yet. Parts trade the time of
starting a job against what a dead run loses; Spark reads the folder as one table.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import roberta
import typer
from pyspark.sql import SparkSession
from sentences import note_run, numbered, require_answerable, require_same


def spark_session(workers: int) -> SparkSession:
    """Spark on this machine: `workers` tasks at a time, each tried four times, with Arrow between Java and Python."""
    settings = {
        "spark.ui.enabled": "false",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.executorEnv.OMP_NUM_THREADS": "1",  # a task has one core
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        "spark.sql.execution.arrow.maxRecordsPerBatch": "2000",
    }
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # a worker is otherwise whatever `python3` there is
    builder: Any = SparkSession.builder.master(f"local[{workers}, 4]").appName("bulk")
    for name, value in settings.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


def main(
    files: Annotated[list[Path], typer.Argument(help="Text files.", exists=True, dir_okay=False)],
    out: Annotated[Path, typer.Option(help="The folder of the Parquet files.")],
    label_model: Annotated[str, typer.Option(help="A checkpoint with a sequence classification head.")],
    model: Annotated[str, typer.Option(help="The checkpoint that embeds.")] = "austen",
    count: Annotated[int, typer.Option(min=1, help="So many sentences; repeated if the files have fewer.")] = 100_000,
    part_size: Annotated[int, typer.Option(min=1, help="Rows of a part.")] = 10_000,
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
    todo = [part for part in parts if not (out / f"part={part}" / "_SUCCESS").exists()]
    print(f"{len(parts) - len(todo)} of {len(parts)} parts are there already", flush=True)
    if not todo:
        return
    settings: dict[str, Any] = {"backend": backend, "batch_size": batch_size, "truncation": True}
    embed = roberta.Predictor(roberta.task("feature-extraction", model, pooling="mean", normalize=True, **settings))
    label = roberta.Predictor(roberta.task("text-classification", label_model, **settings))
    require_answerable(embed, label)  # here, as a worker's error is far from what caused it
    note_run(out, run)
    embedded = f"row bigint, text string, {embed.ddl()}"
    spark = spark_session(workers)
    try:
        start, rows = time.perf_counter(), 0
        for part in todo:
            sentences = table.slice(part * part_size, part_size)
            frame = spark.createDataFrame(sentences.to_pandas()).repartition(workers, "row")
            answered = frame.mapInPandas(embed, embedded).mapInPandas(label, f"{embedded}, {label.ddl()}")
            answered.write.mode("overwrite").parquet(str(out / f"part={part}"))
            rows += len(sentences)
        seconds = time.perf_counter() - start
        print(f"{rows} rows in {len(todo)} parts, {seconds:.1f} s, {rows / seconds:.0f} rows/s")
    finally:
        spark.stop()


if __name__ == "__main__":
    typer.run(main)
