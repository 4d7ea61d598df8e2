"""What all tests share: which engines are tested, a small model with a prime for every size, and its random weights.

The lane is chosen by the environment: `ROBERTA_TEST_BACKENDS=numpy` tests what needs no framework, `numpy,torch` names
several, and unset means every registered engine. An engine that is asked for and cannot be imported is an error of the
run, never a skip.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

# Before NumPy and PyTorch start their threads: two are enough for models of this size, and more only fight.
os.environ.setdefault("OMP_NUM_THREADS", "2")

import hypothesis
import numpy as np
import pytest
from roberta import RobertaConfig
from roberta.dispatch import registry
from roberta.dispatch.api import FACES
from roberta.reference.parameters import Parameter, parameter_table

ROOT = Path(__file__).resolve().parent.parent
REQUESTED = os.environ.get("ROBERTA_TEST_BACKENDS", "all")
BACKENDS = (
    list(registry.backends())
    if REQUESTED == "all"
    else [registry.canonical_name(name.strip()) for name in REQUESTED.split(",")]
)
#: Import -> the engine that a test file needs if it imports this.
NEEDS = {"torch": "torch", "transformers": "torch"}

hypothesis.settings.register_profile("local", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "local")


# -- the lane ----------------------------------------------------------------------------------------------------------


def pytest_sessionstart() -> None:
    """Refuse to run where an engine that is asked for cannot be loaded: a skip would look like a pass."""
    for name in BACKENDS:
        try:
            registry.load(name)
        except registry.BackendUnavailableError as error:
            message = f"{error}\nOr test without it: ROBERTA_TEST_BACKENDS=numpy pytest"
            raise pytest.UsageError(message) from error


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip, with the reason, what is marked with an engine that this lane leaves out."""
    for item in items:
        for marker, backend in (("torch", "torch"), ("hf", "torch")):
            if item.get_closest_marker(marker) and backend not in BACKENDS:
                item.add_marker(pytest.mark.skip(reason=_reason(backend)))


class _RootIsNoTestPackage:
    """Keeps pytest from importing the root, which has an `__init__.py`, a second time under the checkout's name."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_collect_directory(self, path: Path, parent: pytest.Collector) -> pytest.Collector | None:
        return pytest.Dir.from_parent(parent, path=path) if path == ROOT else None


def pytest_configure(config: pytest.Config) -> None:
    """Register it as a plugin: a hook of this file itself would not be asked about the folder above."""
    config.pluginmanager.register(_RootIsNoTestPackage())


class _LeftOut(pytest.Module):
    """A test file that imports a framework which this lane leaves out: one skip instead of an ImportError."""

    def collect(self) -> Iterator[pytest.Item]:
        imported = _imports(self.path)
        backend = next(backend for name, backend in NEEDS.items() if name in imported and backend not in BACKENDS)
        pytest.skip(_reason(backend), allow_module_level=True)


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    """Collect a file as usual, unless it imports, at its top, what this lane leaves out."""
    imported = _imports(module_path)
    is_left_out = any(name in imported and backend not in BACKENDS for name, backend in NEEDS.items())
    return _LeftOut.from_parent(parent, path=module_path) if is_left_out else None


def _imports(path: Path) -> set[str]:
    """The first parts of the names that a file imports at its top level."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    whole = {alias.name.partition(".")[0] for node in tree.body if isinstance(node, ast.Import) for alias in node.names}
    parts = {str(node.module).partition(".")[0] for node in tree.body if isinstance(node, ast.ImportFrom)}
    return whole | parts


def _reason(backend: str) -> str:
    return f"needs {backend}, which ROBERTA_TEST_BACKENDS={REQUESTED} leaves out"


# -- fixtures ----------------------------------------------------------------------------------------------------------


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    """The name of each engine of this lane."""
    return request.param


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
