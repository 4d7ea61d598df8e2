"""Words by weighed pieces: SentencePiece's unigram model, and the tokenizers of CamemBERT and XLM-RoBERTa.

A text becomes ids in this order:

1. ``normalizer``: characters are replaced, by the table that ``charsmap`` reads, and spaces become ``▁``
2. ``viterbi``: of all cuts into pieces the most probable one
3. ``layout``: pieces become ids, which fairseq has moved to make room for its own
4. ``pipeline``: the whole way, with special tokens, and where each token came from
5. ``tokenizer``: `CamembertTokenizer` and `XLMRobertaTokenizer`, which are called on texts

``model`` is what a SentencePiece file says, and ``wire`` how it lies there; ``tokenizer_json`` and ``folder`` are a
tokenizer on disk. ``fast`` is the two on the `tokenizers` library.
"""
