"""Which engine is meant, and what is said where it is missing."""

import ast
import os
import re
import subprocess
import sys
import threading
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import roberta
from roberta.dispatch import registry

ROOT = Path(roberta.__file__).parent


@pytest.fixture(autouse=True)
def _no_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_default", None)
    monkeypatch.delenv("ROBERTA_BACKEND", raising=False)


def in_a_new_process(code: str, tmp_path: Path, **environment: str) -> str:
    """Run code where `roberta` is importable (by a link, as it may not be installed); what it prints."""
    link = tmp_path / "path" / "roberta"
    if not link.exists():
        link.parent.mkdir()
        link.symlink_to(ROOT, target_is_directory=True)
    paths = os.pathsep.join([str(link.parent), str(tmp_path)])
    done = subprocess.run(  # noqa: S603  # our own code
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, "PYTHONPATH": paths, **environment},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# -- which one is meant ------------------------------------------------------------------------------------------------


def test_numpy_is_meant_where_nobody_says_otherwise() -> None:
    assert roberta.get_default_backend() == "numpy"


def test_the_environment_yields_to_the_process_that_to_the_context_and_that_to_the_argument(
    monkeypatch: pytest.MonkeyPatch, config: Any
) -> None:
    monkeypatch.setenv("ROBERTA_BACKEND", "pt")
    assert roberta.get_default_backend() == "torch"
    roberta.set_default_backend("np")
    assert roberta.get_default_backend() == "numpy"
    with roberta.use_backend("torch"):
        assert roberta.get_default_backend() == "torch"
        assert roberta.RobertaModel(config, backend="numpy").backend == "numpy"
        with roberta.use_backend("numpy"):
            assert roberta.RobertaModel(config).backend == "numpy"
        assert roberta.get_default_backend() == "torch"
    assert roberta.get_default_backend() == "numpy"


@pytest.mark.torch
def test_a_model_is_built_on_the_default_engine_and_loaded_on_it(config: Any, tmp_path: Path) -> None:
    roberta.RobertaModel(config).save_pretrained(tmp_path)
    with roberta.use_backend("torch"):
        assert roberta.RobertaModel(config).backend == "torch"
        assert roberta.RobertaModel.from_pretrained(tmp_path).backend == "torch"
        assert roberta.RobertaModel.from_pretrained(tmp_path, backend="numpy").backend == "numpy"
        assert roberta.RobertaModel.on("np").backend == "numpy"


def test_a_context_ends_with_its_block_even_by_an_error() -> None:
    with pytest.raises(ZeroDivisionError), roberta.use_backend("torch"):
        _ = 1 / 0
    assert roberta.get_default_backend() == "numpy"


def test_a_context_holds_in_its_own_thread_only() -> None:
    seen: list[str] = []
    with roberta.use_backend("torch"):
        thread = threading.Thread(target=lambda: seen.append(roberta.get_default_backend()))
        thread.start()
        thread.join()
    assert seen == ["numpy"]


@pytest.mark.parametrize(
    ("alias", "name"), [("np", "numpy"), ("pytorch", "torch"), ("pt", "torch"), ("torch", "torch")]
)
def test_aliases_mean_the_engine(alias: str, name: str) -> None:
    assert registry.canonical_name(alias) == name


@pytest.mark.parametrize("use", [roberta.set_default_backend, registry.canonical_name, registry.load])
def test_an_unknown_engine_is_refused_with_a_list_and_the_nearest(use: Any) -> None:
    with pytest.raises(ValueError, match=r"required one of \['numpy', .*'torch'.*got 'torhc'\. Did you mean 'torch'\?"):
        use("torhc")


def test_an_unknown_engine_in_the_environment_or_a_context_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="got 'nonsense'"), roberta.use_backend("nonsense"):
        pass
    monkeypatch.setenv("ROBERTA_BACKEND", "nonsense")
    with pytest.raises(ValueError, match="got 'nonsense'"):
        roberta.get_default_backend()


# -- what there is -----------------------------------------------------------------------------------------------------


def test_the_engines_of_this_lane_are_available_with_version_and_devices(backend: str) -> None:
    status = roberta.available_backends()[backend]
    assert status.is_available
    assert status.reason is None
    assert "cpu" in status.devices
    assert status.version[0].isdigit()


MISSING = """
import roberta
config = roberta.RobertaConfig(11, 4, 1, 2, 7)
try:
    roberta.RobertaModel(config, backend="torch")
except ImportError as error:
    print(error)
status = roberta.available_backends()
print(status["torch"].is_available, status["numpy"].is_available, status["torch"].install)
print(roberta.RobertaModel(config)([[2, 3]]).last_hidden_state.shape)
"""


