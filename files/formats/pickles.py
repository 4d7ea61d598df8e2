"""Pickles read as data: a machine that knows the few words that tensors are written in, and that runs nothing.

A pickle is a program of a small stack machine. Python's own reader runs it, and calls whatever it names. This one
builds dicts, lists, numbers and texts; of names it takes those in `BUILDERS` and `RECORDS`, which stand for
descriptions (`Tensor`, `Storage`, `Record`); any other name is refused, and so is any other word.

Source: the instructions are Python's `pickletools`, which decodes them here without running any.
"""

from __future__ import annotations

import pickletools
import re
import struct
import sys
from collections.abc import Callable, Mapping, Sized
from dataclasses import dataclass, field
from typing import Any, BinaryIO, cast

#: torch's name of a dtype -> NumPy's; ml_dtypes makes bfloat16 known.
DTYPES = {
    "float64": "float64", "double": "float64", "float32": "float32", "float": "float32", "float16": "float16",
    "half": "float16", "bfloat16": "bfloat16", "int64": "int64", "long": "int64", "int32": "int32", "int": "int32",
    "int16": "int16", "short": "int16", "int8": "int8", "uint8": "uint8", "bool": "bool",
}  # fmt: skip
#: torch's class of a storage -> its dtype.
STORAGES = {
    "DoubleStorage": "float64", "FloatStorage": "float32", "HalfStorage": "float16", "BFloat16Storage": "bfloat16",
    "LongStorage": "int64", "IntStorage": "int32", "ShortStorage": "int16", "CharStorage": "int8",
    "ByteStorage": "uint8", "BoolStorage": "bool", "UntypedStorage": "uint8",
}  # fmt: skip
#: Classes whose objects are read as what they hold, and never made: settings that lie beside weights. A name that ends
#: in a point stands for all that begin so.
RECORDS = (
    "argparse.Namespace", "omegaconf.", "pytorch_lightning.utilities.parsing.AttributeDict",
    "lightning_fabric.utilities.data.AttributeDict", "lightning.fabric.utilities.data.AttributeDict",
    "fairseq.meters.", "fairseq.logging.meters.", "fairseq.data.dictionary.Dictionary",
    "torch.nn.parameter.Parameter", "torch.Tensor", "torch.torch_version.TorchVersion",
    "numpy.dtype", "numpy.ndarray", "typing.Any", "builtins.object",
    "pathlib.PosixPath", "pathlib.WindowsPath", "datetime.timedelta", "datetime.datetime",
    "enum.", "transformers.trainer_utils.", "transformers.training_args.",
)  # fmt: skip
#: What decoding raises on a damaged pickle.
DAMAGE = (ValueError, IndexError, KeyError, TypeError, struct.error, OverflowError, AttributeError)
MARK: Any = object()


class RefusedError(ValueError):
    """What a pickle asks for and is not given."""


@dataclass(frozen=True)
class Name:
    """A class or function that a pickle names, such as torch.FloatStorage."""

    full: str


@dataclass(frozen=True)
class Storage:
    """A row of numbers kept elsewhere in the file: its key, dtype, and how many there are."""

    key: str
    dtype: str
    count: int


@dataclass(frozen=True)
class Tensor:
    """A part of a storage: where it begins, in numbers, its shape and its steps, in numbers too."""

    storage: Storage
    dtype: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(eq=False)
class Record:
    """An object of a class that is not made: the class, what it would be made of, and its attributes."""

    kind: str
    made_of: Any = None
    attributes: dict[str, Any] = field(default_factory=dict[str, Any])


