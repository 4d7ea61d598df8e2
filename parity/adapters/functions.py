"""Functions that take NumPy arrays by HF's argument names, and whatever else can be called so."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ...reference.inputs import SIGNATURES
from ..candidates import Capabilities
from .adapter import Adapter

#: Every argument that some head has, but for the form of the answer, which is always a mapping.
ARGUMENTS = frozenset(name for names in SIGNATURES.values() for name in names) - {"return_dict"}


class FunctionCandidate(Adapter):
    """A function.

    Attributes:
        function: it.
    """

    kind = "function"

    def __init__(self, function: Callable[..., Any], reference: Any = None) -> None:
        name = getattr(getattr(function, "func", function), "__name__", type(function).__name__)
        inputs = arguments_of(function, name, reference)
        super().__init__(name, Capabilities(inputs, needs=_needed(function) & inputs))
        self.function = function

    def __call__(self, **inputs: Any) -> Mapping[str, Any]:
        """Call it with what is given."""
        return self.function(**inputs)

    def files(self) -> tuple[Path, ...]:
        """The file that it is written in, if there is one."""
        named: Any = inspect.unwrap(getattr(self.function, "func", self.function))
        try:
            source = inspect.getsourcefile(named if hasattr(named, "__code__") else named.__class__)
        except TypeError:
            return ()
        return tuple(path for path in [Path(source or "")] if path.is_file())


def arguments_of(function: Callable[..., Any], name: str, reference: Any = None) -> frozenset[str]:
    """Which of HF's arguments a signature has; `**anything` alone means all of the head's.

    Raises:
        TypeError: it needs an argument that HF does not have.

    Example:
        >>> sorted(arguments_of(lambda input_ids, attention_mask=None, **ignored: None, "port"))
        ['attention_mask', 'input_ids']
    """
    everything = ARGUMENTS if reference is None else ARGUMENTS & {*SIGNATURES[reference.head]}
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # written in C, without a signature
        return everything
    bound: Mapping[str, Any] = getattr(function, "keywords", {})  # of a `functools.partial`
    given = [each for each in parameters if each.name not in bound]
    named = {each.name for each in given if each.kind in {each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY}}
    for each in given:
        is_needed = each.default is each.empty and each.kind not in {each.VAR_POSITIONAL, each.VAR_KEYWORD}
        if is_needed and (each.kind == each.POSITIONAL_ONLY or each.name not in ARGUMENTS):
            message = f"{name}: required arguments that HF has, by name, got {each.name!r}"
            raise TypeError(f"{message}; name it as one of {', '.join(sorted(ARGUMENTS))}, or give it a default")
    takes_any = any(each.kind == each.VAR_KEYWORD for each in given)
    return everything if takes_any and not named else frozenset(named & ARGUMENTS)


def _needed(function: Callable[..., Any]) -> frozenset[str]:
    """The arguments without a default."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:
        return frozenset()
    return frozenset(each.name for each in parameters if each.default is each.empty) - {"input_ids", "inputs_embeds"}


def adapt(thing: Callable[..., Any], reference: Any = None) -> FunctionCandidate:
    """A function as a candidate."""
    return FunctionCandidate(thing, reference)
