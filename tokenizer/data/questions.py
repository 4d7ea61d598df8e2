"""Question answering: an answer in characters becomes places of tokens, and scores of places become an answer.

A long context comes in windows that overlap. The answer lies in those windows that hold it whole; in the others the
place of ``<s>``, 0, stands for "not here", as in transformers' scripts for SQuAD.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..encoding import CharSpan, TokenSpan
from .collators import Collator
from .corpus import Example, as_integers, as_texts, column, optional_column, text_column

__all__ = [
    "NOT_HERE",
    "Answer",
    "QuestionAnsweringCollator",
    "Window",
    "best_answer",
    "chars_to_tokens",
    "tokens_to_chars",
]

NOT_HERE = 0
"""The place of ``<s>``: what a window without the answer points to."""

Offsets = Sequence[tuple[int, int]]


# -- characters and tokens ---------------------------------------------------------------------------------------------


def chars_to_tokens(
    offsets: Offsets, sequence_ids: Sequence[int | None], chars: tuple[int, int], sequence_index: int = 1
) -> TokenSpan | None:
    """Find the tokens of a span of characters in one window.

    Args:
        offsets: (T,) each token's (start, end) in its text.
        sequence_ids: (T,) which text each token is of; None for special tokens and padding.
        chars: (start, end) in the text, Unicode code points, end-exclusive; not empty, no white space at its ends.
        sequence_index: which text the span is in: 1 for the context behind a question.

    Returns:
        Places in the row, end-exclusive: the tokens that have a character of the span. None where the window does not
        hold the whole span.

    Example:
        >>> offsets = [(0, 0), (0, 3), (4, 7), (8, 10), (0, 0)]  # "the cat sat"; "sat" is two tokens, one cut off
        >>> chars_to_tokens(offsets, [None, 1, 1, 1, None], (0, 6))
        TokenSpan(start=1, end=3)
        >>> chars_to_tokens(offsets, [None, 1, 1, 1, None], (4, 11)) is None
        True
    """
    inside = [at for at, sequence in enumerate(sequence_ids) if sequence == sequence_index]
    start, end = chars
    if not inside or offsets[inside[0]][0] > start or offsets[inside[-1]][1] < end:
        return None
    touched = [at for at in inside if offsets[at][0] < end and offsets[at][1] > start]
    return TokenSpan(touched[0], touched[-1] + 1) if touched else None


def tokens_to_chars(offsets: Offsets, tokens: tuple[int, int]) -> CharSpan:
    """Find the characters of a span of tokens.

    Args:
        offsets: (T,) each token's (start, end) in its text.
        tokens: places, end-exclusive, all of one text.

    Returns:
        (start, end) in that text, Unicode code points, end-exclusive.

    Example:
        >>> tokens_to_chars([(0, 0), (0, 3), (4, 7), (0, 0)], (1, 3))
        CharSpan(start=0, end=7)
    """
    first, end = tokens
    return CharSpan(offsets[first][0], offsets[end - 1][1])


# -- the best answer ---------------------------------------------------------------------------------------------------


class Answer(NamedTuple):
    """An answer that was found.

    Args:
        text: as it stands in the context; empty where the answer is that there is none.
        start: its first code point in the context.
        end: one past its last.
        score: logit of its start plus logit of its end.
    """

    text: str
    start: int
    end: int
    score: float


class Window(NamedTuple):
    """What the model says about one window.

    Args:
        start_logits: (T,).
        end_logits: (T,).
        offsets: (T,) each token's (start, end) in its text.
        sequence_ids: (T,) which text each token is of; None for special tokens and padding.
    """

    start_logits: ArrayLike
    end_logits: ArrayLike
    offsets: Offsets
    sequence_ids: Sequence[int | None]


def best_answer(
    context: str, windows: Sequence[Window], *, max_tokens: int = 30, allows_none: bool = False, sequence_index: int = 1
) -> Answer:
    """Choose the best span of a context from the scores of its windows.

    Equation: the largest start_logits[s] + end_logits[e] over all windows and all s <= e < s + max_tokens in the
    context. With ``allows_none``: no answer, where the smallest start_logits[0] + end_logits[0] of a window is larger.

    Args:
        context: the text that the answer is a part of.
        windows: at least one.
        max_tokens: tokens in an answer at most, at least 1.
        allows_none: whether "there is none" is an answer.
        sequence_index: which text the context is: 1 behind a question.

    Returns:
        The answer: ``Answer("", 0, 0, score)`` where there is none, and where no window has a token of the context.

    Raises:
        ValueError: no windows, ``max_tokens`` below 1, or logits that are NaN, infinite, or of another length.

    Source:
        Devlin et al. 2019, sections 4.2 and 4.3 (SQuAD 1.1 and 2.0).

    Example:
        >>> offsets, ids = [(0, 0), (0, 3), (4, 7), (8, 11), (0, 0)], [None, 1, 1, 1, None]
        >>> best_answer("the cat sat", [Window([9, 0, 5, 1, 0], [9, 4, 0, 3, 0], offsets, ids)])
        Answer(text='cat sat', start=4, end=11, score=8.0)
        >>> best_answer("the cat sat", [Window([9, 0, 5, 1, 0], [9, 4, 0, 3, 0], offsets, ids)], allows_none=True)
        Answer(text='', start=0, end=0, score=18.0)
    """
    if not windows or max_tokens < 1:
        raise ValueError(
            f"windows, max_tokens: expected at least 1 of each, got {len(windows)} and {max_tokens}; pass the windows "
            "of one context"
        )
    for window in windows:
        _require_numbers(window)
    best = max((_best_of(context, window, max_tokens, sequence_index) for window in windows), key=lambda a: a.score)
    none = min(float(np.asarray(w.start_logits)[NOT_HERE] + np.asarray(w.end_logits)[NOT_HERE]) for w in windows)
    return Answer("", 0, 0, none) if allows_none and none > best.score else best


def _require_numbers(window: Window) -> None:
    T = len(window.offsets)
    for name, logits in (("start_logits", window.start_logits), ("end_logits", window.end_logits)):
        array = np.asarray(logits, np.float64)
        if array.shape != (T,) or not (array < np.inf).all():
            raise ValueError(
                f"{name}: expected (T,) = ({T},) numbers below infinity, got {array.shape} with "
                f"{np.isnan(array).sum()} NaN and {np.isposinf(array).sum()} infinite; pass what the model says of "
                "this window"
            )


def _best_of(context: str, window: Window, max_tokens: int, sequence_index: int) -> Answer:
    inside = np.array([sequence == sequence_index for sequence in window.sequence_ids], dtype=np.bool_)  # T
    start, end = (np.where(inside, np.asarray(part, np.float64), -np.inf) for part in window[:2])  # T
    T = len(inside)
    is_span = np.tri(T, k=max_tokens - 1, dtype=np.bool_) & ~np.tri(T, k=-1, dtype=np.bool_)  # T T
    scores = np.where(is_span, start[:, None] + end, -np.inf)  # T T
    first, last = divmod(int(scores.argmax()), T)
    if not np.isfinite(scores[first, last]):
        return Answer("", 0, 0, -np.inf)
    chars = tokens_to_chars(window.offsets, (first, last + 1))
    return Answer(context[chars.start : chars.end], *chars, float(scores[first, last]))


# -- the collator ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class QuestionAnsweringCollator(Collator):
    """Questions and contexts: rows ``<s> question </s> </s> context </s>``; a long context gives several windows.

    An example has a ``question``, a ``context``, and where they have one an ``answer``: (start, end) in the context,
    Unicode code points, end-exclusive; or None where the context has no answer. Or it has SQuAD's ``answers``,
    ``{"text": […], "answer_start": […]}``, of which the first counts; empty lists are None.

    A batch has one row for each window, those of an example one after the other. It adds ``start_positions`` and
    ``end_positions``, (W,): places of the answer's first and last token; 0 in a window that does not hold it whole.

    Args:
        stride: tokens that two windows share.

    Source:
        Devlin et al. 2019, sections 4.2 and 4.3; the windows are those of the code released with it.

    Example:
        >>> from roberta.tokenizer import RobertaTokenizer
        >>> tokenizer = RobertaTokenizer.train(["low lower lowest low"], vocab_size=263)
        >>> collator = QuestionAnsweringCollator(tokenizer)
        >>> batch = collator([{"question": "low", "context": "lowlow", "answer": (3, 6)}])
        >>> tokenizer.convert_ids_to_tokens(batch["input_ids"][0].tolist())
        ['<s>', 'low', '</s>', '</s>', 'low', 'low', '</s>']
        >>> batch["start_positions"], batch["end_positions"]
        (array([5]), array([5]))
        >>> scores = np.eye(7)[[5]]  # 1 W T
        >>> collator.answers([{"question": "low", "context": "lowlow"}], scores, scores)
        [Answer(text='low', start=3, end=6, score=2.0)]
    """

    stride: int = 0

    def _collate(self, examples: list[Any]) -> Any:
        batch, samples, windows = self._windows(examples)
        if (spans := _answers(examples)) is not None:
            places = [_places(spans[sample], *window) for sample, window in zip(samples, windows, strict=True)]
            batch["start_positions"], batch["end_positions"] = np.array(places, dtype=np.int64).T
        return batch

    def answers(
        self,
        examples: Sequence[Example],
        start_logits: ArrayLike,
        end_logits: ArrayLike,
        *,
        max_tokens: int = 30,
        allows_none: bool = False,
    ) -> list[Answer]:
        """Turn what the model says of a batch into answers, one for each example.

        Args:
            examples: those that the batch was made of.
            start_logits: (W, T).
            end_logits: (W, T).
            max_tokens: tokens in an answer at most.
            allows_none: whether "there is none" is an answer.

        Returns:
            What `best_answer` chooses for each.

        Raises:
            ValueError: logits of another shape than the batch.
        """
        batch, samples, windows = self._windows(examples)
        starts, ends = np.asarray(start_logits), np.asarray(end_logits)
        if not starts.shape == ends.shape == batch["input_ids"].shape:
            raise ValueError(
                f"start_logits, end_logits: expected (W, T) = {batch['input_ids'].shape}, got {starts.shape} and "
                f"{ends.shape}; pass the examples that the batch was made of"
            )
        found: list[list[Window]] = [[] for _ in examples]
        for sample, start, end, window in zip(samples, starts, ends, windows, strict=True):
            found[sample].append(Window(start, end, *window))
        return [
            best_answer(example["context"], rows, max_tokens=max_tokens, allows_none=allows_none)
            for example, rows in zip(examples, found, strict=True)
        ]

    def _windows(self, examples: Sequence[Example]) -> tuple[Any, list[int], list[tuple[Any, Any]]]:
        """The batch; and of each window, which example it is of, its offsets and its sequence ids."""
        batch = self._encode(
            text_column(examples, "question"),
            text_column(examples, "context"),
            truncation="only_second",
            stride=self.stride,
            padding_side="right",  # `<s>` is then at place 0
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        # The model takes neither: they leave the record here.
        samples = batch.pop("overflow_to_sample_mapping").tolist()
        offsets = batch.pop("offset_mapping").tolist()
        return batch, samples, [(offset, batch.sequence_ids(row)) for row, offset in enumerate(offsets)]


def _answers(examples: list[Example]) -> list[tuple[int, int] | None] | None:
    """The answer of each example in code points, or None where there are no labels."""
    contexts, answers = column(examples, "context"), optional_column(examples, "answer")
    if answers is None and (records := optional_column(examples, "answers")) is not None:
        answers = list(map(_first_answer, contexts, records, count()))
    return answers and list(map(_stripped, contexts, answers, count()))


def _first_answer(context: str, record: Any, row: int) -> tuple[int, int] | None:
    """Read SQuAD's record of answers."""
    where, remedy = f"answers of example {row}", 'pass {"text": [...], "answer_start": [...]}'
    if not isinstance(record, Mapping) or "text" not in record or "answer_start" not in record:
        raise TypeError(f"{where}: expected a record of lists, got {record!r}; {remedy}")
    texts, starts = as_texts(record["text"], where, remedy), as_integers(record["answer_start"], where, remedy)
    if len(texts) != len(starts) or (texts and (starts[0] < 0 or not context.startswith(texts[0], starts[0]))):
        raise ValueError(
            f"{where}: expected texts that stand in the context where answer_start says, got {record!r}; count "
            "Unicode code points of the context"
        )
    return (starts[0], starts[0] + len(texts[0])) if texts else None


def _stripped(context: str, answer: Any, row: int) -> tuple[int, int] | None:
    """The answer without white space at its ends, which no token need hold."""
    if answer is None:
        return None
    remedy = "give code points of the context, end-exclusive, or None where it has no answer"
    span = as_integers(answer, f"answer of example {row}", remedy)
    start, end = span if len(span) == 2 else (0, 0)
    text = context[max(start, 0) : end].strip()
    if not (0 <= start < end <= len(context) and text):
        raise ValueError(
            f"answer: expected (start, end) with 0 <= start < end <= {len(context)} and some text, got {answer} in "
            f"example {row}; {remedy}"
        )
    start += len(context[start:end]) - len(context[start:end].lstrip())
    return start, start + len(text)


def _places(span: tuple[int, int] | None, offsets: Any, sequence_ids: Sequence[int | None]) -> tuple[int, int]:
    tokens = None if span is None else chars_to_tokens(offsets, sequence_ids, span)
    return (NOT_HERE, NOT_HERE) if tokens is None else (tokens.start, tokens.end - 1)
