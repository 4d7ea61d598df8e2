"""`pytorch_model.bin` and its kin: what `torch.save` has written, read without PyTorch and without running any of it.

Two generations: a zip archive with one pickle and one member for each storage; and, of before 2020, five pickles in a
row with the storages behind them. Numbers are mapped, not copied.

Source: `torch.save`, `torch/serialization.py`.
"""

from __future__ import annotations

import io
import mmap
import sys
import zipfile
import zlib
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from . import pickles
from .pickles import Record, Storage, Tensor

#: What an old file begins with, as a number.
MAGIC = 0x1950A86A20F9469CFC6C
#: Where the weights are in a file that holds more: PyTorch Lightning and most scripts; fairseq; others; DeepSpeed.
STATES = ("state_dict", "model_state_dict", "model", "module")
#: Each storage begins at a multiple of this in the archive, as torch has it.
ALIGNMENT = 64
#: NumPy's name of a dtype -> torch's class of a storage.
STORAGES = {dtype: name for name, dtype in pickles.STORAGES.items() if name != "UntypedStorage"}


def read(path: Path) -> dict[str, Any]:
    """The tensors of a file: name -> array in the dtype of the file, which lies in the file.

    Args:
        path: the file. Where it holds more than weights, such as an optimizer's state, they are looked for under the
            names in `STATES`.

    Raises:
        ValueError: a damaged file; one that asks for anything but tensors, which is named; or one without weights.

    Numerics: no number is converted. The arrays are private copies of pages, as in `files.mapped`.
    """
    return tensors_of(path, read_whole(path))


