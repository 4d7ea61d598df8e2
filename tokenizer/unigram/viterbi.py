"""The cut of a prepared text into pieces: of all there are, that of the greatest probability.

A unigram model takes the pieces of a text for independent, so a cut has the product of their probabilities; in
logarithms, the sum of their scores. The best cut up to a place is the best cut up to an earlier one and one piece more:

    best(end) = max over pieces that end there of best(start) + score(piece)

A character that no piece is, is *unknown*: it costs `PENALTY` more than the rarest piece, so that it is used only where
nothing else leads on. Of cuts that are equally good, the one whose last piece is longer is taken.

Source: Kudo (2018), "Subword Regularization", section 3; sentencepiece `unigram::Model` @ 0.2.3, by whose ids all
constants were measured.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from .model import Kind, PieceModel

__all__ = ["PENALTY", "Cut", "Unigram"]

PENALTY = 10.0
"""How much worse than the worst piece an unknown character is."""

_SINGLE = struct.Struct("<f")


class Cut(NamedTuple):
    """A piece where it stands.

    Args:
        number: the piece's; that of the unknown piece for characters that are none.
        start: its first character in the prepared text.
        end: one past its last.
    """

    number: int
    start: int
    end: int


class Unigram:
    """Cuts prepared texts.

    Args:
        model: its pieces.

    Example:
        >>> from .charsmap import Charsmap
        >>> from .model import Piece
        >>> pieces = [Piece("<unk>", 0, Kind.UNKNOWN), Piece("a", -2), Piece("b", -2), Piece("ab", -3)]
        >>> unigram = Unigram(PieceModel(pieces, Charsmap(b"")))
        >>> [pieces[cut.number].text for cut in unigram.cut("abbac")]
        ['ab', 'b', 'a', '<unk>']
    """

    def __init__(self, model: PieceModel) -> None:
        self._pieces = model.pieces
        normal = [piece.score for piece in model.pieces if piece.kind is Kind.NORMAL]
        self._unknown_score = _single(min(normal, default=3.4028234663852886e38) - PENALTY)
        self._unknown = next(at for at, piece in enumerate(model.pieces) if piece.kind is Kind.UNKNOWN)
        self._scores: dict[str, tuple[int, float]] = {}
        lengths: dict[str, set[int]] = {}
        for number, piece in enumerate(model.pieces):
            if piece.kind in (Kind.NORMAL, Kind.USER_DEFINED):
                score = piece.score
                if piece.kind is Kind.USER_DEFINED:  # better than any that costs something, the longer the better
                    score = _single(len(piece.text.encode()) * 0.1 - 0.1)
                self._scores[piece.text] = number, score
                lengths.setdefault(piece.text[0], set()).add(len(piece.text))
        self._lengths = {first: sorted(each) for first, each in lengths.items()}
        self._bytes = self._byte_pieces() if model.falls_back_to_bytes else None

    def _byte_pieces(self) -> list[int]:
        numbers = {piece.text: at for at, piece in enumerate(self._pieces) if piece.kind is Kind.BYTE}
        return [numbers[f"<0x{byte:02X}>"] for byte in range(256)]

    def cut(self, text: str) -> list[Cut]:
        """Cut a text.

        Args:
            text: prepared, as by `Normalizer`.

        Returns:
            The pieces in order. Unknown characters that follow each other are one piece; where the model falls back to
            bytes, each is as many pieces as it has bytes.
        """
        path = self._best(text)
        if self._bytes is None:
            return _merged(path, self._unknown)
        spelled: list[Cut] = []
        for cut in path:
            unknown = text[cut.start : cut.end].encode() if cut.number == self._unknown else b""
            spelled += [Cut(self._bytes[byte], cut.start, cut.end) for byte in unknown] or [cut]
        return spelled

    def _best(self, text: str) -> list[Cut]:
        best = [0.0, *[_NOWHERE] * len(text)]  # T + 1, in single precision, as the peer adds
        last = [Cut(-1, 0, 0)] * (len(text) + 1)
        furthest = 0
        for start, first in enumerate(text):
            if best[start] < _FAR:  # sums are counted from here on, or small scores would be lost in large ones
                best[start : furthest + 1] = [_single(each - best[start]) for each in best[start : furthest + 1]]
            till_here, is_known = best[start], False
            for length in self._lengths.get(first, ()):
                found = self._scores.get(text[start : start + length])
                end = start + length
                if found is None or end > len(text):
                    continue
                number, score = found
                reached = _single(till_here + score)
                if reached > best[end]:
                    best[end], last[end] = reached, Cut(number, start, end)
                    furthest = max(furthest, end)
                is_known = is_known or length == 1
            if not is_known:
                score = _single(till_here + self._unknown_score)
                if score > best[start + 1]:
                    best[start + 1], last[start + 1] = score, Cut(self._unknown, start, start + 1)
                    furthest = max(furthest, start + 1)
        path: list[Cut] = []
        end = len(text)
        while end:
            path.append(last[end])
            end = last[end].start
        return path[::-1]


_NOWHERE = float("-inf")
_FAR = -1e5  # where the peer begins anew


def _single(value: float) -> float:
    """Round to single precision, in which the peer adds: of cuts that are nearly as good, it decides.

    >>> _single(0.1)
    0.10000000149011612
    """
    try:
        return _SINGLE.unpack(_SINGLE.pack(value))[0]
    except OverflowError:
        return float("inf") if value > 0 else _LOWEST


_LOWEST = -3.4028234663852886e38


def _merged(path: list[Cut], unknown: int) -> list[Cut]:
    merged: list[Cut] = []
    for cut in path:
        if cut.number == unknown and merged and merged[-1].number == unknown:
            merged[-1] = Cut(unknown, merged[-1].start, cut.end)
        else:
            merged.append(cut)
    return merged
