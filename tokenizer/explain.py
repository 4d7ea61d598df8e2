"""The whole way of one text to ids, kept as data and written out to be read.

`explain` takes the steps that a call takes, one after the other, and keeps what each of them gave: the
segments between added tokens, the pieces of each, their bytes, every merge, the tokens, and their offsets.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from unicodedata import bidirectional, category

from ..files.tables import Aside, Table, shortened
from .bpe import ByteLevelBPE, merge_steps
from .pipeline import Piece, Pipeline
from .special import AddedToken

__all__ = ["ExplainedPiece", "ExplainedSegment", "ExplainedToken", "Explanation", "Merge", "explain", "shown"]


@dataclass(frozen=True, slots=True)
class ExplainedToken:
    """A token, as the model gets it.

    Args:
        id: its id.
        token: as the vocabulary spells it.
        start: its first code point in the text.
        end: one past the last. Both are 0 for a token that the call puts around the text.
    """

    id: int
    token: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Merge:
    """One step of the ladder: two neighbouring symbols become one.

    Args:
        rank: the place of the merge in the list of merges, from 0; the lowest goes first.
        at: the byte of the piece that the left symbol begins with.
        left: the left symbol, as the vocabulary spells it.
        right: the right one.
        joined: both in one.
    """

    rank: int
    at: int
    left: str
    right: str
    joined: str


@dataclass(frozen=True, slots=True)
class ExplainedPiece:
    """A piece of plain text, which is encoded by itself.

    Args:
        start: its first code point in the text.
        end: one past the last.
        spelled: what is encoded: the text, after a space that was put before it where ``add_prefix_space`` asked.
        data: its UTF-8 bytes.
        symbols: the symbols that it begins as, one for each byte.
        merges: the steps, in order.
        tokens: what is left in the end.
    """

    start: int
    end: int
    spelled: str
    data: bytes
    symbols: tuple[str, ...]
    merges: tuple[Merge, ...]
    tokens: tuple[ExplainedToken, ...]

    def ladder(self) -> Iterator[tuple[str, ...]]:
        """Replay the merges.

        Yields:
            The symbols before the first merge, and after each.
        """
        standing = dict(enumerate(self.symbols))  # first byte -> symbol
        yield self.symbols
        for merge in self.merges:
            swallowed = next(at for at in standing if at > merge.at)
            del standing[swallowed]
            standing[merge.at] = merge.joined
            yield tuple(standing.values())


@dataclass(frozen=True, slots=True)
class ExplainedSegment:
    """Plain text between added tokens, or one added token.

    Args:
        start: its first code point in the text.
        end: one past the last.
        added: the added token that stands here; None for plain text.
        pieces: the pieces of plain text.
        tokens: the tokens of all of it.
    """

    start: int
    end: int
    added: AddedToken | None
    pieces: tuple[ExplainedPiece, ...]
    tokens: tuple[ExplainedToken, ...]


@dataclass(frozen=True, slots=True, repr=False)
class Explanation:
    """The whole way of one text; as a str, written out for a reader.

    Args:
        text: the text.
        segments: what it was cut into at added tokens.
        before: the tokens that the call puts before it.
        after: those that it puts behind it.
    """

    text: str
    segments: tuple[ExplainedSegment, ...]
    before: tuple[ExplainedToken, ...]
    after: tuple[ExplainedToken, ...]

    @property
    def tokens(self) -> tuple[ExplainedToken, ...]:
        """All tokens, in order."""
        return (*self.before, *(token for segment in self.segments for token in segment.tokens), *self.after)

    @property
    def ids(self) -> list[int]:
        """The ids, as a call gives them."""
        return [token.id for token in self.tokens]

    @property
    def offsets(self) -> list[tuple[int, int]]:
        """The offsets, as a call gives them."""
        return [(token.start, token.end) for token in self.tokens]

    def __str__(self) -> str:
        return "\n".join(_written(self))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """The tokens, and the ladder of merges that led to each piece; `str` has the whole story."""
        return _tokens_table(self).html() + _ladders_table(self).html()


def explain(
    text: str,
    pipeline: Pipeline,
    bpe: ByteLevelBPE,
    spell: Callable[[int], str],
    split_special_tokens: bool = False,
) -> tuple[ExplainedSegment, ...]:
    """Take the way of a text step by step.

    Args:
        text: any text without lone surrogates.
        pipeline: what encodes it.
        bpe: the merges by which it does so.
        spell: id -> token.
        split_special_tokens: whether special tokens in it are treated as plain text.

    Returns:
        What became of each stretch of it.

    Example:
        >>> bpe = ByteLevelBPE({"<unk>": 0, "a": 1, "b": 2, "ab": 3}, [("a", "b")], unk_id=0)
        >>> spelled = ["<unk>", "a", "b", "ab"]
        >>> explain("ab", Pipeline(bpe, {}, spelled), bpe, spelled.__getitem__)[0].pieces[0].merges
        (Merge(rank=0, at=0, left='a', right='b', joined='ab'),)
    """
    offsets = iter(pipeline.encode([text], split_special_tokens)[0].offsets)
    explained: list[ExplainedSegment] = []
    plain: list[ExplainedPiece] = []
    for piece in pipeline.pieces(text, split_special_tokens):
        spans = islice(offsets, len(piece.ids))
        tokens = tuple(ExplainedToken(index, spell(index), *span) for index, span in zip(piece.ids, spans, strict=True))
        if piece.token is None:
            plain.append(_explained_piece(text, piece, tokens, bpe, spell))
        else:
            explained += _plain_segment(plain)
            explained.append(ExplainedSegment(piece.start, piece.end, piece.token, (), tokens))
            plain = []
    return (*explained, *_plain_segment(plain))


def _plain_segment(pieces: Sequence[ExplainedPiece]) -> list[ExplainedSegment]:
    if not pieces:
        return []
    tokens = tuple(token for piece in pieces for token in piece.tokens)
    return [ExplainedSegment(pieces[0].start, pieces[-1].end, None, tuple(pieces), tokens)]


def _explained_piece(
    text: str, piece: Piece, tokens: tuple[ExplainedToken, ...], bpe: ByteLevelBPE, spell: Callable[[int], str]
) -> ExplainedPiece:
    spelled = " " * piece.has_inserted_space + text[piece.start : piece.end]
    symbols = bpe.byte_ids(spelled)
    merges = tuple(_merges(list(symbols), bpe, spell))
    return ExplainedPiece(piece.start, piece.end, spelled, spelled.encode(), tuple(map(spell, symbols)), merges, tokens)


def _merges(ids: list[int], bpe: ByteLevelBPE, spell: Callable[[int], str]) -> Iterator[Merge]:
    for rank, at, right in merge_steps(ids, bpe.merges):
        yield Merge(rank, at, spell(ids[at]), spell(ids[right]), spell(bpe.merges.joined[rank]))


# -- written out -----------------------------------------------------------------------------------------------------


def shown(text: str) -> str:
    r"""Write a text so that no terminal is spoiled by it: in quotes, with escapes for what does not print in order.

    Args:
        text: any text.

    Returns:
        The text; control characters, characters that are written from right to left, and marks that would
        combine with the quote, as Python writes them in escapes.

    Example:
        >>> print(shown("naïve\n\x1b[31m"), shown("שלום"))
        'naïve\n\x1b[31m' '\u05e9\u05dc\u05d5\u05dd'
    """
    quote = '"' if "'" in text and '"' not in text else "'"
    escaped = (_escaped(character, quote, at == 0) for at, character in enumerate(text))
    return f"{quote}{''.join(escaped)}{quote}"


_RIGHT_TO_LEFT = {"R", "AL", "AN", "RLE", "RLO", "RLI", "LRE", "LRO", "LRI", "PDF", "PDI", "FSI"}


def _escaped(character: str, quote: str, is_first: bool) -> str:
    if character in "'\"":
        return f"\\{quote}" if character == quote else character
    if bidirectional(character) in _RIGHT_TO_LEFT or (is_first and category(character).startswith("M")):
        return ascii(character)[1:-1]
    return repr(character)[1:-1]


def _written(explanation: Explanation) -> Iterator[str]:
    """Yield the lines of an explanation."""
    count = len(explanation.tokens)
    yield f"{shown(explanation.text)} becomes {count} token{'s' * (count != 1)}, in four steps."
    yield ""
    yield "1. Special tokens are found before anything else looks at the text. They are never cut."
    yield from _segment_lines(explanation)
    yield ""
    yield "2. The text between them is cut into pieces: words with the space before them, numbers, punctuation,"
    yield "   white space. What follows happens within each piece by itself."
    plain = [segment for segment in explanation.segments if segment.added is None]
    for segment in plain:
        yield "   " + " | ".join(shown(piece.spelled) for piece in segment.pieces)
    yield ""
    yield "3. A piece begins as its UTF-8 bytes, one symbol for each. (A byte that is a printable sign is its own"
    yield "   symbol, others have a stand-in: Ġ is the space.) Then two neighbours are joined, again and again:"
    yield "   always the pair of lowest rank, which is its place in the list of merges, until no pair has one."
    yield "   What is left are the tokens."
    for piece in (piece for segment in plain for piece in segment.pieces):
        yield ""
        yield from _ladder_lines(piece)
    yield ""
    yield f"4. The ids of all tokens{', with those around them,' * bool(explanation.before)} are what the model reads."
    spans = [span for span in explanation.offsets if span[0] < span[1]]
    if len(set(spans)) < len(spans):
        yield "   (Where several tokens share the bytes of one character, each of them points at it.)"
    yield from _token_lines(explanation)


def _segment_lines(explanation: Explanation) -> Iterator[str]:
    for segment in explanation.segments:
        held = explanation.text[segment.start : segment.end]
        kind = "text"
        if segment.added is not None:
            swallowed = ", which swallows the white space beside it" * (held != segment.added.content)
            kind = f"the token {_spelled(segment.added.content)}{swallowed}"
        yield f"   {segment.start:>3} to {segment.end:<3}  {shown(held)}: {kind}"
    if not explanation.segments:
        yield "   (The text is empty.)"


def _ladder_lines(piece: ExplainedPiece) -> Iterator[str]:
    space = " with the space put before it," * (len(piece.spelled) > piece.end - piece.start)
    size = f"{len(piece.data)} byte{'s' * (len(piece.data) != 1)}"
    yield f"   {shown(piece.spelled)},{space} {size}: {piece.data.hex(' ')}"
    first, *later = piece.ladder()
    steps = [("", _joined(first))]
    for merge, symbols in zip(piece.merges, later, strict=True):
        what = f"rank {merge.rank:>5}: {_spelled(merge.left)} + {_spelled(merge.right)}"
        steps.append((what, _joined(symbols)))
    width = max(len(what) for what, _ in steps)
    yield from (f"     {what:<{width}}  {symbols}".rstrip() for what, symbols in steps)


def _token_lines(explanation: Explanation) -> Iterator[str]:
    tokens = explanation.tokens
    id_width = max((len(str(token.id)) for token in tokens), default=0)
    width = max((len(_spelled(token.token)) for token in tokens), default=0)
    around = {id(token) for token in (*explanation.before, *explanation.after)}
    for token in tokens:
        held = shown(explanation.text[token.start : token.end])
        origin = "put around the text" if id(token) in around else f"{token.start:>3} to {token.end:<3}  {held}"
        yield f"   {token.id:>{id_width}}  {_spelled(token.token):<{width}}  {origin}"


def _tokens_table(explanation: Explanation) -> Table:
    around = {id(token) for token in (*explanation.before, *explanation.after)}
    rows: list[tuple[str, ...]] = []
    for token in explanation.tokens:
        if id(token) in around:
            rows.append((Aside(_spelled(token.token)), str(token.id), Aside("put around the text"), ""))
        else:
            held = shown(shortened(explanation.text[token.start : token.end]))
            rows.append((_spelled(token.token), str(token.id), held, f"{token.start} to {token.end}"))
    text = shown(shortened(explanation.text))
    return Table(("token", "id", "text", "place"), rows, f"{text} becomes {len(rows)} tokens")


def _ladders_table(explanation: Explanation) -> Table:
    """Each piece from its bytes to its tokens, a row for each merge."""
    rows: list[tuple[str, ...]] = []
    for piece in (piece for segment in explanation.segments for piece in segment.pieces):
        first, *later = piece.ladder()
        rows.append((shown(shortened(piece.spelled)), "", f"{len(piece.data)} bytes", _joined(first)))
        for merge, symbols in zip(piece.merges, later, strict=True):
            rows.append(("", str(merge.rank), f"{_spelled(merge.left)} + {_spelled(merge.right)}", _joined(symbols)))
    return Table(("piece", "rank", "joined", "symbols"), rows, "Merges" if rows else "")


def _joined(symbols: Iterable[str]) -> str:
    return " ".join(map(_spelled, symbols))


def _spelled(token: str) -> str:
    # Symbols print by themselves; an added token may hold anything.
    return shown(token)[1:-1]
