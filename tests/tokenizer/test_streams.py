"""The order of training data: nothing lost, nothing twice, bounded buffers, resumption to the item."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from roberta.tokenizer import BatchSampler, ShuffledStream, pack_full_sentences, pack_segment_pairs

SETTINGS = settings(derandomize=True, deadline=None, max_examples=150)
SIZE, BUFFER, SEED = st.integers(0, 40), st.integers(1, 12), st.integers(0, 99)


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
    with pytest.raises(
        ValueError, match="expected a source of at least 2 items, which were read before, found 1; give"
    ):
        ShuffledStream(range(1), 2, 0).load_state_dict(stream.state_dict())


def test_a_stream_of_ended_rows_is_ended():
    stream = ShuffledStream(pack_full_sentences([[[10]]], 4), 3, 0)
    assert [next(stream, None), next(stream, None), next(stream, None)] == [[0, 10, 2], None, None]


# -- batches -----------------------------------------------------------------------------------------------------------


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
