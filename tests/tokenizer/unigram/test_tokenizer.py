"""The two classes by hand: ids, offsets, text, files; what needs neither SentencePiece nor the library."""

import copy
import json
import pickle

import pytest
from roberta.tokenizer import CamembertTokenizer, RobertaTokenizer, XLMRobertaTokenizer
from roberta.tokenizer.unigram.charsmap import Charsmap
from roberta.tokenizer.unigram.layout import CAMEMBERT, XLM_ROBERTA
from roberta.tokenizer.unigram.model import Kind, Piece, PieceModel, parse_model

CLASSES = [CamembertTokenizer, XLMRobertaTokenizer]
each = pytest.mark.parametrize("kind", CLASSES)


@pytest.fixture
def falling_back(tiny):
    pieces = [Piece(f"<0x{byte:02X}>", 0.0, Kind.BYTE) for byte in range(256)]
    return PieceModel([*tiny.pieces, *pieces], Charsmap(b""), falls_back_to_bytes=True)


def test_fairseqs_ids(tiny_file):
    camembert, xlm = CamembertTokenizer(tiny_file), XLMRobertaTokenizer(tiny_file)
    # pieces are numbered from 3 on: ▁ a b c ab ▁a ▁ab bc é .
    assert camembert("ab.").input_ids == [5, 13, 16, 6]
    assert xlm("ab.").input_ids == [0, 10, 13, 2]
    assert camembert.convert_ids_to_tokens(range(8)) == [
        "<s>NOTUSED", "<pad>", "</s>NOTUSED", "<unk>", "<unk>NOTUSED", "<s>", "</s>", "▁",
    ]  # fmt: skip
    assert xlm.convert_ids_to_tokens(range(5)) == ["<s>", "<pad>", "</s>", "<unk>", "▁"]
    assert (camembert.mask_token_id, xlm.mask_token_id) == (17, 14)
    assert (len(camembert), len(xlm)) == (18, 15)
    assert (camembert.unk_token_id, xlm.unk_token_id) == (3, 3)


@each
def test_what_is_around_and_between(kind, tiny_file):
    tokenizer = kind(tiny_file)
    row = tokenizer("ab", "c ? <mask> é", return_offsets_mapping=True)
    names = ["<s>", "▁ab", "</s>", "</s>", "▁", "c", "▁", "<unk>", "<mask>", "▁", "é", "</s>"]
    assert tokenizer.convert_ids_to_tokens(row.input_ids) == names
    assert row.offset_mapping[4:-1] == [(0, 1), (0, 1), (1, 2), (2, 3), (3, 10), (10, 11), (11, 12)]
    assert row.word_ids() == [None, 0, None, None, 0, 0, 1, 1, 2, 3, 3, None]
    assert tokenizer.decode(row.input_ids) == "<s> ab</s></s> c <unk><mask> é</s>"
    assert tokenizer.decode(tokenizer("ab é").input_ids, skip_special_tokens=True) == "ab é"


@each
def test_text_that_spells_a_special_token(kind, tiny_file):
    tokenizer = kind(tiny_file)
    assert tokenizer.unk_token_id not in tokenizer("a</s>b").input_ids
    split = tokenizer("a</s>b", split_special_tokens=True, add_special_tokens=False).input_ids
    assert not set(split) & {tokenizer.eos_token_id, tokenizer.bos_token_id}


def test_a_normalised_mask_is_of_the_fast_class_only(tiny_file):
    assert not XLMRobertaTokenizer(tiny_file).added_tokens_decoder[14].normalized


@each
def test_words(kind, tiny_file):
    tokenizer = kind(tiny_file)
    row = tokenizer(["ab", "c"], is_split_into_words=True)
    assert row.word_ids() == [None, 0, 1, 1, None]


@each
def test_bytes(kind, falling_back):
    tokenizer = kind(falling_back)
    row = tokenizer("a€", return_offsets_mapping=True)
    assert tokenizer.convert_ids_to_tokens(row.input_ids)[1:-1] == ["▁a", "<0xE2>", "<0x82>", "<0xAC>"]
    assert row.offset_mapping[2:-1] == [(1, 2)] * 3
    assert tokenizer.decode(row.input_ids, skip_special_tokens=True) == "a€"
    assert tokenizer.decode(row.input_ids[:-2], skip_special_tokens=True) == "a\ufffd"


@each
def test_folders(kind, falling_back, tiny, tmp_path):
    for number, model in enumerate((tiny, falling_back)):
        tokenizer = kind(model, model_max_length=9)
        tokenizer.add_tokens(["new"])
        for legacy in (None, True, False):
            folder = tmp_path / f"{number} {legacy}"
            paths = tokenizer.save_pretrained(folder, legacy_format=legacy)
            assert sorted(paths) == sorted(str(path) for path in folder.iterdir())
            assert json.loads((folder / "tokenizer_config.json").read_text())["tokenizer_class"] == kind.__name__
            again = kind.from_pretrained(folder)
            assert again.get_vocab() == tokenizer.get_vocab()
            assert again.added_tokens_decoder == tokenizer.added_tokens_decoder
            assert again("ab new € <mask>") == tokenizer("ab new € <mask>")
            assert again.model_max_length == 9


