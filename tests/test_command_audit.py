"""`roberta audit`: exit status, the reports, computing a report again, and misuse."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import roberta
from roberta import __main__ as command
from roberta.parity import request as requests
from roberta.parity.audit import AUDIT_RATE
from roberta.parity.cases import draw_case
from roberta.parity.findings import Audit, Finding
from roberta.parity.reports.archive import from_json
from roberta.parity.request import AuditRequest, recorded

PORT = """
import roberta

model = roberta.RobertaForMaskedLM.from_pretrained({folder!r}, backend="numpy")
calls = 0


def honest(input_ids, attention_mask=None):
    return {{"logits": model(input_ids, attention_mask).logits}}


def wrong(input_ids, attention_mask=None):
    return {{"logits": 1.01 * model(input_ids, attention_mask).logits}}


def interrupted(input_ids, attention_mask=None):
    global calls
    calls += 1
    if calls > 3:
        raise KeyboardInterrupt
    return honest(input_ids, attention_mask)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small checkpoint, and beside it a module with ports of it."""
    path = tmp_path_factory.mktemp("audit")
    case = draw_case("masked_lm", 5)
    roberta.RobertaForMaskedLM(case.config, backend="numpy", state=case.state).save_pretrained(path / "checkpoint")
    (path / "port.py").write_text(PORT.format(folder=str(path / "checkpoint")))
    return path


@pytest.fixture(scope="module")
def shell(folder):
    """The command in a process of its own, started where the module is: (exit status, stdout, stderr)."""

    def run(*arguments: object) -> tuple[int, str, str]:
        words = [sys.executable, "-m", "roberta", "audit", *map(str, arguments)]
        result = subprocess.run(words, capture_output=True, text=True, check=False, cwd=folder)  # noqa: S603  # our own
        return result.returncode, result.stdout, result.stderr

    return run


@pytest.fixture(scope="module")
def reports(shell, folder):
    """An engine's audit, which passes: what was printed, and the folder of its reports."""
    out = folder / "reports"
    status, printed, errors = shell("numpy", "--reference", "checkpoint", "--out", out, "--no-power")
    assert (status, errors) == (0, "")
    return printed, out


