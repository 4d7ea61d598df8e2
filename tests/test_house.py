"""The house stands as ARCHITECTURE says: arrows point down, engines have the same verbs, the wheel holds every room."""

from __future__ import annotations

import ast
import graphlib
import json
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import roberta
from roberta.dispatch import registry

ROOT = Path(roberta.__file__).resolve().parent
PACKAGE = "roberta"
PARITY_ROOMS = {f"parity/{room}" for room in ("adapters", "calibrating", "folders", "mistakes", "probes", "reports")}
#: Floor -> the floors that its files may import from, besides their own. A floor may have rooms, which are floors
#: themselves: only its `__init__` knows them, to hand on their names.
FLOORS = {
    "files": set(),
    "files/formats": {"files"},
    "reference": {"files"},
    "tokenizer": {"files"},
    "tokenizer/data": {"files", "tokenizer"},
    "tokenizer/data/shards": {"files", "tokenizer", "tokenizer/data"},
    "tokenizer/unigram": {"files", "tokenizer"},
    "backends/arrays": {"reference"},
    "backends/numpy": {"reference", "backends/arrays"},
    "backends/numba": {"files", "reference", "backends/arrays"},
    "backends/pytorch": {"reference", "backends/arrays"},
    "backends/tensorflow": {"files", "reference", "backends/arrays"},
    "backends/flax": {"files", "reference", "backends/arrays"},
    # the native classes are named to type checkers, and looked up when one is wanted
    "dispatch": {
        "files",
        "files/formats",
        "reference",
        "tokenizer",
        "backends",
        "dispatch/natives",
        "dispatch/generating",
    },
    "dispatch/generating": {"reference", "dispatch"},
    "dispatch/natives": {"reference", "backends", "dispatch"},
    "tasks": {"files", "files/formats", "reference", "tokenizer", "dispatch", "dispatch/generating"},
    "tasks/running": {"files", "reference", "tasks"},
    # what a candidate is, `parity/candidates.py` says; how each kind is asked, the adapters
    # the instrument, and its rooms: each is a subject of its own, and they know each other
    "parity": {"files", "reference", "tokenizer", "backends", "dispatch", *PARITY_ROOMS},
    "parity/adapters": {"reference", "dispatch", "parity"},
    "parity/calibrating": {"reference", "dispatch", "parity", "parity/probes"},
    "parity/folders": {"files", "reference", "dispatch", "parity", "parity/probes", "parity/reports"},
    "parity/mistakes": {"reference", "dispatch", "parity", "parity/probes"},
    "parity/probes": {"reference", "dispatch", "parity"},
    "parity/reports": {"files", "reference", "dispatch", "backends", "parity", "parity/probes"},
    "teaching": {"files", "reference", "tokenizer", "tokenizer/unigram", "dispatch", "parity", "parity/mistakes"},
    "teaching/exercises": {
        "files",
        "reference",
        "tokenizer",
        "tokenizer/data",
        "dispatch",
        "parity",
        "parity/mistakes",
        "teaching",
    },
    # each file stands for another library, and nothing else imports it
    "clients": {"dispatch"},
    "": {
        "files",
        "reference",
        "tokenizer",
        "backends",
        "dispatch",
        "tasks",
        "parity",
        "teaching",
        "teaching/exercises",
    },
}
FRAMEWORKS = frozenset({"torch", "tensorflow", "keras", "tf_keras", "jax", "flax", "numba"})
#: What an engine's folder may import of these.
OWN = {
    "backends/numpy": set(),
    "backends/numba": {"numba"},
    "backends/pytorch": {"torch"},
    "backends/tensorflow": {"tensorflow", "keras"},
    "backends/flax": {"jax", "flax"},
    "clients": {"torch"},
}
#: What an engine may leave out; `docs/backends.md` says what each is.
OPTIONAL_VERBS = {
    "Inference",
    "adopt_state_dict_numpy",
    "compiled_forms",
    "has_values",
    "own_dtype",
    "remark",
    "seeded_by",
    "wants_gradient",
    "MAKING",
    "REMEDIES",
    "added_shapes",
    "freeze",
    "gradients",
    "no_gradients",
    "require_nameable",
}


