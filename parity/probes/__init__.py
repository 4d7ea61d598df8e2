"""What a candidate is asked: probes as data, the battery of them, what of an answer is judged, and what was varied.

Reading order: `probe`, `battery` (with `drawing`, `magnifying`, `texts`), `real_tokens`, `coverage`.
"""

from __future__ import annotations

from .probe import Call, Probe, chains

__all__ = ["Call", "Probe", "chains"]
