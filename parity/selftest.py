"""Testing the test: every mutant is caught, and no honest engine is. Both are counted here, by a command."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from ..dispatch.api import FACES
from .cases import Case, draw_case
from .checking import check_case, engines
from .compare import compare_outputs
from .mutants import MUTANTS, Mutant
from .report import Report, Row
from .tolerances import Budget, budgets, flat_outputs

if TYPE_CHECKING:
    from rich.table import Table

SEEDS = (0, 1, 2)
Advance = Callable[[], None]


def _silently() -> None:
    """Nobody watches."""


@contextmanager
def _misused() -> Generator[None]:
    """Drawn cases mask first tokens: a mistake in use, of which a call warns, not in arithmetic."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


@dataclass(frozen=True)
class Hunt:
    """What became of one mutant: `effect` is error / budget where it was smallest, over all its heads and seeds."""

    mutant: Mutant
    backend: str
    caught: int
    tried: int
    effect: float
    weakest: str

    @property
    def passed(self) -> bool:
        """Whether it was caught every time."""
        return 0 < self.tried == self.caught


@dataclass(frozen=True)
class Hunts:
    """What became of all mutants."""

    rows: Sequence[Hunt]

    @property
    def passed(self) -> bool:
        """Whether all were caught every time."""
        return bool(self.rows) and all(row.passed for row in self.rows)

    def table(self) -> Table:
        """One line a mutant: how often it was caught, and the weakest effect in units of the budget."""
        from rich.table import Table

        table = Table(title=f"{sum(row.passed for row in self.rows)} of {len(self.rows)} mutants caught")
        for column in ("mutant", "the mistake", "engine"):
            table.add_column(column)
        for column in ("caught", "weakest effect / budget"):
            table.add_column(column, justify="right")
        table.add_column("there")
        for row in self.rows:
            count = f"{row.caught} of {row.tried}"
            table.add_row(row.mutant.name, row.mutant.mistake, row.backend, count, f"{row.effect:.3g}", row.weakest)
        return table


def run_mutants(
    backends: Sequence[str] = ("numpy",),
    seeds: Sequence[int] = SEEDS,
    dtype: str = "float32",
    advance: Advance = _silently,
) -> Hunts:
    """Let every mutant loose on every head it concerns, on drawn cases.

    Args:
        backends: which engines are mutated.
        seeds: of the cases.
        dtype: the engines' precision.
        advance: called after each mutant on each engine, for a progress bar.
    """
    hunts: list[Hunt] = []
    for backend in backends:
        for mutant in MUTANTS:
            hunts.append(hunt(mutant, backend, seeds, dtype))
            advance()
    return Hunts(hunts)


def hunt(mutant: Mutant, backend: str, seeds: Sequence[int], dtype: str) -> Hunt:
    """One mutant on all its heads and seeds."""
    places = [(head, seed) for head in mutant.heads for seed in seeds]
    effects = {(head, seed): effect(mutant, head, seed, backend, dtype) for head, seed in places}
    head, seed = min(effects, key=lambda place: effects[place])
    caught = sum(value > 1.0 for value in effects.values())
    return Hunt(mutant, backend, caught, len(places), effects[head, seed], f"{head}, seed {seed}")


@_misused()
def effect(mutant: Mutant, head: str, seed: int, backend: str, dtype: str) -> float:
    """The largest error / budget of a mutant on one case."""
    case, permitted = _permitted(head, seed, tuple(sorted(mutant.case.items())), dtype)
    wrong = mutant.mutated(case)
    model = FACES[head].on(backend)(wrong.config, dtype=dtype, state=wrong.state).train(False)
    outputs = mutant.finished(flat_outputs(model(**wrong.inputs)))
    return max(comparison.ratio for comparison in compare_outputs(outputs, permitted))


@cache
def _permitted(head: str, seed: int, needs: tuple[tuple[str, Any], ...], dtype: str) -> tuple[Case, dict[str, Budget]]:
    """A drawn case and its budgets, which most mutants share."""
    case = draw_case(head, seed, **dict(needs))
    oracle = FACES[head].on("numpy")(case.config, dtype="float64", state=case.state)
    return case, budgets(oracle, case.inputs, dtype)[0]


@dataclass(frozen=True)
class FalseAlarms:
    """What became of honest engines on drawn cases."""

    cases: int
    rows: Sequence[Row]

    @property
    def alarms(self) -> Sequence[Row]:
        """The rows in which an honest engine was refused."""
        return [row for row in self.rows if not row.passed]

    @property
    def passed(self) -> bool:
        """Whether there was none, and something was run."""
        return bool(self.rows) and not self.alarms

    def table(self) -> Table:
        """One line an engine: cases, false alarms, and how near the nearest came."""
        from rich.table import Table

        table = Table(title=f"{len(self.alarms)} false alarms in {self.cases} drawn configurations")
        table.add_column("engine")
        for column in ("compared", "false alarms", "largest error / budget", "rms sigma"):
            table.add_column(column, justify="right")
        for backend in dict.fromkeys(row.backend for row in self.rows):
            rows = [row for row in self.rows if row.backend == backend]
            alarms = sum(not row.passed for row in rows)
            worst = max(row.worst.ratio for row in rows)
            sigmas = sorted(row.sigmas for row in rows)[len(rows) // 2]
            table.add_row(backend, str(len(rows)), str(alarms), f"{worst:.3f}", f"{sigmas:.2f}")
        return table


def run_false_alarms(
    count: int = 500,
    seed: int = 0,
    backends: Sequence[str] | None = None,
    dtype: str = "float32",
    advance: Advance = _silently,
) -> FalseAlarms:
    """Hold honest engines against the spec on configurations that Hypothesis draws.

    Args:
        count: how many configurations.
        seed: of the draw.
        backends: engines; None for all that are available and have this dtype.
        dtype: their precision.
        advance: called after each configuration, for a progress bar.

    Raises:
        ImportError: Hypothesis is missing.
    """
    names = engines(backends, dtype)
    reports: list[Report] = []

    def judge(case: Case) -> None:
        with _misused():
            reports.append(check_case(case, names, dtype))
        advance()

    _drawn(judge, count, seed)
    return FalseAlarms(len(reports), [row for report in reports for row in report.rows])


def _drawn(judge: Any, count: int, seed: int) -> None:
    """Call `judge` with `count` drawn cases."""
    try:
        from hypothesis import HealthCheck, Phase, Verbosity, given, settings
        from hypothesis import seed as seeded
    except ImportError as error:
        message = 'the false-alarm run draws its cases with Hypothesis; install it with: pip install "roberta[test]"'
        raise ImportError(message) from error
    from .strategies import cases

    chosen = settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        verbosity=Verbosity.quiet,
    )
    seeded(seed)(chosen(given(cases())(judge)))()