def package_folders() -> list[Path]:
    """Every folder of the package, the root first: those with an `__init__.py`, outside environments and builds."""
    rooms = [path.parent.relative_to(ROOT) for path in ROOT.rglob("__init__.py")]
    return [ROOT / room for room in sorted(rooms) if not any(part.startswith((".", "build")) for part in room.parts)]


FILES = sorted(path for folder in package_folders() for path in folder.glob("*.py"))


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def floor_of(path: Path) -> str:
    """The floor on which a file of the package lies, "" for the face."""
    folder = path.parent.relative_to(ROOT).as_posix()
    return "" if folder == "." else folder


def may_import(path: Path, target: str) -> bool:
    """Whether a file may import a module, which is given by its path in the package."""
    floor = floor_of(path)
    homes = [room for room in FLOORS if room and f"{target}/".startswith(f"{room}/")]
    is_own = floor in homes and (path.name == "__init__.py" or floor == max(homes, key=len))
    is_face = not floor and (target == "__version__" or (ROOT / f"{target}.py").is_file())
    return is_own or is_face or any(f"{target}/".startswith(f"{room}/") for room in FLOORS.get(floor, set()))


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports at any level, by its full name; `from . import x` names the module x."""
    folder = (PACKAGE, *path.parent.relative_to(ROOT).parts)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = ".".join(folder[: len(folder) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (start, node.module) if part)
            yield from ([f"{module}.{alias.name}" for alias in node.names] if node.module is None else [module])


def run(*command: str | Path, cwd: Path) -> str:
    """What a command prints; where it fails, that is the message."""
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)  # noqa: S603  # our own
    assert result.returncode == 0, f"{' '.join(map(str, command))}\n{result.stdout}\n{result.stderr}"
    return result.stdout


# -- arrows ------------------------------------------------------------------------------------------------------------


def test_every_folder_of_the_package_has_its_floor():
    found = {relative(folder) for folder in package_folders()} - {"."}
    assert found - {"backends"} == set(FLOORS) - {""}


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_imports_point_down(path):
    inner = [name.removeprefix(f"{PACKAGE}.") for name in imports(path) if name.startswith(f"{PACKAGE}.")]
    wrong = [name for name in inner if not may_import(path, name.replace(".", "/"))]
    assert wrong == [], f"{floor_of(path) or 'the face'} may not import {wrong}"


def test_only_the_face_of_a_floor_knows_its_rooms():
    face, file, room = (ROOT / "tokenizer" / name for name in ("__init__.py", "rows.py", "data/masking.py"))
    assert [may_import(path, "tokenizer/data/masking") for path in (face, file, room)] == [True, False, True]
    assert [may_import(path, "tokenizer/encoding") for path in (face, file, room)] == [True, True, True]
    assert [may_import(path, "dispatch/model") for path in (face, file, room)] == [False, False, False]


@pytest.mark.parametrize("floor", ["files", "reference"])
def test_the_files_of_a_room_import_each_other_in_no_circle(floor):
    """Imports for the type checker alone count too: what they name, a reader has to know."""
    found = {path.stem: imported_files(path) for path in (ROOT / floor).glob("*.py")}
    order = list(graphlib.TopologicalSorter(found).static_order())  # raises CycleError
    assert set(order) == set(found)


def imported_files(path: Path) -> set[str]:
    """The files of its own folder that a file imports."""
    folder = f"{PACKAGE}.{path.parent.relative_to(ROOT).as_posix().replace('/', '.')}."
    return {name.removeprefix(folder) for name in imports(path) if name.startswith(folder)}


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_frameworks_stay_in_their_engine(path):
    tops = {name.partition(".")[0] for name in imports(path)}
    assert tops & FRAMEWORKS <= OWN.get(floor_of(path), set())


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_nothing_imports_the_peer(path):
    is_a_client = relative(path) == "clients/transformers.py"  # of transformers, for its users
    assert is_a_client or "transformers" not in {name.partition(".")[0] for name in imports(path)}


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_no_file_is_a_drawer_for_everything(path):
    assert path.stem not in {"utils", "util", "common", "helpers", "misc"}


# -- verbs -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", [floor.partition("/")[2] for floor in OWN if floor.startswith("backends")])
def test_engines_have_the_same_verbs(engine):
    needed = [[name for name in exported(one) if name not in OPTIONAL_VERBS] for one in (engine, "numpy")]
    assert needed[0] == needed[1]


def exported(engine: str) -> list[str]:
    tree = ast.parse((ROOT / f"backends/{engine}/__init__.py").read_text(encoding="utf-8"))
    values = [node.value for node in tree.body if isinstance(node, ast.Assign) and node.targets[0].id == "__all__"]
    return ast.literal_eval(values[0])


def test_every_verb_is_there(backend):
    engine = registry.load(backend)
    assert [name for name in engine.__all__ if not hasattr(engine, name)] == []


# -- importing ---------------------------------------------------------------------------------------------------------

HEAVY = FRAMEWORKS | {"scipy", "transformers", "tokenizers", "numpy"}


def fresh(code: str) -> str:
    """What a new interpreter prints, started in another folder."""
    return run(sys.executable, "-W", "error", "-c", code, cwd=Path(ROOT.anchor))


@pytest.mark.parametrize("module", ["roberta", "roberta.__main__", "roberta.dispatch.registry"])
def test_importing_the_face_loads_nothing_heavy(module):
    code = f"import json, sys; before = set(sys.modules); import {module}; print(json.dumps(sorted(sys.modules)))"
    loaded = set(json.loads(fresh(code)))
    assert module in loaded
    assert loaded & HEAVY == set()


def test_importing_the_package_loads_little_and_nothing_foreign():
    code = "import sys; old = set(sys.modules); import roberta; print(*sorted(set(sys.modules) - old))"
    loaded = fresh(code).split()
    assert {name.partition(".")[0] for name in loaded} - sys.stdlib_module_names == {PACKAGE}
    assert len(loaded) < 50


def test_the_spec_and_the_tokenizer_load_no_framework():
    code = (
        "import json, sys, roberta; roberta.RobertaConfig; roberta.RobertaTokenizer; roberta.RobertaForMaskedLM;"
        "roberta.fill_mask; roberta.parity; print(json.dumps(sorted(sys.modules)))"
    )
    assert set(json.loads(fresh(code))) & (HEAVY - {"numpy", "scipy"}) == set()


def test_the_root_is_imported_once_and_under_its_own_name():
    homes = {str(Path(module.__file__).resolve()) for module in list(sys.modules.values()) if has_file(module)}
    twice = [
        name
        for name, module in list(sys.modules.items())
        if has_file(module) and Path(module.__file__).resolve() == ROOT / "__init__.py" and name != PACKAGE
    ]
    assert str(ROOT / "__init__.py") in homes
    assert twice == []


def has_file(module: object) -> bool:
    return isinstance(getattr(module, "__file__", None), str)


# -- the wheel ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel, built from a copy of the tree: a build leaves folders behind."""
    folder = tmp_path_factory.mktemp("wheel")
    unwanted = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist", "runs")
    shutil.copytree(ROOT, folder / "tree", ignore=unwanted)
    run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "./tree", cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.mark.slow
