import re
import warnings
from collections.abc import Sequence

import numpy as np
import pytest
from roberta.tokenizer import RobertaTokenizer
from roberta.tokenizer.options import UNLIMITED, CallOptions, read_texts, reject_unknown, resolve


class Defaults:
    model_max_length = UNLIMITED
    padding_side = truncation_side = "right"
    split_special_tokens = False
    model_input_names = ("input_ids", "attention_mask")


def plan(**options):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return resolve(Defaults(), options)


@pytest.mark.parametrize(
    ("padding", "meaning"),
    [
        (False, None),
        (None, None),
        ("do_not_pad", None),
        (True, "longest"),
        ("longest", "longest"),
        ("max_length", "max_length"),
    ],
)
def test_padding(padding, meaning):
    assert plan(padding=padding, max_length=5, truncation=True).padding == meaning


@pytest.mark.parametrize(
    ("truncation", "meaning"),
    [
        (False, None),
        ("do_not_truncate", None),
        (True, "longest_first"),
        ("longest_first", "longest_first"),
        ("only_first", "only_first"),
        ("only_second", "only_second"),
    ],
)
def test_truncation(truncation, meaning):
    assert plan(truncation=truncation, max_length=5).truncation == meaning


@pytest.mark.hf
def test_the_peers_enumerations_are_understood(transformers):
    from transformers.tokenization_utils_base import TruncationStrategy
    from transformers.utils import PaddingStrategy

    found = plan(padding=PaddingStrategy.MAX_LENGTH, truncation=TruncationStrategy.ONLY_FIRST, max_length=5)
    assert (found.padding, found.truncation) == ("max_length", "only_first")


def test_a_length_alone_cuts_and_warns():
    with pytest.warns(UserWarning, match="max_length is given without truncation.*truncation=True"):
        assert resolve(Defaults(), {"max_length": 5}).truncation == "longest_first"
    assert plan(max_length=5, truncation=False).truncation is None
    assert plan(max_length=5, padding="max_length").truncation is None
    assert plan(max_length=5, verbose=False).truncation == "longest_first"


def test_a_length_that_padding_ignores_warns():
    with pytest.warns(UserWarning, match="max_length = 5 is ignored.*padding='max_length'"):
        resolve(Defaults(), {"max_length": 5, "padding": True})


def test_no_length_at_all_warns():
    for options in ({"truncation": True}, {"padding": "max_length"}):
        with pytest.warns(UserWarning, match="no max_length is given and the tokenizer has no model_max_length"):
            found = resolve(Defaults(), options)
        assert (found.padding, found.truncation) == (None, None)


def test_the_models_length_is_the_default():
    class Known(Defaults):
        model_max_length = 512

    assert resolve(Known(), {"truncation": True}).max_length == 512
    assert resolve(Known(), {"padding": "max_length"}).max_length == 512
    assert resolve(Known(), {"truncation": True, "max_length": 0}).max_length == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"padding": "longst"}, r"padding: expected one of False, None, .*'max_length', got 'longst'; pass"),
        ({"padding": 3}, "padding: .* got 3"),
        ({"truncation": "first"}, "truncation: expected one of .*'only_first', 'only_second', got 'first'"),
        ({"truncation": 1.0, "max_length": 5}, "truncation: .* got 1.0"),
        ({"max_length": -1, "truncation": True}, "max_length: expected an integer of at least 0, got -1"),
        ({"max_length": 5.0, "truncation": True}, "max_length: .* got 5.0"),
        ({"stride": -1}, "stride: expected an integer of at least 0, got -1"),
        ({"pad_to_multiple_of": 0}, "pad_to_multiple_of: expected an integer of at least 1, got 0"),
        ({"padding_side": "top"}, "padding_side: expected 'left' or 'right', got 'top'"),
        ({"truncation_side": "both"}, "truncation_side: expected 'left' or 'right', got 'both'"),
        (
            {"max_length": 10, "truncation": True, "padding": True, "pad_to_multiple_of": 8},
            "max_length: expected a multiple of pad_to_multiple_of = 8 .*, got 10; use 8",
        ),
    ],
)
def test_values_that_do_not_exist(options, message):
    with pytest.raises(ValueError, match=message):
        plan(**options)


def test_names_that_do_not_exist():
    with pytest.raises(TypeError, match="tokenizer call: 'paddding' is not an option; did you mean 'padding'"):
        reject_unknown("tokenizer call", {"paddding": True}, CallOptions.__annotations__)
    with pytest.raises(TypeError, match=r"'zzz' is not an option; choose from add_special_tokens, padding, "):
        reject_unknown("tokenizer call", {"zzz": 1}, CallOptions.__annotations__)


def test_fields():
    assert plan().fields == ["input_ids", "attention_mask"]
    assert plan(return_attention_mask=False, return_token_type_ids=True).fields == ["input_ids", "token_type_ids"]
    every = {
        f"return_{name}": True for name in ("special_tokens_mask", "offsets_mapping", "length", "overflowing_tokens")
    }
    assert plan(**every).fields[2:] == [
        "special_tokens_mask",
        "offset_mapping",
        "length",
        "overflow_to_sample_mapping",
    ]


def test_every_option_is_documented():
    documented = set(re.findall(r"^        (\w+): ", CallOptions.__doc__, flags=re.MULTILINE))
    assert documented == set(CallOptions.__annotations__)


@pytest.mark.parametrize(
    ("lengths", "options", "wanted"),
    [
        ([3, 5], {}, 0),
        ([3, 5], {"padding": True}, 5),
        ([3, 5], {"padding": True, "pad_to_multiple_of": 4}, 8),
        ([4], {"padding": True, "pad_to_multiple_of": 4}, 4),
        ([3], {"padding": "max_length", "max_length": 6}, 6),
        ([3], {"padding": "max_length", "max_length": 6, "pad_to_multiple_of": 4}, 8),
        ([], {"padding": True}, 0),
    ],
)
def test_padded_length(lengths, options, wanted):
    assert plan(**options).padded_length(lengths) == wanted


