"""Testing the test: every mutant is caught, and no honest engine is. Both are counted here, by a command."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..dispatch.registry import canonical_name, load
from .cases import Case
from .checking import check_case, engines
from .forms import USUAL
from .mistakes.hunting import questions
from .mistakes.mutants import MUTANTS, Mutant
from .mistakes.wrong_engines import misused
from .report import Report, Row
from .tolerances import PRECISIONS

if TYPE_CHECKING:
    from rich.table import Table

SEEDS = (0, 1, 2)
#: Precisions with a larger u than this cannot see every mutant.
COARSE = 2.0**-20
Advance = Callable[[], None]


def _silently() -> None:
    """Nobody watches."""


@dataclass(frozen=True)
class Hunt:
    """What became of one mutant.

    Attributes:
        mutant: the mistake.
        backend: the engine in which it was made.
        caught: on how many heads and seeds.
        tried: of how many.
        effect: error / limit where it was smallest.
        weakest: where that was.
        excused: on how many it cannot be seen in this precision: what it does to the outputs is too small, or nothing.
        reason: why.
        form: in which the engine computed, see `forms`.
    """

    mutant: Mutant
    backend: str
    caught: int
    tried: int
    effect: float
    weakest: str
    excused: int = 0
    reason: str = ""
    form: str = "plain"

    @property
    def passed(self) -> bool:
        """Whether it was caught wherever it can be seen."""
        return 0 < self.tried == self.caught + self.excused


@dataclass(frozen=True)
class Hunts:
    """What became of all mutants."""

    rows: Sequence[Hunt]
    dtype: str = "float32"

    @property
    def passed(self) -> bool:
        """Whether all were caught wherever they can be seen."""
        return bool(self.rows) and all(row.passed for row in self.rows)

    def table(self) -> Table:
        """One line a mutant: how often it was caught, the weakest effect in units of its limit, and why not."""
        from rich.table import Table

        caught = sum(row.caught == row.tried for row in self.rows)
        table = Table(title=f"{caught} of {len(self.rows)} mutants caught everywhere in {self.dtype}")
        for column in ("mutant", "the mistake", "engine"):
            table.add_column(column)
        for column in ("caught", "not visible", "weakest effect / limit"):
            table.add_column(column, justify="right")
        table.add_column("there")
        for row in self.rows:
            counts = (f"{row.caught} of {row.tried}", str(row.excused or ""), f"{row.effect:.3g}")
            where = f"{row.weakest}: {row.reason}" if row.reason else row.weakest
            engine = row.backend if row.form == "plain" else f"{row.backend}, {row.form}"
            table.add_row(row.mutant.name, row.mutant.mistake, engine, *counts, where)
        return table


def run_mutants(
    backends: Sequence[str] = ("numpy",),
    seeds: Sequence[int] = SEEDS,
    dtype: str = "float32",
    advance: Advance = _silently,
) -> Hunts:
    """Let every mutant loose on every head it concerns, on drawn cases and on the probes that are there to catch it.

    Args:
        backends: which engines are mutated, in their plain form and in that for inference; slips in code are made of
            numpy, which computes the spec's values one by one, and which has every precision here by rounding what it
            stores.
        seeds: of the cases.
        dtype: the engines' precision.
        advance: called after each mutant on each engine, for a progress bar.
    """
    hunts: list[Hunt] = []
    for backend in backends:
        forms = USUAL if hasattr(load(backend), "Inference") else USUAL[:1]
        for mutant in MUTANTS:
            if backend == "numpy" or mutant.slip is None:
                hunts += [hunt(mutant, backend, seeds, dtype, form) for form in forms]
            advance()
    return Hunts(hunts, dtype)


def mutated_engines(backends: Sequence[str] | None, dtype: str) -> list[str]:
    """The engines that are mutated: numpy, which rounds what it stores to any precision, and those that have it.

    Args:
        backends: those that are meant; None for all that are available.
        dtype: the precision.

    Raises:
        ValueError: an unknown engine or dtype, or a named engine without this dtype.
    """
    if backends is None:
        return list(dict.fromkeys(["numpy", *engines(None, dtype)]))
    others = [name for name in backends if canonical_name(name) != "numpy"]
    return [*["numpy"][: len(backends) - len(others)], *engines(others, dtype)]


def hunt(mutant: Mutant, backend: str, seeds: Sequence[int], dtype: str, form: str = "plain") -> Hunt:
    """One mutant on all its heads and seeds."""
    places = [(head, seed) for head in mutant.heads for seed in seeds]
    effects = {(head, seed): effect(mutant, head, seed, backend, dtype, form) for head, seed in places}
    head, seed = min(effects, key=lambda place: effects[place])
    missed = [place for place, value in effects.items() if value <= 1.0]
    reasons = {place: excuse(mutant, *place, dtype) for place in missed}
    excused = sum(bool(reason) for reason in reasons.values())
    reason = reasons.get((head, seed), "")
    caught = len(places) - len(missed)
    weakest = f"{head}, seed {seed}"
    return Hunt(mutant, backend, caught, len(places), effects[head, seed], weakest, excused, reason, form)


def effect(mutant: Mutant, head: str, seed: int, backend: str, dtype: str, form: str = "plain") -> float:
    """The largest error / limit of a mutant on one case and its probes, as far as it takes to catch it."""
    largest = 0.0
    for question in questions(mutant, head, seed, dtype):
        largest = max(largest, question.extent(mutant, backend, form))
        if largest > 1.0:
            break
    return largest


def excuse(mutant: Mutant, head: str, seed: int, dtype: str) -> str:
    """Why a mutant cannot be seen on a case and its probes; empty where it can, or must: in float32 and float64."""
    if PRECISIONS[dtype].storage < COARSE and not mutant.is_silent:
        return ""
    found = [question.power[mutant.name] for question in questions(mutant, head, seed, dtype)]
    best = max(found, key=lambda visibility: visibility.effect)
    return best.reason


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
        for engine in dict.fromkeys((row.backend, row.variant) for row in self.rows):
            rows = [row for row in self.rows if (row.backend, row.variant) == engine]
            alarms = sum(not row.passed for row in rows)
            worst = max(row.worst.ratio for row in rows)
            sigmas = sorted(row.sigmas for row in rows)[len(rows) // 2]
            table.add_row(", ".join(filter(None, engine)), str(len(rows)), str(alarms), f"{worst:.3f}", f"{sigmas:.2f}")
        return table


def run_false_alarms(
    count: int = 500,
    seed: int = 0,
    backends: Sequence[str] | None = None,
    dtype: str = "float32",
    advance: Advance = _silently,
) -> FalseAlarms:
    """Hold honest engines, in their plain form and in that for inference, against drawn configurations of the spec.

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
        with misused():
            reports.append(check_case(case, names, dtype, USUAL))
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
