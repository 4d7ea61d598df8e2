"""A record that a page has room for: pictures coarser and matrices smaller, step by step, until the file is small."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

#: So many bytes a page may have.
LIMIT = 2_000_000
#: A step leaves so much of the rows and columns of a matrix; no matrix and no picture has less than so many.
SHARE, LEAST = 0.75, 2
#: So many steps leave nothing to be made smaller.
STEPS = 24
KINDS = ("scores", "probs")
ATTENTION = "Attention is shown of the first"


def fitting(record: Mapping[str, Any], document: Callable[[Mapping[str, Any]], str], limit: int = LIMIT) -> str:
    """The document of a record, made of less where the whole would have more bytes than it may.

    Args:
        record: of `recording.recorded`; it is left as it is.
        document: makes a document of a record.
        limit: how many bytes it may have.

    Returns:
        The document; its notes say what was left out.

    Raises:
        ValueError: even the smallest has more.

    Example:
        >>> record = {"passes": [], "notes": [], "tokens": [[]]}
        >>> fitting(record, lambda record: "page", 10)
        'page'
    """
    size = 0
    for _ in range(STEPS):
        whole = document(record)
        size = len(whole.encode("utf-8", "backslashreplace"))
        if size <= limit:
            return whole
        record = _smaller(record)
    message = f"required a page of {limit:,} bytes at most, got {size:,}; give a shorter text, or faults=False"
    raise ValueError(message)


def _smaller(record: Mapping[str, Any]) -> dict[str, Any]:
    """The same with a step less of everything that there is much of."""
    passes = [{**one, **_smaller_pass(one)} for one in record["passes"]]
    attention = [matrix for one in passes for layer in one["attention"] for matrix in layer["probs"]]
    notes = [note for note in record["notes"] if not note.startswith(ATTENTION)]
    if attention:
        shown = max(max(len(matrix), len(matrix[0])) for matrix in attention)
        notes.append(f"{ATTENTION} {shown} of {len(record['tokens'][0])} tokens.")
    left = [note for note in notes if not note.startswith("Pictures are coarser")]
    left.append(
        "Pictures are coarser, and norms are of fewer tokens, than a shorter text or a smaller model would have."
    )
    return {**record, "passes": passes, "notes": left, "words": _fewer(record.get("words", []), 8)}


def _smaller_pass(one: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "attention": [
            {**layer, **{kind: [[_fewer(row) for row in _fewer(head)] for head in layer[kind]] for kind in KINDS}}
            for layer in one["attention"]
        ],
        "taps": [{**tap, "picture": _coarser(tap["picture"])} for tap in one["taps"]],
        "stream": [{**norms, "norms": _fewer(norms["norms"], 8)} for norms in one["stream"]],
    }


def _fewer(values: list[Any], least: int = LEAST) -> list[Any]:
    """The first of them."""
    return values[: max(least, int(len(values) * SHARE))]


def _coarser(picture: Mapping[str, Any]) -> dict[str, Any]:
    """A picture with every second row or column, whichever it has more of."""
    rows, columns, steps = picture["rows"], picture["columns"], list(picture["steps"])
    table = np.frombuffer(b64decode(picture["data"]), np.uint8).reshape(rows, columns)
    axis = int(columns >= rows)
    if table.shape[axis] < 2 * LEAST:
        return dict(picture)
    table, steps[axis] = (table[::2], steps[0] * 2) if axis == 0 else (table[:, ::2], steps[1] * 2)
    data = b64encode(np.ascontiguousarray(table).tobytes()).decode()
    return {"rows": table.shape[0], "columns": table.shape[1], "steps": steps, "data": data}
