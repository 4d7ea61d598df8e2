"""The pytest plugin: inert until asked, an item for each probe, whole verdicts, known failures, clear settings."""

from __future__ import annotations

import datetime
import re
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest
import roberta
from roberta.parity.cases import draw_case
from roberta.parity.pytest_settings import read_settings

pytest_plugins = ["pytester"]

ROOT = Path(roberta.__file__).resolve().parent
#: The module itself, and never as the entry point as well, which an installed package has.
LOADED = ("-p", "no:roberta-parity", "-p", "roberta.pytest_plugin", "-p", "no:cacheprovider")

ONE = "pyproject.toml::masked_lm::one token"
PORT = """
import numpy as np
import roberta

model = roberta.RobertaForMaskedLM.from_pretrained("checkpoint", backend="numpy")


def honest(input_ids, attention_mask=None):
    return {"logits": model(input_ids, attention_mask).logits}


def wrong_for_one_token(input_ids, attention_mask=None):
    logits = honest(input_ids, attention_mask)["logits"]
    return {"logits": logits * (1.01 if np.shape(input_ids)[-1] == 1 else 1.0)}


def raises(input_ids, attention_mask=None):
    if np.shape(input_ids)[-1] == 1:
        raise RuntimeError("no such length")
    return honest(input_ids, attention_mask)
"""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A small checkpoint, saved once."""
    path = tmp_path_factory.mktemp("plugin") / "checkpoint"
    case = draw_case("masked_lm", 5, num_hidden_layers=1)
    roberta.RobertaForMaskedLM(case.config, backend="numpy", state=case.state).save_pretrained(path)
    return path


@pytest.fixture
def project(pytester, checkpoint, monkeypatch):
    """A project with a port, a checkpoint and a test of its own; `project(table)` writes the table's lines."""
    monkeypatch.setenv("PYTHONPATH", str(pytester.path), prepend=":")
    (pytester.path / "checkpoint").symlink_to(checkpoint)
    pytester.makepyfile(port=PORT, test_own="def test_own():\n    pass\n")

    def write(*lines: str, candidate: str = "port:honest") -> pytest.Pytester:
        head = ["[tool.roberta-parity]", f'candidate = "{candidate}"', 'reference = "checkpoint"']
        (pytester.path / "pyproject.toml").write_text("\n".join([*head, *lines]) + "\n")
        return pytester

    return write


def outcomes(result) -> dict[str, int]:
    return {name: count for name, count in result.parseoutcomes().items() if name != "warnings"}


def run(project, *arguments: str):
    return project.runpytest_subprocess(*LOADED, "--roberta-parity", *arguments)


def python(code: str, folder: str | Path) -> str:
    """What a new interpreter prints."""
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder).stdout  # noqa: S603  # ours


# -- inert -------------------------------------------------------------------------------------------------------------


def test_the_entry_point_is_the_module():
    points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["pytest11"]
    assert points == {"roberta-parity": "roberta.pytest_plugin"}
    assert hasattr(import_module(points["roberta-parity"]), "pytest_addoption")


def test_the_module_loads_nothing_heavy():
    code = "import sys, pytest; old = set(sys.modules); import roberta.pytest_plugin; print(*set(sys.modules) - old)"
    loaded = python(code, ROOT.anchor).split()
    assert {name for name in loaded if name.partition(".")[0] not in sys.stdlib_module_names} == {
        "roberta", "roberta.pytest_plugin",
    }  # fmt: skip


def test_without_the_option_nothing_is_collected_or_imported(project):
    pytester = project()
    pytester.makeconftest("""
        import sys

        def pytest_unconfigure():
            assert not {"numpy", "scipy", "roberta.parity"} & set(sys.modules)
    """)
    result = pytester.runpytest_subprocess(*LOADED, "-q")
    assert result.ret == 0
    assert outcomes(result) == {"passed": 1}


# -- items -------------------------------------------------------------------------------------------------------------


