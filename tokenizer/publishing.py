"""Giving a tokenizer to others by the Hugging Face hub: its files, beside what the repository has."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Unpack

from ..files.uploading import Commit, upload
from .files import StrPath
from .options import reject_unknown

if TYPE_CHECKING:
    from .compatibility import TransformersNames

__all__ = ["push", "send", "taken_from"]


def push(tokenizer: TransformersNames, repo_id: str, **commit: Unpack[Commit]) -> str:
    """Save into a folder that goes again, and send that.

    Args:
        tokenizer: of any class.
        repo_id: see `upload`.
        **commit: see `Commit`.

    Returns:
        The address of the commit.
    """
    reject_unknown("push_to_hub", commit, Commit.__annotations__)
    with TemporaryDirectory(prefix="roberta-") as folder:
        return send(tokenizer.save_pretrained(folder), repo_id, **commit)


def send(written: Sequence[str], repo_id: str, **commit: Unpack[Commit]) -> str:
    """Send files of one folder, and nothing that lies beside them; what the repository has besides stays."""
    paths = [Path(path) for path in written]
    commit = {"commit_message": "Upload tokenizer with roberta", **commit}
    return upload(paths[0].parent, repo_id, sorted(path.name for path in paths), **commit)


def taken_from(options: dict[str, Any], folder: StrPath) -> dict[str, Any] | None:
    """Take from the options of `save_pretrained` what is about the hub.

    Returns:
        `repo_id`, by default the folder's name, and the rest; None where nothing is to be sent.

    Example:
        >>> options = {"push_to_hub": True, "private": True, "safe_serialization": True}
        >>> taken_from(options, "home/mine"), options
        ({'repo_id': 'mine', 'private': True}, {'safe_serialization': True})
    """
    if options.get("push_to_hub") is not True:
        return None
    del options["push_to_hub"]
    names = [name for name in ("repo_id", *Commit.__annotations__) if name in options]
    said = {name: options.pop(name) for name in names}
    return {"repo_id": Path(folder).absolute().name} | {
        name: value for name, value in said.items() if value is not None
    }
