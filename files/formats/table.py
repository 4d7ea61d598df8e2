"""The formats in which RoBERTa's weights exist, by the names of their files; and which of them a folder has."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import file_digest
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from ..objects import read_object


@dataclass(frozen=True)
class Format:
    """One format.

    Attributes:
        name: what `save_pretrained(format=)` calls it, and the module of this room that reads and writes it.
        weights: the file where all weights are in one.
        alone: whether there are no shards of it.
        writes: whether it is written, too.
        reader: the module, where that has another name.
    """

    name: str
    weights: str
    alone: bool = False
    writes: bool = True
    reader: str = ""

    @property
    def index(self) -> str:
        """The file that says which weight is in which shard."""
        return f"{self.weights}.index.json"

    def shard(self, number: int, count: int) -> str:
        """The name of a shard.

        Example:
            >>> FORMATS["safetensors"].shard(1, 3)
            'model-00001-of-00003.safetensors'
        """
        stem, _, ending = self.weights.rpartition(".")
        return f"{stem}-{number:05}-of-{count:05}.{ending}"

    def is_shard(self, name: str) -> bool:
        """Whether a file's name is one that `shard` gives."""
        stem, _, ending = self.weights.rpartition(".")
        return re.fullmatch(rf"{stem}-\d+-of-\d+\.{ending}", name) is not None

    def module(self) -> Any:
        """What reads and writes it: `read(path)` and `write(path, tensors, head)`."""
        return import_module(f".{self.reader or self.name}", __package__)


#: The formats, in the order in which they are looked for: what is mapped and says most about itself comes first.
FORMATS = {
    one.name: one
    for one in (
        Format("safetensors", "model.safetensors"),
        Format("pytorch", "pytorch_model.bin"),
        Format("h5", "tf_model.h5", reader="hdf5"),
        Format("msgpack", "flax_model.msgpack"),
        Format("keras", "model.weights.h5", alone=True, writes=False, reader="hdf5"),
        Format("fairseq", "model.pt", alone=True, writes=False),
    )
}
#: Endings of single files -> their format, where a file is named and not a folder.
ENDINGS = {
    ".safetensors": "safetensors", ".bin": "pytorch", ".ckpt": "pytorch", ".pth": "pytorch", ".h5": "h5",
    ".msgpack": "msgpack", ".pt": "fairseq",
}  # fmt: skip


#: How the names of what a training run keeps beside weights begin.
BESIDE = ("training_args", "optimizer", "scheduler", "scaler", "rng_state")


@dataclass(frozen=True)
class Source:
    """Where weights come from.

    Attributes:
        format: the name of a format in `FORMATS`.
        files: the files with the numbers.
        index: the file that names them, of shards.
    """

    format: str
    files: tuple[Path, ...]
    index: Path | None = None

    def sha256(self) -> dict[str, str]:
        """File name -> its hash, as it is now; each file is read for it.

        Raises:
            FileNotFoundError: a file is gone.
        """
        hashes: dict[str, str] = {}
        for path in (*self.files, *([self.index] if self.index else [])):
            with path.open("rb") as stream:
                hashes[path.name] = file_digest(stream, "sha256").hexdigest()
        return hashes

    def __str__(self) -> str:
        names = ", ".join(path.name for path in self.files[:3]) + (", …" if len(self.files) > 3 else "")
        return f"{names} ({self.format})"


def source_of(place: Path) -> Source:
    """The weights of a folder, or those of a file that is named.

    Args:
        place: a folder; or a file of one of the `ENDINGS`.

    Raises:
        FileNotFoundError: none; lists the names looked for, and what is there.
        ValueError: an index that is none, that leads out of the folder, or a file of an ending that is not known.
    """
    if place.is_file():
        if place.suffix not in ENDINGS:
            raise ValueError(f"{place}: required a file that ends in one of {', '.join(ENDINGS)}, or its folder")
        return Source(ENDINGS[place.suffix], (place,))
    for one in FORMATS.values():
        if (place / one.weights).is_file():
            return Source(one.name, (place / one.weights,))
        if not one.alone and (place / one.index).is_file():
            shards = dict.fromkeys(weight_map(place / one.index).values())
            return Source(one.name, tuple(place / shard for shard in shards), place / one.index)
    names = [name for one in FORMATS.values() for name in (one.weights, *(() if one.alone else (one.index,)))]
    there = sorted(path.name for path in place.iterdir())[:20] if place.is_dir() else []
    message = f"no weights in {place}: looked for {', '.join(names)}; found {', '.join(there) or 'nothing'}"
    if "adapter_config.json" in there:
        message += ". There is an adapter of PEFT: merge it into its model (model.merge_and_unload()), and save that"
    elif named := [name for name in there if Path(name).suffix in ENDINGS and not name.startswith(BESIDE)]:
        message += f". Name the file itself: {place / named[0]}"
    raise FileNotFoundError(message)


