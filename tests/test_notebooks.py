"""The notebooks run, and say what is written in them: their outputs are those of the code that is there.

`jupyter execute --inplace docs/notebooks/NAME.ipynb`, in the repository's root, computes them anew.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import nbformat
import pytest
import roberta
from nbclient import NotebookClient

FOLDER = Path(roberta.__file__).resolve().parent / "docs" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
ENGINES = [pytest.mark.numba, pytest.mark.torch, pytest.mark.tensorflow, pytest.mark.flax]
RUN = [
    pytest.param("by_hand"),
    pytest.param("audit_a_port", marks=[pytest.mark.slow, pytest.mark.torch]),
    pytest.param("five_engines", marks=[pytest.mark.slow, *ENGINES]),
]


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def said(cell: nbformat.NotebookNode) -> list[str]:
    """What a cell prints and shows as text; pictures, and warnings of libraries, are the machine's own."""
    printed = "".join(one["text"] for one in cell["outputs"] if one.get("name") == "stdout")
    shown = [one["data"]["text/plain"] for one in cell["outputs"] if "data" in one and "image/png" not in one["data"]]
    return [printed, *shown]


@pytest.mark.parametrize("name", RUN)
@pytest.mark.filterwarnings("ignore")
def test_a_notebook_says_what_is_written_in_it(name):
    path = FOLDER / f"{name}.ipynb"
    written, again = read(path), read(path)
    NotebookClient(again, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(FOLDER)}}).execute()
    assert len(written.cells) > 10
    for before, after in zip(written.cells, again.cells, strict=True):
        if before.cell_type == "code" and "varies" not in before.metadata.get("tags", []):
            assert said(after) == said(before), before.source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_whole_small_and_of_no_machine(path):
    text = path.read_text(encoding="utf-8")
    cells = [cell for cell in read(path).cells if cell.cell_type == "code"]
    assert len(text) < 300_000
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not [
        one for cell in cells for one in cell.outputs if one.output_type == "error" or one.get("name") == "stderr"
    ]
    assert not re.search(r"/(home|root|work|tmp|Users)/|site-packages|\b\d\d:\d\d:\d\d\b", text)
    assert "execution" not in json.dumps([dict(cell.metadata) for cell in cells])


def test_every_notebook_is_run():
    assert sorted(parameter.values[0] for parameter in RUN) == [path.stem for path in NOTEBOOKS]
