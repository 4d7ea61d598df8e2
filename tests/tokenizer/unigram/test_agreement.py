"""Ids, offsets and every field of a call, held against transformers 4.57.6: the pure classes against its slow ones,
the fast against its fast. Vocabularies are trained on the spot.

Where this suite steps around the peer, a comment says why; `docs/family.md` lists it.
"""

import json

import pytest
from roberta import tokenizer as ours

pytestmark = pytest.mark.hf

CLASSES = ["CamembertTokenizer", "CamembertTokenizerFast", "XLMRobertaTokenizer", "XLMRobertaTokenizerFast"]
PURE = [name for name in CLASSES if not name.endswith("Fast")]
FAST = [name for name in CLASSES if name.endswith("Fast")]


@pytest.fixture(scope="module")
def pair(trained, transformers):
    def made(name, vocabulary="plain", **settings):
        transformers.logging.set_verbosity_error()
        path = str(trained(vocabulary))
        return getattr(ours, name)(path, **settings), getattr(transformers, name)(path, **settings)

    return made


def agree(mine, peer, texts, **options):
    one, other = mine(texts, **options), peer(texts, **options)
    assert one.keys() == other.keys()
    for field, rows in one.items():
        wrong = next((at for at, row in enumerate(rows) if row != other[field][at]), None)
        assert wrong is None, (field, ascii(texts[wrong]), rows[wrong], other[field][wrong])
    if mine.is_fast:
        for at in range(0, len(texts), 7):
            assert one.word_ids(at) == other.word_ids(at), ascii(texts[at])


def asked(name):
    """What is asked for besides; the peer's slow classes know of no offsets, and of no lone \\x1c to \\x1f."""
    return {"return_offsets_mapping": True, "return_special_tokens_mask": True} if name.endswith("Fast") else {}


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("vocabulary", ["plain", "as it is"])
def test_texts(name, vocabulary, pair, drawn):
    agree(*pair(name, vocabulary), drawn(1_000), **asked(name))


@pytest.mark.parametrize("name", PURE)
@pytest.mark.parametrize("vocabulary", ["bytes", "bare"])
def test_texts_of_models_that_the_fast_peer_cannot_do(name, vocabulary, pair, drawn):
    # It never falls back to bytes, and always puts a space before a text.
    agree(*pair(name, vocabulary), drawn(1_000))


@pytest.mark.slow
@pytest.mark.parametrize("name", CLASSES)
def test_a_hundred_thousand_texts(name, pair, drawn):
    mine, peer = pair(name)
    for seed in range(10):
        agree(mine, peer, drawn(10_000, seed=100 + seed), **asked(name))


@pytest.mark.slow
@pytest.mark.parametrize("name", PURE)
@pytest.mark.parametrize("vocabulary", ["bytes", "as it is", "bare"])
def test_many_texts_of_other_models(name, vocabulary, pair, drawn):
    agree(*pair(name, vocabulary), drawn(20_000, seed=50))


@pytest.mark.parametrize("name", CLASSES)
def test_pairs_padding_truncation_and_tensors(name, pair, drawn):
    mine, peer = pair(name)
    texts, others = drawn(60, seed=2), drawn(60, seed=3)
    pairs = list(zip(texts, others, strict=True))
    for options in (
        {"padding": True},
        {"padding": "max_length", "max_length": 24, "truncation": True},
        {"truncation": "only_first", "max_length": 40},
        {"add_special_tokens": False},
        {"return_token_type_ids": True, "return_length": True},
    ):
        one, other = (
            (each(pairs, **options) for each in (mine, peer))
            if "only_first" not in options.values()
            else (each(texts, **options) for each in (mine, peer))
        )
        assert dict(one) == dict(other), options
    one, other = (each(texts, padding=True, return_tensors="np") for each in (mine, peer))
    assert all((one[field] == other[field]).all() for field in other)


