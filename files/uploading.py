"""Sending files of a folder to the Hugging Face hub, in one commit."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from glob import escape
from pathlib import Path
from typing import Any, TypedDict, Unpack

from .hub import patiently
from .refusals import Asked


class Commit(TypedDict, total=False):
    """How it is sent.

    Attributes:
        commit_message: its first line.
        commit_description: what follows that.
        private: whether a new repository is seen by its owner alone; None: as the owner has set it.
        token: of one who may write; None or True: the one that was stored at login.
        revision: the branch, made where it is missing; None: the main branch.
        create_pr: ask the owner to take it, and change nothing yet.
    """

    commit_message: str | None
    commit_description: str | None
    private: bool | None
    token: str | bool | None
    revision: str | None
    create_pr: bool


def upload(
    folder: Path, repo_id: str, files: Sequence[str], replaced: Sequence[str] = (), **commit: Unpack[Commit]
) -> str:
    """Send files of a folder.

    Args:
        folder: where they are.
        repo_id: the repository, made where it is missing.
        files: their names. Of README.md, only where the repository has none: somebody may have written it.
        replaced: patterns of files of the repository that go at the same time, where they are none of these.
        **commit: see `Commit`.

    Returns:
        The address of the commit, or of what the owner is asked.

    Raises:
        ModuleNotFoundError: the hub's library is missing; says what to type.
        PermissionError: no token, or one that may not write.
        ConnectionError: the hub does not answer, is ill, or wants fewer questions.
        OSError, FileNotFoundError: it refuses for another reason.
    """
    revision, wants_consent = commit.get("revision"), bool(commit.get("create_pr"))
    asked = Asked(repo_id, revision, commit.get("token"), is_sent=True)
    api = asked.library.HfApi(token=asked.token, library_name="roberta")
    made = patiently(asked, lambda: api.create_repo(repo_id, private=commit.get("private"), exist_ok=True))
    name = made.repo_id  # with its owner
    if revision and not wants_consent and not revision.startswith("refs/"):
        patiently(asked, lambda: api.create_branch(name, branch=revision, exist_ok=True))
    there = patiently(asked, lambda: api.list_repo_files(name, revision=None if wants_consent else revision))
    sent = [file for file in files if file != "README.md" or file not in there]
    done = patiently(
        asked,
        lambda: api.upload_folder(
            repo_id=name,
            folder_path=folder,
            allow_patterns=[escape(file) for file in sent],
            delete_patterns=list(replaced) or None,
            commit_message=commit.get("commit_message") or "Upload with roberta",
            commit_description=commit.get("commit_description"),
            revision=revision,
            create_pr=wants_consent,
        ),
    )
    return str(done.pr_url or done.commit_url)


def taken_from(
    options: dict[str, Any], folder: str | os.PathLike[str], names: Iterable[str] = Commit.__annotations__
) -> dict[str, Any] | None:
    """Take from the options of a `save_pretrained` what is about the hub.

    Args:
        options: as they were given; what is taken goes from them.
        folder: what is saved to; its name is the repository's where none is said.
        names: which options are about the hub, besides `repo_id`.

    Returns:
        `repo_id` and the rest; None where nothing is to be sent, and then nothing is taken.

    Example:
        >>> options = {"push_to_hub": True, "private": True, "token": None, "safe_serialization": True}
        >>> taken_from(options, "home/mine"), options
        ({'repo_id': 'mine', 'private': True}, {'safe_serialization': True})
    """
    if options.get("push_to_hub") is not True:
        return None
    del options["push_to_hub"]
    said = {name: options.pop(name) for name in ("repo_id", *names) if name in options}
    return {"repo_id": Path(folder).absolute().name} | {
        name: value for name, value in said.items() if value is not None
    }
