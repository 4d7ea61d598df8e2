"""The call of a model, the same for all heads and engines: bind, check, convert, compute, add the loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

from ..reference.inputs import LABELS, Inputs
from ..reference.outputs import Output
from ..reference.outputs import as_fields as as_fields
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
        look = arguments.outlined if _is_open(model.engine, given) else arguments.visible
        checks.check_call(model.head, model.config, {name: look(name, value) for name, value in given.items()})
    native = {name: arguments.native(name, value, model) for name, value in given.items()}
    labels = [native[name] for name in LABELS[model.head] if native[name] is not None]
    output = run(arguments.as_inputs(native, model, bool(labels)), bool(labels))
    if labels:
        output = replace(output, loss=model.engine.LOSSES[model.head](output, *labels, model.config))
    wants_record = model.config.use_return_dict if native["return_dict"] is None else native["return_dict"]
    return output if wants_record else output.to_tuple()


def _is_open(engine: Any, given: Mapping[str, Any]) -> bool:
    """Whether the values are unknown: to a compiler that looks on, or because an argument has a shape only."""
    has_values = getattr(engine, "has_values", None)
    return engine.is_tracing() or (has_values is not None and not all(map(has_values, given.values())))


@dataclass(frozen=True)
class Body:
    """A head's body as a model that can be called: what `called` asks of one."""

    body: Any
    engine: ModuleType
    head: str = "model"
    checks_inputs: bool = True

    @property
    def config(self) -> Any:
        """The head's."""
        return self.body.config

    def _like(self) -> Any:
        """What arrays made for it are like."""
        return self.body


def body_called(owner: type[Any], body: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """What `model.roberta(...)` answers: as the bare model is called, so it is checked, converted and answered.

    Args:
        owner: the class of the model, which knows the engine.
        body: what computes.
        args: of the call.
        kwargs: of the call.
    """
    return called(Body(body, owner.engine), args, kwargs, lambda inputs, _: body.run(inputs))
