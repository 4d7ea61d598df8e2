"""Collators: examples become the batch that a head learns from, labels included.

One for each head. An example is a mapping, as rows of data sets are; the batch is what the tokenizer returns, NumPy
arrays that go into the model of any engine: ``model(**collator(examples))``. Examples without labels give a batch
without labels. What does not count has the label -100.

========================================  ====================================  ====================================
collator                                  an example has                        the batch adds
========================================  ====================================  ====================================
`MaskedLMCollator`                        a text, or a row of ids               ``labels`` (B, T), 15 % of the tokens
`CausalLMCollator`                        a text, or a row of ids               ``labels`` (B, T), the ids
`SequenceClassificationCollator`          ``text``, ``text_pair``, ``label``    ``labels`` (B,) or (B, L)
`TokenClassificationCollator`             ``words``, ``labels``                 ``labels`` (B, T)
``questions.QuestionAnsweringCollator``   ``question``, ``context``, ``answer`` ``start_positions``, ``end_positions``
`MultipleChoiceCollator`                  ``text``, ``choices``, ``label``      ``labels`` (B,); the rest is (B, C, T)
========================================  ====================================  ====================================
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .encoding import BatchEncoding
from .masking import IGNORED, DynamicMasker, starts_by_word_ids

__all__ = [
    "CausalLMCollator",
    "Collator",
    "MaskedLMCollator",
    "MultipleChoiceCollator",
    "SequenceClassificationCollator",
    "TokenClassificationCollator",
]

Example = Mapping[str, Any]
Ids = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Collator:
    """What all collators have: a tokenizer, and how long rows are.

    Args:
        tokenizer: a `RobertaTokenizer`, or what is called like one.
        max_length: tokens in a row at most, special tokens included; None for what the model takes.
        padding: ``"longest"`` of the batch, or ``"max_length"``, which gives every batch the same shape.
    """

    tokenizer: Any
    max_length: int | None = None
    padding: str = "longest"

    def _encode(self, *texts: Any, **options: Any) -> Any:
        chosen = {"truncation": True, "padding": self.padding, "max_length": self.max_length, "verbose": False}
        return self.tokenizer(*texts, return_tensors="np", **{**chosen, **options})

    def _rows(self, texts_or_rows: Sequence[Any], **options: Any) -> Any:
        """Encode texts, or pad rows that are encoded already."""
        if all(isinstance(text, str) for text in texts_or_rows):
            return self._encode(list(texts_or_rows), **options)
        longest = max(map(len, texts_or_rows))
        if self.max_length is not None and longest > self.max_length:
            raise ValueError(
                f"rows: expected at most max_length = {self.max_length} ids, got {longest}; pack and collate with the "
                "same max_length"
            )
        rows = [{"input_ids": list(row)} for row in texts_or_rows]
        return self.tokenizer.pad(rows, padding=self.padding, max_length=self.max_length, return_tensors="np")


# -- language models ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class MaskedLMCollator(Collator):
    """Texts, with tokens masked at random.

    Args:
        tokenizer: a `RobertaTokenizer`, or what is called like one.
        max_length: tokens in a row at most, special tokens included; None for what the model takes.
        padding: ``"longest"`` of the batch, or ``"max_length"``, which gives every batch the same shape.
        seed: of the masks; see `DynamicMasker`.
        probability: chance of each token to be chosen.
        whole_words: ``False``; ``"spelling"`` or ``"word_ids"``: words are masked whole, as `masking` tells them apart.
            Rows of ids have no word ids.

    Source:
        Liu et al. 2019, section 4.1.

    Example:
        >>> from roberta.tokenizer import RobertaTokenizer
        >>> tokenizer = RobertaTokenizer.train(["low lower lowest low"], vocab_size=263)
        >>> batch = MaskedLMCollator(tokenizer=tokenizer, seed=0, probability=1.0)(["low low"], epoch=0, index=0)
        >>> batch["labels"].tolist() == [[-100, *tokenizer.encode("low low")[1:-1], -100]]
        True
    """

    seed: int
    probability: float = 0.15
    whole_words: bool | str = False

    def __post_init__(self) -> None:
        if self.whole_words not in {False, "spelling", "word_ids"}:
            raise ValueError(
                f"whole_words: expected False, 'spelling' or 'word_ids', got {self.whole_words!r}; pass one of these"
            )
        is_spelled = self.whole_words == "spelling"
        masker = DynamicMasker(self.tokenizer, self.seed, self.probability, whole_words=is_spelled)
        object.__setattr__(self, "_masker", masker)  # the tokenizer's spelling is read once, not with every batch

    def __call__(self, examples: Sequence[str] | Sequence[Sequence[int]], *, epoch: int, index: int) -> Any:
        """Make a batch.

        Args:
            examples: texts, or rows of ids with their special tokens, as packing gives them.
            epoch: how often the examples were seen before, from 0.
            index: which batch of the epoch, from 0. The same seed, epoch and index give the same mask.

        Returns:
            ``input_ids``, ``attention_mask``, ``labels``: int64, (B, T).
        """
        batch = self._rows(examples)
        starts = None
        if self.whole_words == "word_ids":
            starts = starts_by_word_ids([batch.word_ids(row) for row in range(len(examples))])
        masker: DynamicMasker = self._masker  # pyright: ignore[reportAttributeAccessIssue]
        masked, labels = masker(batch["input_ids"], epoch=epoch, index=index, word_starts=starts)
        batch.update(input_ids=masked, labels=labels)
        return batch


@dataclass(frozen=True, kw_only=True)
class CausalLMCollator(Collator):
    """Texts that are their own labels; the model shifts them.

    Args:
        tokenizer: a `RobertaTokenizer`, or what is called like one.
        max_length: tokens in a row at most, special tokens included; None for what the model takes.
        padding: ``"longest"`` of the batch, or ``"max_length"``, which gives every batch the same shape.

    Example:
        >>> from roberta.tokenizer import RobertaTokenizer
        >>> tokenizer = RobertaTokenizer.train(["low lower lowest low"], vocab_size=263)
        >>> CausalLMCollator(tokenizer=tokenizer)([[0, 5, 6, 2], [0, 5, 2]])["labels"]
        array([[   0,    5,    6,    2],
               [   0,    5,    2, -100]])
    """

    def __call__(self, examples: Sequence[str] | Sequence[Sequence[int]]) -> Any:
        """Make a batch.

        Args:
            examples: texts, or rows of ids with their special tokens, as packing gives them.

        Returns:
            ``input_ids``, ``attention_mask``, ``labels``: int64, (B, T). Padding has the label -100.
        """
        batch = self._rows(examples)
        batch["labels"] = np.where(batch["attention_mask"] == 1, batch["input_ids"], IGNORED)
        return batch


# -- classification ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class SequenceClassificationCollator(Collator):
    """Texts or pairs of texts with a label each.

    Args:
        tokenizer: a `RobertaTokenizer`, or what is called like one.
        max_length: tokens in a row at most, special tokens included; None for what the model takes.
        padding: ``"longest"`` of the batch, or ``"max_length"``, which gives every batch the same shape.

    Example:
        >>> from roberta.tokenizer import RobertaTokenizer
        >>> tokenizer = RobertaTokenizer.train(["low lower lowest low"], vocab_size=263)
        >>> batch = SequenceClassificationCollator(tokenizer=tokenizer)([{"text": "low", "label": 1}])
        >>> batch["labels"]
        array([1])
    """

    def __call__(self, examples: Sequence[Example]) -> Any:
        """Make a batch.

        Args:
            examples: mappings with ``text``, where they are pairs ``text_pair``, and where they have one ``label``: an
                integer for a class, a float for regression, a list of L floats for several labels at once.

        Returns:
            ``input_ids``, ``attention_mask``: int64, (B, T); ``labels`` (B,), int64 or float32, or (B, L), float32.

        Raises:
            ValueError: some examples have a field and others do not.
        """
        texts = [column(examples, "text")]
        pairs = optional_column(examples, "text_pair")
        batch = self._encode(*texts, *([pairs] if pairs else []))
        return _with_labels(batch, optional_column(examples, "label"))


@dataclass(frozen=True, kw_only=True)
class TokenClassificationCollator(Collator):
    """Words with a label each: the label goes to the word's first token, or to all.

    Args:
        tokenizer: a `RobertaTokenizer` with ``add_prefix_space=True``, or what is called like one.
        max_length: tokens in a row at most, special tokens included; None for what the model takes.
        padding: ``"longest"`` of the batch, or ``"max_length"``, which gives every batch the same shape.
        label_all_tokens: whether a word's other tokens have its label too, and not -100.

    Source:
        Devlin et al. 2019, section 5.3: the first token of a word stands for it.

    Example:
        >>> from roberta.tokenizer import RobertaTokenizer
        >>> tokenizer = RobertaTokenizer.train([" low low lower"], vocab_size=264, add_prefix_space=True)
        >>> tokenizer.tokenize("low lowest")
        ['Ġlow', 'Ġlow', 'e', 's', 't']
        >>> examples = [{"words": ["low", "lowest"], "labels": [4, 7]}]
        >>> TokenClassificationCollator(tokenizer=tokenizer)(examples)["labels"]
        array([[-100,    4,    7, -100, -100, -100, -100]])
        >>> TokenClassificationCollator(tokenizer=tokenizer, label_all_tokens=True)(examples)["labels"]
        array([[-100,    4,    7,    7,    7,    7, -100]])
    """

    label_all_tokens: bool = False

    def __call__(self, examples: Sequence[Example]) -> Any:
        """Make a batch.

        Args:
            examples: mappings with ``words``, and where they have them ``labels``, an integer for each word.

        Returns:
            ``input_ids``, ``attention_mask``, ``labels``: int64, (B, T). Words that are cut off have no token,
            and so no label.

        Raises:
            ValueError: words and labels of different number.
        """
        words = column(examples, "words")
        batch = self._encode([list(row) for row in words], is_split_into_words=True)
        labels = optional_column(examples, "labels")
        if labels:
            _require_as_many(words, labels)
            rows = [self._labels(batch.word_ids(row), labels[row]) for row in range(len(labels))]
            batch["labels"] = np.array(rows, dtype=np.int64)
        return batch

    def _labels(self, word_ids: Sequence[int | None], labels: Sequence[int]) -> list[int]:
        return [
            IGNORED if word is None or (word == before and not self.label_all_tokens) else int(labels[word])
            for before, word in pairwise([None, *word_ids])
        ]


def _require_as_many(words: Sequence[Sequence[str]], labels: Sequence[Sequence[int]]) -> None:
    for row, (some, others) in enumerate(zip(words, labels, strict=True)):
        if len(some) != len(others):
            raise ValueError(
                f"labels: expected one for each of {len(some)} words, got {len(others)} in example {row}; "
                f"give a word that does not count the label {IGNORED}"
            )


@dataclass(frozen=True, kw_only=True)
class MultipleChoiceCollator(Collator):
    """A text, and choices that may follow it: rows ``<s> text </s> </s> choice </s>``.

    Args:
        tokenizer: a `RobertaTokenizer`, or what is called like one.
        max_length: tokens in a row at most, special tokens included; None for what the model takes.
        padding: ``"longest"`` of the batch, or ``"max_length"``, which gives every batch the same shape.

    Source:
        Liu et al. 2019, section 5 (RACE): each candidate is encoded with its question and passage.

    Example:
        >>> from roberta.tokenizer import RobertaTokenizer
        >>> tokenizer = RobertaTokenizer.train(["low lower lowest low"], vocab_size=263)
        >>> batch = MultipleChoiceCollator(tokenizer=tokenizer)([{"text": "low", "choices": ["er", "est"], "label": 0}])
        >>> batch["input_ids"].shape, batch["labels"]
        ((1, 2, 8), array([0]))
    """

    def __call__(self, examples: Sequence[Example]) -> Any:
        """Make a batch.

        Args:
            examples: mappings with ``text``, ``choices``, as many in each example, and where they have one
                ``label``, the index of the right choice.

        Returns:
            ``input_ids``, ``attention_mask``: int64, (B, C, T); ``labels``: int64, (B,).

        Raises:
            ValueError: examples with different numbers of choices.
        """
        texts, choices = column(examples, "text"), column(examples, "choices")
        counts = sorted({len(row) for row in choices})
        if len(counts) != 1 or counts[0] == 0:
            raise ValueError(
                f"choices: expected as many in each example, and at least 1, got {counts}; split the batch by their "
                "number, or fill up with empty choices"
            )
        firsts = [text for text, row in zip(texts, choices, strict=True) for _ in row]
        flat = self._encode(firsts, [choice for row in choices for choice in row])
        fields = {name: value.reshape(len(texts), counts[0], -1) for name, value in flat.items()}  # B C T
        return _with_labels(BatchEncoding(fields), optional_column(examples, "label"))


# -- columns -----------------------------------------------------------------------------------------------------------


def column(examples: Sequence[Example], name: str) -> list[Any]:
    """Take a field of all examples.

    Args:
        examples: mappings.
        name: the field.

    Returns:
        Its values.

    Raises:
        ValueError: no examples, or one without the field.
    """
    values = optional_column(examples, name)
    if values is None:
        raise ValueError(
            f"examples: expected at least one, each a mapping with {name!r}, got "
            f"{list(examples[0]) if examples else 'none'}; rename the field"
        )
    return values


def optional_column(examples: Sequence[Example], name: str) -> list[Any] | None:
    """Take a field that all examples have, or none.

    Args:
        examples: mappings.
        name: the field.

    Returns:
        Its values, or None.

    Raises:
        ValueError: some have it and others do not.
    """
    values = [example[name] for example in examples if name in example]
    if 0 < len(values) < len(examples):
        raise ValueError(
            f"examples: expected {name!r} in all {len(examples)} or in none, got it in {len(values)}; split the batch"
        )
    return values or None


def _with_labels(batch: Any, labels: list[Any] | None) -> Any:
    if labels is not None:
        array = np.asarray(labels)
        batch["labels"] = array.astype(np.int64 if np.issubdtype(array.dtype, np.integer) else np.float32)
    return batch
