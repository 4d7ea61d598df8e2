"""Text to ids and back, and the preparation of training data: pure Python on NumPy and `regex`.

A ladder of small files, each adding one idea; read them in this order:

1. ``alphabet``    every byte gets a printable symbol
2. ``pretokenize`` text is cut into pieces that merges never cross
3. ``bpe``         within a piece, symbols are joined by learned rank
4. ``special``     special tokens are found before anything else
5. ``files``       the vocabulary and merges on disk
6. ``training``    how the merges are learned
7. ``slots``       the seven special roles
8. ``vocabulary``  tokens, ids, text: each from the others
9. ``plan``        what a call was asked to do
10. ``inputs``     a text, a pair, a batch: all one list of pairs
11. ``truncation`` what is kept of texts that are too long
12. ``rows``       special tokens and padding around them (``padding``: the same for what is encoded already)
13. ``encoding``   the record that a call returns, and its ``tensors``
14. ``tokenizer``  `RobertaTokenizer`, all of the above behind one name (``settings``: its configuration)

Beside the ladder, for pre-training: ``packing`` fills rows with whole sentences, ``masking`` hides tokens to
be guessed.
"""

from .encoding import BatchEncoding
from .masking import DynamicMasker, mask_tokens
from .packing import pack_full_sentences, stack_rows
from .special import AddedToken
from .tokenizer import RobertaTokenizer

__all__ = [
    "AddedToken",
    "BatchEncoding",
    "DynamicMasker",
    "RobertaTokenizer",
    "mask_tokens",
    "pack_full_sentences",
    "stack_rows",
]
