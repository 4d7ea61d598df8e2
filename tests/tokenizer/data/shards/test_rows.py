"""Packed rows are those of the streams, the order is a permutation, and shares of it are the whole."""

import pickle
from collections import Counter
from itertools import chain, islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from roberta.tokenizer import pack_doc_sentences, pack_full_sentences
from roberta.tokenizer.data.shards import (
    BudgetBatches,
    PackedRows,
    PlaceBatches,
    RowCollator,
    ShuffledRows,
    TokenShards,
    write_token_shards,
)
from roberta.tokenizer.data.shards import rows as rows_file
from roberta.tokenizer.data.shards.permutation import Permutation
from scipy import stats

STREAMS = {"full-sentences": pack_full_sentences, "doc-sentences": pack_doc_sentences}
FALSE_ALARM = 1e-6


def packed(shards, length, packing):
    """Each shard by the stream, which reads it from its beginning."""
    found, first = [], 0
    for record in shards.index.shards:
        part = shards[first : first + record.documents]
        found += STREAMS[packing](part, length)
        first += record.documents
    return found


# -- packing -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("packing", STREAMS)
@pytest.mark.parametrize("length", [3, 4, 11, 29, 512])
def test_rows_are_those_of_the_streams(shards, packing, length):
    rows = PackedRows(shards, length, packing)
    wanted = packed(shards, length, packing)
    assert [rows[at]["input_ids"].tolist() for at in range(len(rows))] == wanted
    assert [rows[at]["row"] for at in range(len(rows))] == list(range(len(wanted)))
    assert rows.lengths(np.arange(len(rows))).tolist() == [len(row) for row in wanted]
    assert rows[-1]["input_ids"].tolist() == wanted[-1]


@given(
    st.lists(st.lists(st.lists(st.integers(5, 9), max_size=9), max_size=4), max_size=6),
    st.integers(3, 12),
    st.sampled_from(list(STREAMS)),
)
def test_rows_of_any_documents_are_those_of_the_streams(tiny, tmp_path_factory, documents, length, packing):
    folder = tmp_path_factory.mktemp("any")
    write_token_shards(documents, folder, tiny)
    rows = PackedRows(TokenShards(folder), length, packing)
    assert [rows[at]["input_ids"].tolist() for at in range(len(rows))] == list(STREAMS[packing](documents, length))


@pytest.mark.parametrize("length", [1, 2, 7, 64, 5000])
def test_blocks_are_the_line_of_all_documents(shards, length):
    rows = PackedRows(shards, length, "blocks")
    found, first = [rows[at]["input_ids"].tolist() for at in range(len(rows))], 0
    wanted = []
    for record in shards.index.shards:
        part = shards[first : first + record.documents]
        line = [[*chain.from_iterable(sentence.tolist() for sentence in document), 2] for document in part if document]
        line = list(chain.from_iterable(line))
        wanted += [line[begin : begin + length] for begin in range(0, len(line), length)]
        first += record.documents
    assert found == wanted
    assert rows.lengths(np.arange(len(rows))).tolist() == [len(row) for row in wanted]


def test_rows_are_packed_once(shards, monkeypatch):
    first = PackedRows(shards, 31)
    monkeypatch.setattr(rows_file, "pack", None)
    again = PackedRows(shards, 31)
    assert len(again) == len(first)
    packed_again = pickle.loads(pickle.dumps(again))  # noqa: S301  (our own)
    assert packed_again[5]["input_ids"].tolist() == first[5]["input_ids"].tolist()


def test_rows_of_other_shards_are_never_taken_for_these(tiny, tmp_path):
    found = []
    for documents in ([[[5, 6]], [[7]]], [[[5, 6, 7]]]):
        for path in tmp_path.glob("shard-*"):
            path.unlink()
        kept = [path.rename(tmp_path.parent / path.name) for path in tmp_path.glob("rows-*")]
        (tmp_path / "index.json").unlink(missing_ok=True)
        write_token_shards(documents, tmp_path, tiny)
        for path in kept:
            path.rename(tmp_path / path.name)
        rows = PackedRows(TokenShards(tmp_path), 9)
        found.append([rows[at]["input_ids"].tolist() for at in range(len(rows))])
    assert found == [[[0, 5, 6, 2, 7, 2]], [[0, 5, 6, 7, 2]]]


