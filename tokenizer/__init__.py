"""Text to ids and back: pure Python on NumPy and `regex`; and, in rooms of their own, ``data`` and ``unigram``.

The first makes batches to learn from, the second holds the tokenizers of CamemBERT and XLM-RoBERTa. How RoBERTa's makes
ids of a text, and a call becomes a batch, in seven files, in this order:

1. ``pieces``: text is cut into pieces, and each byte of a piece is a printable symbol
2. ``bpe``: within a piece, neighbouring symbols are joined by learned rank
3. ``special``: special tokens are found before anything else
4. ``pipeline``: the whole way of a text to ids
5. ``rows``: special tokens around what is kept of a text, and padding beside it
6. ``calls``: what is called on texts, whatever its words are made of
7. ``tokenizer``: `RobertaTokenizer`, whose words are merged bytes

Around them: ``alignment`` (where in its text each token came from); ``options`` (what a call was asked to do),
``truncation`` and ``padding`` (rows of one length), ``encoding`` and ``tensors`` (the record that a call returns);
``vocabulary``, ``roles`` and ``decoding`` (tokens, ids and text, each from the others); ``explain`` (the way of one
text, written out), ``training`` (how merges are learned); ``files``, ``settings``, ``tokenizer_json`` and ``folder`` (a
tokenizer on disk), ``publishing`` (one on the hub). ``library`` merges new words by the `tokenizers` library, and
``fast`` is the tokenizer that has it do so. ``compatibility`` is what only transformers' clients ask for.
"""

from .data import (
    BatchSampler,
    CausalLMCollator,
    DynamicMasker,
    MaskedLMCollator,
    MultipleChoiceCollator,
    QuestionAnsweringCollator,
    SequenceClassificationCollator,
    ShuffledStream,
    TokenClassificationCollator,
    mask_tokens,
    pack_doc_sentences,
    pack_full_sentences,
    pack_segment_pairs,
    pack_sentence_pairs,
    stack_rows,
)
from .encoding import BatchEncoding
from .fast import RobertaTokenizerFast
from .special import AddedToken
from .tokenizer import RobertaTokenizer
from .unigram.fast import CamembertTokenizerFast, XLMRobertaTokenizerFast
from .unigram.tokenizer import CamembertTokenizer, XLMRobertaTokenizer

__all__ = [
    "AddedToken",
    "BatchEncoding",
    "BatchSampler",
    "CamembertTokenizer",
    "CamembertTokenizerFast",
    "CausalLMCollator",
    "DynamicMasker",
    "MaskedLMCollator",
    "MultipleChoiceCollator",
    "QuestionAnsweringCollator",
    "RobertaTokenizer",
    "RobertaTokenizerFast",
    "SequenceClassificationCollator",
    "ShuffledStream",
    "TokenClassificationCollator",
    "XLMRobertaTokenizer",
    "XLMRobertaTokenizerFast",
    "mask_tokens",
    "pack_doc_sentences",
    "pack_full_sentences",
    "pack_segment_pairs",
    "pack_sentence_pairs",
    "stack_rows",
]
