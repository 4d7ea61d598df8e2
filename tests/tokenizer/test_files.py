import json

import pytest
from roberta.tokenizer.files import read_merges, read_settings, read_vocab, write_json, write_merges

PAIRS = [("Ġ", "t"), ("Ġt", "he"), ("#", "#")]


@pytest.mark.parametrize("header", ["", "#version: 0.2\n", "#version: 0.2 - Trained by someone\n"])
@pytest.mark.parametrize("ending", ["", "\n", "\n\n"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_no_line_of_merges_is_lost(tmp_path, header, ending, line_end):
    text = header + "\n".join(map(" ".join, PAIRS)) + ending
    (tmp_path / "merges.txt").write_bytes(text.replace("\n", line_end).encode())
    assert read_merges(tmp_path / "merges.txt") == PAIRS


def test_a_mark_that_windows_puts_before_a_file_is_no_part_of_it(tmp_path):
    (tmp_path / "merges.txt").write_text("\ufeff#version: 0.2\nĠ t\n", encoding="utf-8")
    (tmp_path / "vocab.json").write_text('\ufeff{"a": 0}', encoding="utf-8")
    assert read_merges(tmp_path / "merges.txt") == [("Ġ", "t")]
    assert read_vocab(tmp_path / "vocab.json") == {"a": 0}


@pytest.mark.parametrize("text", ["", "#version: 0.2", "#version: 0.2\n", "\n"])
def test_no_merges_at_all(tmp_path, text):
    (tmp_path / "merges.txt").write_text(text)
    assert read_merges(tmp_path / "merges.txt") == []


@pytest.mark.parametrize("line", ["", "a", "a ", " a", "a b c", "a  b"])
def test_a_damaged_merge_is_named_with_its_line(tmp_path, line):
    (tmp_path / "merges.txt").write_text(f"#version: 0.2\nĠ t\n{line}\nĠ a\n", encoding="utf-8")
    with pytest.raises(ValueError, match=rf"merges.txt: expected two parts .* line 3, got '{line}'; fetch"):
        read_merges(tmp_path / "merges.txt")


def test_merges_come_back_as_written(tmp_path, real_folder):
    write_merges(tmp_path / "merges.txt", PAIRS)
    assert read_merges(tmp_path / "merges.txt") == PAIRS
    write_merges(tmp_path / "merges.txt", read_merges(real_folder / "merges.txt"))
    assert (tmp_path / "merges.txt").read_bytes() == (real_folder / "merges.txt").read_bytes()


def test_vocab_comes_back_as_written(tmp_path):
    vocab = {"<s>": 0, "Ġ": 7, '"': 3, "\\": 4, "日": 9}
    write_json(tmp_path / "vocab.json", vocab)
    assert read_vocab(tmp_path / "vocab.json") == vocab


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not valid JSON"),
        ('{"a": 0', "is not valid JSON"),
        ("[" * 100_000, "is not valid JSON .*nested too deep"),
        (r'{"\ud800": 0}', r"is not valid JSON \('\\ud800' is half a surrogate pair"),
        ("[1]", "expected a JSON object, got list"),
        ("null", "expected a JSON object, got NoneType"),
        ('{"a": "0"}', "expected an integer id from 0 .* got '0' for 'a'"),
        ('{"a": 1.0}', "got 1.0 for 'a'"),
        ('{"a": true}', "got True for 'a'"),
        ('{"a": -1}', "got -1 for 'a'"),
        ('{"a": 2147483648}', "got 2147483648 for 'a'"),
        ('{"a": 1, "b": 1}', "expected each id once, got 1 for both 'a' and 'b'"),
        ('{"a": 1, "a": 2}', "'a' is there twice"),
    ],
)
def test_a_damaged_vocab_is_named(tmp_path, text, message):
    (tmp_path / "vocab.json").write_text(text)
    with pytest.raises(ValueError, match=rf"vocab.json.*{message}.*; (fetch|save or download it again)"):
        read_vocab(tmp_path / "vocab.json")


@pytest.mark.parametrize("read", [read_vocab, read_merges])
def test_what_is_no_utf_8_is_named(tmp_path, read):
    (tmp_path / "file").write_bytes(b'{"\xff": 0}')
    with pytest.raises(ValueError, match=r"file.*'utf-8' codec can't decode byte 0xff.*; (fetch|save or download it)"):
        read(tmp_path / "file")


@pytest.mark.parametrize("read", [read_vocab, read_merges])
def test_a_missing_file_is_named_and_so_is_a_folder(tmp_path, read):
    with pytest.raises(FileNotFoundError, match=r"file: expected a file at .*, found nothing; pass"):
        read(tmp_path / "file")
    with pytest.raises(FileNotFoundError, match="found a folder; pass"):
        read(tmp_path)


def test_settings_of_the_newer_file_win(tmp_path):
    assert read_settings(tmp_path) == {}
    write_json(tmp_path / "special_tokens_map.json", {"mask_token": "<old>", "pad_token": "<pad>"})
    write_json(tmp_path / "tokenizer_config.json", {"mask_token": "<mask>"})
    assert read_settings(tmp_path) == {"mask_token": "<mask>", "pad_token": "<pad>"}
    write_json(tmp_path / "added_tokens.json", {"<new>": 9})
    assert read_settings(tmp_path)["added_tokens_decoder"] == {9: "<new>"}


def test_a_file_is_replaced_at_once_or_not_at_all(tmp_path, monkeypatch):
    target = tmp_path / "merges.txt"
    target.write_text("old")
    with monkeypatch.context() as patched:
        patched.setattr("pathlib.Path.replace", lambda *_: (_ for _ in ()).throw(OSError("no room")))
        with pytest.raises(OSError, match="no room"):
            write_merges(target, PAIRS)
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["merges.txt"]
    write_merges(target, PAIRS)
    assert read_merges(target) == PAIRS
    assert [path.name for path in tmp_path.iterdir()] == ["merges.txt"]


def test_line_ends_are_written_as_they_are(tmp_path):
    write_merges(tmp_path / "merges.txt", PAIRS)
    assert b"\r" not in (tmp_path / "merges.txt").read_bytes()
    write_json(tmp_path / "vocab.json", {"Ġ": 0})
    assert json.loads((tmp_path / "vocab.json").read_bytes()) == {"Ġ": 0}
