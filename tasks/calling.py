"""What all tasks are: texts in, records out, batch by batch; options that a call may change; names when pickled.

A task says four things: what it takes (`_require`), how that becomes rows of ids (`_encode`), what the model is asked
about a batch of rows (`_compute`), and what the numbers mean (`_answer`). The rest is here.
"""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, fields, replace
from itertools import islice
from typing import Any, ClassVar, Generic, Self, TypeVar, cast, overload

import numpy as np

from ..reference.embeddings import Integers
from ..reference.layers import Array
from ..reference.outputs import to_numpy
from ..tokenizer.rows import Row
from .weights import Memory, Weights

#: What answers one input; `| Any` beside a record where an option may ask for a list of them.
R = TypeVar("R")
#: Of a list, so many batches are encoded together and sorted by length: rows of a batch are then about equally long.
LOOKAHEAD = 16
#: What no call can change: other weights are another task.
FIXED = ("model", "tokenizer", "backend", "device", "dtype")


@dataclass(frozen=True, eq=False, repr=False)
class Task(ABC, Generic[R]):
    """What answers: callable with one input, a list, or a stream of them.

    Args:
        model: a checkpoint (a folder, the name of a shipped one, an id on the hub), or a model of the task's head.
        tokenizer: a tokenizer, or where one is; None for the one beside the checkpoint.
        backend: the engine; None for the default one, or that of the model.
        batch_size: how many rows the model computes together. It changes no answer by more than rounding.
        device: where the engine computes; None for its default.
        dtype: in which it computes; None for float32, or that of the model.

    A task is pickled as names and options. Nothing is loaded before it is needed, and once in a process for all tasks
    that need the same; where the engine takes weights as they lie in the file, its pages are shared by all processes.

    Raises:
        ValueError: an option out of its range; when it is first called, a checkpoint that lacks the head.
        TypeError: an option that does not exist, or a model of another head.
    """

    model: Any = None
    tokenizer: Any = None
    _: KW_ONLY
    backend: str | None = None
    batch_size: int = 8
    device: Any = None
    dtype: Any = None

    #: As `roberta.task` and transformers' `pipeline` call it.
    name: ClassVar[str]
    #: The head that answers.
    head: ClassVar[str]
    #: The checkpoint that is meant where none is named.
    default: ClassVar[str | None] = None
    #: Names that options may have besides the fields, for errors.
    more_options: ClassVar[tuple[str, ...]] = ()
    #: What one input is, for errors.
    takes: ClassVar[str] = "a str"

    def __post_init__(self) -> None:
        require(self, "batch_size", "an integer of at least 1", is_count(self.batch_size))
        source = self.default if self.model is None else self.model
        if source is None:
            message = f"{self.name}: model: required a checkpoint with this head, got None; none is shipped, name one"
            raise TypeError(message)
        how = (self.backend, self.dtype, self.device)
        object.__setattr__(self, "weights", Weights(self.name, self.head, source, self.tokenizer, *how))

    # -- the call ------------------------------------------------------------------------------------------------------

    @overload
    def __call__(self, inputs: str | Mapping[str, Any], **options: Any) -> R: ...

    @overload
    def __call__(self, inputs: list[Any] | tuple[Any, ...], **options: Any) -> list[R]: ...

    @overload
    def __call__(self, inputs: Iterable[Any], **options: Any) -> Any: ...

    def __call__(self, inputs: Any, **options: Any) -> Any:
        """Answer.

        Args:
            inputs: one input; a list or an array of them; or any other iterable, which is read as answers are asked
                for, a batch ahead.
            **options: of the class, for this call only.

        Returns:
            The answer; a list of answers; or an iterator of answers.

        Raises:
            TypeError: an input of another type, or an option that does not exist.
            ValueError: an input that the model cannot take, such as a text that is too long; says which.
        """
        asked, inputs = self.replace(**options), self._listed(inputs)
        if asked._is_one(inputs):
            return asked._answered([asked._require(inputs, "inputs")], [0])[0]
        if isinstance(inputs, list | tuple):
            return list(asked._stream(cast("list[Any]", inputs), LOOKAHEAD * asked.batch_size))
        if not isinstance(inputs, Iterable):
            raise wrong(asked, "inputs", inputs)
        return asked._stream(cast("Iterable[Any]", inputs), asked.batch_size)

    def attempt(self, inputs: Any, **options: Any) -> list[Any]:
        """Answer each input of a list; where one cannot be, the error takes the place of its answer.

        Args:
            inputs: a list, or what a list can be made of.
            **options: of the class, for this call only.

        Returns:
            A list of answers and of errors (ValueError or TypeError), in the order of the inputs.

        Raises:
            ValueError: what concerns no single input: the checkpoint, the tokenizer, an option.
            TypeError: a single input.
        """
        asked, inputs = self.replace(**options).load(), self._listed(inputs)
        asked._require_options()
        if isinstance(inputs, str | Mapping) or not isinstance(inputs, Iterable):
            got = f"{type(cast('Any', inputs)).__name__} {inputs!r:.60}"
            message = f"{self.name}: attempt: required a list of inputs, got {got}; put it in a list"
            raise TypeError(message)
        given = list(cast("Iterable[Any]", inputs))
        places: list[int] = []
        results: list[Any] = [None] * len(given)
        items: list[Any] = []
        for place, item in enumerate(given):
            try:
                items.append(asked._require(item, f"inputs[{place}]"))
                places.append(place)
            except (ValueError, TypeError) as error:
                results[place] = error
        for place, answer in zip(places, asked._attempted(items, places), strict=True):
            results[place] = answer
        return results

    def load(self) -> Self:
        """Load what is needed, now; otherwise the first call does."""
        _ = self.weights.model, self.weights.tokenizer
        return self

    def memory(self) -> Memory:
        """How many bytes the weights take; they are loaded, if they were not."""
        return self.load().weights.memory()

    def replace(self, **options: Any) -> Self:
        """The same task with other options, on the same weights.

        Raises:
            TypeError: an option that does not exist.
        """
        if not options:
            return self
        changes = self._changes(options)
        self.require_known(changes, FIXED)
        shared = replace(self, **changes)
        object.__setattr__(shared, "weights", self.weights)
        return shared

    def __repr__(self) -> str:
        """Its name, its checkpoint, and the options that are not the class's defaults."""
        options = [each for each in fields(self) if each.name not in ("model", "tokenizer")]
        given = {each.name: getattr(self, each.name) for each in options if getattr(self, each.name) != each.default}
        said = [f"{name}={value!r}" for name, value in given.items() if value != {}]
        return f"{type(self).__name__}({', '.join([repr(self.weights.folder), *said])})"

    # -- what each task says -------------------------------------------------------------------------------------------

    weights: ClassVar[Any]  # an instance's own; set when it is made

    def _is_one(self, inputs: Any) -> bool:
        """Whether it is a single input."""
        return isinstance(inputs, str | Mapping)

    def _require_options(self) -> None:
        """Refuse options that no input of this model can be answered with."""
        _ = self.limit

    def _listed(self, inputs: Any) -> Any:
        """Arrays and series as lists, or as the text that they hold; of a table no column is meant.

        Raises:
            TypeError: a table, or bytes.
        """
        if hasattr(inputs, "columns") and hasattr(inputs, "shape"):
            remedy = "pass a column, such as table['text'], a list of records (to_dict('records') of pandas), or take "
            message = f"{self.name}: inputs: required {self.takes}, or a list, got a table, {type(inputs).__name__}; "
            raise TypeError(f"{message}{remedy}a roberta.Predictor")
        if isinstance(inputs, bytes | bytearray):
            raise TypeError(f"{wrong(self, 'inputs', inputs)}; decode it, such as inputs.decode('utf-8')")
        if isinstance(inputs, np.ndarray) or (hasattr(inputs, "tolist") and hasattr(inputs, "index")):
            return cast("Any", inputs).tolist()  # of pandas and Arrow, too
        return inputs.to_pylist() if hasattr(inputs, "to_pylist") else inputs

    def _require(self, item: Any, where: str) -> Any:
        """The input, checked."""
        if not isinstance(item, str):
            raise wrong(self, where, item)
        return item

    @abstractmethod
    def _encode(self, items: list[Any]) -> list[list[Row]]:
        """Of each input its rows, at least one; all of one call of the tokenizer."""

    @abstractmethod
    def _compute(self, rows: list[Row], places: list[int]) -> list[Any]:
        """Of each row what the model says. `places`: which of the inputs each is of, in the order of the call."""

    @abstractmethod
    def _answer(self, item: Any, rows: list[Row], said: list[Any]) -> Any:
        """The answer of one input."""

    # -- what they are made of -----------------------------------------------------------------------------------------

    @property
    def limit(self) -> int:
        """The most tokens of a row: what the model has positions for, or the `max_length` that is asked for.

        Raises:
            ValueError: more is asked for.
        """
        usable = self.weights.model.config.usable_length
        asked = getattr(self, "max_length", None)
        if asked is not None:
            required = f"None, or an integer from 3 to {usable}, which the model has positions for"
            require(self, "max_length", required, is_count(asked) and 3 <= asked <= usable)
            return asked
        return min(usable, getattr(self.weights.tokenizer, "model_max_length", None) or usable)

    def _forward(self, rows: list[Row], **more: Any) -> dict[str, Array]:
        """What the model says of rows, padded on the right: names -> arrays in float64."""
        ids, mask = padded([row.ids for row in rows], self.weights.tokenizer.pad_token_id)  # B T, B T
        return self._asked({"input_ids": ids, "attention_mask": mask, **more})

    def _asked(self, inputs: dict[str, Any]) -> dict[str, Array]:
        model = self.weights.model
        with model.inference():
            said = model(**inputs)
        return {name: to_numpy(value).astype(np.float64) for name, value in said.items() if hasattr(value, "shape")}

    def _rows_of(self, *texts: list[str], **options: Any) -> list[list[Row]]:
        """Texts, or pairs of texts, as one row each; too long ones are cut where `truncation` says so."""
        cut = getattr(self, "truncation", False)
        length = {"truncation": True, "max_length": self.limit} if cut else {}
        encoded = self.weights.tokenizer(*texts, verbose=False, **{**length, **options})
        return [[row] for row in encoded.encodings]

    def _stream(self, inputs: Iterable[Any], size: int) -> Iterator[Any]:
        iterator, first = iter(inputs), 0
        while some := list(islice(iterator, size)):
            items = [self._require(item, f"inputs[{first + at}]") for at, item in enumerate(some)]
            yield from self._answered(items, list(range(first, first + len(items))))
            first += len(items)

    def _answered(self, items: list[Any], numbers: list[int]) -> list[Any]:
        """The answers of checked inputs; `numbers` are their places in the call."""
        if not items:
            return []
        model = self.load().weights.model
        self._require_options()
        groups = self._encode(items)
        for number, rows in zip(numbers, groups, strict=True):
            self._require_fitting(rows, number, model.config.vocab_size)
        placed = [(place, row) for place, rows in enumerate(groups) for row in rows]
        said: list[Any] = [None] * len(placed)
        order = sorted(range(len(placed)), key=lambda at: -len(placed[at][1]))  # long ones first, equals as they were
        for begin in range(0, len(order), self.batch_size):
            some = order[begin : begin + self.batch_size]
            found = self._compute([placed[at][1] for at in some], [numbers[placed[at][0]] for at in some])
            for at, each in zip(some, found, strict=True):
                said[at] = each
        replies = iter(said)
        return [
            self._answer(item, rows, list(islice(replies, len(rows)))) for item, rows in zip(items, groups, strict=True)
        ]

    def _attempted(self, items: list[Any], numbers: list[int]) -> list[Any]:
        """Answers and errors; half by half, where not all can be answered together."""
        try:
            return self._answered(items, numbers)
        except (ValueError, TypeError) as error:
            if len(items) == 1:
                return [error]
        half = len(items) // 2
        return [
            *self._attempted(items[:half], numbers[:half]),
            *self._attempted(items[half:], numbers[half:]),
        ]

    def _require_fitting(self, rows: list[Row], number: int, vocab_size: int) -> None:
        """The model must have room for the rows, and know every id of them."""
        for row in rows:
            ids = row.ids
            if len(ids) > self.limit:
                ways = {"truncation": "truncation=True", "handle_long_generation": "handle_long_generation='hole'"}
                way = next((f", or pass {ways[option]}" for option in ways if hasattr(self, option)), "")
                remedy = f"cut it into parts{way}"
                got = f"{len(ids)} in inputs[{number}]"
                required = f"at most {self.limit} tokens, <s> and </s> included"
                message = f"{self.name}: required {required}, got {got}; {remedy}"
                raise ValueError(message)
            if max(ids, default=0) >= vocab_size:
                required = f"the model's own, with ids below vocab_size = {vocab_size}"
                remedy = "pass the tokenizer that the model was trained with"
                got = f"one that gives {max(ids)}"
                message = f"{self.name}: tokenizer: required {required}, got {got}; {remedy}"
                raise ValueError(message)

    @classmethod
    def require_known(cls, options: Mapping[str, Any], fixed: Sequence[str] = ("model", "tokenizer")) -> None:
        """Refuse options that do not exist.

        Args:
            options: by name.
            fixed: which of the class's may not be among them.

        Raises:
            TypeError: one does not exist.
        """
        names = [each.name for each in fields(cls) if each.name not in fixed]
        for name in options:
            if name not in names:
                near = difflib.get_close_matches(name, [*names, *cls.more_options], n=1)
                remedy = f"did you mean {near[0]!r}?" if near else "leave it out"
                message = f"{cls.name}: expected the options {', '.join(names)}, got {name!r}; {remedy}"
                raise TypeError(message)

    def _changes(self, options: dict[str, Any]) -> dict[str, Any]:
        """What a call changes, by the names of the fields."""
        return options


