"""A tokenizer that is called on texts: one text or a pair, one or a batch, in every form that transformers takes.

What a word is made of, a class says that is made of this one, by its `engine`: `RobertaTokenizer` merges bytes, and
`CamembertTokenizer` and `XLMRobertaTokenizer` weigh pieces.

A call goes: its texts and options are read (`options`), the engine encodes, the rows are cut and padded (`rows`), and
the record says what came of it (`encoding`).
"""

import logging
from collections.abc import Mapping, Sequence
from copy import copy
from itertools import chain
from typing import Any, Protocol, Unpack, cast

from .alignment import EncodedText
from .compatibility import TransformersNames
from .decoding import read_ids
from .encoding import BatchEncoding
from .options import UNLIMITED, CallOptions, Plan, read_texts, resolve
from .padding import pad_features
from .pipeline import Source
from .rows import Frame, Row, fields_of, make_rows
from .settings import Settings, check_types, kept_arguments

__all__ = ["CalledTokenizer", "Engine"]

_LOGGER = logging.getLogger(__name__)
_LONG_ROW = "sequence-length-is-longer-than-the-specified-maximum"
_SETTINGS = Settings.__annotations__.keys()


class Engine(Protocol):
    """What encodes texts."""

    def encode(self, sources: Sequence[Source], split_special_tokens: bool = False) -> list[EncodedText]:
        """Encode texts.

        Args:
            sources: texts, or lists of words.
            split_special_tokens: whether special tokens in them are treated as plain text.

        Returns:
            The ids of each, and where they came from.
        """
        ...


class CalledTokenizer(TransformersNames):
    """What is the same for tokenizers of every kind: their settings, and how they are called."""

    is_fast = False
    """Whether the `tokenizers` library does the work."""
    _left_by_calls = frozenset({"_engine", "deprecation_warnings"})

    _engine: tuple[object, Any] | None = None

    @property
    def engine(self) -> Any:
        """What encodes texts, an `Engine`: made of the vocabulary as it is now, and made anew after a change."""
        made_of = self._change_count, self.add_prefix_space, self.trim_offsets
        if self._engine is None or self._engine[0] != made_of:
            self._engine = made_of, self._made_engine()
        return self._engine[1]

    def _made_engine(self) -> Engine:
        raise NotImplementedError

    def _align(self, texts: Sequence[EncodedText], as_lists: bool) -> None:
        """Find where the tokens of a batch came from, if that is cheaper than to ask each text."""

    def _keep(self, settings: Mapping[str, Any]) -> None:
        """Judge what is no setting, and keep what is somebody's own."""
        self._kept = kept_arguments(type(self), {name: settings[name] for name in settings.keys() - _SETTINGS})

    def _set(self, settings: Mapping[str, Any]) -> None:
        """Take over the settings, once the vocabulary is there."""
        check_types(settings)
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
            self._align(texts, as_lists=plan.return_tensors is None)
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
