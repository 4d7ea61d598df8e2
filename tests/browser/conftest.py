"""The site, built once, served by the standard library, and looked at with the system's Chromium."""

from __future__ import annotations

import functools
import http.server
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
SENTENCE = (
    "It is a truth universally acknowledged, that a single man in possession of a good fortune, "
    "must be in want of a <mask>."
)


class Handler(http.server.SimpleHTTPRequestHandler):
    """What any static host does, with the type that WebAssembly is compiled under while it is loaded."""

    extensions_map: ClassVar = {
        **http.server.SimpleHTTPRequestHandler.extensions_map,
        ".wasm": "application/wasm",
        ".mjs": "text/javascript",
    }

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture(scope="session")
def built() -> Path:
    """The folder of the site."""
    needed = {"npm": shutil.which("npm"), "mkdocs": find_spec("mkdocs"), "nbconvert": find_spec("nbconvert")}
    missing = [name for name, found in needed.items() if not found]
    if missing:
        pytest.skip(f"the site is built with {', '.join(missing)}: apt-get install npm; pip install 'roberta[site]'")
    result = subprocess.run(  # noqa: S603  # our own
        [sys.executable, ROOT / "site/build.py"], capture_output=True, text=True, check=False, timeout=240
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return ROOT / "build/site"


@pytest.fixture(scope="session")
def address(built: Path) -> Iterator[str]:
    """Where the site is served."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=built))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A browser without a window."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("a browser is needed: apt-get install chromium")
    sync_api = pytest.importorskip("playwright.sync_api", reason="drives the browser: pip install playwright")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()
