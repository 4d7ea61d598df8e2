"""Pickles as data: what tensors need is read, anything else is refused by name, and nothing is ever run."""

import argparse
import collections
import io
import pickle
import pickletools
import struct
import sys
from pathlib import Path
from threading import get_ident

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from roberta.files.formats import pickles
from roberta.files.formats.pickles import Name, Record, RefusedError, Storage, Tensor, read

PROTOCOLS = range(6)
HEAD = b"\x80\x02"


def parsed(content: bytes):
    return read(io.BytesIO(content), len(content))


# -- what is read ------------------------------------------------------------------------------------------------------

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.binary(max_size=20)
    | st.text(st.characters(codec="utf-8"), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=4)
    | st.tuples(inner, inner) | st.sets(st.integers() | st.text(max_size=3), max_size=3),
    max_leaves=20,
)  # fmt: skip


@given(plain, st.sampled_from(PROTOCOLS))
def test_plain_values_are_python_s(value, protocol) -> None:
    assert parsed(pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_settings_beside_weights_are_read_as_what_they_hold(protocol) -> None:
    content = {
        "args": argparse.Namespace(layers=12, name="é"),
        "order": collections.OrderedDict(a=1),
        "count": collections.Counter("aab"),
        "default": collections.defaultdict(list, {"x": [1]}),
        "number": np.float64(1.5),
        "array": np.arange(3),
        "path": Path("a") / "b",
    }
    found = parsed(pickle.dumps(content, protocol))
    assert isinstance(found["args"], Record)
    assert (found["args"].kind, found["args"].attributes) == ("argparse.Namespace", {"layers": 12, "name": "é"})
    assert (found["order"], found["count"], found["default"]) == ({"a": 1}, {"a": 2, "b": 1}, {"x": [1]})
    assert all(isinstance(found[name], Record) for name in ("number", "array", "path"))


def test_a_value_that_is_used_twice_is_one(tmp_path) -> None:
    shared = [1]
    found = parsed(pickle.dumps([shared, shared]))
    assert found[0] is found[1]


def test_a_stream_is_left_behind_the_pickle() -> None:
    stream = io.BytesIO(pickle.dumps(1, 2) + pickle.dumps("x", 2) + b"rest")
    assert (read(stream, 9), read(stream, 9), stream.read()) == (1, "x", b"rest")


# -- what is refused ---------------------------------------------------------------------------------------------------


class Runs:
    """What runs a function when Python reads it."""

    def __init__(self, function, *arguments) -> None:
        self.parts = function, arguments

    def __reduce__(self):
        return self.parts


class Stated:
    """What has its state set by a method when Python reads it."""

    def __setstate__(self, state) -> None:
        raise AssertionError(state)

    def __getstate__(self):
        return {"x": 1}


def call(module: str, name: str, *arguments: str) -> bytes:
    """A call, in protocol 0, of what need not exist."""
    given_ = b"".join(b"V" + argument.encode("raw_unicode_escape") + b"\n" for argument in arguments)
    return f"c{module}\n{name}\n(".encode() + given_ + b"tR."


def stacked(module: str, name: str) -> bytes:
    """A name that is put together on the stack, and called."""
    parts = b"".join(b"\x8c" + bytes([len(part)]) + part.encode() for part in (module, name))
    return b"\x80\x04" + parts + b"\x93)R."


FUNCTIONS = [
    ("posix", "system"), ("nt", "system"), ("os", "system"), ("os", "popen"), ("subprocess", "Popen"),
    ("subprocess", "check_output"), ("builtins", "eval"), ("builtins", "exec"), ("builtins", "getattr"),
    ("builtins", "__import__"), ("builtins", "open"), ("builtins", "type"), ("builtins", "vars"),
    ("builtins", "globals"), ("__builtin__", "eval"), ("__builtin__", "file"),
    ("operator", "attrgetter"), ("operator", "methodcaller"), ("functools", "partial"), ("functools", "reduce"),
    ("importlib", "import_module"), ("runpy", "run_path"), ("pickle", "loads"), ("_pickle", "loads"),
    ("marshal", "loads"), ("types", "FunctionType"), ("types", "CodeType"), ("socket", "socket"), ("ctypes", "CDLL"),
    ("shutil", "rmtree"), ("pathlib", "Path"), ("webbrowser", "open"), ("code", "interact"), ("pdb", "run"),
    ("torch", "load"), ("torch.hub", "load"), ("torch.jit", "load"), ("torch.storage", "_load_from_bytes"),
    ("torch._utils", "_rebuild_sparse_tensor"), ("torch._utils", "_rebuild_qtensor"),
    ("torch._utils", "_rebuild_device_tensor_from_numpy"), ("torch._utils", "_rebuild_wrapper_subclass"),
    ("torch._utils", "__builtins__"), ("torch._utils._rebuild_tensor_v2", "__globals__"),
    ("torch._utils", "_rebuild_tensor_v2.__globals__"), ("torch.nn.modules.linear", "Linear"),
    ("torch.distributed.rpc", "remote"), ("torch.utils.cpp_extension", "load"), ("torch", "_C"), ("torch", "ops"),
    ("torch", "os.system"), ("torch", "FloatStorage.__reduce__"), ("collections", "OrderedDict.__init__"),
    ("collections", "_sys"), ("collections", "namedtuple"), ("copyreg", "add_extension"), ("copyreg", "__newobj__"),
    ("numpy", "load"), ("numpy.core.multiarray", "fromfile"), ("numpy.testing._private.utils", "runstring"),
    ("argparse", "_sys"), ("argparse", "ArgumentParser"), ("argparse", "Namespace.__init__"),
    ("_codecs", "lookup"), ("_codecs", "decode"), ("codecs", "open"), ("__main__", "Model"),
    ("transformers.modeling_utils", "PreTrainedModel"), ("joblib.numpy_pickle", "load"), ("a" * 500, "b"),
    ("torch", "x<y>"),
]  # fmt: skip


@pytest.fixture
def watched():
    """All that is opened, imported, compiled or started while a test runs."""
    events: list[str] = []
    active, own = [True], get_ident()  # other threads of the test runner import what they like
    watch = ("import", "exec", "compile", "os.system", "subprocess.Popen", "socket.connect", "ctypes.dlopen", "open")

    def hook(event: str, arguments) -> None:
        if active and event in watch and get_ident() == own:
            events.append(f"{event} {arguments!r:.80}")

    sys.addaudithook(hook)
    yield events
    active.clear()


@pytest.mark.parametrize(("module", "name"), FUNCTIONS, ids=lambda part: part[:30])
def test_a_function_that_no_tensor_needs_is_refused_by_its_name(module, name, watched) -> None:
    watched.clear()
    for content in (call(module, name, "touch x"), stacked(module[:200], name)):
        with pytest.raises(RefusedError, match=r"it asks for .*, which no tensor needs") as error:
            parsed(content)
        told = f"{module[:200]}.{name}".encode("ascii", "backslashreplace").decode()[:60]
        assert told in str(error.value)
    assert watched == []


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_python_would_run_is_not(protocol, tmp_path, watched) -> None:
    target = tmp_path / "ran"
    hostile = [
        Runs(eval, f"open({str(target)!r}, 'w')"),
        Runs(exec, f"open({str(target)!r}, 'w')"),
        Runs(getattr, "x", "upper"),
        Runs(map, target.touch, [()]),
        Runs(target.touch),
        Stated(),
        print,
        np.random.default_rng(0),
        slice(0, 1),
        range(3),
        1j,
    ]
    contents = [pickle.dumps(wrap(one), protocol) for one in hostile for wrap in (lambda x: x, lambda x: {"w": [x]})]
    watched.clear()
    for content in contents:
        with pytest.raises(RefusedError):
            parsed(content)
    assert not target.exists()
    assert watched == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"(S'ls'\nios\nsystem\n.", "the word INST"),
        (b"(cargparse\nNamespace\no.", "the word OBJ"),
        (b"\x80\x02\x82\x01.", "the word EXT1"),
        (b"\x80\x02\x83\x01\x00.", "the word EXT2"),
        (b"\x80\x02\x84\x01\x00\x00\x00.", "the word EXT4"),
        (b"\x80\x05\x97.", "the word NEXT_BUFFER"),
        (b"Pthing\n.", "the word PERSID"),
        (HEAD + b"K\x01Q.", "refers to what is no storage"),
        (HEAD + b"(X\x06\x00\x00\x00modulectorch\nFloatStorage\ntQ.", "refers to what is no storage"),
        (HEAD + b"ctorch\nFloatStorage\n)R.", "calls torch.FloatStorage"),
        (HEAD + b"cargparse\nNamespace\n)}\x92.", None),
        (HEAD + b"cargparse\nNamespace\n)}X\x01\x00\x00\x00aK\x01s\x92.", "arguments by name"),
        (HEAD + b"}(K\x01K\x02\x86K\x03u.", "uses a tuple as a key"),
        (HEAD + b"(]]t.", None),
    ],
)
def test_words_that_no_tensor_needs_are_refused(content, said) -> None:
    if said is None:
        parsed(content)
    else:
        with pytest.raises(RefusedError, match=said):
            parsed(content)


