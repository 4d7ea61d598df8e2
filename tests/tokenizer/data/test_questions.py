"""Question answering: answers become places of tokens and come back as the same text, also over windows.

The best span is held against a plain search over all spans.
"""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from roberta.tokenizer import QuestionAnsweringCollator, RobertaTokenizer
from roberta.tokenizer.data.questions import NOT_HERE, Window, best_answer, chars_to_tokens, tokens_to_chars

SETTINGS = settings(derandomize=True, deadline=None, max_examples=150)
TEXT = st.text(alphabet="the cat\n sæt🙂,", min_size=1, max_size=40).filter(str.strip)


# -- characters and tokens, the best answer ----------------------------------------------------------------------------


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


# -- the collator ------------------------------------------------------------------------------------------------------


@st.composite
def examples(draw):
    context = draw(TEXT)
    start = draw(st.integers(0, len(context) - 1))
    end = draw(st.integers(start + 1, len(context)))
    answer = (start, end) if context[start:end].strip() else None
    return {"question": draw(TEXT)[:2], "context": context, "answer": answer}


def logits_of(batch):
    """A model that knows: 1 where the answer begins and ends, and where it is not there at <s>."""
    eye = np.eye(batch["input_ids"].shape[1])
    return eye[batch["start_positions"]], eye[batch["end_positions"]]


@SETTINGS
@given(st.lists(examples(), min_size=1, max_size=3))
def test_answers_come_back(tiny, given_examples):
    """With what a token at each end has beside the answer, as a token cannot be cut."""
    collate = QuestionAnsweringCollator(tokenizer=tiny)
    batch = collate(given_examples)
    answers = collate.answers(given_examples, *logits_of(batch), max_tokens=10**6, allows_none=True)
    for example, answer in zip(given_examples, answers, strict=True):
        if example["answer"] is None:
            assert answer == ("", 0, 0, 2.0)
            continue
        start, end = example["answer"]
        wanted = example["context"][start:end].strip()
        assert answer.score == 2
        assert wanted in answer.text
        assert answer.text == example["context"][answer.start : answer.end]
        assert answer.start <= start + (
            len(example["context"][start:end]) - len(example["context"][start:end].lstrip())
        )
        spans = [tiny(example["context"]).token_to_chars(at) for at in range(len(tiny.encode(example["context"])))]
        for letter in (answer.start, answer.end - 1):  # no token of it is idle
            assert any(
                span and span.start <= letter < span.end and span.start < end and span.end > start for span in spans
            )


@SETTINGS
@given(examples(), st.integers(8, 14), st.integers(0, 3))
def test_windows_that_do_not_hold_the_answer_point_to_the_beginning(tiny, example, max_length, stride):
    collate = QuestionAnsweringCollator(tokenizer=tiny, max_length=max_length + 4, stride=stride)
    batch = collate([example])
    whole = QuestionAnsweringCollator(tokenizer=tiny)([example])
    ids = whole["input_ids"][0, whole["start_positions"][0] : whole["end_positions"][0] + 1].tolist()
    for row, first, last in zip(batch["input_ids"], batch["start_positions"], batch["end_positions"], strict=True):
        if (first, last) != (0, 0):
            # All of it; only of a letter of several tokens may a window have a part.
            assert row[first : last + 1].tolist() in (
                ids,
                ids[: last + 1 - first],
                ids[len(ids) - (last + 1 - first) :],
            )
    assert set(batch) == {"input_ids", "attention_mask", "start_positions", "end_positions"}
    if example["answer"] is None:
        assert not batch["start_positions"].any()


def test_windows_with_a_pencil(tiny):
    """`<s> t </s> </s>` and `</s>` take 5 of 8 places: the context comes three tokens at a time, one of them shared."""
    context = "a b c d e"
    assert len(tiny.encode(context, add_special_tokens=False)) == 9  # the space is a token of its own here
    collate = QuestionAnsweringCollator(tokenizer=tiny, max_length=8, stride=1)
    batch = collate([{"question": "t", "context": context, "answer": (2, 5)}])  # "b c", the tokens 2 to 4
    assert batch["input_ids"].shape == (4, 8)  # tokens 0-2, 2-4, 4-6, 6-8
    assert batch["start_positions"].tolist() == [0, 4, 0, 0]
    assert batch["end_positions"].tolist() == [0, 6, 0, 0]
    scores = np.zeros((4, 8))
    scores[1, 4] = scores[1, 6] = 1
    (answer,) = collate.answers([{"question": "t", "context": context}], scores, scores)
    assert (answer.text, answer.start, answer.end) == ("b", 2, 3)  # equal scores: the first best span
    ends = np.zeros((4, 8))
    ends[1, 6] = 2
    assert collate.answers([{"question": "t", "context": context}], scores, ends)[0][:3] == ("b c", 2, 5)
    assert collate.answers([{"question": "t", "context": context}], scores, ends, max_tokens=2)[0].text == "c"


