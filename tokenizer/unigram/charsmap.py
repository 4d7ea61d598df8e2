"""SentencePiece's table of replacements: what of a text becomes what before it is cut, such as ``ﬁ`` to ``fi``.

The table is one block of bytes: the size of a trie, the trie, and the replacements, each ended by a zero byte. The trie
is a *double array* (Aoe 1989; the form is that of darts-clone): a list of 32-bit units, of which each is a node. A node
holds the offset to its children: the child for byte c is at ``place XOR offset XOR c``, if the unit there carries the
label c. Where a key ends, the child for byte 0 holds a value: the place of its replacement.
"""

from __future__ import annotations

import struct

import numpy as np

__all__ = ["Charsmap"]


class Charsmap:
    """Finds the longest key that a text goes on with, and what it becomes.

    Args:
        table: the block of bytes; empty for none.
        where: the file, for messages.

    Raises:
        ValueError: the block is damaged.

    Example:
        >>> Charsmap(b"").longest("a".encode(), 0) is None
        True
    """

    def __init__(self, table: bytes, where: str = "precompiled_charsmap") -> None:
        self.table = table
        self._where = where
        self._units: tuple[int, ...] = ()
        self._pool = b""
        if not table:
            return
        size = struct.unpack_from("<I", table)[0] if len(table) >= 4 else -1
        if not 0 < size <= len(table) - 4 or size % 4:
            raise self._damaged(f"a trie of a positive multiple of 4, at most {len(table) - 4} bytes", f"{size}")
        self._units = struct.unpack_from(f"<{size // 4}I", table, 4)
        self._pool = table[4 + size :]
        if not self._pool.endswith(b"\0"):
            raise self._damaged("replacements that end with a zero byte", f"{self._pool[-4:]!r}")
        try:
            self._pool.decode()
        except UnicodeDecodeError as error:
            raise self._damaged("replacements in UTF-8", str(error)) from None
        self._require_sound()

    def longest(self, data: bytes, at: int) -> tuple[int, bytes] | None:
        """Look up what a text goes on with.

        Args:
            data: the text, in UTF-8.
            at: where to begin.

        Returns:
            How many bytes the longest key has that stands there, and what it becomes; None where there is none.

        """
        if not self._units:
            return None
        units, found = self._units, None
        node = _offset(units[0])
        for end in range(at, len(data)):
            node ^= data[end]
            unit = units[node]
            if _label(unit) != data[end]:
                break
            node ^= _offset(unit)
            if _has_leaf(unit):
                found = end + 1 - at, units[node] & _VALUE
        return None if found is None else (found[0], self._replacement(found[1]))

    def _replacement(self, place: int) -> bytes:
        return self._pool[place : self._pool.index(b"\0", place)]

    def _require_sound(self) -> None:
        """Require once, of all nodes, that no way leads out of the trie, nor a value out of the replacements."""
        units = np.array(self._units, np.int64)
        bases = np.arange(len(units)) ^ (units >> 10 << ((units & 1 << 9) >> 6))
        is_node = units <= _VALUE
        is_node[0] = True  # whatever it says: the root
        if len(out := np.flatnonzero(is_node & ((bases | 0xFF) >= len(units)))):
            raise self._damaged(f"children below {len(units)} of every node of its trie", f"node {out[0]}")
        values = units[bases[is_node & (units >> 8 & 1 == 1)]]
        places = values & _VALUE
        if (values <= _VALUE).any() or (places >= len(self._pool)).any():
            raise self._damaged(f"values below {len(self._pool)} where keys end", "another")
        if (np.frombuffer(self._pool, np.uint8)[places] & 0xC0 == 0x80).any():
            raise self._damaged("replacements that begin with a character", "one within a character")

    def _damaged(self, wanted: str, got: str) -> ValueError:
        return ValueError(
            f"{self._where}: normalizer_spec.precompiled_charsmap: expected {wanted}, got {got}; the table is damaged: "
            "fetch the file again"
        )


_VALUE = 0x7FFFFFFF


def _has_leaf(unit: int) -> bool:
    return bool(unit >> 8 & 1)


def _label(unit: int) -> int:
    # A unit that holds a value has the highest bit, and so the label of no byte.
    return unit & 0x800000FF


def _offset(unit: int) -> int:
    # 21 bits; where they do not suffice, in steps of 256.
    return unit >> 10 << ((unit & 1 << 9) >> 6)
