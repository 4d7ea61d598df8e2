"""Where in its text each token came from.

A token's offsets are the code points whose bytes it holds; a character that is spread over several tokens belongs to
each of them. With trimming, as RoBERTa has it, the spaces at both ends of a token are left out: `` world`` at 5 to 11
becomes 6 to 11.

Nothing has to be remembered for that. The bytes of a token are counted in its spelling, so a running sum over the
tokens says which bytes of the text are whose, and one over the bytes which characters.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, chain, islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .pieces import BYTE_TO_SYMBOL, WHITE_SPACE, split_pieces
from .special import AddedToken

__all__ = ["Aligner", "EncodedText", "Span", "Stretch", "align_together"]

Span = tuple[int, int]
Integers = NDArray[np.int64]

_SPACE = BYTE_TO_SYMBOL[ord(" ")]


class Stretch(NamedTuple):
    """A part of a text that is encoded by itself: an added token, or the plain text between two.

    Args:
        text: what is encoded, with the space that was put before it.
        start: where it begins in the text, that space not counted.
        is_prefixed: whether there is such a space.
        token: the added token; None for plain text.
        word: where the text is given as words, the index of the word.
    """

    text: str
    start: int
    is_prefixed: bool
    token: AddedToken | None
    word: int | None


class Aligner:
    """Says where tokens came from.

    Args:
        spelled: id -> how the vocabulary spells it.
        unk_id: the id of a byte that the vocabulary lacks.
        trim: whether spaces at both ends of a token are left out of its offsets.

    Example:
        >>> aligner = Aligner(["Ã", "©", "Ġa"], unk_id=-1, trim=True)
        >>> text = EncodedText([0, 1, 2], [Stretch("é a", 0, False, None, None)], [3], aligner)
        >>> text.offsets, text.words
        ([(0, 1), (0, 1), (2, 3)], [0, 0, 1])
    """

    def __init__(self, spelled: Mapping[int, str] | Sequence[str], unk_id: int, trim: bool) -> None:
        self._spelled = spelled
        self._unk_id = unk_id
        self._trim = trim

    def spans(self, text: "EncodedText") -> Integers:
        """Give the offsets of tokens.

        Args:
            text: the text.

        Returns:
            (T, 2) start and end of each token in its text; where it was given as words, in its word.
        """
        sizes, leading, trailing = self._measures(text)  # T
        begins, ends = _places(text, sizes)  # T
        if self._trim:
            begins = np.minimum(begins + leading, ends)
            ends = np.maximum(ends - trailing, begins)
        spans = np.array([begins, ends]).T  # T 2
        if len(text.stretches) == 1 and not text.stretches[0].is_prefixed:
            return spans
        places = accumulate((len(stretch.text) for stretch in text.stretches), initial=0)
        starts = np.array([stretch.start for stretch in text.stretches], np.int64)
        moves = [at - stretch.start + stretch.is_prefixed for at, stretch in zip(places, text.stretches, strict=False)]
        counts = np.array(text.counts, np.int64)
        spans -= np.repeat(np.array(moves, np.int64), counts)[:, None]
        # A space that was put in stands before the text, where there is nothing to point at.
        return np.maximum(spans, np.repeat(starts, counts)[:, None])

    def words(self, text: "EncodedText") -> list[int]:
        """Give the word of each token.

        Args:
            text: the text.

        Returns:
            The index of the given word; where the text was not given as words, of the piece. Pieces are counted from
            0, white space, punctuation and added tokens included.
        """
        given = [stretch.word for stretch in text.stretches if stretch.word is not None]
        if given:  # all of them
            return np.repeat(given, text.counts).tolist()
        ends: list[int] = []
        for stretch in text.stretches:
            pieces = [stretch.text] if stretch.token else split_pieces(stretch.text)
            ends += islice(accumulate(map(len, pieces), initial=stretch.start - stretch.is_prefixed), 1, None)
        # A token ends behind the beginning of its piece, trimmed or not, and not behind its end.
        return np.array(ends, np.int64).searchsorted(text.spans[:, 1]).tolist()

    def _measures(self, text: "EncodedText") -> Integers:
        """Give the bytes of each token, and the spaces at both its ends: (3, T)."""
        ids = np.array(text.ids, np.int64)
        measures = self._tables[:, ids]
        for at, stretch in text.added:
            # An added token may have swallowed any white space.
            leading = len(stretch.text) - len(stretch.text.lstrip(WHITE_SPACE))
            trailing = len(stretch.text) - len(stretch.text.rstrip(WHITE_SPACE))
            measures[:, at] = len(stretch.text.encode()), leading, trailing
        if self._unk_id in text.ids:
            is_unk = ids == self._unk_id
            is_unk[[at for at, _ in text.added]] = False
            begins = measures[0].cumsum() - measures[0]
            is_space = np.frombuffer(text.data, np.uint8)[begins] == ord(" ")
            measures[1:, is_unk & is_space] = 1
        return measures

    @cached_property
    def _tables(self) -> Integers:
        """Id -> its bytes, the spaces that it begins with, and those that it ends with."""
        entries = self._spelled.items() if isinstance(self._spelled, Mapping) else enumerate(self._spelled)
        ids, tokens = zip(*entries, strict=True)
        tables = np.zeros((3, max(*ids, self._unk_id) + 1), np.int64)
        tables[0, ids] = [len(token) for token in tokens]
        tables[1, ids] = [len(token) - len(token.lstrip(_SPACE)) for token in tokens]
        tables[2, ids] = [len(token) - len(token.rstrip(_SPACE)) for token in tokens]
        if self._unk_id >= 0:
            tables[:, self._unk_id] = 1, 0, 0  # in plain text it stands for a byte
        return tables


@dataclass(eq=False)
class EncodedText:
    """The ids of a text, without special tokens around them, and where they came from, which is found when asked for.

    Args:
        ids: what it is encoded as.
        stretches: what it was cut into.
        counts: how many ids each of them became.
        aligner: says where they came from.
    """

    ids: list[int]
    stretches: Sequence[Stretch]
    counts: Sequence[int]
    aligner: Aligner

    @property
    def data(self) -> bytes:
        """The bytes of all stretches, one behind the other."""
        return "".join([stretch.text for stretch in self.stretches]).encode()

    @property
    def added(self) -> list[tuple[int, Stretch]]:
        """The places of added tokens among the ids, and their stretches."""
        if len(self.stretches) == 1 and self.stretches[0].token is None:
            return []
        firsts = accumulate(self.counts, initial=0)
        return [(at, stretch) for at, stretch in zip(firsts, self.stretches, strict=False) if stretch.token]

    @cached_property
    def spans(self) -> Integers:
        """(T, 2) where each token came from: code points, end-exclusive."""
        return self.aligner.spans(self)

    @cached_property
    def offsets(self) -> list[Span]:
        """The same as a list."""
        starts, ends = self.spans.T.tolist()
        return list(zip(starts, ends, strict=True))

    @cached_property
    def words(self) -> list[int]:
        """The piece, or the given word, that each token came from."""
        return self.aligner.words(self)


def _places(text: EncodedText, sizes: Integers) -> tuple[Integers, Integers]:
    """Find, in all stretches one behind the other, the first character of each token and the one past its last."""
    ends = sizes.cumsum()
    begins = ends - sizes
    data = text.data
    if data.isascii():
        return begins, ends
    count = (np.frombuffer(data, np.int8) >= -0x40).cumsum()  # of characters to each byte: 0x80 to 0xBF begin none
    return count[begins] - 1, count[ends - 1]


def align_together(texts: Sequence[EncodedText], as_lists: bool) -> None:
    """Find where the tokens of a batch came from. It takes less time than to ask each text.

    Args:
        texts: texts of one aligner. They keep what was found.
        as_lists: whether `EncodedText.offsets` will be asked for, or only `EncodedText.spans`.
    """
    if len(texts) < 2:
        return
    ids = list(chain.from_iterable([text.ids for text in texts]))
    stretches = list(chain.from_iterable([text.stretches for text in texts]))
    counts = list(chain.from_iterable([text.counts for text in texts]))
    batch = EncodedText(ids, stretches, counts, texts[0].aligner)
    begin = 0
    for text in texts:
        end = begin + len(text.ids)
        text.spans = batch.spans[begin:end]
        if as_lists:
            text.offsets = batch.offsets[begin:end]
        begin = end
