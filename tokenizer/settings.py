"""A tokenizer's settings beside its vocabulary, and their form on disk."""

import json
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, TypedDict

from .options import nearest, reject_unknown
from .roles import ROLES
from .special import AddedToken
from .vocabulary import TokenLike, Vocabulary

__all__ = [
    "Settings",
    "check_types",
    "config_of",
    "constructor_arguments",
    "kept_arguments",
    "other_settings",
    "renamed_specials",
]


class Settings(TypedDict, total=False):
    """What a tokenizer may be told beside its files and special tokens.

    Args:
        model_max_length: tokens that the model takes in a row; what ``max_length=None`` means.
        padding_side: ``"right"`` or ``"left"``.
        truncation_side: ``"right"`` or ``"left"``.
        model_input_names: the fields that a call returns unasked.
        clean_up_tokenization_spaces: whether decoding drops spaces before punctuation.
        split_special_tokens: whether text that spells a special token is encoded as plain text.
        additional_special_tokens: special tokens without a role.
        added_tokens_decoder: id -> added token.
        trim_offsets: whether the space that begins a word is left out of its offsets.
        name_or_path: where the tokenizer was loaded from.
    """

    model_max_length: int | None
    padding_side: str
    truncation_side: str
    model_input_names: list[str]
    clean_up_tokenization_spaces: bool
    split_special_tokens: bool
    additional_special_tokens: Sequence[Any]
    added_tokens_decoder: Mapping[Any, Any]
    trim_offsets: bool
    name_or_path: str


_TYPES: Mapping[str, tuple[type, ...]] = {
    "errors": (str,),
    "add_prefix_space": (bool, type(None)),
    "model_max_length": (int, type(None)),
    "padding_side": (str,),
    "truncation_side": (str,),
    "model_input_names": (list, tuple),
    "clean_up_tokenization_spaces": (bool, type(None)),
    "split_special_tokens": (bool,),
    "additional_special_tokens": (list, tuple, type(None)),
    "added_tokens_decoder": (dict, type(None)),
    "trim_offsets": (bool,),
    "name_or_path": (str,),
}


_ABSENT = object()


def check_types(settings: Mapping[str, Any]) -> None:
    """Refuse settings of a wrong type, which a damaged ``tokenizer_config.json`` may hold.

    Args:
        settings: name -> value. What is no setting is passed over.

    Raises:
        TypeError: a value of another type than the setting has.

    Example:
        >>> check_types({"trim_offsets": 1})
        Traceback (most recent call last):
        TypeError: trim_offsets: expected bool, got int 1; correct it where it is passed or in tokenizer_config.json
    """
    for name, wanted in _TYPES.items():
        value = settings.get(name, _ABSENT)
        if value is _ABSENT:
            continue
        if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
            names = " or ".join("None" if each is type(None) else each.__name__ for each in wanted)
            raise TypeError(
                f"{name}: expected {names}, got {type(value).__name__} {value!r:.80}; correct it where it is passed or "
                "in tokenizer_config.json"
            )


# The name that `model_max_length` had before release 2.9 of transformers.
_OLD_LENGTH = "max_len"
_CONSTRUCTOR_ARGUMENTS = ("errors", "add_prefix_space", *ROLES, *Settings.__annotations__)

# What transformers' classes are made with, and what has no meaning here.
_IDLE = {
    "from_slow",
    "legacy",
    "proxies",
    "resume_download",
    "tokenizer_type",
    "trust_remote_code",
    "use_fast",
    "verbose",
}
_IDLE_IF_EMPTY = {"chat_template", "do_lower_case", "extra_special_tokens", "sp_model_kwargs", "use_auth_token"}

_STORED = (
    "errors",
    "add_prefix_space",
    "trim_offsets",
    "clean_up_tokenization_spaces",
    "split_special_tokens",
    "model_max_length",
    "model_input_names",
    "padding_side",
    "truncation_side",
)


