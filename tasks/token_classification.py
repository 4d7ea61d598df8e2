"""Token classification: a label for each token, or for the words and names that tokens make up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, cast

import numpy as np

from ..reference.layers import Array, softmax
from ..tokenizer.rows import Row
from .calling import Task, are_texts, listed, require
from .records import Record

STRATEGIES = ("none", "simple", "first", "average", "max")


@dataclass(frozen=True)
class TokenEntity(Record):
    """A token and its label.

    Attributes:
        entity: the label.
        score: its probability.
        index: the token's place in the row, <s> being 0.
        word: the token as the vocabulary spells it.
        start: where it begins in the text, in code points.
        end: one past its last.
    """

    entity: str
    score: float
    index: int
    word: str
    start: int
    end: int

    def __str__(self) -> str:
        return f"{self.entity} {self.score:.4f} {self.word!r} ({self.start} to {self.end})"


@dataclass(frozen=True)
class EntityGroup(Record):
    """Neighbouring tokens, or words, of one label.

    Attributes:
        entity_group: the label without its "B-" or "I-".
        score: the mean of their probabilities.
        word: what the tokens spell.
        start: where they begin in the text, in code points.
        end: one past the last.
    """

    entity_group: str
    score: float
    word: str
    start: int
    end: int

    def __str__(self) -> str:
        return f"{self.entity_group} {self.score:.4f} {self.word!r} ({self.start} to {self.end})"


@dataclass(frozen=True)
class _Part:
    """A token or a word: its probabilities, or once it is judged its label and score."""

    tokens: tuple[str, ...]
    start: int
    end: int
    index: int
    probabilities: Array
    is_inner: bool = False
    label: str = ""
    score: float = 0.0


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class TokenClassification(Task[list[TokenEntity | EntityGroup | Any]]):
    """Which label each token of a text has, or each word, or each name of several words.

    Equation: p = softmax(logits) of each token, its label the largest. With an aggregation neighbours of one label are
    one entity: a label "B-X" begins a new one, "I-X" and "X" go on; its score is the mean of theirs. Words are what
    white space parts, and have one label each: "first", that of their first token; "average", the largest of their mean
    p; "max", that of the token with the largest p.

    An input is a str; with `is_split_into_words` a list of str.

    Args:
        aggregation_strategy: "none", "simple" (tokens, as they are), "first", "average" or "max".
        ignore_labels: labels that are left out, with and without "B-" and "I-".
        stride: of a long text, how many tokens two windows share; where entities of two windows overlap, the longer
            one is kept, of equals the one with the larger score. None: a text that is too long is an error.
        truncation: whether a text that is too long is cut.
        max_length: of a row, tokens at most, special ones included; None for what the model takes.
        is_split_into_words: whether an input is a list of words.
        delimiter: what joins the words to the text that `start` and `end` are of.

    Source: HF `TokenClassificationPipeline` @ 4.57.6, which cuts long texts without a word.

    Example:
        >>> import roberta
        >>> tokenizer = roberta.load_tokenizer("austen")
        >>> config = roberta.RobertaConfig(len(tokenizer), 4, 1, 2, 7, id2label={0: "O", 1: "B-NAME", 2: "I-NAME"})
        >>> tag = TokenClassification(roberta.RobertaForTokenClassification(config, backend="numpy"), tokenizer)
        >>> [record.word for record in tag("My dear Emma!", ignore_labels=())]
        ['My', 'Ġdear', 'ĠEmma', '!']
    """

    aggregation_strategy: Literal["none", "simple", "first", "average", "max"] = "none"
    ignore_labels: Sequence[str] = ("O",)
    stride: int | None = None
    truncation: bool = False
    max_length: int | None = None
    is_split_into_words: bool = False
    delimiter: str = " "

    name: ClassVar[str] = "token-classification"
    head: ClassVar[str] = "token_classification"

    def __post_init__(self) -> None:
        super().__post_init__()
        strategy, stride = self.aggregation_strategy, self.stride
        require(self, "aggregation_strategy", f"one of {', '.join(STRATEGIES)}", strategy in STRATEGIES)
        is_count = stride is None or (isinstance(stride, int) and stride >= 0)  # pyright: ignore[reportUnnecessaryIsInstance]
        require(self, "stride", "None, or an integer of at least 0", is_count)
        labels = [self.ignore_labels] if isinstance(self.ignore_labels, str) else listed(self.ignore_labels)
        object.__setattr__(self, "ignore_labels", labels)
        require(self, "ignore_labels", "texts", are_texts(labels))
        required = "None where aggregation_strategy='none': tokens of two windows would come twice"
        require(self, "stride", required, stride is None or strategy != "none")

    @property
    def takes(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """What one input is."""
        return "a list of words" if self.is_split_into_words else "a str"

    def _is_one(self, inputs: Any) -> bool:
        if not self.is_split_into_words:
            return super()._is_one(inputs)
        is_list = isinstance(inputs, list | tuple)
        return isinstance(inputs, str) or (is_list and all(isinstance(word, str) for word in cast("list[Any]", inputs)))

    def _require(self, item: Any, where: str) -> Any:
        if not self.is_split_into_words:
            return super()._require(item, where)
        words: list[Any] = list(cast("list[Any]", item)) if isinstance(item, list | tuple) else []
        if not words or not all(isinstance(word, str) for word in words):
            message = f"{self.name}: {where}: required a list of at least one word, got {item!r:.60}"
            raise TypeError(message)
        return words

    def _require_options(self) -> None:
        super()._require_options()
        required = f"less than the {self.limit - 2} tokens that a window has room for"
        require(self, "stride", required, self.stride is None or self.stride < self.limit - 2)

    def _encode(self, items: list[Any]) -> list[list[Row]]:
        how: dict[str, Any] = {"is_split_into_words": True} if self.is_split_into_words else {}
        if self.stride is None:
            return self._rows_of(items, **how)
        how |= {"return_overflowing_tokens": True, "stride": self.stride, "truncation": True, "max_length": self.limit}
        groups: list[list[Row]] = [[] for _ in items]
        for (row,) in self._rows_of(items, **how):
            groups[row.sample].append(row)
        return groups

    def _compute(self, rows: list[Row], places: list[int]) -> list[Any]:
        logits = self._forward(rows)["logits"]  # B T L
        return [of_row[: len(row)] for of_row, row in zip(logits, rows, strict=True)]  # T L each

    def _answer(self, item: Any, rows: list[Row], said: list[Any]) -> list[Any]:
        text = self.delimiter.join(item) if self.is_split_into_words else item
        found: list[Any] = []
        for row, logits in zip(rows, said, strict=True):
            parts = self._judged(self._parts(text, item, row, softmax(logits)))
            found += self._records(parts)
        return without_overlaps(found) if len(rows) > 1 else found

    # -- from tokens to entities ---------------------------------------------------------------------------------------

    def _parts(self, text: str, item: Any, row: Row, probabilities: Array) -> list[_Part]:
        """The tokens of the text, each with where it is."""
        ids, tokens, spans, is_special = row.ids, row.tokens, row.offsets, row.special_tokens_mask
        begins = word_starts(item, self.delimiter) if self.is_split_into_words else None
        parts: list[_Part] = []
        for index, (start, end) in enumerate(spans):
            if is_special[index]:
                continue
            shift = begins[row.word_ids[index] or 0] if begins is not None else 0
            start, end, word = start + shift, end + shift, tokens[index]
            is_inner = start > 0 and " " not in text[start - 1 : start + 1]
            if ids[index] == self.weights.tokenizer.unk_token_id:
                word, is_inner = text[start:end], False
            parts.append(_Part((word,), start, end, index, probabilities[index], is_inner))
        return parts

    def _judged(self, parts: list[_Part]) -> list[_Part]:
        """Labels and scores of tokens, or of words."""
        if self.aggregation_strategy in ("none", "simple"):
            return [self._labelled([part], part.probabilities) for part in parts]
        words: list[list[_Part]] = []
        for part in parts:
            if words and part.is_inner:
                words[-1].append(part)
            else:
                words.append([part])
        return [self._labelled(word, self._of_word(word)) for word in words]

    def _of_word(self, word: list[_Part]) -> Array:
        """The probabilities (L,) by which a word is judged."""
        if self.aggregation_strategy == "first":
            return word[0].probabilities
        if self.aggregation_strategy == "max":
            return max(word, key=lambda part: part.probabilities.max()).probabilities
        return np.mean([part.probabilities for part in word], axis=0)

    def _labelled(self, word: list[_Part], probabilities: Array) -> _Part:
        best = int(probabilities.argmax())
        label, score = self.weights.model.config.id2label[best], float(probabilities[best])
        tokens = tuple(token for part in word for token in part.tokens)
        return _Part(tokens, word[0].start, word[-1].end, word[0].index, probabilities, False, label, score)

    def _records(self, parts: list[_Part]) -> list[TokenEntity] | list[EntityGroup]:
        if self.aggregation_strategy == "none":
            return [
                TokenEntity(part.label, part.score, part.index, part.tokens[0], part.start, part.end)
                for part in parts
                if part.label not in self.ignore_labels
            ]
        groups: list[list[_Part]] = []
        for part in parts:
            begins, name = _tag(part.label)
            if groups and not begins and _tag(groups[-1][-1].label)[1] == name:
                groups[-1].append(part)
            else:
                groups.append([part])
        return [group for parts in groups if (group := self._group(parts)).entity_group not in self.ignore_labels]

    def _group(self, parts: list[_Part]) -> EntityGroup:
        spell = self.weights.tokenizer.convert_tokens_to_string
        tokens = [token for part in parts for token in part.tokens]
        if self.aggregation_strategy != "simple":
            tokens = [spell(list(part.tokens)) for part in parts]
        name = parts[0].label.split("-", 1)[-1]
        score = float(np.mean([part.score for part in parts]))
        return EntityGroup(name, score, spell(tokens), parts[0].start, parts[-1].end)


# -- pieces ------------------------------------------------------------------------------------------------------------


def _tag(label: str) -> tuple[bool, str]:
    """Whether a label begins an entity, and which entity it is of.

    Example:
        >>> _tag("B-NAME"), _tag("I-NAME"), _tag("NAME")
        ((True, 'NAME'), (False, 'NAME'), (False, 'NAME'))
    """
    return label.startswith("B-"), label[2:] if label.startswith(("B-", "I-")) else label


def word_starts(words: Sequence[str], delimiter: str) -> list[int]:
    """Where each word begins in the text that they are joined to.

    Example:
        >>> word_starts(["a", "cat"], " ")
        [0, 2]
    """
    lengths = [len(word) + len(delimiter) for word in words]
    return [0, *np.cumsum(lengths).tolist()][: len(words)]


def without_overlaps(entities: list[Any]) -> list[Any]:
    """Of entities that overlap, in two windows, the longer one; of equals the one with the larger score.

    Example:
        >>> both = [EntityGroup("A", 0.9, "a", 0, 1), EntityGroup("B", 0.5, "a b", 0, 3)]
        >>> [entity.entity_group for entity in without_overlaps(both)]
        ['B']
    """
    kept: list[Any] = []
    for entity in sorted(entities, key=lambda each: each.start):
        if kept and kept[-1].start <= entity.start < kept[-1].end:
            kept[-1] = max(kept[-1], entity, key=lambda each: (each.end - each.start, each.score))
        else:
            kept.append(entity)
    return kept
