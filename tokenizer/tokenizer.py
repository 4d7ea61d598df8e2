"""The top of the ladder: `RobertaTokenizer`, text to ids and back, for people.

A call goes: read the inputs (`inputs`), encode (`special`, `bpe`), truncate (`truncation`), assemble and pad
(`rows`), and turn into tensors (`encoding`, `tensors`).
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Self, Unpack

from .encoding import BatchEncoding
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
from .inputs import Source, read_inputs
from .padding import pad_features
from .plan import UNLIMITED, CallOptions, Plan, reject_unknown, resolve
from .rows import Part, Row, pad_rows
from .settings import Settings, added_tokens_as_json, constructor_arguments
from .slots import SLOTS
from .training import train
from .truncation import kept_lengths
from .vocabulary import TokenLike, Vocabulary

__all__ = ["RobertaTokenizer"]


class RobertaTokenizer(Vocabulary):
    """RoBERTa's byte-level BPE tokenizer in pure Python.

    Args:
        vocab_file: ``vocab.json``, or what it holds: symbol string -> id.
        merges_file: ``merges.txt``, or what it holds: pairs of symbol strings, the lowest rank first.
        errors: what decoding does with bytes that are no UTF-8: ``"replace"``, ``"ignore"``, ``"strict"``, …
        bos_token: begins a text; like every role below a str, an `AddedToken`, or None where no token plays
            the role.
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
        roles = (bos_token, eos_token, unk_token, sep_token, pad_token, cls_token, mask_token)
        super().__init__(
            vocab_file,
            merges_file,
            dict(zip(SLOTS, roles, strict=True)),
            added=settings.get("added_tokens_decoder"),
            errors=errors,
            add_prefix_space=add_prefix_space,
        )
        self._configure(settings)

    def _configure(self, settings: Settings) -> None:
        reject_unknown("RobertaTokenizer", settings, Settings)
        self.model_max_length = settings.get("model_max_length") or UNLIMITED
        self.padding_side = settings.get("padding_side", "right")
        self.truncation_side = settings.get("truncation_side", "right")
        self.model_input_names = list(settings.get("model_input_names", ("input_ids", "attention_mask")))
        self.clean_up_tokenization_spaces = bool(settings.get("clean_up_tokenization_spaces"))
        self.split_special_tokens = settings.get("split_special_tokens", False)
        self.trim_offsets = settings.get("trim_offsets", True)
        self.name_or_path = settings.get("name_or_path", "")
        resolve(self, {})  # a wrong side is reported now, not at the first call
        for token in settings.get("additional_special_tokens") or ():
            self._add_special(token)

    @classmethod
    def from_pretrained(cls, folder: StrPath, **overrides: Any) -> Self:
        """Load a tokenizer folder.

        Args:
            folder: holds ``vocab.json`` and ``merges.txt``; ``tokenizer_config.json`` and
                ``special_tokens_map.json`` are read if there.
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
                f"{'a file' if path.exists() else 'nothing'} at "
                f"{path}; check the path"
            )
        stored = constructor_arguments(read_settings(path)) | {"name_or_path": str(folder)}
        return cls(path / VOCAB_FILE, path / MERGES_FILE, **(stored | overrides))

    @classmethod
    def train(
        cls,
        files_or_texts: StrPath | Iterable[str | os.PathLike[str]],
        vocab_size: int,
        min_frequency: int = 2,
        **settings: Any,
    ) -> Self:
        """Train a tokenizer: ids ``<s>`` 0, ``<pad>`` 1, ``</s>`` 2, ``<unk>`` 3, the 256 bytes, the merges, and ``<mask>`` last.

        Args:
            files_or_texts: each ``Path`` is a file to read line by line, each ``str`` is a text; one file's
                path alone may be either.
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
                f"save_directory: expected a folder, found none at {folder}; create it first"
            )
        paths = folder / f"{prefix}{VOCAB_FILE}", folder / f"{prefix}{MERGES_FILE}"
        write_json(paths[0], dict(sorted(self._base.items(), key=lambda entry: entry[1])))
        write_merges(paths[1], self._merges)
        return str(paths[0]), str(paths[1])

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
        contents = {CONFIG_FILE: self._config_as_json(), SPECIAL_TOKENS_FILE: dict(self.special_tokens_map)}
        more = {token: index for token, index in self.get_added_vocab().items() if token not in self._base}
        for name, content in (contents | ({ADDED_TOKENS_FILE: more} if more else {})).items():
            write_json(folder / name, content, indent=2)
        files = [str(folder / name) for name in contents]
        return (*files, *self.save_vocabulary(folder), *([str(folder / ADDED_TOKENS_FILE)] if more else []))

    def _config_as_json(self) -> dict[str, Any]:
        names = (
            "errors",
            "add_prefix_space",
            "trim_offsets",
            "clean_up_tokenization_spaces",
            "model_max_length",
        )
        names += ("padding_side", "truncation_side", "split_special_tokens")
        config: dict[str, Any] = {name: getattr(self, name) for name in names}
        config |= self.special_tokens_map | {
            "added_tokens_decoder": added_tokens_as_json(self.added_tokens_decoder)
        }
        return config | {"tokenizer_class": "RobertaTokenizer"}

    def __call__(
        self,
        text: Any = None,
        text_pair: Any = None,
        text_target: Any = None,
        text_pair_target: Any = None,
        **options: Unpack[CallOptions],
    ) -> BatchEncoding:
        """Encode a text, a pair, a batch, or a batch of pairs.

        Args:
            text: str; list of str (a batch); list of pairs of str. With ``is_split_into_words``, lists of
                words stand for the texts.
            text_pair: the second text or texts.
            text_target: texts whose ids become ``labels``; alone, they are encoded like ``text``.
            text_pair_target: their second texts.
            **options: see `CallOptions`.

        Returns:
            The fields: ``input_ids`` and ``attention_mask``, and what was asked for. Lists of int for one
            text, lists of lists for a batch; with ``return_tensors`` tensors of shape (B, T).

        Raises:
            ValueError: inputs that are no texts, options that contradict each other, or truncation that
                cannot succeed.
            TypeError: an unknown option, or a list beside a single text.
        """
        plan = resolve(self, options)
        if text is None and text_target is None:
            raise ValueError(
                "text: expected a text, a list of texts or text_target, got None; pass what is to be encoded"
            )
        if text is None:
            return self._encode_all(text_target, text_pair_target, plan)
        encoding = self._encode_all(text, text_pair, plan)
        if text_target is not None:
            encoding["labels"] = self._encode_all(text_target, text_pair_target, plan)["input_ids"]
        return encoding

    def encode(self, text: Any, text_pair: Any = None, **options: Unpack[CallOptions]) -> Any:
        """Return only the ids that a call gives.

        Args:
            text: as in a call.
            text_pair: as in a call.
            **options: see `CallOptions`.

        Returns:
            List of int for one text; else as ``input_ids`` of a call.
        """
        return self(text, text_pair, **options)["input_ids"]

    def tokenize(self, text: str, pair: str | None = None, add_special_tokens: bool = False) -> list[str]:
        """Return the tokens of a text as they are spelled in the vocabulary.

        Args:
            text: the text.
            pair: its second text.
            add_special_tokens: whether to put the special tokens around.

        Returns:
            Symbol strings, such as ``["Hello", "Ġworld"]``.
        """
        ids = self(text, pair, add_special_tokens=add_special_tokens, verbose=False)["input_ids"]
        return self.convert_ids_to_tokens(ids)

    def _encode_all(self, text: Any, text_pair: Any, plan: Plan) -> BatchEncoding:
        pairs, is_batch = read_inputs(text, text_pair, plan.is_split_into_words)
        rows = [self._row(first, second, index, plan) for index, (first, second) in enumerate(pairs)]
        pad_rows(rows, plan)
        return self._record(rows, plan, is_batch)

    def _row(self, first: Source, second: Source | None, sample: int, plan: Plan) -> Row:
        parts = [
            Part(source, self._encode_source(source, plan))
            for source in (first, second)
            if source is not None
        ]
        cls_sep = self._cls_sep() if plan.add_special_tokens else None
        row = Row(parts, cls_sep, self.pad_token_id, sample=sample)
        if plan.truncation and plan.max_length is not None:
            budget = plan.max_length - (2 * len(parts) if cls_sep else 0)
            lengths = [len(part.ids) for part in parts]
            kept = kept_lengths(
                lengths[0], lengths[1] if second is not None else None, budget, plan.truncation
            )
            row.parts = [
                part.cut(length, plan.truncation_side) for part, length in zip(parts, kept, strict=False)
            ]
        return row

    def _encode_source(self, source: Source, plan: Plan) -> list[int]:
        if isinstance(source, str):
            return self._encode_text(source, plan.split_special_tokens)
        if not self.add_prefix_space:
            raise ValueError(
                "is_split_into_words: expected a tokenizer with add_prefix_space=True, since each word "
                "begins with a space, got "
                "add_prefix_space=False; load it with from_pretrained(folder, add_prefix_space=True)"
            )
        return list(
            chain.from_iterable(self._encode_text(word, plan.split_special_tokens) for word in source)
        )

    def _cls_sep(self) -> tuple[int, int]:
        return self._required("cls_token"), self._required("sep_token")

    def _record(self, rows: Sequence[Row], plan: Plan, is_batch: bool) -> BatchEncoding:
        if plan.padding is not None:
            self._required("pad_token")
        fields: dict[str, list[Any]] = {"input_ids": [row.input_ids() for row in rows]}
        makers = {"token_type_ids": Row.token_type_ids, "attention_mask": Row.attention_mask}
        makers["special_tokens_mask"] = Row.special_tokens_mask
        fields |= {name: [make(row) for row in rows] for name, make in makers.items() if name in plan.fields}
        if "length" in plan.fields:
            fields["length"] = [len(row) + sum(row.padding) for row in rows]
        record = BatchEncoding(fields, rows)
        if plan.return_tensors is None and not is_batch:
            record.update({name: value[0] for name, value in fields.items() if name != "length"})
        return record.convert_to_tensors(plan.return_tensors)

    def num_special_tokens_to_add(self, pair: bool = False) -> int:
        """Return how many special tokens a call puts around a text (2) or a pair (4)."""
        return 4 if pair else 2

    def build_inputs_with_special_tokens(
        self, token_ids_0: Sequence[int], token_ids_1: Sequence[int] | None = None
    ) -> list[int]:
        """Put the special tokens around ids.

        Args:
            token_ids_0: ids of the text.
            token_ids_1: ids of the second text.

        Returns:
            ``<s> A </s>``, or ``<s> A </s> </s> B </s>``.
        """
        parts = [Part("", list(ids)) for ids in (token_ids_0, token_ids_1) if ids is not None]
        return Row(parts, self._cls_sep()).input_ids()

    def get_special_tokens_mask(
        self,
        token_ids_0: Sequence[int],
        token_ids_1: Sequence[int] | None = None,
        already_has_special_tokens: bool = False,
    ) -> list[int]:
        """Mark special tokens.

        Args:
            token_ids_0: ids of the text.
            token_ids_1: ids of the second text.
            already_has_special_tokens: whether the ids are a whole row; then every special id in it is
                marked.

        Returns:
            1 for a special token, else 0; as long as the row is, or will be.

        Raises:
            ValueError: two lists of ids although they are a whole row.
        """
        if not already_has_special_tokens:
            parts = [Part("", list(ids)) for ids in (token_ids_0, token_ids_1) if ids is not None]
            return Row(parts, self._cls_sep()).special_tokens_mask()
        if token_ids_1 is not None:
            raise ValueError(
                "token_ids_1: expected None with already_has_special_tokens=True, got ids; pass the whole "
                "row first"
            )
        special = set(self.all_special_ids)
        return [int(index in special) for index in token_ids_0]

    def create_token_type_ids_from_sequences(
        self, token_ids_0: Sequence[int], token_ids_1: Sequence[int] | None = None
    ) -> list[int]:
        """Return the token types of a row, all 0: RoBERTa has one type.

        Args:
            token_ids_0: ids of the text, without special tokens.
            token_ids_1: ids of the second text.

        Returns:
            As many zeros as the row has tokens with its special tokens.
        """
        return [0] * len(self.build_inputs_with_special_tokens(token_ids_0, token_ids_1))

    def batch_decode(
        self, sequences: Iterable[Any], skip_special_tokens: bool = False, **options: Any
    ) -> list[str]:
        """Decode several rows.

        Args:
            sequences: rows of ids: lists, or a (B, T) array or tensor.
            skip_special_tokens: as in `decode`.
            **options: further options of `decode`.

        Returns:
            One text a row.
        """
        return [self.decode(ids, skip_special_tokens=skip_special_tokens, **options) for ids in sequences]

    def pad(self, encoded_inputs: Any, **options: Unpack[CallOptions]) -> BatchEncoding:
        """Pad features that are encoded already, as a collator does.

        Args:
            encoded_inputs: what calls returned: one record, or a list of records of one row each.
            **options: ``padding`` (here True unless given), ``max_length``, ``pad_to_multiple_of``,
                ``padding_side``, ``return_attention_mask``, ``return_tensors``.

        Returns:
            The features, padded. Labels are left as they are.

        Raises:
            ValueError: no ``input_ids``, no pad token, or rows that do not fit into one tensor.
        """
        plan = resolve(self, {"padding": True, **options})
        fields = pad_features(encoded_inputs, plan, self._required("pad_token"))
        return BatchEncoding(fields).convert_to_tensors(plan.return_tensors)


def _texts(files_or_texts: Iterable[str | os.PathLike[str]]) -> Iterator[str]:
    """Yield each text, and each file line by line with its line ends, as the peer's trainer reads files."""
    for item in files_or_texts:
        if isinstance(item, str):
            yield item
        else:
            with Path(item).open(encoding="utf-8", newline="\n") as lines:
                yield from lines
