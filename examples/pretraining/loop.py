"""The loop of pre-training, and what it asks of an engine. There is one, whatever the framework and the devices."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from .corpus import Batch, Corpus, Layout, batch_of
from .recipe import Recipe
from .state import Moments, Progress, load, save


class Engine(Protocol):
    """What computes a step: on several devices, or as one of several processes.

    Attributes:
        layout: which process this is, and what it computes on.
    """

    layout: Layout

    def total(self, count: int) -> int:
        """The sum of a number over all processes."""
        ...

    def step(self, batch: Batch, count: int, rate: float, step: int) -> float:
        """Learn from one batch, of which this process has its share.

        Args:
            batch: the share.
            count: how many tokens are to be guessed in the whole batch, of all processes. The loss is their mean: a
                sum over devices and pieces of sums over tokens, divided by this.
            rate: the learning rate.
            step: counted from 0; dropout depends on it, so that no generator's state needs saving.

        Returns:
            The loss of the whole batch.
        """
        ...

    def moments(self) -> Moments:
        """What it knows. All processes ask at once; the first gets the arrays, the others may get none."""
        ...

    def load(self, moments: Moments, step: int) -> None:
        """Know this instead, after so many steps; every process has all of it."""
        ...

    def close(self) -> None:
        """Leave the other processes, when all have come so far."""
        ...


def learn(recipe: Recipe, corpus: Corpus, engine: Engine, steps: range) -> Iterator[float]:
    """Train, and yield the loss of each step."""
    for step in steps:
        batch = batch_of(corpus, step, recipe.batch, engine.layout)
        yield engine.step(batch, engine.total(batch.count), recipe.rate(step), step)


def train(
    recipe: Recipe,
    corpus: Corpus,
    engine: Engine,
    folder: Path,
    save_every: int,
    report: Callable[[int, float], None] = lambda step, loss: None,
    last: int | None = None,
) -> Progress:
    """Train from the last state in the folder, if there is one, to the end.

    Args:
        recipe: settings.
        corpus: rows.
        engine: computes.
        folder: of the state, which is a checkpoint, too; written by the first process.
        save_every: steps between states.
        report: told the steps done, and the loss of the last.
        last: the number of steps to stop after; None for all.

    Returns:
        How far the run has come.

    Raises:
        ValueError: the folder has a state of another run; says what differs.
    """
    progress = load(folder, engine, recipe, corpus)
    end = recipe.steps if last is None else min(last, recipe.steps)
    for loss in learn(recipe, corpus, engine, range(progress.step, end)):
        progress.losses.append(loss)
        report(progress.step, loss)
        if progress.step % save_every == 0 or progress.step == end:
            save(folder, engine, recipe, corpus, progress)
    return progress
