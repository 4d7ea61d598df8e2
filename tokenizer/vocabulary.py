"""Step 11 of the ladder: tokens, ids and text, each turned into the others, one text at a time.

The base vocabulary is what the files hold. Added tokens, the special ones among them, lie over it.
"""

import codecs
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, cast

from .alignment import Aligner, Alignment, align_words
from .bpe import ByteLevelBPE
from .files import StrPath, checked_ids, read_merges, read_vocab
from .inputs import Source, read_ids, read_tokens
from .pieces import BYTE_TO_SYMBOL, symbols_to_bytes
from .pipeline import Pipeline
from .slots import SLOTS, SpecialTokenSlots
from .special import AddedToken, SpecialSplitter

__all__ = ["TokenLike", "Vocabulary"]

TokenLike = str | AddedToken | Mapping[str, Any]
"""A token: its text; its text and how it is matched; or the latter as a JSON file holds it."""


class Vocabulary(SpecialTokenSlots):
    """Tokens, ids, and the text that they spell.

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

    errors: str
    """What decoding does with bytes that are no UTF-8."""
    trim_offsets: bool = True
    """Whether spaces at both ends of a token are left out of its offsets."""
    clean_up_tokenization_spaces: bool = False
    """Whether decoding drops spaces before punctuation."""

    def __init__(
        self,
        vocab: StrPath | Mapping[str, int],
        merges: StrPath | Iterable[tuple[str, str]],
        roles: Mapping[str, TokenLike | None],
        *,
        added: Mapping[Any, TokenLike] | None = None,
        errors: str = "replace",
    ) -> None:
        self._base = checked_ids("vocab", vocab) if isinstance(vocab, Mapping) else read_vocab(vocab)
        self._merges = read_merges(merges) if isinstance(merges, (str, os.PathLike)) else list(merges)
        self.errors = _known_handler(errors)
        self._ids = dict(self._base)
        self._tokens = {index: token for token, index in self._base.items()}
        self._added: dict[int, AddedToken] = {}
        self._roles = dict.fromkeys(SLOTS)
        self._additional_special_tokens = []
        for index, token in sorted((int(index), AddedToken.read(token)) for index, token in (added or {}).items()):
            self._lay(index, token)
        for role, token in roles.items():
            if token is not None:
                self._play(role, token)
        splitter = SpecialSplitter(self._added.values())
        self._pipeline = Pipeline(splitter, self._make_bpe(), self._ids)
        self._aligners = {trim: Aligner(self._pipeline, self._byte_count, trim) for trim in (False, True)}

    @property
    def add_prefix_space(self) -> bool:
        """Whether plain text that begins without a space gets one."""
        return self._pipeline.add_prefix_space

    @add_prefix_space.setter
    def add_prefix_space(self, value: bool) -> None:
        self._pipeline.add_prefix_space = value

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
        tokens = cast("Iterable[TokenLike]", [new_tokens] if single else new_tokens)
        before = len(self._added)
        for token in tokens:
            added = AddedToken.read(token, normalized=not special_tokens)
            if added.content and self._ids.get(added.content) not in self._added:
                self._add(replace(added, special=added.special or special_tokens))
        self._pipeline.splitter = SpecialSplitter(self._added.values())
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
                if replace_additional_special_tokens:
                    self._additional_special_tokens.clear()
                self._add_without_role(token)
            elif role in SLOTS:
                self._play(role, AddedToken.read(token, normalized=False, special=True))
            else:
                roles = ", ".join((*SLOTS, "additional_special_tokens"))
                raise ValueError(f"special_tokens_dict: expected the roles {roles}, got {role!r}; pass one of these")
        self._refresh()
        return len(self._added) - before

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
    ) -> str:
        """Return the text that ids spell.

        Args:
            token_ids: one id, or a list, array or tensor of them.
            skip_special_tokens: whether special tokens are left out.
            clean_up_tokenization_spaces: whether to drop spaces before punctuation; None for the tokenizer's
                setting, which is False unless it was told otherwise.

        Returns:
            The text. White space that a token such as ``<mask>`` swallowed is lost; all else comes back.

        Raises:
            ValueError: an id that the vocabulary lacks.
        """
        ids = self._checked(token_ids, skip_special_tokens)
        text = self.convert_tokens_to_string(map(self._tokens.__getitem__, ids))
        clean_up = clean_up_tokenization_spaces
        return clean_up_spaces(text) if (self.clean_up_tokenization_spaces if clean_up is None else clean_up) else text

    def _align(self, source: Source, split_special_tokens: bool) -> Alignment:
        """Say where the tokens of a text, or of its words, came from."""
        if isinstance(source, str):
            return self._aligners[self.trim_offsets].align(source, split_special_tokens)
        return align_words(self._align(word, split_special_tokens) for word in source)

    def _byte_count(self, index: int) -> int:
        # Within plain text <unk> stands for a byte that the vocabulary lacks.
        return 1 if index == self._pipeline.bpe.unk_id else len(self._tokens[index])

    def _make_bpe(self) -> ByteLevelBPE:
        lacking = [symbol for symbol in BYTE_TO_SYMBOL if symbol not in self._base]
        if lacking and self.unk_token_id is None:
            raise ValueError(
                "vocab: expected all 256 byte symbols, or an unk_token for those that are lacking, got "
                f"{256 - len(lacking)} of them ({lacking[0]!r} is the first that is lacking); pass unk_token='<unk>'"
            )
        return ByteLevelBPE(self._base, self._merges, self._id_of_lacking_byte())

    def _id_of_lacking_byte(self) -> int:
        # Without unk_token no byte is lacking, and -1 never comes out.
        return -1 if self.unk_token_id is None else self.unk_token_id

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
            f"ids: expected ids of the vocabulary, 0 to {max(self._tokens, default=-1)}, got {index} at position "
            f"{position}; take out labels such as -100, and decode with the tokenizer that encoded"
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
                f"tokens: expected tokens of the vocabulary, got {token!r} and no unk_token; set tokenizer.unk_token"
            )
        return index

    def _required(self, role: str) -> int:
        token = self._roles[role]
        if token is None:
            raise ValueError(
                f"{role}: expected a token for this call, got None; set tokenizer.{role} to a token of the vocabulary"
            )
        return self._ids[token]

    # What SpecialTokenSlots asks for.

    def _id_of_token(self, token: str) -> int:
        return self._ids[token]

    def _token_of_id(self, index: int) -> str:
        if index not in self._tokens:
            raise ValueError(self._unknown_id(index, 0))
        return self._tokens[index]

    def _assign_role(self, role: str, token: Any) -> None:
        if token is None:
            self._roles[role] = None
        elif str(token) in self._ids:
            self._play(role, token)
        else:
            raise ValueError(
                f"{role}: expected a token of the vocabulary, got {str(token)!r}; add it with "
                f"add_special_tokens({{{role!r}: {str(token)!r}}}), and resize the model's embeddings"
            )
        self._refresh()

    # How tokens are laid over the base vocabulary.

    def _play(self, role: str, token: TokenLike) -> None:
        """Give a role to a token. One given as text keeps how it is matched, where that is known."""
        known = self._added.get(self._ids.get(token, -1)) if isinstance(token, str) else None
        is_mask = role == "mask_token"
        added = known or AddedToken.read(token, lstrip=is_mask, normalized=not is_mask)
        self._add(replace(added, special=True))
        self._roles[role] = added.content

    def _add_without_role(self, tokens: Iterable[TokenLike]) -> None:
        """Add special tokens that play no role."""
        for token in [tokens] if isinstance(tokens, str) else tokens:
            known = self._added.get(self._ids.get(token, -1)) if isinstance(token, str) else None
            added = replace(known or AddedToken.read(token, normalized=False), special=True)
            self._add(added)
            if added.content not in self.all_special_tokens:
                self._additional_special_tokens.append(added.content)

    def _add(self, token: AddedToken) -> None:
        """Lay a token over the vocabulary, at its place if it has one, else at the end."""
        self._lay(self._ids.get(token.content, max(self._tokens, default=-1) + 1), token)

    def _lay(self, index: int, token: AddedToken) -> None:
        there = self._tokens.get(index, token.content)
        if index < 0 or self._ids.get(token.content, index) != index or there != token.content:
            raise ValueError(
                f"added_tokens_decoder: expected ids that agree with vocab.json, got {index} for {token.content!r}, "
                f"where the vocabulary has {there!r}; the files do not belong together: fetch all from one checkpoint"
            )
        self._ids[token.content] = index
        self._tokens[index] = token.content
        self._added[index] = token

    def _refresh(self) -> None:
        """Let the pipeline know of changed tokens."""
        self._pipeline.splitter = SpecialSplitter(self._added.values())
        if self._pipeline.bpe.unk_id != self._id_of_lacking_byte():
            self._pipeline.bpe = self._make_bpe()


def clean_up_spaces(text: str) -> str:
    """Drop the spaces that English typography does not put before punctuation and contractions.

    Args:
        text: a decoded text.

    Returns:
        The text without them.

    Example:
        >>> clean_up_spaces("Yes , it is n't mine .")
        "Yes, it isn't mine."
    """
    for mark in (".", "?", "!", ","):
        text = text.replace(" " + mark, mark)
    text = text.replace(" ' ", "'")
    for ending in ("n't", "'m", "'s", "'ve", "'re"):
        text = text.replace(" " + ending, ending)
    return text


def _known_handler(errors: str) -> str:
    try:
        codecs.lookup_error(errors)
    except (LookupError, TypeError):
        raise ValueError(
            f"errors: expected the name of an error handler, got {errors!r}; "
            "use 'replace', 'ignore', 'strict' or 'backslashreplace'"
        ) from None
    return errors
