"""How far every value of a pass is from the truth, in units of what float32 may err there.

Truth and permitted errors are those of `parity.tolerances`: the spec in float64, and its spread in an arithmetic that
errs as float32 does, for these very weights and inputs. Of its tests the one is used that has a number at each place,
the largest element, and all taps share one rate of false alarms.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast
from zlib import crc32

import numpy as np

from ..dispatch.arguments import visible
from ..dispatch.model import PublicModel
from ..parity.mistakes.wrong_engines import misused
from ..parity.taped import tap_budgets
from ..parity.tolerances import Budget
from ..reference.inputs import LABELS
from ..reference.layers import Array
from ..reference.outputs import to_numpy

#: No ratio is larger: what is infinite, no number, or of another shape, has this one. JSON has no infinity.
BROKEN = 1e12
#: Arguments that are no arrays, or change no value on the way.
UNREAD = frozenset({"return_dict", "output_attentions", "output_hidden_states"})
#: So many budgets are kept, the newest.
KEPT = 8
_kept: dict[Any, TapBudgets] = {}


@dataclass(frozen=True)
class TapBudgets:
    """Truth and permitted error of every tap of one call.

    Attributes:
        truth: name -> value in float64, in the order of computation.
        limits: name -> the largest permitted distance from it, elementwise.
        judged: name -> which elements count, those of real tokens; True for all.
    """

    truth: Mapping[str, Array]
    limits: Mapping[str, Array]
    judged: Mapping[str, Any]

    @classmethod
    def of(cls, model: Any, inputs: Mapping[str, Any]) -> TapBudgets:
        """The budgets of float32 for a model and a call; derived once, and kept while these are the newest asked for.

        Args:
            model: one of ours, on any engine. A change of its weights, in place too, is noticed.
            inputs: the arguments of the call.

        Raises:
            TypeError: something else than a model of ours.
            ValueError: arguments that the model cannot take.

        Example:
            >>> from roberta import RobertaConfig, RobertaModel
            >>> config = RobertaConfig(num_hidden_layers=1, hidden_size=4, num_attention_heads=2, intermediate_size=4)
            >>> model = RobertaModel(config, "numpy")
            >>> budgets = TapBudgets.of(model, {"input_ids": [[0, 5, 2]]})
            >>> max(budgets.ratios(model.tape(input_ids=[[0, 5, 2]])).values()) < 1
            True
        """
        model, given = plain(model), arrays(model, inputs)
        key = _key(model, given)
        if key not in _kept:
            if len(_kept) >= KEPT:
                del _kept[next(iter(_kept))]  # the oldest
            _kept[key] = cls._derived(model, given)
        return _kept[key]

    @classmethod
    def _derived(cls, model: Any, inputs: Mapping[str, Any]) -> TapBudgets:
        with misused():
            found = tap_budgets(model, inputs)
        return cls(
            {name: budget.truth for name, budget in found.items()},
            {name: _limit(budget) for name, budget in found.items()},
            {name: budget.judged for name, budget in found.items()},
        )

    def ratios(self, taps: Mapping[str, Any]) -> dict[str, float]:
        """The largest distance from the truth, in units of what is permitted there: at most 1 for an honest engine.

        Args:
            taps: name -> value, of a tape, from whatever engine.

        Returns:
            For each of these that the spec has, in the order of computation, a number in [0, `BROKEN`].
        """
        return {name: self._ratio(name, to_numpy(taps[name])) for name in self.truth if name in taps}

    def _ratio(self, name: str, value: Array) -> float:
        truth = self.truth[name]
        if value.shape != truth.shape:
            return BROKEN
        with np.errstate(invalid="ignore", over="ignore"):
            ratios = np.where(self.judged[name], np.abs(value - truth) / self.limits[name], 0.0)
        largest = float(ratios.max(initial=0.0))
        return largest if largest < BROKEN else BROKEN  # NaN is not


def first_departure(ratios: Mapping[str, float]) -> str | None:
    """The first tap whose ratio exceeds 1.

    Example:
        >>> first_departure({"scores": 0.2, "probs": 7.0, "context": 3.0}), first_departure({"scores": 0.2})
        ('probs', None)
    """
    return next((name for name, ratio in ratios.items() if ratio > 1.0), None)


def plain(model: Any) -> Any:
    """The model on the numpy engine in float32: itself, where it is that already."""
    if not isinstance(model, PublicModel):
        message = f"model: required a model of roberta, such as RobertaForMaskedLM, got {type(model).__name__}"
        raise TypeError(message)
    found = cast("Any", model)
    is_plain = found.backend == "numpy" and found.dtype_name == "float32"
    return found if is_plain else found.to_backend("numpy", dtype="float32").eval()


def arrays(model: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that change a value on the way, as NumPy arrays; a cache and what is true or false as they are."""
    if not isinstance(inputs, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        required = 'the arguments by name, such as tokenizer(texts, padding=True, return_tensors="np")'
        message = f"inputs: required {required}, got {type(inputs).__name__}"
        raise TypeError(message)
    unread = UNREAD | set(LABELS[model.head])
    given = {name: value for name, value in inputs.items() if value is not None and name not in unread}
    return {name: visible(name, value) for name, value in given.items()}


# -- pieces ----------------------------------------------------------------------------------------------------------


def _limit(budget: Budget) -> Array:
    """The permitted distance; of what no rounding moves, as a hidden probability, that of its row, else of its array.

    It would be the smallest number there is: true, and no length on a plot.
    """
    is_moved = budget.sigma > 0.0
    moved = np.where(is_moved, budget.limit, 0.0)
    row = moved.max(-1, keepdims=True) if moved.ndim else moved
    around = np.where(row > 0.0, row, moved.max(initial=0.0))
    return np.where(is_moved, budget.limit, np.maximum(around, budget.limit))


def _key(model: Any, inputs: Mapping[str, Any]) -> Any:
    """What the budgets depend on: head, configuration, and the numbers themselves."""
    config = json.dumps(model.config.to_dict(), sort_keys=True, default=str)
    tensors = {id(value): (name, value) for name, value in model.state_dict_numpy().items()}  # a tied one is read once
    state = tuple((name, crc32(np.ascontiguousarray(value).data)) for name, value in tensors.values())
    return model.head, tuple(sorted(model.options.items())), config, state, _fingerprint(inputs)


def _fingerprint(inputs: Mapping[str, Any]) -> tuple[Any, ...]:
    found: list[Any] = []
    for name, value in inputs.items():
        layers = getattr(value, "layers", None)
        parts = [value] if layers is None else [part for layer in layers for part in layer] + [value.token_count]
        arrays = [np.ascontiguousarray(to_numpy(part)) for part in parts]
        found += [(name, *((array.shape, array.dtype.str, crc32(array.data)) for array in arrays))]
    return tuple(found)
