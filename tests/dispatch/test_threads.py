"""Threads that use the package for the first time, all at once: one class of each name, and one engine."""

import subprocess
import sys
from pathlib import Path

import pytest
import roberta

ROOT = Path(roberta.__file__).parent
TOGETHER = """
import sys
from threading import Barrier, Thread

sys.setswitchinterval(1e-6)
import roberta
from roberta.dispatch import api, model, registry

COUNT = 16
barrier, found, failed = Barrier(COUNT), [], []


def first():
    barrier.wait()
    try:
        found.append({action})
    except BaseException as error:
        failed.append(repr(error))


threads = [Thread(target=first) for _ in range(COUNT)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert not failed, failed
print(len(found), len({{id(one) for one in found}}))
"""


def run(action: str, tmp_path: Path) -> str:
    """What a new process prints, where the first use is really the first."""
    (tmp_path / "roberta").symlink_to(ROOT, target_is_directory=True)
    done = subprocess.run(  # noqa: S603  # our own code
        [sys.executable, "-c", TOGETHER.format(action=action)],
        env={"PYTHONPATH": str(tmp_path), "PATH": "", "OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "2"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("attempt", range(3))
def test_threads_that_use_a_class_first_get_one_class(attempt: int, backend: str, tmp_path: Path) -> None:
    assert (
        run(f"type(roberta.RobertaModel(roberta.RobertaConfig(11, 4, 1, 2, 7), backend={backend!r}))", tmp_path)
        == "16 1"
    )


def test_threads_that_load_an_engine_first_get_one_engine(backend: str, tmp_path: Path) -> None:
    assert run(f"registry.load({backend!r})", tmp_path) == "16 1"


def test_a_model_of_one_thread_is_an_instance_of_the_class_that_another_got(tmp_path: Path) -> None:
    made = "roberta.RobertaForMaskedLM(roberta.RobertaConfig(11, 4, 1, 2, 7), backend='numpy')"
    assert run(f"isinstance({made}, roberta.NumpyRobertaForMaskedLM)", tmp_path) == "16 1"
