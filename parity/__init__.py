"""The proof that engines agree with the spec: budgets, comparisons, mutants, and the runs that use them.

    check(checkpoint_or_model)            every head on every engine, against the spec in float64
    compare(candidate, reference_model)   somebody else's implementation, as any callable
    check_variants()                      decoders: cross-attention, relative positions, passes on a cache
    check_gradients()                     what engines train by, against finite differences of the spec

Reading order: `tolerances` (the idea), `compare`, `report`, `checking`, `cases`, `variants`, `gradients`, `mutants`,
`selftest`.
"""

from __future__ import annotations

from .checking import check, compare
from .gradients import check_gradients
from .report import Report, Row
from .variants import check_variants

__all__ = ["Report", "Row", "check", "check_gradients", "check_variants", "compare"]
