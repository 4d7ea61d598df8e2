"""Speed: every engine against transformers' own class on the same framework, eager with eager, compiled with compiled.

    python benchmarks/speed.py [--engines numba,torch] [--layers 2] [--threads 2] [--head masked_lm]

Each row has a process of its own, as the frameworks' threads would fight; in it, our model and the peer take turns, so
that both see the same machine. Both have the same weights and the same ids, of the size of roberta-base. Before they
are timed, the first text of the batch is held against the float64 spec, ours and the peer's, within the budget that
float32 has by `roberta.parity`: what is wrong is not timed. numpy and numba, which have no class there, run against
PyTorch's.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from rich.console import Console
from rich.table import Table

#: (engine, mode) in the order of the table.
ROWS = (
    ("numpy", "eager"),
    ("numba", "compiled kernels"),
    ("torch", "eager"),
    ("torch", "compile"),
    ("tensorflow", "eager"),
    ("tensorflow", "function"),
    ("flax", "eager"),
    ("flax", "jit"),
)
CLASSES = {"model": "RobertaModel", "masked_lm": "RobertaForMaskedLM"}
DISTRIBUTIONS = {
    "numpy": ("numpy", "torch"),
    "numba": ("numba", "numpy", "torch"),
    "torch": ("torch",),
    "tensorflow": ("tensorflow", "keras", "tf-keras"),
    "flax": ("flax", "jax"),
}
#: The variables by which libraries are told how many threads to start, before they are imported.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
#: Seconds before each call: threads of OpenMP go on spinning after their work, and would take the other's cores.
PAUSE = 0.2
#: In which variable a child is told its job.
JOB = "ROBERTA_BENCHMARK_JOB"
Forward = Callable[[], Any]


class Job(NamedTuple):
    """One row to measure: what a child process is told.

    Attributes:
        engine: of `ROWS`.
        mode: of `ROWS`.
        folder: a checkpoint, and `case.npz` with the ids and the budget of the first text.
        head: "model" or "masked_lm".
        threads: how many.
        runs: how often each of the two is timed.
    """

    engine: str
    mode: str
    folder: str
    head: str
    threads: int
    runs: int


# -- in the child --------------------------------------------------------------------------------------------------


def load_ours(job: Job) -> Any:
    import roberta

    return getattr(roberta, CLASSES[job.head]).from_pretrained(job.folder, backend=job.engine)


def load_peer(prefix: str, job: Job, **options: Any) -> Any:
    import transformers

    transformers.logging.set_verbosity_error()
    return getattr(transformers, prefix + CLASSES[job.head]).from_pretrained(job.folder, **options)


def load_keras_peer(job: Job) -> Any:
    """The peer's own loader cannot read the safetensors of today: it gets the tensors by hand."""
    import tensorflow as tf
    import transformers
    from safetensors.torch import load_file
    from transformers.modeling_tf_pytorch_utils import load_pytorch_weights_in_tf2_model

    peer = getattr(transformers, f"TF{CLASSES[job.head]}")(transformers.RobertaConfig.from_pretrained(job.folder))
    weights = load_file(Path(job.folder) / "model.safetensors")
    return load_pytorch_weights_in_tf2_model(peer, weights, tf_inputs={"input_ids": tf.constant([[0, 2]])})


def with_torch(job: Job, ids: Any) -> tuple[Forward, Forward]:
    """Our engine, which may be NumPy or Numba, and PyTorch's class."""
    import torch

    torch.set_num_threads(job.threads)
    compile_mode = torch.compile if job.mode == "compile" else lambda model: model
    ours, peer, tensor = compile_mode(load_ours(job)), compile_mode(load_peer("", job).eval()), torch.from_numpy(ids)

    def forward(model: Any, tokens: Any) -> Any:
        with torch.inference_mode():
            return model(tokens)[0]

    own = tensor if job.engine == "torch" else ids
    return lambda: forward(ours, own), lambda: forward(peer, tensor)


