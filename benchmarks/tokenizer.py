"""Speed of the tokenizers, with roberta-base's vocabulary, against transformers, `tokenizers` and tiktoken.

    python benchmarks/tokenizer.py [--quick] [--rounds 3] [--threads 1] [--texts English,code] [--calls "32, lists"]

Every contestant does the same work in every round, one after the other (A B C A B C ...), on fresh instances. The first
pass over some lines is *cold*, the second *warm*; then it reads other lines, which is not timed, and *held out* are
lines that it never saw. Figures are medians over the rounds, with quartiles, in MB of UTF-8 a second; ratios are those
of each round, in the median: above 1 the row is faster than the peer. With one thread, which is all that peers and ours
are allowed unless told otherwise, the clock is that of the process; with more it is the wall's.
"""

from __future__ import annotations

import copy
import gc
import importlib.metadata
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from texts import TEXTS, Parts, parts_of  # isort: skip  (beside this file)

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"
LENGTH = 128

PURE, OURS_FAST = "RobertaTokenizer", "RobertaTokenizerFast"
SLOW, FAST, BARE, TIKTOKEN = "transformers' slow", "transformers' fast", "tokenizers, bare", "tiktoken"
PEERS = (FAST, BARE, TIKTOKEN, SLOW)

Work = Callable[[list[str]], object]
console = Console(width=200, markup=False, highlight=False)


class Call(NamedTuple):
    """What is asked of a tokenizer.

    Args:
        batch: texts a call; 1 for a single text.
        arrays: padded NumPy arrays instead of lists.
        offsets: the offsets, too.
        words: the word ids, too.
    """

    batch: int
    arrays: bool
    offsets: bool = False
    words: bool = False

    def __str__(self) -> str:
        extras = " + offsets" * self.offsets + " + word ids" * self.words
        return f"{self.batch}, {'arrays' if self.arrays else 'lists'}{extras}"


CALLS = [
    Call(batch, arrays, offsets, words)
    for batch in (1, 32, 1000)
    for arrays in (False, True)
    for offsets, words in ((False, False), (True, False), (True, True))
    if not (arrays and (batch == 1 or words))
]
QUICK = [Call(1, False), Call(32, False), Call(32, False, True), Call(32, True)]


def main(
    rounds: Annotated[int, typer.Option(min=1)] = 3,
    quick: Annotated[bool, typer.Option(help="Four calls instead of thirteen.")] = False,
    threads: Annotated[int, typer.Option(help="Of the libraries, for batches; single texts take one.")] = 1,
    texts: Annotated[str, typer.Option(help="Which, separated by commas.")] = ",".join(TEXTS),
    calls: Annotated[str, typer.Option(help="Only calls whose name holds this, such as '32, lists'.")] = "",
    kilobytes: Annotated[int, typer.Option(help="Of each pass.")] = 100,
    vocabulary: Annotated[Path, typer.Option(help="The folder of vocab.json.")] = SHARED / "roberta-base-tokenizer",
    corpus: Annotated[Path, typer.Option(help="The folder of the novels.")] = SHARED / "corpus" / "austen",
) -> None:
    """Print a table of each text, and where our fast class is slower than that of transformers."""
    os.environ["RAYON_NUM_THREADS"] = str(threads)  # read by the library when it first encodes a batch
    os.environ["TOKENIZERS_PARALLELISM"] = "true" if threads > 1 else "false"
    contestants = contestants_of(vocabulary, threads)
    versions = (f"{name} {_version(name)}" for name in ("tokenizers", "transformers", "tiktoken", "regex", "numpy"))
    console.print(
        f"Python {sys.version.split()[0]}, {', '.join(versions)}; {os.cpu_count()} cores, {threads} thread(s)"
    )
    if TIKTOKEN not in contestants:
        console.print("tiktoken is left out: it is not installed (pip install tiktoken).")
    slower: list[str] = []
    for name in texts.split(","):
        parts = parts_of(TEXTS[name](corpus), kilobytes * 1000, 2 * kilobytes * 1000)
        table = table_of(f"{name}: {len(parts.measured)} lines of {kilobytes / len(parts.measured):.2f} kB each")
        for call in QUICK if quick else CALLS:
            if calls in str(call):
                rates = measured(contestants, call, parts, rounds)
                add_rows(table, call, rates)
                slower += slower_than_peer(name, call, rates)
        console.print(table)
    console.print(f"{OURS_FAST} is slower than {FAST} in: {'; '.join(slower) or 'nothing'}")


