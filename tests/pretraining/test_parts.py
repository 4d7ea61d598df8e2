"""What needs no framework: settings, rows, states, budgets, plans, and what the commands refuse."""

from __future__ import annotations

import doctest
import importlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pretrain_shards
import pytest
import roberta
from pretraining import loop, planning, replicas, state
from pretraining.corpus import Batch, Layout, ShardCorpus, batch_of
from pretraining.recipe import PRESETS, Recipe, preset
from roberta.tokenizer.data import IGNORED
from typer.testing import CliRunner

PARTS = ("recipe", "corpus", "loop", "engines", "state", "replicas", "planning")


@pytest.mark.parametrize("name", PARTS)
def test_examples_of(name: str) -> None:
    assert doctest.testmod(importlib.import_module(f"pretraining.{name}")).failed == 0


# -- settings ----------------------------------------------------------------------------------------------------------


def test_presets_are_the_papers_table_9() -> None:
    base, large = PRESETS["roberta-base"], PRESETS["roberta-large"]
    assert (base.layers, base.hidden_size, base.intermediate_size, base.heads) == (12, 768, 3072, 12)
    assert (large.layers, large.hidden_size, large.intermediate_size, large.heads) == (24, 1024, 4096, 16)
    assert (base.warmup_steps, base.learning_rate) == (24_000, 6e-4)
    assert (large.warmup_steps, large.learning_rate) == (30_000, 4e-4)
    for recipe in (base, large):
        assert (recipe.batch, recipe.steps, recipe.weight_decay, recipe.epsilon) == (8192, 500_000, 0.01, 1e-6)
        assert (recipe.betas, recipe.dropout, recipe.attention_dropout) == ((0.9, 0.98), 0.1, 0.1)
    assert ShardCorpus.__init__.__defaults__ == (512, 0, 0.15)


