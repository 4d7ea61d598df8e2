"""The verdict on a function: held against the spec's own on many inputs, within what float32 may err on each."""

from __future__ import annotations

import difflib
import traceback
from collections.abc import Mapping, Sequence
from copy import copy as copy_of
from typing import Any, cast

import numpy as np

from ...parity.arithmetic import PRECISIONS, Arithmetic, is_floating
from ...parity.statistics import pool
from ...parity.tolerances import Spread, permitted
from ...reference.layers import Array
from .exercise import Case, Exercise, Function, Verdict
from .layers import ATTENTION, EMBEDDINGS, GELU, LAYER_NORM, RELATIVE_POSITIONS, SOFTMAX
from .losses import BINARY_CROSS_ENTROPY, CROSS_ENTROPY, NEXT_TOKEN_LOSS, REGRESSION_LOSS, SPAN_LOSS
from .text import BPE_MERGE, MASKING, POSITION_IDS
from .whole import MASKED_LM

#: In the order in which they are best done.
EXERCISES: Mapping[str, Exercise] = {
    one.name: one
    for one in (
        BPE_MERGE, POSITION_IDS, LAYER_NORM, EMBEDDINGS, SOFTMAX, ATTENTION, RELATIVE_POSITIONS, GELU, MASKING,
        CROSS_ENTROPY, NEXT_TOKEN_LOSS, REGRESSION_LOSS, BINARY_CROSS_ENTROPY, SPAN_LOSS, MASKED_LM,
    )
}  # fmt: skip
#: The precision of the inputs, the number of noisy runs, and the rate at which an honest function is refused.
DTYPE, DRAWS, RATE = "float32", 24, 1e-6
NOTHING = "it returns nothing; is there a return missing"
#: A wrong answer is a known mistake's if it is so many budgets from it at most, or so much of its size.
LIKE, ALIKE = 8.0, 2.0**-18


def exercise(name: str) -> Exercise:
    """An exercise by its name.

    Raises:
        ValueError: there is none; suggests the nearest.

    Example:
        >>> exercise("softmax").title
        'A softmax that does not overflow'
    """
    if name not in EXERCISES:
        near = difflib.get_close_matches(name, EXERCISES)
        hint = f"did you mean {near[0]!r}? " if near else ""
        message = f"name: required an exercise, got {name!r}; {hint}there are {', '.join(EXERCISES)}"
        raise ValueError(message)
    return EXERCISES[name]


def judge(name: str, function: Function, seed: int = 0) -> Verdict:
    """Hold a function against the spec's own.

    The limit is derived for each input: the spec's function runs in an arithmetic that errs as float32 does, and what
    it may err, a float32 function may, in any order of its sums (docs/budgets.md).

    Args:
        name: of the exercise.
        function: with the exercise's arguments; it may return NumPy arrays, lists, or a framework's tensors.
        seed: of the inputs.

    Returns:
        The verdict. What the function raises is part of it.

    Raises:
        ValueError: no such exercise.
        TypeError: what cannot be called.

    Example:
        >>> print(judge("gelu", lambda x: x * (x > 0)))
        gelu: not yet. ...
        The mistake: it is ReLU. Small negative numbers give small negative ones.
    """
    one = exercise(name)
    if not callable(function):
        message = f"function: required a function {name}{one.signature}, got {type(function).__name__}"
        raise TypeError(message)
    rng = np.random.default_rng(seed)
    if one.count is not None:
        try:
            problem = one.count(function, rng)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever it raises, exit() too
            problem = _raised(error, one)
        return Verdict(name, not problem, 1, problem=problem)
    cases = one.cases(rng)
    trials = [_trial(one, function, case, number, len(cases)) for number, case in enumerate(cases)]
    largest = max(trial.extent for trial in trials)
    problem = next((trial.problem for trial in trials if trial.problem), "")
    if not problem:
        return Verdict(name, passed=True, count=len(cases), extent=largest)
    distances = [(_distance(mistake.answer, trials), place) for place, mistake in enumerate(one.mistakes)]
    nearest, place = min(distances, default=(float("inf"), 0))
    if nearest == float("inf"):
        return Verdict(name, False, len(cases), largest, problem)
    mistake = one.mistakes[place]
    return Verdict(name, False, len(cases), largest, problem, mistake.name, mistake.hint)


# -- one input -------------------------------------------------------------------------------------------------------


class _Trial:
    """One input: what came, what was right, and how far it may be off; and what is wrong, in words."""

    def __init__(self, case: Case, truth: Any, limit: Any) -> None:
        self.case = case
        self.truth: Any = truth
        self.limit: Any = limit
        self.answer: Any = None
        self.extent = float("inf")
        self.problem = ""


