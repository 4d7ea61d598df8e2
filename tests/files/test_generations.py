"""Files that are replaced together: the old ones or the new ones, whenever and however the process ends."""

import errno
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import roberta
from roberta.files import generations
from roberta.files.generations import BESIDE, JOURNAL, finish, new_generation

ROOT = Path(roberta.__file__).parent


def belongs(name: str) -> bool:
    return name.endswith(".part")


def save(folder: Path, content: str, names: tuple[str, ...] = ("x.part", "y.part", "config")) -> None:
    with new_generation(folder, belongs) as beside:
        for name in names:
            (beside / name).write_text(content)


def files(folder: Path) -> dict[str, str]:
    finish(folder)
    return {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}


# -- what stands afterwards --------------------------------------------------------------------------------------------


def test_files_of_an_earlier_generation_go_and_others_stay(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "inner").mkdir()
    save(tmp_path, "old", ("x.part", "y.part", "z.part", "config"))
    save(tmp_path, "new", ("y.part", "zz.part", "config"))
    assert files(tmp_path) == {"notes.txt": "mine", **dict.fromkeys(("y.part", "zz.part", "config"), "new")}
    assert {path.name for path in tmp_path.iterdir()} == {"notes.txt", "inner", "y.part", "zz.part", "config"}


def test_files_are_made_for_whom_the_folder_admits(tmp_path: Path) -> None:
    save(tmp_path / "a" / "b", "x")
    (tmp_path / "plain").write_text("x")
    wanted = (tmp_path / "plain").stat().st_mode
    assert {path.stat().st_mode for path in (tmp_path / "a" / "b").iterdir()} == {wanted}


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt(), ValueError("x")]
)
def test_a_failure_while_files_are_written_leaves_what_was_there(error: BaseException, tmp_path: Path) -> None:
    save(tmp_path, "old")

    def fail() -> None:
        with new_generation(tmp_path, belongs) as beside:
            (beside / "x.part").write_text("new")
            raise error

    with pytest.raises(type(error)) as caught:
        fail()
    if isinstance(error, OSError):
        assert isinstance(caught.value, OSError)
        assert caught.value.errno == errno.ENOSPC
        assert "what was there is as it was; make room, or give a folder on another disk" in str(caught.value)
    assert files(tmp_path) == dict.fromkeys(("x.part", "y.part", "config"), "old")
    assert len([*tmp_path.iterdir()]) == 3


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a system without a device that is always full")
def test_a_full_device_is_a_full_disk(tmp_path: Path) -> None:
    save(tmp_path, "old")

    def write() -> None:
        with new_generation(tmp_path, belongs), Path("/dev/full").open("w") as file:
            file.write("x" * 10**6)

    with pytest.raises(OSError, match=r"No space left on device: nothing was saved into .*make room"):
        write()
    assert files(tmp_path)["x.part"] == "old"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_into_is_named(tmp_path: Path) -> None:
    save(tmp_path, "old")
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(PermissionError, match=r"nothing was saved into .*this user may write into"):
            save(tmp_path, "new")
    finally:
        tmp_path.chmod(0o755)
    assert files(tmp_path)["x.part"] == "old"


def test_an_error_of_permission_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise PermissionError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("tempfile.mkdtemp", refuse)
    with pytest.raises(PermissionError, match=r"Read-only file system: nothing was saved .*may write into"):
        save(tmp_path, "new")


def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")
    with pytest.raises(NotADirectoryError, match="x is a file; a folder is needed"):
        save(tmp_path / "x", "new")


@pytest.mark.parametrize(
    "content",
    [
        b"{", b"[]", b"{}", b"\xff", b"[" * 100_000,
        json.dumps({"from": "..", "take": [], "remove": []}).encode(),
        json.dumps({"from": f"{BESIDE}/../..", "take": [], "remove": []}).encode(),
        json.dumps({"from": f"{BESIDE}x", "take": ["../a"], "remove": []}).encode(),
        json.dumps({"from": f"{BESIDE}x", "take": [], "remove": ["/etc/passwd"]}).encode(),
        json.dumps({"from": f"{BESIDE}x", "take": [3], "remove": []}).encode(),
        json.dumps({"from": f"{BESIDE}x", "take": ["a\0"], "remove": []}).encode(),
    ],
    ids=range(11),
)  # fmt: skip
def test_a_journal_that_is_none_is_refused_and_leads_nowhere(content: bytes, tmp_path: Path) -> None:
    folder = tmp_path / "inner"
    save(folder, "old")
    (tmp_path / "a").write_text("outside")
    (folder / JOURNAL).write_bytes(content)
    with pytest.raises(ValueError, match=r"generation.json is damaged: .*names of files in this folder; remove it"):
        finish(folder)
    assert (tmp_path / "a").read_text() == "outside"


# -- who is stopped ----------------------------------------------------------------------------------------------------


def steps(folder: Path, monkeypatch: pytest.MonkeyPatch, stop_at: int) -> bool:
    """Save "new", and end before the given change of the folder; whether there was one so far."""
    done = 0

    def stopped(real: Any) -> Any:
        def step(*arguments: Any, **options: Any) -> Any:
            nonlocal done
            if done == stop_at:
                raise SystemExit  # nothing behind it is carried out: see below
            done += 1
            return real(*arguments, **options)

        return step

    with monkeypatch.context() as patched:
        for owner, name in ((Path, "replace"), (Path, "unlink"), (Path, "write_text"), (os, "fsync")):
            patched.setattr(owner, name, stopped(getattr(owner, name)))
        # as by kill -9: nobody cleans up
        patched.setattr("shutil.rmtree", lambda *_, **__: None)
        try:
            save(folder, "new", ("y.part", "z.part", "config"))
        except SystemExit:
            return True
    return False


