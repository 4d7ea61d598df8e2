"""Functions whose names mean something else."""

from typing import Any

import numpy as np
from roberta.reference import losses
from roberta.reference.scopes import in_scope

FACTOR = 2


def scaled(x: int, power: int = 2, *, sign: int = 1) -> int:
    """x to a power, times the factor."""
    return sign * FACTOR * x**power


def test_only_the_names_that_are_said_mean_something_else():
    twin = in_scope(scaled, {"FACTOR": 3})
    assert (twin(5), twin(5, 1), scaled(5)) == (75, 15, 50)
    assert twin.__doc__ == scaled.__doc__


def test_options_by_name_keep_their_defaults():
    assert in_scope(scaled, {})(5, sign=-1) == -50
    assert in_scope(scaled, {})(5) == 50


def test_names_that_are_not_said_are_those_of_the_functions_own_file():
    twin: Any = in_scope(losses.causal_loss, {"cross_entropy": lambda logits, labels: (logits.shape, labels.tolist())})
    assert twin({"logits": np.zeros((1, 3, 7))}, np.array([[4, 5, 6]]), None) == ((2, 7), [5, 6])
