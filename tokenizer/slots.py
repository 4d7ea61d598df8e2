"""Step 9 of the ladder: the seven special roles, each a token and its id.

``tokenizer.pad_token`` and ``tokenizer.pad_token_id`` are two views of one slot; each may be read and set.
"""

from __future__ import annotations

from typing import Any, overload

__all__ = ["SLOTS", "SpecialTokenSlots"]

SLOTS = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
"""The roles, in the order in which their tokens are listed."""


class _TokenSlot:
    """The token that plays a role, or None where no token does."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, tokenizer: None, owner: type) -> _TokenSlot: ...
    @overload
    def __get__(self, tokenizer: SpecialTokenSlots, owner: type) -> str | None: ...
    def __get__(self, tokenizer: SpecialTokenSlots | None, owner: type) -> _TokenSlot | str | None:
        return self if tokenizer is None else tokenizer._roles[self._name]

    def __set__(self, tokenizer: SpecialTokenSlots, token: Any) -> None:
        tokenizer._assign_role(self._name, token)


class _IdSlot:
    """The id of the token that plays a role, or None where no token does."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._role = name.removesuffix("_id")

    @overload
    def __get__(self, tokenizer: None, owner: type) -> _IdSlot: ...
    @overload
    def __get__(self, tokenizer: SpecialTokenSlots, owner: type) -> int | None: ...
    def __get__(self, tokenizer: SpecialTokenSlots | None, owner: type) -> _IdSlot | int | None:
        if tokenizer is None:
            return self
        token = tokenizer._roles[self._role]
        return None if token is None else tokenizer._id_of_token(token)

    def __set__(self, tokenizer: SpecialTokenSlots, index: int | None) -> None:
        tokenizer._assign_role(self._role, None if index is None else tokenizer._token_of_id(index))


class SpecialTokenSlots:
    """The special roles of a tokenizer, and lists of the tokens that play one.

    Example:
        >>> SpecialTokenSlots.bos_token is not SpecialTokenSlots.cls_token
        True
    """

    bos_token = _TokenSlot()
    eos_token = _TokenSlot()
    unk_token = _TokenSlot()
    sep_token = _TokenSlot()
    pad_token = _TokenSlot()
    cls_token = _TokenSlot()
    mask_token = _TokenSlot()

    bos_token_id = _IdSlot()
    eos_token_id = _IdSlot()
    unk_token_id = _IdSlot()
    sep_token_id = _IdSlot()
    pad_token_id = _IdSlot()
    cls_token_id = _IdSlot()
    mask_token_id = _IdSlot()

    pad_token_type_id = 0
    """The token type of padding."""

    _roles: dict[str, str | None]
    _additional_special_tokens: list[str]

    @property
    def additional_special_tokens(self) -> list[str]:
        """Special tokens without a role, in the order in which they were added."""
        return list(self._additional_special_tokens)

    @property
    def additional_special_tokens_ids(self) -> list[int]:
        """The ids of `additional_special_tokens`."""
        return [self._id_of_token(token) for token in self._additional_special_tokens]

    @property
    def special_tokens_map(self) -> dict[str, str | list[str]]:
        """Role -> token, for the roles that are played, and the additional tokens where there are some."""
        roles: dict[str, str | list[str]] = {role: token for role in SLOTS if (token := self._roles[role]) is not None}
        more = self.additional_special_tokens
        return roles | {"additional_special_tokens": more} if more else roles

    @property
    def all_special_tokens(self) -> list[str]:
        """The special tokens, each once, in the order of `SLOTS`."""
        tokens = [token for role in SLOTS if (token := self._roles[role]) is not None]
        return list(dict.fromkeys(tokens + self._additional_special_tokens))

    @property
    def all_special_ids(self) -> list[int]:
        """The ids of `all_special_tokens`."""
        return [self._id_of_token(token) for token in self.all_special_tokens]

    # What a tokenizer has to provide.

    def _id_of_token(self, token: str) -> int:
        raise NotImplementedError

    def _token_of_id(self, index: int) -> str:
        raise NotImplementedError

    def _assign_role(self, role: str, token: Any) -> None:
        raise NotImplementedError
