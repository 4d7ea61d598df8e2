"""Gather the pages: documentation, README and the sources that they link to, with links that lead to each other."""

from __future__ import annotations

import ast
import os
import re
import shutil
from pathlib import Path, PurePosixPath

from nbconvert import MarkdownExporter

SITE = Path(__file__).resolve().parent
ROOT = SITE.parent
#: The address of a link in Markdown, and the place in it; not of a picture's or another host's.
LINK = re.compile(r"\]\(([^)\s#:]+)(#[^)\s]*)?\)")
#: Where notebooks lie, if there are any.
NOTEBOOKS = ("docs", "examples", "notebooks")
#: Room of the package -> what its page says first. Of the other rooms the names are not for callers.
ROOMS = {
    "reference": "The specification: every function of the forward pass, and the tables it reads.",
    "tokenizer": "Text to ids and back.",
    "dispatch": "Models and checkpoints, on whatever engine.",
    "tasks": "Texts in, answers out: eight tasks, a file of any length, and what runs them on many machines.",
    "parity": "The instrument: budgets, comparisons, audits.",
    "teaching": "Mistakes, exercises and pages, all of them run by the spec.",
}


def stage(pages: Path, package: Path, values: dict[str, str]) -> None:
    """Write all pages into a folder.

    Args:
        pages: the folder; what was in it goes.
        package: the package as it is installed, of which the API pages are.
        values: what stands for what in the pages of `site/pages`.
    """
    shutil.rmtree(pages, ignore_errors=True)
    pages.mkdir(parents=True)
    for folder in ("javascript", "css"):
        shutil.copytree(SITE / folder, pages / folder)
    for path in sorted((SITE / "pages").glob("*.md")):
        text = path.read_text(encoding="utf-8")
        for name, value in values.items():
            text = text.replace(name, value)
        (pages / path.name).write_text(text, encoding="utf-8")
    for path in sorted((ROOT / "docs").rglob("*")):
        if path.is_file() and path.suffix not in {".md", ".ipynb"}:
            target = pages / path.relative_to(ROOT / "docs")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target)
    _stage_documents(pages, [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *_tutorials(pages)])
    _stage_api(pages, package)


def _stage_documents(pages: Path, first: list[Path]) -> None:
    """These files, and every file that one of them links to."""
    waiting, seen = [*first], set(first)
    while waiting:
        path = waiting.pop()
        text, linked, pictures = _page(path)
        target = pages / _place(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        for name, content in pictures.items():
            (target.parent / name).write_bytes(content)
        waiting += [one for one in linked if one not in seen]
        seen.update(linked)


def _tutorials(pages: Path) -> list[Path]:
    """Write the page of tutorials; the files that it links to, notebooks and programs, need pages, too."""
    notebooks = sorted(path for folder in NOTEBOOKS for path in (ROOT / folder).rglob("*.ipynb"))
    programs = sorted((ROOT / "examples").glob("*.py"))
    lines = ["# Tutorials", ""]
    for path in notebooks:
        titles = [line.removeprefix("# ") for line in _page(path)[0].splitlines() if line.startswith("# ")]
        lines.append(f"* [{[*titles, path.stem][0]}]({_place(path)})")
    for path in programs:
        about = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or path.stem).splitlines()[0]
        lines.append(f"* [{path.name}]({_place(path)}): {about}")
    (pages / "tutorials.md").write_text("\n".join([*lines, ""]), encoding="utf-8")
    return [*notebooks, *programs]


def _place(path: Path) -> PurePosixPath:
    """Where the page of a file lies: the documentation at the top, sources under source/."""
    inside = PurePosixPath(path.relative_to(ROOT).as_posix())
    if inside.name == "README.md":
        return PurePosixPath("index.md") if inside.parent == PurePosixPath() else inside.parent.with_suffix(".md")
    if inside.suffix == ".ipynb":
        return PurePosixPath("tutorials", inside.stem, "index.md")
    if inside.parts[0] == "docs":
        return PurePosixPath(*inside.parts[1:])
    return inside if inside.suffix == ".md" else PurePosixPath("source", f"{inside}.md")


def _page(path: Path) -> tuple[str, list[Path], dict[str, bytes]]:
    """The page of a file, the files it links to that need a page, and the pictures in it, name -> content."""
    pictures: dict[str, bytes] = {}
    if path.suffix == ".ipynb":
        text, resources = MarkdownExporter().from_filename(str(path))
        pictures = resources["outputs"]
    else:
        text = path.read_text(encoding="utf-8")
    if path.suffix not in {".md", ".ipynb"}:
        language = path.suffix.removeprefix(".") if path.suffix in {".py", ".json", ".toml"} else "text"
        return f'# {path.relative_to(ROOT).as_posix()}\n\n````{language} linenums="1"\n{text}\n````\n', [], {}
    linked: list[Path] = []

    def follow(match: re.Match[str]) -> str:
        target = _target((path.parent / match[1]).resolve())
        if target is None:
            return match[0]
        if not target.is_relative_to(ROOT / "docs") or target.suffix in {".md", ".ipynb"}:  # else it is copied
            linked.append(target)
        address = os.path.relpath(_place(target), _place(path).parent).replace(os.sep, "/")
        return f"]({address}{match[2] or ''})"

    return LINK.sub(follow, text), linked, pictures


def _target(path: Path) -> Path | None:
    """The file that a link leads to: of a folder, what introduces it."""
    if path.is_dir():
        path = next((path / name for name in ("README.md", "__init__.py") if (path / name).exists()), path)
    return path if path.is_file() and path.is_relative_to(ROOT) else None


def _stage_api(pages: Path, package: Path) -> None:
    """One page for each room, from its docstrings."""
    folder = pages / "api"
    folder.mkdir()
    (folder / "roberta.md").write_text("# roberta\n\n::: roberta\n", encoding="utf-8")
    for room, about in ROOMS.items():
        if not (package / room).is_dir():
            continue
        files = sorted(path.stem for path in (package / room).glob("*.py") if not path.name.startswith("_"))
        modules = "\n".join(f"::: roberta.{room}.{name}\n" for name in files)
        (folder / f"{room}.md").write_text(f"# roberta.{room}\n\n{about}\n\n{modules}", encoding="utf-8")
