"""pytest's items: a file, pyproject.toml; in it the audits, one for each head and variant; in each a test per probe.

An audit runs once, with the first of its items that is run. Which items there are depends on the table and the
checkpoint alone, so that all workers of pytest-xdist collect the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import pytest

from .findings import Audit, Finding
from .pytest_settings import KnownFailure, Settings, read_settings
from .reports.verdict import of_probe
from .request import AuditRequest

#: The name of a property of each report: the finding's status.
PROPERTY = "roberta-parity"


class Parity:
    """The plugin's hooks."""

    def __init__(self, config: pytest.Config) -> None:
        self.path = config.inipath if config.inipath and config.inipath.name == "pyproject.toml" else None
        self.path = self.path or config.rootpath / "pyproject.toml"
        self.settings = read_settings(self.path)
        named = [Path(argument.partition("::")[0]) for argument in config.args]
        if not any((config.invocation_params.dir / path).resolve() == self.path for path in named):
            config.args.append(str(self.path))

    def pytest_collect_file(self, file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
        """Collect pyproject.toml."""
        if file_path == self.path:
            return cast("Any", ParityFile).from_parent(parent, path=file_path, settings=self.settings)
        return None

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Refuse a known failure that no item has: the list must not outlive what it is about."""
        if any("::" in argument for argument in config.args):
            return  # only some were collected
        names = [item.label for item in items if isinstance(item, ParityItem)]
        for known in self.settings.known_failures:
            if not any(known.matches(name) for name in names):
                message = f"known-failures, item: required a pattern of some item, got {known.item!r}, which none has"
                raise pytest.UsageError(f"{message}; the items are such as {names[:3]}. Mend it, or take it out")

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """One line: how many of each status, and how many probes could not be asked."""
        reports = [report for reports in terminalreporter.stats.values() for report in reports]
        calls = [report for report in reports if getattr(report, "when", "") == "call"]
        properties = [dict(report.user_properties) for report in calls]
        found = Counter(each[PROPERTY] for each in properties if PROPERTY in each)
        parts = [f"{name}: {found[name]}" for name in ("passed", "failed", "broken", "not covered")]
        terminalreporter.write_line(f"roberta parity of {self.settings.candidate}: {', '.join(parts)}")


class ParityFile(pytest.File):
    """pyproject.toml: a collector for each audit."""

    def __init__(self, settings: Settings, **options: Any) -> None:
        super().__init__(**options)
        self.settings = settings

    def collect(self) -> Iterator[pytest.Collector]:
        """The audits that the table asks for."""
        try:
            for name, request in self.settings.requests():
                yield cast("Any", ParityAudit).from_parent(
                    self, name=name, request=request, known=self.settings.known_failures
                )
        except (ValueError, OSError, ImportError) as error:
            raise self.CollectError(str(error)) from error


class ParityAudit(pytest.Collector):
    """One head of one candidate, as the checkpoint has it or as a variant: an item for each probe."""

    def __init__(self, request: AuditRequest, known: tuple[KnownFailure, ...], **options: Any) -> None:
        super().__init__(**options)
        self.request, self.known = request, known

    def collect(self) -> Iterator[pytest.Item]:
        """The battery."""
        for probe in self.request.probes():
            yield cast("Any", ParityItem).from_parent(self, name=probe.name)

    @cached_property
    def audit(self) -> Audit:
        """The findings of those of its items that are to be run, computed once."""
        return self.request.run([item.name for item in self.session.items if item.parent is self])


class ParityItem(pytest.Item):
    """One probe."""

    parent: ParityAudit

    @property
    def label(self) -> str:
        """What patterns of known failures are matched with."""
        return f"{self.parent.name}::{self.name}"

    def runtest(self) -> None:
        """Pass, fail with the whole verdict, or be skipped with the reason why the candidate could not be asked."""
        finding = self._finding()
        self.user_properties.append((PROPERTY, finding.status))
        known = next((known for known in self.parent.known if known.matches(self.label)), None)
        if finding.status == "not covered":
            pytest.skip(finding.reason)
        if finding.status == "passed" and known:
            pytest.fail(f"passes, but is a failure {known}. Take {known.item!r} out of known-failures", pytrace=False)
        if finding.status != "passed" and known:
            pytest.xfail(str(known))
        if finding.status != "passed":
            pytest.fail(f"{of_probe(self.parent.audit, finding)}\n\n{self._reproducer()}", pytrace=False)

    def _finding(self) -> Finding:
        try:
            audit = self.parent.audit
        except (ValueError, TypeError, OSError, ImportError) as error:
            pytest.fail(f"{type(error).__name__}: {error}", pytrace=False)
        found = next((finding for finding in audit.findings if finding.probe == self.name), None)
        if found is None and not audit.is_complete:
            raise KeyboardInterrupt
        return found or Finding(self.name, (), "broken", reason="the audit says nothing of this probe")

    def _reproducer(self) -> str:
        """Lines to paste into Python."""
        lines = (
            "from roberta.parity.request import AuditRequest",
            "",
            f"print({self.parent.request!r}.run([{self.name!r}]))",
        )
        return "To see it again:\n\n" + "\n".join(f"    {line}".rstrip() for line in lines)

    def reportinfo(self) -> tuple[Path, None, str]:
        """Where pytest says that the item is."""
        return self.path, None, f"roberta parity: {self.label}"
