"""Documents for shards: drawn ones, with empty sentences and documents, and sentences longer than a row."""

import numpy as np
import pytest
from roberta.tokenizer.data.shards import TokenShards, write_token_shards


@pytest.fixture(scope="session")
def documents(tiny):
    rng = np.random.default_rng(0)

    def sentence():
        return rng.integers(4, len(tiny) - 1, rng.integers(0, rng.choice([0, 1, 5, 13, 40, 211]) + 1)).tolist()

    return [[sentence() for _ in range(rng.integers(0, 9))] for _ in range(83)]


@pytest.fixture(scope="session")
def folder(documents, tiny, tmp_path_factory):
    """Several shards."""
    where = tmp_path_factory.mktemp("shards") / "tokens"
    write_token_shards(documents, where, tiny, shard_tokens=1009)
    return where


@pytest.fixture
def shards(folder, tiny):
    found = TokenShards(folder, tiny)
    assert len(found.index.shards) > 3
    return found
