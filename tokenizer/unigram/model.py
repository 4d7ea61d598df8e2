"""A SentencePiece model: pieces, what each weighs, and how a text is prepared. Its file, read and written.

The file is one Protocol Buffers message. Of its fields, these are read: 1, the pieces; 2, how it was trained (of which
the kind of model and the byte fallback count); 3, how a text is normalised; 5, how one is denormalised, which must be
empty. What else is there concerns training.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import cast

from ..files import StrPath
from .charsmap import Charsmap
from .wire import DELIMITED, FIXED32, VARINT, Field, delimited, fields, fixed32, varint

__all__ = ["Kind", "Piece", "PieceModel", "model_bytes", "parse_model", "read_model"]

#: Bytes of a file. XLM-RoBERTa's, with 250,000 pieces in a hundred languages, has 5 million.
MOST_BYTES = 1 << 28


class Kind(IntEnum):
    """What a piece is for."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


@dataclass(frozen=True, slots=True)
class Piece:
    """An entry of the vocabulary.

    Args:
        text: how it is spelled; ``▁`` is a space.
        score: the logarithm of its probability, in single precision.
        kind: what it is for.
    """

    text: str
    score: float
    kind: Kind = Kind.NORMAL


@dataclass(frozen=True)
class PieceModel:
    """What a SentencePiece file says.

    Args:
        pieces: the vocabulary; the place is the piece's number.
        charsmap: what is replaced before anything else.
        adds_dummy_prefix: whether a space is put before a text.
        removes_extra_spaces: whether runs of spaces become one, and those at both ends none.
        falls_back_to_bytes: whether what has no piece is spelled by its bytes.

    Raises:
        ValueError: there is no unknown piece or more than one, a piece is empty or comes twice, a score is no number,
            or bytes are to be fallen back to and one is lacking.
    """

    pieces: Sequence[Piece]
    charsmap: Charsmap
    adds_dummy_prefix: bool = True
    removes_extra_spaces: bool = True
    falls_back_to_bytes: bool = False
    where: str = "model"

    def __post_init__(self) -> None:
        seen: dict[str, int] = {}
        for at, piece in enumerate(self.pieces):
            if not piece.text or not math.isfinite(piece.score):
                raise self._damaged(at, "a text, and a finite score", f"{piece.text!r:.40}, {piece.score}")
            if seen.setdefault(piece.text, at) != at:
                raise self._damaged(at, f"each text once, got {piece.text!r:.40}", f"it at {seen[piece.text]}, too")
        unknown = [at for at, piece in enumerate(self.pieces) if piece.kind is Kind.UNKNOWN]
        if len(unknown) != 1:
            raise self._damaged(0, "one unknown piece", f"{len(unknown)}")
        if self.falls_back_to_bytes:
            for byte in range(256):
                at = seen.get(f"<0x{byte:02X}>")
                if at is None or self.pieces[at].kind is not Kind.BYTE:
                    raise self._damaged(0, "a piece for each byte", f"none for <0x{byte:02X}>")

    def _damaged(self, at: int, wanted: str, got: str) -> ValueError:
        return ValueError(f"{self.where}: piece {at}: expected {wanted}, got {got}; fetch the file again")


def read_model(path: StrPath) -> tuple[PieceModel, bytes]:
    """Read a ``.model`` file.

    Args:
        path: the file.

    Returns:
        What it says, and its bytes, to be written again as they are.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, of another kind of model, or larger than `MOST_BYTES`.

    Example:
        >>> read_model("nowhere/sentencepiece.bpe.model")
        Traceback (most recent call last):
        FileNotFoundError: sentencepiece.bpe.model: expected a file at nowhere/sentencepiece.bpe.model, ...
    """
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(
            f"{file.name}: expected a file at {file}, found {'a folder' if file.is_dir() else 'nothing'}; pass the "
            "path of the file itself, or from_pretrained the folder that holds it"
        )
    if file.stat().st_size > MOST_BYTES:
        raise ValueError(f"{file}: expected at most {MOST_BYTES} bytes, got {file.stat().st_size}; fetch it again")
    data = file.read_bytes()
    return parse_model(data, str(file)), data


def parse_model(data: bytes, where: str = "model") -> PieceModel:
    """Read what a ``.model`` file holds.

    Args:
        data: the file.
        where: its name, for messages.

    Returns:
        What it says.

    Raises:
        ValueError: as `read_model`.

    Example:
        >>> model = PieceModel([Piece("<unk>", 0.0, Kind.UNKNOWN), Piece("▁a", -1.5)], Charsmap(b""))
        >>> parse_model(model_bytes(model)).pieces == model.pieces
        True
    """
    reader = _Reader(where)
    for field in fields(data, where):
        reader.take(field)
    if reader.model_type != _UNIGRAM:
        name = _OTHERS.get(reader.model_type, reader.model_type)
        raise ValueError(
            f"{where}: trainer_spec.model_type: expected unigram (1), as CamemBERT and XLM-RoBERTa have, got {name}; "
            "load it with the sentencepiece package"
        )
    return PieceModel(
        reader.pieces,
        Charsmap(reader.charsmap, where),
        reader.flags[_DUMMY_PREFIX],
        reader.flags[_EXTRA_SPACES],
        reader.falls_back_to_bytes,
        where,
    )