def test_a_missing_framework_is_an_import_error_with_the_line_that_installs_it(tmp_path: Path) -> None:
    said, status, shape = in_a_new_process(ALONE_WITH_NUMPY + MISSING, tmp_path).splitlines()
    assert "backend 'torch' needs torch" in said
    assert 'pip install "roberta[torch]"' in said
    assert status == 'False True pip install "roberta[torch]"'
    assert shape == "(1, 2, 4)"


def test_importing_looking_and_choosing_load_no_framework(tmp_path: Path) -> None:
    code = (
        "import roberta, sys; roberta.set_default_backend('torch'); roberta.RobertaConfig(); "
        "print(sorted({'torch', 'numba', 'tensorflow', 'jax', 'transformers'} & set(sys.modules)))"
    )
    assert in_a_new_process(code, tmp_path) == "[]"


#: Engine -> the frameworks that it may load, of all those that the engines need.
FRAMEWORKS = {
    "numpy": set(),
    "numba": {"numba"},
    "torch": {"torch"},
    "tensorflow": {"tensorflow", "keras"},
    "flax": {"flax", "jax"},
}


def without(*frameworks: str) -> str:
    """Code that hides frameworks: importing them fails as if they were not installed."""
    return f"import sys; sys.modules.update(dict.fromkeys({sorted(frameworks)!r}))\n"


BROKEN = """
import roberta
config = roberta.RobertaConfig(11, 4, 1, 2, 7)
status = roberta.available_backends()
print([name for name, found in status.items() if found.is_available])
print(status[{name!r}].version, status[{name!r}].reason, status[{name!r}].install)
try:
    roberta.RobertaModel(config, backend={name!r})
except ImportError as error:
    print(error)
print(roberta.RobertaModel(config)([[2, 3]]).last_hidden_state.shape)
"""


#: What an engine's framework does when it is imported -> how that is told.
BREAKS = {
    "numba": ("raise SystemExit('no such processor')", "SystemExit: no such processor"),
    "torch": ("import sys; sys.no_such_name", "AttributeError: module 'sys' has no attribute 'no_such_name'"),
    "tensorflow": ("raise ImportError('libfast.so: cannot open')", "ImportError: libfast.so: cannot open"),
    "flax": ("raise RuntimeError('no such device')", "RuntimeError: no such device"),
}


@pytest.mark.parametrize("name", [pytest.param(name, marks=getattr(pytest.mark, name)) for name in BREAKS])
def test_a_broken_framework_is_told_and_breaks_nothing_else(name: str, tmp_path: Path) -> None:
    line, said = BREAKS[name]
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text(line)
    info = tmp_path / f"{name}-9.8.7.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 9.8.7\n")
    hidden = set().union(*FRAMEWORKS.values()) - FRAMEWORKS[name]
    lines = in_a_new_process(without(*hidden) + BROKEN.format(name=name), tmp_path).splitlines()
    assert lines[0] == "['numpy']"
    assert lines[1].startswith("9.8.7")
    assert said in lines[1]
    mends = f'pip install --force-reinstall "roberta[{name}]"'  # pip would call the plain line satisfied
    assert lines[1].endswith(mends)
    assert lines[2].endswith(f"If it is damaged or too old: {mends}")
    assert f"backend {name!r} needs {name}, which cannot be imported ({said.removeprefix('ImportError: ')})" in lines[2]
    assert lines[3] == "(1, 2, 4)"


ALONE = """
import roberta, sys
roberta.RobertaModel(roberta.RobertaConfig(11, 4, 1, 2, 7), backend={name!r})([[2, 3]]).numpy()
print(sorted({known!r} & set(sys.modules)))
"""


