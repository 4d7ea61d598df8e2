"""`examples/serve.py`: batches form, limits hold, and who is accepted is answered, also when the server stops."""

from __future__ import annotations

import asyncio
import http.client
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import prometheus_client.parser
import pytest
import roberta
import starlette
import uvicorn

ROOT = Path(__file__).parent.parent
PAGE = starlette, uvicorn  # what the example itself cannot do without


def script():
    spec = importlib.util.spec_from_file_location("serve", ROOT / "examples" / "serve.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["serve"] = module  # dataclasses look their own module up
    spec.loader.exec_module(module)
    return module


serve = script()


@dataclass
class Said:
    """An answer."""

    text: str

    def to_dict(self):
        return {"said": self.text}


@dataclass
class Echo:
    """A task that says what it is given, when it is let to, and refuses numbers."""

    gate: threading.Event = field(default_factory=threading.Event)
    batches: list = field(default_factory=list)
    louder: bool = False

    def attempt(self, inputs):
        self.batches.append(list(inputs))
        self.gate.wait(10)
        if "explode" in inputs:
            raise RuntimeError("the model is broken, at /its/secret/place")
        return [self.said(place, given) for place, given in enumerate(inputs)]

    def said(self, place, given):
        if not isinstance(given, str):
            return TypeError(f"echo: inputs[{place}]: required a str, got {given!r}")
        return Said(given.upper() if self.louder else given)

    def replace(self, **options):
        if set(options) - {"louder"}:
            raise TypeError(f"echo: expected the option louder, got {', '.join(options)}")
        return Echo(self.gate, self.batches, **options) if options else self


@asynccontextmanager
async def served(task, **settings):
    """A client of a server that is ready; the warm-up's batch is forgotten."""
    server = serve.Server({"echo": task}, **settings)
    is_open = task.gate.is_set()
    task.gate.set()
    transport = httpx.ASGITransport(server.application)
    async with server.lifespan(None), httpx.AsyncClient(transport=transport, base_url="http://here") as client:
        while (await client.get("/ready")).status_code != 200:
            await asyncio.sleep(0.001)
        task.batches.clear()
        if not is_open:
            task.gate.clear()
        client.server = server
        yield client
        task.gate.set()


def run_alone(main):
    """In a thread of its own: Playwright leaves a running loop in the thread in which tests of pages had a browser."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, main()).result()


async def until(condition):
    """Give other coroutines their turn until it holds."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


def open_echo():
    task = Echo()
    task.gate.set()
    return task


def ask(client, inputs="a", **more):
    return client.post("/v1/echo", json={"inputs": inputs, **more})


# -- answers -------------------------------------------------------------------------------------------------------


def test_one_input_and_a_list():
    async def run():
        async with served(open_echo()) as client:
            assert (await ask(client, "one")).json() == {"said": "one"}
            assert (await ask(client, ["one", "two"])).json() == [{"said": "one"}, {"said": "two"}]
            assert (await ask(client, [])).json() == []

    run_alone(run)


def test_requests_that_come_together_are_computed_together():
    async def run():
        task = Echo()
        async with served(task, batch_size=3, wait=0.001) as client:
            first = asyncio.create_task(ask(client, "first"))
            await until(lambda: task.batches)
            others = [asyncio.create_task(ask(client, text)) for text in "abcd"]
            await until(lambda: len(client.server.batcher.queue) == 4)
            task.gate.set()
            answers = await asyncio.gather(first, *others)
            assert [answer.json()["said"] for answer in answers] == ["first", *"abcd"]
            assert task.batches == [["first"], ["a", "b", "c"], ["d"]]

    run_alone(run)


def test_a_full_batch_does_not_wait_and_a_lonely_input_waits_no_longer_than_told():
    async def run():
        async with served(open_echo(), batch_size=2) as client:
            client.server.batcher.wait = 60.0
            answers = await asyncio.wait_for(asyncio.gather(ask(client, "a"), ask(client, "b")), 10)
            assert [answer.json()["said"] for answer in answers] == ["a", "b"]
        async with served(open_echo(), batch_size=2, wait=0.01) as client:
            assert (await asyncio.wait_for(ask(client, "a"), 10)).json() == {"said": "a"}

    run_alone(run)


def test_inputs_with_other_parameters_do_not_share_a_batch_and_keep_their_turn():
    async def run():
        task = Echo()
        async with served(task, batch_size=8, wait=0.001) as client:
            waiting = [asyncio.create_task(ask(client, "first"))]
            await until(lambda: task.batches)
            for text, parameters in (("a", {}), ("b", {"louder": True}), ("c", {}), ("d", {"louder": True})):
                waiting.append(asyncio.create_task(ask(client, text, parameters=parameters)))
                await until(lambda: len(client.server.batcher.queue) == len(waiting) - 1)
            task.gate.set()
            assert [answer.json()["said"] for answer in await asyncio.gather(*waiting)] == ["first", *"aBcD"]
            assert task.batches == [["first"], ["a", "c"], ["b", "d"]]

    run_alone(run)


def test_a_bad_input_does_not_spoil_its_batch_and_is_named_by_its_place_in_its_request():
    async def run():
        task = Echo()
        async with served(task, wait=0.02) as client:
            good, bad = asyncio.create_task(ask(client, ["a", "b"])), asyncio.create_task(ask(client, ["c", 5]))
            await until(lambda: task.batches)
            task.gate.set()
            assert (await good).json() == [{"said": "a"}, {"said": "b"}]
            refused = await bad
            assert refused.status_code == 422
            message = "echo: inputs[1]: required a str, got 5"
            assert refused.json() == {"error": message, "errors": [{"index": 1, "message": message}]}
            assert task.batches == [["a", "b", "c", 5]]

    run_alone(run)


def test_an_unforeseen_error_is_told_without_its_words_and_the_server_goes_on(caplog):
    async def run():
        async with served(open_echo()) as client:
            failed = await ask(client, "explode")
            assert (failed.status_code, "secret" in failed.text) == (500, False)
            assert "secret" in caplog.text
            assert (await ask(client, "a")).status_code == 200

    run_alone(run)


# -- limits --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "status", "parts"),
    [
        ("{", 400, ["required JSON", "inputs"]),
        ("[" * 5000, 400, ["required JSON", "recursion"]),
        ("[]", 422, ["object with 'inputs'", "got []"]),
        ('{"input": "a"}', 422, ["object with 'inputs'", '"input"']),
        ('{"inputs": "a", "top_k": 1}', 422, ["'parameters' only", "top_k"]),
        ('{"inputs": "a", "parameters": [1]}', 422, ["an object", "[1]"]),
        ('{"inputs": "a", "parameters": {"batch_size": 1}}', 422, ["without batch_size"]),
        ('{"inputs": "a", "parameters": {"lauder": 1}}', 422, ["option louder", "lauder"]),
        ('{"inputs": "' + "a" * 9000 + '"}', 413, ["at most 9,000 bytes"]),
        ('{"inputs": ["a", "b", "c", "d"]}', 413, ["at most 3", "got 4"]),
    ],
)
def test_refusals(content, status, parts):
    async def run():
        async with served(open_echo(), limits=serve.Limits(body_bytes=9000, inputs=3)) as client:
            answer = await client.post("/v1/echo", content=content)
            assert answer.status_code == status
            assert [part for part in parts if part not in answer.json()["error"]] == []

    run_alone(run)


