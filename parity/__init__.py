"""The proof that engines agree with the spec: budgets, comparisons, mutants, and the runs that use them.

    check(checkpoint_or_model)            every head on every engine, against the spec in float64
    compare(candidate, reference_model)   somebody else's implementation, as any callable

Reading order: `tolerances` (the idea), `compare`, `report`, `checking`, `mutants`, `cases`, `selftest`.
"""

from __future__ import annotations

from .checking import check, compare
from .report import Report, Row

__all__ = ["Report", "Row", "check", "compare"]
