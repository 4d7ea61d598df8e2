"""Step 13 of the ladder: tokens, ids and text, each turned into the others, one text at a time.

The base vocabulary is what the files hold. Added tokens, the special ones among them, lie over it.
"""

import codecs
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any, cast, overload

from .alphabet import BYTE_TO_SYMBOL, symbols_to_bytes
from .bpe import ByteLevelBPE
from .files import StrPath, read_merges, read_vocab
from .slots import SLOTS, SpecialTokenSlots
from .special import AddedToken, SpecialSplitter

__all__ = ["Vocabulary"]

TokenLike = str | AddedToken | Mapping[str, Any]
"""A token: its text, or its text and how it is matched, or the latter as it stands in a JSON file."""


class Vocabulary(SpecialTokenSlots):
    """Tokens, ids, and the text that they spell.

    Args:
        vocab: ``vocab.json``, or what it holds: symbol string -> id.
        merges: ``merges.txt``, or what it holds: pairs of symbol strings, the lowest rank first.
        roles: role, such as ``"mask_token"`` -> token, or None for a role that no token plays. A token that
            the vocabulary lacks is added at its end.
        added: id -> token, for tokens that lie over the vocabulary already.
        errors: what decoding does with bytes that are no UTF-8: ``"replace"``, ``"ignore"``, ``"strict"``, …
        add_prefix_space: whether plain text that begins without a space gets one.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file is damaged, or ``errors`` names no error handler.

    Example:
        >>> symbols = Vocabulary({"<unk>": 0, "a": 1, "b": 2, "ab": 3}, [("a", "b")], {"unk_token": "<unk>"})
        >>> symbols.convert_tokens_to_ids(["ab", "c"])
        [3, 0]
        >>> symbols.decode([3, 1])
        'aba'
    """

    def __init__(
        self,
        vocab: StrPath | Mapping[str, int],
        merges: StrPath | Iterable[tuple[str, str]],
        roles: Mapping[str, TokenLike | None],
        *,
        added: Mapping[Any, TokenLike] | None = None,
        errors: str = "replace",
        add_prefix_space: bool = False,
    ) -> None:
        self._base = dict(vocab) if isinstance(vocab, Mapping) else read_vocab(vocab)
        self._merges = (
            read_merges(merges) if _is_path(merges) else list(cast("Iterable[tuple[str, str]]", merges))
        )
        self.errors = _known_handler(errors)
        self.add_prefix_space = add_prefix_space
        self.clean_up_tokenization_spaces = False
        self._ids = dict(self._base)
        self._tokens = {index: token for token, index in self._base.items()}
        self._added: dict[int, AddedToken] = {}
        self._roles = dict.fromkeys(SLOTS)
        self._additional_special_tokens = []
        for index, token in sorted((int(index), token) for index, token in (added or {}).items()):
            self._restore(index, _as_added(token))
        for role, token in roles.items():
            if token is not None:
                self._play(role, token)
        self._splitter = SpecialSplitter(self._added.values())
        self._bpe = self._make_bpe()

    @property
    def vocab_size(self) -> int:
        """Entries of the base vocabulary, without added tokens."""
        return len(self._base)

    def __len__(self) -> int:
        """Entries in all."""
        return len(self._ids)

    def get_vocab(self) -> dict[str, int]:
        """Return token -> id, added tokens included."""
        return dict(self._ids)

    def get_added_vocab(self) -> dict[str, int]:
        """Return token -> id of the added tokens, the special ones among them, in the order of ids."""
        return {token.content: index for index, token in sorted(self._added.items())}

    @property
    def added_tokens_decoder(self) -> dict[int, AddedToken]:
        """Id -> added token, in the order of ids."""
        return dict(sorted(self._added.items()))

    @overload
    def convert_tokens_to_ids(self, tokens: str) -> int: ...
    @overload
    def convert_tokens_to_ids(self, tokens: Iterable[str]) -> list[int]: ...
    def convert_tokens_to_ids(self, tokens: str | Iterable[str]) -> int | list[int]:
        """Look up tokens as the vocabulary spells them.

        Args:
            tokens: one token or several.

        Returns:
            Its id or theirs; the id of ``<unk>`` for a token that the vocabulary lacks.

        Raises:
            ValueError: a token is lacking, and there is no ``unk_token``.
        """
        return (
            self._id_or_unk(tokens)
            if isinstance(tokens, str)
            else [self._id_or_unk(token) for token in tokens]
        )

    @overload
    def convert_ids_to_tokens(self, ids: int, skip_special_tokens: bool = False) -> str: ...
    @overload
    def convert_ids_to_tokens(self, ids: Any, skip_special_tokens: bool = False) -> list[str]: ...
    def convert_ids_to_tokens(self, ids: Any, skip_special_tokens: bool = False) -> str | list[str]:
        """Spell ids as the vocabulary does.

        Args:
            ids: one id, or a list, array or tensor of them.
            skip_special_tokens: whether special tokens are left out.

        Returns:
            One token or several.

        Raises:
            ValueError: an id that the vocabulary lacks.
        """
        if isinstance(ids, int):
            return self._token_of_id(ids)
        return [self._tokens[index] for index in self._checked(ids, skip_special_tokens)]

    def convert_tokens_to_string(self, tokens: Iterable[str]) -> str:
        """Return the text that tokens spell.

        Args:
            tokens: symbol strings, or added tokens.

        Returns:
            The text; bytes that are no UTF-8 are treated as ``errors`` says.
        """
        return b"".join(map(self._bytes_of_token, tokens)).decode(errors=self.errors)

    def decode(
        self,
        token_ids: Any,
        skip_special_tokens: bool = False,
        clean_up_tokenization_spaces: bool | None = None,
    ) -> str:
        """Return the text that ids spell.

        Args:
            token_ids: one id, or a list, array or tensor of them.
            skip_special_tokens: whether special tokens are left out.
            clean_up_tokenization_spaces: whether to drop spaces before punctuation; None for the tokenizer's
                setting, False.

        Returns:
            The text. White space that a token such as ``<mask>`` swallowed is lost; everything else comes
            back.

        Raises:
            ValueError: an id that the vocabulary lacks.
        """
        ids = self._checked(token_ids, skip_special_tokens)
        text = self.convert_tokens_to_string(map(self._tokens.__getitem__, ids))
        clean_up = (
            self.clean_up_tokenization_spaces
            if clean_up_tokenization_spaces is None
            else clean_up_tokenization_spaces
        )
        return clean_up_tokenization(text) if clean_up else text

    def _encode_text(self, text: str, split_special_tokens: bool) -> list[int]:
        """Return the ids of one text, without special tokens around it."""
        ids: list[int] = []
        for start, end, token in self._splitter.split(text, split_special_tokens):
            ids += [self._ids[token.content]] if token else self._bpe.encode(self._prefixed(text[start:end]))
        return ids

    def _prefixed(self, plain: str) -> str:
        # Only U+0020 counts: a text that begins with a tab gets a space all the same.
        return " " + plain if self.add_prefix_space and not plain.startswith(" ") else plain

    def _make_bpe(self) -> ByteLevelBPE:
        lacking = [symbol for symbol in BYTE_TO_SYMBOL if symbol not in self._base]
        if lacking and self.unk_token_id is None:
            raise ValueError(
                "vocab: expected all 256 byte symbols, or an unk_token for what is lacking, got "
                f"{len(lacking)} too few, the first "
                f"{lacking[0]!r}; pass unk_token='<unk>'"
            )
        return ByteLevelBPE(self._base, self._merges, self.unk_token_id or 0)

    def _checked(self, ids: Any, skip_special_tokens: bool) -> list[int]:
        """Return ids as a list of int, without the special ones if so wanted, all of them in the vocabulary."""
        ids = ids.tolist() if hasattr(ids, "tolist") else ids
        found = [ids] if isinstance(ids, int) else [int(index) for index in ids]
        for position, index in enumerate(found):
            if index not in self._tokens:
                raise ValueError(self._unknown_id(index, position))
        dropped = set(self.all_special_ids) if skip_special_tokens else set[int]()
        return [index for index in found if index not in dropped]

    def _unknown_id(self, index: int, position: int) -> str:
        return (
            f"ids: expected ids of the vocabulary, 0 to {max(self._tokens, default=-1)}, got {index} at "
            f"position {position}; "
            "take out labels such as -100, and decode with the tokenizer that encoded"
        )

    def _bytes_of_token(self, token: str) -> bytes:
        # An added token is text, even where its letters look like symbols (ñ).
        if self._ids.get(token) in self._added:
            return token.encode()
        try:
            return symbols_to_bytes(token)
        except ValueError:
            return token.encode()

    def _id_or_unk(self, token: str) -> int:
        index = self._ids.get(token, self.unk_token_id)
        if index is None:
            raise ValueError(
                f"tokens: expected tokens of the vocabulary, got {token!r} and no unk_token; set "
                "tokenizer.unk_token"
            )
        return index

    def _required(self, role: str) -> int:
        token = self._roles[role]
        if token is None:
            raise ValueError(
                f"{role}: expected a token for this call, got None; set tokenizer.{role} to a token of the "
                "vocabulary"
            )
        return self._ids[token]

    def _add_special(self, token: TokenLike) -> None:
        """Add a special token without a role."""
        added = self._add(_as_added(token, special=True))
        if added.content not in self.all_special_tokens:
            self._additional_special_tokens.append(added.content)
        self._splitter = SpecialSplitter(self._added.values())

    # What SpecialTokenSlots asks for.

    def _id_of_token(self, token: str) -> int:
        return self._ids[token]

    def _token_of_id(self, index: int) -> str:
        if index not in self._tokens:
            raise ValueError(self._unknown_id(index, 0))
        return self._tokens[index]

    def _assign_role(self, role: str, token: Any) -> None:
        if token is not None and str(token) not in self._ids:
            raise ValueError(
                f"{role}: expected a token of the vocabulary, got {str(token)!r}; "
                f"add it with add_special_tokens({{{role!r}: {str(token)!r}}}), and resize the model's "
                "embeddings"
            )
        if token is None:
            self._roles[role] = None
        else:
            self._play(role, token)
        self._splitter = SpecialSplitter(self._added.values())
        if role == "unk_token":
            self._bpe = self._make_bpe()

    def _play(self, role: str, token: TokenLike) -> None:
        """Give a role to a token. One given as plain text keeps how it is matched, where that is known."""
        known = self._added.get(self._ids.get(str(token), -1)) if isinstance(token, str) else None
        self._roles[role] = str(
            self._add(known or _as_added(token, lstrip=role == "mask_token", special=True))
        )

    def _restore(self, index: int, token: AddedToken) -> None:
        """Lay a token over the vocabulary at a given id."""
        if (
            self._ids.get(token.content, index) != index
            or self._tokens.get(index, token.content) != token.content
        ):
            raise ValueError(
                f"added_tokens_decoder: expected ids that agree with vocab.json, got {index} for "
                f"{token.content!r} while the vocabulary "
                f"has {self._tokens.get(index)!r} there; the files do not belong together: fetch all from "
                "one checkpoint"
            )
        self._ids[token.content] = index
        self._tokens[index] = token.content
        self._added[index] = token

    def _add(self, token: AddedToken) -> AddedToken:
        """Lay a token over the vocabulary, at its place if it has one, else at the end."""
        self._restore(self._ids.get(token.content, max(self._tokens, default=-1) + 1), token)
        return token


