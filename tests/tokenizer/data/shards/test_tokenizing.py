"""A corpus is tokenized once, whoever does it and whatever stops it: the bytes are the same."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from roberta.__main__ import app
from roberta.files import atomic
from roberta.tokenizer import RobertaTokenizerFast
from roberta.tokenizer.data.shards import Reading, TokenShards, tokenize_corpus, tokenizing
from typer.testing import CliRunner

BLANK = Reading("blank", "rule")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Some 90 kB in three files, of 700 documents."""
    folder = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(0)
    words = np.array(
        [
            "the",
            "cat",
            "sat",
            "on",
            "the",
            "mat,",
            "then",
            "it",
            "sat",
            "on",
            "a",
            "hat.",
            "Mats",
            "and",
            "Cats",
            "are",
            "fat.",
        ]
    )
    for name in ("a.txt", "b.txt", "c.txt"):
        paragraphs = [" ".join(rng.choice(words, rng.integers(1, 60))) for _ in range(233)]
        (folder / name).write_text("\n\n".join(paragraphs), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def fast(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    tiny.save_pretrained(folder)
    return RobertaTokenizerFast.from_pretrained(folder)


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def work(corpus, out, tokenizer, **options):
    return tokenize_corpus([corpus], out, tokenizer, **{"reading": BLANK, "shard_bytes": 7001, **options})


@pytest.fixture(scope="module")
def whole(corpus, fast, tmp_path_factory):
    """What an uninterrupted run writes."""
    folder = tmp_path_factory.mktemp("whole") / "tokens"
    work(corpus, folder, fast)
    return folder


# -- what is written ---------------------------------------------------------------------------------------------------


def test_shards_hold_every_document_once_and_in_order(corpus, whole, tiny):
    shards = TokenShards(whole, tiny)
    shards.verify()
    paragraphs = [
        (path, paragraph)
        for path in sorted(corpus.iterdir())
        for paragraph in path.read_text(encoding="utf-8").split("\n\n")
    ]
    assert len(shards) == len(paragraphs) == 699
    assert len(shards.index.shards) > 10
    for at, (path, paragraph) in enumerate(paragraphs):
        ids = [index for sentence in shards[at] for index in sentence.tolist()]
        assert tiny.decode(ids).strip() == paragraph
        file, offset = shards.origin(at)
        assert file == str(path)
        assert path.read_bytes()[offset:].startswith(paragraph.encode())
    longest = max(shards, key=len)
    sentences = [tiny(tiny.decode(one.tolist()), add_special_tokens=False).input_ids for one in longest]
    assert [one.tolist() for one in longest] == sentences


@pytest.mark.parametrize("processes", [2, 5])
def test_the_number_of_processes_does_not_change_a_byte(corpus, whole, fast, tmp_path, processes):
    work(corpus, tmp_path / "tokens", fast, processes=processes)
    assert contents(tmp_path / "tokens") == contents(whole)


def test_the_pure_class_writes_the_same(corpus, whole, tiny, tmp_path):
    work(corpus, tmp_path / "tokens", tiny)
    assert contents(tmp_path / "tokens") == contents(whole)


def test_the_size_of_shards_does_not_change_the_documents(corpus, whole, fast, tmp_path):
    work(corpus, tmp_path / "tokens", fast, shard_bytes=10**6)
    one, many = (
        [[s.tolist() for s in document] for document in TokenShards(folder)] for folder in (tmp_path / "tokens", whole)
    )
    assert one == many


def test_text_that_spells_a_special_token_is_text(fast, tmp_path):
    (tmp_path / "a.txt").write_text("the <mask> cat</s>", encoding="utf-8")
    tokenize_corpus([tmp_path / "a.txt"], tmp_path / "out", fast)
    (sentence,) = TokenShards(tmp_path / "out")[0]
    assert not {fast.mask_token_id, fast.eos_token_id} & set(sentence.tolist())
    assert fast.decode(sentence.tolist()) == "the <mask> cat</s>"


# -- what stops it -----------------------------------------------------------------------------------------------------

KILLED = """
import sys
from pathlib import Path
from roberta.tokenizer import RobertaTokenizerFast
from roberta.tokenizer.data.shards import Reading, tokenize_corpus
if __name__ == "__main__":
    tokenizer = RobertaTokenizerFast.from_pretrained(sys.argv[1])
    print("begun", flush=True)
    tokenize_corpus([sys.argv[2]], sys.argv[3], tokenizer, reading=Reading("blank", "rule"), shard_bytes=7001,
                    processes=int(sys.argv[4]))
"""


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL there")
@pytest.mark.parametrize("processes", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_killed_at_any_moment_it_goes_on_and_the_bytes_are_the_same(corpus, whole, fast, tmp_path, processes):
    """As often as it takes: each run is killed somewhat later than the one before, until one comes to its end."""
    fast.save_pretrained(tmp_path / "tokenizer")
    script, out = tmp_path / "run.py", tmp_path / "tokens"
    script.write_text(KILLED, encoding="utf-8")
    command = [sys.executable, str(script), str(tmp_path / "tokenizer"), str(corpus), str(out), str(processes)]
    kills, seen = 0, set()
    for attempt in range(60):
        run = subprocess.Popen(command, stdout=subprocess.PIPE)  # noqa: S603  (our own)
        assert run.stdout.readline() == b"begun\n"
        try:
            run.wait(timeout=(0.001 + 0.004 * attempt) * (1 if processes == 1 else 20))
        except subprocess.TimeoutExpired:
            run.send_signal(signal.SIGKILL)
            kills += 1
        run.stdout.close()
        status = run.wait()
        seen.add(len(list(out.glob("shard-*"))))
        for path in out.glob("shard-*"):  # what has the name of a shard is whole
            assert path.read_bytes() == (whole / path.name).read_bytes()
        if status == 0:
            break
        assert status == -signal.SIGKILL
        assert not (out / "index.json").exists() or contents(out).items() >= contents(whole).items()
    assert kills >= 2
    assert len(seen) >= 2
    assert contents(out) == contents(whole)


#: What a run does to the disk, each of which it may not live to see done.
STEPS = ("mkstemp", "fsync", "replace")


@pytest.mark.parametrize("step", STEPS)
def test_stopped_before_any_of_its_writes_it_goes_on_and_the_bytes_are_the_same(
    corpus, whole, fast, tmp_path, monkeypatch, step
):
    """Every single write is the last one once; nothing is cleaned up, as after a kill."""
    home = {"mkstemp": atomic.tempfile, "fsync": atomic.os, "replace": Path}[step]
    real, remove, count = getattr(home, step), Path.unlink, {"left": 0}
    work(corpus, tmp_path / "wanted", fast, shard_bytes=30_011)
    wanted = contents(tmp_path / "wanted")

    class Killed(BaseException):
        pass

    def stopping(*args, **options):
        if not count["left"]:
            raise Killed
        count["left"] -= 1
        return real(*args, **options)

    monkeypatch.setattr(home, step, stopping)
    monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)  # who is killed removes nothing
    out = tmp_path / "tokens"
    for before in range(100):
        shutil.rmtree(out, ignore_errors=True)
        count["left"] = before
        try:
            work(corpus, out, fast, shard_bytes=30_011)
            break
        except Killed:
            assert not (out / "index.json").exists()
        count["left"] = 10**6
        with monkeypatch.context() as patch:
            patch.setattr(Path, "unlink", remove)
            work(corpus, out, fast, shard_bytes=30_011)
        assert contents(out) == wanted
    assert before >= 8  # the plan, three or four shards and their notes, the index


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_said_and_nothing_is_lost(corpus, whole, fast, tmp_path, monkeypatch, number):
    real, calls = os.fsync, []

    def full(handle):
        calls.append(handle)
        if len(calls) > 6:
            raise OSError(number, os.strerror(number))
        real(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match=r"2 of 13 shards in .* are whole; make room and give the same command again"):
            work(corpus, tmp_path / "tokens", fast)
    assert not list((tmp_path / "tokens").rglob(".*"))
    work(corpus, tmp_path / "tokens", fast)
    assert contents(tmp_path / "tokens") == contents(whole)


@pytest.mark.skipif(os.name == "nt", reason="no limits there")
def test_a_file_that_may_not_grow_is_said_by_the_command(corpus, fast, tmp_path):
    """The system itself refuses the write, half-way through a shard."""
    fast.save_pretrained(tmp_path / "tokenizer")
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (30000, 30000));"
        "from roberta.__main__ import main; main()"
    )
    arguments = ["tokenize-corpus", str(corpus), "--out", str(tmp_path / "tokens"), "--processes", "1"]
    run = subprocess.run(  # noqa: S603  (our own)
        [sys.executable, "-c", code, *arguments, "--tokenizer", str(tmp_path / "tokenizer")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 2
    assert "0 of 1 shards" in run.stderr
    assert "make room and give the same command again" in run.stderr
    assert "Traceback" not in run.stderr
    assert [path.name for path in (tmp_path / "tokens").rglob("*") if path.is_file()] == ["plan.json"]


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL there")
def test_a_killed_process_is_said_and_the_others_end_with_their_parent(corpus, whole, fast, tmp_path):
    """The first kill hits a worker; the second the parent, whose workers must not go on without it."""
    fast.save_pretrained(tmp_path / "tokenizer")
    script = tmp_path / "run.py"
    script.write_text(KILLED, encoding="utf-8")
    command = [sys.executable, str(script), str(tmp_path / "tokenizer"), str(corpus), str(tmp_path / "tokens"), "2"]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # noqa: S603  (our own)
    workers = wait_for_workers(run.pid)
    os.kill(workers[0], signal.SIGKILL)
    _, said = run.communicate(timeout=60)
    assert b"was killed, perhaps for want of memory" in said or run.returncode == 0
    shutil.rmtree(tmp_path / "tokens", ignore_errors=True)
    run = subprocess.Popen(command, stdout=subprocess.PIPE)  # noqa: S603  (our own)
    workers = wait_for_workers(run.pid)
    run.send_signal(signal.SIGKILL)
    run.communicate()
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{worker}").exists() for worker in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)
    work(corpus, tmp_path / "tokens", fast)
    assert contents(tmp_path / "tokens") == contents(whole)


def wait_for_workers(pid):
    """The two processes that make shards, as soon as they are there; beside them is one that tracks resources."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()
        commands = {int(child): Path(f"/proc/{child}/cmdline").read_bytes() for child in children}
        workers = [child for child, command in commands.items() if b"spawn_main" in command]
        if len(workers) == 2:
            return workers
        time.sleep(0.01)
    raise TimeoutError


# -- what is refused ---------------------------------------------------------------------------------------------------


def test_a_finished_folder_is_left_as_it_is(corpus, whole, fast, monkeypatch):
    before = contents(whole)
    monkeypatch.setattr(tokenizing, "_write_shard", None)
    assert work(corpus, whole, fast).count("documents") == 699
    assert contents(whole) == before


@pytest.mark.parametrize("change", ["tokenizer", "options", "sources"])
def test_a_folder_of_something_else_is_refused(corpus, whole, fast, tiny, change):
    other = RobertaTokenizerFast.train(["another"] * 2, vocab_size=263)
    with pytest.raises(FileExistsError, match="expected a new or an empty folder, or one of the same files"):
        tokenize_corpus(
            [corpus / "a.txt" if change == "sources" else corpus],
            whole,
            other if change == "tokenizer" else fast,
            reading=BLANK,
            shard_bytes=9001 if change == "options" else 7001,
        )


def test_an_input_that_changed_since_is_refused(corpus, fast, tmp_path):
    copy = shutil.copytree(corpus, tmp_path / "corpus")
    out = tmp_path / "tokens"
    begin_and_stop(copy, out, fast)
    with (copy / "b.txt").open("a", encoding="utf-8") as file:
        file.write("more")
    with pytest.raises(
        FileExistsError, match="expected what was begun there, but other sources are given, or the files"
    ):
        work(copy, out, fast)
    assert len(list(out.glob("shard-*"))) == 3
    with pytest.raises(FileExistsError, match="but other options and sources are given"):
        work(copy, out, fast, shard_bytes=9001)
    with pytest.raises(FileNotFoundError, match="give the same command again: it goes on"):
        TokenShards(out)


def test_shards_that_nobody_noted_are_made_again_or_removed(corpus, whole, fast, tmp_path):
    begin_and_stop(corpus, tmp_path / "tokens", fast)
    (tmp_path / "tokens" / "unfinished" / "00001.json").unlink()
    (tmp_path / "tokens" / "shard-00001.safetensors").write_bytes(b"half")
    (tmp_path / "tokens" / "shard-00099.safetensors").write_bytes(b"of another plan")
    work(corpus, tmp_path / "tokens", fast)
    assert contents(tmp_path / "tokens") == contents(whole)


def begin_and_stop(corpus, out, tokenizer):
    class Stop(Exception):  # noqa: N818
        pass

    def three(numbers):
        yield from numbers[:3]
        raise Stop

    with pytest.raises(Stop):
        work(corpus, out, tokenizer, track=three)


def test_two_runs_at_once_are_refused(corpus, fast, tmp_path):
    def during(numbers):
        with pytest.raises(FileExistsError, match="another run is at work in it"):
            work(corpus, tmp_path / "tokens", fast)
        return numbers

    work(corpus, tmp_path / "tokens", fast, track=during)


def test_a_folder_with_other_files_is_refused(corpus, fast, tmp_path):
    (tmp_path / "letter").touch()
    with pytest.raises(FileExistsError, match="expected a new or an empty folder, found letter"):
        work(corpus, tmp_path, fast)
    with pytest.raises(FileExistsError, match="expected a folder to write into, found a file"):
        work(corpus, tmp_path / "letter", fast)


def test_a_folder_inside_the_input_is_refused(corpus, fast):
    with pytest.raises(ValueError, match="expected a folder outside the input, got one in"):
        work(corpus, corpus / "tokens", fast)
    assert not (corpus / "tokens").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"processes": 0}, "processes: expected at least 1, got 0"),
        ({"shard_bytes": 0}, "shard_bytes: expected at least 1, got 0"),
        ({"errors": "ignore"}, "errors: expected strict or skip, got 'ignore'"),
    ],
)
def test_options_out_of_range_are_refused(corpus, fast, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        work(corpus, tmp_path, fast, **options)


# -- what cannot be read -----------------------------------------------------------------------------------------------


@pytest.fixture
def damaged(tmp_path):
    folder = tmp_path / "damaged"
    folder.mkdir()
    (folder / "a.jsonl").write_text('{"text": "the cat"}\n{"text": 5}\n{"text": "on"}\n', encoding="utf-8")
    (folder / "b.txt").write_bytes(b"\xff")
    (folder / "c.txt").touch()
    return folder


def test_an_unreadable_document_stops_the_run_by_name(damaged, fast, tmp_path):
    with pytest.raises(
        ValueError, match=r"a\.jsonl, line 2: text: expected a text .* got int 5; mend it, or skip errors"
    ):
        tokenize_corpus([damaged / "a.jsonl"], tmp_path / "out", fast)
    with pytest.raises(
        ValueError, match=r"c\.txt: expected documents, the file is empty; leave it out, or skip errors"
    ):
        tokenize_corpus([damaged], tmp_path / "out2", fast)


@pytest.mark.parametrize("processes", [1, 2])
def test_unreadable_documents_are_noted_where_that_is_asked_for(damaged, fast, tmp_path, processes):
    index = tokenize_corpus([damaged], tmp_path / "out", fast, errors="skip", shard_bytes=30, processes=processes)
    lines = (tmp_path / "out" / "errors.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["where"].rpartition("/")[2] for line in lines] == [
        "c.txt",
        "a.jsonl, line 2",
        "b.txt, line 1",
    ]
    assert index.skipped == 3
    assert [fast.decode(document[0].tolist()) for document in TokenShards(tmp_path / "out")] == ["the cat", "on"]


def test_a_run_that_an_error_stopped_goes_on_where_errors_are_skipped(damaged, fast, tmp_path):
    options = {"shard_bytes": 20}
    with pytest.raises(ValueError, match="line 2"):
        tokenize_corpus([damaged / "a.jsonl"], tmp_path / "out", fast, **options)
    tokenize_corpus([damaged / "a.jsonl"], tmp_path / "out", fast, errors="skip", **options)
    tokenize_corpus([damaged / "a.jsonl"], tmp_path / "new", fast, errors="skip", **options)
    assert contents(tmp_path / "out") == contents(tmp_path / "new")


# -- the command -------------------------------------------------------------------------------------------------------


def test_the_command_says_what_it_wrote(corpus, fast, tmp_path):
    fast.save_pretrained(tmp_path / "tokenizer")
    arguments = ["tokenize-corpus", str(corpus), "--out", str(tmp_path / "out"), "--documents", "blank"]
    run = CliRunner().invoke(app, [*arguments, "--tokenizer", str(tmp_path / "tokenizer"), "--processes", "1"])
    assert run.exit_code == 0, run.output
    shards = TokenShards(tmp_path / "out", fast)
    sentences = shards.index.count("sentences")
    assert f"699 documents, {sentences:,} sentences, {shards.tokens:,} tokens in 1 shards" in run.output


def test_the_command_says_what_it_left_out(damaged, fast, tmp_path):
    fast.save_pretrained(tmp_path / "tokenizer")
    arguments = ["tokenize-corpus", str(damaged), "--out", str(tmp_path / "out"), "--errors", "skip"]
    run = CliRunner().invoke(app, [*arguments, "--tokenizer", str(tmp_path / "tokenizer"), "--processes", "1"])
    assert run.exit_code == 0, run.output
    assert "errors.jsonl: 3 documents could not be read, and were left out" in run.output
