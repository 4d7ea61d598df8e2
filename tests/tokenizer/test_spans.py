"""Spans: characters to tokens and back, and the best span, held against a plain search over all spans."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from roberta.tokenizer.spans import NOT_HERE, Window, best_answer, chars_to_tokens, tokens_to_chars

SETTINGS = settings(derandomize=True, deadline=None, max_examples=200)
TEXT = st.text(alphabet="the cat\n sæt🙂,", min_size=1, max_size=30).filter(str.strip)


def draw_span(data, text):
    places = [at for at, letter in enumerate(text) if not letter.isspace()]
    first = data.draw(st.sampled_from(places))
    return first, data.draw(st.sampled_from([at for at in places if at >= first])) + 1


@SETTINGS
@given(TEXT, TEXT, st.data())
def test_tokens_of_characters_cover_them_and_no_token_is_idle(tiny, question, text, data):
    start, end = draw_span(data, text)
    encoding = tiny(question, text, return_offsets_mapping=True)
    offsets, sequences = encoding["offset_mapping"], encoding.sequence_ids()
    span = chars_to_tokens(offsets, sequences, (start, end))
    assert {sequences[at] for at in range(*span)} == {1}
    covered = tokens_to_chars(offsets, span)
    assert covered.start <= start < end <= covered.end
    assert all(offsets[at][0] < end and offsets[at][1] > start for at in range(*span))
    # It is the span of its own characters, unless a token at its end shares a letter with the next one.
    again = chars_to_tokens(offsets, sequences, covered)
    assert again.start <= span.start < span.end <= again.end


@SETTINGS
@given(TEXT, st.integers(6, 12), st.integers(0, 2), st.data())
def test_a_window_has_the_span_whole_or_not_at_all(tiny, text, max_length, stride, data):
    start, end = draw_span(data, text)
    windows = tiny(
        "t", text, max_length=max_length, truncation="only_second", stride=min(stride, max_length - 6),
        return_overflowing_tokens=True, return_offsets_mapping=True,
    )  # fmt: skip
    whole = tiny("t", text, return_offsets_mapping=True)
    true = tokens_to_chars(
        whole["offset_mapping"], chars_to_tokens(whole["offset_mapping"], whole.sequence_ids(), (start, end))
    )
    for row, offsets in enumerate(windows["offset_mapping"]):
        sequences = windows.sequence_ids(row)
        span = chars_to_tokens(offsets, sequences, (start, end))
        inside = [offset for offset, sequence in zip(offsets, sequences, strict=True) if sequence == 1]
        if span is None:
            assert inside[0][0] > start or inside[-1][1] < end
        else:
            found = tokens_to_chars(offsets, span)
            assert true.start <= found.start <= start < end <= found.end <= true.end


def test_the_first_text_can_be_asked_for(tiny):
    encoding = tiny("the cat", "the cat", return_offsets_mapping=True)
    spans = [chars_to_tokens(encoding["offset_mapping"], encoding.sequence_ids(), (4, 7), index) for index in (0, 1)]
    assert spans[0].end < spans[1].start
    assert chars_to_tokens(encoding["offset_mapping"], [None] * len(encoding["input_ids"]), (4, 7)) is None


LOGIT = st.integers(-5, 5)


@SETTINGS
@given(
    st.lists(st.tuples(LOGIT, LOGIT, st.sampled_from([None, 0, 1, 1, 1])), min_size=1, max_size=9), st.integers(1, 5)
)
def test_the_best_answer_is_the_best_of_all_spans(rows, max_tokens):
    start, end, sequences = zip((0, 0, None), *rows, strict=True)
    offsets = [(2 * at, 2 * at + 1) for at in range(len(sequences))]
    context = "x" * (2 * len(sequences))
    inside = [at for at, sequence in enumerate(sequences) if sequence == 1]
    spans = [(s, e) for s, e in itertools.product(inside, inside) if s <= e < s + max_tokens]
    answer = best_answer(context, [Window(start, end, offsets, sequences)], max_tokens=max_tokens)
    if not spans:
        assert answer == ("", 0, 0, -np.inf)
    else:
        best = max(start[s] + end[e] for s, e in spans)
        assert answer.score == best
        found = [(s, e) for s, e in spans if (offsets[s][0], offsets[e][1]) == (answer.start, answer.end)]
        assert [start[s] + end[e] for s, e in found] == [best]
        assert answer.text == context[answer.start : answer.end]


def window(start, end, offsets=((0, 0), (0, 1), (2, 3), (0, 0))):
    return Window(start, end, list(offsets), [None, 1, 1, None])


def test_the_best_window_wins():
    other = ((0, 0), (4, 5), (6, 7), (0, 0))
    answer = best_answer("a b c d", [window([0, 1, 0, 0], [0, 1, 0, 0]), window([0, 0, 3, 0], [0, 0, 1, 0], other)])
    assert answer == ("d", 6, 7, 4.0)


def test_none_wins_only_if_every_window_says_so():
    sure, unsure = window([9, 1, 0, 0], [9, 1, 0, 0]), window([0, 1, 0, 0], [1, 1, 0, 0])
    assert best_answer("a b", [sure], allows_none=True) == ("", 0, 0, 18.0)
    assert best_answer("a b", [sure, unsure], allows_none=True) == ("a", 0, 1, 2.0)
    assert best_answer("a b", [sure]) == ("a", 0, 1, 2.0)
    assert NOT_HERE == 0


def test_no_windows_or_no_tokens_is_an_error():
    for windows, max_tokens in (([], 30), ([window([0] * 4, [0] * 4)], 0)):
        with pytest.raises(ValueError, match=f"windows, max_tokens: .* got {len(windows)} and {max_tokens}; pass the"):
            best_answer("a b", windows, max_tokens=max_tokens)
