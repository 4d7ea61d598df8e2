"""Several files that belong together, such as a config and its weights: they are replaced all at once, or not at all.

One file is replaced in one step by renaming. Several are written beside first; then a journal that names them takes its
place, in one step, and from then on the new ones are valid; then they are moved. Whoever reads while a journal is there
carries it out before (`finish`), so that a process may be killed between any two of these steps.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

from .atomic import write_atomically

#: What names the files of a generation that is valid, and not yet at its place.
JOURNAL = ".generation.json"
#: How the folder begins in which a generation is written.
BESIDE = ".saving-"
#: Errors of a full disk.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def new_generation(folder: Path, belongs: Callable[[str], bool]) -> Generator[Path]:
    """A folder to write files into, which become files of `folder` all at once when the block ends well.

    Args:
        folder: made if it is missing. What is in it and belongs to no generation stays.
        belongs: whether a file name is one of a generation: those of an earlier one that are not written anew go.

    Yields:
        The folder to write into, without folders in it.

    Raises:
        NotADirectoryError: the folder is a file.
        OSError: a full disk, or a folder that may not be written into; the files that were there are as they were.

    Example:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp())
        >>> for names in (["a", "b"], ["b", "c"]):
        ...     with new_generation(target, lambda name: len(name) == 1) as beside:
        ...         for name in names:
        ...             written = (beside / name).write_text("".join(names))
        >>> sorted((file.name, file.read_text()) for file in target.iterdir())
        [('b', 'bc'), ('c', 'bc')]
    """
    if folder.exists() and not folder.is_dir():
        message = f"{folder} is a file; a folder is needed to write into"
        raise NotADirectoryError(message)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        finish(folder)
        _remove_abandoned(folder)
        beside = Path(tempfile.mkdtemp(dir=folder, prefix=BESIDE))
        try:
            with _locked(beside):
                yield beside
                names = sorted(path.name for path in beside.iterdir())
                for name in names:
                    _make_sure(beside / name)
                with _locked(folder):
                    _carry_out(folder)  # another's, who was stopped meanwhile
                    gone = [path.name for path in folder.iterdir() if belongs(path.name) and path.name not in names]
                    content = {"from": beside.name, "take": names, "remove": gone}
                    write_atomically(beside / JOURNAL, json.dumps(content, indent=2).encode())
                    (beside / JOURNAL).replace(folder / JOURNAL)
                    _carry_out(folder)
        finally:
            if not _is_valid(folder, beside.name):
                shutil.rmtree(beside, ignore_errors=True)
    except OSError as error:
        raise _explained(error, folder) from error


def finish(folder: Path) -> None:
    """Carry out what somebody who was stopped has left to do, if anything: to be called before files are read.

    Raises:
        ValueError: a journal that is none.
        OSError: it may not be carried out by this user.
    """
    if not (folder / JOURNAL).exists():
        return
    try:
        with _locked(folder):
            _carry_out(folder)
    except OSError as error:
        if not (folder / JOURNAL).exists():
            return  # somebody else has done it
        message = (
            f"{folder}: its files were being replaced when the process was stopped, and this user may not finish that "
            f"({error.strerror}); load it once as one who may write there"
        )
        raise type(error)(error.errno, message) from error


def stamp(folder: Path, names: Iterable[str]) -> tuple[Any, ...]:
    """What changes when a generation takes the place of another: to be compared before and after reading."""
    found: list[Any] = []
    for name in (JOURNAL, *names):
        try:
            about = (folder / name).stat()
            found.append((about.st_ino, about.st_mtime_ns, about.st_size))
        except OSError:
            found.append(None)
    return tuple(found)


# -- pieces ------------------------------------------------------------------------------------------------------------


def _carry_out(folder: Path) -> None:
    """Move the files of the journal to their places; each step may have been done before."""
    journal = _journal(folder)
    if journal is None:
        return
    beside = folder / journal["from"]
    # What another library would take for a whole in the meantime goes first, and the config, which is the first by its
    # name, comes first: it finds no weights rather than a mixture. Where one file differs there is no meantime.
    for name in journal["remove"]:
        (folder / name).unlink(missing_ok=True)
    left = [name for name in journal["take"] if (beside / name).exists()]
    differing = [name for name in left if not _is_same(beside / name, folder / name)]
    if len(differing) > 1:
        for name in differing[1:]:
            (folder / name).unlink(missing_ok=True)
    for name in left:
        with suppress(FileNotFoundError):
            (beside / name).replace(folder / name)
    _make_sure(folder)
    (folder / JOURNAL).unlink(missing_ok=True)
    shutil.rmtree(beside, ignore_errors=True)


def _journal(folder: Path) -> dict[str, Any] | None:
    """What the journal says; None where there is none. It may name files of this folder only."""
    try:
        content = json.loads((folder / JOURNAL).read_bytes())
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError) as error:
        raise _no_journal(folder) from error
    match content:
        case {"from": str(beside), "take": list(), "remove": list()}:
            names: list[Any] = [beside, *content["take"], *content["remove"]]
            if beside.startswith(BESIDE) and all(_is_name(name) for name in names):
                return cast("dict[str, Any]", content)
        case _:
            pass
    raise _no_journal(folder)


def _no_journal(folder: Path) -> ValueError:
    message = f"{folder / JOURNAL} is damaged: required the names of files in this folder; remove it, and save again"
    return ValueError(message)


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and name not in ("", ".", "..", JOURNAL) and re.search(r"[/\\\0]", name) is None


def _is_valid(folder: Path, name: str) -> bool:
    """Whether the journal names that folder: then what is in it must not be lost."""
    with suppress(ValueError, OSError):
        journal = _journal(folder)
        return journal is not None and journal["from"] == name
    return False


def _is_same(one: Path, other: Path) -> bool:
    """Whether two small files have the same bytes; large ones are taken for different."""
    try:
        sizes = one.stat().st_size, other.stat().st_size
        return sizes[0] == sizes[1] < 2**20 and one.read_bytes() == other.read_bytes()
    except FileNotFoundError:
        return False


def _remove_abandoned(folder: Path) -> None:
    """Folders that somebody was writing into when he was stopped; one that is still written into is locked."""
    for path in folder.glob(f"{BESIDE}*"):
        if path.is_dir() and not path.is_symlink() and not _is_valid(folder, path.name):
            with suppress(OSError), _locked(path, waits=False):
                shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _locked(folder: Path, *, waits: bool = True) -> Generator[None]:
    """Keep other processes out of these steps, where the system has such locks for folders; they end with a process."""
    try:
        import fcntl
    except ImportError:  # Windows: there two writers at once are not kept apart
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX if waits else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if not waits or error.errno not in (errno.ENOTSUP, errno.ENOLCK, errno.EINVAL):
                raise
        yield
    finally:
        os.close(handle)


def _make_sure(path: Path) -> None:
    """What has been written is on the disk, and not only on its way there."""
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _explained(error: OSError, folder: Path) -> OSError:
    """The same error, which says what became of the files that were there."""
    if isinstance(error, NotADirectoryError) or error.errno is None:
        return error
    if error.errno in FULL:
        remedy = "make room, or give a folder on another disk"
    elif isinstance(error, PermissionError) or error.errno == errno.EROFS:
        remedy = "give a folder that this user may write into"
    else:
        return error
    message = f"{error.strerror}: nothing was saved into {folder}, and what was there is as it was; {remedy}"
    return type(error)(error.errno, message)
