import sys
from types import SimpleNamespace

import numpy as np
import pytest
from roberta.tokenizer.tensors import to_tensor


def test_numpy():
    found = to_tensor("input_ids", [[0, 2], [5, 2]], "np")
    assert isinstance(found, np.ndarray)
    assert (found.dtype, found.tolist()) == (np.int64, [[0, 2], [5, 2]])
    assert to_tensor("input_ids", [[]], "np").dtype == np.int64
    assert to_tensor("offset_mapping", [[(0, 1), (1, 2)]], "np").shape == (1, 2, 2)


def test_floats_stay_floats():
    """Labels of a regression are not cut off, and a batch without rows is one of integers."""
    assert to_tensor("labels", [0.5, 2], "np").tolist() == [0.5, 2]
    assert to_tensor("labels", [0.5, 2], "np").dtype == "float32"
    assert to_tensor("input_ids", [], "np").dtype == "int64"


@pytest.mark.torch
def test_torch():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    found = to_tensor("input_ids", [[0, 2]], "pt")
    assert isinstance(found, torch.Tensor)
    assert (found.dtype, found.tolist()) == (torch.int64, [[0, 2]])


@pytest.mark.parametrize(
    ("name", "module", "maker"), [("tf", "tensorflow", "constant"), ("jax", "jax.numpy", "asarray")]
)
def test_int32_for_the_frameworks_that_want_it(monkeypatch, name, module, maker):
    """A stand-in for the framework: what is tested is what it is given."""
    monkeypatch.setitem(sys.modules, module.split(".")[0], SimpleNamespace(__path__=[]))
    monkeypatch.setitem(sys.modules, module, SimpleNamespace(**{maker: lambda array: ("made", array)}))
    made, array = to_tensor("input_ids", [[0, 2]], name)
    assert (made, array.dtype, array.tolist()) == ("made", np.int32, [[0, 2]])


@pytest.mark.parametrize(("name", "module"), [("pt", "torch"), ("tf", "tensorflow"), ("jax", "jax.numpy")])
def test_a_missing_framework_is_named_with_the_line_to_type(monkeypatch, name, module):
    monkeypatch.setitem(sys.modules, module, None)
    package = module.split(".")[0]
    with pytest.raises(
        ImportError, match=rf"return_tensors='{name}' needs {package}, .*; pip install {package}, or use"
    ):
        to_tensor("input_ids", [[0]], name)


def test_rows_of_different_lengths_are_refused_not_made_objects():
    with pytest.raises(
        ValueError, match=r"input_ids: expected rows of one length .*lengths \[1, 2\]; pass padding=True"
    ):
        to_tensor("input_ids", [[0], [0, 2]], "np")


@pytest.mark.parametrize(("rows", "got"), [(["a", "b"], "str 'a'"), ([1, None], "NoneType None"), ([[0, "x"]], "str")])
def test_texts_are_no_tensor(rows, got):
    with pytest.raises(ValueError, match=rf"text: expected numbers .*got {got}.*; take that field out.*remove_columns"):
        to_tensor("text", rows, "np")


def test_a_framework_that_does_not_exist():
    with pytest.raises(
        ValueError, match="return_tensors: expected one of 'np', 'pt', 'tf', 'jax' or None, got 'keras'; pass"
    ):
        to_tensor("input_ids", [[0]], "keras")
