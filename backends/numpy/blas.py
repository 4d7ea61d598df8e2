"""Which kernels NumPy's products run, and whether the processor could run better ones."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

import numpy as np

#: What a processor has, NumPy's names for it, OpenBLAS's kernels that use it, and the one to ask for. The widest first.
KERNELS = (
    ("AVX-512", {"AVX512_SKX", "X86_V4"}, {"SkylakeX", "Cooperlake", "SapphireRapids", "Graniterapids"}, "SKYLAKEX"),
    ("AVX2", {"AVX2", "X86_V3"}, {"Haswell", "Zen"}, "HASWELL"),
)
#: By which OpenBLAS is told, when it is loaded.
VARIABLE = "OPENBLAS_CORETYPE"


def remark() -> str:
    """What would make NumPy's products faster; "" where nothing would, or where nobody can say.

    OpenBLAS goes by the processor's name, and takes older kernels for one that it does not know. threadpoolctl (the
    extra `report`) says which it has taken.
    """
    if VARIABLE in os.environ:
        return ""
    return advice(architecture(), features())


def advice(kernel: str, available: set[str]) -> str:
    """What to set, of the kernels in use and what the processor has.

    Example:
        >>> advice("Haswell", {"AVX2", "AVX512_SKX"})
        "NumPy's products run kernels for Haswell; this processor has AVX-512: start with OPENBLAS_CORETYPE=SKYLAKEX"
        >>> advice("SkylakeX", {"AVX2", "AVX512_SKX"}), advice("", {"AVX2"})
        ('', '')
    """
    for feature, names, kernels, name in KERNELS:
        if kernel in kernels or not kernel:
            return ""
        if names & available:
            what = f"NumPy's products run kernels for {kernel}; this processor has {feature}"
            return f"{what}: start with {VARIABLE}={name}"
    return ""


def architecture() -> str:
    """For which processor NumPy's OpenBLAS has taken its kernels; "" where it is another library, or unknown."""
    try:
        found: list[dict[str, Any]] = import_module("threadpoolctl").threadpool_info()
    except ImportError:
        return ""
    own = [one for one in found if one.get("internal_api") == "openblas" and "numpy" in one.get("filepath", "")]
    return str(own[0].get("architecture", "")) if own else ""


def features() -> set[str]:
    """What the processor has, of that which NumPy looks for."""
    umath: Any = import_module(f"{np.__name__}._core._multiarray_umath")
    found: dict[str, bool] = getattr(umath, "__cpu_features__", {})
    return {name for name, is_there in found.items() if is_there}
