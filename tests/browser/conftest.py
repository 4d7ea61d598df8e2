"""One browser for all tests of pages: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest

#: It asks nobody for anything while it starts.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A browser; skipped where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason='needs playwright: pip install "roberta[browser]"')
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def violations() -> Callable[..., list[str]]:
    """Of a page, or a part of it: the rules of WCAG 2.1, A and AA, and of good practice that it breaks, by axe."""
    library = pytest.importorskip("axe_playwright_python.sync_playwright", reason='pip install "roberta[browser]"')
    rules = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}

    def found(page: Any, part: str | None = None) -> list[str]:
        broken = library.Axe().run(page, part, rules).response["violations"]
        return [f"{rule['id']}: {node['html'][:90]}" for rule in broken for node in rule["nodes"]]

    return found


@pytest.fixture
def opened(chromium: Any) -> Iterator[Callable[..., Any]]:
    """Opens an address; afterwards there must have been no error, and no request but for the page itself."""
    contexts: list[Any] = []
    errors: list[str] = []

    def visit(address: str, width: int = 1400, **options: Any) -> Any:
        contexts.append(chromium.new_context(viewport={"width": width, "height": 900}, **options))
        page = contexts[-1].new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda message: message.type in ("error", "warning") and errors.append(message.text))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: request.url.split("#")[0] == address or errors.append(request.url))
        page.goto(address)
        return page

    yield visit
    for context in contexts:
        context.close()
    assert errors == []
