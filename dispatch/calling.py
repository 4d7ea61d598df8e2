"""The call of a model, the same for all heads and engines: bind, check, convert, compute, add the loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from ..reference.inputs import LABELS, Inputs
from ..reference.outputs import Output
from . import arguments, checks


def called(
    model: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], run: Callable[[Inputs, bool], Output]
) -> Output | tuple[Any, ...]:
    """What a model answers.

    Args:
        model: whose head, configuration and engine are meant.
        args: of the call, in HF's order.
        kwargs: of the call.
        run: the computation: the checked inputs, and whether there are labels -> the head's record.

    Raises:
        ValueError: a shape, value or combination that the head cannot take.
        TypeError: an unknown argument, or one of the wrong kind.
    """
    given = checks.bind(model.head, args, kwargs)
    past = arguments.as_cache(given.get("past_key_values"), given.get("attention_mask"), model)
    given["past_key_values"] = past
    if model.checks_inputs:
        look = arguments.outlined if model.engine.is_tracing() else arguments.visible
        checks.check_call(model.head, model.config, {name: look(name, value) for name, value in given.items()})
    native = {name: arguments.native(name, value, model) for name, value in given.items()}
    labels = [native[name] for name in LABELS[model.head] if native[name] is not None]
    output = run(arguments.as_inputs(native, model, bool(labels)), bool(labels))
    if labels:
        output = replace(output, loss=model.engine.LOSSES[model.head](output, *labels, model.config))
    wants_record = model.config.return_dict if native["return_dict"] is None else native["return_dict"]
    return output if wants_record else output.to_tuple()
