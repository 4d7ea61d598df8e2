from types import SimpleNamespace

import numpy as np
import pytest
from roberta.tokenizer.options import resolve
from roberta.tokenizer.rows import Frame, Row, fields_of, make_rows

ROLES = {"cls_token": 0, "sep_token": 2, "pad_token": 1}


def text(count, first_id=10):
    """Make a text of `count` one-letter tokens."""
    ids = list(range(first_id, first_id + count))
    spans = np.array([(at, at + 1) for at in range(count)], np.int64).reshape(count, 2)
    return SimpleNamespace(ids=ids, spans=spans, offsets=list(map(tuple, spans.tolist())), words=list(range(count)))


@pytest.fixture
def frame(tiny):
    def make(**options):
        plan = resolve(tiny, options)
        return Frame(ROLES, plan, str), plan

    return make


WHOLE = slice(None)


@pytest.mark.parametrize(
    ("has_specials", "texts", "kept", "ids", "sequences", "words"),
    [
        (True, [text(2)], [WHOLE], [0, 10, 11, 2], [None, 0, 0, None], [None, 0, 1, None]),
        (True, [text(0)], [WHOLE], [0, 2], [None, None], [None, None]),
        (
            True,
            [text(1), text(2, 20)],
            [WHOLE, slice(1, 2)],
            [0, 10, 2, 2, 21, 2],
            [None, 0, None, None, 1, None],
            [None, 0, None, None, 1, None],
        ),
        (False, [text(1), text(1, 20)], [WHOLE, WHOLE], [10, 20], [0, 1], [0, 0]),
        (False, [text(0)], [WHOLE], [], [], []),
    ],
)
@pytest.mark.parametrize("missing", [0, 2])
@pytest.mark.parametrize("side", ["left", "right"])
def test_a_row_is_laid_out(frame, has_specials, texts, kept, ids, sequences, words, missing, side):
    row = Row(texts, frame(add_special_tokens=has_specials, padding_side=side)[0], 3, kept)
    row.padded_length += missing

    def padded(values, filler):
        return [filler] * missing + list(values) if side == "left" else list(values) + [filler] * missing

    assert (row.length, len(row), row.sample) == (len(ids), len(ids) + missing, 3)
    assert row.ids == padded(ids, 1)
    assert row.tokens == str(padded(ids, 1))
    assert row.attention_mask == padded([1] * len(ids), 0)
    assert row.type_ids == padded([0] * len(ids), 0)
    assert row.special_tokens_mask == padded([int(sequence is None) for sequence in sequences], 1)
    assert row.sequence_ids == padded(sequences, None)
    assert row.word_ids == padded(words, None)


def test_look_ups_agree_with_each_other(frame):
    row = Row([text(3), text(2, 20)], frame(padding_side="left")[0], 0, [slice(1, 3), WHOLE])
    row.padded_length += 2
    assert row.ids == [1, 1, 0, 11, 12, 2, 2, 20, 21, 2]
    for token, sequence in enumerate(row.sequence_ids):
        span, word = row.token_to_chars(token), row.token_to_word(token)
        assert (span is None) == (word is None) == (sequence is None)
        if sequence is not None:
            assert row.char_to_token(span[0], sequence) == token
            assert row.char_to_word(span[0], sequence) == word
            assert row.word_to_tokens(word, sequence) == (token, token + 1)
            assert row.word_to_chars(word, sequence) == span
    assert row.char_to_token(0) is None  # cut off
    assert row.word_to_tokens(0) is None
    assert row.word_to_chars(99) is None


def test_a_text_that_the_row_lacks_is_named(frame):
    with pytest.raises(ValueError, match=r"sequence_index: expected 0 to 0, got 1; the row has 1 text"):
        Row([text(1)], frame()[0]).char_to_token(0, 1)


