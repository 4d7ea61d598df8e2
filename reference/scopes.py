"""The spec's functions in another scope: the same lines, whose names mean what an engine makes of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any, TypeVar, cast

Function = TypeVar("Function", bound=Callable[..., Any])


def in_scope(function: Function, names: Mapping[str, Any]) -> Function:
    """A twin of a function, whose global names mean what `names` says, and otherwise what they meant.

    So an engine that computes with NumPy's arrays takes over the equations that it does not write itself.

    Example:
        >>> import numpy as np
        >>> from roberta.reference import losses
        >>> twin = in_scope(losses.choice_loss, {"cross_entropy": lambda logits, labels: "mine"})
        >>> twin({"logits": None}, labels=np.array([1]), config=None)
        'mine'
    """
    made = cast(FunctionType, function)
    twin = FunctionType(
        made.__code__, {**made.__globals__, **names}, made.__name__, made.__defaults__, made.__closure__
    )
    twin.__kwdefaults__, twin.__annotations__ = made.__kwdefaults__, made.__annotations__
    twin.__doc__, twin.__qualname__ = made.__doc__, made.__qualname__
    return cast(Function, twin)
