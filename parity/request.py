"""An audit as it is asked for in text, by a command, a configuration file or a report: so it can be asked for again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from ..dispatch import registry
from ..dispatch.api import FACES
from .audit import AUDIT_RATE, audit
from .candidates import Candidate, as_candidate
from .checking import engines
from .findings import Audit
from .probes.probe import Probe
from .references import Reference
from .reports import archive
from .variants import VARIANTS


@dataclass(frozen=True)
class AuditRequest:
    """What is to be audited, by what, and how.

    Attributes:
        candidate: an engine's name, the path of a .onnx file, a folder, "module:attribute", "http://…", or "cmd: …";
            see docs/candidates.md.
        reference: a folder, the name of a shipped checkpoint, or an id on the hub.
        head: such as "masked_lm"; None for the one that the checkpoint was saved as.
        dtype: the precision in which the candidate computes.
        seed: of probes and draws.
        rate: the probability that an honest candidate is refused in the whole audit; None for `AUDIT_RATE`.
        timeout: how many seconds one call may take; None: for ever.
        power: whether it is computed what the probes would have seen.
        variant: of an engine, a decoder variant with drawn weights in place of the checkpoint, see `variants`.
    """

    candidate: str
    reference: str
    head: str | None = None
    dtype: str = "float32"
    seed: int = 0
    rate: float | None = None
    timeout: float | None = None
    power: bool = True
    variant: str = ""

    @property
    def names_engine(self) -> bool:
        """Whether the candidate is one of the registered engines, which computes with the reference's weights."""
        names = {alias for backend in registry.backends().values() for alias in (backend.name, *backend.aliases)}
        return self.candidate in names

    @property
    def runs_code(self) -> bool:
        """Whether the candidate is something to import, to start or to connect to."""
        return ":" in self.candidate

    def probes(self) -> tuple[Probe, ...]:
        """The battery.

        Raises:
            ValueError: an unknown head.
            FileNotFoundError: no such checkpoint.
        """
        return self._reference().battery(self.seed, is_own=self.names_engine)

    def run(self, probes: Sequence[str] | None = None, advance: Callable[[], None] | None = None) -> Audit:
        """Audit, and record in the settings what was asked for.

        Args:
            probes: names of those to ask, within the limits that they have in the whole battery; None for all of it.
            advance: called after each probe.

        Returns:
            `Audit`; an incomplete one, if it was interrupted.

        Raises:
            ValueError: an unknown probe; and as `audit`.
        """
        rate = AUDIT_RATE if self.rate is None else self.rate
        chosen = None
        if probes is not None:
            battery = self.probes()
            chosen = _chosen(battery, probes)
            rate *= len(chosen) / len(battery)
        found = audit(
            self._on_engine() if self.names_engine else self.candidate,
            self._drawn() if self.variant else self.reference,
            chosen,
            self.dtype,
            head=self.head,
            seed=self.seed,
            rate=rate,
            power=self.power,
            timeout=self.timeout,
            advance=advance,
        )
        return replace(found, settings={**found.settings, "command": asdict(self)})

    def _reference(self) -> Reference:
        return Reference.of(self._drawn() if self.variant else self.reference, self.head)

    def _drawn(self) -> Any:
        """The variant's model, with weights of its own."""
        (variant,) = (variant for variant in VARIANTS if variant.name == self.variant)
        case = variant.case(str(self.head))
        return FACES[case.head].on("numpy")(case.config, state=case.state)

    def _on_engine(self) -> Candidate:
        """The reference's weights on the engine that is named."""
        (name,) = engines([self.candidate], self.dtype)
        return as_candidate(self._reference().oracle.to_backend(name, dtype=self.dtype), name=name)


def recorded(report: str | bytes, candidate: str | None = None) -> AuditRequest:
    """What a report says that it was asked for.

    A candidate that is code is not run on the word of a document: it has to be named again.

    Args:
        report: the JSON.
        candidate: in place of the one that the report names; None: that one.

    Raises:
        ValueError: no report, one that no command wrote, or one whose candidate has to be named.
    """
    settings: Mapping[str, Any] = archive.read(report).get("settings", {})
    try:
        request = AuditRequest(**settings["command"])
    except (KeyError, TypeError) as error:
        message = 'report: required one that `roberta audit` wrote, got one without settings "command"'
        raise ValueError(f"{message} ({error}); run roberta.parity.audit again, and compare by hand") from error
    if candidate is not None:
        return replace(request, candidate=candidate)
    if request.runs_code:
        message = f"candidate: required from you, since the report names something to run: {request.candidate!r}"
        raise ValueError(f"{message}. If you trust it: roberta audit {request.candidate!r} --verify REPORT")
    return request


def _chosen(battery: Sequence[Probe], names: Sequence[str]) -> tuple[Probe, ...]:
    """The probes of these names, in the battery's order."""
    known = [probe.name for probe in battery]
    unknown = [name for name in names if name not in known]
    if unknown:
        message = f"probes: required some of {known}, got {unknown}"
        raise ValueError(message)
    return tuple(probe for probe in battery if probe.name in names)
