"""Which engines there are, which one is meant, and loading it on first use. Looking never imports a framework."""

from __future__ import annotations

import difflib
import os
import sys
import threading
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, entry_points, version
from importlib.util import find_spec
from itertools import accumulate
from types import ModuleType

PACKAGE = __name__.removesuffix(".dispatch.registry")
ENTRY_POINT_GROUP = "roberta.backends"


@dataclass(frozen=True)
class Backend:
    """One engine: where it is, what it needs, and how to get that.

    Attributes:
        name: as in `backend=`.
        module: the package with the engine's interface; see `docs/backends.md`.
        distribution: the framework's distribution on PyPI, whose version is shown.
        install: the line that installs what is missing.
        aliases: other names that are accepted.
        companions: distributions that compute along with it, whose versions are shown too.
        classes: the module where its native classes are written out; None where they are made on first use.
    """

    name: str
    module: str
    distribution: str
    install: str
    aliases: tuple[str, ...] = ()
    companions: tuple[str, ...] = ()
    classes: str | None = None


def _built_in(
    name: str, folder: str, install: str, aliases: tuple[str, ...] = (), companions: tuple[str, ...] = ()
) -> Backend:
    """An engine of this package."""
    module, classes = f"{PACKAGE}.backends.{folder}", f"{PACKAGE}.dispatch.natives.{name}"
    return Backend(name, module, name, install, aliases, companions, classes)


#: The engines of this package: a folder and a line each.
BUILT_IN = (
    _built_in("numpy", "numpy", "pip install roberta", ("np",)),
    _built_in("numba", "numba", 'pip install "roberta[numba]"'),
    _built_in("torch", "pytorch", 'pip install "roberta[torch]"', ("pytorch", "pt")),
    _built_in("tensorflow", "tensorflow", 'pip install "roberta[tensorflow]"', ("tf", "keras"), ("keras",)),
    _built_in("flax", "flax", 'pip install "roberta[flax]"', ("jax",), ("jax",)),
)


#: What an engine's package must have; `docs/backends.md` says what each is.
INTERFACE = (
    "HEADS",
    "LOSSES",
    "DTYPES",
    "ENTRY",
    "to_native",
    "to_numpy",
    "state_dict_numpy",
    "load_state_dict_numpy",
    "dtype_name",
    "devices",
    "device_of",
    "frozen_names",
    "is_tracing",
)


class BackendUnavailableError(ImportError):
    """A backend that was asked for cannot be loaded: its framework is missing or broken."""


@dataclass(frozen=True)
class BackendStatus:
    """What `available_backends` says of one engine.

    Attributes:
        name: the engine.
        version: its framework's version, and those of its companions, such as "2.21.0, keras 3.15.1"; or None.
        devices: where its models can be.
        reason: why it cannot be used, or None.
        install: the line that installs what is missing or damaged, where something is.
        remark: what else the engine says of itself here, such as what would make it faster.
    """

    name: str
    version: str | None
    devices: tuple[str, ...] = ()
    reason: str | None = None
    install: str | None = None
    remark: str = ""

    @property
    def is_available(self) -> bool:
        """Whether models can be made with it."""
        return self.reason is None


def backends() -> dict[str, Backend]:
    """Every registered engine, name -> `Backend`: the built-in ones and those of installed third parties.

    Example:
        >>> list(backends())[:3]
        ['numpy', 'numba', 'torch']
    """
    found = {backend.name: backend for backend in BUILT_IN}
    ours = {alias for backend in BUILT_IN for alias in backend.aliases}
    for point in entry_points(group=ENTRY_POINT_GROUP):
        distribution = point.dist.name if point.dist else point.name
        if point.name not in ours:
            found.setdefault(point.name, Backend(point.name, point.value, distribution, f"pip install {distribution}"))
    return found


