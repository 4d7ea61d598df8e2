"""What all tests share: which engines are tested, a small model with a prime for every size, and its random weights.

The lane is chosen by the environment: `ROBERTA_TEST_BACKENDS=flax` tests one engine beside the spec,
`torch,transformers` one with its peer, and unset means everything: each registered engine and each library that tests
compare with. What is asked for and cannot be imported is an error of the run, never a skip.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

# Before the frameworks start. Threads: one is enough for models of this size, and the cores are for other processes.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# JAX has float64, in which most comparisons are made, only where it is told so before its first array.
os.environ.setdefault("JAX_ENABLE_X64", "1")
# Most of its time goes into compiling: what one process has compiled, the others and the next run take from here.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(__file__).resolve().parent.parent / ".pytest_cache/jax"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
# TensorFlow's notes about the machine are not about the tests.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import hypothesis
import numpy as np
import pytest
from roberta import RobertaConfig
from roberta.dispatch import registry
from roberta.dispatch.api import FACES
from roberta.parity.compare import compare_outputs
from roberta.parity.tolerances import Budget
from roberta.reference.parameters import Parameter, parameter_table

ROOT = Path(__file__).resolve().parent.parent
REQUESTED = os.environ.get("ROBERTA_TEST_BACKENDS", "all")
#: What is no engine, and may be named beside them: a library that tests compare with -> what pip calls it.
PEERS = {
    "transformers": '"transformers==4.57.6"',
    "tokenizers": "tokenizers",
    "flint": "python-flint",
    "onnxruntime": '"roberta[audit]"',
    "ctranslate2": '"roberta[audit]"',
    "accelerate": '"roberta[clients]"',
    "peft": '"roberta[clients]"',
    "torchinfo": '"roberta[clients]"',
    "h5py": '"roberta[formats]"',
    "msgpack": '"roberta[formats]"',
    "pyarrow": '"roberta[data]"',
    "zstandard": '"roberta[data]"',
}


def _lane(requested: str) -> tuple[list[str], list[str]]:
    """The engines, always the spec's first, and the peers."""
    if requested == "all":
        return list(registry.backends()), list(PEERS)
    names = [name.strip() for name in requested.split(",")]
    engines = {"numpy", *(registry.canonical_name(name) for name in names if name not in PEERS)}
    return [name for name in registry.backends() if name in engines], [name for name in PEERS if name in names]


BACKENDS, LIBRARIES = _lane(REQUESTED)
#: Those that compute gradients.
TRAINING = [name for name in BACKENDS if name in {"torch", "tensorflow", "flax"}]
#: Import -> what a test file needs if it imports this.
NEEDS = {
    "numba": "numba",
    "torch": "torch",
    "tensorflow": "tensorflow",
    "keras": "tensorflow",
    "jax": "flax",
    "flax": "flax",
    "optax": "flax",
    "transformers": "transformers",
    "tokenizers": "tokenizers",
    "flint": "flint",
    "onnx": "onnxruntime",
    "onnxruntime": "onnxruntime",
    "ctranslate2": "ctranslate2",
    "accelerate": "accelerate",
    "peft": "peft",
    "torchinfo": "torchinfo",
    "h5py": "h5py",
    "msgpack": "msgpack",
    "pyarrow": "pyarrow",
    "zstandard": "zstandard",
}
#: Marker -> what a test needs that has it. The peer's PyTorch classes are the ones that the others are loaded from.
MARKED = {
    "numba": ("numba",),
    "torch": ("torch",),
    "tensorflow": ("tensorflow",),
    "flax": ("flax",),
    "tokenizers": ("tokenizers",),
    "hf": ("torch", "transformers"),
}
if "transformers" in LIBRARIES:
    # Its TensorFlow classes are written for Keras 2. Keras 3, which our engine imports by its own name, does not care.
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

hypothesis.settings.register_profile("local", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "local")


# -- the lane ----------------------------------------------------------------------------------------------------------


