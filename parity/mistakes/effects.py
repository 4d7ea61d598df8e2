"""What known mistakes do to the outputs, without noise: the spec in float64, wrong, less the spec."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ...reference.layers import Array
from ..probes.probe import Call
from .wrong_engines import Mutant, answers, twin

#: Of each call: flat names of outputs -> wrong less right. Infinite where the mistake breaks the call, or the output.
Effect = Sequence[Mapping[str, Array]]


def effects(
    oracle: Any, calls: Sequence[Call], mutants: Iterable[Mutant], truth: Sequence[Mapping[str, Array]] | None = None
) -> Iterator[tuple[str, Effect]]:
    """The effect of each mistake on the outputs of a probe; of those that concern the head.

    Args:
        oracle: a model of the numpy backend in float64, with the probe's weights.
        calls: of the probe.
        mutants: the mistakes.
        truth: the right outputs of each call, where they are known.

    Returns:
        Name of the mistake and its effect, one after another: of a large model, let each go before the next is made.

    Example:
        >>> import roberta
        >>> from roberta.parity.cases import draw_case
        >>> from roberta.parity.mistakes.mutants import MUTANTS
        >>> case = draw_case("model", 0)
        >>> spec = roberta.RobertaModel(case.config, "numpy", state=case.state, dtype="float64")
        >>> (name, (effect,)), *_ = effects(spec, [Call(case.inputs)], MUTANTS)
        >>> name, bool(1e-5 < np.abs(effect["last_hidden_state"]).max() < 1e-2)
        ('tanh GELU', True)
    """
    truth = answers(oracle, calls) if truth is None else truth
    for mutant in mutants:
        if oracle.head in mutant.heads:
            yield mutant.name, effect_of(lambda made=mutant: answers(twin(made, oracle), calls), truth)


def effect_of(wrong: Callable[[], Sequence[Mapping[str, Array]]], truth: Sequence[Mapping[str, Array]]) -> Effect:
    """Wrong outputs less right ones.

    Args:
        wrong: computes the outputs of each call; where it refuses the call, all is infinitely wrong.
        truth: the right ones.
    """
    try:
        with np.errstate(all="ignore"):  # what becomes infinite, or no number, is as wrong as can be
            found = wrong()
    except ValueError:
        found = [dict[str, Array]() for _ in truth]
    return [
        {name: _difference(given.get(name), right) for name, right in call.items()}
        for given, call in zip(found, truth, strict=True)
    ]


def _difference(wrong: Array | None, right: Array) -> Array:
    if wrong is None or wrong.shape != right.shape:
        return np.full(right.shape, np.inf)
    with np.errstate(invalid="ignore"):
        return wrong - right
