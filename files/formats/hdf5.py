"""`tf_model.h5`, as transformers' TensorFlow classes have it, and `.weights.h5`, as ours have it on Keras 3.

HDF5 is a file system in a file, with links to other files and numbers kept elsewhere: all that is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from . import spelling
from .table import library

#: The class of each head, as TensorFlow spells it.
TOPS = {
    "model": "tf_roberta_model",
    **{
        head: f"tf_roberta_for_{head}"
        for head in (
            "causal_lm", "masked_lm", "sequence_classification", "multiple_choice", "token_classification",
            "question_answering",
        )
    },
}  # fmt: skip
#: How deep groups lie in each other, at most; the format's own need fourteen.
DEPTH = 32
#: How many bytes of numbers a byte of a file may stand for: packing that is better than this is taken for an attack.
PACKED = 16
#: What a Keras layer of ours is called in a file -> HF's name.
KERAS = {
    "self.linear": "self.query", "self.linear_1": "self.key", "self.linear_2": "self.value",
    "attention._end.linear": "attention.output.dense", "attention._end.layer_norm": "attention.output.LayerNorm",
    "_end.linear": "output.dense", "_end.layer_norm": "output.LayerNorm", "intermediate.linear": "intermediate.dense",
    "self.embedding": "self.distance_embedding",
}  # fmt: skip


def read(path: Path) -> dict[str, Any]:
    """The tensors of a file: HF's name -> array, as PyTorch has it.

    Args:
        path: the file, of either kind, or one shard of transformers'.

    Raises:
        ModuleNotFoundError: h5py is not installed; says what to type.
        ValueError: a damaged file; one that leads to another; one that would be larger in memory than `PACKED` times
            itself; or two arrays of one name that differ.

    Numerics: no number is converted; turned matrices are views.
    """
    h5py = library("h5py")
    try:
        with h5py.File(path, "r") as file:
            return _tensors(path, file, path.stat().st_size * PACKED)
    except (OSError, RuntimeError, KeyError, TypeError, ValueError, OverflowError, MemoryError) as error:
        is_said = str(error).startswith(f"{path}")
        if is_said or isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError):
            raise
        shown = str(error)[:200].encode("ascii", "backslashreplace").decode()
        raise ValueError(f"{path} is damaged or no HDF5 file ({shown}); save or download it again") from error


def write(path: Path, tensors: Mapping[str, Any], head: str) -> None:
    """Write tensors as transformers' TensorFlow classes do, one at a time.

    Args:
        path: the file. One that ends as a shard's does is laid out as a shard.
        tensors: HF's name -> array; its values may be made when they are asked for.
        head: whose these are.

    Raises:
        ModuleNotFoundError: h5py is not installed; says what to type.
        ValueError: a decoder of its own, or a dtype, that transformers' TensorFlow classes have not.
    """
    h5py = library("h5py")
    is_shard = re.search(r"-\d+-of-\d+\.h5$", path.name) is not None
    with h5py.File(path, "w") as file:
        groups: dict[str, list[str]] = {}
        for name in tensors:
            whole, array = spelled_for(name, head), tensors[name]
            if array.dtype.name not in ("float32", "float64", "float16"):
                required = "float32, float64 or float16, which HDF5 has"
                raise ValueError(f"{path.name}: required {required}, got {array.dtype.name}; give another dtype=")
            place, group = whole, ""
            if is_shard:
                place = whole.partition("/")[2]
            else:
                group = whole.split("/")[1]
                place = f"{group}/{whole}"
            groups.setdefault(group, []).append(whole)
            file[place] = array.T if _is_turned(name) else array
        if is_shard:
            _put_names(file, "layer_names", [name.partition("/")[2] for names in groups.values() for name in names])
            return
        if "lm_head" in groups:  # its layer has the word table for its own, too, and what belongs to that
            for name in [name for name in groups["roberta"] if "/roberta/embeddings/" in name]:
                file[f"lm_head/{name}"] = file[f"roberta/{name}"]
                groups["lm_head"].append(name)
        _put_names(file, "layer_names", [*groups])
        file.attrs["backend"] = "tensorflow"
        file.attrs["keras_version"] = "2.21.0"
        for group, names in groups.items():
            _put_names(file[group], "weight_names", names)


def spelled_for(name: str, head: str) -> str:
    """What a file, and an index of shards, calls a tensor of a head.

    Raises:
        ValueError: transformers' TensorFlow classes have no such weight.

    Example:
        >>> spelled_for("pooler.dense.bias", "model")
        'tf_roberta_model/roberta/pooler/dense/bias:0'
    """
    if name.startswith("lm_head.decoder."):
        message = "required a decoder that is the word table, as TensorFlow's classes have it, got one of its own"
        raise ValueError(f'{name}: {message}; save it with format="safetensors" or "pytorch"')
    whole = f"roberta.{name}" if head == "model" else name
    return f"{TOPS[head]}/{spelling.tensorflow_name(whole)[0]}"


def spelled(name: str) -> tuple[str, bool]:
    """HF's name of what a file calls by this, and whether its matrix is turned.

    Example:
        >>> spelled("tf_roberta_for_masked_lm/lm_head/dense/kernel:0")
        ('lm_head.dense.weight', True)
        >>> spelled("layers/body/encoder/container/layer_1/attention/self/linear_2/vars/bias")
        ('roberta.encoder.layer.1.attention.self.value.bias', False)
    """
    parts = name.split("/")
    if "vars" in parts:
        return _keras_name(parts), False
    top = next((place for place in (1, 0) if place < len(parts) - 1 and re.match(r"tf_?[a-z_]+", parts[place])), None)
    return spelling.hf_name(parts if top is None else parts[top + 1 :])


# -- pieces ------------------------------------------------------------------------------------------------------------


def _tensors(path: Path, file: Any, most: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    seen: dict[str, int] = {}
    for name, dataset in _datasets(path, file):
        own, is_turned = spelled(name)
        address = dataset.id.__hash__()
        if dataset.dtype.kind != "f" or (own in seen and seen[own] == address):
            continue  # a counter, or a link to what was read
        most -= dataset.size * dataset.dtype.itemsize
        if most < 0:
            raise ValueError(f"{path}: {_ascii(name)} of shape {dataset.shape} is larger than {PACKED} times the file")
        array = np.empty(dataset.shape, dataset.dtype.newbyteorder("="))
        dataset.read_direct(array) if array.size else None
        if own in found and not np.array_equal(found[own].T if is_turned else found[own], array, equal_nan=True):
            raise ValueError(f"{path}: required one array for {_ascii(own)}, got another from {_ascii(name)}")
        if own not in found:
            found[own], seen[own] = array.T if is_turned else array, address
    if not found:
        raise ValueError(f"{path}: required arrays of floating-point numbers, got a file without any")
    return found


def _datasets(path: Path, group: Any, above: str = "", inside: tuple[int, ...] = ()) -> Iterator[tuple[str, Any]]:
    """All arrays of a file by their places in it; what leads out of it is refused."""
    h5py = library("h5py")
    for name in group:
        place, link = f"{above}{name}", group.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise ValueError(f"{path}: {_ascii(place)} is a link to somewhere else; weights lie in the file itself")
        item = group[name]
        if isinstance(item, h5py.Group):
            address = hash(item.id)
            if address in inside or len(inside) >= DEPTH:
                raise ValueError(f"{path}: {_ascii(place)} lies in itself, or deeper than {DEPTH} groups")
            yield from _datasets(path, item, f"{place}/", (*inside, address))
        elif isinstance(item, h5py.Dataset):
            if item.is_virtual or item.external:
                raise ValueError(f"{path}: the numbers of {_ascii(place)} lie in another file; save them into this one")
            yield place, item


def _keras_name(parts: list[str]) -> str:
    steps = [part for part in parts if part not in ("layers", "vars", "container")]
    if not steps:
        return ".".join(parts)
    steps = ["roberta" if part == "body" else part for part in steps]
    if steps[0] == "linear":
        return f"qa_outputs.{steps[-1]}"
    name = ".".join(steps)
    name = re.sub(r"\bencoder\.layer(?:_(\d+))?\.", lambda found: f"encoder.layer.{found[1] or 0}.", name)
    for own, hf in KERAS.items():
        name = re.sub(rf"(?<![\w.])((?:.*\.)?){re.escape(own)}(?=\.(?:weight|bias)$)", rf"\1{hf}", name)
    return name


def _is_turned(name: str) -> bool:
    return spelling.tensorflow_name(name)[1]


def _put_names(group: Any, name: str, names: list[str]) -> None:
    """Names as an attribute, as Keras writes them: bytes of one length, in parts where there are many."""
    values = [one.encode() for one in names]
    most = 64_000 // max(map(len, values), default=1)
    if len(values) <= most:
        group.attrs[name] = np.array(values) if values else np.array([], "S1")
        return
    for number, start in enumerate(range(0, len(values), most)):
        group.attrs[f"{name}{number}"] = np.array(values[start : start + most])


def _ascii(text: str) -> str:
    return ascii(text)[:120]
