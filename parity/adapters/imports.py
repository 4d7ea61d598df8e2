"""Things to import, by "module:attribute", as commands and settings name them."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from ..candidates import Candidate, as_candidate


def adapt(thing: str, reference: Any = None) -> Candidate:
    """What the attribute holds, as a candidate of its own kind. The current folder is looked into, too.

    Raises:
        ImportError: no such module.
        AttributeError: it has no such attribute.
        TypeError: what it holds cannot be asked.
    """
    module_name, _, path = thing.partition(":")
    sys.path.insert(0, str(Path.cwd()))
    try:
        found: Any = import_module(module_name)
    except ModuleNotFoundError as error:
        message = f"candidate: required the module of {thing!r}, got {error}; start where it lies, or install it"
        raise ModuleNotFoundError(message, name=error.name) from error
    finally:
        sys.path.remove(str(Path.cwd()))
    for part in path.split("."):
        if not hasattr(found, part):
            public = ", ".join(name for name in dir(found) if not name.startswith("_"))
            message = f"candidate: required {path!r} in {module_name}, got nothing of that name; it has {public:.200}"
            raise AttributeError(message)
        found = getattr(found, part)
    return as_candidate(found, name=thing, reference=reference)
