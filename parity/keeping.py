"""Truths and spreads that have been computed once: in memory for one audit, in a folder for the next."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from ..files.atomic import write_atomically
from ..reference.layers import Array
from .arithmetic import NOISE_MODEL
from .reports.hashes import hash_arrays, hash_model
from .statistics import Pooled
from .tolerances import PRECISIONS, Run, Spread, noisy_runs

#: The format of the files; another one is computed again.
FORMAT = "roberta.budgets/2"


class Keeper:
    """Gives runs of the spec, computed or kept.

    Args:
        folder: where they are kept; None: in memory only.
        room: how many are held in memory: what is asked for again is asked at once, or never, and runs are large.
    """

    def __init__(self, folder: str | Path | None = None, room: int = 1) -> None:
        self.folder = None if folder is None else Path(folder)
        self.room = room
        self._runs: dict[str, Run] = {}
        self._weights: dict[int, tuple[Any, str]] = {}

    def run(self, oracle: Any, calls: Sequence[Mapping[str, Any]], dtype: str, draws: int, seed: int) -> Run:
        """Truth and spread of a chain of calls; see `tolerances.noisy_runs`."""
        key = self._key(oracle, calls, dtype, draws, seed)
        if key not in self._runs:
            kept = self._read(key)
            while len(self._runs) >= self.room:
                del self._runs[next(iter(self._runs))]  # the oldest
            self._runs[key] = kept or noisy_runs(oracle, calls, dtype, draws=draws, seed=seed)
            if kept is None:
                self._write(key, self._runs[key])
        return self._runs[key]

    def _key(self, oracle: Any, calls: Sequence[Mapping[str, Any]], dtype: str, draws: int, seed: int) -> str:
        asked = [hash_arrays(call) for call in calls]
        model = [FORMAT, NOISE_MODEL, version("roberta"), oracle.head, oracle.config.to_json_string()]
        about = [*model, dtype, draws, seed, *asked]
        return hashlib.sha256(json.dumps([*about, self._hash_of(oracle)]).encode()).hexdigest()

    def _hash_of(self, oracle: Any) -> str:
        """The weights' hash, of each tree of parameters once."""
        tree = oracle.parameters
        held, known = self._weights.get(id(tree), (None, ""))
        if held is not tree:
            known = hash_model(oracle)
            self._weights[id(tree)] = (tree, known)
        return known

    # -- files

    def _write(self, key: str, run: Run) -> None:
        if self.folder is None:
            return
        from safetensors.numpy import save

        arrays: dict[str, Array] = {}
        about: dict[str, Any] = {"largest": run.largest, "precision": run.precision.name, "calls": len(run.outputs)}
        for number, (truths, spreads) in enumerate(zip(run.outputs, run.spreads, strict=True)):
            for name, truth in truths.items():
                spread = spreads[name]
                place = f"{number}/{name}"
                arrays |= {f"{place}/truth": truth, f"{place}/errors": spread.errors}
                arrays[f"{place}/sigma"] = spread.pooled.sigma
                about[place] = [spread.pooled.freedom, spread.pooled.modes, spread.pooled.draws]
        content = save({n: np.array(a, order="C") for n, a in arrays.items()}, {"about": json.dumps(about)})
        self.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self.folder / f"{key}.safetensors", content)

    def _read(self, key: str) -> Run | None:
        if self.folder is None or not (path := self.folder / f"{key}.safetensors").is_file():
            return None
        try:
            return _run(path)
        except Exception as error:  # noqa: BLE001  # whatever a damaged file makes of itself, it can be computed again
            message = f"{path} is damaged, and computed again ({type(error).__name__}: {error})"
            warnings.warn(message, RuntimeWarning, stacklevel=2)
            return None


def _run(path: Path) -> Run:
    """What a file keeps."""
    from safetensors import safe_open

    opened: Any = safe_open(str(path), "np")
    with opened as file:
        about = json.loads(file.metadata()["about"])
        outputs: list[dict[str, Array]] = [{} for _ in range(about["calls"])]
        spreads: list[dict[str, Spread]] = [{} for _ in range(about["calls"])]
        for place, (freedom, modes, draws) in [(p, v) for p, v in about.items() if "/" in p]:
            number, name = place.split("/")
            pooled = Pooled(file.get_tensor(f"{place}/sigma"), freedom, modes, draws)
            outputs[int(number)][name] = file.get_tensor(f"{place}/truth")
            spreads[int(number)][name] = Spread(file.get_tensor(f"{place}/errors"), pooled)
    return Run(outputs, {}, spreads, {}, about["largest"], PRECISIONS[about["precision"]])
