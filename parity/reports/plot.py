"""The plot of an audit: error / limit at every tap or output, in the order of computation, on a logarithmic scale.

Only the geometry is here: where the points, lines and words are. The report's template draws them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..findings import Finding
from .verdict import clean

Trail = Sequence[tuple[str, float]]

#: The picture, and the margins around the field, in SVG's units: left, right, top, bottom.
WIDTH, HEIGHT = 960, 320
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 24, 40
#: Powers of ten that are shown at least: from a thousandth of the limit to ten times it.
LOWEST, HIGHEST = -3, 1
#: How near to each other two names may stand on the horizontal axis.
APART = 64


@dataclass(frozen=True)
class Point:
    """A tap or output: where it is drawn, what it is, and how far it is off, which a reader sees on pointing at it."""

    x: float
    y: float
    place: str
    ratio: str
    is_over: bool


@dataclass(frozen=True)
class Label:
    """A word or number beside an axis."""

    at: float
    text: str


@dataclass(frozen=True)
class Plot:
    """The geometry.

    Attributes:
        points: in the order of computation.
        limit: where the line at 1 is.
        rows: powers of ten.
        columns: the first place of each layer or part.
        departure: the first point that is over its limit.
    """

    points: tuple[Point, ...]
    limit: float
    rows: tuple[Label, ...]
    columns: tuple[Label, ...]
    departure: Point | None

    @property
    def line(self) -> str:
        """The points as SVG's polyline has them."""
        return " ".join(f"{point.x},{point.y}" for point in self.points)


def plot(trail: Trail) -> Plot | None:
    """The geometry of one trail.

    Args:
        trail: name of a tap or output, error / limit. Zero is drawn at the lower edge; what is no finite number is over
            every limit, and at the upper edge.

    Returns:
        `Plot`; None where there is nothing to draw.

    Example:
        >>> drawn = plot([("embeddings.word", 0.1), ("encoder.layer.0.output", 20.0), ("logits", 5.0)])
        >>> drawn.departure.place, [label.text for label in drawn.columns]
        ('encoder.layer.0.output', ['embeddings', 'layer 0', 'logits'])
    """
    if not trail:
        return None
    powers = [math.log10(ratio) for _, ratio in trail if 0 < ratio < math.inf]
    low = min([LOWEST, *(math.floor(power) for power in powers if power > -12)])
    high = max([HIGHEST, *(math.ceil(power) for power in powers)])
    points = tuple(
        Point(_across(index, len(trail)), _up(ratio, low, high), clean(place), f"{ratio:.3g}", not ratio <= 1.0)
        for index, (place, ratio) in enumerate(trail)
    )
    step = max(1, math.ceil((high - low) / 10))
    rows = tuple(Label(_up(10.0**power, low, high), f"1e{power}") for power in range(low, high + 1, step))
    departure = next((point for point in points if point.is_over), None)
    return Plot(points, _up(1.0, low, high), rows, _columns(points), departure)


def largest(findings: Iterable[Finding]) -> Trail:
    """One trail of all: the largest error / limit of any finding at every place, in order of first appearance.

    Example:
        >>> one = Finding("one", (), "passed", trail=(("a", 0.5), ("b", 0.1)))
        >>> largest([one, Finding("two", (), "passed", trail=(("a", 0.2), ("b", float("nan"))))])
        (('a', 0.5), ('b', inf))
    """
    found: dict[str, float] = {}
    for finding in findings:
        for place, ratio in finding.trail:
            place = place.rpartition(": ")[2]  # of "call 2: logits" the output
            found[place] = max(found.get(place, 0.0), math.inf if math.isnan(ratio) else ratio)
    return tuple(found.items())


def _across(index: int, count: int) -> float:
    return round(LEFT + (WIDTH - LEFT - RIGHT) * (index + 0.5) / count, 1)


def _up(ratio: float, low: int, high: int) -> float:
    """The height of a ratio between two powers of ten, at an edge where it is beyond."""
    power = low if ratio <= 0 else math.log10(ratio) if ratio < math.inf else high
    share = (min(max(power, low), high) - low) / (high - low)
    return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)


def _columns(points: Sequence[Point]) -> tuple[Label, ...]:
    """The first point of each layer or part, as far as their names do not run into each other."""
    labels: list[Label] = []
    before = ""
    for point in points:
        part = _part(point.place)
        if part != before and (not labels or point.x - labels[-1].at >= APART):
            labels.append(Label(point.x, part))
        before = part
    return tuple(labels)


def _part(place: str) -> str:
    layer = re.search(r"\blayer\.(\d+)\b", place)
    return f"layer {layer[1]}" if layer else place.removeprefix("roberta.").partition(".")[0]
