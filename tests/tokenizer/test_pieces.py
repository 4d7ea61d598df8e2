import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st
from roberta.tokenizer import pieces
from roberta.tokenizer.pieces import (
    BYTE_TO_SYMBOL,
    SYMBOL_TO_BYTE,
    bytes_to_symbols,
    split_pieces,
    split_words,
    symbols_to_bytes,
)


def test_256_different_printable_symbols():
    assert len(BYTE_TO_SYMBOL) == len(SYMBOL_TO_BYTE) == 256
    assert all(len(symbol) == 1 and symbol.isprintable() and not symbol.isspace() for symbol in BYTE_TO_SYMBOL)


def test_printable_latin_1_stands_for_itself_and_the_rest_is_counted_from_256():
    moved = [byte for byte, symbol in enumerate(BYTE_TO_SYMBOL) if symbol != chr(byte)]
    assert moved == [*range(33), *range(127, 161), 173]
    assert [BYTE_TO_SYMBOL[byte] for byte in moved] == [chr(256 + index) for index in range(68)]
    assert (BYTE_TO_SYMBOL[ord(" ")], BYTE_TO_SYMBOL[ord("\n")]) == ("Ġ", "Ċ")


def test_every_byte_comes_back():
    every = bytes(range(256))
    assert symbols_to_bytes(bytes_to_symbols(every)) == every


@pytest.mark.hf
def test_the_library_has_the_same_alphabet(transformers):
    from tokenizers import pre_tokenizers

    assert set(BYTE_TO_SYMBOL) == set(pre_tokenizers.ByteLevel.alphabet())


def test_a_character_outside_the_alphabet_is_named():
    with pytest.raises(ValueError, match=r"symbols: expected .*256.* got ' ' in 'a b'; spell"):
        symbols_to_bytes("a b")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("Hello world", ["Hello", " world"]),
        ("a   b", ["a", "  ", " b"]),  # the last of several spaces goes with the word
        ("a   ", ["a", "   "]),
        ("a \n b", ["a", " \n", " b"]),
        ("a\n\nb", ["a", "\n", "\n", "b"]),  # only a space can go with a word
        ("can't CAN'T", ["can", "'t", " CAN", "'", "T"]),  # contractions are lower case
        ("x2 y", ["x", "2", " y"]),
        ("\x1c \x1f", ["\x1c", " \x1f"]),  # separators are no white space
        ("\xa0a", ["\xa0", "a"]),
        ("½²", ["½²"]),
        ("e\u0301", ["e", "\u0301"]),  # a combining mark is no letter
    ],
)
def test_pieces(text, expected):
    assert split_pieces(text) == expected


@pytest.mark.parametrize("contraction", ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"])
def test_contractions_in_either_pattern(contraction):
    assert split_pieces(f"x{contraction}x") == ["x", contraction, "x"]
    assert split_pieces(f"x{contraction}é") == ["x", contraction, "é"]


@settings(derandomize=True, deadline=None)
@given(st.text())
def test_nothing_is_lost(text):
    assert "".join(split_pieces(text)) == text


@settings(derandomize=True, deadline=None)
@given(st.text(st.characters(max_codepoint=127)))
def test_the_ascii_pattern_is_the_unicode_pattern(text):
    assert pieces._ASCII.findall(text) == pieces._UNICODE_16.findall(text)


@settings(derandomize=True, deadline=None, max_examples=500)
@given(st.text("aé日1²½ \u3000.'s\u088f\u208f\U00010940\U0001d6a6\U000323b0😀\u0301"))
def test_the_plain_pattern_is_the_pinned_one_wherever_it_is_taken(text):
    assert split_pieces(text) == (pieces._ASCII if text.isascii() else pieces._UNICODE_16).findall(text)


ROUGH = st.lists(
    st.sampled_from([" ", "  ", "\n", "\t", "\xa0", "\u3000", "\x1c", "a", "'s", "'", "2", "é", "!", "'t2"])
)


@settings(derandomize=True, deadline=None, max_examples=500)
@given(text=st.one_of(ROUGH.map("".join), st.text()))
def test_words_are_whole_pieces_and_are_cut_alone_as_in_the_text(text):
    assert "".join(split_words(text)) == text
    assert [piece for word in split_words(text) for piece in split_pieces(word)] == split_pieces(text)


@settings(derandomize=True, deadline=None)
@given(text=st.one_of(ROUGH.map("".join), st.text()))
def test_a_piece_alone_is_one_piece(text):
    assert all(split_pieces(piece) == [piece] for piece in split_pieces(text))


def test_both_patterns_mean_the_same_by_white_space():
    space = regex.compile(r"\s", regex.V1)
    for point in range(0x110000):
        assert (len(split_words(f"a{chr(point)}")) == 2) is bool(space.match(chr(point)))


@pytest.mark.hf
@pytest.mark.parametrize(("context", "limit"), [("a{0}1", 0x110000), ("a {0}b{0}", 0x10000)])
def test_every_code_point_is_cut_as_the_library_cuts_it(transformers, context, limit):
    """Between a letter and a digit all 1,112,064 code points that can be encoded; the first plane after a space too."""
    from tokenizers import pre_tokenizers

    peer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    points = [chr(point) for point in range(limit) if not 0xD800 <= point <= 0xDFFF]
    assert len(points) == limit - 2048
    for begin in range(0, len(points), 8192):
        text = "".join(map(context.format, points[begin : begin + 8192]))
        cuts = [end for _, (_, end) in peer.pre_tokenize_str(text)]
        starts = [0, *cuts[:-1]]
        expected = [text[start:end] for start, end in zip(starts, cuts, strict=True)]
        assert split_pieces(text) == expected
        assert [piece for word in split_words(text) for piece in split_pieces(word)] == expected
