"""The gradients of every engine that trains, held against finite differences of the float64 spec's loss.

`roberta.parity.gradients` has the differences and their uncertainty, which is the whole tolerance. Here: every head
with every type of positions, decoders with and without an encoder, and every parameter of each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product
from typing import Any

import numpy as np
import pytest
from roberta.dispatch import registry
from roberta.dispatch.api import FACES
from roberta.parity.cases import Case, draw_inputs
from roberta.parity.gradients import Slope, compare_gradients, extrapolated, slopes
from roberta.reference.parameters import HEADS

POSITIONS = ("absolute", "relative_key", "relative_key_query")
KINDS = {"encoder": {}, "decoder": {"is_decoder": True}, "cross": {"is_decoder": True, "add_cross_attention": True}}
CASES = [
    *product(HEADS, POSITIONS, ["encoder"]),
    *product(["model", "causal_lm"], POSITIONS, ["decoder", "cross"]),
]


def test_the_extrapolation_knows_its_own_error() -> None:
    for function, truth in ((np.exp, 1.0), (lambda x: np.sin(3 * x), 3.0), (lambda x: 1 / (1 + x) ** 5, -5.0)):
        found = extrapolated(lambda x, function=function: float(function(x)), rounding=2.0**-52)
        assert abs(found.value - truth) <= found.uncertainty < 1e-8 * abs(truth)


@pytest.fixture(scope="module")
def truths() -> Callable[..., tuple[Case, dict[str, Slope]]]:
    """(head, position, kind) -> a case, and the derivatives of its loss; each worked out once for all engines."""
    known: dict[tuple[str, str, str], tuple[Case, dict[str, Slope]]] = {}

    def truth(name: tuple[str, str, str], make_config: Any, make_state: Any) -> tuple[Case, dict[str, Slope]]:
        if name not in known:
            case = drawn_case(name, make_config, make_state)
            known[name] = case, slopes(case, "float64")
        return known[name]

    return truth


def drawn_case(name: tuple[str, str, str], make_config: Any, make_state: Any) -> Case:
    """Right-padded rows of 7 tokens with labels; numbers in the dtype of the spec."""
    head, position, kind = name
    labels = {} if head == "question_answering" else {"num_labels": 3}
    depth = 2 if (position, kind) == ("absolute", "encoder") else 1
    config = make_config(position_embedding_type=position, num_hidden_layers=depth, **KINDS[kind], **labels)
    drawn = draw_inputs(head, config, seed=0, padding="right", length=7)
    inputs = {n: v.astype(np.float64) if np.issubdtype(v.dtype, np.floating) else v for n, v in drawn.items()}
    return Case(head, config, make_state(head, config), inputs)


@pytest.mark.parametrize("name", CASES, ids="-".join)
def test_gradients_agree_with_finite_differences_of_the_spec(
    name: tuple[str, str, str], training_backend: str, truths: Any, make_config: Any, make_state: Any
) -> None:
    case, expected = truths(name, make_config, make_state)
    model = FACES[case.head](case.config, backend=training_backend, dtype="float64", state=case.state).train(False)
    # With attentions, an engine that has a fused kernel takes the path that computes them.
    paths: list[Mapping[str, Any]] = [{}, {"output_attentions": True}] if training_backend == "torch" else [{}]
    for path in paths:
        found = model.engine.gradients(model, {**case.inputs, **path})
        assert list(found) == list(expected)
        assert all(gradient.dtype == np.float64 for gradient in found.values())
        for comparison in compare_gradients(found, expected):
            assert comparison.passed, str(comparison)


@pytest.mark.parametrize("name", CASES, ids="-".join)
def test_the_differences_are_sharp_and_idle_parameters_are_the_expected_ones(
    name: tuple[str, str, str], truths: Any, make_config: Any, make_state: Any
) -> None:
    case, expected = truths(name, make_config, make_state)
    derivatives = {parameter: slope.derivative for parameter, slope in expected.items()}
    largest = max(abs(derivative.value) for derivative in derivatives.values())
    # A test that cannot fail is no test.
    assert all(derivative.uncertainty < 1e-6 * largest for derivative in derivatives.values())
    idle = [n for n, derivative in derivatives.items() if abs(derivative.value) <= derivative.uncertainty]
    assert idle == [n for n in derivatives if is_idle(n, case)]


def is_idle(name: str, case: Case) -> bool:
    """Whether the loss does not depend on a parameter.

    A softmax does not see what all its scores share: the key's bias, unless keys meet the distance table as well; the
    bias of all choices; that of all starts and all ends, and what enters it. Relative types read no position table.
    """
    last_bias = f"roberta.encoder.layer.{case.config.num_hidden_layers - 1}.output.LayerNorm.bias"
    if name.endswith("self.key.bias"):
        return "crossattention" in name or case.config.position_embedding_type != "relative_key_query"
    if name.endswith("position_embeddings.weight"):
        return case.config.position_embedding_type != "absolute"
    shared = {"multiple_choice": ["classifier.bias"], "question_answering": [last_bias, "qa_outputs.bias"]}
    return name in shared.get(case.head, ())


def test_the_engines_that_train_are_those_with_gradients(backend: str, training_backends: list[str]) -> None:
    assert hasattr(registry.load(backend), "gradients") == (backend in training_backends)
