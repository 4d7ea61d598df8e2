"""Pictures: attention, error / budget, cost, training curves. Needs matplotlib, which the extra `plot` has.

    roberta.plot.attention(tape, layer=0)
    roberta.plot.budget({"torch": parity.compare_tape(tape, model, inputs)})
    roberta.plot.cost(model.config, tokens=128)
    roberta.plot.training_curves("metrics.json")

Each draws on the axes that it is given, or on a new figure, and returns the axes: `ax.figure.savefig("a.png")`. pyplot
is not imported; where it is interactive, as `%matplotlib inline` makes it in a notebook, it makes and shows the figure.
Markers and dashes tell apart what colours do, so that the pictures are read in grey as well.
"""

# pyright: basic
# Much of matplotlib is untyped, and so is what JSON holds.

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .files.tables import printable
from .reference.config import RobertaConfig
from .reference.outputs import to_numpy
from .reference.parameters import parameter_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["attention", "budget", "cost", "training_curves"]

#: Okabe and Ito's colours, which are told apart by those who see fewer of them, in an order of growing lightness.
COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
MARKERS = "os^Dv<>Pp*"
LINES = ("-", "--", "-.", ":")
#: A ratio of 0 has no place on a logarithmic axis; it stands at its foot.
FOOT = 1e-4
#: What is infinite, or no number, stands at its head.
HEAD = 1e12
#: Names of more characters would push the picture aside.
LONGEST = 24


