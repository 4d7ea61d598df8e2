"""`CamembertTokenizer` and `XLMRobertaTokenizer`: SentencePiece's pieces in fairseq's order, in pure Python."""

# ruff: noqa: S107  (tokens of text, not passwords)

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Self, Unpack, cast

from ...files.uploading import taken_from
from ..calls import CalledTokenizer, Engine
from ..compatibility import require_idle
from ..decoding import read_tokens
from ..files import StrPath
from ..folder import made
from ..options import read_texts
from ..publishing import send
from ..roles import ROLES
from ..settings import Settings, config_of, constructor_arguments
from ..vocabulary import TokenLike
from .explain import PieceExplanation, explain
from .folder import _NOT_THEIRS, FILE_NAMES, read_folder, write_folder, write_model
from .layout import CAMEMBERT, XLM_ROBERTA, Layout
from .model import PieceModel, read_model
from .normalizer import SPACE
from .pipeline import UnigramPipeline

__all__ = ["CamembertTokenizer", "UnigramTokenizer", "XLMRobertaTokenizer"]


class UnigramTokenizer(CalledTokenizer):
    """What the two have in common; it is called by its subclasses' names."""

    layout: ClassVar[Layout]
    """Which id each piece has."""
    slow_name: ClassVar[str]
    """The class, as ``tokenizer_config.json`` names it."""
    model_type: ClassVar[str]
    """The family, as ``config.json`` names it."""
    vocab_files_names: Mapping[str, str] = FILE_NAMES
    """Argument -> the name of its file in a folder."""
    add_prefix_space = True
    _unused: ClassVar[Sequence[str]] = ()
    _normalizes_mask: ClassVar[bool] = False
    _merges: list[tuple[str, str]]
    _data: bytes | None = None
    _parts: Mapping[str, Any]

    def __init__(
        self,
        vocab_file: StrPath | PieceModel,
        *,
        bos_token: TokenLike | None = "<s>",
        eos_token: TokenLike | None = "</s>",
        sep_token: TokenLike | None = "</s>",
        cls_token: TokenLike | None = "<s>",
        unk_token: TokenLike | None = "<unk>",
        pad_token: TokenLike | None = "<pad>",
        mask_token: TokenLike | None = "<mask>",
        **settings: Unpack[Settings],
    ) -> None:
        self._keep(settings)
        if isinstance(vocab_file, PieceModel):
            self.model: PieceModel = vocab_file
        else:
            self.model, self._data = read_model(vocab_file)
        self.errors, self._merges, self._parts = "replace", [], {}
        base = {token: index for index, (token, _) in enumerate(self.layout.entries(self.model))}
        players = (bos_token, eos_token, unk_token, sep_token, pad_token, cls_token, mask_token)
        self._lay(base, dict(zip(ROLES, players, strict=True)), self._added_of(settings))
        if "additional_special_tokens" not in settings:
            settings["additional_special_tokens"] = list(self._unused)
        self._set(settings)

    def _added_of(self, settings: Settings) -> Mapping[Any, TokenLike]:
        return settings.get("added_tokens_decoder") or {}

    def _give_role(self, role: str, token: TokenLike) -> None:
        is_mask = role == "mask_token"
        read = self._read(token, lstrip=is_mask, normalized=is_mask and self._normalizes_mask)
        self._roles[role] = self._add(replace(read, special=True))

    def _made_engine(self) -> Engine:
        return UnigramPipeline(self.model, self.layout, self._added)

    # -- text from ids ----------------------------------------------------------------------------------------------

    def convert_tokens_to_string(self, tokens: Iterable[str]) -> str:
        """Return the text that tokens spell.

        Args:
            tokens: pieces, or added tokens.

        Returns:
            The text: each ``▁`` is a space, but those of the first token, which were put before it. Bytes that are no
            UTF-8 become U+FFFD.
        """
        spelled: list[str] = []
        waiting = bytearray()
        for at, token in enumerate(read_tokens(tokens)):
            byte = self._bytes.get(token)
            if byte is not None:
                waiting.append(byte)
                continue
            spelled += [waiting.decode(errors="replace"), token.replace(SPACE, " " if at else "")]
            waiting.clear()
        return "".join([*spelled, waiting.decode(errors="replace")])

    @property
    def _bytes(self) -> Mapping[str, int]:
        """Token -> the byte that it stands for, where the model falls back to bytes."""
        return {f"<0x{byte:02X}>": byte for byte in range(256)} if self.model.falls_back_to_bytes else {}

    def explain(
        self, text: str, add_special_tokens: bool = True, split_special_tokens: bool | None = None
    ) -> PieceExplanation:
        """Show the whole way of a text to the ids that a call of the pure class gives.

        Args:
            text: the text.
            add_special_tokens: whether to put the special tokens around.
            split_special_tokens: whether text that spells a special token is encoded as plain text; None for
                the tokenizer's.

        Returns:
            The prepared text, and the tokens with their scores, as data. Print it to read it.

        Raises:
            ValueError: something else than a text, or a lone surrogate.
        """
        if not isinstance(cast("object", text), str):
            raise ValueError(f"text: expected one text (str), got {type(text).__name__}; explain texts one by one")
        read_texts(text, None, is_split_into_words=False)
        split = self.split_special_tokens if split_special_tokens is None else split_special_tokens
        around = self._ids_of_roles("cls_token", "sep_token") if add_special_tokens else []
        return explain(text, self, around, split)

    # -- making and saving one ----------------------------------------------------------------------------------------

    @classmethod
    def from_pretrained(cls, folder_or_id: StrPath | None = None, **overrides: Any) -> Self:
        """Load a tokenizer.

        Args:
            folder_or_id: a folder with ``sentencepiece.bpe.model``, with ``tokenizer.json``, or with both, which must
                agree; or an id on the Hugging Face hub. ``tokenizer_config.json``, ``special_tokens_map.json`` and
                ``added_tokens.json`` are read where they are there.
            **overrides: arguments of the constructor that win over the files; and, of the hub, ``subfolder``,
                ``revision``, ``token``, ``cache_dir``, ``local_files_only`` and ``force_download``.

        Returns:
            The tokenizer.

        Raises:
            FileNotFoundError: there is no such folder, or the files are not in it.
            ValueError: a file is damaged, two contradict each other, or they are of another kind of tokenizer.
            TypeError: an argument that does not exist.
        """
        folder_or_id = overrides.pop("pretrained_model_name_or_path", folder_or_id)
        if folder_or_id is None:
            raise TypeError(f"{cls.__name__}.from_pretrained: expected a folder, or an id on the hub, got nothing")
        hub = {name: overrides.pop(name) for name in _HUB if name in overrides}
        stored = read_folder(folder_or_id, cls.layout, cls.slow_name, cls.model_type, **hub)
        tokenizer = made(cls, (stored.model,), stored.arguments, folder_or_id, overrides)
        tokenizer._data, tokenizer._parts = stored.data, dict(stored.parts)
        tokenizer._kept = {**stored.others, **tokenizer._kept}
        return tokenizer

    @classmethod
    def from_tokenizer(cls, tokenizer: UnigramTokenizer) -> Self:
        """Make a tokenizer of this class from one of the other: from the pure one the fast one, or the reverse.

        Args:
            tokenizer: any of the same family. It stays as it is; the two share nothing that changes.

        Returns:
            A tokenizer of this class with the same vocabulary and settings.
        """
        stored = constructor_arguments(config_of(tokenizer))
        stored = {name: value for name, value in stored.items() if name not in _NOT_THEIRS}
        made = cls(tokenizer.model, **stored, name_or_path=tokenizer.name_or_path)
        made._data, made._parts, made._kept = tokenizer._data, dict(tokenizer._parts), dict(tokenizer._kept)
        return made

    def save_vocabulary(self, save_directory: StrPath, filename_prefix: str | None = None) -> tuple[str]:
        """Write ``sentencepiece.bpe.model``.

        Args:
            save_directory: a folder that exists.
            filename_prefix: put before its name, with a hyphen.

        Returns:
            The path.

        Raises:
            FileNotFoundError: there is no such folder.
        """
        if not Path(save_directory).is_dir():
            raise FileNotFoundError(
                f"save_directory: expected a folder, found none at {save_directory}; create it, or use save_pretrained"
            )
        return (write_model(self, save_directory, filename_prefix),)

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
                ``sentencepiece.bpe.model`` and ``added_tokens.json``.
            filename_prefix: put before every name, with a hyphen.
            **options: ``push_to_hub=True`` sends what was written, as `push_to_hub` does, with its options and
                ``repo_id``, by default the folder's name; what else transformers' takes, as long as it asks for
                nothing.

        Returns:
            The paths.

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


