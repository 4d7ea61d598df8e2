"""What a call was asked to do: its texts and its options, checked once and with every default filled in."""

import difflib
import operator
import warnings
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any, Literal, Protocol, TypedDict, cast

from .pipeline import Source

__all__ = ["UNLIMITED", "CallOptions", "Plan", "nearest", "read_texts", "reject_unknown", "resolve"]

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


@dataclass(slots=True)  # not frozen: making a frozen one takes four times as long
class Plan:
    """A call's options, resolved: no default is open, no two contradict each other.

    Args:
        padding: to the longest row, to ``max_length``, or None.
        truncation: which side of a pair is cut, or None.
        max_length: the limit, or None where there is none.
        multiple: rows are padded to a multiple of this; 1 for any length.
        fields: the fields to return.
        windows: whether what is cut off comes as further rows.
        add_special_tokens: like all others, as in `CallOptions`.
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
    fields: Sequence[str]
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


_NAMES = frozenset(CallOptions.__annotations__)
_PADDINGS = ("longest", "max_length")
_TRUNCATIONS = ("longest_first", "only_first", "only_second")


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
    if not options.keys() <= _NAMES:
        if "add_prefix_space" in options:
            raise TypeError(
                "tokenizer call: 'add_prefix_space' is not an option of a call, but of the tokenizer; load it with "
                "from_pretrained(folder, add_prefix_space=True)"
            )
        reject_unknown("tokenizer call", options, CallOptions.__annotations__)
    padding: Padding | None = _choose("padding", options.get("padding"), _PADDINGS, "do_not_pad")
    truncation: Truncation | None = _choose("truncation", options.get("truncation"), _TRUNCATIONS, "do_not_truncate")
    max_length = options.get("max_length")
    if max_length is not None or padding == "max_length" or truncation:
        padding, truncation, max_length = _limits(tokenizer, options, padding, truncation)
    multiple = options.get("pad_to_multiple_of")
    multiple = 1 if multiple is None else _whole("pad_to_multiple_of", multiple, 1)
    if truncation and padding and max_length is not None and max_length % multiple:
        raise ValueError(
            f"max_length: expected a multiple of pad_to_multiple_of = {multiple} when rows are both cut and padded, "
            f"got {max_length}; use {max_length - max_length % multiple or multiple}"
        )
    padding_side, truncation_side = _sides(tokenizer, options)
    split_special = options.get("split_special_tokens")
    return Plan(
        add_special_tokens=options.get("add_special_tokens", True),
        padding=padding,
        truncation=truncation,
        max_length=max_length,
        stride=_whole("stride", options.get("stride", 0), 0),
        is_split_into_words=options.get("is_split_into_words", False),
        multiple=multiple,
        padding_side=padding_side,
        truncation_side=truncation_side,
        return_tensors=options.get("return_tensors"),
        fields=_fields(tokenizer, options),
        windows=options.get("return_overflowing_tokens", False),
        split_special_tokens=tokenizer.split_special_tokens if split_special is None else split_special,
        verbose=options.get("verbose", True),
    )


def _limits(
    tokenizer: _Defaults, options: CallOptions, padding: Padding | None, truncation: Truncation | None
) -> tuple[Padding | None, Truncation | None, int | None]:
    """Settle what is padded and cut to which length, where one of the three is asked for."""
    max_length = options.get("max_length")
    if max_length is not None:
        max_length = _whole("max_length", max_length, 0)
        if truncation is None and padding is None and options.get("truncation") is None:
            _warn(
                options,
                "max_length is given without truncation: rows are cut, longest first; say so with truncation=True",
            )
            truncation = "longest_first"
        elif truncation is None and padding == "longest":
            _warn(
                options,
                f"max_length = {max_length} is ignored: padding=True pads to the longest row; use padding='max_length'",
            )
    elif tokenizer.model_max_length < UNLIMITED // 10**10:
        max_length = tokenizer.model_max_length
    else:
        _warn(
            options,
            "no max_length is given and the tokenizer has no model_max_length: rows are neither cut nor padded to it",
        )
        padding, truncation = (None if padding == "max_length" else padding), None
    return padding, truncation, max_length


def reject_unknown(where: str, given: Iterable[str], known: Collection[str]) -> None:
    """Refuse names that do not exist, and suggest the nearest that does.

    Args:
        where: for the message.
        given: names, as a caller gave them.
        known: the names there are, such as ``CallOptions.__annotations__``.

    Raises:
        TypeError: a name that is not in ``known``.

    Example:
        >>> reject_unknown("tokenizer call", {"paddding": True}, CallOptions.__annotations__)
        Traceback (most recent call last):
        TypeError: tokenizer call: 'paddding' is not an option; did you mean 'padding'?
    """
    for name in given:
        if name not in known:
            near = nearest(name, known)
            hint = f"did you mean {near!r}?" if near else f"choose from {', '.join(known)}"
            raise TypeError(f"{where}: {name!r} is not an option; {hint}")


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Find the name that a misspelt one may stand for.

    Args:
        name: as it was written.
        known: the names there are.

    Returns:
        One of them, or None where none is near.

    Example:
        >>> nearest("paddding", ["padding", "stride"])
        'padding'
    """
    return next(iter(difflib.get_close_matches(name, known, n=1)), None)


