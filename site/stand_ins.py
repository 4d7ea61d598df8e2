"""What stands in for the two libraries that are not to be had for the browser. All else there is the real thing.

`ml_dtypes` and `safetensors` are compiled, and no registry that the build may ask has them for WebAssembly. Here the
package needs of them what is below, and no more: the checkpoint holds float32, so that NumPy need not know bfloat16,
and of a safetensors file the header is read. What a user's file could make them do is not stood in for, and raises.

`reference/special.py` and `parity/distributions.py` do without SciPy by themselves.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "U8": "u1", "BOOL": "?"}


class SafetensorError(Exception):
    """A damaged file, or one with numbers that NumPy lacks."""


class safe_open:  # noqa: N801  # the library's name
    """`safetensors.safe_open` for NumPy: the names of a file, and each tensor as a copy.

    Args:
        path: the file.
        framework: "numpy".
    """

    def __init__(self, path: str, framework: str) -> None:
        if framework != "numpy":
            message = f"framework: the browser's stand-in for safetensors knows 'numpy', got {framework!r}"
            raise SafetensorError(message)
        content = Path(path).read_bytes()
        start = 8 + int.from_bytes(content[:8], "little")
        self._numbers = content[start:]
        self._header: dict[str, Any] = json.loads(content[8:start])
        self._header.pop("__metadata__", None)

    def __enter__(self) -> safe_open:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def keys(self) -> list[str]:
        """The names, in the order of the alphabet, as the library gives them."""
        return sorted(self._header)

    def get_tensor(self, name: str) -> Any:
        """One tensor."""
        about = self._header[name]
        if about["dtype"] not in DTYPES:
            message = f"{name}: the browser's stand-in for safetensors has no {about['dtype']}"
            raise SafetensorError(message)
        first, end = about["data_offsets"]
        return np.frombuffer(self._numbers[first:end], DTYPES[about["dtype"]]).reshape(about["shape"]).copy()


def install() -> None:
    """Make them importable, where the libraries themselves are not."""
    for name, content in {
        "ml_dtypes": {"finfo": np.finfo},
        "safetensors": {"safe_open": safe_open, "SafetensorError": SafetensorError},
    }.items():
        module = ModuleType(name, __doc__)
        vars(module).update(content)
        sys.modules.setdefault(name, module)