_HUB = ("subfolder", "revision", "token", "cache_dir", "local_files_only", "force_download")


class CamembertTokenizer(UnigramTokenizer):
    """CamemBERT's tokenizer in pure Python: SentencePiece's numbers, moved by four.

    Args:
        vocab_file: ``sentencepiece.bpe.model``, or the `PieceModel` of one.
        **settings: ``bos_token`` and the other roles, each a str, an `AddedToken` or None; and see `Settings`.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: it is damaged, or a setting has a value that does not exist.
        TypeError: a setting that does not exist, and resembles one.
    """

    layout = CAMEMBERT
    slow_name = "CamembertTokenizer"
    model_type = "camembert"
    _unused = ("<s>NOTUSED", "</s>NOTUSED", "<unk>NOTUSED")


class XLMRobertaTokenizer(UnigramTokenizer):
    """XLM-RoBERTa's tokenizer in pure Python: SentencePiece's numbers, moved by one.

    Args:
        vocab_file: ``sentencepiece.bpe.model``, or the `PieceModel` of one.
        **settings: ``bos_token`` and the other roles, each a str, an `AddedToken` or None; and see `Settings`.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: it is damaged, or a setting has a value that does not exist.
        TypeError: a setting that does not exist, and resembles one.
    """

    layout = XLM_ROBERTA
    slow_name = "XLMRobertaTokenizer"
    model_type = "xlm-roberta"
