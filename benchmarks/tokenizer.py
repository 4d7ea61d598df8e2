"""Speed of the tokenizers on the novels, with roberta-base's vocabulary, against transformers and `tokenizers`.

    python benchmarks/tokenizer.py [--rounds 3] [--novels 6] [--threads 1] [--only running,lines,runs,memory]

Every contestant does the same work in every round, one after the other (A B C A B C ...), on fresh instances: the
first pass of an instance is *cold*, the second *warm*, when it remembers the words of the first. Figures are the best
of all rounds, in MB of UTF-8 a second; the last columns are ratios to the peers, cold to cold / warm to warm. With one
thread the clock is that of the process, so that other work on the machine counts little; with more it is the wall's.
"""

from __future__ import annotations

import gc
import importlib.metadata
import os
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"
BATCH, LENGTH = 1000, 64

Work = Callable[[], object]
Contestant = Callable[[], Work]
"""Makes a fresh tokenizer and returns what is to be timed."""

SLOW, FAST, BARE = "transformers, slow class", "transformers, fast class", "tokenizers, bare"
console = Console(width=170, markup=False, highlight=False)


def main(
    rounds: Annotated[int, typer.Option(min=1)] = 3,
    novels: Annotated[int, typer.Option(min=1, max=6, help="How many of the novels.")] = 6,
    threads: Annotated[int, typer.Option(help="Of the library, for batches; single texts take one.")] = 1,
    only: Annotated[str, typer.Option(help="Parts, separated by commas.")] = "running,lines,runs,memory",
    vocabulary: Annotated[Path, typer.Option(help="The folder of vocab.json.")] = SHARED / "roberta-base-tokenizer",
    corpus: Annotated[Path, typer.Option(help="The folder of the texts.")] = SHARED / "corpus" / "austen",
) -> None:
    """Run the parts that are asked for and print their tables."""
    os.environ["RAYON_NUM_THREADS"] = str(threads)  # read by the library when it first encodes a batch
    os.environ["TOKENIZERS_PARALLELISM"] = "true" if threads > 1 else "false"
    texts = [path.read_bytes().decode() for path in sorted(corpus.glob("*.txt"))[:novels]]
    makers = Makers(vocabulary)
    names = ("tokenizers", "transformers", "regex", "numpy")
    versions = [f"{name} {importlib.metadata.version(name)}" for name in names]
    console.print(
        f"Python {sys.version.split()[0]}, {', '.join(versions)}; {os.cpu_count()} cores, {threads} thread(s)"
    )
    parts = {
        "running": lambda: running_text(makers, texts, rounds),
        "lines": lambda: lines(makers, texts, rounds),
        "runs": lambda: long_runs(makers),
        "memory": lambda: memory(makers, texts),
    }
    for name in only.split(","):
        parts[name.strip()]()


# -- the contestants ---------------------------------------------------------------------------------------------------


