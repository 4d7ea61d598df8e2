"""The pure engine: a text is cut at added tokens, what lies between them into pieces, and each piece becomes ids.

Where a token came from is found out only when someone asks. A token's offsets are the code points whose bytes it
holds; a character that is spread over several tokens belongs to each of them. With trimming, as RoBERTa has it, the
spaces at both ends of a token are left out: `` world`` at 5 to 11 becomes 6 to 11.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import accumulate, chain, pairwise
from typing import NamedTuple, Protocol

from .bpe import Memory
from .pieces import WHITE_SPACE, WORDS, split_pieces
from .special import AddedToken, SpecialSplitter

__all__ = ["AlignedWord", "Alignment", "EncodedText", "Engine", "Piece", "Pipeline", "Source", "WordEncoder", "trimmed"]

Source = str | Sequence[str]
"""One text, or the words of one text."""

Span = tuple[int, int]


class Alignment(NamedTuple):
    """Where the tokens of one text came from, token by token.

    Args:
        offsets: (start, end) in the text, Unicode code points, end-exclusive; in its own word where the text was
            given as words.
        words: index of the piece, or of the given word, counted from 0.
    """

    offsets: list[Span]
    words: list[int]


class Aligned(Protocol):
    """An `Alignment`, or what knows as much."""

    @property
    def offsets(self) -> list[Span]:
        """Where each token came from."""
        ...

    @property
    def words(self) -> list[int]:
        """The piece, or the given word, that each token came from."""
        ...


class EncodedText:
    """The ids of a text, without special tokens around them.

    Args:
        ids: what it is encoded as.
        align: finds out where they came from; called once, and only when someone asks.

    Example:
        >>> text = EncodedText([102, 428], lambda: Alignment(offsets=[(0, 1), (1, 2)], words=[0, 0]))
        >>> text.ids, text.offsets
        ([102, 428], [(0, 1), (1, 2)])
    """

    def __init__(self, ids: list[int], align: Callable[[], Aligned]) -> None:
        self.ids = ids
        self._align = align
        self._alignment: Aligned | None = None

    @property
    def offsets(self) -> list[Span]:
        """Where each token came from."""
        return self._aligned().offsets

    @property
    def words(self) -> list[int]:
        """The piece, or the given word, that each token came from."""
        return self._aligned().words

    def _aligned(self) -> Aligned:
        if self._alignment is None:
            self._alignment = self._align()
        return self._alignment


class Engine(Protocol):
    """What turns texts into ids: the pure `Pipeline`, or the same with words by the `tokenizers` library."""

    def encode(
        self, sources: Sequence[Source], split_special_tokens: bool = False, aligned: bool = False
    ) -> list[EncodedText]:
        """Encode texts.

        Args:
            sources: texts, or lists of words; not both.
            split_special_tokens: whether special tokens in them are treated as plain text.
            aligned: whether someone is going to ask where the tokens came from. Who asks all the same has to wait.

        Returns:
            The ids of each, and where they came from.
        """
        ...


AlignedWord = tuple[tuple[tuple[int, int, int], ...], int]
"""Begin, end and piece of each token of a word, counted from where the word begins; and how many pieces it has."""


class WordEncoder(Protocol):
    """What turns plain text into ids, word by word: `ByteLevelBPE`, or the `tokenizers` library."""

    unk_id: int
    """The id of a byte that the vocabulary lacks."""

    def encode(self, text: str) -> list[int]:
        """Encode a text without special tokens.

        Args:
            text: any text without lone surrogates.

        Returns:
            Its ids.
        """
        ...


class Piece(NamedTuple):
    """A stretch of the text that is encoded by itself.

    Args:
        start: first code point in the text.
        end: one past the last.
        ids: what it is encoded as.
        has_inserted_space: whether a space that is not in the text was put before it.
        token: the added token that it is, if it is one.
    """

    start: int
    end: int
    ids: list[int]
    has_inserted_space: bool
    token: AddedToken | None


class Pipeline:
    """Encodes texts. Nothing of it changes: a tokenizer to which tokens are added makes another.

    Args:
        words: encodes plain text.
        added: id -> token, for the tokens that are found before anything else.
        spelled: id -> how the vocabulary spells it.
        add_prefix_space: whether plain text that begins without a space gets one.
        trim_offsets: whether spaces at both ends of a token are left out of its offsets.
        align_word: says where the tokens of a word come from; None for what can be told from their spelling.

    Example:
        >>> from roberta.tokenizer.bpe import ByteLevelBPE
        >>> mask = AddedToken("<mask>", lstrip=True, normalized=False, special=True)
        >>> ids = {"<mask>": 0, "a": 1, "b": 2, "ab": 3, "Ġ": 4}
        >>> pipeline = Pipeline(ByteLevelBPE(ids, [("a", "b")], unk_id=-1), {0: mask}, list(ids))
        >>> text, = pipeline.encode(["ab <mask>b"])
        >>> text.ids, text.offsets, text.words
        ([3, 0, 2], [(0, 2), (3, 9), (9, 10)], [0, 1, 2])
    """

    def __init__(
        self,
        words: WordEncoder,
        added: Mapping[int, AddedToken],
        spelled: Mapping[int, str] | Sequence[str],
        *,
        add_prefix_space: bool = False,
        trim_offsets: bool = True,
        align_word: Callable[[str], AlignedWord] | None = None,
    ) -> None:
        self.words = words
        self.splitter = SpecialSplitter(added.values())
        self.add_prefix_space = add_prefix_space
        self.trim_offsets = trim_offsets
        self._spelled = spelled
        self._id_of_added = {token.content: index for index, token in added.items()}
        self.aligned_words = Memory(align_word or self._align_word, 65536)

    def encode(
        self, sources: Sequence[Source], split_special_tokens: bool = False, aligned: bool = False
    ) -> list[EncodedText]:
        """Encode texts, as `Engine.encode` says; ``aligned`` changes nothing here."""
        texts: list[EncodedText] = []
        for source in sources:
            if isinstance(source, str):
                ids = self.ids(source, split_special_tokens)
            else:
                ids = list(chain.from_iterable(self.ids(word, split_special_tokens) for word in source))
            texts.append(EncodedText(ids, partial(self.align, source, split_special_tokens)))
        return texts

    def ids(self, text: str, split_special_tokens: bool = False) -> list[int]:
        """Return the ids of a text.

        Args:
            text: any text without lone surrogates.
            split_special_tokens: whether special tokens in it are treated as plain text.

        Returns:
            The ids, in order.
        """
        if self.splitter.find_candidate(text) is None:  # most texts hold no added token
            return self.words.encode(self.with_prefix(text) if self.add_prefix_space else text)
        ids: list[int] = []
        for start, end, token in self.splitter.split(text, split_special_tokens):
            if token is not None:
                ids.append(self._id_of_added[token.content])
            else:
                ids += self.words.encode(self.with_prefix(text[start:end]))
        return ids

    def pieces(self, text: str, split_special_tokens: bool = False) -> Iterator[Piece]:
        """Take the way of `ids` step by step.

        Args:
            text: as in `ids`.
            split_special_tokens: as in `ids`.

        Returns:
            The pieces in order; they cover the text without gap, and their ids joined are those of `ids`.
        """
        for start, end, token in self.splitter.split(text, split_special_tokens):
            if token is not None:
                yield Piece(start, end, [self._id_of_added[token.content]], False, token)
            else:
                yield from self._plain_pieces(text[start:end], start)

    def _plain_pieces(self, plain: str, start: int) -> Iterator[Piece]:
        whole = self.with_prefix(plain)
        inserted = len(whole) > len(plain)
        for piece in split_pieces(whole):
            end = start + len(piece) - inserted
            yield Piece(start, end, self.words.encode(piece), inserted, None)
            start, inserted = end, False

    def with_prefix(self, plain: str) -> str:
        """Put a space before plain text, where ``add_prefix_space`` asks for one and there is none.

        Args:
            plain: a text without added tokens.

        Returns:
            What is cut into pieces.
        """
        # Only U+0020 counts: a text that begins with a tab gets a space all the same. Nothing stays nothing.
        return " " + plain if self.add_prefix_space and plain and not plain.startswith(" ") else plain

    # -- alignment -----------------------------------------------------------------------------------------------------

    def align(self, source: Source, split_special_tokens: bool = False) -> Alignment:
        """Say where the tokens of a text came from.

        Args:
            source: a text, or the words of one.
            split_special_tokens: as it was encoded.

        Returns:
            The alignment. The words of a text are its pieces, white space and punctuation included.
        """
        if not isinstance(source, str):
            return self._align_words(source, split_special_tokens)
        found = Alignment([], [])
        if source and self.splitter.find_candidate(source) is None:
            self._align_plain(source, 0, 0, found)
            return found
        piece = 0
        for start, end, token in self.splitter.split(source, split_special_tokens):
            if token is None:
                piece = self._align_plain(source[start:end], start, piece, found)
            else:
                # Around an added token all white space is trimmed, since it may have swallowed any.
                found.offsets.append(trimmed(source, start, end, WHITE_SPACE) if self.trim_offsets else (start, end))
                found.words.append(piece)
                piece += 1
        return found

    def _align_words(self, words: Sequence[str], split_special_tokens: bool) -> Alignment:
        """Number the words as given, and count offsets within each."""
        found = Alignment([], [])
        for index, word in enumerate(words):
            offsets = self.align(word, split_special_tokens).offsets
            found.offsets.extend(offsets)
            found.words.extend([index] * len(offsets))
        return found

    def _align_plain(self, plain: str, start: int, piece: int, found: Alignment) -> int:
        """Add the tokens of plain text that begins at ``start`` with piece number ``piece``; return the next."""
        add_offset, add_word = found.offsets.append, found.words.append
        first = len(found.offsets)
        whole = self.with_prefix(plain)
        at = start - (len(whole) - len(plain))
        for word in WORDS.findall(whole):
            tokens, piece_count = self.aligned_words[word]
            for begin, end, index in tokens:
                add_offset((at + begin, at + end))
                add_word(piece + index)
            at += len(word)
            piece += piece_count
        # An inserted space stands before the text, where there is nothing to point at.
        begin, end = found.offsets[first]
        found.offsets[first] = max(start, begin), end
        return piece

    def _align_word(self, word: str) -> AlignedWord:
        pieces = split_pieces(word)
        tokens = [(token, index) for index, piece in enumerate(pieces) for token in self.words.encode(piece)]
        ends = accumulate((self._byte_count(token) for token, _ in tokens), initial=0)
        # The place of every byte's character.
        places = [at for at, character in enumerate(word) for _ in character.encode()]
        spans = ((places[begin], places[end - 1] + 1) for begin, end in pairwise(ends))
        if self.trim_offsets:
            spans = (trimmed(word, *span, " ") for span in spans)
        return tuple((*span, piece) for span, (_, piece) in zip(spans, tokens, strict=True)), len(pieces)

    def _byte_count(self, index: int) -> int:
        # Within plain text <unk> stands for a byte that the vocabulary lacks.
        return 1 if index == self.words.unk_id else len(self._spelled[index])


def trimmed(text: str, start: int, end: int, spaces: str) -> Span:
    """Leave out the spaces at both ends of a span.

    Args:
        text: the text that it is a span of.
        start: its first code point.
        end: one past its last.
        spaces: the characters that count as space.

    Returns:
        The narrower span; an empty one at ``end`` where there is nothing but spaces.

    Example:
        >>> trimmed("a b ", 1, 4, " ")
        (2, 3)
    """
    while start < end and text[start] in spaces:
        start += 1
    while start < end and text[end - 1] in spaces:
        end -= 1
    return start, end
