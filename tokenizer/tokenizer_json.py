"""``tokenizer.json``, which holds a whole tokenizer in one file.

The file could describe tokenizers of many kinds. What is read here is a byte-level BPE between ``<s>`` and
``</s>``; whatever else a file asks for is refused, since ids would come out otherwise than it says.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from types import MappingProxyType
from typing import Any, NamedTuple, TypeGuard, cast

from .files import IDS_END, StrPath, checked_ids, read_json_object, write_json
from .pieces import BYTE_TO_SYMBOL
from .special import AddedToken
from .vocabulary import Vocabulary

__all__ = ["StoredTokenizer", "read_tokenizer_json", "tokenizer_json", "write_tokenizer_json"]


class StoredTokenizer(NamedTuple):
    """What ``tokenizer.json`` says.

    Args:
        vocab: symbol string -> id.
        merges: pairs of symbol strings, the lowest rank first.
        arguments: further arguments of `RobertaTokenizer`: the added tokens, ``cls_token`` and ``sep_token``,
            ``add_prefix_space`` and ``trim_offsets``.
        others: what other programs have left in ``tokenizer_config.json`` beside it.
    """

    vocab: dict[str, int]
    merges: list[tuple[str, str]]
    arguments: dict[str, Any]
    others: Mapping[str, Any] = MappingProxyType({})


def read_tokenizer_json(path: StrPath) -> StoredTokenizer:
    """Read ``tokenizer.json``, as releases 4 and 5 of transformers write it.

    Settings of truncation and padding that a call left in the file are passed over.

    Args:
        path: the file.

    Returns:
        What it says.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, or describes a tokenizer of another kind.

    Example:
        >>> read_tokenizer_json("nowhere/tokenizer.json")
        Traceback (most recent call last):
        FileNotFoundError: tokenizer.json: expected a file at nowhere/tokenizer.json, ...
    """
    reader = _Reader(path, read_json_object(path))
    vocab = reader.vocab()
    added = reader.added(vocab)
    ids = {**vocab, **{token.content: index for index, token in added.items()}}
    arguments = {**reader.split(), **reader.frame(ids), "added_tokens_decoder": added}
    return StoredTokenizer(vocab, reader.merges(), arguments)


def tokenizer_json(tokenizer: Vocabulary) -> dict[str, Any]:
    """Return a tokenizer as ``tokenizer.json`` holds it, without truncation and padding.

    Args:
        tokenizer: any that has a ``cls_token`` and a ``sep_token``.

    Returns:
        The object of the file.

    Raises:
        ValueError: one of the two is None.
    """
    cls, sep = tokenizer._ids_of_roles("cls_token", "sep_token")
    byte_level = {
        "type": "ByteLevel",
        "add_prefix_space": bool(tokenizer.add_prefix_space),
        "trim_offsets": tokenizer.trim_offsets,
        "use_regex": True,
    }
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": index, **asdict(token)} for index, token in tokenizer.added_tokens_decoder.items()],
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": {
            "type": "RobertaProcessing",
            "sep": [tokenizer.sep_token, sep],
            "cls": [tokenizer.cls_token, cls],
            "trim_offsets": tokenizer.trim_offsets,
            "add_prefix_space": bool(tokenizer.add_prefix_space),
        },
        "decoder": {**byte_level, "add_prefix_space": True, "trim_offsets": True},
        "model": _model(tokenizer),
    }


def write_tokenizer_json(path: StrPath, tokenizer: Vocabulary) -> None:
    """Write ``tokenizer.json``.

    Args:
        path: where to; an older file is replaced at once, never half.
        tokenizer: as in `tokenizer_json`.
    """
    write_json(path, tokenizer_json(tokenizer))


def _model(tokenizer: Vocabulary) -> dict[str, Any]:
    base, merges = tokenizer._base, tokenizer._merges
    lacks_bytes = any(symbol not in base for symbol in BYTE_TO_SYMBOL)
    # Programs that read the file number added tokens from the vocabulary's size on. Where ours have other ids, or
    # one stands for bytes that are lacking, they are written as entries of the vocabulary.
    new = [index for index in tokenizer.added_tokens_decoder if index not in base.values()]
    is_counted = new == list(range(len(base), len(base) + len(new))) and (
        not lacks_bytes or tokenizer.unk_token in base
    )
    vocab = base if is_counted else tokenizer.get_vocab()
    return {
        "type": "BPE",
        "dropout": None,
        "unk_token": tokenizer.unk_token if lacks_bytes else None,
        "continuing_subword_prefix": "",
        "end_of_word_suffix": "",
        "fuse_unk": False,
        "byte_fallback": False,
        "ignore_merges": False,
        "vocab": dict(sorted(vocab.items(), key=lambda entry: entry[1])),
        "merges": [list(pair) for pair in merges],
    }


class _Reader:
    """Takes what is wanted from the object of a file, and refuses the rest."""

    def __init__(self, path: StrPath, stored: dict[str, Any]) -> None:
        self._path = path
        self._stored = stored
        self._model = self._part("model", stored.get("model"), {"BPE"})
        for name, wanted in _WANTED_OF_MODEL.items():
            if self._model.get(name, wanted[0]) not in wanted:
                self._refuse(f"model.{name}", " or ".join(map(repr, wanted)), self._model[name])
        if self._flat("normalizer"):
            self._refuse("normalizer", "null", stored["normalizer"])

    def vocab(self) -> dict[str, int]:
        vocab = self._model.get("vocab")
        if not isinstance(vocab, dict):
            self._refuse("model.vocab", "an object of token -> id", vocab)
        return checked_ids(self._path, cast("dict[str, int]", vocab))

    def merges(self) -> list[tuple[str, str]]:
        merges = self._model.get("merges")
        if not _is_list(merges):
            self._refuse("model.merges", "a list of pairs", merges)
        return [self._merge(rank, merge) for rank, merge in enumerate(cast("list[Any]", merges))]

    def _merge(self, rank: int, merge: Any) -> tuple[str, str]:
        # Release 4 of transformers wrote "a b" before it wrote ["a", "b"].
        parts: Any = merge.split(" ") if isinstance(merge, str) else merge
        if not _is_list(parts) or len(parts) != 2 or not all(map(_is_text, parts)):
            self._refuse(f"model.merges[{rank}]", 'two parts, as ["Ġ", "t"] or "Ġ t"', merge)
        left, right = parts
        return left, right

    def split(self) -> dict[str, Any]:
        """Read how text is cut into pieces."""
        found = self._flat("pre_tokenizer")
        if len(found) != 1:
            self._refuse("pre_tokenizer", "one ByteLevel", self._stored.get("pre_tokenizer"))
        part = self._part("pre_tokenizer", found[0], {"ByteLevel"})
        if not self._truth(part, "use_regex"):
            self._refuse("pre_tokenizer.use_regex", "true", False)
        decoder = self._flat("decoder")
        if decoder:
            self._part("decoder", decoder[0], {"ByteLevel"})
        return {"add_prefix_space": self._truth(part, "add_prefix_space")}

    def frame(self, ids: Mapping[str, int]) -> dict[str, Any]:
        """Read what is put around texts; the ids that it says are those of its tokens."""
        *before, last = self._flat("post_processor") or [None]
        part = self._part("post_processor", last, {"RobertaProcessing", "TemplateProcessing"})
        trims = [self._part("post_processor", other, {"ByteLevel"}) for other in before]
        if part["type"] == "TemplateProcessing":
            cls, sep = self._template(part)
            said = [(token, _ids_of_special(part, token)) for token in (cls, sep)]
        else:
            said = [self._token_of(part, name) for name in ("cls", "sep")]
            cls, sep = (token for token, _ in said)
            trims.append(part)
        for token, index in said:
            if index != ids.get(token):
                self._refuse("post_processor", f"the id {ids.get(token)} of {token!r} as elsewhere in the file", index)
        asked = [self._truth(other, "trim_offsets") for other in trims]
        return {"cls_token": cls, "sep_token": sep, "trim_offsets": any(asked)}

    def _token_of(self, part: Mapping[str, Any], name: str) -> tuple[str, Any]:
        stored = part.get(name)
        if not _is_list(stored) or len(stored) != 2 or not _is_text(stored[0]):
            self._refuse(f"post_processor.{name}", f"a pair of token and id, as {_EXAMPLES[name]}", stored)
        token, index = cast("list[Any]", stored)
        return token, index

    def _template(self, part: Mapping[str, Any]) -> tuple[str, str]:
        single, pair = (_spelled(part.get(name)) for name in ("single", "pair"))
        if len(single) == 3:
            cls, _, sep = single
            if single == [cls, "$A:0", sep] and pair == [cls, "$A:0", sep, sep, "$B:0", sep]:
                return cls.removesuffix(":0"), sep.removesuffix(":0")
        return self._refuse("post_processor", "the rows <s> $A </s> and <s> $A </s> </s> $B </s>, types 0", dict(part))

    def added(self, vocab: Mapping[str, int]) -> dict[int, AddedToken]:
        """Read the added tokens. New ones are numbered on from the vocabulary's size: so the library does, unasked."""
        stored: Any = self._stored.get("added_tokens") or []
        if not _is_list(stored):
            self._refuse("added_tokens", "a list", stored)
        ids = set(vocab.values())
        found: dict[int, AddedToken] = {}
        new = 0
        for at, token in enumerate(stored):
            if not _is_object(token) or type(token.get("id")) is not int or not _is_text(token.get("content")):
                self._refuse(f"added_tokens[{at}]", "an object with id (int) and content (str)", token)
            if not 0 <= token["id"] < IDS_END:
                self._refuse(f"added_tokens[{at}].id", "an id from 0 to below 2^31", token["id"])
            if token["id"] in found:
                self._refuse(f"added_tokens[{at}].id", "each id once", token["id"])
            wanted = vocab.get(token["content"], len(vocab) + new)
            if token["id"] != wanted:
                self._refuse(f"added_tokens[{at}].id", f"{wanted}, as the vocabulary or its size has it", token["id"])
            for flag in _FLAGS:
                self._truth(token, flag)
            found[token["id"]] = AddedToken.read(token)
            new += token["id"] not in ids
        return found

    def _flat(self, name: str) -> list[Any]:
        """Return the steps of a part, however they are nested."""
        return _steps(self._stored.get(name))

    def _part(self, name: str, part: Any, wanted: set[str]) -> dict[str, Any]:
        # Old files leave out the type of a model.
        kind = part.get("type", "BPE" if name == "model" else None) if _is_object(part) else None
        if not isinstance(kind, str) or kind not in wanted:
            self._refuse(name, f"type {' or '.join(sorted(wanted))}", kind or part)
        return part

    def _truth(self, part: Mapping[str, Any], name: str) -> bool:
        value = part.get(name, True)
        if not isinstance(value, bool):
            self._refuse(name, "true or false", value)
        return value

    def _refuse(self, where: str, wanted: str, got: Any) -> Any:
        raise ValueError(
            f"{self._path}: {where}: expected {wanted}, got {got!r:.120}; the file is damaged, or of another kind of "
            "tokenizer than RoBERTa's: fetch it again, or load it with the tokenizers library itself"
        )


