"""The spec behind the interface of an engine: read-only parameters, an explicit generator, one device."""

from typing import Any

import numpy as np
import pytest
from roberta.backends import numpy as engine
from roberta.backends.numpy import blas
from roberta.dispatch.registry import available_backends
from roberta.reference.heads import HEAD_FUNCTIONS
from roberta.reference.inputs import Inputs
from roberta.reference.losses import LOSSES
from roberta.reference.parameters import HEADS

IDS = np.arange(2, 17).reshape(3, 5)


def test_the_engine_is_the_spec_itself() -> None:
    assert list(engine.HEADS) == list(HEADS)
    assert engine.LOSSES is LOSSES


@pytest.mark.parametrize("head", HEADS)
def test_a_call_is_the_specs_function_of_inputs_and_parameters(head: str, config: Any, make_model: Any) -> None:
    model = make_model(head, config, "numpy")
    ids = IDS[:, None] if head == "multiple_choice" else IDS
    wanted = HEAD_FUNCTIONS[head](Inputs(input_ids=ids), model.parameters, model.config)
    assert np.array_equal(model(ids)[0], wanted[0])


def test_parameters_are_read_only_and_tied_ones_are_one_array(config: Any, make_model: Any) -> None:
    model = make_model("masked_lm", config, "numpy")
    state = model.state_dict_numpy()
    assert state["lm_head.decoder.weight"] is state["roberta.embeddings.word_embeddings.weight"]
    for value in state.values():
        with pytest.raises(ValueError, match="read-only"):
            value[...] = 0


def test_training_is_off_until_it_is_asked_for(config: Any) -> None:
    model = engine.HEADS["model"](config)
    assert not model.training
    assert model.train().training
    assert not model.eval().training


def test_there_is_one_device_and_nothing_is_traced_or_frozen(config: Any, make_model: Any) -> None:
    model = make_model("model", config, "numpy")
    assert (engine.devices(), engine.device_of(model), engine.is_tracing()) == (["cpu"], None, False)
    assert engine.frozen_names(model) == frozenset()


@pytest.mark.parametrize(
    ("value", "dtype"),
    [([1, 2], "int64"), ([True], "int64"), ([0.5], "float32"), (np.ones(2, np.float64), "float32"), (3, "int64")],
)
def test_integers_become_int64_and_numbers_the_models_dtype(
    value: Any, dtype: str, config: Any, make_model: Any
) -> None:
    assert engine.to_native(value, make_model("model", config, "numpy")).dtype == dtype


# -- its library of products -------------------------------------------------------------------------------------------


def test_kernels_for_another_processor_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    libraries = [
        {"internal_api": "openmp", "filepath": "/x/numpy/libgomp.so"},
        {"internal_api": "openblas", "filepath": "/x/scipy/libscipy_openblas.so", "architecture": "SkylakeX"},
        {"internal_api": "openblas", "filepath": "/x/numpy.libs/libscipy_openblas64.so", "architecture": "Haswell"},
    ]
    monkeypatch.setattr("threadpoolctl.threadpool_info", lambda: libraries)
    monkeypatch.setattr(blas, "features", lambda: {"AVX2", "AVX512_SKX"})
    monkeypatch.delenv(blas.VARIABLE, raising=False)
    assert engine.remark().endswith("has AVX-512: start with OPENBLAS_CORETYPE=SKYLAKEX")
    assert available_backends()["numpy"].remark == engine.remark()
    monkeypatch.setenv(blas.VARIABLE, "ZEN")
    assert engine.remark() == ""
    monkeypatch.delenv(blas.VARIABLE)
    libraries[2]["architecture"] = "SkylakeX"
    assert engine.remark() == ""
    del libraries[2]
    assert engine.remark() == ""


def test_what_the_processor_has_is_found() -> None:
    assert blas.features() & {"SSE2", "X86_V2", "ASIMD", "VX", "VSX", "RVV"}