def read(stream: BinaryIO, size: int) -> Any:
    """What one pickle describes; the stream is left behind it.

    Args:
        stream: at the pickle's first byte.
        size: how many bytes it has at most, which bounds what may be copied.

    Returns:
        Dicts, lists, tuples, sets, texts, bytes, numbers, `Tensor`, `Storage`, `Record` and `Name`.

    Raises:
        RefusedError: the pickle names what is not in `BUILDERS` or `RECORDS`, or uses a word that tensors do not need.
        ValueError: it is damaged.

    Numerics: an empty set is one byte there and some 220 here, and no word makes more of a byte.

    Example:
        >>> import io, pickle
        >>> read(io.BytesIO(pickle.dumps({"epoch": 3, "loss": [1.5]})), 100)
        {'epoch': 3, 'loss': [1.5]}
        >>> read(io.BytesIO(pickle.dumps(print)), 100)
        Traceback (most recent call last):
        roberta.files.formats.pickles.RefusedError: it asks for builtins.print, which no tensor needs
    """
    machine = Machine(size)
    try:
        for word, argument, _ in pickletools.genops(stream):
            if word.name == "STOP":
                return machine.result()
            machine.run(word.name, argument)
    except RefusedError:
        raise
    except (*DAMAGE, DeprecationWarning) as error:  # of escapes in texts, where warnings are errors
        message = f"its pickle is damaged ({type(error).__name__}: {_short(error)})"
        raise ValueError(message) from error
    message = "its pickle is damaged (it ends before its last word)"
    raise ValueError(message)


class Machine:
    """The stack, the marks on it, and the memory of a pickle that is being read."""

    def __init__(self, size: int) -> None:
        self.stack: list[Any] = []
        self.memory: dict[int, Any] = {}
        self.copies = size  # how many values may still be copied: what is in the memory could be copied without end

    def spend(self, values: Any) -> Any:
        """The same values, which are about to be copied."""
        sized = cast("Sized", values) if isinstance(values, list | tuple | dict | set | str | bytes) else ()
        self.copies -= len(sized)
        if self.copies < 0:
            message = "it copies more values than it has, which no tensor needs"
            raise RefusedError(message)
        return cast("Any", values)

    def result(self) -> Any:
        """What the last word leaves."""
        if len(self.stack) != 1 or self.stack[0] is MARK:
            message = f"{len(self.stack)} values are left where one is"
            raise ValueError(message)
        return self.stack[0]

    def run(self, word: str, argument: Any) -> None:
        """Do one word."""
        if word in LITERALS:
            self.stack.append(argument)
        elif word in CONSTANTS:
            self.stack.append(CONSTANTS[word]())
        elif word in WORDS:
            WORDS[word](self, argument)
        elif word not in ("PROTO", "FRAME"):
            message = f"it uses the word {word}, which no tensor needs"
            raise RefusedError(message)

    def pop(self) -> Any:
        """The top, which must be a value."""
        value = self.stack.pop()
        if value is MARK:
            message = "a mark where a value is needed"
            raise ValueError(message)
        return value

    def top(self) -> Any:
        """The top, left there."""
        return self.stack[-1]

    def popped_to_mark(self) -> list[Any]:
        """All above the last mark, which is taken off, too."""
        for place in range(len(self.stack) - 1, -1, -1):
            if self.stack[place] is MARK:
                above = self.stack[place + 1 :]
                del self.stack[place:]
                return above
        message = "no mark where one is needed"
        raise ValueError(message)

    # -- containers

    def extend(self, values: list[Any]) -> None:
        """Put values at the end of the list, or into the set, on top."""
        target = self.top()
        if isinstance(target, list):
            cast("list[Any]", target).extend(values)
        elif isinstance(target, set):
            cast("set[Any]", target).update(_key(value) for value in values)
        elif not isinstance(target, Record):  # what a class makes of its parts is of no use here
            message = f"values for a {type(target).__name__}"
            raise TypeError(message)

    def fill(self, pairs: list[Any]) -> None:
        """Put keys and values, one after the other, into the dict on top."""
        target = self.top()
        target = target.attributes if isinstance(target, Record) else target
        if not isinstance(target, dict) or len(pairs) % 2:
            message = f"{len(pairs)} keys and values for a {type(cast('object', target)).__name__}"
            raise TypeError(message)
        cast("dict[Any, Any]", target).update(
            (_key(key), value) for key, value in zip(pairs[::2], pairs[1::2], strict=True)
        )

    # -- names, and what is made by them

    def named(self, full: str) -> None:
        """A class or function, if it is one of those that are known."""
        full = RENAMED.get(full, full)
        module, _, last = full.rpartition(".")
        is_dtype = module == "torch" and (last in DTYPES or last in STORAGES)
        if not (is_dtype or full in BUILDERS or _is_record(full) or full == "torch.storage.UntypedStorage"):
            raise RefusedError(f"it asks for {_short(full)}, which no tensor needs{_remedy(full)}")
        self.stack.append(Name(full))

    def call(self, name: Any, arguments: Any) -> None:
        """What a function that is known would make of its arguments."""
        if not isinstance(name, Name) or not isinstance(arguments, tuple):
            message = "a call of what is no function, or without its arguments"
            raise TypeError(message)
        if name.full in BUILDERS:
            self.stack.append(BUILDERS[name.full](*map(self.spend, cast("tuple[Any, ...]", arguments))))
        elif _is_record(name.full):
            self.stack.append(Record(name.full, arguments))
        else:
            raise RefusedError(f"it calls {_short(name.full)}, which no tensor needs")

    def build(self, attributes: Any) -> None:
        """Give the object on top its attributes: those of a dict of tensors are of no use here."""
        target = self.top()
        if isinstance(target, Record):
            match attributes:
                case tuple():
                    values: Any = next(iter(cast("tuple[Any, ...]", attributes)), None)
                case _:
                    values = attributes
            if isinstance(values, dict):
                pairs = cast("dict[Any, Any]", self.spend(values)).items()
                target.attributes.update((_key(key), value) for key, value in pairs)
        elif not isinstance(target, dict | Tensor):
            message = f"attributes for a {type(target).__name__}"
            raise TypeError(message)

    def refer(self, identifier: Any) -> None:
        """A storage, which lies elsewhere in the file."""
        match identifier:
            case ("storage", Name(kind), str(key), _, int(count), *_):
                pass
            case _:
                message = "it refers to what is no storage of numbers, which no tensor needs"
                raise RefusedError(message)
        dtype = STORAGES.get(kind.rpartition(".")[2])
        if dtype is None or count < 0:
            raise RefusedError(f"it asks for {count} numbers of {_short(kind)}; floats, integers and bool are read")
        self.stack.append(Storage(key, dtype, count))