@pytest.mark.parametrize("name", FAST)
def test_words_and_windows(name, pair, drawn):
    mine, peer = pair(name)
    for seed in range(50):
        words = drawn(5, seed)
        one, other = (each(words, is_split_into_words=True) for each in (mine, peer))
        assert (one.input_ids, one.word_ids()) == (other.input_ids, other.word_ids())
    text = "The quick brown fox jumps over the lazy dog. " * 5
    options = {"max_length": 12, "truncation": True, "stride": 3, "return_overflowing_tokens": True}
    one, other = (each(text, return_offsets_mapping=True, **options) for each in (mine, peer))
    assert (one["input_ids"], one["offset_mapping"]) == (other["input_ids"], other["offset_mapping"])


@pytest.mark.parametrize("name", CLASSES)
def test_vocabularies_and_special_tokens(name, pair):
    mine, peer = pair(name)
    assert mine.get_vocab() == peer.get_vocab()
    assert len(mine) == len(peer)
    assert mine.all_special_tokens == peer.all_special_tokens
    assert mine.all_special_ids == peer.all_special_ids
    assert mine.special_tokens_map == peer.special_tokens_map
    theirs = {index: flags(token) for index, token in peer.added_tokens_decoder.items()}
    assert {index: flags(token) for index, token in mine.added_tokens_decoder.items()} == theirs
    for role in ("bos", "eos", "unk", "sep", "pad", "cls", "mask"):
        assert getattr(mine, f"{role}_token_id") == getattr(peer, f"{role}_token_id")


def flags(token):
    return token.content, token.lstrip, token.rstrip, token.single_word, token.normalized, token.special


@pytest.mark.parametrize("name", FAST)
def test_the_library_is_told_the_same(name, pair):
    mine, peer = (json.loads(each.backend_tokenizer.to_str()) for each in pair(name))
    # The library reads its own numbers back with an error in the last place.
    scores = [[entry[1] for entry in each["model"].pop("vocab")] for each in (mine, peer)]
    assert mine == peer
    assert scores[0] == pytest.approx(scores[1], rel=1e-15)


@pytest.mark.parametrize("name", FAST)
def test_decoding(name, pair, drawn):
    mine, peer = pair(name)
    for text in drawn(300, seed=5):
        ids = peer(text)["input_ids"]
        for skips in (False, True):
            assert mine.decode(ids, skip_special_tokens=skips) == peer.decode(ids, skip_special_tokens=skips)
        assert mine.convert_ids_to_tokens(ids) == peer.convert_ids_to_tokens(ids)


@pytest.mark.parametrize("name", CLASSES)
def test_added_tokens(name, pair, drawn):
    mine, peer = pair(name)
    for each in (mine, peer):
        each.add_tokens(["lazy", "été"])
        each.add_special_tokens({"additional_special_tokens": ["[NEW]"]})
    texts = [text + " lazy[NEW]été" + text for text in drawn(200, seed=6)]
    agree(mine, peer, texts)


@pytest.mark.parametrize("name", CLASSES)
def test_folders_go_to_and_fro(name, pair, drawn, tmp_path, transformers):
    mine, peer = pair(name, model_max_length=77)
    mine.save_pretrained(tmp_path / "ours")
    peer.save_pretrained(tmp_path / "theirs")
    texts = drawn(100, seed=8)
    there = getattr(transformers, name).from_pretrained(tmp_path / "ours")
    here = getattr(ours, name).from_pretrained(tmp_path / "theirs")
    assert there.model_max_length == here.model_max_length == 77
    assert there(texts)["input_ids"] == here(texts)["input_ids"] == mine(texts)["input_ids"] == peer(texts)["input_ids"]
    assert type(transformers.AutoTokenizer.from_pretrained(tmp_path / "ours")).__name__.startswith(name[:8])
    # either class of the other's folder, too
    other = name.removesuffix("Fast") if name.endswith("Fast") else f"{name}Fast"
    assert (
        getattr(ours, other).from_pretrained(tmp_path / "theirs")("abc <mask>").input_ids
        == mine("abc <mask>").input_ids
    )
