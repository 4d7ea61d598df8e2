"""Do the frameworks learn alike? Loss curves of `examples/finetune.py`, held against a derived budget.

    python benchmarks/curves.py --task classification --backends torch,tensorflow,flax

The truth is the run in float64: the same seed, order and batches, without dropout. The budget comes from running it
again, K times, with the rounding errors of float32 put in where a float32 run makes them, as in
`roberta.parity.tolerances`, but now step after step:

* in each forward pass every tap is rounded, and every weight is off as the sums are in which it is a factor; the
  backward pass differentiates what the forward pass computed, and so carries these errors, too;
* after each step every parameter is stored, which rounds it once.

The roundings of Adam's moments are left out: they change an update by some u, and an update is a thousandth of its
parameter, whose own rounding is in. What K runs spread at step t, conditioning of all earlier steps included, is
sigma(t). A framework passes if at each step its loss is at most t sigma from the truth, t Student's quantile for K
degrees of freedom at the false-alarm rate of `tolerances`, shared out over the steps. Nothing is pooled over steps: an
early step has an early step's budget.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import roberta
import torch
import typer
from rich.console import Console
from rich.table import Table
from roberta.parity.arithmetic import PRECISIONS, Precision
from roberta.parity.factors import relative_error
from roberta.parity.statistics import largest_of
from roberta.parity.tolerances import DRAWS, FALSE_ALARM_RATE
from roberta.reference.taps import symbols
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parent.parent


def example(name: str) -> Any:
    """Load a script of the examples as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their own module up
    spec.loader.exec_module(module)
    return module


class Rounded(nn.Module):
    """A float64 model that makes the errors of a lower precision wherever that would round.

    Args:
        model: of the PyTorch engine, in float64.
        precision: whose errors.
        seed: of the errors.
    """

    def __init__(self, model: Any, precision: Precision, seed: int) -> None:
        super().__init__()
        self.model = model
        self.model.checks_inputs = False
        self.precision = precision
        self.generator = torch.Generator().manual_seed(seed)
        self.symbols = symbols(model.head, model.config, **model.options)
        self.is_first = True

    def forward(self, **batch: Any) -> Any:
        """One call, with the errors of a forward pass; before all but the first, those of storing an update."""
        if not self.is_first:
            self._store()
        self.is_first = False
        named = {name: self._noisy(value, self._deviation(name)) for name, value in self.model.named_parameters()}
        return torch.func.functional_call(
            _Tapped(self.model), {f"model.{n}": v for n, v in named.items()}, (self._tap, batch)
        )

    @torch.no_grad()
    def _store(self) -> None:
        for parameter in self.model.parameters():
            parameter.copy_(self._noisy(parameter, relative_error(self.precision, 1)))

    def _deviation(self, name: str) -> float:
        """The relative error of a weight as a factor; a table that is the decoder, too, has the decoder's."""
        is_tied = name.endswith("word_embeddings.weight") and self.model.head in {"masked_lm", "causal_lm"}
        parameter = self.model.table[name]
        is_dense = len(parameter.shape) == 2 and (is_tied or not name.endswith("embeddings.weight"))
        return relative_error(self.precision, parameter.shape[1] if is_dense else 1)

    def _tap(self, name: str, value: Tensor) -> Tensor:
        config = self.model.config
        sizes = {"D": config.hidden_size, "K": config.head_size, "S": value.shape[-1], None: 1}
        return self._noisy(value, relative_error(self.precision, sizes[self.symbols[name].terms]))

    def _noisy(self, value: Tensor, deviation: float) -> Tensor:
        error = torch.rand(value.shape, generator=self.generator, dtype=torch.float32) - 0.5
        return value * (1.0 + error.double() * (deviation * 12.0**0.5))


