"""Streams of training data: nothing lost, nothing twice, bounded buffers, resumption to the item."""

import copy
import itertools
import json
import pickle
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from roberta.tokenizer import (
    BatchSampler,
    ShuffledStream,
    pack_doc_sentences,
    pack_full_sentences,
    pack_segment_pairs,
    pack_sentence_pairs,
    stack_rows,
)

SETTINGS = settings(derandomize=True, deadline=None, max_examples=150)
SIZE, BUFFER, SEED = st.integers(0, 40), st.integers(1, 12), st.integers(0, 99)


# -- packed rows -------------------------------------------------------------------------------------------------------

DOCUMENTS = st.lists(st.lists(st.lists(st.integers(10, 99), max_size=9), max_size=5), max_size=6)
LENGTH = st.integers(3, 14)


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


@SETTINGS
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
    message = "load_state_dict: expected at least {}, which were read before, found {}; give the stream the source"
    for place, documents, expected in (
        (rows.state_dict(), [], ("2 documents", 0)),
        ({**rows.state_dict(), "document": 0, "sentence": 4}, [[[10], [11], [12]]], ("4 sentences of document 0", 3)),
    ):
        fewer = pack_full_sentences(documents, 5)
        fewer.load_state_dict(place)
        with pytest.raises(ValueError, match=message.format(*expected)):
            next(fewer)


def test_documents_that_are_partly_read_are_refused():
    rows = pack_full_sentences(iter([[[10, 11]], [[20, 21]]]), 4)
    next(rows)
    with pytest.raises(ValueError, match=r"load_state_dict: expected a source that can be read again, .* make a new"):
        rows.load_state_dict(rows.state_dict())


@SETTINGS
@given(
    DOCUMENTS,
    st.integers(6, 19),
    st.sampled_from([pack_segment_pairs, pack_sentence_pairs]),
    st.integers(0, 99),
    st.data(),
)
def test_an_interrupted_stream_of_pairs_goes_on_as_if_nothing_had_been(documents, max_length, form, seed, data):
    whole = list(form(documents, max_length, seed=seed, pool_size=3))
    stop = data.draw(st.integers(0, len(whole)))
    first = form(documents, max_length, seed=seed, pool_size=3)
    before = list(itertools.islice(first, stop))
    second = form(documents, max_length, seed=seed, pool_size=3)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert before + list(second) == whole


FORMS = [
    pack_full_sentences,
    pack_doc_sentences,
    partial(pack_segment_pairs, seed=3),
    partial(pack_sentence_pairs, seed=3),
]
COPIES = [lambda it: pickle.loads(pickle.dumps(it)), copy.copy, copy.deepcopy]  # noqa: S301  # our own


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("copied", COPIES, ids=["pickle", "copy", "deepcopy"])
@pytest.mark.parametrize("shuffles", [False, True])
def test_a_running_stream_can_be_pickled_and_copied_and_both_go_on(form, copied, shuffles):
    documents = [[[100 * number + at] for at in range(7)] for number in range(1, 9)]

    def make():
        return ShuffledStream(form(documents, 9), 3, seed=1) if shuffles else form(documents, 9)

    whole = list(make())
    for stop in range(len(whole) + 1):
        stream = make()
        before = list(itertools.islice(stream, stop))
        other = copied(stream)
        assert before + list(other) == whole
        assert before + list(stream) == whole  # the other has taken nothing away
        assert list(copied(stream)) == []


@pytest.mark.parametrize(
    "make", [lambda source: pack_full_sentences(source, 4), lambda source: ShuffledStream(source, 2, 0)]
)
def test_what_is_partly_read_and_cannot_be_read_again_is_not_pickled(make):
    """A list's iterator can be pickled, where it stands: what was read of it would be passed over once more."""
    stream = make(iter([[[10, 11]], [[20, 21]], [[30, 31]], [[40, 41]]]))
    assert len(list(pickle.loads(pickle.dumps(stream)))) == 4  # noqa: S301  # our own
    next(stream)
    with pytest.raises(ValueError, match=r"pickle, copy: expected .*, got an iterator that is partly read; make a new"):
        pickle.dumps(stream)


# -- shuffled items ----------------------------------------------------------------------------------------------------


@SETTINGS
@given(SIZE, BUFFER, SEED)
def test_every_item_comes_once_and_none_too_early(size, buffer_size, seed):
    out = list(ShuffledStream(range(size), buffer_size, seed))
    assert sorted(out) == list(range(size))
    assert all(item < place + buffer_size for place, item in enumerate(out))


def test_a_buffer_of_one_keeps_the_order_and_a_larger_one_does_not():
    assert list(ShuffledStream(range(50), 1, 0)) == list(range(50))
    assert list(ShuffledStream(range(50), 10, 0)) != list(range(50))


def test_a_buffer_that_holds_everything_draws_all_orders_alike():
    """1,000 shuffles of 3: each of 6 orders within Bernstein's bound for 1/6, false alarm probability 1e-9."""
    counts = {}
    for seed in range(1000):
        order = tuple(ShuffledStream("abc", 3, [7, seed]))
        counts[order] = counts.get(order, 0) + 1
    log = np.log(2e9)
    bound = log / 3 + np.sqrt(log**2 / 9 + 2 * log * 1000 * 5 / 36)
    assert len(counts) == 6
    assert all(abs(count - 1000 / 6) <= bound for count in counts.values())


def test_no_more_is_read_than_the_buffer_holds():
    read = itertools.count()
    stream = ShuffledStream(read, 8, 0)
    for count in range(5):
        next(stream)
        assert next(read) == 8 + 2 * count  # one more each time by this very look


