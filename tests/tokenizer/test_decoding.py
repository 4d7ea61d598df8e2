"""From ids and tokens back to text."""

import numpy as np
import pytest
from roberta.tokenizer import RobertaTokenizer

ROW = "expected one id or one row of integer ids, got"


@pytest.mark.parametrize(
    ("errors", "text"), [("replace", "a\ufffd"), ("ignore", "a"), ("backslashreplace", "a\\xf0\\x9f")]
)
def test_incomplete_utf_8_is_decoded_as_errors_says(tiny, errors, text):
    tokenizer = RobertaTokenizer(tiny._base, tiny._merges, errors)
    ids = tokenizer.encode("a😀", add_special_tokens=False)[:3]
    assert tokenizer.decode(ids) == text


def test_strict_decoding(tiny):
    strict = RobertaTokenizer(tiny._base, tiny._merges, "strict")
    with pytest.raises(UnicodeDecodeError):
        strict.decode(strict.encode("😀", add_special_tokens=False)[:2])


@pytest.mark.parametrize("kind", [list, tuple, np.array, iter])
def test_ids_of_any_kind_are_decoded(tiny, kind):
    ids = tiny.encode("the cat", add_special_tokens=False)
    assert tiny.decode(kind(ids)) == "the cat"
    assert tiny.decode(np.int64(ids[0])) == tiny.decode(ids[0])


def test_clean_up(tiny):
    text = "Yes , I 'm done . Is n't it ? o ' clock"
    ids = tiny.encode(text, add_special_tokens=False)
    assert tiny.decode(ids) == text
    assert tiny.decode(ids, clean_up_tokenization_spaces=True) == "Yes, I'm done. Isn't it? o'clock"
    tiny.clean_up_tokenization_spaces = True
    try:
        assert tiny.decode(ids) == "Yes, I'm done. Isn't it? o'clock"
        assert tiny.decode(ids, clean_up_tokenization_spaces=False) == text
    finally:
        tiny.clean_up_tokenization_spaces = False


def test_an_error_handler_that_does_not_exist(tiny):
    with pytest.raises(
        ValueError, match=r"errors: expected the name of an error handler, got 'replacement'; use 'replace'"
    ):
        RobertaTokenizer(tiny._base, tiny._merges, "replacement")


@pytest.mark.parametrize("method", ["decode", "convert_ids_to_tokens"])
@pytest.mark.parametrize("ids", [None, "abc", ["a"], [1.5], np.array([1.5]), [[1, 2], [3]], np.array([[1, 2]]), [None]])
def test_what_is_no_row_of_ids(tiny, method, ids):
    with pytest.raises(TypeError, match=f"ids: {ROW} {type(ids).__name__} .*; use batch_decode for several rows"):
        getattr(tiny, method)(ids)


@pytest.mark.parametrize("method", ["convert_tokens_to_ids", "convert_tokens_to_string"])
@pytest.mark.parametrize("tokens", [None, 3, [3], ["a", None], [b"a"]])
def test_what_is_no_token(tiny, method, tokens):
    with pytest.raises(
        TypeError, match=r"tokens: expected tokens \(str\), got (NoneType|int|bytes) .*; convert ids with"
    ):
        getattr(tiny, method)(tokens)


@pytest.mark.parametrize("errors", ["nope", 3, None])
def test_errors_name_a_handler(errors):
    with pytest.raises(ValueError, match="errors: expected the name of an error handler, got"):
        RobertaTokenizer({"<unk>": 0}, [], errors=errors)
