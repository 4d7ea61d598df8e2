"""PyTorch: two processes get what one gets, to within rounding; a run that is stopped, the same to the bit."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import roberta
import torch
from pretraining import loop, planning, state
from pretraining.corpus import Layout, batch_of
from pretraining.engines import new_engine
from pretraining.recipe import preset
from pretraining.replicas import named
from pretraining.with_torch import SummedLoss, TorchEngine, autocast
from roberta.parity.tolerances import Budget, budgets

pytestmark = pytest.mark.torch
TWO = Path(__file__).parent / "two_processes.py"


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # models are tiny, and the machine is shared
    yield
    torch.set_num_threads(before)
    torch.use_deterministic_algorithms(False)


@pytest.fixture(scope="module")
def permitted(budgets_of: Any) -> Mapping[str, Budget]:
    return budgets_of("torch")


def torchrun(*arguments: str) -> list[str]:
    return ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *arguments]


# -- one process -------------------------------------------------------------------------------------------------------


def test_the_loss_is_that_of_the_specification(make: Any, recipe: Any, corpus: Any) -> None:
    engine = make("torch", recipe, rows_at_once=3)
    batch = batch_of(corpus, 0, recipe.batch, engine.layout)
    assert len(batch.ids[0]) == 4
    (found,) = loop.learn(recipe, corpus, engine, range(1))
    ids, labels = corpus.masked(0, recipe.batch)
    config = recipe.config(corpus.vocab_size, corpus.length)
    spec = roberta.RobertaForMaskedLM(config, backend="numpy", dtype="float64", seed=recipe.seed)
    inputs = {"input_ids": ids, "attention_mask": (ids != 1).astype(int), "labels": labels}
    expected, _ = budgets(spec, inputs, "float32")
    assert abs(found - expected["loss"].truth) <= expected["loss"].limit


def test_pieces_change_nothing_but_rounding(make: Any, recipe: Any, corpus: Any, runs: Any, permitted: Any) -> None:
    engine = make("torch", recipe, rows_at_once=4)
    losses = list(loop.learn(recipe, corpus, engine, range(20)))
    found = named(losses, engine.moments())
    assert max(runs.extents(found, permitted).values()) <= 1
    # The mean of the pieces' means weighs tokens by how full their piece is: to be seen at once.
    engine = make("torch", recipe, rows_at_once=4)
    for step in range(20):
        batch = batch_of(corpus, step, recipe.batch, engine.layout)
        counts = [(piece != -100).sum() for piece in batch.labels[0]]
        assert len(set(counts)) > 1 or step
        losses[step] = mean_of_pieces(engine, batch, recipe.rate(step), step)
    assert min(runs.extents(named(losses, engine.moments()), permitted).values()) > 10


def mean_of_pieces(engine: Any, batch: Any, rate: float, step: int) -> float:
    weigh = SummedLoss.forward

    def mean(self: Any, ids: Any, places: Any, labels: Any) -> Any:
        return weigh(self, ids, places, labels) / (labels != -100).sum()

    SummedLoss.forward = mean
    try:
        return engine.step(batch, len(batch.ids[0]), rate, step)
    finally:
        SummedLoss.forward = weigh


def test_a_step_is_the_equation_of_adamw(make: Any, recipe: Any, adamw: Any) -> None:
    adamw(make("torch", recipe))


def test_dropout_is_another_in_each_step_and_process_and_the_same_in_each_run(make: Any, corpus: Any) -> None:
    recipe = preset("tiny")
    assert recipe.dropout == recipe.attention_dropout == 0.1
    config = recipe.config(corpus.vocab_size, corpus.length)

    def loss(rank: int, step: int) -> float:
        engine = TorchEngine(recipe, config, Layout(rank, 1, 1, 12), "cpu")
        batch = batch_of(corpus, 0, recipe.batch, Layout(0, 1, 1, 12))
        return engine.step(batch, batch.count, 0.0, step)

    assert loss(0, 0) == loss(0, 0)
    assert len({loss(0, 0), loss(1, 0), loss(0, 1)}) == 3


def test_bfloat16_is_of_products(make: Any, recipe: Any, corpus: Any) -> None:
    rough, exact = make("torch", recipe, precision="bfloat16"), make("torch", recipe)
    (one,), (other,) = (list(loop.learn(recipe, corpus, engine, range(1))) for engine in (rough, exact))
    assert 0 < abs(one - other) < 2**-8 * other
    assert all(weight.dtype == np.float32 for weight in rough.moments().weights.values())
    assert torch.get_autocast_dtype("cpu") == torch.bfloat16
    with autocast("float32", "cpu"):
        assert not torch.is_autocast_enabled("cpu")


@pytest.mark.parametrize("rows", [3, 7])
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_the_plan_knows_what_a_layer_keeps(corpus: Any, layers: int, rows: int) -> None:
    recipe = preset("tiny", layers=layers, dropout=0.0, attention_dropout=0.0, batch=rows)
    config = recipe.config(corpus.vocab_size, corpus.length)
    kept = [kept_bytes(preset("tiny", layers=n, dropout=0.0, attention_dropout=0.0), corpus, rows) for n in (layers, 4)]
    planned = planning.Plan(
        recipe, 1, 1.0, 1.0, rows_at_once=rows, precision="float32", length=config.max_position_embeddings - 2
    )
    measured = (kept[1] - kept[0]) / (4 - layers)
    assert measured - planned.layer_activations == rows  # a byte a row: whether it has any token at all


def kept_bytes(recipe: Any, corpus: Any, rows: int) -> int:
    """What the loss of some rows keeps for its backward pass, parameters left out."""
    config = recipe.config(corpus.vocab_size, corpus.length)
    loss = SummedLoss(roberta.RobertaForMaskedLM(config, backend="torch").train())
    own = {parameter.untyped_storage().data_ptr() for parameter in loss.parameters()}
    kept: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    piece = [torch.from_numpy(x[0, 0]) for x in batch_of(corpus, 0, rows, Layout.of(rows, 0, 1, 1))]
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        loss(*piece)
    return sum(kept.values())


# -- stopped -----------------------------------------------------------------------------------------------------------

DROPPING = ("--dropout", "0.1", "--attention-dropout", "0.1", "--rows-at-once", "4")


def train_here(corpus: Any, folder: Path, last: int | None = None) -> None:
    """What the command does with `DROPPING`."""
    recipe = preset("tiny")
    engine = new_engine("torch", recipe, recipe.config(corpus.vocab_size, corpus.length), rows_at_once=4)
    loop.train(recipe, corpus, engine, folder, save_every=1000, last=last)


@pytest.fixture(scope="module")
def uninterrupted(corpus: Any, runs: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("uninterrupted") / "run"
    train_here(corpus, folder)
    return runs.files(folder)


def test_a_run_that_is_stopped_goes_on_to_the_same_bytes(
    corpus: Any, runs: Any, uninterrupted: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for last in (7, 8, None):
        train_here(corpus, tmp_path / "run", last)
        assert (runs.files(tmp_path / "run") == uninterrupted) == (last is None)
    # One that forgets Adam's moments ends elsewhere.
    train_here(corpus, tmp_path / "other", 7)
    read = state.read_moments
    monkeypatch.setattr(state, "read_moments", lambda folder: read(folder)._replace(first=read(folder).second))
    train_here(corpus, tmp_path / "other")
    assert runs.files(tmp_path / "other")["model.safetensors"] != uninterrupted["model.safetensors"]


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on_to_the_same_bytes(runs: Any, uninterrupted: Any, tmp_path: Path) -> None:
    folder, came_to = tmp_path / "run", []
    for kill_at in (3, 12):
        process = subprocess.Popen(  # noqa: S603  # a command of this test
            [sys.executable, *runs.command(folder, *DROPPING, "--save-every", "1")],
            env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        while process.poll() is None and steps_done(folder) < kill_at:
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        process.wait()
        came_to.append(state.read_about(folder)["step"])
        assert roberta.RobertaForMaskedLM.from_pretrained(folder).load_report.missing == ()
    assert 3 <= came_to[0] < came_to[1] < 20, came_to
    runs.done(*runs.command(folder, *DROPPING))
    assert runs.files(folder) == uninterrupted


def steps_done(folder: Path) -> int:
    try:
        return json.loads((folder / "run.json").read_text(encoding="utf-8"))["step"]
    except (OSError, ValueError):
        return 0


# -- two processes -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def two(runs: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All runs of two processes, OUT-NAME each."""
    out = tmp_path_factory.mktemp("two") / "run"
    runs.done(*torchrun(str(TWO), str(out), *runs.command(out, "--rows-at-once", "3")[1:]))
    return out


