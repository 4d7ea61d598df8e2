"""What a parity run found: rows, a verdict, a table, JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from .compare import Comparison

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True)
class Row:
    """One head on one engine.

    Attributes:
        head: which head.
        backend: which engine, or "candidate".
        weights: "checkpoint", or "seeded" where the checkpoint lacks the head.
        comparisons: of every output.
        first_tap: where the first departure is, if an output failed and the engine can tell.
    """

    head: str
    backend: str
    weights: str
    comparisons: tuple[Comparison, ...]
    first_tap: str | None = None

    @property
    def worst(self) -> Comparison:
        """The output that comes nearest to its budget, or exceeds it most."""
        return max(self.comparisons, key=lambda comparison: comparison.ratio)

    @property
    def passed(self) -> bool:
        """Whether every output keeps within its budget; a row that compared nothing does not pass."""
        return bool(self.comparisons) and all(comparison.passed for comparison in self.comparisons)

    @property
    def sigmas(self) -> float:
        """The root mean square error over all outputs, in standard deviations of the rounding model."""
        found = [comparison.sigmas**2 for comparison in self.comparisons if math.isfinite(comparison.sigmas)]
        return math.sqrt(sum(found) / len(found)) if found else math.nan


@dataclass(frozen=True)
class Report:
    """What `check` and `compare` return.

    Attributes:
        subject: what was checked.
        dtype: in which precision.
        rows: one per head and engine.
    """

    subject: str
    dtype: str
    rows: Sequence[Row] = field(default_factory=tuple)

    @property
    def passed(self) -> bool:
        """Whether all rows pass, and there is one."""
        return bool(self.rows) and all(row.passed for row in self.rows)

    def table(self) -> Table:
        """The report as a table for a terminal: `rich.print(report.table())`."""
        from rich.table import Table

        table = Table(title=f"{self.subject} in {self.dtype}: error / budget, against the spec in float64")
        for column, justify in (("head", "left"), ("engine", "left"), ("weights", "left"), ("worst output", "left")):
            table.add_column(column, justify=justify)  # pyright: ignore[reportArgumentType]
        for column in ("largest error", "rms sigma", "error / budget"):
            table.add_column(column, justify="right")
        table.add_column("verdict")
        for row in self.rows:
            table.add_row(*_cells(row))
        return table

    def to_json(self) -> str:
        """The report as JSON, every output of every row in it. Infinite and undefined numbers are null."""
        content: dict[str, Any] = {"subject": self.subject, "dtype": self.dtype, "passed": self.passed}
        content["rows"] = [
            {
                "head": row.head,
                "backend": row.backend,
                "weights": row.weights,
                "passed": row.passed,
                "first_tap": row.first_tap,
                "outputs": [_plain(asdict(comparison)) for comparison in row.comparisons],
            }
            for row in self.rows
        ]
        return json.dumps(content, indent=2) + "\n"

    def __str__(self) -> str:
        lines = [f"{self.subject} in {self.dtype}: {'passed' if self.passed else 'FAILED'}"]
        lines += [f"  {row.head} on {row.backend}: {row.worst}" for row in self.rows]
        return "\n".join(lines)


def _cells(row: Row) -> tuple[str, ...]:
    worst = row.worst
    verdict = "ok" if row.passed else f"FAILED: {worst.problem or 'over budget'}"
    if row.first_tap:
        verdict += f"; first at {row.first_tap}"
    numbers = (f"{worst.error:.2e}", f"{row.sigmas:.2f}", f"{worst.ratio:.3f}")
    return (row.head, row.backend, row.weights, worst.name, *numbers, verdict)


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in values.items()
    }
