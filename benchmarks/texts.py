"""The texts that the tokenizers are timed on: English, code, Chinese and emoji, each as lines of a sentence or so.

English are the novels, code is Python's own standard library. Chinese and emoji are drawn, with a seed, for want of a
long free text of either: the one from a lexicon of 40,000 words of one to four of the 3,755 commonest characters (the
first level of GB 2312), the other from emoji with and without skin colours, joiners and flags between English words;
both by Zipf's law. So nearly every clause of the Chinese is a new one, as in real Chinese.
"""

from __future__ import annotations

import random
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, islice
from pathlib import Path
from typing import NamedTuple

import regex


class Parts(NamedTuple):
    """Three parts of one text, line by line.

    Args:
        measured: read twice: cold and warm.
        learned: read in between, not timed.
        held_out: read last.
    """

    measured: list[str]
    learned: list[str]
    held_out: list[str]


def parts_of(text: Iterator[str], measured: int, learned: int) -> Parts:
    """Cut a text into parts of some bytes; the one held out is as long as the one that is measured."""
    sizes, parts = [measured, learned, measured], []
    for size in sizes:
        part, total = [], 0
        while total < size:
            part.append(next(text))
            total += len(part[-1].encode())
        parts.append(part)
    return Parts(*parts)


def english(corpus: Path) -> Iterator[str]:
    """Paragraphs of the novels, one of each in turn."""
    novels = [path.read_text(encoding="utf-8").split("\n\n") for path in sorted(corpus.glob("*.txt"))]
    return (line for paragraphs in novels for line in paragraphs if line)


def code(_: Path) -> Iterator[str]:
    """Parts of Python's own modules, as empty lines part them."""
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py")):
        yield from (block for block in path.read_text(encoding="utf-8").split("\n\n") if block)


class Zipf:
    """Draws from a list, the n-th item n times as rarely as the first."""

    def __init__(self, items: Sequence[str], seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311  (no secret)
        self.items = items
        self.weights = list(accumulate(1 / rank for rank in range(1, len(items) + 1)))

    def draw(self, least: int, most: int) -> list[str]:
        """Draw some items."""
        count = self.random.randint(least, most)
        return self.random.choices(self.items, cum_weights=self.weights, k=count)


def chinese(_: Path) -> Iterator[str]:
    """Sentences of one to five clauses, without end."""
    cells = ((row, column) for row in range(0xB0, 0xD8) for column in range(0xA1, 0xFF if row < 0xD7 else 0xFA))
    hanzi = [bytes(cell).decode("gb2312") for cell in cells]
    shuffle = random.Random(0)  # noqa: S311  (no secret)
    shuffle.shuffle(hanzi)
    characters = Zipf(hanzi, seed=1)
    words = Zipf(["".join(characters.draw(1, 4)) for _ in range(40_000)], seed=2)
    while True:
        clauses = ["".join(words.draw(2, 8)) for _ in range(words.random.randint(1, 5))]
        yield "，".join(clauses) + words.random.choice("。。。！？")


def emoji(corpus: Path) -> Iterator[str]:
    """A word of English and one to four emoji, again and again, without end."""
    words = Zipf(list(dict.fromkeys(" ".join(islice(english(corpus), 500)).split())), seed=1)
    single = [chr(point) for point in range(0x1F300, 0x1FB00) if regex.match(r"\p{Emoji_Presentation}", chr(point))]
    coloured = [one + chr(0x1F3FB + tone) for one in single if regex.match(r"\p{EBase}", one) for tone in range(5)]
    joined = ["❤️", "✌️", "👩‍👩‍👧", "👨‍💻", "🏳️‍🌈", "🇬🇧", "🇫🇷", "🇯🇵"]
    signs = [*single, *coloured, *joined]
    words.random.shuffle(signs)
    runs = Zipf(signs, seed=2)
    while True:
        yield " ".join(f"{word} {''.join(runs.draw(1, 4))}" for word in words.draw(4, 12))


TEXTS: dict[str, Callable[[Path], Iterator[str]]] = {
    "English": english,
    "code": code,
    "Chinese": chinese,
    "emoji": emoji,
}
