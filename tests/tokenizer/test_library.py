"""The engine on the library: what it is asked for, and what it is not. `test_two_classes` compares all it gives."""

import threading
import time

import pytest
from roberta.tokenizer import AddedToken, RobertaTokenizer, RobertaTokenizerFast

pytestmark = pytest.mark.tokenizers
TEXTS = ["the cat <mask> sat", "", "  on\tthe mat é日 ", "<s>the</s>"]


@pytest.fixture(scope="module")
def fast(tiny):
    return RobertaTokenizerFast.from_tokenizer(tiny)


def encoded(tokenizer, texts):
    record = tokenizer(texts, return_offsets_mapping=True, return_special_tokens_mask=True)
    return dict(record), [record.word_ids(row) for row in range(len(texts))]


def test_where_the_library_by_itself_would_be_wrong(tiny):
    """A token that swallows the space in which another begins; one that is spelled like a lacking byte."""
    swallowing = RobertaTokenizerFast.from_tokenizer(tiny)
    swallowing.add_tokens([AddedToken("<r>", rstrip=True), AddedToken(" x")])
    base = {token: index for token, index in tiny._base.items() if token not in {"é", "Ġ"}}
    lacking = RobertaTokenizerFast(base, tiny._merges[:0])
    lacking.add_tokens(["é"])
    for tokenizer, text in ((swallowing, "<r>  x x"), (lacking, "été \xe9 日")):
        pure = RobertaTokenizer.from_tokenizer(tokenizer)
        assert encoded(tokenizer, [text]) == encoded(pure, [text])
        assert encoded(tokenizer, [text, "a"]) == encoded(pure, [text, "a"])


@pytest.mark.parametrize("texts", [["x" * 65, "é " + "y" * 65], ["x" * 65]])
@pytest.mark.parametrize("options", [{}, {"return_offsets_mapping": True}])
def test_words_are_remembered_if_they_are_not_too_long(fast, tiny, texts, options):
    tokenizer = RobertaTokenizerFast.from_tokenizer(tiny)
    for _ in range(2):
        mine, pure = tokenizer(texts, **options), tiny(texts, **options)
        assert dict(mine) == dict(pure)
        assert [mine.word_ids(row) for row in range(len(texts))] == [pure.word_ids(row) for row in range(len(texts))]
    assert max(map(len, tokenizer._bpe.memory), default=0) <= tokenizer._bpe.memory.longest_kept


def test_the_library_is_asked_once_for_all_new_words_of_a_batch(tiny, monkeypatch):
    tokenizer = RobertaTokenizerFast.from_tokenizer(tiny)
    asked = []
    library = tokenizer.engine.words._tokenizer

    class Asked:
        def encode_batch_fast(self, words):
            asked.append(words)
            return library.encode_batch_fast(words)

    monkeypatch.setattr(tokenizer.engine.words, "_tokenizer", Asked())
    monkeypatch.setattr(tokenizer._bpe.memory, "_compute", lambda word: pytest.fail(f"asked for {word!r} alone"))
    for texts in (["the cat", "a cat sat"], ["a cat", "on the mat"]):
        assert tokenizer(texts).input_ids == tiny(texts).input_ids
    assert [sorted(word for word in words if word.strip()) for words in asked] == [
        [" cat", " sat", "a", "the"],
        [" mat", " the", "on"],
    ]


def test_alignment_may_be_asked_for_later(fast, tiny):
    arrays = {"padding": True, "truncation": True, "max_length": 5, "return_tensors": "np"}
    for options in ({}, {"return_offsets_mapping": True}, {"split_special_tokens": True}, arrays):
        mine, pure = fast(TEXTS, **options), tiny(TEXTS, **options)
        for row in range(len(TEXTS)):
            assert mine.encodings[row].offsets == pure.encodings[row].offsets
            assert mine.word_ids(row) == pure.word_ids(row)
            assert mine.char_to_token(row, 0) == pure.char_to_token(row, 0)


@pytest.mark.parametrize("unit", ["a", "😀", " ", "\n", "é", ".", "<mask>", "ab "])
def test_a_long_run_costs_no_more_than_its_length(fast, tiny, unit):
    text = unit * (100_000 // len(unit.encode()))
    begin = time.process_time()
    ids = fast(text).input_ids
    assert time.process_time() - begin < 5  # seconds; quadratic cost would be minutes
    assert ids == tiny(text).input_ids


def test_threads_may_share_one(fast, tiny):
    texts = [f"the cat {index} <mask> sat" for index in range(200)]
    wanted = {split: tiny(texts, split_special_tokens=split).input_ids for split in (False, True)}
    found = []

    def encode(split):
        found.extend((split, fast(texts, split_special_tokens=split).input_ids) for _ in range(10))

    threads = [threading.Thread(target=encode, args=(split,)) for split in (False, True, False, True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 40
    assert all(ids == wanted[split] for split, ids in found)
