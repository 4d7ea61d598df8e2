"""`examples/bulk_ray.py` and `bulk_spark.py`: each row once, as one process has it, whatever is killed meanwhile."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from itertools import product
from pathlib import Path

import numpy as np
import psutil
import pyarrow.dataset
import pytest
import roberta

ROOT = Path(roberta.__file__).resolve().parent
ROWS = 2000
WHO = ("She", "Emma", "Mr. Knightley", "The lady")
HOW = ("was glad", "was not glad at all", "said that it was late, and that it was")
WHAT = ("to see him.", "to be seen.", "to be at home!")
SENTENCES = [f"{who} {how} {what}" for who, how, what in product(WHO, HOW, WHAT)]
NEEDS_JAVA = pytest.mark.skipif(
    shutil.which("java") is None,
    reason="Spark needs Java 17 or later, and there is no `java`: apt install openjdk-17-jre",
)
pytestmark = pytest.mark.slow


class Run:
    """A run of an example in a process of its own, with all the processes that it starts."""

    def __init__(self, name, folder, novelist, part_size):
        files = folder / "novel.txt"
        files.write_text("\n\n".join(" ".join(SENTENCES[at : at + 9]) for at in range(0, 36, 9)), encoding="utf-8")
        self.out = folder / "out"
        command = [sys.executable, f"examples/{name}.py", str(files), "--out", str(self.out), "--count", str(ROWS)]
        command += ["--model", novelist, "--label-model", novelist, "--part-size", str(part_size)]
        self.log = (folder / "log").open("a+", encoding="utf-8")
        how = {"stdout": self.log, "stderr": self.log, "cwd": ROOT, "env": {**os.environ, "PYTHONUNBUFFERED": "1"}}
        self.process = psutil.Popen([*command, "--backend", "numpy", "--batch-size", "16"], **how)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()
        self.log.close()

    def parts(self, pattern):
        """The parts that are there, whole."""
        return sorted(self.out.glob(pattern))

    def until(self, condition):
        """Wait, for as long as the run goes on."""
        end = time.monotonic() + 120
        while not (found := condition()):
            assert self.process.poll() is None, f"the run has ended before its time:\n{self.said()}"
            assert time.monotonic() < end, f"two minutes are over:\n{self.said()}"
            time.sleep(0.01)
        return found

    def workers(self, is_worker):
        """Those of its processes that compute."""
        found = []
        for process in self.process.children(recursive=True):
            try:
                if is_worker(process):
                    found.append(process)
            except psutil.NoSuchProcess:  # it ended while it was looked at
                continue
        return found

    def kill(self):
        """All of it, at once, as when the machine dies."""
        try:
            processes = [self.process, *self.process.children(recursive=True)]
        except psutil.NoSuchProcess:
            return
        for process in processes:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(processes, 30)

    def finish(self):
        """To the end, which must be a good one."""
        assert self.process.wait(120) == 0, self.said()

    def said(self):
        self.log.seek(0)
        return self.log.read()


def is_ray_worker(process):
    return process.cmdline()[:1] == ["ray::MapBatches(Predictor)->MapBatches(Predictor)->MapBatches(write_part)"]


def is_spark_worker(process):
    return "pyspark.daemon" in process.cmdline() and "pyspark.daemon" in process.parent().cmdline()


CASES = [
    pytest.param("bulk_ray", is_ray_worker, 200, "part-*.parquet", id="ray"),
    pytest.param("bulk_spark", is_spark_worker, 250, "part=*/_SUCCESS", marks=NEEDS_JAVA, id="spark"),
]


@pytest.mark.parametrize(("name", "is_worker", "part_size", "whole"), CASES)
def test_each_row_is_there_once_when_a_worker_and_then_all_are_killed(
    name, is_worker, part_size, whole, tmp_path, novelist, score_limits, vector_limits
):
    with Run(name, tmp_path, novelist, part_size) as run:
        run.until(lambda: run.parts(whole))
        victims = run.until(lambda: run.workers(is_worker))
        for victim in victims:
            victim.kill()
        before = len(run.parts(whole))
        assert before < ROWS // part_size - 2, "it was too quick to be killed in the middle"
        run.until(lambda: len(run.parts(whole)) > before)  # others took over
        run.kill()
    done = {path: path.stat().st_mtime_ns for path in run.parts(whole)}
    assert before < len(done) < ROWS // part_size
    with Run(name, tmp_path, novelist, part_size) as again:
        again.finish()
        assert f"{len(done)} of {ROWS // part_size} parts are there already" in again.said()
    assert {path: path.stat().st_mtime_ns for path in done} == done
    require_rows(run.out, novelist, score_limits, vector_limits)


def require_rows(out, novelist, score_limits, vector_limits):
    """Each row once, with what one process answers, to within what float32 may err in batches of other rows."""
    table = pyarrow.dataset.dataset(out, partitioning="hive", exclude_invalid_files=False).to_table().sort_by("row")
    assert table["row"].to_pylist() == list(range(ROWS))
    texts = table["text"].to_pylist()
    assert texts == [SENTENCES[row % len(SENTENCES)] for row in range(ROWS)]
    embed = roberta.task("feature-extraction", novelist, backend="numpy", pooling="mean", normalize=True)
    label = roberta.task("text-classification", novelist, backend="numpy")
    answers = dict(zip(SENTENCES, label(SENTENCES), strict=True))
    vectors = dict(zip(SENTENCES, (record.vector for record in embed(SENTENCES)), strict=True))
    assert table["label"].to_pylist() == [answers[text].label for text in texts]
    scores = dict(zip(SENTENCES, score_limits(SENTENCES), strict=True))
    apart = np.abs(table["score"].to_numpy() - [answers[text].score for text in texts])
    assert (apart <= [scores[text] for text in texts]).all()
    limits = dict(zip(SENTENCES, vector_limits(SENTENCES), strict=True))
    apart = np.abs(np.array(table["vector"].to_pylist()) - [vectors[text] for text in texts])
    assert (apart <= [limits[text] for text in texts]).all()


@pytest.mark.parametrize("name", ["bulk_ray", "bulk_spark"])
def test_another_run_and_a_model_without_the_head_are_refused_at_once(tmp_path, novelist, name):
    (tmp_path / "novel.txt").write_text(" ".join(SENTENCES), encoding="utf-8")

    def told(*options):
        command = [sys.executable, f"examples/{name}.py", str(tmp_path / "novel.txt"), "--out", str(tmp_path / "out")]
        found = subprocess.run(  # noqa: S603
            [*command, "--backend", "numpy", *options], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert found.returncode == 2
        return " ".join(found.stderr.replace("│", " ").split())

    assert "required a checkpoint with all parameters" in told("--label-model", "austen", "--count", "20")
    (tmp_path / "out").mkdir(exist_ok=True)
    assert list((tmp_path / "out").iterdir()) == []
    (tmp_path / "out" / "_run.json").write_text('{"files": ["novel.txt"], "count": 30}', encoding="utf-8")
    assert "with count = 30, got 20; give another --out" in told("--label-model", novelist, "--count", "20")
