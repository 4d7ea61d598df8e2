r"""Serve tasks over HTTP: requests that come together are computed together, and what is accepted is answered.

    python examples/serve.py feature-extraction=austen text-classification=my-folder --batch-size 32 --wait-ms 4

    POST /v1/<task>     {"inputs": "She was glad.", "parameters": {}}, or a list of inputs: the record, or the records
    GET  /health        200 while the process lives
    GET  /ready         200 once every model is loaded and has answered; 503 before, with what is wrong
    GET  /metrics       Prometheus: requests by status, seconds, rows in a batch, rows in the queue

What a client sees: 400 no JSON; 404 no such task; 413 too much in one request; 422 what the task refuses, in the
library's words; 503 with Retry-After a full queue, or not ready; 504 too slow. A request is taken whole or refused at
once: whoever got no 503 gets an answer, also when the server is told to stop (SIGTERM) meanwhile.

The file reads from the queue to the command: batches, requests, the application, the command.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Annotated, Any, NamedTuple

import roberta
import typer
import uvicorn
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

log = logging.getLogger("serve")
#: What can be looked at without a task.
WATCHED = ("/health", "/ready", "/metrics")

# -- batches -------------------------------------------------------------------------------------------------------

#: Answers a list of inputs, each by a record or by an error; runs in a thread.
Attempt = Callable[[Sequence[Any]], Sequence[Any]]


class Waiting(NamedTuple):
    """One input in the queue. Only inputs of one attempt (of one task with the same parameters) share a batch."""

    attempt: Attempt
    given: Any
    answer: asyncio.Future[Any]
    since: float


class Failure(NamedTuple):
    """In place of an answer: the error, and which place of its batch the input had, as the message may name it."""

    error: Exception
    place: int


class QueueFullError(Exception):
    """There is no room for a request; its argument says in how many seconds there may be."""


class Batcher:
    """Collects inputs until a batch is full, or the first of them has waited long enough, and computes it in a thread.

    While one batch is computed the next one gathers: the busier the server, the larger its batches.

    Args:
        batch_size: at most so many inputs are computed together.
        wait: at most so many seconds an input waits for others while nothing is computed.
        limit: at most so many inputs may wait.
        observe: is told the size of each batch.
    """

    def __init__(self, batch_size: int, wait: float, limit: int, observe: Callable[[int], None]) -> None:
        self.batch_size, self.wait, self.limit, self.observe = batch_size, wait, limit, observe
        self.queue: deque[Waiting] = deque()
        self.arrived = asyncio.Event()
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="model")  # the engine's own threads have the cores
        self.seconds_per_input = 0.0

    def submit(self, attempt: Attempt, inputs: Sequence[Any]) -> list[asyncio.Future[Any]]:
        """Queue all inputs of a request, or none.

        Raises:
            QueueFullError: there is no room for them.
        """
        if len(self.queue) + len(inputs) > self.limit:
            raise QueueFullError(len(self.queue) * self.seconds_per_input)
        loop = asyncio.get_running_loop()
        waiting = [Waiting(attempt, given, loop.create_future(), loop.time()) for given in inputs]
        self.queue.extend(waiting)
        self.arrived.set()
        return [one.answer for one in waiting]

    async def run(self) -> None:
        """For ever: the next batch, its answers to those who wait."""
        while True:
            await self._gather()
            batch = self._next()
            if batch:
                await self._compute(batch)

    async def _gather(self) -> None:
        """Until there is a full batch, or its first input has waited long enough."""
        while not self.queue:
            self.arrived.clear()
            await self.arrived.wait()
        with suppress(TimeoutError):
            async with asyncio.timeout_at(self.queue[0].since + self.wait):
                while len(self.queue) < self.batch_size:
                    self.arrived.clear()
                    await self.arrived.wait()

    def _next(self) -> list[Waiting]:
        """From the front: the first attempt's inputs, up to a batch. Who has given up is left out."""
        batch: list[Waiting] = []
        others: list[Waiting] = []
        while self.queue and len(batch) < self.batch_size:
            one = self.queue.popleft()
            if not one.answer.done():
                (batch if not batch or one.attempt is batch[0].attempt else others).append(one)
        self.queue.extendleft(reversed(others))
        return batch

    async def _compute(self, batch: list[Waiting]) -> None:
        self.observe(len(batch))
        begun = time.monotonic()
        given = [one.given for one in batch]
        try:
            answers = await asyncio.get_running_loop().run_in_executor(self.thread, batch[0].attempt, given)
        except Exception as error:  # noqa: BLE001  # whatever it is, everybody who waits is told
            answers = [error] * len(batch)
        spent = (time.monotonic() - begun) / len(batch)
        self.seconds_per_input = spent if not self.seconds_per_input else 0.9 * self.seconds_per_input + 0.1 * spent
        for place, (one, answer) in enumerate(zip(batch, answers, strict=True)):
            if not one.answer.done():
                one.answer.set_result(Failure(answer, place) if isinstance(answer, Exception) else answer)


