"""How a document's text is cut into sentences, which packings keep whole."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from typing import Literal

__all__ = ["CUTS", "SentenceCut"]

SentenceCut = Literal["whole", "lines", "rule"]

BLANK_LINES = re.compile(r"\n(?=[ \t\r]*\n)")
END = re.compile(r"""[.!?…]["'”’»)\]]*(?=\s+["'“‘«(\[]*[^\W\d_a-zß-öø-ÿ])|[。！？]["'”’」』）]*""")
ABBREVIATION = re.compile(r"\b(?:Mr|Mrs|Ms|Dr|St|Messrs|Prof|vs|etc|e\.g|i\.e|[A-Z])\.$")


def _whole(text: str) -> list[str]:
    return [text] if text.strip() else []


def _lines(text: str) -> list[str]:
    r"""Take each line that has something in it.

    >>> _lines("One line.\r\n\nAnother.\n")
    ['One line.', 'Another.']
    """
    return [line for line in text.splitlines() if line.strip()]


def _by_rule(text: str) -> list[str]:
    r"""Cut behind . ! ? and closing quotes where a capital follows, not behind "Mr." and initials; and at blank lines.

    White space goes with the sentence that it precedes: joined, the sentences are the text, but for the end.

    >>> _by_rule('"Oh!" said Mr. K. "Ah? Well."\n\nA title\n\nAn end')
    ['"Oh!" said Mr. K. "Ah?', ' Well."', '\n\nA title', '\n\nAn end']
    """
    ends = [
        match.end()
        for match in END.finditer(text)
        if not ABBREVIATION.search(text, max(0, match.end() - 8), match.end())
    ]
    ends += [match.start() for match in BLANK_LINES.finditer(text)]
    edges = [0, *sorted(set(ends) - {0, len(text)}), len(text)]
    sentences: list[str] = []
    held = ""  # white space, and nothing else yet
    for begin, end in pairwise(edges):
        held += text[begin:end]
        if held.strip():
            sentences.append(held)
            held = ""
    return sentences


CUTS: dict[SentenceCut, Callable[[str], list[str]]] = {"whole": _whole, "lines": _lines, "rule": _by_rule}
"""``whole``: a document is one sentence; ``lines``: each line is one; ``rule``: where punctuation says so."""
