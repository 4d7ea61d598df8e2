"""Files that somebody has damaged, or made to do damage: a ValueError that says where, or a tokenizer that works."""

import base64
import json
import random
import struct

import pytest
from roberta.tokenizer import XLMRobertaTokenizer
from roberta.tokenizer.unigram.charsmap import Charsmap
from roberta.tokenizer.unigram.model import Kind, Piece, PieceModel, model_bytes, parse_model, read_model
from roberta.tokenizer.unigram.wire import delimited, fields, fixed32, varint

TEXTS = ["a ab ﬁ é <mask> c", "", "x" * 50, "日本\n"]


def piece(text=b"a", score=-1.0, kind=1):
    return delimited(1, delimited(1, text) + fixed32(2, struct.pack("<f", score)) + varint(3, kind))


BEGIN = piece(b"<unk>", 0, 2) + piece(b"<s>", 0, 3) + piece(b"</s>", 0, 3)


def table(units, pool=b"b\0"):
    return struct.pack("<I", 4 * len(units)) + struct.pack(f"<{len(units)}I", *units) + pool


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\x0a", "a whole number"),
        (b"\x0a\x05ab", "5 bytes of field 1"),
        (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "9223372036854775807 bytes"),
        (b"\xff" * 20, "at most 10 bytes"),
        (b"\x00\x00", "a field number"),
        (b"\x0b", "kind 3"),
        (b"", "one unknown piece"),
        (b"\x08\x01", "field 1 of kind 2"),
        (delimited(1, b""), "a piece with a text"),
        (delimited(1, delimited(1, b"\xff")), "UTF-8"),
        (delimited(1, delimited(2, b"abcd")), "field 2 of kind 5"),
        (BEGIN + piece(kind=7), "a kind of piece"),
        (BEGIN + piece(score=float("nan")), "a finite score"),
        (BEGIN + piece(score=float("inf")), "a finite score"),
        (BEGIN + piece() + piece(), "each text once"),
        (BEGIN + piece(b"<unk>", 0, 2), "each text once"),
        (BEGIN + piece(b"?", 0, 2), "one unknown piece"),
        (BEGIN + delimited(2, varint(3, 2)), "got bpe"),
        (BEGIN + delimited(2, varint(3, 99)), "got 99"),
        (BEGIN + delimited(2, varint(24, 1)), "treat_whitespace_as_suffix"),
        (BEGIN + delimited(2, varint(35, 1)), "a piece for each byte"),
        (BEGIN + delimited(3, varint(5, 0)), "escape_whitespaces"),
        (BEGIN + delimited(3, delimited(2, b"\x01")), "precompiled_charsmap"),
        (BEGIN + delimited(3, delimited(2, struct.pack("<I", 2**32 - 4))), "a trie of"),
        (BEGIN + delimited(3, delimited(2, table([0], b"ab"))), "a zero byte"),
        (BEGIN + delimited(3, delimited(2, table([0], b"\xff\0"))), "UTF-8"),
        (BEGIN + delimited(5, delimited(2, b"abc")), "denormalisation"),
    ],
)
def test_a_damaged_model_is_refused_with_its_place(data, said, tmp_path):
    path = tmp_path / "sentencepiece.bpe.model"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=said) as caught:
        read_model(path)
    assert str(path) in str(caught.value)
    assert "fetch" in str(caught.value) or "sentencepiece package" in str(caught.value)


def test_a_trie_that_points_out_of_itself():
    for units, said in (
        ([0x3FFFFF << 10], "node 0"),
        ([0], "node 0"),  # its children would be at 1 to 255
        ([ord("a") | 1 << 8, *[0] * 255], "where keys end"),
        ([1 << 8, *[1 << 31 | 2] * 255], "where keys end"),
        ([1 << 8 | 1 << 10, 1 << 31 | 2, *[0] * 254], "where keys end"),
    ):
        with pytest.raises(ValueError, match=said):
            Charsmap(table(units))
    with pytest.raises(ValueError, match="within a character"):
        Charsmap(table([1 << 8 | 1 << 10, 1 << 31 | 1, *[0] * 254], "é\0".encode()))
    loop = [1 << 10, *[0] * 255]  # every node is its own child for one byte; a text ends all the same
    assert Charsmap(table(loop)).longest(b"\x01" * 1_000, 0) is None


def test_what_is_not_first_is_refused(tmp_path):
    for data in (piece(b"<s>", 0, 3) + piece(b"<unk>", 0, 2) + piece(b"</s>", 0, 3), BEGIN + piece(b"<pad>")):
        path = tmp_path / "sentencepiece.bpe.model"
        path.write_bytes(data)
        with pytest.raises(ValueError, match=r"pad_id=-1"):
            XLMRobertaTokenizer(path)


