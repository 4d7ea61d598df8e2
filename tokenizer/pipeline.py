"""The way of texts to ids: cut at added tokens, and what lies between them into pieces, of which each becomes ids."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from .alignment import Aligner, EncodedText, Stretch
from .pieces import split_pieces
from .special import AddedToken, SpecialSplitter

__all__ = ["Piece", "Pipeline", "Source", "WordEncoder"]

Source = str | Sequence[str]
"""One text, or the words of one text."""


class WordEncoder(Protocol):
    """What turns plain text into ids: `ByteLevelBPE`, or the same with new words by the `tokenizers` library."""

    unk_id: int
    """The id of a byte that the vocabulary lacks."""

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Encode texts without special tokens.

        Args:
            texts: any texts without lone surrogates.

        Returns:
            The ids of each.
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
    ) -> None:
        self.words = words
        self._splitter = SpecialSplitter(added.values())
        self._add_prefix_space = add_prefix_space
        self._id_of_added = {token.content: index for index, token in added.items()}
        self._aligner = Aligner(spelled, words.unk_id, trim_offsets)

    def encode(self, sources: Sequence[Source], split_special_tokens: bool = False) -> list[EncodedText]:
        """Encode texts.

        Args:
            sources: texts, or lists of words.
            split_special_tokens: whether special tokens in them are treated as plain text.

        Returns:
            The ids of each, and where they came from.
        """
        cut: list[list[Stretch]] = []
        plain: list[str] = []
        for source in sources:
            if isinstance(source, str) and self._splitter.find_candidate(source) is None and not self._add_prefix_space:
                cut.append([Stretch(source, 0, False, None, None)])  # as most texts are
                plain.append(source)
            else:
                cut.append(self._stretches(source, split_special_tokens))
                plain += [stretch.text for stretch in cut[-1] if stretch.token is None]
        encoded = iter(self.words.encode_batch(plain))
        texts: list[EncodedText] = []
        for stretches in cut:
            ids: list[int] = []
            counts: list[int] = []
            for stretch in stretches:
                own = next(encoded) if stretch.token is None else [self._id_of_added[stretch.token.content]]
                ids += own
                counts.append(len(own))
            texts.append(EncodedText(ids, stretches, counts, self._aligner))
        return texts

    def ids(self, text: str, split_special_tokens: bool = False) -> list[int]:
        """Return the ids of a text.

        Args:
            text: any text without lone surrogates.
            split_special_tokens: as in `encode`.

        Returns:
            The ids, in order.
        """
        return self.encode([text], split_special_tokens)[0].ids

    def pieces(self, text: str, split_special_tokens: bool = False) -> Iterator[Piece]:
        """Take the way of `ids` step by step.

        Args:
            text: as in `ids`.
            split_special_tokens: as in `encode`.

        Returns:
            The pieces in order; they cover the text without gap, and their ids joined are those of `ids`.
        """
        for stretch in self._stretches(text, split_special_tokens):
            start, inserted = stretch.start, stretch.is_prefixed
            if stretch.token is not None:
                index = self._id_of_added[stretch.token.content]
                yield Piece(start, start + len(stretch.text), [index], False, stretch.token)
                continue
            for piece in split_pieces(stretch.text):
                end = start + len(piece) - inserted
                yield Piece(start, end, self.words.encode_batch([piece])[0], inserted, None)
                start, inserted = end, False

    def with_prefix(self, plain: str) -> str:
        """Put a space before plain text, where ``add_prefix_space`` asks for one and there is none.

        Args:
            plain: a text without added tokens.

        Returns:
            What is cut into pieces.
        """
        # Only U+0020 counts: a text that begins with a tab gets a space all the same. Nothing stays nothing.
        return " " + plain if self._add_prefix_space and plain and not plain.startswith(" ") else plain

    def _stretches(self, source: Source, split_special_tokens: bool) -> list[Stretch]:
        if isinstance(source, str):
            return self._stretches_of(source, split_special_tokens, None)
        return [
            stretch
            for index, word in enumerate(source)
            for stretch in self._stretches_of(word, split_special_tokens, index)
        ]

    def _stretches_of(self, text: str, split_special_tokens: bool, word: int | None) -> list[Stretch]:
        stretches: list[Stretch] = []
        for start, end, token in self._splitter.split(text, split_special_tokens):
            part = text[start:end]
            whole = self.with_prefix(part) if token is None else part
            stretches.append(Stretch(whole, start, whole is not part, token, word))
        return stretches
