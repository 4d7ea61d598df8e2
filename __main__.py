"""The command `roberta`, also as `python -m roberta`: fill masks, prove agreement, audit, list engines.

Exit status: 0 all is well, 1 a check failed, 2 the command was given something it cannot use.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from . import __version__
from .audit_command import audit
from .corpus_command import tokenize_corpus
from .exercise_command import exercise
from .explain_command import explain
from .files_command import convert, inspect
from .terminal import console, progress

if TYPE_CHECKING:
    from .parity.probes.probe import Probe

app = typer.Typer(
    name="roberta",
    help="An executable specification of RoBERTa, and the engines that are held to it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

WHERE = "A folder, the name of a shipped checkpoint, or an id on the hub; by default austen, which is shipped."
FORMS = "Of the models: plain, inference (as for_inference gives), and compiled, which takes minutes."
Engines = Annotated[str | None, typer.Option(help="Engines, separated by commas; by default all that are available.")]


class DefaultGroup(TyperGroup):
    """A group of commands the first of which is meant where none is named; its help is the group's."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the first command's name in front, where no name stands there."""
        is_named = args[:1] == ["--help"] or (bool(args) and args[0] in self.commands)
        return super().parse_args(ctx, args if is_named else [self.list_commands(ctx)[0], *args])

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """The first command's help, and what else there is."""
        self.commands[self.list_commands(ctx)[0]].format_help(ctx, formatter)
        self.format_commands(ctx, formatter)


