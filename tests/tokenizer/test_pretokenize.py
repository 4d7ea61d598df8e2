import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from roberta.tokenizer import pretokenize
from roberta.tokenizer.pretokenize import split_pieces


@pytest.mark.parametrize(
    ("text", "pieces"),
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
def test_pieces(text, pieces):
    assert split_pieces(text) == pieces


@settings(derandomize=True, deadline=None)
@given(st.text())
def test_nothing_is_lost(text):
    assert "".join(split_pieces(text)) == text


@settings(derandomize=True, deadline=None)
@given(st.text(st.characters(max_codepoint=127)))
def test_the_ascii_pattern_is_the_unicode_pattern(text):
    assert pretokenize._ASCII.findall(text) == pretokenize._UNICODE.findall(text)


@pytest.mark.hf
@pytest.mark.slow
def test_every_code_point_is_cut_as_the_library_cuts_it(transformers):
    """All 1,112,064 code points that can be encoded, beside a letter, a digit and a space: that tells each class."""
    from tokenizers import pre_tokenizers

    peer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    points = [chr(point) for point in range(0x110000) if not 0xD800 <= point <= 0xDFFF]
    assert len(points) == 1_112_064
    for begin in range(0, len(points), 8192):
        text = "".join(f"a{point}1 {point}" for point in points[begin : begin + 8192])
        cuts = [end for _, (_, end) in peer.pre_tokenize_str(text)]
        mine = split_pieces(text)
        starts = [0, *cuts[:-1]]
        assert mine == [text[start:end] for start, end in zip(starts, cuts, strict=True)]
