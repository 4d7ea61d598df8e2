"""The whole way of one text to ids by pieces, kept as data and written out to be read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...files.tables import Table, shortened
from ..explain import ExplainedToken, shown
from ..special import SpecialSplitter
from .normalizer import Normalizer
from .pipeline import UnigramPipeline

if TYPE_CHECKING:
    from .tokenizer import UnigramTokenizer

__all__ = ["PieceExplanation", "explain"]


@dataclass(frozen=True, slots=True, repr=False)
class PieceExplanation:
    """The whole way of one text; as a str, written out for a reader.

    Args:
        text: the text.
        prepared: each stretch between added tokens as it is cut: characters replaced, spaces spelled ``▁``.
        tokens: all tokens, with those that the call puts around them.
        scores: the logarithm of each one's probability; None for added and unknown ones.
    """

    text: str
    prepared: tuple[str, ...]
    tokens: tuple[ExplainedToken, ...]
    scores: tuple[float | None, ...]

    @property
    def ids(self) -> list[int]:
        """The ids, as a call gives them."""
        return [token.id for token in self.tokens]

    @property
    def offsets(self) -> list[tuple[int, int]]:
        """The offsets, as a call gives them."""
        return [(token.start, token.end) for token in self.tokens]

    def __str__(self) -> str:
        return "\n".join(self._written())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = [
            (shown(token.token)[1:-1], str(token.id), _score(score), f"{token.start} to {token.end}")
            for token, score in zip(self.tokens, self.scores, strict=True)
        ]
        title = f"{shown(shortened(self.text))} becomes {len(rows)} tokens"
        return Table(("token", "id", "score", "place"), rows, title).html()

    def _written(self) -> Iterator[str]:
        count = len(self.tokens)
        yield f"{shown(self.text)} becomes {count} token{'s' * (count != 1)}, in three steps."
        yield ""
        yield "1. Added tokens are found before anything else looks at the text. What lies between them is prepared:"
        yield "   characters are replaced by the model's table, and each space, with one before the text, becomes ▁."
        yield from (f"   {shown(stretch)}" for stretch in self.prepared)
        yield ""
        yield "2. Of all cuts into pieces, the one is taken whose scores sum up to most. A score is the logarithm of a"
        yield "   piece's probability; what is no piece at all is unknown."
        yield ""
        yield "3. The ids of all tokens are what the model reads."
        width = max((len(shown(token.token)) for token in self.tokens), default=0)
        for token, score in zip(self.tokens, self.scores, strict=True):
            place = f"{token.start:>3} to {token.end:<3}  {shown(self.text[token.start : token.end])}"
            yield f"   {token.id:>6}  {shown(token.token)[1:-1]:<{width}}  {_score(score):>8}  {place}"


def explain(text: str, tokenizer: UnigramTokenizer, around: Sequence[int], split: bool) -> PieceExplanation:
    """Take the way of a text step by step.

    Args:
        text: any text without lone surrogates.
        tokenizer: what encodes it.
        around: the ids that are put around it: two, or none.
        split: whether special tokens in it are treated as plain text.

    Returns:
        What became of it.
    """
    engine = UnigramPipeline(tokenizer.model, tokenizer.layout, tokenizer._added)
    encoded = engine.encode([text], split)[0]
    segments = SpecialSplitter(tokenizer._added.values()).split(text, split)
    normalizer = Normalizer(tokenizer.model)
    prepared = [normalizer.prepare(text[start:end]).text for start, end, token in segments if token is None]
    spans = [(0, 0)] * bool(around) + encoded.offsets + [(0, 0)] * bool(around)
    ids = [*around[:1], *encoded.ids, *around[1:]]
    tokens = [ExplainedToken(id, tokenizer._token_of_id(id), *span) for id, span in zip(ids, spans, strict=True)]
    scores = dict(tokenizer.layout.entries(tokenizer.model))
    known = [None if token.id in tokenizer._added else scores.get(token.token) for token in tokens]
    return PieceExplanation(text, tuple(prepared), tuple(tokens), tuple(known))


def _score(score: float | None) -> str:
    return "" if score is None else f"{score:.2f}"
