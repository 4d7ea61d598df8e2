"""What exists only for another library's clients: one file a library, which nothing else imports.

transformers     `Trainer`, which saves a whole checkpoint of a model of this package
"""
