"""What a call returns: records with HF's field names, in HF's order, of the engine's own arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, cast

from .arrays import A, to_numpy
from .attention import Cache
from .differences import record_table

#: What a field holds that is always given, until it is.
_REQUIRED: Any = None


@dataclass(eq=False, repr=False)
class Output(Generic[A]):
    """A record whose absent fields (None) do not count: `output.logits`, `output["logits"]`, `output[0]`.

    Iterating, `keys`, `items`, `len` and `to_tuple` skip absent fields, as HF's records do. It reads as a mapping, and
    is none by type: TensorFlow would take a mapping apart and build it anew from pairs, and never ask how. A is the
    type of the engine's arrays: `MaskedLMOutput[torch.Tensor]`.

    Example:
        >>> import numpy as np
        >>> output = MaskedLMOutput(logits=np.zeros((1, 2, 3)))
        >>> list(output), output[0] is output.logits, output["logits"].shape
        (['logits'], True, (1, 2, 3))
        >>> MaskedLMOutput({"logits": output.logits, "input_ids": 0}).logits is output.logits  # as HF's take a dict
        True
    """

    def __post_init__(self) -> None:
        """A dict in the first field's place has the fields, and whatever stands beside them.

        transformers' pipelines make the record of one text so, out of that of a batch.
        """
        first = self.names()[0]
        given = getattr(self, first)
        if isinstance(given, dict):
            setattr(self, first, None)
            for name, value in cast("dict[str, Any]", given).items():
                setattr(self, name, value)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            value = vars(self).get(key)
            if value is None:
                raise KeyError(key)
            return value
        return self.to_tuple()[key]

    def __setitem__(self, key: str, value: Any) -> None:
        """Replace a field, or keep something of one's own beside them, as pipelines do."""
        setattr(self, key, value)

    def __iter__(self) -> Iterator[str]:
        return (name for name in vars(self) if not name.startswith("_") and getattr(self, name) is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, key: object) -> bool:
        return any(key == name for name in self)

    def keys(self) -> tuple[str, ...]:
        """The names of the fields that are present, in order."""
        return tuple(self)

    def values(self) -> tuple[Any, ...]:
        """The values that are present, in order."""
        return self.to_tuple()

    def items(self) -> tuple[tuple[str, Any], ...]:
        """Name and value of each field that is present, in order."""
        return tuple(zip(self, self.to_tuple(), strict=True))

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a field, or the default where it is absent."""
        value = vars(self).get(key)
        return default if value is None else value

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """All field names, present or not, in HF's order."""
        return cls.__match_args__  # the fields, as `dataclass` lists them: a constant, which compilers can follow

    def to_tuple(self) -> tuple[Any, ...]:
        """The values that are present, in order."""
        return tuple(getattr(self, name) for name in self)

    def map(self, function: Callable[[Any], Any]) -> dict[str, Any]:
        """Apply a function to every array: name -> result, with the nesting of tuples kept."""
        return {name: _map(function, value) for name, value in self.items()}

    def _asdict(self) -> dict[str, Any]:
        """Every array but the cache's, those of a tuple by number: what the signature of a served function has.

        As named tuples have it, by which whoever makes such a signature, TensorFlow for one, asks for names.

        Example:
            >>> import numpy as np
            >>> list(MaskedLMOutput(logits=np.zeros(1), hidden_states=(np.zeros(1), np.zeros(1)))._asdict())
            ['logits', 'hidden_states.0', 'hidden_states.1']
        """
        return numbered({name: value for name, value in self.items() if name != "past_key_values"})

    def numpy(self) -> dict[str, Any]:
        """Every array as a NumPy array, whatever engine made it: name -> array or tuple of arrays."""
        return self.map(to_numpy)

    def __repr__(self) -> str:
        """Name, shape, dtype, smallest, largest and rms of every array: the values themselves are in the fields."""
        return record_table(type(self).__name__, dict(self.items())).text()

    def _repr_html_(self) -> str:
        return record_table(type(self).__name__, dict(self.items())).html()


class Fields(dict[str, Any]):
    """An answer for those who take nothing but a dict for a record: `DataParallel`, and Trainer where it predicts.

    Example:
        >>> fields = Fields(logits=1)
        >>> fields["logits"], fields.logits, fields[0]
        (1, 1, 1)
    """

    def __getattr__(self, name: str) -> Any:
        if name in self:
            return self[name]
        message = f"the answer has no {name!r}; there are {', '.join(self)}"
        raise AttributeError(message)

    def __getitem__(self, key: Any) -> Any:
        return super().__getitem__(key) if isinstance(key, str) else self.to_tuple()[key]

    def to_tuple(self) -> tuple[Any, ...]:
        """The values, in order."""
        return tuple(self.values())