def test_memory_is_bounded_by_the_file(tmp_path):
    import tracemalloc

    data = BEGIN + b"".join(piece(f"▁{n}".encode()) for n in range(20_000))
    data += delimited(3, delimited(2, table([0] * 20_480)))
    tracemalloc.start()
    parse_model(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60 * len(data)


def mutants(data, chance, count):
    """Bytes changed, cut, doubled, moved; numbers made large."""
    for _ in range(count):
        made = bytearray(data)
        for _ in range(chance.randrange(1, 4)):
            at = chance.randrange(len(made) or 1)
            match chance.randrange(6):
                case 0:
                    made[at : at + 1] = bytes([chance.randrange(256)])
                case 1:
                    del made[at : at + chance.randrange(1, 20)]
                case 2:
                    made[at:at] = made[at : at + chance.randrange(40)]
                case 3:
                    made[at : at + 1] = b"\xff" * chance.randrange(1, 12)
                case 4:
                    made = made[:at] or made
                case _:
                    made[at:at] = chance.choice([varint(3, 2**63), delimited(2, b"\0" * 8), fixed32(2, b"\xff" * 4)])
        yield bytes(made)


def try_model(path):
    try:
        tokenizer = XLMRobertaTokenizer(path)
        ids = tokenizer(TEXTS).input_ids
    except ValueError as error:
        assert len(str(error)) < 1_000  # noqa: PT017  # one of many, which need not raise
        return False
    assert all(0 <= index < len(tokenizer) for row in ids for index in row)
    return True


def fuzz_models(seed, count, path, data):
    chance = random.Random(seed)  # noqa: S311
    accepted = 0
    for made in mutants(data, chance, count):
        path.write_bytes(made)
        accepted += try_model(path)
    return accepted


@pytest.fixture
def mapped(tiny):
    """The tiny vocabulary with a table that makes b of a."""
    units = [0] * 256
    root, child = 1, 2
    units[0] = root << 10
    units[root ^ ord("a")] = ord("a") | 1 << 8 | child << 10
    units[root ^ ord("a") ^ child] = 1 << 31
    model = PieceModel(tiny.pieces, Charsmap(table(units)))
    assert model.charsmap.longest(b"a", 0) == (1, b"b")
    return model


def test_mutants_of_a_model(tmp_path, mapped):
    assert 0 < fuzz_models(1, 1_500, tmp_path / "sentencepiece.bpe.model", model_bytes(mapped)) < 1_500


@pytest.mark.slow
def test_many_mutants_of_models(tmp_path, trained, mapped):
    file = tmp_path / "sentencepiece.bpe.model"
    fuzz_models(2, 40_000, file, model_bytes(mapped))
    fuzz_models(3, 500, file, trained("bytes").read_bytes())


# -- tokenizer.json ---------------------------------------------------------------------------------------------------

STRANGE = [
    None,
    True,
    0,
    -1,
    2**70,
    1.5,
    "",
    "a",
    "\ud800",
    "x" * 300,
    [],
    [[]],
    {},
    {"type": "Sequence"},
    ["<s>", 0.0],
]


def changed(value, chance):
    """A JSON value with one of its parts replaced, left out, or doubled."""
    if chance.random() < 0.15 or not isinstance(value, (dict, list)) or not value:
        return chance.choice(STRANGE)
    made = dict(value) if isinstance(value, dict) else list(value)
    key = chance.choice(list(made)) if isinstance(made, dict) else chance.randrange(len(made))
    if chance.random() < 0.15:
        del made[key]
    else:
        made[key] = changed(made[key], chance)
    return made


def fuzz_json(seed, count, folder, stored, classes):
    chance = random.Random(seed)  # noqa: S311
    for _ in range(count):
        made = changed(stored, chance)
        for _ in range(chance.randrange(2)):
            made = changed(made, chance)
        (folder / "tokenizer.json").write_text(json.dumps(made))
        for each in classes:
            try:
                tokenizer = each.from_pretrained(folder)
                ids = tokenizer(TEXTS).input_ids
                tokenizer.decode(ids[0])
                tokenizer.save_pretrained(folder.parent / "again")
            except (ValueError, TypeError) as error:
                assert 10 < len(str(error)) < 2_000, repr(error)  # noqa: PT017  # as above


@pytest.fixture
def stored(tiny_file, tmp_path):
    """What tokenizer.json holds, and an empty folder beside."""
    XLMRobertaTokenizer(tiny_file).save_pretrained(tmp_path / "whole")
    (tmp_path / "made").mkdir()
    return json.loads((tmp_path / "whole" / "tokenizer.json").read_text()), tmp_path / "made"


def test_mutants_of_tokenizer_json(stored):
    fuzz_json(1, 400, stored[1], stored[0], [XLMRobertaTokenizer])


@pytest.mark.tokenizers
def test_mutants_of_tokenizer_json_on_the_library(stored):
    from roberta.tokenizer import XLMRobertaTokenizerFast

    fuzz_json(2, 400, stored[1], stored[0], [XLMRobertaTokenizerFast])


@pytest.mark.slow
@pytest.mark.tokenizers
def test_many_mutants_of_tokenizer_json(stored):
    from roberta.tokenizer import XLMRobertaTokenizerFast

    fuzz_json(3, 2_000, stored[1], stored[0], [XLMRobertaTokenizer, XLMRobertaTokenizerFast])


def test_nested_json_and_a_hostile_table(stored):
    content, folder = stored
    (folder / "tokenizer.json").write_text('{"normalizer": ' + '{"type": "Sequence", "normalizers": [' * 5_000)
    with pytest.raises(ValueError, match="not valid JSON"):
        XLMRobertaTokenizer.from_pretrained(folder)
    units = base64.b64encode(table([0x3FFFFF << 10])).decode()
    content["normalizer"]["normalizers"].insert(0, {"type": "Precompiled", "precompiled_charsmap": units})
    (folder / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="charsmap"):
        XLMRobertaTokenizer.from_pretrained(folder)("a")


def test_fields_and_kinds_are_read_back():
    data = varint(1, 2**64 - 1) + delimited(2, b"xy") + fixed32(3, b"1234")
    assert [(field.number, field.value) for field in fields(data, "file")] == [(1, 2**64 - 1), (2, b"xy"), (3, b"1234")]
    assert Kind(6) is Kind.BYTE
    assert Piece("a", 1.0).kind is Kind.NORMAL
