"""One way into the weights: a constructor's state, `load_state_dict_numpy` and files are matched by the same rules."""

import warnings
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import roberta
from roberta.dispatch import registry
from roberta.dispatch.api import FACES
from roberta.reference.parameters import HEADS
from safetensors.numpy import save_file

HEAD = pytest.mark.parametrize("head", HEADS)
GAIN, WORD = "roberta.embeddings.LayerNorm.weight", "roberta.embeddings.word_embeddings.weight"
DECODER = "lm_head.decoder.weight"
#: The dtypes that a number of float32 or float64 may be too large for.
NARROW = [("float64", "float32", 1e300), ("float32", "float16", 1e30), ("float32", "bfloat16", 3.4e38)]


def same(one: Any, other: Any) -> bool:
    return list(one) == list(other) and all(np.array_equal(one[name], other[name]) for name in one)


class Routes:
    """The three ways in. Each gives the model, or raises."""

    def __init__(self, config: Any, folder: Path) -> None:
        self.config, self.folder = config, folder

    def constructor(self, state: Any, **options: Any) -> Any:
        return roberta.RobertaForMaskedLM(self.config, state=state, **options)

    def loading(self, state: Any, strict: bool = True, **options: Any) -> Any:
        model = roberta.RobertaForMaskedLM(self.config, **options)
        model.load_state_dict_numpy(state, strict=strict)
        return model

    def file(self, state: Any, **options: Any) -> Any:
        self.config.save_pretrained(self.folder)
        save_file(
            {name: np.ascontiguousarray(array) for name, array in state.items()}, self.folder / "model.safetensors"
        )
        return roberta.RobertaForMaskedLM.from_pretrained(self.folder, **options)


@pytest.fixture
def routes(config: Any, tmp_path: Path) -> Routes:
    return Routes(config, tmp_path)


@pytest.fixture
def state(config: Any, make_state: Any) -> dict[str, Any]:
    """Of a masked language model, each tensor once."""
    whole = make_state("masked_lm", config)
    return {name: array for name, array in whole.items() if name not in {DECODER, "lm_head.decoder.bias"}}


ROUTE = pytest.mark.parametrize("route", ["constructor", "loading", "file"])
IN_MEMORY = pytest.mark.parametrize("route", ["constructor", "loading"])


# -- what is understood ------------------------------------------------------------------------------------------------


@ROUTE
@pytest.mark.parametrize(
    "respell",
    [
        lambda name: name,
        lambda name: name.removeprefix("roberta."),
        lambda name: name if name.startswith("roberta.") else f"roberta.{name}",
        lambda name: name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"),
        lambda name: name.replace(WORD, DECODER).replace("lm_head.bias", "lm_head.decoder.bias"),
    ],
    ids=["own", "without the prefix", "all with the prefix", "gamma and beta", "the other end of a tie"],
)
def test_every_route_understands_every_spelling(
    route: str, respell: Any, backend: str, routes: Routes, state: dict[str, Any]
) -> None:
    spelled = {respell(name): array for name, array in state.items()}
    model = getattr(routes, route)({**spelled, "roberta.embeddings.position_ids": np.arange(23)[None]}, backend=backend)
    assert same({name: model.state_dict_numpy()[name] for name in state}, state)
    assert set(model.load_report.loaded) == set(state)
    assert (model.load_report.missing, model.load_report.unexpected) == ((), ())


@ROUTE
def test_of_two_ends_of_a_tie_every_route_takes_the_same(
    route: str, backend: str, routes: Routes, state: dict[str, Any]
) -> None:
    both = {**state, DECODER: state[WORD] + 1, "lm_head.decoder.bias": state["lm_head.bias"] + 1}
    found = getattr(routes, route)(both, backend=backend).state_dict_numpy()
    assert np.array_equal(found[DECODER], state[WORD])
    assert np.array_equal(found["lm_head.bias"], state["lm_head.bias"] + 1)


@IN_MEMORY
def test_lists_are_taken(route: str, routes: Routes, state: dict[str, Any]) -> None:
    model = getattr(routes, route)({**state, GAIN: state[GAIN].tolist()}, backend="numpy")
    assert np.array_equal(model.state_dict_numpy()[GAIN], state[GAIN])


