"""Which tokenizer a folder is of."""

import json

import pytest
import roberta
from roberta.dispatch.tokenizers import load_tokenizer
from roberta.tokenizer import CamembertTokenizer, RobertaTokenizer, XLMRobertaTokenizer
from roberta.tokenizer.unigram.charsmap import Charsmap
from roberta.tokenizer.unigram.model import Kind, Piece, PieceModel

FIRST = [Piece("<unk>", 0.0, Kind.UNKNOWN), Piece("<s>", 0.0, Kind.CONTROL), Piece("</s>", 0.0, Kind.CONTROL)]
MODEL = PieceModel([*FIRST, *(Piece(text, -2.0) for text in ("▁", "▁il", "▁est", "a"))], Charsmap(b""))
BY_TYPE = {"roberta": RobertaTokenizer, "camembert": CamembertTokenizer, "xlm-roberta": XLMRobertaTokenizer}


def saved(model_type, folder):
    kind = BY_TYPE[model_type]
    tokenizer = kind.train(["low lower"], 263) if kind is RobertaTokenizer else kind(MODEL)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("model_type", BY_TYPE)
def test_by_the_class_that_is_named(model_type, tmp_path):
    saved(model_type, tmp_path)
    assert type(load_tokenizer(tmp_path)) is BY_TYPE[model_type]
    assert load_tokenizer(tmp_path, model_max_length=7).model_max_length == 7
    assert load_tokenizer(str(tmp_path)).name_or_path == str(tmp_path)


@pytest.mark.tokenizers
@pytest.mark.parametrize("asked", [{"fast": True}, {"use_fast": True}, {"fast": False, "use_fast": True}], ids=str)
@pytest.mark.parametrize("model_type", BY_TYPE)
def test_the_fast_class(model_type, asked, tmp_path):
    folder = saved(model_type, tmp_path)
    assert type(load_tokenizer(folder, **asked)).__name__ == f"{BY_TYPE[model_type].__name__}Fast"
    assert type(load_tokenizer(folder, use_fast=False)) is BY_TYPE[model_type]


@pytest.mark.parametrize("model_type", BY_TYPE)
def test_by_the_model_that_is_named(model_type, tmp_path):
    saved(model_type, tmp_path)
    for name in ("tokenizer_config.json", "tokenizer.json"):
        (tmp_path / name).unlink()
    (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type}))
    assert type(load_tokenizer(tmp_path)) is BY_TYPE[model_type]


@pytest.mark.parametrize("model_type", BY_TYPE)
def test_by_what_the_vocabulary_is_like(model_type, tmp_path):
    saved(model_type, tmp_path)
    for name in ("tokenizer_config.json", "vocab.json", "sentencepiece.bpe.model"):
        (tmp_path / name).unlink(missing_ok=True)
    assert type(load_tokenizer(tmp_path)) is BY_TYPE[model_type]


def test_by_the_files_that_are_there(tmp_path):
    saved("roberta", tmp_path)
    for name in ("tokenizer_config.json", "tokenizer.json"):
        (tmp_path / name).unlink()
    assert type(load_tokenizer(tmp_path)) is RobertaTokenizer


def test_a_general_class_says_nothing(tmp_path):
    saved("camembert", tmp_path)
    stored = json.loads((tmp_path / "tokenizer_config.json").read_text())
    (tmp_path / "tokenizer_config.json").write_text(
        json.dumps({**stored, "tokenizer_class": "PreTrainedTokenizerFast"})
    )
    assert type(load_tokenizer(tmp_path)) is CamembertTokenizer


def test_pieces_alone_do_not_say_whose_they_are(tmp_path):
    CamembertTokenizer(MODEL).save_vocabulary(tmp_path)
    with pytest.raises(FileNotFoundError, match="whose ids differ") as caught:
        load_tokenizer(tmp_path)
    for part in ("tokenizer_config.json", "model_type", "vocab.json", "['sentencepiece.bpe.model']", str(tmp_path)):
        assert part in str(caught.value)


def test_nothing_is_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="found nothing; fetch"):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("tokenizer_config.json", {"tokenizer_class": "BertTokenizerFast"}),
        ("config.json", {"model_type": "deberta-v2"}),
        ("config.json", {"model_type": 3}),
        ("tokenizer.json", {"model": {"type": "WordPiece"}}),
        ("tokenizer.json", {"model": {"type": "Unigram", "vocab": [["<pad>", 0.0]]}}),
        ("tokenizer.json", {"model": None}),
    ],
)
def test_other_families_are_refused(file, content, tmp_path):
    (tmp_path / file).write_text(json.dumps(content))
    with pytest.raises(ValueError, match="RoBERTa, CamemBERT or XLM-RoBERTa") as caught:
        load_tokenizer(tmp_path)
    assert file in str(caught.value)
    assert "transformers.AutoTokenizer" in str(caught.value)


@pytest.mark.parametrize("model_type", ["camembert", "xlm-roberta"])
def test_masks_are_filled(model_type, tmp_path):
    saved(model_type, tmp_path)
    prefix = {"camembert": "Camembert", "xlm-roberta": "XLMRoberta"}[model_type]
    tokenizer = load_tokenizer(tmp_path)
    sizes = {"hidden_size": 4, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 5}
    config = getattr(roberta, f"{prefix}Config")(vocab_size=len(tokenizer), **sizes)
    getattr(roberta, f"{prefix}ForMaskedLM")(config, seed=1).save_pretrained(tmp_path)
    (row,) = roberta.fill_mask("il <mask> a", tmp_path, top=len(tokenizer))
    found = {filling.token_str: filling.sequence for filling in row}
    assert found[" est"] == "il est a"
    assert found["a"] == "ila a"


def test_the_command(tmp_path, capsys, monkeypatch):
    import sys

    from roberta import __main__ as command

    saved("camembert", tmp_path)
    monkeypatch.setattr(sys, "argv", ["roberta", "tokenize", "il est", "--model", str(tmp_path), "--json"])
    with pytest.raises(SystemExit) as left:
        command.main()
    assert left.value.code == 0
    assert [token["token"] for token in json.loads(capsys.readouterr().out)] == ["<s>", "▁il", "▁est", "</s>"]
