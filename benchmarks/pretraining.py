"""Does pre-training on two devices get what one gets? Error / limit of each engine, and of mistakes made on purpose.

    python benchmarks/pretraining.py [--page docs/pretraining.md]

Twenty steps of the preset `tiny` on random rows, as commands; limits are those of `examples/pretraining/replicas.py`,
from 24 replicas of each engine.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import numpy as np
import roberta
import typer
from rich.console import Console
from roberta.tokenizer.data.shards import write_token_shards

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "examples"), str(ROOT / "benchmarks")]

from pretraining import replicas, state  # noqa: E402  # where it lies is not on the path before
from pretraining.corpus import ShardCorpus  # noqa: E402
from pretraining.engines import new_engine  # noqa: E402
from pretraining.recipe import preset  # noqa: E402
from speed import put  # noqa: E402

SCRIPT = str(ROOT / "examples" / "pretrain_shards.py")
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
MISTAKES = str(ROOT / "tests" / "pretraining" / "two_processes.py")
#: Of one process on two devices, what its engine is told.
ONE_PROCESS = {"JAX, 2 devices": "flax", "TensorFlow, MirroredStrategy, 2 devices": "tensorflow"}
#: Of two processes, what `two_processes.py` calls them.
TWO_PROCESSES = {
    "PyTorch, DDP, 2 processes": "ddp",
    "PyTorch, FSDP, 2 processes": "fsdp",
    "PyTorch, FSDP, 2 processes for 9 steps, then one": "stopped",
    "DDP with the mean of the processes' means": "mean-of-means",
    "DDP where all processes get the first one's rows": "first-rows-for-all",
    "DDP that adds up the last piece only": "last-piece-only",
}
console = Console(soft_wrap=True)


def main(page: Annotated[Path | None, typer.Option(help="A page to put the table into.")] = None) -> None:
    """Train, compare, print."""
    rows: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder)
        corpus = write_corpus(made)
        run_all(made)
        for engine, names in (("torch", TWO_PROCESSES), *((e, {name: e}) for name, e in ONE_PROCESS.items())):
            permitted = limits(engine, corpus)
            rows += [row(label, made / f"run-{name}", permitted) for label, name in names.items()]
    head = ["| | losses | weights | first moments | second moments |", "|---|---:|---:|---:|---:|"]
    table = "\n".join([*head, *sorted(rows, key=lambda line: "DDP " in line.split("|")[1])])
    console.print(table, markup=False, highlight=False)
    if page is not None:
        put(page, "agreement", table)


def write_corpus(folder: Path) -> ShardCorpus:
    """Random sentences, in shards."""
    rng = np.random.default_rng(0)
    tokenizer = roberta.RobertaTokenizer.train(["she walked slowly to the park"] * 9, 271)
    tokenizer.save_pretrained(folder / "tokenizer")
    documents = [[rng.integers(4, 270, rng.integers(2, 9)).tolist() for _ in range(13)] for _ in range(11)]
    write_token_shards(documents, folder / "shards", tokenizer)
    return ShardCorpus(folder / "shards", tokenizer, length=17)


def run_all(folder: Path) -> None:
    """All runs, in folders `run-NAME`."""
    options = [
        "--preset",
        "tiny",
        "--length",
        "17",
        "--dropout",
        "0",
        "--attention-dropout",
        "0",
        "--rows-at-once",
        "3",
    ]
    out = str(folder / "run")
    given = ["train", str(folder / "shards"), out, "--tokenizer", str(folder / "tokenizer"), *options]
    start(*TORCHRUN, MISTAKES, out, *given)
    stopped = [f"{out}-stopped" if argument == out else argument for argument in given]
    start(SCRIPT, *stopped)
    for engine in ONE_PROCESS.values():
        its_own = [f"{out}-{engine}" if argument == out else argument for argument in given]
        start(SCRIPT, *its_own, "--engine", engine, "--devices", "2")


def start(*arguments: str) -> None:
    """Run Python, with one thread, as models are tiny, and two devices for JAX."""
    more = {"OMP_NUM_THREADS": "1", "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    subprocess.run([sys.executable, *arguments], env={**os.environ, **more}, check=True, stdout=subprocess.DEVNULL)  # noqa: S603


def limits(engine: str, corpus: ShardCorpus) -> dict[str, replicas.Budget]:
    """What an engine's replicas permit."""
    recipe = preset("tiny", dropout=0.0, attention_dropout=0.0)
    made = new_engine(engine, recipe, recipe.config(corpus.vocab_size, corpus.length))
    return replicas.budgets(replicas.replicas(recipe, corpus, made, recipe.steps))


def row(label: str, run: Path, permitted: dict[str, replicas.Budget]) -> str:
    """A line of the table: the larger of the largest element's and the mean square's error / limit."""
    found = replicas.named(state.read_losses(run), state.read_moments(run))
    worst = replicas.worst(replicas.compare(found, permitted))
    extents = (f"{worst[kind].extent:.3g}" for kind in ("losses", "weights", "first", "second"))
    return f"| {label} | {' | '.join(extents)} |"


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    typer.run(main)
