"""TensorFlow: two devices get what one gets, to within rounding; a run that is stopped, the same to the bit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import roberta
import tensorflow as tf
from pretraining import loop
from pretraining.corpus import batch_of
from pretraining.recipe import preset
from roberta.parity.tolerances import Budget, budgets

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def permitted(budgets_of: Any) -> Mapping[str, Budget]:
    return budgets_of("tensorflow")


def test_the_loss_is_that_of_the_specification(make: Any, recipe: Any, corpus: Any) -> None:
    (found,) = loop.learn(recipe, corpus, make("tensorflow", recipe, rows_at_once=3), range(1))
    ids, labels = corpus.masked(0, recipe.batch)
    config = recipe.config(corpus.vocab_size, corpus.length)
    spec = roberta.RobertaForMaskedLM(config, backend="numpy", dtype="float64", seed=recipe.seed)
    inputs = {"input_ids": ids, "attention_mask": (ids != 1).astype(int), "labels": labels}
    expected, _ = budgets(spec, inputs, "float32")
    assert abs(found - expected["loss"].truth) <= expected["loss"].limit


def test_a_step_is_the_equation_of_adamw(make: Any, recipe: Any, adamw: Any) -> None:
    adamw(make("tensorflow", recipe))


def test_dropout_is_another_in_each_step_and_the_same_in_each_run(make: Any, corpus: Any) -> None:
    recipe = preset("tiny")
    engine = make("tensorflow", recipe)
    batch = batch_of(corpus, 0, recipe.batch, engine.layout)
    first, again, later = (engine.step(batch, batch.count, 0.0, step) for step in (0, 0, 1))
    assert first == again != later


def test_dropout_is_another_on_each_device_and_in_each_piece(make: Any) -> None:
    seeds, drawn = make("tensorflow", preset("tiny")).seeds, set()
    for device, piece in ((0, 0), (0, 1), (1, 0)):
        seeds.begin(tf.constant([0, 3]), device, piece)
        drawn |= {tuple(seeds.next().numpy()) for _ in range(4)}
    assert len(drawn) == 12


def test_a_run_that_is_stopped_goes_on_to_the_same_bytes(make: Any, corpus: Any, runs: Any, tmp_path: Path) -> None:
    for name, stops in (("whole", (None,)), ("parts", (7, None))):
        for last in stops:
            recipe = preset("tiny")
            loop.train(recipe, corpus, make("tensorflow", recipe), tmp_path / name, save_every=1000, last=last)
    assert runs.files(tmp_path / "whole") == runs.files(tmp_path / "parts")


# -- two devices -------------------------------------------------------------------------------------------------------

#: What people do wrong: the first device's rows for all; and a mean over devices in place of a sum.
MISTAKES = """
import sys
sys.path.insert(0, EXAMPLES)
import numpy as np
import pretrain_shards
from pretraining import loop, with_tensorflow
from pretraining.corpus import Batch, batch_of

out, *arguments = ARGUMENTS
right = loop.batch_of, with_tensorflow.summed_loss

def first_rows_for_all(*given):
    return Batch(*(np.repeat(x[:1], len(x), 0) for x in batch_of(*given)))

def halved(*given):
    return right[1](*given) / 2

for name in ("right", "first-rows-for-all", "mean-over-devices"):
    loop.batch_of = first_rows_for_all if name == "first-rows-for-all" else right[0]
    with_tensorflow.summed_loss = halved if name == "mean-over-devices" else right[1]
    given = [f"{out}-{name}" if argument == out else argument for argument in arguments]
    pretrain_shards.app(given, standalone_mode=False)
"""


@pytest.fixture(scope="module")
def two(runs: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All runs of two devices, OUT-NAME each."""
    out = tmp_path_factory.mktemp("two") / "run"
    options = ("--engine", "tensorflow", "--devices", "2", "--rows-at-once", "3")
    script, *arguments = runs.command(out, *options)
    source = MISTAKES.replace("EXAMPLES", repr(str(Path(script).parent)))
    runs.done("-c", source.replace("ARGUMENTS", repr([str(out), *arguments])))
    return out


@pytest.mark.slow
def test_two_devices_train_as_one_does(runs: Any, two: Path, permitted: Any, record_property: Any) -> None:
    extents = runs.extents(runs.result(Path(f"{two}-right")), permitted)
    record_property("extents", extents)
    assert max(extents.values()) <= 1, extents


@pytest.mark.slow
@pytest.mark.parametrize("mistake", ["first-rows-for-all", "mean-over-devices"])
def test_a_wrong_sum_is_seen(mistake: str, runs: Any, two: Path, permitted: Any, record_property: Any) -> None:
    extents = runs.extents(runs.result(Path(f"{two}-{mistake}")), permitted)
    record_property("extents", extents)
    assert min(extents["losses"], extents["first"]) > 10, extents
