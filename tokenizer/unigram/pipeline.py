"""The way of texts to ids: cut at added tokens, and what lies between them prepared and cut into pieces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..pipeline import Source
from ..special import AddedToken, SpecialSplitter
from .layout import Layout
from .model import PieceModel
from .normalizer import SPACE, Normalizer
from .viterbi import Unigram

__all__ = ["PieceText", "UnigramPipeline"]

Span = tuple[int, int]


@dataclass(eq=False)
class PieceText:
    """The ids of a text, without special tokens around them, and where they came from.

    Args:
        ids: what it is encoded as.
        offsets: where each token came from: code points of the text, end-exclusive.
        words: the word that each token is of: the index of the given one, or, in a text, counted by ``▁``.
    """

    ids: list[int]
    offsets: list[Span]
    words: list[int]

    @cached_property
    def spans(self) -> NDArray[np.int64]:
        """`offsets` as an array, (T, 2)."""
        return np.array(self.offsets, np.int64).reshape(-1, 2)


class UnigramPipeline:
    """Encodes texts. Nothing of it changes: a tokenizer to which tokens are added makes another.

    Args:
        model: the pieces.
        layout: their ids.
        added: id -> token, for the tokens that are found before anything else.

    Example:
        >>> from .charsmap import Charsmap
        >>> from .layout import XLM_ROBERTA
        >>> from .model import Kind, Piece
        >>> names = [Piece("<unk>", 0, Kind.UNKNOWN), Piece("<s>", 0, Kind.CONTROL), Piece("</s>", 0, Kind.CONTROL)]
        >>> model = PieceModel([*names, Piece("▁a", -1.0), Piece("b", -2.0)], Charsmap(b""))
        >>> text, = UnigramPipeline(model, XLM_ROBERTA, {}).encode(["ab ac"])
        >>> text.ids, text.offsets, text.words
        ([4, 5, 4, 3], [(0, 1), (1, 2), (2, 4), (4, 5)], [0, 0, 1, 1])
    """

    def __init__(self, model: PieceModel, layout: Layout, added: Mapping[int, AddedToken]) -> None:
        self._normalizer, self._unigram = Normalizer(model), Unigram(model)
        self._splitter = SpecialSplitter(added.values())
        self._id_of_added = {token.content: index for index, token in added.items()}
        unknown = {0: layout.unknown_id}
        self._ids = [unknown.get(number, layout.id_of(number)) for number in range(len(model.pieces))]

    def encode(self, sources: Sequence[Source], split_special_tokens: bool = False) -> list[Any]:
        """Encode texts.

        Args:
            sources: texts, or lists of words.
            split_special_tokens: whether special tokens in them are treated as plain text.

        Returns:
            A `PieceText` of each.
        """
        return [self._encoded(source, split_special_tokens) for source in sources]

    def _encoded(self, source: Source, split_special_tokens: bool) -> PieceText:
        if isinstance(source, str):
            return self._text(source, split_special_tokens)
        parts = [self._text(word, split_special_tokens) for word in source]
        ids = list(chain.from_iterable([part.ids for part in parts]))
        offsets = list(chain.from_iterable([part.offsets for part in parts]))
        return PieceText(ids, offsets, [index for index, part in enumerate(parts) for _ in part.ids])

    def _text(self, text: str, split_special_tokens: bool) -> PieceText:
        ids: list[int] = []
        offsets: list[Span] = []
        words: list[int] = []
        word = -1
        for start, end, token in self._splitter.split(text, split_special_tokens):
            if token is not None:
                word += 1
                ids.append(self._id_of_added[token.content])
                offsets.append((start, end))
                words.append(word)
                continue
            prepared = self._normalizer.prepare(text[start:end])
            for cut in self._unigram.cut(prepared.text):
                word += cut.start == 0 or prepared.text[cut.start] == SPACE
                ids.append(self._ids[cut.number])
                offsets.append((start + prepared.spans[cut.start][0], start + prepared.spans[cut.end - 1][1]))
                words.append(word)
        return PieceText(ids, offsets, words)