class Makers:
    """Makes each tokenizer anew, so that it remembers nothing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def pure(self) -> Any:
        """`roberta.RobertaTokenizer`."""
        from roberta.tokenizer import RobertaTokenizer

        return RobertaTokenizer.from_pretrained(self.folder)

    def ours_fast(self) -> Any:
        """`roberta.RobertaTokenizerFast`."""
        from roberta.tokenizer.fast import RobertaTokenizerFast

        return RobertaTokenizerFast.from_pretrained(self.folder)

    def slow(self) -> Any:
        """The slow class of transformers."""
        return _transformers().RobertaTokenizer.from_pretrained(self.folder)

    def fast(self) -> Any:
        """The fast class of transformers."""
        return _transformers().RobertaTokenizerFast.from_pretrained(self.folder)

    def bare(self, padded: bool = False) -> Any:
        """The library itself, set up as the fast class sets it up."""
        tokenizer = self.fast().backend_tokenizer
        if padded:
            tokenizer.enable_truncation(LENGTH)
            tokenizer.enable_padding(pad_id=1, pad_token="<pad>")  # noqa: S106  (no password)
        return tokenizer


def _transformers() -> Any:
    import transformers

    transformers.logging.set_verbosity_error()
    return transformers


def running_text(makers: Makers, texts: list[str], rounds: int) -> None:
    """Whole novels, one call each."""
    quiet = {"verbose": False}
    spans = {**quiet, "return_offsets_mapping": True}
    contestants: dict[str, Contestant] = {
        "pure, ids only": lambda: _each(makers.pure().encode, texts, add_special_tokens=False, **quiet),
        "pure, whole call": lambda: _each(makers.pure(), texts, **quiet),
        "pure, with offsets": lambda: _each(makers.pure(), texts, **spans),
        "ours on the library, whole call": lambda: _each(makers.ours_fast(), texts, **quiet),
        "ours on the library, with offsets": lambda: _each(makers.ours_fast(), texts, **spans),
        SLOW: lambda: _each(makers.slow(), texts, **quiet),
        FAST: lambda: _each(makers.fast(), texts, **quiet),
        f"{FAST}, with offsets": lambda: _each(makers.fast(), texts, **spans),
        BARE: lambda: _each(makers.bare().encode, texts),
    }
    size = sum(len(text.encode()) for text in texts) / 1e6
    show(f"running text: {len(texts)} novels, {size:.1f} MB, one call for each", measured(contestants, rounds), size)


def lines(makers: Makers, texts: list[str], rounds: int) -> None:
    """Their lines, in batches, as padded arrays."""
    every = [line for text in texts for line in text.split("\n") if line]
    batches = [every[begin : begin + BATCH] for begin in range(0, len(every), BATCH)]
    options = {"padding": True, "truncation": True, "max_length": LENGTH, "return_tensors": "np"}
    spans = {**options, "return_offsets_mapping": True}
    contestants: dict[str, Contestant] = {
        "pure": lambda: _each(makers.pure(), batches, **options),
        "pure, with offsets": lambda: _each(makers.pure(), batches, **spans),
        "ours on the library": lambda: _each(makers.ours_fast(), batches, **options),
        "ours on the library, with offsets": lambda: _each(makers.ours_fast(), batches, **spans),
        SLOW: lambda: _each(makers.slow(), batches, **options),
        FAST: lambda: _each(makers.fast(), batches, **options),
        f"{FAST}, with offsets": lambda: _each(makers.fast(), batches, **spans),
        f"{BARE}, encode_batch": lambda: _each(makers.bare(padded=True).encode_batch, batches),
        f"{BARE}, encode_batch_fast": lambda: _each(makers.bare(padded=True).encode_batch_fast, batches),
    }
    size = sum(len(line.encode()) for line in every) / 1e6
    title = f"{len(every)} lines in batches of {BATCH}, padded, as NumPy arrays (bare: the library's own records)"
    show(title, measured(contestants, rounds), size)


def long_runs(makers: Makers) -> None:
    """One megabyte without a place to cut. The slow class would take hours: it gets a hundredth."""
    table = Table(title="1 MB of one run, seconds")
    for column in ("tokenizer", "one letter", "one emoji", "two letters in turn"):
        table.add_column(column, justify="left" if column == "tokenizer" else "right")
    units = ("a", "😀", "ab")
    calls: dict[str, tuple[Callable[[], Any], int]] = {
        "pure, whole call": (makers.pure, 1),
        "ours on the library, whole call": (makers.ours_fast, 1),
        FAST: (makers.fast, 1),
        BARE: (lambda: makers.bare().encode, 1),
        f"{SLOW}, of 0.01 MB": (makers.slow, 100),
    }
    for name, (make, divisor) in calls.items():
        call = make()
        texts = [unit * (1_000_000 // divisor // len(unit.encode())) for unit in units]
        table.add_row(name, *(f"{seconds(lambda text=text, call=call: call(text)):.2f}" for text in texts))
    console.print(table)


def memory(makers: Makers, texts: list[str]) -> None:
    """What the pure class remembers, and what that takes: after the novels, and when it is full."""
    tokenizer = makers.pure()
    words = tokenizer.engine.words._words
    table = Table("after", "words remembered", "MB", title="memory of the pure class")
    tracemalloc.start()
    for name, feed in {"the novels": texts, "200,000 numbers": [" ".join(map(str, range(200_000)))]}.items():
        for text in feed:
            tokenizer.encode(text, verbose=False)
        gc.collect()
        table.add_row(name, f"{len(words):,}", f"{tracemalloc.get_traced_memory()[0] / 1e6:.1f}")
    most = 0
    for begin in range(0, 400_000, 4_000):
        tokenizer.encode(" ".join(f"{number}{'abcdefgh' * 7}" for number in range(begin, begin + 4_000)), verbose=False)
        most = max(most, tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    table.add_row("400,000 words of 60 letters, at most", f"{len(words):,}", f"{most / 1e6:.1f}")
    console.print(table)


# -- the clock ---------------------------------------------------------------------------------------------------------


def _each(call: Callable[..., Any], items: list[Any], **options: Any) -> Work:
    """What calls a tokenizer on each item, and drops the result."""

    def work() -> None:
        for item in items:
            call(item, **options)

    return work


def measured(contestants: dict[str, Contestant], rounds: int) -> dict[str, tuple[float, float]]:
    """Name -> best seconds of the first and of the second pass of fresh instances, over all rounds, interleaved."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, make in contestants.items():
            work = make()
            gc.collect()
            times[name].append((seconds(work), seconds(work)))
    return {name: (min(cold for cold, _ in pairs), min(warm for _, warm in pairs)) for name, pairs in times.items()}


def seconds(work: Work) -> float:
    """What one run takes."""
    clock = time.perf_counter if os.environ["TOKENIZERS_PARALLELISM"] == "true" else time.process_time
    begin = clock()
    work()
    return clock() - begin


def show(title: str, times: dict[str, tuple[float, float]], size: float) -> None:
    """Print a table of speeds and of ratios to the peers."""
    peers = [name for name in times if name.startswith((SLOW, FAST, BARE))]
    table = Table(title=title)
    table.add_column("tokenizer")
    for column in ("cold MB/s", "warm MB/s", *(f"x {_short(peer)}" for peer in peers)):
        table.add_column(column, justify="right")
    for name, (cold, warm) in times.items():
        ratios = (f"{times[peer][0] / cold:.2g} / {times[peer][1] / warm:.2g}" for peer in peers)
        table.add_row(name, f"{size / cold:.2f}", f"{size / warm:.2f}", *ratios)
    console.print(table)


def _short(peer: str) -> str:
    return peer.replace("transformers, ", "").replace("tokenizers, ", "").replace(" class", "")


if __name__ == "__main__":
    typer.run(main)
