"""The seven special roles, each a token and its id: ``pad_token`` and ``pad_token_id`` are two views of one slot.

So are ``additional_special_tokens`` and their ids: the special tokens that play no role.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .vocabulary import Vocabulary

__all__ = ["ROLES", "IdSlot", "RolelessIds", "RolelessTokens", "TokenSlot", "unplayed"]

ROLES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
"""The roles, in the order in which their tokens are listed."""


class TokenSlot:
    """The token that plays a role, or None where no token does.

    Example:
        >>> from roberta.tokenizer import RobertaTokenizer
        >>> tokenizer = RobertaTokenizer.from_pretrained("austen")
        >>> tokenizer.pad_token, tokenizer.pad_token_id
        ('<pad>', 1)
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self._role = name

    @overload
    def __get__(self, vocabulary: None, owner: type) -> TokenSlot: ...
    @overload
    def __get__(self, vocabulary: Vocabulary, owner: type) -> str | None: ...
    def __get__(self, vocabulary: Vocabulary | None, owner: type) -> TokenSlot | str | None:
        if vocabulary is None:
            return self
        index = vocabulary._roles[self._role]
        return None if index is None else vocabulary._tokens[index]

    def __set__(self, vocabulary: Vocabulary, token: Any) -> None:
        vocabulary._assign_role(self._role, token)


class IdSlot:
    """The id of the token that plays a role, or None where no token does."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._role = name.removesuffix("_id")

    @overload
    def __get__(self, vocabulary: None, owner: type) -> IdSlot: ...
    @overload
    def __get__(self, vocabulary: Vocabulary, owner: type) -> int | None: ...
    def __get__(self, vocabulary: Vocabulary | None, owner: type) -> IdSlot | int | None:
        return self if vocabulary is None else vocabulary._roles[self._role]

    def __set__(self, vocabulary: Vocabulary, index: int | None) -> None:
        vocabulary._assign_role(self._role, None if index is None else vocabulary._token_of_id(index))


class RolelessTokens:
    """The special tokens without a role, in the order in which they were added; None once they are set to None.

    They may be set to other tokens of the vocabulary.

    Example:
        >>> from roberta.tokenizer import RobertaTokenizer
        >>> tokenizer = RobertaTokenizer.from_pretrained("austen")
        >>> tokenizer.additional_special_tokens = ["!"]
        >>> tokenizer.additional_special_tokens_ids == [tokenizer.convert_tokens_to_ids("!")]
        True
    """

    @overload
    def __get__(self, vocabulary: None, owner: type) -> RolelessTokens: ...
    @overload
    def __get__(self, vocabulary: Vocabulary, owner: type) -> list[str] | None: ...
    def __get__(self, vocabulary: Vocabulary | None, owner: type) -> RolelessTokens | list[str] | None:
        if vocabulary is None:
            return self
        return None if vocabulary._without_role is None else list(vocabulary._without_role)

    def __set__(self, vocabulary: Vocabulary, tokens: Iterable[Any] | None) -> None:
        vocabulary._assign_without_role(tokens)


class RolelessIds:
    """The ids of the special tokens without a role."""

    @overload
    def __get__(self, vocabulary: None, owner: type) -> RolelessIds: ...
    @overload
    def __get__(self, vocabulary: Vocabulary, owner: type) -> list[int]: ...
    def __get__(self, vocabulary: Vocabulary | None, owner: type) -> RolelessIds | list[int]:
        if vocabulary is None:
            return self
        return [vocabulary._ids[token] for token in vocabulary._without_role or ()]

    def __set__(self, vocabulary: Vocabulary, ids: Iterable[int] | None) -> None:
        vocabulary._assign_without_role(None if ids is None else map(vocabulary._token_of_id, ids))


def unplayed(role: str) -> ValueError:
    """Say that a role has to be played.

    Args:
        role: one of `ROLES`.

    Returns:
        The error.

    Example:
        >>> print(unplayed("pad_token"))
        pad_token: expected a token for this call, got None; set tokenizer.pad_token to a token of the vocabulary
    """
    return ValueError(
        f"{role}: expected a token for this call, got None; set tokenizer.{role} to a token of the vocabulary"
    )
