"""Packing: laws of the four formats. Where it matters, every id is unique, so that where it came from is known."""

import itertools
import json
from functools import partial
from math import log, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from roberta.tokenizer import (
    pack_doc_sentences,
    pack_full_sentences,
    pack_segment_pairs,
    pack_sentence_pairs,
    stack_rows,
)

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


@pytest.mark.parametrize("max_length", [2, 0, -5])
def test_a_row_must_have_room(max_length):
    with pytest.raises(
        ValueError, match=rf"max_length: expected at least 3 \(bos, one token, eos\), got {max_length}; pass"
    ):
        pack_full_sentences([], max_length)


ENCODE = r"pass tokenizer\(sentences, add_special_tokens=False\)\['input_ids'\] for each document"
ANY_FORM = [
    pack_full_sentences,
    pack_doc_sentences,
    partial(pack_segment_pairs, seed=0),
    partial(pack_sentence_pairs, seed=0),
]


@pytest.mark.parametrize("form", ANY_FORM)
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda encoding: encoding, "documents: expected a list, got BatchEncoding .*"),
        (lambda _: "the cat", "documents: expected a list, got str 'the cat'"),
        (lambda _: None, "documents: expected a list, got NoneType None"),
        (lambda encoding: [encoding], "sentences of document 0: expected a list, got BatchEncoding .*"),
        (lambda _: [[[10]], "the cat"], "sentences of document 1: expected a list, got str 'the cat'"),
        (lambda encoding: [[[10], encoding]], "sentence 1 of document 0: expected a list, got BatchEncoding .*"),
        (lambda _: [["the cat"]], "sentence 0 of document 0: expected a list, got str 'the cat'"),
        (lambda _: [[b"the cat"]], "sentence 0 of document 0: expected a list, got bytes b'the cat'"),
        (lambda _: [[10, 11]], "sentence 0 of document 0: expected a list, got int 10"),
        (lambda _: [[[10.0]]], r"sentence 0 of document 0: expected integers, got \[10.0\]"),
        (lambda _: [[[[10]]]], r"sentence 0 of document 0: expected integers, got \[\[10\]\]"),
        (lambda _: [[["10", "11"]]], r"sentence 0 of document 0: expected integers, got \['10', '11'\]"),
    ],
)
def test_what_is_no_document_of_ids_is_refused(form, make, message, tiny):
    """The letters of a text, or of the names of an encoding's fields, are no ids."""
    encoding = tiny(["the cat", "mat"], add_special_tokens=False)
    with pytest.raises(TypeError, match=f"^{message}; {ENCODE}$"):
        list(form(make(encoding), 9))


@pytest.mark.parametrize("form", ANY_FORM)
def test_sentences_with_special_tokens_are_refused(form, tiny):
    sentences = tiny(["the cat", "mat"])["input_ids"]
    message = "sentence 0 of document 0: expected ids without special tokens, got a row from bos = 0 to eos = 2; encode"
    with pytest.raises(ValueError, match=message):
        list(form([sentences], 20))
    assert list(form([sentences], 20, bos=5, eos=6))  # to others they are ids as any


@pytest.mark.parametrize("form", ANY_FORM)
@pytest.mark.parametrize("kind", [tuple, np.array, lambda ids: np.array(ids, dtype=np.uint16), iter])
def test_ids_may_come_in_anything_and_leave_as_integers(form, kind):
    documents = unique([[3] * 9] * 3)
    rows = form([[kind(sentence) for sentence in document] for document in documents], 14)
    found = [next(rows)]
    json.dumps(rows.state_dict())
    found += rows
    assert found == list(form(documents, 14))
    json.dumps(found)


@pytest.mark.torch
def test_ids_may_come_in_tensors():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    rows = list(pack_full_sentences([torch.tensor([[10, 11], [12, 13]])], 6))
    assert rows == [[0, 10, 11, 12, 13, 2]]
    assert {type(index) for index in rows[0]} == {int}
    assert stack_rows(torch.tensor(rows), 7).tolist() == [[0, 10, 11, 12, 13, 2, 1]]


# -- pairs -------------------------------------------------------------------------------------------------------------

SHAPES = st.lists(st.lists(st.integers(0, 9), max_size=6), max_size=6)  # documents, of sentences of so many ids
PAIR_LENGTH = st.integers(6, 19)
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
@given(SHAPES, PAIR_LENGTH, FORMS, st.integers(0, 99))
def test_pairs_are_framed_and_fit(shapes, max_length, form, seed):
    for row in form(unique(shapes), max_length, seed=seed):
        assert len(row["input_ids"]) <= max_length
        segments(row)


@SETTINGS
@given(SHAPES, PAIR_LENGTH, FORMS, st.integers(0, 99))
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
@given(SHAPES, PAIR_LENGTH, FORMS, st.integers(0, 99))
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
@given(SHAPES, PAIR_LENGTH, st.integers(0, 99))
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


def test_the_seed_decides():
    documents = unique([[3] * 30] * 3)
    drawn = [list(pack_segment_pairs(documents, 20, seed=seed)) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize("form", [pack_segment_pairs, pack_sentence_pairs])
def test_pairs_that_cannot_be_are_said(form):
    with pytest.raises(ValueError, match=r"max_length: expected at least 6 \(bos, a token, .* got 5; pass"):
        form([], 5, seed=0)
    with pytest.raises(ValueError, match="pool_size: expected at least 1 foreign segment, got 0; 64"):
        form([], 6, seed=0, pool_size=0)


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


# -- arrays ------------------------------------------------------------------------------------------------------------


@SETTINGS
@given(DOCUMENTS, LENGTH)
def test_stacked_rows_are_the_rows_and_padding(documents, max_length):
    rows = pack(documents, max_length)
    stacked = stack_rows(rows, max_length, pad=PAD)
    assert stacked.shape == (len(rows), max_length)
    assert stacked.dtype == np.int64
    assert [[index for index in row if index != PAD] for row in stacked.tolist()] == rows


def test_a_row_that_is_too_long_is_named():
    with pytest.raises(ValueError, match="rows: expected at most max_length = 3 ids, got 4 in row 1; pack with"):
        stack_rows([[0, 2], [0, 5, 6, 2]], 3)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([0, 5.7, 2], r"row 0: expected integers, got \[0, 5.7, 2\]; pass"),
        ("052", "row 0: expected a list, got str '052'; pass"),
        (
            {"input_ids": [0, 2], "next_sentence_label": 1},
            r"row 0: expected a list, got dict .*; pass \(row\['input_ids'\]",
        ),
    ],
)
def test_a_row_of_something_else_is_refused(row, message):
    with pytest.raises(TypeError, match=message):
        stack_rows([row], 3)
