"""``tokenizer.json`` of a unigram tokenizer: the same vocabulary in one file, in the form of the `tokenizers` library.

What is read is a unigram model whose texts are prepared as SentencePiece does; whatever else a file asks for is
refused, since ids would come out otherwise than it says.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, cast

from ..files import StrPath, read_json_object
from ..special import AddedToken
from ..tokenizer_json import _spelled, _steps
from .charsmap import Charsmap
from .layout import Layout
from .model import PieceModel

if TYPE_CHECKING:
    from .tokenizer import UnigramTokenizer

__all__ = ["StoredPieces", "read_tokenizer_json", "tokenizer_json"]


class StoredPieces(NamedTuple):
    """What ``tokenizer.json`` says.

    Args:
        model: the pieces, and how texts are prepared.
        added: the added tokens: id -> token.
        parts: the file's own normalizer, pre_tokenizer and decoder.
    """

    model: PieceModel
    added: dict[int, AddedToken]
    parts: dict[str, Any]


def tokenizer_json(tokenizer: UnigramTokenizer) -> dict[str, Any]:
    """Return a tokenizer as ``tokenizer.json`` holds it, without truncation and padding.

    Args:
        tokenizer: any that has a ``cls_token`` and a ``sep_token``.

    Returns:
        The object of the file.

    Raises:
        ValueError: one of the two is None.
    """
    cls, sep = tokenizer._ids_of_roles("cls_token", "sep_token")
    model, layout = tokenizer.model, tokenizer.layout
    names = str(tokenizer.cls_token), str(tokenizer.sep_token)
    added = [{"id": index, **asdict(token)} for index, token in tokenizer.added_tokens_decoder.items()]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        **_parts(model),
        **tokenizer._parts,
        "post_processor": _template(names, (cls, sep)),
        "model": {
            "type": "Unigram",
            "unk_id": layout.unknown_id,
            "vocab": [list(entry) for entry in layout.entries(model)],
            "byte_fallback": model.falls_back_to_bytes,
        },
    }


def read_tokenizer_json(path: StrPath, layout: Layout) -> StoredPieces:
    """Read ``tokenizer.json``, as releases 4 and 5 of transformers write it.

    Args:
        path: the file.
        layout: of the family that it is of.

    Returns:
        What it says.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, or describes a tokenizer of another kind, or of the other family.
    """
    return _Reader(path, read_json_object(path)).read(layout)


# -- pieces ----------------------------------------------------------------------------------------------------------

_METASPACE = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}


def _parts(model: PieceModel) -> dict[str, Any]:
    """How the library comes nearest to what SentencePiece does to a text."""
    table = base64.b64encode(model.charsmap.table).decode()
    steps: list[dict[str, Any]] = [{"type": "Precompiled", "precompiled_charsmap": table}] if table else []
    steps += [
        {"type": "Strip", "strip_left": False, "strip_right": True},
        {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "▁"},
    ]
    decoder = {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, _METASPACE]}
    return {
        "normalizer": {"type": "Sequence", "normalizers": steps},
        "pre_tokenizer": _METASPACE,
        "decoder": decoder if model.falls_back_to_bytes else _METASPACE,
    }


def _template(names: tuple[str, str], ids: tuple[int, int]) -> dict[str, Any]:
    def special(name: str) -> dict[str, Any]:
        return {"SpecialToken": {"id": name, "type_id": 0}}

    cls, sep = map(special, names)
    one, two = ({"Sequence": {"id": name, "type_id": 0}} for name in "AB")
    known = {name: {"id": name, "ids": [index], "tokens": [name]} for name, index in zip(names, ids, strict=True)}
    return {
        "type": "TemplateProcessing",
        "single": [cls, one, sep],
        "pair": [cls, one, sep, sep, two, sep],
        "special_tokens": dict(sorted(known.items())),
    }


class _Reader:
    """Takes what is wanted from the object of a file, and refuses the rest."""

    def __init__(self, path: StrPath, stored: Mapping[str, Any]) -> None:
        self._path = path
        self._stored = stored

    def read(self, layout: Layout) -> StoredPieces:
        model = self._stored.get("model")
        kind = cast("dict[str, Any]", model).get("type") if isinstance(model, dict) else model
        if kind != "Unigram":
            self._refuse("model.type", "Unigram", kind)
        stored = cast("dict[str, Any]", model)
        falls_back = stored.get("byte_fallback", False)
        if not isinstance(falls_back, bool):
            self._refuse("model.byte_fallback", "true or false", falls_back)
        if stored.get("unk_id") != layout.unknown_id or isinstance(stored.get("unk_id"), bool):
            self._refuse("model.unk_id", str(layout.unknown_id), stored.get("unk_id"))
        entries, where = self._entries(stored.get("vocab")), str(self._path)
        model = layout.model_of(entries, self._charsmap(), falls_back_to_bytes=falls_back, where=where)
        self._require_known("pre_tokenizer", {"Metaspace", "WhitespaceSplit"})
        self._require_known("decoder", {"Metaspace", "ByteFallback", "Fuse", "Replace", "Strip"})
        self._require_frame()
        parts = {name: self._stored.get(name) for name in ("normalizer", "pre_tokenizer", "decoder")}
        return StoredPieces(model, self._added(), parts)

    def _entries(self, vocab: Any) -> list[tuple[str, float]]:
        if not isinstance(vocab, list):
            self._refuse("model.vocab", "a list of pairs of token and score", vocab)
        entries: list[tuple[str, float]] = []
        for at, entry in enumerate(cast("list[Any]", vocab)):
            pair = cast("list[Any]", entry) if isinstance(entry, list) else []
            is_pair = len(pair) == 2 and isinstance(pair[0], str) and pair[0] != "" and type(pair[1]) in (int, float)
            if not is_pair or not math.isfinite(pair[1]) or not _is_text(pair[0]):
                self._refuse(f"model.vocab[{at}]", 'a token and its score, as ["▁a", -3.5]', entry)
            entries.append((pair[0], float(pair[1])))
        return entries

    def _charsmap(self) -> Charsmap:
        self._require_known("normalizer", {"Precompiled", "Strip", "Replace"})
        tables = [step for step in _steps(self._stored.get("normalizer")) if step["type"] == "Precompiled"]
        if len(tables) > 1:
            self._refuse("normalizer", "at most one Precompiled", f"{len(tables)}")
        for step in tables:
            table = step.get("precompiled_charsmap")
            try:
                return Charsmap(base64.b64decode(table or "", validate=True), str(self._path))
            except (binascii.Error, TypeError, ValueError) as error:
                self._refuse("normalizer.precompiled_charsmap", "a table in base64", str(error))
        return Charsmap(b"")

    def _require_known(self, name: str, kinds: set[str]) -> None:
        try:
            steps = _steps(self._stored.get(name))
        except (AttributeError, TypeError, RecursionError):
            steps = [None]
        for step in steps:
            kind = cast("dict[str, Any]", step).get("type") if isinstance(step, dict) else step
            if kind not in kinds:
                self._refuse(name, f"steps of {', '.join(sorted(kinds))}", kind)

    def _require_frame(self) -> None:
        part = self._stored.get("post_processor")
        stored = cast("dict[str, Any]", part) if isinstance(part, dict) else {}
        if stored.get("type") == "TemplateProcessing":
            try:
                single, pair = (_spelled(stored.get(name)) for name in ("single", "pair"))
            except (AttributeError, TypeError, KeyError):
                single, pair = [], []
            if len(single) == 3:
                cls, _, sep = single
                if single == [cls, "$A:0", sep] and pair in ([*single, sep, "$B:0", sep], [*single, sep, "$B:1", sep]):
                    return
        elif stored.get("type") == "RobertaProcessing":
            return
        self._refuse("post_processor", "the rows <s> $A </s> and <s> $A </s> </s> $B </s>", stored or part)

    def _added(self) -> dict[int, AddedToken]:
        stored: Any = self._stored.get("added_tokens") or []
        found: dict[int, AddedToken] = {}
        for at, token in enumerate(cast("list[Any]", stored) if isinstance(stored, list) else [stored]):
            fields = cast("dict[str, Any]", token) if isinstance(token, dict) else {}
            index, content = fields.get("id"), fields.get("content")
            if type(index) is not int or index < 0 or index in found or not isinstance(content, str) or not content:
                self._refuse(f"added_tokens[{at}]", "an object with an id of its own (int) and content (str)", token)
            if any(type(fields.get(flag, False)) is not bool for flag in _FLAGS) or not _is_text(content):
                self._refuse(f"added_tokens[{at}]", f"true or false for {', '.join(_FLAGS)}", token)
            found[index] = AddedToken.read(fields)
        return found

    def _refuse(self, where: str, wanted: str, got: Any) -> NoReturn:
        raise ValueError(
            f"{self._path}: {where}: expected {wanted}, got {got!r:.120}; the file is damaged, or of another kind of "
            "tokenizer: fetch it again, or load it with the tokenizers library itself"
        )


_FLAGS = ("lstrip", "rstrip", "single_word", "normalized", "special")


def _is_text(text: str) -> bool:
    """Whether it has no lone surrogates, which JSON may spell and no text holds."""
    return not any("\ud800" <= character <= "\udfff" for character in text)