def test_a_method_of_the_reader_cannot_be_reached_by_attributes() -> None:
    """BUILD sets the attributes of a description, never those of the machine or of a class."""
    content = HEAD + b"cargparse\nNamespace\n)R}(X\x09\x00\x00\x00__class__K\x01X\x04\x00\x00\x00kindK\x02ub."
    found = parsed(content)
    assert (type(found), found.kind, found.attributes) == (Record, "argparse.Namespace", {"__class__": 1, "kind": 2})
    for kind in (b"K\x01", b"]", b"X\x01\x00\x00\x00a", b"ctorch\nFloatStorage\n"):
        with pytest.raises(ValueError, match="damaged"):
            parsed(HEAD + kind + b"}b.")


@pytest.mark.parametrize("grow", [b"cbuiltins\nlist\n(h\x01tR", b"ccollections\nOrderedDict\n(h\x02tR",
                                  b"c_codecs\nencode\n(h\x00tR"])  # fmt: skip
def test_what_a_pickle_has_once_cannot_be_copied_without_end(grow) -> None:
    text = b"X" + struct.pack("<I", 5000) + b"a" * 5000 + b"q\x00"
    many = (
        b"](" + b"K\x01" * 3000 + b"eq\x01" + b"}(" + b"".join(b"J" + struct.pack("<i", i) + b"N" for i in range(3000))
    )
    content = HEAD + b"(" + text + many + b"uq\x02" + grow * 500 + b"t."
    with pytest.raises(RefusedError, match="copies more values than it has"):
        parsed(content)


