"""JAX: two devices get what one gets, to within rounding; a run that is stopped, the same to the bit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import roberta
from flax import nnx
from pretraining import loop, state
from pretraining.corpus import batch_of
from pretraining.recipe import preset
from roberta.parity.tolerances import Budget, budgets

pytestmark = pytest.mark.flax
XLA_FLAGS = "--xla_force_host_platform_device_count=2"


@pytest.fixture(scope="module")
def permitted(budgets_of: Any) -> Mapping[str, Budget]:
    return budgets_of("flax")


def test_the_loss_is_that_of_the_specification(make: Any, recipe: Any, corpus: Any) -> None:
    (found,) = loop.learn(recipe, corpus, make("flax", recipe, rows_at_once=3), range(1))
    ids, labels = corpus.masked(0, recipe.batch)
    config = recipe.config(corpus.vocab_size, corpus.length)
    spec = roberta.RobertaForMaskedLM(config, backend="numpy", dtype="float64", seed=recipe.seed)
    inputs = {"input_ids": ids, "attention_mask": (ids != 1).astype(int), "labels": labels}
    expected, _ = budgets(spec, inputs, "float32")
    assert abs(found - expected["loss"].truth) <= expected["loss"].limit


def test_a_step_is_the_equation_of_adamw(make: Any, recipe: Any, adamw: Any) -> None:
    adamw(make("flax", recipe))


def test_dropout_is_another_in_each_step_and_the_same_in_each_run(make: Any, corpus: Any) -> None:
    recipe = preset("tiny")
    engine = make("flax", recipe)
    batch = batch_of(corpus, 0, recipe.batch, engine.layout)
    first, again, later = (engine.step(batch, batch.count, 0.0, step) for step in (0, 0, 1))
    assert first == again != later


def test_a_run_that_is_stopped_goes_on_to_the_same_bytes(make: Any, corpus: Any, runs: Any, tmp_path: Path) -> None:
    for name, stops in (("whole", (None,)), ("parts", (7, 8, None))):
        for last in stops:
            recipe = preset("tiny")
            loop.train(recipe, corpus, make("flax", recipe), tmp_path / name, save_every=1000, last=last)
    assert runs.files(tmp_path / "whole") == runs.files(tmp_path / "parts")


def test_devices_that_are_not_there_are_an_error(make: Any, recipe: Any) -> None:
    with pytest.raises(ValueError, match=r"devices: JAX has 1, got 2; .*device_count=2"):
        make("flax", recipe, devices=2)


def test_names_are_those_of_the_checkpoint(make: Any, recipe: Any, corpus: Any) -> None:
    config = recipe.config(corpus.vocab_size, corpus.length)
    model = roberta.RobertaForMaskedLM(config, backend="flax", seed=recipe.seed)
    found = make("flax", recipe).moments().weights
    assert set(found) == set(state.parameter_names(config).values())
    assert all(np.array_equal(array, model.state_dict_numpy()[name]) for name, array in found.items())
    assert len(found) == len(list(nnx.to_flat_state(nnx.state(model, nnx.Param))))


# -- two devices -------------------------------------------------------------------------------------------------------

#: What people do wrong: the first device's rows for all; and each device's mean, of which the mean is taken.
MISTAKES = """
import sys
sys.path.insert(0, EXAMPLES)
import jax, jax.numpy as jnp, numpy as np
import pretrain_shards
from pretraining import loop, with_flax
from pretraining.corpus import Batch, batch_of

out, *arguments = ARGUMENTS
right = loop.batch_of, with_flax.gradient_of

def first_rows_for_all(*given):
    return Batch(*(np.repeat(x[:1], len(x), 0) for x in batch_of(*given)))

def mean_of_means(loss, weights, rest, batch, count, key):
    return right[1](loss, weights, rest, batch, 2 * (batch.labels != -100).sum(), key)

for name in ("right", "first-rows-for-all", "mean-of-means"):
    loop.batch_of = first_rows_for_all if name == "first-rows-for-all" else right[0]
    with_flax.gradient_of = mean_of_means if name == "mean-of-means" else right[1]
    given = [f"{out}-{name}" if argument == out else argument for argument in arguments]
    pretrain_shards.app(given, standalone_mode=False)
"""


@pytest.fixture(scope="module")
def two(runs: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All runs of two devices, OUT-NAME each."""
    out = tmp_path_factory.mktemp("two") / "run"
    options = ("--engine", "flax", "--devices", "2", "--rows-at-once", "3")
    script, *arguments = runs.command(out, *options)
    source = MISTAKES.replace("EXAMPLES", repr(str(Path(script).parent)))
    runs.done("-c", source.replace("ARGUMENTS", repr([str(out), *arguments])), XLA_FLAGS=XLA_FLAGS, JAX_PLATFORMS="cpu")
    return out


@pytest.mark.slow
def test_two_devices_train_as_one_does(runs: Any, two: Path, permitted: Any, record_property: Any) -> None:
    extents = runs.extents(runs.result(Path(f"{two}-right")), permitted)
    record_property("extents", extents)
    assert max(extents.values()) <= 1, extents


@pytest.mark.slow
@pytest.mark.parametrize("mistake", ["first-rows-for-all", "mean-of-means"])
def test_a_wrong_sum_is_seen(mistake: str, runs: Any, two: Path, permitted: Any, record_property: Any) -> None:
    extents = runs.extents(runs.result(Path(f"{two}-{mistake}")), permitted)
    record_property("extents", extents)
    assert min(extents.values()) > 10, extents
