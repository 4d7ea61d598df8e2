"""Step 27 of the ladder: `RobertaTokenizerFast`: the same law, with the `tokenizers` library for an engine.

Only the way from a text to its ids and offsets differs; everything around it is the code of `RobertaTokenizer`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import repeat
from typing import TYPE_CHECKING, Any

from .alignment import Alignment
from .arrays import LaterRows, is_short_way, lay_out
from .encoding import BatchEncoding
from .engine import Engine, align_encoding, can_serve, library
from .files import StrPath
from .inputs import Source, read_inputs
from .plan import Plan
from .rows import Frame, Row, pad_rows
from .texts import EncodedText
from .tokenizer import RobertaTokenizer
from .tokenizer_json import read_tokenizer_json, tokenizer_json

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["RobertaTokenizerFast"]


class RobertaTokenizerFast(RobertaTokenizer):
    """RoBERTa's byte-level BPE tokenizer on the `tokenizers` library; ids and all else are `RobertaTokenizer`'s.

    Args:
        vocab_file: ``vocab.json``, or what it holds: symbol string -> id.
        merges_file: ``merges.txt``, or what it holds: pairs of symbol strings, the lowest rank first.
        tokenizer_file: ``tokenizer.json``, in place of both.
        errors: what decoding does with bytes that are no UTF-8: ``"replace"``, ``"ignore"``, ``"strict"``, …
        **settings: ``bos_token`` and the other roles, ``add_prefix_space``, and those of `Settings`, as
            `RobertaTokenizer` takes them.

    Raises:
        ImportError: the library is not installed.
        FileNotFoundError: a file is missing.
        ValueError: a file is damaged, or a setting has a value that does not exist.
        TypeError: a setting that does not exist, or neither ``tokenizer_file`` nor the two other files.

    Example:
        >>> tokenizer = RobertaTokenizerFast.train(["low lower lowest low"], vocab_size=263)
        >>> tokenizer("low <mask>").input_ids
        [0, 261, 262, 2]
    """

    is_fast = True
    _made: Engine | None = None

    def __init__(
        self,
        vocab_file: StrPath | Mapping[str, int] | None = None,
        merges_file: StrPath | Iterable[tuple[str, str]] | None = None,
        tokenizer_file: StrPath | None = None,
        errors: str = "replace",
        **settings: Any,
    ) -> None:
        library()
        if tokenizer_file is not None:
            stored = read_tokenizer_json(tokenizer_file)
            vocab_file, merges_file = vocab_file or stored.vocab, merges_file or stored.merges
            settings = {**stored.arguments, **settings}
        if vocab_file is None or merges_file is None:
            raise TypeError(
                "RobertaTokenizerFast: expected vocab_file and merges_file, or tokenizer_file, got "
                f"{'only one of the two' if (vocab_file is None) != (merges_file is None) else 'neither'}; pass them, "
                "or load a folder with RobertaTokenizerFast.from_pretrained(folder)"
            )
        super().__init__(vocab_file, merges_file, errors, **settings)

    @property
    def backend_tokenizer(self) -> Tokenizer:
        """A tokenizer of the library that is as ``tokenizer.json`` says: a copy, free to be changed."""
        return library().Tokenizer.from_str(json.dumps(tokenizer_json(self)))

    def __getstate__(self) -> dict[str, Any]:
        # The engine is made anew where the tokenizer is unpickled.
        return {**self.__dict__, "_made": None}

    # What differs on the way of a call.

    def _encode_batch(self, text: Any, text_pair: Any, plan: Plan) -> BatchEncoding:
        engine = self._engine()
        if engine is None or text_pair is not None or not is_short_way(plan):
            return super()._encode_batch(text, text_pair, plan)
        pairs, _ = read_inputs(text, None, plan.is_split_into_words)
        if any(second is not None for _, second in pairs):
            return super()._encode_batch(text, text_pair, plan)
        frame = self._frame(plan)
        sources = [source for source, _ in pairs]
        ids = [encoding.ids for encoding in engine.encode(sources, plan.split_special_tokens, with_offsets=False)]
        arrays = lay_out(ids, frame, plan)
        if arrays is None:
            return super()._encode_batch(text, text_pair, plan)
        rows = LaterRows(len(ids), partial(self._rows_later, sources, ids, frame, plan))
        if arrays["input_ids"].shape[1] > self.model_max_length:
            self._warn_of_long_rows(rows, plan)
        return BatchEncoding(arrays, rows).convert_to_tensors(plan.return_tensors)

    def _rows_later(self, sources: list[Source], ids: list[list[int]], frame: Frame, plan: Plan) -> list[Row]:
        align = partial(self._align, split_special_tokens=plan.split_special_tokens)
        texts = [EncodedText(source, row, align) for source, row in zip(sources, ids, strict=True)]
        rows = [row for index, text in enumerate(texts) for row in self._rows_of([text], index, frame, plan)]
        pad_rows(rows, plan)
        return rows

    def _encode_texts(self, sources: Sequence[Source], plan: Plan) -> list[EncodedText]:
        engine = self._engine()
        if engine is None:
            return super()._encode_texts(sources, plan)
        wants_offsets = "offset_mapping" in plan.fields
        encodings = engine.encode(sources, plan.split_special_tokens, wants_offsets)
        if wants_offsets:
            aligns = [partial(align_encoding, self, plan.split_special_tokens, encoding) for encoding in encodings]
        else:
            # Who asks for them later has that text encoded again.
            aligns = repeat(partial(self._align, split_special_tokens=plan.split_special_tokens))
        texts = zip(sources, encodings, aligns, strict=False)
        return [EncodedText(source, encoding.ids, align) for source, encoding, align in texts]

    def _align(self, source: Source, split_special_tokens: bool) -> Alignment:
        engine = self._engine()
        if engine is None:
            return super()._align(source, split_special_tokens)
        encoding = engine.encode([source], split_special_tokens)[0]
        return align_encoding(self, split_special_tokens, encoding, source)

    def _engine(self) -> Engine | None:
        """Return the library, set up for the vocabulary as it is now; None where it would give other ids."""
        if self._made is None or not self._made.fits(self):
            self._made = Engine(self) if can_serve(self) else None
        return self._made
