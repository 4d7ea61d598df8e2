"""Pre-train RoBERTa on token shards, with the paper's settings, on one device or many, with any of three frameworks.

    roberta tokenize-corpus TEXT… --out SHARDS --tokenizer TOKENIZER
    python examples/pretrain_shards.py plan --devices 1024                           what would it cost?
    python examples/pretrain_shards.py train SHARDS RUN --tokenizer TOKENIZER        train; the same command goes on
    python examples/pretrain_shards.py check SHARDS RUN                              would one device have got the same?

PyTorch is started once for each device, on one machine or several, and has DDP and FSDP. JAX and TensorFlow have all
devices of a machine in one process:

    torchrun --nproc-per-node 8 examples/pretrain_shards.py train … --way fsdp
    python examples/pretrain_shards.py train … --engine flax --devices 8

RUN is a checkpoint after every save, and any engine goes on with it. The code is in examples/pretraining;
docs/pretraining.md explains it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Annotated

import roberta
import typer
from pretraining import loop, planning, replicas, state
from pretraining.corpus import ShardCorpus
from pretraining.engines import ENGINES, PRECISIONS, new_engine
from pretraining.recipe import PRESETS, Recipe, preset
from rich.console import Console
from rich.table import Table
from roberta.tokenizer.data.shards import ShardIndex

console = Console(soft_wrap=True)
app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__)

Shards = Annotated[Path, typer.Argument(exists=True, file_okay=False, help="What tokenize-corpus wrote.")]
Preset = Annotated[str, typer.Option("--preset", help=f"One of {', '.join(PRESETS)}; other options change it.")]
EngineName = Annotated[str, typer.Option("--engine", help=f"One of {', '.join(ENGINES)}.")]
AtOnce = Annotated[int | None, typer.Option(min=1, help="Rows of a forward pass on each device; by default, all.")]
Way = Annotated[str, typer.Option(help="fsdp cuts weights, gradients and moments over processes; ddp does not.")]
Precision = Annotated[str, typer.Option(help=f"Of products, {' or '.join(PRECISIONS)}; weights are float32.")]
Length = Annotated[int, typer.Option(min=3, help="Ids in a row, at most.")]
Whole = Annotated[int | None, typer.Option(min=0, help="In place of the preset's.")]
Number = Annotated[float | None, typer.Option(min=0, help="In place of the preset's.")]


@app.command()
def train(
    ctx: typer.Context,
    shards: Shards,
    run: Annotated[Path, typer.Argument(help="Folder of the state, which is a checkpoint, too.")],
    tokenizer: Annotated[str, typer.Option(help="That made the shards: a folder, the name of a shipped checkpoint.")],
    preset_name: Preset = "roberta-base",
    engine: EngineName = "torch",
    devices: Annotated[int, typer.Option(min=1, help="Of this process; torch has one.")] = 1,
    way: Way = "ddp",
    rows_at_once: AtOnce = None,
    precision: Precision = "float32",
    length: Length = 512,
    mask_probability: Annotated[float, typer.Option(min=0, max=1, help="Chance of a token to be guessed.")] = 0.15,
    batch: Whole = None,
    steps: Whole = None,
    warmup_steps: Whole = None,
    learning_rate: Number = None,
    dropout: Number = None,
    attention_dropout: Number = None,
    seed: Annotated[int, typer.Option(min=0, help="Of weights, order, masks and dropout.")] = 0,
    save_every: Annotated[int, typer.Option(min=1, help="Steps between states.")] = 1000,
    stop_after: Annotated[int | None, typer.Option(min=1, help="Steps to pause after.")] = None,
) -> None:
    """Train on SHARDS, or go on with RUN."""
    with explained():
        recipe = changed(preset_name, ctx)
        corpus = ShardCorpus(shards, roberta.load_tokenizer(tokenizer), length, seed, mask_probability)
        made = new_engine(
            engine, recipe, recipe.config(corpus.vocab_size, length), devices=devices, rows_at_once=rows_at_once,
            way=way, precision=precision,
        )  # fmt: skip
        report = Report(recipe.batch * length, recipe.steps, save_every if made.layout.rank == 0 else 0)
        with closing(made):
            loop.train(recipe, corpus, made, run, save_every, report, stop_after)


@app.command()
def check(
    shards: Shards,
    run: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="What train wrote, without dropout.")],
    engine: EngineName = "torch",
    count: Annotated[int, typer.Option("--replicas", min=3, help="Runs that tell how far apart two may be.")] = 24,
) -> None:
    """Train replicas of RUN on one device, which differ by rounding, and say whether RUN could be one of them."""
    with explained():
        recipe, corpus = read_run(shards, run)
        made = new_engine(engine, recipe, recipe.config(corpus.vocab_size, corpus.length))
        losses = state.read_losses(run)
        permitted = replicas.budgets(replicas.replicas(recipe, corpus, made, len(losses), count))
        compared = replicas.compare(replicas.named(losses, state.read_moments(run)), permitted)
    table = Table("", "largest error / budget", "rms / limit", "largest error", "where")
    for kind, worst in replicas.worst(compared).items():
        table.add_row(kind, f"{worst.ratio:.3g}", f"{worst.rms:.3g}", f"{worst.error:.2g}", worst.name)
    console.print(table)
    if not all(comparison.passed for comparison in compared):
        raise typer.Exit(1)


@app.command()
def plan(
    ctx: typer.Context,
    preset_name: Preset = "roberta-base",
    devices: Annotated[int, typer.Option(min=1, help="How many.")] = 8,
    device_flops: Annotated[float, typer.Option(min=1, help="Peak of one, in operations/s.")] = planning.V100,
    achieved: Annotated[float | None, typer.Option(min=0, max=1, help="Share of the peak; else the paper's.")] = None,
    corpus_tokens: Annotated[int | None, typer.Option(min=1, help="Of one epoch.")] = None,
    shards: Annotated[Path | None, typer.Option(exists=True, file_okay=False, help="An epoch.")] = None,
    way: Way = "ddp",
    rows_at_once: AtOnce = None,
    precision: Precision = "bfloat16",
    length: Length = planning.LENGTH,
    vocab_size: Annotated[int, typer.Option(min=1, help="Of the tokenizer.")] = planning.VOCAB_SIZE,
    batch: Whole = None,
    steps: Whole = None,
    warmup_steps: Whole = None,
) -> None:
    """Say what a run would cost: tokens, operations, memory, days. Nothing is trained."""
    with explained():
        if shards is not None:
            index = ShardIndex.read(shards)
            corpus_tokens, vocab_size = index.count("tokens"), index.tokenizer.vocab_size
        fraction = planning.papers_fraction() if achieved is None else achieved
        planned = planning.Plan(
            changed(preset_name, ctx), devices, device_flops, fraction, rows_at_once, way, precision, corpus_tokens,
            length, vocab_size,
        )  # fmt: skip
    for what, how_much in planning.lines(planned, achieved is None):
        console.print(f"{what:<36} {how_much}", highlight=False)


# -- pieces ------------------------------------------------------------------------------------------------------------


class Report:
    """Prints a line for each state that is saved."""

    def __init__(self, tokens: int, steps: int, every: int) -> None:
        self.tokens, self.steps, self.every = tokens, steps, every
        self.begin, self.count = time.monotonic(), 0

    def __call__(self, step: int, loss: float) -> None:
        """After each step."""
        self.count += 1
        if self.every and (step % self.every == 0 or step == self.steps):
            speed = self.tokens * self.count / (time.monotonic() - self.begin)
            console.print(f"step {step:,} of {self.steps:,}: loss {loss:.4f}, {speed:,.0f} tokens/s", highlight=False)


def changed(name: str, ctx: typer.Context) -> Recipe:
    """A preset with what the options say."""
    return preset(name, **{field.name: ctx.params.get(field.name) for field in fields(Recipe)})


def read_run(shards: Path, run: Path) -> tuple[Recipe, ShardCorpus]:
    """What a run was made with, from its folder."""
    about = state.read_about(run)
    recipe = state.recipe_of(about)
    line = about["corpus"]
    tokenizer = roberta.load_tokenizer(run)
    corpus = ShardCorpus(shards, tokenizer, line["length"], line["seed"], line["mask_probability"])
    if corpus.identity != line:
        message = f"{shards}: expected the shards that {run} was trained on, got others"
        raise ValueError(message)
    return recipe, corpus


@contextmanager
def explained() -> Iterator[None]:
    """An error of what was given, without where in the code it was found."""
    try:
        yield
    except (ValueError, OSError) as error:
        raise typer.BadParameter(str(error)) from error


if __name__ == "__main__":
    app()
