"""Special and added tokens are found in the text before anything else looks at it.

The leftmost match wins, and of several that begin at one place the longest. A token may swallow the white
space at its sides (``<mask>`` does so at its left) and may insist on being a whole word.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple, Self, cast

import regex

from .pieces import character_class

__all__ = ["AddedToken", "Segment", "SpecialSplitter"]


@dataclass(frozen=True, slots=True)
class AddedToken:
    """A token that is matched as a whole in the text, never cut and never merged.

    Args:
        content: the text to match; not empty.
        lstrip: whether it swallows the white space at its left.
        rstrip: whether it swallows the white space at its right.
        single_word: whether it is matched only where no word character touches it.
        normalized: whether it yields to the tokens that are not: those are looked for first. (RoBERTa
            normalises nothing else.)
        special: whether ``skip_special_tokens`` drops it when decoding, and ``split_special_tokens`` does not
            look for it.

    Example:
        >>> AddedToken("<mask>", lstrip=True, normalized=False, special=True).content
        '<mask>'
    """

    content: str
    lstrip: bool = False
    rstrip: bool = False
    single_word: bool = False
    normalized: bool = True
    special: bool = False

    def __str__(self) -> str:
        return self.content

    @classmethod
    def read(cls, token: Any, **flags: bool) -> Self:
        """Read a token in any of its forms.

        Args:
            token: its text; the object that a JSON file holds; or anything with the attributes of an added token.
            **flags: how a token that is given as text is matched.

        Returns:
            The token.

        Raises:
            TypeError: something else, or a flag that is neither true nor false.

        Example:
            >>> AddedToken.read({"content": "<mask>", "lstrip": True, "__type": "AddedToken"}).lstrip
            True
        """
        if isinstance(token, str):
            return cls(token, **flags)
        found = _attributes(token)
        given = {field.name: found[field.name] for field in fields(cls) if field.name in found}
        if not isinstance(given.get("content"), str):
            raise TypeError(
                f"token: expected a str or an AddedToken, got {type(token).__name__} {token!r:.120}; pass its text"
            )
        odd = {name: value for name, value in given.items() if name != "content" and not isinstance(value, bool)}
        if odd:
            raise TypeError(f"token {given['content']!r:.80}: expected flags that are true or false, got {odd!r:.120}")
        return cls(**given)


def _attributes(token: Any) -> Mapping[str, Any]:
    """Return the fields of a mapping, or the attributes of an added token, of another library too."""
    if isinstance(token, Mapping):
        return cast("Mapping[str, Any]", token)
    names = [field.name for field in fields(AddedToken)]
    return {name: getattr(token, name) for name in names if hasattr(token, name)}


class Segment(NamedTuple):
    """A stretch of text: plain, or one added token with the white space that it swallowed.

    Args:
        start: first code point in the text.
        end: one past the last.
        token: the added token that stands here; None for plain text.
    """

    start: int
    end: int
    token: AddedToken | None


class SpecialSplitter:
    """Cuts texts at added tokens.

    Args:
        tokens: the tokens to look for.

    Example:
        >>> splitter = SpecialSplitter([AddedToken("<mask>", lstrip=True)])
        >>> text = "a <mask>b"
        >>> [text[start:end] for start, end, token in splitter.split(text)]
        ['a', ' <mask>', 'b']
    """

    def __init__(self, tokens: Iterable[AddedToken]) -> None:
        tokens = [token for token in tokens if token.content]
        groups = [[token for token in tokens if token.normalized is late] for late in (False, True)]
        self._matchers = [_Matcher(group) for group in groups if group]
        self.find_candidate: Callable[[str], re.Match[str] | None] = _beginnings(tokens).search
        """Finds where a token may begin; where it finds nothing, the text holds none."""

    def split(self, text: str, split_special_tokens: bool = False) -> list[Segment]:
        """Cut a text.

        Args:
            text: any text.
            split_special_tokens: whether special tokens are treated as plain text.

        Returns:
            The segments in order; they cover the text without gap, and none is empty.
        """
        segments = [Segment(0, len(text), None)] if text else []
        for matcher in self._matchers:
            if matcher.occurs_in(text):
                segments = [
                    part
                    for segment in segments
                    for part in ([segment] if segment.token else matcher.split(text, segment, split_special_tokens))
                ]
        return segments


class _Matcher:
    """Finds the tokens of one group."""

    def __init__(self, tokens: list[AddedToken]) -> None:
        self._tokens = {token.content: token for token in tokens}
        # Longest first: an alternation takes the first alternative that matches.
        contents = sorted(self._tokens, key=len, reverse=True)
        self._pattern = regex.compile("|".join(map(regex.escape, contents)))

    def occurs_in(self, text: str) -> bool:
        # Plain searches are many times faster than the pattern.
        return any(content in text for content in self._tokens)

    def split(self, text: str, within: Segment, split_special_tokens: bool) -> list[Segment]:
        segments: list[Segment] = []
        done, limit = within.start, within.end
        for match in self._pattern.finditer(text, done, limit):
            token = self._tokens[match[0]]
            start, end = match.span()
            if start < done:  # the token before has swallowed its beginning, which is white space
                continue
            if (token.special and split_special_tokens) or (token.single_word and _touches_word(text, match, within)):
                continue
            if token.lstrip:
                start = _start_of_space_before(text, done, start)
            if token.rstrip:
                end = _end_of_space_after(text, end, limit)
            if done < start:
                segments.append(Segment(done, start, None))
            segments.append(Segment(start, end, token))
            done = end
        if done < limit:
            segments.append(Segment(done, limit, None))
        return segments


def _beginnings(tokens: Iterable[AddedToken]) -> re.Pattern[str]:
    characters = {token.content[0] for token in tokens}
    return re.compile("|".join(sorted(map(re.escape, characters))) or r"(?!)")  # without tokens nothing is found


# By \s `regex` means Unicode's White_Space; str.isspace also holds the separators \x1c to \x1f, which do not
# count here.
_SPACE = regex.compile(r"\s")
# As `pieces` has it for letters: what Unicode 17 and later made word characters counts for none.
_LATER = character_class("""
    557-558 589-590 5C8-5CF 88F-896 B4E-B54 C5B-C5C CD7-CDC 1ACF-1AFF 2080-208F 209D-20CF A7CE-A7CF A7D2-A7D2
    A7D4-A7D4 A7DD-A7F1 AB6A-AB6F 107BB-107FF 1093A-1097F 10EC5-10EFB 11AF9-11BBF 11DAA-11EDF 1246F-1247F
    12544-12F8F 16E80-16EFF 16FF2-16FFF 187F8-187FF 18CD6-18CFE 18D09-1AFEF 1B123-1B131 1B168-1B16F 1CF47-1D164
    1D245-1D3FF 1D6A6-1D6A7 1DF1F-1DF24 1DF2B-1DFFF 1E5FB-1E7DF 2B73A-2B73F 2B81E-2B81F 2CEA2-2CEAF 323B0-E00FF""")
_WORD = regex.compile(rf"[\w--{_LATER}]", regex.V1)


def _start_of_space_before(text: str, done: int, start: int) -> int:
    while start > done and _SPACE.match(text, start - 1):
        start -= 1
    return start


def _end_of_space_after(text: str, end: int, limit: int) -> int:
    while end < limit and _SPACE.match(text, end):
        end += 1
    return end


def _touches_word(text: str, match: "regex.Match[str]", within: Segment) -> bool:
    start, end = match.span()
    is_after_word = start > within.start and _WORD.match(text, start - 1)
    is_before_word = end < within.end and _WORD.match(text, end)
    return bool(is_after_word or is_before_word)