@SETTINGS
@given(SIZE, BUFFER, SEED, st.data())
def test_an_interrupted_shuffle_goes_on_as_if_nothing_had_been(size, buffer_size, seed, data):
    whole = list(ShuffledStream(range(size), buffer_size, seed))
    stop = data.draw(st.integers(0, size))
    first = ShuffledStream(range(size), buffer_size, seed)
    before = list(itertools.islice(first, stop))
    second = ShuffledStream(range(size), buffer_size, seed)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert before + list(second) == whole


@pytest.mark.parametrize("stop", [0, 1, 7, 20, 33])
def test_a_source_with_a_state_of_its_own_is_taken_at_its_word(stop):
    """Documents that were read are not opened again, though the shuffle stands above a packing."""
    documents = [[[10 * number + at] for at in range(5)] for number in range(1, 20)]
    opened = []

    def lazily():
        for number in range(len(documents)):
            yield Document(number)

    class Document:
        def __init__(self, number):
            self.number = number

        def __iter__(self):
            opened.append(self.number)
            return iter(documents[self.number])

    def make():
        return ShuffledStream(pack_segment_pairs(lazily(), 9, seed=3), buffer_size=4, seed=1)

    whole = list(make())
    first = make()
    before = list(itertools.islice(first, stop))
    reached = opened[-1] if stop else 0
    state = json.loads(json.dumps(first.state_dict()))
    opened.clear()
    second = make()
    second.load_state_dict(state)
    assert before + list(second) == whole
    assert all(number >= reached for number in opened)


def test_misuse_of_a_stream_is_said():
    with pytest.raises(ValueError, match="buffer_size: expected at least 1, got 0; the larger"):
        ShuffledStream([], 0, 0)
    stream = ShuffledStream(range(9), 2, 0)
    next(stream)
    with pytest.raises(ValueError, match=r"load_state_dict: expected a stream that nothing was drawn from, .*; make a"):
        stream.load_state_dict(stream.state_dict())
    with pytest.raises(ValueError, match="expected at least 2 items, which were read before, found 1; give"):
        ShuffledStream(range(1), 2, 0).load_state_dict(stream.state_dict())


def test_the_state_of_another_kind_of_source_is_refused():
    """A count of items says nothing to a source with a state, nor its state to a source that has none."""
    rows = [[0, 10, 2], [0, 11, 2], [0, 12, 2]]
    sources = {"plain": lambda: rows, "packed": lambda: pack_full_sentences([[[10], [11], [12]]], 3)}
    for one_kind, other_kind in itertools.permutations(sources.values()):
        one, other = ShuffledStream(one_kind(), 2, 0), ShuffledStream(other_kind(), 2, 0)
        next(one)
        with pytest.raises(
            ValueError, match=r"load_state_dict: expected a source of the same kind, .*; give the stream"
        ):
            other.load_state_dict(one.state_dict())


def test_seeds_may_be_numpy_integers():
    orders = [list(ShuffledStream(range(20), 9, seed)) for seed in (7, np.int64(7), [7], np.array([7]))]
    assert orders == orders[:1] * 4


def test_a_stream_of_ended_rows_is_ended():
    stream = ShuffledStream(pack_full_sentences([[[10]]], 4), 3, 0)
    assert [next(stream, None), next(stream, None), next(stream, None)] == [[0, 10, 2], None, None]


# -- batches of indices ------------------------------------------------------------------------------------------------


@SETTINGS
@given(st.integers(1, 30), st.integers(1, 30), SEED, st.booleans())
def test_an_epoch_has_every_index_once(size, batch_size, seed, keep_last):
    batch_size = min(batch_size, size)
    sampler = BatchSampler(size, batch_size, seed, keep_last=keep_last)
    for _ in range(3):
        batches = [next(sampler) for _ in range(len(sampler))]
        indices = np.concatenate(batches)
        assert len(set(indices.tolist())) == len(indices)
        assert set(indices.tolist()) <= set(range(size))
        assert size - len(indices) == (0 if keep_last else size % batch_size)
        assert {len(batch) for batch in batches[:-1]} <= {batch_size}


def test_epochs_and_seeds_differ():
    sampler, other = BatchSampler(50, 50, 0), BatchSampler(50, 50, 1)
    orders = [next(sampler).tolist(), next(sampler).tolist(), next(other).tolist()]
    assert len(set(map(tuple, orders))) == 3


@SETTINGS
@given(st.integers(1, 20), st.integers(1, 9), SEED, st.integers(0, 40))
def test_an_interrupted_sampler_goes_on_as_if_nothing_had_been(size, batch_size, seed, stop):
    batch_size = min(batch_size, size)
    first = BatchSampler(size, batch_size, seed)
    for _ in range(stop):
        next(first)
    second = BatchSampler(size, batch_size, seed)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    expected = first.batch(**first.state_dict())
    assert (next(second) == expected).all()
    assert all((next(first) == batch).all() for batch in [expected, *itertools.islice(second, 5)])


def test_misuse_of_a_sampler_is_said():
    for size, batch_size in ((3, 4), (3, 0), (0, 1)):
        with pytest.raises(ValueError, match=f"batch_size: expected 1 to size = {size}, got {batch_size}; pass"):
            BatchSampler(size, batch_size, 0)
    with pytest.raises(IndexError, match="index: expected 0 to 1, got 2; an epoch has 2 batches"):
        BatchSampler(5, 2, 0).batch(0, 2)
