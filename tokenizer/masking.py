"""Dynamic masking: what the model sees, and what it has to guess.

Of the tokens that are not special, 15 % are chosen. Of these, 80 % become ``<mask>``, 10 % become a random
token and 10 % stay as they are; all of them are guessed. The choice is new in every epoch.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["IGNORED", "DynamicMasker", "mask_tokens"]

IGNORED = -100
"""The label of a place that is not to be guessed: what the losses skip."""

Ids = NDArray[np.int64]


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

    Returns:
        ``(masked, labels)``, int64, of the shape of ``input_ids``: the labels hold the true id where a token
        was chosen and -100 everywhere else.

    Raises:
        ValueError: a probability or the sum of the shares outside 0 to 1, an id outside the vocabulary, or no
            token to draw.

    Source:
        Devlin et al. 2019, section 3.1; Liu et al. 2019, section 4.1.

    Example:
        >>> rng = np.random.default_rng(5)
        >>> ids = [[0, 5, 6, 7, 8, 2]]
        >>> mask_tokens(ids, rng, mask_id=9, vocab_size=10, special_ids=[0, 1, 2, 3, 9], probability=0.6)
        (array([[0, 5, 9, 7, 9, 2]]), array([[-100, -100,    6,    7,    8, -100]]))
    """
    ids = np.asarray(input_ids, dtype=np.int64)  # B T
    _check(ids, vocab_size, probability, (mask_share, random_share))
    drawable = np.setdiff1d(np.arange(vocab_size), special_ids)  # V'
    if drawable.size == 0:
        raise ValueError(
            f"special_ids: expected to leave a token to draw, got all of vocab_size = {vocab_size}; pass fewer"
        )
    chosen = (rng.random(ids.shape) < probability) & ~np.isin(ids, special_ids)  # B T
    fate = rng.random(ids.shape)  # B T, uniform: which of the three things happens to a chosen token
    strangers = drawable[rng.integers(drawable.size, size=ids.shape)]  # B T
    is_masked = chosen & (fate < mask_share)
    is_replaced = chosen & (fate >= mask_share) & (fate < mask_share + random_share)
    masked = np.where(is_masked, mask_id, np.where(is_replaced, strangers, ids))
    labels = np.where(chosen, ids, IGNORED)
    return masked, labels


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


class _HasMask(Protocol):
    """What a masker needs to know of a tokenizer."""

    @property
    def mask_token_id(self) -> int | None: ...
    @property
    def all_special_ids(self) -> list[int]: ...
    def __len__(self) -> int: ...


class DynamicMasker:
    """Masks batches so that each epoch sees a new mask, and a run repeated with the same seed sees the same.

    Args:
        tokenizer: has a ``<mask>``.
        seed: the same seed, epoch and index give the same mask, in whatever order they are asked for; so a
            run can be resumed.
        probability: chance of each token to be chosen.

    Raises:
        ValueError: the tokenizer has no mask token.

    Example:
        >>> from types import SimpleNamespace
        >>> class Tiny:
        ...     mask_token_id, all_special_ids = 9, [0, 1, 2, 3, 9]
        ...     def __len__(self): return 10
        >>> masker = DynamicMasker(Tiny(), seed=1)
        >>> batch = np.full((2, 50), 7)
        >>> first, again, later = (masker(batch, epoch=epoch, index=0)[0] for epoch in (0, 0, 1))
        >>> bool((first == again).all()), bool((first == later).all())
        (True, False)
    """

    def __init__(self, tokenizer: _HasMask, seed: int, probability: float = 0.15) -> None:
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

    def __call__(self, input_ids: ArrayLike, *, epoch: int, index: int) -> tuple[Ids, Ids]:
        """Mask one batch.

        Args:
            input_ids: (B, T), integers.
            epoch: how often the corpus was seen before, from 0.
            index: which batch of the epoch, from 0.

        Returns:
            ``(masked, labels)`` as from `mask_tokens`.
        """
        # A seed sequence of three numbers: no arithmetic on them could make two (epoch, index) collide.
        rng = np.random.default_rng([self.seed, epoch, index])
        return mask_tokens(
            input_ids,
            rng,
            mask_id=self._mask_id,
            vocab_size=self._vocab_size,
            special_ids=self._special_ids,
            probability=self.probability,
        )