def as_fields(answer: Any) -> Any:
    """A record becomes its `Fields`; what is none stays."""
    return Fields(answer.items()) if isinstance(answer, Output) else answer


def numbered(named: Mapping[str, Any]) -> dict[str, Any]:
    """Arrays by name, those of a tuple by their number.

    Example:
        >>> numbered({"logits": 1, "attentions": (2, 3)})
        {'logits': 1, 'attentions.0': 2, 'attentions.1': 3}
    """
    found: dict[str, Any] = {}
    for name, value in named.items():
        parts = cast("tuple[Any, ...]", value)
        found |= {f"{name}.{i}": part for i, part in enumerate(parts)} if isinstance(value, tuple) else {name: value}
    return found


def _map(function: Callable[[Any], Any], value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_map(function, part) for part in cast("tuple[Any, ...]", value))
    if hasattr(value, "token_count"):  # a cache
        return replace(value, layers=_map(function, value.layers), token_count=function(value.token_count))
    return function(value)


@dataclass(eq=False, repr=False)
class BaseModelOutput(Output[A]):
    """Of RobertaModel: last_hidden_state (B, T, D), pooler_output (B, D), the cache, and what was asked for."""

    last_hidden_state: A = _REQUIRED
    pooler_output: A | None = None
    past_key_values: Cache[A] | None = None
    hidden_states: tuple[A, ...] | None = None
    attentions: tuple[A, ...] | None = None
    cross_attentions: tuple[A, ...] | None = None


@dataclass(eq=False, repr=False)
class CausalLMOutput(Output[A]):
    """Of RobertaForCausalLM: loss (), logits (B, T, V) in natural-log units, unnormalised, and the cache."""

    loss: A | None = None
    logits: A = _REQUIRED
    past_key_values: Cache[A] | None = None
    hidden_states: tuple[A, ...] | None = None
    attentions: tuple[A, ...] | None = None
    cross_attentions: tuple[A, ...] | None = None


@dataclass(eq=False, repr=False)
class MaskedLMOutput(Output[A]):
    """Of RobertaForMaskedLM: loss (), logits (B, T, V) in natural-log units, unnormalised."""

    loss: A | None = None
    logits: A = _REQUIRED
    hidden_states: tuple[A, ...] | None = None
    attentions: tuple[A, ...] | None = None


@dataclass(eq=False, repr=False)
class SequenceClassifierOutput(Output[A]):
    """Of RobertaForSequenceClassification: loss (), logits (B, L)."""

    loss: A | None = None
    logits: A = _REQUIRED
    hidden_states: tuple[A, ...] | None = None
    attentions: tuple[A, ...] | None = None


@dataclass(eq=False, repr=False)
class MultipleChoiceModelOutput(Output[A]):
    """Of RobertaForMultipleChoice: loss (), logits (B, C); hidden states and attentions have the leading axis BC."""

    loss: A | None = None
    logits: A = _REQUIRED
    hidden_states: tuple[A, ...] | None = None
    attentions: tuple[A, ...] | None = None


@dataclass(eq=False, repr=False)
class TokenClassifierOutput(Output[A]):
    """Of RobertaForTokenClassification: loss (), logits (B, T, L)."""

    loss: A | None = None
    logits: A = _REQUIRED
    hidden_states: tuple[A, ...] | None = None
    attentions: tuple[A, ...] | None = None


@dataclass(eq=False, repr=False)
class QuestionAnsweringModelOutput(Output[A]):
    """Of RobertaForQuestionAnswering: loss (), start_logits and end_logits (B, T)."""

    loss: A | None = None
    start_logits: A = _REQUIRED
    end_logits: A = _REQUIRED
    hidden_states: tuple[A, ...] | None = None
    attentions: tuple[A, ...] | None = None


#: All records: engines register them where their compilers want to know.
OUTPUTS: tuple[type[Output[Any]], ...] = (
    BaseModelOutput,
    CausalLMOutput,
    MaskedLMOutput,
    SequenceClassifierOutput,
    MultipleChoiceModelOutput,
    TokenClassifierOutput,
    QuestionAnsweringModelOutput,
)
