"""`docs/exercises.md` is what the exercises say: run this file to write it anew."""

from __future__ import annotations

from pathlib import Path

import roberta
from roberta.teaching.exercises import EXERCISES

PAGE = Path(roberta.__file__).resolve().parent / "docs" / "exercises.md"
HEAD = """# Exercises

Write a function of the spec yourself. It is held against the spec's own on drawn inputs, within what float32 may err on
each of them ([budgets.md](budgets.md)), so that any right way to write it passes; a known mistake is named.

    roberta exercise layer_norm --start mine.py
    roberta exercise layer_norm mine.py

In Python, `roberta.teaching.exercises.judge("layer_norm", layer_norm)` gives the verdict. The order is one in which
each can use those before it; the last is the whole model.
"""


def page() -> str:
    parts = [HEAD]
    for number, one in enumerate(EXERCISES.values(), 1):
        known = "; ".join(mistake.name for mistake in one.mistakes)
        named = f"Mistakes that are named: {known}.\n" if known else "It is judged by counting.\n"
        parts.append(f"## {number}. {one.title}\n\n`def {one.name}{one.signature}`\n\n{one.text}\n\n{named}")
    return "\n".join(parts)


def test_the_page_is_in_step() -> None:
    assert PAGE.read_text(encoding="utf-8") == page()


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
