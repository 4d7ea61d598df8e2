"""What is Flax's own in `for_inference`: buckets of shapes, snapshots, programs that are traced around it."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import roberta
from flax import nnx
from roberta.backends.arrays.buckets import bucket, places
from roberta.backends.arrays.flat import flat_batch
from roberta.parity.cases import draw_case
from roberta.parity.compare import compare_outputs
from roberta.parity.probes.real_tokens import judged
from roberta.parity.tolerances import budgets, flat_outputs
from roberta.reference.inputs import Inputs

CASE = draw_case("masked_lm", 5)
INPUTS = {name: value for name, value in CASE.inputs.items() if name != "labels"}


def made() -> Any:
    return roberta.RobertaForMaskedLM(CASE.config, backend="flax", state=CASE.state)


def require(found: Any, inputs: Any, dtype: str = "float32") -> None:
    limits, _ = budgets(made().to_backend("numpy", "float64"), inputs, dtype)
    limits = {n: b.judging(judged(n, b.truth.shape, inputs, "masked_lm")) for n, b in limits.items()}
    for comparison in compare_outputs(flat_outputs(found), limits):
        assert comparison.passed, str(comparison)


def test_a_new_length_rarely_needs_a_new_program() -> None:
    twin, rng = made().for_inference(), np.random.default_rng(0)
    assert twin.runner.programs == 0
    for length in range(17, 27):
        twin(rng.integers(2, 101, (3, length)))
    assert twin.runner.programs <= len({bucket(3 * length) for length in range(17, 27)}) == 2
    ids = rng.integers(2, 101, (3, 26))
    require(twin(ids), {"input_ids": ids})


@pytest.mark.parametrize("masked", [[], [(1, 0)], [(2, 15)], [(3, t) for t in range(16)]], ids=len)
def test_rows_that_fill_their_program_are_computed_as_they_lie(masked: list[tuple[int, int]]) -> None:
    twin, ids = made().for_inference(), np.random.default_rng(0).integers(2, 101, (4, 16))
    mask = np.ones((4, 16), np.int64)
    for place in masked:
        mask[place] = 0
    inputs = {"input_ids": ids, "attention_mask": mask}
    require(twin(**inputs), inputs)
    found = places(flat_batch("masked_lm", Inputs(ids), mask, every_token=True), 64, 16, 0, fill=64)
    assert found.is_even == (not masked)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64"])
def test_other_dtypes_stay_within_their_budgets(dtype: str) -> None:
    require(made().for_inference(dtype)(**INPUTS), INPUTS, dtype)


def test_it_stays_as_it_was_when_the_model_takes_other_weights() -> None:
    model = made()
    twin = model.for_inference()
    expected = np.asarray(twin(**INPUTS).logits)
    model.load_state_dict_numpy({name: array + 1 for name, array in CASE.state.items()})
    np.testing.assert_array_equal(twin(**INPUTS).logits, expected)
    assert (np.asarray(model.for_inference()(**INPUTS).logits) != expected).any()


def test_inside_jit_and_grad_its_model_computes() -> None:
    model = made()
    twin, ids = model.for_inference(), jnp.asarray(INPUTS["input_ids"][:1])
    require(jax.jit(lambda tokens: twin(tokens))(ids), {"input_ids": INPUTS["input_ids"][:1]})
    vectors = jnp.asarray(CASE.state["roberta.embeddings.word_embeddings.weight"])[ids]
    found, expected = (jax.grad(lambda x, m=m: m(inputs_embeds=x).logits.sum())(vectors) for m in (twin, model))
    np.testing.assert_array_equal(found, expected)


def test_modules_that_compute_otherwise_are_named() -> None:
    class Scaled(nnx.Module):
        def __init__(self, inner: Any) -> None:
            self.inner = inner

        def __call__(self, x: Any) -> Any:
            return 2 * self.inner(x)

    model = made()
    model.lm_head.dense = Scaled(model.lm_head.dense)
    with pytest.raises(TypeError, match=r"lm_head\.dense is a Scaled; merge or remove it first"):
        model.for_inference()
