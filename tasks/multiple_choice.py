"""Multiple choice: which of several texts goes with a text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np

from ..reference.layers import softmax
from ..tokenizer.rows import Row
from .calling import Task, are_texts, listed, padded, text_of, wrong
from .records import Record


@dataclass(frozen=True)
class Choice(Record):
    """The choice that fits best.

    Attributes:
        choice: its text.
        index: its place among the choices, from 0.
        score: its probability.
        scores: those of all choices, in their order; they sum to 1.
    """

    choice: str
    index: int
    score: float
    scores: tuple[float, ...]

    def __str__(self) -> str:
        return f"{self.choice} {self.score:.4f}"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class MultipleChoice(Task[Choice]):
    """Which of several choices goes with a text.

    Equation: softmax over the C choices of the logit of each pair (text, choice).

    An input is a mapping with `text` and `choices`, a list of at least one text. Inputs may have different numbers of
    choices.

    Args:
        truncation: whether a pair that is too long is cut; otherwise it is an error.
        max_length: of a row, tokens at most, special ones included; None for what the model takes.

    Source: the pairs are those of HF's documentation of `RobertaForMultipleChoice`; transformers has no such pipeline.

    Example:
        >>> import roberta
        >>> tokenizer = roberta.load_tokenizer("austen")
        >>> model = roberta.RobertaForMultipleChoice(roberta.RobertaConfig(len(tokenizer), 4, 1, 2, 7), backend="numpy")
        >>> found = MultipleChoice(model, tokenizer)({"text": "She was", "choices": [" glad.", " of."]})
        >>> found.choice == (" glad.", " of.")[found.index], round(sum(found.scores), 6)
        (True, 1.0)
    """

    truncation: bool = False
    max_length: int | None = None

    name: ClassVar[str] = "multiple-choice"
    head: ClassVar[str] = "multiple_choice"
    takes: ClassVar[str] = "a mapping with 'text', a str, and 'choices', a list of str"

    def _require(self, item: Any, where: str) -> tuple[str, list[str]]:
        if not isinstance(item, Mapping):
            raise wrong(self, where, item)
        given = cast("Mapping[Any, Any]", item)
        text, choices = text_of(self, given, "text", where), given.get("choices")
        choices = choices if isinstance(choices, str) else listed(choices)
        if not choices or not are_texts(choices):
            message = f"{self.name}: {where}: required 'choices', a list of at least one str, got {choices!r:.60}"
            raise TypeError(message)
        return text, list(cast("list[str]", choices))

    def _encode(self, items: list[Any]) -> list[list[Row]]:
        texts = [text for text, choices in items for _ in choices]
        rows = iter(self._rows_of(texts, [choice for _, choices in items for choice in choices]))
        return [[next(rows)[0] for _ in choices] for _, choices in items]

    def _compute(self, rows: list[Row], places: list[int]) -> list[Any]:
        # each pair as a question of one choice: the head computes a logit of each, whatever the others are
        ids, mask = padded([row.ids for row in rows], self.weights.tokenizer.pad_token_id)  # B T
        said = self._asked({"input_ids": ids[:, None], "attention_mask": mask[:, None]})
        return list(said["logits"][:, 0])  # B

    def _answer(self, item: Any, rows: list[Row], said: list[Any]) -> Choice:
        scores = softmax(np.array(said))  # C
        best = int(scores.argmax())
        return Choice(item[1][best], best, float(scores[best]), tuple(scores.tolist()))
