"""What probes are drawn from: small padded batches of a head and configuration, each from a stream of its own."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...reference.config import RobertaConfig
from ...reference.embeddings import Integers
from ...reference.inputs import SIGNATURES
from ...reference.layers import Array
from .real_tokens import FIRST

#: B, T and E of most probes: primes, and no two axes alike.
ROWS, LENGTH, SOURCE = 3, 13, 7
#: Heads that return a cache.
CACHED = frozenset({"model", "causal_lm"})
#: Arguments by HF's names: arrays, and True for what is asked for.
Given = dict[str, Any]


@dataclass(frozen=True)
class Sizes:
    """How large the probes are.

    Attributes:
        length: T of most.
        text: T of the sentences.
        longest: T of the longest row, and the most rows of the position table that are asked for.
    """

    length: int
    text: int
    longest: int


@dataclass(frozen=True)
class Draw:
    """What the probes of a head and configuration are drawn from."""

    head: str
    config: RobertaConfig
    seed: int
    sizes: Sizes
    states: Mapping[str, Mapping[str, Array]]

    def takes(self, name: str) -> bool:
        """Whether the head has an argument of this name."""
        return name in SIGNATURES[self.head]

    @property
    def has_source(self) -> bool:
        """Whether there is an encoder to look at."""
        return self.config.add_cross_attention and self.takes("encoder_hidden_states")

    @property
    def is_cached(self) -> bool:
        """Whether the head goes on from a cache."""
        return self.config.is_decoder and self.head in CACHED

    def rng(self, name: str) -> np.random.Generator:
        """A stream of its own for each name, so that probes do not change when others come or go."""
        return np.random.default_rng([self.seed, zlib.crc32(name.encode())])

    def shape(self, rows: int = ROWS, length: int | None = None, choices: int = 2) -> tuple[int, ...]:
        """Of ids: (B, T), or (B, C, T)."""
        T = self.sizes.length if length is None else length
        return (rows, choices, T) if self.head == "multiple_choice" else (rows, T)

    def ids(self, name: str, shape: tuple[int, ...]) -> Integers:
        """Ids of tokens that are no padding."""
        V, pad = self.config.vocab_size, self.config.pad_token_id
        drawn = self.rng(name).integers(0, max(V - 1, 1), shape)
        return np.minimum(drawn + (drawn >= pad), V - 1)

    def besides(self, name: str, rows: int) -> Given:
        """What stands beside the tokens of every batch.

        States of an encoder, the last two masked, where there is one to look at; and hidden states are asked for where
        the answer is read from a token that looks at none but itself: a decoder's first.
        """
        if self.config.is_decoder and self.head in FIRST:
            return {"output_hidden_states": True}
        if not self.has_source:
            return {}
        states = self.rng(f"{name}, source").standard_normal((rows, SOURCE, self.config.hidden_size))
        mask = np.repeat([[1] * (SOURCE - 2) + [0, 0]], rows, axis=0)
        return {"encoder_hidden_states": states.astype(np.float32), "encoder_attention_mask": mask}

    def batch(self, name: str, shape: tuple[int, ...] | None = None, padding: str = "right") -> Given:
        """Ids and mask, padded, and what stands beside them."""
        shape = self.shape() if shape is None else shape
        ids, is_padding = self.ids(name, shape), padded(shape, padding)
        ids[is_padding] = self.config.pad_token_id
        return {"input_ids": ids, "attention_mask": (~is_padding).astype(np.int64)} | self.besides(name, shape[0])

    def embedded(self, name: str, deviation: float, mean: float = 0.0) -> Given:
        """A batch whose tokens are given as vectors. Nobody can tell padding there: the mask alone does."""
        batch = self.batch(name)
        shape = (*batch.pop("input_ids").shape, self.config.hidden_size)
        vectors = mean + deviation * self.rng(f"{name}, vectors").standard_normal(shape)
        return {"inputs_embeds": vectors.astype(np.float32), **batch}


def padded(shape: tuple[int, ...], where: str) -> Any:
    """Which positions are padding: row r has r of them, the first none, and none is padding throughout.

    Args:
        shape: (…, T).
        where: "none", "right", "left" or "inside".

    Example:
        >>> padded((3, 4), "left").astype(int)
        array([[0, 0, 0, 0],
               [1, 0, 0, 0],
               [1, 1, 0, 0]])
    """
    T, place = shape[-1], np.arange(shape[-1])
    row = np.arange(math.prod(shape[:-1])).reshape(*shape[:-1], 1) % 4
    count = np.minimum(row, T - 1)
    start = {"none": T, "right": T - count, "left": 0, "inside": (T - count + 1) // 2}[where]
    return (place >= start) & (place < start + count)
