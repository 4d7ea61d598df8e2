"""What exists only for another library's clients: one file a library, which nothing else imports.

transformers     `Trainer`, which saves a whole checkpoint of a model of this package, and pads by its tokenizers

What transformers' clients ask of a tokenizer is asked of the tokenizer itself: `roberta.tokenizer.compatibility`.
"""
