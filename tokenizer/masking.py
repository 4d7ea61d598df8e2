"""Dynamic masking: what the model sees, and what it has to guess.

Of the tokens that are not special, 15 % are chosen. Of these, 80 % become ``<mask>``, 10 % become a random
token and 10 % stay as they are; all of them are guessed. The choice is new in every epoch.

With whole words the coin is thrown once a word: its tokens are chosen together, and the same happens to all of them. A
token's chance stays 15 %. A word is what is between two word starts, which come from the tokens' spelling
(`starts_by_spelling`: "Ġ" begins a word, so that a comma belongs to the word before it) or from the tokenizer's word
ids (`starts_by_word_ids`: a comma is a word).
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["IGNORED", "DynamicMasker", "mask_tokens", "starts_by_spelling", "starts_by_word_ids"]

IGNORED = -100
"""The label of a place that is not to be guessed: what the losses skip."""

Ids = NDArray[np.int64]
Bools = NDArray[np.bool_]


def mask_tokens(
    input_ids: ArrayLike,
    rng: np.random.Generator,
    *,
    mask_id: int,
    vocab_size: int,
    special_ids: Sequence[int],
    probability: float = 0.15,
    mask_share: float = 0.8,
    random_share: float = 0.1,
    word_starts: ArrayLike | None = None,
) -> tuple[Ids, Ids]:
    """Mask a batch.

    Args:
        input_ids: (B, T) or any shape, integers from 0 to ``vocab_size - 1``; left untouched.
        rng: where the randomness comes from.
        mask_id: id of ``<mask>``.
        vocab_size: random tokens are drawn below it.
        special_ids: ids that are never chosen and never drawn: ``<s>``, ``<pad>``, ``</s>``, ``<unk>``, ``<mask>``.
        probability: chance of each token to be chosen, 0 to 1.
        mask_share: share of the chosen that become ``mask_id``.
        random_share: share of the chosen that become a random token; the rest stay. The two shares sum to at most 1.
        word_starts: true where a token begins a word, of the shape of ``input_ids``; words are then masked whole. The
            ids before and after a special one are of different words anyway. None: each token by itself.

    Returns:
        ``(masked, labels)``, int64, of the shape of ``input_ids``: the labels hold the true id where a token
        was chosen and -100 everywhere else.

    Raises:
        ValueError: a probability or the sum of the shares outside 0 to 1, an id outside the vocabulary, no
            token to draw, or word starts of another shape.

    Source:
        Devlin et al. 2019, section 3.1; Liu et al. 2019, section 4.1. Whole words: the models that BERT's authors
        published in May 2019; there each token of a chosen word meets its fate by itself.

    Example:
        >>> rng = np.random.default_rng(5)
        >>> ids = [[0, 5, 6, 7, 8, 2]]
        >>> mask_tokens(ids, rng, mask_id=9, vocab_size=10, special_ids=[0, 1, 2, 3, 9], probability=0.6)
        (array([[0, 5, 9, 7, 9, 2]]), array([[-100, -100,    6,    7,    8, -100]]))
        >>> starts = [[1, 1, 0, 1, 0, 1]]  # the words 5 6 and 7 8
        >>> rng, options = np.random.default_rng(0), {"mask_id": 9, "vocab_size": 10, "special_ids": [0, 1, 2, 3, 9]}
        >>> mask_tokens(ids, rng, probability=0.6, word_starts=starts, **options)[0]
        array([[0, 9, 9, 7, 8, 2]])
    """
    ids = np.asarray(input_ids, dtype=np.int64)  # B T
    _check(ids, vocab_size, probability, (mask_share, random_share))
    drawable = np.setdiff1d(np.arange(vocab_size), special_ids)  # V'
    if drawable.size == 0:
        raise ValueError(
            f"special_ids: expected to leave a token to draw, got all of vocab_size = {vocab_size}; pass fewer"
        )
    is_special = np.isin(ids, special_ids)  # B T
    leaders = _leaders(is_special, word_starts)  # B T, for each token the place of its word's first
    chosen = (_led(rng.random(ids.shape), leaders) < probability) & ~is_special  # B T
    fate = _led(rng.random(ids.shape), leaders)  # B T, uniform: which of the three things happens to a chosen token
    strangers = drawable[rng.integers(drawable.size, size=ids.shape)]  # B T
    is_masked = chosen & (fate < mask_share)
    is_replaced = chosen & (fate >= mask_share) & (fate < mask_share + random_share)
    masked = np.where(is_masked, mask_id, np.where(is_replaced, strangers, ids))
    labels = np.where(chosen, ids, IGNORED)
    return masked, labels


def _leaders(is_special: Bools, word_starts: ArrayLike | None) -> Ids | None:
    """For each token the place, in its row, of the token that its word begins with; None: its own.

    >>> _leaders(np.array([[True, False, False, False, True]]), [[0, 1, 0, 1, 0]])
    array([[0, 1, 1, 3, 4]])
    """
    if word_starts is None:
        return None
    is_start = np.array(word_starts, dtype=np.bool_)  # B T
    if is_start.shape != is_special.shape:
        raise ValueError(
            f"word_starts: expected the shape of input_ids, {is_special.shape}, got {is_start.shape}; "
            "make them from these ids, with starts_by_spelling"
        )
    is_start |= is_special  # what follows a special token is led by it, and by no word before it
    is_start[..., :1] = True
    places = np.arange(is_special.shape[-1])  # T
    return np.maximum.accumulate(np.where(is_start, places, 0), axis=-1)  # B T


def _led(draws: NDArray[np.float64], leaders: Ids | None) -> NDArray[np.float64]:
    """Give each token the number that its word's first token drew."""
    return draws if leaders is None else np.take_along_axis(draws, leaders, axis=-1)


