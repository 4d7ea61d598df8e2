"""What a model is made with: what is taken, and what is refused with what to type."""

from typing import Any

import ml_dtypes
import numpy as np
import pytest
import roberta
from roberta.dispatch.api import FACES
from roberta.dispatch.options import INSTEAD, INSTEAD_OF_LOADING, UNASKED, dtype_name
from roberta.reference.parameters import HEADS


@pytest.mark.parametrize("head", HEADS)
def test_an_unknown_option_is_refused_with_those_there_are(head: str, make_config: Any) -> None:
    with pytest.raises(TypeError, match=r"unknown option 'zzz'; there are seed, dtype, device, state") as raised:
        FACES[head](make_config(), backend="numpy", zzz=1)
    assert ("add_pooling_layer" in str(raised.value)) == (head == "model")


@pytest.mark.parametrize("name", INSTEAD)
def test_what_other_libraries_take_is_refused_with_what_to_do(name: str, backend: str, config: Any) -> None:
    if (name, backend) == ("rngs", "flax"):
        pytest.skip("taken there; tests/clients/test_flax.py has it")
    with pytest.raises(TypeError) as raised:
        roberta.RobertaModel(config, backend=backend, **{name: None})
    assert str(raised.value).endswith(INSTEAD[name])


@pytest.mark.parametrize("name", sorted(UNASKED))
def test_what_loaders_of_hf_take_is_passed_over_where_it_asks_for_nothing(name: str) -> None:
    assert roberta.NumpyRobertaModel.from_pretrained("austen", add_pooling_layer=False, **{name: None})
    assert roberta.NumpyRobertaModel.from_pretrained("austen", add_pooling_layer=False, **{name: False})
    with pytest.raises(TypeError) as raised:
        roberta.NumpyRobertaModel.from_pretrained("austen", **{name: "x"})
    assert str(raised.value).endswith({**INSTEAD, **INSTEAD_OF_LOADING}[name])


def test_a_download_is_always_resumed() -> None:
    assert roberta.NumpyRobertaModel.from_pretrained("austen", add_pooling_layer=False, resume_download=True)


class Foreign:
    """A configuration of another library."""

    def to_dict(self) -> dict[str, int]:
        return {}


@pytest.mark.parametrize(
    ("given", "said"),
    [({}, r"got dict.*RobertaConfig\(\*\*fields\)"), ("austen", r"got str.*from_pretrained\(folder\)"),
     (Foreign(), r"got .*\.Foreign.*from_dict\(config.to_dict\(\)\)")],
)  # fmt: skip
def test_what_is_no_config_is_refused_by_the_native_class_too(given: Any, said: str) -> None:
    for made in (roberta.RobertaModel, FACES["model"].on("numpy")):
        with pytest.raises(TypeError, match=f"{made.__name__}: required a RobertaConfig, {said}"):
            made(given)


# -- dtypes ------------------------------------------------------------------------------------------------------------


def test_a_dtype_goes_by_its_name_in_whatever_form(config: Any, tmp_path: Any) -> None:
    forms = ("float64", np.float64, np.dtype("float64"))
    models = [roberta.RobertaModel(config, backend="numpy", dtype=form) for form in forms]
    models += [models[0].to_backend("numpy", dtype=form) for form in forms]
    models[0].save_pretrained(tmp_path)
    models += [roberta.RobertaModel.from_pretrained(tmp_path, backend="numpy", dtype=form) for form in forms]
    assert {model.dtype for model in models} == {"float64"}


@pytest.mark.torch
@pytest.mark.tensorflow
@pytest.mark.flax
def test_a_dtype_of_one_framework_is_one_of_all() -> None:
    import jax.numpy as jnp
    import tensorflow as tf
    import torch

    for name in ("float16", "bfloat16", "float32", "int32"):
        assert {dtype_name(getattr(module, name)) for module in (torch, tf, jnp)} == {name}


def test_a_file_in_a_precision_that_the_engine_lacks_names_the_one_that_holds_it(config: Any, tmp_path: Any) -> None:
    from roberta.dispatch.writing import write_checkpoint

    model = roberta.RobertaModel(config, backend="numpy")
    write_checkpoint(tmp_path, config.replace(dtype="bfloat16"), model.state_dict_numpy(), "bfloat16", "model")
    with pytest.raises(ValueError, match=r"got 'bfloat16'. dtype=\"float32\" holds the same numbers"):
        roberta.RobertaModel.from_pretrained(tmp_path, backend="numpy", dtype="auto")
    assert roberta.RobertaModel.from_pretrained(tmp_path, backend="numpy", dtype="float32").dtype == "float32"
    for refused in (ml_dtypes.bfloat16, np.dtype("float16")):
        with pytest.raises(ValueError, match=rf"got '{dtype_name(refused)}'"):
            roberta.RobertaModel(config, backend="numpy", dtype=refused)
