"""Text classification: a label for a text or a pair of texts, a number, or several labels at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, cast

import numpy as np

from ..reference.layers import Array, softmax
from ..tokenizer.rows import Row
from .calling import Task, is_count, require, text_of
from .records import Record


def logistic(x: Array) -> Array:
    """1 / (1 + exp(-x)), to the last digits for every x.

    Example:
        >>> logistic(np.array([-1000.0, 0.0]))
        array([0. , 0.5])
    """
    return np.exp(-np.logaddexp(0.0, -x))


#: What makes scores of logits (L,).
FUNCTIONS: Mapping[str, Callable[[Array], Array]] = {"softmax": softmax, "sigmoid": logistic, "none": np.asarray}


@dataclass(frozen=True)
class Classification(Record):
    """A label and its score.

    Attributes:
        label: as the checkpoint's config calls it.
        score: a probability, in [0, 1]; of a regression the number itself.
    """

    label: str
    score: float

    def __str__(self) -> str:
        return f"{self.label} {self.score:.4f}"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class TextClassification(Task[Classification | Any]):
    """Which label fits a text, or a pair of texts.

    Equation: softmax(logits) over the L labels; of several labels at once, and of a single one, the logistic function
    of each logit; of a regression the logits themselves.

    An input is a str, or a mapping with `text` and, of pairs, `text_pair`.

    Args:
        top_k: 1 for the best label, a record; more, or None for all: a list of records, the best first.
        function_to_apply: "softmax", "sigmoid" or "none", in place of what the config's `problem_type` says.
        truncation: whether a text that is too long is cut; otherwise it is an error.
        max_length: of a row, tokens at most, special ones included; None for what the model takes.

    Source: HF `TextClassificationPipeline` @ 4.57.6, which computes the scores in float32.

    Example:
        >>> import roberta
        >>> tokenizer = roberta.load_tokenizer("austen")
        >>> config = roberta.RobertaConfig(len(tokenizer), 4, 1, 2, 7, id2label={0: "novel", 1: "letter"})
        >>> model = roberta.RobertaForSequenceClassification(config, backend="numpy")
        >>> classify = TextClassification(model, tokenizer)
        >>> classify("My dear Emma!").label in ("novel", "letter")
        True
        >>> sorted(record.label for record in classify(["My dear Emma!"], top_k=None)[0])
        ['letter', 'novel']
    """

    top_k: int | None = 1
    function_to_apply: Literal["softmax", "sigmoid", "none"] | None = None
    truncation: bool = False
    max_length: int | None = None

    name: ClassVar[str] = "text-classification"
    head: ClassVar[str] = "sequence_classification"
    takes: ClassVar[str] = "a str, or a mapping with 'text' and 'text_pair'"

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, "top_k", "an integer of at least 1, or None for all", self.top_k is None or is_count(self.top_k))
        required = f"None, or one of {', '.join(FUNCTIONS)}"
        require(self, "function_to_apply", required, self.function_to_apply in (None, *FUNCTIONS))

    def _require(self, item: Any, where: str) -> tuple[str, str | None]:
        if isinstance(item, Mapping):
            given = cast("Mapping[Any, Any]", item)
            pair = text_of(self, given, "text_pair", where) if given.get("text_pair") is not None else None
            return text_of(self, given, "text", where), pair
        return super()._require(item, where), None

    def _encode(self, items: list[Any]) -> list[list[Row]]:
        pairs = [pair for _, pair in items]
        if all(pair is None for pair in pairs):
            return self._rows_of([text for text, _ in items])
        if None not in pairs:
            return self._rows_of([text for text, _ in items], pairs)
        return [rows for item in items for rows in self._rows_of(*([part] for part in item if part is not None))]

    def _compute(self, rows: list[Row], places: list[int]) -> list[Any]:
        return list(self._forward(rows)["logits"])  # B L

    def _answer(self, item: Any, rows: list[Row], said: list[Any]) -> Classification | list[Classification]:
        config = self.weights.model.config
        scores = FUNCTIONS[self.function_to_apply or function_of(config)](said[0])  # L
        order = np.argsort(-scores, kind="stable")[: self.top_k]
        found = [Classification(config.id2label[int(at)], float(scores[at])) for at in order]
        return found[0] if self.top_k == 1 else found


def function_of(config: Any) -> str:
    """What makes scores of a checkpoint's logits, by its `problem_type` and how many labels it has."""
    if config.problem_type == "regression":
        return "none"
    is_several = config.problem_type == "multi_label_classification" or config.num_labels == 1
    return "sigmoid" if is_several else "softmax"
