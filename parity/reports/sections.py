"""The tables of a report, as text: what Markdown and HTML both show, in one order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from ..findings import Audit, Finding
from .verdict import clean, counts, departed, explained, never_varied, number, sights, verdict

Row = tuple[str, ...]


@dataclass(frozen=True)
class Section:
    """One table.

    Attributes:
        title: its heading.
        columns: names of the columns.
        rows: cells, each one line of printable text.
        instead: what is said where there are no rows.
    """

    title: str
    columns: Row
    rows: tuple[Row, ...]
    instead: str = ""


def sections(audit: Audit) -> tuple[Section, ...]:
    """All tables of an audit: verdict, who was judged and where it ran, then what was found.

    Args:
        audit: of `audit`.

    Returns:
        The same sections in the same order for every audit.

    Example:
        >>> [section.title for section in sections(Audit({}, {}, {}, {}, ()))][:3]
        ['Verdict', 'Departures', 'Findings']
    """
    tables = (
        ("Verdict", ("what", "value"), _verdict(audit), ""),
        ("Departures", ("probe", "where, how far, and how it is known"), _departures(audit), "None."),
        ("Findings", FINDING_COLUMNS, map(_finding, audit.findings), "No probe was run."),
        ("Why", ("probe", "what"), _reasons(audit), "Nothing failed or broke."),
        ("Not covered", ("probe", "reason"), _not_covered(audit), "Every probe could be asked."),
        ("Coverage", ("property", "values that were judged"), _coverage(audit), "Nothing was judged."),
        ("Never varied", ("what",), ((words,) for words in never_varied(audit)), "All that could be was varied."),
        ("Power", POWER_COLUMNS, _power(audit), "Not computed."),
        ("Power by probe", PROBE_COLUMNS, _power_by_probe(audit), "Not computed."),
        ("Decisions", ("probe", "choices", "may flip", "flipped"), _decisions(audit), "No logits were judged."),
        ("Reference", ("what", "value"), flat(audit.reference), "Not recorded."),
        ("Candidate", ("what", "value"), flat(audit.candidate), "Not recorded."),
        ("Settings", ("what", "value"), flat(audit.settings), "Not recorded."),
        ("Environment", ("what", "value"), flat(audit.environment), "Not recorded."),
    )
    return tuple(
        Section(title, columns, tuple(tuple(map(clean, row)) for row in rows), instead)
        for title, columns, rows, instead in tables
    )


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[Row]:
    """A nested mapping as rows of a path and a value.

    Example:
        >>> list(flat({"versions": {"numpy": "2.4"}, "set": ["a", "b"]}))
        [('versions, numpy', '2.4'), ('set', 'a, b')]
    """
    for name, value in values.items():
        path = f"{prefix}, {name}" if prefix else str(name)
        if isinstance(value, Mapping) and value:
            yield from flat(cast("Mapping[str, Any]", value), path)
        else:
            yield path, _cell(value)


def _cell(value: Any) -> str:
    """A value of a setting: sequences without brackets, sets in order."""
    if isinstance(value, set | frozenset):
        value = sorted(map(str, cast("set[Any]", value)))
    if isinstance(value, list | tuple):
        return ", ".join(map(str, cast("list[Any]", value))) or "none"
    return "none" if value == {} else str(value)


FINDING_COLUMNS = (
    "probe", "verdict", "worst output", "largest error", "error / limit", "rms / limit", "direction / limit",
    "rms sigma", "tokens judged", "padding left out",
)  # fmt: skip
POWER_COLUMNS = ("mistake", "refused by", "largest effect / limit", "in probe", "smallest refused", "why not visible")
PROBE_COLUMNS = ("probe", "is there to catch", "would have refused", "would not have refused")


def _verdict(audit: Audit) -> Iterator[Row]:
    yield "verdict", verdict(audit)
    yield "probes", counts(audit)
    if audit.departure:
        yield "first departure", departed(audit.departure)
    for name, values in (("candidate", audit.candidate), ("reference", audit.reference)):
        yield name, str(values.get("name", "-"))
    for name, value in (("head", audit.reference.get("head")), ("dtype", audit.settings.get("dtype"))):
        if value is not None:
            yield name, str(value)


def _departures(audit: Audit) -> list[Row]:
    return [(finding.probe, departed(finding.departure)) for finding in audit.findings if finding.departure]


def _finding(finding: Finding) -> Row:
    worst = finding.worst
    numbers = ("-",) * 6
    if worst:
        statistics = (worst.error, worst.ratio, worst.rms, worst.projection, worst.sigmas)
        numbers = (worst.name, *map(number, statistics))
    return (finding.probe, finding.status, *numbers, *map(str, finding.tokens))


def _reasons(audit: Audit) -> list[Row]:
    return [
        (finding.probe, line)
        for finding in audit.findings
        if finding.status in ("failed", "broken")
        for line in explained(finding)
    ]


def _not_covered(audit: Audit) -> list[Row]:
    return [(finding.probe, finding.reason) for finding in audit.not_covered]


def _coverage(audit: Audit) -> list[Row]:
    return [(name, _cell(values)) for name, values in audit.coverage().items()]


def _power(audit: Audit) -> list[Row]:
    return [
        (
            sight.mistake,
            f"{len(sight.seen_by)} probes" if sight.seen_by else "none",
            number(sight.effect),
            sight.probe,
            number(sight.smallest),
            sight.reason,
        )
        for sight in sights(audit)
    ]


def _power_by_probe(audit: Audit) -> Iterator[Row]:
    for finding in audit.findings:
        if finding.power:
            seen = [item.mistake for item in finding.power if item.is_seen]
            unseen = [item.mistake for item in finding.power if not item.is_seen]
            yield finding.probe, *(", ".join(names) or "-" for names in (finding.catches, seen, unseen))


def _decisions(audit: Audit) -> list[Row]:
    return [
        (finding.probe, str(made.count), str(made.may_flip), str(made.flipped))
        for finding in audit.findings
        if (made := finding.decisions)
    ]
