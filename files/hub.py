"""Fetching from the Hugging Face hub: only files that are needed, and what is said where that fails."""

from __future__ import annotations

import json
import re
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from glob import escape
from pathlib import Path, PurePosixPath
from typing import Any, cast

from .refusals import Asked

#: Files of weights, one a format, in the order in which they are chosen: that of `formats.table.FORMATS`. Each may lie
#: in shards instead, which an index names.
WEIGHTS = (
    "model.safetensors", "pytorch_model.bin", "tf_model.h5", "flax_model.msgpack", "model.weights.h5", "model.pt",
)  # fmt: skip
INDEX = ".index.json"
#: All else that is of use: the configuration, and the files of tokenizers.
SMALL = (
    "config.json", "vocab.json", "merges.txt", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
    "added_tokens.json", "sentencepiece.bpe.model", "dict.txt", "encoder.json", "vocab.bpe",
)  # fmt: skip
#: More files than that the hub's first answer may leave out.
MOST_LISTED = 50_000
#: How long to wait, in seconds, before a hub that is busy or ill is asked again; and the most that it may demand.
WAITS = (1.0, 3.0)
LONGEST_WAIT = 30.0


def fetch(repository: str, patterns: Sequence[str] | None, subfolder: str, options: Mapping[str, Any]) -> Path:
    """The folder of a repository in the hub's cache, with what is needed of it.

    Args:
        repository: its id.
        patterns: which of the `SMALL` files; None: all, and the weights in one format.
        subfolder: the folder inside that is looked at.
        options: see `places.HubOptions`.

    Returns:
        The folder of the repository, above the subfolder. Where the hub does not answer, a whole copy that the cache
        has, with a warning.

    Raises:
        FileNotFoundError: no such repository, revision, folder or file, or not in the cache where only that is asked.
        PermissionError: the hub wants a token, another one, or somebody's consent.
        ConnectionError: the hub does not answer, is ill, or wants fewer questions.
        OSError: what came was broken, or cannot be written here.
        ValueError: a subfolder or revision that leads out of its folder; or what the hub said is odd.
    """
    _require_inside(subfolder, options.get("revision"))
    asked = Asked(repository, options.get("revision"), options.get("token"))
    where = {name: options.get(name) for name in ("revision", "token", "cache_dir")}
    if options.get("local_files_only") or asked.constants.HF_HUB_OFFLINE:
        kept = _cached(asked, where)
        if kept is None:
            raise asked.is_not_kept(options.get("cache_dir"))
        return kept
    try:
        return _online(asked, patterns, subfolder, {**where, "force_download": bool(options.get("force_download"))})
    except ConnectionError as error:
        kept = None if options.get("force_download") else _cached(asked, where)
        if kept is None or not is_whole(kept / subfolder, patterns):
            raise
        warnings.warn(f"{error}. Taken instead: the copy in the cache, commit {kept.name}", stacklevel=4)
        return kept


def choose(names: Iterable[str], patterns: Sequence[str] | None) -> list[str]:
    """Of a folder's files those that are needed: the small ones, and the weights or the index of one format.

    Args:
        names: what is there.
        patterns: which small ones, and no weights; None: all, and the weights.

    Example:
        >>> choose(["config.json", "optimizer.pt", "pytorch_model.bin", "model.safetensors.index.json"], None)
        ['config.json', 'model.safetensors.index.json']
        >>> choose(["config.json", "merges.txt", "pytorch_model.bin"], ["*.txt"])
        ['merges.txt']
    """
    there = set(names)
    small = [name for name in SMALL if name in there and _is_wanted(name, patterns)]
    weights = [name for one in WEIGHTS for name in (one, one + INDEX) if name in there]
    return small if patterns is not None else small + weights[:1]


def shards(index: Path) -> list[str]:
    """The files that an index of shards names, each a plain name.

    Raises:
        ValueError: no such index, or one that leads out of its folder.
    """
    try:
        names = cast("dict[str, Any]", json.loads(index.read_bytes())["weight_map"]).values()
        found = sorted(set(names))
        odd = [name for name in found if re.fullmatch(r"\w[\w.+-]{0,254}", name, re.ASCII) is None]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f'{index}: required JSON with "weight_map": name -> file, got {str(error)[:200]!r}') from error
    if odd or not found:
        message = f"{index} names {odd[0][:200]!r}, which is no file of its folder" if odd else f"{index} names no file"
        raise ValueError(f"{message}; do not trust this checkpoint")
    return found


