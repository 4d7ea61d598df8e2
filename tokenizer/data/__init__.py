"""The preparation of training data, from documents to the batches of every head: NumPy, whatever the framework.

It takes a tokenizer as it is called, and nothing of how that works. To be read in this order:

1. ``corpus``: documents of sentences, examples with fields, and what is none of these
2. ``streams``: what can be interrupted: packed rows, shuffled items, batches of indices
3. ``packing``: the four ways in which sentences become rows
4. ``masking``: tokens are hidden, to be guessed
5. ``counters``: random numbers that depend on their place alone
6. ``row_masking``: the same as masking, but by the number of a row
7. ``collators``: examples become a batch, with each head's labels
8. ``questions``: those of question answering, from characters to tokens and back

In a room of its own, ``shards``: a corpus that does not fit into memory.
"""

from .collators import (
    CausalLMCollator,
    Collator,
    MaskedLMCollator,
    MultipleChoiceCollator,
    SequenceClassificationCollator,
    TokenClassificationCollator,
)
from .masking import IGNORED, DynamicMasker, mask_tokens, starts_by_spelling, starts_by_word_ids
from .packing import (
    PairRow,
    pack_doc_sentences,
    pack_full_sentences,
    pack_segment_pairs,
    pack_sentence_pairs,
    stack_rows,
)
from .questions import Answer, QuestionAnsweringCollator, Window, best_answer, chars_to_tokens, tokens_to_chars
from .row_masking import RowMasker
from .streams import BatchSampler, Packing, ShuffledStream

__all__ = [
    "IGNORED",
    "Answer",
    "BatchSampler",
    "CausalLMCollator",
    "Collator",
    "DynamicMasker",
    "MaskedLMCollator",
    "MultipleChoiceCollator",
    "Packing",
    "PairRow",
    "QuestionAnsweringCollator",
    "RowMasker",
    "SequenceClassificationCollator",
    "ShuffledStream",
    "TokenClassificationCollator",
    "Window",
    "best_answer",
    "chars_to_tokens",
    "mask_tokens",
    "pack_doc_sentences",
    "pack_full_sentences",
    "pack_segment_pairs",
    "pack_sentence_pairs",
    "stack_rows",
    "starts_by_spelling",
    "starts_by_word_ids",
    "tokens_to_chars",
]