# -- the words ---------------------------------------------------------------------------------------------------------


def _is_record(full: str) -> bool:
    return any(full.startswith(known) if known.endswith(".") else full == known for known in RECORDS)


def _key(value: Any) -> Any:
    """What may be a key: nothing whose hash runs through other values."""
    if not isinstance(value, str | int | float | bool | bytes | None):
        raise RefusedError(f"it uses a {type(value).__name__} as a key, which no tensor needs")
    return value


def _short(text: object) -> str:
    return str(text)[:120].encode("ascii", "backslashreplace").decode()


def _remedy(full: str) -> str:
    """What to do where somebody's own object has been saved, and not its numbers."""
    root = full.partition(".")[0]
    if re.fullmatch(r"torch\.(\w+Storage|(float|complex|q?u?int|bits)\w+)", full):
        return ": numbers of another kind; floats of 16 to 64 bits, integers and bool are read"
    if full.startswith("torch.nn.") or not (
        root in sys.stdlib_module_names or root in ("torch", "numpy", "nt", "__builtin__")
    ):
        return (
            ": somebody's object was saved whole, which would run that class. "
            "Where it was written: torch.save(model.state_dict(), file)"
        )
    return ""


def _tensor(storage: Any, offset: int, shape: Any, strides: Any, *_: Any, dtype: str | None = None) -> Tensor:
    sizes, steps = tuple(shape), tuple(strides)
    if not isinstance(storage, Storage) or len(sizes) != len(steps):
        message = "a tensor without its storage, or with more sizes than steps"
        raise TypeError(message)
    for number in (offset, *sizes, *steps):
        if type(number) is not int or not 0 <= number < 2**62:
            message = "a tensor with a place, size or step that is no natural number"
            raise ValueError(message)
    return Tensor(storage, dtype or storage.dtype, offset, sizes, steps)


