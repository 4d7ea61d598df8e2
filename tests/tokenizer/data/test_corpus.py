"""What the corpus is read from: anything that holds rows, and nothing that only looks like one."""

import numpy as np
import pytest
from roberta.tokenizer.data.corpus import as_integers, as_rows, as_texts, column, optional_column, text_column


class Indexed:
    """A data set without an iterator of its own."""

    def __getitem__(self, index):
        return [10, 11][index]


@pytest.mark.parametrize("values", [[10, 11], (10, 11), range(10, 12), Indexed(), iter([10, 11]), np.array([10, 11])])
def test_integers_come_in_anything(values):
    found = as_integers(values, "ids", "encode them")
    assert found == [10, 11]
    assert {type(value) for value in found} == {int}


@pytest.mark.parametrize(
    "values", ["12", b"12", {1: 2}, 12, None, [1.0], ["1"], [None], [[1]], np.array([1.5]), np.array(1)]
)
def test_what_are_no_integers_is_said(values):
    with pytest.raises(TypeError, match=r"^ids: expected (a list|integers), got .*; encode them$"):
        as_integers(values, "ids", "encode them")


def test_texts_may_be_an_array_and_no_text():
    assert as_texts(np.array(["the", "cat"]), "words", "split") == ["the", "cat"]
    for values in ("the cat", ["the", None], {"the": 1}):
        with pytest.raises(TypeError, match=r"^words: expected (a list|str), got .*; split$"):
            as_texts(values, "words", "split")


def test_rows_are_handed_on_as_they_are():
    rows = iter([])
    assert as_rows(rows, "documents", "pass some") is rows


def test_a_field_is_in_all_examples_or_in_none():
    examples = [{"a": None, "b": 1}, {"a": 0}]
    assert column(examples, "a") == [None, 0]
    assert optional_column(examples, "c") is None
    with pytest.raises(ValueError, match="expected 'b' in all 2 or in none, got it in 1; split"):
        optional_column(examples, "b")
    with pytest.raises(ValueError, match=r"expected each to be a mapping with 'c', got \['a', 'b'\]; rename"):
        column(examples, "c")
    with pytest.raises(TypeError, match="expected mappings, got str 'a' in example 0; pass a dict with 'a'"):
        column(["a"], "a")
    assert text_column([{"a": "the"}, {"a": "cat"}], "a") == ["the", "cat"]
    with pytest.raises(TypeError, match=r"^a: expected str, got NoneType None at place 0; pass str$"):
        text_column(examples, "a")
