"""`tape(replace=)`: what is put in place of a model's own values is what every engine goes on with."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from roberta.dispatch.api import FACES
from roberta.parity.cases import draw_inputs
from roberta.parity.compare import compare_outputs
from roberta.parity.tolerances import Budget, budgets, flat_outputs
from roberta.reference.inputs import LABELS, SIGNATURES
from roberta.reference.parameters import HEADS
from roberta.reference.taps import Tap, replacing, silent, symbols

CROSS = {"is_decoder": True, "add_cross_attention": True}
KINDS = {"encoder": {}, "cross": CROSS, "relative": {"position_embedding_type": "relative_key_query"}}
CASE = pytest.mark.parametrize(
    ("head", "kind"), [*((head, "encoder") for head in HEADS), ("causal_lm", "cross"), ("masked_lm", "relative")]
)
PROBS = "encoder.layer.0.attention.self.probs"
IDS = np.arange(2, 17).reshape(3, 5)


def same(value: Any) -> Any:
    return value


def bent(value: Any) -> Any:
    """Another value, which is no multiple of the old one: a layer norm would undo that."""
    return 0.5 * value * value + 0.25


def inputs_of(model: Any) -> dict[str, Any]:
    drawn = draw_inputs(model.head, model.config, seed=0, length=5)
    left_out = LABELS[model.head]
    return {name: value for name, value in drawn.items() if name in SIGNATURES[model.head] and name not in left_out}


def arrays(found: Any) -> dict[str, Any]:
    """A tape's or an output's arrays as NumPy's."""
    return flat_outputs(dict(found) if isinstance(found, Mapping) else found)


def require_equal(found: Any, wanted: Any) -> None:
    one, other = arrays(found), arrays(wanted)
    assert list(one) == list(other)
    assert [name for name in one if not np.array_equal(one[name], other[name])] == []


def require_within(found: Any, permitted: Mapping[str, Budget]) -> None:
    got = arrays(found)
    for comparison in compare_outputs(got, {name: permitted[name] for name in got}):
        assert comparison.passed, str(comparison)


@pytest.fixture
def small(make_config: Callable[..., Any]) -> Callable[..., Any]:
    """A configuration of one layer."""
    return lambda **fields: make_config(num_hidden_layers=1, **fields)


# -- nothing replaced --------------------------------------------------------------------------------------------------


@CASE
@pytest.mark.parametrize("is_explicit", [False, True], ids=["fused", "explicit"])
def test_replacing_by_the_same_changes_no_bit(
    head: str, kind: str, is_explicit: bool, backend: str, small: Any, make_model: Any
) -> None:
    model = make_model(head, small(**KINDS[kind]), backend)
    given = {**inputs_of(model), "output_attentions": is_explicit, "output_hidden_states": True}
    plain = model.tape(**given)
    tape = model.tape(**given, replace=dict.fromkeys(plain, same))
    require_equal(tape, plain)
    require_equal(tape.output, plain.output)
    assert tape.missing == plain.missing


def test_replacing_one_by_the_same_changes_no_bit(backend: str, small: Any, make_model: Any) -> None:
    model = make_model("masked_lm", small(), backend)
    given = inputs_of(model)
    plain = model.tape(**given)
    for name in plain:
        tape = model.tape(**given, replace={name: same})
        require_equal(tape, plain)
        require_equal(tape.output, plain.output)


def test_the_output_of_a_tape_is_that_of_the_call(backend: str, small: Any, make_model: Any) -> None:
    """Up to rounding: JAX compiles an equation to which nobody listens."""
    model, spec = (make_model("masked_lm", small(), engine, dtype="float64") for engine in (backend, "numpy"))
    given = {**inputs_of(model), "labels": IDS, "output_hidden_states": True}
    outputs, _ = budgets(spec, given, "float64")
    for found in (model.tape(**given).output, model(**given)):
        assert sorted(arrays(found)) == sorted(outputs)
        require_within(found, outputs)
    assert isinstance(model.tape(**given, return_dict=False).output, tuple)


