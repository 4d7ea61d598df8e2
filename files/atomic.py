"""Writing a file so that nothing is lost: beside the target first, then renamed over it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write_atomically(path: Path, content: bytes) -> None:
    """Replace `path` by `content` in one step; a reader sees the old file or the new one, never half of either.

    Args:
        path: the target; its folder is made if it is missing.
        content: the whole content.

    Raises:
        NotADirectoryError: a part of the path is a file.

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