# -- pieces ------------------------------------------------------------------------------------------------------------


def padded(rows: Sequence[Sequence[int]], pad: int, *, is_left: bool = False) -> tuple[Integers, Integers]:
    """Rows of ids in one array, (B, T), and where they are, (B, T).

    Example:
        >>> padded([[0, 5, 2], [0, 2]], pad=1)[0]
        array([[0, 5, 2],
               [0, 2, 1]])
    """
    T = max(map(len, rows), default=0)
    ids = np.full((len(rows), T), pad, np.int64)  # B T
    mask = np.zeros((len(rows), T), np.int64)  # B T
    for b, row in enumerate(rows):
        part = slice(T - len(row), T) if is_left else slice(len(row))
        ids[b, part], mask[b, part] = row, 1
    return ids, mask


def require(task: Task[Any], option: str, required: str, is_met: bool) -> None:
    """Refuse an option that is out of its range.

    Raises:
        ValueError: it is.
    """
    if not is_met:
        message = f"{task.name}: {option}: required {required}, got {getattr(task, option)!r}"
        raise ValueError(message)


def listed(values: Any) -> Any:
    """Several values in a list, whatever holds them; lists, tuples, and what cannot be read so, as they are.

    Example:
        >>> listed(word for word in ("a", "b")), listed(np.array(["a"])), listed(("a",)), listed(7)
        (['a', 'b'], ['a'], ('a',), 7)
    """
    if hasattr(values, "tolist"):
        return values.tolist()
    if not isinstance(values, Iterable) or isinstance(values, list | tuple):
        return cast("Any", values)
    return list(cast("Iterable[Any]", values))


def are_texts(values: Any) -> bool:
    """Whether it is a list, or a tuple, of texts alone.

    Example:
        >>> are_texts(["a"]), are_texts(["a", 3]), are_texts("a")
        (True, False, False)
    """
    return isinstance(values, list | tuple) and all(isinstance(one, str) for one in cast("list[Any]", values))


def is_count(value: Any) -> bool:
    """Whether it is an integer of at least 1."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and bool(value >= 1)


def text_of(task: Task[Any], item: Mapping[Any, Any], name: str, where: str) -> str:
    """A text that an input has by name.

    Raises:
        TypeError: it lacks it, or it is no text.
    """
    value = item.get(name)
    if not isinstance(value, str):
        got = f"{type(value).__name__}" if name in item else f"the keys {[str(key) for key in item]}"
        message = f"{task.name}: {where}: required {name!r}, a str, got {got}; it takes {task.takes}"
        raise TypeError(message)
    return value


def wrong(task: Task[Any], where: str, got: Any) -> TypeError:
    """What to raise for an input of another type."""
    return TypeError(f"{task.name}: {where}: required {task.takes}, got {type(got).__name__} {got!r:.60}")
