"""The command `roberta tokenize`: what it prints in each of its four forms."""

from __future__ import annotations

import json
import sys

import pytest
import roberta
from roberta import __main__ as command

TEXT = "She was <mask>'s \x1b[31m"


@pytest.fixture
def call(monkeypatch, capsys):
    """Run the command as a shell would: (exit status, stdout, stderr)."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["roberta", "tokenize", *arguments])
        with pytest.raises(SystemExit) as ended:
            command.main()
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return run


@pytest.fixture(scope="module")
def austen():
    return roberta.RobertaTokenizer.from_pretrained("austen")


def test_the_table_has_a_row_for_each_token(call, austen):
    status, printed, _ = call(TEXT)
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in printed.splitlines() if "│" in line]
    encoding = austen(TEXT, return_offsets_mapping=True)
    assert status == 0
    assert [int(row[0]) for row in rows] == encoding.input_ids
    assert [tuple(map(int, row[3].split(" to "))) for row in rows] == encoding.offset_mapping
    assert [row[2] for row in rows[:4]] == ["", "'She'", "'was'", "'<mask>'"]
    assert "\x1b" not in printed


def test_the_explanation(call, austen):
    status, printed, _ = call(TEXT, "--explain")
    assert status == 0
    assert printed == f"{austen.explain(TEXT)}\n"
    assert "\x1b" not in printed


def test_data_in_place_of_the_table(call, austen):
    status, printed, _ = call(TEXT, "--json")
    tokens = json.loads(printed)
    assert status == 0
    assert [token["id"] for token in tokens] == austen(TEXT).input_ids
    assert list(tokens[0]) == ["id", "token", "start", "end"]


def test_data_in_place_of_the_explanation(call):
    data = json.loads(call("é", "--json", "--explain")[1])
    assert data["segments"][0]["pieces"][0]["data"] == "c3a9"


def test_a_folder_of_ones_own(call, tmp_path):
    tokenizer = roberta.RobertaTokenizer.train(["She was glad"] * 3, vocab_size=265)
    tokenizer.save_pretrained(tmp_path)
    printed = call("She was", "--model", str(tmp_path), "--json")[1]
    assert [token["id"] for token in json.loads(printed)] == tokenizer("She was").input_ids


def test_misuse_ends_in_one_message(call):
    status, printed, told = call("a", "--model", "/no/where")
    assert (status, printed) == (2, "")
    assert "/no/where" in told
    assert "Traceback" not in told


def test_bytes_that_are_no_text_end_in_one_message(call):
    status, _, told = call("a\udcff")
    assert status == 2
    assert "lone surrogate" in told
