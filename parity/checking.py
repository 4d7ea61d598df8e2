"""The two questions: do our engines agree with the spec, and does yours?"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..dispatch import checkpoint, registry
from ..dispatch.api import FACES
from ..dispatch.model import PublicModel
from ..reference.config import RobertaConfig
from ..reference.parameters import HEADS
from .audit import AUDIT_RATE, audit
from .candidates import as_candidate
from .cases import Case
from .compare import Comparison
from .findings import Audit, Finding
from .forms import USUAL, forms_of, require_forms
from .judging import Judge
from .keeping import Keeper
from .probes.coverage import unvaried
from .probes.probe import Call, Probe
from .references import Reference
from .report import Report, Row
from .tolerances import PRECISIONS

Candidate = Callable[..., Mapping[str, Any]]


def check(
    checkpoint_or_model: Any = checkpoint.DEFAULT_CHECKPOINT,
    backends: Sequence[str] | None = None,
    heads: Sequence[str] | None = None,
    dtype: str = "float32",
    forms: Sequence[str] = USUAL,
    device: str | None = None,
) -> Report:
    """Hold engines against the spec: every head of a checkpoint, on every engine, within a derived budget.

    Heads that the checkpoint lacks get seeded weights, and their rows say so. The inputs are padded rows of text (of
    drawn ids, where the checkpoint has no vocabulary), of which all hidden states are compared; rows padded in every
    way, or hidden altogether; and logits at tokens that are asked for.

    Args:
        checkpoint_or_model: a folder, a shipped checkpoint's name, an id on the hub, or a model.
        backends: engines; None for all that are available.
        heads: such as "masked_lm"; None for all seven. A model has its own only.
        dtype: the engines' precision. Engines that lack it are an error if named, else left out.
        forms: in which an engine computes, each with a row of its own: "plain", "inference" for what `for_inference`
            gives, "compiled" for what the compilers of its framework make of it, which takes minutes.
        device: where the engines compute, as they call it: "cuda", "gpu:0"; None for each one's default. Engines that
            lack it are an error if named, else left out.

    Returns:
        `Report`, with `.passed`, `.rows`, `.table()` and `.to_json()`.

    Raises:
        ValueError: an unknown head, engine, dtype or form, or another head than the model's.
        FileNotFoundError: no such checkpoint.

    Example:
        >>> from roberta.parity.cases import small_config
        >>> import roberta
        >>> model = roberta.RobertaForTokenClassification(small_config(), backend="numpy")
        >>> check(model, backends=["numpy"]).passed
        True
    """
    require_heads(heads)  # before the frameworks are loaded, which takes seconds
    require_forms(forms)
    names = engines(backends, dtype, device)
    if not names:  # a report of nothing would pass
        message = f"dtype: no engine that is available computes in {dtype!r}; `roberta backends` lists what each does"
        raise ValueError(message)
    rows = [
        row
        for reference, weights in _references(checkpoint_or_model, heads)
        for row in _check_head(reference, weights, _asked(reference), names, dtype, forms, device)
    ]
    return Report(_title(checkpoint_or_model), dtype, tuple(rows))


def compare(
    candidate: Candidate,
    reference_model: Any,
    inputs: Mapping[str, Any] | None = None,
    dtype: str = "float32",
) -> Report:
    """Hold somebody else's implementation against the spec.

    Args:
        candidate: any callable that takes NumPy arrays by HF's argument names and returns a mapping of output names to
            arrays; `hidden_states` and `attentions` may be tuples. All that it returns is judged, at real tokens; the
            head's own outputs have to be there.
        reference_model: the same weights as a model of ours, on any engine; or a checkpoint, as the head that it was
            saved as.
        inputs: the arguments of one call; None for the battery of probes (`battery`).
        dtype: the precision in which the candidate computes.

    Returns:
        `Report` of a row for each probe; its remarks say what was not covered, and what never was varied.

    Example:
        >>> import roberta
        >>> from roberta.parity.cases import small_config
        >>> model = roberta.RobertaForMaskedLM(small_config(), backend="numpy")
        >>> port = lambda input_ids, attention_mask, **_: {"logits": model(input_ids, attention_mask).logits * 1.001}
        >>> compare(port, model).passed
        False
    """
    found = audit(candidate, reference_model, None, dtype, inputs=inputs, power=False)
    head = found.reference["head"]
    rows = [_row(head, "candidate", "given", [one], one.probe) for one in found.findings if one.status != "not covered"]
    return Report("candidate", dtype, tuple(rows), _remarks(found))


def check_case(
    case: Case, backends: Sequence[str], dtype: str = "float32", forms: Sequence[str] = ("plain",)
) -> Report:
    """`check` of a drawn case on named engines, in some of their forms."""
    oracle = FACES[case.head].on("numpy")(case.config, dtype="float64", state=case.state)
    probe = Probe("case", ("what the case shows",), (Call(case.inputs),))
    rows = _check_head(Reference(f"{case.head} case", oracle), "drawn", (probe,), backends, dtype, forms)
    return Report(f"{case.head} case", dtype, tuple(rows))


# -- pieces ----------------------------------------------------------------------------------------------------------


def engines(backends: Sequence[str] | None, dtype: str, device: str | None = None) -> list[str]:
    """The engines that are meant, by their own names: those that are named, or all that are available there.

    None of all may compute in a dtype, such as TensorFloat-32: that is no error here.

    Raises:
        ValueError: an unknown engine or dtype, or a named engine without this dtype.
    """
    if dtype not in PRECISIONS:
        message = f"dtype: required one of {list(PRECISIONS)}, got {dtype!r}"
        raise ValueError(message)
    if backends is not None:
        names = [registry.canonical_name(name) for name in backends]
        for name in names:
            engine: Any = registry.load(name)
            if dtype not in engine.DTYPES:
                remedy = getattr(engine, "REMEDIES", {}).get(dtype, "")
                message = f"dtype: the {name} backend computes in one of {list(engine.DTYPES)}, got {dtype!r}. {remedy}"
                raise ValueError(message.rstrip(". "))
        return names
    usable = [name for name, status in registry.available_backends().items() if status.is_available]
    able = [name for name in usable if dtype in registry.load(name).DTYPES]
    there = [name for name in able if device is None or _has(name, device)]
    if not there and device is not None:
        message = f"device: no engine that is available computes on {device!r}; `roberta backends` lists the devices"
        raise ValueError(message)
    return there


def _has(name: str, device: str) -> bool:
    """Whether an engine has a device, which may be named without its number."""
    return any(device in (own, own.partition(":")[0]) for own in registry.load(name).devices())


def _references(subject: Any, heads: Sequence[str] | None) -> list[tuple[Reference, str]]:
    """What is to be checked, and where its weights come from: a head's own layers may be seeded, the body is not."""
    if isinstance(subject, PublicModel):
        if heads is not None and list(heads) != [subject.head]:
            remedy = "save it and give its folder, whose weights every head is built on; or a checkpoint's name"
            message = f"heads: required {[subject.head]}, the model's own, or None, got {list(heads)}; {remedy}"
            raise ValueError(message)
        return [(Reference.of(subject), "model")]
    found = [Reference.of(subject, head) for head in require_heads(heads)]
    return [(one, "seeded head" if one.oracle.load_report.missing else "checkpoint") for one in found]


