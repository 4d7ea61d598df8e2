"""What only Numba has: compiled kernels, threads of its own, projections that are joined, and a fused path."""

import ast
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
from roberta.backends import numba as engine
from roberta.backends.numba import compiler, kernels, tiles, turning
from roberta.backends.numba.layers import ACTIVATIONS
from roberta.backends.numba.tiles import pack
from roberta.dispatch.api import FACES
from roberta.parity.cases import draw_inputs
from roberta.parity.compare import compare_outputs
from roberta.parity.tolerances import budgets, flat_outputs
from roberta.reference import layers
from roberta.reference.inputs import LABELS, SIGNATURES
from roberta.reference.parameters import HEADS
from roberta.reference.weights import flatten
from scipy import stats

pytestmark = pytest.mark.numba

HEAD = pytest.mark.parametrize("head", HEADS)
IDS = np.arange(2, 17).reshape(3, 5)
U = {"float32": 2.0**-24, "float64": 2.0**-53}
DTYPE = pytest.mark.parametrize("dtype", U)
KINDS = {"encoder": {}, "decoder": {"is_decoder": True}, "cross": {"is_decoder": True, "add_cross_attention": True}}


def inputs_of(model: Any, has_labels: bool = True, **drawn: Any) -> dict[str, Any]:
    given = draw_inputs(model.head, model.config, seed=0, length=7, **drawn)
    left_out = set() if has_labels else set(LABELS[model.head])
    return {name: value for name, value in given.items() if name in SIGNATURES[model.head] and name not in left_out}


def require_within_budget(model: Any, inputs: Any, dtype: str, **asked: Any) -> None:
    """Outputs and all taps that there are, against the float64 spec."""
    outputs, taps = budgets(model.to_backend("numpy", "float64").eval(), {**inputs, **asked}, dtype)
    tape = model.tape(**inputs, **asked)
    found = [(flat_outputs(model(**inputs, **asked)), outputs), (tape, {name: taps[name] for name in tape})]
    for got, permitted in found:
        for comparison in compare_outputs(got, permitted):
            assert comparison.passed, str(comparison)


# -- the two paths -----------------------------------------------------------------------------------------------------


@DTYPE
@pytest.mark.parametrize("is_explicit", [False, True], ids=["fused", "explicit"])
@pytest.mark.parametrize(
    ("head", "kind"), [*((head, "encoder") for head in HEADS), ("causal_lm", "decoder"), ("model", "cross")]
)
def test_both_paths_keep_within_the_budget_at_every_tap(
    head: str, kind: str, is_explicit: bool, dtype: str, make_config: Any, make_model: Any
) -> None:
    model = make_model(head, make_config(**KINDS[kind]), "numba", dtype=dtype)
    require_within_budget(model, inputs_of(model), dtype, output_attentions=is_explicit)


@pytest.mark.parametrize("position", ["relative_key", "relative_key_query"])
@pytest.mark.parametrize("padding", ["left", "inner"])
def test_relative_positions_keep_within_the_budget(
    padding: str, position: str, make_config: Any, make_model: Any
) -> None:
    config = make_config(is_decoder=True, position_embedding_type=position)
    model = make_model("causal_lm", config, "numba")
    require_within_budget(model, inputs_of(model, padding=padding), "float32", output_attentions=True)


def test_the_fused_path_keeps_no_scores_and_says_so(make_config: Any, make_model: Any) -> None:
    model = make_model("masked_lm", make_config(num_hidden_layers=1), "numba")
    never = {"intermediate.dense", "intermediate.erf", "output.dense", "output.sum"}
    for asked, more in ((False, {"attention.self.scores", "attention.self.probs"}), (True, set[str]())):
        missing = model.tape(input_ids=IDS, output_attentions=asked).missing
        ours = {name.partition("layer.0.")[2] for name in missing if "layer.0." in name and "LayerNorm" not in name}
        assert ours == never | {f"attention.{name}" for name in ("output.dense", "output.sum")} | more


CONTEXT = "roberta.encoder.layer.0.attention.self.context"
RELATIVE = {"is_decoder": True, "position_embedding_type": "relative_key_query"}


