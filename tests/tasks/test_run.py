"""`roberta run`: each row once, in every format, whatever happens meanwhile."""

from __future__ import annotations

import bz2
import csv
import datetime
import decimal
import gzip
import io
import json
import lzma
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import roberta
from roberta import __main__ as command
from roberta.tasks.running import journal, reading
from roberta.tasks.running import run as running
from roberta.tasks.running.reading import read_rows
from roberta.tasks.running.run import run

NAMES = ["Emma", "Anne", "Fanny", "Elinor", "Jane", "Kitty", "Lydia", "Mary", "Maria"]
LINES = [f"She was <mask> to see {name}." for name in NAMES]
LINES[3] = "no mask here"


@pytest.fixture(scope="module")
def task() -> Any:
    return roberta.task("fill-mask", "austen", backend="numpy", top_k=2, batch_size=1)


@pytest.fixture(scope="module")
def embed() -> Any:
    return roberta.task("feature-extraction", "austen", backend="numpy", pooling="first", batch_size=2)


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: Any) -> None:
    monkeypatch.setattr(running, "LOOKAHEAD", 2)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in.txt"
    path.write_text("\n".join(LINES) + "\n", encoding="utf-8")
    return path


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def read(content: bytes, form: str) -> list[Any]:
    return [(row.line, row.fields or row.problem) for row in read_rows(io.BytesIO(content), form)]


# -- reading -----------------------------------------------------------------------------------------------------------


def test_lines() -> None:
    content = b"\xef\xbb\xbfone\r\n\n\xff\n last"
    said = "no UTF-8: byte 0xff at place 0"
    assert read(content, "text") == [(1, {"text": "one"}), (2, {"text": ""}), (3, said), (4, {"text": " last"})]
    assert [row.end for row in read_rows(io.BytesIO(content), "text")][-1] == len(content)


def test_csv() -> None:
    content = 'id,text\n1,"a, ""b""\nc"\n2\n3,é\n4,"open'.encode()
    first, second, third, last = read(content, "csv")
    assert first == (2, {"id": "1", "text": 'a, "b"\nc'})
    assert second == (4, "required 2 cells, as in the first line, got 1")
    assert third == (5, {"id": "3", "text": "é"})
    assert last[0] == 6
    assert last[1].startswith("no CSV: ")
    assert read(b"a\tb\n1\t2\n", "tsv") == [(2, {"a": "1", "b": "2"})]
    assert read(b'a\n\n""\n\r\n', "csv") == [(3, {"a": ""})]  # an empty line is no row
    assert read(b"a\n\xff\n", "csv") == [
        (2, "no UTF-8: byte 0xff at place 0"),
    ]
    for broken in (b"", b"a,a\n1,2\n", b"\xff,b\n1,2\n"):
        with pytest.raises(ValueError, match="CSV: required a first line with the names of the columns"):
            read(broken, "csv")


def test_json_lines() -> None:
    content = b'{"text": "a", "n": [1]}\n"b"\n\n[1]\n{"text"\n' + b"[" * 100_000
    assert read(content, "jsonl")[:4] == [
        (1, {"text": "a", "n": [1]}),
        (2, {"text": "b"}),
        (3, "an empty line, where a JSON object is required"),
        (4, "required a JSON object or a string, got list"),
    ]
    assert [said.partition(":")[0] for _, said in read(content, "jsonl")[4:]] == ["no JSON", "no JSON"]


def test_spreadsheets_of_other_countries_and_other_encodings() -> None:
    assert read(b"id;text\n1;She was, and is.\n", "csv") == [(2, {"id": "1", "text": "She was, and is."})]
    assert read(b'text,n\n"a;b",1\n', "csv") == [(2, {"text": "a;b", "n": "1"})]
    assert read(b"text\na;b\n", "csv") == [(2, {"text": "a;b"})]
    for form in ("csv", "tsv", "text", "jsonl"):
        with pytest.raises(ValueError, match=r"required text in UTF-8, got zero bytes .*--format"):
            read("id,text\n".encode("utf-16"), form)
    with pytest.raises(ValueError, match="got no UTF-8: byte 0xef at place 2"):
        read("naïve\n".encode("latin-1"), "csv")


