"""Audits to be written about: every status, every number that JSON lacks, and a candidate that means harm."""

from __future__ import annotations

from typing import Any

import pytest
from roberta.parity.cases import small_config
from roberta.parity.compare import Comparison
from roberta.parity.findings import Audit, Decisions, Departure, Finding, Visibility

HOSTILE = 'mine <script>alert("x")</script> | ]]> & \x1b[31m\x00 *bold* \ud800 ``` [b]x[/b]'


def make_findings() -> tuple[Finding, ...]:
    seen = Visibility("tanh GELU", True, 5200.0)
    sized = Visibility("one weight", True, 3.0, smallest=1.5e-4)
    unseen = Visibility("eps 1e-12", False, 0.31, reason="the variance is 1e4 times eps here")
    undefined = Visibility("eps 1e-12", False, float("nan"), reason="overflows")
    passed = Finding(
        "padding right",
        ("mask inverted",),
        "passed",
        comparisons=(Comparison("logits", 0.12, 1.5e-7, (0, 3, 9), 0.97, rms=0.4, projection=0.2),),
        power=(seen, sized, unseen),
        decisions=Decisions(36, 2, 1),
        varied={"length": (13,), "batch": (3,), "padding": ("right",)},
        tokens=(36, 3),
        trail=(("roberta.embeddings.word", 0.0), ("roberta.encoder.layer.0.output", 0.3), ("logits", 0.12)),
    )
    failed = Finding(
        "length 2",
        ("tanh GELU", "positions off by one"),
        "failed",
        comparisons=(
            Comparison("logits", 41.5, 0.0031, (0, 1, 4), 30.0, rms=12.0, projection=80.0, suspect="tanh GELU"),
            Comparison("hidden_states.1", float("inf"), index=(0, 0, 0), problem="nan at [0, 0, 0]"),
            Comparison("hidden_states.0", 0.2, 1e-8, (0, 0, 1), 1.0),
        ),
        departure=Departure("roberta.encoder.layer.0.intermediate.output", "taps", 5200.0, ("tanh GELU",)),
        power=(seen, undefined),
        decisions=Decisions(2, 0, 0),
        varied={"length": (2,), "batch": (3,), "padding": ("none",)},
        tokens=(6, 0),
        trail=(
            ("roberta.embeddings.word", 0.1),
            ("roberta.encoder.layer.0.intermediate.output", 5200.0),
            ("logits", float("nan")),
            ("loss", float("inf")),
        ),
    )
    return (
        passed,
        failed,
        Finding("second call", ("a reused buffer",), "broken", reason="it raised RuntimeError: no\nsuch thing"),
        Finding(
            "cache splits", (), "not covered", reason="it takes no past_key_values", varied={"cached": ((1, 2), 3)}
        ),
    )


@pytest.fixture
def make_audit():
    """An audit with these findings, by default one of each status; `changes` are fields of `Audit`."""

    def audit(findings: Any = None, name: str = "mine", **changes: Any) -> Audit:
        described: dict[str, Any] = {
            "candidate": {"name": name, "kind": "callable", "inputs": ["input_ids"], "hash": None},
            "reference": {
                "name": "austen",
                "head": "masked_lm",
                "weights": "ab" * 32,
                "config": small_config().to_diff_dict(),
            },
            "settings": {"dtype": "float32", "seed": 0, "rate": 1e-9, "started": "2026-11-26T05:00:00", "seconds": 1.5},
            "environment": {"versions": {"numpy": "2.4.6"}, "arithmetic": {"known": False}},
        }
        found = make_findings() if findings is None else findings
        return Audit(**{**described, "findings": found, **changes})

    return audit


@pytest.fixture
def audit(make_audit):
    """`make_audit` as it stands: it failed."""
    return make_audit()


@pytest.fixture
def hostile(make_audit):
    """Text that a candidate may give, and that no document may take for its own."""
    findings = (
        Finding(HOSTILE, (HOSTILE,), "broken", reason=HOSTILE),
        Finding(
            "x",
            (),
            "failed",
            comparisons=(Comparison(HOSTILE, 2.0, 1.0, (0,), suspect=HOSTILE, projection=2.0),),
            departure=Departure(HOSTILE, "taps", 3.0, (HOSTILE,)),
            trail=((HOSTILE, 2.0),),
        ),
    )
    return make_audit(findings, name=HOSTILE)
