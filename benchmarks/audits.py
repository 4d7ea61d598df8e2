"""What an audit costs, and how an honest engine stands in it: seconds, memory, error in units of each limit.

    python benchmarks/audits.py                                   one head, one engine, roberta-base size, float32
    python benchmarks/audits.py --size small --heads all          every head of a small model
    python benchmarks/audits.py --device cuda --dtype bfloat16    an engine on an accelerator

The weights are drawn, so that nothing has to be downloaded.
"""

from __future__ import annotations

import resource
import statistics
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from roberta import RobertaConfig
from roberta.dispatch.api import FACES
from roberta.parity.audit import audit
from roberta.parity.cases import draw_state, small_config
from roberta.parity.findings import Audit
from roberta.reference.parameters import HEADS, parameter_table

SIZES: dict[str, dict[str, Any]] = {
    "base": {"vocab_size": 50265, "max_position_embeddings": 514, "type_vocab_size": 1},
    "large": {
        "vocab_size": 50265, "max_position_embeddings": 514, "type_vocab_size": 1, "hidden_size": 1024,
        "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096,
    },
}  # fmt: skip


def main(
    size: Annotated[str, typer.Option(help="small, base or large.")] = "base",
    heads: Annotated[str, typer.Option(help="Heads, separated by commas, or all.")] = "masked_lm",
    backends: Annotated[str, typer.Option(help="Engines, separated by commas.")] = "torch",
    dtype: Annotated[str, typer.Option(help="The precision; tfloat32 of a GPU's float32 products.")] = "float32",
    device: Annotated[str | None, typer.Option(help="Where the engine computes.")] = None,
    power: Annotated[bool, typer.Option(help="State the power, too.")] = False,
    cache: Annotated[Path | None, typer.Option(help="A folder in which truths are kept, for all engines.")] = None,
) -> None:
    """Audit honest engines, and print a line for each."""
    table = Table(
        "head", "engine", "probes", "verdict", "seconds", "peak GB", "largest / limit", "rms / limit", "rms sigma"
    )
    for head in HEADS if heads == "all" else heads.split(","):
        config = small_config() if size == "small" else RobertaConfig(layer_norm_eps=1e-5, **SIZES[size])
        state = draw_state(parameter_table(head, config), 0)
        reference = FACES[head].on("numpy")(config, state=state)
        for backend in backends.split(","):
            with _products_in(dtype, device):
                model = reference.to_backend(backend, dtype="float32" if dtype == "tfloat32" else dtype, device=device)
                started = time.perf_counter()
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    found = audit(model, reference, dtype=dtype, power=power, cache=cache)
            table.add_row(head, backend, *_cells(found, time.perf_counter() - started))
            for finding in found.findings:
                if finding.status in {"failed", "broken"}:
                    print(f"{head} {backend} {finding.probe}: {finding.worst} {finding.reason} {finding.departure}")
    Console(width=140).print(table)


@contextmanager
def _products_in(dtype: str, device: str | None) -> Iterator[None]:
    """PyTorch's float32 products in TF32, where that is what is audited."""
    if dtype == "tfloat32" and device is not None:
        import torch

        torch.backends.cuda.matmul.allow_tf32 = True
        try:
            yield
        finally:
            torch.backends.cuda.matmul.allow_tf32 = False
    else:
        yield


def _cells(found: Audit, seconds: float) -> list[str]:
    judged = [comparison for finding in found.findings for comparison in finding.comparisons]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return [
        f"{len(found.findings) - len(found.not_covered)} of {len(found.findings)}",
        "passed" if found.passed else "FAILED",
        f"{seconds:.1f}",
        f"{peak:.1f}",
        f"{max(comparison.ratio for comparison in judged):.3f}",
        f"{max(comparison.rms for comparison in judged):.3f}",
        f"{statistics.median(comparison.sigmas for comparison in judged):.2f}",
    ]


if __name__ == "__main__":
    typer.run(main)
