r"""Protocol Buffers as they lie in a file: numbered fields, one behind the other, and nothing that says what they mean.

A message is a row of fields. Each begins with a key, ``number * 8 + kind``, and the kind says what follows: 0 a whole
number in groups of 7 bits, the lowest first; 1 eight bytes; 2 a length and as many bytes (texts, and messages within
messages); 5 four bytes. That is all a SentencePiece model needs, so no library is asked, and no schema is compiled.

Nothing here is longer than the file: a field is a view of its bytes, and each byte is looked at once.
"""

from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["Field", "delimited", "fields", "fixed32", "varint"]

VARINT, FIXED64, DELIMITED, FIXED32 = 0, 1, 2, 5
_SIZES = {FIXED64: 8, FIXED32: 4}


class Field(NamedTuple):
    """A field of a message.

    Args:
        number: which field of its message.
        kind: how its value lies in the file: 0, 1, 2 or 5.
        value: a whole number of kind 0, else the bytes.
        place: where in the file it begins.
    """

    number: int
    kind: int
    value: int | bytes
    place: int


def fields(data: bytes, where: str, start: int = 0) -> Iterator[Field]:
    r"""Read a message.

    Args:
        data: the message.
        where: the file, for messages.
        start: where in the file the message begins, for messages.

    Returns:
        Its fields in order.

    Raises:
        ValueError: it ends within a field, or has a kind that does not exist; with the place.

    Example:
        >>> list(fields(b"\x08\x96\x01\x12\x02hi", "example"))
        [Field(number=1, kind=0, value=150, place=0), Field(number=2, kind=2, value=b'hi', place=3)]
    """
    at = 0
    while at < len(data):
        place = start + at
        key, at = _varint(data, at, where, start)
        number, kind = key >> 3, key & 7
        if not number:
            raise _damaged(where, place, "a field number of at least 1", "0")
        if kind == VARINT:
            value, at = _varint(data, at, where, start)
            yield Field(number, kind, value, place)
            continue
        size = _SIZES.get(kind)
        if kind == DELIMITED:
            size, at = _varint(data, at, where, start)
        if size is None:
            raise _damaged(where, place, "kind 0, 1, 2 or 5", f"kind {kind}")
        if size > len(data) - at:
            raise _damaged(where, place, f"{size} bytes of field {number}", f"{len(data) - at} that are left")
        yield Field(number, kind, data[at : at + size], place)
        at += size


def _varint(data: bytes, at: int, where: str, start: int) -> tuple[int, int]:
    """Read a whole number: its value, and where it ends."""
    value = 0
    for index in range(10):  # ten groups of 7 bits hold 64
        if at + index >= len(data):
            raise _damaged(where, start + at, "a whole number", "the end")
        byte = data[at + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at + index + 1
    raise _damaged(where, start + at, "a whole number of at most 10 bytes", "more")


def _damaged(where: str, place: int, wanted: str, got: str) -> ValueError:
    return ValueError(
        f"{where}: byte {place}: expected {wanted}, got {got}; the file is damaged or no SentencePiece model: "
        "fetch it again"
    )


# -- writing ----------------------------------------------------------------------------------------------------------


def varint(number: int, value: int) -> bytes:
    r"""Write a field of a whole number; one below 0 in ten bytes, as 64-bit integers are.

    >>> varint(1, 150)
    b'\x08\x96\x01'
    """
    return _groups(number << 3 | VARINT) + _groups(value & 0xFFFFFFFFFFFFFFFF)


def delimited(number: int, value: bytes) -> bytes:
    r"""Write a field of bytes.

    >>> delimited(2, b"hi")
    b'\x12\x02hi'
    """
    return _groups(number << 3 | DELIMITED) + _groups(len(value)) + value


def fixed32(number: int, value: bytes) -> bytes:
    r"""Write a field of four bytes.

    >>> fixed32(2, b"\0\0\x80?")
    b'\x15\x00\x00\x80?'
    """
    return _groups(number << 3 | FIXED32) + value


def _groups(value: int) -> bytes:
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*written, value])
