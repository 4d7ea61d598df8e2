"""The short way gives what the long way gives; the long way is `Encoder`'s, and is tested in `test_calls`."""

import itertools

import numpy as np
import pytest
from roberta.tokenizer import RobertaTokenizerFast
from roberta.tokenizer import fast as fast_module
from roberta.tokenizer.arrays import LaterRows

pytestmark = pytest.mark.tokenizers
TEXTS = ["the cat sat on the mat", "", "the <mask>", "a"]


@pytest.fixture(scope="module")
def fast(tiny):
    return RobertaTokenizerFast.from_tokenizer(tiny)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("cut", ["left", "right"])
@pytest.mark.parametrize("padding", [True, "max_length", False])
@pytest.mark.parametrize("limit", [None, 1, 2, 3, 5, 99])
@pytest.mark.parametrize("add_special_tokens", [True, False])
def test_every_way_to_cut_and_pad(tiny, fast, side, cut, padding, limit, add_special_tokens):
    options = {
        "padding": padding, "padding_side": side, "truncation_side": cut, "max_length": limit, "return_tensors": "np",
        "add_special_tokens": add_special_tokens, "return_token_type_ids": True, "verbose": False,
    }  # fmt: skip
    for texts, truncation in itertools.product((TEXTS, TEXTS[:1], TEXTS[1:2], []), (True, False, "only_first")):
        mine, pure = (given(tokenizer, texts, truncation=truncation, **options) for tokenizer in (fast, tiny))
        assert mine == pure


def given(tokenizer, texts, **options):
    """Field -> dtype and values; or the message of the error."""
    try:
        return {name: (array.dtype, array.tolist()) for name, array in tokenizer(texts, **options).items()}
    except ValueError as error:
        return str(error)


def test_it_is_taken(fast, monkeypatch):
    """Or the test above would compare the long way with itself."""
    monkeypatch.setattr(fast_module, "lay_out", lambda *_: {"input_ids": np.zeros((4, 1), np.int64)})
    assert fast(TEXTS, padding=True, return_tensors="np").input_ids.shape == (4, 1)
    assert fast(TEXTS, padding=True).input_ids[0][0] == fast.cls_token_id


def test_rows_are_made_once_and_only_when_asked_for(tiny, fast):
    made = []
    rows = LaterRows(2, lambda: made.append("once") or ["first", "second"])
    assert (len(rows), made) == (2, [])
    assert (rows[0], rows[-1], list(rows), rows[:1]) == ("first", "second", ["first", "second"], ["first"])
    assert made == ["once"]
    options = {"padding": True, "truncation": True, "max_length": 5, "return_tensors": "np"}
    mine, pure = fast(TEXTS, **options), tiny(TEXTS, **options)
    for row in range(len(TEXTS)):
        assert mine.word_ids(row) == pure.word_ids(row)
        assert mine.tokens(row) == pure.tokens(row)
    with pytest.raises(IndexError, match="expected a row index of 0 to 3, got 4"):
        mine.word_ids(4)
