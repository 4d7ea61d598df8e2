"""Whose weights a candidate is said to have, and the spec that computes with them."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np

from ..dispatch import checkpoint
from ..dispatch.api import FACES
from ..dispatch.model import PublicModel
from ..reference.config import RobertaConfig
from ..reference.fields import ConfigOverrides
from ..reference.layers import Array
from ..reference.parameters import CLASS_NAMES, HEADS
from ..reference.weights import nest
from .candidates import Candidate
from .probes.battery import battery
from .probes.probe import Probe
from .reports.hashes import hash_model
from .tolerances import DRAWS

#: A model with no more parameters than this is tried with every mistake in every probe.
SMALL = 300_000
#: A model with more parameters than this is asked less, with fewer noisy runs: it has more elements to pool.
LARGE = 20_000_000
#: What it is asked, so that an audit takes a minute: of probes that resemble each other the sharper one.
LARGE_PROBES = frozenset(
    {"text", "one token", "batch of five", "longest row", "padding on the left", "no mask", "positions given"}
    | {"rows of many kinds", "positions asked for"}
    | {"last token type", "ends of the vocabulary", "called twice", "labels", "cache", "five choices"}
    | {"large scores", "rows of mean 1e3", "tiny tables", "wide activations"}
)
LARGE_TOKENS = 1600
LARGE_DRAWS = 4


@dataclass(frozen=True)
class Reference:
    """Whose weights, and the spec that computes with them.

    Attributes:
        name: for the report.
        oracle: the spec in float64.
        folder: the checkpoint's, for its vocabulary; None of a model.
        random: the outputs that depend on weights which the checkpoint lacks, and which nobody else can have; of a
            model, which is what it is, none.
    """

    name: str
    oracle: Any
    folder: Path | None = None
    random: frozenset[str] = frozenset()

    @classmethod
    def of(cls, reference: Any, head: str | None = None) -> Reference:
        """A model of ours, or a checkpoint, as a reference."""
        if head is not None and head not in HEADS:
            message = f"head: required one of {list(HEADS)}, got {head!r}"
            raise ValueError(message)
        if isinstance(reference, PublicModel):
            model = cast("PublicModel[Any]", reference)
            if head not in (None, model.head):
                message = f"head: required {model.head!r}, the model's own, or None, got {head!r}; give a checkpoint"
                raise ValueError(message)
            return cls(type(model).__name__, model.to_backend("numpy", dtype="float64").eval())
        folder = checkpoint.locate(reference)
        chosen = saved_head(folder) if head is None else head
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is random is in the report
            overrides: ConfigOverrides = {"num_labels": 2} if chosen == "question_answering" else {}
            oracle = FACES[chosen].from_pretrained(folder, backend="numpy", dtype="float64", **overrides)
        return cls(str(reference), oracle, folder, frozenset(oracle.load_report.random_outputs))

    @property
    def is_small(self) -> bool:
        """Whether nothing has to be saved."""
        return self.oracle.num_parameters() <= SMALL

    @property
    def is_large(self) -> bool:
        """Whether it is asked less."""
        return self.oracle.num_parameters() > LARGE

    @property
    def draws(self) -> int:
        """K, unless somebody says: a larger model has more elements to pool."""
        return DRAWS if self.is_small else LARGE_DRAWS if self.is_large else DRAWS // 2

    def battery(self, seed: int, *, is_own: bool = False) -> tuple[Probe, ...]:
        """What it is asked unless somebody says; a model of this library a little more."""
        head, config = self.oracle.head, self.oracle.config
        if not self.is_large:
            return battery(head, config, seed=seed, folder=self.folder, is_own=is_own)
        tokens = LARGE_TOKENS * (2 if head == "multiple_choice" else 1)
        probes = battery(head, config, seed=seed, tokens=tokens, folder=self.folder, is_own=is_own)
        return tuple(probe for probe in probes if probe.name in LARGE_PROBES)

    @cached_property
    def state(self) -> dict[str, Array]:
        """HF's names -> arrays."""
        return self.oracle.state_dict_numpy()

    def with_weights(self, changed: Mapping[str, Array] | None) -> Any:
        """The spec with some other weights; it shares the rest."""
        if not changed:
            return self.oracle
        other = copy.copy(self.oracle)
        table = self.oracle.table
        state = {name: changed.get(parameter.tied_to or name) for name, parameter in table.items()}
        state = {name: self.state[name] if value is None else np.asarray(value, float) for name, value in state.items()}
        other.parameters = nest(state)
        return other

    def given_to(self, candidate: Candidate, changed: Mapping[str, Array] | None) -> Candidate:
        """A candidate with these weights, some of them changed; as it is where none are."""
        if changed is None:
            return candidate
        table = self.oracle.table
        return candidate.with_weights(
            {name: changed.get(table[name].tied_to or name, np.asarray(value)) for name, value in self.state.items()}
        )

    def describe(self) -> dict[str, Any]:
        """What a report says of it."""
        missing = self.oracle.load_report.missing
        return {
            "name": self.name,
            "head": self.oracle.head,
            "weights": hash_model(self.oracle),
            "config": self.oracle.config.to_diff_dict(),
            "random": list(missing),
        }


def saved_head(folder: Path) -> str:
    """The head that a checkpoint was saved as, by the class in its config.json.

    Raises:
        ValueError: it names none that is known.

    Example:
        >>> saved_head(checkpoint.locate("austen"))
        'masked_lm'
    """
    names = RobertaConfig.from_pretrained(folder).architectures or []
    heads = {name: head for head, name in CLASS_NAMES.items()}
    found = [heads[name] for name in names if name in heads]
    if not found:
        message = (
            f"head: required one of {list(CLASS_NAMES)}, got None, and {folder} does not say which it was saved as"
        )
        raise ValueError(f"{message} (architectures: {names}); name it")
    return found[0]