def test_deep_and_circular_values_are_read_in_no_more_time_than_they_take() -> None:
    deep = HEAD + b"]" + b"]" * 20_000 + b"a" * 20_000 + b"."
    assert isinstance(parsed(deep), list)
    pairs = b"".join(b"0h" + bytes([i]) + b"h" + bytes([i]) + b"\x86q" + bytes([i + 1]) for i in range(200))
    with pytest.raises(RefusedError, match="uses a tuple as a key"):  # a hash of this one would need 2^200 steps
        parsed(HEAD + b"})q\x00" + pairs + b"Ns.")
    assert parsed(HEAD + b"]q\x00h\x00a.")[0]


# -- damage ------------------------------------------------------------------------------------------------------------


@given(st.data())
def test_a_damaged_pickle_is_refused_and_nothing_else_happens(data) -> None:
    protocol = data.draw(st.sampled_from(PROTOCOLS))
    content = bytearray(pickle.dumps({"a": [1, "x", (2.5, None)], "n": argparse.Namespace(k=b"v")}, protocol))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        match data.draw(st.sampled_from(["change", "cut", "double", "word"])):
            case "change":
                content[place] = data.draw(st.integers(0, 255))
            case "cut":
                del content[place : place + data.draw(st.integers(1, 9))]
            case "double":
                content[place:place] = content[place : place + data.draw(st.integers(1, 9))]
            case _:
                content[place:place] = data.draw(st.sampled_from(pickletools.opcodes)).code.encode("latin1")
        if not content:
            break
    try:
        parsed(bytes(content))
    except ValueError as error:
        assert isinstance(error, RefusedError) or "damaged" in str(error)  # noqa: PT017  # of either kind
        str(error).encode("ascii")


