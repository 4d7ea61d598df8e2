"""What runs in the browser, run here: the stand-ins beside the libraries, the cells, and the links of the pages."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors
from roberta.dispatch import checkpoint
from roberta.reference import layers
from roberta.teaching.exercises import EXERCISES
from safetensors.numpy import save_file

ROOT = Path(__file__).resolve().parent.parent.parent
SENTENCE = "He was the eldest <mask> of a clergyman, and had no fortune of his own."
WEIGHTS = Path(checkpoint.locate(checkpoint.DEFAULT_CHECKPOINT)) / "model.safetensors"


def module(name: str):
    """A file of `site`, which is no package."""
    sys.path.insert(0, str(ROOT / "site"))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(ROOT / "site"))


@pytest.fixture(scope="module")
def spec():
    return module("spec")


def ask(spec, verb, **given):
    return json.loads(spec.answer(verb, json.dumps(given)))


# -- stand-ins ---------------------------------------------------------------------------------------------------------


def test_the_stand_in_reads_the_checkpoint_as_the_library_does():
    path, stand_in = str(WEIGHTS), module("stand_ins").safe_open
    with stand_in(path, framework="numpy") as found, safetensors.safe_open(path, framework="numpy") as expected:
        assert found.keys() == sorted(expected.keys())
        for name in found.keys():  # noqa: SIM118  # no mapping
            np.testing.assert_array_equal(found.get_tensor(name), expected.get_tensor(name), strict=True)


def test_the_stand_in_refuses_what_it_lacks(tmp_path):
    stand_ins = module("stand_ins")
    save_file({"x": np.array([1, 2], np.uint16)}, tmp_path / "x.safetensors")
    with pytest.raises(stand_ins.SafetensorError, match=r"x: .* no U16"):
        stand_ins.safe_open(str(tmp_path / "x.safetensors"), "numpy").get_tensor("x")
    with pytest.raises(stand_ins.SafetensorError, match="'pt'"):
        stand_ins.safe_open(str(WEIGHTS), "pt")


def test_a_library_that_is_there_is_not_stood_in_for():
    module("stand_ins").install()
    assert importlib.import_module("safetensors") is safetensors


# -- cells -------------------------------------------------------------------------------------------------------------


def test_every_function_that_can_be_edited_is_run(spec):
    """Each, where it does nothing but fail, stops the pass; and is itself again for the next one."""
    for name in spec.EDITABLE:
        head = f"def {name.partition('.')[2]}(*args, **names):\n    raise ZeroDivisionError('seen')"
        assert ask(spec, "run_cell", name=name, source=head, text=SENTENCE)["error"] == {
            "kind": "ZeroDivisionError",
            "message": "seen",
            "line": 2,
        }
    assert ask(spec, "run_cell", name=name, source=spec._source(name), text=SENTENCE)["value"]["first"] is None


def test_a_cell_may_define_more_and_leaves_nothing_behind(spec):
    before, code = dict(vars(layers)), layers.gelu.__code__
    source = "half = 0.5\ndef tanh(x):\n    return x\ndef gelu(x, tap=None, *, more=1):\n    return half * tanh(x)"
    value = ask(spec, "run_cell", name="layers.gelu", source=source, text=SENTENCE)["value"]
    assert value["first"] == "roberta.encoder.layer.0.intermediate.output"
    assert vars(layers) == before
    assert layers.gelu.__code__ is code
    assert layers.gelu.__kwdefaults__ is None


def test_numbers_that_json_lacks_are_none_of_the_answer(spec):
    source = "def gelu(x, tap=None):\n    return x * float('nan')"
    value = ask(spec, "run_cell", name="layers.gelu", source=source, text=SENTENCE)["value"]
    assert max(value["ratios"].values()) == 1e12
    assert [word["probability"] for word in value["words"][0]] == [0.0] * 5


def test_what_is_no_function_of_the_spec_is_refused(spec):
    error = ask(spec, "run_cell", name="os.system", source="", text=SENTENCE)["error"]
    assert "layers.gelu" in error["message"]
    assert ask(spec, "fill_mask", text="none")["error"]["kind"] == "ValueError"


# -- exercises ---------------------------------------------------------------------------------------------------------


def test_every_exercise_is_offered_and_judged(spec):
    offered = ask(spec, "about")["value"]["exercises"]
    assert [one["name"] for one in offered] == list(EXERCISES)
    unwritten = ask(spec, "judge", name="gelu", source=next(one["source"] for one in offered if one["name"] == "gelu"))
    assert "not written yet" in unwritten["value"]["verdict"]
    lines = ("import math", "import numpy as np", "def gelu(x):", "    print(1)")
    right = "\n".join([*lines, "    return x * np.vectorize(math.erfc)(-x / 2**0.5) / 2"])
    verdict = ask(spec, "judge", name="gelu", source=right)["value"]
    assert (verdict["passed"], verdict["printed"]) == (True, "1\n" * 3)
    wrong = ask(spec, "judge", name="gelu", source="def gelu(x):\n    return x * (x > 0)")["value"]
    assert not wrong["passed"]
    assert "ReLU" in wrong["verdict"]


def test_what_is_no_answer_to_an_exercise_is_told(spec):
    assert "define a function gelu; it defines f" in ask(spec, "judge", name="gelu", source="f = 1")["error"]["message"]
    verdict = ask(spec, "judge", name="gelu", source="def gelu(x):\n    return x.nothing")["value"]["verdict"]
    assert "AttributeError" in verdict
    assert "line 2" in verdict


# -- pages -------------------------------------------------------------------------------------------------------------


def test_links_lead_to_the_pages_of_what_they_name():
    pytest.importorskip("nbconvert", reason="pip install 'roberta[site]'")
    staging = module("staging")
    text, linked, _ = staging._page(ROOT / "README.md")
    assert "](source/reference/heads.py.md)" in text
    assert "](checkpoints/austen.md)" in text
    assert ROOT / "reference/heads.py" in linked
    assert "](source/dispatch/model.py.md" in staging._page(ROOT / "docs/backends.md")[0]
    assert staging._page(ROOT / "reference/heads.py")[0].startswith("# reference/heads.py\n")


def test_a_notebook_becomes_a_tutorial(tmp_path, monkeypatch):
    nbformat = pytest.importorskip("nbformat", reason="pip install 'roberta[site]'")
    staging, new = module("staging"), nbformat.v4
    output = new.new_output("stream", text="<b>seen</b>\n")
    link = new.new_markdown_cell("# By hand\nAs [docs](../budgets.md) and [code](../../heads.py) say.")
    cells = [link, new.new_code_cell("print(1)", outputs=[output])]
    for name in ("docs/notebooks", "pages"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("docs/budgets.md", "heads.py"):
        (tmp_path / name).write_text("")
    notebook = tmp_path / "docs/notebooks/hand.ipynb"
    nbformat.write(new.new_notebook(cells=cells), notebook)
    monkeypatch.setattr(staging, "ROOT", tmp_path)
    assert staging._tutorials(tmp_path / "pages") == [notebook]
    assert "* [By hand](tutorials/hand/index.md)" in (tmp_path / "pages/tutorials.md").read_text()
    staging._stage_documents(tmp_path / "pages", [notebook])
    page = (tmp_path / "pages/tutorials/hand/index.md").read_text()
    assert "print(1)" in page
    assert "As [docs](../../budgets.md) and [code](../../source/heads.py.md) say." in page
