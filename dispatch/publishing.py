"""Giving a model to others by the hub: a card that says what it is, and its files beside that."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Unpack

from ..files.formats.table import FORMATS, source_of
from ..files.refusals import Asked
from ..files.uploading import Commit, upload
from ..reference.parameters import CLASS_NAMES
from .matching import shortened
from .writing import WRITTEN

if TYPE_CHECKING:
    from .weights import Weights

#: Head -> the hub's name of what it is for.
PIPELINES = {
    "model": "feature-extraction",
    "causal_lm": "text-generation",
    "masked_lm": "fill-mask",
    "sequence_classification": "text-classification",
    "multiple_choice": "multiple-choice",
    "token_classification": "token-classification",
    "question_answering": "question-answering",
}
#: Fields of the configuration that a card shows.
SIZES = (
    "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
    "max_position_embeddings", "type_vocab_size", "position_embedding_type", "hidden_act", "layer_norm_eps",
)  # fmt: skip
#: Engine -> what is installed for it.
ENGINES = {"numpy": "", "numba": "[numba]", "torch": "[torch]", "tensorflow": "[tensorflow]", "flax": "[flax]"}
CARD = "README.md"


class Publication(Commit, total=False):
    """What may be said of a model that is sent, besides how.

    Attributes:
        tags: words by which it is found.
        license: the hub's name of it, such as "mit"; a card without one has no such line.
        language: the code of its texts' language, such as "en", or several.
        parity_report: what `roberta.parity` found: an audit or a report, or its text.
        tokenizer: one whose files go beside the weights.
    """

    tags: list[str] | None
    license: str | None
    language: str | list[str] | None
    parity_report: Any
    tokenizer: Any


def push(model: Weights, repo_id: str, saving: Mapping[str, Any], **said: Unpack[Publication]) -> str:
    """Save into a folder that goes again, and send that.

    Args:
        model: of any engine.
        repo_id: see `upload`.
        saving: options of `save_pretrained`.
        **said: see `Publication` and `Commit`.

    Returns:
        The address of the commit.
    """
    _ = Asked(repo_id).library  # before gigabytes are written
    with TemporaryDirectory(prefix="roberta-") as folder:
        model.save_pretrained(folder, **saving)
        return send(model, Path(folder), repo_id, **said)


def send(model: Weights, folder: Path, repo_id: str, **said: Unpack[Publication]) -> str:
    """Send a checkpoint that has just been saved, with a card where the folder has none.

    What the folder has besides stays here. Weights that are read in place of these go from the repository.
    """
    files = {"config.json", CARD}
    if (tokenizer := said.get("tokenizer")) is not None:
        files |= {Path(one).name for one in tokenizer.save_pretrained(folder)}
    source = source_of(folder)
    files |= {path.name for path in (*source.files, *([source.index] if source.index else []))}
    if not (folder / CARD).exists():
        text = model_card(model, repo_id, **{name: said.get(name) for name in _OF_CARD})
        (folder / CARD).write_text(text, encoding="utf-8")
    commit: dict[str, Any] = {name: said[name] for name in Commit.__annotations__ if name in said}
    return upload(folder, repo_id, sorted(files), _replaced(source.format), **commit)


def require_known(said: Mapping[str, Any]) -> None:
    """Only options that there are.

    Raises:
        TypeError: another; suggests the nearest.
    """
    for name in said.keys() - Publication.__annotations__.keys():
        known = [*Publication.__annotations__, "max_shard_size", "format", "dtype"]
        near = get_close_matches(name, known, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else "Leave it out"
        raise TypeError(f"push_to_hub: unknown option {name!r}; there are {', '.join(known)}. {hint}")


def model_card(
    model: Weights,
    name: str,
    *,
    tags: list[str] | None = None,
    license: str | None = None,  # the hub's name of it
    language: str | list[str] | None = None,
    parity_report: Any = None,
) -> str:
    """What README.md says on the hub: facts for its search, sizes, which weights are random, and how to load it.

    Args:
        model: of any engine.
        name: the id that others type.
        tags: see `Publication`.
        license: see `Publication`.
        language: see `Publication`.
        parity_report: see `Publication`.

    Returns:
        Markdown, with YAML before it.

    Raises:
        ModuleNotFoundError: the hub's library is missing; says what to type.
    """
    facts = Asked(name).library.ModelCardData(
        library_name="roberta",
        pipeline_tag=PIPELINES[model.head],
        tags=list(dict.fromkeys(["roberta", *(tags or [])])),
        license=license,
        language=language,
    )
    found = [
        f"---\n{facts.to_yaml()}\n---",
        f"# {name.rpartition('/')[2]}",
        f"`{CLASS_NAMES[model.head]}`, {model.num_parameters():,} parameters, saved by `roberta` {_release()}.",
        _sizes(model),
        _origin(model),
        _loading(model, name),
    ]
    if parity_report is not None:
        found.append(_parity(parity_report))
    return "\n\n".join(found) + "\n"


# -- pieces ------------------------------------------------------------------------------------------------------------

_OF_CARD = ("tags", "license", "language", "parity_report")


def _sizes(model: Weights) -> str:
    rows = [f"| `{name}` | {getattr(model.config, name)} |" for name in SIZES]
    return "\n".join(["## Sizes", "", "| | |", "|---|---|", *rows, f"| stored as | {model.dtype_name} |"])


def _origin(model: Weights) -> str:
    """What the load report says. It can't know whether what began at random has been trained since."""
    report = model.load_report
    source = f", from {report.source}" if report.source else ""
    lines = [f"{len(report.loaded)} tensors were loaded{source}."]
    lines += [f"{tied} is {other}." for tied, other in (report.tied or {}).items()]
    began = [*report.missing, *report.mismatched]
    if began:
        outputs = ", ".join(report.random_outputs) or "none"
        lines.append(
            f"**{len(began)} tensors began at random** ({shortened(began)}): unless they were trained since, so are "
            f"these outputs: {outputs}."
        )
    return "## Weights\n\n" + "\n".join(f"* {line}" for line in lines)


def _loading(model: Weights, name: str) -> str:
    rows = [
        f'| {engine} | `pip install "roberta{extra.replace("]", ",hub]") or "[hub]"}"` | '
        f'`roberta.{CLASS_NAMES[model.head]}.from_pretrained("{name}", backend="{engine}")` |'
        for engine, extra in ENGINES.items()
    ]
    return "\n".join(["## How to load it", "", "| engine | once | then |", "|---|---|---|", *rows])


def _parity(report: Any) -> str:
    if hasattr(report, "to_markdown"):
        return f"## Parity\n\n{report.to_markdown().strip()}"
    text = str(report).strip()
    fence = "```"
    while fence in text:
        fence += "`"
    return f"## Parity\n\n{fence}text\n{text}\n{fence}"


def _replaced(form: str) -> list[str]:
    """Patterns of the weights that would be read in place of these, or with them."""
    found: list[str] = []
    for one in (FORMATS[name] for name in WRITTEN[: WRITTEN.index(form) + 1]):
        stem, _, ending = one.weights.rpartition(".")
        found += [one.weights, one.index, f"{stem}-*-of-*.{ending}"]
    return found


def _release() -> str:
    try:
        return version("roberta")
    except PackageNotFoundError:
        return "from a checkout"