@pytest.mark.parametrize("is_explicit", [False, True], ids=["fused", "explicit"])
@pytest.mark.parametrize(
    ("head", "fields"),
    [*((head, {}) for head in HEADS), ("causal_lm", RELATIVE), ("causal_lm", KINDS["cross"])],
)
def test_a_batch_of_no_rows_gives_empty_results_as_in_the_spec(
    head: str, fields: dict[str, Any], is_explicit: bool, make_config: Any, make_model: Any
) -> None:
    config = make_config(**fields)
    asked = {"output_attentions": is_explicit, "output_hidden_states": True}
    shapes = []
    for backend in ("numpy", "numba"):
        model = make_model(head, config, backend)
        inputs = {name: value[:0] for name, value in inputs_of(model, has_labels=False).items()}
        found = flat_outputs(model(**inputs, **asked))
        shapes.append({name: (value.shape, str(value.dtype)) for name, value in found.items()})
    assert shapes[0] == shapes[1]
    assert all(0 in shape for shape, _ in shapes[0].values())


def test_no_rows_cost_nothing(make_config: Any, make_model: Any) -> None:
    ids = np.zeros((0, 5), int)
    assert make_model("masked_lm", make_config(), "numba")(ids, labels=ids).loss == 0


@pytest.mark.parametrize("is_explicit", [False, True], ids=["fused", "explicit"])
@pytest.mark.parametrize("size", [1e38, 3e38])
def test_values_near_the_largest_number_stay_finite_where_they_do_in_the_spec(
    size: float, is_explicit: bool, make_config: Any, make_state: Any
) -> None:
    """A mean of values is as large as they are; their weighted sum before the division by the weights is larger."""
    state = make_state("masked_lm", make_config())
    bias = "roberta.encoder.layer.0.attention.self.value.bias"
    state[bias] = np.full_like(state[bias], size)
    found = []
    for backend in ("numpy", "numba"):
        model = FACES["masked_lm"](make_config(), backend=backend, state=state).eval()
        with np.errstate(all="ignore"):
            found.append(np.isfinite(model.tape(input_ids=IDS, output_attentions=is_explicit)[CONTEXT]))
    assert found[0].all()
    assert found[1].all()


@DTYPE
def test_a_row_that_may_look_at_nobody_looks_at_all_alike(dtype: str, make_config: Any, make_model: Any) -> None:
    model = make_model("model", make_config(num_hidden_layers=1), "numba", dtype=dtype)
    mask = np.ones((3, 5, 5), int)
    mask[1, 2] = 0
    mask[2] = 0
    probs = model(IDS, mask, output_attentions=True).attentions[0]
    assert np.array_equal(probs[1, :, 2], np.full((3, 5), 1, dtype) / np.array(5, dtype))
    for asked in (False, True):
        require_within_budget(model, {"input_ids": IDS, "attention_mask": mask}, dtype, output_attentions=asked)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_and_infinity_reach_the_same_outputs_as_in_the_spec(
    value: float, make_config: Any, make_state: Any
) -> None:
    state = make_state("masked_lm", make_config())
    state["roberta.embeddings.word_embeddings.weight"] = state["roberta.embeddings.word_embeddings.weight"].copy()
    state["roberta.embeddings.word_embeddings.weight"][5, 3] = value
    mask = np.array([[1] * 5, [1, 1, 0, 1, 1], [1] * 5])
    ids = np.array([[2, 3, 4, 6, 7], [2, 3, 5, 6, 7], [2, 3, 5, 6, 7]])
    found = []
    for backend in ("numpy", "numba"):
        model = FACES["masked_lm"](make_config(tie_word_embeddings=False), backend=backend, state=state).eval()
        with np.errstate(all="ignore"):
            found.append(np.isnan(model(ids, mask).logits).any(-1))
    assert np.array_equal(*found)
    assert found[0].sum() == 10  # whole rows, even where the token is masked: 0 times NaN is NaN


