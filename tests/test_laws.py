"""Laws that hold for every model, whatever its weights: of batches, padding, masks and inputs, on every engine.

Each changes a call in a way that the spec's result ignores, or follows exactly, and holds the engine's float32 outputs
against what the spec gives in float64 for the unchanged call, within its budget. `tests/test_cache.py` has the law of
the cache, and `tests/dispatch/test_surgery.py` the one of pruned heads.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import pytest
from roberta.dispatch.api import FACES
from roberta.parity.cases import Case, draw_case
from roberta.parity.compare import compare_outputs
from roberta.parity.tolerances import Budget, budgets, flat_outputs
from roberta.reference.inputs import LABELS
from roberta.reference.parameters import HEADS

HEAD = pytest.mark.parametrize("head", HEADS)
pytestmark = pytest.mark.filterwarnings("ignore:.*reads the first token, which is masked")
#: Rows and tokens of a drawn case.
B, T = 3, 13
READ_THE_FIRST_TOKEN = frozenset({"sequence_classification", "multiple_choice"})


@cache
def case_of(head: str, padding: str = "right", is_decoder: bool = False) -> Case:
    return draw_case(head, 13, padding, is_decoder=is_decoder, use_cache=False)


def inputs_of(case: Case) -> dict[str, Any]:
    """Without labels: a loss is of the batch, not of its rows."""
    return {name: value for name, value in case.inputs.items() if name not in LABELS[case.head]}


@cache
def permitted(head: str, padding: str = "right", is_decoder: bool = False) -> dict[str, Budget]:
    case = case_of(head, padding, is_decoder)
    outputs, _ = budgets(model_of(case, "numpy", "float64"), inputs_of(case), "float32")
    return outputs


def model_of(case: Case, backend: str, dtype: str = "float32") -> Any:
    return FACES[case.head](case.config, backend=backend, dtype=dtype, state=case.state).train(False)


def at(budget: Budget, index: Any) -> Budget:
    return Budget(budget.truth[index], budget.sigma[index], budget.limit[index])


def require(found: Mapping[str, Any], limits: Mapping[str, Budget]) -> None:
    for comparison in compare_outputs(found, limits):
        assert comparison.passed, str(comparison)


# -- batches -----------------------------------------------------------------------------------------------------------


@HEAD
def test_a_row_does_not_depend_on_its_batch(head: str, backend: str) -> None:
    case, limits = case_of(head), permitted(head)
    model = model_of(case, backend)
    for b in range(3):
        alone = {name: value[b : b + 1] for name, value in inputs_of(case).items()}
        require(flat_outputs(model(**alone)), {name: at(budget, np.s_[b : b + 1]) for name, budget in limits.items()})


@HEAD
def test_rows_in_another_order_give_the_same_in_that_order(head: str, backend: str) -> None:
    case, order = case_of(head), [2, 0, 1]
    moved = {name: value[order] for name, value in inputs_of(case).items()}
    found = flat_outputs(model_of(case, backend)(**moved))
    require(found, {name: at(budget, order) for name, budget in permitted(head).items()})


@pytest.mark.parametrize("order", [[0, 1], [1, 0]], ids=["as they are", "the other way round"])
def test_choices_do_not_see_each_other(order: list[int], backend: str) -> None:
    case = case_of("multiple_choice")
    moved = {name: value[:, order] for name, value in inputs_of(case).items()}
    found = flat_outputs(model_of(case, backend)(**moved))
    require(found, {"logits": at(permitted("multiple_choice")["logits"], np.s_[:, order])})


# -- padding -----------------------------------------------------------------------------------------------------------

#: On the left, what reads the first token reads padding.
SIDES = [(head, "right") for head in HEADS] + [(h, "left") for h in HEADS if h not in READ_THE_FIRST_TOKEN]


@pytest.mark.parametrize("is_decoder", [False, True], ids=["encoder", "decoder"])
@pytest.mark.parametrize(("head", "side"), SIDES)
def test_padding_changes_nothing_at_the_text(head: str, side: str, is_decoder: bool, backend: str) -> None:
    case, limits, P = case_of(head, "none", is_decoder), permitted(head, "none", is_decoder), 5
    longer = {name: padded(name, value, side, P, case.config) for name, value in inputs_of(case).items()}
    found = flat_outputs(model_of(case, backend)(**longer))
    by_token = [name for name, budget in limits.items() if budget.truth.shape[:2] == (B, T)]
    text = np.s_[:, P:] if side == "left" else np.s_[:, :T]
    judged = by_token if side == "left" else list(limits)
    at_text = {name: found[name][text] if name in by_token else found[name] for name in judged}
    require(at_text, {name: limits[name] for name in judged})


def padded(name: str, value: Any, side: str, count: int, config: Any) -> Any:
    """An argument with more columns: padding ids, masked, of type 0."""
    columns = (count, 0) if side == "left" else (0, count)
    widths = [(0, 0)] * (value.ndim - 1) + [columns]
    return np.pad(value, widths, constant_values=config.pad_token_id if name == "input_ids" else 0)


# -- masks -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_decoder", [False, True], ids=["encoder", "decoder"])
@HEAD
def test_a_mask_of_tokens_is_the_same_mask_from_every_token(head: str, is_decoder: bool, backend: str) -> None:
    case = case_of(head, "inner", is_decoder)
    given = inputs_of(case)
    mask = np.repeat(given["attention_mask"][..., None, :], T, axis=-2)
    written_out = np.tril(mask) if is_decoder else mask
    found = flat_outputs(model_of(case, backend)(**{**given, "attention_mask": written_out}))
    require(found, permitted(head, "inner", is_decoder))


@HEAD
def test_a_mask_of_ones_is_no_mask(head: str, backend: str) -> None:
    case = case_of(head, "none")
    ones = np.ones((case.config.num_hidden_layers, case.config.num_attention_heads))
    given = {name: value for name, value in inputs_of(case).items() if name != "attention_mask"}
    require(flat_outputs(model_of(case, backend)(**given, head_mask=ones)), permitted(head, "none"))


@pytest.mark.parametrize("head", ["model", "causal_lm"])
def test_a_decoder_does_not_see_what_comes_later(head: str, backend: str) -> None:
    case, P = case_of(head, "none", is_decoder=True), 6
    start = {name: value[:, :P] for name, value in inputs_of(case).items()}
    (name, budget) = next(iter(permitted(head, "none", is_decoder=True).items()))
    require({name: flat_outputs(model_of(case, backend)(**start))[name]}, {name: at(budget, np.s_[:, :P])})


# -- inputs ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_writable", [False, True], ids=["read-only", "writable"])
@HEAD
def test_inputs_are_read_and_never_written(head: str, is_writable: bool, backend: str) -> None:
    case = case_of(head, "left")
    ones = np.ones((case.config.num_hidden_layers, case.config.num_attention_heads), np.float32)
    given = {name: value.copy() for name, value in {**case.inputs, "head_mask": ones}.items()}
    for value in given.values():
        value.flags.writeable = is_writable
    before = {name: value.copy() for name, value in given.items()}
    model_of(case, backend)(**given)
    assert all(np.array_equal(value, before[name]) for name, value in given.items())
