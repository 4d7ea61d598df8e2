"""From the name of a task to its class."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, Literal, overload

from .calling import Task
from .feature_extraction import FeatureExtraction
from .filling import FillMask
from .multiple_choice import MultipleChoice
from .question_answering import QuestionAnswering
from .text_classification import TextClassification
from .text_generation import TextGeneration, parted
from .token_classification import TokenClassification
from .zero_shot_classification import ZeroShotClassification

#: Name -> class, in the order of the documentation.
TASKS: Mapping[str, type[Task[Any]]] = {
    each.name: each
    for each in (
        TextClassification,
        ZeroShotClassification,
        TokenClassification,
        QuestionAnswering,
        MultipleChoice,
        FillMask,
        TextGeneration,
        FeatureExtraction,
    )
}
#: Other names, which transformers takes as well.
ALIASES: Mapping[str, str] = {"sentiment-analysis": "text-classification", "ner": "token-classification"}


@overload
def task(name: Literal["text-classification", "sentiment-analysis"], model: Any = None, tokenizer: Any = None, **options: Any) -> TextClassification: ...  # noqa: E501  # fmt: skip
@overload
def task(name: Literal["zero-shot-classification"], model: Any = None, tokenizer: Any = None, **options: Any) -> ZeroShotClassification: ...  # noqa: E501  # fmt: skip
@overload
def task(name: Literal["token-classification", "ner"], model: Any = None, tokenizer: Any = None, **options: Any) -> TokenClassification: ...  # noqa: E501  # fmt: skip
@overload
def task(name: Literal["question-answering"], model: Any = None, tokenizer: Any = None, **options: Any) -> QuestionAnswering: ...  # noqa: E501  # fmt: skip
@overload
def task(name: Literal["multiple-choice"], model: Any = None, tokenizer: Any = None, **options: Any) -> MultipleChoice: ...  # noqa: E501  # fmt: skip
@overload
def task(name: Literal["fill-mask"], model: Any = None, tokenizer: Any = None, **options: Any) -> FillMask: ...
@overload
def task(name: Literal["text-generation"], model: Any = None, tokenizer: Any = None, **options: Any) -> TextGeneration: ...  # noqa: E501  # fmt: skip
@overload
def task(name: Literal["feature-extraction"], model: Any = None, tokenizer: Any = None, **options: Any) -> FeatureExtraction: ...  # noqa: E501  # fmt: skip
@overload
def task(name: str, model: Any = None, tokenizer: Any = None, **options: Any) -> Task[Any]: ...
def task(name: str, model: Any = None, tokenizer: Any = None, **options: Any) -> Task[Any]:
    """A task by its name; the classes say what each takes, gives and may be asked.

    Args:
        name: "text-classification", "zero-shot-classification", "token-classification", "question-answering",
            "multiple-choice", "fill-mask", "text-generation" or "feature-extraction".
        model: a checkpoint (a folder, the name of a shipped one, an id on the hub), or a model of the task's head; None
            for the shipped checkpoint, which has a head for "fill-mask" and vectors for "feature-extraction".
        tokenizer: a tokenizer, or where one is; None for the one beside the checkpoint.
        **options: `backend`, `batch_size`, `device`, `dtype`, and the options of the class.

    Returns:
        A `TextClassification`, `FillMask`, …: callable with one input, a list, or a stream of them.

    Raises:
        ValueError: no such task; an option out of its range.
        TypeError: an option that does not exist, or no model where none is shipped.

    Source: HF `pipeline` @ 4.57.6.

    Example:
        >>> fill = task("fill-mask", backend="numpy", top_k=1)
        >>> fill
        FillMask('austen', backend='numpy', top_k=1)
        >>> print(fill("He was the eldest <mask> of a clergyman.")[0].token_str)
         son
    """
    known = ALIASES.get(name, name)
    if known not in TASKS:
        near = difflib.get_close_matches(str(known), TASKS, n=1)
        remedy = f"did you mean {near[0]!r}?" if near else "each class says what it does"
        message = f"task: expected one of {', '.join(TASKS)}, got {name!r}; {remedy}"
        raise ValueError(message)
    chosen = TASKS[known]
    if chosen is TextGeneration:
        options, settings = parted(options)
        options["settings"] = {**options.get("settings", {}), **settings}
    chosen.require_known(options)
    return chosen(model, tokenizer, **options)