@each
def test_the_bytes_of_a_model_are_written_as_they_were(kind, tiny_file, tmp_path):
    data = tiny_file.read_bytes() + b"\x22\x01x"  # a field that is not read
    file = tmp_path / "sentencepiece.bpe.model"
    file.write_bytes(data)
    tokenizer = kind(file)
    file.unlink()
    tokenizer.save_pretrained(tmp_path)
    assert file.read_bytes() == data
    assert parse_model(tiny_file.read_bytes()).pieces == kind.from_pretrained(tmp_path).model.pieces


def test_files_that_contradict_each_other(tiny, tiny_file, tmp_path):
    XLMRobertaTokenizer(tiny_file).save_pretrained(tmp_path)
    other = PieceModel([*tiny.pieces, Piece("zz", -1.0)], Charsmap(b""))
    XLMRobertaTokenizer(other).save_vocabulary(tmp_path)
    with pytest.raises(ValueError, match="part at id 14"):
        XLMRobertaTokenizer.from_pretrained(tmp_path)


@each
def test_the_folder_of_another_class(kind, tiny_file, tmp_path):
    kind(tiny_file).save_pretrained(tmp_path)
    for other in {CamembertTokenizer, XLMRobertaTokenizer} - {kind}:
        with pytest.raises(ValueError, match="load_tokenizer"):
            other.from_pretrained(tmp_path)
    (tmp_path / "tokenizer_config.json").unlink()
    other = next(iter({CamembertTokenizer, XLMRobertaTokenizer} - {kind}))
    with pytest.raises(ValueError, match="load it with the class that it is of"):
        other.from_pretrained(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"sentencepiece\.bpe\.model or tokenizer\.json"):
        kind.from_pretrained(tmp_path / "empty")


@each
def test_copies(kind, tiny_file):
    tokenizer = kind(tiny_file, padding_side="left")
    for other in (copy.deepcopy(tokenizer), pickle.loads(pickle.dumps(tokenizer)), kind.from_tokenizer(tokenizer)):  # noqa: S301
        assert other("ab <mask>", padding="max_length", max_length=9) == tokenizer(
            "ab <mask>", padding="max_length", max_length=9
        )
        other.add_tokens(["x"])
    assert len(tokenizer) == len(kind(tiny_file))


@each
def test_misuse_is_explained(kind, tiny_file):
    with pytest.raises(TypeError, match="did you mean 'padding_side'"):
        kind(tiny_file, paddding_side="left")
    with pytest.raises(ValueError, match="surrogate"):
        kind(tiny_file)("a\ud800")
    with pytest.raises(FileNotFoundError, match="expected a file"):
        kind("nowhere")
    with pytest.raises(TypeError, match="got nothing"):
        kind.from_pretrained()
    assert not isinstance(kind(tiny_file), RobertaTokenizer)


@each
def test_an_explanation_is_of_what_a_call_gives(kind, tiny_file):
    tokenizer = kind(tiny_file)
    text = " ab  ? <mask>é\x1b"
    found = tokenizer.explain(text)
    row = tokenizer(text, return_offsets_mapping=True)
    assert (found.ids, found.offsets) == (row.input_ids, row.offset_mapping)
    assert found.prepared == ("▁ab▁?", "▁é\x1b")
    assert found.scores[1] == -6.5
    assert found.scores[0] is None
    assert "\x1b" not in str(found) + found._repr_html_()
    assert "becomes" in str(found)


def test_layouts_go_to_and_fro(tiny):
    for layout in (CAMEMBERT, XLM_ROBERTA):
        model = layout.model_of(layout.entries(tiny), tiny.charsmap, falls_back_to_bytes=False, where="file")
        assert model.pieces == tiny.pieces
        with pytest.raises(ValueError, match="the class that it is of"):
            layout.model_of([("<pad>", 0.0)], tiny.charsmap, falls_back_to_bytes=False, where="file")


@pytest.mark.tokenizers
@each
def test_the_fast_class_is_near(kind, tiny_file, tmp_path):
    from roberta import tokenizer as rooms

    fast = getattr(rooms, f"{kind.__name__}Fast")
    one, other = kind(tiny_file), fast(tiny_file)
    assert other.is_fast
    assert other.slow_tokenizer_class is kind
    assert one("ab c <mask>.", "é").input_ids == other("ab c <mask>.", "é").input_ids
    one.save_pretrained(tmp_path)
    assert fast(tokenizer_file=tmp_path / "tokenizer.json")("ab").input_ids == one("ab").input_ids
    assert fast.from_tokenizer(one)("ab").input_ids == one("ab").input_ids
    with pytest.raises(TypeError, match="got neither"):
        fast()


@pytest.mark.tokenizers
@each
def test_where_the_two_differ(kind, tiny_file):
    """What `docs/family.md` says: a ▁ in a text, and white space at its end that is no space."""
    from roberta import tokenizer as rooms

    one, other = kind(tiny_file), getattr(rooms, f"{kind.__name__}Fast")(tiny_file)
    assert one.tokenize("▁a") == ["▁", "▁a"]
    assert other.tokenize("▁a") == ["▁a"]
    assert one.tokenize("a\n") == ["▁a", "<unk>"]
    assert other.tokenize("a\n") == ["▁a"]
