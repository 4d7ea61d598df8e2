"""The recipes of docs/data.md, run as they stand there: all ranks and workers together give every row once."""

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import roberta
from roberta.tokenizer.data.shards import write_token_shards

PAGE = (Path(roberta.__file__).parent / "docs" / "data.md").read_text(encoding="utf-8")
RECIPES = dict(re.findall(r'^```python title="([^"]+)"\n(.*?)^```', PAGE, re.MULTILINE | re.DOTALL))


@pytest.fixture(scope="module")
def small(tiny, tmp_path_factory):
    """Some 90 rows of 64."""
    rng = np.random.default_rng(1)
    top = len(tiny) - 1
    documents = [[rng.integers(4, top, rng.integers(1, 30)).tolist() for _ in range(7)] for _ in range(53)]
    folder = tmp_path_factory.mktemp("recipes") / "tokens"
    write_token_shards(documents, folder, tiny, shard_tokens=1009)
    return folder


def run(folder, *titles, **names):
    space = {"folder": folder, "rank": 0, "world": 1, "workers": 0, **names}
    for title in titles:
        exec(compile(RECIPES[title], f"docs/data.md: {title}", "exec"), space)  # noqa: S102  (our own)
    return space


def rows_of(batch):
    """What tells a row: its tokens, as they are masked in that epoch, and its labels."""
    assert set(batch) >= {"input_ids", "attention_mask", "labels"}
    return [
        (tuple(ids), tuple(labels))
        for ids, labels in zip(
            np.asarray(batch["input_ids"]).tolist(), np.asarray(batch["labels"]).tolist(), strict=True
        )
    ]


def require_every_row_once(folder, title, world, workers):
    space = run(folder, "all")
    line = space["rows"]
    wanted = Counter(rows_of(space["collate"]([line[place] for place in range(len(line))])))
    assert max(wanted.values()) == 1
    found = Counter()
    for rank in range(world):
        loader = run(folder, "all", title, rank=rank, world=world, workers=workers)["loader"]
        for batch in loader:
            found.update(rows_of(batch))
    assert found == wanted


#: Four on two cores is what is tested.
FOUR = pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")


@FOUR
@pytest.mark.torch
@pytest.mark.parametrize("title", ["torch", "torch, a stream"])
@pytest.mark.parametrize(("world", "workers"), [(1, 0), (1, 4), (3, 0), (2, 2)])
def test_torch(small, title, world, workers):
    require_every_row_once(small, title, world, workers)


@pytest.mark.tensorflow
@pytest.mark.parametrize("world", [1, 3])
def test_tf_data(small, world):
    require_every_row_once(small, "tf.data", world, 0)


@pytest.mark.parametrize("world", [1, 3])
def test_grain(small, world):
    pytest.importorskip("grain", reason="grain is not installed")
    require_every_row_once(small, "grain", world, 0)


@FOUR
@pytest.mark.torch
@pytest.mark.parametrize(("world", "workers"), [(1, 0), (1, 4), (4, 2)])
def test_datasets(small, world, workers):
    try:
        import datasets  # noqa: F401
    except (ImportError, AttributeError) as error:  # releases that run with this pyarrow want an older fsspec
        pytest.skip(f"datasets cannot be imported here: {error}")
    require_every_row_once(small, "datasets", world, workers)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning")
def test_ray(small):
    ray = pytest.importorskip("ray", reason="Ray is not installed")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    try:
        require_every_row_once(small, "ray", 1, 0)
    finally:
        ray.shutdown()


def test_no_recipe_is_left_out():
    assert set(RECIPES) == {"all", "torch", "torch, a stream", "tf.data", "grain", "datasets", "ray"}
