"""Where the weights of a task are, and the model that a process has of them: loaded once, when it is first needed."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from ..dispatch import checkpoint, registry
from ..dispatch.api import FACES
from ..dispatch.inspection import fit
from ..dispatch.tokenizers import load_tokenizer
from ..files import generations
from ..files.formats.table import FORMATS
from ..reference.config import RobertaConfig
from ..reference.parameters import CLASS_NAMES, HEADS

#: What of a process's models is still in use, by what they were loaded from.
_MODELS: WeakValueDictionary[Any, Any] = WeakValueDictionary()
#: The one that was loaded last: a worker that unpickles a task for each batch would load it each time.
_LATEST: list[Any] = []
_LOCK = threading.RLock()


@dataclass(frozen=True)
class Memory:
    """What a task's weights take, in bytes.

    Attributes:
        laid_out: as they are computed with; None where the engine computes with the model's own.
        mapped: of the checkpoint's files, what lies in this process's memory. All processes of the machine that have
            mapped the same files share these pages. None where the system does not say (it is Linux that does).
        private: what this process has for itself, all of its memory together: pages that nobody shares.
    """

    laid_out: int | None
    mapped: int | None
    private: int | None

    def __str__(self) -> str:
        """In MB."""
        shown = {"laid out": self.laid_out, "mapped and shared": self.mapped, "private to the process": self.private}
        return ", ".join(f"{name} {count / 1e6:,.0f} MB" for name, count in shown.items() if count is not None)


@dataclass(eq=False)
class Weights:
    """A handle on weights. Pickled, it is names: whoever unpickles it loads them when they are first needed.

    Attributes:
        task: whose they are, for what it says.
        head: the head that is needed.
        source: a folder, the name of a shipped checkpoint, an id on the hub, or a model.
        tokenizer_source: the same of a tokenizer; None for the one beside the weights.
        backend: the engine; None for the default one.
        dtype: in which it computes; None for the default.
        device: where; None for the engine's default.
    """

    task: str
    head: str
    source: Any
    tokenizer_source: Any = None
    backend: str | None = None
    dtype: Any = None
    device: Any = None
    #: A model is computed with as it is; otherwise its twin for inference is made first.
    is_plain: bool = False
    _model: Any = field(default=None, repr=False)
    _tokenizer: Any = field(default=None, repr=False)

    def __post_init__(self) -> None:
        face = FACES[self.head]
        if isinstance(self.source, str | Path):
            return
        if not isinstance(self.source, face):
            required = f"a checkpoint (a folder, a shipped name, an id on the hub) or a {face.__name__}"
            message = f"{self.task}: model: required {required}, got {type(self.source).__name__}"
            raise TypeError(message)
        if self.tokenizer_source is None:
            required = "required beside a model object, got None; pass its own, such as roberta.load_tokenizer(folder)"
            message = f"{self.task}: tokenizer: {required}"
            raise TypeError(message)
        if self.device is not None:
            required = "None beside a model object, which is where it is"
            message = f"{self.task}: device: required {required}, got {self.device!r}; move it, or pass its folder"
            raise TypeError(message)

    def __getstate__(self) -> dict[str, Any]:
        """Names only, such that another process, in another folder, finds the same."""
        if not isinstance(self.source, str | Path):
            required = "required the name of a checkpoint, as that is what a task is pickled as, got a model object"
            remedy = "save it (model.save_pretrained(folder), tokenizer.save_pretrained(folder)) and pass the folder"
            message = f"{self.task}: model: {required}; {remedy}"
            raise TypeError(message)
        backend = registry.canonical_name(self.backend or registry.get_default_backend())
        sources = {name: _everywhere(getattr(self, name)) for name in ("source", "tokenizer_source")}
        return {**vars(self), **sources, "backend": backend, "_model": None, "_tokenizer": None}

    # -- what is loaded ------------------------------------------------------------------------------------------------

    @property
    def model(self) -> Any:
        """The model of this process: a twin for inference.

        Raises:
            ValueError: the checkpoint lacks parameters of the head; says what it has.
            FileNotFoundError: no such checkpoint.
        """
        if self._model is None:
            with _LOCK:
                self._model = self._from_folder() if isinstance(self.source, str | Path) else self._from_object()
        return self._model

    @property
    def tokenizer(self) -> Any:
        """The tokenizer of this process: the fast class, where its library is installed."""
        if self._tokenizer is None:
            given = self.source if self.tokenizer_source is None else self.tokenizer_source
            is_fast = find_spec("tokenizers") is not None
            is_name = isinstance(given, str | Path)
            self._tokenizer = load_tokenizer(_folder_of(given), fast=is_fast) if is_name else given
        return self._tokenizer

    @property
    def folder(self) -> str:
        """Where they are from, in a word."""
        return str(self.source) if isinstance(self.source, str | Path) else type(self.source).__name__

    def memory(self) -> Memory:
        """What they take, now."""
        laid_out = getattr(self.model, "nbytes", None)
        place = checkpoint.locate(self.source) if isinstance(self.source, str | Path) else None
        return Memory(laid_out, _mapped_of(place), _private())

    def _from_object(self) -> Any:
        model = self.source if self.backend is None else self.source.to_backend(self.backend)
        is_ready = self.is_plain or getattr(model, "is_twin", False)
        return model if is_ready else model.for_inference(self.dtype)

    def _from_folder(self) -> Any:
        place = checkpoint.locate(self.source)
        folder = place if place.is_dir() else place.parent
        names = [checkpoint.CONFIG, *(name for form in FORMATS.values() for name in (form.weights, form.index))]
        backend = registry.canonical_name(self.backend or registry.get_default_backend())
        asked = (backend, str(self.dtype), str(self.device), self.is_plain)
        key = (self.head, str(place.resolve()), repr(generations.stamp(folder, names)), *asked)
        found = _MODELS.get(key)
        if found is None:
            found = _MODELS[key] = self._loaded(place, backend)
        _LATEST[:] = [found]
        return found

    def _loaded(self, place: Path, backend: str) -> Any:
        options: dict[str, Any] = {"add_pooling_layer": False} if self.head == "model" else {}
        try:
            # An answer by random weights is worth nothing: a checkpoint without this head is an error.
            model = FACES[self.head].from_pretrained(
                place, backend=backend, dtype=self.dtype, device=self.device, strict=True, **options
            )
        except ValueError as error:
            if (said := _lacking(self.task, self.head, place)) is None:
                raise
            raise ValueError(said) from error
        config = model.config
        # what the twin has no way for is computed by the model it was made of
        is_needed = config.is_decoder or config.position_embedding_type != "absolute"
        return model.eval() if self.is_plain else model.for_inference(keep_weights=is_needed)


# -- pieces ------------------------------------------------------------------------------------------------------------


def _folder_of(given: str | Path) -> str | Path:
    """The folder of a tokenizer: that of a file of weights is the one it lies in."""
    path = Path(given)
    return path.parent if path.is_file() else given


def _everywhere(source: Any) -> Any:
    """A folder by its full path; the name of a shipped checkpoint or an id on the hub as it is."""
    is_local = isinstance(source, str | Path) and Path(source).expanduser().exists()
    return str(Path(source).expanduser().resolve()) if is_local else source


def _lacking(task: str, head: str, place: Path) -> str | None:
    """What to say of a checkpoint that lacks a head; None where it is not that which is wrong."""
    config = checkpoint.read_config(place, RobertaConfig)
    tensors = checkpoint.read_tensors(place)
    fits = {each: fit(each, config, tensors, place.name) for each in HEADS}
    report = fits[head].report
    if fits[head].is_whole or report is None or not (report.loaded or report.missing):
        return None
    lacks = [*report.missing, *report.mismatched]
    there = [CLASS_NAMES[each] for each, one in fits.items() if one.is_whole] or ["no head of RoBERTa"]
    shown = ", ".join(lacks[:3]) + (f" and {len(lacks) - 3} more" if len(lacks) > 3 else "")
    return (
        f"{task}: required a checkpoint with all parameters of {CLASS_NAMES[head]}, got {place.name}, which lacks "
        f"{shown}. They would be random, and so the answer. What it has whole: {', '.join(there)}; fine-tune it "
        "first (examples/finetune.py), or give another checkpoint"
    )


def _mapped_of(place: Path | None) -> int | None:
    """How many bytes of the files in a folder are mapped into this process, and lie in memory."""
    smaps = Path("/proc/self/smaps")
    if place is None or not smaps.exists():
        return None
    folder, is_ours, total = str((place if place.is_dir() else place.parent).resolve()), False, 0
    for line in smaps.read_text(encoding="utf-8").splitlines():
        first, *rest = line.split()
        if not first.endswith(":"):
            is_ours = bool(rest) and line.partition("/")[2] != "" and f"/{line.partition('/')[2]}".startswith(folder)
        elif is_ours and first == "Rss:":
            total += int(rest[0]) * 1024
    return total


def _private() -> int | None:
    rollup = Path("/proc/self/smaps_rollup")
    if not rollup.exists():
        return None
    lines = [line.split() for line in rollup.read_text(encoding="utf-8").splitlines()]
    return sum(int(line[1]) * 1024 for line in lines if line[0].startswith("Private_"))
