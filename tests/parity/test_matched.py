"""The matched filter sees mistakes that no single element shows, names them, and does not cry at noise."""

from dataclasses import replace

import numpy as np
import pytest
from roberta.parity.arithmetic import PRECISIONS
from roberta.parity.compare import Comparison, compare_array
from roberta.parity.mistakes import matched
from roberta.parity.mistakes.hunting import DRAWN, question
from roberta.parity.mistakes.matched import MatchedFilter, Projection, judge_projections
from roberta.parity.mistakes.mutants import MUTANTS
from roberta.parity.mistakes.wrong_engines import answers
from roberta.parity.statistics import pool
from roberta.parity.tolerances import TESTS, Spread, permitted

N, K, RATE = 3000, 24, 0.03
RNG = np.random.default_rng(0)
#: Noise that is not white: neighbours share half of it.
SIGMA = np.exp(0.5 * RNG.standard_normal(N))


def noise(rng):
    white = rng.standard_normal(N)
    return SIGMA * (white + np.roll(white, 1)) / np.sqrt(2)


def budget(rate=RATE):
    errors = np.stack([noise(RNG) for _ in range(K)]).astype(np.float32)
    return permitted(np.zeros(N), Spread(errors, pool(errors)), PRECISIONS["float32"], rate)


BUDGET = budget()
MISTAKES = {f"mistake {i}": SIGMA * RNG.standard_normal(N) for i in range(20)}


def filter_of(mistakes, budget=BUDGET, **settings):
    return MatchedFilter([{"x": budget}], [(name, [{"x": value}]) for name, value in mistakes.items()], **settings)


KNOWN = filter_of(MISTAKES, rate=RATE)


def test_honest_errors_are_refused_no_more_often_than_the_rate_says():
    rng = np.random.default_rng(1)
    found = [max(p.ratio for p in KNOWN.project([{"x": noise(rng)}])) for _ in range(600)]
    assert np.mean(np.array(found) > 1) <= RATE / TESTS
    assert 0.4 < np.median(found) < 1  # nor is the limit so wide that nothing reaches it


def test_a_mistake_that_no_element_shows_is_seen_in_its_direction():
    small = 0.3 * MISTAKES["mistake 7"] + noise(np.random.default_rng(2))
    other = compare_array("x", small, BUDGET)
    assert other.passed
    likeliest = KNOWN.project([{"x": small}])[0]
    assert likeliest.mistake == "mistake 7"
    assert likeliest.ratio > 2
    assert 0.2 < likeliest.likeness < 0.4


def test_an_error_that_a_mistake_explains_is_like_it_whatever_its_size_and_sign():
    for size in (-5.0, 1e6):
        first, second = KNOWN.project([{"x": size * MISTAKES["mistake 3"]}])[:2]
        assert first.mistake == "mistake 3"
        assert first.likeness == pytest.approx(1)
        assert second.likeness < 0.1


def test_more_mistakes_have_larger_limits():
    alone = filter_of({"mistake 0": MISTAKES["mistake 0"]}, rate=RATE)
    assert KNOWN.limits["mistake 0"] > 1.1 * alone.limits["mistake 0"]


def test_what_moves_nothing_or_breaks_an_output_has_no_direction():
    broken = MISTAKES["mistake 0"].copy()
    broken[5] = np.nan
    known = filter_of({"nothing": np.zeros(N), "broken": broken, "reshaped": np.zeros(7), **MISTAKES})
    assert set(known.limits) == set(MISTAKES)
    lengths = {direction.mistake: direction.length for direction in known.directions}
    assert (lengths["nothing"], lengths["broken"], lengths["reshaped"]) == (0.0, np.inf, np.inf)
    assert filter_of({"nothing": np.zeros(N)}).project([{"x": noise(RNG)}]) == ()


@pytest.mark.parametrize("wrong", [None, np.zeros(N - 1), np.full(N, np.nan)], ids=["missing", "reshaped", "NaN"])
def test_of_an_output_that_cannot_be_compared_nothing_is_said(wrong):
    assert KNOWN.project([{"x": wrong}]) == ()


def test_what_is_not_judged_has_no_direction_and_no_error():
    half = np.arange(N) < N // 2
    known = filter_of({"judged": 1.0 * half, "padding": 1.0 * ~half}, replace(BUDGET, judged=half))
    assert set(known.limits) == {"judged"}
    assert known.project([{"x": 1e9 * ~half}])[0].ratio == 0


def test_of_many_elements_a_choice_is_looked_at(monkeypatch):
    monkeypatch.setattr(matched, "ELEMENTS", 500)
    known = filter_of(MISTAKES)
    assert all(direction.unit.size == 500 for direction in known.directions)
    assert known.project([{"x": MISTAKES["mistake 4"]}])[0].mistake == "mistake 4"


def test_the_verdict_goes_to_the_first_output_with_a_suspect_only_where_something_is_refused():
    fine, wrong = Comparison("x", 0.1), Comparison("y", 3.0)
    projections = (Projection("likely", 0.5, 0.9), Projection("large", 0.8, 0.1))
    assert judge_projections([fine], projections) == [replace(fine, projection=0.8)]
    assert judge_projections([fine, wrong], projections)[0].suspect == "likely"
    refused = judge_projections([fine], (Projection("likely", 1.5, 0.9),))[0]
    assert not refused.passed
    assert "'likely'" in str(refused)
    assert judge_projections([fine], ()) == [fine]


def test_wrong_engines_are_called_by_their_names():
    asked = question("token_classification", 0, (), DRAWN, "float32")
    shown = [m for m in MUTANTS if m.name in asked.power and 2 < asked.power[m.name].effect < np.inf]
    named = [_suspect(asked, mutant) == mutant.name for mutant in shown]
    assert len(shown) > 40
    assert np.mean(named) > 0.9


def _suspect(asked, mutant):
    return asked.known.project(answers(mutant.candidate(asked.case), asked.probe.calls))[0].mistake
