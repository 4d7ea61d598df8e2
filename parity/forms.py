"""The forms in which an engine computes: its model, what that gives for inference, and what compilers make of it.

    for name, form in forms_of(model, ("plain", "inference", "compiled")):  ...

Each is code of its own, so each has a row of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from .adapters.models import WrappedCandidate
from .candidates import Candidate, as_candidate

#: All there are. Compilers take seconds to minutes, so that theirs are held against the spec where they are asked for.
FORMS = ("plain", "inference", "compiled")
USUAL = FORMS[:2]


def require_forms(forms: Sequence[str]) -> None:
    """Refuse what is no form.

    Raises:
        ValueError: an unknown form, or none.

    Example:
        >>> require_forms(["plain", "jit"])
        Traceback (most recent call last):
        ValueError: forms: required some of ['plain', 'inference', 'compiled'], got ['plain', 'jit']
    """
    if not forms or not set(forms) <= set(FORMS):
        message = f"forms: required some of {list(FORMS)}, got {list(forms)}"
        raise ValueError(message)


def forms_of(model: Any, wanted: Sequence[str] = USUAL) -> Iterator[tuple[str, Candidate | str]]:
    """The forms of a model.

    Args:
        model: of ours, on any engine.
        wanted: some of `FORMS`.

    Returns:
        Name, "" for the model itself, and candidate, or in words why there is none here. An engine without an inference
        form, and one without compilers, has none.

    Example:
        >>> import roberta
        >>> from roberta.parity.cases import small_config
        >>> model = roberta.RobertaModel(small_config(), backend="numba")
        >>> [name for name, form in forms_of(model)]
        ['', 'inference']
    """
    for name, form in models_of(model, wanted):
        yield name, as_candidate(form)
    compilers = getattr(model.engine, "compiled_forms", None) if "compiled" in wanted else None
    for name, form in compilers(model).items() if compilers else ():
        yield name, form if isinstance(form, str) else _compiled(form, model)


def models_of(model: Any, wanted: Sequence[str] = USUAL) -> Iterator[tuple[str, Any]]:
    """Those of `forms_of` that are models, as they are: called with HF's arguments, they give records."""
    if "plain" in wanted:
        yield "", model
    twin = model.for_inference() if "inference" in wanted else model
    if twin is not model:
        yield "inference", twin


def _compiled(function: Any, model: Any) -> Candidate:
    """Asked for answers alone: a program that gives hidden states is another, which would be compiled besides."""
    candidate = WrappedCandidate(function, model)
    can = candidate.capabilities
    candidate.capabilities = replace(can, inputs=can.inputs - {"output_hidden_states"})
    return candidate