def test_a_wrong_side_is_reported_when_the_tokenizer_is_made(tiny):
    with pytest.raises(ValueError, match="padding_side: expected 'left' or 'right', got 'up'"):
        RobertaTokenizer(tiny._base, tiny._merges, padding_side="up")


# -- texts -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "pair", "samples", "is_batch"),
    [
        ("a", None, [["a"]], False),
        ("a", "b", [["a", "b"]], False),
        ("a", "", [["a", ""]], False),  # an empty second text is a second text
        (["a", "b"], None, [["a"], ["b"]], True),
        (("a", "b"), None, [["a"], ["b"]], True),
        (["a", "b"], ["c", "d"], [["a", "c"], ["b", "d"]], True),
        ([("a", "b"), ["c", "d"]], None, [["a", "b"], ["c", "d"]], True),
        ([("a", "b"), "c"], None, [["a", "b"], ["c"]], True),
        ([], None, [], True),
        ([], [], [], True),
    ],
)
def test_forms_of_texts(text, pair, samples, is_batch):
    assert read_texts(text, pair, False) == (samples, is_batch)


@pytest.mark.parametrize(
    ("text", "pair", "samples", "is_batch"),
    [
        (["a", "b"], None, [[["a", "b"]]], False),
        ([], None, [[[]]], False),
        (["a"], ["b", "c"], [[["a"], ["b", "c"]]], False),
        ([["a", "b"], ["c"]], None, [[["a", "b"]], [["c"]]], True),
        ([["a"]], [["b"]], [[["a"], ["b"]]], True),
    ],
)
def test_forms_of_words(text, pair, samples, is_batch):
    assert read_texts(text, pair, True) == (samples, is_batch)


@pytest.mark.parametrize("wrong", [7, b"a", None, 1.5, {"a": 1}, object()])
def test_what_is_no_text_is_named(wrong):
    with pytest.raises(ValueError, match=rf"text: expected a str, got {type(wrong).__name__} .* index 0; pass"):
        read_texts(wrong, None, False)
    with pytest.raises(ValueError, match=rf"text: expected a str, got {type(wrong).__name__} .* index 1; pass"):
        read_texts(["a", wrong], None, False)
    with pytest.raises(ValueError, match="text: expected a list of words"):
        read_texts(["a", wrong], None, True)


@pytest.mark.parametrize("wrong", [[["a", "b", "c"]], [["a"]], [[]], [[1, 2]], [("a", 7)]])
def test_what_is_no_pair_is_named(wrong):
    with pytest.raises(ValueError, match="expected a str, got"):
        read_texts(wrong, None, False)


def test_a_text_where_words_should_be():
    with pytest.raises(ValueError, match=r"text: expected a list of words \(str\), got str 'a b'"):
        read_texts("a b", None, True)


def test_batches_must_match():
    with pytest.raises(ValueError, match="text_pair: expected as many texts as in text, 2, got 1; pass"):
        read_texts(["a", "b"], ["c"], False)
    with pytest.raises(TypeError, match="text_pair: expected a list like text, got str; pass"):
        read_texts(["a"], "b", False)
    with pytest.raises(TypeError, match="text_pair: expected one text like text, got list; pass"):
        read_texts("a", ["b"], False)


@pytest.mark.parametrize(
    ("text", "pair", "is_split", "message"),
    [
        ("ab\ud800", None, False, r"text: .*lone surrogate '\\ud800' at code point 2 of batch index 0; repair"),
        (["a", "é\udfff"], None, False, r"text: .*'\\udfff' at code point 1 of batch index 1"),
        ("a", "\ud800", False, r"text_pair: .*'\\ud800'"),
        (["a", "\ud800"], None, True, r"text: .*'\\ud800'"),
    ],
)
def test_a_lone_surrogate_is_named(text, pair, is_split, message):
    with pytest.raises(ValueError, match=message):
        read_texts(text, pair, is_split)


class Column(Sequence):
    """A sequence that is no list, as a column of `datasets` is: rows come one at a time, from a file."""

    def __init__(self, rows):
        self._rows = rows

    def __len__(self):
        return len(self._rows)

    def __getitem__(self, index):
        return self._rows[index]


def test_an_array_of_texts_is_told_to_become_a_list(tiny):
    with pytest.raises(ValueError, match=r"text: expected a str, got ndarray .*; pass text\.tolist\(\)"):
        tiny(np.array(["a", "b"]))


def test_a_column_is_a_list(tiny, ours_prefixed):
    texts, words = ["the cat", "a <mask>"], [["the", "cat"], ["a"]]
    assert read_texts(Column(texts), Column(texts), False) == read_texts(texts, texts, False)
    assert tiny(Column(texts), padding=True) == tiny(texts, padding=True)
    assert tiny(Column([Column(texts)])) == tiny([tuple(texts)])
    for given in (Column(words), [Column(row) for row in words], Column([Column(row) for row in words])):
        assert ours_prefixed(given, is_split_into_words=True) == ours_prefixed(words, is_split_into_words=True)
    assert ours_prefixed(Column(words[0]), is_split_into_words=True) == ours_prefixed(
        words[0], is_split_into_words=True
    )


@pytest.mark.parametrize("wrong", [b"abc", bytearray(b"abc"), memoryview(b"abc")])
def test_bytes_are_no_list(tiny, wrong):
    with pytest.raises(ValueError, match=f"text: expected a str, got {type(wrong).__name__}"):
        tiny(wrong)
