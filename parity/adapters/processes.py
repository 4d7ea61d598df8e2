"""Programs in any language: a command that reads and writes files, or a server that is sent them.

Arrays travel as .npz (never pickled), or as .safetensors where the command or address begins with "safetensors+". A
flag is an array of one boolean without axes; a cache, and outputs that are tuples, are numbered: "hidden_states.0",
"past_key_values.0.1".

    a command   is started once. Of each line that it reads, {"inputs": path, "outputs": path}, it reads the first file,
                writes the second, and answers with a line: {} or {"error": "what is wrong"}.
    an address  is sent each call by POST, and answers with the arrays.
"""

from __future__ import annotations

import http.client
import io
import json
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import urllib.error
import urllib.request
import weakref
import zipfile
import zlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, ClassVar, cast

import ml_dtypes
import numpy as np
import safetensors
import safetensors.numpy

from ...reference.layers import Array
from ..candidates import CandidateError, Capabilities
from ..tolerances import flat_outputs
from .adapter import Adapter

#: What a program is taken to understand, unless `as_candidate(…, capabilities=…)` says otherwise.
INPUTS = frozenset({"input_ids", "attention_mask", "token_type_ids"})
#: The first part of a command or address whose arrays travel as safetensors.
SAFETENSORS = "safetensors+"
#: So much of what a program says is repeated in an error.
TAIL = 500
#: safetensors' names of types -> NumPy's, little-endian as its files are.
DTYPES: Mapping[str, Any] = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": ml_dtypes.bfloat16,
    "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U8": "u1", "BOOL": "?",
}  # fmt: skip
#: What reading a damaged archive raises, besides errors of its own.
MISREAD = (OSError, ValueError, RuntimeError, KeyError)
CONTENT_TYPES = {"npz": "application/x-npz", "safetensors": "application/x-safetensors"}


def packed(arrays: Mapping[str, Any], suffix: str) -> bytes:
    """Arrays as a file of a format, "npz" or "safetensors".

    Example:
        >>> unpacked(packed({"x": np.ones(2)}, "npz"), "npz")
        {'x': array([1., 1.])}
    """
    flat = {name: np.ascontiguousarray(value).reshape(np.shape(value)) for name, value in flat_outputs(arrays).items()}
    if suffix == "safetensors":
        return safetensors.numpy.save(flat)
    file = io.BytesIO()
    np.savez(file, **flat)  # pyright: ignore[reportArgumentType]
    return file.getvalue()


def unpacked(content: bytes, suffix: str) -> dict[str, Array]:
    """The arrays of a file of a format.

    Raises:
        ValueError: a damaged file, or one of objects, which would have to be unpickled.
    """
    try:
        if suffix == "safetensors":
            entries: Any = cast("Any", safetensors).deserialize(content)
            return {name: _tensor(entry) for name, entry in entries}
        with zipfile.ZipFile(io.BytesIO(content)):  # else NumPy would take it for a pickle, and advise to load that
            pass
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (safetensors.SafetensorError, zipfile.BadZipFile, zlib.error, EOFError, *MISREAD) as error:
        message = f"required a .{suffix} file, got {len(content)} bytes that are none ({error})"
        raise ValueError(message) from error


def _tensor(entry: Mapping[str, Any]) -> Array:
    """A tensor of a safetensors file; its own reader for NumPy knows no bfloat16."""
    if entry["dtype"] not in DTYPES:
        raise ValueError(f"a tensor of {entry['dtype']}; write one of {', '.join(DTYPES)}")
    return np.frombuffer(entry["data"], DTYPES[entry["dtype"]]).reshape(entry["shape"])


class SubprocessCandidate(Adapter):
    """A command that is started once, and asked by lines of JSON; see the module. One that died is started again.

    Attributes:
        command: its parts.
        suffix: the format of its files.
    """

    kind = "subprocess"

    def __init__(self, command: list[str], suffix: str = "npz") -> None:
        super().__init__(f"cmd: {shlex.join(command)}", Capabilities(INPUTS))
        self.command = command
        self.suffix = suffix
        self._child: Child | None = None

    def __call__(self, **inputs: Any) -> Mapping[str, Any]:
        """One line to it, and one back."""
        if self._child is None:
            self._child = Child(self.command, self.name)
        child = self._child
        asked, answered = (child.folder / f"{part}.{self.suffix}" for part in ("inputs", "outputs"))
        answered.unlink(missing_ok=True)
        asked.write_bytes(packed(_given(inputs), self.suffix))
        reply = child.ask({"inputs": str(asked), "outputs": str(answered)})
        if reply is None:
            raise CandidateError(f"{self.name}: required an answer, got the end of the process{self.abandon()}")
        self._require_success(reply)
        if not answered.is_file():
            message = f"{self.name}: required the file {answered.name}, got the answer {reply.strip()!r:.60} without it"
            raise CandidateError(f"{message}; write it before answering")
        try:
            return unpacked(answered.read_bytes(), self.suffix)
        except ValueError as error:
            raise CandidateError(f"{self.name}: {error}; write it whole before answering") from error

    def _require_success(self, reply: str) -> None:
        try:
            answer: Any = json.loads(reply)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            message = f"{self.name}: required a line of JSON such as {{}}, got {reply.strip()!r:.60}"
            raise CandidateError(f"{message}; print nothing else to stdout, and what is for people to stderr")
        problem = cast("dict[str, Any]", answer).get("error")
        if problem:
            raise CandidateError(f"{self.name}: required an answer, got its error: {problem}")

    def abandon(self) -> str:
        """End the process, and say how it ended and what it last wrote to stderr."""
        child, self._child = self._child, None
        return "" if child is None else child.end()

    def describe(self) -> dict[str, Any]:
        """Kind, command, format, and the hash of each of its parts that is a file."""
        return super().describe() | {"command": self.command, "format": self.suffix}

    def files(self) -> tuple[Path, ...]:
        """Those that the command names, the program among them."""
        found = [shutil.which(self.command[0]) or self.command[0], *self.command[1:]]
        return tuple(Path(part) for part in found if Path(part).is_file())