def clean_up_tokenization(text: str) -> str:
    """Drop the spaces that English typography does not put before punctuation and contractions.

    Args:
        text: a decoded text.

    Returns:
        The text without them.

    Example:
        >>> clean_up_tokenization("Yes , it is n't mine .")
        "Yes, it isn't mine."
    """
    for mark in (".", "?", "!", ","):
        text = text.replace(" " + mark, mark)
    text = text.replace(" ' ", "'")
    for ending in ("n't", "'m", "'s", "'ve", "'re"):
        text = text.replace(" " + ending, ending)
    return text


def _is_path(value: object) -> bool:
    return isinstance(value, str) or hasattr(value, "__fspath__")


def _known_handler(errors: str) -> str:
    try:
        codecs.lookup_error(errors)
    except LookupError:
        raise ValueError(
            f"errors: expected the name of an error handler, got {errors!r}; use 'replace', 'ignore', "
            "'strict' or 'backslashreplace'"
        ) from None
    return errors


def _as_added(token: TokenLike, *, lstrip: bool = False, special: bool = False) -> AddedToken:
    """Read a token in any of its forms; plain text is matched as roberta-base's tokens are."""
    if isinstance(token, str):
        return AddedToken(token, lstrip=lstrip, normalized=False, special=special)
    names = [field.name for field in fields(AddedToken)]
    if isinstance(token, Mapping):
        given = {name: token[name] for name in names if name in token}
    else:
        # The AddedToken of `tokenizers` has the same attributes.
        given = {name: getattr(token, name) for name in names}
    return AddedToken(**(given | {"special": special or bool(given.get("special"))}))
