"""Build the documentation into build/site: pages, API, and what the page "Run the spec" runs, all of it on one host.

    python site/build.py

Needs what `pip install ".[site]"` brings, npm, and both registries: Pyodide comes from npm, two compiled wheels from
PyPI. They are kept in build/vendor, and checked there against what is written in this file and in `wheels.txt`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

from roberta.teaching.pages import explain
from staging import stage

SITE = Path(__file__).resolve().parent
ROOT = SITE.parent
BUILD = ROOT / "build"
VENDOR, WHEEL, OUT = BUILD / "vendor", BUILD / "wheel", BUILD / "site"

SENTENCE = (
    "It is a truth universally acknowledged, that a single man in possession of a good fortune, "
    "must be in want of a <mask>."
)
#: The release whose lock file names the wheels of `wheels.txt`.
PYODIDE = "314.0.4"
PYODIDE_SHA512 = "fMexKS5P/s8iTjczevLUv/aWq9i5yaGvBTpBW6gM+nzDNelfPpREma/xdDK2AAGebAuKnBJk7fyVP6RBlz4btg=="
PYODIDE_FILES = ("pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip")
#: Compiled, and of Pyodide's distribution.
COMPILED = ("numpy", "regex")


def main() -> None:
    """Build everything; a step that fails ends it."""
    VENDOR.mkdir(parents=True, exist_ok=True)
    wheel = own_wheel()
    runtime = gather_runtime(wheel)
    megabytes = round(sum(path.stat().st_size for path in runtime.iterdir()) / 1e6)
    stage(BUILD / "pages", WHEEL / "roberta", {"@MEGABYTES@": str(megabytes)})
    (BUILD / "pages/explain.html").write_text(explanation(), encoding="utf-8")
    run("python", "-m", "mkdocs", "build", "--config-file", SITE / "mkdocs.yml", cwd=WHEEL)  # paths are told from there
    shutil.copytree(runtime, OUT / "runtime")
    print(f"{OUT}: serve it with  python -m http.server --directory {OUT.relative_to(ROOT)}  ({megabytes} MB to run)")


def explanation() -> str:
    """The page of `roberta explain`, allowed to load the worker beside it, and nothing else."""
    page = explain(SENTENCE)
    for what, more in {
        "script-src '": "worker-src 'self'; script-src 'self' '",
        "</head>": '<script type="module" src="javascript/runtime.js"></script>\n</head>',
    }.items():
        if page.count(what) != 1:
            message = f"the explanation page: required {what!r} once, found it {page.count(what)} times"
            raise SystemExit(message)
        page = page.replace(what, more)
    return page


def own_wheel() -> Path:
    """The wheel of this package, built from a copy of the tree, and unpacked for the pages of the API."""
    tree = BUILD / "tree"
    for folder in (tree, WHEEL):
        shutil.rmtree(folder, ignore_errors=True)
    unwanted = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist", "runs", "site", "tests")
    shutil.copytree(ROOT, tree, ignore=unwanted)
    run("python", "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", WHEEL, tree)
    shutil.rmtree(tree)
    (wheel,) = WHEEL.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(WHEEL)  # noqa: S202  # built the line before
    return wheel


def gather_runtime(wheel: Path) -> Path:
    """Everything that the worker loads, in one folder, with a lock file of these wheels alone."""
    runtime = BUILD / "runtime"
    shutil.rmtree(runtime, ignore_errors=True)
    runtime.mkdir()
    pyodide, carrier = vendored_pyodide(), vendored_wheels()
    for name in PYODIDE_FILES:
        shutil.copy2(pyodide / name, runtime)
    for name in ("stand_ins.py", "spec.py"):
        shutil.copy2(SITE / name, runtime)
    shutil.copy2(wheel, runtime)
    lock = json.loads((pyodide / "pyodide-lock.json").read_bytes())
    packages = {name: lock["packages"][name] for name in COMPILED}
    with zipfile.ZipFile(carrier) as archive:
        for about in packages.values():
            (member,) = (name for name in archive.namelist() if name.endswith(f"/{about['file_name']}"))
            content = archive.read(member)
            require(hashlib.sha256(content).hexdigest() == about["sha256"], about["file_name"], carrier)
            (runtime / about["file_name"]).write_bytes(content)
    packages["roberta"] = lock_entry(wheel)
    (runtime / "pyodide-lock.json").write_text(json.dumps({**lock, "packages": packages}), encoding="utf-8")
    return runtime


def lock_entry(wheel: Path) -> dict[str, Any]:
    """This package, as Pyodide's lock file describes one."""
    return {
        "name": "roberta", "version": wheel.name.split("-")[1], "file_name": wheel.name, "install_dir": "site",
        "sha256": hashlib.sha256(wheel.read_bytes()).hexdigest(), "package_type": "package", "imports": ["roberta"],
        "depends": list(COMPILED), "unvendored_tests": False,
    }  # fmt: skip


def vendored_pyodide() -> Path:
    """Pyodide's npm package, unpacked."""
    folder, archive = VENDOR / f"pyodide-{PYODIDE}", VENDOR / f"pyodide-{PYODIDE}.tgz"
    if not archive.exists():
        run("npm", "pack", "--silent", f"pyodide@{PYODIDE}", "--pack-destination", VENDOR)
    found = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    require(found == PYODIDE_SHA512, archive.name, archive)
    if not folder.exists():
        with tarfile.open(archive) as packed:
            packed.extractall(folder, filter="data")
    return folder / "package"


def vendored_wheels() -> Path:
    """The wheel that carries those of NumPy and regex; pip checks its hash, of a file that is there already, too."""
    folder = VENDOR / "wheels"
    run(
        "python", "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:",
        "--ignore-requires-python", "--dest", folder, "--requirement", SITE / "wheels.txt",
    )  # fmt: skip
    (carrier,) = folder.glob("*.whl")
    return carrier


def require(is_so: bool, name: str, where: Path) -> None:
    """End the build where a file is not the one that was meant."""
    if not is_so:
        message = f"{name}: its hash is not the expected one; delete {where.relative_to(ROOT)} and build again"
        raise SystemExit(message)


def run(*command: str | Path, cwd: Path = ROOT) -> None:
    """Run a program, "python" being this one; its failure ends the build, and then what it printed is shown."""
    program = sys.executable if command[0] == "python" else shutil.which(command[0])
    if program is None:
        message = f"{command[0]}: required to build the site, not found; install it, or build where it is"
        raise SystemExit(message)
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    result = subprocess.run(  # noqa: S603  # written above
        [program, *command[1:]], check=False, cwd=cwd, env=environment, capture_output=True, text=True
    )
    if result.returncode:
        message = f"{' '.join(map(str, command))}\n{result.stdout}{result.stderr}"
        raise SystemExit(message)


if __name__ == "__main__":
    main()
