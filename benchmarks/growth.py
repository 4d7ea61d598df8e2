"""How the cost of a forward pass grows with batch, length and layers: the inference forms beside transformers.

    python benchmarks/growth.py [--engines torch,numba] [--layers 12] [--threads 2] [--runs 5]
    python benchmarks/growth.py --page docs/speed.md --plot docs/speed.svg

The size of roberta-base, random weights, float32, no padding; of a batch of 8 texts of 128 tokens one of batch, length
and number of layers is changed at a time. An engine and transformers' class on the same framework (Numba's peer is
PyTorch's), each in a process of its own, take turns; medians. `--page` puts the tables between the marks of that page,
`--plot` draws them (`pip install ".[plot]"`).
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from inference import Ours, Work, checkpoint, peers_of
from rich.console import Console
from rich.progress import track
from speed import JOB, as_markdown, pin, put, run_child
from turns import Contestant

BATCH, LENGTH = 8, 128
BATCHES = (1, 2, 4, 8, 16, 32, 64)
LENGTHS = (16, 32, 64, 128, 256, 512)
LAYERS = (1, 2, 4, 8, 12, 24)
#: What is changed -> in words.
AXES = {"batch": f"texts of {LENGTH} tokens", "length": f"tokens of each of {BATCH} texts", "layers": "layers"}


class Sizes(NamedTuple):
    """What a child process is told.

    Attributes:
        work: as `inference.py` has it.
        points: pairs (axis, value) that this number of layers is asked for.
        layers: how many there are.
    """

    work: Work
    points: tuple[tuple[str, int], ...]
    layers: int

    @property
    def threads(self) -> int:
        """How many."""
        return self.work.threads


def points(layers: int, whole: int) -> tuple[tuple[str, int], ...]:
    """What a model of so many layers is asked for: that of the whole number for batch and length, too."""
    others = [("batch", size) for size in BATCHES] + [("length", size) for size in LENGTHS]
    return (("layers", layers), *(others if layers == whole else []))


# -- in the child ------------------------------------------------------------------------------------------------------


def measure(sizes: Sizes) -> list[tuple[str, int, list[float], list[float]]]:
    """Axis, value, seconds of ours and of the peer's, turn by turn."""
    import numpy as np
    import roberta

    work = sizes.work
    contestants = Contestant(Ours, work), Contestant(peers_of(work)["transformers"], work)
    vocabulary = roberta.RobertaConfig.from_pretrained(work.folder).vocab_size
    found = []
    for axis, value in sizes.points:
        shape = {"batch": (value, LENGTH), "length": (BATCH, value)}.get(axis, (BATCH, LENGTH))
        given = np.random.default_rng(0).integers(3, vocabulary, shape), None, None
        answers = [contestant.answer(*given) for contestant in contestants]  # compiles, where that is needed
        if np.abs(answers[0] - answers[1]).max() > 1e-4 * np.abs(answers[1]).max():
            raise SystemExit(f"{axis} {value}: the two differ by {np.abs(answers[0] - answers[1]).max():.2g}")
        times: tuple[list[float], list[float]] = ([], [])
        for _ in range(work.runs):
            for contestant, taken in zip(contestants, times, strict=True):
                taken.append(contestant.seconds(*given))
        found.append((axis, value, *times))
    return found


# -- in the parent -----------------------------------------------------------------------------------------------------

#: Axis -> value -> engine, or engine's peer -> milliseconds.
Table = dict[str, dict[int, dict[str, float]]]


def main(
    engines: Annotated[str, typer.Option(help="which, with commas between")] = "torch,numba",
    layers: Annotated[int, typer.Option(help="where batch and length are changed")] = 12,
    threads: int = 2,
    runs: Annotated[int, typer.Option(min=2, help="how often each is timed")] = 5,
    page: Annotated[Path | None, typer.Option(help="a page with marks, to be written anew between them")] = None,
    plot: Annotated[Path | None, typer.Option(help="a picture to be drawn, such as docs/speed.svg")] = None,
) -> None:
    """Time the growth, and write it down."""
    pin(threads)
    console, table = Console(width=100), Table()
    names = engines.split(",")
    for count in track(sorted({*LAYERS, layers}), "layers", console=console):
        with tempfile.TemporaryDirectory() as folder:
            checkpoint(folder, count)
            for engine in names:
                work = Work(engine, folder, threads, runs, "float32")
                found = run_child(Sizes(work, points(count, layers), count), __file__)
                if isinstance(found, str):
                    raise SystemExit(f"{engine}, {count} layers: {found}")
                keep(table, engine, found)
    text = markdown(table, names)
    console.print(text, soft_wrap=True)
    if page is not None:
        put(page, "growth", text)
    if plot is not None:
        draw(table, names, plot)


def keep(table: Table, engine: str, found: Sequence[Any]) -> None:
    """Add the medians of a child."""
    for axis, value, own, other in found:
        row = table.setdefault(axis, {}).setdefault(value, {})
        row[engine] = 1e3 * statistics.median(own)
        row[peer_of(engine)] = 1e3 * statistics.median(other)


def peer_of(engine: str) -> str:
    """The name of a peer: one of PyTorch serves two engines."""
    return f"transformers, {'torch' if engine in ('torch', 'numba') else engine}"


def markdown(table: Table, engines: Sequence[str]) -> str:
    """A table for each axis: milliseconds a call, and how often an engine's go into its peer's."""
    parts = []
    for axis, rows in table.items():
        columns = [*engines, *dict.fromkeys(map(peer_of, engines))]
        titles = [AXES[axis], *(f"{name}, ms" for name in columns), *(f"{name} ahead" for name in engines)]
        cells = []
        for value, row in sorted(rows.items()):
            numbers = [f"{row[name]:.3g}" if row[name] < 1000 else f"{row[name]:.0f}" for name in columns]
            cells.append([str(value), *numbers, *(f"{row[peer_of(name)] / row[name]:.2f}" for name in engines)])
        parts.append(as_markdown(titles, cells))
    return "\n\n".join(parts)


def draw(table: Mapping[str, Mapping[int, Mapping[str, float]]], engines: Sequence[str], path: Path) -> None:
    """A panel for each axis, both scales logarithmic: what costs in proportion is a line of slope 1."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    mpl.rcParams["svg.hashsalt"] = "roberta"  # the same picture of the same numbers
    figure, panels = pyplot.subplots(1, len(table), figsize=(11, 3.6), sharey=True, layout="constrained")
    for panel, (axis, rows) in zip(panels, table.items(), strict=True):
        values = sorted(rows)
        for name in [*engines, *dict.fromkeys(map(peer_of, engines))]:
            style = "--" if name.startswith("transformers") else "-"
            panel.plot(values, [rows[value][name] for value in values], style, marker="o", markersize=3, label=name)
        panel.set(xscale="log", yscale="log", xlabel=AXES[axis], xticks=values, xticklabels=values)
        panel.minorticks_off()
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("ms a call")
    panels[0].legend()
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    if JOB in os.environ:
        told, asked, count = json.loads(os.environ[JOB])
        own = Sizes(Work(*told), tuple((axis, value) for axis, value in asked), count)
        pin(own.threads)
        print(json.dumps(measure(own)))
    else:
        typer.run(main)
