"""The inference forms against their peers, in turns: full, ragged, a short text, masked tokens only.

    python benchmarks/inference.py [--engines torch,numba,flax,tensorflow] [--layers 12] [--threads 2] [--runs 9]
    python benchmarks/inference.py --engines torch --dtype bfloat16
    python benchmarks/inference.py --page docs/speed.md

The size of roberta-base, random weights, float32 unless told. Contestants take turns, each in a process of its own
(`turns.py`): ours, transformers' class on the same framework (PyTorch's with sdpa, Flax's under `jit`, TensorFlow's
under `tf.function`), and for PyTorch and Numba, where they are installed, ONNX Runtime and CTranslate2 with the same
weights. One more measures in each turn what the processor can do: "peak" is the time that the matrix products would
take at its rate of multiply-adds, the best of all turns, of a kernel in the first cache and of a large product. What is
timed has been held against transformers first: within 1e-4 of the largest number (in bfloat16 0.1), so that what is
timed is the same computation; whether it is right, `roberta parity` says.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from rich.console import Console
from rich.table import Table
from speed import JOB, Job, as_markdown, load_keras_peer, load_peer, pin, put, run_child
from turns import TURN, Contestant

LENGTHS = (12, 20, 33, 48, 64, 80, 100, 128)
CASES = ("full", "ragged", "short", "masked")
MASKED = 0.15


def inputs_of(case: str, vocabulary: int) -> tuple[Any, Any, Any]:
    """Ids, mask and the places where logits are wanted, of a case; None where there is none."""
    import numpy as np

    rng = np.random.default_rng(0)
    ids = rng.integers(3, vocabulary, (8, 128))
    if case == "short":
        return ids[:1, :16], None, None
    if case == "ragged":
        mask = (np.arange(128) < np.array(LENGTHS)[:, None]).astype(np.int64)
        return np.where(mask == 1, ids, 1), mask, None
    return ids, None, np.argwhere(rng.random(ids.shape) < MASKED) if case == "masked" else None


def multiply_adds(config: Any, ids: Any, mask: Any, positions: Any) -> float:
    """How many there are in the dense layers, of real tokens, and in the logits that are wanted."""
    tokens = ids.size if mask is None else int(mask.sum())
    D, F = config.hidden_size, config.intermediate_size
    layers = tokens * config.num_hidden_layers * (4 * D * D + 2 * D * F)
    return layers + (0 if positions is None else len(positions) * D * (D + config.vocab_size))


class Work(NamedTuple):
    """What a child process is told."""

    engine: str
    folder: str
    threads: int
    runs: int
    dtype: str


#: (ids, mask, positions) -> the last vectors, or the logits at positions; None for what the runtime cannot be asked.
Compute = Callable[[Any, Any, Any], Any]


def measure(work: Work) -> dict[str, Any]:
    """In a child, which computes nothing itself: each case, in turns."""
    import numpy as np
    import roberta

    config = roberta.RobertaConfig.from_pretrained(work.folder)
    processor, ours = Contestant(peak, work), Contestant(Ours, work)
    contestants = {"ours": ours, **{name: Contestant(make, work) for name, make in peers_of(work).items()}}
    found: dict[str, Any] = {**ours.facts, "peak": 0.0, "cases": {}}
    allowed = 1e-4 if work.dtype == "float32" else 0.1
    for case in CASES:
        given = inputs_of(case, config.vocab_size)
        answers = {name: contestant.answer(*given) for name, contestant in contestants.items()}
        where = ... if given[1] is None else given[1] == 1
        first = np.asarray(answers["transformers"], np.float32)[where]
        for name, answer in answers.items():
            if (
                answer is not None
                and not np.abs(np.asarray(answer, np.float32)[where] - first).max() <= allowed * np.abs(first).max()
            ):
                raise SystemExit(f"{case}: {name} is off by {np.abs(np.asarray(answer)[where] - first).max():.2g}")
        times: dict[str, list[float]] = {name: [] for name, answer in answers.items() if answer is not None}
        for _ in range(work.runs):
            found["peak"] = max(found["peak"], processor.answer())
            for name, taken in times.items():
                taken.append(contestants[name].seconds(*given))
        found["cases"][case] = [times, multiply_adds(config, *given)]
    return found


def peak(_work: Work) -> Callable[[], float]:
    """What measures the processor: multiply-adds a second, on all threads, of operands that stay in the first cache."""
    import numba
    import numpy as np
    from roberta.backends.numba.tiles import ROWS, columns, tile

    width, depth = columns(np.zeros(0, "float32").dtype), 128

    @numba.njit(parallel=True, error_model="numpy")
    def run(left: Any, right: Any, zeros: Any, out: Any, repeats: int) -> None:
        for thread in numba.prange(out.shape[0]):
            for _ in range(repeats):
                tile(left[thread], right[thread], zeros, right[thread], out[thread])

    threads, repeats = numba.get_num_threads(), 10_000
    left, right = np.ones((threads, depth, ROWS), "f4"), np.ones((threads, depth, width), "f4")
    zeros, out = np.zeros(width, "f4"), np.zeros((threads, ROWS, width), "f4")
    run(left, right, zeros, out, 1)
    wide = np.ones((1536, 1536), "f4")

    def rate() -> float:
        best, end = 0.0, time.perf_counter() + TURN
        while (start := time.perf_counter()) < end:
            run(left, right, zeros, out, repeats)
            middle = time.perf_counter()
            wide @ wide
            taken = middle - start, time.perf_counter() - middle
            best = max(best, threads * repeats * depth * ROWS * width / taken[0], len(wide) ** 3 / taken[1])
        return best

    return rate


class Ours:
    """Our inference forms: the body, and where logits are wanted the whole.

    Attributes:
        facts: how long it took to load and to lay out, and the bytes that it holds.
    """

    def __init__(self, work: Work) -> None:
        import roberta

        limit(work)
        roberta.RobertaForMaskedLM.on(work.engine)  # imports are not counted
        start = time.perf_counter()
        model = roberta.RobertaForMaskedLM.from_pretrained(work.folder, backend=work.engine)
        loaded = time.perf_counter()
        self._twin = model.for_inference(work.dtype)
        seconds = {"load": loaded - start, "for_inference": time.perf_counter() - loaded}
        body = roberta.RobertaModel.from_pretrained(work.folder, backend=work.engine, add_pooling_layer=False)
        self._body, self._made = body.for_inference(work.dtype), native(work.engine)
        self.facts = {"seconds": seconds, "bytes": self._twin.nbytes}

    def __call__(self, ids: Any, mask: Any, positions: Any) -> Any:
        """The framework's own arrays in, an array of the host out."""
        given = {"input_ids": ids, "attention_mask": mask, "positions": positions}
        given = {name: self._made(value) for name, value in given.items() if value is not None}
        return on_host((self._body if positions is None else self._twin)(**given)[0])


