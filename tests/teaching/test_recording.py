"""The record of a run: its numbers are the tape's, its lines the spec's, and its texts are texts."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from contextlib import nullcontext
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import roberta
from roberta import reference
from roberta.parity.cases import small_config
from roberta.parity.probes.texts import encoded_sentences
from roberta.reference.parameters import CLASS_NAMES, HEADS
from roberta.reference.taps import symbols
from roberta.teaching.pages import explain, write_page
from roberta.teaching.recording import recorded

TEXT = "It is a truth universally acknowledged, that a single man must be in want of a <mask>."
SPEC = Path(reference.__file__).parent
HOSTILE = (
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)> <mask>",
    "\"'`${alert(1)}`&lt;<!--",
    "\u202eabc\u202c \u05e9",
    "😀 e\u0301\x00\x1b[31m",
    "]]>--></textarea></style>",
    "x" * 10_000,
    "".join(chr(97 + 7 * i * i % 26) for i in range(10_000)),
    "",
    " ",
)


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return roberta.RobertaTokenizer.from_pretrained("austen")


@pytest.fixture(scope="module")
def model() -> Any:
    return roberta.RobertaForMaskedLM.from_pretrained("austen")


@pytest.fixture(scope="module")
def record(model: Any, tokenizer: Any) -> Any:
    return recorded(model, tokenizer, TEXT)


def loaded(head: str, **config: Any) -> Any:
    is_whole = head in ("masked_lm", "causal_lm")
    with nullcontext() if is_whole else pytest.warns(UserWarning, match="random"):
        return getattr(roberta, CLASS_NAMES[head]).from_pretrained("austen", **config)


def others_of(head: str) -> tuple[str, ...]:
    return {"question_answering": ("She was happy.",), "multiple_choice": ("Emma.", "Nobody at all.")}.get(head, ())


def test_the_numbers_are_the_tapes(record: Any, model: Any, tokenizer: Any) -> None:
    tape = model.tape(**{name: np.array([row]) for name, row in tokenizer(TEXT).items()})
    taps = record["passes"][0]["taps"]
    assert [tap["name"] for tap in taps] == list(tape)
    for tap in taps:
        value = tape[tap["name"]].astype(np.float64)
        found = [tap["min"], tap["max"], tap["mean"], tap["rms"]]
        np.testing.assert_allclose(found, [value.min(), value.max(), value.mean(), (value**2).mean() ** 0.5], rtol=1e-5)
        assert tap["shape"] == list(value.shape)
        assert sum(tap["histogram"]) == value.size
        picture = tap["picture"]
        shown = value.reshape(-1, value.shape[-1])[:: picture["steps"][0], :: picture["steps"][1]]
        drawn = np.frombuffer(b64decode(picture["data"]), np.uint8).reshape(picture["rows"], picture["columns"])
        np.testing.assert_allclose(
            (drawn.astype(float) - 128) / 127 * np.abs(value).max(), shown, atol=np.abs(value).max() / 250
        )
    for layer, one in enumerate(record["passes"][0]["attention"]):
        start = f"roberta.encoder.layer.{layer}.attention.self"
        np.testing.assert_allclose(one["probs"], tape[f"{start}.probs"][0], rtol=1e-3)
        np.testing.assert_allclose(one["scores"], tape[f"{start}.scores"][0], rtol=1e-3)
    for one in record["passes"][0]["stream"]:
        np.testing.assert_allclose(one["norms"], np.linalg.norm(tape[one["name"]][0], axis=-1), rtol=1e-3)


def test_the_words_are_those_of_fill_mask(record: Any) -> None:
    best = record["passes"][0]["answer"]["words"][0]["best"]
    for (word, _, share), filling in zip(best, roberta.fill_mask(TEXT)[0], strict=True):
        assert (word, share) == (filling.token_str, pytest.approx(filling.score, rel=1e-3))


@pytest.mark.parametrize("head", HEADS)
def test_each_value_has_the_line_that_computed_it(head: str, tokenizer: Any) -> None:
    decoder = {"is_decoder": True} if head == "causal_lm" else {}
    model = loaded(head, **decoder)
    found = recorded(model, tokenizer, TEXT, others_of(head), faults=False)
    table = symbols(model.head, model.config)
    for tap in found["passes"][0]["taps"]:
        line = (SPEC / tap["file"]).read_text().splitlines()[tap["line"] - 1]
        assert tap["source"] == line.strip() == found["source"][tap["file"]][tap["line"] - 1].strip()
        assert re.search(rf'(?:tap|at)\("(?:\w+\.)*{tap["name"].rpartition(".")[2]}"', line), (tap["name"], line)
        assert tap["equation"] == table[tap["name"]].equation
        assert len(tap["axes"].split()) == len(tap["shape"]), tap
        assert all(letter in found["axes"] for letter in tap["axes"].split())
    json.dumps(found, allow_nan=False)


def test_the_last_token_on_the_cache_says_the_same(tokenizer: Any) -> None:
    whole, cached = recorded(loaded("causal_lm", is_decoder=True), tokenizer, "She was very", faults=False)["passes"]
    assert "cache" in cached["title"]
    assert [tap["shape"][2] for tap in cached["taps"] if tap["name"].endswith("scores")] == [1] * 4
    for one, other in zip(whole["answer"]["words"][0]["best"], cached["answer"]["words"][0]["best"], strict=True):
        assert one[0] == other[0]
        assert one[1:] == pytest.approx(other[1:], rel=1e-3)  # of four digits


def test_each_mistake_is_first_seen_at_its_own_tap_or_it_says_why_not(record: Any) -> None:
    honest, *faults = record["faults"]
    assert honest["first"] is None
    assert len(faults) > 20
    assert {fault["name"] for fault in faults if fault["hidden"]} < {
        "one-pass-variance",
        "mask-added",
        "softmax-not-shifted",
    } | {"layer-off"}
    for fault in faults:
        assert fault["first"] == fault["own_tap"] or fault["hidden"], fault["name"]
        assert fault["correct"] != fault["wrong"]
    by_name = {fault["name"]: fault for fault in faults}
    assert [word for word, _ in by_name["eps-1e-12"]["words"][0]] == [word for word, _ in honest["words"][0]]
    assert max(ratio for ratio in by_name["eps-1e-12"]["ratios"] if ratio) > 10  # the answer hides what the plot shows


def test_relative_positions_and_heads_that_are_pruned_are_shown(tokenizer: Any) -> None:
    config = small_config(vocab_size=4000, position_embedding_type="relative_key_query")
    model = roberta.RobertaForMaskedLM(config)
    model.prune_heads({0: [0]})
    found = recorded(model, tokenizer, TEXT)
    assert found["embeddings"][0]["position"] is None
    assert len(found["passes"][0]["attention"][0]["probs"]) == config.num_attention_heads - 1
    assert "H'" in "".join(tap["axes"] for tap in found["passes"][0]["taps"])


class Parsed(HTMLParser):
    """Elements and texts, as a browser has them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.inside = ""
        self.words = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        self.inside = tag
        assert not any(name.startswith("on") or name in ("src", "style") for name, _ in attrs), attrs
        assert all(str(value).startswith("#") for name, value in attrs if name == "href"), attrs

    def handle_data(self, data: str) -> None:
        self.words += "" if self.inside in ("script", "style") else data


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_a_text_is_a_text(text: str, tmp_path: Path) -> None:
    size = write_page(tmp_path / "page.html", text)
    assert size < 2_000_000
    page = Parsed((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert page.tags.count("script") == 2
    assert "img" not in page.tags
    shown = text[:600].strip().replace("\x00", "").replace("\r", "\n")
    assert not shown or shown.split()[0][:100].replace("\x00", "") in page.words.replace("\x00", "")


def test_a_long_text_is_cut_and_the_page_says_so(tokenizer: Any) -> None:
    page = explain("It is a truth. " * 700)
    assert len(page) < 2_000_000
    assert "positions for 128 tokens" in page
    assert "Attention is shown of the first" in page
    config = small_config(vocab_size=4000, max_position_embeddings=3000, num_hidden_layers=12)
    page = explain("It is a truth. " * 400, roberta.RobertaForMaskedLM(config), tokenizer=tokenizer, faults=False)
    assert len(page) < 2_000_000
    assert "Norms are shown of the first 128 of" in page


def test_a_model_of_bases_depth_has_room_for_twenty_tokens(tokenizer: Any) -> None:
    sizes = {"hidden_size": 144, "num_attention_heads": 12, "num_hidden_layers": 12, "intermediate_size": 288}
    model = roberta.RobertaForMaskedLM(small_config(vocab_size=4000, **sizes))
    page = explain("It is a truth that she was <mask>, and he was very happy.", model, tokenizer=tokenizer)
    assert 1_000_000 < len(page) < 2_000_000
    assert "Attention is shown" not in page


@pytest.mark.filterwarnings("ignore:.*They are random")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"head": "bert"}, "head: required one of"),
        ({"head": "question_answering"}, "required one context"),
        ({"head": "question_answering", "others": ("one", "two")}, "required one context beside the text .*got 2"),
        ({"head": "multiple_choice", "others": ("one",)}, "two choices or more"),
        ({"others": ("one",)}, "leave --other out"),
        ({"model": "nowhere/at/all"}, "no checkpoint"),
    ],
)
def test_misuse_is_told(options: Any, message: str) -> None:
    with pytest.raises((ValueError, OSError), match=message):
        explain("A <mask>.", **{"faults": False, **options})