# -- requests ------------------------------------------------------------------------------------------------------


class RefusedError(Exception):
    """A request that is answered by an error: status, message, and further fields of the body."""

    def __init__(self, status: int, message: str, **fields: Any) -> None:
        super().__init__(message)
        self.status, self.fields = status, fields


@dataclass(frozen=True)
class Limits:
    """What one request may ask for."""

    body_bytes: int = 1_000_000
    inputs: int = 256
    seconds: float = 30.0


async def read_body(request: Request, limits: Limits) -> Mapping[str, Any]:
    """The JSON of a request; it is not read further than it may be long."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limits.body_bytes:
            raise RefusedError(413, f"body: required at most {limits.body_bytes:,} bytes; send fewer inputs at a time")
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        message = f"body: required JSON, such as {{'inputs': 'a text'}}, got what is none: {error}"
        raise RefusedError(400, message) from error
    if not isinstance(found, dict) or "inputs" not in found:
        raise RefusedError(422, f"body: required an object with 'inputs', got {_shortened(found)}")
    if unknown := sorted(set(found) - {"inputs", "parameters"}):
        raise RefusedError(422, f"body: required 'inputs' and 'parameters' only, got {', '.join(unknown)} too")
    return found


async def refused(request: Request, error: Any) -> Response:
    """No such address, or not by this method: an HTTPException, told as all errors are, and what there is."""
    message = (
        f"{error.detail}: {request.method} {request.url.path}; there are POST /v1/<task>, GET {', '.join(WATCHED)}"
    )
    return JSONResponse({"error": message}, error.status_code, error.headers)


def inputs_of(body: Mapping[str, Any], limits: Limits) -> tuple[list[Any], bool]:
    """The inputs, and whether they came as a list."""
    given = body["inputs"]
    are_several = isinstance(given, list)
    inputs = given if are_several else [given]
    if len(inputs) > limits.inputs:
        message = f"inputs: required at most {limits.inputs} in a request, got {len(inputs)}; send them in parts"
        raise RefusedError(413, message)
    return inputs, are_several


def answer_of(answers: Sequence[Any], are_several: bool) -> Any:
    """The records as JSON has them, or the errors of the inputs that have none."""
    failed = {index: answer for index, answer in enumerate(answers) if isinstance(answer, Failure)}
    unforeseen = [failure.error for failure in failed.values() if not isinstance(failure.error, ValueError | TypeError)]
    if unforeseen:
        log.error("a batch failed", exc_info=unforeseen[0])
        raise RefusedError(500, "the server failed on this input; its log says more")
    if failed:
        # in the batch, which others' inputs are in, this one may have had another place
        messages = {i: str(error).replace(f"inputs[{place}]", f"inputs[{i}]") for i, (error, place) in failed.items()}
        errors = [{"index": index, "message": message} for index, message in messages.items()]
        raise RefusedError(422, errors[0]["message"], errors=errors)
    found = [as_json(answer) for answer in answers]
    return found if are_several else found[0]


def as_json(answer: Any) -> Any:
    """A record, or the list of them that some tasks answer with."""
    return [as_json(one) for one in answer] if isinstance(answer, list | tuple) else answer.to_dict()


def _shortened(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


# -- the application -----------------------------------------------------------------------------------------------

#: What is asked first, so that the first client does not wait for what a first call compiles.
WARM_UP: dict[str, tuple[Any, dict[str, Any]]] = {
    "question-answering": ({"question": "Who was glad?", "context": "She was glad."}, {}),
    "multiple-choice": ({"text": "She was", "choices": ["glad.", "late."]}, {}),
    "zero-shot-classification": ("She was glad.", {"candidate_labels": "joy, grief"}),
    "fill-mask": ("She was <mask>.", {}),
    "text-generation": ("She was", {"max_new_tokens": 2}),
}
#: So many sets of parameters are kept; each is the task with these options, on the same weights.
KEPT = 64


@dataclass
class Metrics:
    """What /metrics shows."""

    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        known = {"registry": self.registry}
        self.requests = Counter("requests", "Requests by task and status", ["task", "status"], **known)
        self.seconds = Histogram("request_seconds", "From the request to its answer", ["task"], **known)
        sizes = [2**power for power in range(9)]
        self.batches = Histogram("batch_rows", "Inputs that were computed together", buckets=sizes, **known)
        self.queued = Gauge("queue_rows", "Inputs that wait", **known)


class Server:
    """The tasks, their queue, and the answers to each route.

    Args:
        tasks: name -> what `roberta.task` gave.
        limits: of one request.
        batching: `batch_size`, `wait` and `limit` of the `Batcher`.
    """

    def __init__(self, tasks: Mapping[str, Any], limits: Limits | None = None, **batching: Any) -> None:
        self.tasks, self.limits = tasks, limits or Limits()
        self.batching = {"batch_size": 32, "wait": 0.004, "limit": 1024, **batching}
        self.metrics = Metrics()
        self.attempts: OrderedDict[str, Attempt] = OrderedDict()
        self.state = "loading"

    @property
    def application(self) -> Starlette:
        """For uvicorn, or any other ASGI server."""
        routes = [
            Route("/v1/{task}", self.predict, methods=["POST"]),
            Route("/health", self.health),
            Route("/ready", self.ready),
            Route("/metrics", self.measured),
        ]
        return Starlette(routes=routes, lifespan=self.lifespan, exception_handlers={HTTPException: refused})

    @asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        """Warm up beside the event loop, which answers /health meanwhile; stop only when the queue is empty."""
        self.batcher = Batcher(observe=self.metrics.batches.observe, **self.batching)
        self.metrics.queued.set_function(lambda: len(self.batcher.queue))
        running = asyncio.create_task(self.batcher.run())
        warming = asyncio.create_task(self.warm_up())
        yield
        self.state = "stopping"
        warming.cancel()
        while self.batcher.queue:  # uvicorn has waited for the requests; whoever else runs this may not have
            await asyncio.sleep(0.01)
        running.cancel()
        self.batcher.thread.shutdown()

    async def warm_up(self) -> None:
        """Load each task and ask it once, since a first call may compile; the first that fails is what /ready says."""
        for name, task in self.tasks.items():
            given, parameters = WARM_UP.get(name, ("She was glad.", {}))
            (answer,) = await asyncio.gather(*self.batcher.submit(task.replace(**parameters).attempt, [given]))
            if isinstance(answer, Failure):
                self.state = str(answer.error)
                log.error("%s cannot be served", name, exc_info=answer.error)
                return
        self.state = "ready"

    async def health(self, _: Request) -> Response:
        """The process lives."""
        return JSONResponse({"status": "alive"})

    async def ready(self, _: Request) -> Response:
        """Whether requests are taken, and why not."""
        return JSONResponse({"status": self.state}, 200 if self.state == "ready" else 503)

    async def measured(self, _: Request) -> Response:
        """What there is to watch, as Prometheus reads it."""
        return Response(generate_latest(self.metrics.registry), media_type=CONTENT_TYPE_LATEST)

    async def predict(self, request: Request) -> Response:
        """The answers, or an error that says what to do."""
        name, begun, headers = request.path_params["task"], time.monotonic(), {}
        try:
            status, body = 200, await self.answers(name, request)
        except RefusedError as error:
            status, body = error.status, {"error": str(error), **error.fields}
        except QueueFullError as error:
            status, body = 503, {"error": f"queue: {self.batching['limit']} inputs wait already; try again later"}
            headers["Retry-After"] = str(max(1, math.ceil(error.args[0])))
        label = name if name in self.tasks else "unknown"  # whatever clients make up must not fill the memory
        self.metrics.requests.labels(label, str(status)).inc()
        self.metrics.seconds.labels(label).observe(time.monotonic() - begun)
        return JSONResponse(body, status, headers)

    async def answers(self, name: str, request: Request) -> Any:
        """What the body of a good answer is; errors are raised."""
        if name not in self.tasks:
            raise RefusedError(404, f"task: required one of {', '.join(self.tasks)}, got {name!r}")
        if self.state != "ready":
            raise QueueFullError(1.0)
        try:
            async with asyncio.timeout(self.limits.seconds):
                body = await read_body(request, self.limits)
                inputs, are_several = inputs_of(body, self.limits)
                attempt = self.attempt_of(name, body.get("parameters") or {})
                answers = await asyncio.gather(*self.batcher.submit(attempt, inputs))
            return answer_of(answers, are_several)
        except TimeoutError:  # gather has cancelled what waits: the batcher leaves it out
            raise RefusedError(504, f"no answer within {self.limits.seconds:g} s; the server is too busy") from None

    def attempt_of(self, name: str, parameters: Any) -> Attempt:
        """The same callable for the same parameters: its inputs share batches."""
        if not isinstance(parameters, dict) or "batch_size" in parameters:
            required = "required an object of the task's options, without batch_size"
            raise RefusedError(422, f"parameters: {required}, got {_shortened(parameters)}")
        key = json.dumps([name, parameters], sort_keys=True)
        if key not in self.attempts:
            try:
                self.attempts[key] = self.tasks[name].replace(**parameters).attempt
            except (TypeError, ValueError) as error:
                raise RefusedError(422, f"parameters: {error}") from error
        self.attempts.move_to_end(key)
        while len(self.attempts) > KEPT:
            self.attempts.popitem(last=False)
        return self.attempts[key]


# -- the command ---------------------------------------------------------------------------------------------------


def main(
    tasks: Annotated[list[str], typer.Argument(help="task=model, such as feature-extraction=austen.")],
    backend: Annotated[str | None, typer.Option(help="The engine.")] = None,
    host: Annotated[str, typer.Option(help="Where to listen; 0.0.0.0 for every network.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 for a free one, which is printed.")] = 8000,
    batch_size: Annotated[int, typer.Option(min=1, help="Inputs computed together; 1: no batching.")] = 32,
    wait_ms: Annotated[float, typer.Option(min=0, help="How long an input waits for others.")] = 4.0,
    queue: Annotated[int, typer.Option(min=1, help="How many inputs may wait before clients get 503.")] = 1024,
    seconds: Annotated[float, typer.Option(min=0, help="How long a request may take before it gets 504.")] = 30.0,
) -> None:
    """Serve tasks until SIGTERM or SIGINT; what is queued then is still answered."""
    models = dict(text.partition("=")[::2] for text in tasks)
    settings: dict[str, Any] = {"backend": backend, "batch_size": batch_size}
    try:
        made = {name: roberta.task(name, model or None, **settings) for name, model in models.items()}
    except (TypeError, ValueError) as error:
        raise typer.BadParameter(str(error), param_hint="TASK=MODEL") from error
    server = Server(made, Limits(seconds=seconds), batch_size=batch_size, wait=wait_ms / 1000, limit=queue)
    uvicorn.run(server.application, host=host, port=port, log_level="info", access_log=False, server_header=False)


if __name__ == "__main__":
    typer.run(main)