# -- the contestants ---------------------------------------------------------------------------------------------------


def contestants_of(folder: Path, threads: int) -> dict[str, Callable[[Call], Work | None]]:
    """Name -> what makes a tokenizer anew, so that it remembers nothing, and says how it answers a call, if it can."""
    import transformers
    from roberta.tokenizer import RobertaTokenizer, RobertaTokenizerFast

    transformers.logging.set_verbosity_error()
    loaded = {
        PURE: RobertaTokenizer.from_pretrained(folder),
        OURS_FAST: RobertaTokenizerFast.from_pretrained(folder),
        SLOW: transformers.RobertaTokenizer.from_pretrained(folder),
        FAST: transformers.RobertaTokenizerFast.from_pretrained(folder),
    }
    made: dict[str, Callable[[Call], Work | None]] = {
        name: partial(_work_of_copy, tokenizer) for name, tokenizer in loaded.items()
    }
    made[SLOW] = lambda call: work_of(copy.deepcopy(loaded[SLOW]), call) if call == Call(1, arrays=False) else None
    made[BARE] = lambda call: work_of_bare(copy.deepcopy(loaded[FAST].backend_tokenizer), call)
    if _version("tiktoken") != "none":
        made[TIKTOKEN] = lambda call: work_of_tiktoken(folder, call, threads)
    return made


def _work_of_copy(tokenizer: Any, call: Call) -> Work:
    """Copy a tokenizer, have it set up what it sets up on first use, and say what it does."""
    twin = copy.deepcopy(tokenizer)
    twin([""], return_offsets_mapping=True)
    return work_of(twin, call)


def work_of(tokenizer: Any, call: Call) -> Work:
    """What ours and those of transformers do."""
    options: dict[str, Any] = {"return_offsets_mapping": True} if call.offsets else {}
    if call.arrays:
        options |= {"padding": True, "truncation": True, "max_length": LENGTH, "return_tensors": "np"}
    else:
        options["verbose"] = False

    def work(lines: list[str]) -> None:
        for batch in lines if call.batch == 1 else batches(lines, call.batch):
            encoding = tokenizer(batch, **options)
            if call.words:
                for row in range(1 if call.batch == 1 else len(batch)):
                    encoding.word_ids(row)

    return work


def work_of_bare(tokenizer: Any, call: Call) -> Work:
    """What the library does by itself, with what is asked for read out of its records."""
    if call.arrays:
        tokenizer.enable_truncation(LENGTH)
        tokenizer.enable_padding(pad_id=1, pad_token="<pad>")  # noqa: S106  (no password)
    encode = tokenizer.encode_batch if call.offsets or call.words else tokenizer.encode_batch_fast
    read = np.array if call.arrays else list

    def work(lines: list[str]) -> None:
        for batch in batches(lines, call.batch):
            records = [tokenizer.encode(batch[0])] if call.batch == 1 else encode(batch)
            read([record.ids for record in records])
            read([record.attention_mask for record in records])
            if call.offsets:
                read([record.offsets for record in records])
            if call.words:
                read([record.word_ids for record in records])

    return work


def work_of_tiktoken(folder: Path, call: Call, threads: int) -> Work | None:
    """What tiktoken does: ids in lists, no special tokens around them and nothing else."""
    if call.arrays or call.offsets or call.words:
        return None
    encoding = tiktoken_encoding(folder)
    if call.batch == 1:
        return lambda lines: [encoding.encode_ordinary(line) for line in lines]
    return lambda lines: [
        encoding.encode_ordinary_batch(batch, num_threads=threads) for batch in batches(lines, call.batch)
    ]


