"""Text to ids and back, and the preparation of training data: pure Python on NumPy and `regex`.

A ladder of small files. Each adds one idea and builds only on those above it; read them in this order:

1. ``alphabet``: every byte gets a printable symbol
2. ``pretokenize``: text is cut into pieces that merges never cross
3. ``bpe``: within a piece, neighbouring symbols are joined by learned rank
4. ``special``: special tokens are found before anything else
5. ``files``: vocabulary and merges on disk
6. ``training``: how the merges are learned
7. ``pipeline``: the whole way of one text to ids
8. ``alignment``: where in the text each token came from
9. ``slots``: the seven special roles
10. ``inputs``: a text, a pair, a batch, words: all one list of pairs
11. ``vocabulary``: tokens, ids and text, each from the others
12. ``plan``: what a call was asked to do
13. ``texts``: an encoded text, and the part of it that a row keeps
14. ``truncation``: what is kept of texts that are too long
15. ``rows``: special tokens and padding around what is kept
16. ``padding``: the same for what is encoded already
17. ``tensors``: lists become the arrays of a framework
18. ``encoding``: the record that a call returns
19. ``explain``: the whole way of one text, written out
20. ``calls``: the call, from texts to that record
21. ``settings``: the configuration
22. ``tokenizer_json``: a whole tokenizer in one file
23. ``folder``: whichever files a folder holds
24. ``tokenizer``: `RobertaTokenizer`, all of this behind one name
25. ``engine``: the pipeline once more, by the `tokenizers` library
26. ``arrays``: the short way from ids to arrays
27. ``fast``: `RobertaTokenizerFast`, the same law on that engine

Beside the ladder, a room of its own: ``data``, the preparation of training data.
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

__all__ = [
    "AddedToken",
    "BatchEncoding",
    "BatchSampler",
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
    "mask_tokens",
    "pack_doc_sentences",
    "pack_full_sentences",
    "pack_segment_pairs",
    "pack_sentence_pairs",
    "stack_rows",
]