def test_a_folder_that_cannot_be_written_into_will_do(shards, monkeypatch):
    wanted = PackedRows(shards, 37)

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(rows_file, "_write", refuse)
    monkeypatch.setattr(rows_file, "_digest", lambda _: "another")
    rows = pickle.loads(pickle.dumps(PackedRows(shards, 37)))  # noqa: S301  (our own)
    assert [rows[at]["input_ids"].tolist() for at in range(len(rows))] == [
        wanted[at]["input_ids"].tolist() for at in range(len(wanted))
    ]


@pytest.mark.parametrize(
    ("length", "packing", "message"),
    [
        (2, "full-sentences", "max_length: expected at least 3"),
        (0, "blocks", "max_length: expected at least 1"),
        (9, "pairs", "packing: expected one of full-sentences, doc-sentences, blocks, got 'pairs'"),
    ],
)
def test_impossible_rows_are_refused(shards, length, packing, message):
    with pytest.raises(ValueError, match=message):
        PackedRows(shards, length, packing)


def test_rows_that_are_not_there_are_refused(shards):
    rows = PackedRows(shards, 31)
    for row in (len(rows), -len(rows) - 1):
        with pytest.raises(IndexError, match=f"row: expected 0 to {len(rows) - 1}, got {row}"):
            rows[row]


# -- the order ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [*range(1, 40), 1009, 4096, 4097])
def test_every_item_has_one_place(size):
    for seed in range(3):
        order = Permutation(size, seed, epoch=1)
        items = order(np.arange(size))
        assert sorted(items.tolist()) == list(range(size))
        assert [order(place) for place in range(min(size, 100))] == items[:100].tolist()


def test_every_order_of_four_is_as_likely():
    found = Counter(tuple(Permutation(4, seed=1, epoch=epoch)(np.arange(4)).tolist()) for epoch in range(6000))
    assert len(found) == 24
    assert stats.chisquare(list(found.values())).pvalue > FALSE_ALARM


def test_places_are_uniform_and_neighbours_far_apart():
    size, epochs = 97, 2000
    orders = np.stack([Permutation(size, 1, epoch)(np.arange(size)) for epoch in range(epochs)])  # E N
    at_first = np.bincount(orders[:, 0], minlength=size)
    of_first = np.bincount(np.argmax(orders == 0, axis=1), minlength=size)
    steps = np.bincount(((orders[:, 1] - orders[:, 0]) % size), minlength=size)[1:]
    for counts in (at_first, of_first, steps):
        assert stats.chisquare(counts).pvalue > FALSE_ALARM
    # Items that keep their places: one on average in each order, with variance one.
    kept = (orders == np.arange(size)).sum()
    assert abs(kept - epochs) / np.sqrt(epochs) < stats.norm.isf(FALSE_ALARM)


def test_a_huge_order_is_no_list():
    order = Permutation(2**40 + 3, seed=1, epoch=0)
    places = np.random.default_rng(0).integers(0, 2**40 + 3, 10_000)
    items = order(places)
    assert len(set(items.tolist())) == len(set(places.tolist()))
    assert [order(int(place)) for place in places[:50]] == items[:50].tolist()
    with pytest.raises(IndexError, match="place: expected 0 to"):
        order(2**40 + 3)
    with pytest.raises(IndexError, match="places: expected 0 to"):
        order(np.array([-1]))