def model_bytes(model: PieceModel) -> bytes:
    """Write a model as a ``.model`` file holds it.

    Args:
        model: any.

    Returns:
        The bytes, which SentencePiece reads.
    """
    pieces = b"".join(
        delimited(
            1,
            delimited(1, piece.text.encode()) + fixed32(2, struct.pack("<f", piece.score)) + varint(3, piece.kind),
        )
        for piece in model.pieces
    )
    unknown = next(at for at, piece in enumerate(model.pieces) if piece.kind is Kind.UNKNOWN)
    trained = varint(3, _UNIGRAM) + varint(_BYTE_FALLBACK, model.falls_back_to_bytes) + varint(40, unknown)
    normalised = (
        delimited(2, model.charsmap.table)
        + varint(_DUMMY_PREFIX, model.adds_dummy_prefix)
        + varint(_EXTRA_SPACES, model.removes_extra_spaces)
        + varint(_ESCAPES, 1)
    )
    return pieces + delimited(2, trained) + delimited(3, normalised)


# -- pieces ----------------------------------------------------------------------------------------------------------

_UNIGRAM = 1
_OTHERS = {2: "bpe", 3: "word", 4: "char"}
# Fields of the trainer's and of the normaliser's message.
_MODEL_TYPE, _SUFFIX, _BYTE_FALLBACK = 3, 24, 35
_CHARSMAP, _DUMMY_PREFIX, _EXTRA_SPACES, _ESCAPES = 2, 3, 4, 5


class _Reader:
    """Takes the fields of the outermost message one by one."""

    def __init__(self, where: str) -> None:
        self._where = where
        self.pieces: list[Piece] = []
        self.model_type = _UNIGRAM
        self.falls_back_to_bytes = False
        self.charsmap = b""
        self.flags = {_DUMMY_PREFIX: True, _EXTRA_SPACES: True}

    def take(self, field: Field) -> None:
        readers = {1: self._piece, 2: self._training, 3: self._normalisation, 5: self._denormalisation}
        if field.number in readers:
            self._require(field, DELIMITED)
            data = cast("bytes", field.value)
            for part in fields(data, self._where, field.place):
                readers[field.number](part)
            if field.number == 1:
                self.pieces.append(self._made(field.place))

    _text, _score, _kind = "", 0.0, Kind.NORMAL

    def _made(self, place: int) -> Piece:
        piece = Piece(self._text, self._score, self._kind)
        self._text, self._score, self._kind = "", 0.0, Kind.NORMAL
        if not piece.text:
            raise ValueError(f"{self._where}: byte {place}: expected a piece with a text, got none; fetch it again")
        return piece

    def _piece(self, field: Field) -> None:
        if field.number == 1:
            self._require(field, DELIMITED)
            try:
                self._text = cast("bytes", field.value).decode()
            except UnicodeDecodeError as error:
                self._refuse(field, "a piece in UTF-8", str(error))
        elif field.number == 2:
            self._require(field, FIXED32)
            self._score = float(struct.unpack("<f", cast("bytes", field.value))[0])
        elif field.number == 3:
            self._require(field, VARINT)
            if field.value not in set(Kind):
                self._refuse(field, "a kind of piece, 1 to 6", str(field.value))
            self._kind = Kind(cast("int", field.value))

    def _training(self, field: Field) -> None:
        if field.number in (_MODEL_TYPE, _SUFFIX, _BYTE_FALLBACK):
            self._require(field, VARINT)
        if field.number == _MODEL_TYPE:
            self.model_type = cast("int", field.value)
        elif field.number == _BYTE_FALLBACK:
            self.falls_back_to_bytes = bool(field.value)
        elif field.number == _SUFFIX and field.value:
            self._refuse(field, "treat_whitespace_as_suffix false", "true")

    def _normalisation(self, field: Field) -> None:
        if field.number == _CHARSMAP:
            self._require(field, DELIMITED)
            self.charsmap = cast("bytes", field.value)
        elif field.number in (*self.flags, _ESCAPES):
            self._require(field, VARINT)
            if field.number in self.flags:
                self.flags[field.number] = bool(field.value)
            elif not field.value:
                self._refuse(field, "escape_whitespaces true", "false")

    def _denormalisation(self, field: Field) -> None:
        if field.number == _CHARSMAP and field.value:
            self._refuse(field, "no table of denormalisation", "one")

    def _require(self, field: Field, kind: int) -> None:
        if field.kind != kind:
            self._refuse(field, f"field {field.number} of kind {kind}", f"kind {field.kind}")

    def _refuse(self, field: Field, wanted: str, got: str) -> None:
        raise ValueError(
            f"{self._where}: byte {field.place}: expected {wanted}, got {got}; the file is damaged, or of another kind "
            "of model: fetch it again, or load it with the sentencepiece package"
        )
