"""Step 12 of the ladder: what a call was asked to do, checked once and with every default filled in."""

import difflib
import operator
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypedDict, cast

__all__ = ["UNLIMITED", "CallOptions", "Plan", "reject_unknown", "resolve"]

UNLIMITED = int(1e30)
"""The ``model_max_length`` of a tokenizer that does not know its model."""

Padding = Literal["longest", "max_length"]
Truncation = Literal["longest_first", "only_first", "only_second"]
Side = Literal["left", "right"]


class CallOptions(TypedDict, total=False):
    """The options of a tokenizer call.

    Args:
        add_special_tokens: whether to put ``<s>`` and ``</s>`` around (True).
        padding: False; True or ``"longest"``: to the longest row of the batch; ``"max_length"``: to ``max_length``.
        truncation: False; True or ``"longest_first"``: from the longer of a pair; ``"only_first"``;
            ``"only_second"``. Not given, while ``max_length`` is given without padding: ``"longest_first"``,
            with a warning.
        max_length: tokens in a row, special tokens included; None for the tokenizer's ``model_max_length``.
        stride: tokens that two windows of an overflowing text share (0).
        is_split_into_words: whether a list of strings is the words of one text (False). Needs
            ``add_prefix_space=True``.
        pad_to_multiple_of: the length of padded rows is rounded up to a multiple of this.
        padding_side: ``"right"`` or ``"left"``; None for the tokenizer's.
        truncation_side: the side that tokens are cut from; None for the tokenizer's.
        return_tensors: ``"np"``, ``"pt"``, ``"tf"`` or ``"jax"``; None for lists.
        return_token_type_ids: whether to add the token types, which are all 0; None for the tokenizer's
            ``model_input_names``.
        return_attention_mask: whether to add the mask, 1 for a token and 0 for padding; None as above.
        return_special_tokens_mask: whether to mark, with 1, the special tokens and padding that the call put
            in (False).
        return_offsets_mapping: whether to add each token's (start, end) in the text, Unicode code points,
            end-exclusive (False).
        return_overflowing_tokens: whether what truncation cuts off comes as further rows (False).
        return_length: whether to add each row's length, padding included (False).
        split_special_tokens: whether text that spells a special token is encoded as plain text; None for the
            tokenizer's.
        verbose: whether to warn (True).
    """

    add_special_tokens: bool
    padding: bool | str | None
    truncation: bool | str | None
    max_length: int | None
    stride: int
    is_split_into_words: bool
    pad_to_multiple_of: int | None
    padding_side: str | None
    truncation_side: str | None
    return_tensors: str | None
    return_token_type_ids: bool | None
    return_attention_mask: bool | None
    return_special_tokens_mask: bool
    return_offsets_mapping: bool
    return_overflowing_tokens: bool
    return_length: bool
    split_special_tokens: bool | None
    verbose: bool


class _Defaults(Protocol):
    """What a plan takes from its tokenizer."""

    @property
    def model_max_length(self) -> int: ...
    @property
    def padding_side(self) -> str: ...
    @property
    def truncation_side(self) -> str: ...
    @property
    def split_special_tokens(self) -> bool: ...
    @property
    def model_input_names(self) -> Sequence[str]: ...


@dataclass(frozen=True, slots=True)
class Plan:
    """A call's options, resolved: no default is open, no two contradict each other.

    Args:
        add_special_tokens: as in `CallOptions`.
        padding: to the longest row, to ``max_length``, or None.
        truncation: which side of a pair is cut, or None.
        max_length: the limit, or None where there is none.
        stride: as in `CallOptions`.
        is_split_into_words: as in `CallOptions`.
        multiple: rows are padded to a multiple of this; 1 for any length.
        padding_side: where padding goes.
        truncation_side: where tokens are cut.
        return_tensors: as in `CallOptions`.
        fields: the fields to return -> the attribute of a row that holds each.
        windows: whether what is cut off comes as further rows.
        split_special_tokens: as in `CallOptions`.
        verbose: as in `CallOptions`.
    """

    add_special_tokens: bool
    padding: Padding | None
    truncation: Truncation | None
    max_length: int | None
    stride: int
    is_split_into_words: bool
    multiple: int
    padding_side: Side
    truncation_side: Side
    return_tensors: str | None
    fields: Mapping[str, str]
    windows: bool
    split_special_tokens: bool
    verbose: bool

    def padded_length(self, lengths: Sequence[int]) -> int:
        """Say how long rows are to become.

        Args:
            lengths: the lengths that they have.

        Returns:
            The length to pad to; 0 where rows are not padded.
        """
        if self.padding is None:
            return 0
        wanted = max(lengths, default=0) if self.padding == "longest" else self.max_length or 0
        return wanted + -wanted % self.multiple