def starts_by_word_ids(word_ids: Sequence[Sequence[int | None]]) -> Bools:
    """Say which tokens begin a word, from the tokenizer's word ids.

    Args:
        word_ids: (B, T): for each row what ``encoding.word_ids(row)`` returns.

    Returns:
        (B, T): true where the word id is another than the one before it.

    Example:
        >>> starts_by_word_ids([[None, 0, 0, 1, None]])
        array([[ True,  True, False,  True,  True]])
    """
    words = np.array([[-1 if word is None else word for word in row] for row in word_ids])  # B T
    return np.diff(words, axis=-1, prepend=-2) != 0


def starts_by_spelling(input_ids: ArrayLike, tokenizer: "_Spells") -> Bools:
    """Say which tokens begin a word, from their spelling.

    Args:
        input_ids: (B, T), integers.
        tokenizer: spells them.

    Returns:
        (B, T): true where the token is spelled with "Ġ", the space, in front.

    Source:
        Liu et al.'s released code marks the beginnings of words so for byte-level BPE.

    Example:
        >>> class Tiny:
        ...     def __len__(self): return 3
        ...     def convert_ids_to_tokens(self, ids): return ["Ġun", "kind", "Ġman"]
        >>> starts_by_spelling([[0, 1, 2]], Tiny())
        array([[ True, False,  True]])
    """
    spellings = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    begins = np.array([spelling.startswith("Ġ") for spelling in spellings])  # V
    return begins[np.asarray(input_ids, dtype=np.int64)]


def _check(ids: Ids, vocab_size: int, probability: float, shares: tuple[float, float]) -> None:
    if not 0 <= probability <= 1:
        raise ValueError(f"probability: expected 0 to 1, got {probability}; the paper's is 0.15")
    if min(shares) < 0 or sum(shares) > 1 + 1e-9:
        raise ValueError(
            f"mask_share, random_share: expected at least 0 and a sum of at most 1, got {shares}; the "
            "paper's are 0.8 and 0.1"
        )
    if ids.size and (ids.min() < 0 or ids.max() >= vocab_size):
        raise ValueError(
            f"input_ids: expected 0 to vocab_size - 1 = {vocab_size - 1}, got {ids.min()} to {ids.max()}; "
            "pass the tokenizer's len() as vocab_size"
        )


class _Spells(Protocol):
    """What can spell its tokens."""

    def convert_ids_to_tokens(self, ids: list[int]) -> Any: ...
    def __len__(self) -> int: ...


class _HasMask(_Spells, Protocol):
    """What a masker needs to know of a tokenizer."""

    @property
    def mask_token_id(self) -> int | None: ...
    @property
    def all_special_ids(self) -> list[int]: ...


class DynamicMasker:
    """Masks batches so that each epoch sees a new mask, and a run repeated with the same seed sees the same.

    Args:
        tokenizer: has a ``<mask>``.
        seed: the same seed, epoch and index give the same mask, in whatever order they are asked for; so a
            run can be resumed.
        probability: chance of each token to be chosen.
        whole_words: whether words, as their spelling tells them, are masked whole.

    Raises:
        ValueError: the tokenizer has no mask token.

    Example:
        >>> class Tiny:
        ...     mask_token_id, all_special_ids = 9, [0, 1, 2, 3, 9]
        ...     def __len__(self): return 10
        ...     def convert_ids_to_tokens(self, ids): return ["Ġ"] * len(ids)
        >>> masker = DynamicMasker(Tiny(), seed=1)
        >>> batch = np.full((2, 50), 7)
        >>> first, again, later = (masker(batch, epoch=epoch, index=0)[0] for epoch in (0, 0, 1))
        >>> bool((first == again).all()), bool((first == later).all())
        (True, False)
    """

    def __init__(self, tokenizer: _HasMask, seed: int, probability: float = 0.15, *, whole_words: bool = False) -> None:
        if tokenizer.mask_token_id is None:
            raise ValueError(
                "tokenizer: expected one with a mask token, got one without; load it with "
                "mask_token='<mask>' in its vocabulary"
            )
        self.seed = seed
        self.probability = probability
        self._mask_id = tokenizer.mask_token_id
        self._special_ids = list(tokenizer.all_special_ids)
        self._vocab_size = len(tokenizer)
        # Of every entry once: a batch then only looks its ids up.
        self._begins = starts_by_spelling(np.arange(self._vocab_size), tokenizer) if whole_words else None  # V

    def __call__(
        self, input_ids: ArrayLike, *, epoch: int, index: int, word_starts: ArrayLike | None = None
    ) -> tuple[Ids, Ids]:
        """Mask one batch.

        Args:
            input_ids: (B, T), integers.
            epoch: how often the corpus was seen before, from 0.
            index: which batch of the epoch, from 0.
            word_starts: where words begin, if it is not the spelling that tells; see `starts_by_word_ids`.

        Returns:
            ``(masked, labels)`` as from `mask_tokens`.
        """
        # A seed sequence of three numbers: no arithmetic on them could make two (epoch, index) collide.
        rng = np.random.default_rng([self.seed, epoch, index])
        if word_starts is None and self._begins is not None:
            word_starts = self._begins.take(np.asarray(input_ids, dtype=np.int64), mode="clip")  # checked below
        return mask_tokens(
            input_ids,
            rng,
            mask_id=self._mask_id,
            vocab_size=self._vocab_size,
            special_ids=self._special_ids,
            probability=self.probability,
            word_starts=word_starts,
        )
