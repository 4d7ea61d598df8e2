"""`RobertaTokenizer`: a vocabulary that is called on texts; made from files, from a folder, or by training.

A call goes: its texts and options are read (`options`), the engine encodes (`pipeline`, or `library`), the rows are cut
and padded (`rows`), and the record says what came of it (`encoding`).
"""

# ruff: noqa: S107  (tokens of text, not passwords)

import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from itertools import chain
from pathlib import Path
from typing import Any, Self, Unpack, cast

from .alignment import align_together
from .compatibility import TransformersNames, require_idle
from .decoding import read_ids
from .encoding import BatchEncoding
from .explain import ExplainedToken, Explanation, explain
from .files import StrPath
from .folder import FILE_NAMES, read_folder, write_folder, write_vocabulary
from .options import UNLIMITED, CallOptions, Plan, read_texts, reject_unknown, resolve
from .padding import pad_features
from .pipeline import Pipeline, WordEncoder
from .roles import ROLES
from .rows import Frame, Row, fields_of, make_rows
from .settings import Settings, check_types, config_of, constructor_arguments, kept_arguments, renamed_specials
from .training import TrainerOptions, train, training_texts
from .vocabulary import TokenLike

__all__ = ["RobertaTokenizer"]

_LOGGER = logging.getLogger(__name__)
_LONG_ROW = "sequence-length-is-longer-than-the-specified-maximum"
_SETTINGS = Settings.__annotations__.keys()


