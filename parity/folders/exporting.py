"""Probes as a folder: weights, questions, answers and limits, so that a port in another language is judged by files."""

from __future__ import annotations

import hashlib
import json
import re
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from ...dispatch import checkpoint
from ...files.atomic import new_folder
from ...reference.layers import Array
from ..probes.battery import battery
from ..probes.probe import Call, Probe, chains
from ..probes.real_tokens import judged
from ..references import Reference
from ..required import ANSWERS, OPTIONAL, is_required
from ..tolerances import PRECISIONS, Budget, noisy_runs
from .folder import MANIFEST, VERSION, WEIGHTS, Answer, Entry, Question
from .folder_page import page


def export(
    directory: str | Path,
    checkpoint_or_model: Any = checkpoint.DEFAULT_CHECKPOINT,
    probes: Sequence[Probe] | None = None,
    dtype: str = "float32",
    head: str | None = None,
    *,
    seed: int = 0,
    tokens: int | None = None,
    track: Callable[[Sequence[Probe]], Iterable[Probe]] = iter,
) -> Path:
    """Write a folder by which a port in any language can be judged; `README.md` in it says how.

    Args:
        directory: a new or empty folder.
        checkpoint_or_model: a folder, a shipped checkpoint's name, an id on the hub, or a model.
        probes: what is asked; None for the battery.
        dtype: the precision in which ports are judged.
        head: which head; None for the model's own, or the one that the checkpoint was saved as.
        seed: of the battery.
        tokens: the battery's allowance.
        track: goes through the probes, for a progress bar.

    Returns:
        The directory.

    Raises:
        ValueError: an unknown head or dtype, another head than the model's, or a checkpoint that names none.
        FileExistsError: the directory holds something.
        FileNotFoundError: no such checkpoint.

    Example:
        >>> import tempfile, roberta
        >>> from roberta.parity.cases import small_config
        >>> model = roberta.RobertaForMaskedLM(small_config(), backend="numpy")
        >>> probes = battery("masked_lm", model.config)[:1]
        >>> written = export(Path(tempfile.mkdtemp()) / "masked_lm", model, probes)
        >>> sorted(path.name for path in written.iterdir())
        ['01-text', 'README.md', 'manifest.json', 'weights.safetensors']
    """
    if dtype not in PRECISIONS:
        message = f"dtype: required one of {list(PRECISIONS)}, got {dtype!r}"
        raise ValueError(message)
    reference = Reference.of(checkpoint_or_model, head)
    oracle = reference.oracle
    if probes is None:
        probes = battery(oracle.head, oracle.config, seed=seed, tokens=tokens, folder=reference.folder)
    with new_folder(Path(directory)) as beside:
        written = Writing(beside, reference, dtype)
        listed = [written.probe(number, probe) for number, probe in enumerate(track(probes), 1)]
        weights = written.weights(oracle.state_dict_numpy())
        content = {
            "format": "roberta parity folder", "version": VERSION, "package": version("roberta"), "head": oracle.head,
            "dtype": dtype, "seed": seed, "config": oracle.config.to_dict(), "weights": weights,
            "probes": [asdict(entry) for entry in listed],
            "files": written.hashes,
        }  # fmt: skip
        (beside / MANIFEST).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        lines = [(entry.folder, "; ".join(filter(None, (", ".join(entry.catches), entry.remark)))) for entry in listed]
        (beside / "README.md").write_text(page(oracle.head, dtype, version("roberta"), lines), encoding="utf-8")
    return Path(directory)


# -- files -------------------------------------------------------------------------------------------------------------


