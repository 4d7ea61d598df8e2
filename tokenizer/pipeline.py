"""Step 7 of the ladder: the way of one text: cut at added tokens, cut into pieces, each piece into ids.

`Pipeline.encode` takes the short way, which gives ids only; `Pipeline.pieces` takes the same way step by step
and says where in the text each piece stands, which is what an explanation is made from.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from .bpe import ByteLevelBPE
from .pieces import split_pieces
from .special import AddedToken, SpecialSplitter

__all__ = ["Piece", "Pipeline"]


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


@dataclass(slots=True)
class Pipeline:
    """Encodes one text, without special tokens around it.

    Args:
        splitter: finds added tokens.
        bpe: encodes what lies between them.
        ids: token -> id.
        add_prefix_space: whether plain text that begins without a space gets one.

    Example:
        >>> mask = AddedToken("<mask>", lstrip=True, normalized=False, special=True)
        >>> ids = {"<mask>": 0, "a": 1, "b": 2, "ab": 3, "Ġ": 4}
        >>> bpe = ByteLevelBPE(ids, [("a", "b")], unk_id=0)
        >>> pipeline = Pipeline(SpecialSplitter([mask]), bpe, ids)
        >>> pipeline.encode("ab <mask>b")
        [3, 0, 2]
        >>> [(piece.start, piece.end, piece.ids) for piece in pipeline.pieces("ab <mask>b")]
        [(0, 2, [3]), (2, 9, [0]), (9, 10, [2])]
    """

    splitter: SpecialSplitter
    bpe: ByteLevelBPE
    ids: Mapping[str, int]
    add_prefix_space: bool = False

    def encode(self, text: str, split_special_tokens: bool = False) -> list[int]:
        """Return the ids of a text.

        Args:
            text: any text without lone surrogates.
            split_special_tokens: whether special tokens in it are treated as plain text.

        Returns:
            The ids, in order.
        """
        ids: list[int] = []
        for start, end, token in self.splitter.split(text, split_special_tokens):
            if token is not None:
                ids.append(self.ids[token.content])
            else:
                ids += self.bpe.encode(self.with_prefix(text[start:end]))
        return ids

    def pieces(self, text: str, split_special_tokens: bool = False) -> Iterator[Piece]:
        """Cut a text into its pieces.

        Args:
            text: as in `encode`.
            split_special_tokens: as in `encode`.

        Returns:
            The pieces in order; they cover the text without gap, and their ids joined are those of `encode`.
        """
        for start, end, token in self.splitter.split(text, split_special_tokens):
            if token is not None:
                yield Piece(start, end, [self.ids[token.content]], False, token)
            else:
                yield from self._plain_pieces(text[start:end], start)

    def with_prefix(self, plain: str) -> str:
        """Put a space before plain text, where ``add_prefix_space`` asks for one and there is none.

        Args:
            plain: a text without added tokens.

        Returns:
            What is cut into pieces.
        """
        # Only U+0020 counts: a text that begins with a tab gets a space all the same.
        return " " + plain if self.add_prefix_space and not plain.startswith(" ") else plain

    def _plain_pieces(self, plain: str, start: int) -> Iterator[Piece]:
        whole = self.with_prefix(plain)
        inserted = len(whole) > len(plain)
        for piece in split_pieces(whole):
            end = start + len(piece) - inserted
            yield Piece(start, end, self.bpe.encode_piece(piece), inserted, None)
            start, inserted = end, False
