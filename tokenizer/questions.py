"""The collator of question answering: characters become places of tokens, and scores of places become answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .collators import Collator, column
from .spans import NOT_HERE, Answer, Window, best_answer, chars_to_tokens

__all__ = ["QuestionAnsweringCollator"]

Example = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class QuestionAnsweringCollator(Collator):
    """Questions and contexts: rows ``<s> question </s> </s> context </s>``; a long context gives several windows.

    Args:
        tokenizer: a `RobertaTokenizer`, or what is called like one.
        max_length: tokens in a row at most, special tokens included; None for what the model takes.
        padding: ``"longest"`` of the batch, or ``"max_length"``, which gives every batch the same shape.
        stride: tokens that two windows share.

    Source:
        Devlin et al. 2019, sections 4.2 and 4.3; the windows are those of the code released with it.

    Example:
        >>> from roberta.tokenizer import RobertaTokenizer
        >>> tokenizer = RobertaTokenizer.train(["low lower lowest low"], vocab_size=263)
        >>> collator = QuestionAnsweringCollator(tokenizer=tokenizer)
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

    def __call__(self, examples: Sequence[Example]) -> Any:
        """Make a batch, of one row for each window.

        Args:
            examples: mappings with ``question``, ``context``, and where they have one ``answer``: (start, end) in the
                context, Unicode code points, end-exclusive; or None where the context has no answer.

        Returns:
            ``input_ids``, ``attention_mask``: int64, (W, T), windows of an example in a row. ``start_positions``,
            ``end_positions``: int64, (W,): places of the answer's first and last token; 0, the place of ``<s>``, in a
            window that does not hold the whole answer.

        Raises:
            ValueError: an answer outside its context, or of white space only.
        """
        batch, samples, windows = self._windows(examples)
        if any("answer" in example for example in examples):
            spans = [_stripped(example, row) for row, example in enumerate(examples)]
            places = [_places(spans[sample], *window) for sample, window in zip(samples, windows, strict=True)]
            positions = np.array(places, dtype=np.int64).reshape(-1, 2)
            batch["start_positions"], batch["end_positions"] = positions[:, 0], positions[:, 1]
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
            An `Answer` for each example; see `best_answer`.

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
        contexts = column(examples, "context")
        return [
            best_answer(context, rows, max_tokens=max_tokens, allows_none=allows_none)
            for context, rows in zip(contexts, found, strict=True)
        ]

    def _windows(self, examples: Sequence[Example]) -> tuple[Any, list[int], list[tuple[Any, Any]]]:
        """The batch; and of each window, which example it is of, its offsets and its sequence ids."""
        batch = self._encode(
            column(examples, "question"),
            column(examples, "context"),
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


def _stripped(example: Example, row: int) -> tuple[int, int] | None:
    """The answer without white space at its ends, which no token need hold."""
    context, answer = example["context"], example.get("answer")
    if answer is None:
        return None
    start, end = answer
    text = context[max(start, 0) : end].strip()
    if not (0 <= start < end <= len(context) and text):
        raise ValueError(
            f"answer: expected (start, end) with 0 <= start < end <= {len(context)} and some text, got {answer} in "
            f"example {row}; give code points of the context, end-exclusive, or None where it has no answer"
        )
    start += len(context[start:end]) - len(context[start:end].lstrip())
    return start, start + len(text)


def _places(span: tuple[int, int] | None, offsets: Any, sequence_ids: Sequence[int | None]) -> tuple[int, int]:
    tokens = None if span is None else chars_to_tokens(offsets, sequence_ids, span)
    return (NOT_HERE, NOT_HERE) if tokens is None else (tokens.start, tokens.end - 1)