def test_the_rate_rises_to_its_peak_and_falls_to_0() -> None:
    recipe = preset("roberta-base")
    rates = [recipe.rate(step) for step in (0, 11_999, 23_999, 24_000, 262_000, 499_999)]
    assert rates == pytest.approx([6e-4 / 24_000, 3e-4, 6e-4, 6e-4, 3e-4, 6e-4 / 476_000])
    assert recipe.rate(500_000) == 0


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("base", {}, "preset: expected one of roberta-base, roberta-large, tiny, got 'base'"),
        ("tiny", {"steps": 0}, "steps: expected at least 1, got 0"),
        ("tiny", {"steps": 5}, "warmup_steps: expected 0 to steps - 1 = 4, got 5"),
    ],
)
def test_presets_refuse(name: str, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        preset(name, **changes)


# -- rows --------------------------------------------------------------------------------------------------------------


def unfolded(batch: Batch) -> tuple[Any, Any]:
    """What the model sees, and the labels at their places, (B, T) twice."""
    ids, places, wanted = (x.reshape(-1, x.shape[-1]) for x in batch)
    labels = np.full(ids.shape, IGNORED)
    for row, (at, label) in enumerate(zip(places, wanted, strict=True)):
        labels[row, at[label != IGNORED]] = label[label != IGNORED]
    return ids, labels


@pytest.mark.parametrize(("world", "devices", "at_once"), [(1, 1, None), (1, 1, 5), (2, 1, 5), (5, 1, 1), (2, 3, 5)])
@pytest.mark.parametrize("step", [0, 3])
def test_all_processes_together_learn_from_the_same_rows_in_the_same_order(
    corpus: Any, world: int, devices: int, at_once: int | None, step: int
) -> None:
    masked, labels = corpus.masked(30 * step, 30)
    layouts = [Layout.of(30, rank, world, devices, at_once) for rank in range(world)]
    shares = [unfolded(batch_of(corpus, step, 30, layout)) for layout in layouts]
    assert np.array_equal(np.concatenate([ids for ids, _ in shares]), masked)
    assert np.array_equal(np.concatenate([targets for _, targets in shares]), labels)


def test_the_line_of_rows_goes_on_into_the_next_epoch_shuffled_and_masked_anew(corpus: Any) -> None:
    count = len(corpus.rows.rows)
    assert count > 30
    (first, labels), (second, _) = corpus.masked(0, count), corpus.masked(count, count)
    whole = np.where(labels == IGNORED, first, labels)
    assert not np.array_equal(first, second)
    numbers = [corpus.rows[place]["row"] for place in range(2 * count)]
    assert sorted(numbers[:count]) == sorted(numbers[count:]) == list(range(count))
    assert numbers[:count] != numbers[count:]
    assert {tuple(row) for row in whole} == {
        (*row["input_ids"], *[1] * (17 - len(row["input_ids"])))
        for row in (corpus.rows[n] for n in range(count, 2 * count))
    }


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((12, 0, 5, 1, None), "batch: expected a multiple of the 5 devices, got 12"),
        ((12, 0, 2, 1, 4), "rows_at_once: expected a divisor of the 6 rows .* 2 devices .* batch of 12, got 4"),
    ],
)
def test_batches_that_cannot_be_cut_are_refused(given: tuple[Any, ...], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Layout.of(*given)


# -- states ------------------------------------------------------------------------------------------------------------


class Walk:
    """An engine that knows where it has been: each number is the sum of all it was given."""

    def __init__(self, config: Any, rank: int = 0) -> None:
        model = roberta.RobertaForMaskedLM(config, backend="numpy")
        names = dict.fromkeys(state.parameter_names(config).values())
        arrays = {name: model.state_dict_numpy()[name] for name in names}
        self.layout, self.known = Layout(rank, 1, 1, 12), state.Moments(arrays, arrays, arrays)

    def total(self, count: int) -> int:
        return count

    def step(self, batch: Batch, count: int, rate: float, step: int) -> float:
        gone = np.float32(rate * batch.ids.sum() / count)
        self.known = state.Moments(*({name: x + gone for name, x in arrays.items()} for arrays in self.known))
        return float(gone)

    def moments(self) -> state.Moments:
        return self.known

    def load(self, moments: state.Moments, step: int) -> None:
        self.known = state.Moments(*({name: np.array(x) for name, x in arrays.items()} for arrays in moments))

    def close(self) -> None:
        pass


@pytest.fixture
def walk(recipe: Recipe, corpus: Any) -> Any:
    return lambda rank=0: Walk(recipe.config(corpus.vocab_size, corpus.length), rank)


def test_a_state_is_a_checkpoint(recipe: Any, corpus: Any, walk: Any, tmp_path: Path) -> None:
    told: list[int] = []
    progress = loop.train(recipe, corpus, walk(), tmp_path, 7, lambda step, loss: told.append(step), last=9)
    assert progress.step == 9
    assert told == list(range(1, 10))
    assert len(state.read_losses(tmp_path)) == 9
    model = roberta.RobertaForMaskedLM.from_pretrained(tmp_path)
    assert model.load_report.missing == model.load_report.unexpected == ()
    assert model.config.architectures == ("RobertaForMaskedLM",) or model.config.architectures == ["RobertaForMaskedLM"]
    assert len(roberta.load_tokenizer(tmp_path)) == model.config.vocab_size
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    loop.train(recipe, corpus, walk(), tmp_path, 7)
    assert state.read_about(tmp_path)["step"] == 20
    assert (tmp_path / "notes.txt").exists()


def test_only_the_first_process_writes(recipe: Any, corpus: Any, walk: Any, tmp_path: Path) -> None:
    loop.train(recipe, corpus, walk(rank=1), tmp_path / "run", 7, last=1)
    assert not (tmp_path / "run").exists()


def test_the_state_of_another_run_is_refused(recipe: Any, corpus: Any, walk: Any, runs: Any, tmp_path: Path) -> None:
    loop.train(recipe, corpus, walk(), tmp_path, 1, last=1)
    before = runs.files(tmp_path)
    with pytest.raises(ValueError, match=r"has the state of a run with batch = 12, not 24; give another folder"):
        loop.train(replace(recipe, batch=24), corpus, walk(), tmp_path, 1)
    other = ShardCorpus(corpus.rows.rows.shards.folder, corpus.tokenizer, length=17, seed=1)
    with pytest.raises(ValueError, match=r"corpus = .*'seed': 0"):
        loop.train(recipe, other, walk(), tmp_path, 1)
    assert runs.files(tmp_path) == before


def test_a_folder_of_something_else_is_refused(recipe: Any, corpus: Any, walk: Any, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(ValueError, match="expected the state of a run, a new or an empty folder, got other files"):
        loop.train(recipe, corpus, walk(), tmp_path, 1)
    with pytest.raises(ValueError, match=r"run\.json: expected what a run says of itself"):
        state.read_about(tmp_path)


def test_a_full_disk_leaves_the_state_that_was_there(
    recipe: Any, corpus: Any, walk: Any, runs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop.train(recipe, corpus, walk(), tmp_path, 1, last=1)
    before = runs.files(tmp_path)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(state.np, "save", full)
    with pytest.raises(OSError, match=r"nothing was saved .* what was there is as it was; make room"):
        loop.train(recipe, corpus, walk(), tmp_path, 1)
    assert runs.files(tmp_path) == before


# -- budgets -----------------------------------------------------------------------------------------------------------


def test_a_replica_has_the_same_rows_and_about_the_same_numbers(recipe: Any, corpus: Any, walk: Any) -> None:
    shaken = replicas.Shaken(walk(), seed=0)
    batch = batch_of(corpus, 0, 12, shaken.layout)
    other = shaken.reordered(batch)
    assert sorted(map(tuple, unfolded(other)[0])) == sorted(map(tuple, unfolded(batch)[0]))
    assert not np.array_equal(other.ids.ravel(), batch.ids.ravel())
    assert {shaken.reordered(batch).ids.shape[1] for _ in range(40)} == {1, 2, 3, 4}
    numbers = np.random.default_rng(1).standard_normal(24_000).astype(np.float32)
    steps = (shaken.rounded(numbers) - numbers) / np.spacing(np.abs(numbers))
    assert set(np.round(steps, 3)) <= {-1.0, -0.5, 0.0, 1.0}  # half a unit: below a power of two they are smaller
    # 2,000 of 24,000 move in the mean; its standard deviation is 43.
    assert 2000 - 6 * 43 < (steps != 0).sum() < 2000 + 6 * 43
    assert not shaken.rounded(np.zeros(99, np.float32)).any()


def test_budgets_admit_one_more_draw_and_refuse_what_is_none() -> None:
    rng = np.random.default_rng(0)
    draws = [{"weights.a": 3.0 + rng.standard_normal(500), "losses": np.zeros(3)} for _ in range(9)]
    permitted = replicas.budgets(draws[:8])
    assert all(comparison.passed for comparison in replicas.compare(draws[8], permitted))
    wrong = {"weights.a": draws[8]["weights.a"] + 10.0, "losses": np.array([0.0, 1e-30, 0.0])}
    assert not any(comparison.passed for comparison in replicas.compare(wrong, permitted))
    assert set(replicas.worst(replicas.compare(wrong, permitted))) == {"weights", "losses"}


def test_replicas_with_dropout_are_refused(corpus: Any, walk: Any) -> None:
    with pytest.raises(ValueError, match="expected dropout = attention_dropout = 0"):
        replicas.replicas(preset("tiny"), corpus, walk(), 1)


# -- plans -------------------------------------------------------------------------------------------------------------


def test_parameters_are_those_of_the_published_models() -> None:
    for name, count in (("roberta-base", 124_697_433), ("roberta-large", 355_412_057)):
        assert planning.Plan(PRESETS[name], 8, 1.0, 1.0).parameters == count


def test_operations_are_the_formula() -> None:
    plan = planning.Plan(PRESETS["roberta-base"], 1024, planning.V100, 1.0)
    assert plan.tokens == 500_000 * 8192 * 512
    assert plan.body == 12 * 12 * 768**2
    assert plan.flops / plan.tokens == pytest.approx(
        6 * 12 * 12 * 768**2 + 12 * 12 * 768 * 512 + 6 * 0.15 * (768**2 + 768 * 50265)
    )
    assert plan.device_days == pytest.approx(plan.flops / 125e12 / 86400)


def test_the_papers_day_is_a_day_by_its_own_fraction() -> None:
    recipe = preset("roberta-large", steps=100_000)
    plan = planning.Plan(recipe, 1024, planning.V100, planning.papers_fraction())
    assert plan.device_days == pytest.approx(1024)


def test_fsdp_cuts_what_ddp_keeps_whole() -> None:
    plan = planning.Plan(PRESETS["roberta-large"], 8, planning.V100, 0.1, rows_at_once=1, precision="float32")
    whole, cut = plan.memory, replace(plan, way="fsdp").memory
    for name in ("weights, float32", "gradients, float32", "Adam's two moments, float32"):
        assert cut[name] == whole[name] / 8
    assert sum(whole.values()) > sum(cut.values()) > 16 * plan.parameters / 8


# -- commands ----------------------------------------------------------------------------------------------------------


def said(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(pretrain_shards.app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return " ".join(result.output.replace("│", " ").split())


def test_the_tokenizer_may_have_a_name(shards: Path, tmp_path: Path) -> None:
    other = said("train", shards, tmp_path / "run", "--tokenizer", "austen", code=2)
    assert "tokenizer: expected the one that made the shards" in other
    assert "or one of ['austen']" in said("train", shards, tmp_path / "run", "--tokenizer", "nothing", code=2)


def test_plan_prints_what_it_would_cost(shards: Path) -> None:
    printed = said("plan", "--devices", 1024, "--achieved", 0.3, "--corpus-tokens", 39 * 10**9)
    assert "124,697,433" in printed
    assert "53.8 of 39,000,000,000 tokens" in printed
    assert "30.0% of 125 TFLOP/s (given)" in printed
    assert "the paper's own day" in said("plan", "--shards", shards)


def test_the_page_shows_what_plan_prints() -> None:
    page = (Path(roberta.__file__).parent / "docs" / "pretraining.md").read_text(encoding="utf-8")
    shown = page.partition("pretrain_shards.py plan --devices 8 --rows-at-once 16\n")[2].partition("\n\n")[0]
    assert " ".join(shown.split()) == said("plan", "--devices", 8, "--rows-at-once", 16)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--preset", "base"), "preset: expected one of roberta-base, roberta-large, tiny, got 'base'"),
        (("--engine", "jax"), "engine: expected one of torch, flax, tensorflow, got 'jax'"),
        (("--way", "zero"), "way: expected one of ddp, fsdp, got 'zero'"),
        (("--devices", "2"), "start `torchrun --nproc-per-node 2`"),
    ],
)
def test_train_refuses(shards: Path, tokenizer_folder: Path, tmp_path: Path, options: Any, expected: str) -> None:
    message = said("train", shards, tmp_path / "run", "--tokenizer", tokenizer_folder, *options, code=2)
    assert expected in message
    assert not (tmp_path / "run").exists()


def test_shards_of_another_tokenizer_are_refused(shards: Path, tmp_path: Path) -> None:
    roberta.RobertaTokenizer.train(["other words"], 263).save_pretrained(tmp_path / "tokenizer")
    message = said("train", shards, tmp_path / "run", "--tokenizer", tmp_path / "tokenizer", code=2)
    assert "tokenizer" in message


def test_the_state_says_what_it_is(recipe: Any, corpus: Any, walk: Any, tmp_path: Path) -> None:
    loop.train(recipe, corpus, walk(), tmp_path, 1, last=1)
    about = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    assert pretrain_shards.read_run(corpus.rows.rows.shards.folder, tmp_path)[0] == recipe
    assert about["corpus"] == corpus.identity