def test_other_addresses_and_methods_are_told_in_json():
    async def run():
        async with served(open_echo()) as client:
            nowhere, by_get = await client.get("/v1"), await client.get("/v1/echo")
            assert (nowhere.status_code, by_get.status_code, by_get.headers["allow"]) == (404, 405, "POST")
            for answer in (nowhere, by_get):
                assert "POST /v1/<task>, GET /health, /ready, /metrics" in answer.json()["error"]

    run_alone(run)


def test_a_command_that_names_no_task_is_refused_in_a_line():
    told = subprocess.run(
        [sys.executable, "examples/serve.py", "fillmask=austen"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (told.returncode, "did you mean 'fill-mask'" in told.stderr.replace("\n", " ")) == (2, True)
    assert "Traceback" not in told.stderr


def test_an_unknown_task_is_404_and_the_others_are_named():
    async def run():
        async with served(open_echo()) as client:
            answer = await client.post("/v1/reply", json={"inputs": "a"})
            assert (answer.status_code, "one of echo, got 'reply'" in answer.json()["error"]) == (404, True)

    run_alone(run)


def test_a_full_queue_is_503_and_whoever_was_accepted_is_answered():
    async def run():
        task = Echo()
        async with served(task, batch_size=2, wait=0.001, limit=5) as client:
            first = asyncio.create_task(ask(client, "first"))
            await until(lambda: task.batches)
            sent = [asyncio.create_task(ask(client, [f"{i}a", f"{i}b"])) for i in range(20)]
            await until(lambda: sum(one.done() for one in sent) == 18)
            task.gate.set()
            answers = await asyncio.gather(first, *sent)
            statuses = [answer.status_code for answer in answers]
            assert (statuses.count(200), statuses.count(503)) == (3, 18)
            assert all(int(answer.headers["Retry-After"]) >= 1 for answer in answers if answer.status_code == 503)
            assert answers[1].json() == [{"said": "0a"}, {"said": "0b"}]

    run_alone(run)


def test_who_waits_too_long_is_told_and_is_not_computed():
    async def run():
        task = Echo()
        async with served(task, batch_size=1, limits=serve.Limits(seconds=0.1)) as client:
            first = asyncio.create_task(ask(client, "first"))
            await until(lambda: task.batches)
            late = await ask(client, "late")
            assert (late.status_code, "0.1 s" in late.json()["error"]) == (504, True)
            assert (await first).status_code == 504
            task.gate.set()
            assert (await ask(client, "next")).status_code == 200
            assert task.batches == [["first"], ["next"]]

    run_alone(run)


# -- health --------------------------------------------------------------------------------------------------------


def test_ready_only_when_the_model_has_answered():
    async def run():
        task = Echo()
        server = serve.Server({"echo": task})
        transport = httpx.ASGITransport(server.application)
        async with server.lifespan(None), httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            await until(lambda: task.batches)
            states = [(await client.get(path)).status_code for path in ("/health", "/ready")]
            states.append((await ask(client)).status_code)
            task.gate.set()
            await until(lambda: server.state != "loading")
            assert states == [200, 503, 503]
            assert (await client.get("/ready")).status_code == 200

    run_alone(run)


def test_a_checkpoint_without_the_head_is_never_ready_and_says_why():
    async def run():
        server = serve.Server({"text-classification": roberta.task("text-classification", "austen", backend="numpy")})
        transport = httpx.ASGITransport(server.application)
        async with server.lifespan(None), httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            await until(lambda: server.state != "loading")
            answer = await client.get("/ready")
            assert (answer.status_code, "RobertaForMaskedLM" in answer.json()["status"]) == (503, True)

    run_alone(run)


def test_metrics_count_what_was_answered():
    async def run():
        async with served(open_echo()) as client:
            await ask(client, ["a", "b"])
            await ask(client, [3])
            await client.post("/v1/reply", json={"inputs": "a"})
            text = (await client.get("/metrics")).text
        families = prometheus_client.parser.text_string_to_metric_families(text)
        samples = {(one.name, *sorted(one.labels.values())): one.value for family in families for one in family.samples}
        assert samples["requests_total", "200", "echo"] == 1
        assert samples["requests_total", "422", "echo"] == 1
        assert samples["requests_total", "404", "unknown"] == 1
        assert samples["request_seconds_count", "echo"] == 2
        assert samples["batch_rows_sum",] == 4  # the warm-up's is one of them
        assert samples["queue_rows",] == 0

    run_alone(run)


# -- a process -----------------------------------------------------------------------------------------------------


@pytest.fixture
def process():
    """The command, on a free port, ready."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    command = [sys.executable, "examples/serve.py", "feature-extraction=austen", "--port", str(port)]
    command += ["--backend", "numpy", "--batch-size", "2", "--queue", "200"]
    with subprocess.Popen(command, cwd=ROOT, env=os.environ, stderr=subprocess.PIPE, text=True) as child:  # noqa: S603
        url, end = f"http://127.0.0.1:{port}", time.monotonic() + 60
        while not is_ready(url):
            assert child.poll() is None, child.stderr.read()
            assert time.monotonic() < end, "the server did not become ready"
            time.sleep(0.1)
        yield child, url
        child.kill()


def is_ready(url):
    try:
        return httpx.get(f"{url}/ready").status_code == 200
    except httpx.TransportError:
        return False


def test_who_waits_when_the_server_is_told_to_stop_is_answered(process):
    child, url = process
    body = {"inputs": ["She was glad to see him, and he was glad to be seen."] * 4, "parameters": {"pooling": "mean"}}
    are_sent = threading.Barrier(17)

    def answer(_):
        with closing(http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)) as connection:
            connection.request("POST", "/v1/feature-extraction", json.dumps(body))
            are_sent.wait(60)
            with connection.getresponse() as response:
                return response.status, len(json.loads(response.read()))

    with ThreadPoolExecutor(16) as threads:
        waiting = [threads.submit(answer, number) for number in range(16)]
        are_sent.wait(60)
        time.sleep(0.5)  # what was sent is taken from the sockets; of 64 inputs in batches some still wait
        child.send_signal(signal.SIGTERM)
        assert [one.result() for one in waiting] == [(200, 4)] * 16
    assert child.wait(30) in (0, -signal.SIGTERM)