def test_an_engine_loads_its_own_framework_only_and_says_nothing(backend: str, tmp_path: Path) -> None:
    known = set().union(*FRAMEWORKS.values(), {"transformers"})
    done = subprocess.run(  # noqa: S603  # our own code
        [sys.executable, "-c", ALONE.format(name=backend, known=known)],
        env=quiet_environment(tmp_path),
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(ast.literal_eval(done.stdout)) == FRAMEWORKS[backend]
    compiles = "roberta: compiling the kernels of the numba backend; later runs find them cached.\n"
    assert done.stderr in ({"", compiles} if backend == "numba" else {""})


def quiet_environment(tmp_path: Path) -> dict[str, str]:
    """An environment in which nobody has asked the frameworks to be silent, and `roberta` is importable."""
    in_a_new_process("", tmp_path)
    asked = {"TF_CPP_MIN_LOG_LEVEL", "TF_ENABLE_ONEDNN_OPTS", "PYTHONWARNINGS", "JAX_ENABLE_X64", "TF_USE_LEGACY_KERAS"}
    kept = {name: value for name, value in os.environ.items() if name not in asked}
    return {**kept, "PYTHONPATH": str(tmp_path / "path")}


MISSES = ModuleNotFoundError("No module named 'not_there'", name="not_there.inner")
WRAPPED = ImportError("it needs not_there")
WRAPPED.__cause__ = MISSES


@pytest.mark.parametrize(
    ("error", "is_missing"),
    [
        (MISSES, True),
        (WRAPPED, True),
        (ModuleNotFoundError("No module named 'numpy.x'", name="numpy.x"), False),
        (ImportError("libfast.so: cannot open"), False),
        (SystemExit("no such processor"), False),
    ],
    ids=repr,
)
def test_what_is_missing_is_installed_and_what_is_damaged_is_installed_again(
    error: BaseException, is_missing: bool
) -> None:
    backend = registry.Backend("x", "x", "numpy", 'pip install "roberta[x]"')
    wanted = backend.install if is_missing else 'pip install --force-reinstall "roberta[x]"'
    assert registry._remedy(backend, error) == wanted
    absent = registry.Backend("x", "x", "not-there-at-all", backend.install)
    assert registry._remedy(absent, error) == backend.install


def test_an_engine_can_say_what_helps_in_place_of_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    class SettingError(ImportError):
        remedy = "set the variable X"

    def refuse(_: str) -> ModuleType:
        message = "X is not set"
        raise SettingError(message)

    monkeypatch.setattr(registry, "import_module", refuse)
    with pytest.raises(registry.BackendUnavailableError, match=r"\(X is not set\). What helps: set the variable X$"):
        registry.load("numpy")
    status = registry.available_backends()["numpy"]
    assert (status.reason, status.install) == ("SettingError: X is not set", "set the variable X")


def test_versions_of_companions_are_shown_behind_the_frameworks_own() -> None:
    beside = registry.Backend("x", "x", "numpy", "", companions=("scipy", "not-there-at-all"))
    assert registry._versions(beside) == f"{version('numpy')}, scipy {version('scipy')}"
    assert registry._versions(registry.Backend("x", "x", "not-there-at-all", "", companions=("scipy",))) is None


def test_an_engine_whose_devices_cannot_be_listed_is_told_as_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry.load("numpy"), "devices", lambda: [][0])
    status = roberta.available_backends()["numpy"]
    assert not status.is_available
    assert status.reason == "IndexError: list index out of range"


# -- third parties -----------------------------------------------------------------------------------------------------

ENGINE = '''
"""An engine of somebody else's: the NumPy one, counting its calls."""
from roberta.backends.numpy import *
from roberta.backends import numpy as base
from roberta.backends.numpy import DTYPES, ENTRY, LOSSES

calls = []


def counting(native):
    class Counting(native):
        def run(self, inputs, *rest):
            calls.append(self.head)
            return super().run(inputs, *rest)

    return Counting


HEADS = {head: counting(native) for head, native in base.HEADS.items()}
'''

#: Loading the frameworks takes seconds, and these tests are not about them.
ALONE_WITH_NUMPY = without(*set().union(*FRAMEWORKS.values()))
USE = """
import roberta, numpy as np
config = roberta.RobertaConfig(11, 4, 1, 2, 7)
model = roberta.RobertaForMaskedLM(config, backend="counting", seed=3)
spec = roberta.RobertaForMaskedLM(config, seed=3)
assert np.array_equal(model([[2, 3]]).logits, spec([[2, 3]]).logits)
assert isinstance(model, roberta.RobertaForMaskedLM)
assert model.to_backend("numpy").to_backend("counting").backend == "counting"
try:
    model([[99]])
except ValueError as error:
    assert "vocab_size" in str(error)
import counting_engine
print(counting_engine.calls, roberta.available_backends()["counting"])
"""


def installed_engine(tmp_path: Path, target: str = "counting_engine", name: str = "counting") -> None:
    """A distribution, as pip would leave it: a module, and a dist-info folder with its entry point."""
    (tmp_path / "counting_engine.py").write_text(ENGINE)
    info = tmp_path / "roberta_counting-1.2.3.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: roberta-counting\nVersion: 1.2.3\n")
    (info / "entry_points.txt").write_text(f"[roberta.backends]\n{name} = {target}\n")