def _trial(one: Exercise, function: Function, case: Case, number: int, count: int) -> _Trial:
    trial = _Trial(case, *_limits(one, case, RATE / count))
    given = _copied(case)
    try:
        answer = function(**given)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - whatever it raises, exit() too
        trial.problem = f"{_raised(error, one)} It was called with {_described(case)}"
        return trial
    if not _is_same(given, case):
        trial.problem = "it changes its arguments in place; work on a copy"
    else:
        judged = _judge_exactly if one.is_exact else _judge_numbers
        try:
            judged(trial, answer)
        except Exception as error:  # noqa: BLE001 - an answer may be an object of any kind
            trial.problem = f"required what the text says, got a {type(answer).__name__} ({type(error).__name__})"
    if trial.problem:
        trial.problem = f"On input {number + 1} of {count} ({_described(case)}): {trial.problem}."
    return trial


def _judge_exactly(trial: _Trial, answer: Any) -> None:
    """Integers in an array, or texts in a list: each has its kind, and a number that is written out is none."""
    if answer is None:
        trial.problem = NOTHING
    elif hasattr(trial.truth, "shape"):
        found = _array(answer)
        if found is None or found.dtype.kind not in "iu":
            what = "rows of one length" if found is None else "integers"
            trial.problem = f"required {what}, {_short(trial.truth)}, got {_kind(answer, found)}: {_short(answer)}"
            return
        trial.answer = found
    elif isinstance(answer, list | tuple) and all(type(part) is str for part in cast("list[Any]", answer)):
        trial.answer = list(cast("list[str]", answer))
    else:
        trial.problem = f"required a list of texts, {_short(trial.truth)}, got {_kind(answer, None)}: {_short(answer)}"
    if trial.problem:
        return
    is_right = (
        np.array_equal(trial.answer, trial.truth) if hasattr(trial.truth, "shape") else trial.answer == trial.truth
    )
    trial.extent = 0.0 if is_right else float("inf")
    trial.problem = "" if is_right else f"required {_short(trial.truth)}, got {_short(answer)}"


def _judge_numbers(trial: _Trial, answer: Any) -> None:
    if answer is None:
        trial.problem = NOTHING
        return
    given = _array(answer)
    if given is not None and given.dtype.kind == "O" and not _has_texts(given):
        given = given.astype(np.float64)  # of a framework's numbers in a list
    if given is None or given.dtype.kind not in "fiu":
        trial.problem = f"required an array of real numbers, got {_kind(answer, given)}: {_short(answer)}"
        return
    found = given.astype(np.float64)
    trial.answer = found
    if found.shape != trial.truth.shape:
        trial.problem = f"required shape {trial.truth.shape}, got {found.shape}"
        return
    with np.errstate(invalid="ignore"):
        ratios = np.where(np.isfinite(found), np.abs(found - trial.truth) / trial.limit, np.inf)
    trial.extent = float(ratios.max(initial=0.0))
    if trial.extent > 1.0:
        at = np.unravel_index(int(ratios.argmax()), ratios.shape)
        place = f" at {tuple(int(i) for i in at)}" if ratios.ndim else ""
        times = (
            f"an error of {trial.extent:.2g} times the budget" if np.isfinite(trial.extent) else "which is no number"
        )
        trial.problem = f"required {trial.truth[at]:.6g}{place}, got {found[at]:.6g}, {times}"


def _array(answer: Any) -> Any:
    """An array of whatever came; None where there is none to be made, as of rows of unequal length."""
    if isinstance(answer, np.ma.MaskedArray):
        return None
    detached = answer.detach() if hasattr(answer, "detach") else answer
    try:
        return np.asarray(detached)
    except (TypeError, ValueError):
        return None


def _has_texts(array: Any) -> bool:
    return any(isinstance(value, str | bytes | complex | bool) for value in array.reshape(-1))


def _kind(answer: Any, array: Any) -> str:
    """What came, in a word or two."""
    if array is None or array.dtype.kind == "O" or not isinstance(answer, np.ndarray | list | tuple):
        return f"a {type(answer).__name__}"
    return f"texts ({array.dtype})" if array.dtype.kind in "US" else str(array.dtype)


