"""Step 2 of the ladder: cut text into pieces that merges never cross.

The pieces are words with the space before them, numbers, runs of punctuation, contractions and white space.
Nothing is dropped: the pieces, joined, are the text.
"""

import re

import regex

__all__ = ["split_pieces"]

# One alternative per line, the first that matches wins. `\s+(?!\S)` leaves the last space of a run to the
# word after it.
_UNICODE = regex.compile(
    r"""'s|'t|'re|'ve|'m|'ll|'d   # English contractions, lower case only
    |[ ]?\p{L}+                   # letters, with one space before them
    |[ ]?\p{N}+                   # numbers
    |[ ]?[^\s\p{L}\p{N}]+         # anything else that is not white space
    |\s+(?!\S)                    # white space, but for its last character where text follows
    |\s+""",
    regex.VERBOSE,
)

# The same for ASCII text, where the standard library's engine is several times faster. re.ASCII, or `\s`
# would hold \x1c to \x1f.
_ASCII = re.compile(
    r"'s|'t|'re|'ve|'m|'ll|'d|[ ]?[A-Za-z]+|[ ]?[0-9]+|[ ]?[^\sA-Za-z0-9]+|\s+(?!\S)|\s+", re.ASCII
)


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
    pattern = _ASCII if text.isascii() else _UNICODE
    return pattern.findall(text)