@pytest.fixture
def call(monkeypatch, capsys):
    """Run the command as a shell would: (exit status, stdout, stderr)."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["roberta", "audit", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            command.main()
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return run


@pytest.fixture
def audits(monkeypatch):
    """In place of `audit`, what notes down its arguments, and finds what it is told to."""
    noted: list[tuple[tuple, dict]] = []

    def audit(*arguments, **options):
        noted.append((arguments, options))
        return Audit({"name": "x"}, {"name": "y"}, {"dtype": arguments[3]}, {}, (Finding("a", (), audit.status),))

    audit.status, audit.noted = "passed", noted
    monkeypatch.setattr(requests, "audit", audit)
    return audit


# -- audits ------------------------------------------------------------------------------------------------------------


def test_an_engine_passes_and_its_reports_are_written(reports):
    printed, out = reports
    assert "passed: numpy against masked_lm of" in printed
    assert f"written: {out}" in printed
    assert sorted(path.name for path in out.iterdir()) == ["junit.xml", "report.html", "report.json", "report.md"]
    found = from_json((out / "report.json").read_text())
    assert found.passed
    assert found.settings["command"]["candidate"] == "numpy"
    assert found.environment["arithmetic"]["of"] == "the float32 product of numpy"


def test_a_wrong_candidate_ends_with_1_and_its_report_says_why(shell, folder, tmp_path):
    status, printed, _ = shell(
        "port:wrong", "--reference", "checkpoint", "--out", tmp_path, "--json-only", "--no-power"
    )
    assert status == 1
    assert "FAILED: " in printed
    assert "What failed, and by how much" in printed
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]
    assert not from_json((tmp_path / "report.json").read_text()).passed


def test_an_interrupted_audit_leaves_what_it_found(shell, tmp_path):
    status, printed, errors = shell("port:interrupted", "--reference", "checkpoint", "--out", tmp_path, "--no-power")
    assert status == 1
    assert "INCOMPLETE: " in printed
    assert "Traceback" not in errors
    found = from_json((tmp_path / "report.json").read_text())
    assert not found.is_complete
    assert "passed" in {finding.status for finding in found.findings}
    assert (tmp_path / "report.html").is_file()


def test_every_option_reaches_the_audit(call, audits, folder):
    status, _, _ = call(
        "numpy", "--reference", folder / "checkpoint", "--head", "causal_lm", "--dtype", "float64", "--seed", 3,
        "--rate", 1e-6, "--timeout", 2.5, "--no-power",
    )  # fmt: skip
    ((candidate, reference, probes, dtype), options) = audits.noted[0]
    assert status == 0
    assert (candidate.name, reference, dtype) == ("numpy", str(folder / "checkpoint"), "float64")
    assert probes is None
    expected = {"head": "causal_lm", "seed": 3, "rate": 1e-6, "timeout": 2.5, "power": False}
    assert {name: options[name] for name in expected} == expected


@pytest.mark.parametrize(("status", "expected"), [("passed", 0), ("failed", 1), ("broken", 1), ("not covered", 1)])
def test_the_exit_status_is_the_verdict(call, audits, folder, status, expected):
    audits.status = status
    assert call("numpy", "--reference", folder / "checkpoint")[0] == expected


# -- reports, computed again -------------------------------------------------------------------------------------------


def test_a_report_that_is_computed_again_is_equal_but_for_times(reports, shell):
    status, printed, _ = shell("--verify", reports[1] / "report.json")
    assert (status, printed) == (0, "equal but for times\n")


def test_a_report_that_was_edited_is_found_out(reports, shell, tmp_path):
    content = json.loads((reports[1] / "report.json").read_text())
    content["findings"][0]["comparisons"][0]["ratio"] = 1e-9
    edited = tmp_path / "report.json"
    edited.write_text(json.dumps(content))
    status, printed, _ = shell("--verify", edited)
    assert status == 1
    assert "findings[0].comparisons[0].ratio: 1e-09 before, " in printed
    assert len(printed.splitlines()) == 2


def test_differences_are_cut_and_counted(call, audits, reports, folder, monkeypatch):
    monkeypatch.chdir(folder)
    status, printed, _ = call("--verify", reports[1] / "report.json")
    assert status == 1
    assert printed.splitlines()[-1].startswith("and ")
    assert len(printed.splitlines()) == 12


def test_a_report_s_word_is_not_enough_to_run_code(reports, tmp_path):
    content = json.loads((reports[1] / "report.json").read_text())
    for candidate in ("cmd: rm -rf x", "module:attribute", "https://host"):
        content["settings"]["command"]["candidate"] = candidate
        with pytest.raises(ValueError, match="names something to run") as caught:
            recorded(json.dumps(content))
        assert repr(candidate) in str(caught.value)
        assert recorded(json.dumps(content), candidate).candidate == candidate


def test_a_report_without_its_command_cannot_be_computed_again():
    with pytest.raises(ValueError, match='without settings "command"'):
        recorded(Audit({}, {}, {}, {}, ()).to_json())


# -- requests ----------------------------------------------------------------------------------------------------------


def test_a_request_is_its_own_reproducer(folder):
    request = AuditRequest("numpy", str(folder / "checkpoint"), rate=1e-6)
    assert eval(repr(request)) == request  # noqa: S307  # our own


def test_a_request_asks_the_named_probes_alone(folder, audits):
    request = AuditRequest("numpy", str(folder / "checkpoint"))
    names = [probe.name for probe in request.probes()]
    request.run([names[2], names[0]])
    ((_, _, probes, _), options) = audits.noted[0]
    assert [probe.name for probe in probes] == [names[0], names[2]]
    assert options["rate"] == pytest.approx(AUDIT_RATE * 2 / len(names))  # each has the limits of the whole battery
    with pytest.raises(ValueError, match=r"probes: required some of .*got \['none such'\]"):
        request.run(["none such"])


def test_a_variant_is_judged_on_drawn_weights(backend):
    found = AuditRequest(backend, "unused", "causal_lm", variant="relative_key", power=False).run(["one token"])
    assert found.passed, str(found)


# -- misuse ------------------------------------------------------------------------------------------------------------

MISUSE = {
    "nothing": ([], ["required a candidate", "--reference", "roberta audit torch"]),
    "no reference": (["numpy"], ["required a candidate and --reference"]),
    "no such reference": (["numpy", "--reference", "/nowhere"], ["no checkpoint '/nowhere'"]),
    "unknown head": (
        ["numpy", "--reference", "austen", "--head", "masked"],
        ["head: required one of", "masked_lm", "got 'masked'"],
    ),
    "no such report": (["--verify", "/nowhere/report.json"], ["/nowhere/report.json"]),
    "unknown dtype": (["numpy", "--reference", "austen", "--dtype", "fp16"], ["dtype", "float32", "'fp16'"]),
}


@pytest.mark.parametrize(("arguments", "parts"), MISUSE.values(), ids=MISUSE)
def test_misuse_ends_with_2_and_a_message(call, arguments, parts):
    status, out, err = call(*arguments)
    assert (status, out) == (2, "")
    assert [part for part in parts if part not in err] == []
    assert err.count("\n") == 1


def test_what_is_no_report_is_refused(call, tmp_path):
    Path(tmp_path / "report.json").write_text("{}")
    status, _, err = call("--verify", tmp_path / "report.json")
    assert status == 2
    assert "required a document of the schema 'roberta.audit/1'" in err


def test_without_jinja_it_says_so_before_it_computes(call, audits, folder, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    status, _, err = call("numpy", "--reference", folder / "checkpoint", "--out", tmp_path)
    assert (status, audits.noted) == (2, [])
    assert 'pip install "roberta[report]", or give --json-only' in err