@dataclass
class Writing:
    """A folder that is being written.

    Attributes:
        folder: where.
        reference: the spec, and its weights.
        dtype: of the budgets.
        hashes: file -> SHA-256, of what was written.
    """

    folder: Path
    reference: Reference
    dtype: str

    def __post_init__(self) -> None:
        self.hashes: dict[str, str] = {}

    def tensors(self, name: str, arrays: Mapping[str, Any], dtype: type | None = None) -> None:
        """A safetensors file, and its hash."""
        from safetensors.numpy import save

        # A copy in C order, whatever the rank: `ascontiguousarray` would give a scalar an axis.
        content = save({key: np.array(value, dtype, order="C") for key, value in arrays.items()})
        (self.folder / name).parent.mkdir(exist_ok=True)
        (self.folder / name).write_bytes(content)
        self.hashes[name] = hashlib.sha256(content).hexdigest()

    def weights(self, state: Mapping[str, Array]) -> dict[str, Any]:
        """The weights, tied ones once; what the manifest says of them."""
        oracle = self.reference.oracle
        tied = {name: one.tied_to for name, one in oracle.table.items() if one.tied_to is not None}
        self.tensors(WEIGHTS, {name: _narrowed(value) for name, value in state.items() if name not in tied})
        return {"file": WEIGHTS, "tied": tied, "seeded": list(oracle.load_report.missing)}

    def probe(self, number: int, probe: Probe) -> Entry:
        """The files of a probe; what the manifest says of it."""
        slug = re.sub(r"[^a-z0-9.]+", "-", probe.name.lower()).strip("-")
        folder = f"{number:02}-{slug}"
        model = self.reference.with_weights(probe.state)
        state = {name: value for name, value in (probe.state or {}).items() if name in model.table}
        if state:
            self.tensors(f"{folder}/{WEIGHTS}", state)
        permitted = [one for chain in chains(probe.calls) for one in _budgets(model, chain, self.dtype)]
        judged_only = [
            {name: _judged_only(name, budget, call, model.head, probe) for name, budget in outputs.items()}
            for call, outputs in zip(probe.calls, permitted, strict=True)
        ]
        self.tensors(f"{folder}/inputs.safetensors", _numbered([_arrays(call) for call in probe.calls]))
        for part, kind in (("truth", np.float64), ("limit", np.float64), ("sigma", np.float32)):
            flat = _numbered([{n: getattr(b, part) for n, b in outputs.items()} for outputs in judged_only])
            self.tensors(f"{folder}/{part}.safetensors", flat, kind)
        calls = [_question(call, outputs, model.head) for call, outputs in zip(probe.calls, judged_only, strict=True)]
        return Entry(probe.name, folder, list(probe.catches), probe.remark, bool(state), calls)


def _narrowed(value: Array) -> Array:
    """As float32, where that holds it exactly: the spec's float64 copy of float32 weights."""
    narrow = np.asarray(value, np.float32)
    return narrow if np.array_equal(narrow, value) else np.asarray(value)


def _numbered(calls: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {f"{number}.{name}": value for number, values in enumerate(calls) for name, value in values.items()}


def _arrays(call: Call) -> dict[str, Any]:
    return {name: value for name, value in call.inputs.items() if not isinstance(value, bool)}


def _question(call: Call, outputs: Mapping[str, Budget], head: str) -> Question:
    """What the manifest says of a call."""
    answers = {
        name: Answer(
            list(budget.truth.shape), is_required(name, call.inputs, head, OPTIONAL | ANSWERS), _rms_limit(budget)
        )
        for name, budget in outputs.items()
    }
    return Question(call.continues, [name for name, value in call.inputs.items() if value is True], answers)


# -- truth and limits --------------------------------------------------------------------------------------------------


def _budgets(model: Any, chain: Sequence[Mapping[str, Any]], dtype: str) -> list[dict[str, Budget]]:
    """The budgets of the outputs of each call of a chain."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # some probes mask first tokens: a mistake in use, not here
        run = noisy_runs(model, chain, dtype)
    return [run.budgets(number) for number in range(len(chain))]


def _judged_only(name: str, budget: Budget, call: Call, head: str, probe: Probe) -> Budget:
    """The budget with an infinite limit where nothing is judged."""
    where = None if probe.judges_padding else judged(name, budget.truth.shape, call.inputs, head)
    if where is None:
        return budget
    return replace(budget, limit=np.where(where, budget.limit, np.inf))


def _rms_limit(budget: Budget) -> float | None:
    return budget.rms_limit if np.isfinite(budget.rms_limit) else None
