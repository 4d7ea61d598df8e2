"""Masking. Counts are held to binomial bounds whose false alarm probability is stated; the seeds are fixed on top."""

import pickle
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from roberta.tokenizer import DynamicMasker, RobertaTokenizer, mask_tokens
from roberta.tokenizer.data.masking import IGNORED, starts_by_spelling, starts_by_word_ids

MASK, SIZE, SPECIAL = 999, 1000, (0, 1, 2, 3, 999)
OPTIONS = {"mask_id": MASK, "vocab_size": SIZE, "special_ids": SPECIAL}

FALSE_ALARM = 1e-9
"""Chance, per count, that right code would fail a test here if the seed were drawn anew."""


def within_bounds(count, trials, probability):
    """Say whether a binomial count is within the two-sided Bernstein bound of false alarm probability `FALSE_ALARM`.

    P(|X - np| >= t) <= 2 exp(-t² / (2 (np(1 - p) + t / 3))); solved for t.
    """
    log = np.log(2 / FALSE_ALARM)
    deviation = log / 3 + np.sqrt(log**2 / 9 + 2 * log * trials * probability * (1 - probability))
    return abs(count - trials * probability) <= deviation


def batch(rows=500, columns=400, seed=7):
    ids = np.random.default_rng(seed).integers(4, 999, size=(rows, columns))
    ids[:, 0], ids[:, -1], ids[:, -2] = 0, 1, 2
    return ids


@pytest.mark.parametrize(
    ("probability", "mask_share", "random_share"), [(0.15, 0.8, 0.1), (0.3, 0.5, 0.5), (0.5, 0.0, 0.0)]
)
def test_shares(probability, mask_share, random_share):
    ids = batch()
    masked, labels = mask_tokens(
        ids, np.random.default_rng(11), **OPTIONS,
        probability=probability, mask_share=mask_share, random_share=random_share,
    )  # fmt: skip
    free = ~np.isin(ids, SPECIAL)
    chosen = labels != IGNORED
    assert within_bounds(chosen.sum(), free.sum(), probability)
    became_mask = masked[chosen] == MASK
    # A random token is the true one with probability 1 in 995: it then counts as kept.
    changed = (masked[chosen] != ids[chosen]) & ~became_mask
    assert within_bounds(became_mask.sum(), chosen.sum(), mask_share)
    assert within_bounds(changed.sum(), chosen.sum(), random_share * 994 / 995)


def test_the_bound_is_no_empty_one():
    """At the size of these tests it tells 15 % from 14.4 %, and 80 from 78."""
    trials = 500 * 397
    assert not within_bounds(round(0.144 * trials), trials, 0.15)
    assert not within_bounds(round(0.78 * 0.15 * trials), round(0.15 * trials), 0.8)


def test_strangers_are_spread_over_all_ordinary_tokens():
    """Each of 995 tokens is as likely; the union over them keeps the false alarm below 1e-6."""
    masked, _ = mask_tokens(
        np.full((1000, 400), 4), np.random.default_rng(13), **OPTIONS, probability=1, mask_share=0, random_share=1
    )
    counts = np.bincount(masked.ravel(), minlength=SIZE)
    assert counts[list(SPECIAL)].sum() == 0
    ordinary = np.setdiff1d(np.arange(SIZE), SPECIAL)
    assert all(within_bounds(count, masked.size, 1 / 995) for count in counts[ordinary])


def test_choices_in_a_row_are_independent():
    """Neighbours are chosen together as often as chance has it, along both axes."""
    _, labels = mask_tokens(np.full((500, 401), 4), np.random.default_rng(17), **OPTIONS, probability=0.5)
    chosen = labels != IGNORED
    # Disjoint pairs, so that the trials are independent.
    across = chosen[:, 0:400:2] & chosen[:, 1:400:2]
    down = chosen[0::2] & chosen[1::2]
    assert within_bounds(across.sum(), across.size, 0.25)
    assert within_bounds(down.sum(), down.size, 0.25)


IDS = st.lists(st.lists(st.sampled_from([*SPECIAL, 4, 5, 6, 998]), min_size=7, max_size=7), max_size=5)


