from math import sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from roberta import RobertaConfig
from roberta.reference.attention import (
    Cache,
    Context,
    cross_attention,
    is_attended,
    is_source_attended,
    masked_softmax,
    merge_heads,
    relative_scores,
    self_attention,
    split_heads,
)
from roberta.reference.inputs import Inputs
from roberta.reference.taps import Recorder
from roberta.reference.weights import nest

U = 2.0**-53


def cache_of(B: int, P: int) -> Cache:
    return Cache(((np.zeros((B, 3, P, 7)), np.zeros((B, 3, P, 7))),), np.full(B, P))


# -- masks -------------------------------------------------------------------------------------------------------------


@given(data=st.data())
def test_who_may_look_at_whom_is_what_asking_every_pair_gives(data: st.DataObject) -> None:
    B, T, P = (data.draw(st.integers(low, 4), label=n) for n, low in (("B", 1), ("T", 1), ("P", 0)))
    is_decoder = data.draw(st.booleans(), label="is_decoder")
    rank = data.draw(st.sampled_from([0, 2, 3]), label="rank of the mask")
    shape = {0: None, 2: (B, P + T), 3: (B, T, P + T)}[rank]
    mask = None if shape is None else np.random.default_rng(data.draw(st.integers(0, 99))).integers(0, 2, shape)
    inputs = Inputs(input_ids=np.zeros((B, T), int), attention_mask=mask, past_key_values=cache_of(B, P))
    got = np.broadcast_to(is_attended(inputs, RobertaConfig(is_decoder=is_decoder)), (B, 1, T, P + T))
    for b, t, s in np.ndindex(B, T, P + T):
        if rank == 3:
            wanted = mask[b, t, s] == 1  # it says all, and replaces the causal one
        else:
            is_past = s <= P + t
            wanted = (is_past or not is_decoder) and (mask is None or mask[b, s] == 1)
        assert got[b, 0, t, s] == wanted


@pytest.mark.parametrize("mask", [[[1, 0, 1]], [[True, False, True]], [[1.0, 0.0, 1.0]]], ids=["int", "bool", "float"])
def test_a_mask_of_any_dtype_says_the_same(mask: Any) -> None:
    inputs = Inputs(input_ids=np.zeros((1, 3), int), attention_mask=np.array(mask))
    assert is_attended(inputs, RobertaConfig()).tolist() == [[[[True, False, True]] * 3]]


