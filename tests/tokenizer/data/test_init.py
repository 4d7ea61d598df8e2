"""The room of data: its reading order is the order in which its files build on each other."""

import ast
import re
from pathlib import Path

import pytest
from roberta import tokenizer
from roberta.tokenizer import data

FOLDER = Path(data.__file__).parent
ORDER = re.findall(r"^\d+\. ``(\w+)``", data.__doc__, flags=re.MULTILINE)


def imports_of(name, level):
    tree = ast.parse((FOLDER / f"{name}.py").read_text(encoding="utf-8"))
    return {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level == level}


def test_the_reading_order_is_of_all_files():
    assert {path.stem for path in FOLDER.glob("*.py")} == {"__init__", *ORDER}
    assert len(ORDER) == len(set(ORDER))


@pytest.mark.parametrize("name", ORDER)
def test_a_file_builds_on_those_above_and_knows_of_the_tokenizer_the_record_of_a_call(name):
    assert imports_of(name, 1) <= set(ORDER[: ORDER.index(name)])
    assert imports_of(name, 2) <= {"encoding"}


def test_what_the_tokenizer_hands_on_is_the_rooms_own():
    both = set(data.__all__) & set(tokenizer.__all__)
    assert {"DynamicMasker", "MaskedLMCollator", "pack_full_sentences", "ShuffledStream"} < both
    assert all(getattr(tokenizer, name) is getattr(data, name) for name in both)