def tiktoken_encoding(folder: Path) -> Any:
    """The vocabulary for tiktoken, which numbers tokens by the rank of their merge."""
    import tiktoken
    from roberta.tokenizer.pieces import symbols_to_bytes

    vocab = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    lines = (folder / "merges.txt").read_text(encoding="utf-8").split("\n")
    merged = ["".join(line.split(" ")) for line in lines if line and not line.startswith("#version")]
    single = sorted((token for token in vocab if len(token) == 1), key=vocab.__getitem__)
    ranks = {symbols_to_bytes(token): rank for rank, token in enumerate([*single, *merged])}
    pattern = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
    return tiktoken.Encoding("roberta", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})


def batches(lines: list[str], size: int) -> list[list[str]]:
    """Cut lines into batches."""
    return [lines[begin : begin + size] for begin in range(0, len(lines), size)]


# -- the clock ---------------------------------------------------------------------------------------------------------

Rates = dict[str, list[tuple[float, float, float]]]
"""Name -> MB a second in each round: cold, warm, held out."""


def measured(contestants: dict[str, Callable[[Call], Work | None]], call: Call, parts: Parts, rounds: int) -> Rates:
    """Time all who can answer a call, in turns."""
    rates: Rates = {}
    for _ in range(rounds):
        for name, make in contestants.items():
            work = make(call)
            if work is None:
                continue
            gc.collect()
            cold, warm = (rate(work, parts.measured) for _ in range(2))
            work(parts.learned)
            rates.setdefault(name, []).append((cold, warm, rate(work, parts.held_out)))
    return rates


def rate(work: Work, lines: list[str]) -> float:
    """MB a second."""
    clock = time.perf_counter if os.environ["TOKENIZERS_PARALLELISM"] == "true" else time.process_time
    begin = clock()
    work(lines)
    return sum(len(line.encode()) for line in lines) / 1e6 / (clock() - begin)


# -- the tables --------------------------------------------------------------------------------------------------------


def table_of(title: str) -> Table:
    """An empty table."""
    table = Table("texts a call", "tokenizer", title=title)
    for column in ("cold MB/s", "warm MB/s", "held out MB/s", *(f"x {peer}" for peer in PEERS)):
        table.add_column(column, justify="right", no_wrap=True)
    return table


def add_rows(table: Table, call: Call, rates: Rates) -> None:
    """Add what was measured for one call."""
    for name, rounds in rates.items():
        speeds = [_quartiles(passes) for passes in zip(*rounds, strict=True)]
        ratios = [_ratios(rates, name, peer) for peer in PEERS]
        table.add_row(str(call) if name == PURE else "", name, *speeds, *ratios)
    table.add_section()


def _quartiles(values: tuple[float, ...]) -> str:
    if len(values) == 1:
        return f"{values[0]:.2f}"
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return f"{middle:.2f} ({low:.2f}-{high:.2f})"


def _ratios(rates: Rates, name: str, peer: str) -> str:
    """Cold / warm / held out."""
    if peer not in rates or peer == name:
        return ""
    return " / ".join(f"{ratio:.2g}" for ratio in ratios_of(rates, name, peer))


def ratios_of(rates: Rates, name: str, peer: str) -> list[float]:
    """How many times as fast, cold, warm and held out: the median over the rounds."""
    each = [
        [mine / theirs for mine, theirs in zip(one, other, strict=True)]
        for one, other in zip(rates[name], rates[peer], strict=True)
    ]
    return [statistics.median(passes) for passes in zip(*each, strict=True)]


def slower_than_peer(text: str, call: Call, rates: Rates) -> list[str]:
    """Say in which passes our fast class is slower than that of transformers."""
    ratios = zip(("cold", "warm", "held out"), ratios_of(rates, OURS_FAST, FAST), strict=True)
    return [f"{text}, {call}, {what} ({ratio:.2f})" for what, ratio in ratios if ratio < 1]


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "none"


if __name__ == "__main__":
    typer.run(main)