def resolve(tokenizer: _Defaults, options: CallOptions) -> Plan:
    """Fill in the defaults of a call and check its options.

    Args:
        tokenizer: where defaults come from.
        options: what the caller gave.

    Returns:
        The plan.

    Raises:
        TypeError: an option that does not exist.
        ValueError: a value that does not exist, or two options that contradict each other.

    Example:
        >>> from types import SimpleNamespace
        >>> sides = {"padding_side": "right", "truncation_side": "right"}
        >>> rest = {"model_max_length": 512, "split_special_tokens": False, "model_input_names": ["input_ids"]}
        >>> plan = resolve(SimpleNamespace(**sides, **rest), {"padding": True, "truncation": True})
        >>> plan.padding, plan.truncation, plan.max_length
        ('longest', 'longest_first', 512)
    """
    reject_unknown("tokenizer call", options, CallOptions)
    padding = _padding(options.get("padding", False))
    truncation = _truncation(options, padding)
    max_length = _whole("max_length", options.get("max_length"), 0)
    if padding == "longest" and truncation is None and max_length is not None:
        _warn(
            options,
            f"max_length = {max_length} is ignored: padding=True pads to the longest row; use padding='max_length'",
        )
    if max_length is None and (padding == "max_length" or truncation):
        max_length = _model_limit(tokenizer, options)
        if max_length is None:
            padding, truncation = (None if padding == "max_length" else padding), None
    multiple = _whole("pad_to_multiple_of", options.get("pad_to_multiple_of"), 1) or 1
    if truncation and padding and max_length is not None and max_length % multiple:
        raise ValueError(
            f"max_length: expected a multiple of pad_to_multiple_of = {multiple} when rows are both cut and padded, "
            f"got {max_length}; use {max_length - max_length % multiple or multiple}"
        )
    split_special = options.get("split_special_tokens")
    return Plan(
        add_special_tokens=options.get("add_special_tokens", True),
        padding=padding,
        truncation=truncation,
        max_length=max_length,
        stride=_whole("stride", options.get("stride", 0), 0) or 0,
        is_split_into_words=options.get("is_split_into_words", False),
        multiple=multiple,
        padding_side=_side("padding_side", options.get("padding_side") or tokenizer.padding_side),
        truncation_side=_side("truncation_side", options.get("truncation_side") or tokenizer.truncation_side),
        return_tensors=options.get("return_tensors"),
        fields=_fields(tokenizer, options),
        windows=options.get("return_overflowing_tokens", False),
        split_special_tokens=tokenizer.split_special_tokens if split_special is None else split_special,
        verbose=options.get("verbose", True),
    )


def reject_unknown(where: str, given: Mapping[str, object], known: type) -> None:
    """Refuse names that do not exist, and suggest the nearest that does.

    Args:
        where: for the message.
        given: name -> value, as a caller gave them.
        known: the TypedDict that lists the names.

    Raises:
        TypeError: a name that is not in ``known``.

    Example:
        >>> reject_unknown("tokenizer call", {"paddding": True}, CallOptions)
        Traceback (most recent call last):
        TypeError: tokenizer call: 'paddding' is not an option; did you mean 'padding'?
    """
    names = known.__annotations__
    for name in given:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"choose from {', '.join(names)}"
            raise TypeError(f"{where}: {name!r} is not an option; {hint}")


def _padding(given: object) -> Padding | None:
    choices = {
        False: None,
        None: None,
        "do_not_pad": None,
        True: "longest",
        "longest": "longest",
        "max_length": "max_length",
    }
    return cast("Padding | None", _choose("padding", given, choices))


def _truncation(options: CallOptions, padding: Padding | None) -> Truncation | None:
    given = options.get("truncation")
    if given is None and padding is None and options.get("max_length") is not None:
        _warn(
            options,
            "max_length is given without truncation: rows are cut, longest first; say so with truncation=True",
        )
        return "longest_first"
    choices = {False: None, None: None, "do_not_truncate": None, True: "longest_first"}
    choices |= {name: name for name in ("longest_first", "only_first", "only_second")}
    return cast("Truncation | None", _choose("truncation", given, choices))


def _choose(name: str, given: object, choices: Mapping[Any, Any]) -> Any:
    key = getattr(given, "value", given)  # transformers' enumerations are accepted too
    if isinstance(key, (bool, str, type(None))) and key in choices:
        return choices[key]
    raise ValueError(f"{name}: expected one of {_listed(choices)}, got {given!r}; pass one of these")


def _listed(choices: Iterable[object]) -> str:
    return ", ".join(map(repr, choices))


def _whole(name: str, given: int | None, least: int) -> int | None:
    if given is None:
        return None
    # NumPy's integers are as good; True and False are a slip.
    if not isinstance(given, bool) and hasattr(given, "__index__") and (number := operator.index(given)) >= least:
        return number
    raise ValueError(
        f"{name}: expected an integer of at least {least}, got {given!r}; pass such a number or leave it out"
    )


def _side(name: str, given: str) -> Side:
    if given in ("left", "right"):
        return given
    raise ValueError(f"{name}: expected 'left' or 'right', got {given!r}; pass one of these")


def _model_limit(tokenizer: _Defaults, options: CallOptions) -> int | None:
    if tokenizer.model_max_length < UNLIMITED // 10**10:
        return tokenizer.model_max_length
    _warn(
        options,
        "no max_length is given and the tokenizer has no model_max_length: rows are neither cut nor padded to it",
    )
    return None


def _warn(options: CallOptions, message: str) -> None:
    if options.get("verbose", True):
        warnings.warn(message, stacklevel=5)


def _fields(tokenizer: _Defaults, options: CallOptions) -> dict[str, str]:
    types, mask = options.get("return_token_type_ids"), options.get("return_attention_mask")
    names = tokenizer.model_input_names
    wanted = {
        "input_ids": ("ids", True),
        "token_type_ids": ("type_ids", "token_type_ids" in names if types is None else types),
        "attention_mask": ("attention_mask", "attention_mask" in names if mask is None else mask),
        "special_tokens_mask": ("special_tokens_mask", options.get("return_special_tokens_mask")),
        "offset_mapping": ("offsets", options.get("return_offsets_mapping")),
        "length": ("padded_length", options.get("return_length")),
        "overflow_to_sample_mapping": ("sample", options.get("return_overflowing_tokens")),
    }
    return {field: attribute for field, (attribute, is_wanted) in wanted.items() if is_wanted}
