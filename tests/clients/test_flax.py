"""NNX, JAX, optax and orbax with a Flax model, each as its own quick start has it."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint
import pytest
import roberta
from flax import nnx
from flax.errors import TraceContextError
from jax import export
from roberta.parity.cases import small_config

pytestmark = pytest.mark.flax

IDS = np.array([[0, 7, 8, 9, 2], [0, 5, 6, 8, 2]])
MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])


def masked_lm(**options: Any) -> Any:
    return roberta.RobertaForMaskedLM(small_config(), backend="flax", **options)


def loss_of(model: Any) -> Any:
    return model(jnp.asarray(IDS), attention_mask=jnp.asarray(MASK), labels=jnp.asarray(IDS)).loss


# -- making and showing ------------------------------------------------------------------------------------------------


def test_rngs() -> None:
    """`RobertaForMaskedLM(config, rngs=nnx.Rngs(0))`"""
    first, again, other = (masked_lm(rngs=nnx.Rngs(seed)) for seed in (0, 0, 1))
    name = "lm_head.dense.weight"
    assert np.array_equal(first.state_dict_numpy()[name], again.state_dict_numpy()[name])
    assert not np.array_equal(first.state_dict_numpy()[name], other.state_dict_numpy()[name])
    losses = [float(loss_of(model.train())) for model in (first, again)]
    assert losses[0] == losses[1]
    again = masked_lm(rngs=nnx.Rngs(0, dropout=5)).train()
    assert float(loss_of(again)) != losses[0]
    with pytest.raises(TypeError, match=r"rngs: required an nnx.Rngs, such as nnx.Rngs\(0\), got int"):
        masked_lm(rngs=0)
    with pytest.raises(TypeError, match=r"rngs.*Flax has it; elsewhere type seed=0"):
        roberta.RobertaForMaskedLM(small_config(), backend="numpy", rngs=nnx.Rngs(0))


def test_tabulate() -> None:
    """`nnx.tabulate(model, input_ids, attention_mask=mask)`, `nnx.display`, `print(model)`"""
    model = masked_lm()
    table = nnx.tabulate(model, jnp.asarray(IDS), attention_mask=jnp.asarray(MASK), console_kwargs={"width": 200})
    rows = [line for line in table.splitlines() if "│" in line]
    assert any("roberta/encoder/layer/1/attention/self/query" in row and "Linear" in row for row in rows)
    assert any("lm_head" in row and "LMHead" in row for row in rows)
    nnx.display(model)
    assert "word_embeddings" in str(model)
    assert float(loss_of(model)) > 0, "the table leaves the model as it was"


# -- training ----------------------------------------------------------------------------------------------------------


def test_optimizer() -> None:
    """`nnx.Optimizer`, `nnx.value_and_grad` in `nnx.jit`"""
    model = masked_lm().train()
    optimizer = nnx.Optimizer(model, optax.adamw(1e-2), wrt=nnx.Param)

    @nnx.jit
    def step(model: Any, optimizer: Any) -> Any:
        loss, gradients = nnx.value_and_grad(loss_of)(model)
        optimizer.update(model, gradients)
        return loss

    losses = [float(step(model, optimizer)) for _ in range(5)]
    assert losses[-1] < losses[0]


def test_functional_training() -> None:
    """`nnx.split`, `jax.value_and_grad` over the parameters, `nnx.merge(…, copy=True)`: dropout counts on"""
    graph, parameters, rest = nnx.split(masked_lm().train(), nnx.Param, ...)

    @jax.jit
    def step(parameters: Any, rest: Any) -> Any:
        def loss(parameters: Any) -> Any:
            model = nnx.merge(graph, parameters, rest, copy=True)
            found = loss_of(model)
            return found, nnx.split(model, nnx.Param, ...)[2]

        return jax.value_and_grad(loss, has_aux=True)(parameters)

    (first, after), gradients = step(parameters, rest)
    (second, _), _ = step(parameters, after)
    assert float(first) != float(second), "another dropout"
    assert float(step(parameters, rest)[0][0]) == float(first)
    assert any(float(abs(leaf).max()) > 0 for leaf in jax.tree.leaves(gradients))


def test_a_counter_of_another_trace() -> None:
    """`nnx.merge` without `copy=True` in a gradient: the error says what to type"""
    graph, parameters, rest = nnx.split(masked_lm().train(), nnx.Param, ...)
    with pytest.raises(TraceContextError, match=r"dropout: its counter belongs to another trace.*copy=True"):
        jax.grad(lambda parameters: loss_of(nnx.merge(graph, parameters, rest)))(parameters)


def test_scan() -> None:
    """`jax.lax.scan` over steps of training"""
    model = masked_lm().train()
    graph, state = nnx.split((model, nnx.Optimizer(model, optax.adamw(1e-2), wrt=nnx.Param)))

    def step(state: Any, ids: Any) -> Any:
        model, optimizer = nnx.merge(graph, state)
        loss, gradients = nnx.value_and_grad(lambda model: model(ids, labels=ids).loss)(model)
        optimizer.update(model, gradients)
        return nnx.state((model, optimizer)), loss

    _, losses = jax.lax.scan(step, state, jnp.stack([jnp.asarray(IDS)] * 4))
    assert losses[-1] < losses[0]


def test_remat() -> None:
    """`nnx.remat` around the model, and `model.gradient_checkpointing_enable()`"""
    model = masked_lm()
    plain = nnx.grad(loss_of)(model)
    remat = nnx.grad(lambda model: nnx.remat(loss_of)(model))(model)
    model.gradient_checkpointing_enable()
    for found in (remat, nnx.grad(loss_of)(model)):
        for one, other in zip(jax.tree.leaves(plain), jax.tree.leaves(found), strict=True):
            np.testing.assert_allclose(one, other, atol=1e-6)


def test_vmap() -> None:
    """`nnx.vmap` and `jax.vmap` over texts"""
    model = masked_lm()
    expected = model(jnp.asarray(IDS)).logits
    by_nnx = nnx.vmap(lambda model, ids: model(ids[None]).logits[0], in_axes=(None, 0))(model, jnp.asarray(IDS))
    graph, state = nnx.split(model)
    by_jax = jax.vmap(lambda ids: nnx.merge(graph, state)(ids[None]).logits[0])(jnp.asarray(IDS))
    for found in (by_nnx, by_jax):
        np.testing.assert_allclose(found, expected, atol=1e-5)


# -- files and copies --------------------------------------------------------------------------------------------------


def test_export() -> None:
    """`jax.export`, of open sizes, records and all (it needs `pip install flatbuffers`)"""
    pytest.importorskip("flatbuffers", reason="JAX writes and reads exported programs by it")
    model = masked_lm()
    B, T = export.symbolic_shape("B, T")
    program = export.export(jax.jit(lambda ids: model(ids)))(jax.ShapeDtypeStruct((B, T), jnp.int32))
    found = export.deserialize(program.serialize()).call(jnp.asarray(IDS, jnp.int32))
    assert type(found).__name__ == "MaskedLMOutput"
    np.testing.assert_allclose(found.logits, model(IDS).logits, atol=1e-5)


def test_export_with_parameters() -> None:
    """`jax.export` of a program that takes the parameters, as a list: `jax.tree.flatten(nnx.state(…))`"""
    pytest.importorskip("flatbuffers", reason="JAX writes and reads exported programs by it")
    model = masked_lm()
    graph, parameters, rest = nnx.split(model, nnx.Param, ...)
    leaves, structure = jax.tree.flatten(parameters)

    def logits(leaves: Any, ids: Any) -> Any:
        return nnx.merge(graph, jax.tree.unflatten(structure, leaves), rest, copy=True)(ids).logits

    ids = jnp.asarray(IDS, jnp.int32)
    content = export.export(jax.jit(logits))(leaves, ids).serialize()
    np.testing.assert_allclose(export.deserialize(content).call(leaves, ids), model(ids).logits, atol=1e-5)


def test_orbax(tmp_path: Path) -> None:
    """`orbax.checkpoint.StandardCheckpointer`"""
    model = masked_lm(seed=3)
    with orbax.checkpoint.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "state", nnx.split(model)[1])
        checkpointer.wait_until_finished()
        graph, shapes = nnx.split(nnx.eval_shape(masked_lm))
        restored = nnx.merge(graph, checkpointer.restore(tmp_path / "state", shapes))
    assert np.array_equal(restored(IDS).logits, model(IDS).logits)


def test_copies() -> None:
    """`nnx.clone`, `nnx.state`, `nnx.update`, `jax.tree.map`, `copy.deepcopy`, `pickle`"""
    model = masked_lm()
    expected = model(IDS).logits
    for other in (nnx.clone(model), copy.deepcopy(model), pickle.loads(pickle.dumps(model))):  # noqa: S301  # its own
        assert np.array_equal(other(IDS).logits, expected)
    nnx.update(model, jax.tree.map(jnp.zeros_like, nnx.state(model, nnx.Param)))
    assert not model(IDS).logits.any()


# -- meshes ------------------------------------------------------------------------------------------------------------

MESHES = """
    import jax, jax.numpy as jnp, numpy as np, optax, roberta, warnings
    from flax import nnx
    from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
    from roberta.parity.cases import draw_case
    from roberta.parity.checking import FACES

    warnings.simplefilter("ignore", UserWarning)
    for kind in (AxisType.Auto, AxisType.Explicit):
        mesh = jax.make_mesh((2,), ("x",), axis_types=(kind,))
        for head in HEADS:
            case = draw_case(head, 1)
            inputs = {name: np.concatenate([value, value[:1]]) for name, value in case.inputs.items()}  # four rows
            model = FACES[head](case.config, backend="flax", state=case.state)
            expected = model(**inputs)
            answer = "logits" if "logits" in expected else "start_logits" if "start_logits" in expected else 0

            def loss(model, given):
                output = model(**given)
                return output.loss if "loss" in output else output[0].sum()

            derive = nnx.jit(nnx.grad(loss))
            gradients = derive(model, inputs)
            with jax.set_mesh(mesh):
                cut = {name: jax.device_put(value, NamedSharding(mesh, P("x"))) for name, value in inputs.items()}
                for parameters in ("whole", "cut") if head == "masked_lm" else ("cut",):
                    graph, state, rest = nnx.split(model, nnx.Param, ...)

                    def placed(value):
                        is_cut = parameters == "cut" and value.shape[0] % 2 == 0
                        return jax.device_put(value, NamedSharding(mesh, P("x") if is_cut else P()))

                    rest = jax.device_put(rest, NamedSharding(mesh, P()))
                    sharded = nnx.merge(graph, jax.tree.map(placed, state), rest, copy=True)
                    found = nnx.jit(lambda model, given: model(**given))(sharded, cut)
                    np.testing.assert_allclose(found[answer], expected[answer], atol=2e-5)
                    assert "x" in found[answer].sharding.spec, found[answer].sharding
                    for one, other in zip(*map(jax.tree.leaves, (derive(sharded, cut), gradients))):
                        np.testing.assert_allclose(one, other, atol=2e-5)
                    print(kind, head, parameters)
