"""How SentencePiece prepares a text: characters are replaced, spaces become ``▁``, and where each came from is kept.

1. The longest key of the table that the text goes on with is replaced; where there is none, a character stays. (What
   the model has as a piece of its user is left as it is.)
2. Runs of spaces become one, and those at both ends none.
3. One is put before the text, and each is spelled ``▁`` (U+2581).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from .model import Kind, PieceModel

__all__ = ["SPACE", "Normalizer", "Prepared"]

SPACE = "▁"
Span = tuple[int, int]


class Prepared(NamedTuple):
    """A text as it is cut.

    Args:
        text: the text.
        spans: where in the given text each of its characters came from: code points, end-exclusive.
    """

    text: str
    spans: list[Span]


class Normalizer:
    """Prepares texts for a model.

    Args:
        model: says how.

    Example:
        >>> from .charsmap import Charsmap
        >>> from .model import Piece
        >>> normalizer = Normalizer(PieceModel([Piece("<unk>", 0.0, Kind.UNKNOWN)], Charsmap(b"")))
        >>> normalizer.prepare(" a  b ")
        Prepared(text='▁a▁b', spans=[(0, 1), (1, 2), (3, 4), (4, 5)])
    """

    def __init__(self, model: PieceModel) -> None:
        self._model = model
        self._table = model.charsmap
        own = sorted((p.text for p in model.pieces if p.kind is Kind.USER_DEFINED), key=len, reverse=True)
        self._own: dict[str, list[str]] = {}
        for text in own:
            self._own.setdefault(text[0], []).append(text)

    def prepare(self, text: str) -> Prepared:
        """Prepare a text.

        Args:
            text: any text without lone surrogates.

        Returns:
            What is cut into pieces.
        """
        collapses = self._model.removes_extra_spaces
        letters: list[str] = []
        spans: list[Span] = []
        is_after_space = collapses
        before: Span | None = None  # the last of the spaces that were dropped at the beginning
        for replacement, start, end in self._replaced(text):
            kept = replacement.lstrip(" ") if is_after_space else replacement
            if len(kept) < len(replacement):  # a run of spaces lies where its last one does
                if spans:
                    spans[-1] = start, end
                else:
                    before = start, end
            if kept:
                letters += kept.replace(" ", SPACE)
                spans += [(start, end)] * len(kept)
                is_after_space = collapses and kept.endswith(" ")
        while collapses and letters and letters[-1] == SPACE:
            letters.pop()
            spans.pop()
        if self._model.adds_dummy_prefix and text and (letters or not collapses):
            letters.insert(0, SPACE)
            spans.insert(0, before or (spans or [(0, 0)])[0])
        return Prepared("".join(letters), spans)

    def _replaced(self, text: str) -> Iterator[tuple[str, int, int]]:
        """What each stretch of a text becomes, and where it begins and ends."""
        data = text.encode()
        at = byte = 0
        while at < len(text):
            own = next((own for own in self._own.get(text[at], ()) if text.startswith(own, at)), None)
            found = None if own else self._table.longest(data, byte)
            if found:
                size, replacement = found
                count = len(data[byte : byte + size].decode(errors="replace"))
                yield replacement.decode(), at, at + count
            else:
                count = len(own) if own else 1
                yield text[at : at + count], at, at + count
            byte += len(text[at : at + count].encode())
            at += count
