from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from roberta.tokenizer import AddedToken, RobertaTokenizer
from roberta.tokenizer.explain import shown

FRAGMENTS = [
    "<mask>",
    " <mask>",
    "<s>",
    "<",
    "the",
    " cat",
    " ",
    "  ",
    "\n",
    "é",
    "日本",
    "😀",
    "a1",
    "'s",
    "\xa0",
    "\x1b[0m",
    "שלום",
]
TEXT = st.one_of(
    st.lists(st.sampled_from(FRAGMENTS), max_size=8).map("".join),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
)


@pytest.mark.parametrize("prefixed", [False, True])
@pytest.mark.parametrize("trim", [False, True])
@settings(derandomize=True, deadline=None)
@given(text=TEXT, add=st.booleans(), split=st.booleans())
def test_it_is_the_way_that_a_call_takes(tiny, prefixed, trim, text, add, split):
    tokenizer = RobertaTokenizer(tiny._base, tiny._merges, add_prefix_space=prefixed, trim_offsets=trim)
    options = {"add_special_tokens": add, "split_special_tokens": split}
    explanation = tokenizer.explain(text, **options)
    encoding = tokenizer(text, return_offsets_mapping=True, **options)
    assert explanation.ids == encoding.input_ids
    assert explanation.offsets == encoding.offset_mapping
    assert [token.token for token in explanation.tokens] == encoding.tokens()
    assert "".join(text[segment.start : segment.end] for segment in explanation.segments) == text


@settings(derandomize=True, deadline=None)
@given(text=TEXT)
def test_the_merges_replayed_give_exactly_the_tokens(ours, text):
    explanation = ours.explain(text)
    for segment in explanation.segments:
        assert (segment.added is None) == bool(segment.pieces)
        for piece in segment.pieces:
            first, *later = piece.ladder()
            assert first == tuple(map(ours.convert_ids_to_tokens, ours.engine.words.byte_ids(piece.spelled)))
            assert piece.data == piece.spelled.encode()
            assert len(later) == len(piece.merges)
            assert [*piece.ladder()][-1] == tuple(token.token for token in piece.tokens)
            for merge in piece.merges:
                assert ours._merges[merge.rank] == (merge.left, merge.right)
                assert merge.joined == merge.left + merge.right
        tokens = [token for piece in segment.pieces for token in piece.tokens]
        assert segment.added is not None or list(segment.tokens) == tokens


def test_every_step_takes_the_lowest_rank_that_there_is(ours):
    ranks = {pair: rank for rank, pair in enumerate(ours._merges)}
    for piece in ours.explain("unbelievable naïvetés, ﬁnally 😀😀").segments[0].pieces:
        steps = list(piece.ladder())
        for symbols, merge in zip(steps, piece.merges, strict=False):
            assert merge.rank == min(ranks[pair] for pair in pairwise(symbols) if pair in ranks)
        assert not any(pair in ranks for pair in pairwise(steps[-1]))


def test_with_a_pencil(ours):
    explanation = ours.explain("a <mask>😀")
    plain, mask, emoji = explanation.segments
    assert (plain.added, mask.added.content, emoji.added) == (None, "<mask>", None)
    assert [(segment.start, segment.end) for segment in explanation.segments] == [(0, 1), (1, 8), (8, 9)]
    assert emoji.pieces[0].data == bytes.fromhex("f09f9880")
    assert emoji.pieces[0].symbols == ("ð", "Ł", "ĺ", "Ģ")
    assert [(merge.rank, merge.joined) for merge in emoji.pieces[0].merges] == [(8326, "ðŁ"), (46993, "ðŁĺ")]
    assert [(token.id, token.start, token.end) for token in explanation.tokens] == [
        (0, 0, 0), (102, 0, 1), (50264, 2, 8), (18636, 8, 9), (7471, 8, 9), (2, 0, 0)]  # fmt: skip


def test_written_out_it_says_what_happened(ours):
    written = str(ours.explain("naïve <mask> 😀"))
    for part in (
        "'naïve <mask> 😀' becomes 7 tokens",
        " 5 to 12   ' <mask>': the token <mask>, which swallows the white space beside it",
        "'naïve', 6 bytes: 6e 61 c3 af 76 65",
        "rank 38520: Ã¯ + ve  na Ã¯ve",
        "17841  ĠðŁĺ     13 to 14   '😀'",
        "2  </s>    put around the text",
        "several tokens share the bytes of one character",
    ):
        assert part in written
    assert "share the bytes" not in str(ours.explain("a b"))
    assert "with the space put before it, 2 bytes: 20 61" in str(
        RobertaTokenizer(ours._base, ours._merges, add_prefix_space=True).explain("a")
    )
    assert "The text is empty" in str(ours.explain(""))
    assert "around the text" not in str(ours.explain("a", add_special_tokens=False))


def test_the_tokenizers_own_setting_decides_whether_special_tokens_are_split(tiny):
    tokenizer = RobertaTokenizer(tiny._base, tiny._merges, split_special_tokens=True)
    assert tokenizer.explain("<mask>").segments[0].added is None
    assert tokenizer.explain("<mask>", split_special_tokens=False).segments[0].added.content == "<mask>"


@settings(derandomize=True, deadline=None)
@given(text=TEXT)
def test_nothing_that_is_written_spoils_a_terminal(tiny, text):
    tokenizer = RobertaTokenizer(tiny._base, tiny._merges)
    tokenizer.add_tokens([AddedToken("\x1b[0m"), AddedToken("שלום"), AddedToken("a\n1")])
    for line in str(tokenizer.explain(text)).split("\n"):
        assert line.isprintable()
        assert not any("\u0590" <= character <= "\u08ff" for character in line)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("it's", '"it\'s"'),
        ('"', "'\"'"),
        ("'\"", "'\\'\"'"),
        ("\\", "'\\\\'"),
        ("\u202eabc", "'\\u202eabc'"),
        ("\u0301e\u0301", "'\\u0301e\u0301'"),
        ("א", "'\\u05d0'"),
    ],
)
def test_what_is_shown_is_python(text, written):
    assert shown(text) == written
    assert eval(written) == text  # noqa: S307  (the literals above)


def test_a_long_piece_is_explained_in_time(ours):
    (segment,) = ours.explain("a" * 100_000).segments
    assert len(segment.pieces[0].merges) == 100_000 - len(segment.tokens)


@pytest.mark.parametrize("text", [["a"], None, 3, b"a"])
def test_only_a_text_can_be_explained(tiny, text):
    with pytest.raises(ValueError, match=r"text: expected one text \(str\), got .*; explain texts one by one"):
        tiny.explain(text)


def test_a_lone_surrogate_is_refused_as_in_a_call(tiny):
    with pytest.raises(ValueError, match=r"lone surrogate '.ud800' at code point 1"):
        tiny.explain("a\ud800")