@IN_MEMORY
@pytest.mark.torch
def test_a_state_of_torch_is_taken_by_every_engine(
    route: str, backend: str, routes: Routes, state: dict[str, Any]
) -> None:
    import torch

    tensors = {name: torch.nn.Parameter(torch.from_numpy(array)) for name, array in state.items()}
    model = getattr(routes, route)(tensors, backend=backend)
    assert same({name: model.state_dict_numpy()[name] for name in state}, state)


# -- names -------------------------------------------------------------------------------------------------------------


@ROUTE
@pytest.mark.parametrize("prefix", ["module.", "model.", "_orig_mod.", "base_model.model.", "module.model._orig_mod."])
def test_what_wrappers_put_before_a_name_is_taken_off(
    route: str, prefix: str, routes: Routes, state: dict[str, Any]
) -> None:
    model = getattr(routes, route)({f"{prefix}{name}": array for name, array in state.items()}, backend="numpy")
    assert same({name: model.state_dict_numpy()[name] for name in state}, state)
    assert model.load_report.converted[f"{prefix}{WORD}"] == WORD
    bare = {f"{prefix}{name.removeprefix('roberta.')}": array for name, array in state.items()}
    assert same({name: getattr(routes, route)(bare, backend="numpy").state_dict_numpy()[name] for name in state}, state)


@ROUTE
def test_what_wrappers_put_into_a_name_is_taken_out(route: str, routes: Routes, state: dict[str, Any]) -> None:
    inside = {name.replace("layer.0.", "layer.0._fsdp_wrapped_module._orig_mod."): a for name, a in state.items()}
    model = getattr(routes, route)(inside, backend="numpy")
    assert same({name: model.state_dict_numpy()[name] for name in state}, state)


@ROUTE
def test_a_name_with_and_without_a_wrapper_is_one_too_many(route: str, routes: Routes, state: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=rf"one array for {WORD}, got .*{WORD} and .*{WORD}; leave"):
        getattr(routes, route)({**state, f"module.{WORD}": state[WORD]}, backend="numpy")


@IN_MEMORY
def test_a_prefix_leaves_no_random_weights_without_a_word(
    route: str, backend: str, routes: Routes, state: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=r"required .* names .*mine\.roberta\.embeddings") as raised:
        getattr(routes, route)({f"mine.{name}": array for name, array in state.items()}, backend=backend)
    assert '{name.removeprefix("mine."): array for name, array in state.items()}' in str(raised.value)


@IN_MEMORY
def test_a_name_of_nobody_s_is_refused_and_strict_false_reports_it(
    route: str, backend: str, routes: Routes, state: dict[str, Any]
) -> None:
    given = {**state, "foo": np.zeros(3, np.float32)}
    with pytest.raises(ValueError, match=r"no use for.*foo.*strict=False"):
        getattr(routes, route)(given, backend=backend)
    model = getattr(routes, route)(given, backend=backend, strict=False)
    assert model.load_report.unexpected == ("foo",)
    assert same({name: model.state_dict_numpy()[name] for name in state}, state)


@IN_MEMORY
def test_a_part_is_refused_unless_it_is_meant(route: str, backend: str, routes: Routes, state: dict[str, Any]) -> None:
    part = {name: array for name, array in state.items() if not name.startswith("lm_head.dense")}
    with pytest.raises(ValueError, match=r"lacks 2.*lm_head.dense.weight.*strict=False"):
        getattr(routes, route)(part, backend=backend)
    model = getattr(routes, route)(part, backend=backend, strict=False)
    drawn = roberta.RobertaForMaskedLM(routes.config, backend=backend).state_dict_numpy()
    assert np.array_equal(model.state_dict_numpy()["lm_head.dense.weight"], drawn["lm_head.dense.weight"])
    assert model.load_report.missing == ("lm_head.dense.weight", "lm_head.dense.bias")
    assert model.load_report.random_outputs == ("logits",)


