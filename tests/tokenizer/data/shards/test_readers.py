"""Every way in which documents lie in files, cut anywhere; and what is none is named by its file and line."""

import bz2
import gzip
import json
import lzma

import pytest
from roberta.tokenizer.data.shards.readers import Reading, read_documents
from roberta.tokenizer.data.shards.sentences import CUTS
from roberta.tokenizer.data.shards.sources import find_sources, parts_of

COMPRESS = {
    "": bytes,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
}
TEXT = "First.\r\nIt goes on.\n\n \nÄnother\n\n\n\nthird\nline\n"


def read(paths, reading=Reading(), size=10**9, format=None):  # noqa: B008
    """All documents of all parts: (name, offset, sentences or the problem)."""
    sources = find_sources(paths, format)
    found = [document for part in parts_of(sources, size) for document in read_documents(sources, part, reading)]
    return [(sources[one.file].path.rpartition("/")[2], one.offset, one.problem or one.sentences) for one in found]


def texts(found):
    return [sentences for _, _, sentences in found]


@pytest.fixture
def write(tmp_path):
    def written(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return written


# -- texts -------------------------------------------------------------------------------------------------------------

DOCUMENTS = {
    "file": [(0, [TEXT])],
    "blank": [(0, ["First.\r\nIt goes on.\n"]), (23, ["Änother\n"]), (35, ["third\nline\n"])],
    "line": [(0, ["First."]), (8, ["It goes on."]), (23, ["Änother"]), (35, ["third"]), (41, ["line"])],
}


@pytest.mark.parametrize("suffix", COMPRESS)
@pytest.mark.parametrize("documents", DOCUMENTS)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 20, 1000])
def test_texts_are_read_wherever_they_are_cut(write, suffix, documents, size):
    path = write(f"a.txt{suffix}", COMPRESS[suffix](TEXT.encode()))
    found = read([path], Reading(documents), size)
    assert [(offset, sentences) for _, offset, sentences in found] == DOCUMENTS[documents]


def test_files_are_laid_end_to_end(write):
    paths = [write("b.txt", "b\n\nbb\n"), write("a.txt", "a"), write("c.txt", "c\n\n\ncc")]
    whole = [("b.txt", 0), ("b.txt", 3), ("a.txt", 0), ("c.txt", 0), ("c.txt", 4)]
    for size in range(1, 20):
        assert [place[:2] for place in read(paths, Reading("blank"), size)] == whole


def test_a_folder_is_all_its_files_in_order(tmp_path, write):
    (tmp_path / "sub").mkdir()
    for name in ("sub/b.txt", "c.txt", "a.txt", ".hidden"):
        write(name, name)
    assert texts(read([tmp_path])) == [["a.txt"], ["c.txt"], ["sub/b.txt"]]


def test_a_mark_of_byte_order_is_no_text(write):
    path = write("a.txt", "\ufeffone\n\ntwo")
    assert texts(read([path], Reading("line"))) == [["one"], ["two"]]


# -- records -----------------------------------------------------------------------------------------------------------

RECORDS = ["one", "", "zwei Sätze. Ja!", ["a list", "", "of sentences"], "x" * 50]
READ = [["one"], [], ["zwei Sätze. Ja!"], ["a list", "of sentences"], ["x" * 50]]


@pytest.mark.parametrize("suffix", COMPRESS)
@pytest.mark.parametrize("size", [1, 13, 10**6])
def test_json_lines_are_read_wherever_they_are_cut(write, suffix, size):
    lines = "\n".join(json.dumps({"id": 5, "text": record}) for record in RECORDS)
    path = write(f"a.jsonl{suffix}", COMPRESS[suffix](lines.encode()))
    assert texts(read([path], size=size)) == READ


# -- sentences ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two! Three? four", ["One.", " Two!", " Three? four"]),
        ('"Oh!" said Mr. K. Bell.', ['"Oh!" said Mr. K. Bell.']),
        ("A title\n\nAn end.\n", ["A title", "\n\nAn end.\n"]),
        ("Élan. Été. 5.5 is no end.", ["Élan.", " Été. 5.5 is no end."]),
        ("你好。再见！", ["你好。", "再见！"]),
        (" \n ", []),
        ("", []),
    ],
)
def test_sentences_by_rule(text, sentences):
    assert CUTS["rule"](text) == sentences
    assert "".join(sentences).strip() == text.strip()


# -- what is none ------------------------------------------------------------------------------------------------------


def problem_of(found, number):
    assert all(isinstance(one, list) for at, one in enumerate(texts(found)) if at != number)
    return texts(found)[number]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"text": "half', "expected a JSON object in UTF-8"),
        (b"[1]", "expected an object with 'text'"),
        (b'{"txt": "a"}', r"expected an object with 'text', got ['txt']"),
        (b'{"text": 5}', "text: expected a text or a list of texts, got int 5"),
        (b'{"text": null}', "got NoneType"),
        (b'{"text": ["a", 5]}', "got int 5"),
        (b'{"text": "\xff"}', "expected a JSON object in UTF-8"),
        (b'{"text": "\\ud800"}', "half a surrogate pair"),
        (b"[" * 100_000, "expected a JSON object"),
    ],
)
def test_an_unreadable_line_is_named_and_the_next_one_read(write, line, message):
    path = write("a.jsonl", b'{"text": "one"}\n' + line + b'\n{"text": "three"}\n')
    sources = find_sources([path], None)
    found = list(read_documents(sources, parts_of(sources, 10**9)[0], Reading()))
    assert message in found[1].problem
    assert found[1].where(sources) == f"{path}, line 2"
    assert [one.sentences for one in found] == [["one"], [], ["three"]]


@pytest.mark.parametrize("documents", ["file", "blank", "line"])
def test_bytes_that_are_no_text_are_named_by_their_line(write, documents):
    path = write("a.txt", b"eins\n\nzwei\ndr" + b"\xe9i\n\nvier\n")
    sources = find_sources([path], None)
    found = list(read_documents(sources, parts_of(sources, 10**9)[0], Reading(documents)))
    (bad,) = [one for one in found if one.problem]
    assert bad.problem == "expected UTF-8, got the byte 0xe9"
    assert bad.where(sources) == f"{path}, line 4"


@pytest.mark.parametrize("suffix", [suffix for suffix in COMPRESS if suffix])
@pytest.mark.parametrize("damage", ["cut", "other"])
def test_a_damaged_compressed_file_is_refused(write, suffix, damage):
    whole = COMPRESS[suffix](TEXT.encode() * 100)
    path = write(f"a.txt{suffix}", whole[: len(whole) // 2] if damage == "cut" else b"something else entirely")
    with pytest.raises(ValueError, match=rf"a\.txt\{suffix}: expected a file that {suffix[1:]} can decompress"):
        read([path])


def test_files_that_are_not_there_are_refused(tmp_path, write):
    with pytest.raises(FileNotFoundError, match="nowhere: expected a file or a folder, found none"):
        read([tmp_path / "nowhere"])
    with pytest.raises(FileNotFoundError, match="input: expected files to read, got none"):
        read([tmp_path])
    path = write("a.txt", "a")
    with pytest.raises(ValueError, match=r"expected each file once, got .*a\.txt twice"):
        read([path, tmp_path])
    with pytest.raises(ValueError, match="format: expected text, jsonl or parquet, got 'csv'"):
        read([path], format="csv")


@pytest.mark.parametrize(("option", "value"), [("documents", "page"), ("sentences", "clause")])
def test_unknown_cuts_are_refused(option, value):
    with pytest.raises(ValueError, match=rf"{option}: expected one of .*, got '{value}'"):
        Reading(**{option: value})
