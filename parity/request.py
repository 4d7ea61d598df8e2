"""An audit as it is asked for in text, by a command, a configuration file or a report: so it can be asked for again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

from ..dispatch import checkpoint, registry
from ..dispatch.api import FACES
from . import archive
from .audit import audit
from .battery import battery
from .candidates import Candidate, as_candidate
from .checking import require_heads
from .findings import Audit
from .probes import Probe
from .references import saved_head
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
        rate: the probability that an honest candidate is refused; None for the default.
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

    @cached_property
    def model(self) -> Any:
        """The reference, a model of the spec.

        Raises:
            ValueError: an unknown head or variant.
            FileNotFoundError: no such checkpoint.
        """
        if self.head is not None:
            require_heads([self.head])
        if self.variant:
            return self._drawn()
        head = self.head or saved_head(checkpoint.locate(self.reference))
        return FACES[head].from_pretrained(self.reference, backend="numpy")

    def _drawn(self) -> Any:
        """The variant's model."""
        (variant,) = (variant for variant in VARIANTS if variant.name == self.variant)
        case = variant.case(str(self.head))
        return FACES[case.head].on("numpy")(case.config, state=case.state)

    def subject(self) -> Candidate:
        """The candidate: the reference's weights on the engine that is named, or whatever the text leads to."""
        if self.names_engine:
            name = registry.canonical_name(self.candidate)
            return as_candidate(self.model.to_backend(name, dtype=self.dtype), name=name)
        return as_candidate(self.candidate, reference=self.model)

    def probes(self) -> tuple[Probe, ...]:
        """The battery."""
        folder = None if self.variant else checkpoint.locate(self.reference)
        return battery(self.model.head, self.model.config, seed=self.seed, folder=folder)

    def run(self, probes: Sequence[str] | None = None, advance: Callable[..., None] | None = None) -> Audit:
        """Audit, and record in the settings what was asked for.

        Args:
            probes: names of those to ask; None for the whole battery.
            advance: called after each probe.

        Returns:
            `Audit`; an incomplete one, if it was interrupted.

        Raises:
            ValueError: an unknown probe; and as `audit`.
        """
        found = audit(
            self.subject(),
            self.model if self.variant else self.reference,
            self._chosen(probes),
            self.dtype,
            head=self.model.head,
            seed=self.seed,
            power=self.power,
            timeout=self.timeout,
            advance=advance,
            **({} if self.rate is None else {"rate": self.rate}),
        )
        return replace(found, settings={**found.settings, "command": asdict(self)})

    def _chosen(self, names: Sequence[str] | None) -> tuple[Probe, ...]:
        probes = {probe.name: probe for probe in self.probes()}
        unknown = [name for name in names or () if name not in probes]
        if unknown:
            message = f"probes: required some of {list(probes)}, got {unknown}"
            raise ValueError(message)
        return tuple(probe for name, probe in probes.items() if names is None or name in names)


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
