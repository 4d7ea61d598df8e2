"""An audit as it is asked for in text, by a command, a configuration file or a report: so it can be asked for again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from ..dispatch import checkpoint, registry
from ..dispatch.api import FACES
from . import archive
from .candidates import as_candidate
from .checking import require_heads
from .exporting import saved_head
from .findings import Audit


@dataclass(frozen=True)
class AuditRequest:
    """What is to be audited, by what, and how.

    Attributes:
        candidate: an engine's name, the path of a .onnx file, a folder, "module:attribute", "http://…", or "cmd: …";
            see docs/candidates.md.
        reference: a folder, the name of a shipped checkpoint, or an id on the hub.
        head: such as "masked_lm"; None for the one that the checkpoint has.
        dtype: the precision in which the candidate computes.
        seed: of probes and draws.
        rate: the probability that an honest candidate is refused; None for the default.
        timeout: how many seconds one call may take; None: for ever.
        power: whether it is computed what the probes would have seen.
    """

    candidate: str
    reference: str
    head: str | None = None
    dtype: str = "float32"
    seed: int = 0
    rate: float | None = None
    timeout: float | None = None
    power: bool = True

    @property
    def names_engine(self) -> bool:
        """Whether the candidate is one of the registered engines, given the reference's weights."""
        names = {alias for backend in registry.backends().values() for alias in (backend.name, *backend.aliases)}
        return self.candidate in names

    @property
    def runs_code(self) -> bool:
        """Whether the candidate is something to import, to start or to connect to."""
        return ":" in self.candidate

    def model(self) -> Any:
        """The reference as a model of the spec.

        Raises:
            ValueError: an unknown head.
            FileNotFoundError: no such checkpoint.
        """
        if self.head is not None:
            require_heads([self.head])
        head = self.head or saved_head(checkpoint.locate(self.reference))
        return FACES[head].from_pretrained(self.reference, backend="numpy")

    def subject(self, model: Any) -> Any:
        """The candidate: the reference's weights on the engine that is named, or whatever the text leads to."""
        if self.names_engine:
            name = registry.canonical_name(self.candidate)
            return as_candidate(model.to_backend(name, dtype=self.dtype), name=name)
        return as_candidate(self.candidate, reference=model)

    def run(self, advance: Callable[..., None] | None = None) -> Audit:
        """Audit, and record in the settings what was asked for.

        Args:
            advance: called after each probe.

        Returns:
            `Audit`; an incomplete one, if it was interrupted.
        """
        from .audit import audit

        model = self.model()
        chosen = {} if self.rate is None else {"rate": self.rate}
        found = audit(
            self.subject(model),
            model,
            dtype=self.dtype,
            seed=self.seed,
            power=self.power,
            timeout=self.timeout,
            advance=advance,
            **chosen,
        )
        return replace(found, settings={**found.settings, "command": asdict(self)})


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
