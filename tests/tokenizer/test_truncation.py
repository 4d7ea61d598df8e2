import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from roberta.tokenizer.truncation import kept_lengths, windows

SIZE = st.integers(0, 30)


@given(first=SIZE, second=SIZE, budget=st.integers(0, 40))
def test_longest_first_cuts_the_longer(first, second, budget):
    kept = kept_lengths(first, second, budget, "longest_first")
    assert sum(kept) == min(first + second, budget)
    assert kept[0] <= first
    assert kept[1] <= second
    shorter, longer = (0, 1) if first <= second else (1, 0)
    if kept[shorter] < (first, second)[shorter]:  # the shorter one is cut only where both are, to halves
        assert kept[longer] - kept[shorter] in (0, 1)


@given(kept=st.integers(1, 30), gone=SIZE, second=SIZE)
def test_only_first_cuts_only_the_first(kept, gone, second):
    assert kept_lengths(kept + gone, second, kept + second, "only_first") == (kept, second)
    assert kept_lengths(second, kept + gone, kept + second, "only_second") == (second, kept)
    assert kept_lengths(kept, second, kept + second + gone, "only_first") == (kept, second)


@given(first=st.integers(1, 30), second=st.integers(1, 30), lacking=SIZE)
def test_a_text_is_not_cut_to_nothing_or_more_where_the_other_one_takes_the_room(first, second, lacking):
    budget = max(second - lacking, 0)
    with pytest.raises(ValueError, match="only_first expects a first text of more than"):
        kept_lengths(first, second, budget, "only_first")


@given(length=SIZE, budget=st.integers(0, 40), strategy=st.sampled_from(["longest_first", "only_first"]))
def test_one_text(length, budget, strategy):
    assert kept_lengths(length, None, budget, strategy)[0] == min(length, budget)


@pytest.mark.hf
def test_every_small_case_is_the_librarys(transformers):
    """All lengths to 8 and budgets to 15, on a vocabulary of one-letter tokens: what the library keeps, we keep."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    peer = Tokenizer(models.WordLevel({"a": 0, "b": 1}, unk_token="a"))  # noqa: S106  (no password)
    peer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    compared = 0
    for first, second, budget, strategy in itertools.product(
        range(1, 9), range(1, 9), range(1, 16), ["longest_first", "only_first", "only_second"]
    ):
        peer.enable_truncation(budget, strategy=strategy)
        try:
            found = peer.encode(" ".join("a" * first), " ".join("b" * second)).ids
        except BaseException:  # noqa: BLE001  (the library raises a bare Exception)
            with pytest.raises(ValueError, match=f"truncation: {strategy} expects"):
                kept_lengths(first, second, budget, strategy)
            continue
        assert kept_lengths(first, second, budget, strategy) == (found.count(0), found.count(1))
        compared += 1
    assert compared > 2000


@pytest.mark.parametrize(
    ("first", "second", "budget", "strategy", "message"),
    [
        (3, None, -1, "longest_first", r"max_length: expected room for the special tokens, got 1 too few; raise"),
        (3, 9, 5, "only_first", r"only_first expects a first text of more than 7 tokens, .* got 3; raise"),
        (3, 4, 4, "only_first", r"only_first expects a first text of more than 3 tokens, .* got 3; raise"),
        (9, 3, 5, "only_second", r"only_second expects a second text of more than 7 tokens, .* got 3; raise"),
        (9, None, 5, "only_second", r"only_second expects a second text of more than 4 tokens, .* got none; raise"),
    ],
)
def test_what_cannot_succeed_is_said(first, second, budget, strategy, message):
    with pytest.raises(ValueError, match=message):
        kept_lengths(first, second, budget, strategy)


SIDE = st.sampled_from(["left", "right"])


@given(kept=st.integers(0, 11), more_stride=st.integers(0, 5), more_length=st.integers(1, 20), side=SIDE)
def test_windows_that_would_not_advance_are_refused(kept, more_stride, more_length, side):
    stride = kept + more_stride
    with pytest.raises(ValueError, match=rf"stride: expected windows of more than stride = {stride} tokens"):
        windows(kept + more_length, kept, stride, side)


@given(length=SIZE, stride=st.integers(0, 11), step=st.integers(1, 12), side=SIDE)
def test_windows_cover_the_text_with_the_wanted_overlap(length, stride, step, side):
    kept = stride + step
    found = windows(length, kept, stride, side)
    assert found[0] == ((0, min(kept, length)) if side == "right" else (max(length - kept, 0), length))
    in_order = found if side == "right" else found[::-1]
    assert (in_order[0][0], in_order[-1][1]) == (0, length)
    assert all(one[1] - other[0] == stride for one, other in itertools.pairwise(in_order))
    sizes = [end - begin for begin, end in found]
    assert all(size == kept for size in sizes[:-1])
    assert len(found) == 1 or stride < sizes[-1] <= kept
