"""What an exercise is: a function to write, inputs to try it on, the spec's own answer, and known mistakes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from ...files.tables import printable

Function = Callable[..., Any]
Case = Mapping[str, Any]


@dataclass(frozen=True)
class Mistake:
    """A wrong answer that is known.

    Attributes:
        name: what is wrong, in a few words.
        hint: what to look at.
        answer: a function with the exercise's arguments that makes the mistake.
    """

    name: str
    hint: str
    answer: Function


@dataclass(frozen=True)
class Exercise:
    """A function of the spec, to be written.

    Attributes:
        name: of the function, and of the exercise.
        title: for a list.
        text: what to write: equation, shapes, source.
        signature: as the function is called.
        answer: the spec's own function, with these arguments.
        cases: draws the inputs: a generator of NumPy -> some, the simplest first.
        mistakes: that are known.
        is_exact: whether the answer is integers or texts, and has no budget.
        count: judges what is drawn at random: (function, generator) -> what is wrong, "" if nothing; None elsewhere.
    """

    name: str
    title: str
    text: str
    signature: str
    answer: Function
    cases: Callable[[Any], Sequence[Case]]
    mistakes: tuple[Mistake, ...] = ()
    is_exact: bool = False
    count: Callable[[Function, Any], str] | None = field(default=None)

    @property
    def start(self) -> str:
        """A file to begin with."""
        body = "\n".join(f"    {line}".rstrip() for line in self.text.splitlines())
        head = f"def {self.name}{self.signature}:"
        return f'import numpy as np\n\n\n{head}\n    """{body.strip()}\n    """\n    raise NotImplementedError\n'


@dataclass(frozen=True)
class Verdict:
    """What is found of somebody's function.

    Attributes:
        exercise: its name.
        passed: whether it computes what the spec computes.
        count: on how many inputs it was tried.
        extent: the largest error in units of the budget; of exact answers 0 or infinity; NaN where there was none.
        problem: what is wrong, in words; "" if nothing is.
        mistake: the known mistake that it makes; "" if it makes none, or another.
        hint: what to look at.
    """

    exercise: str
    passed: bool
    count: int
    extent: float = float("nan")
    problem: str = ""
    mistake: str = ""
    hint: str = ""

    def __str__(self) -> str:
        if self.passed:
            how = "exact" if self.extent == 0 else f"the largest error is {self.extent:.2g} of its budget"
            return f"{self.exercise}: right, on {self.count} inputs; {how if self.extent == self.extent else 'counted'}"
        named = f"\nThe mistake: {self.mistake}. {self.hint}" if self.mistake else ""
        problem = "\n".join(map(printable, self.problem.splitlines()))
        return f"{self.exercise}: not yet. {problem}{named}"

    def _repr_html_(self) -> str:
        """For notebooks."""
        head, _, rest = str(self).partition("\n")
        return f"<p><b>{'✓' if self.passed else '✗'}</b> {escape(head)}</p>" + (
            f"<p>{escape(rest)}</p>" if rest else ""
        )
