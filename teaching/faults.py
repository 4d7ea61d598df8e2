"""Making a mistake and seeing it: each of `switches` breaks the spec in one way, and shows where that is first seen.

A wrong engine of float32 computes, and every value on its way is held to the truth within what float32 may err there
(`departures`): before the mistake it rounds like any honest engine, at its own tap it leaves the budget, and behind it
everything follows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np

from ..parity.mistakes.wrong_engines import LM, Mutant, twin
from ..reference.layers import Array, softmax
from ..reference.taps import symbols
from .departures import TapBudgets, arrays, first_departure, plain
from .switches import FAULTS, Fault

#: How many words are shown.
TOP = 5
#: The name of the engine without a mistake.
HONEST = "none"


@dataclass(frozen=True)
class FaultRun:
    """One call of an engine that is wrong in one way.

    Attributes:
        name: of the fault.
        title: for readers.
        mistake: how somebody comes to write it.
        correct: the line of the spec.
        wrong: the line that is written instead.
        own_tap: where it departs, unless the input hides it.
        ratios: tap -> largest error over what float32 may err there, in the order of computation, as far as it
            computes them.
        first: the first tap where that exceeds 1; None where there is none.
        outcome: what comes out, for JSON. Of language models {"words": […]}, for each mask, or else for the last token
            of each row, "row", "token", "ids" and "probabilities" of the best words; of other heads {"values": {…}}.
        hidden: why it is not first seen at its own tap; "" where it is.
    """

    name: str
    title: str
    mistake: str
    correct: str
    wrong: str
    own_tap: str
    ratios: dict[str, float]
    first: str | None
    outcome: dict[str, Any]
    hidden: str = ""


def record_faults(
    model: Any,
    inputs: Mapping[str, Any],
    *,
    mask_token_id: int | None = None,
    tell: Callable[..., None] | None = None,
) -> list[FaultRun]:
    """Make every mistake that concerns a model, one after another.

    Args:
        model: one of ours, on any engine; its numpy twin in float32 is what is broken.
        inputs: the arguments of the call.
        mask_token_id: which id is a mask; None for the last of the vocabulary, where RoBERTa's dictionaries have it.
        tell: called with a mistake's name before it is made.

    Raises:
        TypeError: something else than a model of ours.
        ValueError: arguments that the model cannot take.
    """
    model = plain(model)
    found: list[FaultRun] = []
    for fault in faults_of(model):
        if tell:
            tell(fault.name)
        found.append(run_fault(model, inputs, fault.name, mask_token_id=mask_token_id))
    return found


def run_fault(model: Any, inputs: Mapping[str, Any], name: str, *, mask_token_id: int | None = None) -> FaultRun:
    """Make one mistake. The budgets are derived by the first call with these weights and inputs, and kept.

    Args:
        model: one of ours, on any engine; its numpy twin in float32 is what is broken.
        inputs: the arguments of the call.
        name: of a fault of `faults_of(model)`, or "none": then nothing is broken.
        mask_token_id: which id is a mask; None for the last of the vocabulary, where RoBERTa's dictionaries have it.

    Raises:
        TypeError: something else than a model of ours.
        ValueError: arguments that the model cannot take, an unknown fault, or one that concerns another model.

    Example:
        >>> from roberta import RobertaConfig, RobertaModel
        >>> config = RobertaConfig(num_hidden_layers=1, hidden_size=4, num_attention_heads=2, intermediate_size=4)
        >>> run = run_fault(RobertaModel(config, "numpy"), {"input_ids": [[0, 5, 2]]}, "residual")
        >>> run.first, run.first == run.own_tap, run.ratios["embeddings.sum"] < 1
        ('encoder.layer.0.attention.output.sum', True, True)
    """
    model, given = plain(model), arrays(model, inputs)
    fault = _fault_of(model, name)
    budgets = TapBudgets.of(model, given)
    with np.errstate(all="ignore"):  # what becomes infinite, or no number, is as wrong as can be
        taps = twin(fault.mutant, model).taps(given)
    ratios = budgets.ratios(taps)
    own_tap, first = _own_tap(fault, list(budgets.truth)), first_departure(ratios)
    return FaultRun(
        fault.name, fault.title, fault.mutant.mistake, fault.correct, fault.wrong, own_tap, ratios, first,
        _outcome(model, taps, given, mask_token_id), _hidden(fault, own_tap, ratios, first),
    )  # fmt: skip


def faults_of(model: Any) -> tuple[Fault, ...]:
    """The faults that concern a model: its head, its configuration, and a tap where it shows.

    Example:
        >>> from roberta import RobertaConfig, RobertaForTokenClassification
        >>> faults = faults_of(RobertaForTokenClassification(RobertaConfig(num_hidden_layers=1, vocab_size=7), "numpy"))
        >>> [name for name in ("eps-1e-12", "decoder-bias", "causal-mask") if name in {fault.name for fault in faults}]
        []
        >>> [name for name in ("eps-1e-6", "decoder-bias", "causal-mask") if name in {fault.name for fault in faults}]
        ['eps-1e-6']
    """
    taps = list(symbols(model.head, model.config, **model.options))
    return tuple(fault for fault in FAULTS if _concerns(fault, model, taps))


# -- pieces ----------------------------------------------------------------------------------------------------------


def _fault_of(model: Any, name: str) -> Fault:
    """The fault of this name that concerns the model."""
    if name == HONEST:
        return Fault(HONEST, "nothing broken", Mutant(HONEST, "nobody made a mistake"), "", "")
    named = [fault for fault in FAULTS if fault.name == name]
    if named and _concerns(named[0], model, list(symbols(model.head, model.config, **model.options))):
        return named[0]
    known = [fault.name for fault in faults_of(model)]
    near = [] if named else get_close_matches(name, known, n=1)
    why = "that concerns another head or configuration; " if named else f"did you mean {near[0]!r}? " if near else ""
    message = f"name: required a fault of {type(model).__name__}, got {name!r}; {why}there are {', '.join(known)}"
    raise ValueError(message)


def _concerns(fault: Fault, model: Any, taps: Sequence[str]) -> bool:
    """Whether a model with these taps has what it breaks."""
    return model.head in fault.mutant.heads and fault.concerns(model.config) and _own_tap(fault, taps) != ""


def _own_tap(fault: Fault, taps: Sequence[str]) -> str:
    """The first of these taps at which its mistake may be seen; "" where there is none."""
    return next((name for name in taps if fault.mutant.departs_at(name)), "")


def _hidden(fault: Fault, own_tap: str, ratios: Mapping[str, float], first: str | None) -> str:
    """Why a mistake is not first seen at its own tap."""
    if first == own_tap or fault.name == HONEST:
        return ""
    extent = f"here it moves {own_tap} by {ratios.get(own_tap, 0.0):.2g} of what float32 may err"
    needs = f"; it shows with {fault.mutant.needs}" if fault.mutant.needs else ""
    return extent + (needs if first is None else f", and is first seen at {first}")


def _outcome(model: Any, taps: Mapping[str, Array], inputs: Mapping[str, Any], mask: int | None) -> dict[str, Any]:
    """What the head says, from the last of its taps."""
    last = taps[list(taps)[-1]]
    if model.head in LM:
        return {"words": _words(last, inputs, model.config.vocab_size - 1 if mask is None else mask)}
    if model.head == "question_answering":
        return {"values": {"start_logits": _rounded(last[..., 0]), "end_logits": _rounded(last[..., 1])}}
    if model.head == "multiple_choice":
        tokens = inputs["inputs_embeds"] if inputs.get("input_ids") is None else inputs["input_ids"]  # B C T, …
        return {"values": {"logits": _rounded(last.reshape(tokens.shape[:2]))}}
    if model.head == "model":  # (B, D) of the pooler, or of the first tokens
        is_pooled = last.ndim == 2
        values = last if is_pooled else last[:, 0]
        return {"values": {"pooler_output" if is_pooled else "first_hidden_state": _rounded(values)}}
    return {"values": {"logits": _rounded(last)}}


def _words(logits: Array, inputs: Mapping[str, Any], mask: int) -> list[dict[str, Any]]:
    """The best words at each mask; where there is none, behind the last real token of each row."""
    with np.errstate(all="ignore"):
        probabilities = softmax(logits.astype(np.float64))  # B T V, or W V
    found: list[dict[str, Any]] = []
    for number, (row, token) in enumerate(_places(inputs, mask, logits.shape[:2])):
        at = probabilities[number] if logits.ndim == 2 else probabilities[row, token]  # V
        best = np.argsort(-at, kind="stable")[:TOP]
        found.append({"row": row, "token": token, "ids": best.tolist(), "probabilities": _rounded(at[best])})
    return found


def _places(inputs: Mapping[str, Any], mask: int, shape: tuple[int, ...]) -> list[tuple[int, int]]:
    """Row and token of each answer: those that were asked for, else the masks, else the last real tokens."""
    if inputs.get("positions") is not None:
        return [(int(row), int(token)) for row, token in inputs["positions"]]
    ids = inputs.get("input_ids")
    masks = [] if ids is None else [(int(row), int(token)) for row, token in np.argwhere(ids == mask)]
    if masks:
        return masks
    B, T = shape
    given = inputs.get("attention_mask")
    is_real = np.ones((B, T), bool) if given is None or given.ndim != 2 else given[:, -T:] == 1
    return [(row, int(np.flatnonzero(real)[-1]) if real.any() else T - 1) for row, real in enumerate(is_real)]


def _rounded(values: Array) -> Any:
    """Six digits in nested lists; None for what is no finite number, as JSON has none."""
    if values.ndim:
        return [_rounded(value) for value in values]
    return float(f"{float(values):.6g}") if np.isfinite(values) else None
