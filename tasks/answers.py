"""The columns that a task's answers fill: known before the first answer, since Spark, Dask and Parquet ask for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

from ..dispatch import checkpoint
from ..reference.config import RobertaConfig
from .feature_extraction import Embedding, FeatureExtraction, Features
from .filling import Filling, FillMask
from .multiple_choice import Choice, MultipleChoice
from .question_answering import ExtractedAnswer, QuestionAnswering
from .records import Record
from .task import Task
from .text_classification import Classification, TextClassification
from .text_generation import GeneratedText, TextGeneration
from .token_classification import EntityGroup, TokenClassification, TokenEntity
from .zero_shot_classification import ZeroShot, ZeroShotClassification

#: What a value may be -> as Spark's DDL names it. Arrow and NumPy know them by the names themselves.
DDL = {"string": "string", "int64": "bigint", "float64": "double", "float32": "float"}
#: What a record's field may be -> the kind of its values, and how many lists stand around them.
FIELDS = {
    str: ("string", 0),
    int: ("int64", 0),
    float: ("float64", 0),
    tuple[str, ...]: ("string", 1),
    tuple[float, ...]: ("float64", 1),
}


@dataclass(frozen=True)
class Column:
    """One column of answers.

    Attributes:
        name: its name in the batch.
        field: which field of the record fills it.
        kind: of one value: "string", "int64", "float64" or "float32".
        depth: how many lists stand around a value: 0 for a scalar, 1 for a vector or a list of answers.
        size: of the innermost list, where it is fixed: D of a vector (D,).
        records: how many of the lists are lists of records.

    Example:
        >>> print(Column("vector", "vector", "float32", 1, 256).ddl)
        vector array<float>
    """

    name: str
    field: str
    kind: str
    depth: int = 0
    size: int | None = None
    records: int = 0

    @property
    def ddl(self) -> str:
        """As Spark declares it; it has no lists of fixed size."""
        quoted = self.name if self.name.isidentifier() else f"`{self.name}`"
        return f"{quoted} {'array<' * self.depth}{DDL[self.kind]}{'>' * self.depth}"

    @property
    def arrow(self) -> Any:
        """As Arrow types it: a `pyarrow.DataType`."""
        import pyarrow

        pa: Any = pyarrow
        found = getattr(pa, self.kind)()
        for level in range(self.depth):
            found = pa.list_(found, self.size or -1) if level == 0 else pa.list_(found)
        return found

    def value(self, answer: Any) -> Any:
        """What an answer says here: the field of a record, or of each record of a list; None for None."""
        if answer is None:
            return None
        if self.records == 2 and answer and isinstance(answer[0], Record):
            answer = [answer]  # a text with one mask has one list of fillings, which is not in a list
        return self._of(answer)

    def _of(self, answer: Any) -> Any:
        if isinstance(answer, list):
            return [self._of(one) for one in answer]
        value = answer[self.field]
        return list(value) if self.depth - self.records > (1 if self.size else 0) else value


# -- what each task answers ----------------------------------------------------------------------------------------


class Answers(NamedTuple):
    """What a task with its options answers: the record, how many lists are around it, and what is no news in it."""

    record: Callable[[Any], type[Record]]
    lists: Callable[[Any], int] = lambda task: 0
    left_out: tuple[str, ...] = ()


#: Task -> its answers.
ANSWERS: Mapping[type[Task], Answers] = {
    TextClassification: Answers(lambda task: Classification, lambda task: int(task.top_k != 1)),
    ZeroShotClassification: Answers(lambda task: ZeroShot, left_out=("sequence",)),
    TokenClassification: Answers(
        lambda task: TokenEntity if task.aggregation_strategy == "none" else EntityGroup, lambda task: 1
    ),
    QuestionAnswering: Answers(lambda task: ExtractedAnswer, lambda task: int(task.top_k != 1)),
    MultipleChoice: Answers(lambda task: Choice),
    FillMask: Answers(lambda task: Filling, lambda task: 2),
    TextGeneration: Answers(
        lambda task: GeneratedText, lambda task: int(task.settings.get("num_return_sequences", 1) > 1)
    ),
    FeatureExtraction: Answers(lambda task: Features if task.pooling is None else Embedding),
}
#: Task -> the parts of one input, each a column of its own; others take a text.
PARTS: Mapping[type[Task], tuple[str, ...]] = {
    QuestionAnswering: ("question", "context"),
    MultipleChoice: ("text", "choices"),
}


def columns_of(task: Task, prefix: str = "") -> tuple[Column, ...]:
    """The columns that a task's answers fill: the fields of its record, in its order. No weights are read.

    Args:
        task: what `roberta.task` gave.
        prefix: goes in front of the names.

    Example:
        >>> from .choosing import task
        >>> [column.ddl for column in columns_of(task("fill-mask", "austen"))][:2]
        ['score array<array<double>>', 'token array<array<bigint>>']
    """
    record, lists, left_out = ANSWERS[type(task)]
    kind, around = record(task), lists(task)
    hints = get_type_hints(kind)
    return tuple(
        Column(prefix + name, name, *_field(task, name, hints[name], around))
        for name in (each.name for each in fields(kind))  # pyright: ignore[reportArgumentType]  # a dataclass, always
        if name not in left_out
    )


def _field(task: Task, name: str, hint: Any, around: int) -> tuple[str, int, int | None, int]:
    """Kind, depth, size and lists of records of one field."""
    if name in ("vector", "vectors"):
        return "float32", around + (1 if name == "vector" else 2), _config(task).hidden_size, around
    kind, inner = FIELDS[hint]
    return kind, around + inner, None, around


def _config(task: Task) -> Any:
    """The configuration of a task's model: of a checkpoint, from its config.json."""
    source = task.weights.source
    if isinstance(source, str | Path):
        return checkpoint.read_config(checkpoint.locate(source), RobertaConfig)
    return source.config
