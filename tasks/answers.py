"""The columns that a task's answers fill: known before the first answer, since Spark, Dask and Parquet ask for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, cast, get_type_hints

from ..dispatch import checkpoint
from ..reference.config import RobertaConfig
from .calling import Task
from .feature_extraction import Embedding, FeatureExtraction, Features
from .filling import Filling, FillMask
from .multiple_choice import Choice, MultipleChoice
from .question_answering import ExtractedAnswer, QuestionAnswering
from .records import Record
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
            return [self._of(one) for one in cast("list[Any]", answer)]
        value = answer[self.field]
        return list(value) if self.depth - self.records > (1 if self.size else 0) else value


# -- what each task answers ----------------------------------------------------------------------------------------


#: Record -> fields that say nothing new: they are the input.
LEFT_OUT: Mapping[type[Record], tuple[str, ...]] = {ZeroShot: ("sequence",)}


def record_of(task: Task[Any]) -> tuple[type[Record], int]:
    """The record that a task with its options answers with, and how many lists are around it.

    Raises:
        TypeError: a task that is none of the eight.
    """
    match task:
        case TextClassification():
            return Classification, int(task.top_k != 1)
        case ZeroShotClassification():
            return ZeroShot, 0
        case TokenClassification():
            return (TokenEntity if task.aggregation_strategy == "none" else EntityGroup), 1
        case QuestionAnswering():
            return ExtractedAnswer, int(task.top_k != 1)
        case MultipleChoice():
            return Choice, 0
        case FillMask():
            return Filling, 2  # of each mask a list; a text may have several
        case TextGeneration():
            return GeneratedText, int(task.settings.get("num_return_sequences", 1) > 1)
        case FeatureExtraction():
            return (Features if task.pooling is None else Embedding), 0
        case _:
            message = f"task: required what roberta.task gives, got {type(task).__name__}"
            raise TypeError(message)


def parts_of(task: Task[Any]) -> tuple[str, ...]:
    """The parts of one input, each a column of its own; none where it is a text."""
    if isinstance(task, QuestionAnswering):
        return ("question", "context")
    return ("text", "choices") if isinstance(task, MultipleChoice) else ()


def more_parts_of(task: Task[Any]) -> tuple[str, ...]:
    """The parts that an input may have besides."""
    return ("text_pair",) if isinstance(task, TextClassification) else ()


def columns_of(task: Task[Any], prefix: str = "") -> tuple[Column, ...]:
    """The columns that a task's answers fill: the fields of its record, in its order. No weights are read.

    Args:
        task: what `roberta.task` gave.
        prefix: goes in front of the names.

    Example:
        >>> from .choosing import task
        >>> [column.ddl for column in columns_of(task("fill-mask", "austen"))][:2]
        ['score array<array<double>>', 'token array<array<bigint>>']
    """
    record, around = record_of(task)
    hints = get_type_hints(record)
    return tuple(
        Column(prefix + name, name, *_field(task, name, hints[name], around))
        for name in (each.name for each in fields(record))  # pyright: ignore[reportArgumentType]  # a dataclass, always
        if name not in LEFT_OUT.get(record, ())
    )


def _field(task: Task[Any], name: str, hint: Any, around: int) -> tuple[str, int, int | None, int]:
    """Kind, depth, size and lists of records of one field."""
    if name in ("vector", "vectors"):
        return "float32", around + (1 if name == "vector" else 2), _config(task).hidden_size, around
    kind, inner = FIELDS[hint]
    return kind, around + inner, None, around


def _config(task: Task[Any]) -> Any:
    """The configuration of a task's model: of a checkpoint, from its config.json."""
    source = task.weights.source
    if isinstance(source, str | Path):
        return checkpoint.read_config(checkpoint.locate(source), RobertaConfig)
    return source.config
