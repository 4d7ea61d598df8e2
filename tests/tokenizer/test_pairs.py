"""Pairs for next-sentence prediction. Every id is unique, so that where it came from is known."""

import itertools
import json
from math import log, sqrt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from roberta.tokenizer import pack_segment_pairs, pack_sentence_pairs

BOS, EOS = 0, 2
SETTINGS = settings(derandomize=True, deadline=None, max_examples=200)
SHAPES = st.lists(st.lists(st.integers(0, 9), max_size=6), max_size=6)  # documents, of sentences of so many ids
LENGTH = st.integers(6, 19)
FORMS = st.sampled_from([pack_segment_pairs, pack_sentence_pairs])


def unique(shapes):
    counter = itertools.count(10)
    return [[[next(counter) for _ in range(length)] for length in document] for document in shapes]


def segments(row):
    """Take a row apart, checking what is around the two segments."""
    ids = row["input_ids"]
    middle = ids.index(EOS)
    assert (ids[0], ids[-1], ids[middle + 1]) == (BOS, EOS, EOS)
    a, b = ids[1:middle], ids[middle + 2 : -1]
    assert a
    assert b
    assert not {BOS, EOS} & {*a, *b}
    return a, b


def owners(documents):
    return {index: number for number, document in enumerate(documents) for sentence in document for index in sentence}


@SETTINGS
@given(SHAPES, LENGTH, FORMS, st.integers(0, 99))
def test_rows_are_framed_and_fit(shapes, max_length, form, seed):
    for row in form(unique(shapes), max_length, seed=seed):
        assert len(row["input_ids"]) <= max_length
        segments(row)


@SETTINGS
@given(SHAPES, LENGTH, FORMS, st.integers(0, 99))
def test_every_id_comes_once_and_in_order_as_a_or_true_b(shapes, max_length, form, seed):
    """Except where a document's last sentence is alone and there is nothing foreign to put beside it."""
    documents = unique(shapes)
    owner = owners(documents)
    used = []
    for row in form(documents, max_length, seed=seed):
        a, b = segments(row)
        used += a if row["next_sentence_label"] else [*a, *b]
    assert used == sorted(set(used))
    # What is lost are ends of documents, of the first ones only: until a foreign segment was there.
    lost = [index for index in sorted(owner) if index not in used]
    firsts = [number for number, document in enumerate(documents) if any(document)]
    assert {owner[index] for index in lost} <= set(firsts[:1])
    assert len(lost) <= (max_length - 4) // 2
    assert not lost or lost[-1] == max(i for i, number in owner.items() if number == firsts[0])


@SETTINGS
@given(SHAPES, LENGTH, FORMS, st.integers(0, 99))
def test_labels_tell_the_truth(shapes, max_length, form, seed):
    documents = unique(shapes)
    owner = owners(documents)
    for row in form(documents, max_length, seed=seed):
        a, b = segments(row)
        assert len({owner[index] for index in a}) == len({owner[index] for index in b}) == 1
        assert a == list(range(a[0], a[-1] + 1))
        assert b == list(range(b[0], b[-1] + 1))
        if row["next_sentence_label"]:
            assert owner[b[0]] < owner[a[0]]  # from a document before
        else:
            assert b[0] == a[-1] + 1


@SETTINGS
@given(SHAPES, LENGTH, st.integers(0, 99))
def test_sentence_pairs_are_of_single_sentences(shapes, max_length, seed):
    documents = unique(shapes)
    sentence_of = {i: n for n, sentence in enumerate(s for d in documents for s in d) for i in sentence}
    for row in pack_sentence_pairs(documents, max_length, seed=seed):
        for segment in segments(row):
            assert len({sentence_of[index] for index in segment}) == 1


def test_segments_hold_several_sentences_and_fill_the_row():
    rows = list(pack_segment_pairs(unique([[3] * 500]), 34, seed=0))  # one document: every B is the true one
    assert len(rows) == 50
    assert {len(row["input_ids"]) for row in rows} == {34}
    lengths = {len(segments(row)[0]) for row in rows}
    assert lengths == set(range(3, 30, 3))  # every cut between two of ten sentences comes up


@pytest.mark.parametrize("form", [pack_segment_pairs, pack_sentence_pairs])
def test_half_of_the_pairs_are_foreign(form):
    """The coin's count lies within Bernstein's bound of false alarm probability 1e-9; see test_masking."""
    documents = unique([[3] * 41 for _ in range(400)])
    owner = owners(documents)
    rows = [row for row in form(documents, 40, seed=5) if owner[row["input_ids"][1]] > 0]
    # A lone last sentence gets a foreign B without a coin: where it ends the document and B is foreign.
    lasts = {document[-1][0] for document in documents}
    tossed = [row for row in rows if row["input_ids"][1] not in lasts]
    count, trials = sum(row["next_sentence_label"] for row in tossed), len(tossed)
    bound = log(2e9) / 3 + sqrt(log(2e9) ** 2 / 9 + 2 * log(2e9) * trials / 4)
    assert bound < 0.1 * trials
    assert abs(count - trials / 2) <= bound


def test_foreign_segments_come_from_many_documents():
    documents = unique([[3] * 20 for _ in range(40)])
    owner = owners(documents)
    rows = [row for row in pack_sentence_pairs(documents, 20, seed=1) if row["next_sentence_label"]]
    pairs = {(owner[a[0]], owner[b[0]]) for a, b in map(segments, rows)}
    assert len({b for _, b in pairs}) > 20
    assert len({b for a, b in pairs if a == 39}) > 3


def test_memory_is_bounded_whatever_the_corpus():
    def endless():
        for document in itertools.count():
            yield ([10 + document] for _ in range(30))

    rows = pack_segment_pairs(endless(), 16, seed=0, pool_size=5)
    for _ in range(400):
        next(rows)
        packer = rows.state_dict()["packer"]
        held = [*packer["foreign"], *packer["own"], packer["chunk"]]
        assert len(held) <= 2 * 5 + 1
        assert all(len(segment) <= 12 for segment in held)


@settings(derandomize=True, deadline=None, max_examples=100)
@given(SHAPES, LENGTH, FORMS, st.integers(0, 99), st.data())
def test_an_interrupted_stream_goes_on_as_if_nothing_had_been(shapes, max_length, form, seed, data):
    documents = unique(shapes)
    whole = list(form(documents, max_length, seed=seed, pool_size=3))
    stop = data.draw(st.integers(0, len(whole)))
    first = form(documents, max_length, seed=seed, pool_size=3)
    before = list(itertools.islice(first, stop))
    second = form(documents, max_length, seed=seed, pool_size=3)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert before + list(second) == whole


def test_the_seed_decides():
    documents = unique([[3] * 30] * 3)
    drawn = [list(pack_segment_pairs(documents, 20, seed=seed)) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize("form", [pack_segment_pairs, pack_sentence_pairs])
def test_what_cannot_be_is_said(form):
    with pytest.raises(ValueError, match=r"max_length: expected at least 6 \(bos, a token, .* got 5; pass"):
        form([], 5, seed=0)
    with pytest.raises(ValueError, match="pool_size: expected at least 1 foreign segment, got 0; 64"):
        form([], 6, seed=0, pool_size=0)
