"""The gradients of the PyTorch engine, held against finite differences of the float64 spec's loss.

Of each parameter, the derivative along one random direction: central differences at halving steps, extrapolated to
step 0 (Richardson), which tells its own truncation error. The rounding error of each difference is what the derived
budget permits the loss, over the step. Nothing else goes into the tolerance.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise, product
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from roberta.dispatch.api import FACES
from roberta.parity.cases import draw_inputs
from roberta.parity.tolerances import budgets
from roberta.reference.heads import HEAD_FUNCTIONS
from roberta.reference.inputs import LABELS, Inputs
from roberta.reference.losses import LOSSES
from roberta.reference.parameters import HEADS, parameter_table
from roberta.reference.weights import nest

pytestmark = pytest.mark.torch

POSITIONS = ("absolute", "relative_key", "relative_key_query")
KINDS = {"encoder": {}, "decoder": {"is_decoder": True}, "cross": {"is_decoder": True, "add_cross_attention": True}}
CASES = [
    *product(HEADS, POSITIONS, ["encoder"]),
    *product(["model", "causal_lm"], POSITIONS, ["decoder", "cross"]),
]
#: The steps halve from here. Directions have length 1, and parameters an order of magnitude of 1.
LARGEST_STEP, STEP_COUNT = 2.0**-4, 4


class Derivative(NamedTuple):
    """A derivative, and how far off it may be."""

    value: float
    uncertainty: float


def extrapolated(function: Callable[[float], float], rounding: float) -> Derivative:
    """f'(0) by Richardson's extrapolation of central differences; each value of f is off by `rounding` at most.

    The error of a difference has even powers of the step only, so that (4^j fine - coarse) / (4^j - 1) removes one
    power after another. What the last removal changed bounds the error that was left. The errors of the differences go
    through the same weights. The entry with the smallest sum of the two is taken.
    """
    steps = [LARGEST_STEP / 2**k for k in range(STEP_COUNT)]
    column = [Derivative((function(h) - function(-h)) / (2 * h), rounding / h) for h in steps]
    best = Derivative(column[0].value, float("inf"))
    for j in range(1, STEP_COUNT):
        weight = 4.0**j - 1
        finer = [
            Derivative(
                ((weight + 1) * fine.value - coarse.value) / weight,
                ((weight + 1) * fine.uncertainty + coarse.uncertainty) / weight,
            )
            for coarse, fine in pairwise(column)
        ]
        for before, after in zip(column[1:], finer, strict=True):
            total = abs(after.value - before.value) + after.uncertainty
            best = min(best, Derivative(after.value, total), key=lambda derivative: derivative.uncertainty)
        column = finer
    return best


def test_the_extrapolation_knows_its_own_error() -> None:
    for function, truth in ((np.exp, 1.0), (lambda x: np.sin(3 * x), 3.0), (lambda x: 1 / (1 + x) ** 5, -5.0)):
        found = extrapolated(lambda x, function=function: float(function(x)), rounding=2.0**-52)
        assert abs(found.value - truth) <= found.uncertainty < 1e-8 * abs(truth)


# -- the spec's loss as a function of its parameters -------------------------------------------------------------------


def spec_loss(head: str, config: Any, state: Mapping[str, Any], given: Mapping[str, Any]) -> float:
    """The loss of the spec; of the bare model, which has none, a smooth number that all its outputs go into."""
    arrays = {name: value for name, value in given.items() if name not in LABELS[head]}
    output = HEAD_FUNCTIONS[head](Inputs(**arrays), nest(state), config)
    if head == "model":
        return float(np.sin(output["last_hidden_state"]).sum() + output["pooler_output"].sum())
    return float(LOSSES[head](output, *(given[name] for name in LABELS[head]), config))


def torch_loss(model: Any, given: Mapping[str, Any], is_explicit: bool) -> torch.Tensor:
    output = model(**given, output_attentions=is_explicit)
    return output.last_hidden_state.sin().sum() + output.pooler_output.sum() if model.head == "model" else output.loss


def rounding_of_the_loss(head: str, model: Any, given: Mapping[str, Any]) -> float:
    """How far off float64 may leave the loss, from the derived budget."""
    permitted, _ = budgets(model, given, "float64")
    if head == "model":  # a sum: as its terms, whose slopes are at most 1
        return float(sum(permitted[name].limit.sum() for name in ("last_hidden_state", "pooler_output")))
    return float(permitted["loss"].limit)


def direction(parameter: Any, config: Any, rng: np.random.Generator) -> Any:
    """A random direction of length 1, without the rows of padding, which by design get no gradient as embeddings."""
    value = rng.standard_normal(parameter.shape)
    if parameter.zero_row is not None:
        value[config.pad_token_id] = 0.0
    return value / np.linalg.norm(value)


# -- the comparison ----------------------------------------------------------------------------------------------------


def case_inputs(head: str, config: Any) -> dict[str, Any]:
    """Right-padded rows of 7 tokens with labels, in the dtype of the spec."""
    drawn = draw_inputs(head, config, seed=0, padding="right", length=7)
    return {n: v.astype(np.float64) if np.issubdtype(v.dtype, np.floating) else v for n, v in drawn.items()}


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_gradients_agree_with_finite_differences_of_the_spec(
    case: tuple[str, str, str], make_config: Any, make_state: Any
) -> None:
    head, position, kind = case
    labels = {} if head == "question_answering" else {"num_labels": 3}
    depth = 2 if (position, kind) == ("absolute", "encoder") else 1
    config = make_config(position_embedding_type=position, num_hidden_layers=depth, **KINDS[kind], **labels)
    state = {name: value.astype(np.float64) for name, value in make_state(head, config).items()}
    given = case_inputs(head, config)
    build = {"state": state, "dtype": "float64"}
    rounding = rounding_of_the_loss(head, FACES[head](config, backend="numpy", **build), given)
    wanted = derivatives(head, config, state, given, rounding)
    model = FACES[head](config, backend="torch", **build).train(False)
    for is_explicit in (False, True):
        compare(model, torch_loss(model, given, is_explicit), wanted)


def derivatives(
    head: str, config: Any, state: Mapping[str, Any], given: Mapping[str, Any], rounding: float
) -> dict[str, tuple[Any, Derivative]]:
    """Parameter -> a direction, and the spec's derivative along it."""
    table, rng = parameter_table(head, config), np.random.default_rng(1)
    found: dict[str, tuple[Any, Derivative]] = {}
    for name, parameter in table.items():
        if parameter.tied_to is None:
            along = direction(parameter, config, rng)
            names = [other for other, p in table.items() if name in (other, p.tied_to)]

            def loss(step: float, names: list[str] = names, along: Any = along) -> float:
                moved = {other: state[other] + step * along for other in names}
                return spec_loss(head, config, {**state, **moved}, given)

            found[name] = along, extrapolated(loss, rounding)
    return found


