"""Zero-shot classification: labels that the model was never trained on, asked as hypotheses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast, overload

import numpy as np

from ..reference.layers import softmax
from ..tokenizer.rows import Row
from .calling import Task, are_texts, listed, require
from .records import Record


@dataclass(frozen=True)
class ZeroShot(Record):
    """A text, and how well each label fits it.

    Attributes:
        sequence: the text.
        labels: the best first.
        scores: their probabilities.
    """

    sequence: str
    labels: tuple[str, ...]
    scores: tuple[float, ...]

    def __str__(self) -> str:
        return ", ".join(f"{label} {score:.4f}" for label, score in zip(self.labels, self.scores, strict=True))


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ZeroShotClassification(Task[ZeroShot]):
    """Which of any labels fits a text, by a model of natural-language inference.

    Equation: each label becomes the hypothesis of a pair, the text is its premise, and e is the logit of "entailment".
    softmax(e) over the labels; with `multi_label`, or one label, softmax of (contradiction, e), label by label.

    An input is a str.

    Args:
        candidate_labels: texts; or one text with commas in it.
        hypothesis_template: a text with {} where the label goes.
        multi_label: whether several labels may fit.
        truncation: whether a text that is too long is cut (a hypothesis never is); otherwise it is an error.
        max_length: of a row, tokens at most, special ones included; None for what the model takes.

    Raises:
        ValueError: the checkpoint has no label that begins with "entail", so it is no model of inference.

    Source: HF `ZeroShotClassificationPipeline` @ 4.57.6, which cuts long texts without a word, and takes the last label
    where none is called entailment.

    Example:
        >>> import roberta
        >>> tokenizer = roberta.load_tokenizer("austen")
        >>> names = {0: "contradiction", 1: "neutral", 2: "entailment"}
        >>> config = roberta.RobertaConfig(len(tokenizer), 4, 1, 2, 7, id2label=names)
        >>> model = roberta.RobertaForSequenceClassification(config, backend="numpy")
        >>> found = ZeroShotClassification(model, tokenizer)("My dear Emma!", candidate_labels="novel, letter")
        >>> sorted(found.labels), round(sum(found.scores), 6)
        (['letter', 'novel'], 1.0)
    """

    candidate_labels: str | Sequence[str] = ()
    hypothesis_template: str = "This example is {}."
    multi_label: bool = False
    truncation: bool = False
    max_length: int | None = None

    name: ClassVar[str] = "zero-shot-classification"
    head: ClassVar[str] = "sequence_classification"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.candidate_labels, str):
            object.__setattr__(self, "candidate_labels", listed(self.candidate_labels))
        is_right = isinstance(self.candidate_labels, str) or are_texts(self.candidate_labels)
        require(self, "candidate_labels", "texts, or one text with commas", is_right)
        template = self.hypothesis_template
        is_open = isinstance(template, str) and template.count("{}") == 1  # pyright: ignore[reportUnnecessaryIsInstance]
        require(self, "hypothesis_template", "a text with {} once, where the label goes", is_open)

    @overload
    def __call__(self, inputs: str | Mapping[str, Any], candidate_labels: Any = None, **options: Any) -> ZeroShot: ...

    @overload
    def __call__(
        self, inputs: list[Any] | tuple[Any, ...], candidate_labels: Any = None, **options: Any
    ) -> list[ZeroShot]: ...

    @overload
    def __call__(self, inputs: Iterable[Any], candidate_labels: Any = None, **options: Any) -> Any: ...

    def __call__(self, inputs: Any, candidate_labels: Any = None, **options: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Answer.

        Args:
            inputs: a text, a list of them, or a stream.
            candidate_labels: as the class's; None for those that it has.
            **options: of the class, for this call only.

        Returns:
            As of all tasks: one answer, a list, or an iterator.
        """
        if candidate_labels is not None:
            options["candidate_labels"] = candidate_labels
        return cast("Any", super().__call__(inputs, **options))

    @property
    def labels(self) -> list[str]:
        """The labels, one by one."""
        given = self.candidate_labels
        parts = given.split(",") if isinstance(given, str) else given
        return [stripped for part in parts if (stripped := part.strip() if isinstance(given, str) else part)]

    def _require_options(self) -> None:
        super()._require_options()
        _ = self._entailment()
        require(self, "candidate_labels", "at least one text", bool(self.labels))

    def _encode(self, items: list[Any]) -> list[list[Row]]:
        hypotheses = [self.hypothesis_template.replace("{}", label) for label in self.labels]
        texts = [item for item in items for _ in hypotheses]
        how = {"truncation": "only_first"} if self.truncation else {}
        rows = [row for (row,) in self._rows_of(texts, hypotheses * len(items), **how)]
        count = len(hypotheses)
        return [rows[begin : begin + count] for begin in range(0, len(rows), count)]

    def _compute(self, rows: list[Row], places: list[int]) -> list[Any]:
        return list(self._forward(rows)["logits"])  # B L

    def _answer(self, item: Any, rows: list[Row], said: list[Any]) -> ZeroShot:
        logits = np.stack(said)  # C L, C candidates
        entailment = self._entailment()
        if self.multi_label or len(logits) == 1:
            contradiction = logits.shape[1] - 1 if entailment == 0 else 0
            scores = softmax(logits[:, [contradiction, entailment]])[:, 1]  # C
        else:
            scores = softmax(logits[:, entailment])  # C
        order = np.argsort(-scores, kind="stable")
        return ZeroShot(item, tuple(self.labels[int(at)] for at in order), tuple(scores[order].tolist()))

    def _entailment(self) -> int:
        """Which of the model's labels says that the hypothesis follows."""
        names = self.weights.model.config.id2label
        for index, label in names.items():
            if label.lower().startswith("entail"):
                return index
        message = (
            f"{self.name}: required a model of natural-language inference, with a label that begins with 'entail', got "
            f"the labels {list(names.values())}; name such a checkpoint, or set id2label in its config.json"
        )
        raise ValueError(message)
