"""Judging a port by files: a folder that `exporting` wrote, and a folder with the port's outputs."""

from __future__ import annotations

import difflib
import json
import math
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np

from ...dispatch.checkpoint import read_safetensors
from ...reference.config import RobertaConfig
from ..compare import Comparison, compare_array
from ..findings import Audit, Finding
from ..probes.coverage import varied
from ..probes.probe import Call, Probe
from ..probes.real_tokens import token_counts
from ..reports.hashes import hash_file
from ..tolerances import Budget

MANIFEST = "manifest.json"
WEIGHTS = "weights.safetensors"
#: Of the manifest's schema. A reader refuses what it does not know.
VERSION = 1
#: What a manifest says, besides its version.
FIELDS = ("head", "dtype", "seed", "package", "config", "weights", "probes", "files")
#: How a port may write its outputs.
ENDINGS = (".safetensors", ".npz")


def judge(directory: str | Path, outputs: str | Path) -> Audit:
    """Hold a port's outputs against an exported folder, by the criterion on the folder's page.

    Args:
        directory: what `exporting.export` wrote.
        outputs: a folder with a file for each probe: `NN-name.safetensors` or `.npz`, tensors named as in the truth.

    Returns:
        `Audit` with a finding for each probe; "not covered" where the port wrote no file, "broken" where its file
        cannot be read or has names that the truth lacks.

    Raises:
        FileNotFoundError: no such folder, or no manifest in it.
        ValueError: a damaged folder, a schema of another version, or a file of outputs that belongs to no probe.

    Example:
        >>> judge("nowhere", "here")
        Traceback (most recent call last):
        FileNotFoundError: nowhere: required a folder that "roberta parity export" wrote, found no manifest.json there
    """
    folder, outputs = Folder(Path(directory)), Path(outputs)
    folder.verify()
    files = _output_files(outputs, [entry.folder for entry in folder.probes])
    found = [_finding(folder, entry, files.get(entry.folder)) for entry in folder.probes]
    written = {path.name: hash_file(path) for path in files.values()}
    return Audit(
        candidate={"name": str(outputs), "kind": "files", "files": written},
        reference={
            "name": str(directory), "head": folder.manifest["head"], "config": folder.manifest["config"],
            "hash": folder.manifest["files"][WEIGHTS], "random": folder.manifest["weights"]["seeded"],
        },
        settings={name: folder.manifest[name] for name in ("dtype", "seed", "version", "package")},
        environment={},
        findings=found,
    )  # fmt: skip


# -- what was exported -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    """An output, as the manifest has it.

    Attributes:
        shape: of the truth.
        required: whether a port must give it.
        rms_limit: the largest root mean square of error / sigma; None where it is not judged.
    """

    shape: list[int]
    required: bool
    rms_limit: float | None


@dataclass(frozen=True)
class Question:
    """A call, as the manifest has it.

    Attributes:
        continues: see `probes.Call`.
        asks: the arguments that are True.
        outputs: name -> `Answer`.
    """

    continues: bool
    asks: list[str]
    outputs: dict[str, Answer]

    @classmethod
    def read(cls, content: Mapping[str, Any]) -> Self:
        """From JSON; what is lacking, or too much, is a TypeError."""
        rest: dict[str, Any] = dict(content)
        return cls(outputs={name: Answer(**answer) for name, answer in rest.pop("outputs").items()}, **rest)


@dataclass(frozen=True)
class Entry:
    """A probe, as the manifest has it.

    Attributes:
        name: of the probe.
        folder: in which its files are: `NN-name`.
        catches: the mistakes that it is there to catch.
        remark: see `probes.Probe`.
        has_weights: whether there are weights of its own.
        calls: one after another.
    """

    name: str
    folder: str
    catches: list[str]
    remark: str
    has_weights: bool
    calls: list[Question]

    @classmethod
    def read(cls, content: Mapping[str, Any]) -> Self:
        """From JSON; what is lacking, or too much, is a TypeError."""
        rest: dict[str, Any] = dict(content)
        return cls(calls=[Question.read(call) for call in rest.pop("calls")], **rest)

    @property
    def files(self) -> list[str]:
        """The files that it must have."""
        parts = ["inputs", "truth", "limit", "sigma", *(["weights"] if self.has_weights else [])]
        return [f"{self.folder}/{part}.safetensors" for part in parts]


@dataclass(frozen=True)
class Folder:
    """An exported folder, read as it is asked for."""

    path: Path

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """What the manifest says.

        Raises:
            FileNotFoundError: there is none.
            ValueError: it is damaged, or of another version.
        """
        where = self.path / MANIFEST
        if not where.is_file():
            wanted = 'required a folder that "roberta parity export" wrote'
            message = f"{self.path}: {wanted}, found no {MANIFEST} there"
            raise FileNotFoundError(message)
        try:
            content = json.loads(where.read_text(encoding="utf-8"))
            version = content["version"]
        except (ValueError, KeyError, TypeError) as error:
            raise self._damaged(MANIFEST, repr(error)) from error
        if version != VERSION:
            message = f"{where}: required version {VERSION} of the schema, got {version!r}; export the folder again"
            raise ValueError(message)
        lacking = [name for name in FIELDS if name not in content]
        if lacking:
            raise self._damaged(MANIFEST, f"it lacks {', '.join(lacking)}")
        return content

    @cached_property
    def probes(self) -> list[Entry]:
        """The probes, in their order.

        Raises:
            ValueError: the manifest is damaged.
        """
        try:
            return [Entry.read(entry) for entry in self.manifest["probes"]]
        except (KeyError, TypeError, AttributeError) as error:
            raise self._damaged(MANIFEST, repr(error)) from error

    @cached_property
    def config(self) -> RobertaConfig:
        """The model's configuration."""
        return RobertaConfig.from_dict(self.manifest["config"])

    def verify(self) -> None:
        """Hold every file against its hash.

        Raises:
            ValueError: a file is missing, lies outside the folder, or is not what was written.
        """
        files = self.manifest["files"]
        unlisted = {WEIGHTS, *(file for entry in self.probes for file in entry.files)} - set(files)
        if unlisted:
            raise self._damaged(MANIFEST, f"it gives no hash of {', '.join(sorted(unlisted))}")
        for name, wanted in files.items():
            if Path(name).is_absolute() or ".." in Path(name).parts:
                raise self._damaged(MANIFEST, f"it names {name!r}, which lies outside the folder")
            path = self.path / name
            got = hash_file(path) if path.is_file() else "no such file"
            if got != wanted:
                raise self._damaged(name, f"required SHA-256 {wanted}, got {got}")

    def tensors(self, entry: Entry, part: str) -> dict[str, Any]:
        """The tensors of one file of a probe: inputs, truth, limit, sigma or weights."""
        return read_safetensors(self.path / entry.folder / f"{part}.safetensors")

    def probe(self, entry: Entry) -> Probe:
        """What was asked."""
        arrays = self.tensors(entry, "inputs")
        calls = tuple(
            Call({**of_call(arrays, number), **dict.fromkeys(call.asks, True)}, call.continues)
            for number, call in enumerate(entry.calls)
        )
        state = self.tensors(entry, "weights") if entry.has_weights else None
        return Probe(entry.name, tuple(entry.catches), calls, state, remark=entry.remark)

    def _damaged(self, file: str, what: str) -> ValueError:
        return ValueError(f"{self.path / file} is damaged: {what}; export the folder again")


