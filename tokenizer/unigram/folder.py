"""A folder of a unigram tokenizer: ``sentencepiece.bpe.model``, ``tokenizer.json``, or both, which must agree then."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ...files.atomic import write_atomically
from ...files.places import locate
from ..files import (
    ADDED_TOKENS_FILE,
    CONFIG_FILE,
    SPECIAL_TOKENS_FILE,
    TOKENIZER_FILE,
    StrPath,
    read_json_object,
    read_settings,
    write_json,
)
from ..folder import added_tokens, require_types
from ..settings import config_of, constructor_arguments, other_settings
from .layout import Layout
from .model import PieceModel, model_bytes, read_model
from .tokenizer_json import StoredPieces, read_tokenizer_json, tokenizer_json

if TYPE_CHECKING:
    from .tokenizer import UnigramTokenizer

__all__ = ["FILE_NAMES", "MODEL_FILE", "StoredTokenizer", "read_folder", "write_folder", "write_model"]

MODEL_FILE = "sentencepiece.bpe.model"
FILE_NAMES = {"vocab_file": MODEL_FILE, "tokenizer_file": TOKENIZER_FILE}
"""Argument of the fast classes -> the name of its file in a folder."""
#: What is fetched from the hub.
PATTERNS = ("*.json", MODEL_FILE)
#: Classes of no family, whose `tokenizer.json` is looked into.
_GENERAL = {"PreTrainedTokenizer", "TokenizersBackend"}
#: What RoBERTa's settings have and these tokenizers do not.
_NOT_THEIRS = {"errors", "add_prefix_space", "trim_offsets"}


class StoredTokenizer(NamedTuple):
    """What a folder says.

    Args:
        model: the pieces.
        data: the bytes of their file, where there is one.
        parts: the normalizer, pre_tokenizer and decoder of ``tokenizer.json``, where there is one.
        arguments: further arguments of the tokenizer.
        others: what other programs have left in ``tokenizer_config.json``.
    """

    model: PieceModel
    data: bytes | None
    parts: Mapping[str, Any]
    arguments: dict[str, Any]
    others: Mapping[str, Any]


def read_folder(folder_or_id: StrPath, layout: Layout, wanted: str, model_type: str, **hub: Any) -> StoredTokenizer:
    """Read a tokenizer.

    Args:
        folder_or_id: a folder, or an id on the hub.
        layout: of the family that it is of.
        wanted: the name of its class.
        model_type: the family's, in a config.json.
        **hub: ``subfolder``, ``revision``, ``token``, …, as `locate` takes them.

    Returns:
        What it says.

    Raises:
        FileNotFoundError: there is no such folder, or the files are not in it.
        ValueError: a file is damaged, two contradict each other, or they are of another kind of tokenizer.
    """
    folder = locate(folder_or_id, PATTERNS, **hub)
    _require_family(folder, wanted, model_type)
    has_model, has_json = ((folder / name).is_file() for name in (MODEL_FILE, TOKENIZER_FILE))
    if not has_model and not has_json:
        found = ", ".join(sorted(path.name for path in folder.iterdir())) or "nothing"
        raise FileNotFoundError(
            f"folder: expected {MODEL_FILE} or {TOKENIZER_FILE} in {folder}, found {found}; fetch what is lacking from "
            "the checkpoint"
        )
    found = read_settings(folder)
    settings = {name: value for name, value in constructor_arguments(found).items() if name not in _NOT_THEIRS}
    require_types(folder, settings)
    whole = read_tokenizer_json(folder / TOKENIZER_FILE, layout) if has_json else None
    model, data = read_model(folder / MODEL_FILE) if has_model else (None, None)
    if model and whole:
        _require_same(folder, layout, model, whole)
    added = added_tokens(folder, {"added_tokens_decoder": whole.added if whole else {}}, settings)
    chosen = model or (whole.model if whole else None)
    if chosen is None:  # it is there: see above
        raise FileNotFoundError(f"{folder}: expected {MODEL_FILE} or {TOKENIZER_FILE}; fetch one of them")
    others = {name: value for name, value in other_settings(found).items() if name != "sp_model_kwargs"}
    return StoredTokenizer(chosen, data, whole.parts if whole else {}, {**settings, **added}, others)


def _require_family(folder: Path, wanted: str, model_type: str) -> None:
    """Refuse the folder of another tokenizer, which says in its settings, or in its configuration, which it is."""
    for file, key, known in (
        (CONFIG_FILE, "tokenizer_class", {wanted, *_GENERAL}),
        ("config.json", "tokenizer_class", {wanted, *_GENERAL}),
        ("config.json", "model_type", {model_type}),
    ):
        name = read_json_object(folder / file).get(key) if (folder / file).is_file() else None
        if name is not None:
            if str(name).removesuffix("Fast") not in known:
                raise ValueError(
                    f"{folder}: expected the tokenizer of {wanted}, got {key} {name!r:.60} in {file}; load it with "
                    "roberta.load_tokenizer(folder), which takes the class that the folder is of"
                )
            return


def _require_same(folder: Path, layout: Layout, model: PieceModel, whole: StoredPieces) -> None:
    ours, theirs = ([token for token, _ in layout.entries(each)] for each in (model, whole.model))
    if ours != theirs:
        pairs = enumerate(zip(ours, theirs, strict=False))
        at = next((at for at, (one, other) in pairs if one != other), min(len(ours), len(theirs)))
        raise ValueError(
            f"{folder}: expected {MODEL_FILE} and {TOKENIZER_FILE} to say the same, got {len(ours)} and {len(theirs)} "
            f"tokens, which part at id {at}; remove the one that is out of date"
        )


def write_model(tokenizer: UnigramTokenizer, folder: StrPath, prefix: str | None = None) -> str:
    """Write ``sentencepiece.bpe.model``: the bytes that were read, or, where there were none, the pieces anew.

    Args:
        tokenizer: any.
        folder: a folder that exists.
        prefix: put before the name, with a hyphen.

    Returns:
        The path.
    """
    path = _path(folder, prefix, MODEL_FILE)
    write_atomically(path, model_bytes(tokenizer.model) if tokenizer._data is None else tokenizer._data)
    return str(path)


def write_folder(
    tokenizer: UnigramTokenizer, folder: StrPath, prefix: str | None = None, legacy_format: bool | None = None
) -> tuple[str, ...]:
    """Write all files of a tokenizer.

    Args:
        tokenizer: any.
        folder: a folder that exists.
        prefix: put before every name, with a hyphen.
        legacy_format: True leaves out ``tokenizer.json``, False what that file makes needless.

    Returns:
        The paths.
    """
    stored = {name: value for name, value in config_of(tokenizer).items() if name not in _NOT_THEIRS}
    stored["tokenizer_class"] = tokenizer.slow_name
    new = {token: index for token, index in tokenizer.get_added_vocab().items() if token not in tokenizer._base}
    written: dict[str, Mapping[str, Any]] = {CONFIG_FILE: stored, SPECIAL_TOKENS_FILE: tokenizer.special_tokens_map}
    if new and legacy_format is not False:
        written[ADDED_TOKENS_FILE] = new
    for name, value in written.items():
        write_json(_path(folder, prefix, name), value, indent=2)
    paths = [str(_path(folder, prefix, name)) for name in written]
    if legacy_format is not False:
        paths.append(write_model(tokenizer, folder, prefix))
    has_frame = tokenizer.cls_token is not None and tokenizer.sep_token is not None
    if legacy_format is False or (legacy_format is None and has_frame):
        path = _path(folder, prefix, TOKENIZER_FILE)
        write_json(path, tokenizer_json(tokenizer))
        paths.append(str(path))
    return tuple(paths)


def _path(folder: StrPath, prefix: str | None, name: str) -> Path:
    return Path(folder) / (f"{prefix}-{name}" if prefix else name)
