"""The picture of budgets in the README: five honest engines and ten mistakes, error / budget at the logits.

    python benchmarks/budgets.py [--out docs/budgets.svg]

Everything is computed anew: the shipped checkpoint, two sentences, float32; limits as `roberta.parity.compare_tape`
derives them. The mistakes are those of `roberta.teaching.switches`.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import roberta
import typer
from matplotlib import rc_context
from matplotlib.figure import Figure
from roberta.files.atomic import write_atomically
from roberta.teaching.departures import TapBudgets
from roberta.teaching.faults import faults_of, run_fault

ROOT = Path(__file__).resolve().parent.parent
SENTENCES = ["She was <mask> to see him.", "My dear <mask>!"]
ENGINES = ("numpy", "numba", "torch", "tensorflow", "flax")
#: Mid-grey words and these two colours are read on white and on black, and told apart in grey by their markers.
GREY, HONEST, WRONG = "#808080", "#0072B2", "#D55E00"
COUNT = 10


def main(out: Annotated[Path, typer.Option(help="Where to write.")] = ROOT / "docs" / "budgets.svg") -> None:
    """Compute error / budget of engines and mistakes, print them, and draw them."""
    tokenizer = roberta.RobertaTokenizer.from_pretrained("austen")
    model: Any = roberta.RobertaForMaskedLM.from_pretrained("austen")
    inputs = tokenizer(SENTENCES, padding=True, return_tensors="np")
    budgets = TapBudgets.of(model, inputs)
    honest = {name: logits(budgets.ratios(model.to_backend(name).tape(**inputs))) for name in ENGINES}
    wrong = {fault.title: logits(run_fault(model, inputs, fault.name).ratios) for fault in faults_of(model)}
    for name, ratio in (honest | wrong).items():
        print(f"{ratio:12.3g}  {name}")
    write_atomically(out, drawn(honest, some_of(wrong)))


def logits(ratios: dict[str, float]) -> float:
    return ratios["lm_head.logits"]


def some_of(wrong: dict[str, float]) -> dict[str, float]:
    """Ten of those that this input shows, from the smallest to the largest."""
    seen = sorted(((name, ratio) for name, ratio in wrong.items() if 1.0 < ratio < 1e9), key=lambda pair: pair[1])
    chosen = np.unique(np.linspace(0, len(seen) - 1, COUNT).round().astype(int))
    return dict(seen[index] for index in chosen)


def drawn(honest: dict[str, float], wrong: dict[str, float]) -> bytes:
    names = [*honest, *wrong]
    style = {"svg.hashsalt": "budgets", "text.color": GREY, "axes.edgecolor": GREY, "axes.labelcolor": GREY,
             "xtick.color": GREY, "ytick.color": GREY, "font.size": 9}  # fmt: skip
    with rc_context(style):
        ax = Figure(figsize=(8.0, 3.6), layout="constrained").add_subplot()
        for ratios, colour, marker, label in (
            (honest, HONEST, "o", "honest engines"),
            (wrong, WRONG, "D", "engines with a mistake"),
        ):
            ax.plot(list(ratios.values()), [names.index(name) for name in ratios], marker, color=colour, label=label)
        ax.axvline(1.0, color=GREY, linewidth=1.5)
        ax.set_xscale("log")
        ax.set_yticks(range(len(names)), names)
        ax.invert_yaxis()
        ax.grid(axis="x", color=GREY, alpha=0.25)
        ax.set_xlabel("largest error of a logit / what float32 may err there")
        ax.legend(loc="lower left", framealpha=0.0)
        stream = io.BytesIO()
        ax.figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return stream.getvalue()


if __name__ == "__main__":
    typer.run(main)