def test_an_engine_that_a_third_party_installs_is_an_engine_like_any_other(tmp_path: Path) -> None:
    installed_engine(tmp_path)
    said = in_a_new_process(ALONE_WITH_NUMPY + USE, tmp_path)
    assert said.startswith("['masked_lm']")
    assert "version='1.2.3'" in said
    assert "devices=('cpu',)" in said


def test_a_broken_third_party_breaks_nobody_else(tmp_path: Path) -> None:
    installed_engine(tmp_path, target="not_there_at_all")
    code = (
        "import roberta\n"
        "found = roberta.available_backends()\n"
        "print(found['numpy'].is_available, found['counting'].is_available, found['counting'])"
    )
    said = in_a_new_process(ALONE_WITH_NUMPY + code, tmp_path)
    assert said.startswith("True False")
    assert "not_there_at_all" in said
    assert "pip install roberta-counting" in said


@pytest.mark.parametrize("name", ["numpy", "np"])
def test_no_third_party_takes_a_name_that_is_one_of_ours(name: str, tmp_path: Path) -> None:
    installed_engine(tmp_path, name=name)
    code = f"from roberta.dispatch import registry; print(registry.load({name!r}).__name__, *registry.backends())"
    ours = "numpy numba torch tensorflow flax"
    assert in_a_new_process(ALONE_WITH_NUMPY + code, tmp_path) == f"roberta.backends.numpy {ours}"


def test_a_third_party_that_lacks_a_part_is_told_which(tmp_path: Path) -> None:
    installed_engine(tmp_path)
    (tmp_path / "counting_engine.py").write_text("from roberta.backends.numpy import *\ndel LOSSES, is_tracing")
    code = (
        "import roberta\n"
        "print(roberta.available_backends()['counting'].is_available)\n"
        "try:\n"
        "    roberta.RobertaModel(roberta.RobertaConfig(11, 4, 1, 2, 7), backend='counting')\n"
        "except ImportError as error:\n"
        "    print(error)"
    )
    told, said = in_a_new_process(ALONE_WITH_NUMPY + code, tmp_path).splitlines()
    assert told == "False"
    assert "counting_engine lacks LOSSES, is_tracing, which docs/backends.md describes" in said


def test_the_documentation_lists_the_interface() -> None:
    page = (ROOT / "docs" / "backends.md").read_text()
    listed = page.partition("These an engine may leave out")[0]
    rows = [line.removeprefix("| `").partition("`")[0] for line in listed.splitlines() if line.startswith("| `")]
    assert [row.partition("(")[0] for row in rows] == list(registry.INTERFACE)


def test_a_third_party_that_ends_the_process_is_told_as_broken(tmp_path: Path) -> None:
    installed_engine(tmp_path)
    (tmp_path / "counting_engine.py").write_text("raise SystemExit('no such processor')")
    code = (
        "import roberta\n"
        "print({name: status.reason for name, status in roberta.available_backends().items()}['counting'])\n"
        "try:\n"
        "    roberta.RobertaModel(roberta.RobertaConfig(11, 4, 1, 2, 7), backend='counting')\n"
        "except ImportError as error:\n"
        "    print(error)"
    )
    told, said = in_a_new_process(ALONE_WITH_NUMPY + code, tmp_path).splitlines()
    assert told == "SystemExit: no such processor"
    assert "backend 'counting' needs roberta-counting, which cannot be imported (SystemExit: no such" in said


def test_a_failed_load_is_tried_again(tmp_path: Path) -> None:
    installed_engine(tmp_path)
    engine = tmp_path / "counting_engine.py"
    engine.write_text("import framework_of_mine\n" + engine.read_text())
    code = (
        "import importlib, pathlib, roberta\n"
        "config = roberta.RobertaConfig(11, 4, 1, 2, 7)\n"
        "for _ in range(2):\n"
        "    try:\n"
        "        roberta.RobertaModel(config, backend='counting')\n"
        "    except ImportError as error:\n"
        "        print(type(error).__name__, error)\n"
        f"pathlib.Path({str(tmp_path / 'framework_of_mine.py')!r}).write_text('')\n"
        "importlib.invalidate_caches()\n"
        "print(roberta.RobertaModel(config, backend='counting').backend)"
    )
    first, second, third = in_a_new_process(code, tmp_path).splitlines()
    assert first == second
    assert first.startswith("BackendUnavailableError backend 'counting' needs roberta-counting")
    assert "No module named 'framework_of_mine'" in first
    assert third == "counting"


