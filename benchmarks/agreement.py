"""Agreement with transformers 4.57.6: the largest errors that `tests/test_huggingface.py` finds.

    python benchmarks/agreement.py [pytest options, such as -k masked_lm]

float64: the largest error of any output field relative to the field's largest value; the limit is 1e-10. float32: the
largest error / its derived budget (see `roberta.parity.tolerances`), so the limit is 1.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table

TESTS = Path(__file__).parent.parent / "tests" / "test_huggingface.py"


class Gatherer:
    """A pytest plugin that keeps what the tests record: (dtype, engine, head) -> the largest error / limit."""

    def __init__(self) -> None:
        self.worst: dict[tuple[str, str, str], float] = defaultdict(float)
        self.counts: dict[tuple[str, str, str], int] = defaultdict(int)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Called by pytest after each test."""
        if report.when != "call":
            return
        for _, found in (item for item in report.user_properties if item[0] == "agreement"):
            key = (found["dtype"], found["engine"], found["head"])
            self.worst[key] = max(self.worst[key], found["error"] / found["limit"])
            self.counts[key] += 1


def table(gathered: Gatherer) -> Table:
    heads = list(dict.fromkeys(head for _, _, head in gathered.worst))
    shown = Table("dtype", "engine", "comparisons", *heads, title="largest error / limit, against transformers 4.57.6")
    for dtype, engine in dict.fromkeys(key[:2] for key in sorted(gathered.worst)):
        cells = {head: gathered.worst.get((dtype, engine, head)) for head in heads}
        count = sum(gathered.counts.get((dtype, engine, head), 0) for head in heads)
        shown.add_row(dtype, engine, str(count), *("" if v is None else f"{v:.2g}" for v in cells.values()))
    return shown


def main(options: list[str]) -> Any:
    gatherer = Gatherer()
    status = pytest.main([str(TESTS), "-q", "--no-header", "--durations=0", "--durations-min=60", *options], [gatherer])
    Console(width=190).print(table(gatherer))
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