def of_call(arrays: Mapping[str, Any], number: int) -> dict[str, Any]:
    """What belongs to one call: "1.logits" of call 1 as "logits"."""
    start = f"{number}."
    return {name.removeprefix(start): value for name, value in arrays.items() if name.startswith(start)}


# -- what the port wrote -----------------------------------------------------------------------------------------------


def _output_files(folder: Path, probes: list[str]) -> dict[str, Path]:
    """Probe -> the file of its outputs.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: a file that belongs to no probe, or two that belong to one.
    """
    if not folder.is_dir():
        message = f"{folder}: required a folder with the port's outputs, one file for each probe, found no such folder"
        raise FileNotFoundError(message)
    found: dict[str, Path] = {}
    for path in sorted(path for path in folder.iterdir() if path.suffix in ENDINGS):
        if path.stem not in probes:
            near = difflib.get_close_matches(path.stem, probes, n=1)
            hint = f"; did you mean {near[0]}{path.suffix}?" if near else f"; the probes are {', '.join(probes)}"
            message = f"{path}: required the name of a probe's folder, got {path.stem!r}{hint}"
            raise ValueError(message)
        if path.stem in found:
            message = f"{path}: required one file for each probe, got {found[path.stem].name} as well; remove one"
            raise ValueError(message)
        found[path.stem] = path
    return found


def _read(path: Path) -> dict[str, Any]:
    """The tensors of a file, in float64, whatever the port computes in.

    Raises:
        ValueError: it is damaged, or holds what are no numbers.
    """
    if path.suffix == ".safetensors":
        tensors = read_safetensors(path)
    elif zipfile.is_zipfile(path):
        with np.load(path, allow_pickle=False) as file:
            tensors = {name: file[name] for name in file.files}
    else:
        message = f"{path} is no npz file: write it with numpy.savez"
        raise ValueError(message)
    texts = [f"{name} of {value.dtype}" for name, value in tensors.items() if not np.can_cast(value.dtype, np.float64)]
    if texts:
        message = f"required real numbers, got {', '.join(texts)}"
        raise ValueError(message)
    return {name: value.astype(np.float64) for name, value in tensors.items()}


# -- the verdict -------------------------------------------------------------------------------------------------------


def _finding(folder: Folder, entry: Entry, file: Path | None) -> Finding:
    probe = folder.probe(entry)
    facts = Finding(probe.name, probe.catches, "not covered", varied=varied(probe, folder.config))
    if file is None:
        return replace(facts, reason=f"there is no {entry.folder}.safetensors or .npz")
    truth = folder.tensors(entry, "truth")
    try:
        given = _read(file)
    except (ValueError, OSError, zipfile.BadZipFile, zlib.error) as error:
        return replace(facts, status="broken", reason=f"{file.name} cannot be read: {error}")
    unknown = sorted(given.keys() - truth.keys())
    if unknown:
        reason = f"{file.name} holds {', '.join(unknown)}, of which the truth knows nothing; it has {', '.join(truth)}"
        return replace(facts, status="broken", reason=reason)
    comparisons = tuple(_comparisons(folder, entry, truth, given))
    return replace(
        facts,
        status="passed" if all(comparison.passed for comparison in comparisons) else "failed",
        comparisons=comparisons,
        tokens=token_counts(probe),
        trail=tuple((comparison.name, comparison.extent) for comparison in comparisons),
    )


def _comparisons(
    folder: Folder, entry: Entry, truth: Mapping[str, Any], given: Mapping[str, Any]
) -> Iterator[Comparison]:
    """Of every output that is required or given, in the manifest's order."""
    limit, sigma = (folder.tensors(entry, part) for part in ("limit", "sigma"))
    for number, call in enumerate(entry.calls):
        for output, wanted in call.outputs.items():
            name = f"{number}.{output}"
            if name in given or wanted.required:
                rms_limit = math.inf if wanted.rms_limit is None else wanted.rms_limit
                budget = Budget(truth[name], sigma[name], limit[name], rms_limit, np.isfinite(limit[name]))
                yield compare_array(name, given.get(name), budget)
