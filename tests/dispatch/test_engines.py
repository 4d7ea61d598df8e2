"""Engines side by side: a model goes from any to any, and several of one checkpoint live in one process."""

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import roberta
from roberta.dispatch import registry
from roberta.parity.cases import draw_inputs
from roberta.parity.compare import compare_outputs
from roberta.parity.tolerances import budgets, flat_outputs

FRAMEWORKS = ("numba", "torch", "tensorflow", "flax")
ENGINES = ("numpy", *FRAMEWORKS)
DTYPES = ("float64", "float32", "bfloat16", "float16")


def marks(*engines: str) -> list[Any]:
    return [getattr(pytest.mark, name) for name in engines if name != "numpy"]


def computes_in(engine: str, dtype: str) -> bool:
    """What README's table says; the lanes give JAX its 64 bits."""
    return dtype in {"float64", "float32"} or engine in {"torch", "tensorflow", "flax"}


def combinations(shared: bool) -> list[Any]:
    """An engine, another, and a precision of the first that the other has too, or lacks."""
    return [
        pytest.param(one, two, dtype, marks=marks(one, two))
        for one, two, dtype in product(ENGINES, ENGINES, DTYPES)
        if computes_in(one, dtype) and computes_in(two, dtype) == shared
    ]


OTHERS = [pytest.param(name, marks=marks(name)) for name in ENGINES]


@pytest.fixture(params=OTHERS)
def other(request: pytest.FixtureRequest) -> str:
    """Each engine again: with `backend`, all ordered pairs of this lane."""
    return request.param


def same(one: Any, two: Any) -> bool:
    return list(one) == list(two) and all(
        one[name].dtype == two[name].dtype and np.array_equal(one[name], two[name]) for name in one
    )


# -- from any to any ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_engines_that_compute_in_halves_are_those_of_the_table(dtype: str, backend: str) -> None:
    assert (dtype in registry.load(backend).DTYPES) == computes_in(backend, dtype)


@pytest.mark.parametrize(("one", "two", "dtype"), combinations(shared=True))
def test_a_model_goes_to_another_engine_and_back_exactly(
    one: str, two: str, dtype: str, make_config: Any, make_state: Any
) -> None:
    config = make_config(is_decoder=True, add_cross_attention=True, position_embedding_type="relative_key")
    model = roberta.RobertaForCausalLM(config, backend=one, dtype=dtype, state=make_state("causal_lm", config))
    there = model.to_backend(two)
    back = there.to_backend(one)
    assert (there.backend, there.dtype_name, back.dtype_name) == (two, dtype, dtype)
    assert same(there.state_dict_numpy(), model.state_dict_numpy())
    assert same(back.state_dict_numpy(), model.state_dict_numpy())
    assert there.config == model.config


@pytest.mark.parametrize(("one", "two", "dtype"), combinations(shared=False))
def test_a_model_in_a_precision_that_another_engine_lacks_stays_and_says_so(
    one: str, two: str, dtype: str, config: Any, make_model: Any
) -> None:
    model = make_model("masked_lm", config, one, dtype=dtype)
    with pytest.raises(ValueError, match=rf"dtype: the {two} backend computes in one of .*got '{dtype}'"):
        model.to_backend(two)
    there = model.to_backend(two, dtype="float32")
    assert same(there.state_dict_numpy(), model.to_backend(one, dtype="float32").state_dict_numpy())


def test_a_checkpoint_that_one_engine_writes_another_reads_exactly(
    backend: str, other: str, config: Any, make_model: Any, tmp_path: Path
) -> None:
    model = make_model("masked_lm", config, backend)
    model.save_pretrained(tmp_path)
    read = roberta.RobertaForMaskedLM.from_pretrained(tmp_path, backend=other)
    assert same(read.state_dict_numpy(), model.state_dict_numpy())
    given = {"input_ids": [[0, 5, 6]], "attention_mask": [[1, 1, 1]]}
    direct = make_model("masked_lm", config, other)
    assert np.array_equal(read(**given).numpy()["logits"], direct(**given).numpy()["logits"])


def test_every_engine_writes_the_same_bytes(backend: str, config: Any, make_model: Any, tmp_path: Path) -> None:
    for name in (backend, "numpy"):
        make_model("masked_lm", config, name).save_pretrained(tmp_path / name)
    for file in ("model.safetensors", "config.json"):
        assert (tmp_path / backend / file).read_bytes() == (tmp_path / "numpy" / file).read_bytes()


