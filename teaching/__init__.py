"""What a reader makes, breaks and sees, all of it run by the spec.

`explain(text, model)` is a page that shows one run, value by value, and what mistakes would do to it;
`faults.run_fault(model, inputs, name)` makes one mistake, and says how far it reaches;
`exercises.judge(name, function)` judges a function of the spec that you have written.
"""

from __future__ import annotations

from . import exercises as exercises
from . import faults as faults
from .pages import explain as explain
from .pages import write_page as write_page

__all__ = ["exercises", "explain", "faults", "write_page"]