def test_a_file_of_another_model_is_refused_and_one_that_lacks_a_head_is_not(
    routes: Routes, state: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=r"got none of them: .*42 names .*\(mine\.lm_head.*removeprefix\(\"min"):
        routes.file({f"mine.{name}": array for name, array in state.items()}, backend="numpy")
    with pytest.warns(UserWarning, match=r"lacks 5 parameters \(lm_head"):
        routes.file({name: array for name, array in state.items() if "lm_head" not in name}, backend="numpy")


@ROUTE
def test_two_names_of_one_parameter_are_refused(route: str, routes: Routes, state: dict[str, Any]) -> None:
    twice = {**state, GAIN.replace("weight", "gamma"): state[GAIN]}
    with pytest.raises(ValueError, match=r"one array for .*LayerNorm.weight, got .*gamma.*leave one out"):
        getattr(routes, route)(twice, backend="numpy")


@IN_MEMORY
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([np.zeros(3)], r"required a mapping of HF's names to arrays, got list"),
        ({3: np.zeros(3)}, r"required names, got the int 3"),
        ({"lm_head": {"bias": np.zeros(53)}}, r"an array under each name, got a dict at 'lm_head'; flatten it"),
    ],
)
def test_what_is_no_state_is_refused_with_what_to_type(route: str, given: Any, said: str, routes: Routes) -> None:
    with pytest.raises(TypeError, match=said):
        getattr(routes, route)(given, backend="numpy")


# -- shapes and kinds --------------------------------------------------------------------------------------------------


@ROUTE
def test_one_number_is_no_gain_for_all(route: str, backend: str, routes: Routes, state: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"LayerNorm.weight: the config says \(21,\), the (file|state) has \(1,\)"):
        getattr(routes, route)({**state, GAIN: np.ones(1, np.float32)}, backend=backend)


@IN_MEMORY
def test_strict_false_takes_no_other_shape(route: str, routes: Routes, state: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"the config says \(21,\), the state has \(1,\)"):
        getattr(routes, route)({**state, GAIN: np.ones(1, np.float32)}, backend="numpy", strict=False)


@IN_MEMORY
@pytest.mark.parametrize(
    ("value", "parts"),
    [
        (np.ones(21, np.complex64), ["(21,) of complex64", "array.real"]),
        (np.full(21, "one"), ["(21,) of <U3", "numbers"]),
        (np.full(21, None), ["(21,) of object", "numbers"]),
        (np.ones(21, int), ["(21,) of int64", 'array.astype("float32")']),
        (np.ones(21, bool), ["(21,) of bool", 'array.astype("float32")']),
        (np.ones(21, ml_dtypes.int4), ["(21,) of int4", 'array.astype("float32")']),
        ([[1.0], [1.0, 2.0]], ["list", "one length"]),
    ],
    ids=["complex", "texts", "objects", "integers", "booleans", "four bits", "ragged"],
)
def test_what_is_no_array_of_floating_point_numbers_is_refused(
    route: str, value: Any, parts: list[str], routes: Routes, state: dict[str, Any]
) -> None:
    with pytest.raises(TypeError, match=GAIN) as raised:
        getattr(routes, route)({**state, GAIN: value}, backend="numpy")
    assert [part for part in ("floating-point", *parts) if part not in str(raised.value)] == []


def test_integers_in_a_file_are_refused_too(routes: Routes, state: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=rf"{GAIN}: required floating-point numbers, got shape \(21,\) of int64"):
        routes.file({**state, GAIN: np.ones(21, int)}, backend="numpy")


# -- numbers -----------------------------------------------------------------------------------------------------------


@ROUTE
@pytest.mark.parametrize(("wide", "narrow", "value"), NARROW)
def test_a_number_that_would_become_infinite_is_an_error(
    route: str, wide: str, narrow: str, value: float, backend: str, routes: Routes, state: dict[str, Any]
) -> None:
    if narrow not in registry.load(backend).DTYPES:
        narrow, wide, value = "float32", "float64", -1e39
    large = state[GAIN].astype(wide)
    large[7] = value
    with pytest.raises(ValueError, match=rf"{GAIN}: required numbers that are finite in {narrow}") as raised:
        getattr(routes, route)({**state, GAIN: large}, backend=backend, dtype=narrow)
    for part in (f"{large[7]:.4g} at [7]", f'dtype="{wide}"'):
        assert part in str(raised.value)


