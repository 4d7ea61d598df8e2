"""Real sentences as inputs, where a checkpoint has a vocabulary."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...reference.embeddings import Integers

SENTENCES = (
    "It is a truth universally acknowledged, that a single man in possession of a good fortune, must be in want of a "
    "<mask>.",
    "She was <mask> to see him.",
    "No one who had ever seen Catherine Morland in her infancy, would have supposed her born to be an heroine.",
)
#: T of the longest of them, and a little: the others are padded.
LENGTH = 37


def encoded_sentences(folder: Path, head: str, length: int) -> dict[str, Integers] | None:
    """Ids and mask of `SENTENCES`: rows of different length, padded on the right.

    Args:
        folder: a checkpoint.
        head: for multiple choice, each sentence is paired with another.
        length: T; longer sentences are cut.

    Returns:
        `input_ids` and `attention_mask`, (3, T) or (3, 2, T); None where the folder has no tokenizer of the family.

    Example:
        >>> from roberta.files.places import locate
        >>> encoded_sentences(locate("austen"), "multiple_choice", 5)["input_ids"].shape
        (3, 2, 5)
    """
    from ...dispatch.tokenizers import load_tokenizer

    try:
        tokenizer = load_tokenizer(folder)
    except (FileNotFoundError, ValueError):  # none, or one of another kind, as some models of this family have
        return None
    encoded = tokenizer(list(SENTENCES), padding="max_length", truncation=True, max_length=length, return_tensors="np")
    rows = {name: np.asarray(encoded[name]) for name in ("input_ids", "attention_mask")}
    if head == "multiple_choice":
        return {name: np.stack([value, np.roll(value, 1, 0)], axis=1) for name, value in rows.items()}
    return rows
