"""Every example in a docstring runs and prints what it says."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest
import roberta
from roberta.dispatch import registry

ROOT = Path(roberta.__file__).resolve().parent
FOLDERS = ("reference", "tokenizer", "backends", "dispatch", "parity", "teaching")
#: Folder -> the engine that its modules cannot be imported without.
ENGINES = {
    "roberta.backends.numba": "numba",
    "roberta.backends.pytorch": "torch",
    "roberta.backends.tensorflow": "tensorflow",
    "roberta.backends.flax": "flax",
    "roberta.tokenizer.fast": "tokenizers",
}


def modules() -> list[str]:
    """The package's modules by their full names."""
    files = [*ROOT.glob("*.py"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))]
    names = [".".join(("roberta", *path.relative_to(ROOT).with_suffix("").parts)) for path in files]
    return sorted(name.removesuffix(".__init__") for name in names)


def marks(name: str) -> list[pytest.MarkDecorator]:
    return [getattr(pytest.mark, engine) for start, engine in ENGINES.items() if name.startswith(start)]


@pytest.mark.parametrize("name", [pytest.param(name, marks=marks(name)) for name in modules()])
def test_examples_of(name, monkeypatch):
    monkeypatch.setattr(registry, "_default", None)  # an example sets it; this puts it back
    found = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert found.failed == 0


def test_an_example_that_lies_is_found():
    example = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "lie", None, 0)
    assert doctest.DocTestRunner(verbose=False).run(example, out=lambda _: None).failed == 1
