"""While a compiler looks at the program, all is checked that needs no values, and what is open agrees with anything."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from roberta.dispatch.checks import check_call
from roberta.dispatch.outlines import Outline, agree, cache_outline, outline
from roberta.parity.cases import draw_inputs
from roberta.reference.attention import Cache
from roberta.reference.inputs import SIGNATURES
from roberta.reference.parameters import HEADS

IDS = np.arange(2, 17).reshape(3, 5)
#: What a compiled model is given -> what it says. One layer, no cross-attention.
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "both": ({"input_ids": IDS, "inputs_embeds": np.ones((3, 5, 21), np.float32)}, "exactly one of .* got both"),
    "a mask of three rows for one text": ({"input_ids": IDS[:1], "attention_mask": IDS * 0}, r"\(1, 5\).*got \(3, 5\)"),
    "a mask of one row for three": ({"input_ids": IDS, "attention_mask": IDS[:1] * 0}, r"\(3, 5\).*got \(1, 5\)"),
    "states for nobody": (
        {"input_ids": IDS, "encoder_hidden_states": np.ones((3, 2, 21), np.float32)}, "add_cross_attention",
    ),
}  # fmt: skip


def compiled(model: Any) -> Any:
    """A function of a dict of arguments, which the framework compiles."""
    if model.backend == "torch":
        import torch

        torch.compiler.reset()
        run = torch.compile(model, backend="eager")
        return lambda given: run(**{name: torch.from_numpy(value) for name, value in given.items()})
    if model.backend == "tensorflow":
        import tensorflow as tf

        return tf.function(lambda given: model(**given))
    import jax

    return jax.jit(lambda given: model(**given))


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=getattr(pytest.mark, n)) for n in ("torch", "tensorflow", "flax")]
)
def test_a_compiled_model_refuses_what_it_refuses_otherwise(
    name: str, case: str, make_config: Any, make_model: Any
) -> None:
    model = make_model("model", make_config(num_hidden_layers=1), name)
    given, said = WRONG[case]
    for run in (compiled(model), lambda arguments: model(**arguments)):
        with pytest.raises(ValueError, match=said):
            run(given)
    assert compiled(model)({"input_ids": IDS}).last_hidden_state.shape == (3, 5, 21)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("is_open", [False, True])
def test_what_is_right_is_right_without_values_and_with_open_sizes(head: str, is_open: bool, make_config: Any) -> None:
    config = make_config(num_labels=2)
    drawn = draw_inputs(head, config, seed=0, length=7)
    given = {name: outline(name, value) for name, value in drawn.items() if name in SIGNATURES[head]}
    assert any(name in given for name in ("labels", "start_positions")) == (head != "model")
    if is_open:
        given = {name: Outline((None,) * found.ndim, found.dtype) for name, found in given.items()}
    check_call(head, config, {**given, "head_mask": Outline((2, 1, 3, 1, 1), np.dtype("float32"))})


def test_a_cache_of_open_length_leaves_the_masks_length_open(make_config: Any) -> None:
    config = make_config(is_decoder=True)
    numbers, integers = np.dtype("float32"), np.dtype("int64")
    past = Cache(((Outline((None, 3, None, 7), numbers),) * 2,) * 2, None)
    given = {"input_ids": Outline((3, 5), integers), "past_key_values": past}
    for length in (5, 9, None):
        check_call("model", config, {**given, "attention_mask": Outline((None, length), integers)})
    known = cache_outline(Cache(((np.zeros((3, 3, 4, 7), np.float32),) * 2,) * 2, np.full(3, 4)))
    with pytest.raises(ValueError, match=r"S = 9, got 5\. With a cache"):
        check_call("model", config, {**given, "past_key_values": known, "attention_mask": Outline((3, 5), integers)})


@pytest.mark.parametrize("dtype", ["int8", "int32", "int64", "uint8", "bool", "float16", "float32", "float64"])
def test_an_outline_has_the_shape_and_the_dtype(dtype: str) -> None:
    assert outline("x", np.ones((2, 3), dtype)) == ((2, 3), np.dtype(dtype))


@pytest.mark.parametrize("size", [None, object(), np.array(5)], ids=["none", "symbol", "tensor"])
def test_whatever_a_compiler_has_for_an_open_size_is_open(size: Any) -> None:
    traced = SimpleNamespace(shape=(3, size), dtype="float32")
    assert outline("x", traced).shape == (3, None)


@pytest.mark.torch
def test_a_tensor_of_a_dtype_that_numpy_lacks_counts_as_numbers() -> None:
    import torch

    assert outline("x", torch.ones(2, dtype=torch.bfloat16)) == ((2,), np.dtype("float32"))


@pytest.mark.tensorflow
def test_a_tensor_of_unknown_rank_is_refused_with_how_to_say_it(config: Any, make_model: Any) -> None:
    import tensorflow as tf

    model = make_model("model", config, "tensorflow")
    traced = tf.function(lambda ids: model(ids), input_signature=[tf.TensorSpec(None, tf.int32)])
    with pytest.raises(
        ValueError, match=r"input_ids: expected a tensor of known rank.*tensor.set_shape\(\[None, None\]\)"
    ):
        traced(IDS)


def test_shapes_of_another_rank_never_agree() -> None:
    assert agree((None, 3), (2, None))
    assert not agree((None, 3), (None,))
    assert not agree((None, 3), (2, 5))
