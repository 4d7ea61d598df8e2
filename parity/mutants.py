"""Mutants: engines that are wrong in one known way. A comparator that lets one of them pass is no comparator.

`MUTANTS` lists them with the mistake each stands for, the heads that it concerns, what it needs to show, and the place
where it departs. `changes` has those in what goes in and comes out, which can be made of every engine; `slips` those in
code, made of an engine that computes the spec's values one by one.
"""

from __future__ import annotations

from .changes import CHANGES
from .slips import SLIPS
from .wrong_engines import Mutant, WrongEngine

__all__ = ["MUTANTS", "Mutant", "WrongEngine"]

MUTANTS: tuple[Mutant, ...] = (*CHANGES, *SLIPS)
