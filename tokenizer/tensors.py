"""Lists become the arrays of a framework, which is imported only when asked for."""

import importlib
from typing import Any

import numpy as np

__all__ = ["to_tensor"]

# name -> (module, what to install, integer dtype). TensorFlow's and JAX's embeddings take int32, as in transformers.
_FRAMEWORKS = {
    "np": ("numpy", "numpy", "int64"),
    "pt": ("torch", "torch", "int64"),
    "tf": ("tensorflow", "tensorflow", "int32"),
    "jax": ("jax.numpy", "jax", "int32"),
}


def to_tensor(name: str, rows: Any, framework: str) -> Any:
    """Turn equally long rows into one tensor.

    Args:
        name: the field's name, for messages.
        rows: nested lists of integers; or of floats, such as labels of a regression.
        framework: ``"np"``, ``"pt"``, ``"tf"`` or ``"jax"``.

    Returns:
        An integer tensor: int64 for NumPy and PyTorch, int32 for TensorFlow and JAX. Of floats a float32 tensor.

    Raises:
        ValueError: rows of different lengths, or of texts; or an unknown framework.
        ImportError: the framework is not installed.

    Example:
        >>> to_tensor("input_ids", [[0, 2], [0, 2]], "np").shape
        (2, 2)
    """
    if framework not in _FRAMEWORKS:
        raise ValueError(
            f"return_tensors: expected one of {', '.join(map(repr, _FRAMEWORKS))} or None, got "
            f"{framework!r}; pass one of these"
        )
    module_name, package, dtype = _FRAMEWORKS[framework]
    try:
        array = np.asarray(rows)
    except ValueError:
        raise ValueError(_ragged(name, rows)) from None
    if array.dtype.kind not in "biuf":
        raise ValueError(_no_numbers(name, array))
    array = array.astype(np.float32 if array.dtype.kind == "f" and array.size else dtype, copy=False)
    module = _import(module_name, package, framework)
    return array if framework == "np" else _native(module, array, framework)


def _native(module: Any, array: np.ndarray[Any, Any], framework: str) -> Any:
    if framework == "pt":
        return module.from_numpy(array)
    return module.asarray(array) if framework == "jax" else module.constant(array)


def _import(module: str, package: str, framework: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"return_tensors={framework!r} needs {package}, which cannot be imported ({error}); "
            f"pip install {package}, or use return_tensors='np'"
        ) from error


def _no_numbers(name: str, array: np.ndarray[Any, Any]) -> str:
    odd = next((each for each in array.ravel().tolist() if not isinstance(each, int | float)), None)
    return (
        f"{name}: expected numbers for return_tensors, got {type(odd).__name__} {odd!r:.80}; take that field out, as "
        f"remove_columns([{name!r}]) of a dataset does, or make numbers of it"
    )


def _ragged(name: str, rows: Any) -> str:
    lengths = sorted({len(row) for row in rows if hasattr(row, "__len__")})
    return (
        f"{name}: expected rows of one length for return_tensors, got integer rows of lengths {lengths[:8]}; "
        "pass padding=True, and truncation=True where texts may be too long"
    )