@pytest.mark.parametrize(
    ("options", "lengths"),
    [
        ({"padding": True}, [6, 6]),
        ({"padding": "max_length", "max_length": 5}, [5, 6]),  # the longer one stays as it is
        ({"padding": "max_length", "max_length": 7, "pad_to_multiple_of": 4}, [8, 8]),
        ({}, [3, 6]),
    ],
)
def test_rows_are_padded_to_one_length(frame, options, lengths):
    assert [row.padded_length for row in make_rows([text(1), text(4)], [1, 1], *frame(**options))] == lengths


def test_windows_of_a_text_are_rows_of_its_sample(frame):
    options = {"truncation": True, "max_length": 5, "stride": 1, "return_overflowing_tokens": True}
    rows = make_rows([text(1), text(7)], [1, 1], *frame(**options))
    assert [row.ids for row in rows] == [[0, 10, 2], [0, 10, 11, 12, 2], [0, 12, 13, 14, 2], [0, 14, 15, 16, 2]]
    assert [row.sample for row in rows] == [0, 1, 1, 1]


def test_each_window_of_one_text_meets_each_of_the_other(frame):
    options = {"truncation": True, "max_length": 8, "return_overflowing_tokens": True}
    rows = make_rows([text(4), text(3, 20)], [2], *frame(**options))
    kept = [[index for index in row.ids if index > 2] for row in rows]
    assert kept == [[10, 11, 20, 21], [12, 13, 20, 21], [12, 13, 22], [10, 11, 22]]
    assert {row.sample for row in rows} == {0}


FIELDS = ["special_tokens_mask", "offsets_mapping", "length", "overflowing_tokens", "token_type_ids"]


@pytest.mark.parametrize("has_specials", [True, False])
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("counts", [[(1,), (7,), (0,)], [(3,), (3,)], [(2, 3), (0, 1), (4, 0)], [(0,)], [(0,), (0,)]])
@pytest.mark.parametrize("least", [0, 9])
def test_an_array_holds_what_the_lists_hold(frame, counts, side, has_specials, least):
    options = {f"return_{name}": True for name in FIELDS} | {"padding": "max_length", "max_length": max(least, 11)}
    options |= {"padding_side": side, "add_special_tokens": has_specials}
    texts = [text(count) for pair in counts for count in pair]
    lists, arrays = (
        fields_of(make_rows(texts, map(len, counts), *made), *made)
        for made in (frame(**options), frame(**options, return_tensors="np"))
    )
    assert list(lists) == list(arrays)
    for name, values in lists.items():
        assert np.array_equal(arrays[name], np.array(values)), name
    assert arrays["input_ids"].dtype == arrays["offset_mapping"].dtype == np.int64
    assert arrays["offset_mapping"].shape == (*arrays["input_ids"].shape, 2)


def test_rows_that_make_no_array_stay_lists(frame):
    made = frame(return_tensors="np")
    assert fields_of(make_rows([text(1), text(2)], [1, 1], *made), *made)["input_ids"] == [[0, 10, 2], [0, 10, 11, 2]]
    assert fields_of([], *made) == {"input_ids": [], "attention_mask": []}


def test_rows_without_tokens_are_an_array(frame):
    made = frame(return_tensors="np", add_special_tokens=False, return_offsets_mapping=True)
    fields = fields_of(make_rows([text(0), text(0)], [1, 1], *made), *made)
    assert (fields["input_ids"].shape, fields["offset_mapping"].shape) == ((2, 0), (2, 0, 2))


@pytest.mark.parametrize(("role", "options"), [("cls_token", {}), ("sep_token", {}), ("pad_token", {"padding": True})])
def test_a_role_that_is_needed_and_that_nobody_plays(tiny, role, options):
    roles = {**ROLES, role: None}
    with pytest.raises(ValueError, match=rf"{role}: expected a token for this call, got None; set tokenizer.{role}"):
        Frame(roles, resolve(tiny, options), str)
    assert Frame(roles, resolve(tiny, {"add_special_tokens": False}), str).specials == ()