def with_tensorflow(job: Job, ids: Any) -> tuple[Forward, Forward]:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(job.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    wrap = tf.function if job.mode == "function" else lambda call: call
    ours, peer, tensor = load_ours(job), load_keras_peer(job), tf.constant(ids)
    own, theirs = wrap(lambda tokens: ours(tokens)[0]), wrap(lambda tokens: peer(tokens, training=False)[0])
    return lambda: own(tensor).numpy(), lambda: theirs(tensor).numpy()


def with_flax(job: Job, ids: Any) -> tuple[Forward, Forward]:
    import jax
    from flax import nnx

    ours, peer, array = load_ours(job), load_peer("Flax", job, from_pt=True), jax.numpy.asarray(ids)
    if job.mode == "jit":
        graph, state = nnx.split(ours)
        own = jax.jit(lambda state, tokens: nnx.merge(graph, state)(tokens)[0])
        theirs = jax.jit(lambda params, tokens: peer(tokens, params=params)[0])
        return lambda: own(state, array).block_until_ready(), lambda: theirs(peer.params, array).block_until_ready()
    return lambda: ours(array)[0].block_until_ready(), lambda: peer(array)[0].block_until_ready()


def measure(job: Job) -> dict[str, Any]:
    """Check both, then time them in turns."""
    import numpy as np

    case = np.load(Path(job.folder) / "case.npz")
    pair = {"tensorflow": with_tensorflow, "flax": with_flax}.get(job.engine, with_torch)(job, case["ids"])
    errors = [float((np.abs(np.asarray(call())[:1] - case["truth"]) / case["limit"]).max()) for call in pair]
    if not max(errors) <= 1:  # NaN is not
        message = f"error / budget is {errors[0]:.3g} for ours and {errors[1]:.3g} for the peer"
        raise SystemExit(message)
    seconds: list[list[float]] = [[], []]
    for _ in range(job.runs):
        for call, taken in zip(pair, seconds, strict=True):
            time.sleep(PAUSE)
            start = time.perf_counter()
            call()
            taken.append(time.perf_counter() - start)
    versions = {name: version(name) for name in DISTRIBUTIONS[job.engine]}
    return {"seconds": seconds, "errors": errors, "versions": versions, "tokens": int(case["ids"].size)}


# -- in the parent -------------------------------------------------------------------------------------------------


def prepare(folder: str, head: str, layers: int, batch: int, length: int) -> None:
    """Write a random checkpoint of roberta-base's sizes, ids, and the first text's truth and budget."""
    import numpy as np
    import roberta
    from roberta.parity.tolerances import budgets

    config = roberta.RobertaConfig(
        num_hidden_layers=layers, max_position_embeddings=514, type_vocab_size=1, layer_norm_eps=1e-5
    )
    model = getattr(roberta, CLASSES[head])(config, backend="numpy")
    model.save_pretrained(folder)
    ids = np.random.default_rng(0).integers(3, config.vocab_size, (batch, length))
    permitted, _ = budgets(model.to_backend("numpy", "float64"), {"input_ids": ids[:1]}, "float32")
    budget = permitted["last_hidden_state" if head == "model" else "logits"]
    np.savez(Path(folder) / "case.npz", ids=ids, truth=budget.truth, limit=budget.limit)


def run_child(job: Any, script: str = __file__) -> dict[str, Any] | str:
    """A child's findings, or why there are none.

    Args:
        job: what it is told, `threads` among it.
        script: what it runs: a file that looks for `JOB` where it is the main one.
    """
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_USE_LEGACY_KERAS": "1", "TF_ENABLE_ONEDNN_OPTS": "1"}
    quiet |= {"PYTHONWARNINGS": "ignore", JOB: json.dumps(job)}
    pinned = {name: str(job.threads) for name in THREADS}
    result = subprocess.run(  # noqa: S603  # a file of this folder
        [sys.executable, script], env={**os.environ, **quiet, **pinned}, capture_output=True, text=True, check=False
    )
    lines = (result.stdout if result.returncode == 0 else result.stderr).strip().splitlines()
    last = lines[-1] if lines else f"the process ended with {result.returncode}"
    return json.loads(last) if result.returncode == 0 else last


def show(table: Table, job: Job, found: dict[str, Any] | str) -> None:
    """Add a row: medians, and the ratio of each turn with its quartiles."""
    if isinstance(found, str):
        table.add_row(job.engine, job.mode, "", "", "", "", found)
        return
    ours, peer = found["seconds"]
    ratios = [theirs / own for own, theirs in zip(ours, peer, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    speeds = [f"{found['tokens'] / statistics.median(seconds):.0f}" for seconds in (ours, peer)]
    errors = " ".join(f"{error:.2f}" for error in found["errors"])
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    table.add_row(job.engine, job.mode, *speeds, f"{middle:.2f} ({low:.2f} to {high:.2f})", errors, versions)


def memory() -> float:
    """The largest that this process has been since it began its program, in GB; `getrusage` counts its parent, too."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e9


def as_markdown(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table for a page, numbers to the right."""
    lines = [titles, ["---:"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def put(page: Path, name: str, text: str) -> None:
    """Write a part of a page anew: what stands between its two marks.

    Args:
        page: which has two lines `<!-- NAME -->`.
        name: of the benchmark that writes this part.
        text: what comes there.
    """
    before, *_, after = parts = page.read_text(encoding="utf-8").split(f"<!-- {name} -->\n")
    if len(parts) != 3:
        raise SystemExit(f"{page}: required two lines '<!-- {name} -->', there are {len(parts) - 1}")
    whole = f"<!-- {name} -->\n".join([before, f"\n{text}\n\n", after])
    page.write_text(whole, encoding="utf-8")


def pin(threads: int) -> None:
    """Keep to as many cores as threads, where the system can: JAX has no number to set."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def main(
    engines: Annotated[str, typer.Option(help="which, with commas between")] = "numpy,numba,torch,tensorflow,flax",
    head: Annotated[str, typer.Option(help="model or masked_lm")] = "model",
    layers: int = 12,
    batch: int = 8,
    length: int = 128,
    threads: int = 2,
    runs: Annotated[int, typer.Option(min=2, help="how often each is timed")] = 10,
) -> None:
    """Time every engine against transformers' class."""
    pin(threads)
    peer = version("transformers")
    title = f"{CLASSES[head]}, {layers} layers, batch {batch} x {length}, float32, {threads} threads, {runs} turns"
    table = Table(title=f"{title}, against transformers {peer}")
    table.add_column("engine")
    table.add_column("mode")
    for column in ("tokens/s", "peer's", "ratio (quartiles)", "error / budget, both"):
        table.add_column(column, justify="right")
    table.add_column("versions")
    console = Console(width=160)
    with tempfile.TemporaryDirectory() as folder, console.status("the float64 spec computes the budget") as status:
        prepare(folder, head, layers, batch, length)
        for engine, mode in ROWS:
            if engine in engines.split(","):
                status.update(f"{engine}, {mode}")
                job = Job(engine, mode, folder, head, threads, runs)
                show(table, job, run_child(job))
    console.print(table)
    console.print("ratio: the peer's time over ours, turn by turn; above 1 we are faster.")


if __name__ == "__main__":
    if JOB in os.environ:
        chosen = Job(*json.loads(os.environ[JOB]))
        pin(chosen.threads)
        print(json.dumps(measure(chosen)))
    else:
        typer.run(main)