def test_source_masks_have_two_or_three_axes() -> None:
    assert is_source_attended(Inputs()) is None
    assert is_source_attended(Inputs(encoder_attention_mask=np.ones((2, 5)))).shape == (2, 1, 1, 5)
    assert is_source_attended(Inputs(encoder_attention_mask=np.ones((2, 3, 5)))).shape == (2, 1, 3, 5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_row_that_may_look_at_nobody_looks_at_everybody_alike(dtype: str) -> None:
    scores = np.array([[5.0, -700.0, 3.0], [1.0, 2.0, 3.0]], dtype)
    probs = masked_softmax(scores, np.array([[False] * 3, [True, False, True]]))
    assert np.array_equal(probs[0], np.full(3, 1, dtype) / np.array(3, dtype))
    assert probs[1, 1] == 0
    assert probs.dtype == dtype


def test_a_masked_score_may_be_anything() -> None:
    wild = np.array([np.inf, -np.inf, np.nan, 1e308])
    for value in wild:
        probs = masked_softmax(np.array([0.0, value, 0.0]), np.array([True, False, True]))
        assert np.array_equal(probs, [0.5, 0.0, 0.5])


# -- heads -------------------------------------------------------------------------------------------------------------


def test_heads_are_split_and_merged_without_a_loss() -> None:
    x = np.arange(2 * 5 * 21.0).reshape(2, 5, 21)
    heads = split_heads(x, 7)
    assert heads.shape == (2, 3, 5, 7)
    assert np.array_equal(heads[1, 2, 4], x[1, 4, 14:21])
    assert np.array_equal(merge_heads(heads), x)


@pytest.mark.parametrize("kind", ["relative_key", "relative_key_query"])
@pytest.mark.parametrize("P", [0, 3])
def test_relative_scores_are_sums_over_the_row_of_each_distance(make_config: Any, kind: str, P: int) -> None:
    config = make_config(position_embedding_type=kind)
    B, H, T, K, M = 2, 3, 5, 7, 23
    S = P + T
    rng = np.random.default_rng(0)
    query, key = rng.standard_normal((B, H, T, K)), rng.standard_normal((B, H, S, K))
    rows = rng.standard_normal((2 * M - 1, K))
    got = relative_scores(query, key, {"distance_embedding": {"weight": rows}}, config)
    assert got.shape == (B, H, T, S)
    for b, h, t, s in np.ndindex(B, H, T, S):
        row = rows[(P + t) - s + M - 1]
        terms = query[b, h, t] * row
        if kind == "relative_key_query":
            terms = np.concatenate([terms, key[b, h, s] * row])
        assert abs(got[b, h, t, s] - terms.sum()) <= 2 * len(terms) * U * np.abs(terms).sum()


def test_absolute_positions_and_cross_attention_have_no_relative_term(make_config: Any) -> None:
    query = np.ones((1, 3, 2, 7))
    assert relative_scores(query, query, {}, make_config()) == 0.0
    assert relative_scores(query, query, {}, make_config(position_embedding_type="relative_key")) == 0.0


# -- the equation ------------------------------------------------------------------------------------------------------


@pytest.fixture
def decoder(make_config: Any, make_state: Any) -> Any:
    config = make_config(is_decoder=True, add_cross_attention=True)
    state = {name: value.astype(np.float64) for name, value in make_state("model", config).items()}
    return config, nest(state)["encoder"]["layer"]["0"]


def attention_by_hand(x: Any, source: Any, p: Any, is_attended: Any) -> tuple[Any, Any]:
    """One head and one pair of tokens at a time: probabilities and context."""
    B, T, S, H, K = *x.shape[:2], source.shape[1], 3, 7
    probs, context = np.zeros((B, H, T, S)), np.zeros((B, T, H * K))
    for b, h, t in np.ndindex(B, H, T):
        part = slice(h * K, (h + 1) * K)
        rows = {n: (p[n]["weight"][part], p[n]["bias"][part]) for n in ("query", "key", "value")}
        query = rows["query"][0] @ x[b, t] + rows["query"][1]
        keys = [rows["key"][0] @ token + rows["key"][1] for token in source[b]]
        scores = np.array([query @ key / sqrt(K) if is_attended[b, t, s] else -np.inf for s, key in enumerate(keys)])
        probs[b, h, t] = np.exp(scores) / np.exp(scores).sum()
        values = [rows["value"][0] @ token + rows["value"][1] for token in source[b]]
        context[b, t, part] = sum(prob * value for prob, value in zip(probs[b, h, t], values, strict=True))
    return probs, context


@pytest.mark.parametrize("kind", ["attention", "crossattention"])
def test_attention_is_what_one_pair_of_tokens_at_a_time_gives(decoder: Any, kind: str) -> None:
    config, p = decoder
    rng = np.random.default_rng(1)
    x, source = rng.standard_normal((2, 5, 21)), rng.standard_normal((2, 4, 21))
    looked_at = x if kind == "attention" else source
    mask = rng.integers(0, 2, (2, 5, looked_at.shape[1]))
    mask[..., 0] = 1
    context = Context(
        config, Inputs(encoder_hidden_states=source), mask[:, None] == 1, is_source_attended=mask[:, None] == 1
    )
    tape = Recorder()
    attended = (self_attention if kind == "attention" else cross_attention)(x, p[kind], context, tape)
    probs, mixed = attention_by_hand(x, looked_at, p[kind]["self"], mask == 1)
    # Sums of 21 and 7 products of moderate numbers, through one exponential: some hundred roundings at most.
    assert np.abs(attended.probs - probs).max() < 500 * U
    assert np.abs(tape["self.context"] - mixed).max() < 500 * U * np.abs(mixed).max()
    dense = tape["self.context"] @ p[kind]["output"]["dense"]["weight"].T + p[kind]["output"]["dense"]["bias"]
    assert np.array_equal(tape["output.sum"], x + dense)
    assert np.array_equal(attended.output, tape["output.LayerNorm.output"])


def test_a_head_mask_scales_the_probabilities_that_are_used_and_returned(decoder: Any) -> None:
    config, p = decoder
    x = np.random.default_rng(2).standard_normal((2, 5, 21))
    head_mask = np.array([1.0, 0.25, 0.0]).reshape(1, 3, 1, 1)
    plain = self_attention(x, p["attention"], Context(config, Inputs()))
    masked = self_attention(x, p["attention"], Context(config, Inputs(), head_mask=head_mask))
    assert np.array_equal(masked.probs, plain.probs * head_mask)
    assert np.abs(masked.output - plain.output).max() > 0.1


def test_cross_attention_uses_its_cached_keys_and_values_whatever_the_states_are_now(decoder: Any) -> None:
    config, p = decoder
    rng = np.random.default_rng(3)
    x, source = rng.standard_normal((2, 5, 21)), rng.standard_normal((2, 4, 21))
    first = cross_attention(x, p["crossattention"], Context(config, Inputs(encoder_hidden_states=source)))
    past = (None, None, first.key, first.value)
    for states in (None, np.full_like(source, np.nan)):
        again = cross_attention(
            x, p["crossattention"], Context(config, Inputs(encoder_hidden_states=states), past=past)
        )
        assert np.array_equal(again.output, first.output)


def test_a_cache_has_the_length_of_its_layers_and_of_its_tokens() -> None:
    cache = cache_of(2, 5)
    assert (len(cache), cache.length, cache[0][0].shape) == (1, 5, (2, 3, 5, 7))
    assert Cache((), np.zeros(2)).length == 0
