"""Rows a second of bulk prediction: one process, Ray Data, Spark, and transformers' pipeline, on the same sentences.

    python benchmarks/bulk.py novels/*.txt [--rows 100000] [--workers 2] [--rounds 3] [--threads 1]
    python benchmarks/bulk.py novels/*.txt --memory --processes 1,2,4
    python benchmarks/bulk.py novels/*.txt --host

Each row gets the mean vector of the shipped checkpoint and a label of a classifier of the same size (seeded weights,
saved first). The candidates take turns, round after round, each in a process of its own that is told how many threads a
process may use; a rate is that of the rows alone, without start-up, which has a column of its own. The peer is the
pipeline of transformers 4.57.6 with the same batch size, once as its users call it (rows in their order) and once with
rows sorted by length, as ours sorts them. A sample of rows of each is held against the float64 spec: error / budget,
each number within what float32 may err; then it is timed.

With `--memory`: the proportional set size (PSS: pages that several processes share count in parts) of processes that
have loaded and answered.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from speed import THREADS

ROOT = Path(__file__).resolve().parent.parent
#: In which variable a child is told its job.
JOB = "ROBERTA_BULK_JOB"
#: Candidate -> what it is.
CANDIDATES = {
    "one process": "roberta.Predictor, in a loop",
    "Ray Data": "examples/bulk_ray.py",
    "Spark": "examples/bulk_spark.py",
    "pipeline": "transformers' pipelines, rows in their order",
    "pipeline, sorted": "the same, rows sorted by length",
}
SAMPLE = 8

# -- in the children -----------------------------------------------------------------------------------------------


def answer_with_ours(job: dict[str, Any], table: Any) -> tuple[float, Any]:
    """The rows as one process answers them, part by part, as the workers of the others do."""
    import pyarrow as pa
    import roberta

    settings: dict[str, Any] = {"backend": job["backend"], "batch_size": job["batch_size"], "truncation": True}
    task = roberta.task("feature-extraction", job["model"], pooling="mean", normalize=True, **settings)
    embed = roberta.Predictor(task)
    label = roberta.Predictor(roberta.task("text-classification", job["label_model"], **settings))
    label(embed(table.slice(0, 1)))
    start, size = time.perf_counter(), job["part_size"]
    parts = [label(embed(table.slice(begin, size))) for begin in range(0, len(table), size)]
    return time.perf_counter() - start, pa.concat_tables(parts)


def answer_with_pipelines(job: dict[str, Any], table: Any) -> tuple[float, Any]:
    """The same by transformers: the mean over a text's tokens is taken of what its feature extraction gives."""
    import numpy as np
    import pyarrow as pa
    import transformers

    transformers.logging.set_verbosity_error()
    options: dict[str, Any] = {"batch_size": job["batch_size"], "truncation": True, "max_length": 128}
    load = {"device": "cpu"}
    body = transformers.RobertaModel.from_pretrained(job["model"], add_pooling_layer=False, dtype="float32")
    tokenizer = transformers.AutoTokenizer.from_pretrained(job["model"])
    embed = transformers.pipeline("feature-extraction", model=body, tokenizer=tokenizer, **load)
    label = transformers.pipeline("text-classification", model=job["label_model"], **load)
    tokenize = {"tokenize_kwargs": {"truncation": True, "max_length": 128}, "return_tensors": True}
    texts = table["text"].to_pylist()
    order = sorted(range(len(texts)), key=lambda at: -len(texts[at])) if job["is_sorted"] else range(len(texts))
    asked = [texts[at] for at in order]
    label(embed.tokenizer.decode([0]))
    start = time.perf_counter()
    # its padding is in what it gives, and nothing there says where: lengths are asked of the tokenizer
    lengths = [len(ids) for ids in tokenizer(asked, truncation=True, max_length=128)["input_ids"]]
    vectors: list[Any] = []
    for length, states in zip(lengths, embed(asked, batch_size=job["batch_size"], **tokenize), strict=True):
        mean = np.asarray(states)[0, :length].mean(0)
        vectors.append(mean / np.linalg.norm(mean))
    labels = label(asked, **options)
    seconds = time.perf_counter() - start
    answered = {
        "row": [table["row"][at].as_py() for at in order],
        "text": asked,
        "vector": [vector.tolist() for vector in vectors],
        "label": [one["label"] for one in labels],
        "score": [one["score"] for one in labels],
    }
    return seconds, pa.table(answered)