def _choose(name: str, given: object, choices: tuple[str, ...], nothing: str) -> Any:
    """Return one of the choices, of which True means the first; or None."""
    key = getattr(given, "value", given)  # transformers' enumerations are accepted too
    if key is None or key is False or key == nothing:
        return None
    if key is True or (isinstance(key, str) and key in choices):
        return choices[0] if key is True else key
    wanted = ", ".join(map(repr, (False, None, nothing, True, *choices)))
    raise ValueError(f"{name}: expected one of {wanted}, got {given!r}; pass one of these")


def _whole(name: str, given: int, least: int) -> int:
    # NumPy's integers are as good; True and False are a slip.
    if not isinstance(given, bool) and hasattr(given, "__index__") and (number := operator.index(given)) >= least:
        return number
    raise ValueError(
        f"{name}: expected an integer of at least {least}, got {given!r}; pass such a number or leave it out"
    )


def _sides(tokenizer: _Defaults, options: CallOptions) -> tuple[Any, Any]:
    """Return the side where padding goes, and that where tokens are cut."""
    padding_side = options.get("padding_side") or tokenizer.padding_side
    truncation_side = options.get("truncation_side") or tokenizer.truncation_side
    for name, side in (("padding_side", padding_side), ("truncation_side", truncation_side)):
        if side not in ("left", "right"):
            raise ValueError(f"{name}: expected 'left' or 'right', got {side!r}; pass one of these")
    return padding_side, truncation_side


def _warn(options: CallOptions, message: str) -> None:
    if options.get("verbose", True):
        warnings.warn(message, stacklevel=5)  # where the tokenizer was called


def _fields(tokenizer: _Defaults, options: CallOptions) -> list[str]:
    types, mask = options.get("return_token_type_ids"), options.get("return_attention_mask")
    names = tokenizer.model_input_names
    wanted = {
        "input_ids": True,
        "token_type_ids": "token_type_ids" in names if types is None else types,
        "attention_mask": "attention_mask" in names if mask is None else mask,
        "special_tokens_mask": options.get("return_special_tokens_mask"),
        "offset_mapping": options.get("return_offsets_mapping"),
        "length": options.get("return_length"),
        "overflow_to_sample_mapping": options.get("return_overflowing_tokens"),
    }
    return list(compress(wanted, wanted.values()))


# -- texts -------------------------------------------------------------------------------------------------------------


