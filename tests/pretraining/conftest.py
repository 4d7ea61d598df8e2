"""A tiny corpus in shards, and runs on it: in this process, and as commands."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import roberta
from roberta.parity.tolerances import Budget
from roberta.tokenizer.data.shards import write_token_shards

EXAMPLES = Path(roberta.__file__).resolve().parent / "examples"
sys.path.insert(0, str(EXAMPLES))

from pretraining import loop, replicas, state  # noqa: E402  # where it lies is not on the path before
from pretraining.corpus import ShardCorpus  # noqa: E402
from pretraining.engines import new_engine  # noqa: E402
from pretraining.recipe import Recipe, preset  # noqa: E402

SCRIPT = EXAMPLES / "pretrain_shards.py"
#: As the commands say it, and as the fixtures do.
OPTIONS = ["--preset", "tiny", "--length", "17", "--dropout", "0", "--attention-dropout", "0"]
#: Replicas of a run.
COUNT = 12
WORDS = ["she", "he", "walked", "talked", "to", "from", "the", "park", "house", "slowly", "low", "lower", "lowest"]


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    roberta.RobertaTokenizer.train([" ".join(WORDS)] * 9, 271, model_max_length=17).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def shards(tokenizer_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rng = tmp_path_factory.mktemp("corpus") / "shards", np.random.default_rng(0)
    documents = [[rng.integers(4, 270, rng.integers(2, 9)).tolist() for _ in range(13)] for _ in range(11)]
    write_token_shards(documents, folder, roberta.load_tokenizer(tokenizer_folder), shard_tokens=200)
    return folder


@pytest.fixture(scope="session")
def corpus(shards: Path, tokenizer_folder: Path) -> ShardCorpus:
    return ShardCorpus(shards, roberta.load_tokenizer(tokenizer_folder), length=17)


@pytest.fixture(scope="session")
def recipe() -> Recipe:
    return preset("tiny", dropout=0.0, attention_dropout=0.0)


@pytest.fixture(scope="session")
def make(corpus: ShardCorpus) -> Callable[..., loop.Engine]:
    """An engine in this process, on one device."""

    def engine(name: str, recipe: Recipe, **options: Any) -> loop.Engine:
        return new_engine(name, recipe, recipe.config(corpus.vocab_size, corpus.length), **options)

    return engine


@dataclass(frozen=True)
class Runs:
    """Runs as commands, and what they leave behind."""

    shards: Path
    tokenizer: Path

    def command(self, folder: Path, *more: str) -> list[str]:
        """The arguments of Python that train on the shards."""
        return [
            str(SCRIPT),
            "train",
            str(self.shards),
            str(folder),
            "--tokenizer",
            str(self.tokenizer),
            *OPTIONS,
            *more,
        ]

    def start(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """What became of a Python process; one thread, as models are tiny and the machine is shared."""
        given = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
        return subprocess.run(  # noqa: S603  # commands of these tests
            [sys.executable, *arguments], env=given, capture_output=True, text=True, check=False, timeout=100
        )

    def done(self, *arguments: str, **environment: str) -> str:
        """What a process printed that ended well."""
        process = self.start(*arguments, **environment)
        assert process.returncode == 0, process.stderr[-3000:]
        return process.stdout

    def result(self, folder: Path) -> dict[str, Any]:
        """All there is to be compared in a run's folder."""
        return replicas.named(state.read_losses(folder), state.read_moments(folder))

    def files(self, folder: Path) -> dict[str, str]:
        """What is in a run's folder: name -> SHA-256. Of megabytes, pytest would seek differences for hours."""
        return {path.name: sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}

    def extents(self, found: Mapping[str, Any], budgets: Mapping[str, Budget]) -> dict[str, float]:
        """The worst error / budget of losses, weights and both moments."""
        return {kind: one.extent for kind, one in replicas.worst(replicas.compare(found, budgets)).items()}


@pytest.fixture(scope="session")
def runs(shards: Path, tokenizer_folder: Path) -> Runs:
    return Runs(shards, tokenizer_folder)


@pytest.fixture(scope="session")
def budgets_of(make: Callable[..., loop.Engine], recipe: Recipe, corpus: ShardCorpus) -> Callable[[str], Any]:
    """How far a run of an engine may be from another one after twenty steps."""
    return lambda name: replicas.budgets(replicas.replicas(recipe, corpus, make(name, recipe), 20, COUNT))


@pytest.fixture
def adamw(recipe: Recipe, corpus: ShardCorpus) -> Callable[[loop.Engine], None]:
    """Hold the eighth step of an engine, from moments that are given, against the equation in float64."""

    def hold(engine: loop.Engine) -> None:
        rng, step = np.random.default_rng(0), 7
        start = engine.moments()
        zero = {name: np.zeros_like(array) for name, array in start.weights.items()}
        second = {name: rng.uniform(1e-6, 1e-5, array.shape).astype(np.float32) for name, array in zero.items()}
        given = state.Moments(start.weights, zero, second)
        engine.load(given, step)
        for arrays, wanted in zip(engine.moments(), given, strict=True):  # whichever engine wrote them
            assert all(np.array_equal(arrays[name], wanted[name]) for name in wanted)
        list(loop.learn(recipe, corpus, engine, range(step, step + 1)))
        after, (b1, b2), rate, t = engine.moments(), recipe.betas, recipe.rate(step), step + 1
        room = 32 * 2.0**-24  # some twenty roundings, each of at most u, of numbers no larger than those below
        for name, weight in start.weights.items():
            w, m = weight.astype(np.float64), after.first[name].astype(np.float64)
            v = b2 * second[name].astype(np.float64) + (1 - b2) * (m / (1 - b1)) ** 2
            change = rate * m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + recipe.epsilon)
            wanted = w * (1 - rate * recipe.weight_decay * (w.ndim > 1)) - change
            assert np.all(np.abs(after.second[name] - v) <= room * v), name
            assert np.all(np.abs(after.weights[name] - wanted) <= room * (np.abs(w) + np.abs(change))), name

    return hold