@ROUTE
def test_what_is_not_finite_already_stays_and_the_largest_number_is_taken(
    route: str, backend: str, routes: Routes, state: dict[str, Any]
) -> None:
    largest = float(np.finfo(np.float32).max)
    special = state[GAIN].astype(np.float64)
    special[:5] = np.nan, np.inf, -np.inf, largest, -largest * (1 + 2.0**-26)  # the last one is rounded down
    found = getattr(routes, route)({**state, GAIN: special}, backend=backend).state_dict_numpy()[GAIN]
    assert np.array_equal(found[:5], np.float32([np.nan, np.inf, -np.inf, largest, -largest]), equal_nan=True)


def test_conversion_to_a_narrower_dtype_is_held_to_the_same(config: Any, state: dict[str, Any]) -> None:
    wide = {name: array.astype(np.float64) for name, array in state.items()}
    wide[GAIN][0] = 1e300
    model = roberta.RobertaForMaskedLM(config, backend="numpy", dtype="float64", state=wide)
    with pytest.raises(ValueError, match=rf"{GAIN}: required numbers that are finite in float32"):
        model.to_backend("numpy", dtype="float32")


def test_a_refused_state_changes_nothing(backend: str, config: Any, make_model: Any, state: dict[str, Any]) -> None:
    model = make_model("masked_lm", config, backend)
    before, report = model.state_dict_numpy(), model.load_report
    wide = {name: array.astype(np.float64) + 1 for name, array in state.items()}
    wide["lm_head.layer_norm.bias"][0] = 1e300
    for bad in (wide, {**state, "foo": state[GAIN]}, {**wide, "lm_head.layer_norm.bias": np.ones(21, int)}):
        with pytest.raises((ValueError, TypeError)):
            model.load_state_dict_numpy(bad)
    assert same(model.state_dict_numpy(), before)
    assert model.load_report == report


# -- the report --------------------------------------------------------------------------------------------------------


@HEAD
def test_a_fresh_model_s_report_says_that_all_is_drawn(head: str, backend: str, config: Any) -> None:
    model = FACES[head](config, backend=backend)
    sources = tuple(name for name, p in model.table.items() if p.tied_to is None)
    assert (model.load_report.loaded, model.load_report.missing) == ((), sources)
    assert model.load_report.random_outputs
    assert "loaded 0 parameters" in str(model.load_report)


@HEAD
def test_what_is_drawn_is_told_until_it_is_loaded(head: str, backend: str, config: Any, make_state: Any) -> None:
    model = FACES[head](config, backend=backend)
    whole = {name: array for name, array in make_state(head, config).items() if not model.table[name].tied_to}
    *most, last = whole
    report = model.load_state_dict_numpy({name: whole[name] for name in most}, strict=False)
    assert (report.loaded, report.missing, report.kept) == (tuple(most), (last,), ())
    assert report.random_outputs
    assert model.load_report == report
    report = model.load_state_dict_numpy({last: whole[last]}, strict=False)
    assert (report.loaded, report.missing, report.kept) == ((last,), (), tuple(most))
    assert report.random_outputs == ()
    assert "kept:" in str(report)
    assert model.load_report == report
    assert same({name: model.state_dict_numpy()[name] for name in whole}, whole)


def test_a_conversion_carries_the_report_along(backend: str, config: Any, state: dict[str, Any]) -> None:
    body = {name: array for name, array in state.items() if name.startswith("roberta.")}
    model = roberta.RobertaForMaskedLM(config, backend="numpy", state=body, strict=False)
    assert model.to_backend(backend).load_report == model.load_report
    assert model.load_report.missing[0] == "lm_head.bias"


def test_a_file_s_report_is_that_of_the_file(routes: Routes, state: dict[str, Any]) -> None:
    old = {name.replace("LayerNorm.weight", "LayerNorm.gamma"): array for name, array in state.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = routes.file({**old, "somebody.elses": np.zeros(3, np.float32)}, backend="numpy").load_report
    assert report.unexpected == ("somebody.elses",)
    assert len(report.converted) == 5