def test_files_called_json() -> None:
    assert reading.format_of(Path("mails.json")) == "jsonl"
    for content in (b'[{"text": "a"}]\n', b'[\n  {"text": "a"}\n]\n', b'{\n  "text": "a"\n}\n'):
        with pytest.raises(ValueError, match=r"required JSON lines, .* a line of its own"):
            read(content, "jsonl")


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz"])
def test_compressed_files(embed: Any, tmp_path: Path, suffix: str) -> None:
    source, out = tmp_path / f"in.csv{suffix}", tmp_path / "out.jsonl"
    with {".gz": gzip, ".bz2": bz2, ".xz": lzma}[suffix].open(source, "wb") as file:
        file.write(b"text\nShe was.\nHe was.\n")
    assert run(embed, source, out).rows == 2
    assert [row["text"] for row in rows_of(out)] == ["She was.", "He was."]
    content = source.read_bytes()
    for broken in (content[: len(content) // 2], content[:-9] + bytes(9)):
        source.write_bytes(broken)
        with pytest.raises(ValueError, match=f"expected a file that {suffix[1:]} can decompress, got a damaged one"):
            run(embed, source, out, is_new=True)


def test_parquet(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow", reason="Parquet is read by pyarrow")
    from pyarrow import parquet

    parquet.write_table(pa.table({"text": ["a", None], "n": [1, 2]}), tmp_path / "in.parquet")
    content = (tmp_path / "in.parquet").read_bytes()
    assert read(content, "parquet") == [(1, {"text": "a", "n": 1}), (2, {"text": None, "n": 2})]
    with pytest.raises(ValueError, match="expected a file of Parquet"):
        read(content[:-9], "parquet")


# -- a run -------------------------------------------------------------------------------------------------------------


def test_each_row_is_answered_or_told(task: Any, source: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out.jsonl"
    told: list[tuple[int, int]] = []
    summary = run(task, source, out, tell=lambda rows, end: told.append((rows, end)))
    assert (summary.rows, summary.failed, summary.skipped) == (9, 1, 0)
    assert [row["line"] for row in rows_of(out)] == [1, 2, 3, 5, 6, 7, 8, 9]
    for row in rows_of(out):
        (expected,) = [task(row["text"])]
        assert row["token_str"] == [[one.token_str for one in expected]]
        assert row["score"] == [[pytest.approx(one.score, rel=1e-5) for one in expected]]
    (bad,) = rows_of(tmp_path / "deep" / "out.jsonl.errors.jsonl")
    assert (bad["line"], bad["input"]) == (4, {"text": LINES[3]})
    assert "required at least one mask" in bad["error"]
    assert told[-1] == (9, source.stat().st_size)
    assert sorted(path.name for path in out.parent.iterdir()) == ["out.jsonl", "out.jsonl.errors.jsonl"]
    with pytest.raises(FileExistsError, match=r"out.jsonl: is there already; .*--restart"):
        run(task, source, out)
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(FileExistsError, match=r"notes.txt: is there already"):
        run(task, source, tmp_path / "new.jsonl", errors=tmp_path / "notes.txt")
    assert run(task, source, out, is_new=True).rows == 9


class Killed(BaseException):
    """What stands for the end of the process."""


@pytest.mark.parametrize("torn", [0.0, 0.5, 1.0], ids=["before", "torn", "after"])
def test_killed_at_every_write(task: Any, source: Path, tmp_path: Path, monkeypatch: Any, torn: float) -> None:
    whole = tmp_path / "whole.jsonl"
    run(task, source, whole)
    write, count = journal._written, [0]

    def until(file: Any, content: bytes, *, stop: int) -> None:
        count[0] += 1
        if count[0] == stop:
            file.write(content[: int(len(content) * torn)])
            file.flush()
            raise Killed
        write(file, content)

    stops, skipped = 0, []
    while True:
        stops += 1
        out = tmp_path / f"{stops}.jsonl"
        count[0] = 0
        monkeypatch.setattr(journal, "_written", lambda file, content: until(file, content, stop=stops))  # noqa: B023
        try:
            run(task, source, out)
        except Killed:
            assert not out.exists()
        else:
            break
        monkeypatch.setattr(journal, "_written", write)
        summary = run(task, source, out)
        assert out.read_bytes() == whole.read_bytes()
        assert (tmp_path / f"{out.name}.errors.jsonl").read_bytes() == (
            tmp_path / "whole.jsonl.errors.jsonl"
        ).read_bytes()
        skipped.append(summary.skipped)
    assert skipped == sorted(skipped)
    assert set(skipped) >= {0, 2, 4, 6, 8}


def test_killed_for_real(source: Path, tmp_path: Path) -> None:
    source.write_text("\n".join(f"She was <mask> to see {number} of them." for number in range(97)), encoding="utf-8")
    out = tmp_path / "out.jsonl"
    arguments = [
        "fill-mask",
        str(source),
        "--out",
        str(out),
        "--model",
        "austen",
        "--backend",
        "numpy",
        "--batch-size",
        "1",
    ]
    run_it = [sys.executable, "-m", "roberta", "run", *arguments]
    kills = 0
    while True:
        process = subprocess.Popen(run_it, stderr=subprocess.PIPE, text=True)  # noqa: S603  # our own
        part = tmp_path / "out.jsonl.journal"
        before = part.stat().st_size if part.exists() else 0
        while (
            process.poll() is None and not out.exists() and (part.stat().st_size if part.exists() else 0) <= before + 1
        ):
            time.sleep(0.001)
        if kills < 3:
            process.send_signal(signal.SIGKILL)
        _, said = process.communicate()
        kills += process.returncode == -signal.SIGKILL
        if process.returncode == 0:
            break
    assert kills == 3
    assert "97 of 97 rows answered" in said
    assert [row["line"] for row in rows_of(out)] == list(range(1, 98))
    assert [row["text"] for row in rows_of(out)] == source.read_text(encoding="utf-8").splitlines()


def test_a_full_disk_loses_nothing(task: Any, source: Path, tmp_path: Path, monkeypatch: Any) -> None:
    out, write = tmp_path / "out.jsonl", journal._written

    def full(file: Any, content: bytes) -> None:
        if file.tell() > 700:
            raise OSError(28, "No space left on device")
        write(file, content)

    monkeypatch.setattr(journal, "_written", full)
    with pytest.raises(OSError, match="No space left"):
        run(task, source, out)
    monkeypatch.setattr(journal, "_written", write)
    assert run(task, source, out).skipped > 0
    assert [row["line"] for row in rows_of(out)] == [1, 2, 3, 5, 6, 7, 8, 9]


def test_a_limit_of_the_system_loses_nothing(source: Path, tmp_path: Path) -> None:
    pytest.importorskip("resource", reason="limits are POSIX's")
    out = tmp_path / "out.jsonl"
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (900, 900)); sys.argv[0] = 'roberta';"
        "from roberta.__main__ import main; main()"
    )
    arguments = ["run", "fill-mask", str(source), "--out", str(out), "--backend", "numpy", "--batch-size", "1"]
    found = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)  # noqa: S603
    assert found.returncode == 2
    assert "File too large" in found.stderr
    assert "Traceback" not in found.stderr
    assert not out.exists()
    again = subprocess.run([sys.executable, "-m", "roberta", *arguments], capture_output=True, text=True, check=False)  # noqa: S603
    assert again.returncode == 1
    assert [row["line"] for row in rows_of(out)] == [1, 2, 3, 5, 6, 7, 8, 9]


def test_another_run_is_not_gone_on_with(task: Any, source: Path, tmp_path: Path, monkeypatch: Any) -> None:
    out, write = tmp_path / "out.jsonl", journal._written

    def stop(file: Any, content: bytes) -> None:
        if file.tell() > 400:
            raise Killed
        write(file, content)

    monkeypatch.setattr(journal, "_written", stop)
    with pytest.raises(Killed):
        run(task, source, out)
    monkeypatch.setattr(journal, "_written", write)
    with pytest.raises(ValueError, match=r"of task = .*top_k=2.*got .*top_k=1.*--restart"):
        run(task.replace(top_k=1), source, out)
    with pytest.raises(ValueError, match=r"of prefix = '', got 'a_'"):
        run(task, source, out, prefix="a_")
    source.write_text("<mask>\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"of input = .*--restart"):
        run(task, source, out)
    assert run(task, source, out, is_new=True).rows == 1


def test_a_start_that_failed_leaves_nothing_and_can_be_corrected(task: Any, source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ValueError, match="required a column 'body', got 'text'"):
        run(task, source, out, column="body")
    assert sorted(tmp_path.iterdir()) == before
    told = tmp_path / "out.jsonl.errors.jsonl"
    journal.Journal(out, told, {"columns": "body", "errors": str(told.resolve())}).__exit__()  # killed before a batch
    notes = tmp_path / "notes.txt"
    notes.write_text("mine", encoding="utf-8")
    with pytest.raises(ValueError, match="required the run that it goes on with"):
        run(task, source, out, errors=notes)  # a file that is not that run's is not emptied
    assert notes.read_text(encoding="utf-8") == "mine"
    assert run(task, source, out).rows == len(LINES)


def test_the_input_is_not_written_over(task: Any, source: Path, tmp_path: Path) -> None:
    content, rows = source.read_bytes(), tmp_path / "rows.jsonl"
    rows.write_text('{"text": "She <mask>."}\n', encoding="utf-8")
    with pytest.raises(ValueError, match=r"--out: required a file of its own, got .*rows.jsonl"):
        run(task, rows, tmp_path / "." / "rows.jsonl", is_new=True)
    for errors in (source, tmp_path / "out.jsonl"):
        with pytest.raises(ValueError, match="--errors: required a file of its own"):
            run(task, source, tmp_path / "out.jsonl", errors=errors, is_new=True)
    assert (source.read_bytes(), rows.read_text(encoding="utf-8")) == (content, '{"text": "She <mask>."}\n')


def test_two_processes_are_not_at_one_run(task: Any, source: Path, tmp_path: Path) -> None:
    pytest.importorskip("fcntl", reason="locks are POSIX's")
    out = tmp_path / "out.jsonl"
    with (
        journal.Journal(out, tmp_path / "errors", {}),
        pytest.raises(BlockingIOError, match="another process is at this run"),
    ):
        run(task, source, out)


# -- formats -----------------------------------------------------------------------------------------------------------


def test_one_run_reads_what_another_wrote(embed: Any, tmp_path: Path) -> None:
    source, out, again = (tmp_path / name for name in ("in.txt", "out.jsonl", "again.csv"))
    source.write_text("She was.\n", encoding="utf-8")
    run(embed, source, out)
    with pytest.raises(ValueError, match=r"has a column 'vector' already; .* such as --prefix"):
        run(embed, out, again)
    run(embed, out, again, prefix="second_")
    with again.open(encoding="utf-8", newline="") as file:
        assert next(csv.reader(file)) == ["second_line", "line", "text", "vector", "second_vector"]


def test_columns_inside_of_objects(embed: Any, tmp_path: Path) -> None:
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text('{"a": {"b": "She was."}}\n{"a": null}\n{"a.b": "He was."}\n', encoding="utf-8")
    assert run(embed, source, out, column="a.b").failed == 1
    assert [row["line"] for row in rows_of(out)] == [1, 3]
    with pytest.raises(ValueError, match=r"required a column 'a\.c', got 'a'"):
        run(embed, source, tmp_path / "other.jsonl", column="a.c")


def test_values_that_json_does_not_have(embed: Any, tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow", reason="Parquet is read by pyarrow")
    from pyarrow import parquet

    when = datetime.datetime(2026, 1, 2, 3, 4, tzinfo=datetime.UTC)
    given = {"text": ["She was."], "when": [when], "price": [decimal.Decimal("1.50")], "raw": [b"\xff"]}
    parquet.write_table(pa.table(given), tmp_path / "in.parquet")
    for name in ("out.jsonl", "out.parquet"):
        assert run(embed, tmp_path / "in.parquet", tmp_path / name).rows == 1
    found = rows_of(tmp_path / "out.jsonl")[0]
    assert [found[name] for name in ("when", "price", "raw")] == ["2026-01-02T03:04:00+00:00", "1.50", "/w=="]
    assert parquet.read_table(tmp_path / "out.parquet").column("price").to_pylist() == ["1.50"]


def test_every_format_says_the_same(embed: Any, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="Parquet is written by pyarrow")
    from pyarrow import parquet

    source = tmp_path / "in.jsonl"
    rows = [{"id": at, "text": text, "tags": ["x", at]} for at, text in enumerate(["She was.", "He, “was”\nnot.", ""])]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    for name in ("out.jsonl", "out.csv", "out.tsv", "out.parquet"):
        assert run(embed, source, tmp_path / name).rows == 3
    expected = rows_of(tmp_path / "out.jsonl")
    assert [{name: row[name] for name in ("id", "text", "tags")} for row in expected] == rows
    assert [row["vector"] for row in expected] == [
        pytest.approx(embed(row["text"]).vector.tolist(), rel=1e-4, abs=1e-6) for row in rows
    ]
    for name, delimiter in (("out.csv", ","), ("out.tsv", "\t")):
        with (tmp_path / name).open(encoding="utf-8", newline="") as file:
            found = list(csv.DictReader(file, delimiter=delimiter))
        assert [json.loads(row["vector"]) for row in found] == [row["vector"] for row in expected]
        assert [(row["line"], row["id"], row["text"]) for row in found] == [
            (str(row["line"]), str(row["id"]), row["text"]) for row in expected
        ]
    table = parquet.read_table(tmp_path / "out.parquet")
    assert str(table.schema.field("vector").type) == "fixed_size_list<element: float>[256]"
    assert table["vector"].to_pylist() == [np.float32(row["vector"]).tolist() for row in expected]
    assert table["id"].to_pylist() == [0, 1, 2]
    again = tmp_path / "again.jsonl"
    back = tmp_path / "back.parquet"
    parquet.write_table(table.select(["id", "text"]), back)
    assert run(embed, back, again).rows == 3
    assert [row["vector"] for row in rows_of(again)] == [row["vector"] for row in expected]


def test_inputs_of_several_parts(tmp_path: Path, make_config: Any, make_model: Any) -> None:
    tokenizer = roberta.load_tokenizer("austen")
    config = make_config(vocab_size=len(tokenizer), max_position_embeddings=61)
    source, out = tmp_path / "in.csv", tmp_path / "out.csv"
    with source.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["q", "context"])
        writer.writerows([["Who came?", "Emma came."], ["Who?", ""]])
    ask = roberta.task("question-answering", make_model("question_answering", config, "numpy"), tokenizer)
    with pytest.raises(ValueError, match=r"required a column 'question', got 'q', 'context'; say which with --column"):
        run(ask, source, out)
    assert run(ask, source, out, column={"question": "q"}, is_new=True).failed == 1
    source.write_text('body,choices\nShe was,"[""glad"", ""of""]"\nShe was,glad\n', encoding="utf-8")
    choose = roberta.task("multiple-choice", make_model("multiple_choice", config, "numpy"), tokenizer)
    with pytest.raises(ValueError, match="--column: multiple-choice takes text and choices, got 'body'"):
        run(choose, source, out, column={"body": "text"}, is_new=True)
    assert run(choose, source, out, column={"text": "body"}, is_new=True).failed == 1


def test_pairs_of_texts(tmp_path: Path, make_config: Any, make_model: Any) -> None:
    tokenizer = roberta.load_tokenizer("austen")
    config = make_config(vocab_size=len(tokenizer), max_position_embeddings=61)
    label = roberta.task("text-classification", make_model("sequence_classification", config, "numpy"), tokenizer)
    source, out = tmp_path / "in.csv", tmp_path / "out.jsonl"
    source.write_text("premise,hypothesis\nEmma came.,She was there.\n", encoding="utf-8")
    assert run(label, source, out, column={"text": "premise", "text_pair": "hypothesis"}).failed == 0
    answer = label({"text": "Emma came.", "text_pair": "She was there."})
    assert rows_of(out)[0]["score"] == pytest.approx(answer.score)
    assert answer.score != label("Emma came.").score


def test_options_that_no_row_can_be_answered_with(task: Any, source: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"top_k: required an integer in \[1, 4000\]"):
        run(task.replace(top_k=10**9), source, tmp_path / "out.jsonl")
    assert list(tmp_path.iterdir()) == [source]


def test_parquet_needs_pyarrow_before_all_is_computed(
    embed: Any, source: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    for given, out in ((source, "out.parquet"), (tmp_path / "in.parquet", "out.jsonl")):
        given.touch()
        with pytest.raises(ModuleNotFoundError, match=r'read and written by pyarrow .*pip install "roberta\[data\]"'):
            run(embed, given, tmp_path / out)


# -- the command -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (
            ["fil-mask", "in.txt", "--out", "o.jsonl"],
            ["expected one of text-classification", "did you mean 'fill-mask'"],
        ),
        (
            ["fill-mask", "no.txt", "--out", "o.jsonl"],
            ["no.txt: required a file, or - for standard input, got nothing"],
        ),
        (["fill-mask", ".", "--out", "o.jsonl"], ["required a file", "got a folder"]),
        (["fill-mask", "in.txt", "--out", "o.xml"], ["--out: required a name that ends in .jsonl, .csv", "'o.xml'"]),
        (["fill-mask", "empty.txt", "--out", "o.jsonl"], ["empty.txt: required at least one row, got an empty file"]),
        (["fill-mask", "in.txt", "--out", "o.jsonl", "--option", "top_k"], ["--option: required NAME=VALUE"]),
        (["fill-mask", "in.txt", "--out", "o.jsonl", "--option", "topk=2"], ["did you mean 'top_k'"]),
        (["fill-mask", "in.txt", "--out", "o.jsonl", "--column", "body"], ["required a column 'body', got 'text'"]),
        (["fill-mask", "in.txt", "--out", "o.jsonl", "--format", "xml"], ["format: required one of", "got 'xml'"]),
        (["text-classification", "in.txt", "--out", "o.jsonl"], ["model: required a checkpoint with this head"]),
        (["ner", "in.txt", "--out", "o.jsonl", "--model", "austen"], ["lacks", "random", "RobertaForMaskedLM"]),
        (["question-answering", "in.txt", "--out", "o.jsonl", "--model", "austen"], ["lacks"]),
    ],
    ids=str,
)
def test_misuse(
    arguments: list[str], parts: list[str], source: Path, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.txt").touch()
    monkeypatch.setattr(sys, "argv", ["roberta", "run", *arguments])
    with pytest.raises(SystemExit) as ended:
        command.main()
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert [part for part in parts if part not in said] == []
    assert "Traceback" not in said
    left = {path.name for path in tmp_path.iterdir()} - {"in.txt", "empty.txt"}
    assert left <= {"o.jsonl.journal", "o.jsonl.part", "o.jsonl.errors.jsonl"}


def test_standard_input(tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    arguments = ["run", "feature-extraction", "-", "--out", str(out), "--option", "pooling=mean", "--backend", "numpy"]
    found = subprocess.run(  # noqa: S603  # our own
        [sys.executable, "-m", "roberta", *arguments],
        input="She was.\nHe was.\n",
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONUTF8": "1"},
    )
    assert found.stderr == f"{out}: 2 of 2 rows answered\n"
    assert out.read_text(encoding="utf-8").startswith("line,text,vector\n1,She was.,")


def test_a_window_shows_how_far_it_is(source: Path, tmp_path: Path) -> None:
    pty = pytest.importorskip("pty", reason="windows of text are POSIX's")
    arguments = [
        "fill-mask",
        str(source),
        "--out",
        str(tmp_path / "out.jsonl"),
        "--backend",
        "numpy",
        "--batch-size",
        "1",
    ]
    above, below = pty.openpty()
    process = subprocess.Popen(  # noqa: S603  # our own
        [sys.executable, "-m", "roberta", "run", *arguments], stderr=below, env={**os.environ, "COLUMNS": "120"}
    )
    os.close(below)
    said = b""
    try:
        while block := os.read(above, 4096):
            said += block
    except OSError:  # the window is closed at the other end
        pass
    process.wait()
    os.close(above)
    shown = said.decode()
    assert " rows, " in shown
    assert " a second" in shown
    assert "8 of 9 rows answered" in shown
