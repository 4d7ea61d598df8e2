"""Programs as candidates: a real process that reads and writes files, and a real server."""

import gc
import hashlib
import http.server
import io
import shlex
import sys
import textwrap
import threading
import time
import weakref
from contextlib import suppress
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import roberta
import safetensors.numpy
from roberta.parity.adapters.processes import HttpCandidate, packed, unpacked
from roberta.parity.candidates import CandidateError, Capabilities, answered, as_candidate
from roberta.parity.cases import draw_case

#: A program that answers by the protocol; `{answer}` turns the arrays `x` into outputs.
SERVER = """
import json, os, sys, time
import numpy as np
for line in sys.stdin:
    asked = json.loads(line)
    with np.load(asked["inputs"], allow_pickle=False) as file:
        x = dict(file)
    {answer}
    print(json.dumps(dict()), flush=True)
"""
HALVES = 'np.savez(asked["outputs"], logits=x["input_ids"] / 2, **{"hidden_states.0": x["input_ids"] / 4})'
IDS = {"input_ids": np.arange(6).reshape(2, 3)}


@pytest.fixture
def command(tmp_path):
    """Writes the program and gives its command."""

    def write(answer, program=SERVER):
        file = tmp_path / "server.py"
        file.write_text(program.replace("{answer}", textwrap.indent(answer, "    ").lstrip()))
        return [sys.executable, str(file)]

    return write


# -- commands ----------------------------------------------------------------------------------------------------------


def test_a_command_answers_each_call_in_one_process(command):
    answer = f"{HALVES.removesuffix(')')}, process=np.array(os.getpid()))"
    parts = command(answer)
    candidate = as_candidate(parts)
    first, second = answered(candidate, IDS), answered(candidate, {"input_ids": np.ones((1, 1))})
    np.testing.assert_array_equal(first["logits"], IDS["input_ids"] / 2)
    np.testing.assert_array_equal(first["hidden_states.0"], IDS["input_ids"] / 4)
    np.testing.assert_array_equal(second["logits"], [[0.5]])
    assert first["process"] == second["process"]
    described = candidate.describe()
    assert described["sha256"]["server.py"] == hashlib.sha256(Path(parts[1]).read_bytes()).hexdigest()
    assert described["command"] == parts


def test_a_command_may_be_written_as_a_text(command):
    candidate = as_candidate(f"cmd: {shlex.join(command(HALVES))}")
    assert candidate.name.startswith("cmd: ")
    assert answered(candidate, IDS)["logits"].shape == (2, 3)


def test_a_command_may_ask_for_safetensors(command):
    program = SERVER.replace(
        "import numpy as np", "import numpy as np\nfrom safetensors.numpy import load_file, save_file"
    )
    start, end = program.index("    with np.load"), program.index("    {answer}")
    program = f'{program[:start]}    x = load_file(asked["inputs"])\n{program[end:]}'
    parts = command('save_file({"logits": x["input_ids"] / 2, "flag": x["use_cache"]}, asked["outputs"])', program)
    found = answered(as_candidate(f"safetensors+cmd: {shlex.join(parts)}"), {**IDS, "use_cache": True})
    np.testing.assert_array_equal(found["logits"], IDS["input_ids"] / 2)
    assert found["flag"].shape == ()
    assert bool(found["flag"])


def test_what_a_command_is_asked_is_what_its_author_says():
    own = Capabilities(frozenset({"input_ids"}), longest=5)
    assert as_candidate(["ls"]).capabilities.inputs == {"input_ids", "attention_mask", "token_type_ids"}
    assert as_candidate(["ls"], capabilities=own).capabilities == own


def test_a_command_that_dies_is_told_with_its_last_words_and_is_started_again(command):
    dies = 'if x["input_ids"].size == 6:\n    print("out of cheese", file=sys.stderr)\n    sys.exit(3)\n'
    candidate = as_candidate(command(dies + HALVES))
    for _ in range(2):
        with pytest.raises(
            CandidateError, match=r"got the end of the process \(exit status 3\); its stderr ends: out of c"
        ):
            answered(candidate, IDS)
        assert answered(candidate, {"input_ids": np.ones((1, 1))})["logits"] == 0.5


def test_a_command_that_hangs_is_ended(command):
    candidate = as_candidate(command('print("thinking", file=sys.stderr, flush=True)\ntime.sleep(60)'))
    start = time.monotonic()
    with pytest.raises(CandidateError, match=r"required an answer within 1 s, got none.*it was ended.*ends: thinking"):
        answered(candidate, IDS, timeout=1.0)
    assert time.monotonic() - start < 10


def test_an_answer_of_the_call_before_is_none(command):
    candidate = as_candidate(command(f'if x["input_ids"].size == 6:\n    {HALVES}'))
    answered(candidate, IDS)
    with pytest.raises(CandidateError, match=r"required the file outputs\.npz, got the answer '\{\}' without it"):
        answered(candidate, {"input_ids": np.ones((1, 1))})


