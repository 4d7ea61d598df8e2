"""Step 20 of the ladder: a tokenizer's settings beside its vocabulary, and their form on disk."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, TypedDict

from .calls import Encoder
from .slots import SLOTS

__all__ = ["Settings", "config_of", "constructor_arguments"]


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


_CONSTRUCTOR_ARGUMENTS = {"errors", "add_prefix_space", *SLOTS, *Settings.__annotations__}

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
    """
    return {name: value for name, value in stored.items() if name in _CONSTRUCTOR_ARGUMENTS}


def config_of(tokenizer: Encoder) -> dict[str, Any]:
    """Return the settings of a tokenizer as ``tokenizer_config.json`` holds them.

    Args:
        tokenizer: any.

    Returns:
        Settings, special tokens, and the added tokens by id.
    """
    added = {str(index): asdict(token) for index, token in tokenizer.added_tokens_decoder.items()}
    settings = {name: getattr(tokenizer, name) for name in _STORED}
    return (
        settings | tokenizer.special_tokens_map | {"added_tokens_decoder": added, "tokenizer_class": "RobertaTokenizer"}
    )