def _print_version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"roberta {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """What stands before the name of a command."""


@app.command()
def fill_mask(
    text: Annotated[str, typer.Argument(help="A text with one <mask> or more.", show_default=False)],
    model: Annotated[str | None, typer.Option(help=WHERE)] = None,
    backend: Annotated[str | None, typer.Option(help="The engine; by default numpy, or ROBERTA_BACKEND.")] = None,
    top: Annotated[int, typer.Option(help="How many candidates for each mask.")] = 5,
) -> None:
    """Guess the words that are hidden behind <mask>."""
    from rich.table import Table

    from .dispatch.tasks import fill_mask as fill

    fillings = fill(text, model, top=top, backend=backend)
    for number, candidates in enumerate(fillings, 1):
        table = Table(title=f"mask {number} of {len(fillings)}" if len(fillings) > 1 else None)
        table.add_column("probability", justify="right")
        table.add_column("token")
        table.add_column("sentence")
        for filling in candidates:
            table.add_row(f"{filling.probability:.1%}", repr(filling.token), filling.sentence)
        console().print(table)


@app.command()
def tokenize(
    text: Annotated[str, typer.Argument(help="The text.", show_default=False)],
    explain: Annotated[bool, typer.Option("--explain", help="Show every step on the way to the ids.")] = False,
    model: Annotated[str, typer.Option(help=WHERE)] = "austen",
    json: Annotated[bool, typer.Option("--json", help="Print data in place of a table.")] = False,
) -> None:
    """Cut a text into tokens, and show where each came from.

    Characters that would spoil a terminal, or that it would write from right to left, are shown as escapes.
    """
    from dataclasses import asdict
    from json import dumps

    from rich.table import Table

    from .dispatch.tokenizers import load_tokenizer
    from .tokenizer.explain import shown

    explanation = load_tokenizer(model).explain(text)
    if json:
        data = asdict(explanation) if explain else [asdict(token) for token in explanation.tokens]
        typer.echo(dumps(data, default=bytes.hex))
    elif explain:
        typer.echo(str(explanation))
    else:
        table = Table("id", "token", "text", "offsets")
        for token in explanation.tokens:
            held = shown(text[token.start : token.end]) if token.end else ""
            table.add_row(str(token.id), shown(token.token)[1:-1], held, f"{token.start} to {token.end}")
        console().print(table)


judging = typer.Typer(cls=DefaultGroup, rich_markup_mode=None)
app.add_typer(
    judging, name="parity", short_help="Hold every head on every engine, or a port's files, against the spec."
)


@judging.command(hidden=True)
def check(
    checkpoint: Annotated[str | None, typer.Argument(help=WHERE)] = None,
    backends: Engines = None,
    heads: Annotated[str | None, typer.Option(help="Heads, separated by commas; by default all seven.")] = None,
    dtype: Annotated[str, typer.Option(help="The precision of the engines.")] = "float32",
    forms: Annotated[str, typer.Option(help=FORMS)] = "plain,inference",
    variants: Annotated[bool, typer.Option(help="Check the decoder variants, too, with drawn weights.")] = True,
    gradients: Annotated[bool, typer.Option(help="Check the gradients, too, of the engines that train.")] = False,
    device: Annotated[
        str | None, typer.Option(help="Where the heads compute, such as cuda or gpu:0.", show_default=False)
    ] = None,
    json: Annotated[Path | None, typer.Option(help="A file to write the report to.", show_default=False)] = None,
) -> None:
    """Hold every head on every engine against the spec.

    The spec computes in float64. Exit status 1 where an engine exceeds the error that its precision accounts for.
    """
    from .dispatch.checkpoint import DEFAULT_CHECKPOINT
    from .files.atomic import write_atomically
    from .parity import Report, check_gradients, check_variants
    from .parity import check as check_heads
    from .parity.checking import engines, require_heads
    from .parity.forms import require_forms
    from .parity.gradients import trains

    chosen: dict[str, Any] = {"heads": require_heads(_split(heads)), "dtype": dtype, "device": device}
    wanted = _split(forms) or []
    require_forms(wanted)
    names = engines(_split(backends), dtype, device)
    reports = [check_heads(checkpoint or DEFAULT_CHECKPOINT, names, **chosen, forms=wanted)]
    console().print(reports[0].table())
    reports += [check_variants(names, **chosen, forms=wanted)] if variants else []
    reports += [check_gradients([name for name in names if trains(name)], **chosen)] if gradients else []
    for further in reports[1:]:
        if further.rows:  # a head that is no decoder has no variants
            console().print(further.grid())
    whole = Report(reports[0].subject, dtype, tuple(row for report in reports for row in report.rows))
    if json is not None:
        write_atomically(json, whole.to_json().encode())
    _exit(whole.passed)


@judging.command()
def export(
    directory: Annotated[Path, typer.Argument(help="A new or empty folder.", show_default=False)],
    model: Annotated[str, typer.Option(help=WHERE)] = "austen",
    head: Annotated[str | None, typer.Option(help="By default the one that the checkpoint was saved as.")] = None,
    dtype: Annotated[str, typer.Option(help="The precision in which the port computes.")] = "float32",
    tokens: Annotated[
        int | None, typer.Option(help="The most tokens of all questions together; by default any.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the draw.")] = 0,
) -> None:
    """Write weights, questions, answers and limits, by which a port in any language is judged.

    README.md in the folder explains it. It holds about 20 bytes for each number of the answers: for a large vocabulary
    limit the tokens.
    """
    from .parity.folders.exporting import export as write

    write(directory, model, dtype=dtype, head=head, seed=seed, tokens=tokens, track=_tracked)
    typer.echo(f"{directory}: {directory / 'README.md'} says how to use it")


@judging.command()
def judge(
    directory: Annotated[Path, typer.Argument(help="What `roberta parity export` wrote.", show_default=False)],
    outputs: Annotated[Path, typer.Argument(help="The folder of the port's outputs.", show_default=False)],
) -> None:
    """Judge a port by the files of its outputs.

    Exit status 1 where one exceeds its limit or cannot be read, or where nothing was judged.
    """
    from .parity.folders.folder import judge as hold

    found = hold(directory, outputs)
    console().print(found.table())
    typer.echo(found)
    _exit(found.passed)


app.command()(audit)
app.command()(explain)
app.command()(exercise)
app.command()(inspect)
app.command()(convert)
app.command()(tokenize_corpus)


@app.command()
def selftest(
    backends: Engines = None,
    false_alarms: Annotated[int, typer.Option(help="How many configurations to draw; 0 for none.", min=0)] = 500,
    seed: Annotated[int, typer.Option(help="Of the draw.")] = 0,
    dtype: Annotated[str, typer.Option(help="The precision of the engines.")] = "float32",
    thorough: Annotated[bool, typer.Option(help="Only honest engines, in thousands of hard comparisons.")] = False,
) -> None:
    """Test the test itself.

    Every mutant, an engine with a known mistake, must be caught, or it is said why this precision hides it; and no
    honest engine may be refused. Exit status 1 otherwise.
    """
    if thorough:
        _calibrate(_split(backends), seed)
        return
    from .parity.checking import engines
    from .parity.mistakes.mutants import MUTANTS
    from .parity.selftest import mutated_engines, run_false_alarms, run_mutants

    names = mutated_engines(_split(backends), dtype)
    honest = engines(_split(backends), dtype) if false_alarms else []
    with progress("mutants", len(names) * len(MUTANTS)) as advance:
        results: list[Any] = [run_mutants(names, dtype=dtype, advance=advance)]
    console().print(results[0].table())
    if false_alarms:
        with progress("drawn configurations", false_alarms) as advance:
            results.append(run_false_alarms(false_alarms, seed, honest, dtype, advance))
        console().print(results[1].table())
    _exit(all(result.passed for result in results))


def _calibrate(backends: list[str] | None, seed: int) -> None:
    """The thorough half of `selftest`: situation by situation, what honest engines err in units of the budgets."""
    from .parity.calibrating.calibration import run_calibration
    from .parity.calibrating.situations import situations

    chosen = list(situations())
    with progress("hard situations", len(chosen)) as advance:
        found = run_calibration(chosen, backends, seeds=(seed,), advance=advance)
    for by in ("situation", "dtype", "engine"):
        console().print(found.table(by))
    for outcome in found.alarms:
        console().print(f"{outcome.situation}, {outcome.dtype}, {outcome.engine}: {outcome.comparison}")
    _exit(found.passed)


@app.command()
def backends() -> None:
    """List the engines, and how to install what is missing."""
    from rich.table import Table

    from .dispatch.registry import available_backends, get_default_backend

    table = Table("engine", "version", "devices", "remark")
    default = get_default_backend()
    for name, status in available_backends().items():
        missing = None if status.is_available else f"{status.reason}; {status.install}"
        remark = missing or "; ".join(part for part in ("the default" * (name == default), status.remark) if part)
        table.add_row(name, status.version or "-", ", ".join(status.devices) or "-", remark)
    console().print(table)


# -- pieces ----------------------------------------------------------------------------------------------------------


def _split(names: str | None) -> list[str] | None:
    return None if names is None else [name.strip() for name in names.split(",")]


def _tracked(probes: Sequence[Probe]) -> Generator[Probe]:
    with progress("probes", len(probes)) as advance:
        for probe in probes:
            yield probe
            advance()


def _exit(passed: bool) -> None:
    if not passed:
        raise typer.Exit(1)


def _tell(message: object) -> None:
    typer.echo(f"roberta: {message}", err=True)


def _show(message: Any, *_: Any, **__: Any) -> None:
    """A warning, as Python hands it over, in one line."""
    _tell(message)


def main() -> None:
    """Run the command; misuse ends with one message on stderr and exit status 2, without a traceback.

    What the library raises for misuse is meant to be read as it is: what was required, what came, what to type next.
    """
    warnings.showwarning = _show
    try:
        app()
    except (ValueError, TypeError, OSError, ImportError) as error:
        _tell(error)
        sys.exit(2)


if __name__ == "__main__":
    main()
