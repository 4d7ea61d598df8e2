"""Filling masks: the words that a masked language model guesses, given all others."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..reference.embeddings import Integers
from ..reference.layers import Array, softmax
from ..tokenizer.rows import Row
from .calling import Task, is_count, listed, require
from .records import Record


@dataclass(frozen=True)
class Filling(Record):
    """One candidate for one mask.

    Attributes:
        score: its probability, in [0, 1]; over the whole vocabulary they sum to 1.
        token: its id.
        token_str: what it spells, with the space in front where it begins a word.
        sequence: the text with the token in place of this mask; other masks stay.
    """

    score: float
    token: int
    token_str: str
    sequence: str

    def __str__(self) -> str:
        return f"{self.score:.4f} {self.token_str!r}: {self.sequence}"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class FillMask(Task[list[Filling | Any]]):
    """The most probable tokens at each mask of a text.

    Equation: softmax(logits at the mask), each mask by itself, given all other tokens.

    An input is a str with at least one mask, which is written `<mask>`. The answer is a list of records, the best
    first; of a text with several masks a list of such lists.

    Args:
        top_k: how many candidates.
        targets: the tokens to choose among, texts; None for the whole vocabulary. A text that is no token stands for
            the first token of it, with a warning: " glad" and "glad" are two tokens.
        truncation: whether a text that is too long is cut, its masks perhaps with it; otherwise it is an error.
        max_length: of a row, tokens at most, special ones included; None for what the model takes.

    Source: Liu et al. (2019), section 2.2; HF `FillMaskPipeline` @ 4.57.6, which of several masks shows the texts with
    `<s>` and `</s>`.

    Example:
        >>> fill = FillMask("austen", top_k=2)
        >>> print(fill("He was the eldest <mask> of a clergyman, and had no fortune of his own.")[0].token_str)
         son
        >>> [record.token_str for record in fill("She was <mask>.", targets=[" sad", " happy"])]
        [' happy', ' sad']
    """

    top_k: int = 5
    targets: str | Sequence[str] | None = None
    truncation: bool = False
    max_length: int | None = None

    name: ClassVar[str] = "fill-mask"
    head: ClassVar[str] = "masked_lm"
    default: ClassVar[str | None] = "austen"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.targets is not None and not isinstance(self.targets, str):
            object.__setattr__(self, "targets", listed(self.targets))
        is_listed = self.targets is None or bool(self.targets)
        are_texts = is_listed and all(isinstance(one, str) for one in self.targets or ())  # pyright: ignore[reportUnnecessaryIsInstance]
        require(self, "targets", "None, a text, or a list of at least one", are_texts)

    def _encode(self, items: list[Any]) -> list[list[Row]]:
        groups = self._rows_of(items)
        for item, (row,) in zip(items, groups, strict=True):
            if not len(self._places(row)):
                mask = self.weights.tokenizer.mask_token
                message = (
                    f"{self.name}: text: required at least one mask, got {item!r:.80}. "
                    f"Write {mask} for each word to be guessed: 'She was {mask} to see him.'"
                )
                raise ValueError(message)
        return groups

    def _require_options(self) -> None:
        super()._require_options()
        most = min(len(self.weights.tokenizer), self.weights.model.config.vocab_size)
        required = f"an integer in [1, {most}] (the vocabulary)"
        require(self, "top_k", required, is_count(self.top_k) and self.top_k <= most)

    def _compute(self, rows: list[Row], places: list[int]) -> list[Any]:
        found = [self._places(row) for row in rows]
        asked = [(b, int(place)) for b, masks in enumerate(found) for place in masks]  # M 2
        logits = self._forward(rows, positions=asked)["logits"]  # M V
        ends = np.cumsum([len(masks) for masks in found])
        return np.split(logits, ends[:-1])  # of each row (masks, V)

    def _answer(self, item: Any, rows: list[Row], said: list[Any]) -> list[Any]:
        probabilities = softmax(said[0])  # M V
        allowed = self._allowed()
        fillings = [self._best(item, index, row, allowed) for index, row in enumerate(probabilities)]
        return fillings[0] if len(fillings) == 1 else fillings

    def _places(self, row: Row) -> Integers:
        return np.flatnonzero(np.array(row.ids) == self.weights.tokenizer.mask_token_id)

    def _allowed(self) -> Integers:
        """Ids that may fill a mask. Ids beyond the tokenizer's, which a padded word table has, spell nothing."""
        tokenizer = self.weights.tokenizer
        if self.targets is None:
            return np.arange(min(len(tokenizer), self.weights.model.config.vocab_size))
        given = [self.targets] if isinstance(self.targets, str) else self.targets
        return np.array(sorted({_id_of(one, tokenizer) for one in given}))

    def _best(self, text: str, index: int, probabilities: Array, allowed: Integers) -> list[Filling]:
        """The best candidates for one mask."""
        tokenizer = self.weights.tokenizer
        order = allowed[np.argsort(-probabilities[allowed], kind="stable")[: self.top_k]]
        spelled = [(int(i), _spelled(int(i), tokenizer)) for i in order]
        return [
            Filling(float(probabilities[i]), i, token, _completed(text, index, token, tokenizer.mask_token))
            for i, token in spelled
        ]


def fill_mask(
    text: str, model: Any = None, tokenizer: Any = None, top: int = 5, backend: str | None = None
) -> list[list[Filling]]:
    """The most probable tokens at each mask of one text: `FillMask` for once, with the model as it is.

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

    Example:
        >>> fillings = fill_mask("He was the eldest <mask> of a clergyman, and had no fortune of his own.")
        >>> fillings[0][0].token_str
        ' son'
    """
    if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        message = f"text: required a str, got {type(text).__name__}; for several texts make a roberta.task('fill-mask')"
        raise TypeError(message)
    task = FillMask(model, tokenizer, backend=backend, top_k=top)
    task.weights.is_plain = True  # for one text, laying out the weights anew would take longest
    found: list[Any] = task(text)
    return found if isinstance(found[0], list) else [found]


# -- pieces ------------------------------------------------------------------------------------------------------------


def _id_of(target: str, tokenizer: Any) -> int:
    """The id of a token by its text, or of the first token of the text."""
    found = tokenizer.convert_tokens_to_ids(target)
    if found is not None and (found != tokenizer.unk_token_id or target == tokenizer.unk_token):
        return int(found)
    ids = tokenizer(target, add_special_tokens=False, verbose=False)["input_ids"]
    if not ids:
        message = f"fill-mask: targets: required texts with at least one token, got {target!r}"
        raise ValueError(message)
    if len(ids) > 1:
        token = tokenizer.convert_ids_to_tokens(ids[0])
        message = f"fill-mask: targets: {target!r} is no token; {token!r}, the first of its {len(ids)}, stands for it"
        warnings.warn(message, stacklevel=2)
    return int(ids[0])


def _spelled(token_id: int, tokenizer: Any) -> str:
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
