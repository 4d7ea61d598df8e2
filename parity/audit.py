"""The instrument: a candidate is asked every probe, each answer is held against the spec's, and all of it is recorded.

    probe → what the candidate answers → truth and limits from the spec → three statistics → where it departs → power

`check`, `compare`, the command and the pytest plugin are short calls of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from .candidates import Candidate, as_candidate
from .findings import Audit, Finding
from .judging import Judge
from .keeping import Keeper
from .probes.probe import Call, Probe
from .references import Reference
from .reports.environment import environment
from .reports.hashes import hash_probes
from .tolerances import PRECISIONS

#: The probability that an honest candidate is refused in a whole audit, by the rounding model.
AUDIT_RATE = 1e-6
Advance = Callable[[], None]


def audit(
    candidate: Any,
    reference: Any,
    probes: Sequence[Probe] | None = None,
    dtype: str = "float32",
    *,
    inputs: Mapping[str, Any] | None = None,
    head: str | None = None,
    seed: int = 0,
    rate: float = AUDIT_RATE,
    draws: int | None = None,
    power: bool = True,
    cache: str | Path | None = None,
    timeout: float | None = None,
    advance: Advance | None = None,
) -> Audit:
    """Hold an implementation against the spec.

    Args:
        candidate: whatever `candidates.as_candidate` accepts: a function, a model, an ONNX file, a command, an address.
        reference: the same weights: a model of ours on any engine, or a checkpoint.
        probes: what to ask; None for the battery of the head and configuration.
        dtype: the precision in which the candidate computes, one of `tolerances.PRECISIONS`.
        inputs: the arguments of one call, in place of the battery.
        head: of a checkpoint: which head; None for the one that it was saved as.
        seed: of the probes and the rounding errors.
        rate: the probability that an honest candidate is refused, over all probes, outputs and statistics.
        draws: K, the number of noisy runs; None for as many as the size of the model calls for.
        power: whether to state what the probes would have seen.
        cache: a folder in which truths and limits are kept for the next audit; None for none.
        timeout: how many seconds one answer may take; None: for ever.
        advance: called after each probe.

    Returns:
        `Audit`. Interrupted by Ctrl-C, it holds what was found so far, and does not pass.

    Raises:
        ValueError: an unknown head, dtype, probe or input.
        TypeError: what cannot be a candidate.
        FileNotFoundError: no such checkpoint or file.

    Example:
        >>> import roberta
        >>> from roberta.parity.cases import small_config
        >>> model = roberta.RobertaForTokenClassification(small_config(), backend="numpy")
        >>> audit(model, model, power=False).passed
        True
    """
    _require(dtype, probes, inputs)
    spec = Reference.of(reference, head)
    subject = as_candidate(candidate, reference=spec.oracle)
    if inputs is not None:
        asked: Sequence[Probe] = (Probe("given", ("what the given inputs show",), (Call(dict(inputs)),)),)
    else:
        asked = spec.battery(seed, is_own=subject.capabilities.is_own) if probes is None else probes
    k = draws if draws is not None else spec.draws
    judge = Judge(subject, spec, dtype, rate / max(len(asked), 1), k, seed, timeout, Keeper(cache), power)
    started, clock = datetime.now(UTC).isoformat(timespec="seconds"), time.perf_counter()
    findings: list[Finding] = []
    is_complete = False
    try:
        for probe in asked:
            findings.append(judge.finding(probe))
            if advance is not None:
                advance()
        is_complete = True
    except KeyboardInterrupt:
        pass
    settings = {
        "dtype": dtype,
        "seed": seed,
        "draws": k,
        "rate": rate,
        "probes": hash_probes(asked),
        "power": power,
        "roberta": version("roberta"),
        "started": started,
        "seconds": round(time.perf_counter() - clock, 1),
    }
    return Audit(
        judge.candidate.describe() | {"name": judge.candidate.name, "can": _abilities(judge.candidate)},
        spec.describe(),
        settings,
        environment(judge.candidate),
        tuple(findings),
        is_complete,
    )


def _require(dtype: str, probes: Any, inputs: Any) -> None:
    if dtype not in PRECISIONS:
        message = f"dtype: required one of {list(PRECISIONS)}, got {dtype!r}"
        raise ValueError(message)
    if inputs is not None and not isinstance(inputs, Mapping):
        message = f"inputs: required a mapping of argument names to arrays, got {type(inputs).__name__}"
        raise TypeError(f'{message}; give {{"input_ids": ids}}')
    if probes is not None and not all(isinstance(probe, Probe) for probe in probes):
        message = "probes: required a sequence of roberta.parity.probes.Probe; for one call give inputs={...}"
        raise TypeError(message)


def _abilities(candidate: Candidate) -> dict[str, Any]:
    can = candidate.capabilities
    return {
        "inputs": sorted(can.inputs),
        "outputs": None if can.outputs is None else sorted(can.outputs),
        "longest": can.longest,
        "batches": None if can.batches is None else sorted(can.batches),
        "taps": can.has_taps,
        "other weights": can.takes_weights,
    }
