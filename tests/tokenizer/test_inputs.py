import pytest
from roberta.tokenizer.inputs import read_inputs


@pytest.mark.parametrize(
    ("text", "pair", "pairs", "is_batch"),
    [
        ("a", None, [("a", None)], False),
        ("a", "b", [("a", "b")], False),
        ("a", "", [("a", "")], False),  # an empty second text is a second text
        (["a", "b"], None, [("a", None), ("b", None)], True),
        (("a", "b"), None, [("a", None), ("b", None)], True),
        (["a", "b"], ["c", "d"], [("a", "c"), ("b", "d")], True),
        ([("a", "b"), ["c", "d"]], None, [("a", "b"), ("c", "d")], True),
        ([("a", "b"), "c"], None, [("a", "b"), ("c", None)], True),
        ([], None, [], True),
        ([], [], [], True),
    ],
)
def test_texts(text, pair, pairs, is_batch):
    assert read_inputs(text, pair, False) == (pairs, is_batch)


@pytest.mark.parametrize(
    ("text", "pair", "pairs", "is_batch"),
    [
        (["a", "b"], None, [(["a", "b"], None)], False),
        ([], None, [([], None)], False),
        (["a"], ["b", "c"], [(["a"], ["b", "c"])], False),
        ([["a", "b"], ["c"]], None, [(["a", "b"], None), (["c"], None)], True),
        ([["a"]], [["b"]], [(["a"], ["b"])], True),
    ],
)
def test_words(text, pair, pairs, is_batch):
    assert read_inputs(text, pair, True) == (pairs, is_batch)


@pytest.mark.parametrize("wrong", [7, b"a", None, 1.5, {"a": 1}, object()])
def test_what_is_no_text_is_named(wrong):
    with pytest.raises(ValueError, match=rf"text: expected a str, got {type(wrong).__name__} .* index 0; pass"):
        read_inputs(wrong, None, False)
    with pytest.raises(ValueError, match=rf"text: expected a str, got {type(wrong).__name__} .* index 1; pass"):
        read_inputs(["a", wrong], None, False)
    with pytest.raises(ValueError, match="text: expected a list of words"):
        read_inputs(["a", wrong], None, True)


@pytest.mark.parametrize("wrong", [[["a", "b", "c"]], [["a"]], [[]], [[1, 2]], [("a", 7)]])
def test_what_is_no_pair_is_named(wrong):
    with pytest.raises(ValueError, match="expected a str, got"):
        read_inputs(wrong, None, False)


def test_a_text_where_words_should_be():
    with pytest.raises(ValueError, match=r"text: expected a list of words \(str\), got str 'a b'"):
        read_inputs("a b", None, True)


def test_batches_must_match():
    with pytest.raises(ValueError, match="text_pair: expected as many texts as in text, 2, got 1; pass"):
        read_inputs(["a", "b"], ["c"], False)
    with pytest.raises(TypeError, match="text_pair: expected a list like text, got str; pass"):
        read_inputs(["a"], "b", False)
    with pytest.raises(TypeError, match="text_pair: expected one text like text, got list; pass"):
        read_inputs("a", ["b"], False)


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
        read_inputs(text, pair, is_split)
