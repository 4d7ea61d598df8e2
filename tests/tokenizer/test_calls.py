"""Calls: golden values, and each decision where we part from transformers (`test_agreement` holds the rest)."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from roberta.tokenizer import RobertaTokenizer

TEXT = st.lists(st.sampled_from(["<mask>", "the", " cat", " ", "é", "日", "\n"]), max_size=6).map("".join)


@pytest.mark.parametrize(
    ("text", "pair", "ids"),
    [
        ("Hello world", None, [0, 31414, 232, 2]),
        (" Hello world", None, [0, 20920, 232, 2]),
        ("Hello", "world", [0, 31414, 2, 2, 8331, 2]),
        ("", None, [0, 2]),
        ("a <mask>.", None, [0, 102, 50264, 4, 2]),
        ("a\0b", None, [0, 102, 50108, 428, 2]),
        ("a\u3000b", None, [0, 102, 48516, 7471, 428, 2]),
        ("a", "", [0, 102, 2, 2, 2]),  # an empty second text is kept; the peer drops it in a single call
        ("", "", [0, 2, 2, 2]),
    ],
)
def test_golden_ids(ours, text, pair, ids):
    assert ours(text, pair).input_ids == ids
    assert ours(text, pair).attention_mask == [1] * len(ids)
    assert ours.encode(text, pair) == ours.encode_plus(text, pair).input_ids == ids


def test_one_text_gives_lists_and_a_batch_gives_lists_of_lists(tiny):
    assert tiny("the").input_ids == tiny(["the"]).input_ids[0]
    assert tiny("the", return_length=True).length == [3]
    assert tiny("the", return_tensors="np").input_ids.shape == (1, 3)
    assert dict(tiny([])) == {"input_ids": [], "attention_mask": []}
    assert tiny.batch_encode_plus(["a", "b"]) == tiny(["a", "b"])


@settings(derandomize=True, deadline=None)
@given(texts=st.lists(TEXT, min_size=1, max_size=4), side=st.sampled_from(["left", "right"]))
def test_a_batch_is_its_texts_one_by_one(tiny, texts, side):
    length = max(len(tiny.encode(text)) for text in texts)
    batch = tiny(texts, padding=True, padding_side=side, return_offsets_mapping=True)
    singles = [
        tiny(text, padding="max_length", max_length=length, padding_side=side, return_offsets_mapping=True)
        for text in texts
    ]
    for name in batch:
        assert batch[name] == [single[name] for single in singles]


def test_padding_without_special_tokens_pads_an_empty_text_too(tiny):
    options = {"padding": "max_length", "max_length": 3, "add_special_tokens": False}
    assert tiny("", **options).input_ids == [1, 1, 1]
    assert tiny("", **options).attention_mask == [0, 0, 0]


@pytest.mark.parametrize(("side", "ids"), [(None, [0, 2, 1, 1]), ("right", [0, 2, 1, 1]), ("left", [1, 1, 0, 2])])
def test_a_call_may_name_the_side(tiny, side, ids):
    assert tiny("", padding="max_length", max_length=4, padding_side=side).input_ids == ids


def test_the_tokenizers_own_sides_and_lengths(tiny):
    tokenizer = RobertaTokenizer(
        tiny._base, tiny._merges, padding_side="left", truncation_side="left", model_max_length=5,
        model_input_names=["input_ids", "token_type_ids"],
    )  # fmt: skip
    encoding = tokenizer(["a b c d e", "f"], padding=True, truncation=True)
    assert tokenizer.convert_ids_to_tokens(encoding.input_ids[0])[-2:] == ["e", "</s>"]
    assert encoding.input_ids[1][:2] == [1, 1]
    assert list(encoding) == ["input_ids", "token_type_ids"]
    assert (tokenizer.max_len_single_sentence, tokenizer.max_len_sentences_pair) == (3, 1)


@pytest.mark.parametrize(
    ("arguments", "options", "ids"),
    [
        (("one two",), {"max_length": 2}, [0, 2]),  # the peer's slow class gives it whole
        (("one two", "three"), {"max_length": 4}, [0, 2, 2, 2]),
        (("one two",), {"max_length": 0, "add_special_tokens": False}, []),
    ],
)
def test_truncation_to_nothing(ours, arguments, options, ids):
    assert ours(*arguments, truncation=True, **options).input_ids == ids


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (
            ("one two",),
            {"max_length": 1, "truncation": True},
            "max_length: expected room for the special tokens, got 1 too few",
        ),
        (("one", "two"), {"max_length": 3, "truncation": True}, "max_length: .* got 1 too few; raise"),
        (
            ("one", "two"),
            {"max_length": 4, "truncation": "only_first"},
            "only_first expects a first text of more than 2",
        ),
        (("one two",), {"max_length": 3, "truncation": "only_second"}, "only_second expects .* got none"),
        (
            ("one", "two"),
            {"max_length": 5, "truncation": "only_first"},
            "only_first expects .* more than 1 tokens, .* got 1",
        ),
    ],
)
def test_truncation_that_cannot_succeed(ours, arguments, options, message):
    with pytest.raises(ValueError, match=message):
        ours(*arguments, **options)


def test_windows(tiny):
    text = "abcdefg"
    options = {"max_length": 5, "truncation": True, "stride": 1, "return_overflowing_tokens": True}
    encoding = tiny([text, "x"], **options, return_offsets_mapping=True)
    spelled = ["".join(tiny.convert_ids_to_tokens(ids)[1:-1]) for ids in encoding.input_ids]
    assert spelled == ["abc", "cde", "efg", "x"]
    assert encoding.overflow_to_sample_mapping == [0, 0, 0, 1]
    assert encoding.offset_mapping[1] == [(0, 0), (2, 3), (3, 4), (4, 5), (0, 0)]
    assert encoding.char_to_token(2, 4) == 1
    assert len(tiny(text, **options).input_ids) == 3  # lists of lists, for one text too


def test_windows_that_would_not_advance(tiny):
    options = {"max_length": 5, "truncation": True, "return_overflowing_tokens": True}
    with pytest.raises(
        ValueError, match=r"stride: expected windows of more than stride = 3 tokens, .* windows of 3; lower"
    ):
        tiny("abcdefg", stride=3, **options)


def test_targets_become_labels(tiny):
    encoding = tiny("the", text_target="cat sat")
    assert encoding.labels == tiny("cat sat").input_ids
    assert list(encoding) == ["input_ids", "attention_mask", "labels"]
    assert tiny(text_target="cat sat") == tiny("cat sat")


def test_words_need_the_prefix_space(ours, ours_prefixed):
    assert ours_prefixed(["Hello", "world"], is_split_into_words=True).input_ids == [0, 20920, 232, 2]
    assert ours_prefixed(["<pad>."], is_split_into_words=True).input_ids == [0, 1, 479, 2]
    with pytest.raises(ValueError, match=r"is_split_into_words: expected .*add_prefix_space=True.*; load it with"):
        ours(["Hello"], is_split_into_words=True)


def test_a_text_that_spells_a_special_token(ours):
    assert ours.tokenize("<mask>") == ["<mask>"]
    assert ours.tokenize("<mask >") == ["<", "mask", "Ġ>"]
    assert 50264 not in ours("<mask>", split_special_tokens=True).input_ids
    ours.split_special_tokens = True
    try:
        assert 50264 not in ours("<mask>").input_ids
    finally:
        ours.split_special_tokens = False


def test_tokens_of_a_text(ours):
    assert ours.tokenize("Hello <mask>") == ["Hello", "<mask>"]  # and not " <mask>", which no vocabulary has
    assert ours.tokenize("a", "b", add_special_tokens=True) == ["<s>", "a", "</s>", "</s>", "b", "</s>"]
    assert ours.convert_tokens_to_ids(ours.tokenize("Hello <mask>")) == ours.encode(
        "Hello <mask>", add_special_tokens=False
    )


def test_special_tokens_around_ids(tiny):
    assert tiny.num_special_tokens_to_add() == 2
    assert tiny.num_special_tokens_to_add(pair=True) == 4
    assert tiny.build_inputs_with_special_tokens([7]) == [0, 7, 2]
    assert tiny.build_inputs_with_special_tokens([7], [8, 9]) == [0, 7, 2, 2, 8, 9, 2]
    assert tiny.create_token_type_ids_from_sequences([7], [8, 9]) == [0] * 7
    assert tiny.get_special_tokens_mask([7]) == [1, 0, 1]
    assert tiny.get_special_tokens_mask([7], [8, 9]) == [1, 0, 1, 1, 0, 0, 1]
    assert tiny.get_special_tokens_mask([0, 7, 272, 3, 2, 1], already_has_special_tokens=True) == [1, 0, 1, 1, 1, 1]
    with pytest.raises(ValueError, match="token_ids_1: expected None with already_has_special_tokens=True"):
        tiny.get_special_tokens_mask([7], [8], already_has_special_tokens=True)


def test_a_special_token_that_was_typed_is_not_marked(tiny):
    assert tiny("<mask></s>", return_special_tokens_mask=True).special_tokens_mask == [1, 0, 0, 1]


def test_batches_are_decoded(tiny):
    batch = tiny(["the cat", "a"], padding=True, return_tensors="np")
    assert tiny.batch_decode(batch.input_ids, skip_special_tokens=True) == ["the cat", "a"]
    assert tiny.batch_decode(batch.input_ids) == [
        "<s>the cat</s>",
        "<s>a</s>" + "<pad>" * (batch.input_ids.shape[1] - 3),
    ]


def test_rows_of_different_lengths_make_no_array(tiny):
    with pytest.raises(ValueError, match=r"input_ids: expected rows of one length .*; pass padding=True"):
        tiny(["a", "the cat sat"], return_tensors="np")
    assert tiny(["a", "the cat sat"], return_tensors="np", padding=True).input_ids.dtype == np.int64


@pytest.mark.parametrize(
    ("role", "options"), [("pad_token", {"padding": True}), ("cls_token", {}), ("sep_token", {"return_length": True})]
)
def test_a_role_that_a_call_needs_and_nobody_plays(tiny, role, options):
    tokenizer = RobertaTokenizer(tiny._base, tiny._merges, **{role: None})
    with pytest.raises(ValueError, match=rf"{role}: expected a token for this call, got None; set tokenizer.{role}"):
        tokenizer(["a"], **options)
    assert tokenizer(["a"], add_special_tokens=False).input_ids


def test_nothing_to_encode(tiny):
    with pytest.raises(ValueError, match="text: expected a text, a list of texts, or text_target, got None; pass"):
        tiny()


def test_an_unknown_option(tiny):
    with pytest.raises(
        TypeError, match="tokenizer call: 'add_special_token' is not an option; did you mean 'add_special_tokens'"
    ):
        tiny("a", add_special_token=True)


def test_a_row_that_no_model_takes_is_logged_once(tiny, caplog):
    tokenizer = RobertaTokenizer(tiny._base, tiny._merges, model_max_length=4)
    for text in ("ab", "abc", "abcd"):
        assert len(tokenizer(text).input_ids) == 2 + len(text)
    assert [record.getMessage() for record in caplog.records] == [
        "a row has 5 tokens, and the model takes 4 at most; pass truncation=True if it is for the model"
    ]
    silent = RobertaTokenizer(tiny._base, tiny._merges, model_max_length=4)
    silent("abcdef", verbose=False)
    silent("abcdef", truncation=True)
    assert len(caplog.records) == 1
