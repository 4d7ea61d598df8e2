"""What takes the extra `data`: Parquet, and what Zstandard compressed."""

import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from roberta.tokenizer.data.shards.readers import Reading, read_documents
from roberta.tokenizer.data.shards.sources import find_sources, parts_of


def read(path, reading=Reading(), size=10**9):  # noqa: B008
    """All documents of all parts: (offset, sentences)."""
    sources = find_sources([path], None)
    found = [document for part in parts_of(sources, size) for document in read_documents(sources, part, reading)]
    return [(one.offset, one.problem or one.sentences) for one in found]


# -- Parquet -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 13, 10**6])
@pytest.mark.parametrize("lists", [False, True])
def test_parquet_is_read_wherever_it_is_cut(tmp_path, size, lists):
    values = [[str(n)] if lists else str(n) for n in range(101)]
    pq.write_table(pa.table({"other": list(range(101)), "body": values}), tmp_path / "a.parquet", row_group_size=17)
    assert read(tmp_path / "a.parquet", Reading(column="body"), size) == [(n, [str(n)]) for n in range(101)]


def test_a_row_of_parquet_without_a_text_is_named(tmp_path):
    pq.write_table(pa.table({"text": ["a", None, "c"]}), tmp_path / "a.parquet")
    sources = find_sources([tmp_path / "a.parquet"], None)
    found = list(read_documents(sources, parts_of(sources, 10**9)[0], Reading()))
    assert found[1].where(sources) == f"{tmp_path / 'a.parquet'}, row 2"
    assert "got NoneType" in found[1].problem


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"body": ["a"]}, "expected a column 'text', got body; name the column"),
        ({"text": [5]}, "expected texts or lists of texts in the column 'text', got int64"),
    ],
)
def test_a_column_of_something_else_is_refused(tmp_path, table, message):
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=message):
        read(tmp_path / "a.parquet")


def test_what_is_no_parquet_is_refused(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"no")
    with pytest.raises(ValueError, match=r"a\.parquet: expected a file of Parquet"):
        read(tmp_path / "a.parquet")


def test_damaged_rows_of_parquet_are_named(tmp_path):
    path = tmp_path / "a.parquet"
    table = pa.table({"text": [str(n) * 9 for n in range(1000)]})
    pq.write_table(table, path, compression="gzip", use_dictionary=False)
    content = bytearray(path.read_bytes())
    content[200:300] = bytes(100)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.parquet, row 1: expected rows of Parquet, got damaged ones"):
        read(path)


def test_an_empty_table_has_no_documents(tmp_path):
    pq.write_table(pa.table({"text": pa.array([], pa.string())}), tmp_path / "a.parquet")
    assert find_sources([tmp_path / "a.parquet"], None)[0].size == 0
    assert read(tmp_path / "a.parquet") == []


# -- Zstandard ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("size", [1, 13, 10**6])
def test_zstandard_is_read_wherever_it_is_cut(tmp_path, frames, size):
    lines = [f"line {number}" for number in range(60)]
    content = [("\n".join(lines[first::frames]) + "\n").encode() for first in range(frames)]
    (tmp_path / "a.txt.zst").write_bytes(b"".join(map(zstandard.ZstdCompressor().compress, content)))
    wanted = [[line] for first in range(frames) for line in lines[first::frames]]
    assert [sentences for _, sentences in read(tmp_path / "a.txt.zst", Reading("line"), size)] == wanted


@pytest.mark.parametrize("left", [1, 40, 90])
def test_a_cut_file_is_refused(tmp_path, left):
    whole = zstandard.ZstdCompressor().compress(str(list(range(1000))).encode())
    (tmp_path / "a.txt.zst").write_bytes(whole + whole[: len(whole) * left // 100])
    with pytest.raises(ValueError, match=r"a\.txt\.zst: expected a file that zst can decompress, got a damaged one"):
        read(tmp_path / "a.txt.zst")


def test_what_is_no_zstandard_is_refused(tmp_path):
    (tmp_path / "a.txt.zst").write_bytes(b"something else entirely")
    with pytest.raises(ValueError, match=r"a\.txt\.zst: expected a file that zst can decompress"):
        read(tmp_path / "a.txt.zst")


@pytest.mark.parametrize(("module", "name"), [("pyarrow.parquet", "a.parquet"), ("zstandard", "a.txt.zst")])
def test_a_missing_library_is_said(tmp_path, monkeypatch, module, name):
    monkeypatch.setitem(sys.modules, module, None)
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(ImportError, match=r'pip install "roberta\[data\]"'):
        read(tmp_path / name)