def is_whole(folder: Path, patterns: Sequence[str] | None) -> bool:
    """Whether a folder has what is needed of it, shards included, as far as can be told without the hub."""
    chosen = choose((path.name for path in folder.iterdir()), patterns) if folder.is_dir() else []
    if patterns is not None:
        return bool(chosen)
    if not chosen or "config.json" not in chosen or chosen[-1] in SMALL:
        return False
    index = folder / chosen[-1]
    return not index.name.endswith(INDEX) or all((folder / name).is_file() for name in shards(index))


def patiently(asked: Asked, call: Callable[[], Any]) -> Any:
    """Call; once more where the hub is busy or ill, which passes. What fails is said in our words."""
    for wait in (*WAITS, None):
        try:
            return call()
        except Exception as error:  # noqa: BLE001  # each is raised in our words, or the hub is asked again
            pause = asked.pause(error)
            if wait is None or pause is None or pause > LONGEST_WAIT:
                failure = asked.refusal(error)
                raise failure from (None if asked.betrays(error) else error)
            time.sleep(max(wait, pause))
    raise AssertionError  # the last wait is None


# -- pieces ------------------------------------------------------------------------------------------------------------


def _online(asked: Asked, patterns: Sequence[str] | None, subfolder: str, options: Mapping[str, Any]) -> Path:
    """List, choose, and fetch what was chosen; all of one commit."""
    commit, listed = patiently(asked, lambda: _list(asked, subfolder))
    if re.fullmatch(r"[0-9a-f]{40}", commit) is None:  # it becomes a folder of the cache
        raise ValueError(f"{asked}: required a commit of 40 hexadecimal digits, got {commit[:80]!r}")
    inside = PurePosixPath(subfolder)
    here = [PurePosixPath(name).name for name in listed if PurePosixPath(name).parent == inside]
    chosen = choose(here, patterns)
    if not chosen or (patterns is None and chosen[-1] in SMALL):
        needed = patterns if patterns is not None else [f"{one} (or {INDEX} of its shards)" for one in WEIGHTS]
        raise asked.has_none(needed, listed, subfolder)
    if chosen[-1].endswith(INDEX):
        at, pinned = str(inside / chosen[-1]), {**options, "revision": commit}
        index = patiently(asked, lambda: asked.library.hf_hub_download(asked.repository, at, **pinned))
        needed = shards(Path(index))
        if missing := [name for name in needed if name not in here]:
            raise asked.has_none(missing, listed, subfolder)
        chosen += needed
    paths = [str(inside / name) for name in chosen]
    return patiently(asked, lambda: _download(asked, commit, paths, options))


def _list(asked: Asked, subfolder: str) -> tuple[str, list[str]]:
    """The commit of the revision, and its files."""
    api = asked.library.HfApi(token=asked.token, library_name="roberta")
    said = api.model_info(asked.repository, revision=asked.revision)
    commit, names = str(said.sha), [str(one.rfilename) for one in said.siblings or ()]
    if not names or len(names) > MOST_LISTED:
        tree = api.list_repo_tree(asked.repository, subfolder or None, revision=commit)
        names = [str(one.path) for one in tree if hasattr(one, "blob_id")]
    return commit, names


def _download(asked: Asked, commit: str, paths: Sequence[str], options: Mapping[str, Any]) -> Path:
    # By the revision's name, which the cache then knows when nobody is asked; so it may be another commit by now.
    allowed = [escape(path) for path in paths]
    top = Path(asked.library.snapshot_download(asked.repository, allow_patterns=allowed, **options))
    lacking = [path for path in paths if not (top / path).is_file()]
    if top.name != commit or lacking:
        raise ConnectionResetError(f"{asked} changed while it was fetched, or came in part ({lacking[:3]})")
    return top


def _cached(asked: Asked, where: Mapping[str, Any]) -> Path | None:
    """The copy of the revision that the cache has, which may be in part."""
    errors = asked.errors
    try:
        return Path(asked.library.snapshot_download(asked.repository, local_files_only=True, **where))
    except (errors.LocalEntryNotFoundError, errors.HFValidationError):
        return None


def _is_wanted(name: str, patterns: Sequence[str] | None) -> bool:
    return patterns is None or any(fnmatchcase(name, pattern) for pattern in patterns)


def _require_inside(subfolder: str, revision: str | None) -> None:
    for name, given in (("subfolder", subfolder), ("revision", revision or "")):
        path = PurePosixPath(given)
        if path.is_absolute() or ".." in path.parts or "\\" in given:
            raise ValueError(f"{name}: required a name inside the repository, got {given!r:.200}")