def pytest_sessionstart() -> None:
    """Refuse to run where what is asked for cannot be loaded: a skip would look like a pass."""
    for name in BACKENDS:
        try:
            registry.load(name)
        except registry.BackendUnavailableError as error:
            message = f"{error}\nOr test without it: ROBERTA_TEST_BACKENDS=numpy pytest"
            raise pytest.UsageError(message) from error
    for name in LIBRARIES:
        if find_spec(name) is None:
            message = (
                f"ROBERTA_TEST_BACKENDS={REQUESTED} compares with {name}, which is not installed. "
                f"Install it with: pip install {PEERS[name]}\n"
                "Or name the engines to test without it: ROBERTA_TEST_BACKENDS=numpy,torch pytest"
            )
            raise pytest.UsageError(message)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip, with the reason, what is marked with something that this lane leaves out."""
    for item in items:
        needed = [need for marker, needs in MARKED.items() if item.get_closest_marker(marker) for need in needs]
        for need in _left_out(needed)[:1]:
            item.add_marker(pytest.mark.skip(reason=_reason(need)))


def _left_out(needed: list[str]) -> list[str]:
    return [need for need in needed if need not in BACKENDS and need not in LIBRARIES]


class _RootIsNoTestPackage:
    """Keeps pytest from importing the root, which has an `__init__.py`, a second time under the checkout's name."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_collect_directory(self, path: Path, parent: pytest.Collector) -> pytest.Collector | None:
        return pytest.Dir.from_parent(parent, path=path) if path == ROOT else None


def pytest_configure(config: pytest.Config) -> None:
    """Register it as a plugin: a hook of this file itself would not be asked about the folder above."""
    config.pluginmanager.register(_RootIsNoTestPackage())


class _LeftOut(pytest.Module):
    """A test file that imports what this lane leaves out: one skip instead of an ImportError."""

    def collect(self) -> Iterator[pytest.Item]:
        pytest.skip(_reason(_left_out(_needs(self.path))[0]), allow_module_level=True)


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    """Collect a file as usual, unless it imports, at its top, what this lane leaves out."""
    return _LeftOut.from_parent(parent, path=module_path) if _left_out(_needs(module_path)) else None


def _needs(path: Path) -> list[str]:
    """The engines and peers that a file cannot be imported without."""
    imported = _imports(path)
    return [need for name, need in NEEDS.items() if name in imported]


def _imports(path: Path) -> set[str]:
    """The first parts of the names that a file imports at its top level."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    whole = {alias.name.partition(".")[0] for node in tree.body if isinstance(node, ast.Import) for alias in node.names}
    parts = {str(node.module).partition(".")[0] for node in tree.body if isinstance(node, ast.ImportFrom)}
    return whole | parts


def _reason(need: str) -> str:
    return f"needs {need}, which ROBERTA_TEST_BACKENDS={REQUESTED} leaves out"


# -- fixtures ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session", autouse=True)
def _one_numba_thread() -> None:
    """Numba's threads wait for each other by spinning, ten times as long as models of this size take to compute."""
    if "numba" in BACKENDS:
        import numba

        numba.set_num_threads(1)


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    """The name of each engine of this lane."""
    return request.param


@pytest.fixture(params=TRAINING or [pytest.param("", marks=pytest.mark.skip(reason="no engine of this lane trains"))])
def training_backend(request: pytest.FixtureRequest) -> str:
    """The name of each engine of this lane that trains."""
    return request.param


@pytest.fixture
def training_backends() -> list[str]:
    """All of them."""
    return TRAINING


@pytest.fixture
def make_config() -> Callable[..., RobertaConfig]:
    """A small configuration with a different prime for every size; overrides by name.

    D = H K = 3 · 7 is the one product, as it must be.
    """
    sizes: dict[str, Any] = {
        "vocab_size": 53,
        "num_attention_heads": 3,
        "hidden_size": 21,
        "num_hidden_layers": 2,
        "intermediate_size": 31,
        "max_position_embeddings": 23,
        "type_vocab_size": 5,
        "layer_norm_eps": 1e-5,
    }
    return lambda **overrides: RobertaConfig(**{**sizes, **overrides})


@pytest.fixture
def config(make_config: Callable[..., RobertaConfig]) -> RobertaConfig:
    """`make_config` as it stands."""
    return make_config()


