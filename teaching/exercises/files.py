"""A student's file: its function is judged in a process of its own, which may fail or never end."""

from __future__ import annotations

import runpy
import sys
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ...files.atomic import write_atomically
from .exercise import Verdict
from .judging import exercise, judge, said

#: So many seconds a function may take for all inputs.
SECONDS = 60.0


def judge_file(name: str, path: Path, seconds: float = SECONDS) -> Verdict:
    """Judge the function of an exercise that a file defines.

    Args:
        name: of the exercise and of the function.
        path: the file; it is run.
        seconds: after which it is taken to be in an endless loop.

    Raises:
        ValueError: no such exercise.
        FileNotFoundError: no such file.
    """
    exercise(name)
    if not path.is_file():
        message = f"{path}: required a file with a function {name}; write one to begin with: --start {path}"
        raise FileNotFoundError(message)
    context = get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_judged, args=(theirs, name, str(path)), daemon=True)
    process.start()
    theirs.close()
    try:
        if ours.poll(seconds):
            return ours.recv()
        problem = f"it did not end within {seconds:g} s; is there a loop that never ends?"
    except EOFError:
        process.join()
        problem = f"it ended Python itself, with status {process.exitcode}; a function returns its answer"
    finally:
        process.kill()
        process.join()
    return Verdict(name, passed=False, count=0, problem=problem)


def write_start(name: str, path: Path) -> None:
    """Write a file to begin with.

    Raises:
        ValueError: no such exercise.
        FileExistsError: there is something at the path, which is left as it is.
    """
    content = exercise(name).start
    if path.exists():
        message = f"{path}: required a new file, got one that is there; give another name"
        raise FileExistsError(message)
    write_atomically(path, content.encode())


# -- in the other process ----------------------------------------------------------------------------------------------


def _judged(pipe: Connection, name: str, path: str) -> None:
    found = _loaded(name, path)
    pipe.send(judge(name, found) if callable(found) else Verdict(name, passed=False, count=0, problem=found))


def _loaded(name: str, path: str) -> Any:
    """The function; or in words why there is none."""
    sys.path.insert(0, str(Path(path).resolve().parent))  # as for `python file.py`: it may import those beside it
    try:
        names = runpy.run_path(path)
    except SyntaxError as error:
        return f"line {error.lineno} is no Python ({error.msg}): {(error.text or '').strip()}"
    except Exception as error:  # noqa: BLE001 - whatever the file raises
        return f"running {Path(path).name} raised {said(error)}"
    if callable(names.get(name)):
        return names[name]
    others = [own for own, value in names.items() if callable(value) and not own.startswith("_")]
    found = f"; it has {', '.join(others)}" if others else ""
    return f"{Path(path).name} has no function {name}{exercise(name).signature}{found}"