_FLAGS = tuple(field.name for field in fields(AddedToken) if field.name != "content")
_EXAMPLES = {"cls": '["<s>", 0]', "sep": '["</s>", 2]'}

# Name -> the values that change nothing, of which the first is the one that counts where the file has none.
_WANTED_OF_MODEL: Mapping[str, Sequence[Any]] = {
    "dropout": (None, 0.0),
    "continuing_subword_prefix": (None, ""),
    "end_of_word_suffix": (None, ""),
    "fuse_unk": (False,),
    "byte_fallback": (False,),
    "ignore_merges": (False,),
}


def _is_object(value: Any) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


def _is_list(value: Any) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _steps(part: Any) -> list[Any]:
    """Return what a part of the file consists of.

    >>> _steps({"type": "Sequence", "processors": [{"type": "ByteLevel"}]})
    [{'type': 'ByteLevel'}]
    """
    if part is None:
        return []
    if not _is_object(part) or part.get("type") != "Sequence":
        return [part]
    lists = [part.get(name) for name in _LISTS_OF_SEQUENCES]
    inner = [each for steps in lists if _is_list(steps) for each in steps]
    return [step for each in inner for step in _steps(each)]


_LISTS_OF_SEQUENCES = ("normalizers", "pretokenizers", "processors", "decoders")


def _ids_of_special(part: Mapping[str, Any], token: str) -> Any:
    """Return the id that a template has for a token.

    >>> _ids_of_special({"special_tokens": {"<s>": {"id": "<s>", "ids": [0], "tokens": ["<s>"]}}}, "<s>")
    0
    """
    try:
        (index,) = part["special_tokens"][token]["ids"]
    except (KeyError, TypeError, ValueError):
        return None
    return index


def _spelled(template: Any) -> list[str]:
    """Spell the steps of a template as the library's documentation does; of what is none, nothing.

    >>> _spelled([{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}])
    ['<s>:0', '$A:0']
    """
    try:
        steps = [(kind, each) for step in cast("list[dict[str, Any]]", template or []) for kind, each in step.items()]
        return [f"{'$' if kind == 'Sequence' else ''}{each['id']}:{each['type_id']}" for kind, each in steps]
    except (AttributeError, KeyError, TypeError):
        return []