def test_epochs_follow_each_other(shards):
    rows = PackedRows(shards, 31)
    line = ShuffledRows(rows, seed=1, epochs=3)
    assert len(line) == 3 * len(rows)
    items = list(line)
    for epoch in range(3):
        part = items[epoch * len(rows) : (epoch + 1) * len(rows)]
        assert {item["epoch"] for item in part} == {epoch}
        assert sorted(item["row"] for item in part) == list(range(len(rows)))
    numbers, epochs = line.numbers(np.arange(len(line)))
    assert numbers.tolist() == [item["row"] for item in items]
    assert epochs.tolist() == [item["epoch"] for item in items]
    assert [item["row"] for item in islice(ShuffledRows(rows, 1, None), 50)] == numbers[:50].tolist()


def test_a_line_without_an_end_has_no_length(shards):
    line = ShuffledRows(PackedRows(shards, 31), seed=1, epochs=None)
    assert line[10**12]["epoch"] == 10**12 // len(line.rows)
    with pytest.raises(TypeError, match="len: expected a number of epochs"):
        len(line)
    with pytest.raises(IndexError, match="place: expected 0 to any, got -1"):
        line[-1]
    with pytest.raises(IndexError, match="place: expected 0 to"):
        ShuffledRows(line.rows, 1)[len(line.rows)]


def test_an_empty_corpus_cannot_be_shuffled(tiny, tmp_path):
    write_token_shards([[]], tmp_path / "none", tiny)
    with pytest.raises(ValueError, match="rows: expected at least one, got none"):
        ShuffledRows(PackedRows(TokenShards(tmp_path / "none"), 9), seed=1)


# -- shares ------------------------------------------------------------------------------------------------------------


def line_of(shards, packing="full-sentences", epochs=2):
    return ShuffledRows(PackedRows(shards, 31, packing), seed=1, epochs=epochs)


def kinds(line):
    return {
        "rows": lambda **options: PlaceBatches(line, 4, **options),
        "tokens": lambda **options: BudgetBatches(line, 4 * 31, **options),
    }


@pytest.mark.parametrize("kind", ["rows", "tokens"])
@pytest.mark.parametrize("world", [1, 2, 3, 8, 1000])
def test_all_ranks_together_take_every_row_of_every_epoch_once(shards, kind, world):
    line = line_of(shards)
    make = kinds(line)[kind]
    shares = [list(make(rank=rank, world=world, keep_last=True)) for rank in range(world)]
    assert sorted(chain.from_iterable(chain.from_iterable(shares))) == list(range(len(line)))
    assert [len(share) for share in shares] == [len(make(rank=r, world=world, keep_last=True)) for r in range(world)]


@pytest.mark.parametrize("kind", ["rows", "tokens"])
def test_ranks_have_as_many_batches_and_leave_out_what_is_too_little_for_all(shards, kind):
    line = line_of(shards)
    shares = [list(kinds(line)[kind](rank=rank, world=3)) for rank in range(3)]
    assert len({len(share) for share in shares}) == 1
    taken = sorted(chain.from_iterable(chain.from_iterable(shares)))
    assert taken == list(range(len(taken)))
    assert len(taken) < len(line)
    assert kind == "tokens" or len(taken) == len(line) // 12 * 12


@pytest.mark.parametrize("kind", ["rows", "tokens"])
@pytest.mark.parametrize(("before", "after"), [(3, 2), (1, 5), (4, 4)])
def test_a_run_goes_on_with_another_number_of_ranks(shards, kind, before, after):
    line = line_of(shards)
    make = kinds(line)[kind]
    taken, states = [], []
    for rank in range(before):
        batches = make(rank=rank, world=before)
        taken += chain.from_iterable(islice(batches, 5))  # a loader may have read ahead
        states.append(batches.state_dict(5))
    assert all(state == states[0] for state in states)
    for rank in range(after):
        batches = make(rank=rank, world=after, keep_last=True)
        batches.load_state_dict(states[0])
        taken += chain.from_iterable(batches)
    assert sorted(taken) == list(range(len(line)))


def test_the_same_number_of_ranks_goes_on_with_the_same_batches(shards):
    for make in kinds(line_of(shards)).values():
        batches, again = make(rank=1, world=2), make(rank=1, world=2)
        whole = list(batches)
        again.load_state_dict(batches.state_dict(3))
        assert list(again) == whole[3:]
        assert len(again) == len(whole) - 3
        assert again.state_dict(0) == batches.state_dict(3)
        assert again.state_dict(2) == batches.state_dict(5)


