"""The ladder that the package's docstring prints is the one that the files make."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from roberta import tokenizer

FOLDER = Path(tokenizer.__file__).parent
RUNGS = re.findall(r"^\d+\. ``(\w+)``", tokenizer.__doc__, flags=re.MULTILINE)


def imports_of(name):
    tree = ast.parse((FOLDER / f"{name}.py").read_text(encoding="utf-8"))
    return {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level == 1}


def test_every_file_is_a_rung():
    assert {path.stem for path in FOLDER.glob("*.py")} == {"__init__", *RUNGS}
    assert len(RUNGS) == len(set(RUNGS)) > 20


@pytest.mark.parametrize("name", RUNGS)
def test_a_rung_builds_on_those_above(name):
    assert imports_of(name) <= set(RUNGS[: RUNGS.index(name)])


def test_no_framework_is_imported():
    code = "import sys, roberta.tokenizer; print(*{'torch', 'tensorflow', 'jax', 'tokenizers'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert found.stdout.strip() == ""
