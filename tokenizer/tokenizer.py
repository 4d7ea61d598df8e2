"""Step 21, the top of the ladder: `RobertaTokenizer`, made from files, from a folder, or by training."""

# ruff: noqa: S107  (tokens of text, not passwords)

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self, Unpack

from .calls import Encoder
from .files import (
    ADDED_TOKENS_FILE,
    CONFIG_FILE,
    MERGES_FILE,
    SPECIAL_TOKENS_FILE,
    VOCAB_FILE,
    StrPath,
    read_settings,
    write_json,
    write_merges,
)
from .plan import UNLIMITED, reject_unknown, resolve
from .settings import Settings, config_of, constructor_arguments
from .slots import SLOTS
from .training import train
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
        reject_unknown("RobertaTokenizer", settings, Settings)
        players = (bos_token, eos_token, unk_token, sep_token, pad_token, cls_token, mask_token)
        roles: dict[str, TokenLike | None] = dict(zip(SLOTS, players, strict=True))
        added = settings.get("added_tokens_decoder")
        super().__init__(vocab_file, merges_file, roles, added=added, errors=errors)
        self.add_prefix_space = add_prefix_space
        self._configure(settings)

    def _configure(self, settings: Settings) -> None:
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
    def from_pretrained(cls, folder: StrPath, **overrides: Any) -> Self:
        """Load a tokenizer folder.

        Args:
            folder: holds ``vocab.json`` and ``merges.txt``; ``tokenizer_config.json``,
                ``special_tokens_map.json`` and ``added_tokens.json`` are read where they are there.
            **overrides: arguments of the constructor that win over the files.

        Returns:
            The tokenizer.

        Raises:
            FileNotFoundError: the folder or one of the two files is missing.
            ValueError: a file is damaged.
            TypeError: an argument that does not exist.
        """
        path = Path(folder)
        if not path.is_dir():
            raise FileNotFoundError(
                f"folder: expected a folder with {VOCAB_FILE} and {MERGES_FILE}, found "
                f"{'a file' if path.exists() else 'nothing'} at {path}; check the path"
            )
        stored = constructor_arguments(read_settings(path))
        arguments: dict[str, Any] = {**stored, "name_or_path": str(folder), **overrides}
        return cls(path / VOCAB_FILE, path / MERGES_FILE, **arguments)

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
        if isinstance(files_or_texts, (str, os.PathLike)):
            files_or_texts = [Path(files_or_texts)]
        vocab, merges = train(_texts(files_or_texts), vocab_size, min_frequency)
        return cls(vocab, merges, **settings)

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
        folder, prefix = Path(save_directory), f"{filename_prefix}-" if filename_prefix else ""
        if not folder.is_dir():
            raise FileNotFoundError(
                f"save_directory: expected a folder, found none at {folder}; create it, or use save_pretrained"
            )
        vocab_path, merges_path = folder / f"{prefix}{VOCAB_FILE}", folder / f"{prefix}{MERGES_FILE}"
        write_json(vocab_path, dict(sorted(self._base.items(), key=lambda entry: entry[1])))
        write_merges(merges_path, self._merges)
        return str(vocab_path), str(merges_path)

    def save_pretrained(self, save_directory: StrPath) -> tuple[str, ...]:
        """Write a folder that `from_pretrained` and transformers read.

        Args:
            save_directory: the folder; created if it is not there.

        Returns:
            The paths of ``tokenizer_config.json``, ``special_tokens_map.json``, ``vocab.json``,
            ``merges.txt`` and, where tokens were added, ``added_tokens.json``.
        """
        folder = Path(save_directory)
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / CONFIG_FILE, config_of(self), indent=2)
        write_json(folder / SPECIAL_TOKENS_FILE, self.special_tokens_map, indent=2)
        paths = [str(folder / CONFIG_FILE), str(folder / SPECIAL_TOKENS_FILE), *self.save_vocabulary(folder)]
        new = {token: index for token, index in self.get_added_vocab().items() if token not in self._base}
        if new:
            write_json(folder / ADDED_TOKENS_FILE, new, indent=2)
            paths.append(str(folder / ADDED_TOKENS_FILE))
        return tuple(paths)

    def __repr__(self) -> str:
        return (
            f"RobertaTokenizer(name_or_path={self.name_or_path!r}, vocab_size={self.vocab_size}, "
            f"model_max_length={self.model_max_length}, special_tokens={self.special_tokens_map})"
        )


def _texts(files_or_texts: Iterable[str | os.PathLike[str]]) -> Iterator[str]:
    """Yield each text, and each file line by line with its line ends, as the peer's trainer reads files."""
    for item in files_or_texts:
        if isinstance(item, str):
            yield item
        else:
            with Path(item).open(encoding="utf-8", newline="\n") as lines:
                yield from lines
