"""Text as the merges see it: cut into pieces, and each byte of a piece a printable symbol.

Merges never cross from one piece to the next. The pieces are words with the space before them, numbers, runs of
punctuation, contractions and white space. Nothing is dropped: the pieces, joined, are the text.

Merges and vocabulary files are text. Bytes such as space, newline or 0x80 would break them, so GPT-2 gave
each of the 256 bytes a visible stand-in. Printable Latin-1 characters stand for themselves; the other 68
bytes take the code points 256, 257, ... in order: the space becomes ``Ġ`` (U+0120) and the newline ``Ċ`` (U+010A).
"""

import re

import regex

__all__ = [
    "BYTE_TO_SYMBOL",
    "SYMBOL_TO_BYTE",
    "WHITE_SPACE",
    "WORDS",
    "bytes_to_symbols",
    "character_class",
    "split_pieces",
    "split_words",
    "symbols_to_bytes",
]

# -- the alphabet of bytes ---------------------------------------------------------------------------------------------

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


# -- the cut ----------------------------------------------------------------------------------------------------------

# What is a letter or a number is a matter of the Unicode version. Vocabularies in use were made with Unicode 16 at
# the latest, which is what `tokenizers` has; `regex` is ahead. These ranges hold no letter and no number of
# Unicode 16, and all that later versions have added; they are treated as the peer does, as anything else.
_LATER_BELOW_10000 = """
    557-558 589-5CF 88F-89F C5B-C5C CBE-CDC 208A-208F 209D-2101 A7CE-A7CF A7D2-A7D2 A7D4-A7D4 A7DD-A7F1 AB6A-AB6F"""
_LATER_ABOVE = """
    107BB-107FF 1093A-1097F 10EC5-10EFF 11AF9-11BBF 11DAA-11EDF 1246F-1247F 12544-12F8F 16E97-16EFF 16FE4-16FFF
    187F8-187FF 18CD6-18CFE 18D09-1AFEF 1B123-1B131 1B168-1B16F 1D6A6-1D6A7 1DF1F-1DF24 1DF2B-1E02F 1E5FB-1E7DF
    2B73A-2B73F 2B81E-2B81F 2CEA2-2CEAF 323B0-10FFFF"""


def character_class(ranges: str) -> str:
    r"""Write ranges of hexadecimal code points as a class of a pattern.

    >>> character_class("41-5A 61-7A")
    '[\\U00000041-\\U0000005A\\U00000061-\\U0000007A]'
    """
    bounds = (bound.split("-") for bound in ranges.split())
    return "[" + "".join(rf"\U{first:>08}-\U{last:>08}" for first, last in bounds) + "]"


def _pattern(letter: str, number: str) -> "regex.Pattern[str]":
    # One alternative a line; the first that matches wins.
    return regex.compile(
        rf"""'s|'t|'re|'ve|'m|'ll|'d    # English contractions, lower case only
        |[ ]?{letter}+                  # letters, with one space before them
        |[ ]?{number}+                  # numbers
        |[ ]?[^\s{letter}{number}]+     # anything else that is not white space
        |\s+(?!\S)                      # white space; but where text follows, its last character goes with that
        |\s+""",
        regex.VERBOSE | regex.V1,
    )


_LATER = character_class(_LATER_BELOW_10000 + _LATER_ABOVE)
_UNICODE_16 = _pattern(rf"[\p{{L}}--{_LATER}]", rf"[\p{{N}}--{_LATER}]")

# The difference of classes takes more than half of the time. It is needed only where one of those characters may be;
# to find out is cheap in the first plane, where a table tells, and rough beyond it.
_UNICODE = _pattern(r"\p{L}", r"\p{N}")
_MAY_HOLD_LATER = re.compile(character_class(f"{_LATER_BELOW_10000} 107BB-1E7DF 2B73A-10FFFF"))

# The same for ASCII, where the standard library's engine is several times faster. Without re.ASCII, `\s` would hold
# the separators \x1c to \x1f, which are no white space to Unicode.
_ASCII = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d|[ ]?[A-Za-z]+|[ ]?[0-9]+|[ ]?[^\sA-Za-z0-9]+|\s+(?!\S)|\s+", re.ASCII)


WHITE_SPACE = "\t\n\x0b\x0c\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a" + (
    "\u2028\u2029\u202f\u205f\u3000"
)
"""White space as Unicode has it since version 6.3. (`str.isspace` also holds the separators \\x1c to \\x1f.)"""

WORDS = re.compile(rf"[ ]?[^{WHITE_SPACE}]+|[{WHITE_SPACE}]+(?![^{WHITE_SPACE}])|[{WHITE_SPACE}]+")
"""Finds words: the alternatives of pieces, where letters, numbers and all else that is not white space are one."""


def split_pieces(text: str) -> list[str]:
    """Cut a text into the pieces that are encoded one by one.

    Args:
        text: any text without special tokens.

    Returns:
        The pieces in order; joined, they give ``text`` back.

    Source:
        Radford et al. 2019, section 2.2 (merges do not cross character categories); the pattern is GPT-2's.

    Example:
        >>> split_pieces("It's  2 o'clock...")
        ['It', "'s", ' ', ' 2', ' o', "'", 'clock', '...']
    """
    if text.isascii():
        return _ASCII.findall(text)
    return (_UNICODE_16 if _MAY_HOLD_LATER.search(text) else _UNICODE).findall(text)


def split_words(text: str) -> list[str]:
    """Cut a text at its white space: each word is some of its `split_pieces`, whole, and cut alone it gives the same.

    Args:
        text: any text without special tokens.

    Returns:
        The words in order, each with the space before it; joined, they give ``text`` back.

    Example:
        >>> split_words("It's  2 o'clock...")
        ["It's", ' ', ' 2', " o'clock..."]
    """
    return WORDS.findall(text)