def child(job: dict[str, Any]) -> None:
    """Read the rows, answer them, write the answers, and say how long it took."""
    import pyarrow.parquet as pq
    import torch

    torch.set_num_threads(job["threads"])
    table = pq.read_table(job["input"])
    answer = answer_with_pipelines if job["candidate"].startswith("pipeline") else answer_with_ours
    seconds, answered = answer(job, table)
    pq.write_table(answered, job["out"])
    print(json.dumps({"seconds": seconds}))


def hold(job: dict[str, Any]) -> None:
    """A process that has loaded and answered, and waits to be looked at."""
    import roberta

    settings: dict[str, Any] = {"backend": job["backend"], "batch_size": 1}
    roberta.task("feature-extraction", job["model"], pooling="mean", **settings)("She was glad.")
    print("answered", flush=True)
    sys.stdin.read()


# -- in the parent: throughput -------------------------------------------------------------------------------------


def environment(threads: int, **more: str) -> dict[str, str]:
    """What each child is started with."""
    pinned = {name: str(threads) for name in THREADS}
    return {**os.environ, "PYTHONWARNINGS": "ignore", "TOKENIZERS_PARALLELISM": "false", **pinned, **more}


def run(candidate: str, job: dict[str, Any], folder: Path) -> tuple[float, float, Path]:
    """Seconds of the rows, of all, and where the answers are."""
    out = Path(tempfile.mkdtemp(dir=folder)) / "out"
    start = time.perf_counter()
    if candidate in ("Ray Data", "Spark"):
        command = [sys.executable, str(ROOT / CANDIDATES[candidate]), *job["files"], "--out", str(out)]
        for name in ("model", "label_model", "count", "part_size", "batch_size", "workers", "backend"):
            command += [f"--{name.replace('_', '-')}", str(job[name])]
        said = started(command, environment(job["threads"])).splitlines()
        seconds = next(float(line.split(" parts, ")[1].split(" s,")[0]) for line in said if " rows/s" in line)
    else:
        told = {**job, "candidate": candidate, "is_sorted": candidate.endswith("sorted"), "out": str(out)}
        said = started([sys.executable, __file__], environment(job["threads"], **{JOB: json.dumps(told)}))
        seconds = json.loads(said.strip().splitlines()[-1])["seconds"]
    return seconds, time.perf_counter() - start, out


def started(command: list[str], env: dict[str, str]) -> str:
    result = subprocess.run(command, env=env, capture_output=True, text=True, check=False)  # noqa: S603  # our own
    if result.returncode:
        raise SystemExit(f"{' '.join(command)}\n{result.stderr[-3000:]}")
    return result.stdout


def write_classifier(folder: Path, model: str) -> None:
    """A classifier with three labels on the same body: seeded weights, which are saved before anything is answered."""
    import warnings

    import roberta
    from roberta.dispatch import checkpoint

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that its head is random
        classifier = roberta.RobertaForSequenceClassification.from_pretrained(model, backend="numpy", num_labels=3)
    classifier.save_pretrained(folder)
    roberta.load_tokenizer(checkpoint.locate(model)).save_pretrained(folder)


def require_rows(answered: Any, table: Any) -> None:
    """Each row, once."""
    found = answered.sort_by("row").select(["row", "text"])
    if found.to_pylist() != table.to_pylist():
        raise SystemExit("the answers are not of these rows, each once")


def budget_of_sample(job: dict[str, Any], table: Any) -> tuple[Any, Any]:
    """What some rows' vectors are in float64, and what float32 may err there."""
    import numpy as np
    import roberta
    from roberta.dispatch import checkpoint
    from roberta.parity.tolerances import noisy_runs

    model = roberta.RobertaModel.from_pretrained(
        job["model"], backend="numpy", dtype="float64", add_pooling_layer=False
    )
    texts = table["text"].to_pylist()[:SAMPLE]
    tokenizer = roberta.load_tokenizer(checkpoint.locate(job["model"]))
    inputs = tokenizer(texts, padding=True, truncation=True, max_length=128, return_tensors="np")
    mask = inputs["attention_mask"][:, :, None]  # B T 1

    def vectors(outputs: Any) -> Any:
        mean = (outputs["last_hidden_state"] * mask).sum(1) / mask.sum(1)  # B D
        return mean / np.linalg.norm(mean, axis=-1, keepdims=True)

    budget = noisy_runs(model, [dict(inputs)], "float32").budget_of(vectors)
    return budget.truth, budget.limit


