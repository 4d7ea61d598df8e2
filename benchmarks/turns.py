"""Contestants on one machine, each in a process of its own, that compute in turns.

In one process their threads would take each other's cores: those of ONNX Runtime and CTranslate2 go on looking for work
after theirs is done, and PyTorch, Numba and transformers took twice as long for a short text beside them. So each has
its own memory and threads, and sleeps while another computes.

After a rest a system may wake both threads on one core, and take some ten milliseconds to part them: whoever it is,
every other first call for a short text takes twice as long. So the first call of a turn does not count; of those after
it, which last a while, the median does.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from multiprocessing import get_context
from typing import Any

from speed import PAUSE, pin

#: Seconds that the calls of a turn last at least: two for a full batch of roberta-base's size, dozens for a short text.
TURN = 0.5


class Contestant:
    """A process that computes when it is told to.

    Attributes:
        facts: what it says of itself, once it is ready: the attribute of that name of what `make` returns, if any.
    """

    def __init__(self, make: Callable[[Any], Callable[..., Any]], work: Any) -> None:
        """Start it, and wait until it is ready.

        Args:
            make: (work) -> what computes; called there, so it is a function of a module.
            work: what it is told, `threads` among it.
        """
        context = get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._name = make.__name__
        context.Process(target=_serve, args=(theirs, make, work), daemon=True).start()
        theirs.close()  # while anybody holds it open, a process that has ended would be waited for
        self.facts: dict[str, Any] = self._received()

    def answer(self, *given: Any) -> Any:
        """What it computes."""
        return self._asked("answer", given)

    def seconds(self, *given: Any) -> float:
        """How long a call takes, by its own clock: the median of a turn."""
        return self._asked("seconds", given)

    def _asked(self, what: str, given: Any) -> Any:
        time.sleep(PAUSE)
        self._pipe.send((what, given))
        return self._received()

    def _received(self) -> Any:
        try:
            return self._pipe.recv()
        except EOFError:
            raise SystemExit(f"{self._name}: its process has ended; why, stands above") from None


def _serve(pipe: Any, make: Callable[[Any], Callable[..., Any]], work: Any) -> None:
    """What runs in the process: answers, or how long they took, until the other side is gone."""
    pin(work.threads)
    compute = make(work)
    pipe.send(getattr(compute, "facts", {}))
    with suppress(EOFError):
        while True:
            what, given = pipe.recv()
            pipe.send(compute(*given) if what == "answer" else statistics.median(_turn(compute, given)))


def _turn(compute: Callable[..., Any], given: Any) -> Iterator[float]:
    """Seconds of each call but the first."""
    compute(*given)
    end = time.perf_counter() + TURN
    while (begun := time.perf_counter()) < end:
        compute(*given)
        yield time.perf_counter() - begun
