"""What is written is read, whatever it is; and what is damaged, missing or another's is named."""

import json
import pickle
import shutil

import numpy as np
import pytest
from roberta.tokenizer import RobertaTokenizer
from roberta.tokenizer.data.shards import ShardIndex, TokenizerIdentity, TokenShards, identity, reading
from roberta.tokenizer.data.shards import write_token_shards as write
from roberta.tokenizer.data.shards.writing import ShardBuilder
from safetensors.numpy import load_file


def listed(shards):
    return [[sentence.tolist() for sentence in document] for document in shards]


@pytest.fixture
def copy(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "copy")


def first_shard(folder):
    return folder / "shard-00000.safetensors"


def test_documents_come_back(shards, documents):
    wanted = [[sentence for sentence in document if sentence] for document in documents]
    assert listed(shards) == wanted
    assert listed(shards[at] for at in range(len(shards))) == wanted
    assert listed(shards[-5:]) == wanted[-5:]
    assert [shards.origin(at) for at in (0, 41, 82)] == [("", 0), ("", 41), ("", 82)]
    assert shards.tokens == sum(len(sentence) for document in documents for sentence in document)
    with pytest.raises(IndexError, match="document: expected 0 to 82, got 83"):
        shards[83]


def test_shards_are_files_that_other_readers_open(folder, shards):
    arrays = load_file(first_shard(folder))
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, getattr(shards.shard(0), name))


def test_tokens_cannot_be_written_into(shards):
    with pytest.raises(ValueError, match="read-only"):
        shards[2][0][:] = 0


def test_they_are_pickled_without_what_is_mapped(shards):
    before = listed(shards)
    content = pickle.dumps(shards)
    assert len(content) < 20_000
    assert listed(pickle.loads(content)) == before  # noqa: S301  (our own)


def test_only_so_many_files_are_open(shards, documents, monkeypatch):
    monkeypatch.setattr(reading, "MOST_OPEN", 2)
    rng = np.random.default_rng(0)
    for at in rng.integers(0, len(shards), 100).tolist():
        assert listed([shards[at]]) == [[sentence for sentence in documents[at] if sentence]]
        assert len(shards._open) <= 2


@pytest.mark.parametrize("documents", [[], [[]], [[[]], []], [[[5, 6]]]], ids=["none", "empty", "empties", "one"])
def test_few_documents(documents, tiny, tmp_path):
    write(documents, tmp_path / "few", tiny)
    shards = TokenShards(tmp_path / "few", tiny)
    assert listed(shards) == [[sentence for sentence in document if sentence] for document in documents]
    shards.verify()


@pytest.mark.parametrize(("size", "dtype"), [(65536, "uint16"), (65537, "uint32")])
def test_the_border_of_two_bytes(size, dtype, tmp_path):
    made = TokenizerIdentity("f", size, 0, 2, 1, None, (0, 1, 2))
    assert made.dtype == dtype
    builder = ShardBuilder(made.dtype)
    builder.add([[0, size - 1]])
    ShardIndex(made, (builder.write(first_shard(tmp_path)),)).write(tmp_path)
    shards = TokenShards(tmp_path)
    assert listed(shards) == [[[0, size - 1]]]
    assert shards[0][0].dtype == dtype


def test_an_id_that_does_not_fit_is_refused(tmp_path, tiny):
    with pytest.raises(ValueError, match="document 0: expected ids from 0 to 65535, as uint16 holds them, got 65536"):
        ShardBuilder("uint16").add([[65536]])
    with pytest.raises(ValueError, match=r"document 0: expected ids from 0 to 65535.*got -1"):
        write([[[-1]]], tmp_path / "a", tiny)
    with pytest.raises(ValueError, match=f"document 1: expected ids below the tokenizer's {len(tiny)}, got 300"):
        write([[[5]], [[300]]], tmp_path / "b", tiny)


def test_what_are_no_documents_is_refused(tmp_path, tiny):
    with pytest.raises(TypeError, match="document 0: expected a list, got str"):
        write(["text"], tmp_path / "a", tiny)
    with pytest.raises(TypeError, match="sentence 0 of document 0: expected integers"):
        write([[[0.5]]], tmp_path / "b", tiny)
    with pytest.raises(ValueError, match="shard_tokens: expected at least 1, got 0"):
        write([], tmp_path / "c", tiny, shard_tokens=0)


def test_nothing_is_overwritten(folder, tiny):
    with pytest.raises(FileExistsError, match="expected a new or an empty folder, found files"):
        write([], folder, tiny)


# -- what is not whole -------------------------------------------------------------------------------------------------


