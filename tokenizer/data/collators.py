"""Collators: examples become the batch that a head learns from, labels included.

One for each head. An example is a mapping, as rows of data sets are; the batch goes into the model of any engine,
``model(**collator(examples))``. Fields that a collator does not know are left out. Examples without labels give a batch
without labels. What does not count has the label -100.

========================================  ====================================  ====================================
collator                                  an example has                        the batch adds
========================================  ====================================  ====================================
`MaskedLMCollator`                        a text, or a row of ids               ``labels`` (B, T), 15 % of the tokens
`CausalLMCollator`                        a text, or a row of ids               ``labels`` (B, T), the ids
`SequenceClassificationCollator`          ``text``, ``text_pair``, ``label``    ``labels`` (B,) or (B, L)
`TokenClassificationCollator`             ``words``, ``labels``                 ``labels`` (B, T)
`questions.QuestionAnsweringCollator`     ``question``, ``context``, ``answer`` ``start_positions``, ``end_positions``
`MultipleChoiceCollator`                  ``text``, ``choices``, ``label``      ``labels`` (B,); the rest is (B, C, T)
========================================  ====================================  ====================================
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..encoding import BatchEncoding
from .corpus import as_integers, as_rows, as_texts, column, optional_column, require_room, text_column
from .masking import IGNORED, DynamicMasker, starts_by_word_ids
from .row_masking import RowMasker

__all__ = [
    "CausalLMCollator",
    "Collator",
    "MaskedLMCollator",
    "MultipleChoiceCollator",
    "SequenceClassificationCollator",
    "TokenClassificationCollator",
]

#: What is taken of a row of ids.
_ROW_FIELDS = ("input_ids", "attention_mask", "special_tokens_mask")


@dataclass(frozen=True)
class Collator(ABC):
    """What all collators have: a tokenizer, and how long rows are. Each is a ``collate_fn`` of a data loader.

    Args:
        tokenizer: a `RobertaTokenizer`, or what is called like one.
        max_length: tokens in a row at most, special tokens included; None for what the model takes.
        padding: ``"longest"`` of the batch, or ``"max_length"``, which gives every batch the same shape.
        return_tensors: whose arrays: ``"np"``, ``"pt"``, ``"tf"`` or ``"jax"``.
    """

    tokenizer: Any
    _: KW_ONLY
    max_length: int | None = None
    padding: str = "longest"
    return_tensors: str = "np"

    def __call__(self, examples: Sequence[Any]) -> Any:
        """Make a batch.

        Args:
            examples: a list of at least one; what each has, the class says.

        Returns:
            ``input_ids``, ``attention_mask`` and what the class adds. Integers are int64, floats float32.

        Raises:
            TypeError: no list, or a field of another type.
            ValueError: no examples, some with a field and others without, or values that do not fit together.
        """
        return self._collate(_listed(examples)).convert_to_tensors(self.return_tensors)

    @abstractmethod
    def _collate(self, examples: list[Any]) -> Any:
        """Make a batch of NumPy arrays."""

    def _encode(self, *texts: Any, **options: Any) -> Any:
        chosen = {"truncation": True, "padding": self.padding, "max_length": self.max_length, "verbose": False}
        return self.tokenizer(*texts, return_tensors="np", **{**chosen, **options})

    def _encode_or_pad(self, examples: list[Any]) -> Any:
        rows = [_text_or_row(example, at) for at, example in enumerate(examples)]
        return self._encode(rows) if all(isinstance(row, str) for row in rows) else self._pad(rows)

    def _pad(self, rows: list[Any]) -> Any:
        columns = {name: values for name in _ROW_FIELDS if (values := optional_column(rows, name))}
        if self.max_length is not None:
            require_room(columns["input_ids"], self.max_length)
        pad = self.tokenizer.pad_token_id  # in rows that are padded already, as `stack_rows` does
        columns.setdefault("attention_mask", [[int(i != pad) for i in row] for row in columns["input_ids"]])
        return self.tokenizer.pad(columns, padding=self.padding, max_length=self.max_length, return_tensors="np")


def _listed(examples: Any) -> list[Any]:
    rows = list(as_rows(examples, "examples", "pass one example in brackets, and columns row by row"))
    if not rows:
        raise ValueError("examples: expected at least one, got none; leave empty batches out")
    return rows


def _text_or_row(example: Any, at: int) -> str | dict[str, list[int]]:
    """Read a text, or the fields of a row of ids."""
    if isinstance(example, Mapping) and "input_ids" not in example:
        (example,) = as_texts(column([example], "text"), f"text of example {at}", "give ids as 'input_ids'")
    if isinstance(example, str):
        return example
    if not isinstance(example, Mapping):
        example = {"input_ids": example}
    remedy = "pass a text, a row of ids, or a mapping with 'text' or 'input_ids'"
    return {name: as_integers(example[name], f"example {at}", remedy) for name in _ROW_FIELDS if name in example}


# -- language models ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class MaskedLMCollator(Collator):
    """Texts, with tokens masked at random: ``labels`` (B, T).

    An example is a text, or a row of ids with its special tokens, as packing gives it; or a mapping with ``text`` or
    ``input_ids``, and, where it has them, ``attention_mask`` and ``special_tokens_mask``: what that marks is never
    masked. Where mappings have a ``row``, the number of the text in the corpus, masks depend on that, the seed and the
    epoch alone, which an example may say as ``epoch``: see `RowMasker`.

    Args:
        seed: of the masks; which is drawn when, `DynamicMasker` says, in the worker processes of a data loader too.
        probability: chance of each token to be chosen.
        whole_words: ``False``; ``"spelling"`` or ``"word_ids"``: words are masked whole, as `masking` tells them apart.
            Rows of ids have no word ids.

    Source:
        Liu et al. 2019, section 4.1.

    Example:
        >>> from roberta.tokenizer import RobertaTokenizer
        >>> tokenizer = RobertaTokenizer.train(["low lower lowest low"], vocab_size=263)
        >>> collate = MaskedLMCollator(tokenizer, probability=1.0)
        >>> collate(["low low"])["labels"].tolist() == [[-100, *tokenizer.encode("low low")[1:-1], -100]]
        True
        >>> rows = [{"input_ids": tokenizer.encode(text)} for text in ("low low", "lower")]
        >>> collate(rows, epoch=2, index=0)["labels"].shape
        (2, 5)
    """

    seed: int = 0
    probability: float = 0.15
    whole_words: bool | str = False
    _masker: DynamicMasker = field(init=False, repr=False, compare=False)
    _row_maskers: dict[int, RowMasker] = field(
        default_factory=dict[int, RowMasker], init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        if self.whole_words not in (False, "spelling", "word_ids"):
            raise ValueError(
                f"whole_words: expected False, 'spelling' or 'word_ids', got {self.whole_words!r}; pass one of these"
            )
        is_spelled = self.whole_words == "spelling"
        masker = DynamicMasker(self.tokenizer, self.seed, self.probability, whole_words=is_spelled)
        object.__setattr__(self, "_masker", masker)  # as a frozen class has to

    def __call__(self, examples: Sequence[Any], *, epoch: int | None = None, index: int | None = None) -> Any:
        """Make a batch, with ``labels``; what is not told here is as in `Collator`.

        Args:
            examples: a list of at least one.
            epoch: how often the examples were seen before, from 0; None, with ``index``: the masker counts.
            index: which batch of the epoch, from 0. The same seed, epoch and index give the same mask. With ``row`` in
                the examples it is not used.

        Raises:
            ValueError: only one of ``epoch`` and ``index``, without ``row`` in the examples.
        """
        return self._collate(_listed(examples), epoch, index).convert_to_tensors(self.return_tensors)

    def _collate(self, examples: list[Any], epoch: int | None = None, index: int | None = None) -> Any:
        batch = self._encode_or_pad(examples)
        marks = {"special_tokens_mask": batch.pop("special_tokens_mask", None)}
        if self.whole_words == "word_ids":
            marks["word_starts"] = starts_by_word_ids([batch.word_ids(row) for row in range(len(examples))])
        if (rows := _numbers_of(examples, "row")) is None:
            masked = self._masker(batch["input_ids"], epoch=epoch, index=index, **marks)
        else:
            epochs = _numbers_of(examples, "epoch")
            masked = self._row_masker()(batch["input_ids"], rows, (epoch or 0) if epochs is None else epochs, **marks)
        batch["input_ids"], batch["labels"] = masked
        return batch

    def _row_masker(self) -> RowMasker:
        """Make it once for each size of the vocabulary, which may grow."""
        size, is_spelled = len(self.tokenizer), self.whole_words == "spelling"
        if size not in self._row_maskers:
            made = RowMasker.of(self.tokenizer, self.seed, self.probability, whole_words=is_spelled)
            self._row_maskers[size] = made
        return self._row_maskers[size]


def _numbers_of(examples: list[Any], name: str) -> list[Any] | None:
    return optional_column(examples, name) if all(isinstance(example, Mapping) for example in examples) else None


@dataclass(frozen=True, kw_only=True)
class CausalLMCollator(Collator):
    """Texts that are their own labels, (B, T); the model shifts them. Padding has the label -100.

    Examples are as in `MaskedLMCollator`.

    Example:
        >>> from roberta.tokenizer import RobertaTokenizer
        >>> tokenizer = RobertaTokenizer.train(["low lower lowest low"], vocab_size=263)
        >>> CausalLMCollator(tokenizer)([[0, 5, 6, 2], [0, 5, 2]])["labels"]
        array([[   0,    5,    6,    2],
               [   0,    5,    2, -100]])
    """

    def _collate(self, examples: list[Any]) -> Any:
        batch = self._encode_or_pad(examples)
        batch.pop("special_tokens_mask", None)
        batch["labels"] = np.where(batch["attention_mask"] == 1, batch["input_ids"], IGNORED)
        return batch


# -- classification ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class SequenceClassificationCollator(Collator):
    """Texts or pairs of texts with a label each: ``labels`` (B,), int64 or float32, or (B, L), float32.

    An example has a ``text``, of pairs a ``text_pair`` too, and a ``label``: an integer or a bool for a class, a float
    for regression, a list of L numbers for several labels at once.

    Example:
        >>> from roberta.tokenizer import RobertaTokenizer
        >>> tokenizer = RobertaTokenizer.train(["low lower lowest low"], vocab_size=263)
        >>> collate = SequenceClassificationCollator(tokenizer)
        >>> collate([{"text": "low", "label": 1}])["labels"]
        array([1])
        >>> collate([{"text": "low", "label": [1, 0, 1]}])["labels"]
        array([[1., 0., 1.]], dtype=float32)
    """

    def _collate(self, examples: list[Any]) -> Any:
        names = ("text",) if optional_column(examples, "text_pair") is None else ("text", "text_pair")
        batch = self._encode(*(text_column(examples, name) for name in names))
        if (labels := optional_column(examples, "label")) is not None:
            batch["labels"] = _numbers(labels)
        return batch


def _numbers(labels: list[Any]) -> NDArray[Any]:
    arrays = [np.asarray(label) for label in labels]
    for row, array in enumerate(arrays):
        is_number = array.dtype.kind in "biuf" and not np.isnan(array).any()
        if not is_number or array.ndim > 1 or array.shape != arrays[0].shape:
            raise ValueError(
                f"label: expected a number, or as many numbers in each example, got {labels[row]!r} in example {row}; "
                "give classes their numbers, and where there are no labels leave out the field"
            )
    stacked = np.stack(arrays)  # B, or B L
    is_class = stacked.ndim == 1 and stacked.dtype.kind in "biu"
    return stacked.astype(np.int64 if is_class else np.float32)


@dataclass(frozen=True, kw_only=True)
class TokenClassificationCollator(Collator):
    """Words with a label each, which goes to the word's first token, or to all: ``labels`` (B, T).

    An example has ``words``, and ``labels``, an integer for each. Words that are cut off have no token, so no label.

    Args:
        label_all_tokens: whether a word's other tokens have its label too, and not -100.

    Source:
        Devlin et al. 2019, section 5.3: the first token of a word stands for it.

    Example:
        >>> from roberta.tokenizer import RobertaTokenizer
        >>> tokenizer = RobertaTokenizer.train([" low low lower"], vocab_size=264, add_prefix_space=True)
        >>> tokenizer.tokenize("low lowest")
        ['Ġlow', 'Ġlow', 'e', 's', 't']
        >>> examples = [{"words": ["low", "lowest"], "labels": [4, 7]}]
        >>> TokenClassificationCollator(tokenizer)(examples)["labels"]
        array([[-100,    4,    7, -100, -100, -100, -100]])
        >>> TokenClassificationCollator(tokenizer, label_all_tokens=True)(examples)["labels"]
        array([[-100,    4,    7,    7,    7,    7, -100]])
    """

    label_all_tokens: bool = False

    def _collate(self, examples: list[Any]) -> Any:
        words = _lists_of_texts(examples, "words", "split the text into words")
        batch = self._encode(words, is_split_into_words=True)
        if (labels := optional_column(examples, "labels")) is not None:
            of_words = [_word_labels(labels[row], len(words[row]), row) for row in range(len(words))]
            of_tokens = [self._token_labels(batch.word_ids(row), of_words[row]) for row in range(len(words))]
            batch["labels"] = np.array(of_tokens, dtype=np.int64)
        return batch

    def _token_labels(self, word_ids: Sequence[int | None], labels: Sequence[int]) -> list[int]:
        return [
            IGNORED if word is None or (word == before and not self.label_all_tokens) else labels[word]
            for before, word in pairwise([None, *word_ids])
        ]


def _lists_of_texts(examples: list[Any], name: str, remedy: str) -> list[list[str]]:
    return [as_texts(row, f"{name} of example {at}", remedy) for at, row in enumerate(column(examples, name))]


def _word_labels(labels: Any, count: int, row: int) -> list[int]:
    integers = as_integers(labels, f"labels of example {row}", "give classes their numbers")
    if len(integers) != count:
        raise ValueError(
            f"labels: expected one for each of {count} words, got {len(integers)} in example {row}; "
            f"give a word that does not count the label {IGNORED}"
        )
    return integers


@dataclass(frozen=True, kw_only=True)
class MultipleChoiceCollator(Collator):
    """A text, and choices that may follow it, rows ``<s> text </s> </s> choice </s>``: ``labels`` (B,).

    An example has a ``text``, ``choices``, as many in each, and a ``label``, the place of the right choice. The batch
    has three axes, (B, C, T).

    Source:
        Liu et al. 2019, section 5 (RACE): each candidate is encoded with its question and passage.

    Example:
        >>> from roberta.tokenizer import RobertaTokenizer
        >>> tokenizer = RobertaTokenizer.train(["low lower lowest low"], vocab_size=263)
        >>> batch = MultipleChoiceCollator(tokenizer)([{"text": "low", "choices": ["er", "est"], "label": 0}])
        >>> batch["input_ids"].shape, batch["labels"]
        ((1, 2, 8), array([0]))
    """

    def _collate(self, examples: list[Any]) -> Any:
        texts = text_column(examples, "text")
        choices = _lists_of_texts(examples, "choices", "pass a list of str")
        counts = sorted({len(row) for row in choices})
        if len(counts) != 1 or counts[0] == 0:
            raise ValueError(
                f"choices: expected as many in each example, and at least 1, got {counts}; split the batch by their "
                "number, or fill up with empty choices"
            )
        firsts = [text for text, row in zip(texts, choices, strict=True) for _ in row]
        flat = self._encode(firsts, [choice for row in choices for choice in row])
        batch = BatchEncoding({name: value.reshape(len(texts), counts[0], -1) for name, value in flat.items()})  # B C T
        if (labels := optional_column(examples, "label")) is not None:
            batch["labels"] = _places(labels, counts[0])
        return batch


def _places(labels: list[Any], count: int) -> NDArray[np.int64]:
    places = np.array(as_integers(labels, "label", "give the place of the right choice"), dtype=np.int64)  # B
    is_place = (places >= 0) & (places < count) | (places == IGNORED)
    if not is_place.all():
        raise ValueError(
            f"label: expected 0 to {count - 1}, as there are {count} choices, got {places[~is_place][0]}; give the "
            f"place of the right choice, or {IGNORED} where there is none"
        )
    return places
