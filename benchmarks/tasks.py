"""Tasks: rows a second, beside transformers' pipelines on the same weights, in turns in one process.

    python benchmarks/tasks.py TEXT… [--layers 12] [--rows 256] [--batch 32] [--runs 3] [--engine torch]

Rows are the first sentences of the texts, as they come. Weights are random, of the size of roberta-base, saved once and
loaded by both; the vocabulary is that of the shipped checkpoint. Before they are timed the answers are compared: labels
and words must be the same, so that nothing is timed that is wrong. The pipeline runs with the same batch size, and with
its default, one row at a time; it pads a batch to its longest row, and ours computes no padding.
"""

from __future__ import annotations

import re
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import roberta
import torch
import transformers
import typer
from rich.console import Console
from rich.table import Table

SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")
NAMES = {0: "contradiction", 1: "neutral", 2: "entailment"}
#: Task -> (class, options of a call, what an input is made of a sentence).
CASES: dict[str, tuple[str, dict[str, Any], Callable[[str], Any]]] = {
    "text-classification": ("SequenceClassification", {}, str),
    "zero-shot-classification": ("SequenceClassification", {"candidate_labels": ["novel", "letter"]}, str),
    "token-classification": ("TokenClassification", {"aggregation_strategy": "simple"}, str),
    "question-answering": ("QuestionAnswering", {}, lambda text: {"question": "Who was it?", "context": text}),
    "fill-mask": ("MaskedLM", {}, lambda text: text.split()[0] + " <mask> " + " ".join(text.split()[2:])),
    "feature-extraction": ("Model", {}, str),
}


def sentences(files: list[Path], count: int) -> list[str]:
    """The first sentences of texts, of 4 to 60 words."""
    found: list[str] = []
    for file in files:
        text = " ".join(file.read_text(encoding="utf-8").split())
        found += [one for one in SENTENCE.split(text) if 4 <= len(one.split()) <= 60]
    return found[:count]


def timed(call: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def main(
    texts: Annotated[list[Path], typer.Argument(help="text files", show_default=False)],
    layers: Annotated[int, typer.Option(min=1)] = 12,
    rows: Annotated[int, typer.Option(min=1)] = 256,
    batch: Annotated[int, typer.Option(min=1)] = 32,
    runs: Annotated[int, typer.Option(min=1)] = 3,
    engine: Annotated[str, typer.Option(help="ours")] = "torch",
    only: Annotated[str | None, typer.Option(help="one task")] = None,
) -> None:
    """Print a table: rows a second, and ours over theirs."""
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    torch.manual_seed(0)
    table = Table("task", "ours, rows/s", "pipeline, same batch", "pipeline, one by one", "ratio", "ratio")
    lines = sentences(texts, rows)
    tokenizer = roberta.load_tokenizer("austen", fast=True)
    for name, (face, asked, make) in CASES.items():
        if only not in (None, name):
            continue
        inputs = [make(line) for line in lines]
        with tempfile.TemporaryDirectory() as folder:
            labels = {} if face == "QuestionAnswering" else {"id2label": NAMES}
            config = roberta.RobertaConfig(len(tokenizer), num_hidden_layers=layers, **labels)
            prefix = "Roberta" if face == "Model" else "RobertaFor"
            getattr(roberta, prefix + face)(config, backend="numpy").save_pretrained(folder)
            tokenizer.save_pretrained(folder)
            peer = getattr(transformers, prefix + face).from_pretrained(folder)
            theirs = transformers.pipeline(name, peer.eval(), tokenizer=folder, framework="pt", device="cpu")
            ours = roberta.task(name, folder, backend=engine, batch_size=batch).load()
            calls = {
                "ours": lambda ours=ours, inputs=inputs, asked=asked: ours(inputs, **asked),
                "batch": lambda theirs=theirs, inputs=inputs, asked=asked: theirs(inputs, batch_size=batch, **asked),
                "single": lambda theirs=theirs, inputs=inputs, asked=asked: theirs(inputs, **asked),
            }
            require_same(ours(inputs[:8], **asked), theirs(inputs[:8], **asked))
            with torch.inference_mode():
                seconds = [{who: timed(call) for who, call in calls.items()} for _ in range(runs)]
        speed = {who: len(inputs) / statistics.median(one[who] for one in seconds) for who in calls}
        ratios = [statistics.median(one[who] / one["ours"] for one in seconds) for who in ("batch", "single")]
        table.add_row(name, *(f"{each:.1f}" for each in speed.values()), *(f"{ratio:.2f}" for ratio in ratios))
    Console(width=140).print(table)
    Console().print(
        f"{len(lines)} sentences, {layers} layers, batch {batch}, {torch.get_num_threads()} threads, {engine}"
    )


def require_same(own: Any, theirs: Any) -> None:
    """Words and places alike, numbers nearly: what is timed is right."""
    if isinstance(theirs, dict):
        for key in theirs:
            require_same(own[key], theirs[key])
    elif isinstance(theirs, list):
        if isinstance(own, roberta.tasks.Features):
            own = [own.vectors]
        for one, other in zip(own, theirs, strict=True):
            require_same(one, other)
    elif isinstance(theirs, float | np.floating):
        if not np.allclose(own, theirs, rtol=1e-3, atol=1e-5):
            raise SystemExit(f"answers differ: {own} and {theirs}")
    elif own != theirs:
        raise SystemExit(f"answers differ: {own!r} and {theirs!r}")


if __name__ == "__main__":
    typer.run(main)