def test_an_honest_candidate_passes_probe_by_probe_beside_the_project_s_own_tests(project):
    result = run(project(), "-rs", "-v")
    found = outcomes(result)
    assert result.ret == 0
    assert found["passed"] > 5
    assert found["skipped"] > 5
    result.stdout.fnmatch_lines(["pyproject.toml::masked_lm::one token PASSED*", "test_own.py::test_own PASSED*"])
    result.stdout.fnmatch_lines(["SKIPPED*it takes no token_type_ids*"])
    summary = f"roberta parity of port:honest: passed: {found['passed'] - 1}, failed: 0, broken: 0, "
    result.stdout.fnmatch_lines([f"{summary}not covered: {found['skipped']}"])


def test_one_item_can_be_chosen_by_its_id_and_by_k(project):
    pytester = project()
    assert outcomes(run(pytester, ONE)) == {"passed": 1}
    assert outcomes(run(pytester, "-k", "one and token"))["passed"] == 1


def test_an_audit_runs_once_for_all_its_items(project):
    pytester = project(candidate="counted:port")
    pytester.makepyfile(
        counted="""
        import port as ports

        def port(input_ids, attention_mask=None):
            with open("calls", "a") as file:
                file.write("x")
            return ports.honest(input_ids, attention_mask)
    """
    )
    run(pytester, "pyproject.toml::masked_lm::one token", "pyproject.toml::masked_lm::two tokens")
    assert (pytester.path / "calls").read_text() == "xx"


def test_several_heads_are_several_audits(project):
    pytester = project('heads = ["masked_lm", "causal_lm"]', candidate="numpy")
    result = run(pytester, "--collect-only", "-q", "pyproject.toml")
    lines = [line for line in result.outlines if line.startswith("pyproject.toml::")]
    audits = list(dict.fromkeys(line.split("::")[1] for line in lines))
    assert audits[:2] == ["masked_lm", "causal_lm"]
    assert "causal_lm, cross-attention" in audits
    without = run(project('heads = ["masked_lm"]', "variants = false", candidate="numpy"), "--collect-only", "-q")
    assert {line.split("::")[1] for line in without.outlines if "::" in line} == {"masked_lm", "test_own"}


def test_the_items_are_the_same_twice(project):
    """What pytest-xdist asks of its workers."""
    pytester = project(candidate="numpy")
    first, second = (run(pytester, "--collect-only", "-q").outlines for _ in range(2))
    assert [line for line in first if "::" in line] == [line for line in second if "::" in line]


def test_it_runs_on_workers(project):
    result = run(project(), "-n", "2", "--dist", "loadfile", "-k", "token")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["roberta parity of port:honest: passed: *, failed: 0, broken: 0, not covered: *"])


# -- failures ----------------------------------------------------------------------------------------------------------


def test_a_failure_prints_the_whole_verdict_and_a_reproducer_that_runs(project):
    pytester = project(candidate="port:wrong_for_one_token")
    result = run(pytester, ONE)
    assert result.ret == 1
    assert outcomes(result)["failed"] >= 1
    result.stdout.fnmatch_lines(
        ["FAILED: * against masked_lm of * in float32, probe 'one token'*", "*logits*of its budget*"]
    )
    assert "Traceback" not in str(result.stdout)
    text = str(result.stdout)
    lines = re.search(r"To see it again:\n\n((?:    .*\n|\n)+)", text[text.index("probe 'one token'") :])
    code = "\n".join(line.removeprefix("    ") for line in lines[1].splitlines())
    again = python(code, pytester.path)
    assert again.startswith("FAILED: ")
    assert "1 probe: 1 failed" in again


def test_a_candidate_that_raises_fails_with_what_it_said(project):
    result = run(project(candidate="port:raises"), ONE)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*RuntimeError: no such length*"])


def test_a_candidate_that_is_not_there_fails_in_one_sentence(project):
    result = run(project(candidate="port:missing"), "-x")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*missing*"])
    assert "Traceback" not in str(result.stdout)


KNOWN = 'known-failures = [{item = "masked_lm::one token", reason = "see bug 7", since = 2026-11-26}]'


