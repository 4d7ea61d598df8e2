"""Weights to write and to read."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from roberta.reference.config import RobertaConfig
from roberta.reference.parameters import parameter_table

SIZES: Any = {
    "vocab_size": 23, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 12,
    "max_position_embeddings": 16, "type_vocab_size": 2,
}  # fmt: skip


@pytest.fixture(scope="session")
def state_of() -> Callable[..., dict[str, Any]]:
    """Head, dtype, fields of the config -> random weights, without tied ones."""

    def state(head: str, dtype: str = "float32", **fields: Any) -> dict[str, Any]:
        rng, table = np.random.default_rng(0), parameter_table(head, RobertaConfig(**SIZES, **fields))
        return {name: rng.standard_normal(p.shape).astype(dtype) for name, p in table.items() if p.tied_to is None}

    return state


@pytest.fixture(scope="session")
def same() -> Callable[[dict[str, Any], dict[str, Any]], bool]:
    """Whether two have the same names, dtypes and bits."""

    def is_same(found: dict[str, Any], state: dict[str, Any]) -> bool:
        return found.keys() == state.keys() and all(
            found[name].dtype == array.dtype and np.array_equal(found[name], array) for name, array in state.items()
        )

    return is_same