def test_padding_at_the_left_would_move_the_beginning(tiny):
    left = RobertaTokenizer(tiny._base, tiny._merges, padding_side="left")
    batch = QuestionAnsweringCollator(tokenizer=left)(
        [{"question": "t", "context": context, "answer": None} for context in ("the cat sat", "mat")]
    )
    assert (batch["input_ids"][:, 0] == 0).all()


def test_without_answers_there_are_no_positions(tiny):
    assert set(QuestionAnsweringCollator(tokenizer=tiny)([{"question": "t", "context": "cat"}])) == {
        "input_ids", "attention_mask",
    }  # fmt: skip


@pytest.mark.parametrize("answer", [(0, 0), (2, 1), (-1, 2), (0, 8), (3, 4)])
def test_answers_outside_their_context_are_named(tiny, answer):
    example = {"question": "t", "context": "the cat", "answer": answer}
    with pytest.raises(ValueError, match=r"answer: expected \(start, end\) .* in example 0; give code points"):
        QuestionAnsweringCollator(tokenizer=tiny)([example])


SQUAD = {"question": "t", "context": "the cat æ sat"}


def test_the_first_of_squads_answers_counts_and_none_is_none(tiny):
    collate = QuestionAnsweringCollator(tiny)
    records = [
        {"text": ["sat", "cat"], "answer_start": [10, 4]},
        {"text": np.array(["cat"]), "answer_start": np.array([4], dtype=np.int32)},
        {"text": [], "answer_start": []},
    ]
    spans = [(10, 13), (4, 7), None]
    batch = collate([{**SQUAD, "answers": record} for record in records])
    expected = collate([{**SQUAD, "answer": span} for span in spans])
    assert set(batch) == {"input_ids", "attention_mask", "start_positions", "end_positions"}
    assert all((batch[name] == expected[name]).all() for name in batch)
    assert [place > 0 for place in batch["start_positions"]] == [True, True, False]
    own = collate([{**SQUAD, "answers": records[0], "answer": None}])
    assert not own["start_positions"].any()


@pytest.mark.parametrize(
    ("record", "error", "message"),
    [
        ({"text": ["cat"], "answer_start": [5]}, ValueError, "texts that stand in the context where answer_start says"),
        ({"text": ["cat"], "answer_start": [-9]}, ValueError, "texts that stand in the context"),
        ({"text": ["cat"], "answer_start": []}, ValueError, "texts that stand in the context"),
        ({"text": "cat", "answer_start": [4]}, TypeError, "a list, got str 'cat'"),
        ({"text": ["cat"], "answer_start": 4}, TypeError, "a list, got int 4"),
        ({"text": ["cat"], "answer_start": ["4"]}, TypeError, "integers, got"),
        ({"text": ["cat"]}, TypeError, "a record of lists, got"),
        ([{"text": "cat", "answer_start": 4}], TypeError, "a record of lists, got"),
        (None, TypeError, "a record of lists, got None"),
    ],
)
def test_answers_of_another_kind_are_refused(tiny, record, error, message):
    with pytest.raises(error, match=f"answers of example 0: expected {message}"):
        QuestionAnsweringCollator(tiny)([{**SQUAD, "answers": record}])


@pytest.mark.parametrize("answer", ["ab", 4, (4.0, 7.0), True, {"start": 4, "end": 7}])
def test_an_answer_of_another_kind_is_refused(tiny, answer):
    with pytest.raises(TypeError, match=r"answer of example 0: expected .*; give code points of the context"):
        QuestionAnsweringCollator(tiny)([{**SQUAD, "answer": answer}])
    for wrong in [(4,), (4, 7, 9)]:
        with pytest.raises(ValueError, match=r"answer: expected \(start, end\)"):
            QuestionAnsweringCollator(tiny)([{**SQUAD, "answer": wrong}])


def test_an_example_without_an_answer_is_not_one_that_has_none(tiny):
    with pytest.raises(ValueError, match="expected 'answer' in all 2 or in none, got it in 1; split"):
        QuestionAnsweringCollator(tiny)([SQUAD, {**SQUAD, "answer": (4, 7)}])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_logits_that_are_no_numbers_are_no_answer(tiny, bad):
    collate = QuestionAnsweringCollator(tiny)
    scores = np.zeros(collate([SQUAD])["input_ids"].shape)
    scores[0, 5] = bad
    for pair in ((scores, np.zeros_like(scores)), (np.zeros_like(scores), scores)):
        with pytest.raises(ValueError, match=r"(start|end)_logits: expected .* NaN and .*; pass what the model"):
            collate.answers([SQUAD], *pair)
    with pytest.raises(ValueError, match=r"start_logits: expected \(T,\) = \(4,\) numbers .*, got \(1,\) with"):
        best_answer("a b", [window([1], [0, 1, 0, 0])])


def test_logits_of_another_batch_are_refused(tiny):
    example = {"question": "t", "context": "the cat"}
    with pytest.raises(ValueError, match=r"start_logits, end_logits: expected \(W, T\) = .*; pass the examples"):
        QuestionAnsweringCollator(tokenizer=tiny).answers([example], np.zeros((1, 3)), np.zeros((1, 3)))
