"""Packing: laws of the two formats of rows, and of the stream that both are."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from roberta.tokenizer import pack_doc_sentences, pack_full_sentences, stack_rows

BOS, EOS, PAD = 0, 2, 1
DOCUMENTS = st.lists(st.lists(st.lists(st.integers(10, 99), max_size=9), max_size=5), max_size=6)
LENGTH = st.integers(3, 14)
SETTINGS = settings(derandomize=True, deadline=None, max_examples=300)


def pack(documents, max_length):
    return list(pack_full_sentences(documents, max_length, bos=BOS, eos=EOS))


@pytest.mark.parametrize(
    ("documents", "max_length", "rows"),
    [
        ([], 8, []),
        ([[], [[]]], 8, []),
        ([[[10, 11]]], 8, [[0, 10, 11, 2]]),
        ([[[10], [11]], [[20]]], 8, [[0, 10, 11, 2, 20, 2]]),  # into the next document: one more </s>
        ([[[10], [11]], [[20]]], 5, [[0, 10, 11, 2], [0, 20, 2]]),  # no room for it and a sentence: none at the end
        ([[[10, 11], [12, 13, 14]]], 6, [[0, 10, 11, 2], [0, 12, 13, 14, 2]]),  # sentences stay whole
        (
            [[[10, 11, 12, 13, 14], [15]]],
            5,
            [[0, 10, 11, 12, 2], [0, 13, 14, 15, 2]],
        ),  # but for one too long for any row
        ([[[10]], [], [[20]]], 9, [[0, 10, 2, 20, 2]]),  # an empty document leaves no trace
    ],
)
def test_rows_with_a_pencil(documents, max_length, rows):
    assert pack(documents, max_length) == rows


@SETTINGS
@given(DOCUMENTS, LENGTH)
def test_nothing_is_lost_and_the_order_is_kept(documents, max_length):
    flat = [index for document in documents for sentence in document for index in sentence]
    rows = pack(documents, max_length)
    assert [index for row in rows for index in row if index not in (BOS, EOS)] == flat


@SETTINGS
@given(DOCUMENTS, LENGTH)
def test_every_row_is_framed_and_fits(documents, max_length):
    for row in pack(documents, max_length):
        assert 3 <= len(row) <= max_length
        assert (row[0], row[-1]) == (BOS, EOS)
        assert BOS not in row[1:]
        assert (EOS, EOS) not in itertools.pairwise(row)


@SETTINGS
@given(DOCUMENTS, LENGTH)
def test_rows_are_full(documents, max_length):
    """Whatever begins a row had no room in the row before, a separator counted where a document ends between them."""
    room = max_length - 2
    units = []  # what a row holds whole: (document, sentence, or a slice of one too long)
    for number, document in enumerate(documents):
        for sentence in document:
            units += [(number, sentence[at : at + room]) for at in range(0, len(sentence), room)]
    remaining = iter(units)
    previous = None
    for row in pack(documents, max_length):
        used, first, last = 0, None, None
        while used < len(row) - 2:
            number, unit = next(remaining)
            first = first or (number, unit)
            used += len(unit) + (used > 0 and number != last)
            last = number
        if previous is not None:
            length, document = previous
            assert length + (document != first[0]) + len(first[1]) > room
        previous = used, last


@SETTINGS
@given(DOCUMENTS, LENGTH)
def test_documents_are_parted_by_one_separator(documents, max_length):
    owner = {}  # ids made unique, to know the document of each
    counter = itertools.count(100)
    unique = [[[next(counter) for _ in sentence] for sentence in document] for document in documents]
    for number, document in enumerate(unique):
        owner |= dict.fromkeys(itertools.chain.from_iterable(document), number)
    for row in pack(unique, max_length):
        inner = row[1:-1]
        for before, after in itertools.pairwise(inner):
            if EOS not in (before, after):
                assert owner[before] == owner[after]
        for at, index in enumerate(inner):
            if index == EOS:
                assert owner[inner[at - 1]] < owner[inner[at + 1]]


@SETTINGS
@given(DOCUMENTS, LENGTH)
def test_doc_sentences_are_the_full_sentences_of_each_document(documents, max_length):
    rows = list(pack_doc_sentences(documents, max_length, bos=BOS, eos=EOS))
    assert rows == [row for document in documents for row in pack([document], max_length)]


def test_it_is_a_stream():
    """Endless documents: rows come as soon as they are full."""
    endless = ([[document + 10]] for document in itertools.count())
    rows = pack_full_sentences(endless, 6)
    assert next(rows) == [0, 10, 2, 11, 2]
    assert next(rows) == [0, 12, 2, 13, 2]
    assert stack_rows(rows, 6, count=2).tolist() == [[0, 14, 2, 15, 2, 1], [0, 16, 2, 17, 2, 1]]


@pytest.mark.parametrize("form", [pack_full_sentences, pack_doc_sentences])
def test_no_more_is_read_than_a_row_needs(form):
    """A document of endless sentences: what was read and not handed out is one row, and the sentence after it."""
    read = itertools.count(10)
    rows = form([([index] for index in read)], 7)
    for count in range(1, 4):
        assert len(next(rows)) == 7
        assert next(read) - 10 <= 5 * count + 1 + count  # one more each time by this very look
        assert len(rows.state_dict()["packer"]["row"]) <= 5


@settings(derandomize=True, deadline=None, max_examples=100)
@given(DOCUMENTS, LENGTH, st.sampled_from([pack_full_sentences, pack_doc_sentences]), st.data())
def test_an_interrupted_stream_goes_on_as_if_nothing_had_been(documents, max_length, form, data):
    whole = list(form(documents, max_length))
    stop = data.draw(st.integers(0, len(whole)))
    first = form(documents, max_length)
    before = list(itertools.islice(first, stop))
    state = json.loads(json.dumps(first.state_dict()))
    second = form((iter(document) for document in documents), max_length)  # each document can be read once
    second.load_state_dict(state)
    assert before + list(second) == whole
    assert list(first) == whole[stop:]  # to look at the state changes nothing


def test_documents_before_the_interruption_stay_unopened():
    class Sealed:
        def __iter__(self):
            raise AssertionError

    documents = [[[10, 11, 12]], [[20, 21, 22]], [[30]]]
    rows = pack_full_sentences(documents, 5)
    assert [next(rows), next(rows)] == [[0, 10, 11, 12, 2], [0, 20, 21, 22, 2]]
    resumed = pack_full_sentences([Sealed(), *documents[1:]], 5)
    resumed.load_state_dict(rows.state_dict())
    assert list(resumed) == [[0, 30, 2]]


def test_other_documents_than_before_are_refused():
    rows = pack_full_sentences([[[10, 11, 12]], [[20, 21, 22]], [[30]]], 5)
    next(rows), next(rows)
    fewer = pack_full_sentences([], 5)
    fewer.load_state_dict(rows.state_dict())
    with pytest.raises(ValueError, match=r"expected at least 2 documents, .* found 0; give the stream"):
        next(fewer)


def test_documents_that_are_partly_read_are_refused():
    rows = pack_full_sentences(iter([[[10, 11]], [[20, 21]]]), 4)
    next(rows)
    with pytest.raises(ValueError, match=r"load_state_dict: expected documents from their beginning, .* make a new"):
        rows.load_state_dict(rows.state_dict())


@SETTINGS
@given(DOCUMENTS, LENGTH)
def test_stacked_rows_are_the_rows_and_padding(documents, max_length):
    rows = pack(documents, max_length)
    stacked = stack_rows(rows, max_length, pad=PAD)
    assert stacked.shape == (len(rows), max_length)
    assert stacked.dtype == np.int64
    assert [[index for index in row if index != PAD] for row in stacked.tolist()] == rows


@pytest.mark.parametrize("max_length", [2, 0, -5])
def test_a_row_must_have_room(max_length):
    with pytest.raises(
        ValueError, match=rf"max_length: expected at least 3 \(bos, one token, eos\), got {max_length}; pass"
    ):
        pack_full_sentences([], max_length)


def test_a_row_that_is_too_long_is_named():
    with pytest.raises(ValueError, match="rows: expected at most max_length = 3 ids, got 4 in row 1; pack and stack"):
        stack_rows([[0, 2], [0, 5, 6, 2]], 3)
