"""The reading order that the package's docstring prints is one in which files build on those before."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from roberta import tokenizer

FOLDER = Path(tokenizer.__file__).parent
FILES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")
ORDER = re.findall(r"^\d+\. ``(\w+)``", tokenizer.__doc__, flags=re.MULTILINE)
DISK = {"files", "settings", "tokenizer_json", "folder"}


def imports_of(name):
    """The files of the folder that a file imports, those for the type checker apart."""
    tree = ast.parse((FOLDER / f"{name}.py").read_text(encoding="utf-8"))
    return {node.module for node in tree.body if isinstance(node, ast.ImportFrom) and node.level == 1}


def test_the_docstring_names_every_file_once():
    named = re.findall(r"``(\w+)``", tokenizer.__doc__)
    assert sorted(named) == sorted([*FILES, "data", "unigram"])
    assert len(ORDER) == 7


@pytest.mark.parametrize("name", ORDER)
def test_a_file_knows_none_of_those_that_come_later(name):
    reached, waiting = set(), {name}
    while waiting:
        reached |= waiting
        waiting = {found for each in waiting for found in imports_of(each)} - reached
    assert reached & set(ORDER) <= set(ORDER[: ORDER.index(name) + 1])


@pytest.mark.parametrize("name", [name for name in FILES if name not in {"library", "fast"}])
def test_only_the_fast_class_knows_the_other_engine(name):
    assert not imports_of(name) & {"library", "fast"}


@pytest.mark.parametrize("name", ["pieces", "bpe", "special", "pipeline", "library", "rows", "encoding"])
def test_engines_and_rows_know_of_no_disk(name):
    assert not imports_of(name) & DISK


def test_no_framework_is_imported():
    code = "import sys, roberta.tokenizer; print(*{'torch', 'tensorflow', 'jax', 'tokenizers'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert found.stdout.strip() == ""
