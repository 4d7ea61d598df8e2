"""Feature extraction: a vector of each token, or one of the whole text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from ..reference.layers import Array
from ..tokenizer.rows import Row
from .calling import Task, require
from .records import Record


@dataclass(frozen=True, eq=False)
class Features(Record):
    """The vectors of a text's tokens.

    Attributes:
        tokens: as the vocabulary spells them, special tokens included.
        vectors: (T, D) float32, the last hidden states.
    """

    tokens: tuple[str, ...]
    vectors: Array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """The vectors."""
        return np.array(self.vectors, dtype, copy=copy)

    def __str__(self) -> str:
        return f"{len(self.tokens)} tokens, {self.vectors.shape[1]} numbers each"


@dataclass(frozen=True, eq=False)
class Embedding(Record):
    """The vector of a text.

    Attributes:
        vector: (D,) float32.
    """

    vector: Array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """The vector."""
        return np.array(self.vector, dtype, copy=copy)

    def __str__(self) -> str:
        shown = ", ".join(f"{number:.4f}" for number in self.vector[:4])
        return f"[{shown}, …] of {len(self.vector)}"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class FeatureExtraction(Task[Features | Embedding | Any]):
    """Vectors of a text, from any checkpoint: heads are not looked at.

    Equation: x = body(text), (T, D). Pooled x_0, the vector of <s>; or the mean over the T tokens, special ones
    included; normalised v / |v|.

    An input is a str.

    Args:
        pooling: None for a vector of each token; "first" or "mean" for one of the text.
        normalize: whether a text's vector is given the length 1, so that products are cosines.
        truncation: whether a text that is too long is cut; otherwise it is an error.
        max_length: of a row, tokens at most, special ones included; None for what the model takes.

    Source: HF `FeatureExtractionPipeline` @ 4.57.6, whose lists (T, D) are in a list of one; the mean over all
    tokens is that of Reimers and Gurevych (2019), section 3.

    Example:
        >>> embed = FeatureExtraction("austen", pooling="mean", normalize=True)
        >>> first, second = embed(["My dear Emma!", "My dear Harriet!"])
        >>> first.vector.shape, float(first.vector @ second.vector) > 0.8
        ((128,), True)
        >>> embed("My dear Emma!", pooling=None, normalize=False).tokens
        ('<s>', 'My', 'Ġdear', 'ĠEmma', '!', '</s>')
    """

    pooling: Literal["first", "mean"] | None = None
    normalize: bool = False
    truncation: bool = False
    max_length: int | None = None

    name: ClassVar[str] = "feature-extraction"
    head: ClassVar[str] = "model"
    default: ClassVar[str | None] = "austen"

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, "pooling", "None, 'first' or 'mean'", self.pooling in (None, "first", "mean"))
        required = "False where pooling=None: it is a text's vector that is given the length 1"
        require(self, "normalize", required, self.pooling is not None or not self.normalize)

    def _encode(self, items: list[Any]) -> list[list[Row]]:
        return self._rows_of(items)

    def _compute(self, rows: list[Row], places: list[int]) -> list[Any]:
        states = self._forward(rows)["last_hidden_state"]  # B T D
        return [state[: len(row)] for state, row in zip(states, rows, strict=True)]  # T D each

    def _answer(self, item: Any, rows: list[Row], said: list[Any]) -> Features | Embedding:
        states = said[0]  # T D
        if self.pooling is None:
            return Features(tuple(rows[0].tokens), states.astype(np.float32))
        vector = states[0] if self.pooling == "first" else states.mean(0)  # D
        if self.normalize:
            vector = vector / max(float(np.linalg.norm(vector)), float(np.finfo(np.float32).tiny))
        return Embedding(vector.astype(np.float32))
