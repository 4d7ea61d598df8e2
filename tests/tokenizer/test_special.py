import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from roberta.tokenizer import RobertaTokenizer
from roberta.tokenizer.special import AddedToken, SpecialSplitter

MASK = AddedToken("<mask>", lstrip=True, normalized=False, special=True)
BOS = AddedToken("<s>", normalized=False, special=True)


def cut(tokens, text, **options):
    return [
        (text[start:end], token and token.content)
        for start, end, token in SpecialSplitter(tokens).split(text, **options)
    ]


@pytest.mark.parametrize(
    ("tokens", "text", "segments"),
    [
        ([MASK], "", []),
        ([MASK], "ab", [("ab", None)]),
        ([], "<mask>", [("<mask>", None)]),
        ([MASK], "a \t\n<mask> b", [("a", None), (" \t\n<mask>", "<mask>"), (" b", None)]),
        ([MASK], "<mask> <mask>", [("<mask>", "<mask>"), (" <mask>", "<mask>")]),
        ([BOS], "a <s> b", [("a ", None), ("<s>", "<s>"), (" b", None)]),
        ([MASK], "\x1f<mask>", [("\x1f", None), ("<mask>", "<mask>")]),  # a separator is no white space
        ([AddedToken("ab"), AddedToken("abc")], "abcab", [("abc", "abc"), ("ab", "ab")]),  # the longest
        ([AddedToken("bcd"), AddedToken("ab")], "abcd", [("ab", "ab"), ("cd", None)]),  # but first the leftmost
        ([AddedToken("r", rstrip=True)], "r \n x", [("r \n ", "r"), ("x", None)]),
        ([AddedToken("w", single_word=True)], "w ww w.", [("w", "w"), (" ww ", None), ("w", "w"), (".", None)]),
        ([AddedToken("b", normalized=False), AddedToken("sw", single_word=True)], "bsw", [("b", "b"), ("sw", "sw")]),
        # A token that is not normalized is looked for first, even where another begins further left.
        ([AddedToken("a<s"), BOS], "a<s>", [("a", None), ("<s>", "<s>")]),
    ],
)
def test_segments(tokens, text, segments):
    assert cut(tokens, text) == segments


def test_special_tokens_can_be_taken_as_plain_text():
    tokens = [MASK, AddedToken("ab")]
    assert cut(tokens, "ab <mask>", split_special_tokens=True) == [("ab", "ab"), (" <mask>", None)]


FLAGS = st.tuples(st.booleans(), st.booleans(), st.booleans(), st.booleans(), st.booleans())
CONTENT = st.sampled_from(["ab", "abc", "b", "<b<", "<a<", "sw", "a b", "é", "añb", "x<s>", "<s>y", "0", "_", "the"])
SHORT = st.lists(
    st.sampled_from(
        [
            *"ab<> c",
            "  ",
            "\n",
            "\t",
            "abc",
            "<b<",
            "<a<",
            "sw",
            "<mask>",
            "<s>",
            "é",
            "añb",
            "'",
            "0",
            "_",
            "x",
            "the",
            "at ",
        ]
    ),
    max_size=10,
).map("".join)


@pytest.mark.hf
@settings(derandomize=True, deadline=None, max_examples=150)
@given(chosen=st.dictionaries(CONTENT, FLAGS, min_size=1, max_size=4), text=SHORT, split=st.booleans())
def test_added_tokens_are_found_as_the_library_finds_them(transformers, tiny, tiny_fast, chosen, text, split):
    mine, peer = RobertaTokenizer(tiny._base, tiny._merges), copy.deepcopy(tiny_fast)
    for content, (lstrip, rstrip, single_word, normalized, special) in chosen.items():
        flags = {"lstrip": lstrip, "rstrip": rstrip, "single_word": single_word, "normalized": normalized}
        assert mine.add_tokens(AddedToken(content, **flags), special_tokens=special) == 1
        peer.add_tokens([transformers.AddedToken(content, **flags)], special_tokens=special)
    got = mine(text, return_offsets_mapping=True, split_special_tokens=split)
    wanted = peer(text, return_offsets_mapping=True, split_special_tokens=split)
    assert got.input_ids == wanted.input_ids
    assert got.offset_mapping == wanted.offset_mapping
    assert got.word_ids() == wanted.word_ids()


def test_a_token_can_be_read_from_any_of_its_forms():
    wanted = AddedToken("<mask>", lstrip=True)
    assert AddedToken.read("<mask>", lstrip=True) == wanted
    assert AddedToken.read({"content": "<mask>", "lstrip": True, "__type": "AddedToken"}) == wanted
    assert AddedToken.read(wanted) == wanted


@pytest.mark.parametrize("wrong", [7, None, b"<mask>", {"lstrip": True}, ["<mask>"]])
def test_what_is_no_token_is_named(wrong):
    with pytest.raises(TypeError, match=r"token: expected a str or an AddedToken, got .*; pass"):
        AddedToken.read(wrong)


def test_text_that_a_token_has_swallowed_is_gone():
    splitter = SpecialSplitter([AddedToken("<r>", rstrip=True), AddedToken(" x")])
    text = "<r>  x x"
    assert [text[start:end] for start, end, _ in splitter.split(text)] == ["<r>  ", "x", " x"]


@pytest.mark.parametrize(("neighbour", "is_word"), [("a", True), ("\u0301", True), ("_", True), ("-", False)])
def test_word_characters(neighbour, is_word):
    found = SpecialSplitter([AddedToken("new", single_word=True)]).split("new" + neighbour)
    assert (found[0].token is None) is is_word


@pytest.mark.parametrize("later", ["\u088f", "\U00010940", "\U000323b0"])
def test_letters_of_unicode_17_are_no_word_characters(later):
    """In any release of `regex`: what is a whole word depends on no library's data."""
    assert SpecialSplitter([AddedToken("new", single_word=True)]).split("new" + later)[0].token is not None