def test_batches_of_a_budget_have_about_as_many_tokens(shards):
    line = line_of(shards, "doc-sentences")
    lengths = line.rows.lengths(line.numbers(np.arange(len(line)))[0])
    batches = list(BudgetBatches(line, 200))
    totals = [lengths[batch].sum() for batch in batches]
    assert max(totals) <= 200
    assert min(totals) > 200 - line.rows.max_length
    assert len({len(batch) for batch in batches}) > 3


def test_batches_go_on_without_end(shards):
    line = line_of(shards, epochs=None)
    for make in kinds(line).values():
        found = list(chain.from_iterable(islice(make(), 2 * len(line.rows))))
        assert found == list(range(len(found)))
        assert len(found) > 2 * len(line.rows)


def test_impossible_shares_are_refused(shards):
    line = line_of(shards)
    with pytest.raises(ValueError, match="rank: expected 0 to world - 1 = 1, got 2"):
        PlaceBatches(line, 1, rank=2, world=2)
    with pytest.raises(ValueError, match="batch_size: expected at least 1, got 0"):
        PlaceBatches(line, 0)
    with pytest.raises(ValueError, match="tokens: expected at least max_length = 31, which a row may have, got 30"):
        BudgetBatches(line, 30)
    with pytest.raises(ValueError, match="batches: expected 0 to 0, which were handed out, got 1"):
        PlaceBatches(line, 1).state_dict(1)
    for state in ({}, {"place": "8"}, {"step": 8}):
        with pytest.raises(ValueError, match=r"state: expected what state_dict\(\) gave, such as \{'place': 8\}, got"):
            PlaceBatches(line, 1).load_state_dict(state)


# -- batches -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 5, 32])
@pytest.mark.parametrize("world", [1, 3])
def test_masks_are_those_of_the_row_whatever_the_batch_and_the_rank(shards, size, world):
    line = line_of(shards)
    collate = RowCollator(shards, 31, seed=7)
    whole = collate([line[place] for place in range(len(line))])
    for rank in range(world):
        for places in PlaceBatches(line, size, rank=rank, world=world, keep_last=True):
            batch = collate([line[place] for place in places])
            for name, values in batch.items():
                np.testing.assert_array_equal(values, whole[name][places])


def test_labels_of_a_causal_model_are_the_row(shards):
    line = line_of(shards, "blocks")
    rows = [line[place] for place in range(20)]
    batch = RowCollator(shards)(rows)
    for at, row in enumerate(rows):
        length = len(row["input_ids"])
        assert batch["labels"][at, :length].tolist() == row["input_ids"].tolist()
        assert (batch["labels"][at, length:] == -100).all()
        assert (batch["input_ids"][at, length:] == 1).all()
        assert batch["attention_mask"][at].sum() == length


def test_whole_words_are_those_of_the_shards_tokenizer(shards, tiny):
    line = line_of(shards)
    rows = [line[place] for place in range(50)]
    plain, whole = (RowCollator(shards, seed=1, whole_words=words)(rows)["labels"] for words in (None, tiny))
    assert (plain != whole).any()
    assert (whole != -100).any()


def test_impossible_batches_are_refused(shards, tiny, tmp_path):
    line = line_of(shards)
    with pytest.raises(ValueError, match="rows: expected at least one, and of at most max_length = None ids, got 0"):
        RowCollator(shards)([])
    with pytest.raises(ValueError, match="of at most max_length = 5 ids, got 1 of up to"):
        RowCollator(shards, 5)([line[0]])
    maskless = pickle.loads(pickle.dumps(tiny))  # noqa: S301  (our own)
    maskless.mask_token = None
    write_token_shards([[[5]]], tmp_path / "maskless", maskless)
    with pytest.raises(ValueError, match="expected those of a tokenizer with a mask token"):
        RowCollator(TokenShards(tmp_path / "maskless"), seed=1)
