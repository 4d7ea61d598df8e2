"""`[tool.roberta-parity]`: what pytest is to audit, read from pyproject.toml."""

from __future__ import annotations

import datetime
import difflib
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, cast

import pytest

from ..dispatch import checkpoint
from ..reference.parameters import HEADS
from .references import saved_head
from .request import AuditRequest
from .tolerances import PRECISIONS
from .variants import VARIANTS, WHOLE

TABLE = "tool.roberta-parity"


@dataclass(frozen=True)
class KnownFailure:
    """A failure that is expected, until the candidate is mended.

    Attributes:
        item: a pattern of items as in a shell, such as "masked_lm::*token".
        reason: why.
        since: the day on which it was written down.
    """

    item: str
    reason: str
    since: datetime.date

    def matches(self, item: str) -> bool:
        """Whether an item is meant."""
        return fnmatchcase(item, self.item)

    def __str__(self) -> str:
        return f"known since {self.since}: {self.reason}"


@dataclass(frozen=True)
class Settings:
    """The table.

    Attributes:
        candidate: see `request.AuditRequest`.
        reference: a folder, relative to pyproject.toml; a shipped checkpoint's name; or an id on the hub.
        heads: which; none: the one that the checkpoint was saved as.
        dtype: the precision in which the candidate computes.
        rate: the false-alarm rate of one audit; None for the default.
        seed: of probes and draws.
        variants: whether an engine is held against the decoder variants, too; nothing else can be.
        known_failures: what is expected to fail.
    """

    candidate: str
    reference: str
    heads: tuple[str, ...] = ()
    dtype: str = "float32"
    rate: float | None = None
    seed: int = 0
    variants: bool = True
    known_failures: tuple[KnownFailure, ...] = ()

    def requests(self) -> Iterator[tuple[str, AuditRequest]]:
        """The audits, each by its name: a head, or a head and a variant."""
        chosen: dict[str, Any] = {"dtype": self.dtype, "rate": self.rate, "seed": self.seed, "power": False}
        heads = self.heads or (saved_head(checkpoint.locate(self.reference)),)
        requests = [AuditRequest(self.candidate, self.reference, head, **chosen) for head in heads]
        for head, request in zip(heads, requests, strict=True):
            yield head, request
        if self.variants and requests[0].names_engine:
            names = dict(WHOLE)
            for variant in (variant for variant in VARIANTS if variant.name in names):
                for head in (head for head in heads if head in variant.heads):
                    yield f"{head}, {variant.name}", replace(requests[0], head=head, variant=variant.name)


def read_settings(path: Path) -> Settings:
    """The table in a pyproject.toml.

    Args:
        path: the file.

    Raises:
        pytest.UsageError: there is none, it has no such table, or the table has what is not known or not possible.
    """
    if not path.is_file():
        message = f"--roberta-parity: required {path} with a table [{TABLE}], found no such file. {EXAMPLE}"
        raise pytest.UsageError(message)
    try:
        content: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        message = f"{path}: required TOML, got {error}"
        raise pytest.UsageError(message) from error
    table = content.get("tool", {}).get("roberta-parity")
    if table is None:
        message = f"--roberta-parity: required a table [{TABLE}] in {path}, found none. {EXAMPLE}"
        raise pytest.UsageError(message)
    return _settings(table, path.parent)


EXAMPLE = 'Such as: candidate = "my_package.port:forward", reference = "path/of/the/checkpoint"'


def _settings(table: Mapping[str, Any], folder: Path) -> Settings:
    given = _known_keys(table, [field.name.replace("_", "-") for field in fields(Settings)], TABLE)
    for name in ("candidate", "reference"):
        if name not in given:
            message = f"[{TABLE}]: required the key {name!r}, got {sorted(given)}. {EXAMPLE}"
            raise pytest.UsageError(message)
    for name, (kind, words) in KINDS.items():
        if name in given and not isinstance(given[name], kind):
            raise _wrong(name, words, given[name])
    _require_among("heads", given.get("heads", ()), HEADS)
    _require_among("dtype", [given.get("dtype", "float32")], tuple(PRECISIONS))
    failures = tuple(_known_failure(entry) for entry in given.pop("known-failures", ()))
    beside = folder / given["reference"]
    reference = str(beside) if beside.is_dir() else given["reference"]
    chosen: dict[str, Any] = {**given, "reference": reference, "heads": tuple(given.get("heads", ()))}
    return Settings(**chosen, known_failures=failures)


#: Key -> its type, and that in words.
KINDS: Mapping[str, tuple[type | tuple[type, ...], str]] = {
    "candidate": (str, "a text"),
    "reference": (str, "a text"),
    "heads": (list, "a list of heads"),
    "dtype": (str, "a text"),
    "rate": (float, "a number such as 1e-9"),
    "seed": (int, "a whole number"),
    "variants": (bool, "true or false"),
    "known-failures": (list, 'a list of tables: {item = "…", reason = "…", since = 2026-01-31}'),
}


def _known_keys(table: Mapping[str, Any], names: list[str], where: str) -> dict[str, Any]:
    for name in table:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            message = f"[{where}]: required some of the keys {names}, got {name!r}.{hint}"
            raise pytest.UsageError(message)
    return dict(table)


def _require_among(key: str, values: Any, permitted: tuple[str, ...]) -> None:
    for value in values:
        if value not in permitted:
            near = difflib.get_close_matches(str(value), permitted, n=1)
            raise _wrong(key, f"{'some' if key == 'heads' else 'one'} of {list(permitted)}", value, near)


def _known_failure(entry: Any) -> KnownFailure:
    where = f"{TABLE}.known-failures"
    if not isinstance(entry, dict):
        raise _wrong("known-failures", KINDS["known-failures"][1], entry)
    given = _known_keys(cast("dict[str, Any]", entry), [field.name for field in fields(KnownFailure)], where)
    kinds = {"item": (str, "a pattern"), "reason": (str, "why"), "since": (datetime.date, "a date: 2026-01-31")}
    for name, (kind, words) in kinds.items():
        if not isinstance(given.get(name), kind) or not str(given[name]).strip():
            raise _wrong(f"known-failures, {name}", words, given.get(name))
    return KnownFailure(**given)


def _wrong(key: str, required: str, got: object, near: list[str] | None = None) -> pytest.UsageError:
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return pytest.UsageError(f"[{TABLE}] {key}: required {required}, got {got!r}.{hint}")
