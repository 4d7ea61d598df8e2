"""Tokens, ids and text, each turned into the others; tokens are added, and given roles.

The base vocabulary is what the files hold, and never changes. Added tokens, the special ones among them, lie over it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, cast

from .bpe import ByteLevelBPE
from .decoding import clean_up_spaces, known_handler, read_ids, read_tokens
from .files import StrPath, checked_ids, read_merges, read_vocab
from .pieces import BYTE_TO_SYMBOL, symbols_to_bytes
from .roles import ROLES, IdSlot, RolelessIds, RolelessTokens, TokenSlot, unplayed
from .special import AddedToken

__all__ = ["TokenLike", "Vocabulary"]

TokenLike = str | AddedToken | Mapping[str, Any]
"""A token: its text; its text and how it is matched; or the latter as a JSON file holds it."""


class Vocabulary:
    """Tokens, ids, and the text that they spell.

    ``pad_token`` and ``pad_token_id``, and so for each role, are two views of one slot: either may be read and set.

    Args:
        vocab: ``vocab.json``, or what it holds: symbol string -> id.
        merges: ``merges.txt``, or what it holds: pairs of symbol strings, the lowest rank first.
        roles: role, such as ``"mask_token"`` -> token, or None for a role that no token plays. A token that
            the vocabulary lacks is added at its end.
        added: id -> token, for tokens that lie over the vocabulary already.
        errors: what decoding does with bytes that are no UTF-8: ``"replace"``, ``"ignore"``, ``"strict"``, …

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file is damaged, the files contradict each other, or ``errors`` names no error handler.

    Example:
        >>> symbols = Vocabulary({"<unk>": 0, "a": 1, "b": 2, "ab": 3}, [("a", "b")], {"unk_token": "<unk>"})
        >>> symbols.convert_tokens_to_ids(["ab", "c"])
        [3, 0]
        >>> symbols.decode([3, 1])
        'aba'
    """

    bos_token, bos_token_id = TokenSlot(), IdSlot()
    eos_token, eos_token_id = TokenSlot(), IdSlot()
    unk_token, unk_token_id = TokenSlot(), IdSlot()
    sep_token, sep_token_id = TokenSlot(), IdSlot()
    pad_token, pad_token_id = TokenSlot(), IdSlot()
    cls_token, cls_token_id = TokenSlot(), IdSlot()
    mask_token, mask_token_id = TokenSlot(), IdSlot()
    additional_special_tokens, additional_special_tokens_ids = RolelessTokens(), RolelessIds()

    pad_token_type_id = 0
    """The token type of padding."""
    errors: str
    """What decoding does with bytes that are no UTF-8."""
    clean_up_tokenization_spaces: bool = False
    """Whether decoding drops spaces before punctuation."""
    add_prefix_space: bool = False
    """Whether plain text that begins without a space gets one."""
    trim_offsets: bool = True
    """Whether spaces at both ends of a token are left out of its offsets."""
    _kept: Mapping[str, Any] = MappingProxyType({})  # what other programs have left in tokenizer_config.json

    def __init__(
        self,
        vocab: StrPath | Mapping[str, int],
        merges: StrPath | Iterable[tuple[str, str]],
        roles: Mapping[str, TokenLike | None],
        *,
        added: Mapping[Any, TokenLike] | None = None,
        errors: str = "replace",
    ) -> None:
        self.errors = known_handler(errors)
        self._merges = read_merges(merges) if isinstance(merges, (str, os.PathLike)) else list(merges)
        base = checked_ids("vocab", vocab) if isinstance(vocab, Mapping) else read_vocab(vocab)
        self._lay(base, roles, added)
        self._made_bpe = self._make_bpe()

    def _lay(
        self, base: dict[str, int], roles: Mapping[str, TokenLike | None], added: Mapping[Any, TokenLike] | None
    ) -> None:
        """Take over the base vocabulary, and lay the added tokens and those of roles over it."""
        self._base = base
        self._ids = dict(self._base)
        self._tokens = {index: token for token, index in self._base.items()}
        self._next_id = max(self._tokens, default=-1) + 1
        self._added: dict[int, AddedToken] = {}
        self._roles: dict[str, int | None] = dict.fromkeys(ROLES)
        self._without_role: list[str] | None = []
        self._change_count = 0
        for index, token in sorted((int(index), AddedToken.read(token)) for index, token in (added or {}).items()):
            self._put(index, token)
        # A name alone, as added_tokens.json has it, does not say how it is matched: a role's own way counts.
        names = {token for token in (added or {}).values() if isinstance(token, str)}
        for role, token in roles.items():
            if isinstance(token, str) and token in names:
                self._added.pop(self._ids[token], None)
            if token is not None:
                self._give_role(role, token)

    # -- the tokens there are ------------------------------------------------------------------------------------------

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

    @property
    def vocab(self) -> dict[str, int]:
        """Token -> id, added tokens included."""
        return self.get_vocab()

    def get_added_vocab(self) -> dict[str, int]:
        """Return token -> id of the added tokens, the special ones among them, in the order of ids."""
        return {token.content: index for index, token in sorted(self._added.items())}

    @property
    def added_tokens_encoder(self) -> dict[str, int]:
        """Token -> id of the added tokens."""
        return self.get_added_vocab()

    @property
    def added_tokens_decoder(self) -> dict[int, AddedToken]:
        """Id -> added token, in the order of ids."""
        return dict(sorted(self._added.items()))

    @property
    def special_tokens_map(self) -> dict[str, str | list[str]]:
        """Role -> token, for the roles that are played, and the additional tokens where there are some."""
        played = {role: index for role, index in self._roles.items() if index is not None}
        roles: dict[str, str | list[str]] = {role: self._tokens[index] for role, index in played.items()}
        more = self.additional_special_tokens or []
        return roles | {"additional_special_tokens": more} if more else roles

    @property
    def all_special_tokens(self) -> list[str]:
        """The special tokens, each once, in the order of `ROLES`."""
        played = [self._tokens[index] for index in self._roles.values() if index is not None]
        return list(dict.fromkeys(played + (self._without_role or [])))

    @property
    def all_special_ids(self) -> list[int]:
        """The ids of `all_special_tokens`."""
        return [self._ids[token] for token in self.all_special_tokens]

    # -- adding tokens -------------------------------------------------------------------------------------------------

    def add_tokens(self, new_tokens: TokenLike | Iterable[TokenLike], special_tokens: bool = False) -> int:
        """Add tokens that are matched as a whole.

        Args:
            new_tokens: one token or several. Empty ones, and those that were added before, are passed over;
                one that the base vocabulary has keeps its id.
            special_tokens: whether ``skip_special_tokens`` drops them and ``split_special_tokens`` splits them.

        Returns:
            How many tokens became added tokens. Where ``len`` grew, resize the model's embeddings.

        Raises:
            TypeError: a token that is neither str nor `AddedToken`.
        """
        single = isinstance(new_tokens, (str, Mapping)) or not isinstance(new_tokens, Iterable)
        before = len(self._added)
        for token in cast("Iterable[TokenLike]", [new_tokens] if single else new_tokens):
            added = AddedToken.read(token, normalized=not special_tokens)
            if added.content and self._ids.get(added.content) not in self._added:
                self._add(replace(added, special=added.special or special_tokens))
        return len(self._added) - before

    def add_special_tokens(
        self, special_tokens_dict: Mapping[str, Any], replace_additional_special_tokens: bool = True
    ) -> int:
        """Give roles to tokens, which are added where they are new.

        Args:
            special_tokens_dict: role -> token; or ``"additional_special_tokens"`` -> tokens without a role.
            replace_additional_special_tokens: whether the latter take the place of those there are. (These
                stay in the vocabulary either way.)

        Returns:
            How many tokens became added tokens. Where ``len`` grew, resize the model's embeddings.

        Raises:
            ValueError: a role that does not exist.
            TypeError: a token that is neither str nor `AddedToken`.
        """
        before = len(self._added)
        for role, token in special_tokens_dict.items():
            if role == "additional_special_tokens":
                self._add_without_role(token, [] if replace_additional_special_tokens else self._without_role)
            elif role in ROLES:
                self._give_role(role, AddedToken.read(token, normalized=False, special=True))
            else:
                roles = ", ".join((*ROLES, "additional_special_tokens"))
                raise ValueError(f"special_tokens_dict: expected the roles {roles}, got {role!r}; pass one of these")
        self._change_count += 1
        return len(self._added) - before

    # -- tokens, ids, text ---------------------------------------------------------------------------------------------

    def convert_tokens_to_ids(self, tokens: Any) -> Any:
        """Look up tokens as the vocabulary spells them.

        Args:
            tokens: one token or several.

        Returns:
            Its id or a list of theirs; the id of ``<unk>`` for a token that the vocabulary lacks.

        Raises:
            ValueError: a token is lacking, and there is no ``unk_token``.
        """
        ids = [self._id_or_unk(token) for token in read_tokens(tokens)]
        return ids[0] if isinstance(tokens, str) else ids

    def convert_ids_to_tokens(self, ids: Any, skip_special_tokens: bool = False) -> Any:
        """Spell ids as the vocabulary does.

        Args:
            ids: one id, or a list, array or tensor of them.
            skip_special_tokens: whether special tokens are left out.

        Returns:
            One token or a list of them.

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
        return b"".join(map(self._bytes_of_token, read_tokens(tokens))).decode(errors=self.errors)

    def decode(
        self,
        token_ids: Any,
        skip_special_tokens: bool = False,
        clean_up_tokenization_spaces: bool | None = None,
        spaces_between_special_tokens: bool = False,
    ) -> str:
        """Return the text that ids spell.

        Args:
            token_ids: one id, or a list, array or tensor of them.
            skip_special_tokens: whether special tokens are left out.
            clean_up_tokenization_spaces: whether to drop spaces before punctuation; None for the tokenizer's
                setting, which is False unless it was told otherwise.
            spaces_between_special_tokens: whether they get some that were not in the text: False.

        Returns:
            The text. White space that a token such as ``<mask>`` swallowed is lost; all else comes back.

        Raises:
            ValueError: an id that the vocabulary lacks, or spaces that are to be made up.
        """
        if spaces_between_special_tokens:
            raise ValueError(
                "spaces_between_special_tokens: expected False, got True; join the texts of batch_decode as you like"
            )
        ids = self._checked(token_ids, skip_special_tokens)
        text = self.convert_tokens_to_string(map(self._tokens.__getitem__, ids))
        clean_up = clean_up_tokenization_spaces
        return clean_up_spaces(text) if (self.clean_up_tokenization_spaces if clean_up is None else clean_up) else text

    def batch_decode(self, sequences: Iterable[Any], skip_special_tokens: bool = False, **options: Any) -> list[str]:
        """Decode several rows.

        Args:
            sequences: rows of ids: lists, or a (B, T) array or tensor.
            skip_special_tokens: as in `decode`.
            **options: further options of `decode`.

        Returns:
            One text a row.
        """
        return [self.decode(ids, skip_special_tokens, **options) for ids in sequences]

    def _checked(self, ids: Any, skip_special_tokens: bool) -> list[int]:
        """Return ids as a list of int, all in the vocabulary, without the special ones if so wanted."""
        found = read_ids(ids)
        for position, index in enumerate(found):
            if index not in self._tokens:
                raise ValueError(self._unknown_id(index, position))
        if not skip_special_tokens:
            return found
        special = {index for index, token in self._added.items() if token.special}
        return [index for index in found if index not in special]

    def _unknown_id(self, index: int, position: int) -> str:
        return (
            f"ids: expected ids of the vocabulary, 0 to {self._next_id - 1}, got {index} at position "
            f"{position}; take out labels such as -100, and decode with the tokenizer that encoded"
        )

    def _token_of_id(self, index: int) -> str:
        if index not in self._tokens:
            raise ValueError(self._unknown_id(index, 0))
        return self._tokens[index]

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
                f"tokens: expected tokens of the vocabulary, got {token!r} and no unk_token; set tokenizer.unk_token"
            )
        return index

    # -- how tokens are laid over the base vocabulary ------------------------------------------------------------------

    def _ids_of_roles(self, *roles: str) -> list[int]:
        """Return the ids of roles that have to be played."""
        found: list[int] = []
        for role in roles:
            index = self._roles[role]
            if index is None:
                raise unplayed(role)
            found.append(index)
        return found

    def _assign_role(self, role: str, token: Any) -> None:
        """Give a role to a token that there is, or to none."""
        if token is None:
            self._roles[role] = None
        else:
            self._require_known(role, str(token))
            self._give_role(role, token)
        self._change_count += 1

    def _assign_without_role(self, tokens: Iterable[Any] | None) -> None:
        """Say which of the tokens that there are, are special and play no role; they may play one all the same."""
        given = None if tokens is None else list(tokens)
        for token in given or ():
            self._require_known("additional_special_tokens", str(token))
        self._add_without_role(given or [])
        self._without_role = None if given is None else list(map(str, given))

    def _require_known(self, role: str, token: str) -> None:
        if token not in self._ids:
            new = [token] if role == "additional_special_tokens" else token
            raise ValueError(
                f"{role}: expected a token of the vocabulary, got {token!r}; add it with "
                f"add_special_tokens({{{role!r}: {new!r}}}), and resize the model's embeddings"
            )

    def _give_role(self, role: str, token: TokenLike) -> None:
        is_mask = role == "mask_token"
        added = replace(self._read(token, lstrip=is_mask, normalized=not is_mask), special=True)
        self._roles[role] = self._add(added)

    def _add_without_role(self, tokens: TokenLike | Iterable[TokenLike], before: list[str] | None = None) -> None:
        """Add special tokens that play no role to those before."""
        self._without_role = before or []
        listed = set(self.all_special_tokens)
        for token in cast("Iterable[TokenLike]", [tokens] if isinstance(tokens, str) else tokens):
            added = replace(self._read(token, normalized=False), special=True)
            self._add(added)
            if added.content not in listed:
                listed.add(added.content)
                self._without_role.append(added.content)

    def _read(self, token: TokenLike, **flags: bool) -> AddedToken:
        """Read a token. One given as text keeps how it is matched, where that is known."""
        known = self._added.get(self._ids.get(token, -1)) if isinstance(token, str) else None
        return known or AddedToken.read(token, **flags)

    def _add(self, token: AddedToken) -> int:
        """Lay a token over the vocabulary, at its place if it has one, else at the end."""
        index = self._ids.get(token.content, self._next_id)
        self._put(index, token)
        return index

    def _put(self, index: int, token: AddedToken) -> None:
        if not token.content:
            raise ValueError(f"added token {index}: expected a text, got ''; leave it out, or give its role to None")
        there = self._tokens.get(index, token.content)
        if index < 0 or self._ids.get(token.content, index) != index or there != token.content:
            raise ValueError(
                f"added_tokens_decoder: expected ids that agree with vocab.json, got {index} for {token.content!r}, "
                f"where the vocabulary has {there!r}; the files do not belong together: fetch all from one checkpoint"
            )
        self._ids[token.content] = index
        self._tokens[index] = token.content
        self._added[index] = token
        self._next_id = max(self._next_id, index + 1)
        self._change_count += 1

    def _make_bpe(self) -> ByteLevelBPE:
        lacking = self._lacking_symbols()
        if lacking and self.unk_token_id is None:
            raise ValueError(
                "vocab: expected all 256 byte symbols, or an unk_token for those that are lacking, got "
                f"{256 - len(lacking)} of them ({lacking[0]!r} is the first that is lacking); pass unk_token='<unk>'"
            )
        return ByteLevelBPE(self._base, self._merges, self._id_of_lacking_byte())

    @property
    def _bpe(self) -> ByteLevelBPE:
        """What merges: made anew where another token has become ``<unk>``."""
        if self._made_bpe.unk_id != self._id_of_lacking_byte():
            self._made_bpe = self._make_bpe()
        return self._made_bpe

    def _id_of_lacking_byte(self) -> int:
        # Without unk_token no byte is lacking, and -1 never comes out.
        return -1 if self.unk_token_id is None else self.unk_token_id

    def _lacking_symbols(self) -> list[str]:
        """Return the symbols of the bytes that the base vocabulary lacks."""
        return [symbol for symbol in BYTE_TO_SYMBOL if symbol not in self._base]
