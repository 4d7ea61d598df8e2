"""Step 1 of the ladder: every byte gets a printable symbol, so that any text is a string of 256 letters.

Merges and vocabulary files are text. Bytes such as space, newline or 0x80 would break them, so GPT-2 gave
each of the 256 bytes a visible stand-in. Printable Latin-1 characters stand for themselves; the other 68
bytes take the code points 256, 257, ... in order: the space becomes ``Ġ`` (U+0120) and the newline ``Ċ`` (U+010A).
"""

__all__ = ["BYTE_TO_SYMBOL", "SYMBOL_TO_BYTE", "bytes_to_symbols", "symbols_to_bytes"]

# Soft hyphen (173) is left out: it is invisible in most fonts.
_PRINTABLE = {*range(33, 127), *range(161, 173), *range(174, 256)}


def _symbols_of_all_bytes() -> tuple[str, ...]:
    """Return the 256 symbols, indexed by byte."""
    stand_ins = iter(range(256, 512))
    return tuple(chr(byte if byte in _PRINTABLE else next(stand_ins)) for byte in range(256))


BYTE_TO_SYMBOL: tuple[str, ...] = _symbols_of_all_bytes()
"""The symbol of each byte: ``BYTE_TO_SYMBOL[32] == "Ġ"``."""

SYMBOL_TO_BYTE: dict[str, int] = {symbol: byte for byte, symbol in enumerate(BYTE_TO_SYMBOL)}
"""The byte of each symbol: ``SYMBOL_TO_BYTE["Ġ"] == 32``."""


def bytes_to_symbols(data: bytes) -> str:
    r"""Spell bytes in the printable alphabet.

    Args:
        data: any bytes, usually the UTF-8 form of a text.

    Returns:
        A string with one symbol for each byte.

    Source:
        Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", section 2.2.

    Example:
        >>> bytes_to_symbols(" héllo\n".encode())
        'ĠhÃ©lloĊ'
    """
    # Latin-1 reads byte b as code point b, which is what `translate` looks up.
    return data.decode("latin-1").translate(_TRANSLATION)


_TRANSLATION = dict(enumerate(BYTE_TO_SYMBOL))


def symbols_to_bytes(symbols: str) -> bytes:
    r"""Read a string of the printable alphabet back as bytes.

    Args:
        symbols: characters of the alphabet.

    Returns:
        One byte for each symbol.

    Raises:
        ValueError: a character lies outside the alphabet.

    Example:
        >>> symbols_to_bytes("ĠhÃ©lloĊ").decode()
        ' héllo\n'
    """
    try:
        return bytes(map(SYMBOL_TO_BYTE.__getitem__, symbols))
    except KeyError as error:
        raise ValueError(
            f"symbols: expected only characters of the 256-letter byte alphabet, got {error.args[0]!r} in {symbols!r}; "
            "spell ordinary text with bytes_to_symbols(text.encode()) first"
        ) from None
