import numpy as np
import pytest


@pytest.fixture
def rows(tiny):
    return [tiny("the cat", return_special_tokens_mask=True), tiny("a", return_special_tokens_mask=True)]


def test_rows_become_a_batch(tiny, rows):
    batch = tiny.pad(rows)
    direct = tiny(["the cat", "a"], padding=True, return_special_tokens_mask=True)
    assert dict(batch) == dict(direct)
    assert dict(tiny.pad(tiny(["the cat", "a"], return_special_tokens_mask=True))) == dict(direct)


@pytest.mark.hf
@pytest.mark.parametrize(
    "options", [{}, {"padding": "max_length", "max_length": 9}, {"pad_to_multiple_of": 8}, {"padding_side": "left"}]
)
def test_it_is_the_peers(tiny, tiny_fast, options):
    features = [{"input_ids": [0, 5, 2], "labels": [1]}, {"input_ids": [0, 1, 2, 7, 2], "labels": [0]}]
    mine, peer = (tokenizer.pad(features, **options) for tokenizer in (tiny, tiny_fast))
    assert dict(mine) == dict(peer)  # the mask is all ones: a pad id within a row is no padding


def test_arrays_are_taken_and_given(tiny):
    batch = tiny.pad([{"input_ids": np.array([0, 2])}, {"input_ids": np.array([0, 5, 2])}], return_tensors="np")
    assert batch.input_ids.tolist() == [[0, 2, 1], [0, 5, 2]]
    assert batch.attention_mask.tolist() == [[1, 1, 0], [1, 1, 1]]


def test_one_row_stays_one_row(tiny):
    found = tiny.pad({"input_ids": [0, 2]}, padding="max_length", max_length=4, return_attention_mask=False)
    assert dict(found) == {"input_ids": [0, 2, 1, 1]}


def test_what_cannot_be_padded_is_said(tiny):
    with pytest.raises(ValueError, match=r"pad: expected features with input_ids, got labels; pass"):
        tiny.pad([{"labels": [1]}])
    with pytest.raises(ValueError, match=r"pad: expected features with input_ids, got none; pass"):
        tiny.pad([])
    with pytest.raises(ValueError, match=r"labels: expected rows of one length .*\[1, 2\]"):
        tiny.pad([{"input_ids": [0], "labels": [1]}, {"input_ids": [0], "labels": [1, 2]}], return_tensors="np")
