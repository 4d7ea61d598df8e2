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
from ..files.objects import read_object

__all__ = ["checked_ids", "read_merges", "read_settings", "read_vocab", "write_json", "write_merges"]

VOCAB_FILE, MERGES_FILE, TOKENIZER_FILE = "vocab.json", "merges.txt", "tokenizer.json"
CONFIG_FILE, SPECIAL_TOKENS_FILE = "tokenizer_config.json", "special_tokens_map.json"
ADDED_TOKENS_FILE = "added_tokens.json"

_VERSION_LINE = "#version: 0.2"

#: Above all ids: the libraries that number tokens, and the frameworks that look rows up, count in 32 bits.
IDS_END = 2**31

StrPath = str | os.PathLike[str]


def read_vocab(path: StrPath) -> dict[str, int]:
    """Read ``vocab.json``.

    Args:
        path: a JSON object of symbol string -> id.

    Returns:
        The same, in the file's order; ids are at least 0, below 2^31, and no two are equal.

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
        ValueError: an id that is no integer from 0 to below 2^31, or comes twice.
    """
    token_of_id: dict[int, str] = {}
    for token, index in vocab.items():
        if type(index) is not int or not 0 <= index < IDS_END:
            raise ValueError(
                f"{path}: expected an integer id from 0 to below 2^31 for each token, got {index!r:.80} for {token!r}; "
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
        several: list[Any] = [settings.get("additional_special_tokens") or [], named]
        if not all(isinstance(each, list | dict) for each in several):
            raise ValueError(
                f"{folder}: expected extra_special_tokens and additional_special_tokens to be lists, or objects of "
                f"name -> token, got {several!r:.120}; correct {CONFIG_FILE}, or fetch it again"
            )
        settings["additional_special_tokens"] = [token for each in several for token in _values(each)]
    # Older folders have only the names and ids of added tokens.
    ids = checked_ids(stored[ADDED_TOKENS_FILE], found.get(ADDED_TOKENS_FILE, {}))
    older = {index: token for token, index in ids.items()}
    return {"added_tokens_decoder": older} | settings if older else settings


def read_json_object(path: StrPath) -> dict[str, Any]:
    """Read a file that holds one JSON object, as `roberta.files.objects.read_object` does.

    Args:
        path: the file.

    Returns:
        The object, in the file's order.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not JSON, not an object, or a key comes twice.
    """
    value = read_object(_require_file(path))
    if not isinstance(value, dict):
        raise ValueError(f"{path}: expected a JSON object, got {type(value).__name__}; fetch the file again")
    return cast("dict[str, Any]", value)


def _values(tokens: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return tokens.values() if isinstance(tokens, dict) else tokens


def write_json(path: StrPath, value: Mapping[str, Any], indent: int | None = None) -> None:
    """Write one JSON object.

    Args:
        path: where to; an older file is replaced at once, never half.
        value: what to write.
        indent: spaces a level; None for one line.
    """
    write_atomically(Path(path), (json.dumps(value, ensure_ascii=False, indent=indent) + "\n").encode())


def _read_text(path: StrPath) -> str:
    try:
        return _require_file(path).read_bytes().decode("utf-8-sig")  # some editors on Windows put a mark before it
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: expected UTF-8, got {error}; fetch the file again") from None


def _require_file(path: StrPath) -> Path:
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"{path.name}: expected a file at {path}, found {'a folder' if path.is_dir() else 'nothing'}; pass the "
            "path of the file itself, or from_pretrained the folder that holds vocab.json and merges.txt"
        )
    return path