def test_a_changed_byte_is_found(copy, tiny):
    content = bytearray(first_shard(copy).read_bytes())
    content[-3] ^= 1
    first_shard(copy).write_bytes(content)
    with pytest.raises(ValueError, match=r"shard-00000\.safetensors: expected the SHA-256 .* the shard is damaged"):
        TokenShards(copy, tiny).verify()


def test_a_cut_shard_is_named(copy):
    first_shard(copy).write_bytes(first_shard(copy).read_bytes()[:-2])
    with pytest.raises(ValueError, match=r"shard-00000\.safetensors: expected \d+ bytes, as the index says, got \d+"):
        TokenShards(copy)


def test_a_shard_that_is_cut_while_it_is_used_is_named(copy):
    shards = TokenShards(copy)
    first_shard(copy).write_bytes(b"")
    with pytest.raises(ValueError, match=r"shard-00000\.safetensors: expected \d+ bytes"):
        shards[0]


def test_a_missing_shard_is_named(copy):
    first_shard(copy).unlink()
    with pytest.raises(FileNotFoundError, match=r"shard-00000\.safetensors: expected a shard"):
        TokenShards(copy)


def test_a_shard_of_other_counts_is_named(copy):
    index = json.loads((copy / "index.json").read_text(encoding="utf-8"))
    index["shards"][0]["tokens"] += 1
    (copy / "index.json").write_text(json.dumps(index), encoding="utf-8")
    with pytest.raises(ValueError, match=r"shard-00000\.safetensors: expected the arrays .* of another folder"):
        TokenShards(copy)[0]


def test_without_an_index_there_are_no_shards(copy):
    (copy / "index.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"index\.json: expected the index .* give the same command again"):
        TokenShards(copy)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("version", 2),
        ("format", "another"),
        ("shards", [{"file": "../secret"}]),
        ("shards", [{"file": "../x", "bytes": 1, "sha256": "", "tokens": 1, "sentences": 1, "documents": 1}]),
        ("shards", [{"file": "x", "bytes": "1", "sha256": "", "tokens": 1, "sentences": 1, "documents": 1}]),
        ("shards", [{"file": "x", "bytes": -1, "sha256": "", "tokens": 1, "sentences": 1, "documents": 1}]),
        ("tokenizer", {}),
    ],
)
def test_a_damaged_index_is_named(copy, key, value):
    index = json.loads((copy / "index.json").read_text(encoding="utf-8"))
    (copy / "index.json").write_text(json.dumps({**index, key: value}), encoding="utf-8")
    with pytest.raises(ValueError, match=r"index\.json: expected the index of token shards, version 1"):
        TokenShards(copy)


def test_half_an_index_is_named(copy):
    content = (copy / "index.json").read_bytes()
    (copy / "index.json").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"index\.json: expected .*JSONDecodeError"):
        TokenShards(copy)


# -- whose ids ---------------------------------------------------------------------------------------------------------


def test_another_tokenizer_is_refused(folder, tiny):
    other = RobertaTokenizer.train(["another text is another vocabulary"] * 2, vocab_size=280)
    with pytest.raises(ValueError, match=r"tokenizer: expected the one that made the shards in .* fingerprint"):
        TokenShards(folder, other)
    grown = pickle.loads(pickle.dumps(tiny))  # noqa: S301  (our own)
    grown.add_tokens(["new"])
    with pytest.raises(ValueError, match=rf"of {len(tiny)} tokens and fingerprint .* got one of {len(grown)}"):
        TokenShards(folder, grown)


def test_another_tokenizer_of_the_same_size_is_refused(tmp_path):
    one, other = (RobertaTokenizer.train([text], vocab_size=263) for text in ("low lower lowest", "tip tips tip"))
    assert len(one) == len(other)
    write([[[5]]], tmp_path / "tokens", one)
    with pytest.raises(ValueError, match="tokenizer: expected the one that made the shards"):
        TokenShards(tmp_path / "tokens", other)


def test_a_tokenizer_is_known_again_after_it_was_saved(folder, tiny, tmp_path):
    tiny.save_pretrained(tmp_path)
    TokenShards(folder, RobertaTokenizer.from_pretrained(tmp_path))


def test_another_librarys_tokenizer_is_refused(folder):
    with pytest.raises(TypeError, match=r"tokenizer: expected one of this package, got builtins\.int"):
        TokenShards(folder, 5)


def test_a_tokenizer_without_a_pad_token_is_refused(tiny):
    lacking = pickle.loads(pickle.dumps(tiny))  # noqa: S301  (our own)
    lacking.pad_token = None
    with pytest.raises(ValueError, match="expected one with bos, eos and pad tokens, got one without pad"):
        identity(lacking)