def limit(work: Work) -> None:
    """Let TensorFlow have so many threads, before it starts any; the others read it from their variables."""
    if work.engine == "tensorflow":
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(work.threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)


def native(engine: str) -> Callable[[Any], Any]:
    """An array as the framework's own."""
    if engine == "torch":
        import torch

        return torch.from_numpy
    if engine == "tensorflow":
        import tensorflow as tf

        return tf.constant
    if engine == "flax":
        import jax.numpy as jnp

        return jnp.asarray
    return lambda value: value


def on_host(value: Any) -> Any:
    """The answer, once it is there, as an array."""
    import numpy as np

    value = value.float() if "bfloat16" in str(value.dtype) and hasattr(value, "float") else value
    return np.asarray(value)


# -- peers -------------------------------------------------------------------------------------------------------------


def job_of(work: Work, head: str) -> Job:
    return Job(work.engine, "", work.folder, head, work.threads, work.runs)


def peers_of(work: Work) -> dict[str, Callable[[Work], Compute]]:
    """Who is there to compare with: transformers first."""
    found = {"transformers": PEERS.get(work.engine, transformers_on_torch)}
    if work.engine not in PEERS and work.dtype == "float32":
        others = {"onnxruntime": with_onnxruntime, "ctranslate2": with_ctranslate2}
        found |= {name: make for name, make in others.items() if find_spec(name)}
    return found


