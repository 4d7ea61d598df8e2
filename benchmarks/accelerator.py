"""PyTorch's inference form on an accelerator, against transformers' class there, in turns, in each precision.

    python benchmarks/accelerator.py [--device cuda] [--layers 12] [--runs 15] [--page docs/speed.md]

The size of roberta-base, random weights: 64 texts of 512 tokens (full), of 16 to 512, evenly spaced (ragged), one of
16 (short), and logits at 15 % of the tokens of 16 x 512 (masked). Inputs and answers stay on the device; what is timed
ends when the device has done it. "tf32" is float32 with `torch.set_float32_matmul_precision("high")`, which is the
user's to say, and is set here for that row alone. "times floor" is the time over that which the multiply-adds of the
dense layers would take, of real tokens, at the rate of a large product in the same precision, measured beside. What is
timed has been held against transformers first; whether it is right, `roberta parity --device cuda` says.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from inference import MASKED, checkpoint, multiply_adds
from rich.console import Console
from rich.table import Table
from speed import as_markdown, load_peer, put

#: Case -> texts and tokens.
CASES = {"full": (64, 512), "ragged": (64, 512), "short": (1, 16), "masked": (16, 512)}
#: Precision -> the model's dtype, and by how much of the largest number the two may differ.
PRECISIONS = {"float32": ("float32", 1e-4), "tf32": ("float32", 2e-2), "bfloat16": ("bfloat16", 0.2)} | {
    "float16": ("float16", 5e-2)
}


def inputs_of(case: str, vocabulary: int) -> tuple[Any, Any, Any]:
    """Ids, mask and the places where logits are wanted, of a case; None where there is none."""
    import numpy as np

    rng = np.random.default_rng(0)
    B, T = CASES[case]
    ids = rng.integers(3, vocabulary, (B, T))
    if case == "ragged":
        mask = (np.arange(T) < np.linspace(16, T, B).round()[:, None]).astype(np.int64)
        return np.where(mask == 1, ids, 1), mask, None
    return ids, None, np.argwhere(rng.random(ids.shape) < MASKED) if case == "masked" else None


@contextmanager
def precision(name: str) -> Generator[None]:
    """In a `with` block, products of float32 in TF32, where that is meant."""
    import torch

    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if name == "tf32" else "highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def seconds(call: Callable[[], Any]) -> float:
    """How long a call takes, until the device has done it."""
    import torch

    torch.cuda.synchronize()
    begun = time.perf_counter()
    call()
    torch.cuda.synchronize()
    return time.perf_counter() - begun


def rate(device: str, dtype: Any) -> float:
    """Multiply-adds a second of a large product."""
    import torch

    a, b = (torch.randn(8192, 8192, device=device, dtype=dtype) for _ in range(2))
    return 8192**3 / statistics.median(seconds(lambda: a @ b) for _ in range(10))


def measured(name: str, folder: str, device: str, runs: int) -> list[tuple[str, ...]]:
    """The rows of one precision."""
    import roberta
    import torch

    spelled, allowed = PRECISIONS[name]
    dtype = getattr(torch, spelled)
    options = {"backend": "torch", "device": device, "dtype": spelled}
    model = roberta.RobertaForMaskedLM.from_pretrained(folder, **options)
    body = roberta.RobertaModel.from_pretrained(folder, **options, add_pooling_layer=False)
    twins = {"whole": model.for_inference(), "body": body.for_inference()}
    peer = load_peer("", folder_job(folder)).eval().to(device, dtype)
    best, rows = rate(device, dtype), []
    for case in CASES:
        given = inputs_of(case, model.config.vocab_size)
        ids, mask, positions = (None if part is None else torch.from_numpy(part).to(device) for part in given)

        def ours(ids: Any = ids, mask: Any = mask, positions: Any = positions) -> Any:
            if positions is None:
                return twins["body"](ids, mask)[0]
            return twins["whole"](ids, mask, positions=positions)[0]

        def theirs(ids: Any = ids, mask: Any = mask, positions: Any = positions) -> Any:
            with torch.inference_mode():
                whole = (peer.roberta if positions is None else peer)(ids, attention_mask=mask)[0]
                return whole if positions is None else whole[tuple(positions.T)]

        where = ... if mask is None else mask == 1
        found, expected = ours().float()[where], theirs().float()[where]
        error = float((found - expected).abs().max() / expected.abs().max())
        if not error <= allowed:
            raise SystemExit(f"{name}, {case}: off by {error:.2g} of the largest number")
        del found, expected
        pairs = [(seconds(ours), seconds(theirs)) for _ in range(runs + 2)][2:]
        own, other = ([pair[i] for pair in pairs] for i in range(2))
        low, middle, high = statistics.quantiles([b / a for a, b in pairs], n=4)
        floor = multiply_adds(model.config, *given) / best
        times = [f"{1e3 * statistics.median(part):.2f}" for part in (own, other)]
        above = f"{statistics.median(own) / floor:.2f}"
        rows.append((name, case, times[0], above, times[1], f"{middle:.2f} ({low:.2f} to {high:.2f})", f"{error:.1e}"))
    return rows


def folder_job(folder: str) -> Any:
    """As `speed.load_peer` wants to be told."""
    from speed import Job

    return Job("torch", "eager", folder, "masked_lm", 0, 0)


def main(
    device: str = "cuda",
    layers: int = 12,
    runs: Annotated[int, typer.Option(min=2, help="how often each is timed")] = 15,
    page: Annotated[Path | None, typer.Option(help="a page to put the table into, such as docs/speed.md")] = None,
) -> None:
    """Time the inference form on an accelerator."""
    import torch

    columns = ("precision", "case", "ms", "times floor", "transformers, ms", "ratio (quartiles)", "they differ by")
    names = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers"))
    table = Table(*columns, title=f"{torch.cuda.get_device_name(device)}; {names}")
    rows: list[tuple[str, ...]] = []
    with tempfile.TemporaryDirectory() as folder:
        checkpoint(folder, layers)
        for name in PRECISIONS:
            with precision(name):
                rows += measured(name, folder, device, runs)
    for row in rows:
        table.add_row(*row)
    Console(width=140).print(table)
    if page is not None:
        put(page, "accelerator", as_markdown(columns, rows))


if __name__ == "__main__":
    typer.run(main)
