"""What README and docs say is so: their examples run, their links lead somewhere, their commands exist."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest
import roberta
from roberta.dispatch import registry
from roberta.reference.heads import HEAD_FUNCTIONS
from roberta.reference.parameters import CLASS_NAMES

ROOT = Path(roberta.__file__).resolve().parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
HEAD_ROW = re.compile(r"^\| `(\w+)` \|.*\| `(\w+)` \| \[heads\.py\]\(reference/heads\.py\) \|$", re.MULTILINE)


@pytest.mark.torch
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_examples_run(page, monkeypatch):
    monkeypatch.setattr(registry, "_default", None)
    examples = "\n".join(PYTHON.findall(page.read_text(encoding="utf-8")))
    parsed = doctest.DocTestParser().get_doctest(examples, {}, page.name, str(page), 0)
    assert doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS).run(parsed).failed == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page):
    targets = LINK.findall(page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_readme_has_examples():
    assert len(PYTHON.findall(PAGES[0].read_text(encoding="utf-8"))) >= 2


def test_every_make_target_that_readme_names_exists():
    named = set(re.findall(r"^    make ([\w-]+)", PAGES[0].read_text(encoding="utf-8"), re.MULTILINE))
    assert named
    rules = re.findall(r"^([\w -]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert named <= set(" ".join(rules).split())


def test_the_table_of_heads_is_complete():
    rows = HEAD_ROW.findall(PAGES[0].read_text(encoding="utf-8"))
    assert [(CLASS_NAMES[head], head) for head in HEAD_FUNCTIONS] == [(name, function) for name, function in rows]


def test_the_table_of_engines_is_complete():
    names = re.findall(r"^\| [^|]+ \| `(\w+)` \| cpu", PAGES[0].read_text(encoding="utf-8"), re.MULTILINE)
    assert names == [backend.name for backend in registry.BUILT_IN]


def test_the_table_of_verbs_is_complete():
    text = (ROOT / "docs" / "backends.md").read_text(encoding="utf-8")
    required, optional = text.split("may leave out:")
    verbs = re.findall(r"^\| `(\w+)", required, re.MULTILINE)
    assert sorted(verbs) == sorted(set(registry.load("numpy").__all__) - {"Array", "adopt_state_dict_numpy", "remark"})
    told = re.findall(r"^\| `(\w+)", optional.partition("\n## ")[0], re.MULTILINE)
    optional_verbs = {"added_shapes", "adopt_state_dict_numpy", "freeze", "gradients", "no_gradients"}
    optional_verbs |= {"compiled_forms", "seeded_by", "has_values", "own_dtype", "remark", "wants_gradient"}
    assert set(told) == {"Array", "Inference", "MAKING", "PREFIX", "REMEDIES", "require_nameable"} | optional_verbs
