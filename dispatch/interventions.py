"""What `tape(replace=)` puts in place of a model's own values: which names there are, what a function may return."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

import numpy as np

from ..reference.taps import Tap, replacing, silent

Function = Callable[[Any], Any]


def intervening(replace: Mapping[str, Function] | None, known: Iterable[str], where: str) -> Tap:
    """The tap that puts other values in place of the model's own.

    Args:
        replace: name of a tap -> function of its value.
        known: the names that the model has.
        where: the model's class, for messages.

    Raises:
        TypeError: no mapping of names to functions.
        ValueError: a name that the model lacks; suggests the nearest.
    """
    if replace is None:
        return silent
    if not isinstance(replace, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]  # the caller's mistake
        message = f"replace: required a mapping of taps to functions, got {type(replace).__name__}: {replace!r:.60}"
        raise TypeError(f"{message}; write replace={{name: lambda value: ...}}")
    names = list(known)
    for name, function in replace.items():
        _require_known(name, names, where)
        if not callable(function):
            message = f"replace[{name!r}]: required a function of the tap's value, got {type(function).__name__}"
            raise TypeError(f"{message}; to put an array in its place: lambda value: array")
    return replacing({name: _checked(name, function) for name, function in replace.items()})


def require_computed(replace: Iterable[str], computed: Mapping[str, Any], where: str) -> None:
    """Each tap that was to be replaced was computed.

    Raises:
        ValueError: one was not; says which.
    """
    for name in replace:
        if name not in computed:
            message = f"replace: required a tap of this call, got {name!r}, which was never computed in this pass"
            raise ValueError(f"{message} of {where}; {_reason(name)}")


def _reason(name: str) -> str:
    """Why a tap that the model has may be missing from a pass, and what to do."""
    if "crossattention" in name:
        return "give encoder_hidden_states; keys and values that are in the cache are not computed anew"
    return "the engine has no path that computes it: tape.missing, without replace, lists such names"


def _require_known(name: Any, names: list[str], where: str) -> None:
    if name in names:
        return
    near = [known for known in names if known.endswith(f".{name}")] or difflib.get_close_matches(str(name), names)
    hint = f"Did you mean {' or '.join(map(repr, near[:3]))}?" if near else "list(model.tape(...)) has the names"
    message = f"replace: required a tap of {where}, got {name!r}. {hint}"
    raise ValueError(message)


def _checked(name: str, function: Function) -> Function:
    """The function, whose result must be an array like the one that it is given."""

    def run(value: Any) -> Any:
        found = function(value)
        if not _is_like(found, value):
            hint = "a function must return the array, also where it changes it in place"
            remedy = hint if found is None else "return the engine's own array, of the same shape and dtype"
            message = f"replace[{name!r}]: required {_described(value)}, got {_described(found)}; {remedy}"
            raise TypeError(message) if _library(found) != _library(value) else ValueError(message)
        return _laid_out_as(value, found)

    return run


def _is_like(found: Any, value: Any) -> bool:
    if not isinstance(found, type(value)) and _library(found) != _library(value):
        return False
    if getattr(found, "dtype", None) != value.dtype or len(found.shape) != len(value.shape):
        return False
    sizes = zip(found.shape, value.shape, strict=True)
    return all(one == other or None in (one, other) for one, other in sizes)  # None: not known while tracing


def _library(value: Any) -> str:
    """The library that a value is of; JAX's arrays and tracers come in two packages."""
    return type(value).__module__.partition(".")[0].replace("jaxlib", "jax")


def _described(value: Any) -> str:
    if not hasattr(value, "dtype"):
        return f"{type(value).__name__}: {value!r:.60}"
    return f"{_library(value)}.{type(value).__name__} {tuple(value.shape)} {value.dtype}"


def _laid_out_as(value: Any, found: Any) -> Any:
    """In memory as the value is, for which kernels are compiled; and a copy, which nobody else writes to."""
    if found is value or not isinstance(value, np.ndarray):
        return found
    own: Any = np.empty_like(cast("Any", value))
    own[...] = found
    return own