def canonical_name(name: str) -> str:
    """The engine's own name for any name it is called by.

    Raises:
        ValueError: no such engine; lists them and suggests the nearest.

    Example:
        >>> canonical_name("pt")
        'torch'
    """
    registered = backends()
    names = {alias: backend.name for backend in registered.values() for alias in (backend.name, *backend.aliases)}
    if name in names:
        return names[name]
    near = difflib.get_close_matches(str(name), list(names), n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    message = f"backend: required one of {list(registered)}, got {name!r}.{hint}"
    raise ValueError(message)


# -- which one is meant --------------------------------------------------------------------------------------------

_default: str | None = None
_in_context: ContextVar[str | None] = ContextVar("roberta_backend", default=None)


def set_default_backend(name: str) -> None:
    """Use this engine wherever none is named, in the whole process.

    Example:
        >>> set_default_backend("numpy")
        >>> get_default_backend()
        'numpy'
    """
    global _default
    _default = canonical_name(name)


def get_default_backend() -> str:
    """The engine used where none is named: the context's, else the process', else `ROBERTA_BACKEND`, else numpy."""
    chosen = _in_context.get() or _default or os.environ.get("ROBERTA_BACKEND") or "numpy"
    return canonical_name(chosen)


@contextmanager
def use_backend(name: str) -> Generator[None]:
    """Use this engine wherever none is named, inside a `with` block, in this thread or task only.

    Example:
        >>> with use_backend("torch"):
        ...     get_default_backend()
        'torch'
    """
    token = _in_context.set(canonical_name(name))
    try:
        yield
    finally:
        _in_context.reset(token)


# -- loading -------------------------------------------------------------------------------------------------------

_lock = threading.RLock()
#: Engines whose first import was interrupted -> what it left half imported, which Python takes for whole.
_interrupted: dict[str, list[str]] = {}
#: What helps then: a framework's native parts cannot be imported a second time.
ANEW = "start Python anew"


class InterruptedImportError(ImportError):
    """The first import of a framework was interrupted halfway: what is there of it is of no use."""

    remedy = ANEW


def load(name: str | None = None) -> ModuleType:
    """The engine's package, imported on first use.

    Args:
        name: an engine; None for the default.

    Raises:
        BackendUnavailableError: its framework is missing or broken, or the engine lacks a part; says what to type. A
            later call tries again, unless an interrupt has left half of a framework behind: then start Python anew.
    """
    backend = backends()[canonical_name(name) if name else get_default_backend()]
    with _lock:
        try:
            return _imported(backend)
        except (Exception, SystemExit) as error:  # a broken installation raises anything
            reason = str(error) if isinstance(error, ImportError) else f"{type(error).__name__}: {error}"
            remedy = _remedy(backend, error)
            when = "Install it with" if remedy == backend.install else "If it is damaged or too old"
            when = "What helps" if hasattr(error, "remedy") or remedy == ANEW else when
            message = (
                f"backend {backend.name!r} needs {backend.distribution}, which cannot be imported ({reason}). "
                f"{when}: {remedy}"
            )
            raise BackendUnavailableError(message) from error


def _imported(backend: Backend) -> ModuleType:
    """The engine's package. An import that fails or is interrupted leaves nothing of the engine behind."""
    before = set(sys.modules)
    try:
        _require_whole_frameworks(backend)
        engine = _whole(import_module(backend.module))
    except BaseException as error:
        _forget(backend, set(sys.modules) - before)
        if not isinstance(error, Exception | SystemExit):  # Ctrl-C, or a task that is cancelled
            _interrupted[backend.name] = _halves(set(sys.modules) - before)
        raise
    _interrupted.pop(backend.name, None)
    return engine


def _forget(backend: Backend, new: Iterable[str]) -> None:
    """Remove the engine's own modules: of a third party's, those of the whole package that it comes in."""
    own = backend.module if backend in BUILT_IN else backend.module.partition(".")[0]
    for name in new:
        if name == own or name.startswith(f"{own}."):
            del sys.modules[name]


def _halves(new: Iterable[str]) -> list[str]:
    """Packages that are not there though parts of them are: Python removes a module whose import ends in an error."""
    chains = [list(accumulate(name.split("."), "{}.{}".format)) for name in new]
    lost = {next((link for link in chain if link not in sys.modules), None) for chain in chains}
    return sorted(name for name in lost if name and find_spec(name))  # some native code makes parts of no package


def _require_whole_frameworks(backend: Backend) -> None:
    halves = _interrupted.get(backend.name)
    if halves:
        message = f"the first import of {', '.join(halves)} was interrupted, and nothing can be made of what is left"
        raise InterruptedImportError(message)


def _whole(engine: ModuleType) -> ModuleType:
    """The engine, if nothing of the interface is lacking."""
    lacking = [name for name in INTERFACE if not hasattr(engine, name)]
    if lacking:
        message = f"{engine.__name__} lacks {', '.join(lacking)}, which docs/backends.md describes"
        raise ImportError(message)
    return engine


def _remedy(backend: Backend, error: BaseException) -> str:
    """What the error itself says, or the line that installs what is missing.

    Where nothing is, pip must be told to install it all the same.
    """
    if hasattr(error, "remedy"):
        return str(getattr(error, "remedy"))  # noqa: B009  # an engine's own error has it
    if backend.name in _interrupted:
        return ANEW
    if _version(backend.distribution) is None or _is_missing(error):
        return backend.install
    return backend.install.replace("pip install", "pip install --force-reinstall", 1)


def _is_missing(error: BaseException) -> bool:
    """Whether the error, or what caused it, is that a whole package is not there."""
    if isinstance(error, ModuleNotFoundError) and error.name:
        return find_spec(error.name.partition(".")[0]) is None
    return error.__cause__ is not None and _is_missing(error.__cause__)


def available_backends() -> dict[str, BackendStatus]:
    """Every engine with its framework's version and devices, or why it can't be used and what to type.

    It loads each of them, as nothing else tells truthfully; a broken one never breaks another.

    Example:
        >>> available_backends()["numpy"].devices
        ('cpu',)
    """
    return {name: _status(backend) for name, backend in backends().items()}


def _status(backend: Backend) -> BackendStatus:
    installed = _versions(backend)
    try:
        engine = load(backend.name)
        devices, remark = engine.devices(), getattr(engine, "remark", str)()
    except Exception as error:  # noqa: BLE001  # whatever a broken installation raises, the others are to be listed
        cause = error.__cause__ or error
        reason = f"{backend.distribution} is not installed" if installed is None else f"{type(cause).__name__}: {cause}"
        return BackendStatus(backend.name, installed, reason=reason, install=_remedy(backend, cause))
    return BackendStatus(backend.name, installed, tuple(devices), remark=remark)


def _versions(backend: Backend) -> str | None:
    """The framework's version, and behind it the companions' with their names."""
    found = {name: _version(name) for name in (backend.distribution, *backend.companions)}
    own = found.pop(backend.distribution)
    beside = [f"{name} {found_version}" for name, found_version in found.items() if found_version]
    return None if own is None else ", ".join([own, *beside])


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
