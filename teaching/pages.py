"""A record as one file of HTML: opened from a disk, without a server, it asks nobody for anything."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ..dispatch.api import FACES
from ..dispatch.checkpoint import DEFAULT_CHECKPOINT, locate
from ..dispatch.tokenizers import load_tokenizer
from ..files.atomic import write_atomically
from ..reference.config import RobertaConfig
from ..reference.parameters import CLASS_NAMES, HEADS
from ..tokenizer.explain import shown
from .fitting import fitting
from .recording import recorded

PAGE = Path(__file__).parent / "page"
#: What the script draws; the rest is written out in the document.
DRAWN = frozenset({"axes", "passes", "faults", "text"})
#: So many characters of a text are shown at the top.
EXCERPT = 600


def explain(
    text: str,
    model: Any = DEFAULT_CHECKPOINT,
    *,
    others: Sequence[str] = (),
    head: str | None = None,
    tokenizer: Any = None,
    faults: bool = True,
    tell: Callable[..., None] | None = None,
) -> str:
    """A page that shows one run of the spec, value by value, and what mistakes would do to it.

    Args:
        text: what the model is given; of question answering the question.
        model: a checkpoint, or a model of ours on any engine: its numpy twin in float32 is what runs.
        others: of question answering the context, of multiple choice the choices.
        head: of a checkpoint: which; None for the one that it was saved as.
        tokenizer: one of `load_tokenizer`, or its folder; required beside a model, of a checkpoint its own.
        faults: whether to make each mistake that concerns the model, too.
        tell: called with each mistake's name before it is made: with many layers and a long text it takes minutes.

    Returns:
        The document, of at most 2 MB; what there is no room for is left out, and said. Texts are escaped; scripts and
        styles are named by their hashes, and nothing else may run.

    Raises:
        ValueError: an unknown head, or too few others for the head, or too many.
        TypeError: no model of ours, or none without a tokenizer.
        FileNotFoundError: no such checkpoint.
        ImportError: jinja2 is missing; the extra `report` has it.

    Example:
        >>> page = explain("She <b>is</b> <mask>.", faults=False)
        >>> "<b>" in page, "&lt;b&gt;is" in page
        (False, True)
    """
    chosen, words = _loaded(model, head, tokenizer)
    return fitting(recorded(chosen, words, text, others, faults=faults, tell=tell), html)


def write_page(path: Path, text: str, model: Any = DEFAULT_CHECKPOINT, **options: Any) -> int:
    """`explain`, written to a file.

    Args:
        path: the file; it is replaced as a whole.
        text: see `explain`.
        model: see `explain`.
        **options: see `explain`.

    Returns:
        How many bytes it has.
    """
    content = explain(text, model, **options).encode("utf-8", "backslashreplace")
    write_atomically(path, content)
    return len(content)


def html(record: Mapping[str, Any]) -> str:
    """The document of what `recorded` gave.

    Raises:
        ImportError: jinja2 is missing.
    """
    try:
        jinja2: Any = import_module("jinja2")
    except ImportError as error:
        message = 'jinja2, which makes the page, is not installed: pip install "roberta[report]"'
        raise ImportError(message) from error
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(PAGE), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    environment.filters |= {"shown": _shown, "excerpt": _excerpt}
    style, script = ((PAGE / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    return environment.get_template("page.html.jinja").render(
        record=record,
        data={name: value for name, value in record.items() if name in DRAWN},
        style=style,
        script=script,
        style_hash=_hash(style),
        script_hash=_hash(script),
        longest=_longest(record["words"]),
        version=version("roberta"),
    )


# -- pieces ----------------------------------------------------------------------------------------------------------


def _loaded(model: Any, head: str | None, tokenizer: Any) -> tuple[Any, Any]:
    if head is not None and head not in HEADS:
        message = f"head: required one of {list(HEADS)}, got {head!r}"
        raise ValueError(message)
    if isinstance(model, str | Path):
        folder = locate(model)
        chosen = head or _saved_head(folder)
        is_decoder: Any = {"is_decoder": True} if chosen == "causal_lm" else {}  # each token sees those before it
        made = FACES[chosen].from_pretrained(folder, backend="numpy", **is_decoder)
        return made, _tokenizer(folder if tokenizer is None else tokenizer)
    if tokenizer is None:
        message = "tokenizer: required beside a model object, got None; pass its own, or their folder"
        raise TypeError(message)
    if head not in (None, getattr(model, "head", None)):
        message = f"head: a model has its own, {getattr(model, 'head', None)!r}, got {head!r}; leave it out"
        raise ValueError(message)
    return model, _tokenizer(tokenizer)


def _tokenizer(given: Any) -> Any:
    return load_tokenizer(given) if isinstance(given, str | Path) else given


def _saved_head(folder: Path) -> str:
    """The head that a checkpoint was saved as; without one of ours, the masked language model."""
    names = RobertaConfig.from_pretrained(folder).architectures or []
    return next((head for head, name in CLASS_NAMES.items() if name in names), "masked_lm")


def _longest(words: Sequence[Mapping[str, Any]]) -> int:
    """The piece with the most merges, whose ladder is shown at once."""
    counts = [len(word.get("merges", ())) for word in words]
    return counts.index(max(counts)) if counts else 0


def _shown(text: str) -> str:
    """A token on one line: spaces as dots, what has no picture of its own as an escape."""
    return shown(text)[1:-1].replace(" ", "·")


def _excerpt(text: str) -> str:
    return text if len(text) <= EXCERPT else f"{text[:EXCERPT]}… ({len(text):,} characters)"


def _hash(content: str) -> str:
    """As a content security policy names what may run."""
    return b64encode(sha256(content.encode()).digest()).decode()