def compare(model: Any, loss: torch.Tensor, wanted: Mapping[str, tuple[Any, Derivative]]) -> None:
    named = dict(model.named_parameters())
    assert list(named) == list(wanted)
    gradients = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
    largest = max(abs(derivative.value) for _, derivative in wanted.values())
    for (name, (along, derivative)), gradient in zip(wanted.items(), gradients, strict=True):
        got = 0.0 if gradient is None else float((gradient * torch.from_numpy(along)).sum())
        # A test that cannot fail is no test: the differences must be sharp.
        assert derivative.uncertainty < 1e-6 * largest, name
        assert abs(got - derivative.value) <= derivative.uncertainty, name
    idle = [name for name, (_, derivative) in wanted.items() if abs(derivative.value) <= derivative.uncertainty]
    assert idle == [name for name in wanted if is_idle(name, model)]


def is_idle(name: str, model: Any) -> bool:
    """Whether the loss does not depend on a parameter.

    A softmax does not see what all its scores share: the key's bias, unless keys meet the distance table as well; the
    bias of all choices; that of all starts and all ends, and what enters it. Relative types read no position table.
    """
    last_bias = f"roberta.encoder.layer.{model.config.num_hidden_layers - 1}.output.LayerNorm.bias"
    if name.endswith("self.key.bias"):
        return "crossattention" in name or model.config.position_embedding_type != "relative_key_query"
    if name.endswith("position_embeddings.weight"):
        return model.config.position_embedding_type != "absolute"
    shared = {"multiple_choice": ["classifier.bias"], "question_answering": [last_bias, "qa_outputs.bias"]}
    return name in shared.get(model.head, ())
