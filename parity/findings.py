"""What an audit found, as data: a finding for each probe, and the whole with its verdict.

`documents` writes it for readers and machines; `audit` makes it. Nothing here computes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from .compare import Comparison

if TYPE_CHECKING:
    from rich.table import Table

#: "passed" and "failed" are verdicts. "not covered": the candidate cannot be asked this. "broken": it raised, hung, or
#: returned what is no mapping of arrays, which is no pass either.
Status = Literal["passed", "failed", "not covered", "broken"]


@dataclass(frozen=True)
class Departure:
    """Where a candidate leaves the spec.

    Attributes:
        place: a tap's name, such as "roberta.encoder.layer.1.intermediate.output"; or a layer; or an output.
        evidence: how it is known: "taps", "graph", "hidden states", "inputs" or "matched filter"; "outputs" where
            nothing is known but which output is wrong.
        sigmas: how far off the value is there, computed from the candidate's own values before it, in standard
            deviations of that one operation.
        suspects: the known mistakes that look like this one, likeliest first.
    """

    place: str
    evidence: str
    sigmas: float
    suspects: tuple[str, ...] = ()


@dataclass(frozen=True)
class Visibility:
    """What a probe in this precision would have seen of one known mistake.

    Attributes:
        mistake: its name, see `mutants`; or "one weight", "one matrix", ….
        is_seen: whether this mistake would have been refused.
        effect: its largest statistic, in units of the limit.
        smallest: the smallest size of it that would be refused, where it has a size (a relative change); else None.
        reason: why it is not visible here.
    """

    mistake: str
    is_seen: bool
    effect: float
    smallest: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class Decisions:
    """The arg-max of the logits: how many there are, how many the precision may flip, how many did flip."""

    count: int
    may_flip: int
    flipped: int


@dataclass(frozen=True)
class Finding:
    """What one probe found.

    Attributes:
        probe: its name, see `probes`.
        catches: the mistakes that it is there to catch.
        status: the verdict.
        reason: one sentence, where the status is neither passed nor failed; or what a failure is not (an overflow).
        comparisons: of every output that was judged, over all calls.
        departure: where it departs, if it failed.
        power: what this probe would have seen.
        decisions: of its logits.
        varied: what the inputs were like: name of a property -> its values, such as {"length": (13,)}.
        tokens: how many real tokens were judged, and how many positions of padding were not.
        trail: error / limit at every tap or output in the order of computation, for the plot.
    """

    probe: str
    catches: tuple[str, ...]
    status: Status
    reason: str = ""
    comparisons: tuple[Comparison, ...] = ()
    departure: Departure | None = None
    power: tuple[Visibility, ...] = ()
    decisions: Decisions | None = None
    varied: Mapping[str, tuple[Any, ...]] = field(default_factory=dict[str, tuple[Any, ...]])
    tokens: tuple[int, int] = (0, 0)
    trail: tuple[tuple[str, float], ...] = ()

    @property
    def worst(self) -> Comparison | None:
        """The comparison that comes nearest to a limit, or exceeds it most."""
        return max(self.comparisons, key=lambda comparison: comparison.extent, default=None)


@dataclass(frozen=True, repr=False)
class Audit:
    """An audit: who was judged by what, and what was found.

    Attributes:
        candidate: name, kind, versions, hash, what it can do.
        reference: name, head, hash of the weights, configuration, what was random.
        settings: dtype, seed, draws, rate, the hash of the inputs, the version of this package.
        environment: processor, threads, versions, arithmetic fingerprint; see `environment`.
        findings: one for each probe, in the battery's order.
        is_complete: False where the run was interrupted: what is missing was not judged.
    """

    candidate: Mapping[str, Any]
    reference: Mapping[str, Any]
    settings: Mapping[str, Any]
    environment: Mapping[str, Any]
    findings: Sequence[Finding]
    is_complete: bool = True

    @property
    def passed(self) -> bool:
        """Whether something was judged, nothing failed or broke, and the run came to its end."""
        verdicts = [finding.status for finding in self.findings]
        return self.is_complete and "passed" in verdicts and not {"failed", "broken"} & set(verdicts)

    @property
    def not_covered(self) -> tuple[Finding, ...]:
        """The probes that the candidate could not be asked."""
        return tuple(finding for finding in self.findings if finding.status == "not covered")

    @property
    def departure(self) -> Departure | None:
        """Where the candidate departs: of the first probe that failed and knows."""
        return next((finding.departure for finding in self.findings if finding.departure), None)

    def coverage(self) -> dict[str, tuple[Any, ...]]:
        """What was varied over all probes that were judged: property -> its values, in order of appearance."""
        found: dict[str, dict[Any, None]] = {}
        for finding in self.findings:
            if finding.status in ("passed", "failed"):
                for name, values in finding.varied.items():
                    found.setdefault(name, {}).update(dict.fromkeys(values))
        return {name: tuple(values) for name, values in found.items()}

    # `documents` reads these records, so it is imported where it is asked for

    def __str__(self) -> str:
        """The whole verdict in words."""
        from .reports import documents

        return documents.text(self)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """The findings, for a notebook; `to_html` has the whole report."""
        from .reports import documents

        return documents.brief_html(self)

    def table(self) -> Table:
        """The findings as a table for a terminal: `rich.print(audit.table())`."""
        from .reports import documents

        return documents.table(self)

    def to_json(self) -> str:
        """The whole audit as JSON, see `archive`; `archive.from_json` is the way back."""
        from .reports import documents

        return documents.to_json(self)

    def to_markdown(self) -> str:
        """The report in Markdown."""
        from .reports import documents

        return documents.to_markdown(self)

    def to_html(self) -> str:
        """The report as one file of HTML; needs jinja2, which the extra `report` has."""
        from .reports import documents

        return documents.to_html(self)

    def to_junit(self) -> str:
        """The report in JUnit's XML: a test case for each probe."""
        from .reports import documents

        return documents.to_junit(self)

    def write(self, directory: str | Path) -> None:
        """Write report.json, report.md, junit.xml and report.html into a folder."""
        from .reports import documents

        documents.write(self, directory)