"""

SHARD_MAP = """
    import jax, jax.numpy as jnp, numpy as np, roberta
    from flax import nnx
    from jax.sharding import AxisType, PartitionSpec as P
    from roberta.parity.cases import small_config

    ids = np.random.default_rng(0).integers(3, 100, (4, 7))
    model = roberta.RobertaForMaskedLM(small_config(), backend="flax")
    mesh = jax.make_mesh((2,), ("x",), axis_types=(AxisType.Auto,))
    graph, parameters, rest = nnx.split(model, nnx.Param, ...)

    def step(parameters, ids):
        loss = lambda parameters: nnx.merge(graph, parameters, rest, copy=True)(ids, labels=ids).loss
        return jax.tree.map(lambda part: jax.lax.pmean(part, "x"), jax.value_and_grad(loss)(parameters))

    with jax.set_mesh(mesh):
        mapped = jax.shard_map(step, mesh=mesh, in_specs=(P(), P("x")), out_specs=P())
        loss, _ = jax.jit(mapped)(parameters, jnp.asarray(ids))
    np.testing.assert_allclose(loss, model(ids, labels=ids).loss, rtol=1e-5)
    print("done")
"""


def on_two_devices(script: str) -> str:
    """What a Python with two devices prints; this one has begun with as many as it has."""
    flags = "--xla_force_host_platform_device_count=2"
    result = subprocess.run(  # noqa: S603  # a script of this file
        [sys.executable, "-c", textwrap.dedent(script)], env={**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


def test_meshes() -> None:
    """A mesh of two devices, axes automatic and explicit: batches cut (data parallel), parameters too (as FSDP)"""
    heads = ["masked_lm", "multiple_choice", "question_answering"]
    found = on_two_devices(MESHES.replace("HEADS", repr(heads)))
    assert len(found.splitlines()) == 2 * (len(heads) + 1)


def test_shard_map() -> None:
    """`jax.shard_map` of a step of training"""
    assert on_two_devices(SHARD_MAP) == "done\n"


# -- for those who come from transformers ------------------------------------------------------------------------------

#: A call of transformers' Flax classes -> the same here. What stands on the right is run, with these names.
CALLS = {
    "FlaxRobertaForMaskedLM.from_pretrained(name, from_pt=True)": "FlaxRobertaForMaskedLM.from_pretrained(name)",
    "FlaxRobertaForMaskedLM(config, seed=0, dtype=jnp.bfloat16)":
        "FlaxRobertaForMaskedLM(config, seed=0).compute_in(jnp.bfloat16)",
    "model.params": "nnx.state(model, nnx.Param)",
    "model.params = params": "nnx.update(model, params)",
    "model(ids, params=params)": "nnx.merge(graph, params, rest, copy=True)(ids)",
    "model(ids, train=True, dropout_rng=key)": "nnx.reseed(model, dropout=key), model.train()(ids)",
    "model(ids, train=False)": "model.eval()(ids)",
    "model.to_bf16(model.params)": 'model.to_backend("flax", dtype="bfloat16")',
    "model.save_pretrained(folder, params=params)": "nnx.update(model, params), model.save_pretrained(folder)",
    "model.init_weights(key, shape)": "FlaxRobertaForMaskedLM(config, seed=1)",
    "jax.jit(lambda params, ids: model(ids, params=params).logits)(params, ids)":
        "nnx.jit(lambda model, ids: model(ids).logits)(model, ids)",
}  # fmt: skip


@pytest.mark.parametrize("call", CALLS.values(), ids=range(len(CALLS)))
def test_calls(call: str, tmp_path: Path) -> None:
    """The calls of transformers' Flax classes, below"""
    config = small_config()
    model = roberta.FlaxRobertaForMaskedLM(config)
    model.save_pretrained(tmp_path / "name")
    graph, params, rest = nnx.split(model, nnx.Param, ...)
    known = {"FlaxRobertaForMaskedLM": roberta.FlaxRobertaForMaskedLM, "nnx": nnx, "jnp": jnp, "jax": jax}
    known |= {"model": model, "config": config, "graph": graph, "params": params, "rest": rest, "ids": IDS}
    known |= {"name": tmp_path / "name", "folder": tmp_path / "folder", "key": jax.random.key(0)}
    eval(call, known)  # noqa: S307  # of this file


@pytest.mark.parametrize(
    ("wrong", "remedy"),
    [
        (lambda model: model(IDS, params={}), r"'params'.*nnx.update\(model, state\)"),
        (lambda model: model(IDS, train=True), r"'train'.*model.train\(\)"),
        (lambda model: model(IDS, dropout_rng=jax.random.key(0)), r"'dropout_rng'.*nnx.reseed"),
        (lambda model: model.params, r"'params': its parameters are nnx.state\(model, nnx.Param\)"),
        (lambda model: model.to_bf16, r"'to_bf16': type model.to_backend\(\"flax\", dtype=\"bfloat16\"\)"),
        (lambda model: model(IDS, atention_mask=MASK), "Did you mean 'attention_mask'"),
        (lambda model: model.save_pretrained("nowhere", params={}), r"'params'.*nnx.update\(model, params\) first"),
        (lambda model: type(model).from_pretrained("austen", rngs=nnx.Rngs(0)), r"'rngs'. What the file lacks.*seed=0"),
    ],
)
def test_old_calls(wrong: Any, remedy: str) -> None:
    """Old calls, which say what to type"""
    with pytest.raises((TypeError, AttributeError), match=remedy):
        wrong(masked_lm())
