"""Step 13 of the ladder: an encoded text, and the part of it that a row keeps."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from .alignment import Alignment
from .inputs import Source

__all__ = ["EncodedText", "Part"]


class EncodedText:
    """A text with its ids, which can say where they came from.

    Args:
        source: the text, or its words.
        ids: what it is encoded as.
        align: finds the alignment of the text; called only when someone asks.
    """

    def __init__(self, source: Source, ids: list[int], align: Callable[[Source], Alignment]) -> None:
        self.source = source
        self.ids = ids
        self._align = align

    @cached_property
    def alignment(self) -> Alignment:
        """Where each token came from."""
        return self._align(self.source)


@dataclass(slots=True)  # not frozen: making a frozen one takes three times as long, and there is one for each text
class Part:
    """Tokens ``begin`` to ``end`` (exclusive) of a text.

    Args:
        text: the text.
        begin: its first token that is kept.
        end: one past the last.

    Example:
        >>> text = EncodedText("abc", [7, 8, 9], lambda source: Alignment([(0, 1), (1, 2), (2, 3)], [0, 0, 0]))
        >>> part = Part(text, 1, 3)
        >>> part.ids, part.alignment.offsets
        ([8, 9], [(1, 2), (2, 3)])
    """

    text: EncodedText
    begin: int
    end: int

    def __len__(self) -> int:
        """Tokens that are kept."""
        return self.end - self.begin

    @property
    def ids(self) -> list[int]:
        """The ids of the kept tokens."""
        return self.text.ids[self.begin : self.end]

    @property
    def alignment(self) -> Alignment:
        """Where the kept tokens came from."""
        offsets, words = self.text.alignment
        return Alignment(offsets[self.begin : self.end], words[self.begin : self.end])
