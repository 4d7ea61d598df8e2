"""A training step of each framework against transformers' own class on it, in turns: forward, backward, AdamW.

    python benchmarks/training.py [--engines torch,flax,tensorflow] [--layers 12] [--threads 2] [--runs 5]

A masked language model of roberta-base's sizes, random weights, float32, dropout on, 8 x 128 ids, labels at 15 %;
"ragged" has rows of several lengths. Compiled where its users compile: Flax under `jit`, TensorFlow under
`tf.function`. The memory is the peak of a process of its own that takes two steps, over what it holds before the first:
gradients, AdamW's moments and activations; where a model can compute its activations again, both with that, too.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from inference import LENGTHS, checkpoint
from rich.console import Console
from rich.table import Table
from speed import JOB, PAUSE, Job, as_markdown, load_keras_peer, load_peer, memory, pin, put, run_child

CASES = ("full", "ragged")
RATE = 1e-5
#: Ids, mask and labels -> the loss, after a step.
Step = Callable[[Any, Any, Any], float]


class Work(NamedTuple):
    """What a child process is told; `who` is "all" to be timed in turns, or one, whose memory is measured."""

    engine: str
    folder: str
    threads: int
    runs: int
    who: str


def batch_of(case: str, vocabulary: int) -> tuple[Any, Any, Any]:
    """Ids, mask, and labels, which are -100 where no token is asked for."""
    import numpy as np

    rng = np.random.default_rng(0)
    ids = rng.integers(3, vocabulary, (8, 128))
    mask = np.arange(128) < (np.array(LENGTHS)[:, None] if case == "ragged" else 128)
    mask = np.broadcast_to(mask, ids.shape)
    labels = np.where(mask & (rng.random(ids.shape) < 0.15), ids, -100)
    return np.where(mask, ids, 1), mask.astype(np.int64), labels


# -- one step of each framework ----------------------------------------------------------------------------------------


def torch_step(model: Any) -> Step:
    """PyTorch, eager."""
    import torch

    optimizer = torch.optim.AdamW(model.train().parameters(), RATE)

    def step(ids: Any, mask: Any, labels: Any) -> float:
        given = [torch.from_numpy(array) for array in (ids, mask, labels)]
        optimizer.zero_grad()
        loss = model(given[0], attention_mask=given[1], labels=given[2]).loss
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    return step


def keras_step(model: Any, keras: Any, *, is_ours: bool) -> Step:
    """TensorFlow, in a `tf.function`, with the Keras that the model is of."""
    import tensorflow as tf

    optimizer = keras.optimizers.AdamW(RATE)
    optimizer.build(model.trainable_variables)

    @tf.function
    def step(ids: Any, mask: Any, labels: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(model(ids, attention_mask=mask, labels=labels, training=True).loss)
        variables = model.trainable_variables
        wanted = [variable.value for variable in variables] if is_ours else variables
        optimizer.apply_gradients(zip(tape.gradient(loss, wanted), variables, strict=True))
        return loss

    return lambda *given: float(step(*map(tf.constant, given)))


def nnx_step(model: Any) -> Step:
    """Flax's modules, under `nnx.jit`."""
    import optax
    from flax import nnx

    optimizer = nnx.Optimizer(model.train(), optax.adamw(RATE), wrt=nnx.Param)

    @nnx.jit
    def step(model: Any, optimizer: Any, ids: Any, mask: Any, labels: Any) -> Any:
        loss, gradients = nnx.value_and_grad(lambda model: model(ids, attention_mask=mask, labels=labels).loss)(model)
        optimizer.update(model, gradients)
        return loss

    cached = nnx.cached_partial(step, model, optimizer)  # or all are counted anew at each step, in some 30 ms
    return lambda *given: float(cached(*given))


def linen_step(model: Any) -> Step:
    """transformers' Flax class, whose users write the loss."""
    import jax
    import optax

    rule = optax.adamw(RATE)
    held = [model.params, rule.init(model.params), jax.random.key(0)]

    @jax.jit
    def step(params: Any, state: Any, key: Any, ids: Any, mask: Any, labels: Any) -> Any:
        key, own = jax.random.split(key)

        def loss_of(params: Any) -> Any:
            logits = model(ids, mask, params=params, dropout_rng=own, train=True).logits
            is_asked = labels >= 0
            losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels * is_asked)
            return (losses * is_asked).sum() / is_asked.sum()

        loss, gradients = jax.value_and_grad(loss_of)(params)
        changes, state = rule.update(gradients, state, params)
        return optax.apply_updates(params, changes), state, key, loss

    def call(*given: Any) -> float:
        *held[:], loss = step(*held, *given)
        return float(loss)

    return call