@DTYPE
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_is_the_specs_after_its_bias(name: str, dtype: str) -> None:
    dense, bias = np.linspace(-9, 9, 35).astype(dtype).reshape(5, 7), np.linspace(-1, 1, 7).astype(dtype)
    x = (dense + bias).astype(np.float64)
    exact = layers.ACTIVATIONS[name](x, lambda _, value: value)
    got = ACTIVATIONS[name](dense, pack(np.eye(7, dtype=dtype), bias), lambda _, value: value)
    # Each of at most sixteen operations rounds its result by u, and no step is larger than 1 + |x| + |x|^2.
    assert got.dtype == dtype
    assert (np.abs(got - exact) <= 16 * U[dtype] * (1 + np.abs(x) + x**2)).all()


# -- training mode -----------------------------------------------------------------------------------------------------


def test_probabilities_are_dropped_as_often_as_a_binomial_law_allows(make_config: Any, make_model: Any) -> None:
    rate = 0.3
    model = make_model("model", make_config(attention_probs_dropout_prob=rate, hidden_dropout_prob=0.0), "numba")
    ids = np.random.default_rng(0).integers(2, 53, (16, 21))
    plain = model(ids, output_attentions=True).attentions[0]
    dropped = model.train()(ids, output_attentions=True).attentions[0]
    kept = int((dropped != 0).sum())
    assert stats.binom.ppf(5e-10, plain.size, 1 - rate) <= kept <= stats.binom.isf(5e-10, plain.size, 1 - rate)
    scaled = np.where(dropped != 0, plain / (1 - rate), 0)
    assert (np.abs(dropped - scaled) <= 8 * U["float32"] * scaled).all()


ONE_PLACE = {
    "hidden": {"hidden_dropout_prob": 0.5},
    "attention": {"attention_probs_dropout_prob": 0.5},
    "classifier": {"classifier_dropout": 0.5},
}


@HEAD
@pytest.mark.parametrize("place", ONE_PLACE)
def test_dropout_is_the_specs_draw_for_draw(head: str, place: str, make_config: Any, make_model: Any) -> None:
    none = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "classifier_dropout": 0.0}
    config = make_config(**{**none, **ONE_PLACE[place]})
    ours, spec = (make_model(head, config, name, dtype="float64") for name in ("numba", "numpy"))
    inputs = inputs_of(ours)
    plain = ours(**inputs)[0]
    permitted, _ = budgets(spec, inputs, "float64")
    limits = {name: np.abs(budget.limit).max() for name, budget in permitted.items()}
    got, wanted = (flat_outputs(model.train()(**inputs)) for model in (ours, spec))
    # Dropping half and doubling the rest, at most five times in a row here, enlarges errors at most so much.
    for name, limit in limits.items():
        assert np.abs(got[name] - wanted[name]).max() <= 2**5 * limit
    is_felt = place != "classifier" or head in {"sequence_classification", "token_classification"}
    first = ours.eval()(**inputs)
    assert np.array_equal(first[0], plain)
    apart = {name: np.abs(got[name] - value).max() for name, value in flat_outputs(first).items()}
    assert any(apart[name] > 2**5 * limit for name, limit in limits.items()) == is_felt


# -- threads -----------------------------------------------------------------------------------------------------------

THREADS = """
import sys, threading, numba, numpy as np, roberta
from roberta.parity.cases import small_config

model = roberta.RobertaForMaskedLM(small_config(), backend="numba")
ids = np.random.default_rng(0).integers(2, 101, (5, 23))
wanted = {}
for count in (1, 2, 3):
    numba.set_num_threads(count)
    wanted[count] = model(ids, ids > 9).logits
assert all(np.array_equal(wanted[1], other) for other in wanted.values()), "threads change results"

found = []
def call():
    numba.set_num_threads(3)
    found.extend(model(ids, ids > 9).logits for _ in range(30))
callers = [threading.Thread(target=call) for _ in range(4)]
for caller in callers: caller.start()
for caller in callers: caller.join()
assert len(found) == 120 and all(np.array_equal(wanted[1], other) for other in found), "callers disturb each other"
print(numba.threading_layer())
"""


