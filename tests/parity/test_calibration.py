"""Honest engines are not refused where it is hardest for the model of rounding, and the wrong ones still are."""

from dataclasses import replace
from itertools import cycle

import numpy as np
import pytest
from roberta.dispatch.api import FACES
from roberta.parity.arithmetic import PRECISIONS
from roberta.parity.calibrating.calibration import Calibration, Outcome, grouped, rms, run_calibration
from roberta.parity.calibrating.emulation import Emulated, sorted_by_sign
from roberta.parity.calibrating.situations import situations
from roberta.parity.compare import Comparison, compare_outputs
from roberta.parity.tolerances import noisy_runs, run_in

#: What takes seconds; `roberta selftest --thorough` has them all, in every precision and order.
LONG = ("48 layers", "50,265 words", "512 tokens", "base width", "constant embeddings, base width", "3,072")
OTHERS = cycle(("bfloat16", "float16", "tfloat32", "float64"))
QUICK = [
    replace(situation, limited=True, dtypes=("float32", other))
    for situation, other in zip(situations(), OTHERS, strict=False)
    if not situation.name.startswith(LONG)
]
#: Tensors of one number make layer norms divide nothing by nothing: most outputs are exact, and equal terms of a sum,
#: which err alike at worst, do so only where its order is the natural one.
DEGENERATE = ("constant tensors", "constant dense weights")


@pytest.fixture(scope="module")
def found():
    return run_calibration(QUICK, ["numpy"], draws=6)


def test_no_honest_engine_is_refused_in_any_situation(found):
    assert found.passed, [f"{o.situation}, {o.dtype}, {o.engine}: {o.comparison}" for o in found.alarms]
    assert {outcome.situation for outcome in found.outcomes} == {situation.name for situation in QUICK}


@pytest.mark.parametrize("dtype", ["float32", "tfloat32", "bfloat16", "float16"])
def test_errors_of_a_plain_loop_are_about_as_large_as_sigma_and_nobodys_are_larger(found, dtype):
    outcomes = [outcome for outcome in found.outcomes if outcome.dtype == dtype]
    for name, of_one in grouped(outcomes, "situation").items():
        if name not in DEGENERATE and not any(outcome.is_out_of_range for outcome in of_one):
            loop = np.median(rms(outcome for outcome in of_one if outcome.engine == "natural"))
            assert 0.5 < loop < 1.2, (name, loop)
            assert np.median(rms(of_one)) < 1.2, name


def test_errors_in_float64_are_about_as_large_as_sigma(found):
    """Sigma counts the truth's own, which are those of a candidate where both compute the same."""
    assert 0.3 < np.median(rms(outcome for outcome in found.outcomes if outcome.dtype == "float64")) < 1.2


def test_what_is_out_of_range_is_so_in_float16_alone(found):
    assert {outcome.dtype for outcome in found.outcomes if outcome.is_out_of_range} <= {"float16"}


def test_half_precision_is_no_float32():
    """The same engines in bfloat16, held against what float32 may err."""
    situation = next(situation for situation in situations() if situation.name == "head masked_lm")
    case = situation.case()
    oracle = FACES[case.head].on("numpy")(case.config, dtype="float64", state=case.state)
    permitted = noisy_runs(oracle, [case.inputs], "float32", draws=6).budgets()
    engine = Emulated(sorted_by_sign)
    for dtype, passes in (("float32", True), ("bfloat16", False), ("tfloat32", False)):
        precision = PRECISIONS[dtype]
        (output,), _ = run_in(oracle, [case.inputs], engine.arithmetic(precision), engine.tap(precision))
        assert all(comparison.passed for comparison in compare_outputs(output, permitted)) == passes


def test_a_run_of_nothing_does_not_pass_and_an_alarm_is_counted():
    assert not Calibration([]).passed
    wrong = Outcome("some", "float32", "an engine", Comparison("logits", 2.0, sigmas=3.0))
    outside = Outcome("some", "float16", "an engine", Comparison("x", np.inf, problem="overflows in this precision"))
    assert Calibration([wrong, outside]).alarms == [wrong]
    assert Calibration([outside]).passed
