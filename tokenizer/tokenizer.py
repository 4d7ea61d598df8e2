"""`RobertaTokenizer`: a vocabulary that is called on texts; made from files, from a folder, or by training.

How it is called, `calls` says; here is what its words are made of (`pipeline`, or `library`).
"""

# ruff: noqa: S107  (tokens of text, not passwords)

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, Unpack, cast

from ..files.uploading import taken_from
from .alignment import EncodedText, align_together
from .calls import CalledTokenizer
from .compatibility import require_idle
from .explain import ExplainedToken, Explanation, explain
from .files import StrPath
from .folder import FILE_NAMES, made, read_folder, write_folder, write_vocabulary
from .options import read_texts, reject_unknown
from .pipeline import Pipeline, WordEncoder
from .publishing import send
from .roles import ROLES
from .settings import Settings, config_of, constructor_arguments, renamed_specials
from .training import TrainerOptions, train, training_texts
from .vocabulary import TokenLike

__all__ = ["RobertaTokenizer"]


class RobertaTokenizer(CalledTokenizer):
    """RoBERTa's byte-level BPE tokenizer in pure Python.

    Args:
        vocab_file: ``vocab.json``, or what it holds: symbol string -> id.
        merges_file: ``merges.txt``, or what it holds: pairs of symbol strings, the lowest rank first.
        errors: what decoding does with bytes that are no UTF-8: ``"replace"``, ``"ignore"``, ``"strict"``, …
        bos_token: begins a text; like every role below a str, an `AddedToken`, or None where no token plays it.
        eos_token: ends a text.
        sep_token: ends each text of a row, and begins the second.
        cls_token: begins a row.
        unk_token: stands for bytes that the vocabulary lacks.
        pad_token: fills rows up.
        mask_token: stands for a token to be guessed; given as str it swallows the white space at its left.
        add_prefix_space: whether plain text that begins without a space gets one.
        **settings: see `Settings`.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file is damaged, or a setting has a value that does not exist.
        TypeError: a setting that does not exist, and resembles one. (What resembles none is kept in `init_kwargs`
            and saved, with a warning.)

    Example:
        >>> tokenizer = RobertaTokenizer.train(["low lower lowest low"], vocab_size=263)
        >>> tokenizer("low <mask>").input_ids
        [0, 261, 262, 2]
        >>> tokenizer.decode([0, 261, 262, 2])
        '<s>low<mask></s>'
    """

    vocab_files_names: Mapping[str, str] = FILE_NAMES
    """Argument of `RobertaTokenizerFast` -> the name of its file in a folder."""

    def __init__(
        self,
        vocab_file: StrPath | Mapping[str, int],
        merges_file: StrPath | Iterable[tuple[str, str]],
        errors: str = "replace",
        *,
        bos_token: TokenLike | None = "<s>",
        eos_token: TokenLike | None = "</s>",
        sep_token: TokenLike | None = "</s>",
        cls_token: TokenLike | None = "<s>",
        unk_token: TokenLike | None = "<unk>",
        pad_token: TokenLike | None = "<pad>",
        mask_token: TokenLike | None = "<mask>",
        add_prefix_space: bool = False,
        **settings: Unpack[Settings],
    ) -> None:
        self._keep(settings)
        players = (bos_token, eos_token, unk_token, sep_token, pad_token, cls_token, mask_token)
        roles: dict[str, TokenLike | None] = dict(zip(ROLES, players, strict=True))
        added = settings.get("added_tokens_decoder")
        super().__init__(vocab_file, merges_file, roles, added=added, errors=errors)
        self._set(settings)
        self.add_prefix_space = add_prefix_space

    def explain(
        self, text: str, add_special_tokens: bool = True, split_special_tokens: bool | None = None
    ) -> Explanation:
        """Show the whole way of a text to the ids that a call gives.

        Args:
            text: the text.
            add_special_tokens: whether to put the special tokens around.
            split_special_tokens: whether text that spells a special token is encoded as plain text; None for
                the tokenizer's.

        Returns:
            Segments, pieces, merges and tokens, as data. Print it to read it.

        Raises:
            ValueError: something else than a text, or a lone surrogate.
        """
        if not isinstance(cast("object", text), str):
            raise ValueError(f"text: expected one text (str), got {type(text).__name__}; explain texts one by one")
        read_texts(text, None, is_split_into_words=False)
        split = self.split_special_tokens if split_special_tokens is None else split_special_tokens
        segments = explain(text, self.engine, self._bpe, self._token_of_id, split)
        around = self._ids_of_roles("cls_token", "sep_token") if add_special_tokens else []
        tokens = [ExplainedToken(index, self._token_of_id(index), 0, 0) for index in around]
        return Explanation(text, segments, tuple(tokens[:1]), tuple(tokens[1:]))

    def _made_engine(self) -> Pipeline:
        settings = {"add_prefix_space": self.add_prefix_space, "trim_offsets": self.trim_offsets}
        return Pipeline(self._word_encoder(), self._added, self._tokens, **settings)

    def _word_encoder(self) -> WordEncoder:
        return self._bpe

    def _align(self, texts: Sequence[EncodedText], as_lists: bool) -> None:
        align_together(texts, as_lists)

    # -- making and saving one ----------------------------------------------------------------------------------------

    @classmethod
    def from_pretrained(
        cls,
        folder_or_id: StrPath | None = None,
        *,
        subfolder: str = "",
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: StrPath | None = None,
        local_files_only: bool = False,
        force_download: bool = False,
        **overrides: Any,
    ) -> Self:
        """Load a tokenizer.

        Args:
            folder_or_id: a folder with ``vocab.json`` and ``merges.txt``, with ``tokenizer.json``, or with all
                three, which must agree; the name of a checkpoint that comes with the package, such as ``"austen"``;
                or an id on the Hugging Face hub. Transformers' name of it, ``pretrained_model_name_or_path``, may be
                said, too. ``tokenizer_config.json``, ``special_tokens_map.json`` and
                ``added_tokens.json`` are read where they are there.
            subfolder: the folder inside, where the tokenizer is not at the top.
            revision: on the hub, a branch, a tag or a commit; None: the main branch.
            token: on the hub, that of a private repository; True: the one that was stored at login.
            cache_dir: where what the hub sends is kept; None: the hub's own cache.
            local_files_only: take what is in that cache, and ask nobody.
            force_download: fetch what is in that cache once more.
            **overrides: arguments of the constructor that win over the files.

        Returns:
            The tokenizer.

        Raises:
            FileNotFoundError: there is no such folder, or the files are not in it.
            ValueError: a file is damaged, two contradict each other, or they are of another kind of tokenizer.
            TypeError: an argument that does not exist.

        Example:
            >>> RobertaTokenizer.from_pretrained("austen").vocab_size
            4000
        """
        hub = {"revision": revision, "token": token, "cache_dir": cache_dir, "force_download": force_download}
        folder_or_id = overrides.pop("pretrained_model_name_or_path", folder_or_id)
        if folder_or_id is None:
            raise TypeError(f"{cls.__name__}.from_pretrained: expected a folder, or an id on the hub, got nothing")
        stored = read_folder(folder_or_id, subfolder=subfolder, local_files_only=local_files_only, **hub)
        tokenizer = made(cls, (stored.vocab, stored.merges), stored.arguments, folder_or_id, overrides)
        tokenizer._kept = {**stored.others, **tokenizer._kept}
        return tokenizer

    @classmethod
    def from_tokenizer(cls, tokenizer: "RobertaTokenizer") -> Self:
        """Make a tokenizer of this class from one of the other: from the pure one the fast one, or the reverse.

        Args:
            tokenizer: any. It stays as it is; the two share nothing.

        Returns:
            A tokenizer of this class that gives the same ids.

        Example:
            >>> tokenizer = RobertaTokenizer.train(["low lower lowest low"], vocab_size=263, padding_side="left")
            >>> RobertaTokenizer.from_tokenizer(tokenizer).padding_side
            'left'
        """
        stored = constructor_arguments(config_of(tokenizer))
        made = cls(dict(tokenizer._base), list(tokenizer._merges), **stored, name_or_path=tokenizer.name_or_path)
        made._kept = dict(tokenizer._kept)
        return made

    @classmethod
    def train(
        cls,
        files_or_texts: StrPath | Iterable[str | os.PathLike[str]],
        vocab_size: int,
        min_frequency: int = 2,
        **settings: Any,
    ) -> Self:
        """Train a tokenizer; ids: ``<s>``, ``<pad>``, ``</s>``, ``<unk>``, 256 bytes, the merges, ``<mask>``.

        Args:
            files_or_texts: each ``Path`` is a file that is read line by line, each ``str`` a text. (One str
                by itself is the path of a file.)
            vocab_size: entries in all; fewer come out where the texts are too small.
            min_frequency: pairs that are seen less often are not merged.
            **settings: arguments of the constructor.

        Returns:
            The tokenizer.

        Raises:
            FileNotFoundError: a file is missing.
            ValueError: ``vocab_size`` has no room for the special tokens and the 256 bytes.
        """
        vocab, merges = train(training_texts(files_or_texts), vocab_size, min_frequency)
        return cls(vocab, merges, **settings)

    def train_new_from_iterator(
        self,
        text_iterator: StrPath | Iterable[str | os.PathLike[str] | Iterable[str]],
        vocab_size: int,
        length: int | None = None,
        *,
        new_special_tokens: Iterable[TokenLike] = (),
        special_tokens_map: Mapping[str, str] | None = None,
        **options: Unpack[TrainerOptions],
    ) -> Self:
        """Train another tokenizer on other texts, with the settings and special tokens of this one.

        Ids: the special tokens in the order of theirs here, the new ones, 256 bytes, the merges. Added tokens
        that are not special stay behind.

        Args:
            text_iterator: texts, or lists of texts; each ``Path`` is a file that is read line by line. (One str by
                itself is the path of a file.)
            vocab_size: entries in all; fewer come out where the texts are too small.
            length: how many texts there are; accepted, and not needed.
            new_special_tokens: further special tokens, without a role.
            special_tokens_map: special token -> what it is called in the new tokenizer.
            **options: see `TrainerOptions`.

        Returns:
            The new tokenizer, of this one's class.

        Raises:
            ValueError: ``special_tokens_map`` names a token that is not special, or makes two of them one; or
                ``vocab_size`` has no room for the special tokens and the 256 bytes.
            TypeError: an option that does not exist.

        Example:
            >>> tokenizer = RobertaTokenizer.train(["low lower lowest low"], vocab_size=263, padding_side="left")
            >>> newer = tokenizer.train_new_from_iterator([["new newer"]], 264, special_tokens_map={"<mask>": "[M]"})
            >>> newer.padding_side, newer.mask_token, newer.mask_token_id, newer.tokenize("new [M]")
            ('left', '[M]', 4, ['new', '[M]'])
        """
        reject_unknown("train_new_from_iterator", options, TrainerOptions.__annotations__)
        special, settings = renamed_specials(self, special_tokens_map or {}, new_special_tokens)
        texts = map(self.engine.with_prefix, training_texts(text_iterator))
        names = [token.content for token in special]
        vocab, merges = train(texts, vocab_size, options.get("min_frequency", 0), names, mask_token=None)
        made = type(self)(vocab, merges, **settings)
        made._kept = dict(self._kept)
        return made

    def save_vocabulary(self, save_directory: StrPath, filename_prefix: str | None = None) -> tuple[str, str]:
        """Write ``vocab.json`` and ``merges.txt``.

        Args:
            save_directory: a folder that exists.
            filename_prefix: put before both names, with a hyphen.

        Returns:
            The two paths.

        Raises:
            FileNotFoundError: there is no such folder.
        """
        if not Path(save_directory).is_dir():
            raise FileNotFoundError(
                f"save_directory: expected a folder, found none at {save_directory}; create it, or use save_pretrained"
            )
        return write_vocabulary(self, save_directory, filename_prefix)

    def save_pretrained(
        self,
        save_directory: StrPath,
        legacy_format: bool | None = None,
        filename_prefix: str | None = None,
        **options: Any,
    ) -> tuple[str, ...]:
        """Write a folder that `from_pretrained` and transformers read, either class of either.

        Args:
            save_directory: the folder; created if it is not there.
            legacy_format: None for all files; True leaves out ``tokenizer.json``; False leaves out
                ``vocab.json``, ``merges.txt`` and ``added_tokens.json``.
            filename_prefix: put before every name, with a hyphen.
            **options: ``push_to_hub=True`` sends what was written, as `push_to_hub` does, with its options and
                ``repo_id``, by default the folder's name; what else transformers' takes, as long as it asks for
                nothing.

        Returns:
            The paths of ``tokenizer_config.json``, ``special_tokens_map.json``, where tokens were added
            ``added_tokens.json``, then ``vocab.json``, ``merges.txt`` and ``tokenizer.json``.

        Raises:
            ValueError: ``legacy_format=False`` without a ``cls_token`` or ``sep_token``: ``tokenizer.json`` needs both;
                or an option that asks for what is not done here.
            TypeError: an option that does not exist.
        """
        publication = taken_from(options, save_directory)
        require_idle("save_pretrained", options)
        Path(save_directory).mkdir(parents=True, exist_ok=True)
        written = write_folder(self, save_directory, filename_prefix, legacy_format)
        if publication is not None:
            send(written, **publication)
        return written

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(name_or_path={self.name_or_path!r}, vocab_size={self.vocab_size}, "
            f"model_max_length={self.model_max_length}, special_tokens={self.special_tokens_map})"
        )