def read_texts(text: Any, text_pair: Any, is_split_into_words: bool) -> tuple[list[list[Source]], bool]:
    """Tell apart the forms that a call accepts: a text, a pair, a batch, a batch of pairs, words.

    Args:
        text: a text, or a list of texts, or a list of pairs of texts. With ``is_split_into_words`` a list of words
            stands wherever a text may stand. A list is a `list`, a `tuple`, or any other sequence, such as a column
            of `datasets`.
        text_pair: second text, or a list of second texts; None for none.
        is_split_into_words: see above.

    Returns:
        Samples of one text or two, and whether they are a batch.

    Raises:
        TypeError: one of ``text`` and ``text_pair`` is a batch, the other is not.
        ValueError: something else than texts, or batches of different sizes.

    Example:
        >>> read_texts("a", "b", False)
        ([['a', 'b']], False)
        >>> read_texts([("a", "b"), "c"], None, False)
        ([['a', 'b'], ['c']], True)
        >>> read_texts(["a", "b"], None, True)
        ([[['a', 'b']]], False)
    """
    is_batch = not isinstance(text, str) and _is_batch(text, is_split_into_words)
    if text_pair is None:
        samples = [_as_sample(item, is_split_into_words) for item in text] if is_batch else [[text]]
    elif is_batch != _is_batch(text_pair, is_split_into_words):
        raise TypeError(
            f"text_pair: expected {'a list like text' if is_batch else 'one text like text'}, got "
            f"{type(text_pair).__name__}; pass two texts or two lists of the same size"
        )
    else:
        samples = _paired(text, text_pair) if is_batch else [[text, text_pair]]
    if is_split_into_words:
        samples = [[list(words) if _is_list(words) else words for words in sample] for sample in samples]
    for index, sample in enumerate(samples):
        for name, source in zip(("text", "text_pair"), sample, strict=False):
            if not (type(source) is str and source.isascii()) or is_split_into_words:
                _check(name, source, index, is_split_into_words)
    return samples, is_batch


def _is_list(value: object) -> bool:
    return isinstance(value, (list, tuple)) or (
        not isinstance(value, (str, bytes, bytearray, memoryview)) and isinstance(value, Sequence)
    )


def _is_batch(text: Any, is_split_into_words: bool) -> bool:
    return _is_list(text) and (not is_split_into_words or (len(text) > 0 and _is_list(text[0])))


def _as_sample(item: Any, is_words: bool) -> list[Any]:
    return list(item) if not (is_words or isinstance(item, str)) and _is_list(item) and len(item) == 2 else [item]


def _paired(texts: Sequence[Source], seconds: Sequence[Source]) -> list[list[Source]]:
    if len(texts) != len(seconds):
        raise ValueError(
            f"text_pair: expected as many texts as in text, {len(texts)}, got {len(seconds)}; pass lists of "
            "the same size"
        )
    return [[text, second] for text, second in zip(texts, seconds, strict=True)]


def _check(name: str, source: Any, index: int, is_split_into_words: bool) -> None:
    if isinstance(source, str) and not is_split_into_words:
        _check_characters(name, source, index)
        return
    words = cast("Sequence[object]", source if is_split_into_words else [source])
    if _is_list(words) and all(isinstance(word, str) for word in words):
        for word in words:
            _check_characters(name, cast("str", word), index)
        return
    wanted = "a list of words (str)" if is_split_into_words else "a str"
    remedy = "pass str, list[str], or a list of pairs, and decode bytes or ids first"
    if hasattr(source, "tolist"):  # an array, or a column of a table
        remedy = f"pass {name}.tolist()"
    raise ValueError(
        f"{name}: expected {wanted}, got {type(source).__name__} {source!r:.80} at batch index {index}; {remedy}"
    )


def _check_characters(name: str, text: str, index: int) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{name}: expected Unicode text, got the lone surrogate {text[error.start]!r} at code point {error.start} "
            f"of batch index {index}; repair it with text.encode('utf-16', 'surrogatepass').decode('utf-16', 'replace')"
        ) from None
