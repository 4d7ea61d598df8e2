"""Speed of the training data on one core: from shards to masked batches, and from texts to shards.

    python benchmarks/data.py CORPUS TOKENIZER [--rounds 5] [--repeat 3] [--length 512] [--batch 256]

CORPUS is a folder of texts whose documents blank lines part, TOKENIZER one of vocab.json and merges.txt.

Batches: what a data loader's worker does, rows of a shuffled epoch by number and a collator, in millions of ids a
second, padding included. The peer, transformers' DataCollatorForLanguageModeling, is given the same rows as lists in
memory: to read and to shuffle is not in its figure. Texts: `tokenize_corpus` in one process with one thread reads, cuts
into sentences, encodes, and writes; the `tokenizers` library encodes the same documents, which it finds in memory, and
its ids are read. Tokenizers are fresh each time, so that they remember no word. All take turns within a round, on the
processor's clock; medians over the rounds, and their quartiles. A ratio is that of each round, in the median: above 1
ours is faster.
"""

from __future__ import annotations

import copy
import importlib.metadata
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

console = Console(width=120, markup=False, highlight=False)
Contestants = dict[str, Callable[[], Callable[[], float]]]
"""Name -> what prepares, untimed, and gives what does the work and says how many units of it were done."""


def main(
    corpus: Annotated[Path, typer.Argument(help="A folder of texts.", show_default=False)],
    tokenizer: Annotated[Path, typer.Argument(help="A folder of vocab.json and merges.txt.", show_default=False)],
    rounds: Annotated[int, typer.Option(min=1)] = 5,
    repeat: Annotated[int, typer.Option(help="How often the texts are laid end to end.", min=1)] = 3,
    length: Annotated[int, typer.Option(help="Ids in a row.")] = 512,
    batch: Annotated[int, typer.Option(help="Rows in a batch.")] = 256,
) -> None:
    """Print both tables."""
    # Read by the libraries when they are loaded: one thread each.
    os.environ |= {"RAYON_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"}
    versions = (
        f"{name} {importlib.metadata.version(name)}" for name in ("numpy", "tokenizers", "transformers", "torch")
    )
    console.print(f"Python {sys.version.split()[0]}, {', '.join(versions)}; one core of {os.cpu_count()}")
    from roberta.tokenizer import RobertaTokenizerFast

    with tempfile.TemporaryDirectory() as folder:
        texts = repeated(corpus, Path(folder) / "texts", repeat)
        fast = RobertaTokenizerFast.from_pretrained(tokenizer)
        console.print(table("texts to shards", "documents/s", measured(tokenizing(texts, fast), rounds)))
        shards = Path(folder) / "shards"
        tokenize(texts, shards, fast)
        contestants = batching(shards, tokenizer, length, batch)
        title = f"shards to masked batches of {batch} x {length}"
        console.print(table(title, "Mtok/s", measured(contestants, rounds)))


def repeated(corpus: Path, folder: Path, count: int) -> Path:
    """The texts of a folder, several times."""
    for number in range(count):
        shutil.copytree(corpus, folder / str(number))
    return folder


# -- texts to shards ---------------------------------------------------------------------------------------------------


def tokenize(texts: Path, folder: Path, tokenizer: Any, sentences: Any = "rule") -> Any:
    from roberta.tokenizer.data.shards import Reading, tokenize_corpus

    return tokenize_corpus([texts], folder, tokenizer, reading=Reading("blank", sentences))


def tokenizing(texts: Path, tokenizer: Any) -> Contestants:
    """Ours, with and without sentences, the class by itself, and the library by itself."""
    files = sorted(path for path in texts.rglob("*") if path.is_file())
    paragraphs = [part for file in files for part in file.read_text(encoding="utf-8").split("\n\n")]
    documents = [paragraph + "\n" for paragraph in paragraphs if paragraph.strip()]

    def ours(sentences: str) -> Callable[[], float]:
        fresh = copy.deepcopy(tokenizer)

        def work() -> float:
            with tempfile.TemporaryDirectory() as folder:
                return tokenize(texts, Path(folder) / "shards", fresh, sentences).count("documents")

        return work

    def called() -> Callable[[], float]:
        fresh = copy.deepcopy(tokenizer)
        options = {"add_special_tokens": False, "return_attention_mask": False, "verbose": False}
        return lambda: len(fresh(documents, **options).input_ids)

    def library(method: str) -> Callable[[], float]:
        encode = getattr(tokenizer.backend_tokenizer, method)

        def work() -> float:
            return len([encoded.ids for encoded in encode(documents, add_special_tokens=False)])

        return work

    return {
        "tokenize_corpus, sentences by rule": lambda: ours("rule"),
        "tokenize_corpus, whole documents": lambda: ours("whole"),
        "RobertaTokenizerFast, called": called,
        "tokenizers, encode_batch": lambda: library("encode_batch"),
        "tokenizers, encode_batch_fast": lambda: library("encode_batch_fast"),
    }


# -- shards to batches -------------------------------------------------------------------------------------------------


def batching(folder: Path, vocabulary: Path, length: int, size: int) -> Contestants:
    """Ours on rows by number, and the peer on the same rows in memory."""
    import transformers
    from roberta.tokenizer.data.shards import PackedRows, PlaceBatches, RowCollator, ShuffledRows, TokenShards

    transformers.logging.set_verbosity_error()
    shards = TokenShards(folder)
    rows = ShuffledRows(PackedRows(shards, length), seed=1)
    collate = RowCollator(shards, length, seed=1)
    batches = list(PlaceBatches(rows, size))
    theirs = transformers.RobertaTokenizerFast.from_pretrained(vocabulary)
    collators = {
        kind: transformers.DataCollatorForLanguageModeling(theirs, return_tensors=kind) for kind in ("np", "pt")
    }
    lists = [[{"input_ids": rows[place]["input_ids"].tolist()} for place in places] for places in batches]

    def ours() -> float:
        return sum(collate([rows[place] for place in places])["input_ids"].size for places in batches) / 1e6

    def peer(kind: str) -> float:
        collator: Any = collators[kind]
        return sum(np.prod(collator(given)["input_ids"].shape) for given in lists) / 1e6

    return {
        "RowCollator on ShuffledRows": lambda: ours,
        "transformers' collator, np": lambda: lambda: peer("np"),
        "transformers' collator, pt": lambda: lambda: peer("pt"),
    }


# -- the clock ---------------------------------------------------------------------------------------------------------


def measured(contestants: Contestants, rounds: int) -> dict[str, list[float]]:
    """Units a second, in each round; a round before these is not counted."""
    rates: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(rounds + 1):
        for name, prepare in contestants.items():
            work = prepare()
            begin = time.process_time()
            done = work()
            if number:
                rates[name].append(done / (time.process_time() - begin))
    return rates


def table(title: str, unit: str, rates: dict[str, list[float]]) -> Table:
    """A row for each, with the ratio of the first to it."""
    made = Table("", unit, "first / this", title=title)
    first = next(iter(rates.values()))
    for name, found in rates.items():
        low, middle, high = statistics.quantiles(found, n=4, method="inclusive") if len(found) > 1 else found * 3
        ratio = statistics.median(one / other for one, other in zip(first, found, strict=True))
        made.add_row(name, f"{middle:,.1f} ({low:,.1f} to {high:,.1f})", f"{ratio:.2f}")
    return made


if __name__ == "__main__":
    typer.run(main)