@settings(derandomize=True, deadline=None)
@given(rows=IDS, seed=st.integers(0, 2**32), probability=st.sampled_from([0.0, 0.15, 1.0]))
def test_laws_that_hold_for_every_draw(rows, seed, probability):
    ids = np.array(rows, dtype=np.int64).reshape(-1, 7)
    before = ids.copy()
    ids.flags.writeable = False
    masked, labels = mask_tokens(ids, np.random.default_rng(seed), **OPTIONS, probability=probability)
    chosen = labels != IGNORED
    assert masked.shape == labels.shape == ids.shape
    assert masked.dtype == labels.dtype == np.int64
    assert (ids == before).all()
    assert (masked[~chosen] == ids[~chosen]).all()  # what is not guessed is not touched
    assert (labels[chosen] == ids[chosen]).all()  # and what is guessed is the truth
    assert not np.isin(ids[chosen], SPECIAL).any()
    assert not np.isin(masked[chosen & (masked != MASK)], SPECIAL).any()
    if probability == 1.0:
        assert (chosen == ~np.isin(ids, SPECIAL)).all()
    if probability == 0.0:
        assert not chosen.any()


def test_masking_costs_no_more_with_a_larger_vocabulary():
    ids, options = np.full((2, 8), 7), {"mask_id": 4, "special_ids": SPECIAL}
    peaks = []
    for vocab_size in (1000, 10**7):
        tracemalloc.start()
        masked, _ = mask_tokens(ids, np.random.default_rng(0), vocab_size=vocab_size, probability=1, **options)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert masked.max() < vocab_size
    assert peaks[1] < 2 * peaks[0]


@settings(derandomize=True, deadline=None)
@given(special=st.sets(st.integers(0, 19), max_size=18), seed=st.integers(0, 99))
def test_random_tokens_are_drawn_as_from_a_list_of_the_ordinary_ones(special, seed):
    """Whatever the special ids are given as; ids beyond the vocabulary do not count."""
    ordinary = np.setdiff1d(np.arange(20), list(special))
    for kind in (set, tuple, np.array, lambda ids: [*ids, *ids, 20, 99]):
        rng = np.random.default_rng(seed)
        ids = np.full((3, 5), ordinary[0])
        options = {"mask_id": 0, "vocab_size": 20, "special_ids": kind(list(special))}
        masked, _ = mask_tokens(ids, rng, probability=1, mask_share=0, random_share=1, **options)
        rng = np.random.default_rng(seed)
        rng.random((2, 3, 5))
        assert (masked == ordinary[rng.integers(ordinary.size, size=(3, 5))]).all()


def test_a_mask_protects_what_it_marks():
    ids, marked = batch(9, 30), np.arange(30) % 2 == 0
    _, labels = mask_tokens(
        ids, np.random.default_rng(0), **OPTIONS, probability=1, special_tokens_mask=np.broadcast_to(marked, ids.shape)
    )
    assert (labels[:, marked] == IGNORED).all()
    assert ((labels != IGNORED) == (~np.isin(ids, SPECIAL) & ~marked)).all()
    with pytest.raises(
        ValueError, match=r"special_tokens_mask: expected the shape of input_ids, \(9, 30\), got \(30,\)"
    ):
        mask_tokens(ids, np.random.default_rng(0), **OPTIONS, special_tokens_mask=marked)


@pytest.mark.parametrize("ids", [[[4.0, 7.9]], [[True, False]], [["4", "7"]], [[4, None]], [[4, 7], [4]], {"a": 1}])
def test_what_is_no_array_of_ids_is_refused(ids, tiny):
    message = "input_ids: expected integers in rows of one length, got an array of .*; pass the input_ids of"
    with pytest.raises(TypeError, match=message):
        mask_tokens(ids, np.random.default_rng(0), **OPTIONS)
    with pytest.raises(TypeError, match=message):
        starts_by_spelling(ids, tiny)


@pytest.mark.parametrize("index", [-1, 10**6])
def test_the_spelling_of_ids_outside_the_vocabulary_is_not_made_up(index, tiny):
    with pytest.raises(ValueError, match=f"input_ids: expected 0 to vocab_size - 1 = {len(tiny) - 1}, got .*{index}"):
        starts_by_spelling([[4, index]], tiny)


@pytest.mark.torch
@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8"])
def test_tensors_are_masked_as_arrays_are_and_left_untouched(dtype, tiny):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    ids = np.tile(tiny.encode("the cat sat on the mat"), (20, 1)).clip(max=255)
    tensor = torch.tensor(ids, dtype=getattr(torch, dtype))
    expected = DynamicMasker(tiny, 1, whole_words=True)(ids, epoch=0, index=0)
    found = DynamicMasker(tiny, 1, whole_words=True)(tensor, epoch=0, index=0)
    assert all((one == other).all() and one.dtype == np.int64 for one, other in zip(found, expected, strict=True))
    assert (tensor.numpy() == ids).all()


# -- whole words -------------------------------------------------------------------------------------------------------


