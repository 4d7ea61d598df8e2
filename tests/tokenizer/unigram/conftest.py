"""Unigram vocabularies: a tiny one that is written by hand, and some that SentencePiece trains on the spot."""

import io
import random
from pathlib import Path

import pytest
from roberta.tokenizer.unigram.charsmap import Charsmap
from roberta.tokenizer.unigram.model import Kind, Piece, PieceModel, model_bytes

ROOT = Path(__file__).resolve().parents[3]
SENTENCES = [
    "Le camembert est un fromage à pâte molle, n'est-ce pas ? L'été, on l'a mangé chez nous.",
    "Où étiez-vous hier soir ? J’étais à l’école, près de la forêt, où il faisait très froid.",
    "Die Größe der Straße überraschte mich; schöne Grüße aus Köln!",
    "Съешь же ещё этих мягких французских булок, да выпей чаю.",
    "私は学生です。日本語を勉強しています。", "오늘은 날씨가 좋습니다.", "أنا أحب القراءة والكتابة.",
    "मैं किताब पढ़ता हूँ।", "The quick brown fox jumps over the lazy dog, 1234567890 times.",
]  # fmt: skip
#: Name -> what the trainer is told besides.
TRAINED = {
    "plain": {},
    "bytes": {"byte_fallback": True, "user_defined_symbols": ["<u>", "Numpy", "▁loud"], "vocab_size": 900},
    "as it is": {"normalization_rule_name": "identity", "remove_extra_whitespaces": False},
    "bare": {"normalization_rule_name": "nfkc_cf", "add_dummy_prefix": False, "split_by_whitespace": False},
}
# fmt: off
FRAGMENTS = [
    "<mask>", " <mask>", "<mask> ", "<s>", "</s>", "<pad>", "<unk>", "<s>NOTUSED", "</s>NOTUSED", "<unk>NOTUSED",
    "<mask",
    " ", "  ", "   ", "\n", "\t", "\r\n", "\x00", "\x01", "\x7f", "\x85", "\xa0", "\u3000", "\u200b", "\u200d",
    "\u2028",
    "\ufeff", "▁", "▁▁", "ﬁ", "ﬃ", "½", "①", "ⅷ", "e\u0301", "é", "é", "ｶﾞ", "が", "한국어", "각", "日本",
    "x\u0323\u0307",
    "¨", "´", "ﷺ", "Å", "\u0345", "😀", "👩‍👩‍👧", "the", "fox", " a", "Numpy", "<u>", " loud", "<0x41>", "＜mask＞",
    "école",
    "l'été", "Größe", "1234", "...", "ß", "булок", "\U000e0001", "\ue000",
]
# fmt: on


def pytest_make_parametrize_id(val):
    return ascii(val[:40]) if isinstance(val, str) else None


@pytest.fixture(scope="session")
def tiny():
    """Thirteen pieces, of which the scores can be added up by hand."""
    first = [Piece("<unk>", 0.0, Kind.UNKNOWN), Piece("<s>", 0.0, Kind.CONTROL), Piece("</s>", 0.0, Kind.CONTROL)]
    scores = {
        "▁": -3.0,
        "a": -3.0,
        "b": -3.0,
        "c": -4.0,
        "ab": -5.0,
        "▁a": -4.0,
        "▁ab": -6.5,
        "bc": -6.0,
        "é": -5.0,
        ".": -2.0,
    }
    return PieceModel([*first, *(Piece(text, score) for text, score in scores.items())], Charsmap(b""))


@pytest.fixture(scope="session")
def tiny_file(tiny, tmp_path_factory):
    path = tmp_path_factory.mktemp("tiny") / "sentencepiece.bpe.model"
    path.write_bytes(model_bytes(tiny))
    return path


@pytest.fixture(scope="session")
def sentencepiece():
    return pytest.importorskip("sentencepiece", reason="what trains the vocabularies, sentencepiece, is not installed")


@pytest.fixture(scope="session")
def trained(sentencepiece, tmp_path_factory):
    """Name of a vocabulary -> its file, trained when it is asked for."""
    folder = tmp_path_factory.mktemp("trained")

    def file(name):
        path = folder / name.replace(" ", "-") / "sentencepiece.bpe.model"
        if not path.is_file():
            path.parent.mkdir()
            path.write_bytes(train(sentencepiece, **TRAINED[name]))
        return path

    return file


def train(sentencepiece, **options):
    written = io.BytesIO()
    lines = [line for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines() if line.strip()]
    options = {"vocab_size": 600, "model_type": "unigram", "character_coverage": 0.999, **options}
    texts = iter([*lines, *SENTENCES * 5])
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=texts, model_writer=written, minloglevel=2, **options)
    return written.getvalue()


@pytest.fixture(scope="session")
def drawn():
    """How many, seed -> texts of fragments that are known to be hard, and of any characters."""

    def texts(count, seed=0):
        chance = random.Random(seed)  # noqa: S311
        return [one(chance) for _ in range(count)]

    return texts


def one(chance):
    """A text; a third of it are characters of all planes, without surrogates."""
    parts = []
    for _ in range(chance.randrange(13)):
        if chance.random() < 0.7:
            parts.append(chance.choice(FRAGMENTS))
        else:
            first, last = chance.choice([(0x20, 0x7F), (0x20, 0x3000), (0x3000, 0xD800), (0xE000, 0x20000)])
            parts.append(chr(chance.randrange(first, last)))
    return "".join(parts)


@pytest.fixture(scope="session")
def transformers():
    return pytest.importorskip("transformers", reason="the peer, transformers, is not installed")