def test_the_wheel_holds_every_folder_of_the_package_and_its_data(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    expected = {f"{PACKAGE}/{relative(path)}" for path in FILES}
    data = [ROOT / "py.typed", *(ROOT / "checkpoints/austen").iterdir()]
    data += [ROOT / "parity/reports/audit.html.jinja", ROOT / "parity/reports/audit.schema.json"]
    data += [ROOT / "teaching/page" / f"page.{kind}" for kind in ("html.jinja", "css", "js")]
    expected |= {f"{PACKAGE}/{relative(path)}" for path in data}
    inside = {name for name in names if name.startswith(f"{PACKAGE}/")}
    assert inside == expected
    assert [name for name in names - inside if ".dist-info/" not in name] == []


@pytest.mark.slow
def test_the_wheel_works_in_an_empty_environment_without_a_framework(wheel, tmp_path):
    home = tmp_path / "environment"
    venv.create(home, with_pip=True)
    binaries = home / ("Scripts" if os.name == "nt" else "bin")
    python, command = binaries / "python", binaries / "roberta"
    run(python, "-m", "pip", "install", "--constraint", ROOT / "constraints.txt", wheel, cwd=tmp_path)
    installed = json.loads(run(python, "-m", "pip", "list", "--format", "json", cwd=tmp_path))
    assert {package["name"].lower() for package in installed} & FRAMEWORKS == set()
    assert "son" in run(command, "fill-mask", "He was the eldest <mask> of a clergyman.", cwd=tmp_path)
    assert "masked_lm" in run(command, "parity", cwd=tmp_path)
