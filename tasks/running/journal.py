"""What has been answered so far, safe against being killed at any moment.

Beside the output lie three files while a run goes on: `OUT.part`, the answers as JSON lines; `OUT.errors.jsonl`; and
`OUT.journal`, which says after each batch how many rows are done, and how long the other two are with them. A batch
counts when its line of the journal is whole: a run that goes on cuts the other files to what the last whole line says.
So no row is lost, and none comes twice. When all is done the answers take their place, and part and journal go.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Self, cast

#: Of this module's files.
VERSION = 1


@dataclass
class State:
    """How far a run is.

    Attributes:
        rows: of the input that are done.
        part: bytes of the answers.
        errors: bytes of the errors.
        failed: how many rows could not be answered.
    """

    rows: int = 0
    part: int = 0
    errors: int = 0
    failed: int = 0


class Journal:
    """The three files of a run, opened for one process.

    Args:
        out: what the answers are to become.
        errors: where rows that cannot be answered are told.
        identity: what the run is: a later one goes on only with the same.

    Raises:
        ValueError: the files are of a run with another input, task or options; says what differs.
        BlockingIOError: another process is at it.
    """

    def __init__(self, out: Path, errors: Path, identity: Mapping[str, Any]) -> None:
        self.paths = {"part": _beside(out, ".part"), "errors": errors, "journal": _beside(out, ".journal")}
        out.parent.mkdir(parents=True, exist_ok=True)
        self._journal = self.paths["journal"].open("a+b")
        try:
            _lock(self._journal, self.paths["journal"])
            self.state = self._resumed(identity)
            self._files = {name: _cut(self.paths[name], getattr(self.state, name)) for name in ("part", "errors")}
        except BaseException:
            self._journal.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: type[BaseException] | None = None, *_: object) -> None:
        for file in (*self._files.values(), self._journal):
            file.close()
        if error is not None and not self.state.rows:  # nothing is done, so nothing has to be typed again as it was
            for path in self.paths.values():
                path.unlink(missing_ok=True)

    @property
    def part(self) -> Path:
        """The answers so far, as JSON lines."""
        return self.paths["part"]

    def commit(self, rows: int, answers: Sequence[Any], errors: Sequence[Any]) -> None:
        """Write a batch, for good.

        Args:
            rows: how many of the input are done with it.
            answers: what is to be added to the answers.
            errors: what is to be added to the errors.

        Raises:
            OSError: a full disk; what was written before stays, and the next run goes on there.
        """
        for name, added in (("part", answers), ("errors", errors)):
            if added:
                _written(self._files[name], b"".join(_line(each) for each in added))
        state = State(rows, self._files["part"].tell(), self._files["errors"].tell(), self.state.failed + len(errors))
        _written(self._journal, _line(vars(state)))
        self.state = state

    def close(self) -> None:
        """All is done: part and journal go, and errors where there are none."""
        self.__exit__()
        self.paths["part"].unlink(missing_ok=True)
        if not self.state.failed:
            self.paths["errors"].unlink(missing_ok=True)
        self.paths["journal"].unlink()  # last: until it is gone the run is not at its end

    def _resumed(self, identity: Mapping[str, Any]) -> State:
        """Where an earlier run stood; a new journal says what the run is."""
        self._journal.seek(0)
        whole = self._journal.read().split(b"\n")[:-1]  # what follows the last line's end is torn
        self._journal.truncate(sum(len(line) + 1 for line in whole))
        own = {"version": VERSION, **identity}
        if not whole:
            _written(self._journal, _line(own))
            return State()
        before = cast("dict[str, Any]", json.loads(whole[0]))
        other = [name for name in own if before.get(name) != json.loads(json.dumps(own[name]))]
        if other and len(whole) == 1 and "errors" not in other:  # it was killed before its first batch was done
            self._journal.truncate(0)
            _written(self._journal, _line(own))
            return State()
        if other:
            name = other[0]
            what = f"the run that it goes on with, of {name} = {before.get(name)!r}, got {own[name]!r}"
            remedy = "type what was typed then, or --restart to begin anew"
            message = f"{self.paths['journal']}: required {what}; {remedy}"
            raise ValueError(message)
        return State(**json.loads(whole[-1])) if len(whole) > 1 else State()


# -- pieces ------------------------------------------------------------------------------------------------------------


def remove(out: Path, errors: Path) -> None:
    """Forget an unfinished run."""
    for path in (_beside(out, ".journal"), _beside(out, ".part"), errors):
        path.unlink(missing_ok=True)


def require_new(out: Path, errors: Path) -> None:
    """Refuse to write over an output, or over what no journal tells of.

    Raises:
        FileExistsError: there is such a file.
    """
    strangers = [] if _beside(out, ".journal").exists() else [_beside(out, ".part"), errors]
    for path in [out, *strangers]:
        if path.exists():
            message = f"{path}: is there already; give another name, or --restart to replace it"
            raise FileExistsError(message)


def _beside(out: Path, suffix: str) -> Path:
    return out.with_name(out.name + suffix)


def _line(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, default=_spelled).encode("utf-8", "backslashreplace") + b"\n"


def _spelled(value: Any) -> Any:
    """What Parquet has and JSON has not, as text: dates as in ISO 8601, bytes in base64, numbers by digits."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _cut(path: Path, size: int) -> BinaryIO:
    """A file opened behind its first so many bytes; what follows them goes."""
    file = path.open("r+b" if path.exists() else "w+b")
    if file.seek(0, os.SEEK_END) < size:
        file.close()
        message = (
            f"{path}: required the {size} bytes that the journal tells of, got fewer; type --restart to begin anew"
        )
        raise ValueError(message)
    file.truncate(size)
    file.seek(size)
    return file


def _written(file: BinaryIO, content: bytes) -> None:
    """Write and have it on the disk."""
    file.write(content)
    file.flush()
    os.fsync(file.fileno())


def _lock(file: BinaryIO, path: Path) -> None:
    """One process at a time, where the system can say so."""
    try:
        import fcntl
    except ModuleNotFoundError:  # Windows
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        message = f"{path}: another process is at this run; wait for it, or give another --out"
        raise BlockingIOError(message) from error
