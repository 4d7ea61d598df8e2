"""How each kind of thing is asked: one file a kind, each with `adapt(thing, reference)`.

    models         models of ours on any engine, also compiled, traced or quantised
    transformers   the PyTorch classes of transformers
    modules        any other PyTorch module with HF's argument names
    onnx           ONNX Runtime sessions, and .onnx files
    ctranslate2    encoders of CTranslate2, and their folders
    processes      commands, and addresses
    imports        "module:attribute"
    functions      functions of NumPy arrays

Nothing is imported to look at a thing: what it is, its type's modules and `sys.modules` tell.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ...dispatch.model import PublicModel

if TYPE_CHECKING:
    from ..candidates import Candidate


@dataclass(frozen=True)
class Kind:
    """A kind of thing.

    Attributes:
        module: the file that adapts it.
        accepts: what it is, in words, for the error that lists all.
        is_one: whether a thing is of this kind; asked in the order of `KINDS`.
    """

    module: str
    accepts: str
    is_one: Callable[[Any], bool]


def wrapped(thing: Any) -> Any:
    """What the wrappers of compilers and tracers are around, however many there are; the thing itself if none is.

    Example:
        >>> import functools
        >>> wrapped(functools.wraps(len)(lambda x: len(x))) is len
        True
    """
    for name in ("_orig_mod", "python_function", "__wrapped__"):
        inner = getattr(thing, name, None)
        if inner is not None:
            return wrapped(inner)
    owner = getattr(thing, "__self__", None)
    return cast("Any", owner) if isinstance(owner, PublicModel) else thing


def of_library(thing: Any, *prefixes: str) -> bool:
    """Whether the type of a thing, or one that it inherits from, is defined in a library's modules.

    Example:
        >>> of_library(1.0, "numpy"), of_library(Path(), "pathlib")
        (False, True)
    """
    return any(f"{base.__module__}.".startswith(prefixes) for base in type(thing).__mro__)


def adapt(thing: Any, reference: Any = None) -> Candidate:
    """The adapter of a thing that is no `Candidate` yet; see `candidates.as_candidate`."""
    for kind in KINDS:
        if kind.is_one(thing):
            return import_module(f".{kind.module}", __name__).adapt(thing, reference)
    accepted = "; ".join(kind.accepts for kind in KINDS)
    hint = _hint(thing)
    message = f"candidate: required something that can be asked, got {type(thing).__name__}: {thing!r:.60}.{hint} "
    raise TypeError(f"{message}Accepted: a Candidate; {accepted}")


def _hint(thing: Any) -> str:
    """What to type instead, of what is given most often by mistake."""
    if isinstance(thing, type):
        return " This is a class: give an instance."
    if isinstance(thing, str | Path) and Path(thing).is_dir():
        return " This folder is no CTranslate2 model: load it first, and give the model."
    if isinstance(thing, str | Path):
        return " This text is neither a .onnx file, nor a command, an address, or something to import."
    return ""


def _is_model(thing: Any) -> bool:
    return isinstance(wrapped(thing), PublicModel) and not isinstance(thing, type)


def _is_transformers(thing: Any) -> bool:
    inner = wrapped(thing)
    is_family = of_library(inner, *(f"transformers.models.{family}." for family in FAMILIES))
    return is_family and of_library(inner, "torch.nn.")


def _is_text(*starts: str) -> Callable[[Any], bool]:
    return lambda thing: isinstance(thing, str) and thing.startswith(starts)


def _is_command(thing: Any) -> bool:
    parts = cast("list[Any]", thing) if isinstance(thing, list) else []
    is_list = bool(parts) and all(isinstance(part, str) for part in parts)
    return is_list or _is_text("cmd:", "safetensors+cmd:")(thing)


def _is_onnx(thing: Any) -> bool:
    is_file = isinstance(thing, str | Path) and str(thing).endswith(".onnx")
    return is_file or of_library(thing, "onnxruntime.")


def _is_ctranslate2(thing: Any) -> bool:
    is_folder = isinstance(thing, str | Path) and (Path(thing) / "model.bin").is_file()
    return is_folder or (of_library(thing, "ctranslate2.") and type(thing).__name__ == "Encoder")


def _is_import(thing: Any) -> bool:
    parts = thing.split(":") if isinstance(thing, str) else []
    return len(parts) == 2 and all(part.isidentifier() for name in parts for part in name.split("."))


def _is_function(thing: Any) -> bool:
    return callable(thing) and not isinstance(thing, type)


#: The families of transformers that compute what RoBERTa does, under the same names.
FAMILIES = ("roberta", "xlm_roberta", "camembert")
KINDS = (
    Kind("models", "a model of roberta, also after torch.compile, tf.function, jax.jit or nnx.jit", _is_model),
    Kind("transformers", "a RoBERTa of transformers (PyTorch)", _is_transformers),
    Kind("modules", "a PyTorch module that takes HF's arguments", lambda thing: of_library(thing, "torch.nn.")),
    Kind("onnx", "an onnxruntime.InferenceSession, or the path of a .onnx file", _is_onnx),
    Kind("ctranslate2", "a ctranslate2.Encoder, or its folder (with model.bin)", _is_ctranslate2),
    Kind("processes", 'a command, as a list of texts or as "cmd: ./server --flag"', _is_command),
    Kind(
        "processes",
        "an address: http://… or https://…",
        _is_text("http://", "https://", "safetensors+http://", "safetensors+https://"),
    ),
    Kind("imports", '"module:attribute", something to import', _is_import),
    Kind("functions", "a function that takes NumPy arrays by HF's argument names", _is_function),
)
