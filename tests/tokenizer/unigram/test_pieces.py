"""Preparing and cutting, held against SentencePiece itself; and by hand."""

import random

import pytest
from roberta.tokenizer.unigram.charsmap import Charsmap
from roberta.tokenizer.unigram.model import Kind, Piece, PieceModel, model_bytes, read_model
from roberta.tokenizer.unigram.normalizer import Normalizer
from roberta.tokenizer.unigram.viterbi import PENALTY, Unigram


def texts_of(model, text):
    unigram = Unigram(model)
    return [text[cut.start : cut.end] for cut in unigram.cut(text)]


def test_by_hand(tiny):
    assert texts_of(tiny, "▁abc") == ["▁a", "bc"]  # -10; ▁ab c is -10.5
    assert texts_of(tiny, "▁ab") == ["▁ab"]
    assert texts_of(tiny, "") == []


def test_of_cuts_as_good_the_one_whose_last_piece_is_longer(tiny):
    model = PieceModel([*tiny.pieces[:3], Piece("a", -2), Piece("b", -2), Piece("ab", -4)], Charsmap(b""))
    assert texts_of(model, "ab") == ["ab"]


def test_what_is_unknown_is_one_piece_and_costs_more_than_the_rarest(tiny):
    unigram = Unigram(tiny)
    assert [(cut.number, cut.start, cut.end) for cut in unigram.cut("xyaz")] == [(0, 0, 2), (4, 2, 3), (0, 3, 4)]
    assert unigram._unknown_score == -6.5 - PENALTY


def test_spaces(tiny):
    normalizer = Normalizer(tiny)
    assert normalizer.prepare("  a   b ").text == "▁a▁b"
    assert normalizer.prepare(" ") == ("", [])
    assert normalizer.prepare("") == ("", [])
    assert normalizer.prepare("a\nb").text == "▁a\nb"


def test_offsets_lie_in_the_text(tiny):
    assert Normalizer(tiny).prepare("  a   b ").spans == [(1, 2), (2, 3), (5, 6), (6, 7)]


@pytest.mark.parametrize("name", ["plain", "bytes", "as it is", "bare"])
def test_ids_are_sentencepieces(name, trained, sentencepiece, drawn):
    agree(trained(name), sentencepiece, drawn(1_000))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["plain", "bytes", "as it is", "bare"])
def test_ids_are_sentencepieces_on_many_texts(name, trained, sentencepiece, drawn):
    agree(trained(name), sentencepiece, drawn(100_000, seed=1))


def agree(path, sentencepiece, texts):
    model, _ = read_model(path)
    peer = sentencepiece.SentencePieceProcessor(model_file=str(path))
    normalizer, unigram = Normalizer(model), Unigram(model)
    for text in texts:
        prepared = normalizer.prepare(text)
        assert prepared.text == peer.normalize(text), ascii(text)
        assert [cut.number for cut in unigram.cut(prepared.text)] == peer.encode(text), ascii(text)
        assert len(prepared.spans) == len(prepared.text)
        assert all(0 <= start <= end <= len(text) for start, end in prepared.spans)


@pytest.mark.parametrize("seed", range(20))
def test_cuts_that_are_nearly_as_good(seed, sentencepiece):
    """Scores of few values, so that sums are equal, or differ by a rounding only."""
    chance = random.Random(seed)  # noqa: S311
    first = [Piece("<unk>", 0.0, Kind.UNKNOWN), Piece("<s>", 0.0, Kind.CONTROL), Piece("</s>", 0.0, Kind.CONTROL)]
    words = {"".join(chance.choices("abc▁", k=chance.randrange(1, 5))) for _ in range(40)}
    scores = [chance.choice([-1.1, -2.2, -3.3, -1.0, -2.0, -7e-3]) for _ in words]
    kinds = [chance.choice([Kind.NORMAL, Kind.NORMAL, Kind.NORMAL, Kind.UNUSED, Kind.USER_DEFINED]) for _ in words]
    pieces = [Piece(text, score, kind) for text, score, kind in zip(sorted(words), scores, kinds, strict=True)]
    model = PieceModel([*first, *pieces], Charsmap(b""))
    peer = sentencepiece.SentencePieceProcessor(model_proto=model_bytes(model))
    rounded = read(model)
    for _ in range(200):
        text = "".join(chance.choices("abcd ", k=chance.randrange(20)))
        prepared = Normalizer(rounded).prepare(text).text
        assert [cut.number for cut in Unigram(rounded).cut(prepared)] == peer.encode(text), text


def read(model):
    from roberta.tokenizer.unigram.model import parse_model

    return parse_model(model_bytes(model))


def test_a_long_text_is_counted_anew_now_and_then(trained, sentencepiece):
    model, _ = read_model(trained("plain"))
    peer = sentencepiece.SentencePieceProcessor(model_file=str(trained("plain")))
    text = "It is a truth universally acknowledged, that 1 fox / dog must be in want of a β. " * 1_000
    cuts = Unigram(model).cut(Normalizer(model).prepare(text).text)
    assert sum(model.pieces[cut.number].score for cut in cuts) < -1e5
    assert [cut.number for cut in cuts] == peer.encode(text)