@pytest.mark.parametrize("layer", ["workqueue", "omp"])
def test_results_depend_neither_on_threads_nor_on_other_callers(layer: str) -> None:
    if layer == "omp" and not _has_openmp():
        pytest.skip("Numba was built without OpenMP here; its own pool, the delicate one, is tested")
    chosen = {"NUMBA_NUM_THREADS": "3", "NUMBA_THREADING_LAYER": layer, "OPENBLAS_NUM_THREADS": "1"}
    result = subprocess.run(  # noqa: S603  # our own code
        [sys.executable, "-W", "ignore", "-c", THREADS],
        env={**os.environ, **chosen}, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == layer


def _has_openmp() -> bool:
    try:
        from numba.np.ufunc import omppool  # noqa: F401
    except ImportError:
        return False
    return True


# -- tiles -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "rows"), [(16, 4), (32, 4), (64, 8)], ids=["128 bits", "256 bits", "512 bits"])
def test_a_tile_is_right_for_every_width_of_registers(width: int, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "WIDTH", width)
    monkeypatch.setattr(tiles, "ROWS", rows)

    @numba.njit(error_model="numpy")
    def product(left: Any, panel: Any, bias: Any, out: Any) -> None:
        tiles.tile(left, panel, bias, panel, out)

    @numba.njit(error_model="numpy")
    def placed(part: Any, out: Any) -> None:
        tiles.place_whole(part, 2, 3, out)

    rng = np.random.default_rng(0)
    for dtype in U:
        for depth in (0, 1, 4, 7, 13):
            shapes = ((depth, rows), (depth, tiles.columns(dtype)))
            left, panel = (rng.integers(-9, 10, shape).astype(dtype) for shape in shapes)  # no sum is rounded
            out = np.full((rows, tiles.columns(dtype)), np.nan, dtype)
            bias = rng.integers(-9, 10, tiles.columns(dtype)).astype(dtype)
            product(left, panel, bias, out)
            assert np.array_equal(out, left.T @ panel + bias)
            whole = np.full((rows + 3, tiles.columns(dtype) + 5), np.nan, dtype)
            expected = whole.copy()
            expected[2:-1, 3:-2] = out
            placed(out, whole)
            np.testing.assert_array_equal(whole, expected)


@DTYPE
@pytest.mark.parametrize("count", [4, 8, None], ids=["4 rows", "8 rows", "a row a lane"])
@pytest.mark.parametrize("width", [16, 32, 64], ids=["128 bits", "256 bits", "512 bits"])
def test_a_block_is_turned_for_every_width_of_registers(
    width: int, count: int | None, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiles, "WIDTH", width)
    turn = numba.extending.intrinsic(turning._turn_types(count))
    lanes = width // np.dtype(dtype).itemsize

    @numba.njit(error_model="numpy")
    def turned(x: Any, out: Any) -> None:
        turn(x, 2, 3, out)

    rows = count or lanes
    x = np.random.default_rng(0).standard_normal((rows + 3, lanes + 5)).astype(dtype)
    out = np.full((lanes + 4, rows + 3), np.nan, dtype)
    expected = out.copy()
    expected[3:-1, 2:-1] = x[2:-1, 3:-2].T
    turned(x, out)
    np.testing.assert_array_equal(out, expected)


@DTYPE
@pytest.mark.parametrize("shape", [(0, 3), (1, 1), (7, 5), (8, 16), (16, 8), (17, 33), (50, 67)], ids=str)
def test_an_array_of_any_shape_and_layout_is_turned(shape: tuple[int, int], dtype: str) -> None:
    wide = np.random.default_rng(0).standard_normal((2 * shape[0], 3, 2 * shape[1])).astype(dtype)
    for x in (wide[::2, 1, shape[1] :], wide[::2, 1, ::2], np.asfortranarray(wide[::2, 0, : shape[1]])):
        for order in "CF":
            out = np.full((shape[1] + 1, shape[0] + 2), np.nan, dtype, order)
            turning.transpose(x, out)
            np.testing.assert_array_equal(out[:-1, :-2], x.T)
            assert np.isnan(out[-1]).all()
            assert np.isnan(out[:, -2:]).all()
        for width in (3, 8):
            side, end = turning.packed(x, width), -shape[0] % width
            np.testing.assert_array_equal(side.swapaxes(1, 2).reshape(-1, shape[1]), np.pad(x, ((0, end), (0, 0))))
            np.testing.assert_array_equal(turning.cut(np.ascontiguousarray(x.T), width), side)


@DTYPE
def test_panels_are_what_the_kernels_cut_and_begin_at_cache_lines(dtype: str) -> None:
    weight = np.random.default_rng(0).standard_normal((101, 7)).astype(dtype)
    packed = tiles.pack(weight, weight[:, 0])
    assert np.array_equal(packed["panels"], turning.packed(weight, tiles.columns(dtype)))
    assert packed["panels"].ctypes.data % tiles.LINE == 0
    assert packed["size"] == 101


@pytest.mark.parametrize("height", [4, 8])  # of a tile, by the processor
@pytest.mark.parametrize("rows", [1, 31, 1024, 5003])
@pytest.mark.parametrize("threads", [1, 2, 7])
def test_every_thread_has_a_share(threads: int, rows: int, height: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba, "get_num_threads", lambda: threads)
    monkeypatch.setattr(tiles, "ROWS", height)
    groups, slices = tiles.shares(rows)
    assert groups * slices % threads == 0
    assert groups == 1 or -(-rows // height) >= groups * tiles.TILES / 4  # enough tiles for one panel to serve


# -- compiling ---------------------------------------------------------------------------------------------------------


def test_a_kernel_is_compiled_once_for_each_dtype_and_for_nothing_else() -> None:
    for dtype in U:
        found = compiler.compiled(kernels.gelu.__wrapped__, dtype)
        assert compiler.compiled(kernels.gelu.__wrapped__, dtype) is found
        assert len(found.signatures) == 1
    with pytest.raises(TypeError, match="No matching definition"):
        found(np.ones((2, 3), np.float32), np.ones((2, 3), np.float32))


def test_no_kernel_may_assume_that_numbers_are_finite() -> None:
    for dtype in U:
        options = compiler.compiled(kernels.masked_softmax.__wrapped__, dtype).targetoptions
        assert not options.get("fastmath")
        for total in (kernels.total, lambda x: kernels.total_square(x, x.dtype.type(0.0))):
            assert np.isnan(total(np.array([np.nan, 1.0], dtype)))
            assert total(np.array([np.inf, 1.0], dtype)) == np.inf
    for total in (kernels.total, kernels.total_square):
        assert total.targetoptions["fastmath"] == {"reassoc"}
        assert options["error_model"] == "numpy"


def test_where_nothing_can_be_written_it_compiles_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    njit, refused = numba.njit, []

    def without_cache(*types: Any, cache: bool = False, **options: Any) -> Any:
        if cache:
            refused.append(options)
            message = "cannot cache function: no locator available"
            raise RuntimeError(message)
        return njit(*types, **options)

    monkeypatch.setattr(numba, "njit", without_cache)
    x, out = np.zeros((2, 3)), np.ones((2, 3))
    compiler.compiled.__wrapped__(kernels.gelu.__wrapped__, "float64")(x, out)
    assert (out == 0).all()
    assert len(refused) == 1


def test_the_user_is_told_once_what_takes_so_long(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(compiler, "_spent", 0.0)
    compiler._tell(0.9 * compiler.PATIENCE)
    assert capsys.readouterr().err == ""
    compiler._tell(0.2 * compiler.PATIENCE)
    compiler._tell(5 * compiler.PATIENCE)
    out, told = capsys.readouterr()
    assert told.count("compiling") == 1
    assert out == ""


def test_the_cache_lies_where_the_user_says(tmp_path: Any) -> None:
    code = (
        "from roberta.backends.numba.compiler import compiled\n"
        "from roberta.backends.numba.kernels import gelu\n"
        "compiled(gelu.__wrapped__, 'float32'), compiled(gelu.__wrapped__, 'float64')"
    )
    command = [sys.executable, "-c", code]
    subprocess.run(command, env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}, check=True)  # noqa: S603
    assert len(list(tmp_path.rglob("kernels.gelu*.nbc"))) == 2


def test_every_file_that_is_compiled_into_the_kernels_counts_in_their_name() -> None:
    """Else the cache on disk would go on with what a function of another file once was."""
    tree = ast.parse(Path(kernels.__file__).read_text(encoding="utf-8"))
    own = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.level == 1]
    files = {name for node in own for name in ([node.module] if node.module else [alias.name for alias in node.names])}
    assert {path.stem for path in compiler._SOURCES} == files - {"compiler"}
    assert kernels.gelu.__wrapped__.__qualname__ == f"gelu.{compiler.VERSION}"


# -- weights -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_every_dense_layer_is_packed_and_projections_of_the_same_tokens_are_one(
    kind: str, make_config: Any, make_model: Any
) -> None:
    model = make_model("causal_lm", make_config(**KINDS[kind]), "numba")
    model.prune_heads({0: [1]})
    state = model.state_dict_numpy()
    assert [(name, value.shape) for name, value in state.items()] == [(n, p.shape) for n, p in model.table.items()]
    assert not any(value.flags.writeable for value in state.values())
    groups = {"attention": {"projections": ("query", "key", "value")}}
    if kind == "cross":
        groups["crossattention"] = {"projections": ("query",), "sources": ("key", "value")}
    layer = "roberta.encoder.layer.0."
    wanted = {name: (name,) for name in ("lm_head.decoder", "lm_head.dense", f"{layer}output.dense")}
    for path, places in groups.items():
        for place, names in places.items():
            wanted[f"{layer}{path}.self.{place}"] = tuple(f"{layer}{path}.self.{name}" for name in names)
    packed = flatten(model.packed)
    for place, names in wanted.items():
        panels, bias_panels, size = (packed[f"{place}.{part}"] for part in ("panels", "bias", "size"))
        weight, bias = (np.concatenate([state[f"{name}.{part}"] for name in names]) for part in ("weight", "bias"))
        panels = panels.swapaxes(1, 2).reshape(-1, weight.shape[1])
        assert size == len(weight)
        assert np.array_equal(panels[: len(weight)], weight)
        assert np.array_equal(bias_panels.reshape(-1)[: len(weight)], bias)
        assert not panels[len(weight) :].any()
    assert not any(name.endswith(("query", "dense.weight", "decoder.weight")) for name in packed)


