"""Writing a file or a folder so that nothing is lost: beside the target first, then renamed to it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


def write_atomically(path: Path, content: bytes) -> None:
    """Replace `path` by `content` in one step; a reader sees the old file or the new one, never half of either.

    Args:
        path: the target; its folder is made if it is missing.
        content: the whole content.

    Raises:
        NotADirectoryError: a part of the path is a file.
        IsADirectoryError: the path is a folder.

    Numerics: none. Source: `rename` is atomic on POSIX and, through `os.replace`, on Windows.

    Example:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / "a" / "b.txt"
        >>> write_atomically(target, b"whole")
        >>> target.read_bytes(), [file.name for file in target.parent.iterdir()]
        (b'whole', ['b.txt'])
    """
    if path.parent.exists() and not path.parent.is_dir():
        message = f"{path.parent} is a file; a folder is needed to write {path.name} into"
        raise NotADirectoryError(message)
    if path.is_dir():
        message = f"{path} is a folder; a file is needed, such as {path / 'new.file'}"
        raise IsADirectoryError(message)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        # mkstemp makes files for their owner only; a checkpoint is to be read by whom the folder admits
        Path(beside).chmod(0o644)
        Path(beside).replace(path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise


@contextmanager
def new_folder(path: Path) -> Generator[Path]:
    """A folder to write into, which becomes `path` when the block ends well; else nothing is left of it.

    Args:
        path: must not exist, or be an empty folder; the folders above it are made if they are missing.

    Yields:
        The folder to write into, beside the target.

    Raises:
        FileExistsError: there is something at the path.

    Example:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / "a" / "b"
        >>> with new_folder(target) as beside:
        ...     (beside / "file").touch()
        ...     target.exists()
        False
        >>> [file.name for file in target.iterdir()]
        ['file']
    """
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        what = "a folder with files in it" if path.is_dir() else "a file"
        message = f"{path}: required a new or an empty folder, got {what}; give another name, or remove it first"
        raise FileExistsError(message)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as above:
        beside = Path(above) / path.name  # made for whom the folder above admits, which the temporary one is not
        beside.mkdir()
        yield beside
        if path.exists():
            path.rmdir()
        beside.rename(path)