CLAIMED = [(b"\x8d", "<Q", 2**62), (b"X", "<I", 2**32 - 1), (b"\x8b", "<i", 2**31 - 1), (b"\x96", "<Q", 2**40)]


@pytest.mark.parametrize("claimed", [word + struct.pack(form, size) for word, form, size in CLAIMED])
def test_a_claimed_length_takes_no_memory(claimed) -> None:
    with pytest.raises(ValueError, match="damaged"):
        parsed(b"\x80\x05" + claimed + b"abc.")


def test_descriptions_are_of_natural_numbers() -> None:
    storage = Storage("0", "float32", 4)
    good = pickles._tensor(storage, 1, (3,), (1,))
    assert good == Tensor(storage, "float32", 1, (3,), (1,))
    for bad in ((-1, (3,), (1,)), (0, (-3,), (1,)), (0, (3,), (-1,)), (0, (2**62,), (1,)), (0, (True,), (1,)),
                (0.5, (3,), (1,)), (0, ("3",), (1,))):  # fmt: skip
        with pytest.raises(ValueError, match="natural number"):
            pickles._tensor(storage, *bad)
    for bad in ((Name("x"), 0, (3,), (1,)), (storage, 0, (3,), (1, 1))):
        with pytest.raises(TypeError):
            pickles._tensor(*bad)


def pushed(text: str) -> bytes:
    return b"X" + struct.pack("<I", len(text)) + text.encode()


def storage_of(kind: bytes, count: int) -> bytes:
    parts = (
        pushed("storage") + b"ctorch\n" + kind + b"\n" + pushed("0") + pushed("cpu") + b"J" + struct.pack("<i", count)
    )
    return HEAD + b"(" + parts + b"tQ."


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (HEAD + b"K\x01K\x02.", "2 values are left where one is"),
        (HEAD + b".", "0 values are left where one is"),
        (HEAD + b"(.", "1 values are left where one is"),
        (HEAD + b"(\x85.", "a mark where a value is needed"),
        (HEAD + b"K\x01t.", "no mark where one is needed"),
        (HEAD + b"K\x01K\x02K\x03s.", "2 keys and values for a int"),
        (HEAD + b"}(K\x01u.", "1 keys and values for a dict"),
        (HEAD + b"K\x01K\x02a.", "values for a int"),
        (HEAD + b"K\x01)R.", "a call of what is no function"),
        (HEAD + b"ccollections\nOrderedDict\nK\x01R.", "without its arguments"),
        (storage_of(b"FloatStorage", -1), "asks for -1 numbers of torch.FloatStorage"),
        (storage_of(b"float32", 4), "asks for 4 numbers of torch.float32"),
    ],
)
def test_what_does_not_fit_together_is_said(content, said) -> None:
    with pytest.raises(ValueError, match=said):
        parsed(content)


def test_a_tensor_has_a_known_dtype_and_no_class_of_its_own() -> None:
    storage = Storage("0", "float32", 4)
    part = (storage, 0, (3,), (1,), False, None)
    assert pickles._tensor_of_dtype(*part, Name("torch.float64")).dtype == "float64"
    for dtype in (Name("torch.qint8"), Name("builtins.float"), None, "torch.float32"):
        with pytest.raises(RefusedError, match="it has a tensor of"):
            pickles._tensor_of_dtype(*part, dtype)
    build, kind = Name("torch._utils._rebuild_tensor_v2"), Name("torch.Tensor")
    assert pickles._of_type(build, kind, part, None).shape == (3,)
    for function, of, arguments in (
        (Name("os.system"), kind, part),
        ("torch._utils._rebuild_tensor_v2", kind, part),
        (build, kind, [*part]),
        (build, Name("mine.Tensor"), part),
        (build, "torch.Tensor", part),
    ):
        with pytest.raises(RefusedError, match="a class of its own"):
            pickles._of_type(function, of, arguments, None)
