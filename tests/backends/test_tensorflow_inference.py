"""What is TensorFlow's own in `for_inference`: open sizes, XLA's buckets, mixed policies, snapshots, layers."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import roberta
import tensorflow as tf
from roberta.backends.arrays.buckets import bucket
from roberta.parity.cases import draw_case
from roberta.parity.compare import compare_outputs
from roberta.parity.probes.real_tokens import judged
from roberta.parity.tolerances import budgets, flat_outputs

CASE = draw_case("masked_lm", 5)
INPUTS = {name: value for name, value in CASE.inputs.items() if name != "labels"}


def made() -> Any:
    return roberta.RobertaForMaskedLM(CASE.config, backend="tensorflow", state=CASE.state)


def require(found: Any, inputs: Any = INPUTS, dtype: str = "float32") -> None:
    limits, _ = budgets(made().to_backend("numpy", "float64"), inputs, dtype)
    limits = {n: b.judging(judged(n, b.truth.shape, inputs, "masked_lm")) for n, b in limits.items()}
    for comparison in compare_outputs(flat_outputs(found), limits):
        assert comparison.passed, str(comparison)


def test_a_new_length_traces_nothing() -> None:
    twin, rng = made().for_inference(), np.random.default_rng(0)
    assert twin.runner.programs == 0
    twin(**INPUTS)
    ids = rng.integers(2, 101, (3, 26))
    require(twin(ids), {"input_ids": ids})
    count = twin.runner.programs
    assert count == 3  # rows of several sizes, rows of one, and the head
    for length in range(5, 26):
        twin(rng.integers(2, 101, (3, length)))
    assert twin.runner.programs == count


def test_xla_compiles_for_buckets() -> None:
    model = made()
    model.jit_compile = True
    twin, rng, sizes = model.for_inference(), np.random.default_rng(0), set()
    require(twin(**INPUTS))
    body = twin.runner.encoded
    twin.runner.encoded = lambda *given: sizes.add(len(body(*given)[0])) or body(*given)
    for length in range(17, 27):
        ids = rng.integers(2, 101, (3, length))
        found = twin(ids)
    require(found, {"input_ids": ids})
    assert sizes == {bucket(3 * length) for length in range(17, 27)} == {64, 128}


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64"])
def test_other_dtypes_stay_within_their_budgets(dtype: str) -> None:
    require(made().for_inference(dtype)(**INPUTS), INPUTS, dtype)


def test_a_mixed_policy_is_kept() -> None:
    model = made()
    model.dtype_policy = "mixed_bfloat16"
    twin = model.for_inference()
    assert (twin.runner.compute_dtype, twin(**INPUTS).logits.dtype) == ("bfloat16", tf.bfloat16)
    require(twin(**INPUTS), INPUTS, "bfloat16")


def test_it_stays_as_it_was_when_the_model_takes_other_weights() -> None:
    model = made()
    twin = model.for_inference()
    expected = twin(**INPUTS).logits.numpy()
    for variable in model.variables:
        if variable.dtype == "float32":
            variable.assign_add(keras.ops.ones_like(variable))
    np.testing.assert_array_equal(twin(**INPUTS).logits, expected)
    assert (model.for_inference()(**INPUTS).logits.numpy() != expected).any()


def test_in_a_traced_function_and_under_a_tape_its_model_computes() -> None:
    model = made()
    twin, ids = model.for_inference(), tf.constant(INPUTS["input_ids"][:1])
    require(tf.function(lambda tokens: twin(tokens))(ids), {"input_ids": INPUTS["input_ids"][:1]})
    vectors = tf.gather(model.get_input_embeddings().weight.value, ids)

    @tf.function
    def gradient(compute: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(vectors)
            total = tf.reduce_sum(compute(inputs_embeds=vectors).logits)
        return tape.gradient(total, vectors)

    np.testing.assert_array_equal(gradient(twin), gradient(model))


def test_layers_that_compute_otherwise_are_named() -> None:
    class Scaled(keras.layers.Layer):
        def __init__(self, inner: Any) -> None:
            super().__init__()
            self.inner = inner

        def call(self, x: Any) -> Any:
            return 2 * self.inner(x)

    model = made()
    model.lm_head.dense = Scaled(model.lm_head.dense)
    with pytest.raises(TypeError, match=r"is a Scaled; merge or remove it first"):
        model.for_inference()