@pytest.mark.slow
@pytest.mark.parametrize("way", ["ddp", "fsdp"])
def test_two_processes_train_as_one_does(way: str, runs: Any, two: Path, permitted: Any, record_property: Any) -> None:
    extents = runs.extents(runs.result(Path(f"{two}-{way}")), permitted)
    record_property("extents", extents)
    assert max(extents.values()) <= 1, extents


@pytest.mark.slow
@pytest.mark.parametrize("mistake", ["mean-of-means", "first-rows-for-all", "last-piece-only"])
def test_a_wrong_sum_is_seen(mistake: str, runs: Any, two: Path, permitted: Any, record_property: Any) -> None:
    extents = runs.extents(runs.result(Path(f"{two}-{mistake}")), permitted)
    record_property("extents", extents)
    assert min(extents.values()) > 10, extents


@pytest.mark.slow
def test_a_run_of_two_processes_goes_on_with_one(
    make: Any, recipe: Any, corpus: Any, runs: Any, two: Path, permitted: Any
) -> None:
    folder = Path(f"{two}-stopped")
    assert state.read_about(folder)["step"] == 9
    loop.train(recipe, corpus, make("torch", recipe), folder, save_every=1000)
    extents = runs.extents(runs.result(folder), permitted)
    assert max(extents.values()) <= 1, extents
    model, tokenizer = roberta.RobertaForMaskedLM.from_pretrained(folder), roberta.load_tokenizer(folder)
    assert len(roberta.fill_mask("she<mask> to the park", model, tokenizer, top=2)[0]) == 2