@pytest.fixture
def make_state() -> Callable[..., dict[str, Any]]:
    """Random weights for a head and configuration: HF's names -> float32 arrays.

    No tensor is trivial: a layer norm's gain is not 1, no bias is 0, and the rows of padding are as random as others.
    """

    def state(head: str, config: RobertaConfig, seed: int = 0, **options: Any) -> dict[str, Any]:
        rng = np.random.default_rng(seed)
        table = parameter_table(head, config, **options)
        drawn = {name: _drawn(parameter, rng) for name, parameter in table.items() if parameter.tied_to is None}
        return {name: drawn[parameter.tied_to or name] for name, parameter in table.items()}

    return state


def _drawn(parameter: Parameter, rng: np.random.Generator) -> Any:
    spread = parameter.shape[-1] ** -0.5 if len(parameter.shape) == 2 else 0.3
    center = 1.0 if parameter.initial == "ones" else 0.0
    return (center + spread * rng.standard_normal(parameter.shape)).astype(np.float32)


@pytest.fixture
def make_model(make_state: Callable[..., dict[str, Any]]) -> Callable[..., Any]:
    """A model of a head with the weights of `make_state`, dropout off: make_model("masked_lm", config, backend)."""

    def model(head: str, config: RobertaConfig, backend: str, seed: int = 0, **options: Any) -> Any:
        state: Mapping[str, Any] = make_state(head, config, seed)
        return FACES[head](config, backend=backend, state=state, **options).train(False)

    return model


# -- peers -------------------------------------------------------------------------------------------------------------


class Agreement:
    """Holds outputs against a peer's, and notes the largest error / limit, for benchmarks/agreement.py to gather."""

    #: The largest float64 error that is accepted, relative to the largest value of the field: both sides' rounding.
    LIMIT = 1e-10

    def __init__(self, framework: str, record: Callable[[str, object], None]) -> None:
        self.framework = framework
        self.record = record

    def in_float64(self, head: str, engine: str, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
        """Two float64 models: the same fields, shapes and dtypes, and values up to rounding."""
        assert set(found) == set(wanted)
        assert {name: value.dtype for name, value in found.items()} == {n: v.dtype for n, v in wanted.items()}
        limits = {name: self.LIMIT * np.abs(truth).max() for name, truth in wanted.items()}
        permitted = {n: Budget(t, np.full(t.shape, limits[n]), np.full(t.shape, limits[n])) for n, t in wanted.items()}
        self.require(head, engine, "float64", found, permitted)

    def in_float32(
        self, head: str, engine: str, found: Mapping[str, Any], wanted: Mapping[str, Any], budgets: Mapping[str, Budget]
    ) -> None:
        """Two float32 models, whose errors are independent: they may be sqrt(2) budgets apart."""
        root = np.sqrt(2.0)
        apart = {n: Budget(wanted[n].astype(float), root * b.sigma, root * b.limit) for n, b in budgets.items()}
        self.require(head, engine, "float32", found, apart)

    def require(
        self, head: str, engine: str, dtype: str, found: Mapping[str, Any], permitted: Mapping[str, Budget]
    ) -> None:
        """Every field within its budget."""
        worst = max(compare_outputs(found, permitted), key=lambda comparison: comparison.ratio)
        place = {"framework": self.framework, "head": head, "engine": engine, "dtype": dtype}
        self.record("agreement", {**place, "ratio": worst.ratio})
        assert worst.passed, f"{engine}: {worst}"


@pytest.fixture
def agreement(record_property: Callable[[str, object], None], request: pytest.FixtureRequest) -> Agreement:
    """`Agreement` with the peer whose framework the test's file names."""
    return Agreement(request.module.FRAMEWORK, record_property)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """A hub of one's own, which the hub's client asks: tests/files/hub_server.py says what it can."""
    constants = pytest.importorskip("huggingface_hub.constants", reason="the extra `hub`")
    spec = importlib.util.spec_from_file_location("hub_server", Path(__file__).parent / "files" / "hub_server.py")
    assert spec is not None
    assert spec.loader is not None
    server_module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "hub_server", server_module)
    spec.loader.exec_module(server_module)
    state, server = server_module.serve()
    monkeypatch.setattr(constants, "ENDPOINT", state.url)
    files = f"{state.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    for module in (constants, importlib.import_module("huggingface_hub.file_download")):  # which has a copy
        monkeypatch.setattr(module, "HUGGINGFACE_CO_URL_TEMPLATE", files)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    state.Repository = server_module.Repository
    yield state
    server.shutdown()
    server.server_close()