def test_a_parameter_that_is_replaced_is_replaced_in_both_trees(make_config: Any, make_model: Any) -> None:
    model = make_model("model", make_config(), "numba")
    name = "encoder.layer.1.attention.self.key.bias"
    before, value = model(IDS).last_hidden_state, np.linspace(-1, 1, 21, dtype=np.float32)
    value = value.reshape(model.state_dict_numpy()[name].shape)
    model.load_state_dict_numpy({name: value}, strict=False)
    assert np.array_equal(model.state_dict_numpy()[name], value)
    spec = model.to_backend("numpy", "float64")
    require_within_budget(model, {"input_ids": IDS}, "float32")
    assert np.array_equal(spec.state_dict_numpy()[name].astype(np.float32), value)
    model.load_state_dict_numpy({"encoder.layer.1.attention.self.value.bias": value}, strict=False)
    assert not np.array_equal(model(IDS).last_hidden_state, before)


def test_there_is_one_device_and_nothing_is_traced_or_frozen(config: Any, make_model: Any) -> None:
    model = make_model("model", config, "numba")
    assert (engine.devices(), engine.device_of(model), engine.is_tracing()) == (["cpu"], None, False)
    assert engine.frozen_names(model) == frozenset()
    with pytest.raises(ValueError, match="cpu, got 'cuda'; leave device out"):
        FACES["model"](config, backend="numba", device="cuda")


def test_arguments_of_any_layout_in_memory_give_the_same(make_config: Any, make_model: Any) -> None:
    model = make_model("model", make_config(**KINDS["cross"]), "numba")
    rng = np.random.default_rng(0)
    embeds, states = (rng.standard_normal((3, 5, 21)).astype(np.float32) for _ in range(2))
    mask = rng.integers(0, 2, (3, 5, 5))
    wanted = model(inputs_embeds=embeds, attention_mask=mask, encoder_hidden_states=states)
    turned = {"inputs_embeds": embeds, "attention_mask": mask, "encoder_hidden_states": states}
    got = model(**{name: np.asfortranarray(value) for name, value in turned.items()})
    for one, other in zip(flat_outputs(got).values(), flat_outputs(wanted).values(), strict=True):
        assert np.array_equal(one, other)


def test_numba_has_as_many_threads_as_it_is_told() -> None:
    assert 1 <= numba.get_num_threads() <= numba.config.NUMBA_NUM_THREADS