def weight_map(index: Path) -> dict[str, str]:
    """What an index says: name of a weight -> file, each in its folder.

    Raises:
        ValueError: no such index, or one that leads out of its folder.
        FileNotFoundError: a file that it names is missing.
    """
    try:
        content = read_object(index)
        found = content["weight_map"]
        names = [*cast("dict[str, Any]", found).items()]
        if not isinstance(found, dict) or not names or not all(isinstance(file, str) for _, file in names):
            message = "another kind of map"
            raise ValueError(message)
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        message = f'{index}: required a JSON object with "weight_map": name -> file, got {str(error)[:200]!r}'
        raise ValueError(message) from error
    for shard in dict.fromkeys(cast("dict[str, str]", found).values()):
        _require_inside(index, shard)
    return cast("dict[str, str]", found)


def read(source: Source) -> dict[str, Any]:
    """All tensors: HF's names -> arrays in the dtype of the file.

    Raises:
        ModuleNotFoundError: the library that reads the format is not installed; says what to type.
        ValueError: a damaged file, or an index that contradicts its shards.
    """
    for path in source.files:
        _require_content(path)
    module = FORMATS[source.format].module()
    if source.index is None:
        return module.read(source.files[0])
    told = weight_map(source.index)
    spelled = getattr(module, "spelled", None)
    tensors: dict[str, Any] = {}
    for path in source.files:
        part = module.read(path)
        names = [name for name, file in told.items() if file == path.name]
        wanted = {spelled(name)[0] if spelled else name for name in names}
        wanted -= {name for name in wanted if name.endswith(("position_ids", "token_type_ids"))} - part.keys()
        _require_same(source.index, path, wanted, part, tensors)
        tensors |= part
    return tensors


def library(name: str) -> Any:
    """A library that a format needs.

    Raises:
        ModuleNotFoundError: it is not installed; says what to type.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        message = f'{name}, which reads and writes this format, is not installed: pip install "roberta[formats]"'
        raise ModuleNotFoundError(message, name=name) from error


# -- pieces ------------------------------------------------------------------------------------------------------------


def _require_content(path: Path) -> None:
    """Refuse what is downloaded in place of weights, and weights under the name of another format."""
    with path.open("rb") as stream:
        start = stream.read(64)
    if start.startswith(b"version https://git-lfs"):
        remedy = f"type git lfs pull in {path.parent}, or download it again"
        raise ValueError(f"{path} is no file of weights, but what Git keeps in its place (Git LFS); {remedy}")
    if start.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise ValueError(f"{path} is no file of weights, but a web page; download it again, by its link to the file")
    if start.startswith(b"PK\x03\x04") and path.suffix == ".safetensors":
        raise ValueError(f"{path} holds a file of PyTorch's under the name of another format; call it {path.stem}.bin")
    is_safetensors = start[8:10] == b'{"' and path.suffix != ".safetensors"
    if is_safetensors and int.from_bytes(start[:8], "little") < path.stat().st_size:
        raise ValueError(f"{path} holds safetensors under the name of another format; call it {path.stem}.safetensors")


def _require_inside(index: Path, shard: str) -> None:
    # By its name: the hub's cache links the files of a folder to where they are kept, and such a link is no escape.
    is_odd = len(shard) > 255 or not shard.isprintable() or "\\" in shard
    if is_odd or Path(shard).is_absolute() or ".." in Path(shard).parts or Path(shard).name != shard:
        message = f"{index} names {shard[:200]!r}, which lies outside the folder; do not trust this checkpoint"
        raise ValueError(message)
    if not (index.parent / shard).is_file():
        message = f"{index} names {shard!r}, which is missing; download or copy it into {index.parent}"
        raise FileNotFoundError(message)


def _require_same(
    index: Path, path: Path, wanted: set[str], part: Mapping[str, Any], earlier: Mapping[str, Any]
) -> None:
    """An index and its shards must tell the same."""
    for names, before, behind in (
        (wanted - part.keys(), f"{index} says that {path.name} has ", ", and it lacks them"),
        (part.keys() - wanted, f"{path} has ", f", which {index.name} does not say"),
        (part.keys() & earlier.keys(), f"{index}: ", " are in two of its files"),
    ):
        if names:
            shown = ", ".join(sorted(names)[:4]).encode("ascii", "backslashreplace").decode()
            remedy = "download them again, or remove the index and save the weights anew"
            raise ValueError(f"{before}{shown}{behind}; {remedy}")