@pytest.mark.parametrize("name", ["XLMRoberta", "XLMRobertaFast", "Camembert", "CamembertFast"])
def test_a_text_of_the_family_is_shown_piece_by_piece(name: str, tmp_path: Path) -> None:
    sentencepiece = pytest.importorskip("sentencepiece", reason="it trains the vocabulary")
    with (tmp_path / "sentencepiece.bpe.model").open("wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter([TEXT, roberta.__doc__] * 9), model_writer=file, vocab_size=90,
            hard_vocab_limit=False, minloglevel=2,
        )  # fmt: skip
    prefix = name.removesuffix("Fast")
    kind = getattr(roberta, f"{prefix}Tokenizer{'Fast' if name != prefix else ''}")
    words = kind(str(tmp_path / "sentencepiece.bpe.model"))
    config = getattr(roberta, f"{prefix}Config")(
        vocab_size=len(words), hidden_size=12, num_hidden_layers=1, num_attention_heads=2, intermediate_size=7,
        max_position_embeddings=67, type_vocab_size=1,
    )  # fmt: skip
    model = getattr(roberta, f"{prefix}ForMaskedLM")(config, backend="numpy")
    text = "It is 😀 <mask>."
    found = recorded(model, words, text, faults=False)
    assert [token for word in found["words"] for token in word["tokens"]] == [
        [number, words.convert_ids_to_tokens(number)] for number in words(text, add_special_tokens=False)["input_ids"]
    ]
    assert any(word["score"] is None for word in found["words"])
    assert found["words"][0]["score"] < 0
    assert found["tokens"][0][1].startswith(" ")
    page = explain(text, model, tokenizer=words, faults=False)
    assert "Score " in page
    assert "without a score" in page
    words.save_pretrained(tmp_path)
    model.save_pretrained(tmp_path)
    assert "Score " in explain(text, tmp_path, faults=False)
    assert encoded_sentences(tmp_path, "masked_lm", 9)["input_ids"].shape == (3, 9)
    assert encoded_sentences(tmp_path / "nowhere", "masked_lm", 9) is None


def test_a_model_needs_its_tokenizer(model: Any) -> None:
    with pytest.raises(TypeError, match="tokenizer: required beside a model object"):
        explain("A <mask>.", model)
    with pytest.raises(ValueError, match="a model has its own"):
        explain("A <mask>.", model, tokenizer="austen", head="model")