class Child:
    """A running process, its pipes and its folder, which go when the last who knows it goes.

    Attributes:
        folder: where its files are exchanged.
    """

    def __init__(self, command: list[str], name: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="roberta-candidate-"))
        self._stderr = self.folder / "stderr"
        try:
            with self._stderr.open("wb") as stderr:
                self._process = subprocess.Popen(  # noqa: S603  # the command is what the user asks to be run
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=stderr,
                    encoding="utf-8",
                    start_new_session=True,  # so that what it starts itself can be ended with it
                )
        except OSError as error:
            shutil.rmtree(self.folder)
            message = f"{name}: required a command that can be started, got {error}"
            raise CandidateError(f"{message}; give the program's whole path") from error
        self._finalizer = weakref.finalize(self, _stop, self._process, self.folder)

    def ask(self, request: Mapping[str, str]) -> str | None:
        """One line to the process and one back; None where it has ended."""
        stdin, stdout = cast("IO[str]", self._process.stdin), cast("IO[str]", self._process.stdout)
        try:
            stdin.write(json.dumps(request) + "\n")
            stdin.flush()
        except OSError:
            return None
        return stdout.readline() or None

    def end(self) -> str:
        """End it, if it has not ended itself: how, and the end of its stderr, as the end of a sentence."""
        try:
            code: int | None = self._process.wait(0.2)
        except subprocess.TimeoutExpired:
            code = None
        _kill(self._process)
        words = self._stderr.read_text(encoding="utf-8", errors="replace").strip()[-TAIL:]
        self._finalizer()
        how = "; it was ended" if code is None else f" (exit status {code})"
        return f"{how}; its stderr ends: {words}" if words else f"{how}; it wrote nothing to stderr"


def _stop(process: subprocess.Popen[str], folder: Path) -> None:
    _kill(process)
    process.wait()
    for pipe in (process.stdin, process.stdout):
        with suppress(OSError):
            cast("IO[str]", pipe).close()
    shutil.rmtree(folder, ignore_errors=True)


def _kill(process: subprocess.Popen[str]) -> None:
    """End a process and all that it has started: whoever holds its pipes keeps their readers waiting."""
    if not hasattr(os, "killpg"):
        process.kill()
        return
    with suppress(ProcessLookupError, PermissionError):  # it has ended
        os.killpg(process.pid, signal.SIGKILL)


class HttpCandidate(Adapter):
    """A server that is sent each call by POST; see the module.

    Attributes:
        url: where it listens.
        suffix: the format of what is sent and comes back.
        timeout: how many seconds of silence are taken for its end.
    """

    kind = "HTTP server"
    timeout: ClassVar[float] = 600.0

    def __init__(self, url: str, suffix: str = "npz") -> None:
        super().__init__(url, Capabilities(INPUTS))
        self.url = url
        self.suffix = suffix

    def __call__(self, **inputs: Any) -> Mapping[str, Any]:
        """One POST."""
        kind = CONTENT_TYPES[self.suffix]
        request = urllib.request.Request(  # noqa: S310  # `adapt` lets http and https in only
            self.url, packed(_given(inputs), self.suffix), {"Content-Type": kind, "Accept": kind}, method="POST"
        )
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as response:  # noqa: S310  # as above
                content: bytes = response.read()
        except urllib.error.HTTPError as error:
            with error:
                words = error.read()[:TAIL].decode("utf-8", "replace").strip()
            message = f"{self.name}: required status 200, got {error.code} {error.reason}"
            raise CandidateError(f"{message}; it says: {words}" if words else f"{message}; look at its log") from error
        except (OSError, http.client.HTTPException) as error:
            message = f"{self.name}: required an answer, got {type(error).__name__}: {error}"
            raise CandidateError(f"{message}; start the server, or mend the address") from error
        try:
            return unpacked(content, self.suffix)
        except ValueError as error:
            raise CandidateError(f"{self.name}: {error}; answer with {kind}") from error

    def describe(self) -> dict[str, Any]:
        """Kind, address, format."""
        return super().describe() | {"url": self.url, "format": self.suffix}


def _given(inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in inputs.items() if value is not None}


def adapt(thing: str | list[str], reference: Any = None) -> Adapter:
    """A command, as a text or a list, or an address as a candidate.

    Raises:
        ValueError: a command of nothing.
    """
    del reference
    if isinstance(thing, list):
        return SubprocessCandidate(thing)
    suffix = "safetensors" if thing.startswith(SAFETENSORS) else "npz"
    address = thing.removeprefix(SAFETENSORS)
    if not address.startswith("cmd:"):
        return HttpCandidate(address, suffix)
    command = shlex.split(address.removeprefix("cmd:"))
    if not command:
        raise ValueError(f'candidate: required a command behind "cmd:", got {thing!r}; write "cmd: ./server --flag"')
    return SubprocessCandidate(command, suffix)