def measure(job: dict[str, Any], table: Any, rounds: int, folder: Path, names: list[str]) -> dict[str, Any]:
    """Each candidate in turn, `rounds` times: seconds of the rows, seconds before them, error / budget."""
    import numpy as np
    import pyarrow.dataset

    truth, limit = budget_of_sample(job, table)
    found: dict[str, Any] = {name: {"seconds": [], "start": []} for name in names}
    for _ in range(rounds):
        for name, taken in found.items():
            seconds, total, out = run(name, job, folder)
            taken["seconds"].append(seconds)
            taken["start"].append(total - seconds)
            answered = pyarrow.dataset.dataset(out, partitioning="hive").to_table().sort_by("row")
            require_rows(answered, table)
            vectors = np.array(answered["vector"].to_pylist()[:SAMPLE])
            taken["error"] = float((np.abs(vectors - truth) / limit).max())
    return found


# -- in the parent: memory -----------------------------------------------------------------------------------------


def memory_of(count: int, job: dict[str, Any]) -> tuple[float, float]:
    """PSS and RSS in MB of so many processes that hold the task, together."""
    env = environment(1, **{JOB: json.dumps({**job, "candidate": "hold"})})
    children = [
        subprocess.Popen([sys.executable, __file__], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603
        for _ in range(count)
    ]
    try:
        for one in children:
            if one.stdout is None or b"answered" not in one.stdout.readline():
                raise SystemExit("a process has ended before it answered")
        rollups = [Path(f"/proc/{one.pid}/smaps_rollup").read_text(encoding="utf-8") for one in children]
    finally:
        for one in children:
            one.communicate()
    totals = [
        sum(int(line.split()[1]) for text in rollups for line in text.splitlines() if line.startswith(f"{name}:"))
        for name in ("Pss", "Rss")
    ]
    return totals[0] * 1024 / 1e6, totals[1] * 1024 / 1e6


def large_checkpoint(folder: Path) -> str:
    """Of the size of roberta-base: seeded weights."""
    import roberta
    from roberta.dispatch import checkpoint

    tokenizer = roberta.load_tokenizer(checkpoint.locate("austen"))
    config = roberta.RobertaConfig(max_position_embeddings=514, type_vocab_size=1, layer_norm_eps=1e-5)
    roberta.RobertaModel(config, backend="numpy", add_pooling_layer=False).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def show_memory(counts: list[int], backends: list[str], folder: Path) -> None:
    """A table of what processes take together."""
    model = large_checkpoint(folder / "base")
    file = (folder / "base" / "model.safetensors").stat().st_size / 1e6
    shown = Table(title=f"roberta-base's size, {file:.0f} MB of float32 in its file")
    for name in ("engine", "processes", "PSS, MB", "PSS of each, MB", "RSS of all, MB"):
        shown.add_column(name, justify="right")
    for backend in backends:
        for count in counts:
            pss, rss = memory_of(count, {"model": model, "backend": backend})
            shown.add_row(backend, str(count), f"{pss:.0f}", f"{pss / count:.0f}", f"{rss:.0f}")
    Console().print(shown)


# -- in this process: the host's share -----------------------------------------------------------------------------


def show_host(table: Any, model: str, batch_size: int) -> None:
    """Microseconds of a core that a row costs, in the model and beside it."""
    import roberta
    import torch
    from roberta.tasks import Task

    torch.set_num_threads(1)
    spent, asked = 0.0, Task._asked

    def timed(task: Task, inputs: Any) -> Any:
        nonlocal spent
        begun = time.process_time()
        answer = asked(task, inputs)
        spent += time.process_time() - begun
        return answer

    Task._asked = timed
    how: dict[str, Any] = {"backend": "torch", "batch_size": batch_size, "truncation": True}
    embed = roberta.Predictor(roberta.task("feature-extraction", model, pooling="mean", normalize=True, **how))
    embed(table.slice(0, 64))
    spent, begun = 0.0, time.process_time()
    embed(table)
    total = time.process_time() - begun
    texts, begun = table["text"].to_pylist(), time.process_time()
    ids = embed.task.weights.tokenizer(texts, truncation=True, max_length=128)["input_ids"]
    tokenizing, tokens = time.process_time() - begun, sum(map(len, ids)) / len(texts)
    parts = {"model": spent, "beside it": total - spent, "tokenizing alone": tokenizing}
    said = ", ".join(f"{name} {1e6 * seconds / len(texts):.0f} us" for name, seconds in parts.items())
    print(f"{len(texts)} rows of {tokens:.1f} tokens: {said} a row")


# -- the command ---------------------------------------------------------------------------------------------------


def main(
    files: Annotated[list[Path], typer.Argument(help="Text files.")],
    rows: Annotated[int, typer.Option(min=SAMPLE, help="How many sentences.")] = 20_000,
    rounds: Annotated[int, typer.Option(min=1, help="How often each is timed.")] = 3,
    workers: Annotated[int, typer.Option(min=1, help="Processes of Ray and of Spark.")] = 2,
    threads: Annotated[int, typer.Option(min=1, help="Threads of each process.")] = 1,
    part_size: Annotated[int, typer.Option(min=1, help="Rows of a part.")] = 2000,
    batch_size: Annotated[int, typer.Option(min=1, help="Rows computed together.")] = 64,
    backend: Annotated[str, typer.Option(help="The engine.")] = "torch",
    only: Annotated[str, typer.Option(help="Candidates, with semicolons between them.")] = ";".join(CANDIDATES),
    memory: Annotated[bool, typer.Option(help="Measure memory instead.")] = False,
    host: Annotated[bool, typer.Option(help="Measure what a row costs beside the model instead.")] = False,
    processes: Annotated[str, typer.Option(help="How many, for memory.")] = "1,2,4",
    engines: Annotated[str, typer.Option(help="Whose, for memory.")] = "numpy,numba,torch",
) -> None:
    """Time bulk prediction, or weigh its processes."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        if memory:
            show_memory([int(count) for count in processes.split(",")], engines.split(","), folder)
            return
        import pyarrow.parquet as pq
        from roberta.dispatch import checkpoint

        sys.path.insert(0, str(ROOT / "examples"))
        from sentences import numbered

        table = numbered(files, rows)
        pq.write_table(table, folder / "input.parquet")
        model = str(checkpoint.locate("austen"))
        if host:
            show_host(table, model, batch_size)
            return
        write_classifier(folder / "classifier", model)
        job = {"files": [str(file) for file in files], "input": str(folder / "input.parquet"), "model": model}
        job |= {"label_model": str(folder / "classifier"), "count": rows, "part_size": part_size}
        job |= {"batch_size": batch_size, "workers": workers, "threads": threads, "backend": backend}
        show(measure(job, table, rounds, folder, only.split(";")), rows)


def show(found: dict[str, Any], rows: int) -> None:
    """The table, with ratios to one process of ours in the same round."""
    peers = [name for name in ("one process", "pipeline", "pipeline, sorted") if name in found]
    shown = Table(
        title=f"{rows:,} rows, two models each; {os.cpu_count()} cores; transformers {version('transformers')}"
    )
    for name in ("candidate", "rows/s", *(f"x {peer}" for peer in peers), "start-up, s", "error / budget"):
        shown.add_column(name, justify="right")
    for name, taken in found.items():
        rate = statistics.median(rows / seconds for seconds in taken["seconds"])
        ratios = [
            statistics.median(b / a for a, b in zip(taken["seconds"], found[peer]["seconds"], strict=True))
            for peer in peers
        ]
        start = statistics.median(taken["start"])
        numbers = [f"{ratio:.2f}" for ratio in ratios]
        shown.add_row(name, f"{rate:.0f}", *numbers, f"{start:.1f}", f"{taken['error']:.2f}")
    Console(width=120).print(shown)


if __name__ == "__main__":
    if JOB in os.environ:
        told = json.loads(os.environ[JOB])
        hold(told) if told["candidate"] == "hold" else child(told)
    else:
        typer.run(main)
