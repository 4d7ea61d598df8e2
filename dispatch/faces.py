"""How a name becomes a class: one name for all engines, a native class on each, and subclasses of both.

A *face* is a head without an engine, such as `RobertaForMaskedLM`; a *native* class is the same head on one, such as
`TorchRobertaForMaskedLM`: a face, and whatever the framework calls a model. Those of this package are written out in
`natives`; of a third party's engine, and of a subclass of a face, they are made on first use.
"""

from __future__ import annotations

import copyreg
import inspect
import threading
from collections.abc import Callable
from functools import cache, update_wrapper
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar, get_overloads

from . import registry

_lock = threading.RLock()
Method = TypeVar("Method", bound=Callable[..., Any])


class Face(type):
    """The metaclass of all models: calling a face makes a model of the engine that is meant."""

    @property
    def __signature__(cls) -> inspect.Signature:
        """What a class is called with: what its constructor takes."""
        taken = inspect.signature(cls.__init__)
        return taken.replace(parameters=list(taken.parameters.values())[1:], return_annotation=taken.empty)

    if not TYPE_CHECKING:  # a checker would take it for every class's constructor; those are in `signatures`

        def __call__(cls, *args: Any, **options: Any) -> Any:
            """Make a model: of a face, that of the engine which `backend=` names; dropout is off."""
            parameters = list(inspect.signature(cls).parameters)
            backend = options.get("backend")
            if "backend" not in parameters:  # of a subclass, whose constructor takes what it likes
                options.pop("backend", None)
            elif backend is None and len(args) > parameters.index("backend"):
                backend = args[parameters.index("backend")]
            native = cls.on(backend)
            if not args and "config" in parameters:
                options.setdefault("config", None)  # of which the constructor says what is required
            return super(Face, native).__call__(*args, **options).train(False)

    def __instancecheck__(cls, instance: Any) -> bool:
        """Whether it is a model of this class, or the twin of one for inference, which is of its face."""
        is_twin = getattr(instance.__class__, "is_twin", False)
        return super().__instancecheck__(instance) or (is_twin and issubclass(instance.face, cls))

    def on(cls, backend: str | None = None) -> type[Any]:
        """The class of this head on an engine.

        Args:
            backend: the engine, by any of its names; None for the default one, or for that of a native class its own.

        Raises:
            BackendUnavailableError: its framework is missing.
            TypeError: a native class is asked for another engine.
        """
        own: str | None = getattr(cls, "backend", None)
        if own is None:
            return joined(cls, registry.canonical_name(backend) if backend else registry.get_default_backend())
        if backend and registry.canonical_name(backend) != own:
            face = face_of(cls).__name__
            message = (
                f"{cls.__name__}: required its own engine, {own!r}, got {backend!r}; use roberta.{face} for others"
            )
            raise TypeError(message)
        return cls


def face_of(cls: Any) -> Any:
    """The one of the seven names that a class is a subclass of."""
    return next(base for base in cls.__mro__ if "head" in vars(base))


def origin(cls: Any) -> Any:
    """The face that a native class is of: one of the seven names, a sibling, or somebody's subclass of one."""
    made_of: Any = cls.__dict__.get("_joined")
    return made_of[0] if made_of else face_of(cls)


def is_plain(cls: Any) -> bool:
    """Whether a class computes as this package has it: it is none of somebody's own, which computes as it likes."""
    face = origin(cls)
    return (face is face_of(cls) or "is_sibling" in vars(face)) and cls is face.on(cls.backend)


def joined(face: Face, backend: str) -> type[Any]:
    """The class of a face on an engine: always the same, also where several threads are the first to ask.

    Args:
        face: one of the seven names, or a subclass of one.
        backend: the engine's own name.

    Raises:
        BackendUnavailableError: its framework is missing.
    """
    with _lock:
        made: dict[str, Any] = vars(face).get("_natives", {})
        if backend not in made:
            face._natives = made | {backend: _native(face, backend)}  # pyright: ignore[reportAttributeAccessIssue]
    return vars(face)["_natives"][backend]


def _native(face: Any, backend: str) -> type[Any]:
    engine: Any = registry.load(backend)
    if face is not face_of(face):
        return _subclass(face, face_of(face).on(backend))
    name = f"{getattr(engine, 'PREFIX', backend.capitalize())}{face.__name__}"
    written = registry.backends()[backend].classes
    if written:
        return getattr(import_module(written), name)
    native = engine.HEADS[face.head]
    body = {"__doc__": native.__doc__, "_joined": (face, backend)}
    return metaclass_of(native)(name, (face, native), body, engine=backend)


def _subclass(face: Any, native: Any) -> type[Any]:
    """A sibling of one of the seven names, or somebody's subclass, on an engine: what it says itself comes first."""
    body = {name: getattr(face, name) for name in ("__module__", "__qualname__", "__doc__")}
    name = face.__name__
    if "is_sibling" in vars(face):
        name = native.__name__.removesuffix(face_of(face).__name__) + name
        body |= {"__module__": registry.PACKAGE, "__qualname__": name}
    return type(native)(name, (face, native), {**body, "_joined": (face, native.backend)})


# -- the call of a class -----------------------------------------------------------------------------------------------


def bind(cls: Any, backend: str) -> None:
    """Make a class that joins a head with what an engine has for it call, and be called, as its framework wants."""
    cls.backend, cls.engine = backend, registry.load(backend)
    cls.native = cls.__bases__[-1]
    cls.__module__ = registry.PACKAGE  # where its name is looked up again when a model is unpickled
    cls.forward = cls.__call__
    if cls.engine.ENTRY != "__call__":
        cls.__call__ = cls.native.__call__  # the framework's, which calls the entry
    if cls.engine.ENTRY != "forward":
        setattr(cls, cls.engine.ENTRY, _forwarding(cls.forward))


def entry(written: Method) -> Method:
    """The call of a head: its signature and its words are written, what it does is the same for all."""

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        return self._call(args, kwargs)

    return _described(call, written, inspect.signature(get_overloads(written)[0]))


def _forwarding(written: Any) -> Any:
    """The same as an engine's entry of another name: through `forward`, so that a subclass may override that."""

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        return self.forward(*args, **kwargs)

    return _described(call, written, inspect.signature(written))


def _described(call: Any, written: Any, signature: inspect.Signature) -> Any:
    """A function with the name, the words and the signature of another."""
    update_wrapper(call, written)
    del call.__wrapped__  # compilers would follow it
    call.__signature__ = signature
    return call


# -- metaclasses and pickles -------------------------------------------------------------------------------------------


def metaclass_of(native: type[Any]) -> Any:
    """`Face`, joined with the metaclass that a framework's models have."""
    return _with_face(type(native))


@cache
def _with_face(kind: type[type]) -> Any:
    made = Face if kind is type else type(f"{kind.__name__}Face", (Face, kind), {})
    copyreg.pickle(made, _reduced)
    return made


def _reduced(cls: Any) -> str | tuple[Any, ...]:
    """How a class is pickled: by its name, or, where it was made here, by what it was made of."""
    made_of: Any = cls.__dict__.get("_joined")
    return (joined, made_of) if made_of else cls.__qualname__


copyreg.pickle(Face, _reduced)  # pyright: ignore[reportArgumentType]