def constructor_arguments(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Pick from ``tokenizer_config.json`` what the constructor takes; the rest concerns other programs.

    Args:
        stored: what the file holds.

    Returns:
        Arguments of `RobertaTokenizer`.

    Example:
        >>> constructor_arguments({"errors": "strict", "tokenizer_class": "RobertaTokenizer"})
        {'errors': 'strict'}
        >>> constructor_arguments({"max_len": 512})  # as the oldest files have it
        {'model_max_length': 512}
    """
    found = {name: value for name, value in stored.items() if name in _CONSTRUCTOR_ARGUMENTS}
    if _OLD_LENGTH in stored:
        found.setdefault("model_max_length", stored[_OLD_LENGTH])
    length = found.get("model_max_length")
    if isinstance(length, float) and length.is_integer():  # 1e+30, as programs write it that know no long integers
        found["model_max_length"] = int(length)
    return found


def other_settings(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Pick from ``tokenizer_config.json`` what other programs have written, so that it is written again.

    Args:
        stored: what the file holds.

    Returns:
        All that is no argument of `RobertaTokenizer`.

    Example:
        >>> other_settings({"errors": "strict", "tokenizer_class": "RobertaTokenizer", "processor_class": "Mine"})
        {'processor_class': 'Mine'}
    """
    return {
        name: stored[name] for name in stored if name not in {*_CONSTRUCTOR_ARGUMENTS, _OLD_LENGTH, "tokenizer_class"}
    }


def kept_arguments(tokenizer_class: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """Judge arguments that are no settings: a slip is refused, what is somebody's own is kept and saved.

    Args:
        tokenizer_class: of what the arguments are.
        given: name -> value.

    Returns:
        What is kept; that is said by a warning, since nothing else comes of it.

    Raises:
        TypeError: a name that resembles that of a setting, or is a method's; or a value that JSON cannot hold.

    Example:
        >>> kept_arguments(object, {"use_fast": True})
        {}
        >>> kept_arguments(object, {"paddding_side": "left"})
        Traceback (most recent call last):
        TypeError: object: 'paddding_side' is not an option; did you mean 'padding_side'?
    """
    kept: dict[str, Any] = {}
    where = tokenizer_class.__name__
    for name, value in given.items():
        if name in _IDLE or (name in _IDLE_IF_EMPTY and not value):
            continue
        if name == "do_lower_case":
            warnings.warn("do_lower_case: RoBERTa knows both cases and lowers none; pass text.lower()", stacklevel=3)
            continue
        if name == "use_auth_token":
            raise TypeError(f"{where}: {name!r} is not an option; type token=..., its newer name")
        if nearest(name, _CONSTRUCTOR_ARGUMENTS) or hasattr(tokenizer_class, name):
            reject_unknown(where, [name], _CONSTRUCTOR_ARGUMENTS)
        _require_json(where, name, value)
        warnings.warn(f"{where}: {name!r} is no setting: it is kept and saved, and nothing comes of it", stacklevel=3)
        kept[name] = value
    return kept


def _require_json(where: str, name: str, value: object) -> None:
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        raise TypeError(
            f"{where}: {name!r} is no setting, and {type(value).__name__} cannot be kept in tokenizer_config.json; "
            "set it as an attribute of the tokenizer"
        ) from None


def config_of(tokenizer: Vocabulary) -> dict[str, Any]:
    """Return the settings of a tokenizer as ``tokenizer_config.json`` holds them.

    Args:
        tokenizer: any.

    Returns:
        Settings, special tokens, and the added tokens by id.
    """
    added = {str(index): asdict(token) for index, token in tokenizer.added_tokens_decoder.items()}
    settings = {name: getattr(tokenizer, name) for name in _STORED}
    # A role that nobody plays is written as null: left out, it would come back as its default.
    roles = dict.fromkeys(ROLES) | tokenizer.special_tokens_map
    settings |= roles | {"added_tokens_decoder": added, "tokenizer_class": "RobertaTokenizer"}
    return {**tokenizer._kept, **settings}


def renamed_specials(
    tokenizer: Vocabulary, names: Mapping[str, str], new: Iterable[TokenLike]
) -> tuple[list[AddedToken], dict[str, Any]]:
    """Give the special tokens of a tokenizer other names and other ids, and add some, for another vocabulary.

    Args:
        tokenizer: any; it stays as it is.
        names: special token -> its new name; one that is not named keeps its own.
        new: further special tokens, without a role.

    Returns:
        The special tokens in the order of their ids, and the arguments of the constructor beside the vocabulary.

    Raises:
        ValueError: ``names`` holds a token that is not special, or two tokens get one name.
    """
    old = [token for token in tokenizer.added_tokens_decoder.values() if token.special]
    strange = set(names).difference(token.content for token in old)
    if strange:
        raise ValueError(
            f"special_tokens_map: expected special tokens of this tokenizer, {[token.content for token in old]}, got "
            f"{sorted(strange)}; use new_special_tokens for what is new"
        )
    added = [replace(AddedToken.read(token, normalized=False), special=True) for token in new]
    special = [replace(token, content=names.get(token.content, token.content)) for token in old] + added
    contents = [token.content for token in special]
    if len(set(contents)) < len(contents):
        raise ValueError(
            f"special_tokens_map, new_special_tokens: expected each special token once, got {contents}; rename one"
        )
    roles = {role: names.get(str(getattr(tokenizer, role)), getattr(tokenizer, role)) for role in ROLES}
    without_role = [names.get(token, token) for token in tokenizer.additional_special_tokens or ()]
    changed = {
        "added_tokens_decoder": dict(enumerate(special)),
        "additional_special_tokens": [*without_role, *(token.content for token in added)],
    }
    return special, constructor_arguments(config_of(tokenizer) | roles | changed)