def _tensor_of_dtype(storage: Any, offset: int, shape: Any, strides: Any, _grad: Any, _hooks: Any, dtype: Any,
                     *_: Any) -> Tensor:  # fmt: skip
    name = dtype.full.removeprefix("torch.") if isinstance(dtype, Name) else ""
    if name not in DTYPES:
        raise RefusedError(
            f"it has a tensor of {_short(name or type(dtype).__name__)}; floats, integers and bool are read"
        )
    return _tensor(storage, offset, shape, strides, dtype=DTYPES[name])


def _of_type(function: Any, kind: Any, arguments: Any, _state: Any) -> Any:
    if not isinstance(function, Name) or function.full not in BUILDERS or not isinstance(arguments, tuple):
        message = "it has a tensor of a class of its own, which no weight needs"
        raise RefusedError(message)
    if not isinstance(kind, Name) or kind.full not in ("torch.Tensor", "torch.nn.parameter.Parameter"):
        message = "it has a tensor of a class of its own, which no weight needs"
        raise RefusedError(message)
    return BUILDERS[function.full](*arguments)


def _first(value: Any, *_: Any) -> Any:
    return value


def _pairs(items: Any = (), *_: Any) -> dict[Any, Any]:
    pairs: Any = cast("dict[Any, Any]", items).items() if isinstance(items, dict) else items
    return {_key(key): value for key, value in pairs}


def _default(_factory: Any = None, items: Any = (), *_: Any) -> dict[Any, Any]:
    return _pairs(items)


def _list(items: Any = (), *_: Any) -> list[Any]:
    return [*items]


def _sizes(sizes: Any = (), *_: Any) -> tuple[Any, ...]:
    return tuple(sizes)


def _empty(kind: Name, *_: Any) -> Record:
    return Record(kind.full)


def _bytes(*parts: Any) -> Any:
    return Record("bytes", parts) if parts else b""


def _set(items: Any = (), *_: Any) -> set[Any]:
    return {_key(value) for value in items}


def _encoded(text: Any, _encoding: Any = "latin1") -> bytes:
    # bytes, as older pickles write them
    return str.encode(text, "latin1")


#: Functions that are known -> what is made of their arguments here.
BUILDERS: Mapping[str, Callable[..., Any]] = {
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _tensor_of_dtype,
    "torch._utils._rebuild_parameter": _first,
    "torch._utils._rebuild_parameter_with_state": _first,
    "torch._tensor._rebuild_from_type_v2": _of_type,
    "torch.Size": _sizes,
    "torch.device": lambda *place: Record("torch.device", place),
    "collections.OrderedDict": _pairs,
    "collections.Counter": _pairs,
    "collections.defaultdict": _default,
    "builtins.set": _set,
    "builtins.frozenset": _set,
    "builtins.dict": _pairs,
    "builtins.list": _list,
    "builtins.int": lambda *_: 0,
    "builtins.float": lambda *_: 0.0,
    "builtins.bool": lambda *_: False,
    "builtins.str": lambda *_: "",
    "_codecs.encode": _encoded,
    "copyreg._reconstructor": _empty,
    "numpy.core.multiarray.scalar": lambda *parts: Record("numpy.scalar", parts),
    "numpy.core.multiarray._reconstruct": lambda *parts: Record("numpy.ndarray", parts),
    "numpy.core.numeric._frombuffer": lambda *parts: Record("numpy.ndarray", parts),
    "builtins.bytearray": lambda *parts: Record("bytearray", parts),
    "builtins.bytes": _bytes,
}
#: Classes of Python's own that are known.
PLAIN = ("set", "frozenset", "dict", "list", "int", "float", "bool", "str", "bytes", "object")
#: Functions of NumPy's own that are known; they are in another module since NumPy 2.
ARRAYS = ("multiarray.scalar", "multiarray._reconstruct", "numeric._frombuffer")
#: Names that changed.
RENAMED = {
    **{f"numpy._core.{name}": f"numpy.core.{name}" for name in ARRAYS},
    "torch.nn.parameter.Buffer": "torch.nn.parameter.Parameter",
    "copy_reg._reconstructor": "copyreg._reconstructor",
    **{f"__builtin__.{name}": f"builtins.{name}" for name in PLAIN},
    "__builtin__.unicode": "builtins.str",
}
#: Words that carry their value.
LITERALS = frozenset({
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING",
    "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES",
    "BINBYTES8", "BYTEARRAY8",
})  # fmt: skip
CONSTANTS: Mapping[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_TUPLE": tuple,
    "EMPTY_SET": set,
    "MARK": lambda: MARK,
}


