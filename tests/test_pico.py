"""The hundred lines of `examples/pico.py` are the spec's masked language model, to the bit."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import roberta

PATH = Path(roberta.__file__).parent / "examples/pico.py"
AUSTEN = Path(roberta.__file__).parent / "checkpoints/austen"
TEXTS = ["No one who had ever seen Catherine Morland.", "<mask>", "She was the youngest of the two <mask> of a most"]


@pytest.fixture(scope="module")
def pico():
    spec = importlib.util.spec_from_file_location("pico", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("side", ["right", "left"])
def test_its_logits_are_the_specs_to_the_bit(pico, side, dtype):
    tokenizer = roberta.RobertaTokenizer.from_pretrained(AUSTEN, padding_side=side)
    batch = tokenizer(TEXTS, padding=True, return_tensors="np")
    assert (batch["attention_mask"] == 0).any()
    model = roberta.RobertaForMaskedLM.from_pretrained(AUSTEN, backend="numpy", dtype=dtype)
    logits = pico.masked_lm(batch["input_ids"], *pico.load(AUSTEN, dtype))
    assert logits.dtype == dtype
    assert np.array_equal(logits, model(**batch).logits)


def test_it_prints_the_fills_that_the_task_finds():
    text = "He was the eldest <mask> of a clergyman, and she the <mask> of a lawyer."
    done = subprocess.run([sys.executable, PATH, text], capture_output=True, text=True, check=True)  # noqa: S603
    found = roberta.fill_mask(text)
    assert done.stdout.splitlines() == [", ".join(fill.token_str.strip() for fill in fills) for fills in found]


def test_it_is_a_hundred_lines_that_need_no_framework_and_nothing_of_the_package_but_its_words():
    source = PATH.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 100
    top = [node for node in ast.parse(source).body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {alias.name for node in top if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in top if isinstance(node, ast.ImportFrom)}
    assert names == {"json", "sys", "math", "pathlib", "numpy", "safetensors.numpy", "scipy.special"}
