"""The inference forms against transformers' PyTorch class, in turns: full, ragged, a short text, masked tokens only.

    python benchmarks/inference.py [--engines torch,numba] [--layers 12] [--threads 2] [--runs 9]

The size of roberta-base, random weights, float32; each engine in a process of its own. "peak" is the time that the
matrix products would take at the processor's rate of multiply-adds, as a kernel in the first cache reaches it in the
same process. What is timed has been held against the peer first: within 1e-4 of the largest number, so that what is
timed is the same computation; whether it is right, `roberta parity` says.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from speed import PAUSE, THREADS, pin

LENGTHS = (12, 20, 33, 48, 64, 80, 100, 128)
CASES = ("full", "ragged", "short", "masked")
MASKED = 0.15


def inputs_of(case: str, vocabulary: int) -> tuple[Any, Any, Any]:
    """Ids, mask and the places where logits are wanted, of a case; None where there is none."""
    import numpy as np

    rng = np.random.default_rng(0)
    ids = rng.integers(3, vocabulary, (8, 128))
    if case == "short":
        return ids[:1, :16], None, None
    if case == "ragged":
        mask = (np.arange(128) < np.array(LENGTHS)[:, None]).astype(np.int64)
        return np.where(mask == 1, ids, 1), mask, None
    return ids, None, np.argwhere(rng.random(ids.shape) < MASKED) if case == "masked" else None


def multiply_adds(config: Any, ids: Any, mask: Any, positions: Any) -> float:
    """How many there are in the dense layers, of real tokens, and in the logits that are wanted."""
    tokens = ids.size if mask is None else int(mask.sum())
    D, F = config.hidden_size, config.intermediate_size
    layers = tokens * config.num_hidden_layers * (4 * D * D + 2 * D * F)
    return layers + (0 if positions is None else len(positions) * D * (D + config.vocab_size))


def peak(seconds: float = 1.0) -> float:
    """Multiply-adds a second, on all threads, of operands that stay in the first cache."""
    import numba
    import numpy as np
    from roberta.backends.numba.tiles import ROWS, columns, tile

    width, depth = columns(np.zeros(0, "float32").dtype), 128

    @numba.njit(parallel=True, error_model="numpy")
    def run(left: Any, right: Any, zeros: Any, out: Any, repeats: int) -> None:
        for thread in numba.prange(out.shape[0]):
            for _ in range(repeats):
                tile(left[thread], right[thread], zeros, right[thread], out[thread])

    threads, repeats = numba.get_num_threads(), 20_000
    left, right = np.ones((threads, depth, ROWS), "f4"), np.ones((threads, depth, width), "f4")
    zeros, out = np.zeros(width, "f4"), np.zeros((threads, ROWS, width), "f4")
    run(left, right, zeros, out, 1)
    best, end = 0.0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        run(left, right, zeros, out, repeats)
        best = max(best, threads * repeats * depth * ROWS * width / (time.perf_counter() - start))
    return best


def measure(engine: str, folder: str, threads: int, runs: int) -> dict[str, Any]:
    """In a child: load, lay out, and time each case in turns with the peer."""
    import numpy as np
    import roberta
    import torch
    import transformers

    torch.set_num_threads(threads)
    transformers.logging.set_verbosity_error()
    roberta.RobertaForMaskedLM.on(engine)  # imports are not counted
    peer = transformers.RobertaForMaskedLM.from_pretrained(folder).eval()
    start = time.perf_counter()
    model = roberta.RobertaForMaskedLM.from_pretrained(folder, backend=engine)
    loaded = time.perf_counter()
    twin = model.for_inference()
    body = roberta.RobertaModel.from_pretrained(folder, backend=engine, add_pooling_layer=False).for_inference()
    seconds = {"load": loaded - start, "for_inference": time.perf_counter() - loaded}
    found: dict[str, Any] = {"seconds": seconds, "bytes": twin.nbytes, "peak": peak(), "cases": {}}

    def theirs(ids: Any, mask: Any, positions: Any) -> Any:
        with torch.inference_mode():
            given = {"input_ids": torch.from_numpy(ids)} | ({} if mask is None else {"attention_mask": mask})
            given = {name: torch.as_tensor(value) for name, value in given.items()}
            return (peer.roberta if positions is None else peer)(**given)[0]

    def ours(ids: Any, mask: Any, positions: Any) -> Any:
        given = {"input_ids": ids, "attention_mask": mask, "positions": positions}
        given = {name: value for name, value in given.items() if value is not None}
        if engine == "torch":
            given = {name: torch.from_numpy(value) for name, value in given.items()}
        return (body if positions is None else twin)(**given)[0]

    for case in CASES:
        given = inputs_of(case, model.config.vocab_size)
        own, other = np.asarray(ours(*given)), theirs(*given).numpy()
        ids, mask, positions = given
        other = other if positions is None else other[tuple(positions.T)]
        where = np.ones(ids.shape, bool) if mask is None else mask == 1
        error = np.abs(own - other) if positions is not None else np.abs(own - other)[where]
        if not error.max() <= 1e-4 * np.abs(other).max():
            raise SystemExit(f"{case}: off by {error.max():.2g}")
        times: list[list[float]] = [[], []]
        for _ in range(runs):
            for call, taken in zip((ours, theirs), times, strict=True):
                time.sleep(PAUSE)
                begun = time.perf_counter()
                call(*given)
                taken.append(time.perf_counter() - begun)
        found["cases"][case] = [*times, multiply_adds(model.config, *given)]
    found["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return found


def main(
    engines: Annotated[str, typer.Option(help="which, with commas between")] = "torch,numba",
    layers: int = 12,
    threads: int = 2,
    runs: Annotated[int, typer.Option(min=2, help="how often each is timed")] = 9,
) -> None:
    """Time the inference forms."""
    import roberta

    pin(threads)
    peer = f"transformers {version('transformers')}, PyTorch {version('torch')}"
    table = Table("engine", "case", "ms", "peer's ms", "ratio (quartiles)", "times peak", title=f"against {peer}")
    console = Console(width=140)
    with tempfile.TemporaryDirectory() as folder:
        config = roberta.RobertaConfig(
            num_hidden_layers=layers, max_position_embeddings=514, type_vocab_size=1, layer_norm_eps=1e-5
        )
        roberta.RobertaForMaskedLM(config, backend="numpy").save_pretrained(folder)
        for engine in engines.split(","):
            job = json.dumps([engine, folder, threads, runs])
            pinned = {**os.environ, **{name: str(threads) for name in THREADS}, "ROBERTA_INFERENCE_JOB": job}
            command = [sys.executable, __file__]
            result = subprocess.run(command, env=pinned, capture_output=True, text=True, check=False)  # noqa: S603
            if result.returncode:
                console.print(engine, result.stderr.strip().splitlines()[-1])
                continue
            show(table, engine, json.loads(result.stdout.strip().splitlines()[-1]), console)
    console.print(table)


def show(table: Table, engine: str, found: dict[str, Any], console: Console) -> None:
    """Add an engine's rows."""
    for case, (own, other, count) in found["cases"].items():
        low, middle, high = statistics.quantiles([theirs / ours for ours, theirs in zip(own, other, strict=True)], n=4)
        times = [f"{1e3 * statistics.median(seconds):.1f}" for seconds in (own, other)]
        above = statistics.median(own) / (count / found["peak"])
        table.add_row(engine, case, *times, f"{middle:.2f} ({low:.2f} to {high:.2f})", f"{above:.2f}")
    seconds, rate = found["seconds"], 2e-9 * found["peak"]
    console.print(
        f"{engine}: loaded in {seconds['load']:.2f} s, two laid out in {seconds['for_inference']:.2f} s, "
        f"{found['bytes'] / 1e6:.0f} MB; peak of the processor {rate:.0f} GFLOP/s"
    )


if __name__ == "__main__":
    if "ROBERTA_INFERENCE_JOB" in os.environ:
        own_engine, own_folder, own_threads, own_runs = json.loads(os.environ["ROBERTA_INFERENCE_JOB"])
        pin(own_threads)
        print(json.dumps(measure(own_engine, own_folder, own_threads, own_runs)))
    else:
        typer.run(main)
