"""The instrument: is an implementation within what its precision may err from the spec, and if not, where not?

    audit(candidate, reference)           somebody's implementation, asked every probe, with everything recorded
    compare(candidate, reference_model)   the same in brief
    compare_tape(tape, model, inputs)     every value on the way, and the first that departs
    check(checkpoint_or_model)            every head on every engine of ours
    check_variants()                      decoders: cross-attention, relative positions, passes on a cache
    check_gradients()                     what engines train by, against finite differences of the spec

Reading order: `arithmetic`, `tolerances` and `statistics` (the budgets; docs/budgets.md derives them), `compare`,
`probes`, `judging`, `where`, `audit`, `findings`. Rooms of their own: `adapters` (foreign engines), `mistakes`
(mutants, the matched filter, power), `folders` (judging without Python), `reports`, `calibrating`.
"""

from __future__ import annotations

from .audit import audit
from .candidates import Capabilities, as_candidate
from .checking import check, compare
from .findings import Audit, Departure, Finding
from .gradients import check_gradients
from .probes import Call, Probe
from .probes.battery import battery
from .report import Report, Row
from .taped import compare_tape
from .variants import check_variants

__all__ = [
    "Audit",
    "Call",
    "Capabilities",
    "Departure",
    "Finding",
    "Probe",
    "Report",
    "Row",
    "as_candidate",
    "audit",
    "battery",
    "check",
    "check_gradients",
    "check_variants",
    "compare",
    "compare_tape",
]
