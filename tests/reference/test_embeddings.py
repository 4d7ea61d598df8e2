from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from roberta.reference.attention import Cache
from roberta.reference.embeddings import embeddings, position_ids, resolve_position_ids, token_count
from roberta.reference.inputs import Inputs
from roberta.reference.taps import Recorder
from roberta.reference.weights import nest

ids = hnp.arrays(np.int64, st.tuples(st.integers(1, 4), st.integers(1, 9)), elements=st.integers(0, 6))


@given(ids=ids, pad=st.integers(0, 6), past=st.integers(0, 20))
def test_position_ids_are_what_counting_by_hand_gives(ids: np.ndarray, pad: int, past: int) -> None:
    got = position_ids(ids, pad, np.full(len(ids), past))
    for row, positions in zip(ids.tolist(), got.tolist(), strict=True):
        count = past
        for token, position in zip(row, positions, strict=True):
            count += token != pad
            assert position == (pad if token == pad else pad + count)


@pytest.mark.parametrize(("past", "wanted"), [(0, [2, 3, 1, 4, 1]), (3, [5, 6, 1, 7, 1])])
def test_the_golden_position_ids(past: int, wanted: list[int]) -> None:
    assert position_ids(np.array([[0, 5, 1, 7, 1]]), 1, np.array([past])).tolist() == [wanted]


@given(ids=ids, split=st.integers(0, 9))
def test_position_ids_go_on_where_the_cache_stopped_padding_or_not(ids: np.ndarray, split: int) -> None:
    whole = position_ids(ids, 1, np.zeros(len(ids), np.int64))
    first = Inputs(input_ids=ids[:, :split])
    rest = position_ids(ids[:, split:], 1, token_count(first, 1))
    assert np.array_equal(rest, whole[:, split:])


def test_positions_of_embeddings_count_every_token_and_the_cached_ones(make_config: Any) -> None:
    config = make_config(pad_token_id=4)
    inputs = Inputs(inputs_embeds=np.zeros((2, 3, 21)))
    assert resolve_position_ids(inputs, config).tolist() == [[5, 6, 7], [5, 6, 7]]
    inputs.past_key_values = Cache((), np.array([2, 0]))
    assert resolve_position_ids(inputs, config).tolist() == [[7, 8, 9], [5, 6, 7]]
    inputs.position_ids = np.array([[9, 8, 7]])
    assert resolve_position_ids(inputs, config).tolist() == [[9, 8, 7]]


@pytest.fixture
def table(make_state: Any, config: Any) -> Any:
    return nest(make_state("model", config))["embeddings"]


def test_the_embedding_is_the_norm_of_the_sum_of_three_rows(table: Any, config: Any) -> None:
    inputs = Inputs(input_ids=np.array([[7, 1]]), token_type_ids=np.array([[3, 0]]), position_ids=np.array([[5, 11]]))
    tape = Recorder()
    embeddings(inputs, table, config, tape)
    word, position, kind = (table[f"{n}_embeddings"]["weight"] for n in ("word", "position", "token_type"))
    assert np.array_equal(tape["sum"], [[word[7] + kind[3] + position[5], word[1] + kind[0] + position[11]]])
    normed = tape["LayerNorm.normalized"].astype(np.float64)
    # eps makes the deviation a little less than 1
    assert np.allclose(normed.mean(-1), 0, atol=21 * 2.0**-23)
    assert np.allclose(normed.std(-1), 1, atol=1e-3)


def test_one_row_of_positions_serves_the_whole_batch(table: Any, config: Any) -> None:
    ids, positions = np.arange(10).reshape(2, 5) + 2, np.array([[4, 8, 15, 16, 2]])
    one = embeddings(Inputs(input_ids=ids, position_ids=positions), table, config)
    both = embeddings(Inputs(input_ids=ids, position_ids=positions.repeat(2, 0)), table, config)
    assert np.array_equal(one, both)


@pytest.mark.parametrize("kind", ["relative_key", "relative_key_query"])
def test_relative_types_read_no_position_table(make_config: Any, make_state: Any, kind: str) -> None:
    config = make_config(position_embedding_type=kind)
    table = nest(make_state("model", config))["embeddings"]
    ids = np.array([[7, 7, 1]])
    got = embeddings(Inputs(input_ids=ids), table, config)
    assert np.array_equal(got, embeddings(Inputs(input_ids=ids, position_ids=np.array([[9, 3, 0]])), table, config))
    assert np.array_equal(got[0, 0], got[0, 1])


def test_rows_of_the_word_table_given_as_embeddings_are_the_same_tokens(table: Any, config: Any) -> None:
    ids = np.array([[7, 9, 11]])
    rows = table["word_embeddings"]["weight"][ids]
    assert np.array_equal(
        embeddings(Inputs(input_ids=ids), table, config), embeddings(Inputs(inputs_embeds=rows), table, config)
    )


def test_padding_does_not_count_as_a_token(config: Any) -> None:
    assert token_count(Inputs(input_ids=np.array([[1, 7, 1], [2, 3, 4]])), 1).tolist() == [1, 3]
    assert token_count(Inputs(inputs_embeds=np.zeros((2, 3, 21))), 1).tolist() == [3, 3]
