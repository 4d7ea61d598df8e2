"""Tasks: a text in, an answer in words out. Above the engine everything is NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from ..reference.embeddings import Integers
from ..reference.layers import Array, softmax
from . import checkpoint
from .api import RobertaForMaskedLM
from .tokenizers import load_tokenizer


@dataclass(frozen=True)
class Filling:
    """One candidate for one mask.

    Attributes:
        token: its text, with the space in front where it begins a word.
        token_id: its id.
        probability: the model's, in [0, 1]; over the whole vocabulary they sum to 1.
        sentence: the text with the token in place of this mask; other masks stay.
    """

    token: str
    token_id: int
    probability: float
    sentence: str


def fill_mask(
    text: str,
    model: Any = None,
    tokenizer: Any = None,
    top: int = 5,
    backend: str | None = None,
) -> list[list[Filling]]:
    """The most probable tokens at each mask of a text.

    Equation: softmax(logits at the mask), each mask by itself, given all other tokens.

    Args:
        text: with at least one mask, which is written `<mask>`.
        model: a checkpoint (a folder, the name of a shipped one, an id on the hub) or a `RobertaForMaskedLM`; None for
            the shipped checkpoint.
        tokenizer: a tokenizer, or a folder of one, as `load_tokenizer` reads it; None for the one beside the
            checkpoint.
        top: how many candidates, from the most probable on.
        backend: the engine; None for the model's own, or the default one.

    Returns:
        One list per mask, in the order of the text, of `top` records.

    Raises:
        ValueError: no mask in the text, more tokens than the model takes, `top` out of range, or a tokenizer whose
            vocabulary is not the model's.
        TypeError: something else than a text, or than a masked language model.
        FileNotFoundError: no such checkpoint.

    Source: Liu et al. (2019), section 2.2: the task that RoBERTa is trained on.

    Example:
        >>> fillings = fill_mask("He was the eldest <mask> of a clergyman, and had no fortune of his own.")
        >>> fillings[0][0].token
        ' son'
    """
    if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        message = f"text: required a str, got {type(text).__name__}; for several texts call once for each"
        raise TypeError(message)
    model, tokenizer = _resolve(model, tokenizer, backend)
    ids, places = _encode(text, model, tokenizer)
    with model.inference():
        logits = model(input_ids=ids[None], positions=[(0, place) for place in places]).numpy()["logits"]  # M V
    probabilities = softmax(logits.astype(np.float64))  # M V
    _require_top(top, limit=min(len(tokenizer), probabilities.shape[1]))
    return [_best(text, index, row, top, tokenizer) for index, row in enumerate(probabilities)]


# -- pieces ----------------------------------------------------------------------------------------------------------


def _resolve(model: Any, tokenizer: Any, backend: str | None) -> tuple[Any, Any]:
    """The model and the tokenizer that are meant, loaded."""
    chosen: Any = checkpoint.DEFAULT_CHECKPOINT if model is None else model
    if isinstance(chosen, str | Path):
        folder = checkpoint.locate(chosen)
        tokenizer = folder if tokenizer is None else tokenizer
        # A guess by random weights is worth nothing: a checkpoint without this head is an error.
        chosen = RobertaForMaskedLM.from_pretrained(folder, backend=backend, strict=True)
    elif not isinstance(chosen, RobertaForMaskedLM):
        message = f"model: required a RobertaForMaskedLM or a checkpoint of one, got {type(chosen).__name__}"
        raise TypeError(message)
    elif tokenizer is None:
        message = (
            "tokenizer: required beside a model object, got None; pass its own, such as roberta.load_tokenizer(folder)"
        )
        raise TypeError(message)
    elif backend is not None:
        chosen = chosen.to_backend(backend)
    if isinstance(tokenizer, str | Path):
        tokenizer = load_tokenizer(checkpoint.locate(tokenizer))
    return cast("Any", chosen), tokenizer


def _encode(text: str, model: Any, tokenizer: Any) -> tuple[Integers, Integers]:
    """The ids of the text, (T,), and the places of its masks, (M,)."""
    ids = np.array(tokenizer(text, verbose=False)["input_ids"])  # T
    places = np.flatnonzero(ids == tokenizer.mask_token_id)  # M
    if not len(places):
        mask = tokenizer.mask_token
        message = (
            f"text: required at least one mask, got {text!r}. "
            f"Write {mask} for each word to be guessed: 'She was {mask} to see him.'"
        )
        raise ValueError(message)
    _require_fitting(ids, limit=model.config.usable_length, vocab_size=model.config.vocab_size)
    return ids, places


def _require_fitting(ids: Integers, limit: int, vocab_size: int) -> None:
    """The model must have room for the text, and know every id of it."""
    if len(ids) > limit:
        message = (
            f"text: required at most {limit} tokens, <s> and </s> included, got {len(ids)}. "
            "Shorten it, or cut it into parts around each mask."
        )
        raise ValueError(message)
    if ids.max() >= vocab_size:
        message = (
            f"tokenizer: required the model's own, with ids below vocab_size = {vocab_size}, "
            f"got one that gives {ids.max()}; pass the tokenizer that the model was trained with"
        )
        raise ValueError(message)


def _require_top(top: int, limit: int) -> None:
    if not 1 <= top <= limit:
        message = f"top: required an integer in [1, {limit}] (the vocabulary), got {top}"
        raise ValueError(message)


def _best(text: str, index: int, probabilities: Array, top: int, tokenizer: Any) -> list[Filling]:
    """The `top` candidates for one mask. Ids beyond the tokenizer's, which a padded word table has, spell nothing."""
    spelled = probabilities[: len(tokenizer)]  # V
    order = np.argsort(-spelled, kind="stable")[:top]  # top
    return [
        Filling(token, int(i), float(spelled[i]), _completed(text, index, token, tokenizer.mask_token))
        for i in order
        for token in [_within(int(i), tokenizer)]
    ]


def _within(token_id: int, tokenizer: Any) -> str:
    """What a token spells where others stand before it: SentencePiece's first one loses its space."""
    begin = tokenizer.cls_token
    return tokenizer.decode([tokenizer.cls_token_id, token_id]).removeprefix(begin)


def _completed(text: str, index: int, token: str, mask: str) -> str:
    """The text with one of its masks replaced.

    A mask takes the space at its left for its own, so what fills it brings its own.

    Example:
        >>> _completed("a <mask> of a <mask>.", 1, " wife", "<mask>")
        'a <mask> of a wife.'
    """
    parts = text.split(mask)
    before, after = mask.join(parts[: index + 1]), mask.join(parts[index + 1 :])
    return before.rstrip() + token + after
