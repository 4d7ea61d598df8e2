"""`roberta audit`: judge an implementation, write the reports, or compute a report again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .terminal import console, progress

if TYPE_CHECKING:
    from .parity.findings import Audit

CANDIDATE = 'An engine, a .onnx file, a folder, "module:attribute", a URL, or "cmd: ./server"; see docs/candidates.md.'
REFERENCE = "The same weights: a folder, the name of a shipped checkpoint, or an id on the hub."


def audit(
    candidate: Annotated[str | None, typer.Argument(help=CANDIDATE, show_default=False)] = None,
    reference: Annotated[str | None, typer.Option(help=REFERENCE, show_default=False)] = None,
    out: Annotated[Path | None, typer.Option(help="A folder for the reports.", show_default=False)] = None,
    head: Annotated[str | None, typer.Option(help="Such as masked_lm; by default the checkpoint's own.")] = None,
    dtype: Annotated[str, typer.Option(help="The precision in which the candidate computes.")] = "float32",
    seed: Annotated[int, typer.Option(help="Of probes and draws.")] = 0,
    rate: Annotated[float | None, typer.Option(help="The probability that an honest candidate is refused.")] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds that one call may take; by default any.")] = None,
    power: Annotated[bool, typer.Option(help="Compute what the probes would have seen.")] = True,
    json_only: Annotated[bool, typer.Option("--json-only", help="Write report.json alone.")] = False,
    verify: Annotated[
        Path | None, typer.Option(help="A report.json to compute again and compare.", show_default=False)
    ] = None,
) -> None:
    """Judge an implementation of RoBERTa: is it the model of this checkpoint, and where is it not?

    Exit status 1 where it is not, or where nothing was judged. Ctrl-C ends the run with a report of what was found.
    """
    if verify is not None:
        _verify(verify, candidate)
        return
    from .parity.request import AuditRequest

    if candidate is None or reference is None:
        message = (
            "audit: required a candidate and --reference, such as: roberta audit torch --reference austen --out DIR"
        )
        raise ValueError(message)
    if out is not None and not json_only:
        _require_report_extra()
    request = AuditRequest(candidate, reference, head, dtype, seed, rate, timeout, power)
    with progress("probes", None) as advance:
        found = request.run(advance=advance)
    console().print(found.table())
    typer.echo(found)
    if out is not None:
        _write(found, out, json_only)
    if not found.passed:
        raise typer.Exit(1)


def _write(found: Audit, out: Path, json_only: bool) -> None:
    from .files.atomic import write_atomically

    if json_only:
        write_atomically(out / "report.json", found.to_json().encode("utf-8", "backslashreplace"))
    else:
        found.write(out)
    typer.echo(f"\nwritten: {out}")


def _require_report_extra() -> None:
    """Before the audit, which may take minutes, not after it."""
    from importlib.util import find_spec

    if find_spec("jinja2") is None:
        message = 'out: required jinja2 for report.html, which is not installed: pip install "roberta[report]"'
        raise ImportError(f"{message}, or give --json-only")


def _verify(report: Path, candidate: str | None) -> None:
    from .parity.reports.archive import differences
    from .parity.request import recorded

    before = report.read_text(encoding="utf-8")
    with progress("probes", None) as advance:
        found = recorded(before, candidate).run(advance=advance)
    lines = differences(before, found.to_json())
    shown = lines[:SHOWN] + ([f"and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else [])
    typer.echo("\n".join(["the report differs:", *shown]) if lines else "equal but for times")
    if lines:
        raise typer.Exit(1)


#: How many differences are printed.
SHOWN = 10
