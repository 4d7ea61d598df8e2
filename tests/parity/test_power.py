"""What the report says of its power is so: effects are as large as foretold, the smallest faults just large enough."""

import numpy as np
import pytest
from roberta.parity.mistakes.effects import effect_of
from roberta.parity.mistakes.hunting import DRAWN, question
from roberta.parity.mistakes.mutants import MUTANTS, Mutant
from roberta.parity.mistakes.power import SEEN, smallest_faults
from roberta.parity.mistakes.wrong_engines import answers, twin

BY_NAME = {mutant.name: mutant for mutant in MUTANTS}


def asked(head="masked_lm", dtype="float32", name=DRAWN):
    return question(head, 0, (), name, dtype)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_a_wrong_engine_stands_where_its_effect_says(dtype):
    shown = asked("question_answering", dtype)
    foretold = {name: visibility.effect for name, visibility in shown.power.items()}
    large = [name for name, effect in foretold.items() if 1.5 < effect < 1e6]
    assert len(large) > 20
    for name in large:
        outputs = answers(BY_NAME[name].candidate(shown.case, dtype=dtype), shown.probe.calls)
        measured = max(shown.judge(outputs), *(p.ratio for p in shown.known.project(outputs)))
        assert measured == pytest.approx(foretold[name], rel=0.35), name


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_is_said_to_be_seen_is_refused_and_what_is_far_below_is_not(dtype):
    shown = asked("token_classification", dtype)
    for name, visibility in shown.power.items():
        extent = shown.extent(BY_NAME[name], "numpy")
        assert extent > 1 or not visibility.is_seen, name
        assert extent < 1 or visibility.effect > 0.3, name


def test_the_reason_says_what_the_probe_lacks_or_how_small_the_effect_is():
    reasons = {name: visibility.reason for name, visibility in asked(dtype="bfloat16").power.items()}
    assert reasons["last vocabulary row"] == "no effect here: it needs the last id"
    assert "taps or a cache" in reasons["key bias missing"]
    assert "of the limit in bfloat16" in reasons["weights in float16"]
    assert reasons["mask ignored"] == ""


def test_only_mistakes_that_concern_the_head_are_listed():
    assert "start and end swapped" not in asked("masked_lm").power
    assert "start and end swapped" in asked("question_answering").power


def test_the_smallest_change_is_the_one_that_bisection_finds():
    shown = asked("sequence_classification")
    calls = shown.probe.calls
    found = {one.mistake: one for one in smallest_faults(shown.oracle, calls, shown.known, entries=3)}
    assert set(found) >= {"one weight", "one matrix: query", "one matrix: word table", "eps"}
    truth = answers(shown.oracle, calls)

    def extent(change):
        wrong = Mutant(
            "", "", config=lambda config: config.replace(layer_norm_eps=config.layer_norm_eps * (1 + change))
        )
        return max(shown.known.extents(effect_of(lambda: answers(twin(wrong, shown.oracle), calls), truth)))

    low, high = 0.0, 1.0
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if extent(middle) < SEEN else (low, middle)
    assert found["eps"].smallest == pytest.approx(high, rel=0.02)
    assert found["eps"].is_seen


def test_smaller_faults_are_seen_in_finer_precisions():
    sizes = {dtype: _smallest(dtype, "one matrix: value") for dtype in ("float32", "float16", "bfloat16")}
    assert sizes["float32"] < 1e-3 * sizes["float16"]
    assert sizes["float16"] < 0.3 * sizes["bfloat16"]


def _smallest(dtype, kind):
    shown = asked("question_answering", dtype)
    found = smallest_faults(shown.oracle, shown.probe.calls, shown.known, entries=1)
    return next(one.smallest for one in found if one.mistake == kind)


def test_a_change_of_nothing_has_no_effect():
    shown = asked("sequence_classification")
    kind = Mutant("", "", state=lambda state, config: state)
    effect = effect_of(
        lambda: answers(twin(kind, shown.oracle), shown.probe.calls), answers(shown.oracle, shown.probe.calls)
    )
    assert shown.known.extents(effect) == (0.0, 0.0)
    assert all(np.all(value == 0) for value in effect[0].values())