def _tuple_of(count: int) -> Callable[[Machine, Any], None]:
    def run(machine: Machine, _: Any) -> None:
        values = [machine.pop() for _ in range(count)][::-1]
        machine.stack.append(tuple(values))

    return run


def _popped(machine: Machine, _: Any) -> None:
    machine.stack.pop()


def _popped_to_mark(machine: Machine, _: Any) -> None:
    machine.popped_to_mark()


def _stored(machine: Machine, place: Any) -> None:
    machine.memory[place] = machine.top()


def _stack_global(machine: Machine, _: Any) -> None:
    last, module = machine.pop(), machine.pop()
    machine.named(f"{module}.{last}")


def _called(machine: Machine, _: Any) -> None:
    arguments, name = machine.pop(), machine.pop()
    machine.call(name, arguments)


def _called_with_names(machine: Machine, _: Any) -> None:
    by_name, arguments, kind = machine.pop(), machine.pop(), machine.pop()
    if by_name:
        message = "it makes an object with arguments by name, which no tensor needs"
        raise RefusedError(message)
    machine.call(kind, arguments)


def _appended(machine: Machine, _: Any) -> None:
    value = machine.pop()
    machine.extend([value])


def _set_item(machine: Machine, _: Any) -> None:
    value, key = machine.pop(), machine.pop()
    machine.fill([key, value])


def _built(machine: Machine, _: Any) -> None:
    attributes = machine.pop()
    machine.build(attributes)


def _dict(machine: Machine, _: Any) -> None:
    pairs = machine.popped_to_mark()
    machine.stack.append({})
    machine.fill(pairs)


def _recalled(machine: Machine, place: Any) -> None:
    machine.stack.append(machine.memory[place])


#: What the other words do.
WORDS: Mapping[str, Callable[[Machine, Any], None]] = {
    "POP": _popped,
    "POP_MARK": _popped_to_mark,
    "DUP": lambda machine, _: machine.stack.append(machine.top()),
    "PUT": _stored, "BINPUT": _stored, "LONG_BINPUT": _stored,
    "MEMOIZE": lambda machine, _: _stored(machine, len(machine.memory)),
    "GET": _recalled, "BINGET": _recalled, "LONG_BINGET": _recalled,
    "LIST": lambda machine, _: machine.stack.append(machine.popped_to_mark()),
    "TUPLE": lambda machine, _: machine.stack.append(tuple(machine.popped_to_mark())),
    "TUPLE1": _tuple_of(1), "TUPLE2": _tuple_of(2), "TUPLE3": _tuple_of(3),
    "DICT": _dict,
    "FROZENSET": lambda machine, _: machine.stack.append(_set(machine.popped_to_mark())),
    "APPEND": _appended,
    "APPENDS": lambda machine, _: machine.extend(machine.popped_to_mark()),
    "ADDITEMS": lambda machine, _: machine.extend(machine.popped_to_mark()),
    "SETITEM": _set_item,
    "SETITEMS": lambda machine, _: machine.fill(machine.popped_to_mark()),
    "GLOBAL": lambda machine, both: machine.named(both.replace(" ", ".", 1)),
    "STACK_GLOBAL": _stack_global,
    "REDUCE": _called, "NEWOBJ": _called, "NEWOBJ_EX": _called_with_names,
    "BUILD": _built,
    "BINPERSID": lambda machine, _: machine.refer(machine.pop()),
}  # fmt: skip
