"""Step 24 of the ladder: `RobertaTokenizer`, made from files, from a folder, or by training."""

# ruff: noqa: S107  (tokens of text, not passwords)

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self, Unpack, cast

from .calls import Encoder
from .files import StrPath
from .folder import FILE_NAMES, read_folder, write_folder, write_vocabulary
from .plan import UNLIMITED, reject_unknown, resolve
from .settings import Settings, check_types, config_of, constructor_arguments, renamed_specials
from .slots import SLOTS
from .training import TrainerOptions, train
from .vocabulary import TokenLike

__all__ = ["RobertaTokenizer"]


class RobertaTokenizer(Encoder):
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
        TypeError: a setting that does not exist.

    Example:
        >>> tokenizer = RobertaTokenizer.train(["low lower lowest low"], vocab_size=263)
        >>> tokenizer("low <mask>").input_ids
        [0, 261, 262, 2]
        >>> tokenizer.decode([0, 261, 262, 2])
        '<s>low<mask></s>'
    """

    is_fast = False
    """Whether the `tokenizers` library does the work."""
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
        reject_unknown(type(self).__name__, settings, Settings)
        players = (bos_token, eos_token, unk_token, sep_token, pad_token, cls_token, mask_token)
        roles: dict[str, TokenLike | None] = dict(zip(SLOTS, players, strict=True))
        added = settings.get("added_tokens_decoder")
        super().__init__(vocab_file, merges_file, roles, added=added, errors=errors)
        self.add_prefix_space = add_prefix_space
        self._configure(settings)

    def _configure(self, settings: Settings) -> None:
        check_types(settings)
        self.model_max_length = settings.get("model_max_length") or UNLIMITED
        self.padding_side = settings.get("padding_side", "right")
        self.truncation_side = settings.get("truncation_side", "right")
        self.model_input_names = list(settings.get("model_input_names", ("input_ids", "attention_mask")))
        self.clean_up_tokenization_spaces = bool(settings.get("clean_up_tokenization_spaces"))
        self.split_special_tokens = settings.get("split_special_tokens", False)
        self.trim_offsets = settings.get("trim_offsets", True)
        self.name_or_path = settings.get("name_or_path", "")
        self._add_without_role(settings.get("additional_special_tokens") or ())
        self._refresh()
        resolve(self, {})  # so that a side that does not exist is reported now, not at the first call

    @classmethod
    def from_pretrained(cls, folder_or_id: StrPath, **overrides: Any) -> Self:
        """Load a tokenizer.

        Args:
            folder_or_id: a folder with ``vocab.json`` and ``merges.txt``, with ``tokenizer.json``, or with all
                three, which must agree; the name of a checkpoint that comes with the package, such as ``"austen"``;
                or an id on the Hugging Face hub. ``tokenizer_config.json``, ``special_tokens_map.json`` and
                ``added_tokens.json`` are read where they are there.
            **overrides: arguments of the constructor that win over the files.

        Returns:
            The tokenizer.

        Raises:
            FileNotFoundError: there is no such folder, or the files are not in it.
            ValueError: a file is damaged, two contradict each other, or ``tokenizer.json`` is of another kind.
            TypeError: an argument that does not exist.

        Example:
            >>> RobertaTokenizer.from_pretrained("austen").vocab_size
            4000
        """
        vocab, merges, stored = read_folder(folder_or_id)
        arguments: dict[str, Any] = {**stored, "name_or_path": str(folder_or_id), **overrides}
        return cls(vocab, merges, **arguments)

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
        return cls(dict(tokenizer._base), list(tokenizer._merges), **stored, name_or_path=tokenizer.name_or_path)

    @property
    def vocab(self) -> dict[str, int]:
        """Token -> id, added tokens included."""
        return self.get_vocab()

    @property
    def added_tokens_encoder(self) -> dict[str, int]:
        """Token -> id of the added tokens."""
        return self.get_added_vocab()

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
        vocab, merges = train(_texts(files_or_texts), vocab_size, min_frequency)
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
        reject_unknown("train_new_from_iterator", options, TrainerOptions)
        special, settings = renamed_specials(self, special_tokens_map or {}, new_special_tokens)
        texts = map(self._pipeline.with_prefix, _texts(text_iterator))
        names = [token.content for token in special]
        vocab, merges = train(texts, vocab_size, options.get("min_frequency", 0), names, mask_token=None)
        return type(self)(vocab, merges, **settings)

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
        self, save_directory: StrPath, legacy_format: bool | None = None, filename_prefix: str | None = None
    ) -> tuple[str, ...]:
        """Write a folder that `from_pretrained` and transformers read, either class of either.

        Args:
            save_directory: the folder; created if it is not there.
            legacy_format: None for all files; True leaves out ``tokenizer.json``; False leaves out
                ``vocab.json``, ``merges.txt`` and ``added_tokens.json``.
            filename_prefix: put before every name, with a hyphen.

        Returns:
            The paths of ``tokenizer_config.json``, ``special_tokens_map.json``, where tokens were added
            ``added_tokens.json``, then ``vocab.json``, ``merges.txt`` and ``tokenizer.json``.

        Raises:
            ValueError: ``legacy_format=False`` without a ``cls_token`` or ``sep_token``: ``tokenizer.json`` needs both.
        """
        Path(save_directory).mkdir(parents=True, exist_ok=True)
        return write_folder(self, save_directory, filename_prefix, legacy_format)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(name_or_path={self.name_or_path!r}, vocab_size={self.vocab_size}, "
            f"model_max_length={self.model_max_length}, special_tokens={self.special_tokens_map})"
        )


def _texts(source: StrPath | Iterable[str | os.PathLike[str] | Iterable[str]]) -> Iterator[str]:
    """Yield each text, those in lists too, and each file line by line with its line ends, as the peer reads files."""
    for item in [Path(source)] if isinstance(source, (str, os.PathLike)) else source:
        if isinstance(item, os.PathLike):
            try:
                with Path(item).open(encoding="utf-8", newline="\n") as lines:
                    yield from lines
            except UnicodeDecodeError as error:
                raise ValueError(f"{item}: expected UTF-8, got {error}; convert the file first") from None
        else:
            for text in [item] if isinstance(item, str) else item:
                if not isinstance(cast("object", text), str):
                    raise TypeError(
                        f"texts: expected str, Path, or lists of str, got {type(text).__name__} {text!r:.80}; "
                        "pass texts, and decode bytes first"
                    )
                yield text