# -- fused paths -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "kind", "activation"),
    [
        *((head, "encoder", "gelu") for head in HEADS),
        *(("masked_lm", "relative", activation) for activation in ("gelu_10", "relu", "gelu_new", "tanh")),
        ("causal_lm", "cross", "gelu"),
    ],
)
def test_what_is_replaced_is_computed_even_where_a_fused_path_would_not(
    head: str, kind: str, activation: str, backend: str, small: Any, make_model: Any
) -> None:
    config = small(**KINDS[kind], hidden_act=activation)
    model, spec = make_model(head, config, backend), make_model(head, config, "numpy", dtype="float64")
    given = inputs_of(model)
    outputs, taps = budgets(spec, given, "float32")
    tape = model.tape(**given, replace=dict.fromkeys(symbols(head, config), same))
    assert (sorted(tape), tape.missing) == (sorted(taps), ())
    require_within(tape, taps)
    require_within(tape.output, outputs)


@pytest.mark.parametrize("chunk", [0, 2], ids=["whole", "slices"])
@pytest.mark.parametrize("kind", KINDS)
def test_each_alone_makes_its_fused_path_give_way(
    kind: str, chunk: int, backend: str, small: Any, make_model: Any
) -> None:
    config = small(**KINDS[kind], chunk_size_feed_forward=chunk)
    head = "causal_lm" if kind == "cross" else "masked_lm"
    model, spec = make_model(head, config, backend), make_model(head, config, "numpy", dtype="float64")
    given = inputs_of(model)
    outputs, taps = budgets(spec, given, "float32")
    for name in model.tape(**given).missing:
        tape = model.tape(**given, replace={name: same})
        assert name in tape
        require_within(tape, taps)
        require_within(tape.output, outputs)


def test_half_precision_is_replaced_too(training_backend: str, small: Any, make_model: Any) -> None:
    model = make_model("masked_lm", small(), training_backend, dtype="bfloat16")
    spec, given = make_model("masked_lm", small(), "numpy", dtype="float64"), inputs_of(model)
    outputs, taps = budgets(spec, given, "bfloat16")
    tape = model.tape(**given, replace=dict.fromkeys(symbols("masked_lm", small()), same))
    require_within(tape, taps)
    require_within(tape.output, outputs)


# -- something replaced ------------------------------------------------------------------------------------------------


def intervened(head: str, config: Any, state: Any, replacements: Mapping[str, Callable[[Any], Any]]) -> Any:
    """The float64 spec in which something is replaced in every pass: what the budget of an intervention asks for."""

    class Intervened(FACES[head].on("numpy")):  # pyright: ignore[reportGeneralTypeIssues, reportUntypedBaseClass]
        def run(self, inputs: Any, tap: Tap = silent) -> Any:
            change = replacing(replacements)
            return super().run(inputs, lambda name, value: tap(name, change(name, value)))

    return Intervened(config, state=state, dtype="float64")


@pytest.fixture(scope="module")
def permitted() -> Callable[..., Any]:
    """The budgets of a head's outputs and taps where one of them, or none, is `bent`: the same for every engine."""
    found: dict[Any, Any] = {}

    def of(head: str, config: Any, state: Any, given: Any, *names: str) -> Any:
        if (head, *names) not in found:
            spec = intervened(head, config, state, dict.fromkeys(names, bent))
            found[head, *names] = budgets(spec, given, "float32")
        return found[head, *names]

    return of


@pytest.mark.parametrize(
    ("head", "fields"),
    [
        ("masked_lm", {}),
        ("causal_lm", CROSS),
        ("sequence_classification", {}),
        ("multiple_choice", {}),
        ("question_answering", {"position_embedding_type": "relative_key"}),
    ],
)
def test_what_is_replaced_goes_on_as_in_the_spec(
    head: str, fields: Any, backend: str, small: Any, make_model: Any, make_state: Any, permitted: Any
) -> None:
    config = small(**fields)
    model, state = make_model(head, config, backend), make_state(head, config)
    given = inputs_of(model)
    truth, _ = permitted(head, config, state, given)
    for name in symbols(head, config):
        outputs, taps = permitted(head, config, state, given, name)
        tape = model.tape(**given, replace={name: bent})
        require_within(tape, taps)
        require_within(tape.output, outputs)
        changed = [n for n, budget in truth.items() if (abs(outputs[n].truth - budget.truth) > 2 * budget.limit).any()]
        assert changed, f"{name}: replaced, and no output changed"