def transformers_on_torch(work: Work) -> Compute:
    """transformers' PyTorch class."""
    import torch

    torch.set_num_threads(work.threads)
    peer = load_peer("", job_of(work, "masked_lm")).eval().to(getattr(torch, work.dtype))

    def call(ids: Any, mask: Any, positions: Any) -> Any:
        with torch.inference_mode():
            given = {"input_ids": torch.from_numpy(ids)}
            given |= {} if mask is None else {"attention_mask": torch.from_numpy(mask)}
            whole = (peer.roberta if positions is None else peer)(**given)[0]
            return on_host(whole if positions is None else whole[tuple(positions.T)])

    return call


def with_onnxruntime(work: Work) -> Compute:
    """The body as PyTorch's exporter writes it, run with as many threads."""
    import onnxruntime
    import torch

    body = load_peer("", job_of(work, "model"), add_pooling_layer=False).eval()

    class Exported(torch.nn.Module):
        """Inputs by position, the output alone."""

        def __init__(self) -> None:
            super().__init__()
            self.body = body

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            return self.body(input_ids, attention_mask=attention_mask)[0]

    path, axes = str(Path(work.folder) / "model.onnx"), {0: "B", 1: "T"}
    example = torch.ones(2, 5, dtype=torch.int64)
    torch.onnx.export(
        Exported().eval(), (example, example), path, dynamo=False, opset_version=17, output_names=["output"],
        input_names=["input_ids", "attention_mask"],
        dynamic_axes={"input_ids": axes, "attention_mask": axes, "output": axes},
    )  # fmt: skip
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = work.threads, 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def call(ids: Any, mask: Any, positions: Any) -> Any:
        import numpy as np

        if positions is not None:
            return None
        mask = np.ones_like(ids) if mask is None else mask
        return session.run(None, {"input_ids": ids, "attention_mask": mask})[0]

    return call


def with_ctranslate2(work: Work) -> Compute:
    """Its encoder, which computes without padding, too."""
    import ctranslate2
    import numpy as np

    source, target = Path(work.folder), Path(work.folder) / "ctranslate2"
    size = json.loads((source / "config.json").read_text())["vocab_size"]
    words = ["<s>", "<pad>", "</s>", "<unk>", *(f"w{index}" for index in range(size - 5)), "<mask>"]
    (source / "vocab.json").write_text(json.dumps({word: index for index, word in enumerate(words)}))
    (source / "merges.txt").write_text("#version: 0.2\n")
    ctranslate2.converters.TransformersConverter(str(source)).convert(str(target), force=True)
    encoder = ctranslate2.Encoder(str(target), intra_threads=work.threads, inter_threads=1)

    def call(ids: Any, mask: Any, positions: Any) -> Any:
        if positions is not None:
            return None
        lengths = [ids.shape[1]] * len(ids) if mask is None else mask.sum(-1).tolist()
        tokens = ctranslate2.StorageView.from_array(ids.astype(np.int32))
        counts = ctranslate2.StorageView.from_array(np.array(lengths, np.int32))
        return np.array(encoder.forward_batch(tokens, counts).last_hidden_state)

    return call


def transformers_on_flax(work: Work) -> Compute:
    """transformers' Flax class, under `jit`."""
    import jax
    import jax.numpy as jnp

    peer = load_peer("Flax", job_of(work, "masked_lm"), from_pt=True)
    body = load_peer("Flax", job_of(work, "model"), from_pt=True, add_pooling_layer=False)
    whole = jax.jit(lambda params, ids, mask: peer(ids, mask, params=params)[0])
    vectors = jax.jit(lambda params, ids, mask: body(ids, mask, params=params)[0])

    def call(ids: Any, mask: Any, positions: Any) -> Any:
        given = jnp.asarray(ids), jnp.ones_like(ids) if mask is None else jnp.asarray(mask)
        if positions is None:
            return on_host(vectors(body.params, *given))
        return on_host(whole(peer.params, *given))[tuple(positions.T)]

    return call