def steps_of(work: Work) -> dict[str, Callable[[], Step]]:
    """Who can be asked -> what makes its step."""
    import roberta

    job = Job(work.engine, "", work.folder, "masked_lm", work.threads, 0)

    def ours() -> Any:
        return roberta.RobertaForMaskedLM.from_pretrained(work.folder, backend=work.engine)

    def recomputing() -> Any:
        model = ours()
        model.gradient_checkpointing_enable()
        return model

    if work.engine == "torch":
        import torch

        torch.set_num_threads(work.threads)
        return {
            "ours": lambda: torch_step(ours()),
            "transformers": lambda: torch_step(load_peer("", job)),
            "recomputing": lambda: torch_step(recomputing()),
        }
    if work.engine == "flax":
        found = {
            "ours": lambda: nnx_step(ours()),
            "transformers": lambda: linen_step(load_peer("Flax", job, from_pt=True)),
        }
        wrap = nnx_step
    else:
        import keras
        import tensorflow as tf
        import tf_keras

        tf.config.threading.set_intra_op_parallelism_threads(work.threads)
        found = {
            "ours": lambda: keras_step(ours(), keras, is_ours=True),
            "transformers": lambda: keras_step(load_keras_peer(job), tf_keras, is_ours=False),
        }

        def wrap(model: Any) -> Step:
            return keras_step(model, keras, is_ours=True)

    if hasattr(roberta.RobertaForMaskedLM.on(work.engine), "gradient_checkpointing_enable"):
        found["recomputing"] = lambda: wrap(recomputing())
    return found


def measure(work: Work) -> dict[str, Any]:
    """In a child."""
    steps = steps_of(work)
    if work.who != "all":
        if work.who not in steps:
            return {}
        step, given = steps[work.who](), batch_of("full", 50265)
        before = memory()
        for _ in range(2):
            step(*given)
        return {"memory": memory() - before}
    timed, cases = {name: make() for name, make in steps.items()}, {}
    for case in CASES:
        given = batch_of(case, 50265)
        times: dict[str, list[float]] = {name: [] for name in timed}
        losses = [step(*given) for step in timed.values()]  # compiles
        if not abs(losses[0] - losses[1]) < 0.05 * losses[1]:  # each has its own dropout
            raise SystemExit(f"{case}: losses {losses}")
        for _ in range(work.runs):
            for name, step in timed.items():
                time.sleep(PAUSE)
                begun = time.perf_counter()
                step(*given)
                times[name].append(time.perf_counter() - begun)
        cases[case] = times
    return {"cases": cases}


# -- in the parent -----------------------------------------------------------------------------------------------------


def found_by(work: Work) -> dict[str, Any]:
    """What a child has found.

    Raises:
        SystemExit: it has failed; with its last line.
    """
    found = run_child(work, __file__)
    if isinstance(found, str):
        raise SystemExit(f"{work.engine}, {work.who}: {found}")
    return found


def main(
    engines: Annotated[str, typer.Option(help="which, with commas between")] = "torch,flax,tensorflow",
    layers: int = 12,
    threads: int = 2,
    runs: Annotated[int, typer.Option(min=2, help="how often each is timed")] = 5,
    page: Annotated[Path | None, typer.Option(help="a page to put the table into, such as docs/speed.md")] = None,
) -> None:
    """Time a training step, and measure its memory."""
    pin(threads)
    title = f"a training step, {layers} layers, 8 x 128, float32, against transformers {version('transformers')}"
    columns = ("engine", "case", "ms", "peer's ms", "ratio (quartiles)", "recomputing", "GB: ours, peer, recomputing")
    rows: list[tuple[str, ...]] = []
    with tempfile.TemporaryDirectory() as folder:
        checkpoint(folder, layers)
        for engine in engines.split(","):
            found = found_by(Work(engine, folder, threads, runs, "all"))["cases"]
            taken = [
                found_by(Work(engine, folder, threads, runs, who)) for who in ("ours", "transformers", "recomputing")
            ]
            memories = ", ".join(f"{one['memory']:.2f}" if one else "-" for one in taken)
            for case, times in found.items():
                own, other = times["ours"], times["transformers"]
                ratios = [theirs / ours for ours, theirs in zip(own, other, strict=True)]
                low, middle, high = statistics.quantiles(ratios, n=4)
                again = times.get("recomputing")
                medians = [f"{1e3 * statistics.median(part):.0f}" if part else "-" for part in (own, other, again)]
                rows.append(
                    (engine, case, *medians[:2], f"{middle:.2f} ({low:.2f} to {high:.2f})", medians[2], memories)
                )
                memories = ""
    table = Table(*columns, title=title)
    for row in rows:
        table.add_row(*row)
    Console(width=140).print(table)
    if page is not None:
        put(page, "training", as_markdown(columns, rows))


if __name__ == "__main__":
    if JOB in os.environ:
        own_work = Work(*json.loads(os.environ[JOB]))
        pin(own_work.threads)
        print(json.dumps(measure(own_work)))
    else:
        typer.run(main)
