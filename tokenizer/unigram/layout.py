"""Which id each piece has: fairseq put tokens of its own before SentencePiece's, so that ids are moved.

SentencePiece numbers ``<unk>``, ``<s>``, ``</s>``, and then the pieces from 3 on. fairseq's dictionary begins with
``<s>``, ``<pad>``, ``</s>``, ``<unk>`` and has the pieces from 4 on, those three left out: XLM-RoBERTa's ids are the
numbers and 1. CamemBERT's dictionary holds them once more: its first five entries are fairseq's, of which three are not
used, and the numbers are moved by 4. Both have ``<mask>`` at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .charsmap import Charsmap
from .model import Kind, Piece, PieceModel

__all__ = ["CAMEMBERT", "MASK", "XLM_ROBERTA", "Layout"]

MASK = "<mask>"


@dataclass(frozen=True)
class Layout:
    """Where a family has its pieces.

    Args:
        head: what stands before them, from id 0 on, with the score that a file for the `tokenizers` library gives it.
        skipped: how many of the first pieces of a model are among those, and are not there again.

    Example:
        >>> XLM_ROBERTA.id_of(3), CAMEMBERT.id_of(3)
        (4, 7)
    """

    head: Sequence[tuple[str, float]]
    skipped: int

    @property
    def unknown_id(self) -> int:
        """The id of ``<unk>``."""
        return [token for token, _ in self.head].index("<unk>")

    def id_of(self, number: int) -> int:
        """The id of a piece, by its number in the model; those that are skipped have another."""
        return number + len(self.head) - self.skipped

    def entries(self, model: PieceModel) -> list[tuple[str, float]]:
        """List the vocabulary of a model.

        Args:
            model: its pieces.

        Returns:
            Token and score; the place is the id.

        Raises:
            ValueError: the model begins with other pieces than SentencePiece's trainer puts there, or has a piece that
                is called as one of fairseq's tokens.
        """
        self.require(model)
        pieces = [(piece.text, piece.score) for piece in model.pieces[self.skipped :]]
        return [*self.head, *pieces, (MASK, 0.0)]

    def require(self, model: PieceModel) -> None:
        """Require that a model has the pieces that are moved where they are looked for; raises as `entries`."""
        wanted = [("<unk>", Kind.UNKNOWN), ("<s>", Kind.CONTROL), ("</s>", Kind.CONTROL)]
        got = [(piece.text, piece.kind) for piece in model.pieces[:3]]
        if got != wanted:
            names = [text for text, _ in got]
            raise ValueError(
                f"{model.where}: expected the pieces <unk>, <s>, </s> (unknown, control, control) at the beginning, "
                f"got {names!r:.80}; train it with SentencePiece's defaults: unk_id=0, bos_id=1, eos_id=2, pad_id=-1"
            )
        taken = {token for token, _ in self.head} | {MASK}
        for at, piece in enumerate(model.pieces[self.skipped :], self.skipped):
            if piece.text in taken:
                raise ValueError(
                    f"{model.where}: piece {at}: expected none that is called as a token of fairseq's, got "
                    f"{piece.text!r}, which would have two ids; train it without (pad_id=-1)"
                )

    def model_of(
        self, entries: Sequence[tuple[str, float]], charsmap: Charsmap, falls_back_to_bytes: bool, where: str
    ) -> PieceModel:
        """Make a model of a vocabulary, the reverse of `entries`.

        Args:
            entries: token and score; the place is the id.
            charsmap: what is replaced in texts.
            falls_back_to_bytes: whether what has no piece is spelled by its bytes.
            where: the file, for messages.

        Returns:
            The model. What a byte is, its name says; of users' own pieces there are none.

        Raises:
            ValueError: the vocabulary does not begin and end as this family's does.
        """
        head = [token for token, _ in entries[: len(self.head)]]
        if head != [token for token, _ in self.head] or len(entries) <= len(self.head) or entries[-1][0] != MASK:
            raise ValueError(
                f"{where}: model.vocab: expected {[token for token, _ in self.head]} first and {MASK!r} last, got "
                f"{head!r:.120} and {entries[-1][0] if entries else None!r:.40}; load it with the class that it is of"
            )
        kinds = {f"<0x{byte:02X}>": Kind.BYTE for byte in range(256)} if falls_back_to_bytes else {}
        kinds |= {"<s>": Kind.CONTROL, "</s>": Kind.CONTROL}
        first = [Piece("<unk>", 0.0, Kind.UNKNOWN), Piece("<s>", 0.0, Kind.CONTROL), Piece("</s>", 0.0, Kind.CONTROL)]
        rest = [Piece(text, score, kinds.get(text, Kind.NORMAL)) for text, score in entries[len(self.head) : -1]]
        pieces = [*first[: self.skipped], *rest]
        model = PieceModel(pieces, charsmap, falls_back_to_bytes=falls_back_to_bytes, where=where)
        self.require(model)
        return model


XLM_ROBERTA = Layout((("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)), skipped=3)
CAMEMBERT = Layout(
    (("<s>NOTUSED", 0.0), ("<pad>", 0.0), ("</s>NOTUSED", 0.0), ("<unk>", 0.0), ("<unk>NOTUSED", -100.0)), skipped=1
)
