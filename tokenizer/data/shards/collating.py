"""Rows of shards become batches: a ``collate_fn`` for the data loader of any framework."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...encoding import BatchEncoding
from ..masking import IGNORED
from ..row_masking import RowMasker
from .order import PlacedRow
from .reading import TokenShards

__all__ = ["RowCollator"]


class RowCollator:
    """Stacks rows, fills them up, and makes their labels.

    Masks are a function of the seed, the epoch and the row (`RowMasker`): the same whatever the batches, ranks and
    workers are. It can be pickled.

    Args:
        shards: whose tokenizer it was: it says the ids of ``<mask>``, ``<pad>`` and the others.
        max_length: all batches have so many columns; None: as many as the longest row of each.
        seed: of the masks; None: no masks, and each token is its own label, for causal language models.
        probability: chance of each token to be chosen.
        whole_words: a tokenizer, the one of the shards: words, as it spells them, are masked whole.
        return_tensors: whose arrays: ``"np"``, ``"pt"``, ``"tf"`` or ``"jax"``.

    Raises:
        ValueError: the tokenizer of the shards has no ``<mask>``, or a number is outside its range.

    Source:
        Liu et al. 2019, section 4.1.
    """

    def __init__(
        self,
        shards: TokenShards,
        max_length: int | None = None,
        *,
        seed: int | None = None,
        probability: float = 0.15,
        whole_words: Any = None,
        return_tensors: str = "np",
    ) -> None:
        made = shards.index.tokenizer
        self.pad, self.max_length, self.return_tensors = made.pad, max_length, return_tensors
        self._masker: RowMasker | None = None
        if seed is None:
            return
        if whole_words is not None:
            shards.require(whole_words)
            self._masker = RowMasker.of(whole_words, seed, probability, whole_words=True)
        elif made.mask is None:
            raise ValueError(
                f"shards: expected those of a tokenizer with a mask token, got {shards.folder}; make them with one "
                "that has <mask>, or pass seed=None for a causal language model"
            )
        else:
            ids: dict[str, Any] = {"mask_id": made.mask, "special_ids": made.special}
            self._masker = RowMasker(seed, vocab_size=made.vocab_size, probability=probability, **ids)

    def __call__(self, rows: Sequence[PlacedRow]) -> Any:
        """Make a batch.

        Args:
            rows: of `ShuffledRows`, or of `PackedRows` for epoch 0; at least one.

        Returns:
            ``input_ids``, ``attention_mask`` and ``labels``, (B, T), int64.

        Raises:
            ValueError: no rows, or one that is longer than ``max_length``.
        """
        ids, attended = self._stacked([row["input_ids"] for row in rows])
        if self._masker is None:
            labels = np.where(attended == 1, ids, IGNORED)
        else:
            numbers = np.array([row["row"] for row in rows])
            epochs = np.array([row.get("epoch", 0) for row in rows])
            ids, labels = self._masker(ids, numbers, epochs)
        batch = BatchEncoding({"input_ids": ids, "attention_mask": attended, "labels": labels})
        return batch.convert_to_tensors(self.return_tensors)

    def _stacked(self, rows: list[Any]) -> tuple[Any, Any]:
        lengths = np.array([len(row) for row in rows])
        if not len(rows) or lengths.max() > (self.max_length or lengths.max()):
            raise ValueError(
                f"rows: expected at least one, and of at most max_length = {self.max_length} ids, got {len(rows)} of "
                f"up to {lengths.max(initial=0)}; pass the max_length that they were packed with"
            )
        ids = np.full((len(rows), self.max_length or lengths.max()), self.pad, dtype=np.int64)
        for filled, row in zip(ids, rows, strict=True):
            filled[: len(row)] = row
        return ids, (np.arange(ids.shape[1]) < lengths[:, None]).astype(np.int64)
