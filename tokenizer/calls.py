"""Step 20 of the ladder: the call, and everything else that turns texts into rows.

A call goes: fill in the options (`plan`), read the inputs (`inputs`), encode (`pipeline`), cut
(`truncation`), put special tokens and padding around (`rows`), and turn into tensors (`encoding`).
"""

import logging
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import chain, islice
from typing import Any, Unpack, cast

from .encoding import BatchEncoding
from .explain import ExplainedToken, Explanation, explain
from .inputs import Source, read_inputs
from .padding import pad_features
from .plan import UNLIMITED, CallOptions, Plan, resolve
from .rows import Frame, Row, gather, pad_rows, stack
from .texts import EncodedText
from .truncation import cut
from .vocabulary import Vocabulary

__all__ = ["Encoder"]

_LOGGER = logging.getLogger(__name__)


class Encoder(Vocabulary):
    """A vocabulary that can be called on texts.

    Example:
        >>> symbols = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "a": 4, "b": 5, "ab": 6}
        >>> roles = {"cls_token": "<s>", "sep_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
        >>> Encoder(symbols, [("a", "b")], roles)(["ab", "b"], padding="max_length", max_length=4)
        BatchEncoding
          input_ids       [[0, 6, 2, 1], [0, 5, 2, 1]]
          attention_mask  [[1, 1, 1, 0], [1, 1, 1, 0]]
    """

    model_max_length: int = UNLIMITED
    """Tokens that the model takes in a row."""
    padding_side: str = "right"
    """Where padding goes."""
    truncation_side: str = "right"
    """Where tokens are cut."""
    split_special_tokens: bool = False
    """Whether text that spells a special token is encoded as plain text."""
    model_input_names: Sequence[str] = ("input_ids", "attention_mask")
    """The fields that a call returns unasked."""
    _has_warned: bool = False

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
            return self._encode_batch(text_target, text_pair_target, plan)
        encoding = self._encode_batch(text, text_pair, plan)
        if text_target is not None:
            target = self._encode_batch(text_target, text_pair_target, plan)
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

    def encode_plus(self, text: Any, text_pair: Any = None, **options: Unpack[CallOptions]) -> BatchEncoding:
        """Call the tokenizer; an older name.

        Args:
            text: as in a call.
            text_pair: as in a call.
            **options: see `CallOptions`.

        Returns:
            As a call.
        """
        return self(text, text_pair, **options)

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

    def tokenize(self, text: str, pair: str | None = None, add_special_tokens: bool = False) -> list[str]:
        """Return the tokens of a text as the vocabulary spells them.

        Args:
            text: the text.
            pair: its second text.
            add_special_tokens: whether to put the special tokens around.

        Returns:
            Symbol strings, such as ``["Hello", "Ġworld"]``.
        """
        if not isinstance(cast("object", text), str):
            raise ValueError(f"text: expected one text (str), got {type(text).__name__}; tokenize texts one by one")
        return self.convert_ids_to_tokens(self.encode(text, pair, add_special_tokens=add_special_tokens))

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
        read_inputs(text, None, is_split_into_words=False)
        split = self.split_special_tokens if split_special_tokens is None else split_special_tokens
        segments = explain(text, self._pipeline, self._align(text, split), self._token_of_id, split)
        around = [self._required(role) for role in ("cls_token", "sep_token")] if add_special_tokens else []
        tokens = [ExplainedToken(index, self._token_of_id(index), 0, 0) for index in around]
        return Explanation(text, segments, tuple(tokens[:1]), tuple(tokens[1:]))

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
        cls, sep = self._required("cls_token"), self._required("sep_token")
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
        return [int(index in special) for index in token_ids_0]

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

    def batch_decode(self, sequences: Iterable[Any], skip_special_tokens: bool = False, **options: Any) -> list[str]:
        """Decode several rows.

        Args:
            sequences: rows of ids: lists, or a (B, T) array or tensor.
            skip_special_tokens: as in `decode`.
            **options: further options of `decode`.

        Returns:
            One text a row.
        """
        return [self.decode(ids, skip_special_tokens, **options) for ids in sequences]

    # The way of a call.

    def _encode_batch(self, text: Any, text_pair: Any, plan: Plan) -> BatchEncoding:
        pairs, is_batch = read_inputs(text, text_pair, plan.is_split_into_words)
        self._require_prefix_space(plan)
        frame = self._frame(plan)
        sources = [[source for source in pair if source is not None] for pair in pairs]
        texts = iter(self._encode_texts(list(chain.from_iterable(sources)), plan))
        samples = [list(islice(texts, len(pair))) for pair in sources]
        rows = [row for index, sample in enumerate(samples) for row in self._rows_of(sample, index, frame, plan)]
        self._warn_of_long_rows(rows, plan)
        pad_rows(rows, plan)
        return self._record(rows, plan, is_batch)

    def _encode_texts(self, sources: Sequence[Source], plan: Plan) -> list[EncodedText]:
        """Encode all texts of a call. `RobertaTokenizerFast` does here what it does otherwise."""
        align = partial(self._align, split_special_tokens=plan.split_special_tokens)
        return [EncodedText(source, self._encode_source(source, plan), align) for source in sources]

    def _rows_of(self, texts: Sequence[EncodedText], index: int, frame: Frame, plan: Plan) -> list[Row]:
        """Make the rows of one text or pair: one row, or one for each window."""
        special_count = 2 * len(texts) if frame.cls_sep else 0
        return [Row(parts, frame, index) for parts in cut(texts, special_count, plan)]

    def _encode_source(self, source: Source, plan: Plan) -> list[int]:
        if isinstance(source, str):
            return self._pipeline.encode(source, plan.split_special_tokens)
        return list(chain.from_iterable(self._pipeline.encode(word, plan.split_special_tokens) for word in source))

    def _require_prefix_space(self, plan: Plan) -> None:
        if plan.is_split_into_words and not self.add_prefix_space:
            raise ValueError(
                "is_split_into_words: expected a tokenizer with add_prefix_space=True, since each word begins with a "
                "space, got add_prefix_space=False; load it with from_pretrained(folder, add_prefix_space=True)"
            )

    def _frame(self, plan: Plan) -> Frame:
        cls_sep = (self._required("cls_token"), self._required("sep_token")) if plan.add_special_tokens else None
        pad_id = self._required("pad_token") if plan.padding else None
        return Frame(cls_sep, pad_id, self.convert_ids_to_tokens)

    def _warn_of_long_rows(self, rows: Sequence[Row], plan: Plan) -> None:
        """Log, once a tokenizer, that a model will refuse a row. Nothing is wrong yet: the text may be for training."""
        if plan.truncation is None and plan.verbose and not self._has_warned:
            longest = max(map(len, rows), default=0)
            if longest > self.model_max_length:
                self._has_warned = True
                _LOGGER.warning(
                    "a row has %d tokens, and the model takes %d at most; pass truncation=True if it is for the model",
                    longest,
                    self.model_max_length,
                )

    def _record(self, rows: list[Row], plan: Plan, is_batch: bool) -> BatchEncoding:
        collect = stack if plan.return_tensors else gather
        fields = {name: collect(rows, attribute) for name, attribute in plan.fields.items()}
        # One text gives flat lists, except where it may give several rows, and for the length, as in the peer.
        flat = not (is_batch or plan.windows or plan.return_tensors)
        encoding = {name: rows[0] if flat and name != "length" else rows for name, rows in fields.items()}
        return BatchEncoding(encoding, rows).convert_to_tensors(plan.return_tensors)
