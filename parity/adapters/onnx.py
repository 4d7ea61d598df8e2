"""ONNX Runtime: a session, or a .onnx file."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ...reference.embeddings import position_ids
from ...reference.layers import Array
from ..candidates import CandidateError, Capabilities
from .adapter import Adapter

#: Other names under which graphs have HF's arguments.
ALIASES = {
    "input_ids": ("ids", "tokens"),
    "attention_mask": ("mask", "input_mask"),
    "token_type_ids": ("segment_ids", "token_types"),
    "position_ids": ("positions",),
}
#: ONNX's names of element types -> NumPy's, where they differ.
DTYPES = {"float": "float32", "double": "float64"}
#: Head -> its outputs, in the order in which an exporter that gives no names lists them.
OUTPUTS: Mapping[str, tuple[str, ...]] = {
    "model": ("last_hidden_state", "pooler_output"),
    "question_answering": ("start_logits", "end_logits"),
}


class OnnxCandidate(Adapter):
    """A graph in ONNX Runtime.

    Inputs that a call does not give, and the graph needs, are HF's defaults: a mask of ones, types of zeros, positions
    counted from the ids. A graph of one fixed length gets shorter rows padded on the right, and what it gives for the
    padding is cut off.

    Attributes:
        session: what is run.
        arguments: HF's name of each of the graph's inputs -> its own.
        pad_token_id: of the reference; 1 if there is none.
    """

    kind = "ONNX Runtime"
    libraries = ("onnxruntime", "onnx")

    def __init__(self, session: Any, reference: Any = None) -> None:
        self.session = session
        self.source: str | bytes | None = getattr(session, "_model_path", None) or getattr(
            session, "_model_bytes", None
        )
        self.nodes = {_argument(node.name): node for node in session.get_inputs()}
        self.head = None if reference is None else reference.head
        self.pad_token_id = 1 if reference is None else reference.config.pad_token_id
        self.outputs = self._output_names([node.name for node in session.get_outputs()])
        batch, length = self._fixed()
        capabilities = Capabilities(
            frozenset(self.nodes),
            frozenset(name.partition(".")[0] for name in self.outputs),
            longest=length,
            batches=None if batch is None else frozenset({batch}),
            has_taps=self.source is not None and find_spec("onnx") is not None,
        )
        path = Path(self.source).name if isinstance(self.source, str) else "session"
        super().__init__(f"ONNX Runtime: {path}", capabilities)
        self.length = length

    def _output_names(self, own: list[str]) -> list[str]:
        """HF's names of the graph's outputs: its own, or, where none is HF's, those of the head in order."""
        expected = OUTPUTS.get(self.head or "", ("logits",))
        if self.head is None or set(own) & {*expected, "logits", "last_hidden_state"}:
            return own
        return [*expected[: len(own)], *own[len(expected) :]]

    def _fixed(self) -> tuple[int | None, int | None]:
        """B and T, where the graph has one size only."""
        shape = next((node.shape for name, node in self.nodes.items() if name == "input_ids"), [None, None])
        batch, length = (size if isinstance(size, int) else None for size in (shape[0], shape[-1]))
        return batch, length

    def __call__(self, **inputs: Any) -> Mapping[str, Any]:
        """One pass."""
        self.require_covered(inputs)
        return self._run(self.session, self.outputs, inputs)

    def _run(self, session: Any, names: list[str], inputs: Mapping[str, Any]) -> dict[str, Any]:
        given = {name: np.asarray(value) for name, value in self._completed(inputs).items()}
        length = given["input_ids"].shape[-1] if "input_ids" in given else None
        fed = {self.nodes[name].name: self._as_fed(name, value) for name, value in given.items()}
        found = dict(zip(names, session.run(None, fed), strict=True))
        if self.length is None or length is None or length == self.length:
            return found
        return {name: self._cut(name, value, length) for name, value in found.items()}

    def _completed(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """The inputs, and HF's defaults of those that the graph needs besides."""
        given = {name: value for name, value in inputs.items() if value is not None}
        ids = given.get("input_ids")
        for name in self.nodes.keys() - given.keys():
            if ids is None or name not in ALIASES:
                message = f"{self.name}: required a value of its input {self.nodes[name].name!r}, got none"
                raise CandidateError(f"{message}; it has no default: give it, or export the graph without it")
            given[name] = _default(name, np.asarray(ids), self.pad_token_id)
        return given

    def _as_fed(self, name: str, value: Array) -> Array:
        """In the graph's element type, and padded to its length."""
        if self.length is not None and name in ALIASES and value.shape[-1] < self.length:
            if "attention_mask" not in self.nodes:
                message = f"{self.name}: required {self.length} tokens, got {value.shape[-1]}"
                raise CandidateError(f"{message}; the graph has no mask that could hide padding")
            filler = {"input_ids": self.pad_token_id, "position_ids": self.pad_token_id}.get(name, 0)
            width = [(0, 0)] * (value.ndim - 1) + [(0, self.length - value.shape[-1])]
            value = np.pad(value, width, constant_values=filler)
        element = self.nodes[name].type.removeprefix("tensor(").removesuffix(")")
        return value.astype(DTYPES.get(element, element))

    def _cut(self, name: str, value: Any, length: int) -> Any:
        """Without what the graph gave for padding."""
        if "attentions" in name:
            return value[..., :length, :length]
        has_tokens = name in {"start_logits", "end_logits"} or (value.ndim == 3 and name != "pooler_output")
        return value[:, :length] if has_tokens else value

    def taps(self, inputs: Mapping[str, Any]) -> Mapping[str, Array]:
        """Every intermediate value of floating point, under the graph's own name.

        The graph is run once more with all of them as outputs: what is an output cannot be fused away, so that this is
        other code than an optimised session's.
        """
        graph, folder = _with_all_outputs(self.source, self.name)
        self.require_covered(inputs)
        session = _session(graph, folder, self.session)
        names = [node.name for node in session.get_outputs()]
        found = self._run(session, names, inputs)
        return {name: value for name, value in found.items() if getattr(value, "dtype", np.dtype(int)).kind == "f"}

    def describe(self) -> dict[str, Any]:
        """Kind, versions, hash of the file, opset, what runs it."""
        options = self.session.get_session_options()
        return super().describe() | {
            "providers": self.session.get_providers(),
            "inputs": {node.name: f"{node.type}{node.shape}" for node in self.nodes.values()},
            "graph_optimization_level": str(options.graph_optimization_level),
        }

    def files(self) -> tuple[Path, ...]:
        """The .onnx file, where the session was made of one."""
        return (Path(self.source),) if isinstance(self.source, str) and Path(self.source).is_file() else ()


def _argument(name: str) -> str:
    """HF's name of an input of a graph: its own, unless that is an alias."""
    return next((ours for ours, others in ALIASES.items() if name in others), name)


def _default(name: str, ids: Any, pad_token_id: int) -> Any:
    if name == "position_ids":
        return position_ids(ids, pad_token_id, np.zeros(len(ids), np.int64))
    return np.ones_like(ids) if name == "attention_mask" else np.zeros_like(ids)


def _with_all_outputs(source: str | bytes | None, name: str) -> tuple[bytes, Path | None]:
    """The graph with every value as an output, and the folder of tensors that lie beside it."""
    onnx = _library("onnx")
    if source is None:
        raise CandidateError(
            f"{name}: required a session made of a path or of bytes, got one of neither; give the path"
        )
    is_path = isinstance(source, str)
    model = onnx.load(source, load_external_data=False) if is_path else onnx.load_from_string(source)
    present = {output.name for output in model.graph.output}
    inner = [value for node in model.graph.node for value in node.output if value and value not in present]
    model.graph.output.extend(onnx.ValueInfoProto(name=value) for value in inner)
    return model.SerializeToString(), Path(source).parent if is_path else None


def _session(graph: str | bytes, folder: Path | None = None, like: Any = None) -> Any:
    """A session of a file or of bytes, whose tensors may lie in a folder, set up like another."""
    onnxruntime = _library("onnxruntime")
    options = onnxruntime.SessionOptions()
    providers = onnxruntime.get_available_providers() if like is None else like.get_providers()
    if like is not None:
        options.graph_optimization_level = like.get_session_options().graph_optimization_level
    if folder is not None:
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(folder.resolve()))
    try:
        return onnxruntime.InferenceSession(graph, options, providers)
    except Exception as error:  # its exceptions have no class in common
        message = f"candidate: required an ONNX graph, got {error}; look at it with onnx.checker.check_model"
        raise ValueError(message) from error


def _library(name: str) -> Any:
    try:
        return __import__(name)
    except ImportError as error:
        message = (
            f'candidate: required {name} to run an ONNX graph, got {error}; install it: pip install "roberta[audit]"'
        )
        raise ImportError(message, name=name) from error


def adapt(thing: Any, reference: Any = None) -> OnnxCandidate:
    """A session, or the path of a file, as a candidate.

    Raises:
        FileNotFoundError: no such file.
        ImportError: without ONNX Runtime.
        ValueError: a file that is no graph, or one that it cannot run.
    """
    if not isinstance(thing, str | Path):
        return OnnxCandidate(thing, reference)
    if not Path(thing).is_file():
        raise FileNotFoundError(f"candidate: required the path of a .onnx file, got {str(thing)!r}, where none is")
    return OnnxCandidate(_session(str(thing)), reference)
