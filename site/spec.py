"""What the page asks of the package in the browser: one function for each verb. `worker.js` calls `answer`.

Nothing of the mathematics is here: the package computes, and this file puts questions and answers into JSON.
"""

from __future__ import annotations
import __future__

import inspect
import io
import json
import linecache
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict
from functools import cache
from importlib import import_module
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
import roberta
from roberta.dispatch import checkpoint
from roberta.reference.layers import softmax
from roberta.teaching import exercises
from roberta.teaching.departures import TapBudgets, first_departure
from roberta.teaching.faults import TOP, faults_of, run_fault

#: What can be edited: the functions that a masked language model runs, in the order of the computation.
EDITABLE = (
    "embeddings.position_ids",
    "embeddings.embeddings",
    "layers.linear",
    "layers.layer_norm",
    "layers.softmax",
    "layers.gelu",
    "attention.masked_softmax",
    "attention.split_heads",
    "attention.merge_heads",
    "attention.attention",
    "attention.self_attention",
    "encoder.feed_forward",
    "encoder.layer",
    "encoder.body",
    "heads.lm_head",
    "heads.masked_lm",
)
#: The name of a cell in tracebacks.
CELL = "<cell>"


class CellError(Exception):
    """A cell that cannot be run: what is wrong, and in which line, None where it is in none."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


# -- the verbs --------------------------------------------------------------------------------------------------------


def about() -> dict[str, Any]:
    """What the page offers: the mistakes, the functions that can be edited, and the exercises."""
    return {
        "versions": {"roberta": roberta.__version__, "numpy": np.__version__, "python": sys.version.split()[0]},
        "faults": [{"name": fault.name, "title": fault.title} for fault in faults_of(_model())],
        "editable": [{"name": name, "source": _source(name)} for name in EDITABLE],
        "exercises": _exercises(),
    }


def fill_mask(text: str) -> list[list[dict[str, Any]]]:
    """As `roberta.fill_mask`: for each mask the most probable words."""
    return [[asdict(filling) for filling in mask] for mask in roberta.fill_mask(text, _model(), _tokenizer())]


def prepare(text: str) -> None:
    """Derive the budgets of a sentence, so that the first mistake need not wait for them."""
    TapBudgets.of(_model(), _inputs(text))


def tape(text: str, values: str = "") -> dict[str, Any]:
    """The ids of a text, and every value of its pass: shape and size; of the one that is named, the numbers."""
    inputs = _inputs(text)
    recorded: Any = _model().tape(**inputs)
    taps = [
        {"name": name, "shape": list(value.shape), "rms": float(np.sqrt(np.mean(np.square(value, dtype=np.float64))))}
        for name, value in recorded.items()
    ]
    numbers = recorded[values].tolist() if values else None
    return {"input_ids": inputs["input_ids"].tolist(), "taps": taps, "values": numbers}


def run_a_fault(name: str, text: str) -> dict[str, Any]:
    """As `teaching.faults.run_fault`, with the words beside their ids."""
    run = asdict(run_fault(_model(), _inputs(text), name, mask_token_id=_tokenizer().mask_token_id))
    for place in run["outcome"].get("words", ()):
        place["tokens"] = [_tokenizer().decode([number]) for number in place["ids"]]
    return run


def run_cell(name: str, source: str, text: str) -> dict[str, Any]:
    """Run the spec with one of its functions as the reader wrote it, and hold every value to the unchanged spec.

    Args:
        name: of the function: "layers.gelu".
        source: a text that defines it; what else it defines is there, too, while it runs.
        text: the sentence.

    Returns:
        `ratios`, tap -> error / budget; `first`, where that first exceeds 1; `words`, for each mask; and `printed`.

    Raises:
        CellError: a text that is no Python, does not define the function, or stops with an error.
    """
    if name not in EDITABLE:
        message = f"name: required one of {', '.join(EDITABLE)}, got {name!r}"
        raise CellError(message)
    inputs, printed = _inputs(text), io.StringIO()
    budgets = TapBudgets.of(_model(), inputs)  # before anything is changed: they are the spec's own
    with redirect_stdout(printed), _cell_errors(), edited(*_function(name), source), np.errstate(all="ignore"):
        taps = _model().tape(**inputs)
    ratios = budgets.ratios(taps)
    logits = np.asarray(taps["lm_head.logits"])[0]
    return {
        "ratios": ratios,
        "first": first_departure(ratios),
        "words": [_best(row) for row in logits[np.equal(inputs["input_ids"][0], _tokenizer().mask_token_id)]],
        "printed": printed.getvalue(),
    }


def judge(name: str, source: str) -> dict[str, Any]:
    """Judge a reader's answer to one of the exercises.

    Raises:
        CellError: a text that is no Python, does not define the function, or stops with an error.
    """
    printed = io.StringIO()
    with redirect_stdout(printed), _cell_errors():
        space = executed(source, {})
        function = space.get(name)
        if not callable(function):
            message = f"the cell has to define a function {name}; it defines {_defined(space)}"
            raise CellError(message)
        verdict = exercises.judge(name, function)
    return {"passed": bool(verdict.passed), "verdict": str(verdict), "printed": printed.getvalue()}


VERBS: dict[str, Callable[..., Any]] = {
    "about": about,
    "prepare": prepare,
    "fill_mask": fill_mask,
    "tape": tape,
    "run_fault": run_a_fault,
    "run_cell": run_cell,
    "judge": judge,
}


def answer(verb: str, arguments: str) -> str:
    """One answer: {"value": …}, or {"error": {"kind", "message", "line"}}.

    Args:
        verb: one of `VERBS`.
        arguments: a JSON object.
    """
    try:
        return json.dumps({"value": VERBS[verb](**json.loads(arguments))}, allow_nan=False)  # which JSON lacks
    except Exception as error:  # noqa: BLE001  # whatever it is, the reader is to see it
        kind, line = type(error.__cause__ or error).__name__, getattr(error, "line", None)
        return json.dumps({"error": {"kind": kind, "message": str(error) or kind, "line": line}})


# -- cells ------------------------------------------------------------------------------------------------------------


def executed(source: str, given: dict[str, Any]) -> dict[str, Any]:
    """The names that a cell defines, run with `given` at hand."""
    linecache.cache[CELL] = (len(source), None, source.splitlines(keepends=True), CELL)
    space = {"np": np, **given, "__name__": CELL}
    before = dict(space)
    # annotations name what only the type checker imports
    exec(compile(source, CELL, "exec", __future__.annotations.compiler_flag, dont_inherit=True), space)  # noqa: S102
    return {k: v for k, v in space.items() if k != "__builtins__" and (k not in before or before[k] is not v)}


@contextmanager
def edited(module: ModuleType, name: str, source: str) -> Generator[None]:
    """Let a function of the spec have another body, for everybody who has imported it.

    The function itself stays, and is given the other one's code: the tables and modules that hold it need not be known.
    """
    function, before = getattr(module, name), dict(vars(module))
    defined = executed(source, before)
    other = defined.pop(name, None)
    if not isinstance(other, FunctionType) or other.__closure__:
        message = f"the cell has to define {name} with def; it defines {_defined({**defined, name: other})}"
        raise CellError(message)
    parts = ("__code__", "__defaults__", "__kwdefaults__")
    own = [getattr(function, part) for part in parts]
    try:
        vars(module).update(defined)
        for part in parts:
            setattr(function, part, getattr(other, part))
        yield
    finally:
        for part, value in zip(parts, own, strict=True):
            setattr(function, part, value)
        vars(module).clear()
        vars(module).update(before)


@contextmanager
def _cell_errors() -> Generator[None]:
    """Errors with the line of the cell in which they arose."""
    try:
        yield
    except CellError:
        raise
    except SyntaxError as error:
        raise CellError(error.msg or "no Python", error.lineno if error.filename == CELL else None) from error
    except (Exception, SystemExit) as error:
        raise CellError(str(error), _line(error)) from error


def _line(error: BaseException) -> int | None:
    """The last line of the cell on the way to an error."""
    trace, line = error.__traceback__, None
    while trace:
        line = trace.tb_lineno if trace.tb_frame.f_code.co_filename == CELL else line
        trace = trace.tb_next
    return line


def _defined(space: dict[str, Any]) -> str:
    return ", ".join(name for name, value in space.items() if value is not None) or "nothing"


# -- pieces -----------------------------------------------------------------------------------------------------------


@cache
def _model() -> Any:
    folder = checkpoint.locate(checkpoint.DEFAULT_CHECKPOINT)
    return roberta.RobertaForMaskedLM.from_pretrained(folder, backend="numpy", strict=True)


@cache
def _tokenizer() -> Any:
    return roberta.RobertaTokenizer.from_pretrained(checkpoint.locate(checkpoint.DEFAULT_CHECKPOINT))


def _inputs(text: str) -> dict[str, Any]:
    return {"input_ids": np.array([_tokenizer()(text, verbose=False)["input_ids"]])}


def _function(name: str) -> tuple[ModuleType, str]:
    module, _, function = name.partition(".")
    return import_module(f"roberta.reference.{module}"), function


def _source(name: str) -> str:
    return inspect.getsource(getattr(*_function(name)))


def _best(logits: Any) -> list[dict[str, Any]]:
    """The most probable words of one mask."""
    with np.errstate(all="ignore"):
        probabilities = np.nan_to_num(softmax(logits.astype(np.float64)))  # V
    order = np.argsort(-probabilities, kind="stable")[:TOP]
    return [{"token": _tokenizer().decode([int(i)]), "probability": float(probabilities[i])} for i in order]


def _exercises() -> list[dict[str, str]]:
    """Each has a name, that of the function, a text, and a start to go on from."""
    return [{"name": one.name, "text": one.text, "source": one.start} for one in exercises.EXERCISES.values()]