def test_what_a_command_has_started_itself_ends_with_it(command):
    python, program = command("time.sleep(60)")
    candidate = as_candidate(["sh", "-c", f"{shlex.quote(python)} {shlex.quote(program)}; true"])
    start = time.monotonic()
    with pytest.raises(CandidateError, match=r"required an answer within 0\.5 s, got none"):
        answered(candidate, IDS, timeout=0.5)
    assert time.monotonic() - start < 10


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ('print(\'{"error": "too long"}\', flush=True); continue', "required an answer, got its error: too long"),
        ("print('loading', flush=True)", r"required a line of JSON such as \{\}, got 'loading'; print nothing else"),
        ("print(5, flush=True)", "required a line of JSON such as {}, got '5'"),
        ("pass", r"required the file outputs\.npz, got the answer '\{\}' without it"),
        ("open(asked['outputs'], 'wb').write(b'no file')", r"required a \.npz file, got 7 bytes that are none"),
        (
            'np.savez(asked["outputs"], logits=np.array([object()]))',
            r"required a \.npz file, got \d+ bytes that are none \(Object arrays cannot be loaded",
        ),
    ],
)
def test_an_answer_against_the_protocol_is_told(answer, message, command):
    with pytest.raises(CandidateError, match=message):
        answered(as_candidate(command(answer)), IDS, timeout=20.0)


def test_a_command_that_cannot_be_started_is_told(tmp_path):
    with pytest.raises(CandidateError, match=r"required a command that can be started, got .*No such file"):
        answered(as_candidate([str(tmp_path / "none")]), IDS)
    with pytest.raises(ValueError, match="required a command behind \"cmd:\", got 'cmd: '"):
        as_candidate("cmd: ")


def test_a_process_ends_with_its_candidate(command):
    candidate = as_candidate(command(HALVES))
    answered(candidate, IDS)
    folder, process = candidate._child.folder, candidate._child._process
    gone = weakref.ref(candidate)
    del candidate
    gc.collect()
    assert gone() is None
    assert process.poll() is not None
    assert not folder.exists()


@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
def test_what_is_packed_is_unpacked_and_damage_is_a_value_error(suffix):
    arrays = {"logits": np.linspace(0, 1, 35, dtype=np.float16).reshape(5, 7), "flag": np.array(True)}
    content = packed(arrays, suffix)
    found = unpacked(content, suffix)
    for name, value in arrays.items():
        np.testing.assert_array_equal(found[name], value, strict=True)
    rng = np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(content)
        for place in rng.integers(len(content), size=3):
            damaged[place] = rng.integers(256)
        for broken in (bytes(damaged), content[: rng.integers(len(content))]):
            with suppress(ValueError):  # or numbers that nobody can tell from others
                unpacked(broken, suffix)


def test_a_program_may_answer_in_bfloat16():
    value = np.linspace(0, 1, 3).astype(ml_dtypes.bfloat16)
    found = unpacked(safetensors.numpy.save({"x": value}), "safetensors")
    np.testing.assert_array_equal(found["x"], value, strict=True)


# -- servers -----------------------------------------------------------------------------------------------------------


class Handler(http.server.BaseHTTPRequestHandler):
    """A server of the spec itself, in either format; its paths are ways to fail."""

    model = None

    def log_message(self, *parts):
        pass

    def do_POST(self):
        content = self.rfile.read(int(self.headers["Content-Length"]))
        kind = self.headers["Content-Type"]
        if kind == "application/x-safetensors":
            inputs = safetensors.numpy.load(content)
        else:
            with np.load(io.BytesIO(content), allow_pickle=False) as file:
                inputs = dict(file)
        if self.path == "/slow":
            time.sleep(3)
        status, answer = {"/bad": (500, b"no memory"), "/html": (200, b"<html>")}.get(self.path, (200, None))
        if answer is None:
            answer = packed(self.model(**inputs).numpy(), kind.rpartition("-")[2])
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


@pytest.fixture(scope="module")
def case():
    return draw_case("model", 3)


@pytest.fixture(scope="module")
def address(case):
    Handler.model = roberta.RobertaModel(case.config, backend="numpy", state=case.state)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("prefix", ["", "safetensors+"])
def test_a_server_answers_in_the_format_that_it_is_asked_in(prefix, address, case):
    candidate = as_candidate(f"{prefix}{address}/")
    found = answered(candidate, case.inputs)
    wanted = Handler.model(**case.inputs).numpy()
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        np.testing.assert_array_equal(found[name], value)
    assert candidate.describe()["url"] == f"{address}/"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/bad", "required status 200, got 500 Internal Server Error; it says: no memory"),
        ("/html", r"required a \.npz file, got 6 bytes that are none.*; answer with application/x-npz"),
        ("/slow", r"required an answer within 0\.3 s, got none"),
    ],
)
def test_a_server_that_fails_is_told(path, message, address, case):
    with pytest.raises(CandidateError, match=message):
        answered(as_candidate(address + path), case.inputs, timeout=0.3)


def test_a_server_that_is_not_there_is_told():
    with pytest.raises(CandidateError, match=r"required an answer, got URLError: .*; start the server"):
        answered(as_candidate("http://127.0.0.1:9/"), IDS)
    assert isinstance(as_candidate("https://example.org/port"), HttpCandidate)
