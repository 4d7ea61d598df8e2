"""Write a function of the spec yourself, and be judged by the budget that rounding leaves: `roberta exercise`.

| file | holds |
|---|---|
| `exercise.py` | what an exercise is, and the verdict |
| `text.py` | merges, positions, masking: exact, or judged by counting |
| `layers.py` | embeddings, norm, GELU, softmax, attention, relative positions |
| `losses.py` | masked tokens, the next token, one number, several labels, spans |
| `whole.py` | a masked language model from all of it |
| `judging.py` | the verdict: error over budget, and which known mistake it is |
| `files.py` | a student's file, run in a process of its own |
"""

from __future__ import annotations

from .exercise import Exercise, Verdict
from .judging import EXERCISES, exercise, judge

__all__ = ["EXERCISES", "Exercise", "Verdict", "exercise", "judge"]
