"""Dynamic masking: what the model sees, and what it has to guess.

Of the tokens that are not special, 15 % are chosen. Of these, 80 % become ``<mask>``, 10 % become a random
token and 10 % stay as they are; all of them are guessed. The choice is new in every epoch.

With whole words the coin is thrown once a word: its tokens are chosen together, and the same happens to all of them. A
token's chance stays 15 %. Where words start, the tokens' spelling tells (`starts_by_spelling`: "Ġ" begins a word, so
that a comma belongs to the word before it) or the tokenizer's word ids (`starts_by_word_ids`: a comma is a word).
"""

import sys
from collections.abc import Iterable, Sequence
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["IGNORED", "DynamicMasker", "mask_tokens", "starts_by_spelling", "starts_by_word_ids"]

IGNORED = -100
"""The label of a place that is not to be guessed: what the losses skip."""

Ids = NDArray[np.int64]
Bools = NDArray[np.bool_]


# -- one batch ---------------------------------------------------------------------------------------------------------


def mask_tokens(
    input_ids: ArrayLike,
    rng: np.random.Generator,
    *,
    mask_id: int,
    vocab_size: int,
    special_ids: Iterable[int],
    probability: float = 0.15,
    mask_share: float = 0.8,
    random_share: float = 0.1,
    word_starts: ArrayLike | None = None,
    special_tokens_mask: ArrayLike | None = None,
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
        word_starts: of the shape of ``input_ids``, true where a token begins a word; words are then masked whole. The
            ids before and after a special one are of different words anyway. None: each token by itself.
        special_tokens_mask: of that shape too, 1 where a token is never chosen, whatever its id.

    Returns:
        ``(masked, labels)``, int64, of that shape: the labels hold the true id where a token was chosen, else -100.

    Raises:
        TypeError: ids that are no integers in rows of one length.
        ValueError: a probability or the sum of the shares outside 0 to 1, an id outside the vocabulary, no
            token to draw, or word starts or a mask of another shape.

    Source:
        Devlin et al. 2019, section 3.1; Liu et al. 2019, section 4.1. Whole words: the models that BERT's authors
        published in May 2019; there what a token of a chosen word becomes is drawn for each by itself.

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
    ids = _as_ids(input_ids, vocab_size)  # B T
    _require_shares(probability, mask_share, random_share)
    if not 0 <= mask_id < vocab_size:
        raise ValueError(
            f"mask_id: expected 0 to vocab_size - 1 = {vocab_size - 1}, got {mask_id}; pass the tokenizer's "
            "mask_token_id"
        )
    special = _special_ids(special_ids, vocab_size)  # S
    is_special = np.isin(ids, special)  # B T
    if special_tokens_mask is not None:
        is_special |= _as_bools("special_tokens_mask", special_tokens_mask, ids.shape)
    first = None if word_starts is None else _first_of_word(word_starts, is_special)  # B T
    is_chosen = (_uniform(rng, ids.shape, first) < probability) & ~is_special  # B T
    share = _uniform(rng, ids.shape, first)  # B T, which of the three things happens to a chosen token
    is_masked = is_chosen & (share < mask_share)
    is_replaced = is_chosen & (share >= mask_share) & (share < mask_share + random_share)
    random_ids = _ordinary_ids(rng, ids.shape, special, vocab_size)  # B T
    masked = np.where(is_masked, mask_id, np.where(is_replaced, random_ids, ids))
    return masked, np.where(is_chosen, ids, IGNORED)


def _first_of_word(word_starts: ArrayLike, is_special: Bools) -> Ids:
    """For each token the place, in its row, of the token that its word begins with.

    >>> _first_of_word([[0, 1, 0, 1, 0]], np.array([[True, False, False, False, True]]))
    array([[0, 1, 1, 3, 4]])
    """
    is_start = _as_bools("word_starts", word_starts, is_special.shape)
    is_start = is_start | is_special  # what follows a special token is of its word, and of no word before it
    is_start[..., :1] = True
    places = np.arange(is_special.shape[-1], dtype=np.int64)  # T
    return np.maximum.accumulate(np.where(is_start, places, 0), axis=-1)  # B T


def _uniform(rng: np.random.Generator, shape: tuple[int, ...], first: Ids | None) -> NDArray[np.float64]:
    """Draw a number from 0 to 1 for each token, or one for all tokens of a word."""
    numbers = rng.random(shape)
    return numbers if first is None else np.take_along_axis(numbers, first, axis=-1)


def _ordinary_ids(rng: np.random.Generator, shape: tuple[int, ...], special: Ids, vocab_size: int) -> Ids:
    """Draw ids that are not special: of those, the one of rank k has the value k plus the special ids before it."""
    # A table of the vocabulary would take longer than all the rest.
    ranks = rng.integers(vocab_size - special.size, size=shape)  # B T
    return ranks + np.searchsorted(special - np.arange(special.size), ranks, side="right")


# -- what comes in -----------------------------------------------------------------------------------------------------


def _as_ids(input_ids: ArrayLike, vocab_size: int) -> Ids:
    try:
        ids = np.asarray(input_ids)
    except ValueError:  # rows of several lengths
        ids = np.array(None)
    if ids.size and ids.dtype.kind not in "iu":
        raise TypeError(
            f"input_ids: expected integers in rows of one length, got an array of {ids.dtype}; pass the input_ids of "
            "tokenizer.pad"
        )
    if ids.size and (ids.min() < 0 or ids.max() >= vocab_size):
        raise ValueError(
            f"input_ids: expected 0 to vocab_size - 1 = {vocab_size - 1}, got {ids.min()} to {ids.max()}; "
            "pass the tokenizer's len() as vocab_size"
        )
    return ids.astype(np.int64)


def _as_bools(name: str, values: ArrayLike, shape: tuple[int, ...]) -> Bools:
    bools = np.asarray(values, dtype=np.bool_)
    if bools.shape != shape:
        raise ValueError(
            f"{name}: expected the shape of input_ids, {shape}, got {bools.shape}; make them from these ids, "
            "word_starts with starts_by_spelling"
        )
    return bools


def _special_ids(special_ids: Iterable[int], vocab_size: int) -> Ids:
    """Sort them, and leave out what is not in the vocabulary."""
    ids = np.array(sorted({index for index in special_ids if 0 <= index < vocab_size}), dtype=np.int64)  # S
    if ids.size == vocab_size:
        raise ValueError(
            f"special_ids: expected to leave a token to draw, got all of vocab_size = {vocab_size}; pass fewer"
        )
    return ids


def _require_shares(probability: float, mask_share: float, random_share: float) -> None:
    if not 0 <= probability <= 1:
        raise ValueError(f"probability: expected 0 to 1, got {probability}; the paper's is 0.15")
    shares = mask_share, random_share
    if not (min(shares) >= 0 and sum(shares) <= 1 + 1e-9):
        raise ValueError(
            f"mask_share, random_share: expected at least 0 and a sum of at most 1, got {shares}; the "
            "paper's are 0.8 and 0.1"
        )


# -- words -------------------------------------------------------------------------------------------------------------


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


def starts_by_word_ids(word_ids: Sequence[Sequence[int | None]]) -> Bools:
    """Say which tokens begin a word: those whose word id is another than the one before it.

    Args:
        word_ids: (B, T): for each row what ``encoding.word_ids(row)`` returns.

    Example:
        >>> starts_by_word_ids([[None, 0, 0, 1, None]])
        array([[ True,  True, False,  True,  True]])
    """
    words = np.array([[-1 if word is None else word for word in row] for row in word_ids])  # B T
    return np.diff(words, axis=-1, prepend=-2) != 0


def starts_by_spelling(input_ids: ArrayLike, tokenizer: _Spells) -> Bools:
    """Say which tokens begin a word: those that are spelled with "Ġ", the space, in front.

    Args:
        input_ids: (B, T), integers.
        tokenizer: spells them.

    Raises:
        TypeError: ids that are no integers.
        ValueError: an id outside the vocabulary.

    Source:
        Liu et al.'s released code marks the beginnings of words so for byte-level BPE.

    Example:
        >>> class Tiny:
        ...     def __len__(self): return 3
        ...     def convert_ids_to_tokens(self, ids): return ["Ġun", "kind", "Ġman"]
        >>> starts_by_spelling([[0, 1, 2]], Tiny())
        array([[ True, False,  True]])
    """
    found, places = np.unique(_as_ids(input_ids, len(tokenizer)), return_inverse=True)  # each is spelled once
    begins = [token.startswith("Ġ") for token in tokenizer.convert_ids_to_tokens(found.tolist())]
    return np.array(begins, dtype=np.bool_)[places].reshape(np.shape(input_ids))


# -- epochs ------------------------------------------------------------------------------------------------------------


class DynamicMasker:
    """Masks batches so that each epoch sees a new mask, and a run repeated with the same seed sees the same.

    The mask is a function of the seed, the epoch, and the batch's index in it, in whatever order they are asked for: so
    a run can be resumed. Where a caller does not say them, the masker counts its calls: epoch 0, and an index that
    goes on. In a worker process of PyTorch's data loader the worker's seed stands for the epoch: another one for each
    worker and epoch, and the same in each run with the same ``torch.manual_seed``, or ``generator`` of the loader.

    Args:
        tokenizer: has a ``<mask>``. Tokens that it is given later are known.
        seed: of the masks. Processes that train together need one each, such as seed + rank.
        probability: chance of each token to be chosen.
        whole_words: whether words, as their spelling tells them, are masked whole.

    Raises:
        TypeError: ``whole_words`` is no bool.
        ValueError: the tokenizer has no mask token, or a probability outside 0 to 1.

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
        >>> counted = masker(batch)[0], masker(batch)[0]
        >>> [bool((counted[index] == masker(batch, epoch=0, index=index)[0]).all()) for index in (0, 1)]
        [True, True]
    """

    def __init__(self, tokenizer: _HasMask, seed: int, probability: float = 0.15, *, whole_words: bool = False) -> None:
        if not isinstance(cast("object", whole_words), bool):
            raise TypeError(f"whole_words: expected True or False, got {whole_words!r}; pass word_starts with a call")
        _require_shares(probability, 0, 0)
        self.tokenizer, self.seed, self.probability, self.whole_words = tokenizer, seed, probability, whole_words
        self._mask_id()
        self._count = 0  # of calls without a place

    def __call__(
        self,
        input_ids: ArrayLike,
        *,
        epoch: int | None = None,
        index: int | None = None,
        word_starts: ArrayLike | None = None,
        special_tokens_mask: ArrayLike | None = None,
    ) -> tuple[Ids, Ids]:
        """Mask one batch; what is not told here is as in `mask_tokens`.

        Args:
            input_ids: (B, T), integers.
            epoch: how often the corpus was seen before, from 0; None, with ``index``: the masker counts.
            index: which batch of the epoch, from 0.
            word_starts: where words begin, if it is not the spelling that tells; see `starts_by_word_ids`.
            special_tokens_mask: 1 where a token is never chosen.

        Raises:
            ValueError: only one of ``epoch`` and ``index``.
        """
        if word_starts is None and self.whole_words:
            word_starts = starts_by_spelling(input_ids, self.tokenizer)
        # A seed sequence of three numbers: no arithmetic on them could make two (epoch, index) collide.
        rng = np.random.default_rng([self.seed, *self._place(epoch, index)])
        return mask_tokens(
            input_ids,
            rng,
            mask_id=self._mask_id(),
            vocab_size=len(self.tokenizer),
            special_ids=self.tokenizer.all_special_ids,
            probability=self.probability,
            word_starts=word_starts,
            special_tokens_mask=special_tokens_mask,
        )

    def _mask_id(self) -> int:
        if self.tokenizer.mask_token_id is None:
            raise ValueError(
                "tokenizer: expected one with a mask token, got one without; load it with "
                "mask_token='<mask>' in its vocabulary"
            )
        return self.tokenizer.mask_token_id

    def _place(self, epoch: int | None, index: int | None) -> tuple[int, int]:
        if epoch is not None and index is not None:
            return epoch, index
        if epoch is not None or index is not None:
            raise ValueError(
                f"epoch, index: expected both or neither, got {epoch} and {index}; pass both, or let the masker count"
            )
        self._count += 1
        return _worker_seed(), self._count - 1


def _worker_seed() -> int:
    """What tells a PyTorch data loader's worker from others, and one epoch of it from the next; 0 elsewhere."""
    loading = sys.modules.get("torch.utils.data")  # it is there in every worker, and need not be loaded elsewhere
    worker = None if loading is None else loading.get_worker_info()
    return 0 if worker is None else worker.seed
