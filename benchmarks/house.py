"""The figures of the house: what `import roberta` costs, and the ten longest functions.

Run it with `python benchmarks/house.py`.
"""

from __future__ import annotations

import ast
import json
import statistics
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parent.parent
PACKAGE_FOLDERS = ("files", "reference", "tokenizer", "backends", "dispatch", "parity")
PROBE = """
import json, sys, time
import numpy
before = set(sys.modules)
start = time.perf_counter()
import roberta
seconds = time.perf_counter() - start
print(json.dumps([seconds, sorted(set(sys.modules) - before)]))
"""


def import_costs(runs: int = 5) -> tuple[float, list[str]]:
    """Median seconds of `import roberta` after NumPy in a fresh interpreter, and the modules that it adds."""
    results = [json.loads(subprocess.check_output([sys.executable, "-c", PROBE])) for _ in range(runs)]  # noqa: S603
    return statistics.median(seconds for seconds, _ in results), results[0][1]


def functions() -> list[tuple[int, str]]:
    """Lines of the body, without its docstring, and the place of every function of the package."""
    files = [*ROOT.glob("*.py"), *(path for folder in PACKAGE_FOLDERS for path in (ROOT / folder).rglob("*.py"))]
    return [
        (_body_size(node), f"{path.relative_to(ROOT)}:{node.lineno} {node.name}")
        for path in files
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
    ]


def _body_size(node: ast.FunctionDef) -> int:
    statements = node.body[1:] if ast.get_docstring(node) and len(node.body) > 1 else node.body
    return (statements[-1].end_lineno or 0) - statements[0].lineno + 1


def main() -> None:
    """Print both."""
    console = Console()
    seconds, modules = import_costs()
    console.print(f"import roberta, after NumPy: {1000 * seconds:.1f} ms, {len(modules)} modules: {', '.join(modules)}")
    sizes = functions()
    table = Table(title=f"The ten longest of {len(sizes)} functions; median {statistics.median(s for s, _ in sizes):g}")
    table.add_column("lines", justify="right")
    table.add_column("function")
    for size, place in sorted(sizes, reverse=True)[:10]:
        table.add_row(str(size), place)
    console.print(table)


if __name__ == "__main__":
    main()
