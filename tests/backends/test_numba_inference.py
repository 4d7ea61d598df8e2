"""What is Numba's own in `for_inference`: packed weights are shared, and rows equal to the bit in any batch."""

from __future__ import annotations

import gc
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import roberta
from roberta.parity.cases import draw_case
from roberta.parity.compare import compare_outputs
from roberta.parity.probes.real_tokens import judged
from roberta.parity.tolerances import budgets, flat_outputs

pytestmark = pytest.mark.numba
CASE = draw_case("masked_lm", 5)
INPUTS = {name: value for name, value in CASE.inputs.items() if name != "labels"}


def made(dtype: str = "float32") -> Any:
    return roberta.RobertaForMaskedLM(CASE.config, backend="numba", state=CASE.state, dtype=dtype)


def test_float64_is_within_its_budget() -> None:
    twin = made().for_inference("float64")
    assert twin.dtype == "float64"
    limits, _ = budgets(made().to_backend("numpy", "float64"), INPUTS, "float64")
    limits = {n: b.judging(judged(n, b.truth.shape, INPUTS, "masked_lm")) for n, b in limits.items()}
    for comparison in compare_outputs(flat_outputs(twin(**INPUTS)), limits):
        assert comparison.passed, str(comparison)


def test_it_stays_as_it_was_when_the_model_takes_other_weights() -> None:
    model = made()
    twin = model.for_inference()
    expected = twin(**INPUTS).logits
    model.load_state_dict_numpy({name: array + 1 for name, array in CASE.state.items()})
    np.testing.assert_array_equal(twin(**INPUTS).logits, expected)
    assert (model.for_inference()(**INPUTS).logits != expected).any()


def test_without_its_model_the_plain_weights_are_gone() -> None:
    model = made()
    twin = model.for_inference(keep_weights=False)
    plain = weakref.ref(model.parameters["roberta"]["encoder"]["layer"]["0"]["intermediate"]["dense"]["weight"])
    del model
    gc.collect()
    assert plain() is None
    twin(**INPUTS)


def test_a_row_is_the_same_to_the_bit_whatever_else_is_in_the_batch() -> None:
    twin = made().for_inference()
    together = twin(**INPUTS).logits
    for b in range(3):
        alone = twin(**{name: value[b : b + 1] for name, value in INPUTS.items()}).logits
        np.testing.assert_array_equal(alone[0], together[b])


def test_padding_more_changes_no_bit() -> None:
    twin = made().for_inference()
    longer = {name: np.pad(value, ((0, 0), (4, 3))) for name, value in INPUTS.items()}
    longer["input_ids"][longer["attention_mask"] == 0] = CASE.config.pad_token_id
    np.testing.assert_array_equal(twin(**longer).logits[:, 4:-3], twin(**INPUTS).logits)


def test_threads_share_it() -> None:
    twin = made().for_inference()
    expected = twin(**INPUTS).logits
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: twin(**INPUTS).logits, range(16)):
            np.testing.assert_array_equal(found, expected)
