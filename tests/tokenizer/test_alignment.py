"""A token's offsets are the code points whose bytes it holds, less the spaces at both ends."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from roberta.tokenizer import AddedToken, RobertaTokenizer
from roberta.tokenizer.alignment import Aligner, align_together


def offsets_of(tokenizer, text):
    return tokenizer.engine.encode([text])[0].offsets


TEXT = st.lists(
    st.sampled_from(
        ["<mask>", " <mask>", "<s>", "the", " cat", " ", "  ", "\n", "é", "日本", "😀", "a1", "'s", "\xa0"]
    ),
    max_size=8,
).map("".join)


@pytest.mark.parametrize(
    ("text", "trimmed", "untrimmed"),
    [
        ("Hello world", [(0, 5), (6, 11)], [(0, 5), (5, 11)]),
        (" Hello  world", [(1, 6), (7, 7), (8, 13)], [(0, 6), (6, 7), (7, 13)]),
        (
            "日本 語",
            [(0, 1), (0, 1), (1, 2), (1, 2), (3, 4), (3, 4), (3, 4)],
            [(0, 1), (0, 1), (1, 2), (1, 2), (2, 4), (3, 4), (3, 4)],
        ),
        ("Hello <mask> world", [(0, 5), (6, 12), (13, 18)], [(0, 5), (5, 12), (12, 18)]),
        ("a\n", [(0, 1), (1, 2)], [(0, 1), (1, 2)]),  # a line end is not trimmed
    ],
)
def test_golden_offsets(ours, text, trimmed, untrimmed):
    assert offsets_of(ours, text) == trimmed
    ours.trim_offsets = False
    try:
        assert offsets_of(ours, text) == untrimmed
    finally:
        ours.trim_offsets = True


@pytest.mark.parametrize(
    ("text", "offsets"),
    [
        (" Hello", [(1, 6)]),  # a real space is trimmed; the peer leaves it in
        ("Hello", [(0, 5)]),
        ("a  <mask>b", [(0, 1), (3, 9), (9, 10)]),  # the peer puts b at (10, 10)
        ("\xa0a", [(0, 0), (0, 1), (1, 2)]),  # the inserted space is a piece of its own, of no width
    ],
)
def test_golden_offsets_with_prefix_space(ours_prefixed, text, offsets):
    assert offsets_of(ours_prefixed, text) == offsets


@pytest.mark.hf
@settings(derandomize=True, deadline=None)
@given(text=TEXT)
def test_offsets_with_prefix_space_are_the_peers_where_it_inserts_none_after_a_token(
    ours_prefixed, fast_prefixed, text
):
    # With a letter first, and a space behind each special token, there is nowhere else that one would be put in.
    text = "a" + text.replace("<mask>", "<mask> ").replace("<s>", "<s> ")
    offsets = fast_prefixed(text, return_offsets_mapping=True).offset_mapping
    assert ours_prefixed(text, return_offsets_mapping=True).offset_mapping == offsets


@pytest.mark.parametrize("trim", [False, True])
@pytest.mark.parametrize("prefixed", [False, True])
@settings(derandomize=True, deadline=None)
@given(text=TEXT)
def test_the_law(tiny, trim, prefixed, text):
    tokenizer = RobertaTokenizer(tiny._base, tiny._merges, add_prefix_space=prefixed, trim_offsets=trim)
    ids = tokenizer.encode(text, add_special_tokens=False)
    (encoded,) = tokenizer.engine.encode([text])
    offsets, words = encoded.offsets, encoded.words
    assert len(offsets) == len(words) == len(ids)
    assert words == sorted(words)
    assert all(0 <= start <= end <= len(text) for start, end in offsets)
    assert offsets == sorted(offsets)
    for index, (start, end) in zip(ids, offsets, strict=True):
        spelled = tokenizer._bytes_of_token(tokenizer.convert_ids_to_tokens(index))
        held = text[start:end]
        if index in tokenizer.all_special_ids:
            assert held.strip() == spelled.decode()
        else:
            # What the token spells lies within the characters that it points at, and begins and ends in the outermost.
            assert spelled.strip(b" ") in held.encode()
            assert len(held.strip()) <= len(spelled)
        if trim and held:
            assert not held.startswith(" ")
            assert not held.endswith(" ")
    if not trim:
        covered = {place for start, end in offsets for place in range(start, end)}
        assert covered == set(range(len(text)))


def test_a_byte_that_the_vocabulary_lacks_has_its_character():
    tokenizer = RobertaTokenizer({"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "a": 4, "<mask>": 5}, [])
    encoding = tokenizer("aéa", return_offsets_mapping=True)
    assert encoding.input_ids == [0, 4, 3, 3, 4, 2]
    assert encoding.offset_mapping == [(0, 0), (0, 1), (1, 2), (1, 2), (2, 3), (0, 0)]


def test_white_space_that_a_token_swallowed_is_trimmed_at_both_sides(tiny):
    tokenizer = RobertaTokenizer(tiny._base, tiny._merges)
    tokenizer.add_tokens([AddedToken("<r>", lstrip=True, rstrip=True)])
    assert offsets_of(tokenizer, "a \t<r>\n b") == [(0, 1), (3, 6), (8, 9)]
    tokenizer.trim_offsets = False
    assert offsets_of(tokenizer, "a \t<r>\n b") == [(0, 1), (1, 8), (8, 9)]


def test_words_are_pieces(ours):
    assert ours("It's 2, ok").word_ids() == [None, 0, 1, 2, 3, 4, None]


def test_words_that_were_given(ours_prefixed):
    encoding = ours_prefixed(
        ["unbelievable", "", "<mask>.", "x y"], is_split_into_words=True, return_offsets_mapping=True
    )
    assert encoding.tokens() == ["<s>", "Ġunbelievable", "<mask>", "Ġ.", "Ġx", "Ġy", "</s>"]
    assert encoding.word_ids() == [None, 0, 2, 2, 3, 3, None]
    assert encoding.offset_mapping == [(0, 0), (0, 12), (0, 6), (6, 7), (0, 1), (2, 3), (0, 0)]


def test_a_space_that_the_vocabulary_lacks_is_trimmed_like_any(tiny):
    tokenizer = RobertaTokenizer({symbol: index for symbol, index in tiny._base.items() if symbol != "Ġ"}, [])
    tokenizer.add_tokens([AddedToken("Ġ"), AddedToken("<r>", lstrip=True)])
    before = [(0, 1), (2, 2), (3, 3), (3, 4), (3, 4), (7, 10)]
    after = [(10, 11), (12, 12), (12, 13), (14, 14), (14, 19), (19, 20)]
    assert offsets_of(tokenizer, "a  é   <r>b c <unk>d") == before + after


@settings(derandomize=True, deadline=None)
@given(texts=st.lists(TEXT, max_size=6), prefixed=st.booleans())
def test_a_batch_is_aligned_as_each_of_its_texts_is(tiny, texts, prefixed):
    tokenizer = RobertaTokenizer(tiny._base, tiny._merges, add_prefix_space=prefixed)
    together = tokenizer.engine.encode(texts)
    align_together(together, as_lists=True)
    assert [text.offsets for text in together] == [offsets_of(tokenizer, text) for text in texts]
    assert [text.spans.tolist() for text in together] == [[list(span) for span in text.offsets] for text in together]


def test_alignment_is_found_once_and_only_when_someone_asks(tiny, monkeypatch):
    asked = []
    spans = Aligner.spans
    monkeypatch.setattr(Aligner, "spans", lambda self, text: asked.append("once") or spans(self, text))
    (text,) = tiny.engine.encode(["the cat"])
    assert tiny.decode(text.ids) == "the cat"
    assert asked == []
    assert text.offsets[0][0] == text.spans[0, 0] == 0
    assert text.offsets[-1][1] == text.spans[-1, 1] == 7
    assert asked == ["once"]
