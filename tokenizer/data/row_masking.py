"""Masking by rows: what is hidden is a function of the seed, the epoch and the row, and of nothing else.

`masking.DynamicMasker` draws for a batch, so that its masks depend on how rows are put into batches. Here each row has
random numbers of its own (`counters`): masks are the same whatever the batch size, the rank, the number of workers, and
wherever a run was interrupted.

A token's fate is one number u of 32 bits. It is chosen where u < p. Below p, u is uniform again, so it says as well
what becomes of the token: ``<mask>`` below 0.8 p, a random token below 0.9 p, itself above. Which random token, another
number says, of 53 bits, that is drawn for these 1.5 % alone.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .counters import philox, row_words
from .masking import IGNORED, _as_bools, _first_of_word, _HasMask, _require_shares, _special_ids, starts_by_spelling

__all__ = ["RowMasker"]

Ids = NDArray[np.int64]

#: Added to the first word of a counter, for the numbers that say which random token: no column has it.
REPLACING = 2**31


class RowMasker:
    """Masks rows by their numbers.

    Args:
        seed: of the masks, 0 to 2⁶⁴ - 1: the same on all ranks.
        mask_id: id of ``<mask>``.
        vocab_size: random tokens are drawn below it.
        special_ids: ids that are never chosen and never drawn.
        probability: chance of each token to be chosen, 0 to 1.
        mask_share: share of the chosen that become ``mask_id``.
        random_share: share of the chosen that become a random token; the rest stay. The two shares sum to at most 1.
        word_starts: (``vocab_size``,), true for ids that begin a word: words are then masked whole, as in
            `mask_tokens`. None: each token by itself.

    Raises:
        ValueError: a number outside its range, or no token to draw.

    Source:
        Devlin et al. 2019, section 3.1; Liu et al. 2019, section 4.1.

    Example:
        >>> masker = RowMasker(seed=1, mask_id=9, vocab_size=10, special_ids=[0, 1, 2, 3, 9], probability=0.5)
        >>> ids = [[0, 5, 6, 7, 8, 2], [0, 8, 7, 6, 5, 2]]
        >>> masked, labels = masker(ids, rows=[11, 12])
        >>> masked
        array([[0, 9, 4, 9, 8, 2],
               [0, 9, 7, 6, 5, 2]])
        >>> labels
        array([[-100,    5,    6,    7, -100, -100],
               [-100,    8, -100, -100, -100, -100]])
        >>> bool((masker(ids[1:], rows=[12])[0] == masked[1:]).all())
        True
    """

    def __init__(
        self,
        seed: int,
        *,
        mask_id: int,
        vocab_size: int,
        special_ids: Iterable[int],
        probability: float = 0.15,
        mask_share: float = 0.8,
        random_share: float = 0.1,
        word_starts: ArrayLike | None = None,
    ) -> None:
        _require_shares(probability, mask_share, random_share)
        if not 0 <= mask_id < vocab_size:
            raise ValueError(
                f"mask_id: expected 0 to {vocab_size - 1}, got {mask_id}; pass the tokenizer's mask_token_id"
            )
        if not 0 <= seed < 2**64:
            raise ValueError(f"seed: expected 0 to 2**64 - 1, got {seed}; pass another")
        self.seed, self.mask_id, self.vocab_size = seed, mask_id, vocab_size
        special = _special_ids(special_ids, vocab_size)
        self._is_special = np.isin(np.arange(vocab_size), special)  # V
        self._ordinary = np.flatnonzero(~self._is_special)  # the ids that may be drawn
        shares = mask_share, mask_share + random_share, 1.0
        self._limits = [round(probability * share * 2**32) for share in shares]  # of u, in units of its last bit
        self._begins = None if word_starts is None else _as_bools("word_starts", word_starts, (vocab_size,))

    @classmethod
    def of(cls, tokenizer: _HasMask, seed: int, probability: float = 0.15, *, whole_words: bool = False) -> "RowMasker":
        """Make one for a tokenizer.

        Args:
            tokenizer: has a ``<mask>``. Tokens that it is given later are not known.
            seed: as in the class.
            probability: as in the class.
            whole_words: whether words, as `starts_by_spelling` tells them, are masked whole.

        Raises:
            ValueError: the tokenizer has no mask token; or as in the class.
        """
        if tokenizer.mask_token_id is None:
            raise ValueError(
                "tokenizer: expected one with a mask token, got one without; load it with mask_token='<mask>'"
            )
        size, special = len(tokenizer), tokenizer.all_special_ids
        starts = starts_by_spelling(np.arange(size), tokenizer) if whole_words else None
        options: dict[str, Any] = {"probability": probability, "word_starts": starts}
        return cls(seed, mask_id=tokenizer.mask_token_id, vocab_size=size, special_ids=special, **options)

    def __call__(
        self,
        input_ids: ArrayLike,
        rows: ArrayLike,
        epochs: ArrayLike = 0,
        *,
        word_starts: ArrayLike | None = None,
        special_tokens_mask: ArrayLike | None = None,
    ) -> tuple[Ids, Ids]:
        """Mask rows.

        Args:
            input_ids: (B, T), integers; left untouched. What fills a row up does not change its mask.
            rows: (B,), the number of each row in the corpus.
            epochs: how often the corpus was seen before: one number, or (B,).
            word_starts: (B, T), where words begin, if it is not the class's ``word_starts`` that tell.
            special_tokens_mask: (B, T), 1 where a token is never chosen, whatever its id.

        Returns:
            ``(masked, labels)``, int64 (B, T): the labels hold the true id where a token was chosen, else -100.

        Raises:
            TypeError: ids that are no integers in rows of one length.
            ValueError: an id outside the vocabulary, or not one number for each row.
        """
        masked = self._ids(input_ids)  # B T
        places = _numbers("rows", rows, len(masked)), _numbers("epochs", epochs, len(masked))
        words = row_words(self.seed, places[1], places[0], masked.shape[1])  # B T
        if word_starts is not None or self._begins is not None:
            starts = self._begins[masked] if word_starts is None and self._begins is not None else word_starts
            words = np.take_along_axis(words, _first_of_word(np.asarray(starts), self._is_special[masked]), axis=1)
        chosen = np.flatnonzero(words.ravel() < self._limits[2])  # C, into B T
        chosen = chosen[~self._is_special[masked.ravel()[chosen]]]
        if special_tokens_mask is not None:
            chosen = chosen[~_as_bools("special_tokens_mask", special_tokens_mask, masked.shape).ravel()[chosen]]
        fate = words.ravel()[chosen]  # C
        labels = np.full(masked.shape, IGNORED, dtype=np.int64)
        labels.ravel()[chosen] = masked.ravel()[chosen]
        masked.ravel()[chosen[fate < self._limits[0]]] = self.mask_id
        replaced = chosen[(fate >= self._limits[0]) & (fate < self._limits[1])]
        masked.ravel()[replaced] = self._drawn(replaced, masked.shape[1], *places)
        return masked, labels

    def _drawn(self, flat: Ids, length: int, rows: NDArray[np.uint64], epochs: NDArray[np.uint64]) -> Ids:
        """Draw an ordinary id for each place: of two words, 53 bits."""
        row, column = np.divmod(flat, length)
        number = rows[row]
        words = philox(
            (column + REPLACING, number & np.uint64(2**32 - 1), number >> np.uint64(32), epochs[row]), self.seed
        )
        high, low = words[:, 0].astype(np.float64), words[:, 1].astype(np.float64)
        uniform = (np.floor(high / 2**5) * 2**26 + np.floor(low / 2**6)) / 2**53  # below 1
        return self._ordinary[(uniform * len(self._ordinary)).astype(np.int64)]

    def _ids(self, input_ids: ArrayLike) -> Ids:
        """A copy of them, checked."""
        try:
            ids = np.array(input_ids)
        except ValueError:  # rows of several lengths
            ids = np.array(None)
        if ids.ndim != 2 or (ids.size and ids.dtype.kind not in "iu"):
            raise TypeError(
                f"input_ids: expected integers in rows of one length, (B, T), got {ids.shape} of {ids.dtype}; fill "
                "rows up to one length"
            )
        if ids.size and (ids.min() < 0 or ids.max() >= self.vocab_size):
            raise ValueError(
                f"input_ids: expected 0 to vocab_size - 1 = {self.vocab_size - 1}, got {ids.min()} to {ids.max()}; "
                "pass rows of the tokenizer that the masker was made for"
            )
        return ids.astype(np.int64, copy=False)


def _numbers(name: str, numbers: ArrayLike, count: int) -> NDArray[np.uint64]:
    """One for each row."""
    array = np.asarray(numbers)
    is_whole = array.dtype.kind in "iu" and array.shape in ((), (count,))
    if not is_whole or (array.size and array.min() < 0) or (name == "epochs" and array.size and array.max() >= 2**32):
        raise ValueError(
            f"{name}: expected a whole number from 0 for each of {count} rows, got {array.dtype} of shape "
            f"{array.shape}, from {array.min(initial=0)}; pass what the rows of `ShuffledRows` say of themselves"
        )
    return np.broadcast_to(array.astype(np.uint64), (count,))
