"""A tokenizer folder, whichever of its files are there.

What a tokenizer is stands in ``vocab.json`` and ``merges.txt``, or in ``tokenizer.json``, or in all three, which
must agree then; how it is set stands in ``tokenizer_config.json``.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

from ..files.places import locate
from .files import (
    ADDED_TOKENS_FILE,
    CONFIG_FILE,
    IDS_END,
    MERGES_FILE,
    SPECIAL_TOKENS_FILE,
    TOKENIZER_FILE,
    VOCAB_FILE,
    StrPath,
    read_json_object,
    read_merges,
    read_settings,
    read_vocab,
    write_json,
    write_merges,
)
from .settings import check_types, config_of, constructor_arguments, other_settings
from .tokenizer_json import StoredTokenizer, read_tokenizer_json, write_tokenizer_json
from .vocabulary import Vocabulary

__all__ = ["FILE_NAMES", "added_tokens", "made", "read_folder", "require_types", "write_folder", "write_vocabulary"]

Made = TypeVar("Made")

FILE_NAMES = {"vocab_file": VOCAB_FILE, "merges_file": MERGES_FILE, "tokenizer_file": TOKENIZER_FILE}
"""Argument of `RobertaTokenizerFast` -> the name of its file in a folder."""

# No weights: a model of the same id may fetch them later.
_PATTERNS = ("*.json", "merges.txt")


# Tokenizers that are RoBERTa's under another name, and the general ones, whose `tokenizer.json` is looked into.
_CLASSES = {
    *("RobertaTokenizer", "BartTokenizer", "LongformerTokenizer", "LEDTokenizer"),
    *("PreTrainedTokenizer", "TokenizersBackend"),
}
# Models that have it.
_MODELS = {"roberta", "roberta-prelayernorm", "data2vec-text", "ibert", "bart", "longformer", "led"}


def read_folder(folder_or_id: StrPath, **hub: Any) -> StoredTokenizer:
    """Read a tokenizer.

    Args:
        folder_or_id: a folder, the name of a checkpoint that comes with the package, or an id on the hub.
        **hub: ``subfolder``, ``revision``, ``token``, …, as `locate` takes them.

    Returns:
        The vocabulary, the merges, and further arguments of `RobertaTokenizer`.

    Raises:
        FileNotFoundError: there is no such folder, or the files are not in it.
        ValueError: a file is damaged, two contradict each other, or they are of another kind of tokenizer.
    """
    folder = locate(folder_or_id, _PATTERNS, **hub)
    _require_roberta(folder)
    is_there = {name: (folder / name).is_file() for name in (VOCAB_FILE, MERGES_FILE, TOKENIZER_FILE)}
    if not is_there[TOKENIZER_FILE] and not (is_there[VOCAB_FILE] and is_there[MERGES_FILE]):
        found = ", ".join(sorted(path.name for path in folder.iterdir())) or "nothing"
        raise FileNotFoundError(
            f"folder: expected {TOKENIZER_FILE}, or {VOCAB_FILE} and {MERGES_FILE}, in {folder}, found {found}; "
            "fetch what is lacking from the checkpoint"
        )
    found = read_settings(folder)
    settings = constructor_arguments(found)
    require_types(folder, settings)
    whole = read_tokenizer_json(folder / TOKENIZER_FILE) if is_there[TOKENIZER_FILE] else StoredTokenizer({}, [], {})
    vocab = read_vocab(folder / VOCAB_FILE) if is_there[VOCAB_FILE] else whole.vocab
    merges = read_merges(folder / MERGES_FILE) if is_there[MERGES_FILE] else whole.merges
    if is_there[TOKENIZER_FILE]:
        _require_same_tokens(folder, vocab, whole)
        _require_same_merges(folder, merges, whole)
        _require_same_roles(folder, settings, whole)
    arguments = {**whole.arguments, **settings, **added_tokens(folder, whole.arguments, settings)}
    return StoredTokenizer(vocab, merges, arguments, other_settings(found))


def _require_roberta(folder: Path) -> None:
    """Refuse the folder of another model, which says in its settings, or in its configuration, which it is."""
    for file, key, known in (
        (CONFIG_FILE, "tokenizer_class", _CLASSES),
        ("config.json", "tokenizer_class", _CLASSES),
        ("config.json", "model_type", _MODELS),
    ):
        name = read_json_object(folder / file).get(key) if (folder / file).is_file() else None
        if name is not None:
            if str(name).removesuffix("Fast") not in known:
                raise ValueError(
                    f"{folder}: expected the tokenizer of a RoBERTa, got {key} {name!r} in {file}; load it with the "
                    f"class that is made for it, or, if its tokens are RoBERTa's all the same, correct {key}, or pass "
                    f"{VOCAB_FILE} and {MERGES_FILE} to RobertaTokenizer"
                )
            return


def made(
    kind: type[Made], files: tuple[Any, ...], settings: Mapping[str, Any], folder: StrPath, overrides: Mapping[str, Any]
) -> Made:
    """Make a tokenizer of what a folder holds.

    Args:
        kind: its class.
        files: what the constructor takes of the vocabulary.
        settings: arguments that the folder has.
        folder: where all that was read.
        overrides: arguments of the caller's, which win.

    Raises:
        ValueError: the folder's own settings make no tokenizer; the message names it.
        TypeError: as the constructor says, of the caller's arguments.
    """
    try:
        return kind(*files, **{**settings, "name_or_path": str(folder), **overrides})
    except (TypeError, ValueError):
        try:
            kind(*files, **settings)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{folder}: {error}") from error
        raise


def require_types(folder: Path, settings: Mapping[str, Any]) -> None:
    """Refuse a folder with settings of a wrong type: a ValueError that names it."""
    try:
        check_types(settings)
    except TypeError as error:
        raise ValueError(f"{folder}: {error}") from None


def added_tokens(folder: Path, *several: Mapping[str, Any]) -> dict[str, Any]:
    """Lay the added tokens of the later files over those of the earlier: id -> token, by whole numbers."""
    found: dict[Any, Any] = {}
    for arguments in several:
        for index, token in cast("dict[Any, Any]", arguments.get("added_tokens_decoder") or {}).items():
            if not str(index).isdecimal() or len(str(index)) > len(str(IDS_END)) or int(index) >= IDS_END:
                raise ValueError(
                    f"{folder}: added_tokens_decoder: expected ids for keys, got {index!r:.80}; fetch {CONFIG_FILE} "
                    "again"
                )
            if not (isinstance(token, str) and str(found.get(int(index))) == token):  # a name alone says less
                found[int(index)] = token
    return {"added_tokens_decoder": found}


def _require_same_tokens(folder: Path, vocab: Mapping[str, int], whole: StoredTokenizer) -> None:
    # Which of the two parts of its file holds the added tokens is up to the program that wrote it.
    added = {token.content for token in whole.arguments["added_tokens_decoder"].values()}
    for token in vocab.keys() | whole.vocab.keys():
        ids = vocab.get(token), whole.vocab.get(token)
        if ids[0] != ids[1] and not (token in added and None in ids):
            raise ValueError(
                f"{folder}: expected {VOCAB_FILE} and {TOKENIZER_FILE} to say the same, got the ids {ids[0]} and "
                f"{ids[1]} for {token!r}; remove the one that is out of date"
            )


def _require_same_merges(folder: Path, merges: list[tuple[str, str]], whole: StoredTokenizer) -> None:
    if merges != whole.merges:
        pairs = enumerate(zip(merges, whole.merges, strict=False))
        rank = next((rank for rank, (one, other) in pairs if one != other), min(len(merges), len(whole.merges)))
        raise ValueError(
            f"{folder}: expected {MERGES_FILE} and {TOKENIZER_FILE} to say the same, got {len(merges)} and "
            f"{len(whole.merges)} merges, which part at rank {rank}; remove the one that is out of date"
        )


def _require_same_roles(folder: Path, settings: Mapping[str, Any], whole: StoredTokenizer) -> None:
    for role in ("cls_token", "sep_token"):
        given = settings.get(role, whole.arguments[role])
        token = cast("dict[str, Any]", given).get("content") if isinstance(given, dict) else given
        if token != whole.arguments[role]:
            raise ValueError(
                f"{folder}: expected {CONFIG_FILE} and {TOKENIZER_FILE} to say the same, got {token!r} and "
                f"{whole.arguments[role]!r} for {role}; correct the one that is out of date"
            )


def write_vocabulary(tokenizer: Vocabulary, folder: StrPath, prefix: str | None = None) -> tuple[str, str]:
    """Write ``vocab.json`` and ``merges.txt``.

    Args:
        tokenizer: any.
        folder: a folder that exists.
        prefix: put before both names, with a hyphen.

    Returns:
        The two paths.
    """
    vocab_path, merges_path = (_path(folder, prefix, name) for name in (VOCAB_FILE, MERGES_FILE))
    write_json(vocab_path, dict(sorted(tokenizer._base.items(), key=lambda entry: entry[1])))
    write_merges(merges_path, tokenizer._merges)
    return str(vocab_path), str(merges_path)


def write_folder(
    tokenizer: Vocabulary, folder: StrPath, prefix: str | None = None, legacy_format: bool | None = None
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
    new = {token: index for token, index in tokenizer.get_added_vocab().items() if token not in tokenizer._base}
    written = {CONFIG_FILE: config_of(tokenizer), SPECIAL_TOKENS_FILE: tokenizer.special_tokens_map}
    if new and legacy_format is not False:
        written[ADDED_TOKENS_FILE] = new
    for name, value in written.items():
        write_json(_path(folder, prefix, name), value, indent=2)
    paths = [str(_path(folder, prefix, name)) for name in written]
    if legacy_format is not False:
        paths += write_vocabulary(tokenizer, folder, prefix)
    if legacy_format is False or (legacy_format is None and _has_frame(tokenizer)):
        write_tokenizer_json(_path(folder, prefix, TOKENIZER_FILE), tokenizer)
        paths.append(str(_path(folder, prefix, TOKENIZER_FILE)))
    return tuple(paths)


def _path(folder: StrPath, prefix: str | None, name: str) -> Path:
    return Path(folder) / (f"{prefix}-{name}" if prefix else name)


def _has_frame(tokenizer: Vocabulary) -> bool:
    # tokenizer.json has no way to say that a row begins or ends with nothing.
    return tokenizer.cls_token is not None and tokenizer.sep_token is not None
