"""What is `RobertaTokenizerFast`'s own: how it is made, what it is made of, and that nothing but the engine differs."""

import builtins
import copy
import inspect
import json
import pickle

import numpy as np
import pytest
import roberta
from roberta.tokenizer import AddedToken, RobertaTokenizer, RobertaTokenizerFast

pytestmark = pytest.mark.tokenizers
TEXTS = ["the cat <mask> sat", "", "  on\tthe mat é日 ", "<s>the</s>"]


@pytest.fixture(scope="module")
def fast(tiny):
    return RobertaTokenizerFast.from_tokenizer(tiny)


def encoded(tokenizer, texts=TEXTS):
    record = tokenizer(texts, return_offsets_mapping=True, return_special_tokens_mask=True)
    return dict(record), [record.word_ids(row) for row in range(len(texts))]


def test_it_is_a_public_name():
    assert roberta.RobertaTokenizerFast is RobertaTokenizerFast
    assert (RobertaTokenizer.is_fast, RobertaTokenizerFast.is_fast) == (False, True)


def test_all_ways_to_make_one_give_the_same(tiny, fast, tmp_path):
    paths = tiny.save_pretrained(tmp_path)
    by_name = {path.rsplit("/", 1)[1]: path for path in paths}
    made = [
        RobertaTokenizerFast(by_name["vocab.json"], by_name["merges.txt"]),
        RobertaTokenizerFast(tiny._base, tiny._merges),
        RobertaTokenizerFast(vocab_file=tiny._base, merges_file=by_name["merges.txt"]),
        RobertaTokenizerFast(tokenizer_file=by_name["tokenizer.json"]),
        RobertaTokenizerFast.from_pretrained(tmp_path),
        RobertaTokenizerFast.train(["the cat sat on the mat, the cat sat"] * 2, vocab_size=280),
        RobertaTokenizerFast.from_tokenizer(fast),
        pickle.loads(pickle.dumps(fast)),  # noqa: S301  # our own
        copy.deepcopy(fast),
    ]
    for tokenizer in made:
        assert isinstance(tokenizer, RobertaTokenizerFast)
        assert encoded(tokenizer) == encoded(tiny)


def test_a_tokenizer_becomes_one_of_the_other_class_and_back(tiny):
    settings = {"add_prefix_space": True, "trim_offsets": False, "padding_side": "left", "model_max_length": 99}
    pure = RobertaTokenizer(tiny._base, tiny._merges, "ignore", additional_special_tokens=["<x>"], **settings)
    pure.add_tokens([AddedToken("<new>", rstrip=True)])
    fast = RobertaTokenizerFast.from_tokenizer(pure)
    back = RobertaTokenizer.from_tokenizer(fast)
    assert type(back) is RobertaTokenizer
    for other in (fast, back):
        assert other.added_tokens_decoder == pure.added_tokens_decoder
        assert other.special_tokens_map == pure.special_tokens_map
        for name in ("errors", *settings):
            assert getattr(other, name) == getattr(pure, name)
        assert encoded(other, ["the <new> \n<x>a"]) == encoded(pure, ["the <new> \n<x>a"])
    fast.add_tokens("later")
    assert "later" not in pure.get_vocab()


@pytest.mark.parametrize("arguments", [{}, {"vocab_file": {"a": 0}}, {"merges_file": []}])
def test_what_it_is_made_of_must_be_given(arguments):
    with pytest.raises(TypeError, match=r"expected vocab_file and merges_file, or tokenizer_file, got .*; pass them"):
        RobertaTokenizerFast(**arguments)


def test_its_own_name_stands_in_messages(tiny):
    with pytest.raises(TypeError, match="RobertaTokenizerFast: 'paddding_side' is not an option; did you mean"):
        RobertaTokenizerFast(tiny._base, tiny._merges, paddding_side="left")
    assert repr(RobertaTokenizerFast.from_tokenizer(tiny)).startswith("RobertaTokenizerFast(")


def test_a_missing_library_is_said_with_what_installs_it(tiny, monkeypatch):
    imported = builtins.__import__

    def without_library(name, *rest):
        if name == "tokenizers":
            raise ImportError("No module named 'tokenizers'")
        return imported(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_library)
    with pytest.raises(ImportError, match=r'pip install "roberta\[tokenizers\]", or use RobertaTokenizer'):
        RobertaTokenizerFast(tiny._base, tiny._merges)


def test_both_classes_have_the_same_public_names():
    names = lambda kind: {name for name, _ in inspect.getmembers(kind) if not name.startswith("_")}  # noqa: E731
    assert names(RobertaTokenizerFast) - names(RobertaTokenizer) == {"backend_tokenizer"}
    assert names(RobertaTokenizer) <= names(RobertaTokenizerFast)


def test_whatever_changes_a_tokenizer_changes_its_ids(tiny):
    pure, fast = (kind(tiny._base, tiny._merges) for kind in (RobertaTokenizer, RobertaTokenizerFast))
    text = "the cat<new> <x> \n<y>sat <mask>"

    changes = [
        lambda tokenizer: tokenizer.add_tokens(["<new>"]),
        lambda tokenizer: tokenizer.add_special_tokens({"additional_special_tokens": ["<x>"], "mask_token": "<y>"}),
        lambda tokenizer: setattr(tokenizer, "cls_token", "<x>"),
        lambda tokenizer: setattr(tokenizer, "add_prefix_space", True),
        lambda tokenizer: setattr(tokenizer, "trim_offsets", False),
    ]
    seen = [encoded(pure, [text])]
    for change in changes:
        for tokenizer in (pure, fast):
            change(tokenizer)
        assert encoded(pure, [text]) == encoded(fast, [text])
        seen.append(encoded(fast, [text]))
    assert len({json.dumps(each) for each in seen}) == 1 + len(changes)


def test_the_backend_is_a_copy_with_everything_in_it(fast, tiny):
    backend = fast.backend_tokenizer
    assert backend.encode("the <mask>").ids == fast("the <mask>").input_ids
    assert backend.encode("the", "cat").ids == fast("the", "cat").input_ids
    assert (backend.truncation, backend.padding) == (None, None)
    assert backend.decode(fast("the cat").input_ids) == "the cat"
    backend.add_tokens(["the"])
    assert fast("the").input_ids == tiny("the").input_ids


def test_arrays_are_those_of_the_pure_class(fast, tiny):
    options = {"padding": True, "truncation": True, "max_length": 7, "return_tensors": "np"}
    mine, pure = fast(TEXTS, **options), tiny(TEXTS, **options)
    for name, array in pure.items():
        assert mine[name].dtype == array.dtype
        np.testing.assert_array_equal(mine[name], array)