def test_several_layers_are_replaced_each_by_its_own(backend: str, make_config: Any, make_model: Any) -> None:
    model = make_model("model", make_config(), backend)
    first, second = (f"encoder.layer.{i}.output.LayerNorm.output" for i in range(2))
    tape = model.tape(input_ids=IDS, replace={second: lambda value: value * 0, first: lambda value: value * 0 + 2})
    values = arrays(tape)
    assert (values[first] == 2).all()
    assert not values[second].any()
    assert not arrays(tape.output)["last_hidden_state"].any()


def test_another_call_is_as_if_nothing_had_been_replaced(backend: str, small: Any, make_model: Any) -> None:
    model = make_model("model", small(), backend)
    before = model.tape(input_ids=IDS)
    model.tape(input_ids=IDS, replace={"embeddings.sum": bent})
    require_equal(model.tape(input_ids=IDS), before)


def test_a_pass_on_a_cache_can_be_replaced(backend: str, small: Any, make_model: Any) -> None:
    """What the second token's key is, the first pass does not know; silenced values leave only what is cached."""
    model = make_model("causal_lm", small(is_decoder=True), backend)
    past = model(IDS[:, :4]).past_key_values
    name = "roberta.encoder.layer.0.attention.self.value"
    tape = model.tape(input_ids=IDS[:, 4:], past_key_values=past, replace={name: lambda value: value * 0})
    cached = arrays(tape.output)["past_key_values.0.1"]
    assert cached[:, :, :4].any()
    assert not cached[:, :, 4].any()


@pytest.mark.parametrize("engine", ["numpy", pytest.param("numba", marks=pytest.mark.numba)])
def test_arrays_of_whatever_layout_are_taken(engine: str, small: Any, make_model: Any) -> None:
    model = make_model("masked_lm", small(), engine)
    given = inputs_of(model)
    wanted = model.tape(**given, replace=dict.fromkeys(symbols("masked_lm", small()), lambda value: 0 * value + 0.5))
    tape = model.tape(
        **given,
        replace={
            name: lambda value: np.broadcast_to(value.dtype.type(0.5), value.shape)  # read-only, all strides 0
            for name in symbols("masked_lm", small())
        },
    )
    require_equal(tape, wanted)
    require_equal(tape.output, wanted.output)
    turned = {name: lambda value: np.asfortranarray(bent(value)) for name in wanted}
    require_equal(model.tape(**given, replace=turned), model.tape(**given, replace=dict.fromkeys(wanted, bent)))


@pytest.mark.torch
def test_gradients_go_through_a_replacement(small: Any, make_model: Any) -> None:
    import torch

    model = make_model("model", small(), "torch")
    shift = torch.zeros(3, 3, 5, 5, requires_grad=True)
    tape = model.tape(input_ids=IDS, replace={PROBS: lambda probs: probs + shift})
    tape.output.last_hidden_state[:, 0].sum().backward()
    assert shift.grad is not None
    assert shift.grad.abs().sum() > 0


@pytest.mark.flax
def test_a_replacement_works_inside_what_jax_compiles(small: Any, make_model: Any) -> None:
    from flax import nnx

    model = make_model("model", small(), "flax")
    replace = {PROBS: bent}
    run = nnx.jit(lambda model, ids: model.tape(input_ids=ids, replace=replace).output)
    _, permitted = budgets(make_model("model", small(), "numpy", dtype="float64"), {"input_ids": IDS}, "float32")
    found, wanted = (
        arrays(o)["last_hidden_state"] for o in (run(model, IDS), model.tape(input_ids=IDS, replace=replace).output)
    )
    limit = permitted["encoder.layer.0.output.LayerNorm.output"].limit
    assert (np.abs(found - wanted) <= limit).all()


@pytest.mark.tensorflow
def test_a_replacement_works_inside_what_tensorflow_compiles(small: Any, make_model: Any) -> None:
    import tensorflow as tf

    model = make_model("model", small(), "tensorflow")
    replace = {PROBS: bent}

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int64)])
    def run(ids: Any) -> Any:
        return model.tape(input_ids=ids, replace=replace).output.last_hidden_state

    _, permitted = budgets(make_model("model", small(), "numpy", dtype="float64"), {"input_ids": IDS}, "float32")
    wanted = model.tape(input_ids=IDS, replace=replace).output.last_hidden_state
    limit = permitted["encoder.layer.0.output.LayerNorm.output"].limit
    assert (np.abs(run(tf.constant(IDS)).numpy() - wanted.numpy()) <= limit).all()


