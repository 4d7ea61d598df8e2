"""Agreement with transformers 4.57.6, its PyTorch, TensorFlow and Flax classes: the largest errors that the tests find.

    python benchmarks/agreement.py [pytest options, such as -k masked_lm]

Rows: a framework of the peer, and what its seven classes are held against. Cells: the largest error / limit of any
element of any output, over all kinds, positions and variants; 1 is the limit. float32: the limit is the derived budget
(see `roberta.parity.tolerances`) from the spec, and sqrt(2) times that between two float32 models. float64: 1e-10 of
the field's largest value. The tests themselves record these numbers, and list what they leave out as defective.
"""

from __future__ import annotations

import os
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

# Before TensorFlow starts: what it says of the machine is not about agreement.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pytest
from rich.console import Console
from rich.table import Table

TESTS = sorted((Path(__file__).parent.parent / "tests").glob("test_huggingface*.py"))
HEADS = (
    "model",
    "causal_lm",
    "masked_lm",
    "sequence_classification",
    "multiple_choice",
    "token_classification",
    "question_answering",
)


class Gatherer:
    """A pytest plugin that keeps what the tests record: (framework, dtype, engine) -> head -> the largest ratio."""

    def __init__(self) -> None:
        self.worst: dict[tuple[str, str, str], dict[str, float]] = defaultdict(lambda: defaultdict(float))
        self.counts: Counter[tuple[str, str, str]] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Called by pytest after each test."""
        if report.when != "call":
            return
        for _, found in (item for item in report.user_properties if item[0] == "agreement"):
            row = (found["framework"], found["dtype"], found["engine"])
            self.worst[row][found["head"]] = max(self.worst[row][found["head"]], found["ratio"])
            self.counts[row] += 1


def table(gathered: Gatherer) -> Table:
    shown = Table(title="largest error / limit, against transformers 4.57.6")
    for name in ("its classes", "dtype", "against", "compared", *HEADS):
        shown.add_column(name.replace("_", "\n"), overflow="fold")
    before = None
    for row in sorted(gathered.worst, key=order):
        cells = (gathered.worst[row].get(head) for head in HEADS)
        if before not in (None, row[:2]):
            shown.add_section()
        before = row[:2]
        shown.add_row(*row, str(gathered.counts[row]), *("–" if cell is None else f"{cell:.2g}" for cell in cells))
    return shown


def order(row: tuple[str, str, str]) -> tuple[Any, ...]:
    """PyTorch first, and the spec before the engines."""
    framework, dtype, engine = row
    return ["PyTorch", "TensorFlow", "Flax"].index(framework), dtype, not engine.startswith("the spec"), engine


def main(options: list[str]) -> Any:
    gatherer = Gatherer()
    asked = [*map(str, TESTS), "-q", "--no-header", "--durations=0", "--durations-min=60", *options]
    status = pytest.main(asked, [gatherer])
    Console(width=170).print(table(gatherer))
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
