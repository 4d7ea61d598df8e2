"""Giving a tokenizer to others by the Hugging Face hub: its files, beside what the repository has."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Unpack

from ..files.uploading import Commit, upload
from .options import reject_unknown

if TYPE_CHECKING:
    from .compatibility import TransformersNames

__all__ = ["push", "send"]


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
