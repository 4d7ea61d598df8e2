"""An audit as documents: Markdown, one HTML file, JUnit's XML, a table for a terminal, and a folder with all of them.

JSON is `archive`, the verdict in words is `verdict`, what the tables hold is `sections`, where the plot's points are is
`plot`. All of it is the same for the same audit.
"""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from ...files import tables
from ...files.atomic import write_atomically
from ..findings import Audit, Finding
from .archive import from_json, to_json
from .plot import largest, plot
from .sections import Section, flat, sections
from .verdict import clean, counts, explained, headline, number, text

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["brief_html", "from_json", "table", "text", "to_html", "to_json", "to_junit", "to_markdown", "write"]

TEMPLATE = "audit.html.jinja"
BRIEF_COLUMNS = ("probe", "verdict", "worst output", "largest error", "error / limit", "remark")


def to_markdown(audit: Audit) -> str:
    """The report in Markdown, with GitHub's tables: the verdict in words, then every table.

    Args:
        audit: of `audit`.

    Returns:
        The document. What the candidate says of itself is escaped.

    Example:
        >>> print(to_markdown(Audit({"name": "mine"}, {"name": "austen"}, {}, {}, ())).splitlines()[0])
        # NOTHING JUDGED: mine against austen
    """
    parts = [f"# {_escaped(headline(audit))}", _escaped(counts(audit)), _block(text(audit))]
    for section in sections(audit):
        parts += [f"## {section.title}", _markdown_table(section) if section.rows else section.instead]
    return "\n\n".join(parts) + "\n"