def attention(
    tape: Any,
    layer: int,
    head: int | None = None,
    *,
    tokens: Sequence[str] | None = None,
    row: int = 0,
    cross: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """How far each token looks at each other one: a square of shades, a row for each token that looks.

    Args:
        tape: of `model.tape(**inputs)`.
        layer: its number, from 0; -1 is the last.
        head: its number; None for the mean over all heads.
        tokens: what stands beside the axes, such as `encoding.tokens()`; None: their numbers.
        row: which row of the batch.
        cross: the cross-attention; `tokens` are the decoder's then.
        ax: where to draw.

    Returns:
        The axes.

    Raises:
        IndexError: a layer, head or row that there is not.
        ValueError: a pass that never computed the probabilities, or tokens of another number.
        TypeError: something else than a tape.
        ImportError: matplotlib is missing.

    Example:
        >>> from roberta import RobertaConfig, RobertaModel
        >>> model = RobertaModel(RobertaConfig(num_hidden_layers=1, hidden_size=4, num_attention_heads=2))
        >>> attention(model.tape(input_ids=[[0, 5, 2]]), 0, head=1).get_title()
        'attention of layer 0, head 1'
    """
    if not hasattr(tape, "attention"):
        message = f"tape: required a tape, got {type(tape).__name__}; model.tape(**inputs) gives one"
        raise TypeError(message)
    probs = to_numpy(tape.attention(layer, cross=cross)).astype(np.float64)  # B H T S
    _require_within("row", row, probs.shape[0])
    if head is not None:
        _require_within("head", head, probs.shape[1])
    shown = probs[row].mean(0) if head is None else probs[row, head]  # T S
    if tokens is not None and len(tokens) != shown.shape[0]:
        message = f"tokens: required {shown.shape[0]} of them, one for each that looks, got {len(tokens)}"
        raise ValueError(f"{message}; encoding.tokens({row}) gives those of this row")
    ax = _axes(ax, (1.2 + 0.3 * min(shown.shape[1], 40), 1.0 + 0.3 * min(shown.shape[0], 40)))
    image = ax.imshow(shown, cmap="cividis", vmin=0.0, vmax=1.0, aspect="auto")
    bar = ax.figure.colorbar(image, ax=ax)
    bar.set_label("probability")
    ax.set_title(f"{'cross-' * cross}attention of layer {layer}, {'mean of heads' if head is None else f'head {head}'}")
    ax.set_xlabel("token that is looked at")
    ax.set_ylabel("token that looks")
    if tokens is not None:
        _label(ax, "y", tokens)
        if shown.shape[0] == shown.shape[1] and not cross:
            _label(ax, "x", tokens)
    return ax


def budget(found: Any, *, title: str = "", ax: Axes | None = None) -> Axes:
    """Error / budget at every tap, output or row, on a logarithmic scale; above the line at 1 is no rounding error.

    Args:
        found: one or several things that were held against a budget: `Differences` of `parity.compare_tape`, a parity
            `Report`, an `Audit`, a sequence of `Comparison`, or a mapping of places to ratios; several of them as a
            mapping of names to them.
        title: of the picture.
        ax: where to draw.

    Returns:
        The axes. What is infinite or no number is at the upper edge.

    Raises:
        TypeError: something else.
        ValueError: nothing was compared, or no limits were given.
        ImportError: matplotlib is missing.

    Example:
        >>> ax = budget({"honest": {"scores": 0.2, "probs": 0.3}, "wrong": {"scores": 0.2, "probs": 66.0}})
        >>> ax.get_yscale(), [text.get_text() for text in ax.get_legend().get_texts()]
        ('log', ['honest', 'wrong'])
    """
    series = _series(found)
    places = list(dict.fromkeys(place for ratios in series.values() for place in ratios))
    if not places:
        message = "found: required something that was held against a limit, got none; parity.compare_tape has limits"
        raise ValueError(message)
    ax = _axes(ax, (8.0, 3.6))
    for number, (name, ratios) in enumerate(series.items()):
        at = [places.index(place) for place in ratios]
        style: dict[str, Any] = {"color": COLOURS[number % len(COLOURS)], "linestyle": LINES[number % len(LINES)]}
        ax.plot(
            at, [_drawn(ratio) for ratio in ratios.values()], marker=MARKERS[number % len(MARKERS)], markersize=3,
            linewidth=1, label=_short(name), **style,
        )  # fmt: skip
    ax.axhline(1.0, color="#808080", linewidth=1.5)
    ax.set_yscale("log")
    ax.set_ylabel("largest error / budget")
    ax.set_xlabel("place, in the order of computation")
    ticks = _ticks(places)
    ax.set_xticks(list(ticks), [ticks[at] for at in ticks], rotation=45, ha="right", fontsize="small", parse_math=False)
    if title:
        ax.set_title(printable(title), parse_math=False)
    if len(series) > 1:
        _legend(ax)
    return ax


def cost(
    config: RobertaConfig,
    *,
    head: str = "masked_lm",
    tokens: int = 128,
    rows: int = 1,
    what: str = "operations",
    ax: Axes | None = None,
) -> Axes:
    """What each part of a model costs: multiplications and additions of one forward pass, or parameters.

    Args:
        config: of the model.
        head: one of `parameters.HEADS`.
        tokens: T.
        rows: B.
        what: "operations", those of matrix products, which are nearly all, a multiplication and an addition each; or
            "parameters".
        ax: where to draw.

    Returns:
        The axes, with a bar for each part.

    Raises:
        ValueError: an unknown head or `what`, or a length that is not positive.
        ImportError: matplotlib is missing.

    Example:
        >>> ax = cost(RobertaConfig(), tokens=512)
        >>> [text.get_text() for text in ax.get_yticklabels()]
        ['query, key, value', 'scores and context', 'attention output', 'feed-forward', 'head']
    """
    for name, value in (("tokens", tokens), ("rows", rows)):
        if value < 1:
            message = f"{name}: required a positive number, got {value!r}"
            raise ValueError(message)
    if what not in ("operations", "parameters"):
        message = f"what: required 'operations' or 'parameters', got {what!r}"
        raise ValueError(message)
    config = getattr(config, "config", config)  # of a model
    parts = _parameters(head, config) if what == "parameters" else operations(config, head, tokens, rows)
    ax = _axes(ax, (6.4, 2.8))
    bars = ax.barh(list(parts), list(parts.values()), color=COLOURS[1])
    ax.bar_label(bars, [f" {value / max(sum(parts.values()), 1):.0%}" for value in parts.values()])
    ax.margins(x=0.12)
    ax.invert_yaxis()
    ax.set_xlabel("parameters" if what == "parameters" else "floating-point operations of a forward pass")
    ax.set_title(f"{sum(parts.values()):.3g} {what}" + (f", B = {rows}, T = {tokens}" if what == "operations" else ""))
    return ax


def training_curves(records: Any, *, ax: Axes | None = None) -> Axes:
    """The loss of each step, of one or several runs.

    Args:
        records: what `examples/finetune.py --json` prints, as its mapping or a file; a file of such lines; a sequence
            of numbers; a sequence of mappings with "step" and "loss", such as Trainer's `state.log_history`; or a
            mapping of names to any of them.
        ax: where to draw.

    Returns:
        The axes.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a record without losses.
        ImportError: matplotlib is missing.

    Example:
        >>> ax = training_curves({"torch": [2.0, 1.0, 0.5], "flax": [2.0, 1.1, 0.4]})
        >>> ax.get_xlabel(), len(ax.lines)
        ('step', 2)
    """
    curves = _curves(records)
    ax = _axes(ax, (6.4, 3.6))
    for number, (name, (steps, losses)) in enumerate(curves.items()):
        colour, line = COLOURS[number % len(COLOURS)], LINES[number % len(LINES)]
        ax.plot(steps, losses, color=colour, linestyle=line, linewidth=1.2, label=_short(name))
    ax.set_xlabel("step")
    ax.set_ylabel("loss, in nats")
    if len(curves) > 1:
        _legend(ax)
    return ax


def operations(config: RobertaConfig, head: str = "masked_lm", tokens: int = 128, rows: int = 1) -> dict[str, int]:
    """Floating-point operations of the matrix products of one forward pass, by part of the model.

    A product of (n, k) and (k, m) counts 2 n k m. Cross-attention, relative positions and the pooler are not counted.

    Example:
        >>> operations(RobertaConfig(vocab_size=5, hidden_size=12, num_hidden_layers=1), "model", 3)["attention output"]
        864
    """
    N, D, F, V = config.num_hidden_layers, config.hidden_size, config.intermediate_size, config.vocab_size
    BT = rows * tokens
    outputs = {
        "model": 0,
        "causal_lm": 2 * BT * D * (D + V),
        "masked_lm": 2 * BT * D * (D + V),
        "sequence_classification": 2 * rows * D * (D + config.num_labels),
        "multiple_choice": 2 * rows * D * (D + 1),
        "token_classification": 2 * BT * D * config.num_labels,
        "question_answering": 2 * BT * D * 2,
    }
    if head not in outputs:
        message = f"head: required one of {list(outputs)}, got {head!r}"
        raise ValueError(message)
    parts = {
        "query, key, value": 3 * N * 2 * BT * D * D,
        "scores and context": 2 * N * 2 * BT * tokens * D,
        "attention output": N * 2 * BT * D * D,
        "feed-forward": 2 * N * 2 * BT * D * F,
        "head": outputs[head],
    }
    return {part: count for part, count in parts.items() if count}


# -- pieces ------------------------------------------------------------------------------------------------------------


def _axes(ax: Axes | None, size: tuple[float, float]) -> Axes:
    if ax is not None:
        return ax
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        message = 'roberta.plot needs matplotlib: pip install "roberta[plot]"'
        raise ImportError(message) from error
    pyplot = sys.modules.get("matplotlib.pyplot")
    new_figure: Any = pyplot.figure if pyplot and pyplot.isinteractive() else Figure
    return new_figure(figsize=size, layout="constrained").add_subplot()


def _require_within(name: str, number: int, count: int) -> None:
    if not -count <= number < count:
        message = f"{name}: required {-count} to {count - 1}, as there are {count}, got {number}"
        raise IndexError(message)


def _label(ax: Axes, axis: str, tokens: Sequence[str]) -> None:
    """A token at each place; of many, at as many as can be read."""
    step = math.ceil(len(tokens) / 60)
    at = list(range(0, len(tokens), step))
    names = [_short(tokens[i]) for i in at]
    # a dollar sign is a token, and no mathematics
    if axis == "x":
        ax.set_xticks(at, names, rotation=90, fontsize="small", parse_math=False)
    else:
        ax.set_yticks(at, names, fontsize="small", parse_math=False)


def _short(text: str) -> str:
    """A name as it stands in a picture: on one line, no longer than there is room, not hidden by its underscore."""
    shown = printable(text)
    shown = shown if len(shown) <= LONGEST else f"{shown[: LONGEST - 1]}…"
    return f"\u200b{shown}" if shown.startswith("_") else shown


def _legend(ax: Axes) -> None:
    for text in ax.legend(fontsize="small").get_texts():
        text.set_parse_math(False)


def _drawn(ratio: float) -> float:
    return HEAD if math.isnan(ratio) else min(max(ratio, FOOT), HEAD)


def _ticks(places: Sequence[str]) -> dict[int, str]:
    """Every place where there is room for all, else the first of each layer or part."""
    if len(places) <= 16:
        return {at: _short(place) for at, place in enumerate(places)}
    ticks: dict[int, str] = {}
    before, room = "", len(places) / 24
    for at, place in enumerate(places):
        layer = re.search(r"\blayer\.(\d+)\b", place)
        part = f"layer {layer[1]}" if layer else place.removeprefix("roberta.").partition(".")[0]
        if part != before and (not ticks or at - max(ticks) >= room):
            ticks[at] = _short(part)
        before = part
    return ticks


def _series(found: Any) -> dict[str, dict[str, float]]:
    """Name of a series -> place -> ratio, of whatever holds ratios."""
    if isinstance(found, Mapping) and not hasattr(found, "ratios"):
        if all(isinstance(value, (int, float)) for value in found.values()):
            return {"": dict(found)}
        return {str(name): _ratios(one) for name, one in found.items()}
    report: Any = found
    if hasattr(report, "rows"):  # a series for each engine
        series: dict[str, dict[str, float]] = {}
        for row in report.rows:
            if row.comparisons:
                series.setdefault(row.backend, {})[row.place] = row.worst.extent
        return series
    return {"": _ratios(found)}


def _ratios(found: Any) -> dict[str, float]:
    if hasattr(found, "ratios"):
        return dict(found.ratios)
    if isinstance(found, Mapping):
        return {str(place): float(ratio) for place, ratio in found.items()}
    report: Any = found
    if hasattr(report, "rows"):
        return {row.place: row.worst.extent for row in report.rows if row.comparisons}
    if hasattr(found, "findings"):
        return {finding.probe: finding.worst.extent for finding in found.findings if finding.worst}
    if isinstance(found, Iterable) and not isinstance(found, str):
        comparisons = list(found)
        if all(hasattr(one, "extent") and hasattr(one, "name") for one in comparisons):
            return {one.name: one.extent for one in comparisons}
    message = f"found: required a comparison, report, audit, or mapping of places to ratios, got {type(found).__name__}"
    raise TypeError(message)


def _parameters(head: str, config: RobertaConfig) -> dict[str, int]:
    """Parameters by part, tied ones once."""
    parts: dict[str, int] = dict.fromkeys(("embeddings", "attention", "feed-forward", "head"), 0)
    for name, parameter in parameter_table(head, config).items():
        if parameter.tied_to is None:
            parts[_part(name)] += math.prod(parameter.shape)
    return parts


def _part(name: str) -> str:
    if "embeddings." in name:
        return "embeddings"
    if "encoder.layer." not in name:
        return "head"
    return "attention" if "attention." in name else "feed-forward"


def _curves(records: Any) -> dict[str, tuple[list[float], list[float]]]:
    """Name -> steps and losses."""
    if isinstance(records, (str, Path)):
        return _curves_of_file(Path(records))
    if isinstance(records, Mapping) and "losses" not in records:
        return {str(name): _curve(one) for name, one in records.items()}
    return {_run_name(records): _curve(records)}


def _curves_of_file(path: Path) -> dict[str, tuple[list[float], list[float]]]:
    text = path.read_text(encoding="utf-8")
    try:
        return _curves(json.loads(text))
    except json.JSONDecodeError:
        lines = [json.loads(line) for line in text.splitlines() if line.strip()]
    if all("losses" in line for line in lines):
        return {f"{_run_name(line)} ({number})": _curve(line) for number, line in enumerate(lines, 1)}
    return {path.stem: _curve(lines)}


def _run_name(run: Any) -> str:
    named = [str(run[key]) for key in ("task", "backend") if key in run] if isinstance(run, Mapping) else []
    return ", ".join(named) or "loss"


def _curve(run: Any) -> tuple[list[float], list[float]]:
    if isinstance(run, (str, Path)):
        return next(iter(_curves_of_file(Path(run)).values()))
    found = run["losses"] if isinstance(run, Mapping) and "losses" in run else run
    if isinstance(found, list) and all(isinstance(one, Mapping) for one in found):
        found = [one for one in found if "loss" in one]  # Trainer's log_history has evaluations and a summary, too
    is_steps = not isinstance(found, Mapping) and len(found) > 0
    if is_steps and all(isinstance(one, Mapping) and "loss" in one for one in found):
        return [float(one.get("step", at)) for at, one in enumerate(found, 1)], [float(one["loss"]) for one in found]
    if is_steps and not any(isinstance(one, (Mapping, str)) for one in found):
        losses = [float(one) for one in found]
        return list(map(float, range(1, len(losses) + 1))), losses
    message = "records: required losses: numbers, mappings with 'step' and 'loss', or what finetune.py --json prints"
    raise ValueError(f"{message}; got {run!r:.80}")
