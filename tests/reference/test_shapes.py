"""The shapes at the ends of the spec's lines are executed: in every call, each value has the shape that its line says.

The spec's own functions get, for the time of the test, code in which the value of each such line passes through a
check. Every size is another prime. A letter has one size in a call of a function, that of the local variable if there
is one of this name; and so has `…`, whatever axes there are in front. S counts the keys of the attention at hand, which
are T where nothing is cached, and E of cross-attention.
"""

import ast
import importlib
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, cast

import numpy as np
import pytest
import roberta.reference
from roberta import RobertaConfig
from roberta.reference.inputs import LABELS
from roberta.reference.parameters import HEADS

FOLDER = Path(roberta.reference.__file__).parent
AXIS = r"(?:…|[A-Z]{1,2}|[1-9]|out)"
#: A line's last words: perhaps the field of a record, and axes.
COMMENT = re.compile(rf"#\s(?:\.(?P<field>\w+)\s)?(?P<axes>{AXIS}(?:\s{AXIS})*)")
STATEMENTS = (ast.Assign, ast.AnnAssign, ast.Return)
#: (file, line's text) -> why no call can execute it. Nothing is left out today.
EXCLUDED: dict[tuple[str, str], str] = {}

B, C, T, S, E, H, K, W = 11, 2, 17, 19, 23, 5, 7, 3
SIZES = {"B": B, "P": S - T, "T": T, "E": E, "D": H * K, "H": H, "K": K, "HK": H * K, "F": 31, "V": 53, "L": 13, "W": W}


# -- what is said ------------------------------------------------------------------------------------------------------


def comments(path: Path) -> dict[int, re.Match[str]]:
    """Line -> its shape, of a file's lines that have one behind their code."""
    with path.open("rb") as file:
        found = [token for token in tokenize.tokenize(file.readline) if token.type == tokenize.COMMENT]
    matches = {
        token.start[0]: COMMENT.fullmatch(token.string) for token in found if token.line[: token.start[1]].strip()
    }
    return {line: match for line, match in matches.items() if match}


class Instrument(ast.NodeTransformer):
    """Sends the value of each commented line, `name = value`, `return value` or `field=value`, through `__shape__`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tree = ast.parse(path.read_text(encoding="utf-8"))
        self.lines = comments(path)
        self.ends = {node.end_lineno for node in ast.walk(self.tree) if isinstance(node, STATEMENTS)}
        self.sent: list[int] = []

    def code(self) -> CodeType:
        tree = ast.fix_missing_locations(self.visit(self.tree))
        return compile(tree, str(self.path), "exec", dont_inherit=True)

    def visit(self, node: Any) -> Any:
        self.generic_visit(node)
        if isinstance(node, STATEMENTS) and node.end_lineno in self.lines:
            return self.send(node)
        is_field = isinstance(node, ast.keyword) and node.end_lineno in self.lines.keys() - self.ends
        return self.send(node) if is_field else node

    def send(self, node: Any) -> Any:
        self.sent.append(node.end_lineno)
        place = [ast.Constant(self.path.name), ast.Constant(node.end_lineno)]
        node.value = ast.Call(ast.Name("__shape__", ast.Load()), [node.value, *place], [])
        return node


def functions(module: ModuleType) -> Iterator[FunctionType]:
    """A module's own functions, methods and properties."""
    owners = [module, *(value for value in vars(module).values() if isinstance(value, type))]
    for value in (value for owner in owners for value in vars(owner).values()):
        function = value.fget if isinstance(value, property) else value
        if isinstance(function, FunctionType) and function.__module__ == module.__name__:
            yield function


