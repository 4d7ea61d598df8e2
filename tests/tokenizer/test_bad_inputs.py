"""Misuse that no other file holds: a message with what was required, what came, and what to do; never a silent slip."""

import numpy as np
import pytest
from roberta.tokenizer import RobertaTokenizer

VOCAB = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "a": 4, "<mask>": 5}


@pytest.fixture
def fresh():
    """A tokenizer that a test may change."""
    return RobertaTokenizer(VOCAB, [])


@pytest.mark.parametrize("text", [None, ["a"], 3])
def test_only_one_text_is_cut_into_tokens(tiny, text):
    with pytest.raises(ValueError, match=r"text: expected one text \(str\), got .*; tokenize texts one by one"):
        tiny.tokenize(text)


@pytest.mark.parametrize("tokens", [None, 3, [None], [3]])
def test_what_is_no_added_token(fresh, tokens):
    with pytest.raises(TypeError, match=r"token: expected a str or an AddedToken, got (NoneType|int)"):
        fresh.add_tokens(tokens)


def test_one_additional_special_token_is_not_its_letters(fresh):
    assert fresh.add_special_tokens({"additional_special_tokens": "<xy>"}) == 1
    assert fresh.additional_special_tokens == ["<xy>"]


@pytest.mark.parametrize(
    ("features", "error", "message"),
    [
        ("abc", TypeError, "pad: expected a mapping or a list of mappings, got str"),
        (3, TypeError, "pad: expected a mapping or a list of mappings, got int"),
        ([{"x": 1}], ValueError, "pad: expected features with input_ids, got x"),
        ([], ValueError, "pad: expected features with input_ids, got none"),
        (
            [{"input_ids": [1], "labels": [2]}, {"input_ids": [1]}],
            ValueError,
            "expected the field 'labels' in feature 1",
        ),
        (
            [{"input_ids": [1, 2], "attention_mask": [1]}, {"input_ids": [1], "attention_mask": [1]}],
            ValueError,
            r"attention_mask: expected rows as long as those of input_ids, \[2, 1\], got \[1, 1\]",
        ),
    ],
)
def test_what_cannot_be_padded(tiny, features, error, message):
    with pytest.raises(error, match=message):
        tiny.pad(features)


@pytest.mark.parametrize("method", ["token_to_chars", "token_to_word", "token_to_sequence"])
@pytest.mark.parametrize("place", [3, 99, -4])
def test_a_place_outside_the_row(tiny, method, place):
    encoding = tiny("a")
    with pytest.raises(IndexError, match=f"token_index: expected a place in the row, 0 to 2, got {place}"):
        getattr(encoding, method)(place)
    assert getattr(encoding, method)(-1) is None


@pytest.mark.parametrize("number", [4, np.int64(4), np.uint8(4)])
def test_integers_of_numpy_are_lengths(tiny, number):
    assert len(tiny("the cat sat on the mat", max_length=number, truncation=True).input_ids) == 4


@pytest.mark.parametrize("number", [True, 4.0, np.float64(4), "4", -1])
def test_what_is_no_length(tiny, number):
    with pytest.raises(ValueError, match="max_length: expected an integer of at least 0, got"):
        tiny("the cat", max_length=number, truncation=True)


def test_targets_must_be_as_many_as_texts(tiny):
    with pytest.raises(
        ValueError, match="text_target: expected as many rows as text gives, 1, got 2; pass a target for"
    ):
        tiny("a", text_target=["a", "b"])


@pytest.mark.parametrize("merges", [["a b"], [("a", "b", "c")], [("a",)], ["ab"]])
def test_merges_are_pairs(merges):
    with pytest.raises(ValueError, match=r"merges: expected pairs of str, got .* at rank 0; split lines at the space"):
        RobertaTokenizer(VOCAB, merges)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((["a"], "300"), TypeError, "vocab_size: expected an integer, got '300'"),
        ((["a"], 300.0), TypeError, "vocab_size: expected an integer, got 300.0"),
        ((["a"], 300, "x"), TypeError, "min_frequency: expected an integer, got 'x'"),
        (
            (["a\ud800"], 300),
            ValueError,
            r"texts: expected Unicode text, got the lone surrogate '.ud800' in '.ud800'; repair",
        ),
        (([b"a"], 300), TypeError, "texts: expected str, Path, or lists of str, got int 97"),
    ],
)
def test_what_nothing_can_be_learned_from(arguments, error, message):
    with pytest.raises(error, match=message):
        RobertaTokenizer.train(*arguments)


def test_a_training_file_in_another_encoding_is_named(tmp_path):
    (tmp_path / "latin.txt").write_bytes("é".encode("latin-1"))
    with pytest.raises(ValueError, match=r"latin\.txt: expected UTF-8, got .*; convert the file first"):
        RobertaTokenizer.train([tmp_path / "latin.txt"], 300)
