"""Question answering: the part of a context that answers a question."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, cast, overload

import numpy as np

from ..reference.layers import Array, softmax
from ..tokenizer.rows import Row
from .calling import Task, is_count, require, text_of, wrong
from .records import Record


@dataclass(frozen=True)
class ExtractedAnswer(Record):
    """An answer.

    Attributes:
        answer: as it stands in the context; empty where the context has none.
        score: its probability; of a text that two windows, or two places, give, the sum of theirs.
        start: its first code point in the context.
        end: one past its last.
    """

    answer: str
    score: float
    start: int
    end: int

    def __str__(self) -> str:
        return f"{self.answer or '(no answer)'} {self.score:.4f} ({self.start} to {self.end})"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class QuestionAnswering(Task[ExtractedAnswer | Any]):
    """Where in a context the answer to a question stands.

    Equation: p_start and p_end are softmax over the tokens of the context, and <s>, of one window; the score of a span
    is p_start[s] p_end[e], s <= e < s + max_answer_len. "There is none" has the smallest p_start[0] p_end[0] of all
    windows.

    An input is a mapping with `question` and `context`; the call takes `question=` and `context=` as well, each a text
    or a list.

    Args:
        top_k: 1 for the best answer, a record; more: a list of at most so many, the best first.
        doc_stride: of a long context, how many tokens two windows share; None for 128, or half of a window.
        max_answer_len: tokens in an answer at most.
        max_seq_len: tokens in a window at most, question and special tokens included; None for 384, or what the model
            takes.
        handle_impossible_answer: whether "there is none" is an answer.
        align_to_words: whether an answer that begins or ends inside a word is stretched to all of it.

    Source: Devlin et al. (2019), section 4.2; HF `QuestionAnsweringPipeline` @ 4.57.6, which adds the scores of answers
    that differ in case only, and where fewer than `top_k` spans are possible gives spans that end before they begin.

    Example:
        >>> import roberta
        >>> tokenizer = roberta.load_tokenizer("austen")
        >>> config = roberta.RobertaConfig(len(tokenizer), 4, 1, 2, 7)
        >>> model = roberta.RobertaForQuestionAnswering(config, backend="numpy")
        >>> ask, context = QuestionAnswering(model, tokenizer), "Emma Woodhouse was handsome, clever, and rich."
        >>> found = ask(question="Who was clever?", context=context)
        >>> context[found.start:found.end] == found.answer
        True
    """

    top_k: int = 1
    doc_stride: int | None = None
    max_answer_len: int = 15
    max_seq_len: int | None = None
    handle_impossible_answer: bool = False
    align_to_words: bool = True

    name: ClassVar[str] = "question-answering"
    head: ClassVar[str] = "question_answering"
    takes: ClassVar[str] = "a mapping with 'question' and 'context'"

    def __post_init__(self) -> None:
        super().__post_init__()
        for option in ("top_k", "max_answer_len"):
            require(self, option, "an integer of at least 1", is_count(getattr(self, option)))
        length, stride = self.max_seq_len, self.doc_stride
        require(self, "max_seq_len", "None, or an integer of at least 1", length is None or is_count(length))
        is_stride = stride is None or (is_count(stride) or stride == 0)
        require(self, "doc_stride", "None, or an integer of at least 0", is_stride)

    @overload
    def __call__(self, inputs: Mapping[str, Any], **options: Any) -> ExtractedAnswer | Any: ...

    @overload
    def __call__(
        self, inputs: None = None, *, question: str, context: str, **options: Any
    ) -> ExtractedAnswer | Any: ...

    @overload
    def __call__(self, inputs: list[Any] | tuple[Any, ...], **options: Any) -> list[ExtractedAnswer | Any]: ...

    @overload
    def __call__(self, inputs: Any = None, *, question: Any = None, context: Any = None, **options: Any) -> Any: ...

    def __call__(self, inputs: Any = None, *, question: Any = None, context: Any = None, **options: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Answer.

        Args:
            inputs: a mapping with `question` and `context`, a list of such, or a stream of them.
            question: in place of `inputs`, a text or a list of texts.
            context: a text, for all questions, or as many as there are questions.
            **options: of the class, for this call only.

        Returns:
            As of all tasks: one answer, a list, or an iterator.
        """
        if inputs is not None and (question is not None or context is not None):
            message = f"{self.name}: required inputs, or question and context, got both; leave out one of them"
            raise TypeError(message)
        if inputs is None:
            inputs = self._paired(question, context)
        return super().__call__(inputs, **options)

    def _paired(self, question: Any, context: Any) -> Any:
        if isinstance(question, list) and isinstance(context, str):
            context = [context] * len(cast("list[Any]", question))
        if isinstance(question, list) and isinstance(context, list):
            pairs = list(zip(cast("list[Any]", question), cast("list[Any]", context), strict=False))
            if not len(pairs) == len(cast("list[Any]", question)) == len(cast("list[Any]", context)):
                counts = f"{len(cast('list[Any]', question))} questions and {len(cast('list[Any]', context))} contexts"
                message = f"{self.name}: required one context, or as many as there are questions, got {counts}"
                raise ValueError(message)
            return [{"question": one, "context": other} for one, other in pairs]
        given: dict[str, Any] = {"question": question, "context": context}
        return {name: value for name, value in given.items() if value is not None}

    def _require(self, item: Any, where: str) -> dict[str, str]:
        if not isinstance(item, Mapping):
            raise wrong(self, where, item)
        given = cast("Mapping[Any, Any]", item)
        checked = {name: text_of(self, given, name, where) for name in ("question", "context")}
        for name, text in checked.items():
            if not text.strip():
                message = f"{self.name}: {where}: required {name!r} with some text, got {text!r}"
                raise ValueError(message)
        return checked

    def _encode(self, items: list[Any]) -> list[list[Row]]:
        length = min(self.limit, 384 if self.max_seq_len is None else self.max_seq_len)
        stride = min(length // 2, 128) if self.doc_stride is None else self.doc_stride
        how = {"truncation": "only_second", "max_length": length, "stride": stride, "return_overflowing_tokens": True}
        questions, contexts = [item["question"] for item in items], [item["context"] for item in items]
        groups: list[list[Row]] = [[] for _ in items]
        try:
            found = self._rows_of(questions, contexts, padding_side="right", **how)
        except ValueError:
            self._require_room(questions, length, stride)
            raise
        for (row,) in found:
            groups[row.sample].append(row)
        return groups

    def _require_room(self, questions: list[str], length: int, stride: int) -> None:
        """Say which question leaves no room for its context."""
        tokenizer = self.weights.tokenizer
        special = len(tokenizer("", "")["input_ids"])
        for question in questions:
            count = len(tokenizer(question, add_special_tokens=False, verbose=False)["input_ids"])
            room = length - special - count
            if room <= stride:
                least = f"a window of {length} tokens with room for more than doc_stride = {stride} of the context"
                got = f"{max(room, 0)} beside the {count} tokens of the question {question!r:.60}"
                remedy = f"pass a doc_stride below {room}" if room > 0 else "shorten the question"
                message = f"{self.name}: question: required {least}, got {got}; {remedy}"
                raise ValueError(message)

    def _compute(self, rows: list[Row], places: list[int]) -> list[Any]:
        said = self._forward(rows)
        logits = np.stack([said["start_logits"], said["end_logits"]], axis=1)  # B 2 T
        return [of_row[:, : len(row)] for of_row, row in zip(logits, rows, strict=True)]

    def _answer(self, item: Any, rows: list[Row], said: list[Any]) -> ExtractedAnswer | list[ExtractedAnswer]:
        answers: list[ExtractedAnswer] = []
        none = 1.0
        for row, logits in zip(rows, said, strict=True):
            is_open = np.array([sequence == 1 for sequence in row.sequence_ids])  # T
            is_open[0] = True  # <s>: what a window without the answer points to
            start, end = softmax(np.where(is_open, logits, -np.inf))  # T, T
            none = min(none, float(start[0] * end[0]))
            is_open[0] = False
            offsets, words = row.offsets, _word_spans(row) if self.align_to_words else {}
            for s, e, score in self._spans(start, end, is_open):
                first, last = words.get(s, offsets[s])[0], words.get(e, offsets[e])[1]
                if last > first:  # white space at the end of a context is a token, and no answer
                    _add(answers, ExtractedAnswer(item["context"][first:last], score, first, last))
        if self.handle_impossible_answer:
            answers.append(ExtractedAnswer("", none, 0, 0))
        best = sorted(answers, key=lambda each: -each.score)[: self.top_k]
        if self.top_k > 1:
            return best
        return best[0] if best else ExtractedAnswer("", 0.0, 0, 0)

    def _spans(self, start: Array, end: Array, is_open: Array) -> list[tuple[int, int, float]]:
        """The best spans of a window; more than are wanted, as some become one when they are stretched to words."""
        count = 2 * self.top_k + 10 if self.align_to_words else self.top_k
        places = np.flatnonzero(is_open)  # C, of the context
        if not len(places):
            return []
        scores = np.outer(start[places], end[places])  # C C
        length = np.arange(len(places)) - np.arange(len(places))[:, None]  # C C, e - s
        is_span = (length >= 0) & (length < self.max_answer_len)
        flat = np.where(is_span, scores, -1.0).ravel()
        some = np.argpartition(-flat, min(count, len(flat)) - 1)[:count]
        order = some[np.lexsort((some, -flat[some]))]
        pairs = [(*divmod(int(at), len(places)), float(flat[at])) for at in order if flat[at] >= 0]
        return [(int(places[s]), int(places[e]), score) for s, e, score in pairs]


def _word_spans(row: Row) -> dict[int, tuple[int, int]]:
    """Place of a token of the context -> where its word begins and ends there."""
    spans: dict[Any, tuple[int, int]] = {}
    places: dict[int, Any] = {}
    for at, (sequence, word, (start, end)) in enumerate(zip(row.sequence_ids, row.word_ids, row.offsets, strict=True)):
        if sequence == 1 and word is not None:
            places[at] = word
            spans[word] = (spans[word][0] if word in spans else start, end)
    return {at: spans[word] for at, word in places.items()}


def _add(answers: list[ExtractedAnswer], one: ExtractedAnswer) -> None:
    """One more answer; of the same words as an earlier one, its score is added to that."""
    for at, earlier in enumerate(answers):
        if earlier.answer.lower() == one.answer.lower():
            answers[at] = replace(earlier, score=earlier.score + one.score)
            return
    answers.append(one)