class RobertaTokenizer(TransformersNames):
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

    is_fast = False
    """Whether the `tokenizers` library does the work."""
    vocab_files_names: Mapping[str, str] = FILE_NAMES
    """Argument of `RobertaTokenizerFast` -> the name of its file in a folder."""
    _engine: tuple[object, Pipeline] | None = None
    _left_by_calls = frozenset({"_engine", "deprecation_warnings"})

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
        self._kept = kept_arguments(type(self), {name: settings[name] for name in settings.keys() - _SETTINGS})
        players = (bos_token, eos_token, unk_token, sep_token, pad_token, cls_token, mask_token)
        roles: dict[str, TokenLike | None] = dict(zip(ROLES, players, strict=True))
        added = settings.get("added_tokens_decoder")
        super().__init__(vocab_file, merges_file, roles, added=added, errors=errors)
        check_types(settings)
        self.add_prefix_space = add_prefix_space
        self.model_max_length: int = settings.get("model_max_length") or UNLIMITED
        """Tokens that the model takes in a row."""
        self.padding_side: str = settings.get("padding_side", "right")
        """Where padding goes."""
        self.truncation_side: str = settings.get("truncation_side", "right")
        """Where tokens are cut."""
        self.model_input_names: Sequence[str] = list(settings.get("model_input_names", ("input_ids", "attention_mask")))
        """The fields that a call returns unasked."""
        self.split_special_tokens: bool = settings.get("split_special_tokens", False)
        """Whether text that spells a special token is encoded as plain text."""
        self.clean_up_tokenization_spaces = bool(settings.get("clean_up_tokenization_spaces"))
        self.trim_offsets = settings.get("trim_offsets", True)
        self.name_or_path: str = settings.get("name_or_path", "")
        """Where the tokenizer was loaded from."""
        self.deprecation_warnings: dict[str, bool] = {}
        """What was said once, and is not said again: under the names that transformers' collators use."""
        self._add_without_role(settings.get("additional_special_tokens") or ())
        resolve(self, {})  # so that a side that does not exist is reported now, not at the first call

    # -- calls ---------------------------------------------------------------------------------------------------------

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
            ``input_ids``, ``attention_mask``, and what was asked for: lists of int for one text, lists of
            lists for a batch; with ``return_tensors`` tensors of shape (B, T).

        Raises:
            ValueError: inputs that are no texts, options that contradict each other, a cut that cannot succeed.
            TypeError: an unknown option, or a list beside a single text.
        """
        plan = resolve(self, options)
        if text is None and text_target is None:
            raise ValueError(
                "text: expected a text, a list of texts, or text_target, got None; pass what is to be encoded"
            )
        if text is None:
            return self._encode(text_target, text_pair_target, plan)
        encoding = self._encode(text, text_pair, plan)
        if text_target is not None:
            target = self._encode(text_target, text_pair_target, plan)
            if len(target.encodings) != len(encoding.encodings):
                raise ValueError(
                    f"text_target: expected as many rows as text gives, {len(encoding.encodings)}, got "
                    f"{len(target.encodings)}; pass a target for each text"
                )
            encoding["labels"] = target["input_ids"]
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

    encode_plus = __call__
    """An older name of the call."""

    def batch_encode_plus(
        self, batch_text_or_text_pairs: Sequence[Any], **options: Unpack[CallOptions]
    ) -> BatchEncoding:
        """Call the tokenizer on a batch; an older name.

        Args:
            batch_text_or_text_pairs: texts, or pairs of texts.
            **options: see `CallOptions`.

        Returns:
            As a call.
        """
        return self(batch_text_or_text_pairs, **options)

    def tokenize(
        self, text: str, pair: str | None = None, add_special_tokens: bool = False, **options: Any
    ) -> list[str]:
        """Return the tokens of a text as the vocabulary spells them.

        Args:
            text: the text.
            pair: its second text.
            add_special_tokens: whether to put the special tokens around.
            **options: see `CallOptions`.

        Returns:
            Symbol strings, such as ``["Hello", "Ġworld"]``.
        """
        if not isinstance(cast("object", text), str):
            raise ValueError(f"text: expected one text (str), got {type(text).__name__}; tokenize texts one by one")
        return self.convert_ids_to_tokens(self.encode(text, pair, add_special_tokens=add_special_tokens, **options))

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

    def pad(self, encoded_inputs: Any, **options: Unpack[CallOptions]) -> BatchEncoding:
        """Pad features that are encoded already, as a collator does.

        Args:
            encoded_inputs: what calls returned: one record, or a list of records of one row each.
            **options: ``padding`` (here True unless given), ``max_length``, ``pad_to_multiple_of``,
                ``padding_side``, ``return_attention_mask``, ``return_tensors``.

        Returns:
            The features, padded. Labels are left as they are. Ids are the first of ``model_input_names``.

        Raises:
            ValueError: no ``input_ids``, no pad token, or rows that do not fit into one tensor.
        """
        plan = resolve(self, {"padding": True, **options})
        (pad_id,) = self._ids_of_roles("pad_token")
        fields = pad_features(encoded_inputs, plan, pad_id, *self.model_input_names[:1])
        return BatchEncoding(fields).convert_to_tensors(plan.return_tensors)

    def num_special_tokens_to_add(self, pair: bool = False) -> int:
        """Count the special tokens that a call puts around texts.

        Args:
            pair: whether there are two texts.

        Returns:
            2 for one text, 4 for a pair.
        """
        return 4 if pair else 2

    @property
    def max_len_single_sentence(self) -> int:
        """Tokens of a text that have room in a row."""
        return self.model_max_length - self.num_special_tokens_to_add()

    @property
    def max_len_sentences_pair(self) -> int:
        """Tokens of a pair that have room in a row."""
        return self.model_max_length - self.num_special_tokens_to_add(pair=True)

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
        cls, sep = self._ids_of_roles("cls_token", "sep_token")
        row = [cls, *token_ids_0, sep]
        return row if token_ids_1 is None else [*row, sep, *token_ids_1, sep]

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
            already_has_special_tokens: whether the ids are a whole row; then every special id in it is marked.

        Returns:
            1 for a special token, else 0; as long as the row is, or will be.

        Raises:
            ValueError: two lists of ids although they are a whole row.
        """
        if not already_has_special_tokens:
            mask = [1, *([0] * len(token_ids_0)), 1]
            return mask if token_ids_1 is None else [*mask, 1, *([0] * len(token_ids_1)), 1]
        if token_ids_1 is not None:
            raise ValueError(
                "token_ids_1: expected None with already_has_special_tokens=True, got ids; pass the whole row first"
            )
        special = set(self.all_special_ids)
        return [int(index in special) for index in read_ids(token_ids_0)]

    def create_token_type_ids_from_sequences(
        self, token_ids_0: Sequence[int], token_ids_1: Sequence[int] | None = None
    ) -> list[int]:
        """Return the token types of a row, all 0: RoBERTa has one type.

        Args:
            token_ids_0: ids of the text, without special tokens.
            token_ids_1: ids of the second text.

        Returns:
            As many zeros as the row has tokens, special tokens included.
        """
        return [0] * len(self.build_inputs_with_special_tokens(token_ids_0, token_ids_1))

    # -- the way of a call ---------------------------------------------------------------------------------------------

    def _encode(self, text: Any, text_pair: Any, plan: Plan) -> BatchEncoding:
        samples, is_batch = read_texts(text, text_pair, plan.is_split_into_words)
        if plan.is_split_into_words and not self.add_prefix_space:
            raise ValueError(
                "is_split_into_words: expected a tokenizer with add_prefix_space=True, since each word begins with a "
                "space, got add_prefix_space=False; load it with from_pretrained(folder, add_prefix_space=True)"
            )
        frame = Frame(self._roles, plan, self.convert_ids_to_tokens)
        sources = list(chain.from_iterable(samples))
        texts = self.engine.encode(sources, plan.split_special_tokens)
        if "offset_mapping" in plan.fields:
            align_together(texts, as_lists=plan.return_tensors is None)
        rows = make_rows(texts, map(len, samples), frame, plan)
        if plan.truncation is None and plan.verbose and _LONG_ROW not in self.deprecation_warnings:
            self._warn_of_long_rows(rows)
        fields = fields_of(rows, frame, plan)
        # One text gives flat lists, except where it may give several rows, and for the length, as in the peer.
        if not (is_batch or plan.windows or plan.return_tensors):
            for name in fields.keys() - {"length"}:
                fields[name] = fields[name][0]
        record = BatchEncoding(fields, rows)
        return record.convert_to_tensors(plan.return_tensors) if plan.return_tensors else record

    @property
    def engine(self) -> Pipeline:
        """What encodes texts: made of the vocabulary as it is now, and made anew after a change."""
        made_of = self._change_count, self.add_prefix_space, self.trim_offsets
        if self._engine is None or self._engine[0] != made_of:
            settings = {"add_prefix_space": self.add_prefix_space, "trim_offsets": self.trim_offsets}
            self._engine = made_of, Pipeline(self._word_encoder(), self._added, self._tokens, **settings)
        return self._engine[1]

    def _word_encoder(self) -> WordEncoder:
        return self._bpe

    def _warn_of_long_rows(self, rows: Sequence[Row]) -> None:
        """Log, once a tokenizer, that a model will refuse a row. Nothing is wrong yet: the text may be for training."""
        for row in rows:
            if row.length > self.model_max_length:
                self.deprecation_warnings[_LONG_ROW] = True
                _LOGGER.warning(
                    "a row has %d tokens, and the model takes %d at most; pass truncation=True if it is for the model",
                    max(row.length for row in rows),
                    self.model_max_length,
                )
                break

    def __getstate__(self) -> dict[str, Any]:
        # What is copied and pickled: nothing that the copy would share and change, nothing that calls have left behind.
        state: dict[str, Any] = {name: value for name, value in vars(self).items() if name not in self._left_by_calls}
        copied = {name: copy(state[name]) for name in state if isinstance(state[name], (dict, list))}
        return state | copied | {"deprecation_warnings": {}}

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
        arguments: dict[str, Any] = {**stored.arguments, "name_or_path": str(folder_or_id), **overrides}
        tokenizer = cls(stored.vocab, stored.merges, **arguments)
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
        **unused: Any,
    ) -> tuple[str, ...]:
        """Write a folder that `from_pretrained` and transformers read, either class of either.

        Args:
            save_directory: the folder; created if it is not there.
            legacy_format: None for all files; True leaves out ``tokenizer.json``; False leaves out
                ``vocab.json``, ``merges.txt`` and ``added_tokens.json``.
            filename_prefix: put before every name, with a hyphen.
            **unused: what else transformers' takes, as long as it asks for nothing, such as ``push_to_hub=False``.

        Returns:
            The paths of ``tokenizer_config.json``, ``special_tokens_map.json``, where tokens were added
            ``added_tokens.json``, then ``vocab.json``, ``merges.txt`` and ``tokenizer.json``.

        Raises:
            ValueError: ``legacy_format=False`` without a ``cls_token`` or ``sep_token``: ``tokenizer.json`` needs both;
                or an option that asks for what is not done here.
            TypeError: an option that does not exist.
        """
        require_idle("save_pretrained", unused)
        Path(save_directory).mkdir(parents=True, exist_ok=True)
        return write_folder(self, save_directory, filename_prefix, legacy_format)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(name_or_path={self.name_or_path!r}, vocab_size={self.vocab_size}, "
            f"model_max_length={self.model_max_length}, special_tokens={self.special_tokens_map})"
        )
