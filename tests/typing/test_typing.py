"""Type checkers see the classes as they are: `faces.py` beside this file says what each line must reveal."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import roberta

HERE = Path(__file__).parent
LINES = (HERE / "faces.py").read_text(encoding="utf-8").splitlines()
REVEALS = {
    number: line.partition("# reveals: ")[2] for number, line in enumerate(LINES, start=1) if "# reveals: " in line
}
ERRORS = {number for number, line in enumerate(LINES, start=1) if line.endswith("# error")}
#: A name as mypy prints it -> without the modules in front of it.
MODULES = re.compile(r"\b[a-z_]\w*(?:\.\w+)*\.(?=\w)")

Found = tuple[dict[int, str], set[int]]
pytestmark = [pytest.mark.typing, pytest.mark.slow, pytest.mark.torch, pytest.mark.tensorflow, pytest.mark.flax]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the package has its own name, whatever the checkout is called."""
    folder = tmp_path_factory.mktemp("typing")
    (folder / "roberta").symlink_to(Path(roberta.__file__).parent, target_is_directory=True)
    shutil.copy(HERE / "faces.py", folder)
    return folder


def by_pyright(command: str, home: Path) -> Found:
    """What pyright, or its descendant, says."""
    settings = {"extraPaths": ["."], "include": ["faces.py"], "typeCheckingMode": "standard"}
    (home / "pyrightconfig.json").write_text(json.dumps(settings))
    said = json.loads(printed(command, "--pythonpath", sys.executable, "--outputjson", home=home))
    revealed: dict[int, str] = {}
    errors: set[int] = set()
    for entry in said["generalDiagnostics"]:
        line = entry["range"]["start"]["line"] + 1
        found = re.fullmatch(r'Type of ".*" is "(.*)"', entry["message"], re.DOTALL)
        if found:
            revealed[line] = found[1]
        elif entry["severity"] == "error":
            errors.add(line)
    return revealed, errors


def by_mypy(command: str, home: Path) -> Found:
    """What mypy says."""
    options = ("--follow-imports=silent", "--ignore-missing-imports", "--python-executable", sys.executable)
    said = printed(command, *options, "--no-error-summary", "faces.py", home=home)
    revealed: dict[int, str] = {}
    errors: set[int] = set()
    for line, kind, message in re.findall(r"^faces\.py:(\d+): (error|note): (.*)$", said, re.MULTILINE):
        found = re.fullmatch(r'Revealed type is "(.*)"', message)
        if found:
            revealed[int(line)] = MODULES.sub("", found[1])
        elif kind == "error":
            errors.add(int(line))
    return revealed, errors


def printed(command: str, *options: str, home: Path) -> str:
    """What a checker prints; it comes with the environment that runs the tests."""
    program = Path(sys.executable).parent / command
    assert program.exists(), f"{command} is not installed beside {sys.executable}"
    return subprocess.run(  # noqa: S603  # our own
        [program, *options], cwd=home, capture_output=True, text=True, check=False
    ).stdout


CHECKERS: dict[str, Callable[[str, Path], Found]] = {
    "pyright": by_pyright,
    "basedpyright": by_pyright,
    "mypy": by_mypy,
}


@pytest.mark.parametrize("checker", CHECKERS)
def test_every_checker_reveals_the_classes_and_refuses_what_is_misspelt(checker: str, home: Path) -> None:
    revealed, errors = CHECKERS[checker](checker, home)
    assert revealed == {line: wanted(types, checker) for line, types in REVEALS.items()}
    assert errors == ERRORS


def wanted(types: str, checker: str) -> str:
    """Of `X or Y`, what this checker reveals: mypy takes what comes from TensorFlow, which has no types, for Any."""
    precise, _, vague = types.partition(" or ")
    return vague if checker == "mypy" and vague else precise


def test_the_file_asks_for_something() -> None:
    assert len(REVEALS) > 20
    assert len(ERRORS) > 10


def test_help_shows_signatures_and_words() -> None:
    import inspect
    import pydoc

    shown: Any = pydoc.plain(pydoc.render_doc(roberta.RobertaForMaskedLM))
    assert "labels: 'Given' = None" in shown
    assert "Equation: logits = W_v LayerNorm" in shown
    assert "from_pretrained(folder_or_hub_id" in shown
    assert "seed: 'int' = 0" in shown
    assert "attention_mask" in inspect.signature(roberta.RobertaForMaskedLM.__call__).parameters