def transformers_on_tensorflow(work: Work) -> Compute:
    """transformers' TensorFlow class, under `tf.function`."""
    import tensorflow as tf

    limit(work)
    peer = load_keras_peer(job_of(work, "masked_lm"))
    whole = tf.function(lambda ids, mask: peer(ids, attention_mask=mask, training=False)[0])
    vectors = tf.function(lambda ids, mask: peer.roberta(ids, attention_mask=mask, training=False)[0])

    def call(ids: Any, mask: Any, positions: Any) -> Any:
        given = tf.constant(ids), tf.ones_like(ids) if mask is None else tf.constant(mask)
        if positions is None:
            return vectors(*given).numpy()
        return whole(*given).numpy()[tuple(positions.T)]

    return call


#: Engine -> the class on its framework; the others' peer is PyTorch's.
PEERS: dict[str, Callable[[Work], Compute]] = {
    "flax": transformers_on_flax,
    "tensorflow": transformers_on_tensorflow,
}


# -- in the parent -----------------------------------------------------------------------------------------------------


def checkpoint(folder: str, layers: int) -> None:
    """A random one of roberta-base's sizes."""
    import roberta

    config = roberta.RobertaConfig(
        num_hidden_layers=layers, max_position_embeddings=514, type_vocab_size=1, layer_norm_eps=1e-5
    )
    roberta.RobertaForMaskedLM(config, backend="numpy").save_pretrained(folder)


def main(
    engines: Annotated[str, typer.Option(help="which, with commas between")] = "torch,numba,flax,tensorflow",
    layers: int = 12,
    threads: int = 2,
    runs: Annotated[int, typer.Option(min=2, help="how often each is timed")] = 9,
    dtype: Annotated[str, typer.Option(help="in which PyTorch computes, and its peer")] = "float32",
    page: Annotated[Path | None, typer.Option(help="a page to put the table into, such as docs/speed.md")] = None,
) -> None:
    """Time the inference forms."""
    pin(threads)
    names = ("transformers", "torch", "flax", "jax", "tensorflow", "onnxruntime", "ctranslate2")
    title = ", ".join(f"{name} {version(name)}" for name in names if find_spec(name))
    columns = ("engine", "case", "ms", "times peak", "peer", "ms", "ratio (quartiles)")
    rows: list[tuple[str, ...]] = []
    console = Console(width=140)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint(folder, layers)
        for engine in engines.split(","):
            found = run_child(Work(engine, folder, threads, runs, dtype), __file__)
            if isinstance(found, str):
                console.print(f"{engine}: {found}")
            else:
                rows += rows_of(engine, found)
                seconds, rate = found["seconds"], 2e-9 * found["peak"]
                console.print(
                    f"{engine}: loaded in {seconds['load']:.2f} s, laid out in {seconds['for_inference']:.2f} s, "
                    f"{found['bytes'] / 1e6:.0f} MB; peak of the processor {rate:.0f} GFLOP/s"
                )
    table = Table(*columns, title=f"{dtype}; {title}")
    for row in rows:
        table.add_row(*row)
    console.print(table)
    if page is not None:
        put(page, "inference", as_markdown(columns, rows))


def rows_of(engine: str, found: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """An engine's rows: medians, and the ratio of each turn with its quartiles."""
    for case, (times, count) in found["cases"].items():
        own = times.pop("ours")
        left = (engine, case, f"{1e3 * statistics.median(own):.1f}")
        above = f"{statistics.median(own) / (count / found['peak']):.2f}"
        for peer, other in times.items():
            ratios = [theirs / ours for ours, theirs in zip(own, other, strict=True)]
            low, middle, high = statistics.quantiles(ratios, n=4)
            took = f"{1e3 * statistics.median(other):.1f}"
            yield *left, above, peer, took, f"{middle:.2f} ({low:.2f} to {high:.2f})"
            left, above = ("", "", ""), ""


if __name__ == "__main__":
    if JOB in os.environ:
        own_work = Work(*json.loads(os.environ[JOB]))
        pin(own_work.threads)
        print(json.dumps(measure(own_work)))
    else:
        typer.run(main)
