"""What is saved of a run, so that it goes on as if it had never stopped: on any engine, on any number of devices.

    config.json, model.safetensors, tokenizer    a checkpoint, which `from_pretrained` loads
    optimizer.safetensors                        Adam's moments: "first.NAME", "second.NAME"
    losses.npy                                   of every step
    run.json                                     steps done, and what must be the same for the run to go on

They are replaced all at once (`roberta.files.generations`): a process may be killed at any time, and what is read then
is the old state or the new one, whole.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from roberta.files.formats import safetensors
from roberta.files.generations import finish, new_generation
from roberta.reference.parameters import parameter_table

from .corpus import Corpus
from .recipe import Recipe

if TYPE_CHECKING:
    from .loop import Engine

WEIGHTS, OPTIMIZER, LOSSES, RUN = "model.safetensors", "optimizer.safetensors", "losses.npy", "run.json"
Arrays = Mapping[str, NDArray[np.float32]]


class Moments(NamedTuple):
    """What an engine knows, HF's names -> arrays, tied ones once: the weights, and Adam's moments of the gradients."""

    weights: Arrays
    first: Arrays
    second: Arrays


@dataclass
class Progress:
    """How far a run has come.

    Attributes:
        losses: of each step done.
    """

    losses: list[float] = field(default_factory=list)

    @property
    def step(self) -> int:
        """Steps done."""
        return len(self.losses)


def identity(recipe: Recipe, corpus: Corpus) -> dict[str, Any]:
    """What must be the same for a run to go on, as JSON gives it back."""
    return json.loads(json.dumps({**asdict(recipe), "corpus": dict(corpus.identity)}))


def save(folder: Path, engine: Engine, recipe: Recipe, corpus: Corpus, progress: Progress) -> None:
    """Write the state; the first process does, with what all of them know.

    Raises:
        OSError: a full disk, or a folder that may not be written into; the state that was there is whole.
    """
    moments = engine.moments()
    if engine.layout.rank:
        return
    about = {"step": progress.step, **identity(recipe, corpus)}
    config = recipe.config(corpus.vocab_size, corpus.length).replace(architectures=["RobertaForMaskedLM"])
    # Every generation has the same files: none has to go.
    with new_generation(folder, belongs=lambda name: False) as beside:
        config.save_pretrained(beside)
        corpus.save_tokenizer(beside)
        safetensors.write(beside / WEIGHTS, moments.weights, "masked_lm")
        named = {"first": moments.first, "second": moments.second}
        both = {f"{which}.{name}": array for which, arrays in named.items() for name, array in arrays.items()}
        safetensors.write(beside / OPTIMIZER, both, "masked_lm")
        np.save(beside / LOSSES, np.array(progress.losses))
        (beside / RUN).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


def load(folder: Path, engine: Engine, recipe: Recipe, corpus: Corpus) -> Progress:
    """Give the engine the state in a folder, if there is one.

    Raises:
        ValueError: it is of another run; says what differs.
    """
    finish(folder)
    if not (folder / RUN).exists():
        if folder.exists() and any(folder.glob("[!.]*")):
            message = f"{folder}: expected the state of a run, a new or an empty folder, got other files; give another"
            raise ValueError(message)
        return Progress()
    about, wanted = read_about(folder), identity(recipe, corpus)
    differing = [name for name in wanted if about.get(name) != wanted[name]]
    if differing:
        told = ", ".join(f"{name} = {about.get(name)!r}, not {wanted[name]!r}" for name in differing)
        message = f"{folder} has the state of a run with {told}; give another folder, or the same options"
        raise ValueError(message)
    engine.load(read_moments(folder), about["step"])
    return Progress(read_losses(folder))


def read_about(folder: Path) -> dict[str, Any]:
    """What `run.json` says.

    Raises:
        ValueError: the folder has none, or it is damaged.
    """
    finish(folder)
    try:
        return json.loads((folder / RUN).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError) as error:
        message = f"{folder / RUN}: expected what a run says of itself, got {error}; give the folder of a run"
        raise ValueError(message) from error


def recipe_of(about: Mapping[str, Any]) -> Recipe:
    """The settings of a run, from what it says of itself."""
    given = {one.name: about[one.name] for one in fields(Recipe)}
    return Recipe(**{**given, "betas": tuple(given["betas"])})  # JSON has lists only


def read_losses(folder: Path) -> list[float]:
    """The loss of each step."""
    return np.load(folder / LOSSES).tolist()


def read_moments(folder: Path) -> Moments:
    """The arrays of a state, mapped."""
    both = safetensors.read(folder / OPTIMIZER)
    first, second = (
        {name.removeprefix(f"{which}."): array for name, array in both.items() if name.startswith(f"{which}.")}
        for which in ("first", "second")
    )
    return Moments(safetensors.read(folder / WEIGHTS), first, second)


def parameter_names(config: Any) -> dict[str, str]:
    """Every name of a parameter -> the one under which it is saved, as the table of the specification has them."""
    return {name: parameter.tied_to or name for name, parameter in parameter_table("masked_lm", config).items()}
