"""Hashes of what was audited: weights, inputs, probes, files. Values, names and shapes count, the layout does not."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np

from ...reference.layers import Array
from ..probes.probe import Probe


def hash_arrays(arrays: Mapping[str, Any]) -> str:
    """SHA-256 of named arrays: names, dtypes, shapes and bytes, in the order of the names.

    Args:
        arrays: name -> array, or nested lists and tuples of arrays; None stands for itself.

    Returns:
        64 hexadecimal digits. The same for either order of the names, either order of the bytes, and for a view.

    Raises:
        TypeError: no mapping.

    Example:
        >>> a, b = np.ones(2, "float32"), np.zeros(3, "int64")
        >>> hash_arrays({"a": a, "b": b}) == hash_arrays({"b": b, "a": a})
        True
        >>> hash_arrays({"a": a}) == hash_arrays({"a": a.astype("float64")})
        False
    """
    if not isinstance(arrays, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        message = f"arrays: required a mapping of names to arrays, got {type(arrays).__name__}; such as {{'x': array}}"
        raise TypeError(message)
    digest = hashlib.sha256()
    for name in sorted(arrays):
        _add(digest, name, arrays[name])
    return digest.hexdigest()


def hash_model(model: Any) -> str:
    """SHA-256 of a model's weights by HF's names; what is tied to another parameter counts once, under its first name.

    Args:
        model: a model of ours, on any engine.

    Returns:
        As `hash_arrays`; the same on every engine.

    Example:
        >>> import roberta
        >>> from roberta.parity.cases import small_config
        >>> model = roberta.RobertaModel(small_config(), backend="numpy")
        >>> hash_model(model) == hash_model(model.to_backend("numpy", dtype="float64"))
        False
    """
    state: Mapping[str, Array] = model.state_dict_numpy()
    table = model.table
    return hash_arrays({name: value for name, value in state.items() if name not in table or not table[name].tied_to})


def hash_probes(probes: Iterable[Probe]) -> str:
    """SHA-256 of a battery: the names, the inputs of every call, and the weights where a probe has its own.

    Example:
        >>> from roberta.parity.probes.probe import Call
        >>> def one(ids):
        ...     return Probe("one", (), (Call({"input_ids": np.array(ids)}),))
        >>> hash_probes([one([[1, 2]])]) == hash_probes([one([[2, 1]])])
        False
    """
    digest = hashlib.sha256()
    for probe in probes:
        digest.update(_framed(probe.name, probe.judges_padding, probe.asks_answer_only, len(probe.calls)))
        for call in probe.calls:
            digest.update(_framed(call.continues, hash_arrays(call.inputs)))
        digest.update(_framed(None if probe.state is None else hash_arrays(probe.state)))
    return digest.hexdigest()


def hash_file(path: str | Path) -> str:
    """SHA-256 of a file's bytes, as `sha256sum` prints it.

    Raises:
        FileNotFoundError: no such file.
    """
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _add(digest: Any, name: str, value: Any) -> None:
    """A value under a name; of a sequence each part under a name of its own."""
    if isinstance(value, list | tuple) and any(hasattr(part, "shape") for part in cast("list[Any]", value)):
        for index, part in enumerate(cast("list[Any]", value)):
            _add(digest, f"{name}.{index}", part)
        return
    if value is None:
        digest.update(_framed(name, None))
        return
    array: Array = np.asarray(cast("Any", value))
    content = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False))
    digest.update(_framed(name, array.dtype.name, array.shape))
    digest.update(content.tobytes() if array.dtype.hasobject else content.reshape(-1).view(np.uint8))


def _framed(*parts: object) -> bytes:
    """Parts in such a form that no two lists of parts have the same: "ab", "c" is not "a", "bc"."""
    return (repr(parts) + "\n").encode()
