import numpy as np
import pytest
from roberta.tokenizer.alignment import Alignment
from roberta.tokenizer.rows import Frame, Row, gather, pad_rows, stack
from roberta.tokenizer.texts import EncodedText, Part

SPECIALS, PLAIN = Frame((0, 2), 1, str), Frame(None, 1, str)


def part(count, begin=0, first_id=10):
    """Make `count` one-letter tokens, kept from `begin` on."""
    spans = [(at, at + 1) for at in range(count)]
    text = EncodedText(
        "x" * count, list(range(first_id, first_id + count)), lambda _: Alignment(spans, list(range(count)))
    )
    return Part(text, begin, count)


@pytest.mark.parametrize(
    ("frame", "parts", "ids", "sequences", "words"),
    [
        (SPECIALS, [part(2)], [0, 10, 11, 2], [None, 0, 0, None], [None, 0, 1, None]),
        (SPECIALS, [part(0)], [0, 2], [None, None], [None, None]),
        (
            SPECIALS,
            [part(1), part(2, 1, 20)],
            [0, 10, 2, 2, 21, 2],
            [None, 0, None, None, 1, None],
            [None, 0, None, None, 1, None],
        ),
        (PLAIN, [part(1), part(1, 0, 20)], [10, 20], [0, 1], [0, 0]),
        (PLAIN, [part(0)], [], [], []),
    ],
)
@pytest.mark.parametrize("padding", [(0, 0), (0, 2), (3, 0)])
def test_a_row_is_laid_out(frame, parts, ids, sequences, words, padding):
    row = Row(parts, frame, padding=padding)
    left, right = padding

    def padded(values, filler):
        return [filler] * left + list(values) + [filler] * right

    assert len(row) == len(ids)
    assert row.padded_length == len(ids) + left + right
    assert row.ids == padded(ids, 1)
    assert row.attention_mask == padded([1] * len(ids), 0)
    assert row.type_ids == padded([0] * len(ids), 0)
    assert row.special_tokens_mask == padded([int(sequence is None) for sequence in sequences], 1)
    assert row.sequence_ids == padded(sequences, None)
    assert row.word_ids == padded(words, None)


def test_look_ups_agree_with_each_other():
    row = Row([part(3, 1), part(2, 0, 20)], SPECIALS, padding=(2, 1))
    assert row.ids == [1, 1, 0, 11, 12, 2, 2, 20, 21, 2, 1]
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


def test_a_text_that_the_row_lacks_is_named():
    with pytest.raises(ValueError, match=r"sequence_index: expected 0 to 0, got 1; the row has 1 text"):
        Row([part(1)], SPECIALS).char_to_token(0, 1)


def test_rows_are_padded_to_one_length(tiny):
    from roberta.tokenizer.options import resolve

    rows = [Row([part(1)], SPECIALS), Row([part(4)], SPECIALS)]
    pad_rows(rows, resolve(tiny, {"padding": True, "padding_side": "left"}))
    assert [row.padding for row in rows] == [(3, 0), (0, 0)]
    pad_rows(rows, resolve(tiny, {"padding": "max_length", "max_length": 5}))
    assert [row.padding for row in rows] == [(0, 2), (0, 0)]  # the longer one stays as it is
    pad_rows(rows, resolve(tiny, {}))
    assert [row.padding for row in rows] == [(0, 0), (0, 0)]


FIELDS = ["ids", "attention_mask", "type_ids", "special_tokens_mask", "offsets", "padded_length", "sample"]


@pytest.mark.parametrize("frame", [SPECIALS, PLAIN])
@pytest.mark.parametrize("paddings", [[(0, 2), (1, 0), (0, 0)], [(0, 0)] * 3, [(2, 0), (0, 1), (1, 1)]])
@pytest.mark.parametrize("attribute", FIELDS)
def test_an_array_holds_what_the_lists_hold(attribute, paddings, frame):
    width = 11
    rows = [
        Row([part(width - sum(padding) - 8, 0, 30), part(6, 2)], frame, index, padding)
        for index, padding in enumerate(paddings)
    ]
    rows = [row for row in rows if row.padded_length == rows[0].padded_length]
    stacked, gathered = stack(rows, attribute), gather(rows, attribute)
    assert np.array_equal(stacked, np.array(gathered))
    if attribute not in {"padded_length", "sample"}:
        assert stacked.dtype == np.int64


@pytest.mark.parametrize("rows", [[], [Row([part(1)], SPECIALS), Row([part(2)], SPECIALS)]])
def test_what_is_no_array_stays_a_list(rows):
    assert stack(rows, "ids") == gather(rows, "ids")


def test_rows_without_tokens_are_stacked():
    rows = [Row([part(0)], PLAIN, padding=(0, 2)), Row([part(0)], PLAIN, padding=(2, 0))]
    assert stack(rows, "ids").tolist() == [[1, 1], [1, 1]]
    assert stack(rows, "offsets").tolist() == [[[0, 0]] * 2] * 2
    assert stack([Row([part(0)], PLAIN)], "ids").shape == (1, 0)
