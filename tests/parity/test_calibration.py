"""Honest engines are not refused where it is hardest for the model of rounding, and the wrong ones still are."""

import numpy as np
import pytest
from roberta.dispatch.api import FACES
from roberta.parity.arithmetic import PRECISIONS
from roberta.parity.calibration import Calibration, Outcome, grouped, rms, run_calibration
from roberta.parity.compare import Comparison, compare_outputs
from roberta.parity.emulation import Emulated, sorted_by_sign
from roberta.parity.situations import situations
from roberta.parity.tolerances import noisy_runs, run_in

#: What takes seconds; `roberta selftest --thorough` has them all.
LONG = ("48 layers", "50,265 words", "512 tokens", "base width", "constant embeddings, base width", "3,072")
QUICK = [situation for situation in situations() if not situation.name.startswith(LONG)]
#: Where every number of a tensor is the same, layer norms divide nothing by nothing: all outputs are exact, or nearly.
DEGENERATE = ("constant tensors",)
#: What engines compute as the truth does, rounding errors and all.
SAME_AS_TRUTH = {("rows of mean 1e3", "float64")}


@pytest.fixture(scope="module")
def found():
    return run_calibration(QUICK, ["numpy"], draws=6)


def test_no_honest_engine_is_refused_in_any_situation(found):
    assert found.passed, [f"{o.situation}, {o.dtype}, {o.engine}: {o.comparison}" for o in found.alarms]
    assert {outcome.situation for outcome in found.outcomes} == {situation.name for situation in QUICK}


@pytest.mark.parametrize("dtype", ["float32", "tfloat32", "bfloat16", "float16"])
def test_errors_are_about_as_large_as_sigma(found, dtype):
    for name, outcomes in grouped(found.outcomes, "situation").items():
        sizes = rms(outcome for outcome in outcomes if outcome.dtype == dtype)
        if name not in DEGENERATE and sizes:
            assert 0.4 < np.median(sizes) < 1.2, (name, np.median(sizes))


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