def require_heads(heads: Sequence[str] | None) -> Sequence[str]:
    """The heads that are meant: those that are named, or all.

    Raises:
        ValueError: an unknown head.
    """
    for head in heads or ():
        if head not in HEADS:
            message = f"heads: required some of {list(HEADS)}, got {head!r}"
            raise ValueError(message)
    return heads or HEADS


#: The probes of the battery that `check` asks.
ASKED = ("text", "rows of many kinds", "positions asked for")


def _asked(reference: Reference) -> tuple[Probe, ...]:
    return tuple(probe for probe in reference.battery(0, is_own=True) if probe.name in ASKED)


def _check_head(
    reference: Reference,
    weights: str,
    probes: Sequence[Probe],
    names: Sequence[str],
    dtype: str,
    forms: Sequence[str],
    device: str | None = None,
) -> Iterator[Row]:
    """A row for each form of each engine's model."""
    keeper, head = Keeper(room=len(probes) + 1), reference.oracle.head
    rate = AUDIT_RATE / max(len(probes), 1)
    for name in names:
        model = reference.oracle.to_backend(name, dtype=dtype, device=device)
        for variant, form in forms_of(model, forms):
            if isinstance(form, str):
                yield Row(head, name, weights, (), variant=variant, skipped=form)
                continue
            candidate = as_candidate(form, name=name)
            judge = Judge(candidate, reference, dtype, rate, reference.draws, 0, None, keeper, False)
            yield _row(head, name, weights, [judge.finding(probe) for probe in probes], variant)


def _row(head: str, backend: str, weights: str, findings: Sequence[Finding], variant: str = "") -> Row:
    """What the probes found, in one row; names say the probe, of all but the first."""
    comparisons: list[Comparison] = []
    for number, finding in enumerate(findings):
        found = finding.comparisons
        if finding.status == "broken":
            found = (Comparison("answer", float("inf"), problem=finding.reason),)
        where = f"{finding.probe}: " if number else ""
        comparisons += [replace(comparison, name=f"{where}{comparison.name}") for comparison in found]
    places = [finding.departure.place for finding in findings if finding.departure]
    return Row(head, backend, weights, tuple(comparisons), places[0] if places else None, variant)


def _remarks(found: Audit) -> tuple[str, ...]:
    """What was not tried: what the candidate cannot be asked, and what no probe has varied."""
    lines = [f"not covered: {one.probe} ({one.reason})" for one in found.not_covered]
    never = unvaried(found.coverage(), found.reference["head"], RobertaConfig.from_dict(found.reference["config"]))
    return (*lines, *([f"never varied: {'; '.join(never)}"] if never else []))


def _title(subject: Any) -> str:
    return type(subject).__name__ if hasattr(subject, "load_report") else str(inspect.cleandoc(str(subject)))
