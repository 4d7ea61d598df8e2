"""How far apart two honest runs may be: the spread of K runs that differ in nothing but rounding.

Float32 leaves open in which order sums are formed: over the rows of a batch, over pieces, over devices. And what is
stored is rounded. So K replicas are trained on one device, which differ in just that. In each step the rows of the
batch come in another order, and are cut into another number of pieces, so that every sum over them is formed in another
way. And each weight and moment goes one unit in the last place up or down, with probability 1/24 each: the variance of
one rounding, ulp^2 / 12. What that grows to in so many steps of Adam, which divides gradients by their size, however
small they are, nobody has to guess.

A run of the same engine on other devices is one more draw. `roberta.parity.statistics` makes limits of K draws, for the
largest element and for the mean square, at a declared rate of false alarms; see docs/budgets.md. Another engine's run
is none: its elementary functions are others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import sqrt
from typing import Any

import numpy as np
from roberta.parity.compare import Comparison, compare_array
from roberta.parity.statistics import largest_of, mean_square_limit, pool
from roberta.parity.tolerances import DRAWS, FALSE_ALARM_RATE, Budget

from .corpus import Batch, Corpus
from .loop import Engine, learn
from .recipe import Recipe
from .state import Moments

Arrays = Mapping[str, Any]


#: Into so many pieces the batch of a replica is cut at most: compiled engines compile each number of them once.
MOST_PIECES = 4


class Shaken:
    """An engine around an engine on one device: the same arithmetic, rounded otherwise."""

    def __init__(self, engine: Engine, seed: int) -> None:
        self.engine, self.layout = engine, engine.layout
        self.total, self.moments, self.load, self.close = engine.total, engine.moments, engine.load, engine.close
        self.rng = np.random.default_rng(seed)

    def step(self, batch: Batch, count: int, rate: float, step: int) -> float:
        """Learn from a batch, from about the weights and moments that there are."""
        shaken = ({name: self.rounded(array) for name, array in arrays.items()} for arrays in self.moments())
        self.load(Moments(*shaken), step)
        return self.engine.step(self.reordered(batch), count, rate, step)

    def rounded(self, array: Any) -> Any:
        """Each number one unit in the last place up or down, with probability 1/24 each; 0 is exact, and stays."""
        drawn = self.rng.random(array.shape)
        towards = np.where(drawn < 1 / 24, -np.inf, np.where(drawn > 23 / 24, np.inf, array)).astype(array.dtype)
        return np.where(array == 0, array, np.nextafter(array, towards))

    def reordered(self, batch: Batch) -> Batch:
        """The rows of a batch in another order, and in another number of pieces."""
        rows = int(np.prod(batch.ids.shape[:3]))
        order = self.rng.permutation(rows)
        pieces = self.rng.choice([number for number in range(1, MOST_PIECES + 1) if rows % number == 0])
        return Batch(*(x.reshape(rows, -1)[order].reshape(1, pieces, rows // pieces, -1) for x in batch))


# -- what they say -----------------------------------------------------------------------------------------------------


def replicas(recipe: Recipe, corpus: Corpus, engine: Engine, steps: int, count: int = DRAWS) -> list[Arrays]:
    """All that there is to be compared, of so many replicas after so many steps.

    Args:
        recipe: settings; dropout would be drawn otherwise for each order of the rows, so it must be off.
        corpus: rows.
        engine: fresh, in one process on one device.
        steps: how many.
        count: K.
    """
    if recipe.dropout or recipe.attention_dropout:
        message = "recipe: expected dropout = attention_dropout = 0, as other devices drop other things; got " + str(
            (recipe.dropout, recipe.attention_dropout)
        )
        raise ValueError(message)
    start, found = engine.moments(), []
    for seed in range(count):
        shaken = Shaken(engine, seed)
        shaken.load(start, 0)
        losses = list(learn(recipe, corpus, shaken, range(steps)))
        found.append(named(losses, shaken.moments()))
    return found


def named(losses: Iterable[float], moments: Moments) -> dict[str, Any]:
    """Losses, weights and moments in one mapping."""
    found = {"losses": np.array(list(losses))}
    for which, arrays in zip(Moments._fields, moments, strict=True):
        found |= {f"{which}.{name}": np.array(array) for name, array in arrays.items()}
    return found


def budgets(found: Sequence[Arrays]) -> dict[str, Budget]:
    """The mean of K replicas, and how far one more draw may be from it: name -> budget.

    The mean of K errs itself, by a K-th of the variance of one; and the K draws differ from their own mean by less than
    from the true one. Both are counted.
    """
    K, permitted = len(found), {}
    for name in found[0]:
        draws = np.stack([arrays[name] for arrays in found]).astype(np.float64)  # K …
        mean = draws.mean(0)
        pooled = pool((draws - mean) * sqrt(K / (K - 1)), mean)
        sigma = pooled.sigma * sqrt(1 + 1 / K)
        # What no replica has moved has no room to move, but a ratio of 0 to 0 is none.
        limit = np.maximum(largest_of(mean.size, pooled.freedom, FALSE_ALARM_RATE / 2) * sigma, np.finfo(float).tiny)
        permitted[name] = Budget(mean, sigma, limit, mean_square_limit(pooled, mean.size, FALSE_ALARM_RATE / 2))
    return permitted


def compare(arrays: Arrays, permitted: Mapping[str, Budget]) -> list[Comparison]:
    """Hold a run against the budgets, array by array."""
    return [compare_array(name, arrays.get(name), budget) for name, budget in permitted.items()]


def worst(comparisons: Iterable[Comparison]) -> dict[str, Comparison]:
    """The worst comparison of the losses, the weights and each moment."""
    found: dict[str, Comparison] = {}
    for comparison in comparisons:
        kind = comparison.name.partition(".")[0]
        found[kind] = max(found.get(kind, comparison), comparison, key=lambda one: one.extent)
    return found
