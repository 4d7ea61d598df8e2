"""Beam search on every engine: the same texts, rows that do not depend on each other, and the best of all texts."""

from itertools import product
from typing import Any

import numpy as np
import pytest
from roberta.dispatch.generating.beams import Ended
from roberta.dispatch.generating.sampling import drawn_without_replacement, log_softmax
from roberta.dispatch.generating.settings import Settings
from roberta.reference.layers import softmax
from roberta.reference.outputs import to_numpy
from scipy import stats

KINDS: dict[str, dict[str, Any]] = {
    "absolute": {},
    "relative_key_query": {"position_embedding_type": "relative_key_query"},
    "cross": {"add_cross_attention": True},
}
PROMPT = np.array([[0, 7, 8, 9], [0, 31, 5, 6]])
ENDS = [2, 17, 40]
BEAMS: dict[str, Any] = {"num_beams": 3, "num_return_sequences": 2, "max_new_tokens": 6, "eos_token_id": ENDS}
RECORD: dict[str, Any] = {"return_dict_in_generate": True, "output_scores": True}


@pytest.fixture
def make_decoder(make_config: Any, make_model: Any) -> Any:
    """A decoder with the same weights on any engine: make_decoder(backend, kind)."""

    def decoder(backend: str, kind: str = "absolute") -> Any:
        return make_model("causal_lm", make_config(is_decoder=True, **KINDS[kind]), backend)

    return decoder


def source(kind: str) -> dict[str, Any]:
    if kind != "cross":
        return {}
    states = np.random.default_rng(5).standard_normal((2, 7, 21)).astype(np.float32)
    return {"encoder_hidden_states": states, "encoder_attention_mask": np.array([[1, 1, 1, 1, 1, 0, 0], [1] * 7])}


def text(ids: Any) -> list[list[int]]:
    return to_numpy(ids).tolist()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("use_cache", [True, False])
def test_beams_are_those_of_the_spec(kind: str, use_cache: bool, backend: str, make_decoder: Any) -> None:
    model, spec = make_decoder(backend, kind), make_decoder("numpy", kind).to_backend("numpy", dtype="float64")
    # without the cache each length is a shape of its own, for which some engines compile anew
    settings = {**BEAMS, **source(kind), "max_new_tokens": 6 if use_cache else 3}
    wanted = spec.generate(PROMPT, **settings, **RECORD)
    got = model.generate(PROMPT, **settings, **RECORD, use_cache=use_cache)
    assert text(got.sequences) == text(wanted.sequences)
    assert text(got.beam_indices) == text(wanted.beam_indices)
    assert np.abs(to_numpy(got.sequences_scores) - wanted.sequences_scores).max() < 1e-3, "far below a token's"
    assert type(got.sequences) is type(model.engine.to_native(PROMPT, model))
    assert (got.past_key_values is None) == (not use_cache)


def test_a_row_is_searched_alike_alone_and_padded_on_the_left(backend: str, make_decoder: Any) -> None:
    model = make_decoder(backend)
    for settings in (BEAMS, {**BEAMS, "do_sample": True, "seed": 3}):
        batches = [PROMPT, np.array([[0, 7, 8, 9], [9, 31, 5, 6]])[:1], np.array([[1, 0, 7, 8, 9], [0, 5, 5, 5, 5]])]
        texts = [[row[ids.shape[1] :] for row in text(model.generate(ids, **settings))[:2]] for ids in batches]
        trimmed = [[[token for token in row if token != 1] for row in rows] for rows in texts]
        assert trimmed[0] == trimmed[1] == trimmed[2]


def test_beams_that_are_drawn_are_the_same_on_every_engine_and_depend_on_the_seed(
    backend: str, make_decoder: Any
) -> None:
    model, spec = make_decoder(backend), make_decoder("numpy")
    settings = {**BEAMS, "do_sample": True, "temperature": 1.5, "top_k": 20}
    texts = [text(model.generate(PROMPT, seed=seed, **settings)) for seed in range(3)]
    assert texts == [text(spec.generate(PROMPT, seed=seed, **settings)) for seed in range(3)]
    assert texts[0] != texts[1] != texts[2]


