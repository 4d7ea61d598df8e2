"""The verdict of an audit in words, and what all documents say alike: the headline, what never varied, the power."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ...reference.config import RobertaConfig
from ..compare import Comparison
from ..findings import Audit, Departure, Finding
from ..probes.coverage import unvaried


@dataclass(frozen=True)
class Sight:
    """What all probes together would have seen of one known mistake.

    Attributes:
        mistake: its name.
        seen_by: the probes that would have refused it.
        probe: the one in which it shows most.
        effect: how much it shows there, in units of the limit.
        smallest: the smallest size of it that some probe would have refused, where it has a size.
        reason: why none sees it.
    """

    mistake: str
    seen_by: tuple[str, ...]
    probe: str
    effect: float
    smallest: float | None
    reason: str


def text(audit: Audit) -> str:
    """The whole verdict, to be read: who and what, where it departs, what failed, what was not tried or not visible.

    Args:
        audit: of `audit`.

    Returns:
        Lines; the first one has the verdict.

    Example:
        >>> print(text(Audit({"name": "mine"}, {"name": "austen", "head": "model"}, {"dtype": "float32"}, {}, ())))
        NOTHING JUDGED: mine against model of austen in float32
          0 probes
    """
    parts = (
        ("Where it departs", _departures(audit)),
        ("What failed, and by how much", _failures(audit, "failed")),
        ("What broke", _failures(audit, "broken")),
        ("What was not covered, which is no pass", [f"{item.probe}: {item.reason}" for item in audit.not_covered]),
        ("What was never varied", never_varied(audit)),
        ("What it could not have seen", _unseen(audit)),
        ("What it would have seen", _seen(audit)),
        ("Decisions", _decisions(audit)),
    )
    lines = [headline(audit), f"  {counts(audit)}"]
    for title, items in parts:
        if items:
            lines += ["", title, *(f"  {clean(item)}" for item in items)]
    return "\n".join(lines)


def of_probe(audit: Audit, finding: Finding) -> str:
    """The verdict on one probe, whole: what it is there to catch, by how much it failed, where it departs.

    Example:
        >>> print(of_probe(Audit({"name": "mine"}, {}, {}, {}, ()), Finding("a", ("b",), "broken", "it raised")))
        BROKEN: mine against the reference, probe 'a', which is there to catch: b
          it raised
    """
    catches = f", which is there to catch: {', '.join(finding.catches)}" if finding.catches else ""
    first = f"{finding.status.upper()}: {_subject(audit)}, probe {finding.probe!r}{catches}"
    return "\n".join([clean(first), *(f"  {clean(line)}" for line in explained(finding))])


def headline(audit: Audit) -> str:
    """The verdict in one line.

    Example:
        >>> headline(Audit({"name": "mine"}, {"name": "austen"}, {}, {}, (), is_complete=False))
        'INCOMPLETE: mine against austen'
    """
    return clean(f"{verdict(audit)}: {_subject(audit)}")


def verdict(audit: Audit) -> str:
    """One of "passed", "FAILED", "INCOMPLETE" (nothing failed until it was interrupted) or "NOTHING JUDGED"."""
    if audit.passed:
        return "passed"
    if any(finding.status in ("failed", "broken") for finding in audit.findings):
        return "FAILED"
    return "NOTHING JUDGED" if audit.is_complete else "INCOMPLETE"


def counts(audit: Audit) -> str:
    """How many probes, and how many of each status.

    Example:
        >>> counts(Audit({}, {}, {}, {}, (Finding("a", (), "passed"), Finding("b", (), "broken"))))
        '2 probes: 1 passed, 1 broken'
    """
    found = Counter(finding.status for finding in audit.findings)
    parts = [f"{found[status]} {status}" for status in ("passed", "failed", "broken", "not covered") if found[status]]
    interrupted = "; interrupted, what is missing was not judged" * (not audit.is_complete)
    total = f"{len(audit.findings)} probe{'s' * (len(audit.findings) != 1)}"
    return total + (f": {', '.join(parts)}" if parts else "") + interrupted


def explained(finding: Finding) -> list[str]:
    """A finding that did not pass, in lines: its reason, each output that is over a limit, where it departs."""
    lines = [finding.reason] if finding.reason else []
    over = sorted((item for item in finding.comparisons if not item.passed), key=lambda item: -item.extent)
    lines += [line for comparison in over[:3] for line in _excess(comparison)]
    if len(over) > 3:
        lines.append(f"and {len(over) - 3} more outputs over their limits")
    if finding.departure:
        lines.append(f"departs at {departed(finding.departure)}")
    return lines


def departed(departure: Departure) -> str:
    """Where, how far, how that is known, and what it looks like.

    Example:
        >>> departed(Departure("roberta.embeddings.word", "taps", 41.3, ("position off by one",)))
        'roberta.embeddings.word, 41.3 standard deviations off there, known by taps; looks like: position off by one'
    """
    suspects = f"; looks like: {', '.join(departure.suspects)}" if departure.suspects else ""
    distance = f", {number(departure.sigmas)} standard deviations off there" if not math.isnan(departure.sigmas) else ""
    return f"{departure.place}{distance}, known by {departure.evidence}{suspects}"


def never_varied(audit: Audit) -> tuple[str, ...]:
    """What the head could be asked, and no judged probe asked; without a configuration, what had one value only.

    Example:
        >>> finding = Finding("a", (), "passed", varied={"length": (13,), "batch": (1, 3)})
        >>> never_varied(Audit({}, {}, {}, {}, (finding,)))
        ('length: always 13',)
        >>> from ..cases import small_config
        >>> never_varied(Audit({}, {"head": "model", "config": small_config().to_dict()}, {}, {}, (finding,)))[:2]
        ('a row of one token', 'an even length')
    """
    coverage, head, config = audit.coverage(), audit.reference.get("head"), audit.reference.get("config")
    if head and config:
        return unvaried(coverage, head, RobertaConfig.from_dict(config))
    names = dict.fromkeys(name for finding in audit.findings for name in finding.varied)
    few = {name: coverage.get(name, ()) for name in names if len(coverage.get(name, ())) < 2}
    return tuple(f"{name}: always {values[0]}" if values else f"{name}: never judged" for name, values in few.items())


def sights(audit: Audit) -> list[Sight]:
    """What all judged probes together would have seen, a line for each known mistake, in order of appearance."""
    judged = [finding for finding in audit.findings if finding.status in ("passed", "failed")]
    names = dict.fromkeys(item.mistake for finding in judged for item in finding.power)
    return [_sight(name, judged) for name in names]


def number(value: float | None) -> str:
    """Three digits, or a dash for what is not known.

    Example:
        >>> number(1234.5), number(float("nan")), number(None)
        ('1.23e+03', '-', '-')
    """
    return "-" if value is None or math.isnan(value) else f"{value:.3g}"


def clean(value: Any) -> str:
    r"""One line of printable characters: what a candidate says may hold anything.

    Example:
        >>> print(clean("a\n b\x1b[31m"))
        a b\x1b[31m
    """
    line = " ".join(str(value).split())
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in line)


# -- pieces ------------------------------------------------------------------------------------------------------------


def _subject(audit: Audit) -> str:
    """Who against what, in which precision."""
    head, dtype = audit.reference.get("head"), audit.settings.get("dtype")
    reference = f"{f'{head} of ' if head else ''}{audit.reference.get('name', 'the reference')}"
    precision = f" in {dtype}" if dtype else ""
    return f"{audit.candidate.get('name', 'the candidate')} against {reference}{precision}"


def _departures(audit: Audit) -> list[str]:
    """The first departure, and the others where they name another place."""
    places: dict[str, str] = {}
    for finding in audit.findings:
        if finding.departure:
            places.setdefault(finding.departure.place, f"{departed(finding.departure)} (probe {finding.probe!r})")
    return list(places.values())


def _failures(audit: Audit, status: str) -> list[str]:
    found = [finding for finding in audit.findings if finding.status == status]
    return [f"{finding.probe}: {line}" for finding in found for line in explained(finding)]


STATISTICS = ("ratio", "rms", "projection")


def _excess(comparison: Comparison) -> Iterator[str]:
    """By how much an output is over each of the limits that it is over."""
    if comparison.problem:
        yield str(comparison)
        return
    for name in STATISTICS:
        if getattr(comparison, name) > 1.0:
            yield str(replace(comparison, **{other: 0.0 for other in STATISTICS if other != name}))


def _unseen(audit: Audit) -> list[str]:
    return [
        f"{sight.mistake}: at most {number(sight.effect)} of a limit, in {sight.probe!r}"
        + (f"; {sight.reason}" if sight.reason else "")
        for sight in sights(audit)
        if not sight.seen_by
    ]


def _seen(audit: Audit) -> list[str]:
    """In one line, how many of the known mistakes; then those whose smallest size is known."""
    found = [sight for sight in sights(audit) if sight.seen_by]
    sized = [
        f"{sight.mistake}: from a relative change of {number(sight.smallest)}"
        for sight in found
        if sight.smallest is not None
    ]
    return [f"{len(found)} of {len(sights(audit))} known mistakes", *sized] if found else []


def _decisions(audit: Audit) -> list[str]:
    found = [finding.decisions for finding in audit.findings if finding.decisions]
    if not found:
        return []
    count, may, did = (sum(getattr(item, name) for item in found) for name in ("count", "may_flip", "flipped"))
    return [f"of {count} choices of the largest logit, {may} may flip within the budget, {did} did"]


def _sight(mistake: str, judged: Sequence[Finding]) -> Sight:
    shown = [(finding.probe, item) for finding in judged for item in finding.power if item.mistake == mistake]
    probe, best = max(shown, key=lambda pair: (not math.isnan(pair[1].effect), pair[1].effect))
    sizes = [item.smallest for _, item in shown if item.smallest is not None]
    seen_by = tuple(name for name, item in shown if item.is_seen)
    return Sight(mistake, seen_by, probe, best.effect, min(sizes, default=None), "" if seen_by else best.reason)
