"""What PyTorch's compiler makes of a model, for those who hold engines against the spec."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from typing import Any

import torch

from .weights import device_of


def compiled_forms(model: Any) -> Mapping[str, Callable[..., Any] | str]:
    """Compiler -> a callable with the model's arguments, compiled when it is called; or why there is none here.

    One program serves all sizes: where a new one came with each, a parity run would compile for minutes.
    """
    if device_of(model).type == "cpu" and not _cpp_compiler():
        return {"torch.compile": "PyTorch compiles by a C++ compiler, and there is none: install g++, or set CXX"}
    return {"torch.compile": torch.compile(model, dynamic=True)}


def _cpp_compiler() -> str | None:
    """The compiler that PyTorch would take."""
    candidates = [os.environ.get("CXX"), "g++", "clang++"]
    return next((name for name in candidates if name and shutil.which(name)), None)