def words_of(ids, starts):
    """The places of each word, by a plain loop: (row, [columns])."""
    words = []
    for row, (indices, begins) in enumerate(zip(ids, starts, strict=True)):
        previous_is_special = True
        for column, (index, begin) in enumerate(zip(indices, begins, strict=True)):
            is_special = index in SPECIAL
            if not is_special:
                if begin or previous_is_special:
                    words.append((row, []))
                words[-1][1].append(column)
            previous_is_special = is_special
    return words


@settings(derandomize=True, deadline=None)
@given(rows=IDS, seed=st.integers(0, 2**32), data=st.data())
def test_words_share_one_fate(rows, seed, data):
    ids = np.array(rows, dtype=np.int64).reshape(-1, 7)
    starts = np.array(data.draw(st.lists(st.booleans(), min_size=ids.size, max_size=ids.size))).reshape(ids.shape)
    masked, labels = mask_tokens(
        ids, np.random.default_rng(seed), **OPTIONS, probability=0.5, random_share=0.0, word_starts=starts
    )
    assert (labels[np.isin(ids, SPECIAL)] == IGNORED).all()
    for row, columns in words_of(ids.tolist(), starts):
        assert len({bool(labels[row, column] != IGNORED) for column in columns}) == 1
        assert len({bool(masked[row, column] == MASK) for column in columns}) == 1


def test_the_share_stays_that_of_single_tokens():
    """Of words of four tokens: the count of words is binomial, and a token is chosen as often as its word."""
    ids = np.full((500, 400), 7)
    starts = np.arange(400) % 4 == 0
    masked, labels = mask_tokens(
        ids, np.random.default_rng(3), **OPTIONS, word_starts=np.broadcast_to(starts, ids.shape)
    )
    chosen = labels != IGNORED
    words = chosen[:, ::4].sum()
    assert chosen.sum() == 4 * words
    assert within_bounds(words, 500 * 100, 0.15)
    assert within_bounds((masked[:, ::4] == MASK).sum(), words, 0.8)
    # Words are independent of each other.
    assert within_bounds((chosen[:, 0:400:8] & chosen[:, 4:400:8]).sum(), 500 * 50, 0.15**2)


def test_without_words_nothing_has_changed():
    """Single tokens are words of one."""
    ids = batch(20, 30)
    plain = mask_tokens(ids, np.random.default_rng(5), **OPTIONS)
    alone = mask_tokens(ids, np.random.default_rng(5), **OPTIONS, word_starts=np.ones_like(ids))
    assert all((one == other).all() for one, other in zip(plain, alone, strict=True))


def test_words_by_spelling_and_by_word_ids(tiny):
    encoding = tiny("the cat, a mat", return_tensors="np")
    words = {"spelling": [" cat,"], "word ids": [" cat", ","]}
    spelled = starts_by_spelling(encoding["input_ids"], tiny)[0]
    given_ids = starts_by_word_ids([encoding.word_ids(0)])[0]
    assert [token.startswith("Ġ") for token in encoding.tokens()] == spelled.tolist()
    for name, starts in (("spelling", spelled), ("word ids", given_ids)):
        # The tokens from the second word's start on.
        pieces = np.split(encoding["input_ids"][0], np.flatnonzero(starts)[np.flatnonzero(starts) > 0])
        texts = [tiny.decode(piece, skip_special_tokens=True) for piece in pieces]
        assert any(texts[at : at + len(words[name])] == words[name] for at in range(len(texts))), (name, texts)


@pytest.mark.parametrize("kind", ["spelling", "word ids"])
def test_a_masker_of_whole_words(tiny, kind):
    text = "the cat sat on the mat, the wonderful cat " * 9
    encoding = tiny([text] * 50, return_tensors="np")
    ids = encoding["input_ids"]
    by_ids = starts_by_word_ids([encoding.word_ids(row) for row in range(50)])
    starts = starts_by_spelling(ids, tiny) if kind == "spelling" else by_ids
    masker = DynamicMasker(tiny, 5, whole_words=kind == "spelling")
    _, labels = masker(ids, epoch=0, index=0, word_starts=by_ids if kind == "word ids" else None)
    begins = np.flatnonzero(starts[0])
    for first, last in zip(begins, [*begins[1:], ids.shape[1]], strict=True):
        chosen = (labels != IGNORED)[:, first:last] & ~np.isin(ids[:, first:last], tiny.all_special_ids)
        inside = ~np.isin(ids[0, first:last], tiny.all_special_ids)
        assert (chosen[:, inside].all(1) | ~chosen[:, inside].any(1)).all()
    assert (labels != IGNORED).any()


def test_word_starts_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"word_starts: expected the shape of input_ids, \(1, 2\), got \(1, 3\); make"):
        mask_tokens([[4, 7]], np.random.default_rng(0), **OPTIONS, word_starts=[[1, 0, 1]])


