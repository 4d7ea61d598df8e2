"""The files of a tokenizer folder, read without losing a line, never left half written.

``vocab.json`` maps symbol strings to ids; ``merges.txt`` holds one merge a line, the lowest rank first, under
a version line; ``tokenizer_config.json`` and ``special_tokens_map.json`` hold the settings, in the form that
transformers reads.
"""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from ..files.atomic import write_atomically

__all__ = ["checked_ids", "read_merges", "read_settings", "read_vocab", "write_json", "write_merges"]

VOCAB_FILE, MERGES_FILE, TOKENIZER_FILE = "vocab.json", "merges.txt", "tokenizer.json"
CONFIG_FILE, SPECIAL_TOKENS_FILE = "tokenizer_config.json", "special_tokens_map.json"
ADDED_TOKENS_FILE = "added_tokens.json"

_VERSION_LINE = "#version: 0.2"

StrPath = str | os.PathLike[str]


def read_vocab(path: StrPath) -> dict[str, int]:
    """Read ``vocab.json``.

    Args:
        path: a JSON object of symbol string -> id.

    Returns:
        The same, in the file's order; ids are at least 0 and no two are equal.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged: not UTF-8, not such an object, an id that is no such number, a token or an
            id that comes twice.

    Example:
        >>> read_vocab("nowhere/vocab.json")
        Traceback (most recent call last):
        FileNotFoundError: vocab.json: expected a file at nowhere/vocab.json, ...
    """
    return checked_ids(path, read_json_object(path))


def checked_ids(path: StrPath, vocab: Mapping[str, Any]) -> dict[str, int]:
    """Require what a vocabulary must be.

    Args:
        path: where it was read, for messages.
        vocab: symbol string -> id.

    Returns:
        The same.

    Raises:
        ValueError: an id that is no integer of at least 0, or comes twice.
    """
    token_of_id: dict[int, str] = {}
    for token, index in vocab.items():
        if type(index) is not int or index < 0:
            raise ValueError(
                f"{path}: expected an integer id of at least 0 for each token, got {index!r} for {token!r}; "
                "fetch the file again"
            )
        if index in token_of_id:
            raise ValueError(
                f"{path}: expected each id once, got {index} for both {token_of_id[index]!r} and {token!r}; "
                "fetch the file again"
            )
        token_of_id[index] = token
    return dict(vocab)


def read_merges(path: StrPath) -> list[tuple[str, str]]:
    r"""Read ``merges.txt``.

    A first line that begins with ``#version`` is the header; every other line is a merge, the last one too
    where no line end follows it. Line ends may be those of Windows.

    Args:
        path: one merge a line, its two parts parted by a space.

    Returns:
        The pairs, the lowest rank first.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a line does not hold two parts, or the file is not UTF-8.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "merges.txt").write_text("Ġ t\nĠt h", encoding="utf-8")
        >>> read_merges(folder / "merges.txt")
        [('Ġ', 't'), ('Ġt', 'h')]
    """
    # Not splitlines(): it also cuts at characters that are no line ends here.
    lines = [line.removesuffix("\r") for line in _read_text(path).split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    begin = 1 if lines and lines[0].startswith("#version") else 0
    return [_read_merge(path, number, line) for number, line in enumerate(lines[begin:], begin + 1)]


def _read_merge(path: StrPath, number: int, line: str) -> tuple[str, str]:
    left, _, right = line.partition(" ")
    if not left or not right or " " in right:
        raise ValueError(
            f"{path}: expected two parts with one space between them in line {number}, got {line!r}; fetch "
            "the file again"
        )
    return left, right


def write_merges(path: StrPath, merges: Iterable[tuple[str, str]]) -> None:
    """Write ``merges.txt``, with its version line.

    Args:
        path: where to; an older file is replaced at once, never half.
        merges: the pairs, the lowest rank first.
    """
    write_atomically(Path(path), "\n".join([_VERSION_LINE, *map(" ".join, merges), ""]).encode())


def read_settings(folder: StrPath) -> dict[str, Any]:
    """Read ``tokenizer_config.json``; for what that lacks, the two older files of special and added tokens.

    Args:
        folder: a tokenizer folder; all three files may be absent.

    Returns:
        The settings by their names in the files.

    Raises:
        ValueError: a file is damaged.
    """
    stored = {name: Path(folder) / name for name in (SPECIAL_TOKENS_FILE, CONFIG_FILE, ADDED_TOKENS_FILE)}
    found = {name: read_json_object(path) for name, path in stored.items() if path.is_file()}
    settings = found.get(SPECIAL_TOKENS_FILE, {}) | found.get(CONFIG_FILE, {})
    # Special tokens without a role: so release 5 of transformers calls them, and release 4 those with roles of its own.
    named = settings.pop("extra_special_tokens", None)
    if named:
        extra = cast("dict[str, Any]", named).values() if isinstance(named, dict) else named
        settings["additional_special_tokens"] = [*(settings.get("additional_special_tokens") or ()), *extra]
    # Older folders have only the names and ids of added tokens.
    older = {index: token for token, index in found.get(ADDED_TOKENS_FILE, {}).items()}
    return {"added_tokens_decoder": older} | settings if older else settings


def read_json_object(path: StrPath) -> dict[str, Any]:
    """Read a file that holds one JSON object; a key that comes twice is a ValueError.

    Args:
        path: the file.

    Returns:
        The object, in the file's order.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not JSON, not an object, or a key comes twice.
    """
    try:
        value = json.loads(_read_text(path), object_pairs_hook=_object_without_repeats)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: expected a JSON object, got a damaged file ({error}); fetch it again") from None
    if not isinstance(value, dict):
        raise ValueError(f"{path}: expected a JSON object, got {type(value).__name__}; fetch the file again")
    return cast("dict[str, Any]", value)


def _object_without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        repeated = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {repeated!r} comes twice")
    return found


def write_json(path: StrPath, value: Mapping[str, Any], indent: int | None = None) -> None:
    """Write one JSON object.

    Args:
        path: where to; an older file is replaced at once, never half.
        value: what to write.
        indent: spaces a level; None for one line.
    """
    write_atomically(Path(path), (json.dumps(value, ensure_ascii=False, indent=indent) + "\n").encode())


def _read_text(path: StrPath) -> str:
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"{path.name}: expected a file at {path}, found {'a folder' if path.is_dir() else 'nothing'}; pass the "
            "path of the file itself, or from_pretrained the folder that holds vocab.json and merges.txt"
        )
    try:
        return path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: expected UTF-8, got {error}; fetch the file again") from None
