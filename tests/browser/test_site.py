"""The documentation's site in a real browser: the spec runs there, says what CPython says, and asks nobody else."""

from __future__ import annotations

import functools
import http.server
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import roberta
from roberta.dispatch import checkpoint
from roberta.teaching.departures import TapBudgets
from roberta.teaching.exercises import EXERCISES
from roberta.teaching.faults import faults_of, run_fault

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent.parent
SENTENCE = (
    "It is a truth universally acknowledged, that a single man in possession of a good fortune, "
    "must be in want of a <mask>."
)

#: Targets, in seconds, on a machine that does other things, too.
READY, SWITCH = 15.0, 0.5
STATE = "document.querySelector('#spec-status').dataset.state"
HOSTILE = {
    "a script": "<script>alert(1)</script> is <mask>.",
    "quotes": "\"He\" & 'she' <b onmouseover=alert(1)> were <mask>.",
    "bidi marks": "She \u202eetorw\u202c a <mask> \u05d0\u05d1\u200f.",
    "emoji": "The 👩‍👩‍👧‍👦 went to 🏳️‍🌈 <mask> 𝔖.",
}


class Handler(http.server.SimpleHTTPRequestHandler):
    """What any static host does, with the types that scripts and WebAssembly are loaded under."""

    extensions_map: ClassVar = {
        **http.server.SimpleHTTPRequestHandler.extensions_map,
        ".wasm": "application/wasm",
        ".mjs": "text/javascript",
    }

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def built(chromium) -> Path:
    """The folder of the site, built anew; not where nobody could look at it."""
    needed = {"npm": shutil.which("npm"), "mkdocs": find_spec("mkdocs"), "nbconvert": find_spec("nbconvert")}
    missing = [name for name, found in needed.items() if not found]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}: apt-get install npm; pip install 'roberta[site]'")
    result = subprocess.run(  # noqa: S603  # our own
        [sys.executable, ROOT / "site/build.py"], capture_output=True, text=True, check=False, timeout=240
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return ROOT / "build/site"


@pytest.fixture(scope="module")
def address(built: Path) -> Iterator[str]:
    """Where the site is served."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=built))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


class Visit:
    """The page "Run the spec" in a tab, with everything that it asked for and complained of."""

    def __init__(self, browser: Any, address: str) -> None:
        self.context = browser.new_context(viewport={"width": 1280, "height": 900})
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.bytes: dict[str, int] = {}
        self.context.on("request", lambda request: self.requests.append(request.url))
        self.context.on("response", self._received)
        self.page = self.context.new_page()
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.complaints.append(dialog.message), dialog.dismiss()))
        self.address = address
        self.page.goto(f"{address}/run.html")

    def _received(self, response: Any) -> None:
        self.bytes[response.url] = int(response.headers.get("content-length", 0))

    def start(self) -> float:
        """Load the spec, and say how many seconds that took."""
        began = time.perf_counter()
        self.page.click("#spec-start")
        self.page.wait_for_function(f"['ready', 'stopped'].includes({STATE})", timeout=60_000)
        assert self.page.evaluate(STATE) == "ready", self.page.inner_text("#spec-status")
        return time.perf_counter() - began

    def ask(self, verb: str, **given: Any) -> Any:
        return self.page.evaluate("([verb, given]) => window.robertaRuntime.ask(verb, given)", [verb, given])

    def submit(self, form: str) -> str:
        """Press the button of a form, and wait for its answer."""
        self.page.click(f"#{form} button:not([type=reset])")
        self.page.wait_for_function(f"!document.querySelector('#{form}').hasAttribute('aria-busy')")
        return self.page.inner_text(f"#{form} output")

    def choose(self, name: str) -> str:
        """Choose a function of the spec; its lines as they stand."""
        self.page.select_option("#spec-cell-name", name)
        return self.page.input_value("#spec-cell-source")

    def run_cell(self, source: str) -> str:
        self.page.fill("#spec-cell-source", source)
        return self.submit("spec-cell")


@pytest.fixture(scope="module")
def started(chromium, address):
    visit = Visit(chromium, address)
    visit.seconds = visit.start()
    visit.ask("prepare", text=SENTENCE)
    yield visit
    visit.context.close()


@pytest.fixture(scope="module")
def model():
    folder = checkpoint.locate(checkpoint.DEFAULT_CHECKPOINT)
    return roberta.RobertaForMaskedLM.from_pretrained(folder, backend="numpy")


@pytest.fixture(scope="module")
def inputs():
    tokenizer = roberta.RobertaTokenizer.from_pretrained(checkpoint.locate(checkpoint.DEFAULT_CHECKPOINT))
    return lambda text: {"input_ids": np.array([tokenizer(text)["input_ids"]])}


# -- times and sizes ---------------------------------------------------------------------------------------------------


def test_it_is_ready_in_time(started, chromium, address):
    assert started.seconds < READY
    started.page.goto(f"{address}/run.html")  # warm: the files are in the browser's cache
    warm = started.start()
    started.ask("prepare", text=SENTENCE)
    megabytes = sum(started.bytes.values()) / 1e6
    print(f"cold {started.seconds:.1f} s, warm {warm:.1f} s, {megabytes:.1f} MB received")
    assert warm < READY


def test_nothing_is_asked_of_another_host(started, built, address):
    for path in ("index.html", "api/reference.html", "tutorials.html", "budgets.html"):
        page = started.context.new_page()
        page.goto(f"{address}/{path}", wait_until="networkidle")
        page.close()
    assert any(url.endswith("pyodide.asm.wasm") for url in started.requests)
    elsewhere = [url for url in started.requests if not url.startswith((address, "blob:", "data:"))]
    assert elsewhere == []


# -- what it says ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", [SENTENCE, "She was <mask> to see him, and he <mask> her hand.", *HOSTILE.values()], ids=ascii
)
def test_its_predictions_are_cpythons(started, text):
    found = started.ask("fill_mask", text=text)
    expected = roberta.fill_mask(text)
    for name in ("token_str", "sequence"):
        assert [[one[name] for one in mask] for mask in found] == [[one[name] for one in mask] for mask in expected]


def test_its_ids_are_cpythons(started, inputs):
    text = " ".join([*HOSTILE.values(), "ſt ﬁ ½ ²³ Ⅷ 你好 नमस्ते ￼\u00a0\u3000x  y\n\tz _ 3.14e-5 don't DON'T"])
    assert started.ask("tape", text=text[:120])["input_ids"] == inputs(text[:120])["input_ids"].tolist()


def test_all_its_values_are_within_the_budget_of_float32(started, model, inputs):
    """The truth and the budget are CPython's; the values are the browser's."""
    text = "He was the eldest <mask>."
    budgets = TapBudgets.of(model, inputs(text))
    found = {name: np.array(started.ask("tape", text=text, values=name)["values"]) for name in budgets.truth}
    ratios = budgets.ratios(found)
    assert list(ratios)[-1].endswith("lm_head.logits")
    assert max(ratios.values()) <= 1.0


def test_every_mistake_departs_where_cpythons_does_and_is_switched_at_once(started, model, inputs):
    slow = []
    for fault in faults_of(model):
        began = time.perf_counter()
        found = started.page.evaluate("([n, t]) => window.robertaRuntime.run(n, t)", [fault.name, SENTENCE])
        slow += [(fault.name, seconds) for seconds in [time.perf_counter() - began] if seconds > SWITCH]
        expected = run_fault(model, inputs(SENTENCE), fault.name)
        assert (found["first"], found["own_tap"]) == (expected.first, expected.own_tap), fault.name
        assert found["outcome"]["words"][0]["ids"] == expected.outcome["words"][0]["ids"], fault.name
    assert slow == []


def test_the_form_shows_the_first_departure(started):
    started.page.select_option("#spec-fault-name", "tanh-gelu")
    said = started.submit("spec-fault")
    tap = "roberta.encoder.layer.0.intermediate.output"
    assert said.startswith("Parity: failed.")
    assert f"the first is {tap}." in said
    assert started.page.locator("#spec-fault .spec-first").get_attribute("data-tap") == tap


# -- cells -------------------------------------------------------------------------------------------------------------


def test_the_specs_own_lines_pass(started):
    for name in ("layers.gelu", "layers.layer_norm", "attention.attention", "heads.masked_lm"):
        source = started.choose(name)
        assert f"def {name.partition('.')[2]}(" in source
        assert started.run_cell(source).startswith("Parity: passed."), name


def test_a_changed_line_departs_at_its_own_tap_and_is_forgotten_afterwards(started):
    source = started.choose("layers.layer_norm")
    assert "np.sqrt(variance + eps)" in source
    said = started.run_cell(source.replace("np.sqrt(variance + eps)", "np.sqrt(variance + 1e-12)"))
    assert "the first is roberta.embeddings.LayerNorm.normalized." in said
    assert started.run_cell(source).startswith("Parity: passed.")


def test_what_the_cell_prints_is_shown(started, inputs):
    source = started.choose("layers.gelu")
    line = next(line for line in source.splitlines() if line.lstrip().startswith("return"))
    started.run_cell(source.replace(line, f"    print('<b>seen</b>', x.shape)\n{line}"))
    token_count = inputs(SENTENCE)["input_ids"].shape[1]
    assert started.page.inner_text("#spec-cell pre").startswith(f"<b>seen</b> (1, {token_count}, ")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def gelu(x, tap=None):\n    return x * (1 + \n", "line 2: SyntaxError: '(' was never closed"),
        (
            "def gelu(x, tap=None):\n    y = x\n    return y / unknown",
            "line 3: NameError: name 'unknown' is not defined",
        ),
        ("x = 1", "the cell has to define gelu with def; it defines x"),
        ("raise SystemExit", "line 1: SystemExit"),
    ],
    ids=["no Python", "an error", "no function", "an exit"],
)
def test_a_cell_that_cannot_run_is_told_why(started, source, said):
    started.choose("layers.gelu")
    assert said in started.run_cell(source)
    assert said in started.page.inner_text("#spec-status")


def test_an_endless_loop_is_stopped_by_keyboard_and_the_text_stays(started):
    page, source = started.page, "def gelu(x, tap=None):\n    while True:\n        pass\n"
    started.choose("layers.gelu")
    page.fill("#spec-cell-source", source)
    page.click("#spec-cell button:not([type=reset])")
    page.wait_for_timeout(300)
    page.focus("#spec-stop")
    page.keyboard.press("Enter")
    assert page.evaluate(STATE) == "stopped"
    page.wait_for_function("document.querySelector('#spec-cell output').textContent.includes('by you')")
    assert page.inner_text("#spec-status").startswith("The spec was ended: by you.")
    page.focus("#spec-start")
    page.keyboard.press("Enter")
    page.wait_for_function(f"{STATE} === 'ready'", timeout=60_000)
    assert page.input_value("#spec-cell-source") == source
    page.click("#spec-cell button[type=reset]")
    assert "error_function" in page.input_value("#spec-cell-source")
    started.ask("prepare", text=SENTENCE)


# -- readers -----------------------------------------------------------------------------------------------------------


def test_every_exercise_is_offered_and_an_answer_is_judged(started):
    page = started.page
    names = page.locator("#spec-exercise-name option").evaluate_all("(all) => all.map((one) => one.value)")
    assert names == list(EXERCISES)
    page.select_option("#spec-exercise-name", "layer_norm")
    assert "sqrt(variance + eps)" in page.locator("#spec-exercise-name-text").inner_text()
    answers = {
        "Passed.": "return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + eps) * weight + bias",
        "the variance is the unbiased one": "s = np.sqrt(x.var(-1, ddof=1, keepdims=True) + eps)\n"
        "    return (x - x.mean(-1, keepdims=True)) / s * weight + bias",
    }
    for said, body in answers.items():
        source = f"import numpy as np\ndef layer_norm(x, weight, bias, eps):\n    {body}\n"
        page.fill("#spec-exercise-source", source)
        assert said in started.submit("spec-exercise")


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_sentence_is_text(started, text):
    started.page.fill("#spec-text", text)
    started.submit("spec-fill")
    assert started.page.locator("#spec-fill table").count() == 1
    assert started.page.locator("#spec-fill output :is(script, b, img)").count() == 0
    started.page.fill("#spec-text", SENTENCE)


def test_ten_thousand_characters_and_no_mask_get_an_answer(started):
    for text, said in ((("word " * 2000) + "<mask>", "required at most"), ("no mask", "required at least one mask")):
        started.page.fill("#spec-text", text)
        assert said in started.submit("spec-fill")
    started.page.fill("#spec-text", SENTENCE)


def test_axe_finds_nothing_that_keeps_anybody_out(started, violations):
    started.submit("spec-fault")
    assert "\n".join(violations(started.page, "article")) == ""  # what stands around it is the theme's


def test_everything_has_a_name_and_is_reached_by_keyboard(started):
    page = started.page
    nameless = page.evaluate(
        "[...document.querySelectorAll('.spec :is(input, select, textarea, button)')]"
        ".filter((e) => !(e.labels?.length || e.textContent.trim())).map((e) => e.outerHTML)"
    )
    assert nameless == []
    page.focus("#spec-stop")
    reached = []
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.form?.id"))
    assert {"spec-text", "spec-fill", "spec-fault-name", "spec-fault", "spec-cell-name"} <= set(reached)
    assert page.get_attribute("#spec-status", "aria-live") == "polite"


@pytest.mark.parametrize("width", [360, 1400])
def test_nothing_is_wider_than_the_window(started, width):
    page = started.page
    page.set_viewport_size({"width": width, "height": 800})
    started.submit("spec-fault")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.set_viewport_size({"width": 1280, "height": 900})


def test_the_explanation_runs_its_mistakes_here(chromium, address):
    """The recorded page, beside the package: the same mistake, made by the package in the browser."""
    visit = Visit(chromium, address)
    page = visit.page
    page.goto(f"{address}/explain.html")
    assert page.is_visible("#live")
    page.check("input[name=fault] >> nth=3")
    page.click("#live")
    caption = page.locator("#fault-caption")
    caption.filter(has_not_text="Running").wait_for(timeout=60_000)  # the page's policy forbids to evaluate
    assert "did not run" not in page.inner_text("#fault-caption")
    assert any(url.endswith("pyodide.asm.wasm") for url in visit.requests)
    assert visit.complaints == []
    visit.context.close()


def test_a_file_that_is_missing_is_told(chromium, address):
    visit = Visit(chromium, address)
    visit.context.route("**/spec.py", lambda route: route.fulfill(status=404))
    visit.page.click("#spec-start")
    visit.page.wait_for_function(f"{STATE} === 'stopped'", timeout=60_000)
    assert "spec.py: 404" in visit.page.inner_text("#spec-status")
    visit.context.close()


def test_the_console_is_silent(started):
    """The last test: of all that was done before, nothing was complained of."""
    assert started.complaints == []