def to_html(audit: Audit) -> str:
    """The report as one file of HTML, which needs no network: the verdict, plots of error / limit, every table.

    Args:
        audit: of `audit`.

    Returns:
        The document, for light and dark screens and for paper. Everything in it is escaped.

    Raises:
        ImportError: jinja2 is missing; the extra `report` has it.

    Example:
        >>> to_html(Audit({"name": "<mine>"}, {"name": "austen"}, {}, {}, ())).count("&lt;mine&gt;") > 1
        True
    """
    try:
        jinja: Any = import_module("jinja2")
    except ImportError as error:
        message = 'to_html: required jinja2, which is not installed. Install it with: pip install "roberta[report]"'
        raise ImportError(message) from error
    environment = jinja.Environment(
        autoescape=True, undefined=jinja.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(Path(__file__).with_name(TEMPLATE).read_text(encoding="utf-8"))
    failed = [finding for finding in audit.findings if finding.status == "failed"]
    plots = [("All probes, the largest at each place", plot(largest(audit.findings)))]
    plots += [(f"Probe {clean(finding.probe)}", plot(finding.trail)) for finding in failed]
    return template.render(
        headline=headline(audit),
        passed=audit.passed,
        text=text(audit),
        plots=[(title, drawn) for title, drawn in plots if drawn],
        sections=sections(audit),
    )


def to_junit(audit: Audit) -> str:
    """The report in JUnit's XML, for continuous integration: a test case for each probe.

    Args:
        audit: of `audit`.

    Returns:
        The document: what failed is a failure, what broke an error, what was not covered is skipped with its reason;
        an interrupted run is an error of its own.

    Example:
        >>> audit = Audit({"name": "mine"}, {"name": "austen"}, {}, {}, (Finding("length 1", (), "passed"),))
        >>> "<testcase" in to_junit(audit), 'failures="0"' in to_junit(audit)
        (True, True)
    """
    statuses = [finding.status for finding in audit.findings]
    interrupted = not audit.is_complete
    attributes = {
        "name": headline(audit),
        "tests": str(len(statuses) + interrupted),
        "failures": str(statuses.count("failed")),
        "errors": str(statuses.count("broken") + interrupted),
        "skipped": str(statuses.count("not covered")),
    }
    suite = ElementTree.Element("testsuite", attributes)
    properties = ElementTree.SubElement(suite, "properties")
    described = {"candidate": audit.candidate, "reference": audit.reference, "settings": audit.settings}
    for name, value in flat({**described, "environment": audit.environment}):
        ElementTree.SubElement(properties, "property", name=clean(name), value=clean(value))
    for finding in audit.findings:
        _add_case(suite, audit, finding)
    if interrupted:
        case = ElementTree.SubElement(suite, "testcase", classname=_subject(audit), name="the whole battery")
        ElementTree.SubElement(case, "error", message=counts(audit))
    ElementTree.indent(suite)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(suite, encoding="unicode") + "\n"


def table(audit: Audit) -> Table:
    """The findings as a table for a terminal: `rich.print(audit.table())`.

    Args:
        audit: of `audit`.

    Returns:
        A line for each probe.

    Example:
        >>> table(Audit({"name": "mine"}, {"name": "austen"}, {}, {}, (Finding("a", (), "passed"),))).row_count
        1
    """
    from rich.table import Table
    from rich.text import Text

    # texts, not strings, in which rich would look for markup
    drawn = Table(title=Text(headline(audit)), caption=Text(counts(audit)))
    for column in BRIEF_COLUMNS:
        drawn.add_column(column, justify="right" if column in {"largest error", "error / limit"} else "left")
    for finding in audit.findings:
        drawn.add_row(*(Text(clean(cell), style=STYLES.get(cell, "")) for cell in _brief(finding)))
    return drawn


def brief_html(audit: Audit) -> str:
    """The same table as a piece of HTML, for a notebook; it needs no library.

    Args:
        audit: of `audit`.

    Example:
        >>> "&lt;b&gt;" in brief_html(Audit({"name": "<b>"}, {"name": "austen"}, {}, {}, ()))
        True
    """
    rows = [_brief(finding) for finding in audit.findings]
    return tables.Table(BRIEF_COLUMNS, rows, headline(audit), (counts(audit),)).html()


def _brief(finding: Finding) -> tuple[str, ...]:
    """A finding in one line; the largest of its statistics stands for all."""
    worst, remark = finding.worst, finding.departure.place if finding.departure else finding.reason
    numbers = (worst.name, number(worst.error), number(worst.extent)) if worst else ("-", "-", "-")
    return (finding.probe, finding.status, *numbers, remark)


#: A status -> how a terminal shows it.
STYLES = {"passed": "green", "failed": "bold red", "broken": "bold red", "not covered": "yellow"}


def write(audit: Audit, directory: str | Path) -> None:
    """Write report.json, report.md, junit.xml and report.html, each in one step.

    Args:
        audit: of `audit`.
        directory: where; made if it is missing.

    Raises:
        NotADirectoryError: a part of the path is a file.
        ImportError: jinja2 is missing; the other three are written by then.

    Example:
        >>> import tempfile
        >>> write(Audit({"name": "mine"}, {"name": "austen"}, {}, {}, ()), tempfile.mkdtemp())
    """
    folder = Path(directory)
    writers = {"report.json": to_json, "report.md": to_markdown, "junit.xml": to_junit, "report.html": to_html}
    for name, document in writers.items():
        write_atomically(folder / name, document(audit).encode("utf-8", "backslashreplace"))


# -- pieces ------------------------------------------------------------------------------------------------------------

#: What Markdown would read as its own, and underscores that do not stand between letters.
MARKS = re.compile(r"[\\`*\[\]<>|#]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")


def _escaped(line: str) -> str:
    return MARKS.sub(r"\\\g<0>", line)


def _block(words: str) -> str:
    """A fenced block, whose fence is longer than any in the words."""
    fence = "`" * max([3, *(len(run) + 1 for run in re.findall(r"`+", words))])
    return f"{fence}text\n{words}\n{fence}"


def _markdown_table(section: Section) -> str:
    rows = (section.columns, ("---",) * len(section.columns), *(tuple(map(_escaped, row)) for row in section.rows))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _subject(audit: Audit) -> str:
    parts = (audit.candidate.get("name"), audit.reference.get("head"), audit.settings.get("dtype"))
    return clean(".".join(str(part) for part in parts if part))


def _add_case(suite: ElementTree.Element, audit: Audit, finding: Finding) -> None:
    case = ElementTree.SubElement(suite, "testcase", classname=_subject(audit), name=clean(finding.probe))
    kinds = {"failed": "failure", "broken": "error", "not covered": "skipped"}
    if finding.status in kinds:
        lines = [clean(line) for line in explained(finding)]
        message = lines[0] if lines else finding.status
        element = ElementTree.SubElement(case, kinds[finding.status], message=message)
        element.text = "\n".join([headline(audit), *lines])