# -- at the same time --------------------------------------------------------------------------------------------------


@pytest.mark.numba
@pytest.mark.torch
@pytest.mark.tensorflow
@pytest.mark.flax
def test_models_of_all_engines_are_held_at_once_and_agree(config: Any, make_model: Any, tmp_path: Path) -> None:
    spec = make_model("masked_lm", config, "numpy", dtype="float64")
    spec.to_backend("numpy", dtype="float32").save_pretrained(tmp_path)
    models = {name: roberta.RobertaForMaskedLM.from_pretrained(tmp_path, backend=name) for name in FRAMEWORKS}
    given = draw_inputs("masked_lm", config, seed=0, length=7)
    permitted, _ = budgets(spec, given, "float32")
    first = {name: flat_outputs(model(**given)) for name, model in models.items()}
    for name, outputs in first.items():
        worst = max(compare_outputs(outputs, permitted), key=lambda comparison: comparison.ratio)
        assert worst.passed, f"{name}: {worst}"
    # Nobody has changed anything for the others: not the precision, not the default dtype, not the weights.
    again = {name: flat_outputs(model(**given)) for name, model in reversed(models.items())}
    assert all(same(first[name], again[name]) for name in models)
    assert len({type(model(**given).logits).__module__ for model in models.values()}) == len(models)


def test_outputs_of_one_engine_are_inputs_of_another(
    backend: str, other: str, make_config: Any, make_model: Any
) -> None:
    """An encoder on one engine, a decoder on another: what the one gives, the other takes."""
    encoder = make_model("model", make_config(), backend)
    decoder = make_model("causal_lm", make_config(is_decoder=True, add_cross_attention=True), other)
    states = encoder([[0, 5, 6]]).last_hidden_state
    found = decoder([[0, 7]], encoder_hidden_states=states).numpy()["logits"]
    plain = decoder([[0, 7]], encoder_hidden_states=np.asarray(encoder.engine.to_numpy(states))).numpy()["logits"]
    assert np.array_equal(found, plain)


# -- the ends of a language model --------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_tied", [True, False])
@pytest.mark.parametrize("head", ["causal_lm", "masked_lm"])
def test_a_decoder_is_replaced_and_what_is_tied_to_it_follows(
    head: str, is_tied: bool, backend: str, make_config: Any, make_model: Any
) -> None:
    config = make_config(tie_word_embeddings=is_tied)
    model, twin = make_model(head, config, backend), make_model(head, config, backend, seed=1)
    wanted = twin.state_dict_numpy()["lm_head.decoder.weight"]
    word = "roberta.embeddings.word_embeddings.weight"
    before = model.state_dict_numpy()[word]
    for value in (twin.get_output_embeddings(), wanted, model.engine.to_native(wanted, model)):
        model.set_output_embeddings(wanted * 0)
        model.set_output_embeddings(value)
        assert np.array_equal(model.state_dict_numpy()["lm_head.decoder.weight"], wanted)
    assert np.array_equal(model.state_dict_numpy()[word], wanted if is_tied else before)
    logits = model([[0, 5, 2]]).numpy()["logits"]
    model.set_output_embeddings(wanted * 0)
    flat = model([[0, 5, 2]]).numpy()["logits"]
    assert np.ptp(flat - model.state_dict_numpy()["lm_head.bias"]) == 0.0
    assert not np.array_equal(flat, logits)


@pytest.mark.torch
def test_the_decoder_of_torch_is_its_layer(config: Any, make_model: Any) -> None:
    model = make_model("masked_lm", config, "torch")
    assert model.get_output_embeddings() is model.lm_head.decoder
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight


def test_heads_without_a_decoder_say_so(backend: str, config: Any, make_model: Any) -> None:
    model = make_model("token_classification", config, backend)
    assert model.get_output_embeddings() is None
    with pytest.raises(ValueError, match="required a language model's head, which has a decoder, got token_class"):
        model.set_output_embeddings(np.zeros((53, 21)))


def test_a_decoder_of_another_shape_is_refused(backend: str, config: Any, make_model: Any) -> None:
    model = make_model("masked_lm", config, backend)
    with pytest.raises(ValueError, match=r"set_output_embeddings: expected \(V, D\) = \(53, 21\), got \(21, 53\)"):
        model.set_output_embeddings(np.zeros((21, 53)))
