import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from roberta.tokenizer.bpe import ByteLevelBPE, _merge_by_heap, _merge_by_scan

LETTERS = {"<unk>": 0, "a": 1, "b": 2, "c": 3}


def bpe(*merges, cache_size=100):
    """Make an encoder for texts of a, b, c from merges such as "a b"."""
    pairs = [tuple(merge.split()) for merge in merges]
    joined = dict.fromkeys("".join(pair) for pair in pairs)
    vocab = LETTERS | {token: index for index, token in enumerate(joined, 4)}
    return ByteLevelBPE(vocab, pairs, unk_id=0, cache_size=cache_size), {index: token for token, index in vocab.items()}


@pytest.mark.parametrize(
    ("merges", "text", "tokens"),
    [
        (["a b"], "abab", "ab ab"),
        (["a a"], "aaa", "aa a"),  # left to right
        (["a a"], "aaaa", "aa aa"),
        (["a b", "b c"], "abc", "ab c"),  # the lower rank first, wherever it is
        (["b c", "a b"], "abc", "a bc"),
        (["b c", "a bc"], "abcabc", "abc abc"),
        (["a b", "ab ab"], "ababab", "abab ab"),
        (["ab c", "a b"], "abc", "abc"),  # a rank lower than its part's
        (["a b", "c c", "ab cc"], "abcc", "abcc"),
        (["c c", "a b", "ab cc"], "abcc", "abcc"),
        ([], "cab", "c a b"),
        (["a b"], "", ""),
    ],
)
def test_merges_with_a_pencil(merges, text, tokens):
    encoder, spelling = bpe(*merges)
    assert [spelling[index] for index in encoder.encode(text)] == tokens.split()
    ids = [LETTERS[letter] for letter in text]
    assert [spelling[index] for index in _merge_by_heap(ids, encoder.merges)] == tokens.split()


def test_a_byte_that_the_vocabulary_lacks_is_unk_each_time():
    encoder, _ = bpe("a b")
    assert encoder.encode("abéc") == [4, 0, 0, 3]


def test_a_whole_word_of_the_vocabulary_is_not_reached_without_merges():
    encoder = ByteLevelBPE(LETTERS | {"abc": 4}, [], unk_id=0)
    assert encoder.encode("abc") == [1, 2, 3]


# Any table of merges over few ids, ranks in any order: merges may be known before their parts, pairs may come twice.
TABLE = st.dictionaries(st.tuples(st.integers(0, 5), st.integers(0, 5)), st.integers(0, 9), max_size=12).flatmap(
    lambda table: st.permutations(list(table.items()))
)


@settings(derandomize=True, deadline=None, max_examples=300)
@given(table=TABLE, ids=st.lists(st.integers(0, 5), max_size=60))
def test_the_heap_gives_what_the_scan_gives(table, ids):
    merges = {pair: (rank, joined) for rank, (pair, joined) in enumerate(table)}
    assert _merge_by_heap(list(ids), merges) == _merge_by_scan(list(ids), merges)


def test_every_merge_of_the_real_vocabulary(ours):
    """Of each of the 50,000 merges: its parts are joined, and its id is its token's."""
    vocab = ours.get_vocab()
    assert len(ours._merges) == len(ours._pipeline.bpe.merges) == 50_000
    for rank, (left, right) in enumerate(ours._merges):
        assert ours._pipeline.bpe.merges[vocab[left], vocab[right]] == (rank, vocab[left + right])


def test_the_cache_stays_within_its_size_and_changes_nothing():
    encoder, _ = bpe("a b", "b c", cache_size=7)
    fresh, _ = bpe("a b", "b c")
    for number in range(60):
        word = "".join("abc"[int(digit)] for digit in f"{number % 27:03}" if digit < "3")
        assert encoder.encode(word) == fresh.encode_piece(word)
        assert len(encoder._cache) <= 7


def test_long_pieces_are_not_remembered():
    encoder, _ = bpe("a b")
    encoder.encode("ab" * 500)
    assert len(encoder._cache) == 0


def test_cost_is_linear_in_the_length_of_a_piece(ours):
    """Sixteen times the letters cost some sixteen times the time; with a square cost it would be 256 times."""
    times = []
    for length in (5_000, 80_000):
        begin = time.process_time()
        ours._pipeline.bpe.encode_piece("ab" * length)
        times.append(time.process_time() - begin)
    assert times[1] < 80 * times[0]


def test_a_merge_that_the_vocabulary_lacks_is_named():
    with pytest.raises(
        ValueError, match=r"merges: expected .* got merge 1 \('ab', 'c'\) while vocab lacks 'abc'; .* fetch"
    ):
        ByteLevelBPE(LETTERS | {"ab": 4}, [("a", "b"), ("ab", "c")], unk_id=0)