def test_beams_enough_for_all_beginnings_find_the_best_of_all_texts(make_config: Any, make_model: Any) -> None:
    config = make_config(is_decoder=True, vocab_size=7)
    model = make_model("causal_lm", config, "numpy").to_backend("numpy", dtype="float64")
    prompt, V, steps = [0, 5], 7, 3
    texts = np.array([[*prompt, *more] for more in product(range(V), repeat=steps) if 1 not in more])
    log_p = log_softmax(model(texts, use_cache=False).logits)[:, 1:-1]  # W 3 V
    totals = np.take_along_axis(log_p, texts[:, 2:, None], -1).sum((1, 2))  # W
    best = np.argsort(-totals)[:5]
    asked = {"num_beams": V * V, "num_return_sequences": 5, "length_penalty": 0.0, "eos_token_id": ()}
    got = model.generate([prompt], max_new_tokens=steps, **asked, **RECORD)
    assert text(got.sequences) == texts[best].tolist()
    np.testing.assert_allclose(got.sequences_scores, totals[best], rtol=1e-12)


def test_the_score_is_the_sum_of_the_scores_at_the_beam_indices(make_decoder: Any) -> None:
    got = make_decoder("numpy").generate(PROMPT, **BEAMS, **RECORD, length_penalty=0.7)
    for row, origins, total in zip(got.sequences[:, 4:], got.beam_indices, got.sequences_scores, strict=True):
        count = int((origins >= 0).sum())
        parts = [got.scores[step][origins[step], row[step]] for step in range(count)]
        assert np.isclose(sum(parts) / count**0.7, total, rtol=1e-6)
        assert (row[count:] == 1).all()
        assert count == 6 or row[count - 1] in ENDS


def test_when_a_search_is_over() -> None:
    def ended(**asked: Any) -> Ended:
        row = Ended(Settings(num_beams=2, **asked), most_new=10)
        row.add(-4.0, np.array([0, 5, 2]), np.array([0, 0]))
        row.add(-9.0, np.array([0, 6, 2]), np.array([0, 1]))
        row.add(-6.0, np.array([0, 7, 2]), np.array([0, 1]))
        return row

    assert [each.score for each in ended().kept] == [-2.0, -3.0], "the two best, over their lengths"
    for asked, best, is_open in (
        ({}, -5.9, True),  # -5.9 / 2 is above -3
        ({}, -6.1, False),
        ({"early_stopping": "never"}, -6.1, True),  # -6.1 / 10 may come
        ({"early_stopping": "never"}, -30.1, False),
        ({"early_stopping": "never", "length_penalty": -1.0}, -6.1, False),  # longer is worse: -6.1 * 2 < -6 * 2
        ({"early_stopping": True}, -0.1, False),
    ):
        row = ended(**asked)
        row.close_if_none_is_better(best, new_count=2)
        assert row.is_open is is_open, asked


def test_a_draw_without_replacement_has_the_probabilities() -> None:
    rng = np.random.default_rng(0)
    scores = np.array([0.0, 1.0, -np.inf, 0.5, -1.0])
    p = softmax(scores)
    drawn = np.array([drawn_without_replacement(scores, 2, rng) for _ in range(20_000)])
    pairs = [(a, b) for a in (0, 1, 3, 4) for b in (0, 1, 3, 4) if a != b]
    expected = np.array([p[a] * p[b] / (1 - p[a]) for a, b in pairs])
    counts = np.array([(drawn == pair).all(-1).sum() for pair in pairs])
    assert counts.sum() == 20_000
    assert stats.chisquare(counts, 20_000 * expected).pvalue > 1e-6


def test_an_empty_batch_has_no_beams(make_decoder: Any) -> None:
    assert make_decoder("numpy").generate(np.zeros((0, 3), int), num_beams=3).shape[0] == 0


def test_the_twin_for_inference_searches_alike(backend: str, make_decoder: Any) -> None:
    model = make_decoder(backend)
    twin = model.for_inference()
    assert text(twin.generate(PROMPT, **BEAMS)) == text(model.generate(PROMPT, **BEAMS))
    assert twin.can_generate()
    assert twin.generation_config == Settings()