def read_whole(path: Path) -> Any:
    """All that a file holds, with arrays in place of the tensors in its dicts.

    Raises:
        ValueError: as `read`.
    """
    import ml_dtypes  # noqa: F401  # pyright: ignore[reportUnusedImport]  # makes bfloat16 known to NumPy

    try:
        with path.open("rb") as stream:
            if not stream.read(1):
                message = "it is empty"
                raise ValueError(message)
            pages = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY)
        if pages[:4] == b"PK\x03\x04":
            tree, storages = _zipped(path, pages)
        else:
            tree, storages = _in_a_row(pages)
        return _with_arrays(tree, storages, 3)
    except pickles.RefusedError as error:
        message = f"{path} is not read: {error}. Only tensors in dicts are taken from it, and nothing is run"
        raise ValueError(message) from error
    except (ValueError, zipfile.BadZipFile, NotImplementedError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is damaged or no file of PyTorch's ({error}); save or download it again") from error


def tensors_of(path: Path, tree: Any) -> dict[str, Any]:
    """The state that is in a file: the file's own dict, or the one under one of the names in `STATES`.

    Raises:
        ValueError: there is none; says what is there.
    """
    whole = cast("dict[Any, Any]", tree) if isinstance(tree, dict) else {}
    inner = (cast("dict[Any, Any]", whole[name]) for name in STATES if isinstance(whole.get(name), dict))
    values = next((one for one in inner if any(isinstance(value, np.ndarray) for value in one.values())), whole)
    state: dict[str, Any] = {str(name): value for name, value in values.items() if isinstance(value, np.ndarray)}
    if not state:
        there = (
            ", ".join(sorted(_ascii(name) for name in values)[:8]) if values else type(cast("object", tree)).__name__
        )
        message = f"{path}: required a dict of names and tensors, at the top or under one of {list(STATES)}"
        raise ValueError(f"{message}, got {there}")
    return state


# -- reading -----------------------------------------------------------------------------------------------------------


def _zipped(path: Path, pages: mmap.mmap) -> tuple[Any, dict[str, Any]]:
    """The pickle of an archive, and its storages: key -> bytes in the file."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    names = [member.filename for member in members]
    places = [name for name in names if name.endswith("/data.pkl") and name.count("/") == 1]
    if any(name.endswith("/constants.pkl") for name in names):
        message = "it is a TorchScript program; save its state_dict() with torch.save"
        raise pickles.RefusedError(message)
    if len(places) != 1 or len(set(names)) != len(names):
        message = f"its members are {[_ascii(name) for name in names[:4]]}, of which one has to be NAME/data.pkl"
        raise ValueError(message)
    top = places[0].removesuffix("data.pkl")
    parts = {member.filename.removeprefix(top): _stored(pages, member) for member in members}
    if bytes(parts.get("byteorder", b"little")) != b"little":
        message = "its numbers are big-endian; load and save it once with PyTorch on a machine of today"
        raise ValueError(message)
    tree = pickles.read(io.BytesIO(parts["data.pkl"]), len(parts["data.pkl"]))
    return tree, {name.removeprefix("data/"): part for name, part in parts.items() if name.startswith("data/")}


def _stored(pages: mmap.mmap, member: zipfile.ZipInfo) -> memoryview:
    """Where a member lies in the file. It must be there as it is: what is compressed could be of any size."""
    if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1 or member.file_size != member.compress_size:
        message = f"its member {_ascii(member.filename)} is compressed or encrypted, which torch.save never does"
        raise ValueError(message)
    header = pages[member.header_offset : member.header_offset + 30]
    if len(header) < 30 or header[:4] != b"PK\x03\x04":
        message = f"its member {_ascii(member.filename)} is not where its table says"
        raise ValueError(message)
    names, more = (int.from_bytes(header[place : place + 2], "little") for place in (26, 28))
    begin = member.header_offset + 30 + names + more
    if begin + member.file_size > len(pages):
        message = f"its member {_ascii(member.filename)} ends behind the file"
        raise ValueError(message)
    return memoryview(pages)[begin : begin + member.file_size]


def _in_a_row(pages: mmap.mmap) -> tuple[Any, dict[str, Any]]:
    """The pickle of an old file, and its storages behind it."""
    size = len(pages)
    stream = cast("BinaryIO", pages)
    magic = pickles.read(stream, size)
    if type(magic) is not int or magic != MAGIC:
        message = "its first value is not torch's; a pickle of something else"
        raise ValueError(message)
    version, system = pickles.read(stream, size), pickles.read(stream, size)
    about = cast("dict[str, Any]", system) if isinstance(system, dict) else {}
    if version != 1001 or about.get("little_endian") is not True:
        message = "another version than 1001, or big-endian numbers"
        raise ValueError(message)
    tree, keys = pickles.read(stream, size), pickles.read(stream, size)
    sizes = {storage.key: np.dtype(storage.dtype).itemsize for storage in _storages_of(tree)}
    if not isinstance(keys, list) or {*keys} != {*sizes}:
        message = f"its list of storages is not that of its tensors, which have {len(sizes)}"
        raise ValueError(message)
    storages: dict[str, Any] = {}
    for key in cast("list[str]", keys):
        count = int.from_bytes(stream.read(8), "little")
        begin = stream.tell()
        if count * sizes[key] > size - begin:
            message = f"storage {_ascii(key)} of {count} numbers ends behind the file"
            raise ValueError(message)
        storages[key] = memoryview(pages)[begin : begin + count * sizes[key]]
        stream.seek(begin + count * sizes[key])
    return tree, storages


def _storages_of(tree: Any) -> list[Storage]:
    """All storages that are used, each value looked at once."""
    seen: set[int] = set()
    left, found = [tree], list[Storage]()
    while left:
        value = left.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        match value:
            case Tensor():
                found.append(value.storage)
            case Storage():
                found.append(value)
            case dict():
                left.extend(cast("dict[Any, Any]", value).values())
            case list() | tuple():
                left.extend(cast("list[Any]", value))
            case Record():
                left.extend((value.made_of, *value.attributes.values()))
            case _:
                pass
    return found


def _with_arrays(tree: Any, storages: Mapping[str, Any], depth: int) -> Any:
    """Arrays in place of tensors, in dicts in dicts."""
    if isinstance(tree, Tensor):
        return _array(tree, storages)
    if isinstance(tree, dict) and depth:
        pairs = cast("dict[Any, Any]", tree).items()
        return {key: _with_arrays(value, storages, depth - 1) for key, value in pairs}
    return cast("Any", tree)


def _array(tensor: Tensor, storages: Mapping[str, Any]) -> Any:
    """A tensor where it lies; NumPy holds its steps against the storage's size."""
    part, dtype = storages.get(tensor.storage.key), np.dtype(tensor.dtype)
    if part is None:
        message = f"storage {_ascii(tensor.storage.key)} of a tensor is missing"
        raise ValueError(message)
    end = tensor.offset + 1 + sum((size - 1) * step for size, step in zip(tensor.shape, tensor.strides, strict=True))
    count = len(part) // dtype.itemsize
    if 0 in tensor.shape:
        return np.zeros(tensor.shape, dtype)
    if end > count or prod(tensor.shape) > count:
        message = f"a tensor of shape {tensor.shape} wants {max(end, prod(tensor.shape))} numbers of {count}"
        raise ValueError(message)
    strides = [step * dtype.itemsize for step in tensor.strides]
    numbers = np.frombuffer(part, np.uint8)
    found = np.ndarray(tensor.shape, dtype, numbers, tensor.offset * dtype.itemsize, strides)
    return found if found.flags.aligned else found.copy()


def _ascii(text: object) -> str:
    return ascii(text)[:120]


# -- writing -----------------------------------------------------------------------------------------------------------


def write(path: Path, tensors: Mapping[str, Any], head: str) -> None:
    """Write tensors as `torch.save(state_dict)` does, one at a time.

    Args:
        path: the file.
        tensors: name -> array; its values may be made when they are asked for.
        head: of no use here.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "pytorch_model.bin"
        >>> write(path, {"classifier.bias": np.array([1.5, -2.0], np.float32)}, "sequence_classification")
        >>> read(path)
        {'classifier.bias': array([ 1.5, -2. ], dtype=float32)}
    """
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        described: list[tuple[str, np.dtype[Any], tuple[int, ...]]] = []
        for number, name in enumerate(tensors):
            array = np.ascontiguousarray(tensors[name])
            described.append((name, array.dtype, np.shape(tensors[name])))
            _put(archive, f"data/{number}", cast("Any", array.reshape(-1).view(np.uint8)).data)
            del array
        _put(archive, "data.pkl", _pickled(described))
        _put(archive, "byteorder", sys.byteorder.encode())
        _put(archive, "version", b"3\n")


def _put(archive: zipfile.ZipFile, name: str, content: Any) -> None:
    """A member whose bytes begin at a multiple of `ALIGNMENT`, so that a reader can map them."""
    about = zipfile.ZipInfo(f"archive/{name}", (1980, 1, 1, 0, 0, 0))
    start = cast("Any", archive).fp.tell() + 30 + len(about.filename) + 20 + 4  # its header, and the size in 64 bits
    filling = -start % ALIGNMENT
    about.extra = b"FB" + filling.to_bytes(2, "little") + b"Z" * filling
    with archive.open(about, "w", force_zip64=True) as member:
        member.write(content)


def _pickled(described: list[tuple[str, np.dtype[Any], tuple[int, ...]]]) -> bytes:
    """The pickle of a dict of tensors, in protocol 2; the storages are 0, 1 and so on."""
    empty = b"ccollections\nOrderedDict\n)R"
    out = bytearray(b"\x80\x02" + empty + b"(")
    for key, (name, dtype, shape) in enumerate(described):
        count = prod(shape)
        steps = [prod(shape[axis + 1 :]) for axis in range(len(shape))]
        storage = (
            _text("storage") + b"ctorch\n" + STORAGES[dtype.name].encode() + b"\n" + _text(str(key)) + _text("cpu")
        )
        out += _text(name) + b"ctorch._utils\n_rebuild_tensor_v2\n("
        out += b"(" + storage + _number(count) + b"tQ" + _number(0)
        out += b"(" + b"".join(map(_number, shape)) + b"t(" + b"".join(map(_number, steps)) + b"t"
        out += b"\x89" + empty + b"tR"
    return bytes(out + b"u.")


def _text(text: str) -> bytes:
    encoded = text.encode()
    return b"X" + len(encoded).to_bytes(4, "little") + encoded


def _number(number: int) -> bytes:
    return b"\x8a\x08" + number.to_bytes(8, "little", signed=True)
