"""Where a checkpoint is: in a folder, in this package, or on the Hugging Face hub."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypedDict, Unpack

from . import hub

#: Checkpoints that come with the package: name -> folder.
SHIPPED = {"austen": Path(__file__).parent.parent / "checkpoints" / "austen"}
#: The oldest repositories of the hub have no owner in their id.
WITHOUT_OWNER = frozenset({
    "roberta-base", "roberta-large", "roberta-large-mnli", "distilroberta-base", "roberta-base-openai-detector",
    "roberta-large-openai-detector", "camembert-base", "xlm-roberta-base", "xlm-roberta-large",
    "xlm-roberta-large-finetuned-conll02-dutch", "xlm-roberta-large-finetuned-conll02-spanish",
    "xlm-roberta-large-finetuned-conll03-english", "xlm-roberta-large-finetuned-conll03-german",
})  # fmt: skip


#: Endings of files of weights, which may be named in place of their folder.
ENDINGS = (".safetensors", ".bin", ".ckpt", ".pth", ".pt", ".h5", ".msgpack")


class HubOptions(TypedDict, total=False):
    """Where in a repository, and how it is fetched.

    Attributes:
        subfolder: the folder inside, where the checkpoint is not at the top; also of a folder on the disk.
        revision: on the hub, a branch, a tag or a commit; None: the main branch.
        token: on the hub, that of a private repository; True: the one that was stored at login, False: none.
        cache_dir: where what the hub sends is kept; None: the hub's own cache.
        local_files_only: take what is in that cache, and ask nobody.
        force_download: fetch what is in that cache once more.
    """

    subfolder: str
    revision: str | None
    token: str | bool | None
    cache_dir: str | Path | None
    local_files_only: bool
    force_download: bool


def locate(
    folder_or_id: str | os.PathLike[str], patterns: Sequence[str] | None = None, **options: Unpack[HubOptions]
) -> Path:
    """The folder of a checkpoint: a folder, the name of a shipped one, or an id on the Hugging Face hub.

    Args:
        folder_or_id: an existing folder, or a file of weights in one; a key of `SHIPPED`; or an id
            such as "owner/name".
        patterns: which of the small files (`hub.SMALL`) are fetched from the hub, where they are not yet in its cache;
            None: all of them, and the weights in one format.
        **options: see `HubOptions`.

    Returns:
        The folder.

    Raises:
        FileNotFoundError: nothing of that name, or no such subfolder, revision or file; says what would do.
        PermissionError, ConnectionError, OSError, ValueError: see `hub.fetch`.
        TypeError: neither a text nor a path.

    Example:
        >>> locate("austen").name
        'austen'
    """
    if not isinstance(folder_or_id, str | os.PathLike):  # pyright: ignore[reportUnnecessaryIsInstance]  # users' types
        shown = f"{type(folder_or_id).__name__} {folder_or_id!r:.80}"
        raise TypeError(f"required a folder, the name of a shipped checkpoint or an id on the hub, got {shown}")
    subfolder = options.pop("subfolder", "") or ""
    path = Path(folder_or_id).expanduser()
    if path.is_file() and path.suffix in ENDINGS:
        return path
    top = _on_disk(folder_or_id) or _on_hub(str(folder_or_id), patterns, subfolder, options)
    if not (top / subfolder).is_dir():
        inside = ", ".join(sorted(path.name for path in top.iterdir() if path.is_dir())) or "none"
        message = f"subfolder: {str(folder_or_id)!r} has no folder {subfolder!r}; the folders in it are: {inside}"
        raise FileNotFoundError(message)
    return top / subfolder


def _on_disk(folder_or_id: str | os.PathLike[str]) -> Path | None:
    """A folder, or one that comes with the package; None where the name must be of something else."""
    path = Path(folder_or_id).expanduser()
    return path if path.is_dir() and str(folder_or_id) else SHIPPED.get(str(folder_or_id))


def _on_hub(name: str, patterns: Sequence[str] | None, subfolder: str, options: Mapping[str, Any]) -> Path:
    """Fetch a repository where the name can be one's id."""
    path = Path(name).expanduser()
    is_id = name in WITHOUT_OWNER or (name.count("/") == 1 and not name.startswith((".", "/", "~")))
    if is_id and not path.exists() and find_spec("huggingface_hub"):
        return hub.fetch(name, patterns, subfolder, options)
    remedy = ' For an id on the hub: pip install "roberta[hub]".' if is_id else ""
    found = f", and {path} is a file: give the folder that it is in" if path.is_file() else ""
    near = _near(path) or difflib.get_close_matches(name, [*SHIPPED, *sorted(WITHOUT_OWNER)], n=1)
    remedy += f" Did you mean {near[0]!r}?" if near and not path.exists() else ""
    message = f"no checkpoint {name!r}: give an existing folder or one of {list(SHIPPED)}{found}.{remedy}"
    raise FileNotFoundError(message)


def _near(path: Path) -> list[str]:
    """The folder beside it whose name is nearest."""
    if not path.name or not path.parent.is_dir() or not os.access(path.parent, os.R_OK):
        return []
    beside = [each.name for each in path.parent.iterdir() if each.is_dir()]
    return [str(path.parent / name) for name in difflib.get_close_matches(path.name, beside, n=1)]
