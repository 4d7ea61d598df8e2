"""The example server under load, from the same machine: latency by rate, batching on and off, and too many requests.

    python benchmarks/serve.py [--rates 20,50,100] [--seconds 10] [--layers 0]

A classifier (the shipped checkpoint's body, or roberta-base's sizes with so many `--layers`; seeded weights) is served
by `examples/serve.py` in a process of its own. Requests have one sentence each.

1. Latency: requests come at random moments (Poisson), whether or not earlier ones were answered; the clock of each runs
   from when it should have been sent, so that a slow server cannot hide by slowing its clients.
2. Throughput: so many clients ask without pause, of a server that batches and of one that does not, in turns.
3. Overload: more requests than it can answer, on a short queue. Each is answered, by 200 or 503; the sum is what was
   sent.

The client takes processor time beside the server's, which a server of its own machine would not lose.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import httpx
import numpy as np
import typer
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
SENTENCES = [
    "She had been out of spirits the whole day, and went early to bed.",
    "He was the eldest son of a clergyman, and had no fortune of his own.",
    "They walked together in the garden till dinner was ready.",
    "I am very much obliged to you, sir.",
    "A letter from her sister was brought to her at breakfast, which she read with the greatest attention.",
]
TASK = "text-classification"


def write_classifier(folder: Path, layers: int) -> None:
    """The shipped body with a seeded head; or of roberta-base's sizes, with so many layers."""
    import warnings

    import roberta
    from roberta.dispatch import checkpoint

    austen = checkpoint.locate("austen")
    if layers:
        sizes: dict[str, Any] = {"num_hidden_layers": layers, "max_position_embeddings": 514, "type_vocab_size": 1}
        config = roberta.RobertaConfig(num_labels=3, layer_norm_eps=1e-5, **sizes)
        model: Any = roberta.RobertaForSequenceClassification(config, backend="numpy")
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that its head is random: what it says is not looked at
            model = roberta.RobertaForSequenceClassification.from_pretrained(austen, backend="numpy", num_labels=3)
    model.save_pretrained(folder)
    roberta.load_tokenizer(austen).save_pretrained(folder)


