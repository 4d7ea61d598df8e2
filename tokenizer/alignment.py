"""Step 8 of the ladder: where in the text each token came from.

A token's offsets are the code points whose bytes it holds; a character that is spread over several tokens
belongs to each of them. With trimming, as RoBERTa has it, the spaces at both ends of a token are left out: ``
world`` at 5 to 11 becomes 6 to 11.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate, pairwise
from typing import NamedTuple

import regex

from .pipeline import Piece

__all__ = ["Alignment", "align_text", "align_words"]

Span = tuple[int, int]


class Alignment(NamedTuple):
    """Where the tokens of one text came from, token by token.

    Args:
        offsets: (start, end) in the text, Unicode code points, end-exclusive; in its own word where the text
            was given as words.
        words: index of the piece, or of the given word, counted from 0.
    """

    offsets: list[Span]
    words: list[int]


def align_text(text: str, pieces: Iterable[Piece], byte_count: Callable[[int], int], trim: bool) -> Alignment:
    """Align the tokens of a text.

    Args:
        text: the text.
        pieces: its pieces.
        byte_count: id -> how many bytes of the text its token stands for.
        trim: whether spaces at both ends of a token are left out of its offsets.

    Returns:
        The alignment; the words are the pieces, white space and punctuation included.

    Example:
        >>> pieces = [Piece(0, 1, [7, 8], False, None), Piece(1, 3, [9], False, None)]
        >>> align_text("é a", pieces, {7: 1, 8: 1, 9: 2}.__getitem__, trim=True)
        Alignment(offsets=[(0, 1), (0, 1), (2, 3)], words=[0, 0, 1])
    """
    offsets: list[Span] = []
    words: list[int] = []
    for index, piece in enumerate(pieces):
        spans = [(piece.start, piece.end)] if piece.token else _spans(text, piece, byte_count)
        # Around an added token all white space is trimmed, since it may have swallowed any; else only U+0020.
        space = _ANY_SPACE if piece.token else _SPACE
        offsets += (_trimmed(text, span, space) for span in spans) if trim else spans
        words += [index] * len(piece.ids)
    return Alignment(offsets, words)


def align_words(alignments: Iterable[Alignment]) -> Alignment:
    """Join the alignments of the words of one text.

    Args:
        alignments: one a word.

    Returns:
        The alignment of all; the words are numbered as given, and offsets count within each word.

    Example:
        >>> align_words([Alignment([(0, 2)], [0]), Alignment([(0, 1), (1, 2)], [0, 1])])
        Alignment(offsets=[(0, 2), (0, 1), (1, 2)], words=[0, 1, 1])
    """
    offsets: list[Span] = []
    words: list[int] = []
    for index, alignment in enumerate(alignments):
        offsets += alignment.offsets
        words += [index] * len(alignment.offsets)
    return Alignment(offsets, words)


def _spans(text: str, piece: Piece, byte_count: Callable[[int], int]) -> Iterator[Span]:
    """Yield the untrimmed span of each token of a plain piece."""
    # The place of every byte's character. An inserted space stands before the text: its span is empty.
    inserted = [(piece.start, piece.start)] if piece.has_inserted_space else []
    characters = enumerate(text[piece.start : piece.end], piece.start)
    places = inserted + [(at, at + 1) for at, character in characters for _ in character.encode()]
    for begin, end in pairwise(accumulate(map(byte_count, piece.ids), initial=0)):
        yield places[begin][0], places[end - 1][1]


_SPACE = regex.compile(" ")
_ANY_SPACE = regex.compile(r"\s")


def _trimmed(text: str, span: Span, space: "regex.Pattern[str]") -> Span:
    start, end = span
    while start < end and space.match(text, start):
        start += 1
    while start < end and space.match(text, end - 1):
        end -= 1
    return start, end