def _limits(one: Exercise, case: Case, rate: float) -> tuple[Any, Any]:
    """The spec's answer, and how far float32 may be from it; None where it is exact."""
    if one.is_exact:
        return one.answer(**_copied(case)), None
    arithmetic = Arithmetic(PRECISIONS[DTYPE])
    truth = _in(arithmetic, one, case)
    rng = np.random.default_rng(1)
    errors = np.stack([_in(arithmetic.drawing(rng), one, case) - truth for _ in range(DRAWS)]).astype(np.float32)
    flat = errors.reshape(DRAWS, *(truth.shape or (1,)))
    spread = Spread(flat, pool(flat, truth.reshape(flat.shape[1:])))
    budget = permitted(truth.reshape(flat.shape[1:]), spread, PRECISIONS[DTYPE], rate)
    return truth, budget.limit.reshape(truth.shape)


def _in(arithmetic: Arithmetic, one: Exercise, case: Case) -> Array:
    """The spec's function in an arithmetic."""

    def held(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: held(part) for name, part in cast("dict[str, Any]", value).items()}
        return arithmetic.array(value.astype(np.float64)) if is_floating(value) else value

    with np.errstate(all="ignore"):
        return np.asarray(one.answer(**{name: held(value) for name, value in case.items()}), np.float64)


# -- mistakes --------------------------------------------------------------------------------------------------------


def _distance(answer: Function, trials: Sequence[_Trial]) -> float:
    """How far all answers are from those of a function with a mistake, in budgets; infinite where they are not like."""
    try:
        with np.errstate(all="ignore"):
            return max(_apart(trial, answer(**_copied(trial.case))) for trial in trials)
    except Exception:  # noqa: BLE001 - a mistake that cannot be made on an input is another's
        return float("inf")


def _apart(trial: _Trial, wrong: Any) -> float:
    """The same of one answer."""
    far = float("inf")
    if trial.answer is None:
        return far
    if trial.limit is None:
        is_same = np.array_equal(trial.answer, wrong) if hasattr(wrong, "shape") else list(trial.answer) == wrong
        return 0.0 if is_same else far
    wrong = np.asarray(wrong, np.float64)
    if wrong.shape != trial.answer.shape:
        return far
    size = np.where(np.isfinite(wrong), np.abs(wrong), 0.0).max(initial=0.0)
    are_numbers = np.isfinite(wrong) & np.isfinite(trial.answer)
    gap = np.where(are_numbers, np.abs(trial.answer - wrong), 0.0)
    is_near = (gap <= LIKE * trial.limit + ALIKE * size) & (np.isfinite(wrong) == np.isfinite(trial.answer))
    return float((gap / (trial.limit + ALIKE * size)).max(initial=0.0)) if is_near.all() else far


# -- words -----------------------------------------------------------------------------------------------------------


def _raised(error: BaseException, one: Exercise) -> str:
    """What was raised, and where in the function's own file."""
    if isinstance(error, SystemExit):
        return "it ends Python itself; a function returns its answer."
    if isinstance(error, NotImplementedError):
        return f"{one.name} is not written yet."
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "exercises" not in frame.filename]
    own = next((frame for frame in reversed(frames) if "site-packages" not in frame.filename), None)
    where = f" in line {own.lineno}, {own.line!r}" if own and own.line else ""
    signature = f" The function is called as {one.name}{one.signature}." if isinstance(error, TypeError) else ""
    return f"it raised {said(error)}{where}.{signature}"


def said(error: BaseException) -> str:
    """An exception in words, whatever its own text is or does."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - somebody's own class
        text = "(which has no text)"
    return f"{type(error).__name__}: {text}"


def _described(case: Case) -> str:
    return ", ".join(f"{name} {_short(value)}" for name, value in case.items())


def _short(value: Any) -> str:
    if hasattr(value, "shape"):
        array: Any = np.asarray(value)
        return f"{array.dtype} {array.shape}" if array.size > 8 else np.array2string(array, precision=4, separator=", ")
    if isinstance(value, dict):
        return f"of {len(cast('dict[str, Any]', value))} arrays"
    is_plain = isinstance(value, str | int | float | list | tuple)
    text = repr(cast("object", value)) if is_plain else type(value).__name__
    return text if len(text) <= 120 else f"{text[:117]}…"


def _copied(case: Case) -> dict[str, Any]:
    def copy(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: copy(part) for name, part in cast("dict[str, Any]", value).items()}
        return copy_of(value) if hasattr(value, "copy") else value

    return {name: copy(value) for name, value in case.items()}


def _is_same(given: Mapping[str, Any], case: Mapping[str, Any]) -> bool:
    def same(one: Any, other: Any) -> bool:
        if isinstance(one, dict):
            return _is_same(cast("dict[str, Any]", one), other)
        return bool(np.array_equal(one, other)) if hasattr(one, "shape") else one == other

    return given.keys() == case.keys() and all(same(value, case[name]) for name, value in given.items())