# -- interrupts --------------------------------------------------------------------------------------------------------

INTERRUPTED = """
import sys
from importlib.abc import MetaPathFinder
import roberta
from roberta.dispatch import registry


class Interrupt(MetaPathFinder):
    'Ctrl-C while this module is looked for, once.'
    places = [{place!r}]

    def find_spec(self, name, path, target=None):
        if name in self.places:
            self.places.remove(name)
            raise KeyboardInterrupt


sys.meta_path.insert(0, Interrupt())
config = roberta.RobertaConfig(11, 4, 1, 2, 7)
try:
    roberta.RobertaModel(config, backend={name!r})
except KeyboardInterrupt:
    print(sorted(part for part in sys.modules if part.startswith({module!r})))
for _ in range(2):
    try:
        print(roberta.RobertaModel(config, backend={name!r})([[2, 3]]).last_hidden_state.shape[-1])
    except ImportError as error:
        print(type(error).__name__, error)
status = roberta.available_backends()
print(status["numpy"].is_available, status[{name!r}].is_available, status[{name!r}].install)
"""


def interrupted(name: str, module: str, place: str, tmp_path: Path) -> list[str]:
    hidden = set().union(*FRAMEWORKS.values()) - FRAMEWORKS.get(name, set())
    return in_a_new_process(without(*hidden) + INTERRUPTED.format(**locals()), tmp_path).splitlines()


@pytest.mark.parametrize("part", ["", ".heads"])
def test_an_engine_whose_first_import_is_interrupted_is_whole_the_next_time(
    part: str, backend: str, tmp_path: Path
) -> None:
    module = registry.load(backend).__name__
    left, *shapes, status = interrupted(backend, module, module + part, tmp_path)
    assert left == "[]"
    assert shapes == ["4", "4"]
    assert status.startswith("True True")


@pytest.mark.parametrize(
    ("name", "place"),
    [
        pytest.param("numba", "numba.core", marks=pytest.mark.numba),
        pytest.param("torch", "torch.nn", marks=pytest.mark.torch),
        pytest.param("tensorflow", "keras.src.layers", marks=pytest.mark.tensorflow),
        pytest.param("tensorflow", "tensorflow.python.ops", marks=pytest.mark.tensorflow),
        pytest.param("flax", "jax.numpy", marks=pytest.mark.flax),
        pytest.param("flax", "flax.core", marks=pytest.mark.flax),
    ],
)
def test_a_framework_that_was_interrupted_halfway_says_to_start_python_anew(
    name: str, place: str, tmp_path: Path
) -> None:
    left, *said, status = interrupted(name, registry.load(name).__name__, place, tmp_path)
    assert left == "[]"
    top = place.partition(".")[0]
    for line in said:
        assert line.startswith(f"BackendUnavailableError backend {name!r} needs")
        assert re.search(rf"the first import of [\w., ]*\b{top}\b[\w., ]* was interrupted", line)
        assert line.endswith("What helps: start Python anew")
    assert status == "True False start Python anew"


def test_an_engine_of_a_third_party_that_is_interrupted_is_whole_the_next_time(tmp_path: Path) -> None:
    installed_engine(tmp_path, target="mine.engine", name="mine")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "__init__.py").write_text("from . import before\nfrom . import engine\n")
    (tmp_path / "mine" / "before.py").write_text("")
    (tmp_path / "mine" / "last.py").write_text("")
    (tmp_path / "mine" / "engine.py").write_text(ENGINE + "from . import last\n")
    left, *shapes, status = interrupted("mine", "mine", "mine.last", tmp_path)
    assert left == "[]"
    assert shapes == ["4", "4"]
    assert status.startswith("True True")


def test_what_cannot_be_done_twice_says_to_start_python_anew_after_an_interrupt(tmp_path: Path) -> None:
    """As a framework whose classes can be registered once only."""
    installed_engine(tmp_path, name="mine")
    (tmp_path / "last.py").write_text("")
    once = (
        "import sys\nassert not hasattr(sys, 'registered'), 'registered already'\nsys.registered = True\nimport last\n"
    )
    (tmp_path / "counting_engine.py").write_text(ENGINE + once)
    left, *said, status = interrupted("mine", "counting_engine", "last", tmp_path)
    assert left == "[]"
    for line in said:
        assert "registered already" in line
        assert line.endswith("What helps: start Python anew")
    assert status == "True False start Python anew"