def test_it_may_be_stopped_before_every_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = dict.fromkeys(("x.part", "y.part", "config"), "old")
    new = dict.fromkeys(("y.part", "z.part", "config"), "new")
    seen = set[str]()
    for stop_at in range(100):
        folder = tmp_path / str(stop_at)
        save(folder, "old")
        was_stopped = steps(folder, monkeypatch, stop_at)
        alone = {path.name: path.read_text() for path in folder.glob("*") if path.is_file()}
        # somebody who knows of no journal finds one generation, or no weights; a mixture never
        parts = {alone[name] for name in ("y.part", "z.part") if name in alone}
        assert "config" not in alone or not parts or parts == {alone["config"]}
        found = files(folder)
        assert found in (old, new)
        seen.add(found["config"])
        save(folder, "newest")
        assert files(folder) == dict.fromkeys(("x.part", "y.part", "config"), "newest")
        assert len([*folder.iterdir()]) == 3
        if not was_stopped:
            break
    assert stop_at > 10
    assert seen == {"old", "new"}


KILLS = """
import os, signal, sys, time
from pathlib import Path
import numpy as np
from roberta.dispatch.checkpoint import read_checkpoint
from roberta.dispatch.writing import byte_count, write_checkpoint
from roberta.reference.config import RobertaConfig


def config_of(number):
    return RobertaConfig(vocab_size=number + 10, hidden_size=4, num_hidden_layers=1, num_attention_heads=1)


def save_without_end(number, folder):
    while True:
        number += 1
        state = {f"w{i}": np.full(5_000, number, np.float32) for i in range(4)}
        size = byte_count("25KB" if number % 2 else "5GB")
        form = "pytorch" if number % 3 == 0 else "safetensors"
        write_checkpoint(folder, config_of(number), state, "float32", "model", form, size)


folder, rng, last, kills = Path(sys.argv[1]), np.random.default_rng(0), 0, 0
def save_one():
    state = {f"w{i}": np.zeros(9, np.float32) for i in range(4)}
    write_checkpoint(folder, config_of(0), state, "float32", "model")


save_one()
while kills < 300:
    child = os.fork()
    if child == 0:
        save_without_end(last, folder)
    time.sleep(rng.uniform(0.0, 0.06))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    kills += 1
    beside = [path for path in folder.iterdir() if path.name.startswith(".saving-")]
    config, tensors, _ = read_checkpoint(folder, RobertaConfig)
    numbers = {int(value) for array in tensors.values() for value in np.unique(array)}
    if len(tensors) != 4 or numbers != {config.vocab_size - 10} or config.vocab_size - 10 < last or len(beside) > 1:
        print("mixed", kills, numbers, config.vocab_size - 10, last, beside)
        break
    last = config.vocab_size - 10
save_one()
names = [path.name for path in folder.iterdir()]
left = [name for name in names if not name.startswith("pytorch_model")]  # of a save in another format
print(kills, sorted(left))
"""


def generation_of(folder: Path) -> int:
    """The one number that config and all weights have."""
    from roberta.dispatch.checkpoint import read_checkpoint

    config, tensors, _ = read_checkpoint(folder, roberta.RobertaConfig)
    numbers = {int(value) for array in tensors.values() for value in np.unique(array)}
    assert len(tensors) == 4
    assert numbers == {config.vocab_size - 10}
    return config.vocab_size - 10


@pytest.mark.slow
def test_three_hundred_kills_leave_one_generation_each(tmp_path: Path) -> None:
    (tmp_path / "roberta").symlink_to(ROOT, target_is_directory=True)
    done = subprocess.run(  # noqa: S603  # our own code
        [sys.executable, "-c", KILLS, str(tmp_path / "checkpoint")],
        env={"PYTHONPATH": str(tmp_path), "PATH": ""}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.stdout.strip(), done.returncode) == ("300 ['config.json', 'model.safetensors']", 0), done.stderr


def test_readers_beside_a_writer_find_one_generation(tmp_path: Path) -> None:
    from roberta.dispatch.writing import byte_count, write_checkpoint

    def write(number: int) -> None:
        state = {f"w{i}": np.full(500, number, np.float32) for i in range(4)}
        config = roberta.RobertaConfig(
            vocab_size=number + 10, hidden_size=4, num_hidden_layers=1, num_attention_heads=1
        )
        write_checkpoint(
            tmp_path, config, state, "float32", "model", "safetensors", byte_count(["3KB", "5GB"][number % 2])
        )

    write(1)
    failed = list[BaseException]()
    is_done = threading.Event()

    def read() -> None:
        try:
            while not is_done.is_set():
                generation_of(tmp_path)
        except BlockingIOError:
            pass  # it says so
        except BaseException as error:  # noqa: BLE001  # told to the test
            failed.append(error)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for number in range(2, 40):
        write(number)
        time.sleep(0.01)
    is_done.set()
    for reader in readers:
        reader.join()
    assert failed == []
    assert generation_of(tmp_path) == 39


def test_what_somebody_else_is_writing_is_not_removed(tmp_path: Path) -> None:
    with new_generation(tmp_path, belongs) as beside:
        (beside / "x.part").write_text("slow")
        save(tmp_path, "fast")
        assert (beside / "x.part").exists()
    assert files(tmp_path)["x.part"] == "slow"
    assert generations.stamp(tmp_path, ["x.part"])[0] is None
