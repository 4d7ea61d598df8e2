"""Step 8 of the ladder: where in the text each token came from.

A token's offsets are the code points whose bytes it holds; a character that is spread over several tokens
belongs to each of them. With trimming, as RoBERTa has it, the spaces at both ends of a token are left out: ``
world`` at 5 to 11 becomes 6 to 11.
"""

from collections.abc import Callable, Iterable
from itertools import accumulate, pairwise
from typing import NamedTuple

from .bpe import Memory
from .pieces import WHITE_SPACE, split_pieces, split_words
from .pipeline import Pipeline

__all__ = ["Aligner", "Alignment", "align_words"]

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


class Aligner:
    """Aligns the tokens of texts. What it found for a word it remembers, counted from where the word begins.

    Args:
        pipeline: what encodes the texts.
        byte_count: id -> how many bytes of the text its token stands for.
        trim: whether spaces at both ends of a token are left out of its offsets.
        cache_size: how many words are remembered at most.

    Example:
        >>> from roberta.tokenizer.bpe import ByteLevelBPE
        >>> from roberta.tokenizer.special import SpecialSplitter
        >>> bpe = ByteLevelBPE({"Ã": 7, "©": 8, "Ġ": 5, "a": 6, "Ġa": 9}, [("Ġ", "a")], unk_id=0)
        >>> aligner = Aligner(Pipeline(SpecialSplitter([]), bpe, {}), {7: 1, 8: 1, 9: 2}.__getitem__, trim=True)
        >>> aligner.align("é a")
        Alignment(offsets=[(0, 1), (0, 1), (2, 3)], words=[0, 0, 1])
    """

    def __init__(
        self, pipeline: Pipeline, byte_count: Callable[[int], int], trim: bool, cache_size: int = 65536
    ) -> None:
        self._pipeline = pipeline
        self._bpe = pipeline.bpe
        self._byte_count = byte_count
        self._trim = trim
        self._words = Memory(self._align_word, cache_size)

    def align(self, text: str, split_special_tokens: bool = False) -> Alignment:
        """Align the tokens of a text.

        Args:
            text: the text.
            split_special_tokens: whether special tokens in it are treated as plain text.

        Returns:
            The alignment; its words are the pieces, white space and punctuation included.
        """
        if self._bpe is not self._pipeline.bpe:  # what is remembered is of another vocabulary
            self._bpe = self._pipeline.bpe
            self._words.clear()
        found = Alignment([], [])
        piece = 0
        for start, end, token in self._pipeline.splitter.split(text, split_special_tokens):
            if token is None:
                piece = self._align_plain(text[start:end], start, piece, found)
            else:
                # Around an added token all white space is trimmed, since it may have swallowed any.
                found.offsets.append(_trimmed(text, start, end, WHITE_SPACE) if self._trim else (start, end))
                found.words.append(piece)
                piece += 1
        return found

    def _align_plain(self, plain: str, start: int, piece: int, found: Alignment) -> int:
        """Add the tokens of plain text that begins at ``start`` with piece number ``piece``; return the next."""
        add_offset, add_word = found.offsets.append, found.words.append
        first = len(found.offsets)
        whole = self._pipeline.with_prefix(plain)
        at = start - (len(whole) - len(plain))
        for word in split_words(whole):
            tokens, piece_count = self._words[word]
            for begin, end, index in tokens:
                add_offset((at + begin, at + end))
                add_word(piece + index)
            at += len(word)
            piece += piece_count
        # An inserted space stands before the text, where there is nothing to point at.
        begin, end = found.offsets[first]
        found.offsets[first] = max(start, begin), end
        return piece

    def _align_word(self, word: str) -> tuple[tuple[tuple[int, int, int], ...], int]:
        """Return begin, end and piece of each token of a word, and how many pieces there are."""
        pieces = split_pieces(word)
        tokens = [(token, index) for index, piece in enumerate(pieces) for token in self._bpe.encode(piece)]
        ends = accumulate((self._byte_count(token) for token, _ in tokens), initial=0)
        # The place of every byte's character.
        places = [at for at, character in enumerate(word) for _ in character.encode()]
        spans = ((places[begin], places[end - 1] + 1) for begin, end in pairwise(ends))
        if self._trim:
            spans = (_trimmed(word, *span, " ") for span in spans)
        return tuple((*span, piece) for span, (_, piece) in zip(spans, tokens, strict=True)), len(pieces)


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


def _trimmed(text: str, start: int, end: int, spaces: str) -> Span:
    while start < end and text[start] in spaces:
        start += 1
    while start < end and text[end - 1] in spaces:
        end -= 1
    return start, end