def inner_codes(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from inner_codes(constant)


# -- what is so --------------------------------------------------------------------------------------------------------


class Shapes:
    """Checks values against the comments of their lines.

    Attributes:
        sizes: letter -> its size, or its possible sizes, in the pass that runs.
        executed: file and line of every comment that an array has been held against.
        wrong: what was not as it is said.
    """

    def __init__(self) -> None:
        self.said = {path.name: comments(path) for path in FOLDER.glob("*.py")}
        self.sizes: dict[str, Any] = {}
        self.bound: dict[Any, dict[str, Any]] = {}
        self.executed: set[tuple[str, int]] = set()
        self.wrong: list[str] = []

    def __call__(self, value: Any, file: str, line: int) -> Any:
        """Check a value and hand it on: each of several. None, and the 0.0 of no relative positions, have no shape."""
        comment = self.said[file][line]
        held = value if comment["field"] is None else getattr(value, comment["field"])
        for array in held if isinstance(held, tuple) else (held,):
            if isinstance(array, np.ndarray):
                self.executed.add((file, line))
                if not self.is_true(comment["axes"].split(), array.shape, self.of_call(sys._getframe(1))):
                    self.wrong.append(f"{file}:{line} says {comment['axes']!r}, and the shape is {array.shape}")
        return value

    def of_call(self, frame: Any) -> dict[str, Any]:
        """The axes that are bound in a frame's call: by a line before, or by names, as in `B, T, D = x.shape`."""
        bound = self.bound.setdefault(frame, {})
        bound.update({name: value for name, value in frame.f_locals.items() if isinstance(value, int)})
        return bound

    def is_true(self, axes: list[str], shape: tuple[int, ...], bound: dict[str, Any]) -> bool:
        front = shape[: max(len(shape) - len(axes) + 1, 0)] if axes[0] == "…" else ()
        if axes[0] == "…" and bound.setdefault("…", front) != front:
            return False
        axes = axes[axes[0] == "…" :]
        sizes = shape[len(front) :]
        return len(axes) == len(sizes) and all(
            self.is_size(axis, size, bound) for axis, size in zip(axes, sizes, strict=True)
        )

    def is_size(self, axis: str, size: int, bound: dict[str, Any]) -> bool:
        if axis.isdigit():
            return size == int(axis)
        is_possible = axis in bound or axis == "out" or size in self.sizes.get(axis, ())
        return is_possible and bound.setdefault(axis, size) == size

    def run(self, model: Any, sizes: dict[str, int], **inputs: Any) -> Any:
        """One pass, with these sizes in place of `SIZES`."""
        every = SIZES | sizes
        self.sizes = {letter: {size} for letter, size in every.items()}
        self.sizes["S"] = {every["T"], every["T"] + every["P"], every["E"]}
        self.bound = {}
        return model(**inputs)


@pytest.fixture
def shapes(monkeypatch: pytest.MonkeyPatch) -> Shapes:
    """Checks all that the spec computes during the test."""
    check = Shapes()
    for path in FOLDER.glob("*.py"):
        module = importlib.import_module(f"roberta.reference.{path.stem}".removesuffix(".__init__"))
        codes = {(code.co_name, code.co_firstlineno): code for code in inner_codes(Instrument(path).code())}
        monkeypatch.setattr(module, "__shape__", check, raising=False)
        for function in functions(module):
            place = (function.__code__.co_name, function.__code__.co_firstlineno)  # a property has two functions
            if place in codes:
                monkeypatch.setattr(function, "__code__", codes[place])
    return check


# -- the passes --------------------------------------------------------------------------------------------------------


@pytest.fixture
def model_of(make_model: Any) -> Any:
    def model_of(head: str, **fields: Any) -> Any:
        labels = {} if head == "question_answering" else {"num_labels": SIZES["L"]}
        sizes = {"vocab_size": 53, "hidden_size": H * K, "num_attention_heads": H, "intermediate_size": 31}
        layers = {"num_hidden_layers": 2, "max_position_embeddings": 43}
        return make_model(head, RobertaConfig(**sizes, **layers, **labels, **fields), "numpy")

    return model_of


def ids_of(*shape: int) -> Any:
    return np.random.default_rng(0).integers(2, 53, shape)


def states_of(T: int) -> Any:
    return np.random.default_rng(0).standard_normal((B, T, H * K)).astype(np.float32)


def labels_of(head: str) -> dict[str, Any]:
    """Labels for a head: of each token, of each text, of its choice, or two places in it."""
    of_tokens = {"causal_lm", "masked_lm", "token_classification"}
    return {name: ids_of(B, T) % 13 if head in of_tokens else ids_of(B) % 2 for name in LABELS[head]}


def run_all(shapes: Shapes, model_of: Any) -> None:
    """Passes of every kind that the spec has a line for."""
    mask = np.ones((B, T), int)
    for head in HEADS:
        is_choice = head == "multiple_choice"
        rows, sizes = ((B, C), {"B": B * C, "BC": B * C}) if is_choice else ((B,), {})
        inputs = {"input_ids": ids_of(*rows, T), "attention_mask": np.ones((*rows, T), int)}
        shapes.run(model_of(head), sizes, **inputs, **labels_of(head))
    shapes.run(model_of("masked_lm"), {}, input_ids=ids_of(B, T), positions=np.argwhere(ids_of(B, T) < 9)[:W])
    pruned = model_of("model", pruned_heads={0: [0, 3], 1: [1, 2]})
    shapes.run(pruned, {"H": H - 2, "HK": (H - 2) * K}, input_ids=ids_of(B, T))
    bare = model_of("model")
    shapes.run(bare, {}, input_ids=ids_of(B, T), position_ids=ids_of(B, T) % 43)
    shapes.run(bare, {}, inputs_embeds=states_of(T), attention_mask=np.ones((B, T, T), int))
    for position in ("absolute", "relative_key", "relative_key_query"):
        model = model_of("causal_lm", is_decoder=True, add_cross_attention=True, position_embedding_type=position)
        source = {"encoder_hidden_states": states_of(E), "encoder_attention_mask": np.ones((B, E), int)}
        start = {"T": S - T, "P": 0}
        past = shapes.run(model, start, input_ids=ids_of(B, S - T), attention_mask=mask[:, : S - T], **source)
        source["encoder_attention_mask"] = np.ones((B, T, E), int)
        shapes.run(model, {}, input_ids=ids_of(B, T), past_key_values=past.past_key_values, **source)


# -- the tests ---------------------------------------------------------------------------------------------------------


def test_every_comment_belongs_to_a_value() -> None:
    for path in FOLDER.glob("*.py"):
        instrument = Instrument(path)
        instrument.code()
        assert sorted(instrument.sent) == sorted(instrument.lines), path.name


def test_every_shape_at_the_end_of_a_line_is_so_and_is_executed(
    shapes: Shapes, model_of: Any, record_property: Any
) -> None:
    run_all(shapes, model_of)
    assert sorted(set(shapes.wrong)) == []
    said = {(file, line) for file, lines in shapes.said.items() for line in lines}
    unseen = {
        (file, (FOLDER / file).read_text().splitlines()[line - 1].strip()) for file, line in said - shapes.executed
    }
    assert unseen == EXCLUDED.keys()
    record_property("shapes executed", f"{len(shapes.executed)} of {len(said)}")
    print(f"{len(shapes.executed)} of {len(said)} shapes are executed")
    assert len(said) > 80


@pytest.mark.parametrize(
    ("axes", "shape", "is_true"),
    [
        ("B T D", (B, T, H * K), True),
        ("B T D", (T, B, H * K), False),
        ("B T D", (B, T), False),
        ("B T", (B, T, H * K), False),
        ("… D", (T, B, H * K), True),
        ("… D", (H * K,), True),
        ("… 1", (T, B, H * K), False),
        ("… D 1", (1,), False),
        ("…", (), True),
        ("B 1 T S", (B, 1, T, E), True),
        ("B 1 T S", (B, 1, T, B), False),
        ("B Z", (B, 3), False),
    ],
)
def test_the_check_can_fail(axes: str, shape: tuple[int, ...], is_true: bool) -> None:
    shapes = Shapes()
    shapes.run(lambda: None, {})
    assert shapes.is_true(axes.split(), shape, {}) == is_true


def test_an_axis_has_one_size_in_a_call() -> None:
    shapes, bound = Shapes(), dict[str, Any]()
    shapes.run(lambda: None, {})
    assert shapes.is_true(["T", "S"], (T, E), bound)
    assert not shapes.is_true(["T", "S"], (T, S), bound)
    assert shapes.is_true(["T", "S"], (T, S), {})
    assert shapes.is_true(["…", "D"], (3, H * K), bound)
    assert not shapes.is_true(["…", "1"], (4, 1), bound)
    assert shapes.is_true(["T"], (E,), {"T": E})
    assert not shapes.is_true(["T"], (T,), {"T": E})


def test_a_wrong_comment_is_seen(shapes: Shapes, model_of: Any) -> None:
    """Each, with one axis more than there is."""
    for file, lines in shapes.said.items():
        for line, match in lines.items():
            shapes.said[file][line] = cast("re.Match[str]", COMMENT.fullmatch(f"{match[0]} 1"))
    run_all(shapes, model_of)
    assert {wrong.partition(" says")[0] for wrong in shapes.wrong} == {
        f"{file}:{line}" for file, line in shapes.executed
    }
