"""Where a checkpoint is: in a folder, in this package, or on the Hugging Face hub."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

#: Checkpoints that come with the package: name -> folder.
SHIPPED = {"austen": Path(__file__).parent.parent / "checkpoints" / "austen"}
#: Files of a checkpoint on the hub that are of use here: no weights of other frameworks, and nothing pickled.
PATTERNS = ("*.json", "*.txt", "*.safetensors")
#: The oldest repositories of the hub have no owner in their id.
WITHOUT_OWNER = frozenset({"roberta-base", "roberta-large", "roberta-large-mnli", "distilroberta-base"})


def locate(folder_or_id: str | Path, patterns: Sequence[str] = PATTERNS) -> Path:
    """The folder of a checkpoint: a folder, the name of a shipped one, or an id on the Hugging Face hub.

    Args:
        folder_or_id: an existing folder, a key of `SHIPPED`, or an id such as "owner/name".
        patterns: the files that are fetched from the hub, where they are not yet in its cache.

    Returns:
        The folder.

    Raises:
        FileNotFoundError: nothing of that name; says what would do.

    Example:
        >>> locate("austen").name
        'austen'
    """
    path = Path(folder_or_id).expanduser()
    if path.is_dir():
        return path
    name = str(folder_or_id)
    if name in SHIPPED:
        return SHIPPED[name]
    is_id = name in WITHOUT_OWNER or (name.count("/") == 1 and not name.startswith((".", "/", "~")))
    if is_id and not path.exists() and find_spec("huggingface_hub"):
        return _download(name, patterns)
    remedy = ' For an id on the hub: pip install "roberta[hub]".' if is_id else ""
    found = f", and {path} is a file" if path.exists() else ""
    message = f"no checkpoint {name!r}: give an existing folder or one of {list(SHIPPED)}{found}.{remedy}"
    raise FileNotFoundError(message)


def _download(repository: str, patterns: Sequence[str]) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(repository, allow_patterns=list(patterns)))
    except Exception as error:
        message = f"{repository!r} is neither a folder here nor could it be fetched from the hub: {error}"
        raise FileNotFoundError(message) from error
