"""What a parity run found: rows, a verdict, a table, JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from ..files import tables
from .compare import Comparison

if TYPE_CHECKING:
    from rich.table import Table


COLUMNS = ("head", "engine", "weights", "worst output", "largest error", "rms sigma", "error / budget", "verdict")


@dataclass(frozen=True)
class Row:
    """One head on one engine.

    Attributes:
        head: which head.
        backend: which engine, or "candidate".
        weights: "checkpoint", or "seeded" where the checkpoint lacks the head.
        comparisons: of every output.
        first_tap: where the first departure is, if an output failed and the engine can tell.
        variant: which decoder variant, see `variants`, or which form, see `forms`; empty for a head as the checkpoint
            has it and a model as it is.
        skipped: why nothing was compared, as that cannot be here; empty where it was.
    """

    head: str
    backend: str
    weights: str
    comparisons: tuple[Comparison, ...]
    first_tap: str | None = None
    variant: str = ""
    skipped: str = ""

    @property
    def place(self) -> str:
        """The head, and the variant if it is one."""
        return f"{self.head}, {self.variant}" if self.variant else self.head

    @property
    def worst(self) -> Comparison:
        """The output that comes nearest to its budget, or exceeds it most."""
        return max(self.comparisons, key=lambda comparison: comparison.extent)

    @property
    def passed(self) -> bool:
        """Whether every output keeps within its budget; a row that compared nothing does not pass."""
        return bool(self.comparisons) and all(comparison.passed for comparison in self.comparisons)

    @property
    def sigmas(self) -> float:
        """The root mean square error over all outputs, in standard deviations of the rounding model."""
        found = [comparison.sigmas**2 for comparison in self.comparisons if math.isfinite(comparison.sigmas)]
        return math.sqrt(sum(found) / len(found)) if found else math.nan


@dataclass(frozen=True, repr=False)
class Report:
    """What `check` and `compare` return.

    Attributes:
        subject: what was checked.
        dtype: in which precision.
        rows: one per head and engine, or per probe.
        remarks: what was not tried.
    """

    subject: str
    dtype: str
    rows: Sequence[Row] = field(default_factory=tuple)
    remarks: Sequence[str] = ()

    @property
    def passed(self) -> bool:
        """Whether all rows pass that were not skipped, and there is one."""
        judged = [row for row in self.rows if not row.skipped]
        return bool(judged) and all(row.passed for row in judged)

    def table(self) -> Table:
        """The report as a table for a terminal: `rich.print(report.table())`."""
        from rich.table import Table

        table = Table(title=f"{self.subject} in {self.dtype}: error / budget, against the spec in float64")
        for column in COLUMNS:
            is_number = column in {"largest error", "rms sigma", "error / budget"}
            table.add_column(column, justify="right" if is_number else "left")
        for row in self.rows:
            table.add_row(*_cells(row))
        return table

    def grid(self) -> Table:
        """The report in brief: error / budget, a line for each head and variant, a column for each engine."""
        from rich.table import Table

        names = list(dict.fromkeys(row.backend for row in self.rows))
        table = Table("head", "variant", title=f"{self.subject} in {self.dtype}: largest error / budget")
        for name in names:
            table.add_column(name, justify="right")
        for head, variant in dict.fromkeys((row.head, row.variant) for row in self.rows):
            cells = {row.backend: _brief(row) for row in self.rows if (row.head, row.variant) == (head, variant)}
            table.add_row(head, variant, *(cells.get(name, "-") for name in names))
        return table

    def to_json(self) -> str:
        """The report as JSON, every output of every row in it. Infinite and undefined numbers are null."""
        content: dict[str, Any] = {"subject": self.subject, "dtype": self.dtype, "passed": self.passed}
        content["remarks"] = list(self.remarks)
        content["rows"] = [
            {
                "head": row.head,
                "variant": row.variant,
                "backend": row.backend,
                "weights": row.weights,
                "passed": row.passed,
                "skipped": row.skipped or None,
                "first_tap": row.first_tap,
                "outputs": [_plain(asdict(comparison)) for comparison in row.comparisons],
            }
            for row in self.rows
        ]
        return json.dumps(content, indent=2) + "\n"

    def _repr_html_(self) -> str:
        title = f"{self.subject} in {self.dtype}: {'passed' if self.passed else 'FAILED'}"
        return tables.Table(COLUMNS, [_cells(row) for row in self.rows], title, self.remarks).html()

    def __str__(self) -> str:
        lines = [f"{self.subject} in {self.dtype}: {'passed' if self.passed else 'FAILED'}"]
        lines += [
            f"  {row.place} on {row.backend}: {f'skipped: {row.skipped}' if row.skipped else row.worst}"
            for row in self.rows
        ]
        return "\n".join([*lines, *(f"  {remark}" for remark in self.remarks)])

    __repr__ = __str__


def _cells(row: Row) -> tuple[str, ...]:
    if row.skipped:
        return (row.place, row.backend, row.weights, "", "", "", "", f"skipped: {row.skipped}")
    worst = row.worst
    verdict = "ok" if row.passed else f"FAILED: {worst.problem or 'over budget'}"
    if row.first_tap:
        verdict += f"; first at {row.first_tap}"
    numbers = (f"{worst.error:.2e}", f"{row.sigmas:.2f}", f"{worst.ratio:.3f}")
    return (row.place, row.backend, row.weights, worst.name, *numbers, verdict)


def _brief(row: Row) -> str:
    if row.skipped:
        return f"skipped: {row.skipped}"
    return f"{row.worst.ratio:.3f}" if row.passed else f"FAILED: {row.worst.name}"


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in values.items()
    }