# -- mistakes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("attention.self.probs", "'encoder.layer.0.attention.self.probs'"),
        ("encoder.layer.0.attention.self.prob", "'encoder.layer.0.attention.self.probs'"),
        ("encoder.layer.7.output.sum", "'encoder.layer.0.output.sum'"),
        (("encoder", 0), "list(model.tape(...))"),
    ],
)
def test_an_unknown_name_is_an_error_that_names_the_nearest(
    name: Any, near: str, backend: str, small: Any, make_model: Any
) -> None:
    with pytest.raises(ValueError, match="replace: required a tap of") as error:
        make_model("model", small(), backend).tape(input_ids=IDS, replace={name: same})
    assert repr(name) in str(error.value)
    assert near in str(error.value)


def test_a_name_that_the_pass_never_computed_is_an_error(backend: str, small: Any, make_model: Any) -> None:
    model = make_model("causal_lm", small(**CROSS), backend)
    states = np.ones((3, 4, 21), np.float32)
    name = "roberta.encoder.layer.0.crossattention.self.key"
    calls: list[dict[str, Any]] = [
        {"input_ids": IDS},
        {"input_ids": IDS[:, 4:], "past_key_values": model(IDS[:, :4], encoder_hidden_states=states).past_key_values},
    ]
    for call in calls:
        with pytest.raises(ValueError, match=r"never computed in this pass of .*give encoder_hidden_states"):
            model.tape(**call, replace={name: same})
    assert name in model.tape(input_ids=IDS, encoder_hidden_states=states, replace={name: same})


@pytest.mark.parametrize(
    ("function", "kind", "parts"),
    [
        (lambda value: value[:1], ValueError, ["(3, 3, 5, 5)", "(1, 3, 5, 5)"]),
        (lambda value: value[..., None], ValueError, ["(3, 3, 5, 5, 1)"]),
        (lambda value: None, TypeError, ["NoneType", "must return the array"]),
        (lambda value: 0.5, TypeError, ["float: 0.5"]),
        (lambda value: [[1.0]], TypeError, ["list: [[1.0]]"]),
    ],
)
def test_a_function_that_returns_something_else_is_an_error(
    function: Any, kind: Any, parts: list[str], backend: str, small: Any, make_model: Any
) -> None:
    with pytest.raises(kind, match=r"replace\['encoder.layer.0.attention.self.probs'\]: required") as error:
        make_model("model", small(), backend).tape(input_ids=IDS, replace={PROBS: function})
    assert all(part in str(error.value) for part in parts)


def test_another_dtype_is_an_error(backend: str, small: Any, make_model: Any) -> None:
    """The same model in double precision gives values of the engine's own in another dtype."""
    wide = make_model("model", small(), backend, dtype="float64").tape(input_ids=IDS, output_attentions=True)[PROBS]
    model = make_model("model", small(), backend)
    with pytest.raises(ValueError, match=r"required .*float32.* got .*float64"):
        model.tape(input_ids=IDS, replace={PROBS: lambda _: wide})


@pytest.mark.torch
def test_another_librarys_array_is_an_error(small: Any, make_model: Any) -> None:
    for engine, other in (("torch", "numpy"), ("numpy", "torch")):
        value = make_model("model", small(), other).tape(input_ids=IDS, output_attentions=True)[PROBS]
        with pytest.raises(TypeError, match=f"required {engine}.* got {other}"):
            make_model("model", small(), engine).tape(input_ids=IDS, replace={PROBS: lambda _, value=value: value})


@pytest.mark.parametrize(
    ("replace", "said"),
    [
        ([PROBS], "replace: required a mapping of taps to functions, got list"),
        ({PROBS: np.ones(3)}, "to put an array in its place: lambda value: array"),
    ],
)
def test_what_is_no_mapping_to_functions_is_an_error(replace: Any, said: str, small: Any, make_model: Any) -> None:
    with pytest.raises(TypeError) as error:
        make_model("model", small(), "numpy").tape(input_ids=IDS, replace=replace)
    assert said in str(error.value)
