"""What all adapters share: a name, what it can be asked, and what a report says of it."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, ClassVar

from ...reference.layers import Array
from ..candidates import Candidate, CandidateError, Capabilities
from ..reports.hashes import hash_arrays, hash_file


class Adapter:
    """A `Candidate` that has neither taps nor other weights, unless its kind says how.

    Attributes:
        kind: what it is, for the report.
        libraries: the distributions whose versions explain a result.
        name: for the report.
        capabilities: what it can be asked.
    """

    kind: ClassVar[str]
    libraries: ClassVar[tuple[str, ...]] = ()

    def __init__(self, name: str, capabilities: Capabilities) -> None:
        self.name = name
        self.capabilities = capabilities

    def __call__(self, **inputs: Any) -> Mapping[str, Any]:
        """One pass."""
        raise NotImplementedError

    def taps(self, inputs: Mapping[str, Any]) -> Mapping[str, Array]:
        """Intermediate values, where the kind has them."""
        message = f"{self.name}: required a candidate with taps, got a {self.kind} (capabilities.has_taps is False)"
        raise CandidateError(f"{message}; judge its outputs")

    def with_weights(self, state: Mapping[str, Array]) -> Candidate:
        """The same with other weights, where the kind takes them."""
        message = f"{self.name}: required a candidate that takes weights, got a {self.kind}"
        raise CandidateError(f"{message} (capabilities.takes_weights is False); judge it with its own")

    def require_covered(self, inputs: Mapping[str, Any]) -> None:
        """Refuse a call that would be answered as another one: what it does not take would be passed over.

        Raises:
            CandidateError: `capabilities.refusal` has a reason.
        """
        reason = self.capabilities.refusal(inputs)
        if reason:
            message = f"{self.name}: required a call that it covers, but {reason}"
            raise CandidateError(f"{message}; ask capabilities.refusal(inputs) first")

    def describe(self) -> dict[str, Any]:
        """Kind, versions, and the hash of each file, or of the weights in memory."""
        hashes = {path.name: hash_file(path) for path in self.files()}
        arrays = self.arrays()
        if arrays:
            hashes["weights"] = hash_arrays(arrays)
        return {"kind": self.kind, "versions": versions(*self.libraries), "sha256": hashes}

    def files(self) -> tuple[Path, ...]:
        """The files that it is made of."""
        return ()

    def arrays(self) -> Mapping[str, Array]:
        """The weights that it has in memory, by name."""
        return {}


def versions(*distributions: str) -> dict[str, str]:
    """Distribution -> its version, of those that are installed.

    Example:
        >>> list(versions("numpy", "no-such-distribution"))
        ['numpy']
    """
    found: dict[str, str] = {}
    for name in distributions:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