@contextmanager
def server(folder: Path, threads: int, **options: Any) -> Iterator[str]:
    """The example in a process of its own, ready; yields its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, str(ROOT / "examples" / "serve.py"), f"{TASK}={folder}", "--backend", "torch"]
    for name, value in {"port": port, **options}.items():
        command += [f"--{name.replace('_', '-')}", str(value)]
    env = {**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONWARNINGS": "ignore"}
    with subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL) as child:  # noqa: S603  # our own
        url = f"http://127.0.0.1:{port}"
        while not is_ready(url):
            if child.poll() is not None:
                raise SystemExit(f"{' '.join(command)} has ended")
            time.sleep(0.1)
        try:
            yield url
        finally:
            child.send_signal(signal.SIGTERM)


def is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/ready").status_code == 200
    except httpx.TransportError:
        return False


async def ask(client: httpx.AsyncClient, number: int) -> int:
    """One request; its status."""
    body = {"inputs": SENTENCES[number % len(SENTENCES)]}
    return (await client.post(f"/v1/{TASK}", json=body)).status_code


def client_of(url: str) -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    return httpx.AsyncClient(base_url=url, timeout=60, limits=limits)


def mean_batch(url: str) -> tuple[float, float]:
    """Rows and batches so far, by /metrics."""
    text = httpx.get(f"{url}/metrics").text
    found = [re.search(rf"^batch_rows_{name} (\S+)$", text, re.MULTILINE) for name in ("sum", "count")]
    rows, count = (float(match[1]) if match else 0.0 for match in found)
    return rows, count


async def at_rate(
    url: str, rate: float, seconds: float, seed: int = 0
) -> tuple[list[float], Counter[int], list[float]]:
    """Requests at random moments.

    Returns:
        Seconds of each that was answered by 200, how many of each status, and how late the client itself was with each.
    """
    moments = np.cumsum(np.random.default_rng(seed).exponential(1 / rate, int(rate * seconds)))
    took: list[float] = []
    late: list[float] = []
    statuses: Counter[int] = Counter()
    async with client_of(url) as client:
        begun = time.perf_counter()

        async def one(number: int, moment: float) -> None:
            await asyncio.sleep(begun + moment - time.perf_counter())
            late.append(time.perf_counter() - begun - moment)
            status = await ask(client, number)
            statuses[status] += 1
            if status == 200:
                took.append(time.perf_counter() - begun - moment)

        await asyncio.gather(*(one(number, moment) for number, moment in enumerate(moments)))
    return took, statuses, late


async def without_pause(url: str, clients: int, seconds: float) -> float:
    """Answers a second, when so many clients ask and ask again."""
    count = 0
    async with client_of(url) as client:
        begun = time.perf_counter()

        async def one(number: int) -> None:
            nonlocal count
            while time.perf_counter() - begun < seconds:
                if await ask(client, number + count) != 200:
                    raise SystemExit("a request was not answered by 200")
                count += 1

        await asyncio.gather(*(one(number) for number in range(clients)))
        return count / (time.perf_counter() - begun)


# -- tables --------------------------------------------------------------------------------------------------------


def table(title: str, *columns: str) -> Table:
    found = Table(title=title)
    for name in columns:
        found.add_column(name, justify="right")
    return found


def latency(folder: Path, threads: int, rates: list[float], seconds: float) -> Table:
    """Percentiles by rate."""
    shown = table("latency, ms", "requests/s", "sent", "200", "p50", "p95", "p99", "rows in a batch")
    with server(folder, threads) as url:
        asyncio.run(at_rate(url, rates[0], 2))
        for rate in rates:
            before = mean_batch(url)
            took, statuses, _ = asyncio.run(at_rate(url, rate, seconds))
            rows, batches = (b - a for a, b in zip(before, mean_batch(url), strict=True))
            percentiles = [f"{1000 * np.quantile(took, q):.0f}" for q in (0.5, 0.95, 0.99)]
            sent = str(sum(statuses.values()))
            shown.add_row(f"{rate:g}", sent, str(statuses[200]), *percentiles, f"{rows / batches:.1f}")
    return shown


def batching(folder: Path, threads: int, clients: int, seconds: float, rounds: int) -> Table:
    """Throughput with and without, in turns."""
    shown = table(f"{clients} clients without pause", "batch size", "answers/s", "ratio to 1 (range)")
    sizes = (1, 32)
    with server(folder, threads, batch_size=1) as single, server(folder, threads, batch_size=32) as batched:
        found: dict[int, list[float]] = {size: [] for size in sizes}
        for url in (single, batched):
            asyncio.run(without_pause(url, clients, 1))
        for _ in range(rounds):
            for size, url in zip(sizes, (single, batched), strict=True):
                found[size].append(asyncio.run(without_pause(url, clients, seconds)))
    for size, rates in found.items():
        ratios = [rate / other for rate, other in zip(rates, found[1], strict=True)]
        spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        shown.add_row(str(size), f"{statistics.median(rates):.0f}", spread)
    return shown


def overload(folder: Path, threads: int, rate: float, seconds: float, queue: int) -> Table:
    """Each request is answered, by 200 or by 503."""
    shown = table(
        f"overload, a queue of {queue}",
        "requests/s",
        "sent",
        "200",
        "503",
        "others",
        "p99 of 200, ms",
        "p99 sent late, ms",
    )
    with server(folder, threads, queue=queue) as url:
        took, statuses, late = asyncio.run(at_rate(url, rate, seconds))
    sent, others = int(rate * seconds), sum(statuses.values()) - statuses[200] - statuses[503]
    if statuses[200] + statuses[503] + others != sent:
        raise SystemExit(f"{sent} were sent, and {dict(statuses)} answered")
    p99 = [f"{1000 * np.quantile(times, 0.99):.0f}" for times in (took, late)]
    shown.add_row(f"{rate:g}", str(sent), str(statuses[200]), str(statuses[503]), str(others), *p99)
    return shown


def main(
    rates: Annotated[str, typer.Option(help="Requests a second.")] = "20,50,100",
    seconds: Annotated[float, typer.Option(help="Of each measurement.")] = 10.0,
    clients: Annotated[int, typer.Option(help="That ask without pause.")] = 32,
    rounds: Annotated[int, typer.Option(help="Of batching and not.")] = 3,
    layers: Annotated[int, typer.Option(help="Of roberta-base's sizes; 0 for the shipped checkpoint's.")] = 0,
    threads: Annotated[int, typer.Option(help="Of the engine.")] = 1,
    too_many: Annotated[float, typer.Option(help="Requests a second of the overload.")] = 1000.0,
    queue: Annotated[int, typer.Option(help="Of the overload.")] = 32,
) -> None:
    """Put the example server under load."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "classifier"
        write_classifier(folder, layers)
        sizes = f"roberta-base's sizes, {layers} layers" if layers else "the shipped checkpoint's sizes"
        versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "starlette", "uvicorn"))
        console = Console(width=100)
        console.print(f"{sizes}; {os.cpu_count()} cores, {threads} for the engine; {versions}")
        console.print(latency(folder, threads, [float(rate) for rate in rates.split(",")], seconds))
        console.print(batching(folder, threads, clients, seconds, rounds))
        console.print(overload(folder, threads, too_many, min(seconds, 5.0), queue))


if __name__ == "__main__":
    typer.run(main)