def test_a_masker_of_whole_words_names_unknown_ids(tiny):
    with pytest.raises(ValueError, match="input_ids: expected 0 to vocab_size"):
        DynamicMasker(tiny, 5, whole_words=True)([[0, 5000, 2]], epoch=0, index=0)


def test_a_new_mask_each_epoch_and_batch_and_the_same_for_the_same(tiny):
    ids = np.tile(tiny.encode("the cat sat on the mat" * 9), (4, 1))
    drawn = {}
    for seed, epoch, index in [(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0), (0, 1, 1)]:
        masked, labels = DynamicMasker(tiny, seed)(ids, epoch=epoch, index=index)
        again = DynamicMasker(tiny, seed)(ids, epoch=epoch, index=index)
        assert (masked == again[0]).all()
        assert (labels == again[1]).all()
        drawn[seed, epoch, index] = labels.tobytes()
    assert len(set(drawn.values())) == len(drawn)


def test_a_masker_counts_where_it_is_not_told_and_goes_on_when_it_is_copied(tiny):
    ids = np.tile(tiny.encode("the cat sat on the mat" * 9), (4, 1))
    masker = DynamicMasker(tiny, 3)
    for index in range(3):
        expected = DynamicMasker(tiny, 3)(ids, epoch=0, index=index)
        masker = pickle.loads(pickle.dumps(masker))  # noqa: S301  # our own
        assert all((one == other).all() for one, other in zip(masker(ids), expected, strict=True))
        masker(ids, epoch=5, index=5)  # to be told changes nothing
    for place in ({"epoch": 1}, {"index": 0}):
        with pytest.raises(
            ValueError, match=r"epoch, index: expected both or neither, got .*None.*; pass both, or let"
        ):
            masker(ids, **place)


def test_a_masker_knows_the_tokens_that_its_tokenizer_is_given_later(tiny):
    grown = RobertaTokenizer(tiny._base, tiny._merges)
    masker = DynamicMasker(grown, 3, probability=1.0, whole_words=True)
    grown.add_special_tokens({"additional_special_tokens": ["<one>"]})
    grown.add_tokens(["two"])
    one, two = grown.convert_tokens_to_ids(["<one>", "two"])
    _, labels = masker([[0, one, two, 2]], epoch=0, index=0)
    assert labels.tolist() == [[IGNORED, IGNORED, two, IGNORED]]


def test_a_masker_of_another_kind_of_words_is_refused(tiny):
    with pytest.raises(TypeError, match="whole_words: expected True or False, got 'word_ids'; pass word_starts"):
        DynamicMasker(tiny, 0, whole_words="word_ids")
    with pytest.raises(ValueError, match="probability: expected 0 to 1, got 15; the paper"):
        DynamicMasker(tiny, 0, probability=15)


def test_a_masker_knows_its_tokenizer(tiny):
    ids = np.tile(tiny.encode("the cat<unk> <mask>"), (300, 1))
    masked, labels = DynamicMasker(tiny, 5, probability=1.0)(ids, epoch=0, index=0)
    special = np.isin(ids, tiny.all_special_ids)
    assert (labels == np.where(special, IGNORED, ids)).all()
    assert (masked[special] == ids[special]).all()
    assert (masked[~special] == tiny.mask_token_id).any()
    assert masked.max() < len(tiny)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"probability": 1.5}, "probability: expected 0 to 1, got 1.5; the paper"),
        ({"probability": float("nan")}, "probability: expected 0 to 1, got nan"),
        ({"mask_share": -0.1}, r"mask_share, random_share: expected .*, got \(-0.1, 0.1\)"),
        ({"mask_share": 0.8, "random_share": 0.3}, r"mask_share, random_share: .* sum of at most 1, got \(0.8, 0.3\)"),
        ({"mask_id": 1000}, "mask_id: expected 0 to vocab_size - 1 = 999, got 1000; pass"),
        ({"mask_id": -1}, "mask_id: expected 0 to .*, got -1; pass"),
        ({"vocab_size": 5}, r"input_ids: expected 0 to vocab_size - 1 = 4, got 4 to 7; pass"),
        (
            {"special_ids": range(1000)},
            "special_ids: expected to leave a token to draw, got all of vocab_size = 1000; pass",
        ),
    ],
)
def test_what_makes_no_sense_is_said(changes, message):
    with pytest.raises(ValueError, match=message):
        mask_tokens([[4, 7]], np.random.default_rng(0), **(OPTIONS | changes))


def test_a_tokenizer_without_mask_is_refused(tiny):
    with pytest.raises(ValueError, match="tokenizer: expected one with a mask token, got one without; load"):
        DynamicMasker(RobertaTokenizer(tiny._base, tiny._merges, mask_token=None), 0)