class _Tapped(nn.Module):
    """A model called with a tap in it."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, tap: Any, batch: Mapping[str, Any]) -> Any:
        """On the path that computes every named quantity."""
        return self.model._call((), {**batch, "output_attentions": True}, tap)


class Budget(NamedTuple):
    """Truth and permitted error of a loss curve.

    Attributes:
        truth: (steps,) the losses in float64.
        sigma: (steps,) the standard deviation that the precision may cause.
        limit: (steps,) the largest permitted distance from the truth.
    """

    truth: np.ndarray
    sigma: np.ndarray
    limit: np.ndarray

    def exceeded(self, losses: Sequence[float]) -> np.ndarray:
        """Error / limit of each step; anything above 1, and NaN, is not the same way."""
        return np.abs(np.asarray(losses) - self.truth) / self.limit


def curve_budget(
    make: Any, batches: Sequence[Mapping[str, Any]], rates: np.ndarray, draws: int = DRAWS, dtype: str = "float32"
) -> Budget:
    """The budget of a training run.

    Args:
        make: () -> a fresh model of the PyTorch engine in float64.
        batches: one for each step.
        rates: the learning rates.
        draws: K.
        dtype: the precision that is permitted.
    """
    precision, train = PRECISIONS[dtype], example("finetune").torch_trainer
    truth = np.array(run(train, make(), batches, rates))
    spread = [np.array(run(train, Rounded(make(), precision, seed), batches, rates)) - truth for seed in range(draws)]
    own = relative_error(precision, 1) * truth  # the loss itself is rounded
    sigma = np.sqrt(np.mean(np.square(spread), axis=0) + own**2)
    return Budget(truth, sigma, largest_of(len(batches), draws, FALSE_ALARM_RATE) * sigma)


def run(trainer: Any, model: Any, batches: Sequence[Mapping[str, Any]], rates: np.ndarray) -> list[float]:
    """Train, and return the losses."""
    step, _ = trainer(model, rates)
    return [step(batch) for batch in batches]


def main(
    task: Annotated[str, typer.Option(help="Of `examples/finetune.py`.")] = "classification",
    backends: Annotated[str, typer.Option(help="Separated by commas.")] = "torch,tensorflow,flax",
    corpus: Annotated[Path, typer.Option(help="Folder of the novels.")] = Path("../shared/corpus/austen"),
    steps: Annotated[int, typer.Option(help="Steps.")] = 50,
    batch_size: Annotated[int, typer.Option(help="Examples in a step.")] = 8,
    length: Annotated[int, typer.Option(help="Tokens in a row.")] = 32,
    draws: Annotated[int, typer.Option(help="Perturbed runs.")] = DRAWS,
    seed: Annotated[int, typer.Option(help="Of the head and the order.")] = 0,
) -> None:
    """Print, for each framework, how far its loss curve is from the truth, in budgets."""
    finetune = example("finetune")
    tokenizer = roberta.RobertaTokenizer.from_pretrained("austen", add_prefix_space=task == "tagging")
    todo = finetune.TASKS[task](finetune.read_novels(corpus), tokenizer, length, seed)
    served = list(islice(finetune.batches(todo, batch_size, seed), steps))
    rates = finetune.learning_rates(5e-4, steps)

    def make(backend: str = "torch", dtype: str = "float64") -> Any:
        return finetune.new_model(todo, "austen", backend, seed, dtype=dtype)

    budget = curve_budget(make, served, rates, draws)
    shown = Table("backend", "last loss", "largest error", "sigma there", "error / budget", "rms error / sigma")
    for name in ["float64", *backends.split(",")]:
        losses = (
            budget.truth
            if name == "float64"
            else np.array(run(finetune.TRAINERS[name], make(name, "float32"), served, rates))
        )
        worst, error = int(budget.exceeded(losses).argmax()), np.abs(losses - budget.truth)
        figures = (
            error[worst],
            budget.sigma[worst],
            budget.exceeded(losses)[worst],
            np.sqrt(np.mean((error / budget.sigma) ** 2)),
        )
        shown.add_row(name, f"{losses[-1]:.6f}", *(f"{figure:.2g}" for figure in figures))
    Console(width=120).print(f"{task}, {steps} steps of {batch_size} × {length}; K = {draws}", shown)


if __name__ == "__main__":
    typer.run(main)
