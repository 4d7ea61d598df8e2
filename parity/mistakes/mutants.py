"""Mutants: engines that are wrong in one known way. A comparator that lets one of them pass is no comparator.

`MUTANTS` lists them with the mistake each stands for, the heads that it concerns, what it needs to show, and the place
where it departs. `wrong_weights` and `wrong_calls` have those in what an engine is given, which can be made of all of
them; `slips` those in code, made of an engine that computes the spec's values one by one.
"""

from __future__ import annotations

from .slips import SLIPS
from .wrong_calls import WRONG_CALLS
from .wrong_engines import Mutant, WrongEngine
from .wrong_weights import WRONG_WEIGHTS

__all__ = ["MUTANTS", "Mutant", "WrongEngine"]

MUTANTS: tuple[Mutant, ...] = (*WRONG_WEIGHTS, *WRONG_CALLS, *SLIPS)