def test_a_known_failure_is_expected(project):
    pytester = project(KNOWN.replace("one token", "*"), candidate="port:wrong_for_one_token")
    result = run(pytester, "-rx", ONE)
    assert outcomes(result) == {"xfailed": 1}
    result.stdout.fnmatch_lines(["XFAIL*known since 2026-11-26: see bug 7*"])


def test_a_known_failure_that_passes_fails(project):
    result = run(project(KNOWN), ONE)
    assert outcomes(result) == {"failed": 1}
    result.stdout.fnmatch_lines(["*passes, but is a failure known since 2026-11-26: see bug 7. Take *"])


def test_a_known_failure_that_no_item_has_is_refused(project):
    result = run(project(KNOWN.replace("one token", "one tokn")))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "required a pattern of some item, got 'masked_lm::one tokn', which none has" in str(result.stderr)


# -- settings ----------------------------------------------------------------------------------------------------------

MISUSE = {
    "unknown key": ("candidat = 1", "[tool.roberta-parity]: required some of the keys", "Did you mean 'candidate'?"),
    "unknown head": ('heads = ["masked"]', "heads: required some of", "got 'masked'", "Did you mean 'masked_lm'?"),
    "heads as text": ('heads = "masked_lm"', "heads: required a list of heads, got 'masked_lm'"),
    "unknown dtype": ('dtype = "fp32"', "dtype: required one of", "got 'fp32'"),
    "rate as text": ('rate = "low"', "rate: required a number such as 1e-9, got 'low'"),
    "seed as a fraction": ("seed = 0.5", "seed: required a whole number, got 0.5"),
    "failure without a reason": (
        'known-failures = [{item = "*", since = 2026-11-26}]', "known-failures, reason: required why, got None",
    ),
    "failure with an empty reason": (
        'known-failures = [{item = "*", reason = " ", since = 2026-11-26}]', "known-failures, reason: required why",
    ),
    "failure without a date": (
        'known-failures = [{item = "*", reason = "x", since = "today"}]', "since: required a date", "got 'today'",
    ),
    "failure with more": (
        'known-failures = [{item = "*", resaon = "x"}]', "got 'resaon'", "Did you mean 'reason'?",
    ),
    "failure as text": ('known-failures = ["x"]', "known-failures: required a list of tables", "got 'x'"),
}  # fmt: skip


@pytest.mark.parametrize("case", MISUSE.values(), ids=MISUSE)
def test_settings_are_checked(project, case):
    line, *parts = case
    with pytest.raises(pytest.UsageError) as caught:
        read_settings(project(line).path / "pyproject.toml")
    assert [part for part in parts if part not in str(caught.value)] == []


def test_wrong_settings_end_the_run_in_one_sentence(project):
    result = run(project("sed = 1"))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "got 'sed'. Did you mean 'seed'?" in str(result.stderr)
    assert "Traceback" not in str(result.stderr)


def test_settings_are_read(project):
    path = project('heads = ["model"]', "rate = 1e-6", "seed = 3", 'dtype = "float64"', KNOWN).path / "pyproject.toml"
    settings = read_settings(path)
    assert (settings.candidate, settings.reference) == ("port:honest", str(path.parent / "checkpoint"))
    assert (settings.heads, settings.rate, settings.seed, settings.dtype) == (("model",), 1e-6, 3, "float64")
    assert settings.known_failures[0].since == datetime.date(2026, 11, 26)


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (None, "found no such file"),
        ("[tool.other]", "required a table [tool.roberta-parity]"),
        ("[tool.roberta-parity]\nreference = 'x'", "required the key 'candidate'"),
        ("[tool.roberta-parity]\ncandidate = 'x'", "required the key 'reference'"),
        ("[tool", "required TOML"),
    ],
)
def test_a_missing_table_is_an_error_that_says_what_to_write(tmp_path, content, part):
    path = tmp_path / "pyproject.toml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(pytest.UsageError, match=re.escape(part)):
        read_settings(path)
